"""The third rule for all back ends: errors are of `opus_core.errors`, with one sentence."""

from __future__ import annotations

import functools
import inspect
import weakref
from collections.abc import Callable
from typing import Any, Final, TypeVar

from opus_core import backends
from opus_core.errors import OpusError

T = TypeVar("T")

RULE: Final = "a back end raises errors of opus_core.errors with one sentence"


def worded(back_end: T) -> T:
    """The same back end: what escapes its methods and is no error of the core's gets a note which
    says so, for the author who reads of a test that failed by it."""
    for base in type(back_end).__mro__:
        if base.__module__.rpartition(".")[0] == backends.__name__:
            for name, function in vars(base).items():
                if inspect.isfunction(function) and not name.startswith("_"):
                    vars(back_end).setdefault(name, _noted(back_end, name))
    return back_end


def _noted(back_end: object, name: str) -> Callable[..., Any]:
    # Not to be held by its own attribute: an instance that nobody has any more is gone at once.
    reference = weakref.ref(back_end)
    function = getattr(type(back_end), name)

    @functools.wraps(function)
    def call(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  whatever it is
        try:
            return function(reference(), *arguments, **named)
        except OpusError:
            raise
        except Exception as error:
            where = f"{type(reference()).__name__}.{name}"
            error.add_note(f"{RULE}; {where} has raised {type(error).__name__}")
            raise

    return call


def plain(error: OpusError) -> bool:
    """Whether the error says something, in one line."""
    sentence = error.sentence
    return bool(sentence.strip()) and sentence.isprintable()
