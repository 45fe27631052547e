"""Whether the kernel has killed what a script had started, for want of memory, as cgroups count."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from opus_core import links
from opus_core.definition import JobDefinition
from opus_core.folder import Folders
from opus_core.job import DefinitionRef, Job, new_id, now
from opus_core.links import Exit

BASH = os.environ.get("OPUS_TEST_BASH") or shutil.which("bash") or "bash"

UNIFIED = ("0::/job_7/task_0\n", "job_7/task_0", "memory.events", "low 0\noom 1\noom_kill {}\n")
LEGACY = (
    "5:cpu,memory:/slurm/job_7\n4:pids:/x\n0::/unused\n",
    "memory/slurm/job_7",
    "memory.oom_control",
    "oom_kill_disable 0\nunder_oom 0\noom_kill {}\n",
)

Run = Callable[..., Exit]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A callable that runs a job's wrapper in a cgroup that is made up."""

    def run(script: str, cgroup: tuple[str, ...] = UNIFIED, *, alone: bool = True) -> Exit:
        membership, folder, name, counts = cgroup
        (tmp_path / "membership").write_text(membership)
        group = tmp_path / "mount" / folder
        group.mkdir(parents=True)
        (group / name).write_text(counts.format(3))
        after = tmp_path / "after"
        after.write_text(counts.format(4))
        script = script.replace("KILL", f"cat {after} >{group / name}")
        definition = JobDefinition(name="test", script=script)
        job = Job(id=new_id(), definition=DefinitionRef("test", 1), created=now())
        folders = Folders(tmp_path / "jobs")
        folders.write(job, definition, event=None, host="here", backends={})
        where = folders.path(job.id)
        # The copy looks elsewhere; there is no setting for that, or a job's environment had it.
        wrapper = (where / "run").read_text()
        assert "/proc/self/cgroup" in wrapper
        wrapper = wrapper.replace("/proc/self/cgroup", str(tmp_path / "membership"))
        (where / "run").write_text(wrapper.replace("/sys/fs/cgroup", str(tmp_path / "mount")))
        others = "" if alone else "echo 1;"
        begin = f'{{ {others} echo $$; }} >{group}/cgroup.procs; exec "$0" {where}/run'
        done = subprocess.run(
            [BASH, "-c", begin, BASH],
            env={"PATH": os.environ["PATH"], "OPUS_CLAIMANT": "1"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
        )
        end = links.peek(where).exit
        assert end is not None, done.stderr
        assert done.stderr == b""
        return end

    return run


@pytest.mark.parametrize("cgroup", [UNIFIED, LEGACY])
def test_what_was_killed_since_it_began_is_told(run: Run, cgroup) -> None:
    end = run("KILL; exit 0", cgroup)
    assert (end.code, end.oom) == (0, True)


@pytest.mark.parametrize("cgroup", [UNIFIED, LEGACY])
def test_what_was_killed_before_is_not(run: Run, cgroup) -> None:
    assert not run("exit 0", cgroup).oom


def test_nothing_is_told_of_a_cgroup_that_others_share(run: Run) -> None:
    assert not run("KILL", alone=False).oom


@pytest.mark.parametrize("membership", ["", "0::/elsewhere\n", "7:pids:/x\n"])
def test_where_nobody_counts_nothing_is_said(run: Run, membership: str) -> None:
    assert not run("KILL", (membership, *UNIFIED[1:])).oom
