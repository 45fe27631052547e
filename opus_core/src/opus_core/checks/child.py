"""A child that has become another user of this system, and what it answers."""

from __future__ import annotations

import encodings.idna  # noqa: F401 or it is looked for as that user, when a host is asked
import errno
import json
import os
import pwd
import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from typing import Any, BinaryIO


class CannotBecome(Exception):
    """This process may not become that user: root without its rights, in a container say."""


class ChildFailed(Exception):
    """What the child raised, or how it ended, as a sentence."""


def answers(user: pwd.struct_passwd, ask: Callable[[], Iterable[Any]]) -> Iterator[Any]:
    """What `ask` yields, each as JSON brings it back, as soon as it is there.

    A fork, not another program: root's Python may lie where that user may not look. The child is
    of no terminal, for what it starts could type commands there. Only root becomes another user.

    Raises `CannotBecome`, before anything is asked, and `ChildFailed`.
    """
    out, into = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(out)
            with suppress(BrokenPipeError), os.fdopen(into, "wb") as pipe:
                _answer(pipe, user, ask)
            os._exit(0)
        finally:
            os._exit(1)
    os.close(into)
    is_over = False
    try:
        with os.fdopen(out, "rb") as pipe:
            for line in pipe:
                kind, value = json.loads(line)
                if kind == "cannot":
                    raise CannotBecome(value)
                if kind == "failed":
                    raise ChildFailed(value)
                is_over = kind == "over"
                if not is_over:
                    yield value
    finally:
        if not is_over:
            os.kill(child, signal.SIGINT)  # it gives back what it has opened
        _, status = os.waitpid(child, 0)
    if not is_over:
        raise ChildFailed(f"it ended with exit code {os.waitstatus_to_exitcode(status)}")


def _answer(pipe: BinaryIO, user: pwd.struct_passwd, ask: Callable[[], Iterable[Any]]) -> None:
    def say(kind: str, value: object) -> None:
        pipe.write(json.dumps([kind, value]).encode() + b"\n")
        pipe.flush()

    try:
        _become(user)
    except OSError as error:
        say("cannot" if error.errno == errno.EPERM else "failed", f"{error.strerror}")
        return
    try:
        for value in ask():
            say("value", value)
    except BrokenPipeError:
        raise
    except Exception as error:
        say("failed", f"{type(error).__name__}: {error}")
        return
    say("over", None)


def _become(user: pwd.struct_passwd) -> None:
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.initgroups(user.pw_name, user.pw_gid)
    os.setgid(user.pw_gid)
    os.setuid(user.pw_uid)
    os.environ.update(HOME=user.pw_dir, USER=user.pw_name, LOGNAME=user.pw_name)
    os.chdir("/")
