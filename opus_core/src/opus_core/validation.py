"""From the fields of a request to controls, options and parameters, checked against a description.

Pure: nothing here reads or writes. What a client sent is kept byte for byte once it is legal, so
that a job shows what was asked for; what it did not send and the description has a default for is
filled in, so that a job shows what it ran with.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote

from opus_core.backends import Output
from opus_core.controls import CONTROLS, Controls, parse_controls
from opus_core.definition import (
    JobDefinition,
    ParameterDescription,
    ParameterType,
    UsedDescription,
    check_file_name,
    result_file,
)
from opus_core.errors import BadInput, BadRequest, NotAllowed
from opus_core.forms import Form, Meaning, Meanings
from opus_core.hosts import Hosts
from opus_core.job import Parameter, Upload
from opus_core.queries import Wait, once, parse_phase, parse_query, parse_wait
from opus_core.texts import LongText, Text
from opus_core.values import check_value, parse_instant, shown

__all__ = [
    "Controls",
    "Request",
    "Wait",
    "check_inputs",
    "meanings",
    "outputs",
    "parse_instant",
    "parse_phase",
    "parse_query",
    "parse_wait",
    "split",
]

# DALI's own, which say nothing to a job; and WAIT, which a server may always cut to nothing.
_DROPPED: Final = frozenset({"REQUEST", "VERSION", "RESPONSEFORMAT", "MAXREC", "LANG", "WAIT"})
_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_NOWHERE: Final = Hosts()
_NEXT_UPLOAD: Final = re.compile(r";(?=[^,;]+,)")  # a semicolon may also stand within a URL

Values = Iterable[tuple[str, Text]]
Uploads = Iterable[tuple[str, Upload]]
_File = tuple[str, Upload]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A form taken apart. The inputs are not yet checked; controls and options are."""

    controls: Controls = field(default_factory=Controls)
    inputs: tuple[tuple[str, Text], ...] = ()
    uploads: tuple[tuple[str, Upload], ...] = ()
    options: Mapping[str, str] = field(default_factory=dict)

    def parameters(
        self, definition: JobDefinition, hosts: Hosts = _NOWHERE
    ) -> tuple[Parameter, ...]:
        """The parameters of a new job, defaults filled in; `BadRequest` says what is wrong."""
        found = check_inputs(definition, self.inputs, self.uploads, hosts=hosts)
        outputs(definition, found)
        return found

    def merge(
        self,
        definition: JobDefinition,
        present: Sequence[Parameter],
        hosts: Hosts = _NOWHERE,
    ) -> tuple[Parameter, ...]:
        """The parameters of a job after this request: named ones replaced, others as they were."""
        changes = check_inputs(definition, self.inputs, self.uploads, partial=True, hosts=hosts)
        changed = {one.name for one in changes}
        kept = [one for one in present if one.name not in changed]
        order = {entry.name: number for number, entry in enumerate(definition.inputs())}
        merged = tuple(sorted((*kept, *changes), key=lambda one: order.get(one.name, len(order))))
        outputs(definition, merged)
        return merged


def split(
    form: Form, definition: JobDefinition, run_options: Sequence[ParameterDescription] = ()
) -> Request:
    """Tell controls, run options of the manager and inputs apart, by name.

    Controls come first, since no description may use their names; a description's input comes
    before a run option of the same name, which then only the description can set. Raises
    `BadRequest` for a bad value, and for a name that is nobody's, with the nearest there is.
    """
    offered = {option.name.casefold(): option for option in run_options}
    controls: dict[str, str] = {}
    options: dict[str, str] = {}
    inputs: list[tuple[str, Text]] = []
    for name, value in form.values:
        upper = name.upper()
        if upper in CONTROLS:
            once(controls, upper, _short(name, value))
        elif upper == "UPLOAD" or definition.find(name) is not None:
            inputs.append((name, value))
        elif (option := offered.get(name.casefold())) is not None:
            if value:  # a field of a page's form that was left blank
                try:
                    once(options, option.name, check_value(option, _short(name, value)))
                except BadRequest as error:
                    raise BadInput({option.name: error.sentence}) from error
        elif upper not in _DROPPED:
            raise _unknown(name, definition, (*offered, *CONTROLS))
        else:
            _short(name, value)  # of a long one the file would be left
    return Request(
        controls=parse_controls(controls),
        inputs=tuple(inputs),
        uploads=form.uploads,
        options=options,
    )


def only_controls(form: Form) -> bool:
    """No description is needed to tell what the form says."""
    return not form.uploads and all(name.upper() in CONTROLS for name, _ in form.values)


def _short(name: str, value: Text) -> str:
    """A value that says something about a job as such."""
    if isinstance(value, LongText):
        raise BadRequest(f"{name} has {value.upload.size} bytes; no value of it is so long")
    return value


def meanings(
    definition: JobDefinition, run_options: Sequence[ParameterDescription] = ()
) -> Meanings:
    """What a part without a file name is in a form about a job of this description."""
    known = {"UPLOAD", *CONTROLS, *_DROPPED, *(option.name.upper() for option in run_options)}

    def meaning(name: str) -> Meaning:
        entry = definition.find(name)
        if isinstance(entry, UsedDescription):
            return Meaning.INPUT
        return Meaning.TEXT if entry is not None or name.upper() in known else Meaning.STRANGER

    return meaning


def check_inputs(
    definition: JobDefinition,
    values: Values,
    uploads: Uploads,
    *,
    partial: bool = False,
    hosts: Hosts = _NOWHERE,
) -> tuple[Parameter, ...]:
    """The parameters that a request asks for, in the order and spelling of the description.

    Names are not case-sensitive. A file comes as a part named like the input, or under another
    name that `INPUT=param:PART` or `UPLOAD=INPUT,param:PART` refers to (UWS 1.1 section
    2.2.3.1.1, DALI 1.1 section 3.4.5); or is to be fetched from one of the `hosts`, when a URL is
    its value, which then has a file without a hash until it has been (`lifecycle.awaited`). A
    `partial` request changes a job: only what it names is answered, nothing is filled in or missed.

    Raises `BadInput` with what is wrong with each, and would be legal; `BadRequest` for what is no
    input; `NotAllowed` for a URL of another host.
    """
    texts: dict[str, list[Text]] = {}
    parts = _Parts(uploads, hosts)
    faults: dict[str, str] = {}
    for name, value in values:
        entry = definition.find(name)
        if isinstance(entry, ParameterDescription):
            texts.setdefault(entry.name, []).append(value)
        elif entry is not None:
            with _noting(faults, entry.name):
                parts.refer(entry, value)
        elif name.upper() == "UPLOAD":
            for item in _NEXT_UPLOAD.split(_short(name, value)):
                target, comma, source = item.partition(",")
                used = definition.find(target.strip())
                if not comma or not isinstance(used, UsedDescription):
                    raise BadRequest(
                        f"UPLOAD cannot be {shown(item)}; write NAME,param:PART, where NAME is"
                        f" {_names(one.name for one in definition.used) or 'an input file'}"
                    )
                parts.refer(used, source)
        elif name.upper() not in _DROPPED:
            raise _unknown(name, definition)
    files = parts.assigned(definition) if not faults else {}
    found: list[Parameter] = []
    for entry in definition.inputs():
        with _noting(faults, entry.name):
            if isinstance(entry, UsedDescription):
                found += _files(entry, files.get(entry.name, []), partial=partial)
            elif not partial or entry.name in texts:
                found += _texts(entry, texts.get(entry.name, []), partial=partial)
    if faults:
        raise BadInput(faults)
    return tuple(found)


@contextmanager
def _noting(faults: dict[str, str], name: str) -> Iterator[None]:
    """Go on with the next input where one is wrong: whoever fills in a form wants to hear of all.
    What was wrong first is most often why the rest is."""
    try:
        yield
    except BadRequest as error:
        faults.setdefault(name, error.sentence)


class _Parts:
    """The files of a request, and which input each of them is for; with its URL, or nothing."""

    def __init__(self, uploads: Uploads, hosts: Hosts) -> None:
        self._parts = list(uploads)
        self._hosts = hosts
        self._referred: set[str] = set()
        self._files: dict[str, list[_File]] = {}

    def refer(self, entry: UsedDescription, value: Text) -> None:
        """A text that stands for a file: `param:PART`, or a URL."""
        if isinstance(value, LongText):
            raise _no_text(entry, value.beginning)
        source = value.strip()
        if not source:
            return  # a field of a page's form that was left blank
        scheme, colon, part = source.partition(":")
        if colon and scheme.casefold() == "param":
            found = [upload for name, upload in self._parts if name == part]
            if not found:
                raise BadRequest(
                    f"{entry.name} refers to the part {shown(part)}, which was not sent; the"
                    f" request has {_names(name for name, _ in self._parts) or 'no files'}"
                )
            self._referred.add(part)
            self._files.setdefault(entry.name, []).extend(("", upload) for upload in found)
        elif _URL.match(source):
            file = (source, _fetched(entry, source, self._hosts))
            self._files.setdefault(entry.name, []).append(file)
        else:
            raise _no_text(entry, value)

    def assigned(self, definition: JobDefinition) -> dict[str, list[_File]]:
        """All files by input; every part must have found one."""
        for name, upload in self._parts:
            if name in self._referred:
                continue
            entry = definition.find(name)
            if isinstance(entry, ParameterDescription):
                raise BadRequest(
                    f"{entry.name} takes a text, not the file {shown(upload.name)}; send its value"
                )
            if entry is None and not upload.name:
                raise _unknown(name, definition)  # more likely a field than a file
            if entry is None:
                takes = _names(one.name for one in definition.used)
                raise BadRequest(
                    f"nothing takes the file that was sent as {shown(name)}; "
                    + (f"send it as {takes}" if takes else f"{definition.name} takes no files")
                )
            self._files.setdefault(entry.name, []).append(("", upload))
        return self._files


def _no_text(entry: UsedDescription, value: str) -> BadRequest:
    return BadRequest(
        f"{entry.name} takes a file, not the text {shown(value)}; send the file as a part of that"
        " name in a multipart/form-data body"
    )


def _fetched(entry: UsedDescription, url: str, hosts: Hosts) -> Upload:
    """The file behind a URL, which the supervisor will fetch before the job is submitted."""
    try:
        parts = hosts.check(url)
    except (BadRequest, NotAllowed) as error:
        raise type(error)(f"{entry.name}: {error.sentence}") from error
    return Upload(sha256="", size=0, name=unquote(parts.path.rpartition("/")[2]))


def _files(entry: UsedDescription, uploads: list[_File], *, partial: bool) -> list[Parameter]:
    if not uploads and entry.required and not partial:
        raise BadRequest(
            f"the file {entry.name} is missing; send it as a part of that name in a"
            " multipart/form-data body"
        )
    if len(uploads) > 1 and entry.multiplicity.strip() in ("", "0", "1", "0..1", "1..1"):
        raise BadRequest(f"{entry.name} takes one file, and {len(uploads)} were sent")
    return [Parameter(name=entry.name, value=url, upload=upload) for url, upload in uploads]


def _texts(entry: ParameterDescription, sent: list[Text], *, partial: bool) -> list[Parameter]:
    given = [_parameter(entry, text) for text in sent if not _blank(entry, text)]
    if len(given) > 1 and not entry.repeated:
        raise BadRequest(f"{entry.name} takes one value, and {len(given)} were sent")
    if not given and entry.default is not None and not _blank(entry, entry.default):
        given = [Parameter(name=entry.name, value=entry.default)]
    if not given and (partial or entry.required):
        raise BadRequest(f"{entry.name} is missing; give it a value of type {entry.type.value}")
    return given


def _parameter(entry: ParameterDescription, text: Text) -> Parameter:
    if isinstance(text, str):
        return Parameter(name=entry.name, value=check_value(entry, text))
    is_string = entry.type is ParameterType.STRING
    is_uri = entry.type is ParameterType.ANYURI and text.fits_uri
    if entry.options or not (is_string or is_uri):
        check_value(entry, text.beginning)  # most often that says what is wrong
        raise BadRequest(f"{entry.name} has {text.upload.size} bytes; no value of it is so long")
    return Parameter(name=entry.name, upload=text.upload)


def _blank(entry: ParameterDescription, text: Text) -> bool:
    """The same as not sent. An optional string may be empty, and is then what was asked for."""
    if text:
        return False
    if entry.options:
        return not any(option.value == "" for option in entry.options)
    return entry.required or entry.type is not ParameterType.STRING


def outputs(definition: JobDefinition, parameters: Iterable[Parameter]) -> tuple[Output, ...]:
    """The files that a job with these parameters has to write.

    Raises `BadRequest` if one has no safe bare name, or two would be the same file.
    """
    # A text that is kept as a file is too long for a name: what stands for it is refused as one.
    values = {one.name: "…" if one.is_long else one.value for one in parameters}
    files: dict[str, str] = {}
    for result in definition.generated:
        file = check_file_name(result_file(definition, result, values))
        if file in files:
            raise BadRequest(
                f"{files[file]} and {result.name} would both be written to {file!r}; give one of"
                " them another file name"
            )
        files[file] = result.name
    required = {result.name: result.required for result in definition.generated}
    return tuple(
        Output(name=name, file=file, required=required[name]) for file, name in files.items()
    )


def _unknown(name: str, definition: JobDefinition, others: Iterable[str] = ()) -> BadRequest:
    legal = [entry.name for entry in definition.inputs()]
    spelt = {one.casefold(): one for one in (*others, *legal)}
    near = difflib.get_close_matches(name[:200].casefold(), spelt, n=1)
    hint = f"did you mean {spelt[near[0]]}?" if near else f"it takes {_names(legal) or 'none'}"
    return BadRequest(f"{definition.name} has no parameter {shown(name)}; {hint}")


def _names(names: Iterable[str]) -> str:
    every = [shown(name) for name in dict.fromkeys(names)]
    return ", ".join([*every[:30], "..."] if len(every) > 30 else every)
