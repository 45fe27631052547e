"""Promises of `Manager` about stopping: all that was started, nothing else, and more than once."""

from __future__ import annotations

import time
from functools import partial
from pathlib import Path

import pytest

from opus_core.backends import Cause, Kind, Manager, Ref
from opus_core.links import Exit
from opus_core.testing.backend import Instances, MakeContext
from opus_core.testing.manager_kit import (
    COUNTS,
    WAITS,
    Desk,
    ManagerKit,
    let_end,
    ran,
    status,
    until,
    until_it_runs,
)
from opus_core.testing.timing import eventually

STILL = 0.4  # [s] without a beat after which something that beats twenty times a second is dead

FAMILY = """
beat() { until [ -e stop ] || ((SECONDS > 300)); do echo >> "$1"; sleep 0.05; done; }
export -f beat
beat child &
( beat grandchild & )
setsid bash -c 'beat daemon' &
trap '' TERM
beat parent
"""


class StopPromises(ManagerKit):
    """An abort reaches all that a submission has started, and no other submission."""

    # -- abort

    def test_abort_ends_a_running_script(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        task = desk.started(manager, COUNTS + WAITS)
        until_it_runs(task)
        manager.abort(task.ref)
        assert until(manager, task.ref, Kind.ENDED).cause is not Cause.OK

    def test_abort_stops_all_that_was_started(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        task = desk.started(manager, FAMILY)
        hearts = [task.folder / "work" / name for name in ("child", "grandchild", "daemon")]
        eventually(lambda: all(heart.exists() for heart in hearts), "all processes have begun")
        manager.abort(task.ref)
        until(manager, task.ref, Kind.ENDED)

        def alive() -> list[str]:
            return [heart.name for heart in hearts if _beats(heart)]

        eventually(
            lambda: not alive(),
            lambda: (
                f"after an abort nothing of a job runs, and {' and '.join(alive())} does. The"
                " wrapper stops its process group within OPUS_GRACE, if it is not killed before; a"
                " daemon has left that group, and is for the scheduler or the manager to stop"
            ),
        )

    def test_abort_by_tag_alone(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, WAITS)
        until(manager, task.ref, Kind.RUNNING)
        manager.abort(Ref(tag=task.ref.tag))
        until(manager, task.ref, Kind.ENDED)

    def test_abort_from_another_instance(
        self, manager: Manager, instances: Instances[Manager], desk: Desk
    ) -> None:
        task = desk.started(manager, WAITS)
        until(manager, task.ref, Kind.RUNNING)
        instances.open().abort(task.ref)
        until(manager, task.ref, Kind.ENDED)

    def test_abort_twice_is_no_error(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, WAITS)
        until(manager, task.ref, Kind.RUNNING)
        manager.abort(task.ref)
        manager.abort(task.ref)
        until(manager, task.ref, Kind.ENDED)
        manager.abort(task.ref)

    def test_abort_of_what_is_over_changes_nothing(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, "true")
        before = until(manager, task.ref, Kind.ENDED)
        manager.abort(task.ref)
        after = status(manager, task.ref)
        assert (after.kind, after.cause, after.exit_code) == (
            before.kind,
            before.cause,
            before.exit_code,
        )

    def test_abort_of_what_is_unknown_is_no_error(self, manager: Manager) -> None:
        manager.abort(Ref(tag="opus-kit-never"))
        manager.abort(Ref(tag="opus-kit-never", native_id="987654321"))

    def test_abort_under_a_foreign_tag_stops_nothing(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        task = desk.started(manager, COUNTS + WAITS)
        until_it_runs(task)
        manager.abort(Ref(tag="opus-kit-foreign", native_id=task.ref.native_id))
        let_end(task)
        assert until(manager, task.ref, Kind.ENDED).cause is Cause.OK

    def test_abort_stops_no_other_submission(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        stopped, going = (desk.started(manager, COUNTS + WAITS) for _ in range(2))
        for task in (stopped, going):
            eventually(partial(ran, task), "both scripts run")
        manager.abort(stopped.ref)
        until(manager, stopped.ref, Kind.ENDED)
        let_end(going)
        assert until(manager, going.ref, Kind.ENDED).cause is Cause.OK

    # -- delete

    def test_a_deleted_task_is_forgotten(
        self, manager: Manager, instances: Instances[Manager], desk: Desk
    ) -> None:
        if not self.forgets:
            pytest.skip("the scheduler's history goes on knowing it: `forgets = False`")
        task = desk.started(manager, "true")
        until(manager, task.ref, Kind.ENDED)
        manager.delete(task)
        for one in (manager, instances.open()):
            known_still = (
                "what was deleted is still known; if the scheduler's history cannot forget it, say"
                " `forgets = False`"
            )
            assert status(one, task.ref).kind is Kind.GONE, known_still
            assert one.find([task.ref.tag]) == {task.ref.tag: ()}, known_still

    def test_delete_is_safe_twice(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, "true")
        until(manager, task.ref, Kind.ENDED)
        manager.delete(task)
        manager.delete(task)

    def test_delete_of_what_was_never_started_is_no_error(
        self, manager: Manager, desk: Desk
    ) -> None:
        manager.delete(desk.task("true"))

    def test_delete_leaves_the_folder_of_the_job_alone(self, manager: Manager, desk: Desk) -> None:
        task = desk.started(manager, "echo result > $out")
        until(manager, task.ref, Kind.ENDED)
        manager.get_results(task)
        before = sorted(one.relative_to(task.folder) for one in task.folder.rglob("*"))
        manager.delete(task)
        assert sorted(one.relative_to(task.folder) for one in task.folder.rglob("*")) == before
        assert (task.folder / "results" / "out").read_text() == "result\n"

    def test_delete_forgets_no_other_task(self, manager: Manager, desk: Desk) -> None:
        deleted, kept = (desk.started(manager, "true") for _ in range(2))
        for task in (deleted, kept):
            until(manager, task.ref, Kind.ENDED)
        manager.delete(deleted)
        assert status(manager, kept.ref).cause is Cause.OK
        assert manager.find([kept.ref.tag]) == {kept.ref.tag: kept.native_ids}

    # -- disown

    def test_disown_leaves_alone_what_runs(
        self, manager: Manager, desk: Desk, within_reach: None
    ) -> None:
        task = desk.started(manager, COUNTS + WAITS)
        until_it_runs(task)
        manager.disown()
        let_end(task)

        def ended() -> Exit | None:
            return manager.peek([task])[task.ref.tag].exit

        end = eventually(ended, "what runs comes to its end, though it was disowned")
        assert end is not None
        assert (end.code, end.signal) == (0, None), "it was disowned, and must not be touched"

    def test_disown_keeps_what_waits_from_being_launched(
        self, manager: Manager, desk: Desk, crowded: MakeContext | None, within_reach: None
    ) -> None:
        if crowded is None:
            pytest.skip("whether jobs wait in a queue of its own is not known: supply `crowded`")
        with crowded():
            waiting = desk.started(manager, COUNTS)
            manager.disown()
        behind = desk.started(manager, COUNTS)
        assert until(manager, behind.ref, Kind.ENDED).cause is Cause.OK
        assert not ran(waiting), "it waited, was disowned, and is the original's to run"
        # Of a tag, for numbers may be given out again.
        assert manager.find([waiting.ref.tag]) == {waiting.ref.tag: ()}

    # -- moved

    def test_what_waits_runs_where_it_was_moved_to(
        self, manager: Manager, desk: Desk, crowded: MakeContext | None, within_reach: None
    ) -> None:
        if crowded is None:
            pytest.skip("whether jobs wait in a queue of its own is not known: supply `crowded`")
        with crowded():
            task = desk.started(manager, COUNTS)
            moved = desk.move(task)
            manager.moved([moved])
        eventually(lambda: ran(moved), "what waited runs in the folder that it was moved to")
        assert until(manager, moved.ref, Kind.ENDED).cause is Cause.OK


def _beats(heart: Path) -> bool:
    return time.time() - heart.stat().st_mtime < STILL
