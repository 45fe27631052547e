"""What came of it, as a page that can be shown, or as JSON."""

from __future__ import annotations

import json
import os
import platform
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import opus_core
from soak.verdict import KINDS, Verdict

_SHOWN = 20  # faults of a part


@dataclass(frozen=True)
class Part:
    """One part of the soak, and what was found."""

    storage: str
    name: str
    seconds: float
    verdict: Verdict

    def told(self) -> str:
        """For whoever watches."""
        lines = [f"\n{self.storage} {self.name}, {self.seconds:.0f} s: {self.counted()}"]
        lines += [f"  {note}" for note in self.verdict.notes]
        lines += [f"  FAULT {fault}" for fault in self.verdict.faults]
        return "\n".join(lines)

    def counted(self) -> str:
        """How many of each kind."""
        return ", ".join(f"{self.verdict.count(kind)} {kind}" for kind in KINDS)


def write(path: Path, seed: str, parts: list[Part]) -> None:
    """As Markdown, or as JSON if the file is called so."""
    text = _json(seed, parts) if path.suffix == ".json" else _page(seed, parts)
    path.write_text(text)


def _json(seed: str, parts: list[Part]) -> str:
    content = {"seed": seed, **_circumstances(), "parts": [asdict(part) for part in parts]}
    return json.dumps(content, indent=1, ensure_ascii=False) + "\n"


def _circumstances() -> dict[str, object]:
    return {
        "opus": opus_core.__version__,
        "python": platform.python_version(),
        "cores": len(os.sched_getaffinity(0)),
        "ended": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC",
    }


def _page(seed: str, parts: list[Part]) -> str:
    said = ", ".join(f"{name} {value}" for name, value in _circumstances().items())
    lines = [
        "# Soak",
        "",
        f"{said}, seed {seed}",
        "",
        f"| storage | part | s | jobs | requests | {' | '.join(KINDS)} |",
        f"|---|---|---|---|---|{'---|' * len(KINDS)}",
    ]
    for part in parts:
        found = part.verdict
        counts = " | ".join(str(found.count(kind)) for kind in KINDS)
        lines.append(
            f"| {part.storage} | {part.name} | {part.seconds:.0f} | {found.jobs} |"
            f" {found.requests} | {counts} |"
        )
    for part in parts:
        lines += ["", f"## {part.storage}, {part.name}", ""]
        lines += [f"- {note}" for note in part.verdict.notes]
        lines += [f"- **{fault}**" for fault in part.verdict.faults[:_SHOWN]]
        if len(part.verdict.faults) > _SHOWN:
            lines.append(f"- **{len(part.verdict.faults) - _SHOWN} more**")
    return "\n".join(lines) + "\n"
