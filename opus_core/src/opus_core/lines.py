"""A line of the log, as text or as JSON: one for each entry, whatever is in it.

    2026-03-01T09:30:12.345Z INFO opus_core.service job=1f… phase=QUEUED user=ann: created
    {"time": "2026-03-01T09:30:12.345Z", "level": "INFO", "logger": "opus_core.service",
     "message": "created", "job": "1f…", "phase": "QUEUED", "user": "ann"}

Much of a line was written by somebody else: users, programs on a cluster, plugins. So what could
begin another line, or hide what this one says, is escaped (controls, and the characters that turn
the direction of writing, all that `str.isprintable` does not know); a fact with anything in it
that could be taken for the next fact is quoted. What has the form of a secret is struck out: the
second line of defence, since none is to be logged at all.
"""

from __future__ import annotations

import json
import logging
import math
import re
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from opus_core.facts import Fact, settle

STRUCK: Final = "***"

_LONGEST_FACT: Final = 500  # characters
_LONGEST_SENTENCE: Final = 4_000
_LONGEST_TRACE: Final = 16_000  # of its end, where the error is

_PLAIN: Final = re.compile(r"""[^\s"'=\\]*[^\s"'=\\:]""")
_SECRET: Final = re.compile(
    r"""
      (?P<token> opus_[0-9a-z]{12}_ ) [A-Za-z0-9_-]{8,}
    | (?P<link> /signin/ ) [^\s/?"]+
    | \b [0-9]{9,12} \. [0-9a-f]{64} \b
    | (?P<scheme> \b (?i:bearer|basic|negotiate) [ ]+ )
      (?=[^\s"]*[A-Z0-9=]) [A-Za-z0-9._~+/=-]{8,}
    | (?P<cookie> \b (?:__Host-)?opus= ) [A-Za-z0-9_-]{43}
    | (?P<query> \b (?i:https?):// [^\s?"'#]+ \? ) [^\s"'#)]+
    | (?P<address> (?i:[a-z0-9]):// ) (?: [^\s"'/?\#]+ | [^\s"'/@:]*:[^\s"']+ ) (?=@)
    | (?P<named> (?i:password|passwd|pwd|token|ticket|secret|csrf) ['"]? [ ]? [=:] [ ]? )
      (?: "[^"]*" | '[^']*' | [^\s"'&;,)]+ )
    """,
    re.VERBOSE,
)

# Looking for these takes a tenth of the time, and most lines have none.
_SIGNS: Final = (
    *("password", "passwd", "pwd", "token", "ticket", "secret", "csrf"),
    *("opus=", "/signin/", "earer ", "asic ", "egotiate ", "://"),
)
_SECRETS: Final = _SIGNS[:7]  # what names of facts end in
_BARE: Final = (re.compile("opus_[0-9a-z]{12}_"), re.compile(r"\.[0-9a-f]{64}"))


class Lines(logging.Formatter):
    """What the two forms have in common."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without a line break at its end."""
        sentence, facts, trace = _cleaned(_sentence(record), settle(record), self._trace(record))
        if len(sentence) > _LONGEST_SENTENCE:
            sentence = f"{sentence[:_LONGEST_SENTENCE]}..."
        return self.line(record, sentence, facts, trace[-_LONGEST_TRACE:])

    def line(
        self, record: logging.LogRecord, sentence: str, facts: Mapping[str, Fact], trace: str
    ) -> str:
        raise NotImplementedError

    def _trace(self, record: logging.LogRecord) -> str:
        trace = self.formatException(record.exc_info) if record.exc_info else ""
        if record.stack_info:
            trace = f"{trace}\n{record.stack_info}".strip()
        return trace[-2 * _LONGEST_TRACE :]


class Text(Lines):
    """For people: facts, a colon, the sentence; behind it a trace, its line breaks as `\\n`."""

    def line(
        self, record: logging.LogRecord, sentence: str, facts: Mapping[str, Fact], trace: str
    ) -> str:
        """The line in text."""
        pairs = "".join(f" {_name(name)}={_shown(value)}" for name, value in facts.items())
        end = f" | {escaped(trace)}" if trace else ""
        return f"{_time(record)} {record.levelname} {record.name}{pairs}: {escaped(sentence)}{end}"


class Json(Lines):
    """For programs: an object a line; a fact of a name that the entry has itself is left out."""

    def line(
        self, record: logging.LogRecord, sentence: str, facts: Mapping[str, Fact], trace: str
    ) -> str:
        """The line in JSON, in ASCII."""
        entry: dict[str, Fact] = {
            "time": _time(record),
            "level": record.levelname,
            "logger": record.name,
            "message": sentence,
        }
        for name, value in facts.items():
            entry.setdefault(name, _told(value))
        if trace:
            entry["trace"] = trace
        return json.dumps(entry)


def escaped(text: str) -> str:
    """The text on one line, in the order in which it is read."""
    if text.isprintable():
        return text
    return "".join(
        one if one.isprintable() else one.encode("unicode_escape").decode() for one in text
    )


def strike(text: str) -> str:
    """The text without what has the form of a secret: tokens, tickets, sign-in links, passwords in
    addresses and the queries of those, credentials as headers have them. What leads to it stays,
    such as the public part of a token."""
    return _SECRET.sub(_struck, text) if _is_suspicious(text) else text


def _is_suspicious(text: str) -> bool:
    small = text.lower()
    return any(map(small.__contains__, _SIGNS)) or any(one.search(text) for one in _BARE)


def _cleaned(
    sentence: str, facts: Mapping[str, Fact], trace: str
) -> tuple[str, Mapping[str, Fact], str]:
    """All that a line is made of, struck; most often at one look."""
    texts = [value for value in facts.values() if isinstance(value, str)]
    named = any(map(_is_secret, facts))
    if not named and not _is_suspicious("\n".join((sentence, *texts, trace))):
        return sentence, facts, trace
    clean = {
        name: STRUCK if _is_secret(name) else strike(value) if isinstance(value, str) else value
        for name, value in facts.items()
    }
    return strike(sentence), clean, strike(trace)


@lru_cache(maxsize=256)
def _is_secret(name: str) -> bool:
    return name.lower().endswith(_SECRETS)


def _struck(found: re.Match[str]) -> str:
    return (found[found.lastgroup] if found.lastgroup else "") + STRUCK


def _time(record: logging.LogRecord) -> str:
    seconds, milliseconds = divmod(int(record.created * 1000), 1000)
    return f"{_second(seconds)}.{milliseconds:03d}Z"


@lru_cache(maxsize=4)  # lines come in bursts
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


def _sentence(record: logging.LogRecord) -> str:
    try:
        text = record.getMessage()
    except Exception as error:  # of a plugin, say: the line is not lost for it
        text = f"{record.msg} (its values do not fit: {type(error).__name__})"
    return text[: 2 * _LONGEST_SENTENCE]  # half of a secret would not look like one


def _told(value: Fact) -> Fact:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, (bool, int)):
        return value
    return _cut(str(value))


@lru_cache(maxsize=256)  # a program has some dozen
def _name(name: str) -> str:
    return _shown(name)


def _shown(value: Fact) -> str:
    if type(value) in (int, float):
        return str(value)
    text = _cut(str(value))
    printable = text.isprintable()
    if printable and _PLAIN.fullmatch(text):
        return text
    # Who looks for job=ID shall not find it in what somebody else has written.
    return json.dumps(text, ensure_ascii=not printable).replace("=", "\\u003d")


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST_FACT else f"{text[:_LONGEST_FACT]}..."
