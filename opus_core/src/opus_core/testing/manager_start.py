"""Promises of `Manager` about starting: found again by tag, and run once whatever happens."""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from opus_core.backends import Kind, Links, Manager, Task
from opus_core.errors import SubmitRejected
from opus_core.testing.backend import Instances
from opus_core.testing.manager_kit import (
    COUNTS,
    WAITS,
    Desk,
    ManagerKit,
    known,
    let_end,
    ran,
    until,
    until_it_runs,
)
from opus_core.testing.timing import eventually, together


class StartPromises(ManagerKit):
    """Submitting twice is harmless, and losing an answer is, too."""

    def test_start_answers_a_native_id(self, manager: Manager, desk: Desk) -> None:
        native_id = manager.start(desk.task("true"))
        assert isinstance(native_id, str)
        assert native_id
        assert native_id.isprintable()
        assert " " not in native_id

    def test_what_was_started_runs_in_its_folder(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, "echo result > $out; echo said; echo warned >&2")
        until(manager, task.ref, Kind.ENDED)
        manager.get_results(task)
        links = manager.peek([task])[task.ref.tag]
        assert links.exit is not None, "how the script ended is not in the folder"
        assert (links.exit.code, links.exit.reason) == (0, "")
        assert (task.folder / "results" / "out").read_text() == "result\n"
        assert (task.folder / "stdout").read_text() == "said\n"
        assert (task.folder / "stderr").read_text() == "warned\n"

    def test_output_is_in_the_folder_while_the_script_runs(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        task = desk.started(manager, f"echo said\n{WAITS}")

        def output() -> str:
            manager.get_output([task])
            stdout = task.folder / "stdout"
            return stdout.read_text() if stdout.exists() else ""

        assert eventually(output, "the output of a running script is in its folder") == "said\n"

    # -- found again

    def test_find_finds_from_another_instance_what_was_started(
        self, manager: Manager, instances: Instances[Manager], desk: Desk
    ) -> None:
        tasks = [desk.started(manager, WAITS), desk.started(manager, "true")]
        tags = [task.ref.tag for task in tasks]
        other = instances.open()
        found = eventually(
            lambda: all((answer := other.find(tags)).values()) and answer,
            "what was started is found by its tag",
            manager.visible_after + 20,
        )
        assert found == {task.ref.tag: task.native_ids for task in tasks}

    def test_find_answers_the_oldest_first(self, manager: Manager, desk: Desk) -> None:
        task = desk.task(WAITS)
        ids: list[str] = []
        for _ in range(3):
            native_id = manager.start(task)
            ids += [native_id] if native_id not in ids else []  # one for all is as good

        def found() -> tuple[str, ...]:
            return manager.find([task.ref.tag])[task.ref.tag]

        visible = manager.visible_after + 20
        eventually(lambda: len(found()) == len(ids), "all is found that was started", visible)
        assert found() == tuple(ids)

    def test_find_answers_none_for_a_tag_that_was_never_used(
        self, manager: Manager, desk: Desk
    ) -> None:
        task = desk.started(manager, WAITS)
        tags = [task.ref.tag + "0", task.ref.tag[:-1], "opus-kit-never"]
        assert manager.find(tags) == dict.fromkeys(tags, ())

    def test_find_of_no_tags_answers_nothing(self, manager: Manager) -> None:
        assert manager.find([]) == {}

    def test_the_claim_tells_the_native_id(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, WAITS)
        claim = eventually(
            lambda: manager.peek([task])[task.ref.tag].claimant, "the wrapper has made the claim"
        )
        assert claim is not None
        assert manager.native_id(claim) == task.ref.native_id

    def test_the_claimant_of_a_submission_does_not_come_again(
        self, manager: Manager, desk: Desk, restarted: Callable[[], None] | None
    ) -> None:
        if restarted is None:
            pytest.skip("the scheduler is never started anew: supply the fixture `restarted`")
        claims = []
        for start_anew in (False, True):
            if start_anew:
                restarted()
            task = desk.started(manager, "true")
            until(manager, task.ref, Kind.ENDED)
            claims.append(manager.peek([task])[task.ref.tag].claimant)
        assert claims[0] != claims[1], (
            f"OPUS_CLAIMANT was {claims[0]!r} twice. Had both been submissions of one job, the"
            " second would have been taken for the first one, requeued; add a word that never"
            " comes again"
        )

    def test_a_new_instance_sees_a_running_job_and_its_end(
        self, manager: Manager, instances: Instances[Manager], desk: Desk, within_reach: None
    ) -> None:
        task = desk.started(manager, COUNTS + WAITS)
        until(manager, task.ref, Kind.RUNNING)
        again = instances.restart(manager)
        until(again, task.ref, Kind.RUNNING)
        let_end(task)
        until(again, task.ref, Kind.ENDED)
        assert ran(task) == 1

    # -- once

    def test_starting_twice_under_one_tag_runs_the_script_once(
        self, manager: Manager, instances: Instances[Manager], desk: Desk, within_reach: None
    ) -> None:
        task = desk.task(COUNTS + WAITS)
        ids = [one.start(task) for one in (manager, instances.open())]
        until_it_runs(task)
        ids.append(manager.start(task))
        let_end(task)
        for native_id in ids:
            until(manager, known(task, native_id).ref, Kind.ENDED)
        assert ran(task) == 1
        assert set(ids) <= set(manager.find([task.ref.tag])[task.ref.tag])

    def test_what_is_sealed_before_it_is_started_never_runs(
        self, manager: Manager, desk: Desk
    ) -> None:
        task = desk.task(COUNTS)
        assert manager.seal(task).sealed
        started = known(task, manager.start(task))
        until(manager, started.ref, Kind.ENDED, Kind.GONE)
        assert ran(task) == 0
        assert manager.peek([task])[task.ref.tag].sealed

    def test_a_submission_that_finds_the_claim_taken_leaves(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        task = desk.task(COUNTS)
        (task.folder / "claim").symlink_to("somebody-else")
        started = known(task, manager.start(task))
        until(manager, started.ref, Kind.ENDED, Kind.GONE)
        assert ran(task) == 0
        assert (task.folder / "claim").readlink() == Path("somebody-else")

    def test_jobs_started_from_several_threads_all_run_once(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        tasks = [desk.task(COUNTS) for _ in range(min(4, manager.parallel))]
        ids = together(*(partial(manager.start, task) for task in tasks))
        assert len(set(ids)) == len(tasks), "one native id twice"
        for task, native_id in zip(tasks, ids, strict=True):
            until(manager, known(task, native_id).ref, Kind.ENDED)
        assert [ran(task) for task in tasks] == [1] * len(tasks)

    def test_a_rejected_task_is_not_submitted(
        self, manager: Manager, desk: Desk, rejected: Callable[[Task], Task] | None
    ) -> None:
        if rejected is None:
            pytest.skip("nothing is known to be rejected: supply the fixture `rejected`")
        task = rejected(desk.task(COUNTS))
        with pytest.raises(SubmitRejected) as refusal:
            manager.start(task)
        assert refusal.value.sentence.strip(), "the refusal says nothing"
        assert manager.find([task.ref.tag]) == {task.ref.tag: ()}

    # -- the links

    def test_peek_answers_for_every_task_by_tag(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        fresh, running = desk.task("true"), desk.started(manager, COUNTS + WAITS)
        until_it_runs(running)
        found = manager.peek([fresh, running])
        assert found[fresh.ref.tag] == Links()
        assert found[running.ref.tag].begun
        assert set(found) == {fresh.ref.tag, running.ref.tag}

    def test_peek_never_writes(self, manager: Manager, desk: Desk) -> None:
        task = desk.task("true")
        before = _content(task.folder)
        manager.peek([task])
        assert _content(task.folder) == before

    def test_seal_tells_that_the_script_was_faster(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        task = desk.started(manager, COUNTS + WAITS)
        until_it_runs(task)
        links = manager.seal(task)
        assert links.begun
        assert not links.sealed

    def test_seal_is_idempotent(self, manager: Manager, desk: Desk) -> None:
        task = desk.task("true")
        assert manager.seal(task) == manager.seal(task)


def _content(folder: Path) -> list[tuple[str, int]]:
    """All names below a folder, with the last change of each [ns]."""
    return sorted(
        (name := os.path.join(at, entry), os.lstat(name).st_mtime_ns)
        for at, folders, files in os.walk(folder)
        for entry in (*folders, *files)
    )
