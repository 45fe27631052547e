"""A small job description format in JSON: the reference that the saboteurs of `Jdl` break."""

from __future__ import annotations

import dataclasses
import json
from types import MappingProxyType

from opus_core.backends import Bundle, Jdl
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.errors import CannotCarry, ConfigError, JdlError

LARGEST = 2 * 2**20  # [byte]
MARK = "opus-json-1"
NOTHING = JobDefinition(name="x")


@dataclasses.dataclass(frozen=True)
class JsonOptions:
    indent: int = 1


class JsonJdl(Jdl):
    """Every field but `extensions`, for which it has no word; the script lies beside it."""

    name = "json"
    about = "Job descriptions as JSON, for the tests"
    suffix = ".json"
    media_type = "application/json"
    Options = JsonOptions

    def check(self):
        if self.options.indent < 0:
            raise ConfigError(f"indent = {self.options.indent} is no width; give 0 or more")

    def recognises(self, head):
        return head.startswith(b'{"format": "' + MARK.encode() + b'"')

    def loads(self, data, files=MappingProxyType({})):
        if len(data) > LARGEST:
            raise JdlError(f"{len(data)} bytes are too many; {LARGEST} are the most")
        try:
            found = json.loads(data)
            script = files.get("script", b"").decode()
        except json.JSONDecodeError as error:
            raise JdlError(f"this is not JSON: {error.msg}", line=error.lineno) from None
        except (UnicodeDecodeError, RecursionError) as error:
            raise JdlError(f"this is not JSON: {type(error).__name__}") from None
        if not isinstance(found, dict) or found.pop("format", None) != MARK:
            raise JdlError(f"this has no format {MARK!r}")
        try:
            definition = self.build(found)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise JdlError(f"this does not describe a job: {error!r}") from None
        return dataclasses.replace(definition, script=script)

    def build(self, found):
        lists = {
            "parameters": tuple(
                ParameterDescription(
                    **one
                    | {
                        "type": ParameterType(one["type"]),
                        "options": tuple(Option(**option) for option in one["options"]),
                    }
                )
                for one in found["parameters"]
            ),
            "used": tuple(UsedDescription(**one) for one in found["used"]),
            "generated": tuple(GeneratedDescription(**one) for one in found["generated"]),
        }
        return JobDefinition(**found | lists)

    def dumps(self, definition, *, lossy=False):
        lost = self.lost(definition)
        if lost and not lossy:
            raise CannotCarry(self.name, lost)
        left = {name: getattr(NOTHING, name) for name in lost}
        fields = dataclasses.asdict(dataclasses.replace(definition, **left))
        del fields["extensions"]
        script = fields.pop("script").encode()
        data = json.dumps({"format": MARK, **fields}, indent=1).replace("\n ", " ", 1)
        return Bundle(data=data.replace("{ ", "{", 1).encode(), files={"script": script})

    def lost(self, definition):
        """Extensions, and what is large where all of it is too large to be read again."""
        sizes = {name: len(json.dumps(one)) for name, one in dataclasses.asdict(definition).items()}
        large = [name for name, size in sizes.items() if size > LARGEST // 100]
        too_large = sum(sizes.values()) > LARGEST // 2
        lost = set(large if too_large else []) | (
            {"extensions"} if definition.extensions else set()
        )
        return sorted(lost)
