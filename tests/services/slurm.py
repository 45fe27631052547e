"""A private, real SLURM cluster on the loopback, for tests, benchmarks and soak runs.

    with private_cluster(ssh=True) as cluster:
        job = cluster.run("sbatch", "--parsable", "--wrap=hostname", user=cluster.user).stdout

It needs root and Debian's packages (debian.txt), neither systemd nor containers. Any number of
clusters run side by side, each in a folder of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import Any

from services import slurm_conf
from services.daemons import Daemons, Process, ServiceError, descendants, end, processes
from services.machine import Port, listening, make_login, passable

__all__ = ["Cluster", "ServiceError", "missing", "private_cluster"]

PROGRAMS = {  # each with the Debian package that has it
    "slurmctld": "slurmctld",
    "slurmd": "slurmd",
    "sbatch": "slurm-client",
    "munged": "munge",
    "slurmdbd": "slurmdbd",
    "mariadbd": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
    "sshd": "openssh-server",
    "ssh": "openssh-client",
    "useradd": "passwd",
}
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
_LONGEST = (
    68  # [bytes] of the folder; a step's socket in it adds 39, and a socket's path ends at 107
)
_PATIENCE = 60.0  # [s] for what takes a few on an idle machine


def missing() -> list[str]:
    """What this machine lacks to run a cluster."""
    if not sys.platform.startswith("linux"):
        return ["Linux"]
    return ([] if os.geteuid() == 0 else ["root"]) + [
        f"{program} (Debian: {package})"
        for program, package in PROGRAMS.items()
        if not shutil.which(program, path=_PATH)
    ]


@contextmanager
def private_cluster(**options: Any) -> Iterator[Cluster]:
    """A cluster in a new folder of the temporary ones, which is removed afterwards.

    pytest's own folders will not do: only their owner may enter them, and they are too deep.
    """
    folder = Path(tempfile.mkdtemp(prefix="opus-slurm-", dir=passable()))
    try:
        folder.chmod(0o755)
        with Cluster(folder, **options) as cluster:
            yield cluster
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Cluster(Daemons):
    """munge, mariadb, dbd, ctld, node1 .. and sshd, in a folder that everybody can enter.

    sshd is the login node: with its sessions it is paused and ended, while the commands in them
    go on. So do the jobs of a node that is killed.
    A ctld that is killed forgets its last five seconds: jobs are lost or run again, their ids are
    given to others, and one that has ended may seem to run for two minutes more.
    """

    _: KW_ONLY
    nodes: int = 2
    accounting: bool = True
    ssh: bool = False
    cpus: int = 4  # of each node, whatever the machine has
    min_job_age: int = 3600  # [s] that squeue remembers a job after its end
    kill_wait: int = 2  # [s] between TERM and KILL
    message_timeout: int = 10  # [s] until a command gives up on a daemon that hangs
    node_timeout: int = 20  # [s] until a silent node is down
    requeue_wait: int = 5  # [s] until a requeued job may start
    extra_conf: str = ""  # lines of slurm.conf; each replaces ours, KEY= takes one away
    cgroup_conf: str = slurm_conf.CGROUP_CONF
    sshd_extra: str = ""  # lines of sshd_config, which win over ours
    user: str = "opus-test"  # the unprivileged login, made if it is missing
    ssh_host: str = "opus-slurm"  # the alias in ssh_config
    home: Path = field(init=False, default=Path("/"))  # of the login
    ports: dict[str, int] = field(init=False, default_factory=dict)
    _claims: list[Port] = field(init=False, repr=False, default_factory=list)

    @property
    def names(self) -> list[str]:
        database = ["mariadb", "dbd"] if self.accounting else []
        login = ["sshd"] if self.ssh else []
        return ["munge", *database, "ctld", *self._nodes, *login]

    @property
    def _nodes(self) -> list[str]:
        return [f"node{number}" for number in range(1, self.nodes + 1)]

    @property
    def conf(self) -> Path:
        return self.folder / "etc/slurm.conf"

    @property
    def ssh_config(self) -> Path:
        return self.folder / "ssh/config"

    # -- as a whole

    def __enter__(self) -> Cluster:
        self.up()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.down()

    def up(self) -> None:
        """Start a new cluster and return when all nodes are idle."""
        if lacking := missing():
            raise ServiceError(f"this machine lacks {', '.join(lacking)}")
        self.down()  # what a run that was killed has left in this folder
        try:
            self._prepare()
            for name in self.names:
                self.start(name)
            self.wait_idle()
        except BaseException:
            self.down()
            raise

    def down(self) -> None:
        """Cancel all jobs, end all processes, free the ports; the logs stay. Safe to repeat."""
        names = [file.stem for file in (self.folder / "run").glob("*.pid")]
        for name in names:
            for one in self.members(name):
                one.send(signal.SIGCONT)
        if self.running("ctld"):
            # A short goodbye: what does not heed it is killed below.
            with suppress(subprocess.TimeoutExpired):
                self._cancel(within=1)
        self.end_all(names)
        deadline = time.monotonic() + _PATIENCE
        while strays := self.strays():
            if end(strays, signal.SIGKILL, _PATIENCE) or time.monotonic() > deadline:
                raise ServiceError(f"jobs of the cluster do not end: {strays}")
        for name in ("run", "state", "spool", "mysql"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        while self._claims:
            self._claims.pop().release()

    def restore(self) -> None:
        """Undo what a test did: all daemons run, no jobs are left, all nodes are idle."""
        for name in self.names:
            self.cont(name)
            self.start(name)
        for name in slurm_conf.HOOKS:
            self.hook(name, None)
        if self.ssh:
            self.trust_host_key()
        self._cancel(within=_PATIENCE)
        down = self.run("sinfo", "-h", "-N", "-p", "main", "-t", "down,drain", "-o", "%N").stdout
        for name in down.split():
            self.run("scontrol", "update", f"nodename={name}", "state=resume")
        self.wait_idle()

    def wait_idle(self, seconds: float = _PATIENCE) -> None:
        """Wait until all nodes are idle."""
        query = ("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T %E")
        deadline = time.monotonic() + seconds
        while True:
            answer = self.run(*query, check=False)
            states = [line.split()[1] for line in answer.stdout.splitlines()]
            if states == ["idle"] * self.nodes:
                return
            if time.monotonic() > deadline:
                said = answer.stdout + answer.stderr + "".join(map(self.tail, self._nodes))
                raise ServiceError(f"the nodes are not idle after {seconds:g} s: {said}")
            time.sleep(0.1)  # SLURM tells nobody when a node comes

    # -- use

    def environment(self, user: str | None = None) -> dict[str, str]:
        """What commands need to find this cluster: our variables, or those of a fresh login."""
        if user:
            names = {"HOME": str(self.home), "USER": user, "LOGNAME": user, "LANG": "C.UTF-8"}
        else:
            # Of an outer cluster, or somebody's preferences.
            theirs = re.compile("(SLURM|S(BATCH|RUN|ALLOC|QUEUE|INFO|ACCT|CANCEL|CONTROL))_")
            names = {key: value for key, value in os.environ.items() if not theirs.match(key)}
        return names | {"PATH": _PATH, "SLURM_CONF": str(self.conf)}

    def run(
        self,
        *argv: str,
        user: str | None = None,
        check: bool = True,
        input: str = "",
        timeout: float = 60,
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on the cluster, as root or as that user."""
        become: dict[str, Any] = {}
        if user:
            become = {"user": user, "group": user, "extra_groups": []}
        answer = subprocess.run(
            argv,
            input=input,
            capture_output=True,
            text=True,
            timeout=timeout,
            env=self.environment(user),
            cwd=self.home if user else self.folder,
            **become,
        )
        if check and answer.returncode:
            raise ServiceError(f"{argv} ended with {answer.returncode}: {answer.stderr}")
        return answer

    def hook(self, name: str, script: str | None) -> None:
        """Let the daemons run this script as `name`, one of slurm_conf.HOOKS; None: no longer."""
        if name not in slurm_conf.HOOKS:
            raise ValueError(f"no hook {name}; there are {', '.join(slurm_conf.HOOKS)}")
        target = self.folder / f"hooks/{name}.local"
        if script is None:
            target.unlink(missing_ok=True)
            return
        # Beside it first: a script that runs just now cannot be written to.
        self._write(f"hooks/{name}.new", script, 0o755)
        (self.folder / f"hooks/{name}.new").rename(target)

    def rotate_host_key(self) -> None:
        """Another login node under the same name: clients that check its key must refuse it."""
        self.stop("sshd")
        self._make_key("host")
        self.start("sshd")

    def trust_host_key(self) -> None:
        """Let clients know the present host key."""
        kind, key, *_ = (self.folder / "ssh/host.pub").read_text().split()
        self._write("ssh/known_hosts", f"[127.0.0.1]:{self.ports['sshd']} {kind} {key}\n")

    # -- how

    def members(self, name: str) -> list[Process]:
        """The process of a daemon; of sshd those of its sessions too."""
        process = self.process(name)
        if name != "sshd" or process is None:
            return super().members(name)
        # Held, it begins no further session; whatever is done to the members ends that.
        process.send(signal.SIGSTOP)
        return [*(one for one in descendants(process) if one.name == "sshd"), process]

    def strays(self) -> list[Process]:
        """All processes of jobs and of commands given over ssh, whoever started them."""
        conf = f"SLURM_CONF={self.conf}".encode()
        session = f"OPUS_TEST_LOGIN={self.folder}".encode()

        def ours(one: Process) -> bool:
            names = one.environment
            if conf not in names:
                return False
            # Many a client has our SLURM_CONF as well: that is not enough.
            of_job = any(name.startswith(b"SLURM_JOB_ID=") for name in names)
            return of_job or session in names or one.name == "slurmstepd"

        return [one for one in processes() if ours(one)]

    def _cancel(self, within: float) -> None:
        """Cancel all jobs and wait for their end."""
        query = ("squeue", "-h", "-t", "PD,R,S,CF,CG", "-o", "%u")
        deadline = time.monotonic() + within
        while users := set(self.run(*query, check=False).stdout.split()):
            # Those that wait first: none of them shall start in the place of one that runs.
            for state in (("--state=PENDING",), ()):
                for user in users:
                    self.run("scancel", "--user", user, *state, check=False)
            if time.monotonic() > deadline:
                return
            time.sleep(0.1)  # SLURM tells nobody but its hooks

    def command(self, name: str) -> tuple[list[str], Callable[[], bool]]:
        def answers(command: str) -> Callable[[], bool]:
            def ask() -> bool:
                try:
                    return self.run(*command.split(), check=False, timeout=15).returncode == 0
                except subprocess.TimeoutExpired:
                    return False

            return ask

        def listens() -> bool:
            return listening(self.ports[name])

        run, log = self.folder / "run", self.folder / "log"
        match name.rstrip("0123456789"):
            case "munge":
                (run / "munge.socket").unlink(missing_ok=True)
                command = f"munged --foreground --force --key-file={self.folder}/etc/munge.key"
                command += f" --socket={run}/munge.socket --pid-file={run}/munge.own"
                command += f" --log-file={log}/munge.log --seed-file={run}/munge.seed"
                return command.split(), answers(f"munge -n -S {run}/munge.socket")
            case "mariadb":
                command = f"mariadbd --no-defaults --user=root --datadir={self.folder}/mysql"
                command += f" --socket={run}/mysql.sock --skip-networking --skip-log-bin"
                command += f" --pid-file={run}/mariadb.own --log-error={log}/mariadb.log"
                command += f" --tmpdir={run}"
                # Patient, as slurmdbd wants it, and light on the disk.
                command += " --innodb-lock-wait-timeout=900 --innodb-flush-log-at-trx-commit=0"
                command += " --innodb-log-file-size=16M"
                client = f"mariadb --no-defaults -u root -S {run}/mysql.sock -e exit"
                return command.split(), answers(client)
            case "dbd":
                socket = f"MYSQL_UNIX_PORT={run}/mysql.sock"
                return ["env", socket, "slurmdbd", "-D"], answers("sacctmgr -n show cluster")
            case "ctld":
                return ["slurmctld", "-D", "-f", str(self.conf)], answers("scontrol ping")
            case "node":
                return ["slurmd", "-D", "-N", name, "-f", str(self.conf)], listens
        # It starts itself again for each session, by its full path.
        sshd = shutil.which("sshd", path=_PATH) or "sshd"
        return [sshd, "-D", "-e", "-f", f"{self.folder}/ssh/sshd_config"], listens

    def _prepare(self) -> None:
        """Write all that the daemons read."""
        folder = self.folder
        if len(os.fsencode(folder)) > _LONGEST:
            raise ServiceError(f"{folder} is too long for sockets: {_LONGEST} bytes at most")
        for name in ("etc", "hooks", "log", "mysql", "run", "spool", "ssh", "state"):
            (folder / name).mkdir(parents=True, exist_ok=True)
            (folder / name).chmod(0o755)
        for above in (folder, *folder.parents):
            if not above.stat().st_mode & 0o001:
                raise ServiceError(f"{self.user} cannot enter {above}, so it can hold no cluster")
        self.home = make_login(self.user)
        for name in self.names:
            self._claims.append(Port.claim())
            self.ports[name] = self._claims[-1].number
        self._write("etc/munge.key", os.urandom(128), 0o600)
        self._write("etc/plugstack.conf", "")
        self._write("etc/cgroup.conf", self.cgroup_conf)
        self._write("etc/slurm.conf", slurm_conf.slurm_conf(self, self._nodes))
        for name in slurm_conf.HOOKS:
            self._write(f"hooks/{name}", slurm_conf.hook(folder, name), 0o755)
        if self.accounting:
            self._write("etc/slurmdbd.conf", slurm_conf.slurmdbd_conf(self), 0o600)
            command = f"mariadb-install-db --no-defaults --user=root --datadir={folder}/mysql"
            command += " --skip-test-db --auth-root-authentication-method=normal"
            command += f" --tmpdir={folder}/run"  # in /tmp two of them would meet
            self.run(*command.split())
        if self.ssh:
            Path("/run/sshd").mkdir(exist_ok=True, mode=0o755)  # sshd insists on that very folder
            self._make_key("host")
            self._make_key("id")
            self.trust_host_key()
            self._write("ssh/sshd_config", slurm_conf.sshd_config(self))
            self._write("ssh/config", slurm_conf.ssh_config(self))

    def _write(self, name: str, content: str | bytes, mode: int = 0o644) -> None:
        target = self.folder / name
        target.write_bytes(content.encode() if isinstance(content, str) else content)
        target.chmod(mode)

    def _make_key(self, name: str) -> None:
        file = self.folder / "ssh" / name
        file.unlink(missing_ok=True)
        self.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(file))
        file.with_suffix(".pub").chmod(0o644)
