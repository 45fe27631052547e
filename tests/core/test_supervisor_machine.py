"""Users, a supervisor and a cluster that answers late, out of order, wrongly or not at all, in any
order and killed at any moment: a script runs once at most, and the journal tells what is legal."""

from __future__ import annotations

import os
import tempfile
from collections import Counter
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from core.helpers.clockwork import Clockwork, Submission
from opus_core.job import TRANSITIONS, Phase, Work

MOST = 3  # jobs

which = st.integers(0, 7)
requests = st.sampled_from(["run", "run", "run", "abort", "delete", "destroy"])
outcomes = st.sampled_from(["lost", "late", "never", "deferred", "rejected", "mistaken"])
answers = st.sampled_from(["true", "late", "first", "gone", "unrecognised"])
methods = st.sampled_from(["start", "find", "get_status", "peek", "seal", "abort", "get_results"])
parts = st.sampled_from(["drive", "drive", "drive", "poll", "poll", "reap"])

# What may happen, each as a call of a method of the machine. There is one rule, which does several
# of them: hypothesis leaves out whole rules at times and likes to stop early, and so no job would
# get far.
work = st.one_of(
    st.tuples(st.just("supervise"), parts),
    st.tuples(st.just("advance"), which, st.sampled_from([0, 0, 3])),
    st.tuples(st.just("get_on"), parts, st.sampled_from([0.0, 6.0]), st.lists(which, max_size=3)),
)
events = st.one_of(
    st.tuples(st.just("ask"), requests, which),
    st.tuples(st.just("time_passes"), st.sampled_from([0.5, 6.0, 6.0, 100.0, 400.0])),
    st.tuples(st.just("calls_will_come_to"), st.lists(outcomes, max_size=3)),
    st.tuples(st.just("calls_will_fail"), st.lists(methods, max_size=4)),
    st.tuples(st.just("statuses_will_be"), st.lists(answers, max_size=4)),
    st.tuples(st.just("a_submission_arrives"), which),
    st.tuples(st.just("a_submission_arrives"), which),
    st.tuples(
        st.just("a_node_fails"), st.sampled_from(["requeue", "lose", "hold", "suspend"]), which
    ),
    st.tuples(st.just("it_will_be_killed"), st.integers(0, 5)),
    st.tuples(st.just("another_takes_over")),
    st.tuples(st.just("the_one_before_wakes_up"), parts),
    st.tuples(st.just("it_will_be_overtaken"), st.integers(0, 3), requests, which),
    st.tuples(st.just("it_will_be_overtaken"), st.integers(0, 3), st.just("advance"), which),
)


class Installation(RuleBasedStateMachine):
    """One installation, up to three jobs."""

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory()
        self.world = Clockwork(Path(self._folder.name))
        self.jobs: list[str] = []
        self.ids: dict[str, set[str]] = {}

    def teardown(self) -> None:
        try:
            self.settle()
        finally:
            self.world.close()
            self._folder.cleanup()

    @initialize(
        run=st.lists(st.sampled_from([True, True, False]), min_size=1, max_size=MOST),
        starts=st.lists(outcomes, max_size=3),
    )
    def create(self, run: list[bool], starts: list[str]) -> None:
        self.jobs = [self.world.create(run=wanted) for wanted in run]
        self.world.starts = starts

    @rule(plan=st.lists(work | work | work | events, min_size=5, max_size=20))
    def happen(self, plan: list[tuple]) -> None:
        for name, *arguments in plan:
            getattr(self, name)(*arguments)
            self.check()

    # -- work

    def supervise(self, part: str) -> None:
        self.world.step(part)
        for job_id, told in self.world.answered.items():
            row = self.world.storage.universe.rows.get(job_id)
            if row is not None and not told <= set(row.job.native_ids):
                assert row.job.native_ids == (self.claimant(job_id),), "an id is never dropped"

    def advance(self, nth: int, code: int) -> None:
        """A wrapper takes its next step."""
        if self.world.submissions:
            self.world.advance(self.some(nth), code)

    def get_on(self, part: str, seconds: float, steps: list[int]) -> None:
        self.world.storage.pass_time(seconds)
        for nth in steps:
            self.advance(nth, 0)
        self.supervise(part)

    # -- events

    def ask(self, what: str, nth: int) -> None:
        getattr(self.world, what)(self.jobs[nth % len(self.jobs)])

    def time_passes(self, seconds: float) -> None:
        self.world.storage.pass_time(seconds)

    def calls_will_come_to(self, starts: list[str]) -> None:
        self.world.starts = starts

    def calls_will_fail(self, down: list[str]) -> None:
        self.world.down = Counter(down)

    def statuses_will_be(self, said: list[str]) -> None:
        self.world.answers = said

    def a_submission_arrives(self, nth: int) -> None:
        """One that nobody has an answer to reaches the cluster after all, or a second time."""
        if self.world.on_the_way:
            self.world.submit(self.world.on_the_way.pop(0))
        elif self.world.submissions:
            self.world.submit_again(self.some(nth))

    def a_node_fails(self, what: str, nth: int) -> None:
        if self.world.submissions:
            getattr(self.world, what)(self.some(nth))

    def it_will_be_killed(self, acts: int) -> None:
        self.world.left = acts

    def another_takes_over(self) -> None:
        self.world.replace()

    def the_one_before_wakes_up(self, part: str) -> None:
        """It goes by its own clock, which stood still."""
        if self.world.stale:
            left, self.world.left = self.world.left, None
            self.world.step(part, self.world.stale)
            self.world.left = left

    def it_will_be_overtaken(self, acts: int, what: str, nth: int) -> None:
        """In the middle of what the supervisor does next."""

        def happen() -> None:
            if what == "advance":
                self.advance(nth, 0)
            else:
                self.ask(what, nth)

        self.world.meanwhile = [lambda: None] * acts + [happen]

    def some(self, nth: int) -> Submission:
        every = list(self.world.submissions.values())
        return every[nth % len(every)]

    # -- what always holds

    @invariant()
    def check(self) -> None:
        self.a_script_has_run_once_at_most()
        self.nothing_begins_of_what_has_ended()
        self.the_journal_is_legal()
        self.no_id_is_dropped_but_for_the_claims_sake()
        self.nothing_is_forgotten()
        self.what_completed_has_run_well()

    def a_script_has_run_once_at_most(self) -> None:
        assert max(self.world.runs.values(), default=0) <= 1, self.world.runs

    def nothing_begins_of_what_has_ended(self) -> None:
        assert self.world.too_late == []

    def the_journal_is_legal(self) -> None:
        stands: dict[str, Phase | None] = {}
        for change in self.world.storage.universe.journal:
            if change.old is None:
                assert change.job_id not in stands
            else:
                assert stands[change.job_id] is change.old, change
            if change.old is not None and change.new is not None:
                assert change.new in TRANSITIONS[change.old], change
                assert not change.old.over or change.new is Phase.ARCHIVED, "an end is a sink"
            stands[change.job_id] = change.new
        for job_id, row in self.world.storage.universe.rows.items():
            assert stands[job_id] is (None if row.job.doomed else row.job.phase)

    def no_id_is_dropped_but_for_the_claims_sake(self) -> None:
        for job_id, row in self.world.storage.universe.rows.items():
            now = set(row.job.native_ids)
            dropped = self.ids.get(job_id, set()) - now
            assert not dropped or now == {self.claimant(job_id)}, dropped
            self.ids[job_id] = now

    def nothing_is_forgotten(self) -> None:
        assert self.world.storage.forgotten == []

    def what_completed_has_run_well(self) -> None:
        for job_id, row in self.world.storage.universe.rows.items():
            if row.job.phase is Phase.COMPLETED:
                assert self.world.ended[job_id] == (0, "")
                # One whose time has come may have been emptied already, to be ARCHIVED next.
                destroyed = row.job.destruction is not None and not row.job.results
                assert destroyed or [one.id for one in row.job.results] == ["plot"]

    def claimant(self, job_id: str) -> str | None:
        return self.world.folders.links(job_id).claimant

    # -- and in the end

    def settle(self) -> None:
        """The weather clears up, whoever runs comes to an end: and so does every job."""
        world = self.world
        world.starts, world.answers, world.meanwhile = [], [], []
        world.down.clear()
        world.restart()
        rows = world.storage.universe.rows
        for _ in range(60):
            while world.on_the_way:
                self.a_submission_arrives(0)
            for one in world.submissions.values():
                if one.step != "over":
                    world.advance(one, 0)
            for part in ("drive", "poll", "reap"):
                world.step(part)
            world.storage.pass_time(30)
            open_ = [row.job for row in rows.values() if row.job.needs_supervisor]
            if not open_ and all(one.step == "over" for one in world.submissions.values()):
                break
        assert open_ == [], "every job comes to its end"
        for row in rows.values():
            assert row.job.work in (Work.NONE, Work.RELEASED)
            assert row.job.phase.over or row.job.phase is Phase.PENDING
        self.check()


Installation.TestCase.settings = settings(
    max_examples=300 if os.environ.get("OPUS_SOAK") else 100,
    stateful_step_count=16,
    deadline=None,
    derandomize=True,  # the same lives on every machine
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
test_installation = Installation.TestCase
