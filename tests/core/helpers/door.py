"""A service, what stands behind it, and what a test asks of it."""

from __future__ import annotations

from dataclasses import replace

from json_jdl import JsonJdl
from opus_core.auth.policy import Policy
from opus_core.backends import Limits, User
from opus_core.datadir import open_data_dir
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    ParameterDescription,
    ParameterType,
)
from opus_core.definitions import Catalogue
from opus_core.folder import Folders
from opus_core.forms import Form
from opus_core.job import Job, Phase, Result, Work, new_id, now
from opus_core.sections import Jobs
from opus_core.service import JobService
from opus_core.testing.memory import MemoryOptions, MemoryStorage
from opus_core.waiting import Watcher

ANN, BOB, NOBODY = User(name="ann"), User(name="bob"), User(name=None, address="192.0.2.7")
FIT = JobDefinition(
    name="fit",
    parameters=(ParameterDescription(name="n", type=ParameterType.INT, default="1"),),
    generated=(GeneratedDescription(name="table", default="t.csv"),),
    script="echo $n > $table\n",
    options={"memory": "1G"},
)
MEMORY = ParameterDescription(name="memory")
TABLE = Result(id="table", name="t.csv", size=3, media_type="text/csv", sha256="0" * 64)


class Door:
    """A service and what stands behind it."""

    def __init__(self, folder, universe: str) -> None:
        self.storage = MemoryStorage(MemoryOptions(universe=universe))
        self.catalogue = Catalogue(folder / "definitions", JsonJdl(None), ())
        self.catalogue.publish(FIT, "tests")
        self.watcher = Watcher(self.storage, slots=8, per_user=4)
        self.folder = folder
        self.woken = 0
        self.service = self.made()

    def made(
        self,
        settings: Jobs | None = None,
        limits: Limits | None = None,
        policy: Policy | None = None,
        manager: str = "small",
    ) -> JobService:
        def on_change() -> None:
            self.woken += 1

        return JobService(
            storage=self.storage,
            catalogue=self.catalogue,
            folders=Folders(self.folder / "jobs"),
            watcher=self.watcher,
            data_dir=open_data_dir(self.folder / "data"),
            settings=settings or Jobs(),
            limits=limits or Limits(),
            policy=policy or Policy(anonymous=True),
            manager=manager,
            can_resume=True,
            run_options=(MEMORY,),
            on_change=on_change,
        )

    def create(
        self, *values: tuple[str, str], user: User = ANN, service: JobService | None = None, **more
    ) -> Job:
        published = self.catalogue.published("fit")
        made = (service or self.service).create(
            user, published, Form(values=values), job_id=new_id(), **more
        )
        return made[0]

    def set(self, job: Job, **changes) -> Job:
        """What a supervisor has done."""
        stored = self.storage.read(job.id)
        return self.storage.save(replace(stored, **changes), expected=stored.version)

    def executing(self, **changes) -> Job:
        job = self.create(("PHASE", "RUN"))
        return self.set(
            job, phase=Phase.EXECUTING, work=Work.LIVE, started=now(), native_ids=("7",), **changes
        )
