"""Whether a text is a value of a type, and between which limits it lies.

The lexical rules are those of XML Schema part 2, made lenient where descriptions in use need it:
booleans may be `yes` and `no`, in any case; blanks around a number do not count; instants may be
written in all the forms that clients were seen to send.
"""

from __future__ import annotations

import ipaddress
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta, timezone
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Final

from opus_core.definition import JobDefinition, ParameterDescription, ParameterType
from opus_core.errors import BadRequest
from opus_core.job import cut

Value = bool | int | float | datetime | str

_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,40}")
_REAL: Final = re.compile(r"[+-]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_SPECIAL: Final = re.compile(r"[+-]?inf(?:inity)?|nan", re.IGNORECASE)
_NOT_IN_URI: Final = re.compile(r"[\s\x00-\x20\x7f<>\"]")
# What XML 1.0 cannot hold (section 2.2, production Char), not even escaped.
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_TRUE: Final = frozenset({"true", "1", "yes"})
_FALSE: Final = frozenset({"false", "0", "no"})

# Not within a word or an address; it ends where a sentence goes on.
_PATH: Final = re.compile(
    r"(?<![\w/:.~])/(?=(?P<top>[^\s/'\"`,;:()]+))(?:[^\s/'\"`,;:()]+/)*(?P<name>[^\s/'\"`,;:()]+)/?"
)
# Of a database, say. What a browser opens, and what the Virtual Observatory names, is everybody's.
_ADDRESS: Final = re.compile(
    r"\b(?!https?:|ftp:|ivo:)[a-z][a-z0-9+.-]*://[^\s/]+/(?P<name>[^\s/,;]+)"
)
_HOST: Final = re.compile(
    r"(?:(?P<name>[A-Za-z0-9_.-]{1,255})|\[(?P<ipv6>[0-9A-Fa-f:.]{2,45})\])(?::(?P<port>[0-9]{1,5}))?"
)
INTEGERS: Final[Mapping[ParameterType, tuple[int, int]]] = MappingProxyType(
    {
        ParameterType.BYTE: (0, 2**8 - 1),
        ParameterType.SHORT: (-(2**15), 2**15 - 1),
        ParameterType.INT: (-(2**31), 2**31 - 1),
        ParameterType.LONG: (-(2**63), 2**63 - 1),
    }
)

_ORDERED: Final = frozenset({ParameterType.FLOAT, ParameterType.DOUBLE, ParameterType.DATETIME})

_INSTANT: Final = re.compile(
    r"""
    (?P<year>\d{4})
    (?: -?(?P<month>\d\d)
        (?: -?(?P<day>\d\d)
            (?: [T\ ](?P<hour>\d\d) :?(?P<minute>\d\d)
                (?: :?(?P<second>\d\d) (?:[.,](?P<fraction>\d+))? )?
                \s* (?P<zone> Z | [+\ -]\d\d (?: :?\d\d )? )?
            )?
        )?
    )?
    """,
    re.VERBOSE | re.ASCII | re.IGNORECASE,
)


def shown(text: str) -> str:
    """A client's text as an error sentence quotes it, not too long."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")


def without_paths(sentence: str) -> str:
    """A sentence about this machine, or the cluster, as everybody may read it: of an absolute path,
    or of the address of a database, its last name alone. The log and `opus check` have all of it.

    Addresses of ours and of others, which look alike, stay: a path begins with a folder that there
    is in the root of this machine, or that clusters are wont to have.
    """
    sentence = _ADDRESS.sub(r"\g<name>", sentence)
    return _PATH.sub(lambda path: path["name"] if path["top"] in _tops() else path[0], sentence)


@cache
def _tops() -> frozenset[str]:
    usual = ("data", "gpfs", "home", "lustre", "mnt", "nfs", "scratch", "shared", "work")
    return frozenset((*usual, *os.listdir("/")))


def split_host(text: str) -> tuple[str, int | None] | None:
    """Host, without brackets, and port of what a request names as its host; None if it is none."""
    match = _HOST.fullmatch(text)
    if match is None or int(match["port"] or 0) > 65535:
        return None
    if match["ipv6"] is not None:
        try:
            ipaddress.IPv6Address(match["ipv6"])
        except ValueError:
            return None
    return match["name"] or match["ipv6"], int(match["port"]) if match["port"] else None


@lru_cache(maxsize=1024)  # each request asks it of its host and of its client
def is_loopback(host: str) -> bool:
    """Whether a host, without a port, can only be this machine, whatever a name service says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def fits_xml(text: str) -> bool:
    """Whether XML can hold the text as it is."""
    return _NOT_IN_XML.search(text) is None


def for_xml(text: str) -> str:
    """The text with a replacement character for each that XML cannot hold."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def parse_instant(text: str) -> datetime:
    """An instant in UTC, to the microsecond; `BadRequest` if it is none.

    Without a zone it is UTC, a bare date is its midnight (DALI 1.1 section 3.3.3). Years and
    months alone, dates without hyphens and a blank for the `T` are what clients in use send; so
    is a blank for the `+` of a zone, which is what a form makes of a plus sign.
    """
    match = _INSTANT.fullmatch(text.strip())
    if match is None:
        raise _no_instant(text)
    number = {key: int(match[key] or 0) for key in ("hour", "minute", "second")}
    fraction = (match["fraction"] or "")[:6].ljust(6, "0")
    try:
        return datetime(
            int(match["year"]),
            int(match["month"] or 1),
            int(match["day"] or 1),
            **number,
            microsecond=int(fraction),
            tzinfo=_zone(match["zone"] or "Z"),
        ).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise _no_instant(text) from error


def _zone(text: str) -> timezone:
    if text in "Zz":
        return UTC
    digits = text[1:].replace(":", "").ljust(4, "0")
    offset = timedelta(hours=int(digits[:2]), minutes=int(digits[2:]))
    return timezone(-offset if text[0] == "-" else offset)


def _no_instant(text: str) -> BadRequest:
    return BadRequest(
        f"{shown(text)} is no instant; write it like 2031-12-24T18:30:00Z, or only its date"
    )


def not_before(instant: datetime) -> datetime:
    """The same instant in whole milliseconds, never earlier than it was."""
    floor = cut(instant)
    try:
        return floor if floor == instant else floor + timedelta(milliseconds=1)
    except OverflowError:  # the last millisecond of the year 9999
        return floor


def parse(text: str, kind: ParameterType) -> Value:
    """The value of a text; `BadRequest` with what would be legal, to follow a name."""
    return _PARSERS[kind](text, kind)


def _boolean(text: str, kind: ParameterType) -> bool:
    word = text.strip().casefold()
    if word in _TRUE | _FALSE:
        return word in _TRUE
    raise BadRequest(f"{shown(text)} is neither true nor false")


def _integer(text: str, kind: ParameterType) -> int:
    low, high = INTEGERS[kind]
    word = text.strip()
    # Forty digits are enough to be out of every range; int() refuses some thousands.
    if _INTEGER.fullmatch(word) and low <= int(word) <= high:
        return int(word)
    raise BadRequest(f"{shown(text)} is not a whole number from {low} to {high}")


def _real(text: str, kind: ParameterType) -> float:
    word = text.strip()
    if _REAL.fullmatch(word) or _SPECIAL.fullmatch(word):
        return float(word)
    raise BadRequest(f"{shown(text)} is not a number")


def _instant(text: str, kind: ParameterType) -> datetime:
    return parse_instant(text)


def fits_uri(text: str) -> bool:
    """Whether a URI can have all its characters."""
    return _NOT_IN_URI.search(text) is None


def _uri(text: str, kind: ParameterType) -> str:
    if not fits_uri(text.strip()):
        raise BadRequest(f"{shown(text)} is not a URI; write blanks in it as %20")
    return text


def _string(text: str, kind: ParameterType) -> str:
    return text


_PARSERS: Final[Mapping[ParameterType, Callable[[str, ParameterType], Value]]] = MappingProxyType(
    {
        ParameterType.STRING: _string,
        ParameterType.BOOLEAN: _boolean,
        ParameterType.BYTE: _integer,
        ParameterType.SHORT: _integer,
        ParameterType.INT: _integer,
        ParameterType.LONG: _integer,
        ParameterType.FLOAT: _real,
        ParameterType.DOUBLE: _real,
        ParameterType.DATETIME: _instant,
        ParameterType.ANYURI: _uri,
    }
)


def check_value(entry: ParameterDescription, text: str) -> str:
    """The text as it is, if it is one of the parameter's values; else `BadRequest`.

    The default is always legal: a description may offer choices and default to none of them.
    """
    if "\0" in text or (not text.isascii() and not _encodes(text)):
        # An environment variable, which is how the script gets it, cannot hold either.
        raise BadRequest(f"{entry.name} has a character in it that no text can hold; send a file")
    if text == entry.default:
        return text
    if entry.options:
        if not any(text == option.value for option in entry.options):
            raise BadRequest(
                f"{entry.name} cannot be {shown(text)}; it is one of {_choices(entry)}"
            )
        return text
    try:
        value = parse(text, entry.type)
    except BadRequest as error:
        raise BadRequest(f"{entry.name}: {error.sentence}") from error
    low, high = limits(entry)
    # Written so that NaN, which is in no order, is out of every range.
    if low is not None and not low <= value:  # type: ignore[operator]
        raise BadRequest(f"{entry.name} cannot be {shown(text)}; {entry.minimum} is the least")
    if high is not None and not value <= high:  # type: ignore[operator]
        raise BadRequest(f"{entry.name} cannot be {shown(text)}; {entry.maximum} is the most")
    return text


def limits(entry: ParameterDescription) -> tuple[Value | None, Value | None]:
    """The smallest and the largest legal value, inclusive; `BadRequest` if they are of no use.

    A parameter of whole numbers may have a fraction for a limit.
    """
    return _limit(entry, entry.minimum), _limit(entry, entry.maximum)


def _limit(entry: ParameterDescription, text: str | None) -> Value | None:
    if not text:
        return None
    kind = ParameterType.DOUBLE if entry.type in INTEGERS else entry.type
    if kind not in _ORDERED:
        raise BadRequest(
            f"{entry.name} is of type {entry.type.value}, which has no order; leave out its"
            " minimum and maximum, or make it a number"
        )
    if entry.type in INTEGERS and _INTEGER.fullmatch(text.strip()):
        return int(text)  # exact where a float is not
    try:
        return parse(text, kind)
    except BadRequest as error:
        raise BadRequest(f"a limit of {entry.name}: {error.sentence}") from error


def check_limits(definition: JobDefinition) -> JobDefinition:
    """Whether all minima and maxima of a description can be held; `BadRequest` names the first
    that cannot. Asked when it is published, so that no job has to find out."""
    for _, sentence in faults_of_limits(definition):
        raise BadRequest(sentence)
    return definition


def faults_of_limits(definition: JobDefinition) -> Iterator[tuple[str, str]]:
    """The same: where each stands (`parameters.0.minimum`), and a sentence."""
    for number, entry in enumerate(definition.parameters):
        place = f"parameters.{number}"
        try:
            low, high = limits(entry)
        except BadRequest as error:
            yield f"{place}.minimum", error.sentence
            continue
        if low is not None and high is not None and not low <= high:  # type: ignore[operator]
            yield (
                f"{place}.minimum",
                f"{entry.name} cannot be {entry.minimum} at least and {entry.maximum} at most",
            )


def _encodes(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return False
    return True


def _choices(entry: ParameterDescription) -> str:
    names = [shown(option.value) for option in entry.options[:20]]
    return ", ".join([*names, "..."] if len(entry.options) > 20 else names)
