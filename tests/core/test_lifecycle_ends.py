"""What schedulers and folders say of a job, one claim each, up to its end and beyond."""

from __future__ import annotations

from dataclasses import replace

import pytest

from core.helpers.jobs import (
    ABORT,
    DOOMED,
    RESUME,
    SITE,
    STRICT,
    T0,
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
    said,
    starting,
    wanted,
)
from opus_core import lifecycle
from opus_core.backends import Cause, Kind, Status
from opus_core.job import (
    OVER,
    ErrorType,
    Job,
    Phase,
    Watch,
    Work,
)
from opus_core.links import Exit

# -- what the scheduler says


@pytest.mark.parametrize(
    ("kind", "phase"),
    [
        (Kind.QUEUED, Phase.QUEUED),
        (Kind.HELD, Phase.HELD),
        (Kind.RUNNING, Phase.EXECUTING),
        (Kind.SUSPENDED, Phase.SUSPENDED),
    ],
)
def test_a_report_sets_the_phase(kind: Kind, phase: Phase) -> None:
    job = lifecycle.report(live(), Status(kind=kind), now=at(20))
    assert job.phase is phase
    assert (job.started is not None) == (phase in (Phase.EXECUTING, Phase.SUSPENDED))


def test_a_job_that_was_executing_and_is_queued_again_is_suspended() -> None:
    job = lifecycle.report(executing(), Status(kind=Kind.QUEUED), now=at(20))
    assert job.phase is Phase.SUSPENDED
    assert lifecycle.report(job, Status(kind=Kind.RUNNING), now=at(30)).phase is Phase.EXECUTING


def test_a_held_job_may_be_queued_again_or_turn_out_to_be_suspended() -> None:
    held = live(phase=Phase.HELD)
    assert lifecycle.report(held, Status(kind=Kind.QUEUED), now=at(20)).phase is Phase.QUEUED
    assert lifecycle.report(held, Status(kind=Kind.SUSPENDED), now=at(20)).phase is Phase.SUSPENDED


@pytest.mark.upstream("A4.4")
def test_an_unrecognised_word_changes_nothing() -> None:
    assert lifecycle.report(executing(), Status(kind=Kind.UNRECOGNISED), now=at(20)) == executing()


def test_gone_and_over_are_remembered_from_the_first_time_on() -> None:
    gone, done = Status(kind=Kind.GONE), said(Cause.OK)
    job = lifecycle.report(executing(), gone, now=at(20))
    assert lifecycle.report(job, gone, now=at(30)).watch.gone == at(20)
    job = lifecycle.report(job, done, now=at(40))
    assert (job.watch.gone, job.watch.over) == (None, at(40))
    assert job.phase is Phase.EXECUTING


@pytest.mark.parametrize("watch", [Watch(gone=at(5)), Watch(over=at(5))])
def test_a_job_that_is_back_was_never_away(watch: Watch) -> None:
    job = executing(watch=watch)
    assert lifecycle.report(job, Status(kind=Kind.RUNNING), now=at(20)) == executing()


@pytest.mark.parametrize("kind", [Kind.QUEUED, Kind.RUNNING, Kind.SUSPENDED])
def test_a_wish_to_resume_that_has_come_true_is_forgotten(kind: Kind) -> None:
    held = marked(live(phase=Phase.HELD), RESUME)
    assert lifecycle.report(held, Status(kind=kind), now=at(20)).marks == frozenset()


def test_a_wish_to_resume_outlasts_a_report_that_it_is_held() -> None:
    held = marked(live(phase=Phase.HELD), RESUME)
    assert lifecycle.report(held, Status(kind=Kind.HELD), now=at(20)) == held


@pytest.mark.parametrize("kind", Kind)
@pytest.mark.parametrize("job", [a_job(), wanted(), starting(), ended(), over(), over(Phase.ERROR)])
def test_a_report_about_what_is_not_live_changes_nothing(job: Job, kind: Kind) -> None:
    status = Status(kind=kind, cause=Cause.OK if kind is Kind.ENDED else None)
    assert lifecycle.report(job, status, now=at(60)) == job


def test_the_start_is_set_once_and_within_creation_and_now() -> None:
    early = lifecycle.begun(live(), instant=at(-50), now=at(20))
    late = lifecycle.begun(live(), instant=at(50), now=at(20))
    assert (early.started, late.started) == (T0, at(20))
    assert lifecycle.begun(late, instant=at(5), now=at(30)).started == at(20)


def test_the_quote_moves_with_the_start() -> None:
    job = lifecycle.begun(live(quote=at(60)), instant=at(20), now=at(20))
    assert job.quote == at(80)


# -- the end by the scheduler's word


@pytest.mark.parametrize("cause", [Cause.OK, Cause.FAILED])
def test_an_end_without_an_exit_waits_for_it_and_was_then_not_recorded(cause: Cause) -> None:
    status = said(cause)
    job = lifecycle.ended_by_scheduler(executing(), status, SITE, now=at(100))
    assert (job.phase, job.work, job.watch.over) == (Phase.EXECUTING, Work.LIVE, at(100))
    assert lifecycle.ended_by_scheduler(job, status, SITE, now=at(189)) == job
    job = lifecycle.ended_by_scheduler(job, status, SITE, now=at(190))
    assert (job.phase, job.work) == (Phase.ERROR, Work.ENDED)
    assert message(job) == "its end was not recorded; run it again"


@pytest.mark.parametrize(
    ("cause", "phase", "sentence", "type_"),
    [
        (Cause.TIME_LIMIT, Phase.ABORTED, "execution duration exceeded", ErrorType.FATAL),
        (Cause.MEMORY, Phase.ABORTED, "memory limit exceeded", ErrorType.FATAL),
        (Cause.CANCELLED, Phase.ABORTED, "cancelled on the cluster", ErrorType.FATAL),
        (Cause.DEADLINE, Phase.ABORTED, "it could not be started in time", ErrorType.TRANSIENT),
        (Cause.LAUNCH, Phase.ERROR, "the cluster could not launch it", ErrorType.TRANSIENT),
    ],
)
def test_other_causes_end_it_at_once(cause, phase, sentence, type_) -> None:
    job = lifecycle.ended_by_scheduler(executing(), said(cause), SITE, now=at(100))
    assert (job.phase, job.work) == (phase, Work.ENDED)
    assert message(job).startswith(sentence)
    assert job.error is not None
    assert job.error.type is type_


@pytest.mark.parametrize(
    ("cause", "phase"), [(Cause.NODE, Phase.ERROR), (Cause.PREEMPTED, Phase.ABORTED)]
)
def test_a_failed_node_and_a_preemption_wait_for_one_more_poll(cause: Cause, phase: Phase) -> None:
    once = lifecycle.ended_by_scheduler(executing(), said(cause), SITE, now=at(100))
    assert once.work is Work.LIVE
    twice = lifecycle.ended_by_scheduler(once, said(cause), SITE, now=at(130))
    assert (twice.phase, twice.work) == (phase, Work.ENDED)
    assert twice.error is not None
    assert twice.error.type is ErrorType.TRANSIENT


@pytest.mark.parametrize("cause", [Cause.TIME_LIMIT, Cause.MEMORY])
def test_overuse_is_an_error_where_the_site_says_so(cause: Cause) -> None:
    job = lifecycle.ended_by_scheduler(executing(), said(cause), STRICT, now=at(100))
    assert job.phase is Phase.ERROR


@pytest.mark.parametrize("cause", Cause)
def test_an_abort_that_was_asked_for_is_one_whatever_the_scheduler_calls_it(cause: Cause) -> None:
    job = marked(executing(), ABORT)
    job = lifecycle.ended_by_scheduler(job, said(cause), SITE, now=at(100))
    assert (job.phase, job.work, job.error) == (Phase.ABORTED, Work.ENDED, None)


def test_the_scheduler_is_quoted() -> None:
    status = said(Cause.CANCELLED, reason="by uid 0", native_state="CANCELLED")
    job = lifecycle.ended_by_scheduler(executing(), status, SITE, now=at(100))
    assert message(job) == "cancelled on the cluster (the cluster says: by uid 0)"


def test_the_schedulers_clock_is_not_trusted() -> None:
    status = said(Cause.CANCELLED, started=at(-9), ended=at(999))
    job = lifecycle.ended_by_scheduler(live(), status, SITE, now=at(100))
    assert (job.started, job.ended) == (T0, at(100))
    status = said(Cause.CANCELLED, ended=at(-9))
    assert lifecycle.ended_by_scheduler(executing(), status, SITE, now=at(100)).ended == at(10)


# -- lost


def test_a_lost_job_is_an_error_that_names_who_was_asked() -> None:
    job = lifecycle.lost(live(), "the slurm manager", begun=False, now=at(100))
    assert (job.phase, job.work, job.watch.sealed) == (Phase.ERROR, Work.ENDED, at(100))
    assert "the slurm manager know nothing of it, and it had not begun" in message(job)
    job = lifecycle.lost(executing(), "the slurm manager", begun=True, now=at(100))
    assert job.watch.sealed is None
    assert "what it was doing is not known" in message(job)


def test_a_lost_job_that_was_to_be_aborted_is_aborted() -> None:
    job = lifecycle.lost(marked(live(), ABORT), "it", begun=False, now=at(100))
    assert (job.phase, job.work, job.error) == (Phase.ABORTED, Work.ENDED, None)


# -- the exit


@pytest.mark.parametrize(
    ("exit_", "phase", "sentence"),
    [
        (an_exit(3), Phase.ERROR, "the script ended with exit code 3"),
        (an_exit(139, signal=11), Phase.ERROR, "the script was ended by signal 11"),
        (an_exit(143, "limit", 15), Phase.ABORTED, "execution duration of 60 s exceeded"),
        (
            an_exit(None, "requeued"),
            Phase.ERROR,
            "the cluster restarted it after it had begun; run it again",
        ),
    ],
)
def test_an_exit_ends_the_job(exit_: Exit, phase: Phase, sentence: str) -> None:
    job = lifecycle.exited(executing(execution_duration=60), exit_, None, SITE, now=at(50))
    assert (job.phase, job.work, job.ended) == (phase, Work.ENDED, at(40))
    assert message(job) == sentence


def test_a_script_that_ended_well_executes_until_its_results_are_in_place() -> None:
    job = lifecycle.exited(live(), an_exit(0), None, SITE, now=at(50))
    assert (job.phase, job.work, job.started, job.ended) == (
        Phase.EXECUTING,
        Work.ENDED,
        at(10),
        None,
    )


@pytest.mark.parametrize(("policy", "phase"), [(SITE, Phase.ABORTED), (STRICT, Phase.ERROR)])
@pytest.mark.parametrize(
    ("oom", "status"), [(False, said(Cause.MEMORY)), (True, None), (True, said(Cause.OK))]
)
def test_a_script_that_ended_well_beyond_its_memory_did_not(policy, phase, oom, status) -> None:
    job = lifecycle.exited(executing(), an_exit(0, oom=oom), status, policy, now=at(50))
    assert (job.phase, message(job)) == (phase, "memory limit exceeded; ask for more memory")


@pytest.mark.parametrize(("oom", "status"), [(False, said(Cause.MEMORY)), (True, None)])
def test_a_script_that_failed_is_an_error_that_also_names_the_memory(oom, status) -> None:
    exit_ = an_exit(137, signal=9, oom=oom)
    job = lifecycle.exited(executing(), exit_, status, SITE, now=at(50))
    assert job.phase is Phase.ERROR
    assert message(job) == (
        "the script was ended by signal 9: memory limit exceeded; ask for more memory"
    )


def test_beyond_its_duration_is_an_error_where_the_site_says_so() -> None:
    job = lifecycle.exited(executing(), an_exit(143, "limit", 15), None, STRICT, now=at(50))
    assert job.phase is Phase.ERROR


@pytest.mark.parametrize("code", [0, 1, 143])
def test_a_script_that_was_told_to_stop_as_asked_is_aborted(code: int) -> None:
    job = marked(executing(), ABORT)
    job = lifecycle.exited(job, an_exit(code, "term"), None, SITE, now=at(50))
    assert (job.phase, job.work, job.error) == (Phase.ABORTED, Work.ENDED, None)


def test_a_script_told_to_stop_by_the_cluster_ends_by_its_cause() -> None:
    exit_ = an_exit(143, "term", 15)
    job = lifecycle.exited(executing(), exit_, said(Cause.PREEMPTED), SITE, now=at(50))
    assert (job.phase, job.work) == (Phase.ABORTED, Work.ENDED)
    assert "make room" in message(job)
    job = lifecycle.exited(executing(), exit_, said(Cause.NODE), SITE, now=at(50))
    assert job.phase is Phase.ERROR


def test_the_cause_is_waited_for_and_then_it_was_the_system() -> None:
    exit_ = an_exit(143, "term", 15)
    job = lifecycle.exited(live(), exit_, None, SITE, now=at(50))
    assert (job.phase, job.work) == (Phase.EXECUTING, Work.LIVE)
    assert lifecycle.exited(job, exit_, Status(kind=Kind.RUNNING), SITE, now=at(139)) == job
    job = lifecycle.exited(job, exit_, None, SITE, now=at(140))
    assert (job.phase, job.work, message(job)) == (
        Phase.ABORTED,
        Work.ENDED,
        "stopped by the system",
    )


@pytest.mark.parametrize("cause", [Cause.OK, Cause.FAILED])
def test_a_cause_that_says_nothing_is_not_waited_for(cause: Cause) -> None:
    job = lifecycle.exited(executing(), an_exit(143, "term"), said(cause), SITE, now=at(50))
    assert message(job) == "stopped by the system"


@pytest.mark.parametrize("kind", [Kind.QUEUED, Kind.HELD])
def test_a_script_that_was_stopped_to_be_queued_again_was_restarted(kind: Kind) -> None:
    again = Status(kind=kind, restarts=1)
    job = lifecycle.exited(executing(), an_exit(143, "term", 15), again, SITE, now=at(50))
    assert (job.phase, job.work) == (Phase.ERROR, Work.ENDED)
    assert "the cluster restarted it after it had begun" in message(job)


@pytest.mark.parametrize("signal", [9, 15])
def test_a_script_that_was_stopped_before_its_wrapper_heard_of_it_ends_by_the_cause(signal) -> None:
    """A scheduler signals all processes of a job, in any order."""
    exit_ = an_exit(128 + signal, "", signal)
    job = lifecycle.exited(executing(), exit_, said(Cause.TIME_LIMIT), SITE, now=at(50))
    assert (job.phase, job.work) == (Phase.ABORTED, Work.ENDED)
    job = lifecycle.exited(marked(executing(), ABORT), exit_, None, SITE, now=at(50))
    assert (job.phase, job.error) == (Phase.ABORTED, None)
    waiting = lifecycle.exited(executing(), exit_, None, SITE, now=at(50))
    assert waiting.work is Work.LIVE
    for status, instant in ((said(Cause.FAILED), 51), (None, 140)):
        job = lifecycle.exited(waiting, exit_, status, SITE, now=at(instant))
        assert (job.phase, message(job)) == (
            Phase.ERROR,
            f"the script was ended by signal {signal}",
        )


@pytest.mark.parametrize("code", [0, 1])
def test_a_script_that_ended_by_itself_before_the_abort_keeps_its_end(code: int) -> None:
    job = marked(executing(), ABORT)
    job = lifecycle.exited(job, an_exit(code), None, SITE, now=at(50))
    assert job.phase is (Phase.ERROR if code else Phase.EXECUTING)
    assert job.work is Work.ENDED


def test_the_clock_of_the_node_is_not_trusted() -> None:
    exit_ = an_exit(3, started=at(-5), ended=at(-2))
    job = lifecycle.exited(live(), exit_, None, SITE, now=at(50))
    assert (job.started, job.ended) == (T0, T0)
    exit_ = an_exit(3, started=at(500), ended=at(900))
    job = lifecycle.exited(live(), exit_, None, SITE, now=at(50))
    assert (job.started, job.ended) == (at(50), at(50))


@pytest.mark.parametrize("job", [a_job(), wanted(), ended(), over(), over(Phase.ABORTED)])
def test_an_exit_counts_once(job: Job) -> None:
    assert lifecycle.exited(job, an_exit(3), None, SITE, now=at(60)) == job


# -- results


def test_results_in_place_complete_a_job_and_its_end_is_the_exits() -> None:
    job = lifecycle.fetched(ended(), (TABLE,), an_exit(0), now=at(90))
    assert (job.phase, job.work, job.results, job.ended) == (
        Phase.COMPLETED,
        Work.ENDED,
        (TABLE,),
        at(40),
    )
    assert lifecycle.released(job) == replace(job, work=Work.RELEASED)


def test_a_job_that_is_not_over_is_not_released() -> None:
    assert lifecycle.released(ended()) == ended()
    doomed = marked(ended(), DOOMED)
    assert lifecycle.released(doomed).work is Work.RELEASED


@pytest.mark.parametrize("phase", [Phase.ERROR, Phase.ABORTED])
def test_a_job_that_ended_otherwise_keeps_its_end_and_has_what_has_come(phase: Phase) -> None:
    job = ended(phase=phase, ended=at(45))
    done = lifecycle.fetched(job, (TABLE,), an_exit(0), now=at(90))
    assert done == replace(job, results=(TABLE,))


def test_a_doomed_job_gets_no_results() -> None:
    job = marked(ended(), DOOMED)
    assert lifecycle.fetched(job, (TABLE,), None, now=at(90)) == job


def test_a_missing_result_is_an_error_and_the_job_is_still_to_be_released() -> None:
    job = lifecycle.unfetchable(ended(), "no table", now=at(90))
    assert (job.phase, job.work, message(job)) == (Phase.ERROR, Work.ENDED, "no table")


@pytest.mark.parametrize("job", [live(), over()])
def test_only_what_has_ended_is_fetched(job: Job) -> None:
    assert lifecycle.fetched(job, (TABLE,), None, now=at(90)) == job
    assert lifecycle.released(job) == job
    assert lifecycle.unfetchable(job, "no", now=at(90)) == job


# -- what comes too late


@pytest.mark.parametrize("job", [over(phase) for phase in sorted(OVER)])
def test_nothing_late_changes_a_job_that_is_over(job: Job) -> None:
    late = [
        lifecycle.defer(job, now=at(60)),
        lifecycle.reject(job, "no", now=at(60)),
        lifecycle.never_begun(job, now=at(60)),
        lifecycle.aborting(job, now=at(60)),
        lifecycle.begun(job, instant=at(55), now=at(60)),
        lifecycle.lost(job, "x", begun=False, now=at(60)),
        lifecycle.ended_by_scheduler(job, said(Cause.NODE), SITE, now=at(60)),
    ]
    assert late == [job] * len(late)
