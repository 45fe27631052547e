"""What whoever runs OPUS has to be able to read and write, tried in their place.

Web server and supervisor may be two users of one group; then each has to be able to do all of it.
"""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Final

from opus_core.backends import Backend
from opus_core.checks.child import CannotBecome, ChildFailed
from opus_core.checks.installation import Installation, is_root, owner_of, read_by, written_by
from opus_core.checks.users import NO_FOLDER, NO_WAY, Want, refusals
from opus_core.config import Config
from opus_core.errors import BadRequest, ConfigError
from opus_core.finding import Code, Finding, State, ok

DATA: Final = Code(
    "data-folder-closed",
    State.ERROR,
    "Whoever runs OPUS cannot read or write the data folder, or may not pass through one above it.",
    "Give it to that user, or open it to a group of which all of them are (2770).",
)
JOBS: Final = Code(
    "jobs-folder-closed",
    State.ERROR,
    "Whoever runs OPUS cannot write to the folders of jobs: no job is taken or run.",
    "Give the folder to that user or group (2770); on NFS look at the export and `root_squash`.",
)
LOG: Final = Code(
    "log-closed",
    State.ERROR,
    "Whoever runs OPUS cannot write `log_file`: no server starts.",
    "Give the file and its folder to that user, or name another one.",
)
LOG_OPEN: Final = Code(
    "log-readable-by-all",
    State.WARNING,
    "Every user of the machine may read the log, which names users and addresses.",
    "`chmod o=` it.",
)
FILE: Final = Code(
    "file-closed",
    State.ERROR,
    "A user whom `--as` names cannot read or write a file that OPUS needs: the configuration, a"
    " password, the database, the descriptions.",
    "Give it to the group of those users, with the rights that the sentence names.",
)
UNTRIED: Final = Code(
    "rights-untried",
    State.WARNING,
    "Root cannot become a user whose rights are to be tried: it has not that right itself, in a"
    " container say. What was tried instead is what this process may do.",
    "Check as that user: `runuser -u NAME -- opus check`.",
)
_VERBS: Final = {"read": "read", "write": "write", "fill": "write to"}


def findings(installation: Installation) -> Iterator[Finding]:
    """Each right that is lacking, for each user who is tried."""
    config = installation.config
    if config is None or "data_dir" in installation.mistaken:
        return
    everything = [*_wants(config)]
    users = _users(config, installation.as_users)
    if users != [None]:
        everything += _further(installation, config)
    if installation.trial or not os.path.lexists(config.data_dir):
        everything = [want for want in everything if not want.path.is_relative_to(config.data_dir)]
    for user in users:
        try:
            refused = refusals(everything, user)
        except (CannotBecome, ChildFailed) as error:
            name = "this user" if user is None else user.pw_name
            yield UNTRIED("rights", f"cannot try as {name} here ({error}); check as {name}")
            user, refused = None, refusals(everything, None)
        who = "this user" if user is None else user.pw_name
        told: set[str] = set()
        for want, reason in zip(everything, refused, strict=True):
            if reason and reason not in told:
                yield _lacking(want, who, reason)
            if reason.startswith(NO_WAY):
                told.add(reason)
            elif reason and want.right == "fill":
                told.add(f"{NO_WAY} {want.path}")
        if user is not None and not any(refused):
            yield ok("rights", f"{who} can read and write what OPUS needs")
    if config.log_file is not None and _mode(config) & stat.S_IROTH:
        yield LOG_OPEN(
            "log_file",
            f"every user of this machine may read {config.log_file}: chmod o= {config.log_file}",
        )


def _lacking(want: Want, who: str, reason: str) -> Finding:
    way_out = "give it to that user"
    if reason.startswith(NO_WAY):
        way_out = "open that folder to it (o+x)"
    elif reason.startswith(NO_FOLDER):
        way_out = "make one, and give it to that user"
    return want.code(
        want.subject,
        f"{who} cannot {_VERBS[want.right]} {want.name} ({want.path}): {reason}; {way_out}, or to a"
        " group that all who run OPUS are of",
    )


def _wants(config: Config) -> Iterator[Want]:
    """What every start needs."""
    folder = config.data_dir
    yield Want("fill", "data_dir", "the data folder", folder, DATA)
    for name in ("secret", "instance"):
        if os.path.exists(folder / name):
            yield Want("read", "data_dir", f"its {name}", folder / name, DATA)
    if os.path.exists(config.jobs_folder):
        yield Want("fill", "jobs folder", "the folders of jobs", config.jobs_folder, JOBS)
    if config.log_file is not None:
        yield Want("write", "log_file", "the log", config.log_file, LOG)


def _further(installation: Installation, config: Config) -> Iterator[Want]:
    """What its own parts say of this process, and can say of nobody else."""
    if config.path is not None:
        yield Want("read", "configuration", "the configuration", config.path, FILE)
    storage, manager = _part(installation, "storage"), _part(installation, "manager")
    for name, part in (("storage", storage), ("manager", manager)):
        for key, path in read_by(part).items() if part is not None else ():
            yield Want("read", name, f"[{name}] {key}", path, FILE)
    for key, path in written_by(storage).items() if storage is not None else ():
        yield Want("write", "storage", f"[storage] {key}", path, FILE)
    descriptions = config.data_dir / "definitions"
    if os.path.exists(descriptions):
        yield Want("fill", "definitions", "the descriptions", descriptions, FILE)


def _part(installation: Installation, kind: str) -> Backend | None:
    """What is selected, for the paths that its options name; nothing of it is opened."""
    registry, config = installation.registry, installation.config
    if registry is None or config is None or kind in installation.mistaken:
        return None
    select: Callable[[Config], Backend] = getattr(registry, kind)
    with suppress(ConfigError):  # which has been told
        return select(config)
    return None


def _users(config: Config, wanted: tuple[pwd.struct_passwd, ...]) -> list[pwd.struct_passwd | None]:
    """Those who were named; else, by root, the owner of the data folder, since root may do
    everything; else whoever this is (None)."""
    if wanted:
        return list(wanted)
    owner = owner_of(config.data_dir) if is_root() else None
    return [owner if owner is not None and owner.pw_uid != 0 else None]


def named(names: list[str]) -> tuple[pwd.struct_passwd, ...]:
    """The users of these names. Raises `BadRequest` for one that there is not, and for others than
    oneself but by root."""
    found = []
    for name in names:
        try:
            user = pwd.getpwnam(name)
        except KeyError:
            raise BadRequest(f"--as {name}: there is no such user on this machine") from None
        if os.geteuid() not in (0, user.pw_uid):
            raise BadRequest(f"--as {name}: only root can try that; run this as root, or as {name}")
        found.append(user)
    return tuple(found)


def _mode(config: Config) -> int:
    try:
        return config.log_file.stat().st_mode if config.log_file is not None else 0
    except OSError:
        return 0
