"""A disk that is full, wherever OPUS writes: changes wait, all else goes on, nothing is lost.

The disks are small ones of their own, which only root can mount. What an injected ENOSPC does is in
tests/core (folders, data_dir) and tests/storage_sqlite.
"""

from __future__ import annotations

import secrets
import shutil
import subprocess
from contextlib import contextmanager

import pytest

from servers import LEDGER_WADL, eventually, site
from services_missing import lacking

UPLOAD = LEDGER_WADL.replace(
    'name="code" type="xs:int" default="0"', 'name="table" type="file" required="false"'
)
HELLO = 'printf %s "$text" > "$output"\n'
# They take all the room that is left: one after its result is written, one before.
GLUTTON = HELLO + "cat /dev/zero > rest 2> /dev/null || true\n"
STARVED = "cat /dev/zero > rest 2> /dev/null; " + HELLO
MIB = 2**20


class Disk:
    """A file system of 8 MiB."""

    def __init__(self, path):
        self.path = path
        self._filler = path / "filler"

    def fill(self, left=0):
        with self._filler.open("wb", buffering=0) as file:
            try:
                while shutil.disk_usage(self.path).free > left:
                    file.write(b"x" * 4096)
            except OSError:
                assert left == 0
        assert shutil.disk_usage(self.path).free <= left

    def files(self):
        return {path for path in self.path.rglob("*") if path.is_file()}

    def free(self):
        self._filler.unlink()


@pytest.fixture
def disk(tmp_path):
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(path)]
    if not shutil.which("mount") or subprocess.run(mount, capture_output=True).returncode:
        lacking("this user may not mount a small disk")
    yield Disk(path)
    subprocess.run(["umount", "--lazy", str(path)], check=True)


@contextmanager
def served(folder, **tables):
    """A site whose jobs need less room than is usual."""
    with site(folder) as one:
        one.configure(**{"jobs": "min_free = 65536", **tables})
        for name, script in (("hello", HELLO), ("glutton", GLUTTON), ("starved", STARVED)):
            one.describe(name, script, UPLOAD.replace('path="ledger"', f'path="{name}"'))
        one.serve()
        one.wait(one.create("hello", {"ledger": "-"}))
        yield one


def refused(answer):
    assert answer.status == 503, answer.text
    assert int(answer.headers["Retry-After"]) > 0
    assert "no space" in answer.text or "no room" in answer.text
    return True


def reads_go_on(one, job):
    for path in ("/", "/rest/hello", job, f"{job}/results/output", f"{job}/stdout"):
        assert one.get(path).status == 200, path


def notes(one):
    """What keeps jobs from being run, as the server says itself."""
    said = one.get("/availability").text
    health = one.get("/healthz")
    assert health.status == 200
    assert ('"disk"' in health.text) == ("the disk is full" in said)
    return said


def info(one, job):
    return one.document(job)["jobInfo"]


def upload(one, size):
    body = (
        b'--f\r\nContent-Disposition: form-data; name="table"; filename="t"\r\n\r\n'
        + secrets.token_bytes(size)
        + b'\r\n--f\r\nContent-Disposition: form-data; name="ledger"\r\n\r\n-\r\n--f--\r\n'
    )
    headers = {"Content-Type": "multipart/form-data; boundary=f"}
    return one.post("/rest/hello", body=body, headers=headers)


def changes_wait_and_everything_goes_on_later(one, disk, job):
    fields = {"ledger": "-", "text": "x" * 20_000, "PHASE": "RUN"}
    disk.fill()
    # A few bytes may still find room in what the database has already.
    eventually(lambda: one.post("/rest/hello", fields).status == 503)
    refused(one.post("/rest/hello", fields))
    refused(one.post(f"{job}/destruction", {"DESTRUCTION": "2040-01-01"}))
    refused(one.request("DELETE", job))
    reads_go_on(one, job)
    assert "the storage" in notes(one)
    disk.free()
    assert "the disk is full" not in notes(one)
    after = one.create("hello", fields)
    assert one.wait(after) == "COMPLETED"
    assert one.document(job)["destruction"] < "2040"
    for one_of_all in one.jobs("hello"):
        assert one.wait(f"/rest/hello/{one_of_all}") == "COMPLETED"
    assert one.request("DELETE", job).status == 303


def test_the_disk_of_the_database(disk, tmp_path):
    storage = f'use = "sqlite"\npath = "{disk.path / "opus.sqlite"}"'
    with served(tmp_path / "site", storage=storage) as one:
        job = one.create("hello", {"ledger": "-"})
        assert one.wait(job) == "COMPLETED"
        changes_wait_and_everything_goes_on_later(one, disk, job)


def test_the_disk_of_all_that_opus_has(disk, tmp_path):
    with served(disk.path / "site") as one:
        job = one.create("hello", {"ledger": "-"})
        assert one.wait(job) == "COMPLETED"
        changes_wait_and_everything_goes_on_later(one, disk, job)
        assert upload(one, MIB).status == 303
        disk.fill()
        refused(upload(one, MIB))


def test_the_disk_of_the_job_folders_while_a_file_comes_in(disk, tmp_path):
    with served(tmp_path / "site", jobs=f'folder = "{disk.path / "jobs"}"\nmin_free = 0') as one:
        job = one.create("hello", {"ledger": "-"})
        one.wait(job)
        disk.fill(left=MIB // 2)
        before = disk.files()
        refused(upload(one, MIB))
        assert disk.files() <= before, "a part of it was left"
        reads_go_on(one, job)
        disk.free()
        assert upload(one, MIB).status == 303


@pytest.mark.slow
@pytest.mark.parametrize("min_free", [0, pytest.param(4 * MIB, marks=pytest.mark.soak)])
def test_the_disk_of_the_job_folders_when_a_job_is_to_be_submitted(disk, tmp_path, min_free):
    jobs = f'folder = "{disk.path / "jobs"}"\nmin_free = {min_free}'
    with served(tmp_path / "site", jobs=jobs) as one:
        disk.fill(left=min_free // 2)
        job = one.create("hello", {"ledger": "-", "text": "patience"})
        eventually(lambda: "waiting" in info(one, job))
        assert one.phase(job) == "QUEUED"
        assert "files of jobs" in notes(one)
        disk.free()
        assert one.wait(job, seconds=60) == "COMPLETED"
        assert one.get(f"{job}/results/output").text == "patience"
        assert "waiting" not in info(one, job)


def test_the_disk_of_the_job_folders_when_results_are_to_be_noted(disk, tmp_path):
    with served(tmp_path / "site", jobs=f'folder = "{disk.path / "jobs"}"\nmin_free = 0') as one:
        job = one.create("glutton", {"ledger": "-", "text": "enough"})
        eventually(lambda: "no space" in info(one, job).get("fetching", ""))
        assert one.phase(job) == "EXECUTING"
        next(disk.path.rglob("rest")).unlink()
        assert one.wait(job, seconds=60) == "COMPLETED"
        assert one.get(f"{job}/results/output").text == "enough"


@pytest.mark.soak
def test_a_script_that_finds_no_room_fails_by_its_own_code_and_the_next_one_runs(disk, tmp_path):
    with served(tmp_path / "site", jobs=f'folder = "{disk.path / "jobs"}"\nmin_free = 0') as one:
        job = one.create("starved", {"ledger": "-", "text": "x" * 20_000})
        assert one.wait(job, seconds=60) == "ERROR"
        assert "exit code 1" in one.get(f"{job}/error").text
        assert one.request("DELETE", job).status == 303
        after = one.create("hello", {"ledger": "-"})
        assert one.wait(after, seconds=60) == "COMPLETED"


def test_the_disk_of_the_log(disk, tmp_path):
    with site(tmp_path / "site") as one:
        one.configure()
        text = one.config.read_text().replace('"opus.log"', f'"{disk.path / "opus.log"}"')
        one.config.write_text(text)
        one.describe("hello", HELLO, LEDGER_WADL)
        one.serve()
        disk.fill()
        for _ in range(20):
            job = one.create("hello", {"ledger": "-"})
        assert one.wait(job) == "COMPLETED"
        assert (one.folder / "stderr.log").stat().st_size < 2000, "each line is complained of"
        assert "log" in (one.folder / "stderr.log").read_text()
        disk.free()
        after = one.create("hello", {"ledger": "-"})
        one.wait(after)
        log = (disk.path / "opus.log").read_text(errors="replace")
        assert after.rpartition("/")[2] in log
