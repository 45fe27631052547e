"""Keep a job away from what is not its own: another user of the system, and a sandbox.

The user (`run_as`) is whom all of a job runs as, the wrapper among it. The job's folder is given to
that user before, once and for all, and the folders above are opened for passing through: whoever
knows the name of a job's folder, 128 random bits, gets to its door, and no further.

The sandbox (bubblewrap) is for the script alone: the wrapper stays outside, since its process is
what tells that the job lives. Inside there are the job's folder, what `sandbox_reads` names, an
empty `/tmp`, which lies in the job's folder, and the job's own processes. What belongs to the
server is not there, and neither is the folder of any other job.
"""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from typing import Any, Final, Self

from opus_core import disk
from opus_core.errors import ConfigError, UnknownJob
from opus_core.folder import Folders
from opus_manager_local.options import LocalOptions, bash

_HARD_LINKS: Final = Path("/proc/sys/fs/protected_hardlinks")
_PATIENCE: Final = 10  # [s] for what takes some milliseconds
# --cap-drop is for root, whose script would keep root's rights in there.
_NAMESPACES: Final = ("--unshare-all", "--cap-drop", "ALL")
_BASE: Final = ("--proc", "/proc", "--dev", "/dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """The user of this system that jobs run as."""

    name: str
    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str

    @classmethod
    def find(cls, name: str) -> Self:
        """Raises `ConfigError` if there is none of that name."""
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            raise ConfigError(
                f"[manager] run_as = {name!r}: there is no such user; make one for jobs alone, with"
                f" `useradd --system --user-group {name}`"
            ) from None
        return cls(
            name=entry.pw_name,
            uid=entry.pw_uid,
            gid=entry.pw_gid,
            groups=tuple(os.getgrouplist(entry.pw_name, entry.pw_gid)),
            home=entry.pw_dir,
        )

    @property
    def environment(self) -> dict[str, str]:
        """What a login would tell a job about who it is."""
        return {"HOME": self.home, "USER": self.name, "LOGNAME": self.name}


def becoming(user: User | None) -> dict[str, Any]:
    """What `subprocess` has to be told so that a process is that user's; None: ours."""
    if user is None:
        return {}
    return {"user": user.uid, "group": user.gid, "extra_groups": user.groups}


def user_of(options: LocalOptions) -> User | None:
    """The user that `run_as` names; None if jobs run as we do."""
    return User.find(options.run_as) if options.run_as else None


def check(options: LocalOptions) -> None:
    """Raise `ConfigError` where jobs cannot be kept apart as the options want it."""
    user = user_of(options)
    if user is not None:
        _check_user(user, options.folder)
    if options.sandbox == "bubblewrap":
        _check_sandbox(user)


def warnings(options: LocalOptions) -> list[str]:
    """What is not as it should be, though it works."""
    if os.geteuid() == 0 and not options.run_as:
        return [
            "jobs run as root: whoever may run one that obeys its parameters owns this machine;"
            " name a system user for them in [manager] run_as"
        ]
    return []


def open_way(folder: Path) -> None:
    """Let everybody pass to a job's folder, and not look, as far as that is ours to allow."""
    for path in (folder.parent, folder.parents[1]):
        mode = stat.S_IMODE(path.stat().st_mode)
        if not mode & stat.S_IXOTH:
            path.chmod(mode | stat.S_IXOTH)


def enters(user: User, folder: Path) -> bool:
    """Whether the user can go into a folder, and so through all that are above."""
    return _run([bash(), "-c", 'cd -- "$1"', "-", str(folder)], user).returncode == 0


def prepare(options: LocalOptions, folder: Path, user: User | None) -> None:
    """Make a place for temporary files, and give a job's folder to the user it will run as.

    The folder itself is given last. From then on nothing in it is to be trusted, and nothing is
    done here any more; its owner tells that, since only root could give it back. Raises
    `ConfigError` for a folder that is no job's: what records say root does not give away unseen.
    """
    if user is not None:
        if os.lstat(folder).st_uid == user.uid:
            return
        if not _is_of_a_job(folder):
            raise ConfigError(f"{folder} is no job's folder, and is not given to {user.name}")
    if options.sandbox == "bubblewrap":
        disk.make_folder(folder / "tmp")
    if user is not None:
        _give(folder, user)


def _is_of_a_job(folder: Path) -> bool:
    try:
        return Folders(folder.parents[1]).path(folder.name) == folder
    except UnknownJob:
        return False


def _give(folder: Path, user: User) -> None:
    for _, folders, files, at in os.fwalk(folder):
        for name in (*folders, *files):
            os.chown(name, user.uid, -1, dir_fd=at, follow_symlinks=False)
    os.chown(folder, user.uid, -1, follow_symlinks=False)


def sandbox(options: LocalOptions, folder: Path) -> list[str]:
    """The command that runs what follows it in a sandbox of the job in `folder`; nothing, if the
    site wants none."""
    if options.sandbox != "bubblewrap":
        return []
    folder = folder.resolve()
    mounts = {
        path: ["--ro-bind-try", path] for name in options.sandbox_reads for path in glob(name)
    }
    ours = (folder.parents[1], options.folder.resolve().parent)
    mounts |= {str(path): ["--tmpfs"] for path in ours if path != Path("/")}
    return [
        *(_bubblewrap(), *_NAMESPACES, *(("--share-net",) if options.sandbox_network else ())),
        # What lies deeper is mounted later, or it would be covered.
        *(word for path in sorted(mounts) for word in (*mounts[path], path)),
        *_BASE,
        *("--bind", str(folder / "tmp"), "/tmp"),  # noqa: S108  of the job's own
        *("--bind", str(folder), str(folder), "--chdir", str(folder / "work")),
        "--",
    ]


def _bubblewrap() -> str:
    found = shutil.which("bwrap")
    if found is None:
        raise ConfigError(
            '[manager] sandbox = "bubblewrap" needs the command bwrap; install bubblewrap'
        )
    return found


def _check_user(user: User, folder: Path) -> None:
    if os.geteuid() != 0:
        raise ConfigError(
            f"[manager] run_as = {user.name!r} needs a supervisor that is root; run `opus"
            " supervise` as root and the web server as another user, or leave run_as away"
        )
    if user.uid == 0:
        raise ConfigError("[manager] run_as names root; name a user for jobs alone")
    # Or a job could make a name in its folder for any file of this machine, and root would take it
    # for a result.
    if _HARD_LINKS.exists() and _HARD_LINKS.read_text().strip() == "0":
        raise ConfigError(
            "[manager] run_as is not safe here: users may make hard links to files of others; set"
            " sysctl fs.protected_hardlinks=1"
        )
    above = folder.parent  # data_dir, if nothing else is set
    while not above.exists():
        above = above.parent
    if not enters(user, above):
        raise ConfigError(
            f"the user {user.name}, whom [manager] run_as names, may not pass through {above};"
            " `chmod o+x` it and each folder above, which lets others pass and not look"
        )


def _check_sandbox(user: User | None) -> None:
    command = [_bubblewrap(), *_NAMESPACES, "--ro-bind", "/", "/", *_BASE, "--", bash(), "-c", ":"]
    done = _run(command, user)
    if done.returncode != 0:
        said = " ".join(done.stderr.split())[-300:]
        raise ConfigError(
            f"bubblewrap cannot make a sandbox here ({said}); allow users namespaces of their own"
            ' (sysctl user.max_user_namespaces), or set [manager] sandbox = "none"'
        )


def _run(command: list[str], user: User | None) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            command,
            cwd="/",
            env={},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_PATIENCE,
            check=False,
            **becoming(user),
        )
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 1, "", f"no end within {_PATIENCE} s")
