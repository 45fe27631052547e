"""The bash wrapper that every manager runs, and the files beside it that it reads.

`WRAPPER` is the same for every job: `Folders.write` puts it into the job's folder as `run`, and a
manager has it run by `bash run`, or by `bash run COMMAND...` where the script is to be run by a
command (a sandbox, a container), with these in its environment:

    OPUS_CLAIMANT  what stands in the claim if this submission wins it (never `sealed`, no blanks)
    OPUS_FOLDER    the job's folder, where `$0` does not lie in it (sbatch copies scripts)
    OPUS_GRACE     whole seconds between TERM and KILL; 10 if not given
    OPUS_TAG       the submission's tag; the script inherits it, so its processes can be found

What differs from job to job stands in two files of NUL-terminated entries, which bash reads
without ever parsing a value:

    task    `duration=SECONDS`     the execution duration, 0 for none
            `output=FILE`          the bare name of a file that becomes a result
            `variable=NAME=VALUE`  a variable for the script
            `path=NAME=PATH`       the same, but the path is taken from the job's folder, wherever
                                   that lies on the cluster; several of one name are joined by
                                   newlines
    event   the address to report start and end to, and the form to send there, which holds a
            token; without this file nothing is reported

The script gets `OPUS_PROGRESS`, the path of a file it may replace by `percent text`, and
`OPUS_PARAMETERS`, the path of parameters.json.

What bash can tell of the script's end goes into `exit` (`opus_core.links.parse_exit`): its code
and, if that is above 128 and names a signal, the signal as well. Bash does not tell a script that
was killed by signal 9 from one that ended with `exit 137`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, TypeAlias
from urllib.parse import urlencode

from opus_core.backends import Event
from opus_core.definition import JobDefinition
from opus_core.job import Job, Parameter, Upload
from opus_core.validation import outputs

WRAPPER: Final = files("opus_core").joinpath("wrapper.sh").read_bytes()

LARGEST_VARIABLE: Final = 65536  # [byte]; a larger value goes to a file that NAME_FILE names
LARGEST_ENVIRONMENT: Final = 524288  # [byte] of all values; the largest go to files first

_IDENTIFIER: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_READ_ONLY_IN_BASH: Final = frozenset({"UID", "EUID", "PPID"})
_SUFFIX: Final = re.compile(r"(\.[A-Za-z0-9]{1,8})?(\.(gz|bz2|xz|zst|Z|lz4|zip))?\Z")


@dataclass(frozen=True, slots=True)
class Joined:
    """A file that is made of texts, joined by newlines, some of which are files in `input/`."""

    texts: tuple[bytes | Upload, ...]

    def __len__(self) -> int:
        sizes = (one.size if isinstance(one, Upload) else len(one) for one in self.texts)
        return sum(sizes) + len(self.texts) - 1


Content: TypeAlias = bytes | Joined


def input_name(upload: Upload) -> str:
    """What an upload is called in `input/` for the script: its hash, ending as the client's name
    did, since programs look at `.fits.gz`. Nothing else of that name is used."""
    suffix = _SUFFIX.search(upload.name)
    return upload.sha256 + (suffix[0] if suffix else "")


def input_files(job: Job, definition: JobDefinition, event: Event | None) -> dict[str, Content]:
    """All that the wrapper and the script read, by name in the job's folder; `run` comes last.

    A parameter becomes a variable of its name if that is an identifier and if a described
    parameter has it. Where its values, joined by newlines, are larger than `LARGEST_VARIABLE` or
    hold a NUL, `NAME_FILE` has the path of a file with them instead, and so it is for the largest
    ones until the rest is within `LARGEST_ENVIRONMENT`, and where one of them is kept as a file.
    An upload's variable holds its path. The variable of a result holds its file name. Raises
    `BadRequest` for a file name that is none.
    """
    results = outputs(definition, job.parameters)
    values = _values(job, definition)
    values |= {result.name: result.file.encode() for result in results}
    values = {name: value for name, value in values.items() if _exportable(name)}
    apart = _too_large(values)
    variables = [
        f"variable={name}=".encode() + value
        for name, value in values.items()
        if name not in apart and isinstance(value, bytes)
    ]
    paths = [
        (parameter.name, f"input/{input_name(parameter.upload)}")
        for parameter in job.parameters
        if parameter.upload and not parameter.is_long and _exportable(parameter.name)
    ]
    paths += [(f"{name}_FILE", f"values/{name}") for name in apart if f"{name}_FILE" not in values]
    task = [
        f"duration={job.execution_duration}".encode(),
        *(f"output={result.file}".encode() for result in results),
        *variables,
        *(f"path={name}={path}".encode() for name, path in paths),
    ]
    content: dict[str, Content] = {
        "script": definition.script.encode(),
        "task": _entries(task),
        **{f"values/{name}": values[name] for name in apart},
    }
    if event is not None:
        form = urlencode({"jobid": job.id, "token": event.token})
        content["event"] = _entries([event.url.encode(), form.encode()])
    return {**content, "run": WRAPPER}


def describe(parameter: Parameter) -> dict[str, Any]:
    """A parameter as parameters.json and job.json show it; paths are taken from the folder."""
    if parameter.upload is None:
        return {"name": parameter.name, "value": parameter.value}
    return {
        "name": parameter.name,
        **({"url": parameter.value} if parameter.value else {}),
        "file": f"input/{input_name(parameter.upload)}",
        "size": parameter.upload.size,
        "sha256": parameter.upload.sha256,
        "media_type": parameter.upload.media_type,
        "client_name": parameter.upload.name,
    }


def _values(job: Job, definition: JobDefinition) -> dict[str, Content]:
    """The values of described inputs, files excepted; defaults where the job has none."""
    listed: dict[str, list[bytes | Upload]] = {}
    for parameter in job.parameters:
        if not definition.find(parameter.name):
            continue
        if parameter.upload is None:
            listed.setdefault(parameter.name, []).append(_bytes(parameter.value))
        elif parameter.is_long:
            listed.setdefault(parameter.name, []).append(parameter.upload)
    given = {parameter.name.casefold() for parameter in job.parameters}
    for described in definition.parameters:
        if described.default is not None and described.name.casefold() not in given:
            listed[described.name] = [_bytes(described.default)]
    return {name: _joined(values) for name, values in listed.items()}


def _joined(values: list[bytes | Upload]) -> Content:
    plain = [value for value in values if isinstance(value, bytes)]
    return b"\n".join(plain) if len(plain) == len(values) else Joined(tuple(values))


def _too_large(values: Mapping[str, Content]) -> list[str]:
    """The names of values that do not become variables themselves, largest first."""
    apart: list[str] = []
    left = sum(len(value) for value in values.values() if isinstance(value, bytes))
    for name, value in sorted(values.items(), key=lambda item: len(item[1]), reverse=True):
        if isinstance(value, Joined):
            apart.append(name)
        elif b"\0" in value or len(value) > LARGEST_VARIABLE or left > LARGEST_ENVIRONMENT:
            apart.append(name)
            left -= len(value)
    return apart


def _exportable(name: str) -> bool:
    return bool(_IDENTIFIER.fullmatch(name)) and name not in _READ_ONLY_IN_BASH


def _bytes(value: str) -> bytes:
    # What came as bytes that are no UTF-8 goes on as those bytes.
    return value.encode("utf-8", "surrogateescape")


def _entries(values: Iterable[bytes]) -> bytes:
    return b"".join(value + b"\0" for value in values)
