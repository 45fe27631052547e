"""`opus new-plugin`: begin a plugin of one's own."""

from __future__ import annotations

import argparse
from pathlib import Path

from opus_core.errors import BadRequest
from opus_core.plugins import Registry
from opus_core.skeleton import KINDS, Skeleton


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the parser."""
    parser = subparsers.add_parser(
        "new-plugin",
        help="begin a plugin of your own",
        description="Makes a folder with a plugin that builds, installs and is listed by"
        " `opus plugins`. Its tests fail until its methods are written. docs/plugins has a"
        " tutorial.",
    )
    parser.add_argument(
        "kind",
        choices=KINDS,
        metavar="KIND",
        help="storage, manager or jdl: a back end; auth: says who is asking; observer: hears what"
        " becomes of jobs",
    )
    parser.add_argument("name", metavar="NAME", help="what the configuration calls it")
    parser.add_argument(
        "--folder", type=Path, default=Path(), help="where its folder is made (default: here)"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Make the folder and say what comes next."""
    skeleton = Skeleton(args.kind, args.name)
    offers = f"{KINDS[args.kind].offers} {args.name}"
    for plugin in Registry.installed().plugins():
        if offers in plugin.offers:
            raise BadRequest(
                f"{plugin.distribution} offers the {offers} already; choose another name"
            )
    folder = skeleton.write(args.folder)
    print(f"{folder} has a plugin that does nothing yet. Next:")
    print(f"  cd {folder}")
    print("  pip install -e '.[test]'")
    print("  pytest")
    print(f"and write the methods in src/{skeleton.package}/{args.kind}.py until it passes")
    return 0
