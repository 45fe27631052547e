"""Managers with one promise broken each, about all that they answer."""

from __future__ import annotations

import time
from dataclasses import replace

from core.saboteurs import managers
from core.saboteurs.managers import Saboteur
from core.saboteurs.registry import breaks
from opus_core.backends import Kind, Status
from opus_core.errors import BackendUnavailable
from opus_core.testing.manager_answers import AnswerPromises

fixtures = managers.fixtures


@breaks(
    AnswerPromises,
    "test_all_its_methods_are_called_from_several_threads_at_once",
    says="called at once: .*somebody else is at it",
)
class FindsAlone(Saboteur):
    busy = 0

    def alone(self, method, *arguments):
        self.busy += 1
        time.sleep(0.02)
        alone = self.busy == 1
        self.busy -= 1
        if not alone:
            raise BackendUnavailable("somebody else is at it")
        return method(*arguments)

    def start(self, task):
        return self.alone(super().start, task)

    def find(self, tags):
        return self.alone(super().find, tags)


@breaks(
    AnswerPromises,
    "test_a_status_says_each_thing_in_its_own_type",
    says="native_state is a str, not None",
)
class NoStateOfItsOwn(Saboteur):
    def change(self, found):
        return replace(found, native_state=None) if found.kind is Kind.ENDED else found


@breaks(
    AnswerPromises,
    "test_what_is_told_although_it_could_not_ask_is_true",
    says="could not ask, and has made up gone",
)
class GoneWhenDown(Saboteur):
    def get_status(self, refs):
        try:
            return super().get_status(refs)
        except BackendUnavailable as error:
            answers = {ref: Status(kind=Kind.GONE) for ref in refs}
            raise BackendUnavailable(error.sentence, answers=answers) from error


@breaks(AnswerPromises, "test_nothing_asked_nothing_answered", says="list index out of range")
class PeeksAtTheFirst(Saboteur):
    def peek(self, tasks):
        self.last = tasks[0]
        return super().peek(tasks)


@breaks(
    AnswerPromises,
    "test_nothing_is_brought_of_what_never_ran",
    says=r"never started, and yet there is \['stdout'\]",
)
class BringsSomethingInAnyCase(Saboteur):
    def get_output(self, tasks):
        for task in tasks:
            if not (task.folder / "stdout").exists():
                (task.folder / "stdout").write_text("no output yet\n")


@breaks(
    AnswerPromises,
    "test_nothing_is_brought_of_what_never_ran",
    says=r"errors of opus_core\.errors .*get_results has raised FileNotFoundError",
)
class TripsOverWhatIsNotThere(Saboteur):
    def get_results(self, task):
        (task.folder / "stdout").read_bytes()
