"""Promises of `Manager` about what it cannot reach, now or ever: nothing is made up."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from opus_core.backends import Kind, Links, Manager, Task
from opus_core.errors import BackendUnavailable, SubmitDeferred
from opus_core.testing.backend import MakeContext
from opus_core.testing.manager_kit import (
    COUNTS,
    Desk,
    ManagerKit,
    ran,
    until,
)
from opus_core.testing.timing import PATIENCE, eventually

RESULT = "echo result > $out; echo said"


class ReachPromises(ManagerKit):
    """What the folders of jobs say is told as it is, or not at all; and so is what was brought."""

    # -- the folders of jobs cannot be looked into

    @pytest.mark.parametrize("method", ["peek", "seal"])
    def test_a_folder_that_cannot_be_looked_into_is_unavailable(
        self, manager: Manager, desk: Desk, unreachable: MakeContext | None, method: str
    ) -> None:
        if unreachable is None:
            pytest.skip("folders can always be looked into: supply the fixture `unreachable`")
        ended, fresh = desk.started(manager, "true"), desk.task(COUNTS)
        until(manager, ended.ref, Kind.ENDED)
        calls: dict[str, Callable[[], object]] = {
            "peek": lambda: manager.peek([ended, fresh]),
            "seal": lambda: manager.seal(ended),
        }
        with unreachable(), pytest.raises(BackendUnavailable) as refusal:
            calls[method]()
        assert refusal.value.sentence.strip(), "the error says nothing"

    def test_a_folder_that_could_not_be_looked_into_tells_what_it_told_before(
        self, manager: Manager, desk: Desk, unreachable: MakeContext | None
    ) -> None:
        if unreachable is None:
            pytest.skip("folders can always be looked into: supply the fixture `unreachable`")
        tasks = [desk.started(manager, "true"), desk.task(COUNTS)]
        until(manager, tasks[0].ref, Kind.ENDED)
        before = manager.peek(tasks)
        with unreachable(), pytest.raises(BackendUnavailable):
            manager.peek(tasks)

        def again() -> dict[str, Links] | None:
            try:
                return manager.peek(tasks)
            except BackendUnavailable:  # it may take a moment to come back
                return None

        assert eventually(again, "the folders can be looked into again", PATIENCE) == before

    # -- the scheduler does not answer

    @pytest.mark.parametrize("method", ["peek", "seal", "get_info", "get_output", "get_results"])
    def test_without_the_scheduler_an_answer_is_true_or_unavailable(
        self, manager: Manager, desk: Desk, unavailable: MakeContext | None, method: str
    ) -> None:
        if unavailable is None:
            pytest.skip("the scheduler always answers: supply the fixture `unavailable`")
        task = desk.started(manager, RESULT)
        until(manager, task.ref, Kind.ENDED)
        links, informed = manager.peek([task]), bool(manager.get_info(task.ref))

        def told() -> bool:
            match method:
                case "peek":
                    return manager.peek([task]) == links
                case "seal":
                    return manager.seal(task) == links[task.ref.tag]
                case "get_info":
                    return bool(manager.get_info(task.ref)) == informed
                case "get_output":
                    manager.get_output([task])
                    return _read(task, "stdout") == "said\n"
                case _:
                    manager.get_results(task)
                    return _read(task, "results/out") == "result\n"

        with unavailable():
            try:
                truly = told()
            except BackendUnavailable:
                return
        assert truly, "the answer is not what it is with the scheduler"

    def test_what_was_deferred_was_not_submitted(
        self, manager: Manager, desk: Desk, unavailable: MakeContext | None
    ) -> None:
        if unavailable is None:
            pytest.skip("the scheduler always answers: supply the fixture `unavailable`")
        until(manager, desk.started(manager, "true").ref, Kind.ENDED)
        task = desk.task(COUNTS)
        with unavailable():
            try:
                manager.start(task)
            except SubmitDeferred:
                pass
            except BackendUnavailable:
                pytest.skip("it defers nothing while it is `unavailable`: it knows nothing then")

        def found() -> list[tuple[str, ...]]:
            try:
                return [manager.find([task.ref.tag])[task.ref.tag]]
            except BackendUnavailable:  # it may take a moment to come back
                return []

        assert eventually(found, "the scheduler answers again", PATIENCE) == [()]
        # Nobody is faster than a seal that is won.
        assert manager.seal(task).sealed, "its script has begun"
        assert ran(task) == 0

    # -- what is brought

    def test_results_may_be_brought_again(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, RESULT)
        until(manager, task.ref, Kind.ENDED)
        for _ in range(3):
            manager.get_results(task)
            assert _brought(task) == ("result\n", "said\n")

    def test_results_that_were_cut_off_are_brought_again(
        self, manager: Manager, desk: Desk
    ) -> None:
        if self.shared_folder:
            pytest.skip("the results are where they belong: `shared_folder = True`")
        task = desk.started(manager, RESULT)
        until(manager, task.ref, Kind.ENDED)
        for gone in ("results/out", "stdout", "exit"):
            manager.get_results(task)
            (task.folder / gone).unlink()
        manager.get_results(task)
        assert _brought(task) == ("result\n", "said\n")
        assert (task.folder / "exit").is_file()


def _brought(task: Task) -> tuple[str, str]:
    return _read(task, "results/out"), _read(task, "stdout")


def _read(task: Task, name: str) -> str:
    file = task.folder / name
    return file.read_text() if file.exists() else ""
