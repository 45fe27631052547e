"""Managers with one promise broken each, about what they cannot reach and what they bring."""

from __future__ import annotations

from contextlib import suppress

from core.saboteurs import managers
from core.saboteurs.far_manager import FarManager
from core.saboteurs.managers import Saboteur
from core.saboteurs.registry import breaks
from opus_core.errors import BackendUnavailable, SubmitDeferred
from opus_core.links import SEALED, Links
from opus_core.testing.manager_reach import ReachPromises

fixtures = managers.fixtures


class FarReach(ReachPromises):
    shared_folder = False


class FarSaboteur(FarManager):
    """What needs a cluster that does not see the folders of jobs."""


@breaks(
    ReachPromises,
    "test_a_folder_that_cannot_be_looked_into_is_unavailable",
    "test_a_folder_that_could_not_be_looked_into_tells_what_it_told_before",
)
class SeesNothingWhereItCannotLook(Saboteur):
    def peek(self, tasks):
        try:
            return super().peek(tasks)
        except BackendUnavailable:
            return {task.ref.tag: Links() for task in tasks}


@breaks(
    ReachPromises,
    "test_a_folder_that_cannot_be_looked_into_is_unavailable",
    "test_a_folder_that_could_not_be_looked_into_tells_what_it_told_before",
)
class LooksInItsOwnWords(Saboteur):
    def peek(self, tasks):
        try:
            return super().peek(tasks)
        except BackendUnavailable as error:
            raise OSError("stale file handle") from error


@breaks(ReachPromises, "test_a_folder_that_cannot_be_looked_into_is_unavailable")
class SealsWhatItCannotReach(Saboteur):
    def seal(self, task):
        try:
            return super().seal(task)
        except BackendUnavailable:
            return Links(claimant=SEALED)


@breaks(ReachPromises, "test_a_folder_that_could_not_be_looked_into_tells_what_it_told_before")
class BlindForGood(Saboteur):
    blind = False

    def peek(self, tasks):
        if self.blind:
            return {task.ref.tag: Links() for task in tasks}
        try:
            return super().peek(tasks)
        except BackendUnavailable:
            self.blind = True
            raise


@breaks(
    FarReach,
    "test_without_the_scheduler_an_answer_is_true_or_unavailable",
    says="is not what it is with the scheduler",
)
class SeesNothingWhenDown(FarSaboteur):
    def peek(self, tasks):
        try:
            self.reach()
        except BackendUnavailable:
            return {task.ref.tag: Links() for task in tasks}
        return super().peek(tasks)


@breaks(FarReach, "test_without_the_scheduler_an_answer_is_true_or_unavailable")
class SealsWhenDown(FarSaboteur):
    def seal(self, task):
        try:
            self.reach()
        except BackendUnavailable:
            return Links(claimant=SEALED)
        return super().seal(task)


@breaks(ReachPromises, "test_without_the_scheduler_an_answer_is_true_or_unavailable")
class KnowsNothingWhenDown(Saboteur):
    def get_info(self, ref):
        with suppress(BackendUnavailable):
            return super().get_info(ref)
        return {}


@breaks(
    ReachPromises,
    "test_without_the_scheduler_an_answer_is_true_or_unavailable",
    says="InformsInItsOwnWords.get_info has raised OSError",
)
class InformsInItsOwnWords(Saboteur):
    def get_info(self, ref):
        try:
            return super().get_info(ref)
        except BackendUnavailable as error:
            raise OSError("no route to host") from error


@breaks(FarReach, "test_without_the_scheduler_an_answer_is_true_or_unavailable")
class BringsOutputInItsOwnWords(FarSaboteur):
    def get_output(self, tasks):
        try:
            super().get_output(tasks)
        except BackendUnavailable as error:
            raise OSError("no route to host") from error


@breaks(FarReach, "test_without_the_scheduler_an_answer_is_true_or_unavailable")
class BringsNothingWhenDown(FarSaboteur):
    def get_results(self, task):
        with suppress(BackendUnavailable):
            super().get_results(task)


@breaks(ReachPromises, "test_what_was_deferred_was_not_submitted")
class DefersWhatItHasSubmitted(Saboteur):
    deaf = False

    def reach(self):
        if not self.deaf:
            super().reach()

    def start(self, task):
        try:
            self.reach()
        except BackendUnavailable as error:
            self.deaf = True
            try:
                super().start(task)
            finally:
                self.deaf = False
            raise SubmitDeferred("the answer was lost") from error
        return super().start(task)


@breaks(ReachPromises, "test_what_was_deferred_was_not_submitted")
class SubmitsTheDeferredLater(Saboteur):
    deferred = None

    def start(self, task):
        try:
            return super().start(task)
        except BackendUnavailable as error:
            self.deferred = task
            raise SubmitDeferred("it is put into a queue") from error

    def find(self, tags):
        task, self.deferred = self.deferred, None
        if task:
            super().start(task)
        return super().find(tags)


@breaks(ReachPromises, "test_results_may_be_brought_again", more="some ask once more than that")
class BringsOnce(Saboteur):
    brought = False

    def get_results(self, task):
        if self.brought:
            raise FileExistsError(task.folder)
        self.brought = True


@breaks(FarReach, "test_results_that_were_cut_off_are_brought_again")
class BringsTheNewAlone(FarSaboteur):
    def bring(self, task, *names):
        mark = self.options.folder / f"brought-{task.job_id}"
        if "results" in names and mark.exists():
            return
        super().bring(task, *names)
        if "results" in names:
            mark.touch()
