"""What `opus check` asks a cluster: whether it answers, takes jobs, and is set up as we are."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from typing import Final

from opus_core.errors import BackendUnavailable, SubmitDeferred, SubmitRejected
from opus_core.finding import Code, Finding, State
from opus_manager_slurm.batch import directive
from opus_manager_slurm.commands import Commands
from opus_manager_slurm.options import SlurmOptions
from opus_manager_slurm.records import parse_settings
from opus_manager_slurm.refusals import refusal

MOST: Final = 5.0
"""[s] that the controller's clock, which is told in whole seconds, may differ by."""

_BEYOND: Final = 20.0  # [s] that a submission may take to appear after SLURM has given up on it
_SHORTEST_MEMORY: Final = 300  # [s] that the controller should know ended jobs without accounting

_DATE: Final = re.compile(r"Configuration data as of (\d+)")
_SECONDS: Final = re.compile(r"(\d+) sec")

SILENT: Final = Code(
    "slurm-silent",
    State.ERROR,
    "The SLURM cluster cannot be asked: its controller, munge or the login node does not answer.",
    "Do what the sentence says; jobs keep their phases meanwhile.",
)
CLOCK: Final = Code(
    "slurm-clock",
    State.ERROR,
    "The clock of SLURM's controller differs from this machine's by seconds: starts and ends of"
    " jobs are told wrongly.",
    "Keep both hosts on time, by chrony or systemd-timesyncd.",
)
REFUSES: Final = Code(
    "slurm-refuses",
    State.ERROR,
    "SLURM would refuse every job for what `[manager]` has it submitted with: the partition, the"
    " account, the QoS, an option.",
    "Mend that key of `[manager]`; `sinfo` and `sacctmgr show assoc` list what there is.",
)
NOT_NOW: Final = Code(
    "slurm-not-now",
    State.WARNING,
    "SLURM would take no job for the time being: the partition is down, a limit is reached.",
    "Wait, or have the cluster's operators see to it; jobs wait QUEUED.",
)
KILL_WAIT: Final = Code(
    "slurm-kill-wait",
    State.WARNING,
    "SLURM kills a job before its script's `grace` is over, and before its end is written down.",
    "Set `[manager] grace` to some seconds less than `KillWait` of slurm.conf.",
)
VISIBLE: Final = Code(
    "slurm-visible-after",
    State.WARNING,
    "A submission may appear later than OPUS looks for it, and be submitted twice (and run once).",
    "Set `[manager] visible_after` to 20 s more than `MessageTimeout` of slurm.conf.",
)
FORGETS: Final = Code(
    "slurm-forgets",
    State.WARNING,
    "The cluster keeps no accounting, and forgets jobs soon after their end: why one ended may"
    " never be known.",
    "Set `MinJobAge` of slurm.conf to 300 or more, or let SLURM keep accounting.",
)
NO_ACCOUNTING: Final = Code(
    "slurm-no-accounting",
    State.ERROR,
    "`[manager] accounting = true`, and the cluster keeps none: sacct answers nothing.",
    "Leave `accounting` out, or set it to false.",
)
CODES: Final = (SILENT, CLOCK, REFUSES, NOT_NOW, KILL_WAIT, VISIBLE, FORGETS, NO_ACCOUNTING)

_SUBJECT: Final = "slurm"


def findings(
    commands: Commands, options: SlurmOptions, now: Callable[[], float] = time.time
) -> Iterator[Finding]:
    """Two questions, of which none changes anything. `now`: this machine's clock [s since 1970]."""
    before = now()
    try:
        text = commands.configuration()
    except BackendUnavailable as error:
        yield SILENT(_SUBJECT, f"{error.sentence}; jobs keep their phases until it answers")
        return
    yield from _clock(text, before, now())
    yield from _settings(parse_settings(text), options)
    yield from _would_take(commands, options)


def _clock(text: str, before: float, after: float) -> Iterator[Finding]:
    found = _DATE.match(text)
    if found is None:
        return
    shown = float(found[1])
    skew = shown - after if shown > after else min(0.0, shown - before)
    if abs(skew) > MOST:
        yield CLOCK(
            "clock",
            f"the clock of SLURM's controller is {abs(skew):.0f} s"
            f" {'ahead' if skew > 0 else 'behind'} of this machine's: set both by NTP (chrony,"
            " systemd-timesyncd)",
        )


def _settings(settings: dict[str, str], options: SlurmOptions) -> Iterator[Finding]:
    kill_wait = _seconds(settings, "KillWait")
    if kill_wait is not None and options.grace >= kill_wait:
        yield KILL_WAIT(
            _SUBJECT,
            f"[manager] grace is {options.grace} s, and SLURM kills after {kill_wait} s (KillWait):"
            " set grace to some seconds less",
        )
    timeout = _seconds(settings, "MessageTimeout")
    if timeout is not None and options.visible_after < timeout + _BEYOND:
        yield VISIBLE(
            _SUBJECT,
            f"[manager] visible_after is {options.visible_after:g} s, and SLURM gives up on a"
            f" command after {timeout} s (MessageTimeout): set it to {timeout + _BEYOND:g}",
        )
    if "slurmdbd" in settings.get("AccountingStorageType", "slurmdbd"):
        return
    if options.accounting:
        yield NO_ACCOUNTING(
            _SUBJECT,
            "[manager] accounting is true, and the cluster keeps none; leave it out, or say false",
        )
    memory = _seconds(settings, "MinJobAge")
    if memory is not None and memory < _SHORTEST_MEMORY:
        yield FORGETS(
            _SUBJECT,
            f"the cluster keeps no accounting, and forgets a job {memory} s after its end"
            f" (MinJobAge): set that to {_SHORTEST_MEMORY} or more",
        )


def _would_take(commands: Commands, options: SlurmOptions) -> Iterator[Finding]:
    """Whether a job as every job is submitted would be taken; none is submitted."""
    wanted = (("account", options.account), ("partition", options.partition), ("qos", options.qos))
    given = [directive(name, value) for name, value in wanted if value is not None]
    answer = commands.try_job([*options.sbatch_options, *given])
    if not answer.code:
        return
    error = refusal(answer.code, answer.text, answer.said)
    if isinstance(error, SubmitRejected):
        yield REFUSES(_SUBJECT, f"it would refuse every job: {error.sentence}; mend [manager]")
    elif isinstance(error, SubmitDeferred):
        yield NOT_NOW(
            _SUBJECT, f"it would take no job now: {error.sentence}; jobs wait until it does"
        )
    else:
        yield SILENT(_SUBJECT, f"{error.sentence}; jobs wait until that is mended")


def _seconds(settings: dict[str, str], key: str) -> int | None:
    found = _SECONDS.match(settings.get(key, ""))
    return int(found[1]) if found is not None else None
