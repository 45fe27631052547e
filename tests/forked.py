"""`opus` commands and servers that begin as forks of a process which has loaded OPUS already.

To start Python and load all of it takes most of the time that a short command takes, and a second
of a server that is up for a few; tests run hundreds of both. Where it is the start that counts, and
wherever words before the command give it process numbers of its own, both are started as their
users start them.

A fork has nothing of what another one did. It has what the loaded process had when that began: one
order of sets, limits and umask, and all plugins that are installed, also those that its
configuration switches off.

    python forked.py

reads messages from the socket that is its standard input, and answers each: {"words", "program",
"cwd", "environ"}, with three open files, by {"pid"}; {"reap": pid}, when that has ended, by
{"code"}. Unasked it says first whose process numbers it knows, {"numbers"}, and what its
environment is, {"environ"}.
"""

from __future__ import annotations

import atexit
import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import suppress
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, BinaryIO

from opus_core import cli, commands, offers

_MOST = 65536  # bytes of a message
_EARLY = ("PYTHON", "LD_", "LC_", "LANG")  # what only a process that begins takes notice of


def run(
    words: Sequence[str],
    *,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    input: str | None = None,
    timeout: float = 60,
) -> subprocess.CompletedProcess[str]:
    """What `subprocess.run` says of `opus WORDS`, its output captured as text."""
    with (
        tempfile.TemporaryFile() as given,
        tempfile.TemporaryFile() as out,
        tempfile.TemporaryFile() as err,
    ):

        def said() -> list[str]:
            return [(file.seek(0), file.read().decode())[1] for file in (out, err)]

        given.write((input or "").encode())
        given.seek(0)
        process = start(words, prefix=prefix, cwd=cwd, files=(given, out, err))
        try:
            process.wait(timeout)
        except BaseException as error:
            process.kill()
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise subprocess.TimeoutExpired(process.args, timeout, *said()) from error
            raise
        return subprocess.CompletedProcess(process.args, process.returncode, *said())


def start(
    words: Sequence[str],
    *,
    prefix: Sequence[str] = (),
    cwd: Path | None = None,
    files: tuple[BinaryIO, BinaryIO, BinaryIO],
    program: Path | None = None,
) -> Process:
    """`opus WORDS`, or another program of Python's with them; the files are its standard input,
    output and error output."""
    parent = _parent(tuple(prefix))
    asked = {
        "words": list(words),
        "program": None if program is None else str(program),
        "cwd": str(cwd or Path.cwd()),
        "environ": parent.changes(),
    }
    command = [*prefix, str(program or "opus"), *words]
    return Process(parent, command, parent.ask(asked, files)["pid"])


class Process(subprocess.Popen[bytes]):
    """One that has begun already, and that is no child of ours."""

    def __init__(self, parent: _Parent, command: list[str], pid: int) -> None:
        self.args, self.pid = command, pid
        self.stdin = self.stdout = self.stderr = None
        self.returncode: int | None = None  # type: ignore[assignment]  # as with any Popen
        self._parent, self._lock = parent, threading.Lock()
        self._handle = os.pidfd_open(pid)  # there is one, even of a zombie, until it is reaped
        weakref.finalize(self, os.close, self._handle)

    def poll(self) -> int | None:
        return self._ended(0)

    def wait(self, timeout: float | None = None) -> int:
        code = self._ended(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, sig: int) -> None:
        if self.poll() is None:
            with suppress(ProcessLookupError):  # it was reaped by another thread
                signal.pidfd_send_signal(self._handle, sig)

    def _ended(self, seconds: float | None) -> int | None:
        over = select.poll()
        over.register(self._handle, select.POLLIN)
        waits = None if seconds is None else max(0, seconds * 1000)
        if self.returncode is None and over.poll(waits):
            with self._lock:
                if self.returncode is None:
                    self.returncode = self._parent.reap(self.pid)
        return self.returncode


class _Parent:
    """The process that is forked, as whoever the prefix makes it."""

    def __init__(self, prefix: Sequence[str]) -> None:
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours = dict(os.environ)
        with theirs:
            self._process = subprocess.Popen(
                [*prefix, sys.executable, __file__], stdin=theirs, stdout=subprocess.DEVNULL
            )
        atexit.register(self._end)
        hello = self._heard()
        # Elsewhere the numbers of its children are those of strangers here.
        assert hello["numbers"] == _numbers(), f"below {prefix} others are counted: start it afresh"
        given = hello["environ"]
        # What words before the command change stays as they say.
        self._began = {name: ours[name] for name in ours if ours[name] == given.get(name)}
        self._set = {
            name for name in ours.keys() | given.keys() if ours.get(name) != given.get(name)
        }

    @property
    def ended(self) -> bool:
        return self._socket.fileno() < 0 or self._process.poll() is not None

    def changes(self) -> dict[str, str | None]:
        """What our environment has now that it had not when this process began; None is gone."""
        now = {name: value for name, value in os.environ.items() if name not in self._set}
        gone = dict.fromkeys(self._began.keys() - now.keys())
        return gone | {name: now[name] for name in now if now[name] != self._began.get(name)}

    def ask(self, asked: dict[str, Any], files: Sequence[BinaryIO] = ()) -> dict[str, Any]:
        with self._lock:
            try:
                _send(self._socket, asked, [file.fileno() for file in files])
                return self._heard()
            except BaseException:
                self._socket.close()  # lest the answer be taken for that to the next one
                raise

    def reap(self, pid: int) -> int:
        """How a child that has ended did so; 255 where nobody can be asked any more."""
        return 255 if self.ended else int(self.ask({"reap": pid})["code"])

    def _heard(self) -> dict[str, Any]:
        message = self._socket.recv(_MOST)
        assert message, f"the process that is forked has ended: {self._process.args}"
        answer: dict[str, Any] = json.loads(message)
        return answer

    def _end(self) -> None:
        self._socket.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


_parents: dict[object, _Parent] = {}
_making = threading.Lock()


def _parent(prefix: tuple[str, ...]) -> _Parent:
    """One of this process of ours: the children of another one are not for us to wait for."""
    early = frozenset(item for item in os.environ.items() if item[0].startswith(_EARLY))
    with _making:
        found = _parents.get(key := (os.getpid(), prefix, early))
        if found is None or found.ended:
            found = _parents[key] = _Parent(prefix)
        return found


def _numbers() -> str:
    """The namespace in which processes have the numbers by which we know them."""
    return os.readlink("/proc/self/ns/pid")


def _send(channel: socket.socket, said: dict[str, Any], files: Sequence[int] = ()) -> None:
    message = json.dumps(said).encode()
    assert len(message) <= _MOST, f"{len(message)} bytes are too many for one message"
    socket.send_fds(channel, [message], files)


# -- in the process that is forked


def _become(asked: dict[str, Any], files: Sequence[int]) -> None:
    """What was asked for, in a process of its own; leaves by SystemExit, as any program."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin = open(0, closefd=False)
    os.chdir(asked["cwd"])
    for name, value in asked["environ"].items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    time.tzset()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    words, program = asked["words"], asked["program"]
    if program is None:
        sys.argv, sys.path[0] = ["opus", *words], asked["cwd"]
        sys.exit(cli.main(words))
    sys.argv, sys.path[0] = [program, *words], str(Path(program).parent)
    runpy.run_path(program, run_name="__main__")
    sys.exit()


def _load() -> None:
    """All that is loaded by some command, or by whoever looks for plugins."""
    for name in commands.NAMES:
        commands.module(name)
    for point in entry_points(group=offers.GROUP):
        # One that is broken is so in the fork as well, which says it.
        with suppress(Exception, SystemExit):
            point.load()
    gc.freeze()  # what is the same in each of them is not copied to be looked at


def _serve() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ^C is for the tests, who then end us
    _load()
    channel = socket.socket(fileno=os.dup(0))
    _send(channel, {"numbers": _numbers(), "environ": dict(os.environ)})
    while True:
        message, files, _, _ = socket.recv_fds(channel, _MOST, 3)
        if not message:
            return
        asked = json.loads(message)
        if "reap" in asked:
            status = os.waitpid(asked["reap"], 0)[1]
            _send(channel, {"code": os.waitstatus_to_exitcode(status)})
            continue
        pid = os.fork()
        if pid == 0:
            channel.close()
            _become(asked, files)
        for file in files:
            os.close(file)
        _send(channel, {"pid": pid})


if __name__ == "__main__":
    _serve()
