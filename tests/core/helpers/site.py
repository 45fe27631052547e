"""A whole installation in a temporary folder: memory storage, real folders, a small cluster."""

from __future__ import annotations

import threading
import uuid
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from core.helpers.cluster import Cluster, SmallManager
from json_jdl import JsonJdl
from opus_core import lifecycle
from opus_core.datadir import open_data_dir
from opus_core.definition import GeneratedDescription, JobDefinition
from opus_core.definitions import Catalogue
from opus_core.errors import Conflict
from opus_core.folder import Folders
from opus_core.job import TRANSITIONS, DefinitionRef, Job, Mark, Phase, Work, new_id, now
from opus_core.supervisor import Settings, Supervisor
from opus_core.testing.memory import MemoryOptions, MemoryStorage
from opus_core.testing.timing import eventually

OFTEN = 40  # listings of one version of a job, after which somebody is going round in circles


class WatchedStorage(MemoryStorage):
    """Notes every save after which nothing would ever look at a job that is owed something, and
    how often a job is listed without getting on."""

    def __init__(self, options: MemoryOptions) -> None:
        super().__init__(options)
        self.forgotten: list[Job] = []
        self.listed: Counter[tuple[str, int]] = Counter()
        self.saves: Counter[str] = Counter()

    def save(self, job: Job, *, expected: int, due: float | None = 0.0, **more) -> Job:
        saved = super().save(job, expected=expected, due=due, **more)
        self.saves[job.id] += 1
        polled = saved.work is Work.LIVE and not saved.marks
        if saved.needs_supervisor and due is None and not polled:
            self.forgotten.append(saved)
        return saved

    def todo(self, limit: int, exclude: Collection[str] = ()) -> list[Job]:
        jobs = super().todo(limit, exclude)
        self.listed.update((job.id, job.version) for job in jobs)
        return jobs


class Site:
    """One installation, any number of supervisors of it, and what a test asks of its jobs."""

    def __init__(self, folder: Path) -> None:
        self.universe = uuid.uuid4().hex
        self.storage = self.open_storage()
        self.folders = Folders(folder / "jobs")
        self.catalogue = Catalogue(folder / "data" / "definitions", JsonJdl(None), ())
        self.data_dir = open_data_dir(folder / "data")
        self.cluster = Cluster()
        self.manager = SmallManager(self.cluster)
        self.settings = Settings(policy=lifecycle.Policy(grace=0.4))
        self.embedded = True  # False: the web side is another process
        self.trace = folder / "trace"  # scripts append to it
        self._published: dict[tuple[str, tuple[str, ...], bool], DefinitionRef] = {}
        self._storages = [self.storage]
        self._supervisors: list[Supervisor] = []

    def open_storage(self) -> WatchedStorage:
        """A further instance, as another process would have."""
        return WatchedStorage(MemoryOptions(universe=self.universe))

    def supervisor(
        self,
        *,
        manager: SmallManager | None = None,
        storage: WatchedStorage | None = None,
        observers=(),
        changed: Callable[[str], None] = lambda job_id: None,
        **settings,
    ) -> Supervisor:
        """A supervisor that has been started; it is stopped with the site."""
        storage = storage or self.open_storage()
        self._storages.append(storage)
        supervisor = Supervisor(
            storage=storage,
            manager=manager or self.manager,
            catalogue=self.catalogue,
            folders=self.folders,
            data_dir=self.data_dir,
            settings=replace(self.settings, **settings),
            changed=changed,
            observers=dict(observers),
        )
        self._supervisors.append(supervisor)
        supervisor.start()
        return supervisor

    # -- jobs

    def job(
        self,
        script: str = "exit 0",
        *,
        run: bool = True,
        outputs: Collection[str] = (),
        required: bool = False,
        **changes,
    ) -> Job:
        """A job of a description with this script, wanted on the cluster at once; the script
        first leaves a line in `trace`."""
        what = (script, tuple(outputs), required)
        if what not in self._published:
            definition = JobDefinition(
                name=f"test{len(self._published)}",
                script=f'echo "$PWD" >> {self.trace}\n{script}\n',
                generated=tuple(
                    GeneratedDescription(name=one, required=required) for one in outputs
                ),
            )
            self._published[what] = self.catalogue.publish(definition, "tests")
        ref = self._published[what]
        job_id = new_id()
        job = Job(id=job_id, definition=ref, created=now(), manager="small", **changes)
        if run:
            job = lifecycle.run(job, now=now(), tag=self.tag(job_id), can_resume=False)
        added = self.storage.add(job)
        self._wake()
        return added

    def _wake(self) -> None:
        """What a web side in the same process does after a change."""
        if self.embedded:
            for supervisor in self._supervisors:
                supervisor.wake()

    def tag(self, job_id: str) -> str:
        return f"opus-{self.data_dir.instance.word}-{job_id}"

    def read(self, job: Job) -> Job:
        return self.storage.read(job.id, doomed=True)

    def ask(self, job: Job, rule: Callable[..., Job], **more) -> Job:
        """What the web does: apply a rule that users may ask for, until nobody was faster."""
        while True:
            stored = self.read(job)
            changed = rule(stored, now=now(), **more)
            if changed == stored:
                return stored
            try:
                saved = self.storage.save(changed, expected=stored.version)
            except Conflict:
                continue
            self._wake()
            return saved

    def abort(self, job: Job) -> Job:
        return self.ask(job, lifecycle.abort)

    def delete(self, job: Job) -> Job:
        return self.ask(job, lifecycle.doom)

    # -- waiting

    def until(self, job: Job, condition: Callable[[Job], bool], what: str) -> Job:
        """The job as soon as the condition holds."""

        def look() -> Job | None:
            stored = self.read(job)
            return stored if condition(stored) else None

        try:
            found = eventually(look, what)
        except BaseException:
            print("job:", self.storage.universe.rows.get(job.id))
            raise
        assert found is not None
        return found

    def until_phase(self, job: Job, phase: Phase) -> Job:
        return self.until(job, lambda one: one.phase is phase, f"the job is {phase}")

    def until_work(self, job: Job, work: Work) -> Job:
        return self.until(job, lambda one: one.work is work, f"its work is {work}")

    def until_released(self, job: Job, phase: Phase) -> Job:
        """The job when all is done, which must have left it in this phase."""
        released = self.until_work(job, Work.RELEASED)
        assert released.phase is phase, released
        return released

    def until_removed(self, job: Job) -> None:
        eventually(lambda: job.id not in self.storage.universe.rows, "its row is gone")

    def until_runs(self, times: int = 1) -> None:
        """Wait until scripts have begun so many times."""
        eventually(lambda: self.runs() >= times, f"{times} scripts have begun")

    def runs(self) -> int:
        """How many times scripts have begun."""
        return len(self._begun())

    def _begun(self) -> list[str]:
        """The working directory of every script that has begun, once for each time."""
        return self.trace.read_text().splitlines() if self.trace.exists() else []

    def native_ids(self, job: Job) -> list[str]:
        """What the cluster has under the job's tag."""
        return [one.native_id for one in self.cluster.under(self.tag(job.id))]

    def phases(self, job: Job) -> list[Phase | None]:
        """The phases the journal tells of a job, None at its deletion."""
        _, changes = self.storage.changes(0)
        return [change.new for change in changes if change.job_id == job.id]

    # -- the end

    def close(self) -> None:
        """Stop everything."""
        self.cluster.open.set()
        self.cluster.delivers.set()
        for supervisor in self._supervisors:
            supervisor.stop()
        self.cluster.close()

    def check(self) -> None:
        """What must hold after every test, whatever it did."""
        left = [thread.name for thread in threading.enumerate() if thread.name.startswith("opus-")]
        assert left == [], "threads are left behind"
        for storage in self._storages:
            assert storage.forgotten == [], "nothing would ever look at these again"
            circles = {key: n for key, n in storage.listed.items() if n > OFTEN}
            assert circles == {}, "listed again and again without getting on"
        twice = {folder: n for folder, n in Counter(self._begun()).items() if n > 1}
        assert twice == {}, "a script runs once in the life of a job"
        _, changes = self.storage.changes(0, limit=100_000)
        for change in changes:
            if change.old is not None and change.new is not None:
                assert change.new in TRANSITIONS[change.old], change
        for row in self.storage.universe.rows.values():
            job = row.job
            times = [t for t in (job.created, job.started, job.ended, now()) if t is not None]
            assert times == sorted(times), job
            assert job.ended is not None or not job.phase.over or job.doomed, job
            assert Mark.DOOMED in job.marks or not _jobless(job), job


def _jobless(job: Job) -> bool:
    """A job that shows itself QUEUED or EXECUTING while nothing drives it."""
    return job.phase.active and job.work in (Work.NONE, Work.RELEASED)


@contextmanager
def a_site(folder: Path) -> Iterator[Site]:
    """A site that is closed and checked at the end."""
    site = Site(folder)
    try:
        yield site
        site.close()
        site.check()
    finally:
        site.close()
        MemoryStorage.forget(site.universe)
