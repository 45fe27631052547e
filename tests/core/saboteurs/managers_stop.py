"""Managers with one promise broken each, about stopping."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from core.saboteurs import managers
from core.saboteurs.far_manager import FarManager
from core.saboteurs.managers import Saboteur
from core.saboteurs.process_manager import processes
from core.saboteurs.registry import breaks
from opus_core import links
from opus_core.backends import Cause, Kind, Ref, Status
from opus_core.errors import OpusError
from opus_core.testing.manager_kit import ManagerKit
from opus_core.testing.manager_status import StatusPromises
from opus_core.testing.manager_stop import StopPromises

fixtures = managers.fixtures


@breaks(StopPromises, "test_abort_ends_a_running_script")
class AbortedIsOk(Saboteur):
    def change(self, found):
        return replace(found, cause=Cause.OK) if found.cause is Cause.CANCELLED else found


@breaks(
    StopPromises,
    "test_abort_stops_all_that_was_started",
    says="and daemon does",
)
class AbortsTheWrapperAlone(Saboteur):
    def stop(self, record):
        self.write({**record, "aborted": True})
        with suppress(ProcessLookupError):
            if record["process"] in processes(record):
                os.kill(record["process"], signal.SIGTERM)

    def look(self, record):
        found = super().look(record)
        made = links.peek(Path(record["folder"])).exit
        if record["aborted"] and found.kind is Kind.RUNNING and made:
            return Status(kind=Kind.ENDED, cause=Cause.CANCELLED)
        return found


@breaks(StopPromises, "test_abort_by_tag_alone")
class AbortsByIdAlone(Saboteur):
    def abort(self, ref):
        if ref.native_id:
            super().abort(ref)


@breaks(StopPromises, "test_abort_from_another_instance")
class AbortsItsOwn(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.mine = set()

    def start(self, task):
        self.mine.add(task.ref.tag)
        return super().start(task)

    def abort(self, ref):
        if ref.tag in self.mine:
            super().abort(ref)


@breaks(StopPromises, "test_abort_twice_is_no_error")
class AbortsOnce(Saboteur):
    def stop(self, record):
        if record["aborted"]:
            raise OpusError("aborted already")
        super().stop(record)


@breaks(StopPromises, "test_abort_of_what_is_over_changes_nothing")
class AbortsTheEnded(Saboteur):
    def look(self, record):
        found = super().look(record)
        if record["aborted"] and found.kind is Kind.ENDED:
            return replace(found, cause=Cause.CANCELLED)
        return found


@breaks(StopPromises, "test_abort_of_what_is_unknown_is_no_error")
class AbortsTheKnownAlone(Saboteur):
    def abort(self, ref):
        if ref.tag == "opus-kit-never":
            raise OpusError("there is no such job")
        super().abort(ref)


@breaks(StopPromises, "test_abort_under_a_foreign_tag_stops_nothing")
class AbortsByNativeId(Saboteur):
    def abort(self, ref):
        for record in self.records():
            if record["id"] == ref.native_id:
                ref = replace(ref, tag=record["tag"])
        super().abort(ref)


@breaks(StopPromises, "test_abort_stops_no_other_submission")
class AbortsAll(Saboteur):
    def abort(self, ref):
        for record in self.records() if self.matching(ref) else []:
            super().abort(Ref(tag=record["tag"]))


@breaks(
    StopPromises,
    "test_disown_leaves_alone_what_runs",
    more="what waited is stopped, too, and not forgotten",
    says="it was disowned, and must not be touched",
)
class StopsWhatItDisowns(Saboteur):
    def disown(self):
        for record in self.records():
            self.abort(Ref(tag=record["tag"]))


@breaks(
    StopPromises,
    "test_disown_keeps_what_waits_from_being_launched",
    says="it waited, was disowned, and is the original's to run",
)
class DisownsNothing(Saboteur):
    def disown(self):
        """Forgotten."""


@breaks(
    StopPromises,
    "test_what_waits_runs_where_it_was_moved_to",
    says="what waited runs in the folder that it was moved to",
)
class StaysWhereItWas(Saboteur):
    def moved(self, tasks):
        """Forgotten."""


@breaks(StopPromises, "test_a_deleted_task_is_forgotten")
class DeletesNothing(Saboteur):
    def delete(self, task):
        """Forgotten."""


@breaks(StopPromises, "test_delete_is_safe_twice")
class DeletesOnce(Saboteur):
    def delete(self, task):
        if task.native_ids and not self.matching(task.ref):
            raise OpusError("there is no such job")
        super().delete(task)


@breaks(StopPromises, "test_delete_of_what_was_never_started_is_no_error")
class DeletesTheStartedAlone(Saboteur):
    def delete(self, task):
        if not task.native_ids and not self.find([task.ref.tag])[task.ref.tag]:
            raise OpusError("there is no such job")
        super().delete(task)


@breaks(StopPromises, "test_delete_leaves_the_folder_of_the_job_alone")
class DeletesResults(Saboteur):
    def delete(self, task):
        super().delete(task)
        (task.folder / "results" / "out").unlink(missing_ok=True)


@breaks(StopPromises, "test_delete_forgets_no_other_task")
class DeletesAll(Saboteur):
    def delete(self, task):
        with self.lock():
            for record in self.records():
                self.path(record["id"]).unlink()


# --- flags that claim too much ---


class Sharing(ManagerKit):
    test_abort_ends_a_running_script = StopPromises.test_abort_ends_a_running_script


@breaks(Sharing, "test_abort_ends_a_running_script", says="unless `shared_folder = False`: not so")
class ClaimsToShareItsFolder(FarManager):
    """The cluster sees other folders, and nothing is wrong with it."""


class Asking(ManagerKit):
    asks = StatusPromises.asks
    test_what_cannot_be_asked_is_unavailable = (
        StatusPromises.test_what_cannot_be_asked_is_unavailable
    )


@breaks(Asking, "test_what_cannot_be_asked_is_unavailable", says="unless it is not among `asks`")
class ClaimsToAsk(Saboteur):
    """Deletes without the scheduler, and says that it cannot."""

    def delete(self, task):
        for record in self.records():
            if record["tag"] == task.ref.tag:
                self.path(record["id"]).unlink()
