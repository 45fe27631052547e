"""Which process this is, and whose, in words that outlive it: host, boot, pid and start time.

A pid alone is given out again; with the boot and the start time it never is.
"""

from __future__ import annotations

import os
import pwd
import socket
from functools import cache
from pathlib import Path


@cache
def boot_id() -> str:
    """The kernel's name for this boot, which no process outlives."""
    return Path("/proc/sys/kernel/random/boot_id").read_text().strip()


def start_time(pid: int) -> str | None:
    """When the process began, in clock ticks since boot; None for one that is gone or a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The command name, in parentheses, may hold anything: what follows the last one counts.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in ("Z", "X") else fields[19]


def identity(pid: int | None = None) -> str:
    """`host/boot/pid/start time` of a process of this host; of this one by default."""
    pid = os.getpid() if pid is None else pid
    return f"{socket.gethostname()}/{boot_id()}/{pid}/{start_time(pid)}"


def dead(who: str) -> bool:
    """Whether the process of that identity is known to be gone; False for another host's."""
    host, _, rest = who.partition("/")
    boot, _, rest = rest.partition("/")
    pid, _, started = rest.partition("/")
    if host != socket.gethostname() or not pid.isdecimal():
        return False
    return boot != boot_id() or start_time(int(pid)) != started.partition("/")[0]


def system_name(uid: int) -> str:
    """A user of this system by name; by number, if it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
