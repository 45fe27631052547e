"""Measure, and say what is short: `python -m benchmarks [--quick] [--json] [GROUP ...]`."""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import asdict

from benchmarks.figures import GROUPS, Figure


def line(figure: Figure) -> str:
    """One row of the table."""
    bound = ""
    if figure.floor is not None:
        bound = f">= {figure.floor:g}"
    elif figure.ceiling is not None:
        bound = f"<= {figure.ceiling:g}"
    state = "" if not bound else "ok" if figure.ok else "SHORT"
    value = f"{figure.value:,.2f}" if figure.value < 100 else f"{figure.value:,.0f}"
    return f"{figure.name:38} {value:>10} {figure.unit:8} {bound:>10} {state:6} {figure.note}"


def main() -> int:
    """Exit code 1 if a figure is short."""
    parser = argparse.ArgumentParser(prog="make bench")
    parser.add_argument("groups", nargs="*", choices=[*GROUPS, []], help="all if none is named")
    parser.add_argument("--quick", action="store_true", help="smaller numbers, rougher figures")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    found: list[Figure] = []
    for name in args.groups or GROUPS:
        for figure in GROUPS[name](args.quick):
            found.append(figure)
            if not args.json:
                print(line(figure).rstrip(), flush=True)
    if args.json:
        print(json.dumps([{**asdict(one), "ok": one.ok} for one in found], indent=2))
    return 0 if all(figure.ok for figure in found) else 1


if __name__ == "__main__":
    sys.exit(main())
