"""`opus user`: the accounts of a site. Who may run it in the data folder may do all of it."""

from __future__ import annotations

import argparse
import getpass
import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from opus_core.errors import BadRequest
from opus_core.process import system_name

if TYPE_CHECKING:
    from opus_core.auth.people import People
    from opus_core.backends import Account
    from opus_core.config import Config


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to `opus`."""
    parser = subparsers.add_parser("user", help="add, show and change the users of this server")
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    verb = verbs.add_parser("list", help="all accounts")
    verb.add_argument("--json", action="store_true", help="write JSON, for a script to read")

    verb = _named(verbs, "add", "make an account, and print a link that signs its user in once")
    _details(verb)

    verb = _named(verbs, "set", "change an account")
    _details(verb)
    verb.add_argument(
        "--no-role", action="append", default=[], metavar="ROLE", help="take a role away"
    )
    switch = verb.add_mutually_exclusive_group()
    switch.add_argument("--on", action="store_true", help="let the user in again")
    switch.add_argument("--off", action="store_true", help="let the user in no more")

    _named(verbs, "link", "print a link that signs the user in once, within a day")
    _named(verbs, "password", "set a password, asked for or read from standard input")
    _named(verbs, "signout", "end all browser sessions of the user")
    _named(verbs, "remove", "remove an account that has no jobs, with its tokens")


def _named(
    verbs: argparse._SubParsersAction[argparse.ArgumentParser], name: str, about: str
) -> argparse.ArgumentParser:
    verb = verbs.add_parser(name, help=about)
    verb.add_argument("name", metavar="NAME", help="of the account")
    return verb


def _details(verb: argparse.ArgumentParser) -> None:
    verb.add_argument(
        "--role",
        action="append",
        default=[],
        metavar="ROLE",
        help="admin, publisher, or one that descriptions name; several times for several",
    )
    verb.add_argument("--full-name", metavar="TEXT", help="shown beside the name; '' for none")
    verb.add_argument("--email", metavar="TEXT", help="where e-mail about jobs goes; '' for none")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    with opened(args) as (config, people):
        act(args, config, people)
    return 0


@contextmanager
def opened(args: argparse.Namespace) -> Iterator[tuple[Config, People]]:
    """The accounts of the installation that a command is about."""
    # Deferred: everything the server is made of hangs on this module.
    from opus_core.app import opened_people
    from opus_core.commands.configuration import configuration

    config = configuration(args.config)
    with opened_people(config) as people:
        yield config, people


def act(args: argparse.Namespace, config: Config, people: People) -> None:
    """The same on accounts that are open."""
    actor = console()
    match args.verb:
        case "list":
            _list(people.all(), as_json=args.json)
        case "add":
            people.add(
                actor,
                args.name,
                roles=frozenset(args.role),
                full_name=args.full_name or "",
                email=args.email or "",
            )
            print(link(config, people, args.name))
        case "set":
            _set(args, people, actor)
        case "link":
            print(link(config, people, args.name))
        case "password":
            people.read(args.name)
            people.set_password(actor, args.name, _password())
        case "signout":
            people.read(args.name)
            people.sign_out_everywhere(actor, args.name)
        case "remove":
            people.remove(actor, args.name)


def console() -> str:
    """Who runs a command, as the audit names them."""
    return f"console:{system_name(os.getuid())}"


def link(config: Config, people: People, name: str) -> str:
    """The address that signs a user in once."""
    from opus_core.render.urls import Urls

    server = config.server
    host = "127.0.0.1" if server.host in ("0.0.0.0", "::", "*") else server.host  # noqa: S104
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host
    root = config.base_url or f"http://{shown}:{server.port}"
    return Urls(root).sign_in(people.link(console(), name))


def _list(accounts: list[Account], *, as_json: bool) -> None:
    if as_json:
        document = [
            {
                "name": one.name,
                "roles": sorted(one.roles),
                "active": one.active,
                "full_name": one.full_name,
                "email": one.email,
                "password": one.password is not None,
                "created": one.created.isoformat(),
            }
            for one in accounts
        ]
        print(json.dumps(document, indent=2))
        return
    for one in accounts:
        roles = " ".join(sorted(one.roles)) or "user"
        state = "on" if one.active else "off"
        print(f"{one.name:20} {roles:20} {state:4} {one.full_name}".rstrip())
    if not accounts:
        print("there are no accounts; make one: opus user add NAME --role admin", file=sys.stderr)


def _set(args: argparse.Namespace, people: People, actor: str) -> None:
    account = people.read(args.name)
    people.change(
        actor,
        args.name,
        roles=(account.roles | frozenset(args.role)) - frozenset(args.no_role),
        active=True if args.on else False if args.off else None,
        full_name=args.full_name,
        email=args.email,
    )


def _password() -> str:
    if not sys.stdin.isatty():
        return sys.stdin.readline().rstrip("\n")
    first = getpass.getpass("password: ")
    if getpass.getpass("once more: ") != first:
        raise BadRequest("the two are not the same; nothing was changed")
    return first
