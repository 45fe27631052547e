"""Measure, and say what is short: `python -m benchmarks [--quick] [GROUP ...]`."""

from __future__ import annotations

import argparse
import json
import signal
import sys
from collections.abc import Sequence

from benchmarks import against
from benchmarks.figure import Figure
from benchmarks.groups import GROUPS, measured
from benchmarks.machine import Moment, this_machine
from benchmarks.page import PAGE, page


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
    parser.add_argument("--page", action="store_true", help="write docs/measured.md as well")
    against.add(parser)
    args = parser.parse_args(arguments)
    if unknown := [name for name in args.groups if name not in GROUPS]:
        parser.error(f"there is no group {unknown[0]!r}; there are {', '.join(GROUPS)}")
    if args.against:
        if args.groups or args.page:
            parser.error("--against measures what any UWS server has: no groups, and no page")
        return against.run(args)
    found: list[tuple[str, Figure]] = []
    begun = Moment.now()
    for group in args.groups or GROUPS:
        for figure in measured(group, quick=args.quick):
            found.append((group, figure))
            if not args.json:
                print(figure.line(), flush=True)
    if args.json:
        print(json.dumps([{"group": group, **one.document()} for group, one in found], indent=2))
    if args.page:
        PAGE.write_text(page(found, this_machine(), (begun, Moment.now()), quick=args.quick))
    return 0 if all(one.ok for _, one in found) else 1


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # what was started is ended
    sys.exit(main())
