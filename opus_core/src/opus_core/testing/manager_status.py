"""Promises of `Manager` about its answers: four kinds, and none stands in for another."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import ClassVar

import pytest

from opus_core.backends import Cause, Kind, Manager, Ref, Status, Task
from opus_core.errors import BackendUnavailable, SubmitDeferred
from opus_core.testing.backend import MakeContext
from opus_core.testing.manager_kit import (
    COUNTS,
    NEVER,
    WAITS,
    Desk,
    ManagerKit,
    known,
    let_end,
    ran,
    status,
    until,
    until_it_runs,
)
from opus_core.testing.timing import PATIENCE, eventually, together


class StatusPromises(ManagerKit):
    """A state, GONE, UNRECOGNISED and unavailable are told apart."""

    asks: ClassVar[tuple[str, ...]] = ("start", "find", "get_status", "abort", "delete")
    """The methods that cannot do without the scheduler."""

    def test_every_ref_is_answered(self, manager: Manager, desk: Desk) -> None:
        tasks = [desk.started(manager, WAITS), desk.started(manager, "true")]
        refs = [task.ref for task in tasks]
        refs += [Ref(tag=task.ref.tag) for task in tasks]
        refs += [NEVER, Ref(tag="opus-kit-never", native_id="987654321"), refs[0]]
        found = manager.get_status(refs)
        assert set(found) == set(refs)
        assert all(isinstance(one, Status) for one in found.values())

    def test_no_refs_no_answers(self, manager: Manager) -> None:
        assert manager.get_status([]) == {}

    def test_each_answer_is_of_its_own_ref(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        ended, failed, running = (
            desk.started(manager, script) for script in ("true", "exit 3", WAITS)
        )
        until(manager, ended.ref, Kind.ENDED)
        until(manager, failed.ref, Kind.ENDED)
        until(manager, running.ref, Kind.RUNNING)
        found = manager.get_status([running.ref, NEVER, failed.ref, ended.ref])
        assert found[running.ref].kind is Kind.RUNNING
        assert found[NEVER].kind is Kind.GONE
        assert found[failed.ref].cause is Cause.FAILED
        assert found[ended.ref].cause is Cause.OK

    # -- GONE

    def test_what_was_never_known_is_gone(self, manager: Manager) -> None:
        for ref in (NEVER, Ref(tag="opus-kit-never", native_id="987654321")):
            assert status(manager, ref).kind is Kind.GONE

    def test_a_native_id_under_a_foreign_tag_is_gone(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, WAITS)
        foreign = Ref(tag="opus-kit-foreign", native_id=task.ref.native_id)
        assert status(manager, foreign).kind is Kind.GONE

    def test_a_submission_is_known_by_its_tag_alone(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, WAITS)
        until(manager, Ref(tag=task.ref.tag), Kind.RUNNING)

    def test_a_submission_is_never_gone_from_its_start_to_its_end(
        self, manager: Manager, desk: Desk
    ) -> None:
        task = desk.started(manager, "sleep 0.2")
        kinds: list[Kind] = []

        def look() -> Kind:
            kinds.append(status(manager, task.ref).kind)
            return kinds[-1]

        visible = manager.visible_after + 1
        eventually(lambda: look() is not Kind.GONE, "what was started is visible", visible)
        if manager.visible_after == 0:
            assert Kind.GONE not in kinds, "it was promised to be visible at once"
        kinds.clear()
        eventually(lambda: look() is Kind.ENDED, "the script of a moment has ended")
        # A scheduler may have moments of which it cannot say more than that it knows the job.
        assert set(kinds) <= {Kind.QUEUED, Kind.RUNNING, Kind.ENDED, Kind.UNRECOGNISED}

    # -- states

    def test_a_script_that_runs_is_running(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        task = desk.started(manager, COUNTS + WAITS)
        until_it_runs(task)
        assert until(manager, task.ref, Kind.RUNNING).cause is None
        let_end(task)
        assert until(manager, task.ref, Kind.ENDED).cause is Cause.OK

    def test_a_script_that_succeeds_has_ended_ok(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, "true")
        ended = until(manager, task.ref, Kind.ENDED)
        assert ended.cause is Cause.OK
        assert ended.exit_code in (0, None)

    def test_a_script_that_fails_has_failed_with_its_exit_code(
        self, manager: Manager, desk: Desk
    ) -> None:
        task = desk.started(manager, "exit 7")
        ended = until(manager, task.ref, Kind.ENDED)
        assert (ended.cause, ended.exit_code) == (Cause.FAILED, 7)

    def test_the_times_of_a_status_are_in_utc_and_in_order(
        self, manager: Manager, desk: Desk
    ) -> None:
        task = desk.started(manager, "true")
        ended = until(manager, task.ref, Kind.ENDED)
        times = [one for one in (ended.submitted, ended.started, ended.ended) if one]
        assert all(one.utcoffset() == timedelta(0) for one in times), "not in UTC"
        assert times == sorted(times)

    def test_what_is_held_is_held_until_it_is_resumed(
        self, manager: Manager, desk: Desk, held: Callable[[Task], Task] | None
    ) -> None:
        if held is None:
            pytest.skip("nothing is known to be held: supply the fixture `held`")
        task = held(desk.task(COUNTS))
        task = known(task, manager.start(task))
        until(manager, task.ref, Kind.HELD)
        assert ran(task) == 0
        if manager.can_resume:
            manager.resume(task.ref)
            assert until(manager, task.ref, Kind.ENDED).cause is Cause.OK

    def test_get_info_is_text(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, WAITS)
        for ref in (task.ref, NEVER):
            info = manager.get_info(ref)
            assert all(isinstance(one, str) for pair in info.items() for one in pair)

    def test_it_answers_several_threads_at_once(self, manager: Manager, desk: Desk) -> None:
        tasks = [desk.started(manager, "true") for _ in range(2)]
        refs = [task.ref for task in tasks]
        for ref in refs:
            until(manager, ref, Kind.ENDED)
        answers = together(
            *(partial(manager.get_status, refs) for _ in range(min(4, manager.parallel)))
        )
        assert all(answer == answers[0] for answer in answers)
        assert {one.cause for one in answers[0].values()} == {Cause.OK}

    # -- not to be asked

    @pytest.mark.parametrize("method", ["start", "find", "get_status", "abort", "delete"])
    def test_what_cannot_be_asked_is_unavailable(
        self, manager: Manager, desk: Desk, unavailable: MakeContext | None, method: str
    ) -> None:
        if unavailable is None:
            pytest.skip("the scheduler always answers: supply the fixture `unavailable`")
        if method not in self.asks:
            pytest.skip(f"{method} does without the scheduler: it is not in `asks`")
        ended = desk.started(manager, "true")
        until(manager, ended.ref, Kind.ENDED)
        fresh = desk.task(COUNTS)
        calls: dict[str, Callable[[], object]] = {
            "start": lambda: manager.start(fresh),
            "find": lambda: manager.find([ended.ref.tag, "opus-kit-never"]),
            "get_status": lambda: manager.get_status([ended.ref, NEVER]),
            "abort": lambda: manager.abort(ended.ref),
            "delete": lambda: manager.delete(ended),
        }
        # Who knows that nothing was submitted may say so.
        told = (BackendUnavailable, *((SubmitDeferred,) if method == "start" else ()))
        with unavailable():
            try:
                calls[method]()
            except told as error:
                assert error.sentence.strip(), "the error says nothing"  # noqa: PT017
            else:
                pytest.fail(f"{method} raises BackendUnavailable, unless it is not among `asks`")

    def test_what_was_unavailable_is_known_again(
        self, manager: Manager, desk: Desk, unavailable: MakeContext | None
    ) -> None:
        if unavailable is None:
            pytest.skip("the scheduler always answers: supply the fixture `unavailable`")
        task = desk.started(manager, "true")
        until(manager, task.ref, Kind.ENDED)
        with unavailable(), pytest.raises(BackendUnavailable):
            manager.get_status([task.ref])

        def again() -> bool:
            try:
                return status(manager, task.ref).cause is Cause.OK
            except BackendUnavailable:  # it may take a moment to come back
                return False

        eventually(again, "the end of the job is known again", PATIENCE)
