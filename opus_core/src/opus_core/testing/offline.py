"""A spell during which nothing outside may be asked: no file, no host, no other program."""

from __future__ import annotations

import builtins
import io
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from typing import Any, Final

import pytest

_ASKING: Final[tuple[tuple[Any, str], ...]] = (
    (builtins, "open"),
    (io, "open"),
    (os, "open"),
    (os, "listdir"),
    (os, "scandir"),
    (os, "system"),
    (subprocess.Popen, "__init__"),
    (socket.socket, "connect"),
    (socket, "getaddrinfo"),
)


@contextmanager
def offline(promise: str) -> Iterator[None]:
    """Fail the test, naming the promise, if this thread asks the outside world meanwhile.

    Importing is allowed: it finds its files by other ways.
    """
    here = threading.get_ident()
    asked: list[str] = []

    def watched(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
        def ask(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  whatever it is
            if threading.get_ident() == here:
                what = [repr(one) for one in arguments if isinstance(one, str | bytes | PathLike)]
                asked.append(f"{name}({', '.join(what)})")
            return real(*arguments, **named)

        return ask

    with pytest.MonkeyPatch.context() as patch:
        for owner, name in _ASKING:
            label = f"{owner.__name__}.{name}"
            patch.setattr(owner, name, watched(label, getattr(owner, name)))
        yield
    assert not asked, f"{promise}, and it has called {asked[0]}"
