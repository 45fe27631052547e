"""Launch the wrapper of one job as a process that goes on without this one."""

from __future__ import annotations

import os
import subprocess
from fnmatch import fnmatchcase
from importlib.resources import files
from pathlib import Path
from typing import Final

from opus_manager_local import isolation
from opus_manager_local.isolation import User
from opus_manager_local.options import LocalOptions, bash
from opus_manager_local.processes import Process
from opus_manager_local.records import Record

# Given to bash as a text, since a package need not lie in files of its own.
_LAUNCHER: Final = files("opus_manager_local").joinpath("launcher.sh").read_text()


def spawn(record: Record, options: LocalOptions, log: Path, user: User | None = None) -> Process:
    """Launch it in a session of its own, as `user` and with its limits, saying what it has to say
    in `log`; the script in the sandbox that the options name.

    Raises `OSError` if that is not possible now, `ConfigError` if it is not any more.
    """
    isolation.prepare(options, record.folder, user)
    sandbox = isolation.sandbox(options, record.folder)
    limits = (-(-options.memory // 1024), -(-options.file_size // 1024), options.open_files)
    with open(log, "ab") as output:
        child = subprocess.Popen(
            [bash(), "-c", _LAUNCHER, "opus", str(record.number), *map(str, limits), *sandbox],
            cwd="/",
            env=_environment(record, options, user),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
            **isolation.becoming(user),
        )
    # From here on it is nobody's child: whichever watcher sees it end reaps it, and it goes on if
    # there is none. Popen would complain of one that is left alone.
    child.returncode = 0
    process = Process.of(child.pid)
    if process is None:
        raise ProcessLookupError(f"the process of number {record.number} is gone")
    return process


def _environment(record: Record, options: LocalOptions, user: User | None) -> dict[str, str]:
    allowed = {
        name: value
        for name, value in os.environ.items()
        if any(fnmatchcase(name, pattern) for pattern in options.environment)
    }
    if user is not None:
        allowed |= {name: value for name, value in user.environment.items() if name in allowed}
    if options.sandbox != "none":
        allowed["HOME"] = "/tmp"  # noqa: S108  of the job's own
        allowed.pop("TMPDIR", None)
    return allowed | {
        "OPUS_FOLDER": str(record.folder),
        "OPUS_TAG": record.tag,
        "OPUS_GRACE": str(options.grace),
    }
