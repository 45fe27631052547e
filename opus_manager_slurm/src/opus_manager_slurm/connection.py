"""One kept ssh connection to the login node, by OpenSSH and as the site has configured it.

OpenSSH rather than a library, since keys, agents, certificates, jump hosts and known hosts are then
those of the account, without a word in our configuration. Measured on one machine, a command over
the kept connection takes 29 ms and one by a library 21 ms; a new connection each takes 250 ms.

The connection is a child of this process that ends when this process does: its standard input is a
pipe of ours, and what runs at its other end is `cat`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import selectors
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import IO, Final

from opus_core.errors import BackendUnavailable, ConfigError
from opus_manager_slurm.exchange import exchange
from opus_manager_slurm.options import SlurmOptions

log = logging.getLogger(__name__)

CHANNELS: Final = 4  # at once; sshd allows 10 for one connection, and frees them late
_PATIENCE: Final = 30.0  # [s] for a new connection
_REST: Final = 5.0  # [s] after a connection that failed in which no other is tried
_SETTINGS: Final = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=2",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "PermitLocalCommand=no",
    "RemoteCommand=none",
    "RequestTTY=no",
    "ControlPersist=no",
    "LogLevel=ERROR",
)


class Connection:
    """Runs programs on the login node, at most `CHANNELS` at once."""

    def __init__(self, options: SlurmOptions) -> None:
        self._options = options
        self._channels = threading.BoundedSemaphore(CHANNELS)
        self._lock = threading.Lock()
        self._folder: Path | None = None  # of the socket; short, since its path is limited
        self._master: subprocess.Popen[bytes] | None = None
        self._failed = ""
        self._failed_at = -_REST

    def check(self) -> None:
        """Raise `ConfigError` if there is no ssh on this machine."""
        if not shutil.which("ssh"):
            raise ConfigError(
                "there is no ssh on this machine, and [manager] host needs it; install OpenSSH"
            )

    def exchange(
        self, command: str, *, feed: Iterable[bytes], take: Callable[[bytes], None], quiet: float
    ) -> tuple[int, bytes]:
        """Run a command of the login shell there, as `opus_manager_slurm.exchange.exchange`."""
        with self._channels:
            master, socket = self._connected()
            argv = [*self._ssh(), "-S", socket, "-o", "ControlMaster=no", "--", self._host, command]
            try:
                code, stderr = exchange(argv, feed=feed, take=take, quiet=quiet)
            except BackendUnavailable:
                # It hangs, or the network does: the next call shall not wait for the same.
                self._give_up(master)
                raise
            if code == 255:
                self._give_up(master)
            return code, stderr

    def close(self) -> None:
        """End the connection."""
        with self._lock:
            self._end()
            if self._folder is not None:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder = None

    def explain(self, said: str) -> str:
        """What ssh said of a connection, and what there is to do about it."""
        last = said.strip().rpartition("\n")[2].strip() or "it was cut"
        host = self._options.host
        if "host key" in said.lower():
            return (
                f"the host key of {host} is not the one that is known; if it was changed for a"
                f" reason, let ssh learn the new one ({last})"
            )
        if "permission denied" in said.lower():
            return f"{host} refuses the key of the server's account ({last})"
        return f"no connection to {host}: {last}"

    # -- the kept connection

    @property
    def _host(self) -> str:
        return self._options.host or ""

    def _ssh(self) -> list[str]:
        options = self._options
        argv = ["ssh", "-T", "-a", "-x"]
        if options.ssh_config is not None:
            argv += ["-F", str(options.ssh_config)]
        for setting in _SETTINGS:
            argv += ["-o", setting]
        if options.user is not None:
            argv += ["-l", options.user]
        return argv

    def _connected(self) -> tuple[subprocess.Popen[bytes], str]:
        """The connection, made if need be, and the path of its socket."""
        with self._lock:
            if self._folder is None:
                self._folder = Path(tempfile.mkdtemp(prefix="opus-ssh-"))
            socket = self._folder / "s"
            if self._master is not None and self._master.poll() is None:
                return self._master, str(socket)
            if time.monotonic() - self._failed_at < _REST:
                raise BackendUnavailable(self._failed)
            self._end()
            try:
                self._master = self._connect(socket)
            except BackendUnavailable as error:
                self._failed, self._failed_at = error.sentence, time.monotonic()
                raise
            return self._master, str(socket)

    def _connect(self, socket: Path) -> subprocess.Popen[bytes]:
        socket.unlink(missing_ok=True)
        with tempfile.TemporaryFile(dir=socket.parent) as said:
            master = subprocess.Popen(
                [*self._ssh(), "-M", "-S", str(socket), "--", self._host, "exec cat"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=said,
                start_new_session=True,
                cwd="/",
            )
            if _echoes(master):
                log.info("connected to %s", self._host)
                return master
            _stop(master)
            said.seek(0)
            text = said.read(65536).decode("utf-8", "replace")
        raise BackendUnavailable(self.explain(text))

    def _give_up(self, master: subprocess.Popen[bytes]) -> None:
        with self._lock:
            if self._master is master:
                self._end()

    def _end(self) -> None:
        if self._master is not None:
            _stop(self._master)
            self._master = None


def _echoes(master: subprocess.Popen[bytes]) -> bool:
    """Whether the other end sends back what it is sent, whatever a login shell prints before."""
    stdin, stdout = master.stdin, master.stdout
    if stdin is None or stdout is None:
        return False
    word = secrets.token_hex(8).encode()
    seen = b""
    deadline = time.monotonic() + _PATIENCE
    with contextlib.suppress(BrokenPipeError), selectors.DefaultSelector() as selector:
        _say(stdin, word)
        selector.register(stdout, selectors.EVENT_READ)
        while word not in seen:
            if not selector.select(deadline - time.monotonic()):
                return False
            data = os.read(stdout.fileno(), 4096)
            if not data:
                return False
            seen = (seen + data)[-65536:]
        return True
    return False


def _say(stdin: IO[bytes], word: bytes) -> None:
    stdin.write(word + b"\n")
    stdin.flush()


def _stop(master: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        master.terminate()
    try:
        master.wait(timeout=5)
    except subprocess.TimeoutExpired:
        master.kill()
        master.wait()
    for stream in (master.stdin, master.stdout):
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.close()
