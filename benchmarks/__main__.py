"""Measure, and say what is short: `python -m benchmarks [--quick] [--json] [GROUP ...]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence

from benchmarks import against
from benchmarks.groups import GROUPS, measured


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 1 if a figure is short, or if something could not be measured that must be."""
    parser = argparse.ArgumentParser(
        prog="make bench", description="Measure what is promised, or compare two running servers."
    )
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help=f"of {', '.join(GROUPS)}; default: all"
    )
    parser.add_argument("--quick", action="store_true", help="smaller numbers, rougher figures")
    parser.add_argument("--json", action="store_true", help="one document instead of a table")
    against.add(parser)
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.groups if name not in GROUPS]:
        parser.error(f"there is no group {unknown[0]!r}; there are {', '.join(GROUPS)}")
    if args.against:
        if args.groups:
            parser.error("--against measures what any UWS server has, and takes no groups")
        return against.run(args)
    found = []
    for group in args.groups or GROUPS:
        for figure in measured(group, quick=args.quick):
            found.append({"group": group, **figure.document()})
            if not args.json:
                print(figure.line(), flush=True)
    if args.json:
        print(json.dumps(found, indent=2))
    return 0 if all(one["ok"] for one in found) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended
    sys.exit(main())
