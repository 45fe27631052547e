"""How often a cluster is asked, counted by commands that stand before the real ones."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from opus_core.backends import Kind, Ref
from opus_manager_slurm.manager import SlurmManager
from opus_manager_slurm.options import SlurmOptions
from opus_manager_slurm.records import SEPARATOR, SQUEUE_FIELDS
from servers import eventually
from services.slurm_fixture import slurm_cluster
from slurm.sites import NEAR, shim, stage, supervisor

pytestmark = pytest.mark.timeout(300)

COUNTED = ("squeue", "sacct", "scontrol", "scancel")
PENDING, RUNNING, ENDING = 250, 40, 10


@pytest.fixture(scope="module")
def counted():
    """A server that asks every five seconds at most, and the folder of its counters."""
    with slurm_cluster(cpus=40) as one:
        folder = one.folder / "bin"
        for name in COUNTED:
            asked = f'#!/bin/bash\necho "{name} $*" >> {folder}/asked\n'
            shim(folder, name, f'{asked}PATH=${{PATH#*:}} exec {name} "$@"\n')
        table = supervisor(poll_interval="5", event_interval="5")
        with stage(one, NEAR, before=folder, supervisor=table) as near:
            yield near, folder / "asked"


def test_three_hundred_jobs_are_one_question(counted):
    one, asked = counted
    fields = [
        *([{"slurm_partition": "down"}] * PENDING),
        *([{"command": "sleep 600"}] * RUNNING),
        *([{"command": "sleep 12; exit 3"}] * ENDING),
    ]
    with ThreadPoolExecutor(8) as pool:
        jobs = list(pool.map(lambda values: one.site.create("work", values), fields))

    def count(state):
        query = ("squeue", "-h", "-t", state, "-o", "%i")
        return len(one.cluster.run(*query).stdout.split())

    eventually(lambda: count("all") == len(jobs), 120, 0.5)
    eventually(lambda: count("R") >= RUNNING, 120, 0.5)
    asked.write_text("")
    begin = time.monotonic()
    time.sleep(12)
    # Some are looked at, some are to end meanwhile, by themselves or by us.
    for job in jobs[: PENDING // 10]:
        one.site.get(job)
    for job in jobs[PENDING : PENDING + 5]:
        one.site.post(f"{job}/phase", {"PHASE": "ABORT"})
    time.sleep(25 - (time.monotonic() - begin))
    calls = asked.read_text().splitlines()
    questions = [call for call in calls if call.startswith("squeue ")]
    assert 1 <= len(questions) <= 6, questions
    assert not [call for call in questions if "--jobs" in call or "--name" in call or " -j" in call]
    # Nothing has left the queue, so the accounting is not asked at all.
    assert not [call for call in calls if call.startswith("sacct ")]
    for job in jobs[PENDING + RUNNING :]:
        one.ends(job, "ERROR", "exit code 3")
    for job in jobs[PENDING : PENDING + 5]:
        one.ends(job, "ABORTED")
    assert one.site.phase(jobs[0]) == "QUEUED"
    assert "its partition is closed" in one.info(jobs[0])


def test_twenty_thousand_jobs_are_one_squeue_and_what_left_it_few_sacct(tmp_path):
    """The squeue and sacct here only print; all else of these tests is real."""
    most, gone = 20_000, 1_200
    names = [f"opus-12345678-{number:032x}" for number in range(most)]
    rows = []
    for number, name in enumerate(names[gone:]):
        values = {"JobID": f"{number}", "Name": name, "State": "PENDING", "Reason": "Priority"}
        fields = [values.get(field, "0") for field in SQUEUE_FIELDS]
        rows.append("".join(field + SEPARATOR for field in fields))
    (tmp_path / "rows").write_text("\n".join(rows) + "\n")
    asked = tmp_path / "asked"
    commands = {}
    for name, then in (("squeue", f"cat {tmp_path}/rows"), ("sacct", "true")):
        text = f"#!/bin/bash\necho {name} >> {asked}\n{then}\n"
        commands[name] = str(shim(tmp_path / "bin", name, text))
    refs = [
        Ref(tag=name, native_id=None if number < gone else str(number - gone),
            submitted_at=datetime.now(UTC))
        for number, name in enumerate(names)
    ]  # fmt: skip
    answers = SlurmManager(SlurmOptions(commands=commands)).get_status(refs)
    assert asked.read_text().split().count("squeue") == 1
    assert asked.read_text().split().count("sacct") == 3
    assert len(answers) == most
    assert [answers[ref].kind for ref in refs[:gone]] == [Kind.GONE] * gone
    assert {answers[ref].kind for ref in refs[gone:]} == {Kind.QUEUED}
