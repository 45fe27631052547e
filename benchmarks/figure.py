"""A figure, the floor or ceiling it has to keep, and how it is told."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


class Failed(Exception):
    """What was measured did not do what it is measured at; the message says so in a sentence."""


@dataclass(frozen=True)
class Figure:
    """One measured figure. Without a value it could not be measured, and is never ok."""

    name: str
    value: float | None
    unit: str = ""
    floor: float | None = None
    ceiling: float | None = None
    note: str = ""

    @property
    def ok(self) -> bool:
        """It keeps what is promised."""
        return (
            self.value is not None
            and (self.floor is None or self.value >= self.floor)
            and (self.ceiling is None or self.value <= self.ceiling)
        )

    @property
    def state(self) -> str:
        """In a word; none where nothing is promised."""
        if self.value is None:
            return "FAILED"
        if self.floor is None and self.ceiling is None:
            return ""
        return "ok" if self.ok else "SHORT"

    @property
    def bound(self) -> str:
        """What is promised, without the unit; nothing where nothing is."""
        if self.floor is not None:
            return f">= {self.floor:g}"
        return "" if self.ceiling is None else f"<= {self.ceiling:g}"

    def line(self) -> str:
        """A row of the table."""
        row = (
            f"{self.name:38} {shown(self.value):>10} {self.unit:8} {self.bound:>10} {self.state:6}"
        )
        return f"{row} {self.note}".rstrip()

    def document(self) -> dict[str, Any]:
        """What --json prints of it."""
        return {**asdict(self), "ok": self.ok}


def shown(value: float | None) -> str:
    """A value as a table has it."""
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
