"""Managers with one promise broken each, about starting."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import replace

from core.saboteurs import managers
from core.saboteurs.managers import Saboteur
from core.saboteurs.registry import breaks
from opus_core import links
from opus_core.errors import OpusError
from opus_core.testing.manager_start import StartPromises

fixtures = managers.fixtures


@breaks(
    StartPromises,
    "test_start_answers_a_native_id",
    more="what is not an id is not found again under it",
)
class WordyIds(Saboteur):
    def start(self, task):
        native_id = super().start(task)
        return f"job {native_id}" if task.definition.script == "true" else native_id


@breaks(
    StartPromises,
    "test_what_was_started_runs_in_its_folder",
    says="how the script ended is not in the folder",
)
class RunsACopy(Saboteur):
    def start(self, task):
        if "result" in task.definition.script:
            copy = task.folder.with_name("copy")
            shutil.copytree(task.folder, copy)
            return super().start(replace(task, folder=copy))
        return super().start(task)


@breaks(StartPromises, "test_output_is_in_the_folder_while_the_script_runs")
class OutputAtTheEnd(Saboteur):
    def get_output(self, tasks):
        for task in tasks:
            with suppress(FileNotFoundError):
                (task.folder / "stdout").unlink()


@breaks(
    StartPromises,
    "test_find_finds_from_another_instance_what_was_started",
    "test_starting_twice_under_one_tag_runs_the_script_once",
)
class FindsItsOwn(Saboteur):
    def __init__(self, options):
        super().__init__(options)
        self.mine = set()

    def start(self, task):
        native_id = super().start(task)
        self.mine.add(native_id)
        return native_id

    def find(self, tags):
        found = super().find(tags).items()
        return {tag: tuple(one for one in ids if one in self.mine) for tag, ids in found}


@breaks(StartPromises, "test_find_answers_the_oldest_first")
class FindsTheNewestFirst(Saboteur):
    def find(self, tags):
        return {tag: ids[::-1] for tag, ids in super().find(tags).items()}


@breaks(StartPromises, "test_find_answers_none_for_a_tag_that_was_never_used")
class FindsBeginnings(Saboteur):
    def find(self, tags):
        with self.lock():
            records = self.records()
        return {
            tag: tuple(one["id"] for one in records if one["tag"].startswith(tag)) for tag in tags
        }


@breaks(
    StartPromises,
    "test_find_answers_none_for_a_tag_that_was_never_used",
    "test_a_rejected_task_is_not_submitted",
)
class LeavesOutTheUnknown(Saboteur):
    def find(self, tags):
        return {tag: ids for tag, ids in super().find(tags).items() if ids}


@breaks(StartPromises, "test_find_of_no_tags_answers_nothing")
class FindsAll(Saboteur):
    def find(self, tags):
        return super().find(tags or ["all"])


@breaks(StartPromises, "test_the_claim_tells_the_native_id")
class ClaimsAnything(Saboteur):
    def native_id(self, claimant):
        return claimant


@breaks(StartPromises, "test_a_new_instance_sees_a_running_job_and_its_end")
class StopsOnClose(Saboteur):
    def close(self):
        with suppress(OpusError, OSError), self.lock():
            for record in self.records():
                self.stop(record)


@breaks(
    StartPromises,
    "test_starting_twice_under_one_tag_runs_the_script_once",
    "test_a_submission_that_finds_the_claim_taken_leaves",
    "test_what_is_sealed_before_it_is_started_never_runs",
)
class ClearsTheFolder(Saboteur):
    def start(self, task):
        for name in ("claim", "started", "exit"):
            (task.folder / name).unlink(missing_ok=True)
        return super().start(task)


@breaks(StartPromises, "test_what_is_sealed_before_it_is_started_never_runs")
class BreaksSeals(Saboteur):
    def start(self, task):
        if links.peek(task.folder).sealed:
            (task.folder / "claim").unlink()
        return super().start(task)


@breaks(StartPromises, "test_a_submission_that_finds_the_claim_taken_leaves")
class OutbidsOthers(Saboteur):
    def start(self, task):
        if links.peek(task.folder).claimant == "somebody-else":
            (task.folder / "claim").unlink()
        return super().start(task)


@breaks(
    StartPromises,
    "test_jobs_started_from_several_threads_all_run_once",
    says="StartsOneAtATime.start has raised RuntimeError",
)
class StartsOneAtATime(Saboteur):
    starting = 0

    def start(self, task):
        self.starting += 1
        time.sleep(0.02)
        alone = self.starting == 1
        self.starting -= 1
        if not alone:
            raise RuntimeError("somebody else is starting")
        return super().start(task)


@breaks(StartPromises, "test_a_rejected_task_is_not_submitted")
class RejectsInItsOwnWords(Saboteur):
    def start(self, task):
        if not task.folder.exists():
            raise FileNotFoundError(task.folder)
        return super().start(task)


@breaks(StartPromises, "test_peek_answers_for_every_task_by_tag")
class PeeksAtTheBegun(Saboteur):
    def peek(self, tasks):
        found = super().peek(tasks).items()
        return {tag: one for tag, one in found if len(tasks) == 1 or one.begun}


@breaks(StartPromises, "test_peek_never_writes")
class PeekWrites(Saboteur):
    def peek(self, tasks):
        for task in tasks:
            (task.folder / "looked").touch()
        return super().peek(tasks)


@breaks(StartPromises, "test_seal_tells_that_the_script_was_faster")
class SealsInAnyCase(Saboteur):
    def seal(self, task):
        return replace(super().seal(task), claimant=links.SEALED)


@breaks(StartPromises, "test_seal_is_idempotent")
class SealsOnce(Saboteur):
    def seal(self, task):
        os.symlink(links.SEALED, task.folder / "seal")
        return super().seal(task)


@breaks(
    StartPromises,
    "test_the_claimant_of_a_submission_does_not_come_again",
    says="add a word that never comes again",
)
class CountsAgain(Saboteur):
    def claimant(self, native_id):
        return native_id
