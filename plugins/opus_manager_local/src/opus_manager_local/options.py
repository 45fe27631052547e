"""What an admin may set for the local manager, and whether it can work on this machine."""

from __future__ import annotations

import re
import resource
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from opus_core.errors import ConfigError

_LEAST_MEMORY: Final = 64 * 2**20  # [byte]
_LEAST_FILE_SIZE: Final = 2**16  # [byte]
_LEAST_OPEN_FILES: Final = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class LocalOptions:
    """The table `[manager]` of a server that uses the local manager."""

    folder: Path = field(
        default=Path("local"), metadata={"help": "What the manager knows of its jobs."}
    )
    max_jobs: int = field(
        default=0, metadata={"help": "Jobs at once; 0: one for each core.", "least": 0}
    )
    memory: int = field(
        default=0, metadata={"help": "Address space of each process; 0: no limit.", "unit": "bytes"}
    )
    file_size: int = field(
        default=0, metadata={"help": "Size of each file written; 0: no limit.", "unit": "bytes"}
    )
    open_files: int = field(
        default=0,
        metadata={"help": "Files that a process may have open; 0: as the server.", "least": 0},
    )
    grace: int = field(
        default=10, metadata={"help": "Between TERM and KILL.", "unit": "seconds", "least": 0}
    )
    environment: tuple[str, ...] = field(
        default=("PATH", "LANG", "LC_*", "TZ", "HOME", "USER", "LOGNAME", "TMPDIR"),
        metadata={"help": "Variables of the server that jobs get; * stands for anything."},
    )
    run_as: str = field(
        default="",
        metadata={
            "help": "System user that jobs run as, if the supervisor is root; none: its own."
        },
    )
    sandbox: Literal["none", "bubblewrap"] = field(
        default="none", metadata={"help": "What keeps scripts from all but their job's folder."}
    )
    sandbox_reads: tuple[str, ...] = field(
        default=(
            *("/usr", "/bin", "/sbin", "/lib*", "/opt", "/sys/devices/system/cpu"),
            *("/etc/alternatives", "/etc/fonts", "/etc/ld.so.*", "/etc/localtime"),
            *("/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/passwd", "/etc/resolv.conf"),
            *("/etc/ca-certificates*", "/etc/pki/ca-trust", "/etc/pki/tls/certs", "/etc/ssl/certs"),
        ),
        metadata={"help": "What scripts may read in a sandbox; * stands for anything."},
    )
    sandbox_network: bool = field(
        default=False, metadata={"help": "Whether scripts reach the network from a sandbox."}
    )


def bash() -> str:
    """The bash that runs wrappers."""
    return shutil.which("bash") or "/bin/bash"


def check_bash() -> None:
    """bash 4.2 or later and the commands that the wrapper calls."""
    missing = [name for name in ("bash", "ln", "mv", "readlink", "sleep") if not shutil.which(name)]
    if missing:
        raise ConfigError(f"the local manager needs {', '.join(missing)}; put it on the PATH")
    version = subprocess.run(
        [bash(), "-c", 'printf %s "$BASH_VERSION"'],
        capture_output=True,
        text=True,
        timeout=10,
        check=False,
    ).stdout
    found = re.match(r"(\d+)\.(\d+)", version)
    if found is None or (int(found[1]), int(found[2])) < (4, 2):
        raise ConfigError(f"the local manager needs bash 4.2 or later; {bash()} is {version!r}")


def check_limits(options: LocalOptions) -> None:
    """Limits the wrapper can live with and this process may set."""
    for name, least in (("max_jobs", 0), ("grace", 0)):
        if getattr(options, name) < least:
            raise ConfigError(f"[manager] {name} = {getattr(options, name)} is less than {least}")
    for name, what, least in (
        ("memory", resource.RLIMIT_AS, _LEAST_MEMORY),
        ("file_size", resource.RLIMIT_FSIZE, _LEAST_FILE_SIZE),
        ("open_files", resource.RLIMIT_NOFILE, _LEAST_OPEN_FILES),
    ):
        value = getattr(options, name)
        _, hard = resource.getrlimit(what)
        if value and (value < least or (hard != resource.RLIM_INFINITY and value > hard)):
            most = "any number" if hard == resource.RLIM_INFINITY else str(hard)
            raise ConfigError(
                f"[manager] {name} = {value} cannot be set here: use 0 for no limit, or"
                f" {least} to {most}"
            )
