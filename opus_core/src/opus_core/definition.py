"""A job description: what a site says once about a program, whatever format it was written in.

The words are those of the IVOA provenance data model (parameter, used, generated) and of the UWS
(quote, execution duration). Formats live in Jdl plugins; the catalogue that keeps descriptions is
`opus_core.definitions`; values are checked against them by `opus_core.validation`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from opus_core.errors import BadRequest


class ParameterType(StrEnum):
    """The type of a value, by its XML Schema name without the prefix."""

    STRING = "string"
    BOOLEAN = "boolean"
    BYTE = "unsignedByte"
    SHORT = "short"
    INT = "int"
    LONG = "long"
    FLOAT = "float"
    DOUBLE = "double"
    DATETIME = "dateTime"
    ANYURI = "anyURI"


@dataclass(frozen=True, slots=True, kw_only=True)
class Option:
    """One of the values a parameter may have."""

    value: str
    description: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParameterDescription:
    """A parameter: a value that reaches the script in the environment variable of its name.

    `minimum`, `maximum`, `default` and the options are text as a client would send it.
    """

    name: str
    type: ParameterType = ParameterType.STRING
    description: str = ""
    default: str | None = None
    required: bool = False
    repeated: bool = False  # several values, in order
    options: tuple[Option, ...] = ()  # none: any value of the type
    minimum: str | None = None
    maximum: str | None = None
    unit: str = ""
    ucd: str = ""
    utype: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class UsedDescription:
    """An input file, uploaded or named by a URL; the variable of its name holds a path."""

    name: str
    description: str = ""
    default: str | None = None  # a file name, shown in forms and never applied
    required: bool = False
    content_type: str = ""
    role: str = ""
    multiplicity: str = ""
    url: str = ""  # how a value becomes a URL, with `$ID` in it, where a description says so


@dataclass(frozen=True, slots=True, kw_only=True)
class GeneratedDescription:
    """A result: the variable of its name holds the bare file name the script has to write.

    The file name is `default`, or the value of the parameter of the same name if there is one.
    """

    name: str
    description: str = ""
    default: str = ""
    required: bool = False  # a job that does not write it ends in ERROR
    content_type: str = ""
    role: str = ""
    multiplicity: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobDefinition:
    """What a site says about one program.

    `extensions` holds what a format knows and the core does not, by a name that begins with the
    format's (`wadl:...`); another format may refuse to carry it.
    """

    name: str
    description: str = ""
    doculink: str = ""
    contact_name: str = ""
    contact_email: str = ""
    type: str = ""
    subtype: str = ""
    version: str = ""
    parameters: tuple[ParameterDescription, ...] = ()
    used: tuple[UsedDescription, ...] = ()
    generated: tuple[GeneratedDescription, ...] = ()
    script: str = ""
    execution_duration: int | None = None  # [s]; None: the server's default, 0: no limit
    quote: int | None = None  # [s] a run is expected to take; None: not known
    options: Mapping[str, str] = field(default_factory=dict)  # the manager's, set for every run
    extensions: Mapping[str, str] = field(default_factory=dict)

    def inputs(self) -> Iterator[ParameterDescription | UsedDescription]:
        """Everything a client may give a value for: parameters first, then files; the order in
        which a document mixed the two is not kept."""
        yield from self.parameters
        yield from self.used

    def find(self, name: str) -> ParameterDescription | UsedDescription | None:
        """The input of that name; names are not case-sensitive (DALI 1.1 section 3.1)."""
        folded = name.casefold()
        return next((one for one in self.inputs() if one.name.casefold() == folded), None)


DEFINITION_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")
FILE_NAME: Final = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,127}")
INPUT_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.:-]{0,127}")

TAKEN_NAMES: Final = frozenset({"availability", "capabilities"})
"""Stand beside the job lists, where DALI has what a service says of itself (DALI 1.1 section 2)."""

# What bash or the loader act upon, and what bash does not let be set.
_RESERVED_NAMES: Final = frozenset(
    "PATH HOME IFS ENV SHELLOPTS PS4 POSIXLY_CORRECT OPTIND PIPESTATUS"
    " UID EUID PPID PWD OLDPWD SHLVL _".split()
)
_RESERVED_PREFIXES: Final = ("BASH", "LD_", "PYTHON", "OPUS_", "SLURM_")
# UWS and DALI give these a meaning of their own in a request (UWS 1.1 2.2.3.1, DALI 1.1 3.4).
_CONTROL_NAMES: Final = frozenset(
    {"PHASE", "RUNID", "ACTION", "DESTRUCTION", "EXECUTIONDURATION", "WAIT", "UPLOAD"}
)


def reserved(name: str) -> bool:
    """The environment variable of that name is not a description's to set.

    Compared without regard to case only for the UWS control parameters, since environment
    variables are case-sensitive and `path` or `home` are ordinary parameter names.
    """
    if name in _RESERVED_NAMES or name.startswith(_RESERVED_PREFIXES):
        return True
    return name.upper() in _CONTROL_NAMES


def check_name(name: str) -> str:
    """A description's name, which is also a folder and a part of a URL; `BadRequest` if not."""
    if not DEFINITION_NAME.fullmatch(name):
        raise BadRequest(
            f"{name!r} cannot be the name of a job: begin with a letter or digit and use letters,"
            " digits, '_', '.' and '-', 64 at most"
        )
    return name


def check_file_name(name: str) -> str:
    """A bare file name that a script can be told to write; `BadRequest` if it is not one."""
    if not FILE_NAME.fullmatch(name):
        raise BadRequest(
            f"{name!r} cannot be the name of a result file: use letters, digits, '.', '_', '+' and"
            " '-', not beginning with a dot or a dash, 128 at most"
        )
    return name


def check_definition(definition: JobDefinition) -> JobDefinition:
    """Whether a description may be published; `BadRequest` names the first thing that is wrong."""
    for _, sentence in faults_of(definition):
        raise BadRequest(sentence)
    return definition


def faults_of(definition: JobDefinition) -> Iterator[tuple[str, str]]:
    """What keeps a description from being published: where it stands (`parameters.0.name`), and a
    sentence.

    Names of inputs are unique without regard to case (DALI 1.1 section 3.1), reserved names are
    refused, and every result has a safe file name: its own or that of the parameter it shares
    its name with.
    """
    try:
        check_name(definition.name)
    except BadRequest as error:
        yield "name", error.sentence
    if definition.name in TAKEN_NAMES:
        yield (
            "name",
            f"a job cannot be called {definition.name!r}: the server answers for itself at that"
            " address; give it another name",
        )
    yield from _faults_of_inputs(definition)
    yield from _faults_of_results(definition)
    for place, what, seconds in (
        ("execution_duration", "execution duration", definition.execution_duration),
        ("quote", "quote", definition.quote),
    ):
        if seconds is not None and not 0 <= seconds <= 2**31 - 1:
            yield place, f"the {what} of {seconds} s is not within 0 and {2**31 - 1}"


def _faults_of_inputs(definition: JobDefinition) -> Iterator[tuple[str, str]]:
    names = [(f"parameters.{n}.name", one.name) for n, one in enumerate(definition.parameters)]
    names += [(f"used.{n}.name", one.name) for n, one in enumerate(definition.used)]
    seen: dict[str, str] = {}
    for place, name in names:
        if not INPUT_NAME.fullmatch(name):
            yield (
                place,
                f"{name!r} cannot be the name of a parameter: use letters, digits, '_', '.', ':'"
                " and '-', 128 at most",
            )
        if reserved(name):
            yield (
                place,
                f"a parameter cannot be called {name!r}, which has a meaning of its own; give it"
                " another name",
            )
        if name.casefold() in seen:
            yield (
                place,
                f"two inputs are called {name!r} and {seen[name.casefold()]!r}; names are not"
                " case-sensitive, so give one of them another name",
            )
        seen[name.casefold()] = name


def _faults_of_results(definition: JobDefinition) -> Iterator[tuple[str, str]]:
    results: set[str] = set()
    files: set[str] = set()
    for number, result in enumerate(definition.generated):
        place = f"generated.{number}"
        if not INPUT_NAME.fullmatch(result.name) or reserved(result.name):
            yield (
                f"{place}.name",
                f"a result cannot be called {result.name!r}; give it another name",
            )
        if result.name.casefold() in results:
            yield f"{place}.name", f"two results are called {result.name!r}; give one another name"
        results.add(result.name.casefold())
        default = result_file(definition, result, {})
        try:
            check_file_name(default)
        except BadRequest as error:
            yield f"{place}.default", error.sentence
        if default in files:
            yield (
                f"{place}.default",
                f"two results write {default!r}; give one another file name",
            )
        files.add(default)


def result_file(
    definition: JobDefinition, result: GeneratedDescription, values: Mapping[str, str]
) -> str:
    """The bare file name a result has in one job, not yet checked.

    `values` are the job's parameter values by name. A result without a file name of its own is
    written under its own name.
    """
    shared = next((p for p in definition.parameters if p.name == result.name), None)
    if shared is not None:
        given = values.get(shared.name) or shared.default
        if given:
            return given
    return result.default or result.name
