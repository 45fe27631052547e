"""The job of the journeys: its script leaves traces, by which is known what became of it."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    ParameterDescription,
    ParameterType,
    UsedDescription,
)
from opus_core.testing.server import OVER
from opus_core.testing.timing import PATIENCE, eventually

if TYPE_CHECKING:
    from opus_core.testing.journeys.stage import Stage

_STILL: Final = (
    1.0  # [s] without a beat after which something that beats ten times a second is dead
)
LONG: Final = 2 * PATIENCE  # [s] that a job may take from RUN to its end
_WAIT: Final = 10  # [s] that one question for the end of a job may be held

SCRIPT: Final = r"""
echo ran >> "$ledger"
echo "saying $text"
echo "complaining of $number" >&2
printf '%s' "$text" > "$said"
if [ -n "${table:-}" ]; then cat "$table" > "$copy"; fi
if [ -n "$gate" ]; then
  # It ends by itself, too: with the folder of its server, and after a while.
  until [ -e "$gate" ] || ! [ -e "$ledger" ] || ((SECONDS > 300)); do
    printf . >> "$ledger.beat"
    sleep 0.1
  done
fi
exit "$code"
"""


def definition(name: str) -> JobDefinition:
    """The description, under a name."""
    return JobDefinition(
        name=name,
        description="Leaves traces of what becomes of it",
        parameters=(
            ParameterDescription(name="ledger", required=True, description="Gets a line a run"),
            ParameterDescription(name="gate", default="", description="Runs until it is there"),
            ParameterDescription(name="text", default="hello"),
            ParameterDescription(name="number", type=ParameterType.DOUBLE, default="0.5"),
            ParameterDescription(name="code", type=ParameterType.INT, default="0"),
        ),
        used=(UsedDescription(name="table", content_type="application/octet-stream"),),
        generated=(
            GeneratedDescription(name="said", default="said.txt", content_type="text/plain"),
            GeneratedDescription(
                name="copy", default="copy.bin", content_type="application/octet-stream"
            ),
        ),
        script=SCRIPT,
    )


def gate_of(ledger: Path) -> Path:
    """What the script with that ledger waits for."""
    return ledger.with_suffix(".gate")


@dataclass(frozen=True)
class Witness:
    """One such job. Failures name the back ends of its server."""

    stage: Stage
    url: str
    ledger: Path

    @property
    def id(self) -> str:
        """Its id."""
        return self.url.rpartition("/")[2]

    @property
    def gate(self) -> Path:
        """What it waits for, if it was told to."""
        return gate_of(self.ledger)

    # -- asked by HTTP

    def document(self) -> dict[str, Any]:
        """What the server says of it."""
        return self.stage.document(self.url)

    def ask(self, phase: str) -> None:
        """RUN or ABORT it."""
        answer = self.stage.post(f"{self.url}/phase", {"PHASE": phase})
        assert answer.status == 303, f"PHASE={phase} was answered {answer.status}: {answer.text}"

    def delete(self) -> None:
        """Delete it."""
        answer = self.stage.request("DELETE", self.url)
        assert answer.status == 303, f"DELETE was answered {answer.status}: {answer.text}"

    def read(self, child: str) -> bytes:
        """What lies at `results/said`, `stdout` and so on."""
        answer = self.stage.get(f"{self.url}/{child}")
        if answer.status == 303:
            answer = self.stage.get(answer.location)
        assert answer.status == 200, f"{child} of the job was answered {answer.status}"
        return answer.body

    def ends(self, phase: str) -> dict[str, Any]:
        """Wait for the end, by the server's own WAIT; its document if it ends in that phase."""
        deadline = time.monotonic() + LONG
        document = self.document()
        while document["phase"] not in OVER and time.monotonic() < deadline:
            document = self.stage.document(f"{self.url}?WAIT={_WAIT}&PHASE={document['phase']}")
        if document["phase"] != phase:
            raise AssertionError(self._unexpected(phase, document))
        return document

    def is_executing(self) -> None:
        """Wait until the script runs, and the server says so."""
        eventually(lambda: self.runs, f"{self.stage.manager} runs the script")
        self.stage.wait(self.url, {"EXECUTING"}, LONG)

    # -- by its traces

    @property
    def runs(self) -> int:
        """How often the script has run."""
        return len(self.ledger.read_text().splitlines()) if self.ledger.exists() else 0

    def has_run_once(self) -> None:
        """AssertionError if the script did not run, or ran more than once."""
        assert self.runs == 1, (
            f"the script ran {self.runs} times, and has to run once: {self.stage.manager} submits"
            f" `run`, in the job's own folder, and nothing else; or {self.stage.storage} let two"
            " saves of one version pass"
        )

    def let_end(self) -> None:
        """Let a script that waits come to its end."""
        self.gate.touch()

    def is_dead(self, why: str) -> None:
        """Wait until the script, which was waiting, is not running any more."""
        eventually(lambda: not self.beats(), f"{self.stage.manager} has stopped the script ({why})")

    def beats(self) -> bool:
        """Whether a script that waits is alive; takes a second if it is not."""
        beat = Path(f"{self.ledger}.beat")
        before = beat.stat().st_size if beat.exists() else 0
        deadline = time.monotonic() + _STILL
        while time.monotonic() < deadline:
            if beat.exists() and beat.stat().st_size > before:
                return True
            time.sleep(0.02)
        return False

    def _unexpected(self, phase: str, document: dict[str, Any]) -> str:
        stderr = self.stage.get(f"{self.url}/stderr")
        said = stderr.text[-500:] if stderr.status == 200 else ""
        return (
            f"the job was to end {phase}, and is {document['phase']}; {self.stage.manager},"
            f" {self.stage.storage}, {self.stage.jdl}\n{json.dumps(document, indent=1)}\n{said}"
        )
