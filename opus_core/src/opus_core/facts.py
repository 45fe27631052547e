"""What a line of the log is about, beside its sentence.

    log.info("handed to the cluster", extra=about(job=job.id, native_id=native_id))

A fact is a word or a number under a name. `during` gives facts to every line of a stretch of work,
whoever writes it: so the lines of a plugin, which knows nothing of this, say which request or job
they belong to. Facts that are None are left out.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

Fact = str | int | float | bool | None

KEY: Final = "facts"
"""The attribute of a `logging.LogRecord` that has them."""

_standing: ContextVar[dict[str, Fact] | None] = ContextVar("opus_facts", default=None)


def about(**facts: Fact) -> dict[str, Mapping[str, Fact]]:
    """The argument `extra` of a call that logs."""
    return {KEY: facts}


@contextmanager
def during(**facts: Fact) -> Iterator[dict[str, Fact]]:
    """Every line that this thread writes meanwhile has these facts, too, unless it says better."""
    standing = {**(_standing.get() or {}), **facts}
    token = _standing.set(standing)
    try:
        yield standing
    finally:
        _standing.reset(token)


def add(**facts: Fact) -> None:
    """From now on so, to the end of the innermost `during`; outside of one it is nobody's."""
    standing = _standing.get()
    if standing is not None:
        standing.update(facts)


class Settled(dict[str, Fact]):
    """All facts of a line: none that stands is to be added."""


def settle(record: logging.LogRecord) -> Settled:
    """All facts of a line: its own, then those that stand in this thread, where it is written."""
    own = getattr(record, KEY, None)
    if isinstance(own, Settled):
        return own
    facts = Settled()
    if isinstance(own, Mapping):
        facts.update((name, value) for name, value in own.items() if value is not None)
    for name, value in standing().items():
        if value is not None:
            facts.setdefault(name, value)
    return facts


def standing() -> Mapping[str, Fact]:
    """What every line of this thread has now."""
    return _standing.get() or {}
