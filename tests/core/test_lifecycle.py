"""The rules of a job's life, one claim each; see `docs/` on a job's life for the tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.helpers.jobs import (
    ABORT,
    DOOMED,
    RESUME,
    SITE,
    TABLE,
    a_job,
    an_exit,
    at,
    ended,
    executing,
    live,
    marked,
    message,
    over,
    starting,
    wanted,
)
from opus_core import lifecycle
from opus_core.errors import NotAllowed
from opus_core.job import (
    OVER,
    TRANSITIONS,
    Job,
    Parameter,
    Phase,
    Watch,
    Work,
)
from opus_core.lifecycle import steps

# -- steps


@pytest.mark.parametrize("old", Phase)
@pytest.mark.parametrize("new", Phase)
def test_every_step_is_legal_and_the_last_is_where_it_leads(old: Phase, new: Phase) -> None:
    way = steps(old, new)
    for before, after in zip([old, *way], way, strict=False):
        assert after in TRANSITIONS[before]
    assert way == [] or way[-1] is new
    if new in TRANSITIONS[old]:
        assert way == [new], "the shortest way"


@pytest.mark.parametrize("end", [Phase.COMPLETED, Phase.ERROR, Phase.ABORTED])
@pytest.mark.parametrize("new", Phase)
def test_an_end_only_leads_to_archived(end: Phase, new: Phase) -> None:
    assert steps(end, new) == ([Phase.ARCHIVED] if new is Phase.ARCHIVED else [])


def test_nothing_leads_to_unknown_or_back_to_pending() -> None:
    for old in Phase:
        assert steps(old, Phase.UNKNOWN) == []
        assert steps(old, Phase.PENDING) == []


def test_a_way_leads_through_executing_and_never_through_held_or_an_end() -> None:
    assert steps(Phase.QUEUED, Phase.COMPLETED) == [Phase.EXECUTING, Phase.COMPLETED]
    assert steps(Phase.QUEUED, Phase.SUSPENDED) == [Phase.EXECUTING, Phase.SUSPENDED]
    assert steps(Phase.HELD, Phase.COMPLETED) == [Phase.EXECUTING, Phase.COMPLETED]
    assert steps(Phase.QUEUED, Phase.ARCHIVED) == []


# -- RUN


def test_run_makes_a_pending_job_queued_wanted_and_tagged_in_one_go() -> None:
    job = lifecycle.run(a_job(), now=at(5), tag="opus-x-0", can_resume=False)
    assert (job.phase, job.work, job.tag, job.queued) == (
        Phase.QUEUED,
        Work.WANTED,
        "opus-x-0",
        at(5),
    )


def test_run_of_a_held_job_asks_for_its_release_and_never_submits() -> None:
    held = live(phase=Phase.HELD)
    assert lifecycle.run(held, now=at(5), tag="z", can_resume=True) == marked(held, RESUME)


def test_run_of_a_held_job_is_refused_where_the_manager_cannot() -> None:
    with pytest.raises(NotAllowed, match="only its administrators"):
        lifecycle.run(live(phase=Phase.HELD), now=at(5), tag="z", can_resume=False)


@pytest.mark.parametrize("phase", sorted(set(Phase) - {Phase.PENDING, Phase.HELD}))
def test_run_is_refused_in_every_other_phase(phase: Phase) -> None:
    with pytest.raises(NotAllowed, match=f"is {phase}; RUN is for a PENDING job"):
        lifecycle.run(live(phase=phase), now=at(5), tag="z", can_resume=True)


# -- ABORT


@pytest.mark.parametrize("job", [a_job(), wanted()])
def test_abort_before_submission_ends_the_job_and_what_was_asked(job: Job) -> None:
    aborted = lifecycle.abort(job, now=at(5))
    assert (aborted.phase, aborted.work, aborted.ended) == (Phase.ABORTED, Work.NONE, at(5))
    assert aborted.marks == frozenset()


@pytest.mark.parametrize("job", [starting(), live(), executing(), live(phase=Phase.HELD)])
def test_abort_of_what_the_cluster_may_have_is_a_mark(job: Job) -> None:
    assert lifecycle.abort(job, now=at(5)) == marked(job, ABORT)


def test_abort_while_results_are_fetched_ends_the_job() -> None:
    aborted = lifecycle.abort(ended(), now=at(50))
    assert (aborted.phase, aborted.work, aborted.ended) == (Phase.ABORTED, Work.ENDED, at(50))


@pytest.mark.parametrize("phase", sorted(OVER))
def test_abort_of_what_is_over_changes_nothing(phase: Phase) -> None:
    assert lifecycle.abort(over(phase), now=at(60)) == over(phase)


def test_an_abort_is_an_end_without_an_error() -> None:
    assert lifecycle.abort(a_job(), now=at(5)).error is None


# -- DELETE and destruction


@pytest.mark.parametrize("job", [a_job(), starting(), live(), executing(), ended(), over()])
def test_doom_is_a_mark_and_nothing_else(job: Job) -> None:
    assert lifecycle.doom(job, now=at(5)) == marked(job, DOOMED)


def test_a_doomed_job_that_was_wanted_is_no_longer_wanted() -> None:
    assert lifecycle.doom(wanted(), now=at(5)).work is Work.NONE


def test_a_doomed_job_keeps_its_phase_since_clients_see_it_no_more() -> None:
    job = marked(executing(), DOOMED)
    gone = lifecycle.exited(job, an_exit(3), None, SITE, now=at(50))
    assert (gone.phase, gone.work) == (Phase.EXECUTING, Work.ENDED)


def test_archiving_first_ends_a_job() -> None:
    assert lifecycle.archive(a_job(), now=at(5)).phase is Phase.ABORTED
    assert lifecycle.archive(executing(), now=at(5)) == marked(executing(), ABORT)


def test_archiving_waits_for_the_cluster() -> None:
    job = over(work=Work.ENDED)
    assert lifecycle.archive(job, now=at(60)) == job
    asked = marked(executing(), ABORT)
    assert lifecycle.archive(asked, now=at(60)) == asked


@pytest.mark.parametrize("job", [over(), over(Phase.ERROR), over(Phase.ABORTED, work=Work.NONE)])
def test_what_is_over_is_archived_without_results_and_for_good(job: Job) -> None:
    archived = lifecycle.archive(replace(job, results=(TABLE,), destruction=at(55)), now=at(60))
    assert (archived.phase, archived.results, archived.destruction) == (Phase.ARCHIVED, (), None)
    assert lifecycle.archive(archived, now=at(70)) == archived


# -- what is set before and after


def test_an_execution_duration_can_be_set_while_pending() -> None:
    assert lifecycle.set_execution_duration(a_job(), 60, longest=0).execution_duration == 60
    with pytest.raises(NotAllowed, match="while it is PENDING"):
        lifecycle.set_execution_duration(wanted(), 60, longest=0)


@pytest.mark.parametrize(
    ("wish", "longest", "granted"),
    [(60, 0, 60), (0, 0, 0), (0, 100, 100), (60, 100, 60), (600, 100, 100), (2**40, 0, 2**31 - 1)],
)
def test_a_duration_is_cut_to_what_the_site_grants(wish: int, longest: int, granted: int) -> None:
    assert lifecycle.clamp_duration(wish, longest=longest) == granted


@pytest.mark.parametrize("job", [a_job(), wanted(), executing(), over()])
def test_destruction_can_be_set_at_any_time_and_is_cut(job: Job) -> None:
    assert lifecycle.set_destruction(job, at(500), latest=None).destruction == at(500)
    assert lifecycle.set_destruction(job, at(500), latest=at(300)).destruction == at(300)


def test_an_archived_job_has_no_destruction_any_more() -> None:
    with pytest.raises(NotAllowed, match="ARCHIVED"):
        lifecycle.set_destruction(over(Phase.ARCHIVED), at(500), latest=None)


def test_parameters_can_be_set_while_pending() -> None:
    new = (Parameter(name="a", value="1"),)
    assert lifecycle.set_parameters(a_job(), new).parameters == new
    with pytest.raises(NotAllowed, match="while it is PENDING"):
        lifecycle.set_parameters(wanted(), new)


# -- submission


def test_starting_remembers_the_first_and_the_last_call() -> None:
    first = lifecycle.starting(wanted(), now=at(1))
    again = lifecycle.starting(lifecycle.absent(first, now=at(2)), now=at(3))
    assert (first.work, first.submitted_at, first.watch.resubmitted) == (
        Work.STARTING,
        at(1),
        at(1),
    )
    assert (again.submitted_at, again.watch.resubmitted, again.watch.absent) == (at(1), at(3), None)


@pytest.mark.parametrize(
    "job", [a_job(), live(), ended(), over(), over(Phase.ABORTED, work=Work.NONE)]
)
def test_nothing_but_what_is_wanted_is_submitted(job: Job) -> None:
    with pytest.raises(NotAllowed, match="is not to be submitted"):
        lifecycle.starting(job, now=at(1))


@pytest.mark.parametrize("job", [wanted(), starting(), marked(starting(), ABORT)])
def test_an_id_makes_it_live(job: Job) -> None:
    adopted = lifecycle.adopt(job, ["7", "8"])
    assert (adopted.work, adopted.native_ids, adopted.watch) == (Work.LIVE, ("7", "8"), Watch())


@pytest.mark.parametrize("job", [live(), ended(), over(), marked(over(), DOOMED)])
def test_an_id_is_kept_whatever_has_become_of_the_job(job: Job) -> None:
    assert lifecycle.adopt(job, ["8", "7"]) == replace(job, native_ids=("7", "8"))


def test_the_claim_leaves_one_id_and_nothing_seen_of_the_others_counts() -> None:
    job = live(native_ids=("7", "8"), watch=Watch(over=at(5)))
    assert lifecycle.claimed(job, "8") == live(native_ids=("8",))
    assert lifecycle.claimed(job, "9").native_ids == ("9",), "also one nobody knew of"
    settled = live(watch=Watch(over=at(5)))
    assert lifecycle.claimed(settled, "7") == settled


def test_a_deferred_job_is_wanted_again() -> None:
    back = lifecycle.defer(starting(), now=at(5))
    assert (back.work, back.submitted_at, back.watch.attempts) == (Work.WANTED, None, 1)


def test_a_deferred_job_that_nobody_wants_any_more_is_over() -> None:
    aborted = lifecycle.defer(marked(starting(), ABORT), now=at(5))
    assert (aborted.phase, aborted.work) == (Phase.ABORTED, Work.NONE)
    assert lifecycle.defer(marked(starting(), DOOMED), now=at(5)).work is Work.NONE


@pytest.mark.parametrize("marks", [(), (ABORT,), (DOOMED,)])
def test_a_deferred_job_with_an_earlier_call_in_doubt_stays_starting(marks) -> None:
    job = marked(starting(watch=Watch(resubmitted=at(4))), *marks)
    assert lifecycle.defer(job, now=at(5)) == replace(
        job, watch=Watch(resubmitted=at(4), attempts=1)
    )


def test_a_rejected_job_is_an_error_that_names_the_reason() -> None:
    job = lifecycle.reject(starting(), "refused: no such queue", now=at(5))
    assert (job.phase, job.work, message(job)) == (
        Phase.ERROR,
        Work.ENDED,
        "refused: no such queue",
    )
    assert job.error is not None
    assert not job.error.has_detail, "it has written nothing to stderr"


def test_a_job_that_is_rejected_before_any_call_leaves_nothing_behind() -> None:
    assert lifecycle.reject(wanted(), "no description", now=at(5)).work is Work.RELEASED


def test_a_sealed_job_that_was_to_be_stopped_is_aborted() -> None:
    job = lifecycle.never_begun(marked(starting(), ABORT), now=at(5))
    assert (job.phase, job.work, job.watch.sealed) == (Phase.ABORTED, Work.ENDED, at(5))


def test_absent_remembers_the_first_time() -> None:
    once = lifecycle.absent(starting(), now=at(5))
    assert lifecycle.absent(once, now=at(9)).watch.absent == at(5)
