"""What commands print for people: words of others made harmless, and rows in columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def shown(text: str) -> str:
    """Words of users, jobs and schedulers: a terminal obeys control characters, and nothing that
    any of these wrote may command it."""
    return "".join(
        one if one.isprintable() or one == "\t" else "\N{REPLACEMENT CHARACTER}" for one in text
    )


def columns(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """A line for each of at least one row, its cells below those of the row before."""
    cells = [[shown(cell).replace("\t", " ") for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        line = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(line).rstrip()
