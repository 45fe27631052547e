"""Promises of `Manager` about all its answers: of their own types, never made up, by any thread."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

import pytest

from opus_core.backends import Cause, Kind, Manager
from opus_core.errors import BackendUnavailable, ResultsLost
from opus_core.testing.backend import MakeContext
from opus_core.testing.manager_kit import (
    NEVER,
    Desk,
    ManagerKit,
    status,
    until,
)
from opus_core.testing.timing import race


class AnswerPromises(ManagerKit):
    """Whoever asks, and for whatever: the answer is true, or there is none."""

    def test_a_status_says_each_thing_in_its_own_type(self, manager: Manager, desk: Desk) -> None:
        failed = desk.started(manager, "exit 3")
        ended = until(manager, failed.ref, Kind.ENDED)
        for found in (ended, status(manager, NEVER)):
            assert isinstance(found.kind, Kind), f"kind is a Kind, not {found.kind!r}"
            for name, kind in (("reason", str), ("native_state", str), ("restarts", int)):
                value = getattr(found, name)
                assert isinstance(value, kind), f"{name} is a {kind.__name__}, not {value!r}"
            for name in ("exit_code", "signal"):
                value = getattr(found, name)
                assert value is None or type(value) is int, f"{name} is a number, not {value!r}"
            assert found.restarts >= 0, f"{found.restarts} restarts"

    def test_what_is_told_although_it_could_not_ask_is_true(
        self, manager: Manager, desk: Desk, unavailable: MakeContext | None
    ) -> None:
        if unavailable is None:
            pytest.skip("the scheduler always answers: supply the fixture `unavailable`")
        tasks = [desk.started(manager, script) for script in ("true", "exit 3")]
        refs = [task.ref for task in tasks]
        for ref in refs:
            until(manager, ref, Kind.ENDED)
        truth = manager.get_status([*refs, NEVER])
        with unavailable():
            try:
                told = manager.get_status([*refs, NEVER])
            except BackendUnavailable as error:
                told = dict(error.answers or {})
        assert set(told) <= set(truth), "it tells of what it was not asked for"
        for ref, one in told.items():
            same = (one.kind, one.cause) == (truth[ref].kind, truth[ref].cause)
            assert same, f"it could not ask, and has made up {one.kind.value} of {ref.tag}"

    def test_nothing_asked_nothing_answered(self, manager: Manager) -> None:
        assert manager.peek([]) == {}, "peek answers for no task with no links"
        manager.get_output([])

    def test_nothing_is_brought_of_what_never_ran(self, manager: Manager, desk: Desk) -> None:
        task = desk.task("echo result > $out; echo said")
        with suppress(BackendUnavailable):
            manager.get_output([task])
        # Of what never ran there is nothing, or nothing that could be had by trying again.
        with suppress(BackendUnavailable, ResultsLost):
            manager.get_results(task)
        made_up = [
            name for name in ("exit", "results/out", "stdout") if (task.folder / name).exists()
        ]
        assert not made_up, f"never started, and yet there is {made_up}"

    def test_all_its_methods_are_called_from_several_threads_at_once(
        self, manager: Manager, desk: Desk
    ) -> None:
        if manager.parallel < 2:
            pytest.skip("it bears one call at once: `parallel = 1`")
        ended = desk.started(manager, "true")
        until(manager, ended.ref, Kind.ENDED)
        tag = ended.ref.tag
        started, deleted, sealed = (desk.task("true") for _ in range(3))
        asked: dict[str, Callable[[], object]] = {
            "start": lambda: bool(manager.start(started)),
            "find": lambda: manager.find([tag]) == {tag: ended.native_ids},
            "get_status": lambda: status(manager, ended.ref).cause is Cause.OK,
            "peek": lambda: manager.peek([ended])[tag].exit is not None,
            "get_info": lambda: isinstance(manager.get_info(ended.ref), dict),
            "abort": lambda: manager.abort(NEVER),
            "seal": lambda: manager.seal(sealed).sealed,
            "delete": lambda: manager.delete(deleted),
        }
        several, methods = min(4, manager.parallel), list(asked)
        for first in range(0, len(methods), several):
            group = methods[first : first + several]
            outcomes = dict(zip(group, race(*(asked[one] for one in group)), strict=True))
            assert set(outcomes.values()) <= {True, None}, f"called at once: {outcomes}"
