"""What a user can ask for: the one door from the web to the jobs. It knows no HTTP.

A request becomes one compare-and-set in the storage: nothing here calls a manager, so a request
costs the same whether the cluster answers in 10 ms or hangs.
"""

from __future__ import annotations

import hashlib
import hmac
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from opus_core import hosts, lifecycle, validation
from opus_core import job as jobs
from opus_core.auth.audit import Audit
from opus_core.auth.policy import Policy
from opus_core.auth.remembered import Remembered
from opus_core.backends import JobQuery, Limits, Storage, User
from opus_core.datadir import DataDir
from opus_core.definition import JobDefinition, ParameterDescription
from opus_core.definitions import Catalogue, Published
from opus_core.departure import Gone, stays
from opus_core.errors import (
    AlreadyAdded,
    BadRequest,
    Conflict,
    Gap,
    NotAllowed,
    NotFound,
    TooLarge,
    Unavailable,
    UnknownJob,
)
from opus_core.facts import about
from opus_core.folder import Folders
from opus_core.forms import Form
from opus_core.job import (
    Change,
    Idempotency,
    Job,
    JobSummary,
    Parameter,
    Phase,
    Result,
    Upload,
    Work,
)
from opus_core.sections import Jobs
from opus_core.waiting import Owner, Waiter, Watcher

log = logging.getLogger(__name__)

_TRIES = 50  # a save lost to others; each means that somebody else got on with the job
_MOST_VALUES = 12_000  # of a job; some more than a request may bring, for there are defaults
_MOST_TEXT = 3 * 2**20  # [characters] of a job's texts that are no files
_PLACE_AGAIN = 5.0  # [s] after which a request that found no slot may find one
_LOOKS = 600.0  # [s] of an admin's looks at another's job that are audited once
_ABORT_WAIT = 2.0  # [s] the answer to ABORT waits to show the job over, never for the cluster


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """What has happened to somebody's jobs."""

    seq: int  # to ask after next
    changes: tuple[Change, ...] = ()  # oldest first
    reset: bool = False  # not all of them are known any more: read the jobs themselves again


class JobService:
    """Creates, shows and changes jobs in the name of a user."""

    def __init__(
        self,
        *,
        storage: Storage,
        catalogue: Catalogue,
        folders: Folders,
        watcher: Watcher,
        data_dir: DataDir,
        settings: Jobs,
        limits: Limits,
        anonymous_limits: Limits | None = None,
        policy: Policy,
        audit: Audit | None = None,
        manager: str,
        can_resume: bool,
        run_options: tuple[ParameterDescription, ...] = (),
        on_change: Callable[[], None] = lambda: None,
        on_event: Callable[[str, str], bool] = lambda job_id, what: False,
    ) -> None:
        self._storage = storage
        self._catalogue = catalogue
        self.folders = folders
        self._watcher = watcher
        self._data_dir = data_dir
        self._settings = settings
        self.fetch_hosts = settings.fetch_hosts
        self._hosts = hosts.parse(settings.fetch_hosts)
        self._limits = limits
        self._anonymous_limits = anonymous_limits or limits
        self._policy = policy
        self._audit = audit
        self._looked: Remembered[tuple[str | None, str], None] = Remembered(seconds=_LOOKS)
        self._manager = manager
        self._can_resume = can_resume
        self.run_options = run_options
        self._on_change = on_change
        self._on_event = on_event

    # -- creation

    def create(
        self, user: User, published: Published, form: Form, *, job_id: str, key: str | None = None
    ) -> tuple[Job, bool]:
        """Store a new job, wanted on the cluster at once if the form says PHASE=RUN.

        Answers the job and whether it is new: a repeated request with the same Idempotency-Key
        and body answers the first one's job. Another body under the same key is a `Conflict`.
        """
        self._policy.may_run(user, published.ref.name)
        request = validation.split(form, published.definition, self.run_options)
        if request.controls.phase not in (None, "RUN"):
            raise BadRequest("PHASE of a new job can only be RUN; leave it out to run it later")
        if request.controls.action is not None:
            raise BadRequest("ACTION is for a job that exists; leave it out")
        job = self._new(user, published, request, job_id)
        if key is not None:
            # The same form at another description is another request.
            body = hashlib.sha256(f"{published.ref.name} {form.digest}".encode()).hexdigest()
            job = replace(job, idempotency=Idempotency(key=key, body=body))
        try:
            added = self._storage.add(job, limits=self._limits_of(job))
        except AlreadyAdded as already:
            if not already.same_body:
                raise
            return self._storage.read(already.job_id), False
        facts = about(
            job=added.id,
            definition=f"{added.definition.name}/{added.definition.number}",
            phase=added.phase,
            run_id=added.run_id,
        )
        log.info("created", extra=facts)
        self._changed(added)
        return added, True

    def _new(
        self, user: User, published: Published, request: validation.Request, job_id: str
    ) -> Job:
        now = jobs.now()
        definition = published.definition
        controls = request.controls
        duration = controls.execution_duration
        if duration is None:
            duration = definition.execution_duration
        if duration is None:
            duration = self._settings.execution_duration
        latest = self._latest_destruction(now)
        destruction = controls.destruction
        if destruction is None and self._settings.destruction_days:
            destruction = now + timedelta(days=self._settings.destruction_days)
        if destruction is not None and latest is not None:
            destruction = min(destruction, latest)
        job = Job(
            id=job_id,
            definition=published.ref,
            owner=user.name,
            quota_key=user.quota_key,
            run_id=controls.run_id,
            created=now,
            destruction=destruction,
            quote=None if definition.quote is None else now + timedelta(seconds=definition.quote),
            execution_duration=lifecycle.clamp_duration(
                duration, longest=self._settings.execution_duration_max
            ),
            parameters=self._bounded(request.parameters(definition, self._hosts)),
            options={**definition.options, **request.options},
            manager=self._manager,
        )
        if controls.phase == "RUN":
            job = lifecycle.run(job, now=now, tag=self._tag(job_id), can_resume=False)
        return job

    def _bounded(self, parameters: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
        """Held to what one job may have, which several requests could bring together."""
        if len(parameters) > _MOST_VALUES:
            raise TooLarge(f"more than {_MOST_VALUES} values, the most that a job may have here")
        if sum(len(one.value) for one in parameters) > _MOST_TEXT:
            raise TooLarge(
                f"the job's shorter texts have more than {_MOST_TEXT} characters together, the most"
                " taken here; send them as a file"
            )
        most = self._settings.max_files
        if sum(bool(one.upload and one.value) for one in parameters) > most:
            raise BadRequest(f"more than {most} inputs are given as URLs, the most taken here")
        return parameters

    def _tag(self, job_id: str) -> str:
        return f"opus-{self._data_dir.instance.word}-{job_id}"

    def _latest_destruction(self, now: datetime) -> datetime | None:
        days = self._settings.destruction_days_max
        return now + timedelta(days=days) if days else None

    # -- reading

    def summary(self, user: User, name: str, job_id: str) -> JobSummary:
        """Its phase and little more, for the price of one row."""
        summary = self._storage.summary(job_id)
        self._check(user, name, summary)
        return summary

    def read(self, user: User, name: str, job_id: str) -> Job:
        """The whole job, with what its script says of its progress as `progress` and `doing` in
        job_info. `UnknownJob` also under another description's name."""
        job = self._read(user, name, job_id)
        if job.phase is not Phase.EXECUTING:
            return job
        progress = self.folders.progress(job_id)
        if progress is None:
            return job
        percent, text = progress
        said = {"progress": str(percent), **({"doing": text} if text else {})}
        return replace(job, job_info={**job.job_info, **said})

    def _read(self, user: User, name: str, job_id: str) -> Job:
        job = self._storage.read(job_id)
        self._check(user, name, job)
        return job

    def definition_of(self, job: Job) -> JobDefinition:
        """The description the job was made from, as it was then."""
        return self._catalogue.read(job.definition)

    def understand(self, job: Job, form: Form) -> validation.Request:
        """What a form about the job asks for.

        Its description is read only for words that it may know: a job can be stopped and removed
        whatever has become of that.
        """
        if validation.only_controls(form):
            definition = JobDefinition(name=job.definition.name)
        else:
            definition = self.definition_of(job)
        return validation.split(form, definition, self.run_options)

    def get_list(self, user: User, query: JobQuery) -> Iterator[JobSummary]:
        """The jobs that the user may see."""
        visible = self._policy.visible(user, query)
        return iter(()) if visible is None else self._storage.get_list(visible)

    def wait(
        self, user: User, name: str, job_id: str, wait: validation.Wait, gone: Gone = stays
    ) -> Job:
        """The job, after its phase has changed or the time is up (UWS 1.1 section 2.2.1.2).

        Answers at once in phases that do not block, if the job is not in the phase the client
        believes it in, and where no slot is left for another waiter; and soon if it is `gone`.
        """
        longest = self._settings.max_wait
        seconds = longest if wait.seconds < 0 else min(wait.seconds, longest)
        with self._watcher.waiter(job_id, user.quota_key, gone) as waiter:
            deadline = time.monotonic() + seconds
            first = self.summary(user, name, job_id).phase
            if first.waitable and wait.phase in (None, first):
                while waiter.wait(deadline - time.monotonic()):
                    job = self.read(user, name, job_id)  # most are woken for their answer
                    if job.phase is not first:
                        return job
                    del job  # nobody shall keep one while waiting
        return self.read(user, name, job_id)

    @contextmanager
    def place(self, user: User, job_id: str, gone: Gone = stays) -> Iterator[Waiter]:
        """A slot for a request that is to stay until a job is over, taken before there is the job.

        Raises `Unavailable` where none is left.
        """
        with self._watcher.waiter(job_id, user.quota_key, gone) as waiter:
            if not waiter.admitted:
                raise Unavailable(
                    "too many requests are waiting here already; try again later, or make a job of"
                    " it and ask for its phase",
                    retry_after=_PLACE_AGAIN,
                )
            yield waiter

    def until_over(self, user: User, name: str, job_id: str, waiter: Waiter) -> Job:
        """The job as soon as it is over, or as it is after the longest time a request may wait."""
        deadline = time.monotonic() + self._settings.max_wait
        while not self.summary(user, name, job_id).phase.over:
            if not waiter.wait(deadline - time.monotonic()):
                break
        return self.read(user, name, job_id)

    def changes(self, user: User, after: int, seconds: int, gone: Gone = stays) -> Changes:
        """What has happened since the number `after` to the jobs that the user may have listed.

        Waits for it as `wait` does. `after` < 0 asks for the number to begin with. After a gap in
        the journal, or a number that it has not reached yet, the answer says to begin again.
        """
        visible = self._policy.visible(user, JobQuery())
        if after < 0:
            return Changes(seq=self._storage.changes(after)[0])
        longest = self._settings.max_wait
        seconds = longest if seconds < 0 else min(seconds, longest)
        with self._watcher.waiter(Owner(user.name), user.quota_key, gone) as waiter:
            deadline = time.monotonic() + seconds
            seq = after
            while True:
                try:
                    newest, found = self._storage.changes(seq, owner=user.name)
                except Gap as gap:
                    return Changes(seq=gap.newest, reset=True)
                if newest < seq:
                    return Changes(seq=newest, reset=True)
                seq = newest
                if (found and visible) or not waiter.wait(deadline - time.monotonic()):
                    return Changes(seq=seq, changes=tuple(found) if visible else ())

    def result(self, user: User, name: str, job_id: str, result_id: str) -> tuple[Job, Result]:
        """A result by its id; `NotFound` names those there are."""
        return _result(self.read(user, name, job_id), result_id)

    def admitted_result(self, name: str, job_id: str, result_id: str) -> tuple[Job, Result]:
        """The same for whoever has been admitted to it by other means than who they are."""
        job = self._storage.read(job_id)
        if job.definition.name != name:
            raise UnknownJob(job_id)
        return _result(job, result_id)

    def upload(self, user: User, name: str, job_id: str, parameter: str) -> tuple[Job, Upload]:
        """The file that was uploaded for a parameter."""
        job = self.read(user, name, job_id)
        for one in job.parameters:
            if one.name.casefold() == parameter.casefold() and one.upload is not None:
                return job, one.upload
        raise NotFound(f"job {job_id} has no uploaded file {parameter!r}")

    # -- changing

    def run(self, user: User, name: str, job_id: str) -> Job:
        """PHASE=RUN. `NotAllowed` unless it is PENDING, or HELD where it can be resumed."""

        def rule(job: Job) -> Job:
            if job.work is Work.NONE:
                self._policy.may_run(user, job.definition.name)
            if job.work is Work.NONE and self._catalogue.is_withdrawn(job.definition.name):
                raise NotAllowed(
                    f"{job.definition.name!r} has been withdrawn and takes no jobs any more"
                )
            wanted = lifecycle.run(
                job, now=jobs.now(), tag=self._tag(job.id), can_resume=self._can_resume
            )
            # The manager may have been changed since the job was created.
            return replace(wanted, manager=self._manager) if job.work is Work.NONE else wanted

        return self._change(user, name, job_id, rule, limited=True, act="run", said="is to run")

    def abort(self, user: User, name: str, job_id: str) -> Job:
        """PHASE=ABORT, in any phase. Waits a moment for the end, so that most clients see it."""
        with self._watcher.waiter(job_id, user.quota_key) as waiter:
            deadline = time.monotonic() + _ABORT_WAIT
            job = self._change(
                user,
                name,
                job_id,
                lambda job: lifecycle.abort(job, now=jobs.now()),
                act="aborted",
                said="is to be aborted",
            )
            while not job.phase.over and waiter.wait(deadline - time.monotonic()):
                try:
                    job = self._storage.read(job_id)
                except UnknownJob:
                    break
        return job

    def delete(self, user: User, name: str, job_id: str) -> Job:
        """DELETE: unknown to every client from now on; the supervisor clears up."""
        return self._change(
            user,
            name,
            job_id,
            lambda job: lifecycle.doom(job, now=jobs.now()),
            act="deleted",
            said="deleted",
        )

    def set_destruction(self, user: User, name: str, job_id: str, instant: datetime) -> Job:
        """DESTRUCTION, cut to what the site allows."""
        latest = self._latest_destruction(jobs.now())
        return self._change(
            user,
            name,
            job_id,
            lambda job: lifecycle.set_destruction(job, instant, latest=latest),
            said="has another destruction time",
        )

    def set_execution_duration(self, user: User, name: str, job_id: str, seconds: int) -> Job:
        """EXECUTIONDURATION [s], cut to what the site allows."""
        longest = self._settings.execution_duration_max
        return self._change(
            user,
            name,
            job_id,
            lambda job: lifecycle.set_execution_duration(job, seconds, longest=longest),
            said="has another execution duration",
        )

    def set_parameters(self, user: User, name: str, job_id: str, form: Form) -> Job:
        """New values for some parameters of a PENDING job; the others stay as they are."""

        def rule(job: Job) -> Job:
            definition = self._catalogue.read(job.definition)
            request = validation.split(form, definition, self.run_options)
            merged = request.merge(definition, job.parameters, self._hosts)
            changed = lifecycle.set_parameters(job, self._bounded(merged))
            return replace(changed, options={**changed.options, **request.options})

        return self._change(user, name, job_id, rule, limited=True, said="has other parameters")

    def discard(self, job_id: str, uploads: Iterable[Upload]) -> None:
        """Remove those files from a PENDING job that it does not name, or not any more."""
        hashes = {upload.sha256 for upload in uploads if upload.sha256}
        if not hashes:
            return
        try:
            job = self._storage.read(job_id)
        except UnknownJob:
            return  # its folder goes as a whole
        if job.phase is Phase.PENDING:  # else the supervisor brings its inputs into order
            named = {upload.sha256 for upload in uploads_of(job)}
            self.folders.discard(job_id, hashes - named)

    def _change(
        self,
        user: User,
        name: str,
        job_id: str,
        rule: Callable[[Job], Job],
        *,
        limited: bool = False,
        act: str = "changed",
        said: str,
    ) -> Job:
        """Read, apply the rule, save, until nobody was faster: the one way to change a job. `act`
        is for the audit, `said` for the log."""
        for _ in range(_TRIES):
            job = self._read(user, name, job_id)
            self._policy.may_change(user, job)
            changed = rule(job)
            if changed == job:
                return job
            try:
                limits = self._limits_of(job) if limited else None
                saved = self._storage.save(changed, expected=job.version, limits=limits)
            except Conflict:
                continue
            log.info(said, extra=about(job=saved.id, phase=saved.phase))
            if saved.phase.over and not job.phase.over:
                log.info("is over", extra=about(job=saved.id, phase=saved.phase))
            self._changed(saved)
            if self._audit is not None and self._policy.for_another(user, saved):
                more = f"of {saved.owner}"
                self._audit.note(user.name, f"job {act}", job_id, address=user.address, more=more)
            return saved
        raise Conflict(f"job {job_id} is being changed by others all the time; try again")

    def _limits_of(self, job: Job) -> Limits:
        """What whoever made the job may have."""
        return self._anonymous_limits if job.owner is None else self._limits

    def _changed(self, job: Job) -> None:
        self._watcher.changed(job.id, Owner(job.owner))
        if job.needs_supervisor:
            self._on_change()

    # -- events

    def event(self, fields: Mapping[str, str], *, trusted: bool) -> int:
        """A wrapper, or a completion script of the cluster, says that something happened.

        It changes nothing: the supervisor is only asked to look; where the `phase` is EXECUTING,
        into the folder alone, as a script that begins leaves its mark there. `trusted` addresses
        need no token. Answers how many jobs were meant; `NotAllowed` without a right token, which
        is right as long as the cluster has not forgotten the job.
        """
        what = "begin" if fields.get("phase") == Phase.EXECUTING else "event"
        subject = fields.get("jobid", "")
        tag = subject if subject.startswith("opus-") else self._tag(subject)
        token = fields.get("token", "")
        right = hmac.compare_digest(
            token.encode("utf-8", "replace"), self._data_dir.event_token(tag).encode()
        )
        job_id = tag.rpartition("-")[2]
        work = self._work(job_id) if right or trusted else None
        if not subject or not (trusted or work not in (None, Work.RELEASED)):
            raise NotAllowed("a job event needs the token of a job that is not over")
        # A supervisor in this process needs no write to be told.
        if work is Work.LIVE and self._on_event(job_id, what):
            return 1
        found = self._storage.poke(what, job_id=job_id)
        if not found and trusted:
            found = self._storage.poke(what, native_id=subject)
        if found:
            self._on_change()
        return found

    def _work(self, job_id: str) -> Work | None:
        try:
            return self._storage.read(job_id, doomed=True).work
        except UnknownJob:
            return None

    # -- who may

    def _check(self, user: User, name: str, job: Job | JobSummary) -> None:
        if job.definition.name != name:
            raise UnknownJob(job.id)
        self._policy.may_see(user, job)
        if self._audit is not None and self._policy.for_another(user, job):
            # Pages ask again and again; one look at a job is one act.
            self._looked.get((user.name, job.id), lambda: self._note_look(user, job))

    def _note_look(self, user: User, job: Job | JobSummary) -> None:
        if self._audit is not None:
            more = f"of {job.owner}"
            with suppress(Unavailable):  # a full disk keeps no admin from looking; the log has it
                self._audit.note(user.name, "job seen", job.id, address=user.address, more=more)


def _result(job: Job, result_id: str) -> tuple[Job, Result]:
    for result in job.results:
        if result.id == result_id:
            return job, result
    there = ", ".join(result.id for result in job.results) or "none yet"
    raise NotFound(f"job {job.id} has no result {result_id!r}; it has: {there}")


def uploads_of(job: Job) -> list[Upload]:
    """The files that came with a job."""
    return [parameter.upload for parameter in job.parameters if parameter.upload is not None]
