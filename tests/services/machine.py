"""What private services of tests take from the machine: ports, a place for files, a login."""

from __future__ import annotations

import fcntl
import pwd
import random
import socket
import stat
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path


@dataclass
class Port:
    """A free TCP port of the loopback, kept from other services of tests until it is released.

    Below the ports that the kernel gives to outgoing connections: one of those could take it while
    the daemon it is for is down.
    """

    number: int
    _claim: socket.socket

    @classmethod
    def claim(cls) -> Port:
        for _ in range(1000):
            number = random.randrange(20_000, 32_000)
            # A name in the kernel alone, which goes away with the process.
            claim = socket.socket(socket.AF_UNIX)
            try:
                claim.bind(f"\0opus-test-port-{number}")
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
            except OSError:
                claim.close()
            else:
                return cls(number, claim)
        raise OSError("no free port between 20000 and 32000")

    def release(self) -> None:
        self._claim.close()


def passable() -> str:
    """Where temporary folders are that everybody may be let into: not below somebody's own ones."""
    folder = Path(tempfile.gettempdir())
    others = all(one.stat().st_mode & stat.S_IXOTH for one in (folder, *folder.parents))
    return str(folder) if others else "/var/tmp"


def listening(port: int) -> bool:
    """Whether something listens on that port of 127.0.0.1; it does not notice the question."""
    return f": 0100007F:{port:04X} 00000000:0000 0A " in Path("/proc/net/tcp").read_text()


def make_login(name: str) -> Path:
    """Make an unprivileged login, unless there is one; answers its home folder."""
    with open("/etc/passwd") as lock:
        # Of two that are made at once the second takes the name, and the first has the home.
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _make_login(name)


def _make_login(name: str) -> Path:
    try:
        pwd.getpwnam(name)
    except KeyError:
        command = ["useradd", "--create-home", "--shell", "/bin/bash", "--password", "*", name]
        made = subprocess.run(command, capture_output=True, text=True)
        if made.returncode:
            raise OSError(f"cannot make the user {name}: {made.stderr}") from None
    entry = pwd.getpwnam(name)
    shadow = subprocess.run(["getent", "shadow", name], capture_output=True, text=True, check=True)
    if shadow.stdout.split(":")[1].startswith("!"):
        # Locked, and sshd lets nobody in to a locked login; `*` is a password that nobody has.
        subprocess.run(["usermod", "--password", "*", name], check=True)
    home = Path(entry.pw_dir)
    home.mkdir(parents=True, exist_ok=True)
    if home.stat().st_uid != entry.pw_uid:
        owner = f"{entry.pw_uid}:{entry.pw_gid}"
        subprocess.run(["chown", "--recursive", "--no-dereference", owner, home], check=True)
    return home
