"""`opus token`: what programs show instead of a password."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from opus_core.commands.user import console, opened

if TYPE_CHECKING:
    from opus_core.backends import Token


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to `opus`."""
    parser = subparsers.add_parser("token", help="make, list and revoke users' tokens")
    parser.set_defaults(run=run)
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    verb = verbs.add_parser("add", help="make a token, and print it")
    verb.add_argument("user", metavar="USER", help="whose it is")
    verb.add_argument("--name", default="", metavar="TEXT", help="what it is for")
    verb.add_argument(
        "--scope",
        action="append",
        default=[],
        metavar="SCOPE",
        help="read, run (by default), publish or admin; several times for several",
    )
    verb.add_argument("--days", type=int, metavar="N", help="until it expires; by default never")

    verb = verbs.add_parser("list", help="the tokens of a user, without what is secret of them")
    verb.add_argument("user", metavar="USER", help="whose they are")
    verb.add_argument("--json", action="store_true", help="write JSON, for a script to read")

    verb = verbs.add_parser("revoke", help="let a token count no more")
    verb.add_argument("token", metavar="TOKEN", help="its prefix, or all of it")


def run(args: argparse.Namespace) -> int:
    """Do what the verb says."""
    with opened(args) as (_, people):
        match args.verb:
            case "add":
                made = people.make_token(
                    console(),
                    args.user,
                    name=args.name,
                    scopes=frozenset(args.scope or ["run"]),
                    lifetime=timedelta(days=args.days) if args.days is not None else None,
                )
                print(made.text)
                print("it is not shown again", file=sys.stderr)
            case "list":
                people.read(args.user)
                _list(people.tokens.of(args.user), as_json=args.json)
            case "revoke":
                prefix = args.token.split("_")[1] if args.token.count("_") else args.token
                people.revoke_token(console(), prefix)
    return 0


def _list(tokens: list[Token], *, as_json: bool) -> None:
    if as_json:
        document = [
            {
                "prefix": one.prefix,
                "name": one.name,
                "scopes": sorted(one.scopes),
                "created": one.created.isoformat(),
                "expires": one.expires.isoformat() if one.expires else None,
                "last_used": one.last_used.isoformat() if one.last_used else None,
            }
            for one in tokens
        ]
        print(json.dumps(document, indent=2))
        return
    for one in tokens:
        expires = f"until {one.expires:%Y-%m-%d}" if one.expires else "for ever"
        used = f"used {one.last_used:%Y-%m-%d}" if one.last_used else "never used"
        print(f"{one.prefix}  {' '.join(sorted(one.scopes)):18} {expires:18} {used:16} {one.name}")
