"""`opus audit`: who did what."""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict

from opus_core.commands.terminal import shown
from opus_core.commands.user import opened


def add(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Describe the command to `opus`."""
    parser = subparsers.add_parser("audit", help="print who did what, oldest first")
    parser.add_argument(
        "--after", type=int, default=0, metavar="N", help="only acts behind this number"
    )
    parser.add_argument("--json", action="store_true", help="a JSON object on each line")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the record."""
    with opened(args) as (_, people):
        for entry in people.audit.entries(args.after):
            if args.json:
                print(json.dumps({**asdict(entry), "time": entry.time.isoformat()}))
                continue
            words = [entry.actor, entry.act, entry.subject]
            words += [f"({entry.more})"] if entry.more else []
            words += [f"from {entry.address}"] if entry.address else []
            print(f"{entry.seq} {entry.time:%Y-%m-%d %H:%M:%S} {shown(' '.join(words))}")
    return 0
