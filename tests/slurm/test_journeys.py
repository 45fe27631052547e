"""A job of somebody's, from the request to the results and away again, by both ways."""

from __future__ import annotations

import hashlib
import io
import json
import os
from dataclasses import replace

import pytest
import requests
from pyvo.dal import AsyncTAPJob

import periodogram
from opus_core.testing.manager_kit import Desk
from opus_manager_slurm.manager import SlurmManager
from opus_manager_slurm.options import SlurmOptions
from periodogram import TABLE, computed
from servers import eventually
from slurm.sites import PATIENCE, WORK, describe, id_of, lines, reachable


@pytest.fixture(scope="module", autouse=True)
def _described(near, far):
    for one in (near, far):
        wadl, script = (
            str(periodogram.FOLDER / "definition.wadl"),
            str(periodogram.FOLDER / "script"),
        )
        command = ("jdl", "import", wadl, "--script", script, "--name", "periodogram")
        one.site.opus(*command, "--publish")


def nothing_is_left(one, job):
    """On the cluster and here, but for the claim that keeps a late copy from beginning."""
    folder = one.folder(job)
    here = one.site.folder / "shared/jobs" / id_of(job)[:2] / id_of(job)
    eventually(lambda: not here.exists(), PATIENCE)
    if folder != here:
        eventually(lambda: [entry.name for entry in folder.iterdir()] == ["claim"], PATIENCE)
    return True


def test_pyvo_runs_the_periodogram_and_deletes_it(each, tmp_path):
    expected = computed(tmp_path / "alone", longest="60")
    created = requests.post(
        f"{each.site.url}/rest/periodogram",
        data={"longest": "60"},
        allow_redirects=False,
        timeout=PATIENCE,
    )
    job = AsyncTAPJob(created.headers["Location"])
    assert job.phase == "PENDING"
    job.run().wait(timeout=PATIENCE)
    assert job.phase == "COMPLETED"
    results = {result.id_: result.href for result in job.results}
    assert {name: each.site.get(href).body for name, href in results.items()} == expected
    assert 10.99 < json.loads(expected["strongest"])["period"] < 11
    assert each.folder(job.url).exists()
    url = job.url
    job.delete()
    assert nothing_is_left(each, url)


def test_plain_http_runs_it_on_an_uploaded_table(each, tmp_path):
    (tmp_path / "table.csv").write_bytes(TABLE)
    expected = computed(tmp_path / "alone", table=str(tmp_path / "table.csv"), oversampling="20")
    answer = requests.post(
        f"{each.site.url}/rest/periodogram",
        data={"oversampling": "20", "PHASE": "RUN"},
        files={"table": ("my table.csv", io.BytesIO(TABLE))},
        allow_redirects=False,
        timeout=PATIENCE,
    )
    assert answer.status_code == 303, answer.text
    job = answer.headers["Location"]
    each.ends(job, "COMPLETED")
    listed = {one["id"]: one for one in each.site.document(job)["results"]}
    assert set(listed) == set(expected)
    for name, content in expected.items():
        answer = each.site.get(f"{job}/results/{name}")
        assert answer.body == content
        assert listed[name]["size"] == len(content)
        assert listed[name]["sha256"] == hashlib.sha256(content).hexdigest()
        assert answer.headers["ETag"] == f'"{listed[name]["sha256"]}"'


def test_data_base_and_job_folders_lie_on_different_paths(each):
    top = each.site.folder
    job = each.work()
    each.ends(job, "COMPLETED")
    assert (top / "base/opus.sqlite").exists()
    assert not list((top / "data").rglob("*.sqlite"))
    assert not (top / "data/jobs").exists()
    assert (top / "shared/jobs" / id_of(job)[:2] / id_of(job) / "results/output.txt").exists()


def test_phases_progress_and_output_are_seen_while_it_runs(each, ledger):
    go = reachable(ledger.with_suffix(".d")) / "go"
    command = (
        'echo "30 a third" > "$OPUS_PROGRESS.new"; mv "$OPUS_PROGRESS.new" "$OPUS_PROGRESS"; '
        f"echo out; echo err >&2; until [ -e {go} ]; do sleep 0.1; done; echo end"
    )
    job = each.site.create("work", {"command": command, "ledger": str(ledger)}, run=False)
    seen = [each.site.phase(job)]
    each.site.post(f"{job}/phase", {"PHASE": "RUN"})
    seen.append(each.site.phase(job))
    seen.append(each.site.wait(job, {"EXECUTING"}, PATIENCE))
    assert seen in (["PENDING", phase, "EXECUTING"] for phase in ("QUEUED", "EXECUTING"))
    eventually(lambda: each.site.get(f"{job}/stdout").text == "out\n", PATIENCE)
    eventually(lambda: each.site.get(f"{job}/stderr").text == "err\n", PATIENCE)
    eventually(lambda: each.info(job, "progress") == "30", PATIENCE)
    assert each.info(job, "doing") == "a third"
    # What scontrol tells is fetched for whoever looks.
    eventually(lambda: each.info(job, "slurm_JobState") == "RUNNING", PATIENCE)
    assert each.site.phase(job) == "EXECUTING"
    go.touch()
    each.ends(job, "COMPLETED")
    assert each.site.get(f"{job}/stdout").text == "out\nend\n"
    assert each.site.get(f"{job}/results/output").body == b"kept\n"
    assert lines(ledger) == 1


def test_delete_stops_what_runs_and_leaves_only_the_claim(each, ledger):
    job = each.work("sleep 600", ledger)
    each.runs(job)
    folder = each.folder(job)
    eventually((folder / "started").is_symlink, PATIENCE)
    assert each.site.request("DELETE", job).status == 303
    assert each.site.get(job).status == 404
    assert nothing_is_left(each, job)
    each.becomes(job, "CANCELLED")  # COMPLETING before
    assert lines(ledger) == 1


def test_delete_before_it_began_seals_it(each, ledger):
    job = each.work(ledger=ledger, slurm_partition="down")
    each.waits(job, "QUEUED", "its partition is closed")
    folder = each.folder(job)
    assert each.site.request("DELETE", job).status == 303
    assert nothing_is_left(each, job)
    each.becomes(job, "CANCELLED")  # COMPLETING before
    if each.way == "far":
        assert os.readlink(folder / "claim") == "sealed"
    assert lines(ledger) == 0


def test_run_options_within_what_the_admin_allows_reach_the_cluster(each):
    options = {"slurm_partition": "tiny", "slurm_mem": "64", "slurm_cpus_per_task": "2"}
    job = each.work(**options)
    shown = each.show(job)
    assert shown["Partition"] == "tiny"
    assert shown["MinMemoryNode"] == "64M"
    assert shown["CPUs/Task"] == "2"
    assert shown["JobName"] == shown["Comment"] == each.name(job)
    each.ends(job, "COMPLETED")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("slurm_partition", "nosuch", "down"),  # it names those that there are
        ("slurm_mem", "9", "10"),
        ("slurm_mem", "99999", "16384"),
        ("slurm_qos", "gold", "slurm_qos"),  # nobody may set it
    ],
)
def test_a_run_option_beyond_that_is_a_bad_request(near, name, value, sentence):
    answer = near.site.post("/rest/work", {"PHASE": "RUN", name: value})
    assert answer.status == 400
    assert sentence in answer.text


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("slurm_mem", "32G", "slurm_mem cannot be '32G'; allowed here: 10 to 16384 MiB"),
        ("slurm_partition", "gpu", "slurm_partition cannot be 'gpu'"),
        ("slurm_qos", "gold", "slurm_qos may not be set here"),
    ],
)
def test_a_description_that_asks_for_more_ends_in_error(each, name, value, sentence):
    asking = f"asking-{name}"
    describe(each.site, replace(WORK, name=asking, options={name: value}))
    job = each.site.create(asking)
    each.ends(job, "ERROR", "the cluster refused the job", sentence)
    assert each.queue(job) == []


def test_what_a_description_sets_is_used(near):
    describe(near.site, replace(WORK, name="small", options={"slurm_mem": "16M"}))
    job = near.site.create("small")
    assert near.show(job)["MinMemoryNode"] == "16M"
    near.ends(job, "COMPLETED")


def test_the_account_and_the_key_of_an_owner_are_charged(cluster, tmp_path, monkeypatch):
    """Names of users come from a web server in front, which is not here."""
    monkeypatch.setenv("SLURM_CONF", str(cluster.conf))
    for account in ("common", "stars"):
        cluster.run("sacctmgr", "-i", "add", "account", account)
        cluster.run("sacctmgr", "-i", "add", "user", "root", f"account={account}")
    cluster.run("sacctmgr", "-i", "add", "user", "root", "wckeys=survey")
    options = SlurmOptions(
        account="common",
        accounts={"ann": "stars"},
        wckeys={"ann": "survey"},
        partition="down",
    )
    manager, desk = SlurmManager(options), Desk(tmp_path)
    charged = {}
    for owner in ("ann", "bob", None):
        task = replace(desk.task("true"), owner=owner)
        native_id = manager.start(task)
        query = ("squeue", "-h", "-j", native_id, "-o", "%a %w")
        charged[owner] = cluster.run(*query).stdout.strip()
        manager.abort(replace(task.ref, native_id=native_id))
    # What begins with a star is the default of the account on the cluster.
    assert charged.pop("ann") == "stars survey"
    for account, _, key in (told.partition(" ") for told in charged.values()):
        assert (account, key.lstrip("(")[:1]) in {("common", "*"), ("common", "n")}, charged


def test_the_job_says_where_it_ran(each):
    job = each.work()
    each.ends(job, "COMPLETED")
    here = each.site.folder / "shared/jobs" / id_of(job)[:2] / id_of(job)
    written = json.loads((here / "job.json").read_text())
    assert written["backends"]["manager"] == "slurm"
    assert [one["id"] for one in written["results"]] == ["output"]
