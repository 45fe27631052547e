"""The page of what was measured: on which machine, and beside what the original reached."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Final

from benchmarks.figure import Figure, shown
from benchmarks.groups import GROUPS
from benchmarks.machine import Machine, Moment
from benchmarks.original import CONDITIONS, ORIGINAL, Reached

PAGE: Final = Path(__file__).parents[1] / "docs" / "measured.md"

_TITLES: Final = {"slurm": "SLURM"}
_HEAD: Final = """\
# Figures, as measured

For whoever wants to know what to expect of a server. This page is written by
`make bench BENCH="--page"`; what each figure is, and how it is measured, is told in
[Figures](figures.md).
"""
_ROUGH: Final = """\
**These are rough figures**, of `--quick`: smaller numbers and shorter turns, on a machine that had
other work to do if the load below says so. They show how the page looks rather than what a server
does.
"""


def page(
    found: Sequence[tuple[str, Figure]],
    machine: Machine,
    moments: tuple[Moment, Moment],
    *,
    quick: bool,
) -> str:
    """The whole page. `found` has the figures with their groups, `moments` when it began and
    ended."""
    named = {figure.name: figure for _, figure in found}
    parts = [_HEAD, *([_ROUGH] if quick else []), "## The machine\n", _machine(machine, moments)]
    for group, of_group in groupby(found, key=lambda one: one[0]):
        parts += [f"## {_title(group)}\n", _figures(figure for _, figure in of_group)]
    left_out = [_title(group) for group in GROUPS if group not in {name for name, _ in found}]
    if left_out:
        parts += [f"Not measured this time: {', '.join(left_out)}.\n"]
    parts += ["## Beside the original\n", CONDITIONS, _beside(named, quick=quick)]
    return "\n".join(parts)


def _title(group: str) -> str:
    return _TITLES.get(group, group.capitalize())


def _machine(machine: Machine, moments: tuple[Moment, Moment]) -> str:
    begun, ended = moments
    rows = [
        ("processor", machine.processor),
        ("cores", str(machine.cores)),
        ("memory", f"{machine.memory:.1f} GiB"),
        ("system", machine.system),
        ("Python", machine.python),
        ("begun, ended", f"{begun.at:%Y-%m-%d %H:%M}, {ended.at:%H:%M} UTC"),
        ("load then", f"{begun.load:.1f}, {ended.load:.1f} tasks, over a minute"),
    ]
    return _table(("what", "is"), rows)


def _figures(figures: Iterable[Figure]) -> str:
    rows = [
        (one.name, _value(one), _with(one.bound, one.unit), one.state, one.note) for one in figures
    ]
    head = ("figure", "measured", "promised", "kept", "of")
    width = 5 if any(note for *_, note in rows) else 4
    return _table(head[:width], [row[:width] for row in rows])


def _beside(named: dict[str, Figure], *, quick: bool) -> str:
    return _table(
        ("what", "the original", "OPUS", "what is not alike"),
        [
            (one.what, one.there, _value(named[one.figure]), one.unlike)
            for one in _comparable(named, quick=quick)
        ],
    )


def _comparable(named: dict[str, Figure], *, quick: bool) -> Iterator[Reached]:
    for one in ORIGINAL:
        if one.figure in named and not (quick and one.of_all):
            yield one


def _value(figure: Figure) -> str:
    return "-" if figure.value is None else _with(shown(figure.value), figure.unit)


def _with(number: str, unit: str) -> str:
    return f"{number} {unit}".rstrip() if number else ""


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines).replace("|  |", "| |").replace("|  |", "| |") + "\n"
