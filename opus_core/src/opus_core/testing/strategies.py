"""Hypothesis strategies for the values of the core: jobs, descriptions, accounts, JSON.

Text is hostile on purpose: quotes, markup, shell, line ends of all kinds, right-to-left marks,
emoji, and 200 kB now and then. It never holds lone surrogates, which no encoding carries, nor
NUL, which is refused at the door since no job document could show it.
"""

from __future__ import annotations

import string
from datetime import UTC, datetime
from typing import Any, Final, Literal

from hypothesis import strategies as st

from opus_core.backends import Account
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    Option,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.job import (
    DefinitionRef,
    ErrorSummary,
    ErrorType,
    Idempotency,
    Job,
    Mark,
    Parameter,
    Phase,
    Result,
    Upload,
    Watch,
    Work,
    cut,
)

__all__ = ["accounts", "definitions", "instants", "jobs", "json_values", "printable", "text"]

HOSTILE: Final = (
    "",
    " leading and trailing ",
    "'; DROP TABLE job; --",
    '"quoted" \\ and \\" escaped \\u0041',
    "$(touch owned) `touch owned` ${IFS} && true",
    "<b>&amp;</b> ]]> <!-- x --> <?x?>",
    "one\ntwo\r\nthree\rfour\tfive\n",
    "../../etc/passwd",
    "%_\\%25",
    "\u202egnp.exe \u2066\u05e9\u05dc\u05d5\u05dd\u2069",
    "e\u0301 \u00e9 \ufeff \u2028 \u0130 \u00df",
    "\U0001f52d\U0001f469\u200d\U0001f680\U0001f1eb\U0001f1f7",
    "null",
    "0",
    "\N{TELESCOPE} <x a='\"'>\r\n" * 12_000,  # 200 kB and more as UTF-8
)

_SURROGATES: Final[tuple[Literal["Cs"], ...]] = ("Cs",)
_CONTROLS: Final[tuple[Literal["Cs", "Cc"], ...]] = ("Cs", "Cc")
_SECONDS: Final = 2**31 - 1
_DIGITS: Final = "0123456789abcdef"
_LETTERS: Final = string.ascii_letters + string.digits


def _hostile() -> st.SearchStrategy[str]:
    # By number: Hypothesis says what it samples from when it is slow, and would say all of it.
    return st.sampled_from(range(len(HOSTILE))).map(HOSTILE.__getitem__)


def text(*, largest: int = 40) -> st.SearchStrategy[str]:
    """Any text that a store has to give back byte for byte, control characters included."""
    anything = st.text(
        st.characters(exclude_categories=_SURROGATES, exclude_characters="\0"), max_size=largest
    )
    return st.one_of(anything, anything, _hostile())


def printable(*, largest: int = 40) -> st.SearchStrategy[str]:
    """Text of which every character may stand in an XML 1.0 document."""
    anything = st.text(
        st.characters(exclude_categories=_CONTROLS, exclude_characters="\ufffe\uffff")
        | st.sampled_from("\t\n\r"),
        max_size=largest,
    )
    return st.one_of(anything, anything, _hostile())


def instants() -> st.SearchStrategy[datetime]:
    """Aware instants in UTC and whole milliseconds."""
    return st.datetimes(datetime(1970, 1, 2), datetime(2500, 1, 1), timezones=st.just(UTC)).map(cut)


def json_values() -> st.SearchStrategy[Any]:
    """What JSON can say, with a mapping at the top."""
    scalars = (
        st.none()
        | st.booleans()
        | st.integers(-(2**53), 2**53)
        | st.floats(allow_nan=False, allow_infinity=False)
        | text(largest=15)
    )
    nested = st.recursive(
        scalars,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text(largest=8), inner),
        max_leaves=6,
    )
    return st.dictionaries(text(largest=8), nested, max_size=3)


def _digits(length: int) -> st.SearchStrategy[str]:
    return st.text(_DIGITS, min_size=length, max_size=length)


def _ids() -> st.SearchStrategy[str]:
    return st.builds(str.__add__, st.sampled_from(string.digits), _digits(31))


def _names(extra: str = "_.-", largest: int = 12) -> st.SearchStrategy[str]:
    """Names of descriptions and their entries; the first letter keeps clear of reserved ones."""
    return st.builds(
        str.__add__, st.sampled_from("xyz"), st.text(_LETTERS + extra, max_size=largest)
    )


def _uploads() -> st.SearchStrategy[Upload]:
    return st.builds(
        Upload,
        sha256=_digits(64),
        size=st.integers(0, 2**50),
        name=text(),
        media_type=text(largest=20),
    )


def jobs() -> st.SearchStrategy[Job]:
    """Any job at all, whether or not a life could lead to it; the version is 0, as in `add`."""
    maybe = st.none() | instants()
    parameters = st.builds(
        Parameter, name=text(largest=12), value=text(), upload=st.none() | _uploads()
    )
    results = st.builds(
        Result,
        id=text(largest=12),
        name=_names(),
        size=st.integers(0, 2**50),
        media_type=text(largest=20),
        sha256=_digits(64),
    )
    error = st.builds(
        ErrorSummary,
        message=text(),
        type=st.sampled_from(ErrorType),
        has_detail=st.booleans(),
    )
    watch = st.builds(
        Watch,
        attempts=st.integers(0, 10**6),
        resubmitted=maybe,
        absent=maybe,
        over=maybe,
        gone=maybe,
        sealed=maybe,
        aborted=maybe,
    )
    return st.builds(
        Job,
        id=_ids(),
        definition=st.builds(DefinitionRef, _names(), st.integers(1, 10**6)),
        owner=st.none() | text(largest=15),
        quota_key=text(largest=15),
        run_id=st.none() | text(),
        phase=st.sampled_from(Phase),
        work=st.sampled_from(Work),
        marks=st.frozensets(st.sampled_from(Mark)),
        created=instants(),
        queued=maybe,
        started=maybe,
        ended=maybe,
        destruction=maybe,
        quote=maybe,
        execution_duration=st.integers(0, _SECONDS),
        parameters=st.lists(parameters, max_size=4).map(tuple),
        options=st.dictionaries(text(largest=12), text(), max_size=3),
        results=st.lists(results, max_size=3).map(tuple),
        error=st.none() | error,
        # An empty value means "remove" to `Storage.note`.
        job_info=st.dictionaries(text(largest=12), text().filter(bool), max_size=3),
        manager=text(largest=12),
        tag=st.none() | text(largest=20),
        native_ids=st.lists(text(largest=10), max_size=3, unique=True).map(tuple),
        submitted_at=maybe,
        idempotency=st.none() | st.builds(Idempotency, key=text(), body=_digits(64)),
        watch=watch,
    )


def accounts() -> st.SearchStrategy[Account]:
    """Any account; the version is 0, as in `add_user`."""
    return st.builds(
        Account,
        name=text(largest=20).filter(bool),
        roles=st.frozensets(text(largest=10), max_size=3),
        active=st.booleans(),
        password=st.none() | text(),
        full_name=text(),
        email=text(),
        created=instants(),
    )


@st.composite
def definitions(draw: st.DrawFn, texts: st.SearchStrategy[str] | None = None) -> JobDefinition:
    """Descriptions that `check_definition` accepts; `texts` fills what may be any text."""
    words = printable() if texts is None else texts
    few = 3
    names = draw(st.lists(_names("_.:-"), max_size=2 * few, unique_by=str.casefold).map(tuple))
    split = draw(st.integers(0, len(names)))
    parameters = tuple(_parameter(draw, name, words) for name in names[:split])
    used = tuple(
        UsedDescription(
            name=name,
            description=draw(words),
            default=draw(st.none() | words),
            required=draw(st.booleans()),
            content_type=draw(words),
            role=draw(words),
            multiplicity=draw(words),
            url=draw(words),
        )
        for name in names[split:]
    )
    results = draw(st.lists(_names("_-"), max_size=few, unique_by=str.casefold))
    generated = tuple(
        GeneratedDescription(
            name=f"out_{name}",  # no parameter's: that one's default would have to be a file name
            description=draw(words),
            default=draw(st.sampled_from(("", f"{name}.csv", f"+{name}-1.tar.gz"))),
            required=draw(st.booleans()),
            content_type=draw(words),
            role=draw(words),
            multiplicity=draw(words),
        )
        for name in results
    )
    # Seldom, since a format may refuse what is another's.
    extended = draw(st.integers(0, 5)) == 0
    seconds = st.none() | st.integers(0, _SECONDS)
    return JobDefinition(
        name=draw(_names()),
        description=draw(words),
        doculink=draw(words),
        contact_name=draw(words),
        contact_email=draw(words),
        type=draw(words),
        subtype=draw(words),
        version=draw(words),
        parameters=parameters,
        used=used,
        generated=generated,
        script=draw(words),
        execution_duration=draw(seconds),
        quote=draw(seconds),
        options=draw(st.dictionaries(_names(), words, max_size=few)),
        extensions=draw(st.dictionaries(_names().map("other:".__add__), words, max_size=few))
        if extended
        else {},
    )


def _parameter(draw: st.DrawFn, name: str, words: st.SearchStrategy[str]) -> ParameterDescription:
    return ParameterDescription(
        name=name,
        type=draw(st.sampled_from(ParameterType)),
        description=draw(words),
        default=draw(st.none() | words),
        required=draw(st.booleans()),
        repeated=draw(st.booleans()),
        options=draw(
            st.lists(
                st.builds(Option, value=words, description=words),
                max_size=3,
                unique_by=lambda option: option.value,
            ).map(tuple)
        ),
        minimum=draw(st.none() | words),
        maximum=draw(st.none() | words),
        unit=draw(words),
        ucd=draw(words),
        utype=draw(words),
    )
