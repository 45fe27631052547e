"""`opus` commands that begin as forks of a process which has loaded OPUS already.

To start Python and load all of it takes most of the time that a short command takes, and tests run
hundreds of them. A fork has nothing of what another one did. Servers are started as their users
start them (`servers.Site.start`), and so are commands in tests that are about starting.

    python forked.py

reads a JSON line for each command, {"words", "cwd", "environ", "input", "timeout"}, and answers
one: {"code", "stdout", "stderr"}; the code is null where the time was up.
"""

from __future__ import annotations

import atexit
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from functools import cache
from importlib.metadata import entry_points
from pathlib import Path
from typing import IO, Any

from opus_core import cli, commands, offers


def run(
    words: Sequence[str],
    *,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    input: str | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` says of `opus WORDS`, its output captured as text."""
    asked = {
        "words": list(words),
        "cwd": str(cwd or Path.cwd()),
        "environ": dict(os.environ),
        "input": input,
        "timeout": timeout,
    }
    idle = _idle(tuple(prefix), os.getpid())
    parent = idle.pop() if idle else None  # others may be waiting for commands of other threads
    if parent is None or parent.ended:
        parent = _Parent(prefix)
    answer = parent.ask(asked)
    idle.append(parent)
    command = [*prefix, "opus", *words]
    out, err = str(answer["stdout"]), str(answer["stderr"])
    if answer["code"] is None:
        raise subprocess.TimeoutExpired(command, timeout, out, err)
    return subprocess.CompletedProcess(command, int(answer["code"]), out, err)


class _Parent:
    """The process that is forked, as whoever the prefix makes it."""

    def __init__(self, prefix: Sequence[str]) -> None:
        self._process = subprocess.Popen(
            [*prefix, sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        atexit.register(self._end)

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def ask(self, asked: dict[str, Any]) -> dict[str, Any]:
        print(json.dumps(asked), file=_pipe(self._process.stdin), flush=True)
        line = _pipe(self._process.stdout).readline()
        assert line, f"the process that is forked for {asked['words']} has ended"
        answer: dict[str, Any] = json.loads(line)
        return answer

    def _end(self) -> None:
        _pipe(self._process.stdin).close()
        self._process.wait()
        _pipe(self._process.stdout).close()


@cache
def _idle(prefix: tuple[str, ...], pid: int) -> list[_Parent]:
    """Those with nothing to do; the pipes of another process than ours would be no good to us."""
    return []


def _pipe(pipe: IO[str] | None) -> IO[str]:
    assert pipe is not None
    return pipe


# -- in the process that is forked


def _answer(asked: dict[str, Any]) -> dict[str, Any]:
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):
        given.write((asked["input"] or "").encode())
        given.seek(0)
        pid = os.fork()
        if pid == 0:
            _become(asked, given.fileno(), out.fileno(), err.fileno())
        code = _waited(pid, asked["timeout"])
        said = [(file.seek(0), file.read().decode())[1] for file in (out, err)]
    return {"code": code, "stdout": said[0], "stderr": said[1]}


def _become(asked: dict[str, Any], *files: int) -> None:
    """The command, in a process of its own; does not return."""
    code = 1
    try:
        for number, file in enumerate(files):
            os.dup2(file, number)
        sys.stdin = open(0, closefd=False)
        os.chdir(asked["cwd"])
        os.environ.clear()
        os.environ.update(asked["environ"])
        time.tzset()
        sys.argv = ["opus", *asked["words"]]
        code = cli.main(asked["words"])
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1 if error.code else 0
        if isinstance(error.code, str):
            print(error.code, file=sys.stderr)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _waited(pid: int, timeout: float) -> int | None:
    """Its exit code, or minus the signal that ended it."""
    pidfd = os.pidfd_open(pid)
    try:
        ended, _, _ = select.select([pidfd], [], [], timeout)
        if not ended:
            os.kill(pid, signal.SIGKILL)
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        return status if ended else None
    finally:
        os.close(pidfd)


def _serve() -> None:
    for name in commands.NAMES:
        commands.module(name)
    for point in entry_points(group=offers.GROUP):
        point.load()
    for line in sys.stdin:
        print(json.dumps(_answer(json.loads(line))), flush=True)


if __name__ == "__main__":
    _serve()
