"""A small but whole job description format, for tests of the core, which ships none."""

from __future__ import annotations

import dataclasses
import json

from opus_core.backends import Bundle, Jdl
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.errors import CannotCarry, JdlError


class JsonJdl(Jdl):
    """Every field by its name; the script in a file of its own."""

    name = "json"
    summary = "JSON"
    suffix = ".json"
    media_type = "application/json"
    head = b'{"job"'

    def recognises(self, head):
        return head.startswith(self.head)

    def loads(self, data, files={}):  # noqa: B006
        try:
            fields = json.loads(data)
        except ValueError as error:
            raise JdlError(str(error), line=1) from error
        del fields["job"]
        fields["parameters"] = tuple(
            ParameterDescription(
                **one
                | {
                    "type": ParameterType(one["type"]),
                    "options": tuple(Option(**option) for option in one["options"]),
                }
            )
            for one in fields["parameters"]
        )
        fields["used"] = tuple(UsedDescription(**one) for one in fields["used"])
        fields["generated"] = tuple(GeneratedDescription(**one) for one in fields["generated"])
        return JobDefinition(**fields, script=files.get("script", b"").decode())

    def dumps(self, definition, *, lossy=False):
        fields = {"job": 1} | dataclasses.asdict(definition)
        script = fields.pop("script")
        return Bundle(data=json.dumps(fields).encode(), files={"script": script.encode()})


class NewJdl(JsonJdl):
    """Another format, which has no words for a contact."""

    name = "new"
    suffix = ".new"
    head = b'new{"job"'

    def loads(self, data, files={}):  # noqa: B006
        return super().loads(data.removeprefix(b"new"), files)

    def dumps(self, definition, *, lossy=False):
        if definition.contact_name:
            raise CannotCarry(self.name, ["contact_name"])
        bundle = super().dumps(definition)
        return Bundle(data=b"new" + bundle.data, files=bundle.files)
