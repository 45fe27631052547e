"""What a request says about a job as such, whatever its description (UWS 1.1 section 2.1.11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from opus_core.errors import BadRequest
from opus_core.job import cut
from opus_core.queries import whole
from opus_core.values import fits_xml, parse_instant, shown

CONTROLS: Final = frozenset({"PHASE", "RUNID", "ACTION", "DESTRUCTION", "EXECUTIONDURATION"})

_LONGEST_RUN_ID: Final = 256  # DALI 1.1 section 3.4.6 asks for 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Controls:
    """Of each what was said; None: nothing."""

    phase: Literal["RUN", "ABORT"] | None = None
    run_id: str | None = None
    destruction: datetime | None = None
    execution_duration: int | None = None  # [s]; 0: no limit
    action: Literal["DELETE"] | None = None


def parse_controls(given: Mapping[str, str]) -> Controls:
    """By their names in upper case; `BadRequest` for a value that says nothing."""
    phase, action = given.get("PHASE"), given.get("ACTION")
    if phase not in (None, "RUN", "ABORT"):
        raise BadRequest(f"PHASE cannot be set to {shown(str(phase))}; send RUN or ABORT")
    if action not in (None, "DELETE"):
        raise BadRequest(f"unknown ACTION {shown(str(action))}; the only one is DELETE")
    return Controls(
        phase=phase,  # type: ignore[arg-type]
        action=action,  # type: ignore[arg-type]
        run_id=_run_id(given.get("RUNID")),
        destruction=_destruction(given.get("DESTRUCTION")),
        execution_duration=_execution_duration(given.get("EXECUTIONDURATION")),
    )


def _run_id(text: str | None) -> str | None:
    """Kept exactly (UWS 1.1 section 2.1.9), as long as a job document can show it."""
    if not text:
        return None
    if len(text) > _LONGEST_RUN_ID:
        raise BadRequest(
            f"RUNID has {len(text)} characters; {_LONGEST_RUN_ID} are the most taken here"
        )
    if not fits_xml(text):
        raise BadRequest("RUNID has a control character in it, which XML cannot show; leave it out")
    return text


def _destruction(text: str | None) -> datetime | None:
    if text is None:
        return None
    try:
        return cut(parse_instant(text))
    except BadRequest as error:
        raise BadRequest(f"DESTRUCTION: {error.sentence}") from error


def _execution_duration(text: str | None) -> int | None:
    if text is None:
        return None
    seconds = whole(text)
    if seconds is None or seconds < 0:
        raise BadRequest(
            f"EXECUTIONDURATION cannot be {shown(text)}; it is a whole number of seconds,"
            " 0 for no limit"
        )
    return seconds
