"""Ask the manager about everything that is LIVE, in bulk, and have what it says judged."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

from opus_core.backends import Kind, Links, Live, Status, Task
from opus_core.errors import BackendUnavailable, OpusError, UnknownJob
from opus_core.facts import about, during
from opus_core.job import Job, Phase, Work
from opus_core.supervisor.attention import Attention, Wanted
from opus_core.supervisor.desk import Desk, pause
from opus_core.supervisor.judge import Judge, Statuses, refs_of
from opus_core.supervisor.questions import Questions
from opus_core.supervisor.reasons import Reasons
from opus_core.supervisor.tenure import NotActing

log = logging.getLogger(__name__)

_AT_ONCE = 1000  # jobs judged together

_EXPECTED = {
    Kind.QUEUED: {Phase.QUEUED, Phase.SUSPENDED},
    Kind.HELD: {Phase.HELD},
    Kind.RUNNING: {Phase.EXECUTING},
    Kind.SUSPENDED: {Phase.SUSPENDED},
}


class Poller:
    """One thread that polls by the clock and looks at jobs when somebody asks for it."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._judge = Judge(desk)
        self._questions = Questions(desk)
        self._reasons = Reasons(desk)
        self._wake = threading.Condition()
        self._attention = Attention(self._wake)
        self._stopping = False
        self._next_look = 0.0
        self._unrecognised: set[str] = set()
        self._unanswered: set[str] = set()  # whose question had to wait for the next poll
        self._unclear: set[str] = set()  # of which the scheduler has said nothing that counts
        self._doubtful: set[str] = set()  # over or gone by the scheduler's word, but not yet ended
        self._thread = threading.Thread(target=self._run, name="opus-poll", daemon=True)

    def start(self) -> None:
        """Begin to poll."""
        self._thread.start()

    def finish(self) -> None:
        """Judge no more than what is being judged."""
        with self._wake:
            self._stopping = True
            self._wake.notify_all()

    def join(self) -> None:
        """Wait for the end of it."""
        if self._thread.ident is not None:
            self._thread.join(timeout=30)

    def look_at(self, job_id: str, *, due: bool, event: str = "") -> None:
        """Judge it soon: the first at once, then one question per event interval for all.

        One that is due is saved whatever comes of it, so that it is not due for ever. After an
        event (`begin` or `event`) that its folder does not explain the scheduler is asked.
        """
        self._attention.want(job_id, due=due, event=event)

    @property
    def asked(self) -> frozenset[str]:
        """Jobs that wait to be looked at or are, so that nobody asks for them again."""
        return self._attention.wanted

    def _run(self) -> None:
        while True:
            with self._wake:
                while not self._stopping and self._pause() > 0:
                    self._wake.wait(self._pause())
                if self._stopping:
                    return
            try:
                if not self._desk.tenure.wait(1.0):
                    continue
                self._turn()
            except NotActing:
                continue
            except OpusError as error:
                log.warning("polling was put off: %s", error.sentence)
                self._rest()
            except Exception:
                log.exception("polling failed")
                self._rest()

    def _rest(self) -> None:
        with self._wake:
            if not self._stopping:
                self._wake.wait(1.0)

    def _pause(self) -> float:
        wanted = max(self._attention.next, self._next_look)
        return min(wanted, self._questions.next_poll) - time.monotonic()

    def _turn(self) -> None:
        if time.monotonic() >= self._questions.next_poll:
            with self._questions.poll():
                self._poll()
        if time.monotonic() >= self._next_look:
            wanted = self._attention.take()
            if wanted.jobs:
                self._attend(wanted)

    def _attend(self, wanted: Wanted) -> None:
        """Look at what is wanted."""
        begin = time.monotonic()
        again: Collection[str] = ()
        unclear: Collection[str] = wanted.events  # unless this comes to its end
        # Of those that are not LIVE any more nobody asks again.
        self._unanswered.difference_update(wanted.jobs)
        self._unclear.clear()
        try:
            self._look(wanted.jobs, {}, due=wanted.due, events=wanted.events)
            again, unclear = self._unanswered.intersection(wanted.events), self._unclear
        except OpusError:
            again = wanted.events
            raise
        finally:
            self._attention.done(wanted, again=again, unclear=unclear)
            took = time.monotonic() - begin
            rest = max(self._desk.settings.event_interval, min(took, self._questions.interval))
            self._next_look = time.monotonic() + rest
            if again:
                self._next_look = max(self._next_look, self._questions.next)

    def _poll(self) -> None:
        lives = list(self._desk.storage.live())
        self._doubtful &= {live.id for live in lives}
        if not lives:
            self._questions.sound()
            return
        statuses = self._questions.ask([live.ref for live in lives])
        # Where the scheduler does not answer the folders still tell what has ended.
        news = {live.id for live in lives if self._is_news(live, statuses.get(live.ref))}
        unanswered, self._unanswered = self._unanswered, set()
        news |= unanswered.intersection(live.id for live in lives)
        known: dict[str, Statuses] = {}
        for live in lives:
            if live.id in news and live.ref in statuses:
                known.setdefault(live.id, {})[live.ref.native_id] = statuses[live.ref]
        ids = list(dict.fromkeys(live.id for live in lives if live.id in news))
        for start in range(0, len(ids), _AT_ONCE):
            self._look(ids[start : start + _AT_ONCE], known, ask=False)
        self._reasons.tell(lives, statuses, news)

    def _is_news(self, live: Live, status: Status | None) -> bool:
        if status is None:
            return True
        if status.kind is Kind.UNRECOGNISED:
            if status.native_state not in self._unrecognised:
                self._unrecognised.add(status.native_state)
                log.warning(
                    "the cluster says %r, of which the %s manager makes nothing",
                    status.native_state,
                    self._desk.manager.name,
                    extra=about(job=live.id),
                )
            return False
        return live.id in self._doubtful or live.phase not in _EXPECTED.get(status.kind, set())

    # -- looking

    def _look(
        self,
        job_ids: Collection[str],
        known: Mapping[str, Statuses],
        *,
        due: Collection[str] = (),
        events: Mapping[str, str] = MappingProxyType({}),
        ask: bool = True,
    ) -> None:
        """Peek into the jobs' folders, ask about those where that may not be enough, and judge.

        `known` is what has been asked already; without `ask` the scheduler is left alone.
        """
        desk = self._desk
        found = [job for job in map(desk.fresh, job_ids) if job and job.work is Work.LIVE]
        for manager in {job.manager for job in found if not desk.ours(job)}:
            desk.abandon(manager)
        tasks: dict[str, Task] = {}
        for job in found:
            try:
                if desk.ours(job):
                    tasks[job.id] = desk.task(job)
            except Exception:
                log.exception("cannot be looked at", extra=about(job=job.id))
                self._stumble(job, due=job.id in due)
        found = [job for job in found if job.id in tasks]
        if not found:
            return
        try:
            links = self._questions.peek(list(tasks.values()))
        except BackendUnavailable:
            self._unclear.update(job.id for job in found)
            for job in found:
                if job.id in due:
                    self._put_off(job)
            return
        seen = {job.id: links[job.tag] for job in found if job.tag in links}
        for job in found:
            if job.id not in seen:
                self._stumble(job, due=job.id in due)
        found = [job for job in found if job.id in seen]
        if ask:
            doubtful = [
                job
                for job in found
                if job.id not in known
                and self._judge.needs_status(job, seen[job.id], event=events.get(job.id, ""))
            ]
            known = {**known, **self._statuses(doubtful)}
        for job in found:
            with during(job=job.id):
                self._step(
                    job, seen[job.id], known.get(job.id, {}), tasks[job.id], due=job.id in due
                )

    def _step(self, job: Job, links: Links, statuses: Statuses, task: Task, *, due: bool) -> None:
        """Judge one job; what goes wrong with it holds up no other."""
        try:
            judged = self._judge.judge(job, links, statuses, task, due=due)
            watch = judged.watch
            if judged.work is Work.LIVE and (watch.over or watch.gone):
                self._doubtful.add(job.id)
            else:
                self._doubtful.discard(job.id)
        except NotActing:
            raise
        except UnknownJob:
            return
        except OpusError as error:
            log.warning("could not be judged: %s", error.sentence, extra=about(job=job.id))
            self._put_off(job)
        except Exception:
            log.exception("could not be judged", extra=about(job=job.id))
            self._stumble(job, due=due)
        else:
            self._desk.trouble.past(job.id)

    def _statuses(self, doubtful: Sequence[Job]) -> dict[str, Statuses]:
        """What the scheduler says of these, unless it was asked a moment ago: then they have to
        wait, as a poll has to after this question."""
        refs = {ref: job.id for job in doubtful for ref in refs_of(job)}
        if not refs or not self._questions.may_ask:
            self._unanswered.update(refs.values())
            return {}
        known: dict[str, Statuses] = {}
        answered = self._questions.ask_between(list(refs))
        for ref, job_id in refs.items():
            if ref in answered:
                known.setdefault(job_id, {})[ref.native_id] = answered[ref]
            if ref not in answered or answered[ref].kind is Kind.UNRECOGNISED:
                self._unclear.add(job_id)
        return known

    def _stumble(self, job: Job, *, due: bool) -> None:
        """Nobody has foreseen this; one that has met it before is looked at again anyway."""
        self._unclear.add(job.id)
        if self._desk.trouble.met(job.id) or due:
            self._put_off(job)

    def _put_off(self, job: Job) -> None:
        """Look at the job again in a while; a poll may do so before."""
        self._unclear.add(job.id)
        try:
            self._desk.change(job, lambda job: job, due=pause(0))
        except UnknownJob:
            return
