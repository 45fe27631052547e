"""`opus plugins`: which plugins are installed, what they offer, and what is wrong with them."""

from __future__ import annotations

import argparse
import dataclasses
import json
import sys

from opus_core import config
from opus_core.commands.terminal import columns
from opus_core.plugins import Plugin, Registry

_HEAD = ("NAME", "DISTRIBUTION", "VERSION", "STATE", "OFFERS", "")


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to `opus`."""
    parser = subparsers.add_parser("plugins", help="list the plugins that are installed")
    parser.add_argument("--json", action="store_true", help="write JSON, for a script to read")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print one row for each plugin; broken ones are no failure of this command."""
    found = config.load(getattr(args, "config", None))
    registry = Registry.installed(found.plugins.disabled)
    rows = registry.plugins(found)
    if args.json:
        json.dump([dataclasses.asdict(row) for row in rows], sys.stdout, indent=2)
        print()
    else:
        print(_table(rows))
    return 0


def _table(rows: list[Plugin]) -> str:
    if not rows:
        return "no plugin is installed"
    cells = [_HEAD]
    for row in rows:
        origin = (row.name, row.distribution, row.version, row.state.value)
        for offer, about in zip(row.offers, row.about, strict=True):
            cells.append((*origin, offer, about))
            origin = ("", "", "", "")
        if not row.offers:
            cells.append((*origin, "", ""))
    causes = [f"{row.name} of {row.distribution}: {row.cause}" for row in rows if row.cause]
    return "\n".join([*columns(cells), *([""] if causes else []), *causes])
