"""`opus init`: make the data folder of an installation, with a commented configuration."""

from __future__ import annotations

import argparse
import dataclasses
import os
import pwd
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from opus_core import process, sections
from opus_core.app import (
    Opus,
    examples,
    open_catalogue,
    open_opus,
    opened_people,
)
from opus_core.auth.people import People, checked_name
from opus_core.backends import SUPERVISOR, Storage, Task
from opus_core.commands.configuration import configuration
from opus_core.commands.ground import Ground
from opus_core.commands.user import console, link
from opus_core.config import Config, load
from opus_core.datadir import INSTANCE_STREAM, open_data_dir
from opus_core.definition import JobDefinition
from opus_core.deployment import Deployment
from opus_core.deployment.files import BESIDE, DEPLOY
from opus_core.errors import AlreadyExists, BadRequest, ConfigError
from opus_core.offers import EXTENSION, KINDS
from opus_core.plugins import Registry
from opus_core.process import system_name
from opus_core.roots import note_jobs_folder, own, refuse_the_originals, take_copied
from opus_core.supervisor.copied import disown_jobs, submitted

# Of a folder, the folder: none is made among what others have put there.
_NAMES: Final = ("opus.toml", *BESIDE, *sorted({name.partition("/")[0] for name in DEPLOY}))
_TABLES: Final[tuple[tuple[str, type[Any]], ...]] = (
    ("server", sections.Server),
    ("supervisor", sections.Supervisor),
    ("client", sections.Client),
    ("jobs", sections.Jobs),
    ("auth", sections.Auth),
)


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser("init", help="make a data folder with a configuration in it")
    parser.add_argument(
        "folder", nargs="?", type=Path, help="where opus.toml shall be (default: ./opus-data)"
    )
    parser.add_argument(
        "--user",
        help="system user that the folder, empty or not there yet, shall belong to (as root)",
    )
    parser.add_argument(
        "--admin", default="admin", metavar="NAME", help="name of the first admin (default: admin)"
    )
    which = parser.add_mutually_exclusive_group()
    which.add_argument(
        "--adopt", action="store_true", help="the folder was moved here: it is still the same site"
    )
    which.add_argument(
        "--new-instance",
        action="store_true",
        help="the folder is a copy: leave the original's jobs alone",
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the folder, or say whose it is after it was moved or copied."""
    if args.adopt or args.new_instance:
        return _claim(args)
    folder: Path = (args.folder or Path("opus-data")).absolute()
    owner = _user(args.user) if args.user else None
    admin = checked_name(args.admin)
    with Ground(folder, _NAMES, owner) as ground:
        config_file = ground.write("opus.toml", commented(folder))
        config = load(config_file)
        for name, text in _deployment(config_file, config, args.user).files():
            ground.write(name, text)
        opened = examples()
        if opened is not None:
            open_catalogue(config).install_examples(opened)
        open_opus(config).close()
        with opened_people(config) as people:
            _add_admin(people, admin)
            first = link(config, people, admin)
    print(f"{config_file} is written; every setting in it is explained there")
    print(f"start:   opus --config {config_file} serve")
    print("site:    wsgi.py, apache.conf and deploy/ beside it are for Apache, nginx and systemd")
    print(f"sign-in: {admin} is the first admin; this link signs in once, within a day:")
    print(f"         {first}")
    print("         `opus user` makes further users, and further links; on a machine of your own,")
    print("         `anonymous = true` in [auth] lets everybody run jobs")
    return 0


def _deployment(file: Path, config: Config, user: str | None) -> Deployment:
    """The files for Apache, nginx and systemd, beside the configuration."""
    runs_as = user or (system_name(os.geteuid()) if os.geteuid() else None)
    return Deployment(config=config, file=file, user=runs_as, apache_user=user)


def _add_admin(people: People, name: str) -> None:
    """Who may be there already: of a storage that was in use, or of a try that failed."""
    try:
        people.add(console(), name, roles=frozenset({"admin"}))
    except AlreadyExists:
        if "admin" not in people.read(name).roles:
            raise


def _claim(args: argparse.Namespace) -> int:
    config = configuration(args.folder / "opus.toml" if args.folder else args.config)
    if not (config.data_dir / "instance").exists():
        raise BadRequest(
            f"{config.data_dir} is no data folder of OPUS; name the folder of its opus.toml"
        )
    if args.new_instance:
        _refuse_the_original(config, args.folder)
    opus = open_opus(config)
    try:
        _take_over(opus.storage)
        data_dir = open_data_dir(config.data_dir)
        if args.adopt:
            opus.manager.moved(list(_tasks(opus)))
            own(config.jobs_folder, data_dir.adopt())
            note_jobs_folder(config, opus.storage)
            print(f"{data_dir.path} is at home here now")
            return 0
        count = disown_jobs(opus.storage)
        opus.manager.disown()
        renewed = data_dir.renew()
        take_copied(config.jobs_folder, renewed)
        note_jobs_folder(config, opus.storage)
        word = renewed.instance.word
        opus.storage.append(INSTANCE_STREAM, {"word": word}, key=INSTANCE_STREAM)
        print(f"{data_dir.path} is an installation of its own now; {count} jobs that were not over")
        print("became ERROR, none was cancelled on the cluster")
    finally:
        opus.storage.release(SUPERVISOR, process.identity())
        opus.close()
    return 0


def _refuse_the_original(config: Config, folder: Path | None) -> None:
    """Raise `ConfigError` if the copied configuration still names what is the original's."""
    if folder is not None and not config.data_dir.resolve().is_relative_to(folder.resolve()):
        raise ConfigError(
            f"{folder / 'opus.toml'} names data_dir {config.data_dir}, which is not in {folder}; if"
            f" that is the original's, name the copy's own there, and if not, say `opus --config"
            f" {folder / 'opus.toml'} init --new-instance`"
        )
    refuse_the_originals(config.jobs_folder, open_data_dir(config.data_dir))
    manager = Registry.installed(config.plugins.disabled).manager(config)
    kept = getattr(manager.options, "folder", None)
    if (
        isinstance(kept, Path)
        and not kept.resolve().is_relative_to(config.data_dir.resolve())
        and kept.is_dir()
        and any(kept.iterdir())
    ):
        raise ConfigError(
            f"[manager] folder {kept} is not in the data folder, and may be the original's, whose"
            " jobs would be forgotten; name one that is not there yet: a copy needs nothing of it"
        )


def _tasks(opus: Opus) -> Iterator[Task]:
    """What the manager has been given, with the folders where they are now."""
    for job in submitted(opus.storage):
        if job.tag is not None and job.manager in ("", opus.manager.name):
            yield opus.folders.task(job, JobDefinition(name=job.definition.name))


def _take_over(storage: Storage) -> None:
    """Be the supervisor for the moment this takes; refused while another one is at work."""
    me = process.identity()
    lease = storage.lease(SUPERVISOR, me, 10.0)
    if lease.holder != me and process.dead(lease.holder):
        storage.release(SUPERVISOR, lease.holder)
        lease = storage.lease(SUPERVISOR, me, 10.0)
    if lease.holder != me:
        raise ConfigError(
            f"a supervisor ({lease.holder}) is acting for this storage; stop it first, or wait a"
            " quarter of a minute if it was killed"
        )


def _user(name: str) -> pwd.struct_passwd:
    try:
        found = pwd.getpwnam(name)
    except KeyError:
        raise BadRequest(f"there is no system user {name!r}") from None
    if os.geteuid() not in (0, found.pw_uid):
        raise BadRequest(f"only root can give the folder to {name!r}; run this as root or as them")
    return found


# -- the commented configuration


def commented(folder: Path) -> str:
    """`opus.toml` with every key, its meaning and its default, switched off by a `#`."""
    lines = [
        "# The configuration of this OPUS. A line that begins with `#` and a key shows the",
        "# default; take the `#` away and change the value. `opus check` finds mistakes.",
        "",
        f'data_dir = "{folder}"',
        *_keys(Config, skip={"data_dir", "path", "base", "server", "plugins"}),
    ]
    for name, table in _TABLES:
        lines += ["", f"[{name}]"]
        if name == "auth":
            lines += [
                "# Nobody is let in unknown: say true to open the server to everybody.",
                "anonymous = false",
            ]
        lines += _keys(table, skip={"anonymous"} if name == "auth" else set())
    registry = Registry.installed()
    config = Config()
    for backend in (registry.storage(config), registry.manager(config), registry.jdl(config)):
        kind = next(name for name, cls in KINDS.items() if isinstance(backend, cls))
        lines += ["", f"[{kind}]", f'use = "{backend.name}"  # see `opus plugins` for others']
        lines += _keys(backend.Options, skip=set())
    lines += ["", "[plugins]", *_keys(sections.Plugins, skip=set())]
    for extension in registry.offered(EXTENSION):
        lines += ["", f"# {extension.about}", f"# [plugins.{extension.name}]"]
        lines += _keys(extension.Options, skip=set())
    return "\n".join(lines) + "\n"


def _keys(table: type[Any], skip: set[str]) -> Iterator[str]:
    for field in dataclasses.fields(table):
        if field.name in skip or "help" not in field.metadata:
            continue
        yield f"# {field.metadata['help']}"
        default = field.default if field.default is not dataclasses.MISSING else None
        yield f"# {field.name} = {_toml(default)}"


def _toml(value: object) -> str:
    match value:
        case None:
            return "..."
        case bool():
            return str(value).lower()
        case int() | float():
            return str(value)
        case tuple():
            return "[" + ", ".join(map(_toml, value)) + "]"
        case _:
            return '"' + str(value).replace("\\", "\\\\").replace('"', '\\"') + '"'
