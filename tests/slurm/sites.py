"""Servers whose jobs run on a private SLURM cluster, and what tests ask of both."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from opus_core.backends import NoOptions
from opus_core.definition import GeneratedDescription, JobDefinition, ParameterDescription
from opus_jdl_wadl.plugin import WadlJdl
from servers import OVER, Answer, Site, eventually
from services.slurm import Cluster

EXAMPLES = Path(__file__).parents[2] / "examples"

# Does as it is told, and says whenever it runs.
WORK = JobDefinition(
    name="work",
    parameters=(
        ParameterDescription(name="ledger", default="/dev/null"),
        ParameterDescription(name="command", default="true"),
    ),
    generated=(
        GeneratedDescription(name="output", default="output.txt", content_type="text/plain"),
    ),
    script="""\
echo ran >> "$ledger"
echo kept > "$output"
eval "$command"
""",
)

RUN_OPTIONS = (
    'slurm_partition = "main | short | low | lowrq | high | down | inactive | tiny = main", '
    'slurm_mem = "10M..16G = 20M", slurm_nodes = "1..8", slurm_cpus_per_task = "1..8", '
    'slurm_ntasks_per_node = "1..8"'
)
PATIENCE = 60.0  # [s] for what takes a few on an idle machine
NEAR, FAR = "near", "far"


def manager(cluster: Cluster, way: str, **options: str) -> str:
    """The table [manager] for one way to the cluster; further options as TOML."""
    keys = {
        "use": '"slurm"',
        "grace": "1",
        "timeout": "15",
        "visible_after": "10",
        "run_options": f"{{ {RUN_OPTIONS} }}",
    }
    if way == FAR:
        keys |= {"host": f'"{cluster.ssh_host}"', "ssh_config": f'"{cluster.ssh_config}"'}
    return "\n".join(f"{key} = {value}" for key, value in {**keys, **options}.items())


def supervisor(**options: str) -> str:
    """The table [supervisor]: quick, and patient with a busy machine."""
    keys = {"lease_seconds": "6", "grace": "3", "poll_interval": "1", "event_interval": "0.2"}
    return "\n".join(f"{key} = {value}" for key, value in {**keys, **options}.items())


@dataclass
class Stage:
    """A server, the cluster its jobs run on, and the way between them."""

    site: Site
    cluster: Cluster
    way: str

    @property
    def user(self) -> str | None:
        """Whose the jobs are on the cluster, as Cluster.run takes it."""
        return self.cluster.user if self.way == FAR else None

    @property
    def account(self) -> str:
        return self.cluster.user if self.way == FAR else "root"

    @property
    def log(self) -> str:
        return (self.site.folder / "data/opus.log").read_text()

    def work(self, command: str = "true", ledger: Path | str = "/dev/null", **fields: str) -> str:
        """A job that runs a command of bash; answers its URL."""
        return self.site.create("work", {"command": command, "ledger": str(ledger), **fields})

    def message(self, job: str) -> str:
        """The sentence of its errorSummary."""
        return (self.site.document(job)["errorSummary"] or {}).get("message", "")

    def info(self, job: str, key: str = "waiting") -> str:
        return self.site.document(job)["jobInfo"].get(key, "")

    def ends(self, job: str, phase: str, *words: str, seconds: float = PATIENCE) -> str:
        """Wait until it is over, as it should be, and with a sentence that says so."""
        try:
            found = self.site.wait(job, OVER, seconds)
        except AssertionError:
            raise AssertionError(f"not over within {seconds} s: {self.seen(job)}") from None
        said = self.message(job)
        assert found == phase, f"{found}: {said}"
        for word in words:
            assert word in said, said
        return said

    def waits(self, job: str, phase: str, *words: str, seconds: float = PATIENCE) -> str:
        """Wait until it is in that phase, and says why."""

        def so() -> bool:
            nonlocal said
            now = self.site.phase(job)
            said = f"{now}: {self.info(job)}"
            return now == phase and all(word in said for word in words)

        said = ""
        try:
            eventually(so, seconds, 0.1)
        except AssertionError:
            raise AssertionError(f"not {phase} {words} within {seconds} s, but {said}") from None
        return said

    def prints(self, job: str, text: str) -> None:
        """Wait until its standard output is that."""
        try:
            eventually(lambda: self.site.get(f"{job}/stdout").text == text, PATIENCE, 0.1)
        except AssertionError:
            raise AssertionError(f"it does not print {text!r}: {self.seen(job)}") from None

    def seen(self, job: str) -> str:
        """What everybody knows of it, for whoever wants to know why it does not end."""
        folder = self.folder(job)
        files = sorted(one.name for one in folder.iterdir()) if folder.exists() else None
        logs = [line for line in self.log.splitlines() if id_of(job) in line]
        daemons = "".join(map(self.cluster.tail, ("ctld", "node1", "node2")))
        queue = self.queue(job, "%i %T %r %N %S")
        return f"{self.site.document(job)}\n{queue}\n{files}\n{logs}\n{self.log[-1500:]}\n{daemons}"

    # -- on the cluster

    def name(self, job: str) -> str:
        """Its name on the cluster."""
        instance = json.loads((self.site.folder / "data/instance").read_text())
        return f"opus-{instance['word']}-{id_of(job)}"

    def queue(self, job: str, what: str = "%i") -> list[str]:
        """What squeue shows of each of its submissions."""
        query = ("squeue", "-h", "-t", "all", "-n", self.name(job), "-o", what)
        return self.cluster.run(*query).stdout.splitlines()

    def becomes(self, job: str, state: str) -> None:
        """Wait until squeue shows one submission of it, in that state."""
        eventually(lambda: self.queue(job, "%T") == [state], PATIENCE, 0.2)

    def native(self, job: str) -> str:
        """The id that it was given on the cluster."""
        (found,) = eventually(lambda: self.queue(job), PATIENCE, 0.1)
        return found

    def runs(self, job: str) -> str:
        """Wait until its script runs; answers the id on the cluster."""
        self.site.wait(job, {"EXECUTING"}, PATIENCE)
        return self.native(job)

    def scontrol(self, *words: str, user: str | None = None) -> str:
        return self.cluster.run("scontrol", *words, user=user).stdout

    def show(self, job: str) -> dict[str, str]:
        """What scontrol shows of it."""
        words = self.scontrol("-o", "show", "job", self.native(job)).split()
        return dict(word.partition("=")[::2] for word in words)

    def folder(self, job: str) -> Path:
        """Its folder on the cluster."""
        if self.way == FAR:
            return self.cluster.home / "opus-jobs" / self.name(job)
        job_id = id_of(job)
        return self.site.folder / "shared/jobs" / job_id[:2] / job_id


@contextmanager
def stage(
    cluster: Cluster, way: str, *, before: Path | None = None, **tables: str
) -> Iterator[Stage]:
    """A server for this cluster; tables as `Site.configure` takes them, and a folder of commands
    that stand before the real ones.

    Its data, its database and its job folders lie on different paths.
    """
    with tempfile.TemporaryDirectory(prefix=f"site-{way}-", dir=cluster.folder) as folder:
        # What finds the cluster: an environment of its own, as that of a service would be.
        env = cluster.environment()
        path = f"{before}:{env['PATH']}" if before else env["PATH"]
        one = Site(Path(folder), prefix=("env", f"SLURM_CONF={env['SLURM_CONF']}", f"PATH={path}"))
        (one.folder / "base").mkdir()
        try:
            if "server" in tables:
                tables["server"] += f"\nport = {one.port}"
            one.configure(
                **{
                    "manager": manager(cluster, way),
                    "supervisor": supervisor(),
                    "storage": 'use = "sqlite"\npath = "base/opus.sqlite"',
                    "jobs": 'folder = "shared/jobs"\nmin_free = 0',
                    **tables,
                }
            )
            describe(one, WORK)
            one.serve()
            yield Stage(one, cluster, way)
        finally:
            one.stop()


def describe(site: Site, definition: JobDefinition) -> None:
    """Publish a job."""
    document = WadlJdl(NoOptions()).dumps(definition).data.decode()
    site.describe(definition.name, definition.script, document)


def id_of(job: str) -> str:
    return job.rpartition("/")[2]


def lines(ledger: Path) -> int:
    """How often a script has run."""
    return len(ledger.read_text().splitlines()) if ledger.exists() else 0


def shim(folder: Path, name: str, text: str) -> Path:
    """A command of the test's own, which any account may run."""
    target = reachable(folder) / name
    target.write_text(text)
    target.chmod(0o755)
    return target


def health(site: Site) -> str:
    """What /availability says is wrong; nothing if all is well."""
    answer: Answer = site.get("/availability", headers={"Accept": "application/json"})
    assert answer.status == 200
    return answer.text


def reachable(folder: Path) -> Path:
    """A folder that jobs of every account may write to."""
    folder.mkdir(exist_ok=True)
    folder.chmod(0o1777)
    return folder
