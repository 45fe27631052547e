"""The rules of a job's life: a job and what happened to it give the job it becomes. No I/O.

Three parties use them: the web (what a user may ask for), the supervisor (what the scheduler and
the job's folder say), and tests, which drive them at random. Every rule either returns a job in a
legal state or raises `NotAllowed`; a late or senseless report changes nothing, since a phase that
is over is a sink. The rules never look at a clock: the instant comes in.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from opus_core.backends import Cause, Kind, Status
from opus_core.errors import NotAllowed
from opus_core.job import (
    TRANSITIONS,
    ErrorSummary,
    ErrorType,
    Job,
    Mark,
    Parameter,
    Phase,
    Result,
    Upload,
    Watch,
    Work,
)
from opus_core.links import Exit

LONGEST_DURATION: Final = 2**31 - 1  # [s]; executionDuration is an xs:int (UWS 1.1 appendix B)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """What a site has decided about how jobs end."""

    overuse_is_error: bool = False  # time and memory limits: ERROR instead of ABORTED
    grace: float = 90.0  # [s] that an exit, or a scheduler's word, may be missing


# --- phases ----------------------------------------------------------------------------------


def way(old: Job, new: Job) -> list[Phase]:
    """The phases that are told of on the way from one state of a job (left out) to another.

    That is the shortest legal one; but of a job that began since, that it was EXECUTING.
    """
    if new.phase.over and old.started is None and new.started is not None:
        return [*steps(old.phase, Phase.EXECUTING), *steps(Phase.EXECUTING, new.phase)]
    return steps(old.phase, new.phase)


def steps(old: Phase, new: Phase) -> list[Phase]:
    """The phases from `old` (left out) to `new`, by the shortest legal way.

    A report that skips phases is applied one by one, so that whoever follows the journal only
    ever sees legal transitions. Empty if nothing changes, or if there is no way.
    """
    if old is new:
        return []
    # The way leads through EXECUTING or QUEUED, never through HELD or an end.
    inner = {Phase.QUEUED, Phase.EXECUTING}
    ways: deque[list[Phase]] = deque([[old]])
    seen = {old}
    while ways:
        way = ways.popleft()
        for step in TRANSITIONS[way[-1]]:
            if step is new:
                return [*way[1:], new]
            if step in inner and step not in seen:
                seen.add(step)
                ways.append([*way, step])
    return []


def _enter(job: Job, phase: Phase) -> Job:
    """The job in that phase if that is legal; a doomed job keeps the phase it had, since for
    clients it is gone already."""
    if job.doomed or not steps(job.phase, phase):
        return job
    return replace(job, phase=phase)


def _end(
    job: Job, phase: Phase, instant: datetime, message: str = "", *, again: bool = False
) -> Job:
    """The job over, in `phase`, since `instant`; `again`: trying once more may help."""
    ended = _enter(job, phase)
    if ended is job:
        return job
    error = None
    if message:
        kind = ErrorType.TRANSIENT if again else ErrorType.FATAL
        error = ErrorSummary(message=message, type=kind, has_detail=job.started is not None)
    return replace(ended, ended=_clamp(job, instant), error=error)


def _done(job: Job, *, sealed: datetime | None = None) -> Job:
    """Nothing of it can run any more; what was being watched for is of no interest now."""
    return replace(job, work=Work.ENDED, watch=Watch(sealed=sealed))


def _clamp(job: Job, instant: datetime) -> datetime:
    """An end that is not before the start: foreign clocks are not trusted that far."""
    return max(instant, job.started or job.created)


# --- what users ask for ----------------------------------------------------------------------


def run(job: Job, *, now: datetime, tag: str, can_resume: bool) -> Job:
    """PHASE=RUN: a PENDING job is wanted on the cluster, a HELD one to be released there."""
    if job.phase is Phase.PENDING:
        return replace(job, phase=Phase.QUEUED, work=Work.WANTED, queued=now, tag=tag)
    if job.phase is Phase.HELD and can_resume:
        return replace(job, marks=job.marks | {Mark.RESUME_REQUESTED})
    if job.phase is Phase.HELD:
        raise NotAllowed(
            f"job {job.id} is HELD by the cluster, which only its administrators can change;"
            " wait, or ABORT it"
        )
    raise NotAllowed(
        f"job {job.id} is {job.phase}; RUN is for a PENDING job, so make a new one to run it again"
    )


def abort(job: Job, *, now: datetime) -> Job:
    """PHASE=ABORT, in every phase; a job that is over stays as it is."""
    if job.phase.over:
        return job
    if job.work in (Work.NONE, Work.WANTED):
        # The supervisor's save of STARTING now fails, so nothing starts.
        return replace(_end(job, Phase.ABORTED, now), work=Work.NONE)
    if job.work in (Work.ENDED, Work.RELEASED):
        return _end(job, Phase.ABORTED, now)
    return replace(job, marks=job.marks | {Mark.ABORT_REQUESTED})


def doom(job: Job, *, now: datetime) -> Job:
    """DELETE, or destruction without archive: unknown to clients from the save of this on."""
    if job.doomed:
        return job
    work = Work.NONE if job.work is Work.WANTED else job.work
    return replace(job, work=work, marks=job.marks | {Mark.DOOMED})


def archive(job: Job, *, now: datetime) -> Job:
    """Destruction with archive: one step towards ARCHIVED. First over, then released, then this;
    results are removed by then and the destruction time is cleared."""
    if job.doomed or job.phase is Phase.ARCHIVED:
        return job
    if not job.phase.over:
        return abort(job, now=now)
    if job.work not in (Work.NONE, Work.RELEASED):
        return job
    return replace(job, phase=Phase.ARCHIVED, results=(), destruction=None)


def emptied(job: Job) -> Job:
    """Its results are about to be removed for good; none are offered from the save of this on."""
    return replace(job, results=())


def set_execution_duration(job: Job, seconds: int, *, longest: int) -> Job:
    """EXECUTIONDURATION while PENDING; 0, no limit, and what is beyond `longest` become that."""
    if job.phase is not Phase.PENDING:
        raise NotAllowed(
            f"job {job.id} is {job.phase}; its execution duration can be set while it is PENDING"
        )
    return replace(job, execution_duration=clamp_duration(seconds, longest=longest))


def clamp_duration(seconds: int, *, longest: int) -> int:
    """A wish for an execution duration as this server grants it [s]; 0: no limit."""
    granted = min(seconds, LONGEST_DURATION)
    if longest and (granted == 0 or granted > longest):
        return longest
    return granted


def set_destruction(job: Job, instant: datetime, *, latest: datetime | None) -> Job:
    """DESTRUCTION at any time before ARCHIVED; what is later than `latest` becomes that."""
    if job.phase is Phase.ARCHIVED:
        raise NotAllowed(f"job {job.id} is ARCHIVED: its results are gone, its record is kept")
    return replace(job, destruction=min(instant, latest) if latest else instant)


def set_parameters(job: Job, parameters: tuple[Parameter, ...]) -> Job:
    """New values for parameters while PENDING (UWS 1.1 section 2.1.11)."""
    if job.phase is not Phase.PENDING:
        raise NotAllowed(
            f"job {job.id} is {job.phase}; its parameters can be changed while it is PENDING"
        )
    return replace(job, parameters=parameters)


# --- inputs that are given as URLs -----------------------------------------------------------


def awaited(job: Job) -> tuple[str, ...]:
    """The URLs of inputs that have not been fetched, each once.

    Such an input is a file without a hash. When it has one, it keeps its URL as its value.
    """
    files = [one for one in job.parameters if one.upload is not None and not one.upload.sha256]
    return tuple(dict.fromkeys(one.value for one in files))


def arrived(job: Job, url: str, upload: Upload) -> Job:
    """The input from there is in the job's folder. `NotAllowed` if nobody wants it any more."""
    if job.work is not Work.WANTED or url not in awaited(job):
        raise NotAllowed(f"job {job.id} waits for nothing from {url}")
    parameters = tuple(
        replace(one, upload=upload)
        if one.value == url and one.upload is not None and not one.upload.sha256
        else one
        for one in job.parameters
    )
    return replace(job, parameters=parameters, watch=Watch())


def not_arrived(job: Job) -> Job:
    """An input could not be fetched, once more; to be tried again. `NotAllowed` as before."""
    if job.work is not Work.WANTED:
        raise NotAllowed(f"job {job.id} waits for no inputs")
    return replace(job, watch=replace(job.watch, attempts=job.watch.attempts + 1))


# --- submission ------------------------------------------------------------------------------


def starting(job: Job, *, now: datetime) -> Job:
    """About to call `Manager.start`, for the first time or once more under the same tag."""
    if job.work not in (Work.WANTED, Work.STARTING):
        raise NotAllowed(f"job {job.id} is not to be submitted: its work is {job.work}")
    return replace(
        job,
        work=Work.STARTING,
        submitted_at=job.submitted_at or now,
        watch=replace(job.watch, resubmitted=now, absent=None),
    )


def adopt(job: Job, native_ids: Iterable[str]) -> Job:
    """The cluster has it under these ids, whatever has become of the job: an id, once known, is
    never dropped."""
    known = (*job.native_ids, *(one for one in native_ids if one not in job.native_ids))
    if job.work in (Work.WANTED, Work.STARTING):
        return replace(job, work=Work.LIVE, native_ids=known, watch=Watch())
    return replace(job, native_ids=known)


def claimed(job: Job, native_id: str) -> Job:
    """The claim names the one submission that is the job's: what was seen of the others does not
    count, and they are dropped, being told to leave by whoever found out."""
    if job.native_ids == (native_id,):
        return job
    watch = replace(job.watch, over=None, gone=None)
    return replace(job, native_ids=(native_id,), watch=watch)


def defer(job: Job, *, now: datetime) -> Job:
    """This call of `start` has definitely not submitted it; to be tried again, unless nobody
    wants it any more.

    Where the outcome of an earlier call is not known the job stays STARTING: that one may still
    arrive, so nothing may be ended without a look at the claim.
    """
    if job.work is not Work.STARTING:
        return job
    watch = replace(job.watch, attempts=job.watch.attempts + 1)
    if job.submitted_at != watch.resubmitted:
        return replace(job, watch=watch)
    back = replace(job, work=Work.WANTED, submitted_at=None, watch=watch)
    if job.doomed:
        return replace(back, work=Work.NONE)
    return abort(back, now=now) if job.abort_requested else back


def reject(job: Job, message: str, *, now: datetime, again: bool = False) -> Job:
    """The scheduler will never run it, or this server cannot even ask it to; `again`: another
    job like it may be luckier."""
    if job.work not in (Work.WANTED, Work.STARTING):
        return job
    ended = _end(job, Phase.ERROR, now, message, again=again)
    # What was never handed over leaves nothing to be cleared up.
    return _done(ended) if job.work is Work.STARTING else replace(ended, work=Work.RELEASED)


def never_begun(job: Job, *, now: datetime) -> Job:
    """It was sealed before it began, since it is to be aborted or deleted."""
    if job.work is not Work.STARTING:
        return job
    return _done(_end(job, Phase.ABORTED, now), sealed=now)


def absent(job: Job, *, now: datetime) -> Job:
    """The scheduler was asked and has nothing under the tag; remembers the first time."""
    return replace(job, watch=replace(job.watch, absent=job.watch.absent or now))


# --- what the scheduler says -----------------------------------------------------------------

_PHASES: Final = {
    Kind.QUEUED: Phase.QUEUED,
    Kind.HELD: Phase.HELD,
    Kind.RUNNING: Phase.EXECUTING,
    Kind.SUSPENDED: Phase.SUSPENDED,
}


def report(job: Job, status: Status, *, now: datetime) -> Job:
    """A scheduler's word about a job that is LIVE and has not said how it ended.

    UNRECOGNISED changes nothing. GONE and ENDED are only remembered, with the instant; see
    `ended_by_scheduler` and `lost` for what becomes of them.
    """
    if job.work is not Work.LIVE or status.kind is Kind.UNRECOGNISED:
        return job
    watch = job.watch
    if status.kind is Kind.GONE:
        return replace(job, watch=replace(watch, gone=watch.gone or now))
    if status.kind is Kind.ENDED:
        return replace(job, watch=replace(watch, gone=None, over=watch.over or now))
    if watch.gone or watch.over:  # it is back: requeued, or the answer before was a hiccup
        job = replace(job, watch=replace(watch, gone=None, over=None))
    if status.kind is not Kind.HELD:
        job = resumed(job)
    phase = _PHASES[status.kind]
    if phase is Phase.QUEUED and job.started is not None:
        phase = Phase.SUSPENDED  # it ran and waits to run again; QUEUED would be a step back
    if phase is Phase.EXECUTING:
        return begun(job, instant=status.started or now, now=now)
    if phase is Phase.SUSPENDED and job.started is None:
        job = _start(job, status.started or now, now)
    return _enter(job, phase)


def resumed(job: Job) -> Job:
    """The wish to release a HELD job has been passed on, or come true."""
    if Mark.RESUME_REQUESTED not in job.marks:
        return job
    return replace(job, marks=job.marks - {Mark.RESUME_REQUESTED})


def aborting(job: Job, *, now: datetime) -> Job:
    """The cluster has been told to stop it, now once more."""
    if job.work is not Work.LIVE:
        return job
    attempts = job.watch.attempts + 1
    return replace(job, watch=replace(job.watch, aborted=now, attempts=attempts))


def begun(job: Job, *, instant: datetime, now: datetime) -> Job:
    """The script runs since `instant`."""
    if job.work is not Work.LIVE or job.phase.over:
        return job
    return _enter(_start(resumed(job), instant, now), Phase.EXECUTING)


def _start(job: Job, instant: datetime, now: datetime) -> Job:
    """Set the start, once, not before creation and not in the future; the quote moves with it."""
    if job.started is not None:
        return job
    started = min(max(instant, job.created), max(now, job.created))
    quote = started + (job.quote - job.created) if job.quote else None
    return replace(job, started=started, quote=quote)


def ended_by_scheduler(job: Job, status: Status, policy: Policy, *, now: datetime) -> Job:
    """The scheduler says that it is over, and the wrapper has left no exit.

    OK and FAILED wait `policy.grace` for the exit, NODE and PREEMPTED for one more poll (the
    scheduler may queue it again); the rest ends at once, as `schedulers.md` B4 says.
    """
    if job.work is not Work.LIVE or status.kind is not Kind.ENDED or status.cause is None:
        return job
    first = job.watch.over or now
    job = replace(job, watch=replace(job.watch, gone=None, over=first))
    waited = now - first
    cause = status.cause
    if not job.abort_requested and not job.doomed:
        if cause in (Cause.OK, Cause.FAILED) and waited < timedelta(seconds=policy.grace):
            return job
        if cause in (Cause.NODE, Cause.PREEMPTED) and not waited:
            return job
    if status.started is not None:
        job = _start(job, status.started, now)
    instant = min(status.ended or now, now)
    if job.abort_requested:
        return _done(_end(job, Phase.ABORTED, instant))
    phase, message, again = _verdict(status, policy)
    return _done(_end(job, phase, instant, message, again=again))


def _verdict(status: Status, policy: Policy) -> tuple[Phase, str, bool]:
    """Phase, sentence, and whether trying again may help, where only the scheduler knows."""
    overuse = Phase.ERROR if policy.overuse_is_error else Phase.ABORTED
    said = (
        f" (the cluster says: {status.reason or status.native_state})"
        if (status.reason or status.native_state)
        else ""
    )
    match status.cause:
        case Cause.TIME_LIMIT:
            return overuse, f"execution duration exceeded{said}", False
        case Cause.MEMORY:
            return overuse, f"memory limit exceeded{said}; ask for more memory", False
        case Cause.CANCELLED:
            return Phase.ABORTED, f"cancelled on the cluster{said}", False
        case Cause.DEADLINE:
            return Phase.ABORTED, f"it could not be started in time{said}", True
        case Cause.PREEMPTED:
            return Phase.ABORTED, f"it had to make room for another job{said}; run it again", True
        case Cause.NODE:
            return Phase.ERROR, f"the machine it ran on failed{said}; run it again", True
        case Cause.LAUNCH:
            return Phase.ERROR, f"the cluster could not launch it{said}; run it again", True
        case _:
            return Phase.ERROR, f"its end was not recorded{said}; run it again", True


def lost(job: Job, asked: str, *, begun: bool, now: datetime) -> Job:
    """Nobody knows of it any more. `asked` names who was asked; `begun`: its script had begun."""
    if job.work is not Work.LIVE:
        return job
    sealed = None if begun else now
    if job.abort_requested:
        return _done(_end(job, Phase.ABORTED, now), sealed=sealed)
    became = "what it was doing is not known" if begun else "it had not begun"
    message = f"the job was lost: {asked} know nothing of it, and {became}; run it again"
    return _done(_end(job, Phase.ERROR, now, message, again=True), sealed=sealed)


def copied(job: Job, *, now: datetime) -> Job:
    """It belongs to the installation that this one is a copy of."""
    message = "copied from another installation, which goes on with it; run it again"
    return _end(job, Phase.ERROR, now, message, again=True)


# --- how the script ended --------------------------------------------------------------------


_RESTARTED: Final = "the cluster restarted it after it had begun; run it again"
_STOPS: Final = frozenset(Cause) - {Cause.OK, Cause.FAILED}


def exited(job: Job, exit_: Exit, status: Status | None, policy: Policy, *, now: datetime) -> Job:
    """The wrapper has written how the script ended: the authority on that.

    The phase follows `protocol.md` section 4; a script that ended well stays EXECUTING until its
    results are in place. `status` is what the scheduler last said, if it was asked.
    """
    if job.work is not Work.LIVE:
        return job
    instant = min(exit_.ended or now, now)
    if exit_.started is not None:
        job = _start(job, exit_.started, now)
    over = _done(job)
    cause = status.cause if status else None
    overuse = Phase.ERROR if policy.overuse_is_error else Phase.ABORTED
    if exit_.stopped:
        if job.abort_requested or job.doomed:
            return _end(over, Phase.ABORTED, instant)
        if status is not None and cause in _STOPS and (exit_.reason or cause is not Cause.MEMORY):
            phase, message, again = _verdict(status, policy)
            return _end(over, phase, instant, message, again=again)
        if status is not None and status.restarts and status.kind in (Kind.QUEUED, Kind.HELD):
            return _end(over, Phase.ERROR, instant, _RESTARTED, again=True)
        first = job.watch.over or now
        if cause is None and now - first < timedelta(seconds=policy.grace):
            waiting = _enter(job, Phase.EXECUTING) if job.started else job
            return replace(waiting, watch=replace(job.watch, over=first))
    match exit_.reason:
        case "limit":
            message = f"execution duration of {job.execution_duration} s exceeded"
            return _end(over, overuse, instant, message)
        case "term":
            return _end(over, Phase.ABORTED, instant, "stopped by the system", again=True)
        case "requeued":
            return _end(over, Phase.ERROR, instant, _RESTARTED, again=True)
    short_of_memory = exit_.oom or cause is Cause.MEMORY
    memory = "memory limit exceeded; ask for more memory"
    if exit_.code == 0 and exit_.signal is None:
        if short_of_memory:
            return _end(over, overuse, instant, memory)
        return _enter(over, Phase.EXECUTING)
    if exit_.signal is not None:
        message = f"the script was ended by signal {exit_.signal}"
    else:
        message = f"the script ended with exit code {exit_.code}"
    if short_of_memory:
        message = f"{message}: {memory}"
    return _end(over, Phase.ERROR, instant, message)


def fetched(job: Job, results: tuple[Result, ...], exit_: Exit | None, *, now: datetime) -> Job:
    """Results are in place; what lies on the cluster may go, and `released` is all that is left.

    COMPLETED is only said here, of a job that is still EXECUTING: what was aborted or failed
    before keeps its end, with the results it has.
    """
    if job.work is not Work.ENDED or job.doomed:
        return job
    job = replace(job, results=results)
    if job.phase.over:
        return job
    instant = min(exit_.ended, now) if exit_ and exit_.ended else now
    return _end(job, Phase.COMPLETED, instant)


def released(job: Job) -> Job:
    """The cluster has forgotten a job that is over, or that is to be removed."""
    if job.work is not Work.ENDED or not (job.phase.over or job.doomed):
        return job
    return replace(job, work=Work.RELEASED, watch=Watch())


def unfetchable(job: Job, message: str, *, now: datetime) -> Job:
    """A result that had to be there is not: the job failed, though its script did not say so."""
    return _end(job, Phase.ERROR, now, message) if job.work is Work.ENDED else job
