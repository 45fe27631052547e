"""What the manager is asked about all jobs at once, how often, and whether it answers."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Final

from opus_core import job as jobs
from opus_core.backends import HealthState, Links, Ref, Status, Task
from opus_core.errors import BackendUnavailable
from opus_core.facts import about
from opus_core.supervisor.desk import Desk

log = logging.getLogger(__name__)

_FACTOR: Final = 5  # so many times as long as an answer took, nothing is asked
_SILENCE: Final = (
    15.0  # [s] after which one that did not answer is asked again, if not polled later
)
_PROBING: Final = 5.0  # [s] for finding a folder that can be looked into, where not all can


class Questions:
    """Asks, keeps to the pace that the scheduler's answers allow, and tells health how it is."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        interval = desk.settings.poll_interval
        self.interval = desk.manager.poll_interval if interval is None else interval
        self.next_poll = 0.0  # on the monotonic clock
        self.next = 0.0  # a question that is no poll
        self._took = 0.0  # [s] to answer, during a poll
        self._state: HealthState | None = None
        self._sentence = ""
        self._since = jobs.now()

    @contextmanager
    def poll(self) -> Iterator[None]:
        """Everything that is asked within belongs to one poll.

        A scheduler that answers slowly is asked less: what it took counts, and not what our own
        storage took to save what it said.
        """
        self._took = 0.0
        try:
            yield
        finally:
            self.next_poll = time.monotonic() + max(self.interval, self._rest(self._took))

    @property
    def may_ask(self) -> bool:
        """Whether it has been left alone long enough for a question between two polls."""
        return time.monotonic() >= self.next

    def ask(self, refs: Sequence[Ref]) -> Mapping[Ref, Status]:
        """One question for all; what was answered, which is not all if health says so."""
        begin = time.monotonic()
        try:
            statuses: Mapping[Ref, Status] = self._desk.manager.get_status(refs)
        except BackendUnavailable as error:
            self._silent(error)
            return error.answers or {}
        else:
            self._answers()
            return statuses
        finally:
            took = self._counted(begin)
            rest = max(self._desk.settings.event_interval, self._rest(took))
            self.next = time.monotonic() + rest

    def ask_between(self, refs: Sequence[Ref]) -> Mapping[Ref, Status]:
        """A question that is no poll, and puts the next one off."""
        statuses = self.ask(refs)
        self.next_poll = max(self.next_poll, self.next)
        return statuses

    def sound(self) -> None:
        """There is no job to ask about: does it answer at all? Asked once, and where that is in
        doubt."""
        if self._state is HealthState.OK and not self._desk.doubt.is_set():
            return
        self._desk.doubt.clear()
        begin = time.monotonic()
        try:
            self._desk.manager.find([f"opus-{self._desk.data_dir.instance.word}-nobody"])
        except BackendUnavailable as error:
            self._silent(error)
        else:
            self._answers()
        finally:
            self._counted(begin)

    def peek(self, tasks: Sequence[Task]) -> dict[str, Links]:
        """The links of all, by tag; one folder that cannot be read must not hide the others.

        Raises `BackendUnavailable` if none can be.
        """
        try:
            self._desk.folders.check()
            return self._peek(tasks)
        except BackendUnavailable as error:
            self._silent(error)
            raise

    def _peek(self, tasks: Sequence[Task]) -> dict[str, Links]:
        begin = time.monotonic()
        unavailable: BackendUnavailable | None = None
        try:
            return self._desk.manager.peek(tasks)
        except BackendUnavailable as error:
            unavailable = error
        except Exception:
            log.exception("folders could not be looked into together")
        finally:
            self._counted(begin)
        found: dict[str, Links] = {}
        hidden: dict[str, str] = {}
        for task in tasks if len(tasks) > 1 or unavailable is None else ():
            try:
                found |= self._desk.manager.peek([task])
            except BackendUnavailable as error:
                hidden[task.job_id] = error.sentence
                if not found and time.monotonic() - begin > _PROBING:
                    break  # it is the cluster that does not answer
            except Exception:
                log.exception("its folder could not be looked into", extra=about(job=task.job_id))
        if unavailable is not None and not found:
            raise unavailable
        for job_id, sentence in hidden.items():
            log.warning("%s", sentence, extra=about(job=job_id))
        return found

    def _counted(self, begin: float) -> float:
        took = time.monotonic() - begin
        self._took += took
        return took

    def _rest(self, took: float) -> float:
        """How long to leave the scheduler alone [s] after so long a question.

        One that did not answer is asked again soon, however long that took: it may be back, and
        much may have ended.
        """
        rest = _FACTOR * took
        return min(rest, _SILENCE) if self._state is HealthState.DOWN else rest

    # -- health

    def _answers(self) -> None:
        self._say(HealthState.OK, f"the {self._desk.manager.name} manager answers")

    def _silent(self, error: BackendUnavailable) -> None:
        self._say(HealthState.DOWN, f"the {self._desk.manager.name} manager: {error.sentence}")

    def _say(self, state: HealthState, sentence: str) -> None:
        if (state, sentence) == (self._state, self._sentence):
            return
        if state is not self._state:
            self._since = jobs.now()
        self._state, self._sentence = state, sentence
        self._desk.say("manager", state, sentence, self._since)
        log.log(logging.INFO if state is HealthState.OK else logging.WARNING, "%s", sentence)
