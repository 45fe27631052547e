"""One process, fed and read at once, for a limited time and with a limited output."""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import IO, Final

from opus_core.errors import BackendUnavailable

LARGEST: Final = 256 * 2**20  # [byte] of one answer; squeue shows a hundred thousand jobs in 20 MB
_LARGEST_STDERR: Final = 65536  # [byte]
_PIECE: Final = 65536  # [byte]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a command has answered."""

    code: int
    stdout: bytes = b""
    stderr: bytes = b""

    @property
    def text(self) -> str:
        """Its standard output."""
        return self.stdout.decode("utf-8", "replace")

    @property
    def said(self) -> str:
        """Its standard error."""
        return self.stderr.decode("utf-8", "replace")


def answer(
    argv: Sequence[str],
    *,
    feed: Iterable[bytes] = (),
    seconds: float,
    env: Mapping[str, str] | None = None,
) -> Answer:
    """Run a command to its end and keep what it prints. Raises as `exchange` does."""
    parts: list[bytes] = []
    size = 0

    def take(data: bytes) -> None:
        nonlocal size
        size += len(data)
        if size > LARGEST:
            raise BackendUnavailable(f"{argv[0]} printed more than {LARGEST} bytes")
        parts.append(data)

    code, stderr = exchange(argv, feed=feed, take=take, seconds=seconds, env=env)
    return Answer(code=code, stdout=b"".join(parts), stderr=stderr)


def exchange(
    argv: Sequence[str],
    *,
    feed: Iterable[bytes] = (),
    take: Callable[[bytes], None],
    seconds: float = float("inf"),
    quiet: float = float("inf"),
    env: Mapping[str, str] | None = None,
) -> tuple[int, bytes]:
    """Run a command: `feed` goes to its standard input, `take` gets its standard output as it
    comes; answers its exit code and the beginning of its standard error.

    It has `seconds` in all, and may be `quiet` for so long. Whatever goes wrong, `feed` or `take`
    raising included, it is killed with all it has started. Raises `BackendUnavailable` if it cannot
    be started or takes too long.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=env,
            start_new_session=True,  # a site's wrapper has children
            cwd="/",
        )
    except OSError as error:
        raise BackendUnavailable(f"{argv[0]} cannot be run: {error.strerror}") from error
    try:
        # An empty piece is not the end.
        pieces = filter(None, feed)
        stderr = _converse(process, pieces, take, _Patience(argv[0], seconds, quiet))
        return process.wait(), stderr
    finally:
        with contextlib.suppress(ProcessLookupError):
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()


class _Patience:
    """How long the next event may be waited for."""

    def __init__(self, what: str, seconds: float, quiet: float) -> None:
        self._what = what
        self._seconds = seconds
        self._quiet = quiet
        self._end = time.monotonic() + seconds
        self._silent = time.monotonic() + quiet

    def heard(self) -> None:
        self._silent = time.monotonic() + self._quiet

    def left(self) -> float | None:
        """Seconds; None: for ever. Raises `BackendUnavailable` when there are none."""
        end = min(self._end, self._silent)
        if end == float("inf"):
            return None
        left = end - time.monotonic()
        if left <= 0:
            seconds = min(self._seconds, self._quiet)
            raise BackendUnavailable(f"{self._what} did not answer within {seconds:g} s")
        return left


def _converse(
    process: subprocess.Popen[bytes],
    feed: Iterator[bytes],
    take: Callable[[bytes], None],
    patience: _Patience,
) -> bytes:
    stdin, stdout, stderr = _pipes(process)
    waiting = memoryview(b"")
    said = b""
    with selectors.DefaultSelector() as selector:
        selector.register(stdin, selectors.EVENT_WRITE)
        selector.register(stdout, selectors.EVENT_READ)
        selector.register(stderr, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select(patience.left()):
                patience.heard()
                if key.fileobj is stdin:
                    waiting = waiting or memoryview(next(feed, b""))
                    written = _write(stdin, waiting)
                    if written is None or not waiting:
                        selector.unregister(stdin)
                        stdin.close()
                    else:
                        waiting = waiting[written:]
                    continue
                data = os.read(key.fd, _PIECE)
                if not data:
                    selector.unregister(key.fileobj)
                elif key.fileobj is stdout:
                    take(data)
                elif len(said) < _LARGEST_STDERR:
                    said += data
    return said


def _pipes(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes], IO[bytes]]:
    assert process.stdin is not None and process.stdout is not None and process.stderr is not None  # noqa: PT018, S101  Popen was asked for all three
    os.set_blocking(process.stdin.fileno(), False)
    return process.stdin, process.stdout, process.stderr


def _write(stdin: IO[bytes], data: memoryview) -> int | None:
    """How many bytes went; None if nobody reads any more, which the exit code explains."""
    try:
        return os.write(stdin.fileno(), data[:_PIECE]) if data else 0
    except BlockingIOError:
        return 0
    except BrokenPipeError:
        return None
