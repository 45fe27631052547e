"""What a real SLURM (22.05) has answered to the very questions that this manager asks."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Recorded:
    case: str
    argv: list[str]
    rc: int
    stdout: str
    stderr: str


_LINES = (Path(__file__).parent / "data/answers.jsonl").read_text().splitlines()

ANSWERS = {one["case"]: Recorded(**one) for one in map(json.loads, _LINES)}
