"""Users, a cluster and its folders, in any order and at any time: only what is legal happens."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from opus_core import lifecycle
from opus_core.backends import Cause, Kind, Status
from opus_core.errors import NotAllowed
from opus_core.job import (
    TRANSITIONS,
    DefinitionRef,
    Job,
    Parameter,
    Phase,
    Result,
    Work,
)
from opus_core.links import Exit

BEGIN = datetime(2026, 5, 1, tzinfo=UTC)
TABLE = Result(id="table", name="t.csv", size=3, media_type="text/csv", sha256="0" * 64)

FORWARD = {
    Work.NONE: {Work.WANTED},
    Work.WANTED: {Work.STARTING, Work.LIVE, Work.NONE, Work.RELEASED},
    Work.STARTING: {Work.WANTED, Work.NONE, Work.LIVE, Work.ENDED},
    Work.LIVE: {Work.ENDED},
    Work.ENDED: {Work.RELEASED},
    Work.RELEASED: set(),
}

# Clocks elsewhere are wrong by up to a day.
instants = st.none() | st.floats(-86400, 86400).map(lambda s: BEGIN + timedelta(seconds=s))
ids = st.sampled_from(["1", "2", "3", "4"])
policies = st.builds(lifecycle.Policy, overuse_is_error=st.booleans(), grace=st.just(90.0))
statuses = st.sampled_from(Kind).flatmap(
    lambda kind: st.builds(
        Status,
        kind=st.just(kind),
        cause=st.sampled_from(Cause) if kind is Kind.ENDED else st.none(),
        reason=st.sampled_from(["", "Priority"]),
        started=instants,
        ended=instants,
    )
)
exits = st.builds(
    Exit,
    claimant=st.just("1"),
    code=st.sampled_from([None, 0, 1, 137, 143]),
    signal=st.sampled_from([None, 9, 15]),
    reason=st.sampled_from(["", "", "limit", "term", "requeued", "nonsense"]),
    started=instants,
    ended=instants,
)


class Life(RuleBasedStateMachine):
    """One job. Answers of the cluster come whenever they like, also to questions that were asked
    long ago: each is applied to the job as it then stands."""

    def __init__(self) -> None:
        super().__init__()
        self.now = BEGIN
        self.job = Job(id="0" * 32, definition=DefinitionRef("x", 1), created=BEGIN, quote=BEGIN)

    def become(self, after: Job, *, losers: bool = False) -> None:
        """Save it as the supervisor does: one legal phase after the other."""
        before, phase = self.job, self.job.phase
        for step in lifecycle.steps(before.phase, after.phase):
            assert step in TRANSITIONS[phase]
            assert not before.phase.over or step is Phase.ARCHIVED, "an end is a sink"
            phase = step
        assert phase is after.phase, "there was no legal way"
        assert after.work is before.work or after.work in FORWARD[before.work]
        assert not before.doomed or (after.doomed and after.phase is before.phase)
        assert not before.abort_requested or after.abort_requested
        assert losers or set(after.native_ids) >= set(before.native_ids)
        assert before.tag in (None, after.tag)
        assert before.started in (None, after.started)
        assert before.ended in (None, after.ended)
        assert (after.id, after.created) == (before.id, before.created)
        self.job = after

    # -- time

    @rule(seconds=st.sampled_from([0.001, 1.0, 45.0, 100.0, 86400.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    # -- users; the web cannot reach a doomed job

    def ask(self, what) -> None:
        if self.job.doomed:
            return
        try:
            self.become(what(self.job))
        except NotAllowed:
            return

    @rule(can_resume=st.booleans())
    def run(self, can_resume: bool) -> None:
        self.ask(lambda job: lifecycle.run(job, now=self.now, tag="t", can_resume=can_resume))

    @rule()
    def abort(self) -> None:
        self.ask(lambda job: lifecycle.abort(job, now=self.now))
        assert self.job.doomed or self.job.phase.over or self.job.abort_requested

    @rule()
    def doom(self) -> None:
        self.ask(lambda job: lifecycle.doom(job, now=self.now))
        assert self.job.doomed

    @rule()
    def archive(self) -> None:
        self.ask(lambda job: lifecycle.archive(job, now=self.now))

    @rule(seconds=st.integers(0, 2**40), longest=st.sampled_from([0, 60]))
    def set_execution_duration(self, seconds: int, longest: int) -> None:
        self.ask(lambda job: lifecycle.set_execution_duration(job, seconds, longest=longest))

    @rule()
    def set_destruction(self) -> None:
        self.ask(lambda job: lifecycle.set_destruction(job, self.now, latest=None))

    @rule(value=st.text(max_size=3))
    def set_parameters(self, value: str) -> None:
        parameters = (Parameter(name="a", value=value),)
        self.ask(lambda job: lifecycle.set_parameters(job, parameters))

    # -- submission

    @precondition(lambda self: self.job.work in (Work.WANTED, Work.STARTING))
    @rule()
    def about_to_start(self) -> None:
        self.become(lifecycle.starting(self.job, now=self.now))

    @precondition(lambda self: self.job.submitted_at is not None)
    @rule(native_id=ids)
    def started_or_found(self, native_id: str) -> None:
        self.become(lifecycle.adopt(self.job, [native_id]))
        assert native_id in self.job.native_ids

    @precondition(lambda self: self.job.native_ids)
    @rule(native_id=ids)
    def claimed(self, native_id: str) -> None:
        self.become(lifecycle.claimed(self.job, native_id), losers=True)

    @rule()
    def deferred(self) -> None:
        work, watch = self.job.work, self.job.watch
        in_doubt = work is Work.STARTING and self.job.submitted_at != watch.resubmitted
        self.become(lifecycle.defer(self.job, now=self.now))
        assert not in_doubt or self.job.work is Work.STARTING, "an earlier call may get through"

    @rule()
    def rejected(self) -> None:
        self.become(lifecycle.reject(self.job, "never", now=self.now))

    @rule()
    def sealed(self) -> None:
        self.become(lifecycle.never_begun(self.job, now=self.now))

    @rule()
    def found_nothing(self) -> None:
        if self.job.work is Work.STARTING:
            self.become(lifecycle.absent(self.job, now=self.now))

    # -- the cluster

    @rule(status=statuses)
    def reported(self, status: Status) -> None:
        before = self.job
        self.become(lifecycle.report(self.job, status, now=self.now))
        if status.kind is Kind.UNRECOGNISED:
            assert self.job == before
        if status.kind in (Kind.GONE, Kind.ENDED):
            assert self.job.phase is before.phase, "only remembered"

    @rule(cause=st.sampled_from(Cause), policy=policies, started=instants, ended=instants)
    def ended(self, cause: Cause, policy: lifecycle.Policy, started, ended) -> None:
        status = Status(kind=Kind.ENDED, cause=cause, started=started, ended=ended)
        self.become(lifecycle.ended_by_scheduler(self.job, status, policy, now=self.now))

    @rule(begun=st.booleans())
    def lost(self, begun: bool) -> None:
        self.become(lifecycle.lost(self.job, "all", begun=begun, now=self.now))

    @rule()
    def told_to_stop(self) -> None:
        self.become(lifecycle.aborting(self.job, now=self.now))

    @rule()
    def told_to_resume(self) -> None:
        self.become(lifecycle.resumed(self.job))

    # -- the folder

    @rule(instant=instants)
    def begun(self, instant: datetime | None) -> None:
        self.become(lifecycle.begun(self.job, instant=instant or self.now, now=self.now))

    @rule(exit_=exits, status=st.none() | statuses, policy=policies)
    def exited(self, exit_: Exit, status: Status | None, policy: lifecycle.Policy) -> None:
        self.become(lifecycle.exited(self.job, exit_, status, policy, now=self.now))

    @rule(exit_=st.none() | exits)
    def fetched(self, exit_: Exit | None) -> None:
        self.become(lifecycle.fetched(self.job, (TABLE,), exit_, now=self.now))

    @rule()
    def released(self) -> None:
        self.become(lifecycle.released(self.job))

    @rule()
    def results_are_missing(self) -> None:
        self.become(lifecycle.unfetchable(self.job, "missing", now=self.now))

    # -- what always holds

    @invariant()
    def times_are_in_order(self) -> None:
        job = self.job
        times = [one for one in (job.created, job.started, job.ended, self.now) if one is not None]
        assert times == sorted(times)

    @invariant()
    def phase_and_work_fit(self) -> None:
        job = self.job
        assert job.phase is not Phase.UNKNOWN
        assert (job.phase is Phase.PENDING) <= (job.work is Work.NONE)
        if job.doomed:
            return
        if job.work is Work.NONE:
            assert job.phase in (Phase.PENDING, Phase.ABORTED, Phase.ARCHIVED)
        if job.work in (Work.WANTED, Work.STARTING):
            assert job.phase is Phase.QUEUED
        if job.work is Work.LIVE:
            assert job.phase.active
        if job.work is Work.ENDED:
            assert job.phase.over or job.phase is Phase.EXECUTING
        if job.work is Work.RELEASED:
            assert job.phase.over
        assert job.phase.over == (job.ended is not None)

    @invariant()
    def only_what_the_cluster_may_have_was_submitted(self) -> None:
        if self.job.work in (Work.STARTING, Work.LIVE):
            assert self.job.submitted_at is not None
            assert self.job.tag is not None
        if self.job.work is Work.WANTED:
            assert self.job.submitted_at is None

    @invariant()
    def what_executes_has_begun(self) -> None:
        if self.job.work is Work.LIVE and self.job.phase in (Phase.EXECUTING, Phase.SUSPENDED):
            assert self.job.started is not None
        if self.job.phase is Phase.QUEUED:
            assert self.job.started is None or self.job.doomed

    # -- and in the end

    def teardown(self) -> None:
        """Once somebody wants it stopped and the cluster says so, it is over and released."""
        self.abort()
        if self.job.work is Work.STARTING:
            self.sealed()
        status = Status(kind=Kind.ENDED, cause=Cause.CANCELLED)
        policy = lifecycle.Policy()
        self.become(lifecycle.ended_by_scheduler(self.job, status, policy, now=self.now))
        self.fetched(None)
        self.released()
        assert self.job.work in (Work.NONE, Work.RELEASED)
        assert self.job.phase.over or self.job.doomed
        self.archive()
        assert self.job.phase is Phase.ARCHIVED or self.job.doomed


Life.TestCase.settings = settings(
    max_examples=300 if os.environ.get("OPUS_SOAK") else 100,
    stateful_step_count=40,
    deadline=None,
)
test_life = Life.TestCase
