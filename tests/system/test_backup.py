"""A back-up that is made while jobs run, by the commands of the page: what comes back after a loss,
and a copy that leaves production alone."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from docs.blocks import DOCS
from printed import marked, run
from servers import LEDGER_WADL, Site, eventually, kill, runs, site
from services.postgresql import Server, private_server, programs

PAGE = DOCS / "admin" / "backup.md"
BLOCKS = marked(PAGE)

# It runs until the test lets it end, and writes down every signal that it is sent.
SCRIPT = """\
trap 'echo signal >> "$ledger.signals"' HUP INT TERM USR1 USR2
echo ran >> "$ledger"
printf '%s' "$text" > "$output"
until [ -e "$ledger.go" ]; do sleep 0.1; done
"""
COPIED = "copied from another installation, which goes on with it; run it again"


class Place:
    """A site as `opus init` makes it, the folder for back-ups, and the folder of a copy."""

    def __init__(self, base: Path, database: Server | None) -> None:
        self.base, self.database = base, database
        self.backups, self.copy = base / "backups", base / "copy"
        self.one = Site(base / "opus")
        self.one.config.unlink()
        run(f"opus init {self.one.folder}", {})
        self.change(self.one, "# port = 8080", f"port = {self.one.port}")
        self.change(self.one, "anonymous = false", "anonymous = true\nanonymous_list = true")
        self.change(self.one, "# lease_seconds = 15.0", "lease_seconds = 3")
        self.change(self.one, "# grace = 90.0", "grace = 2")
        self.change(self.one, "# max_jobs = 0", "max_jobs = 2")
        if database is not None:
            self.use(self.one, "production")

    def change(self, one: Site, old: str, new: str) -> None:
        text = one.config.read_text()
        assert old in text
        one.config.write_text(text.replace(old, new))

    def use(self, one: Site, name: str) -> None:
        """Let it use a database of that name, which is made now."""
        assert self.database is not None
        self.database.run("createdb", *self.database.where, name)
        text = re.sub(r"^url = .*\n", "", one.config.read_text(), flags=re.MULTILINE)
        head, _, tail = text.partition("[storage]\n")
        tail = re.sub(r"^use = .*", "", tail, count=1, flags=re.MULTILINE)
        url = self.database.url(name)
        one.config.write_text(f'{head}[storage]\nuse = "postgresql"\nurl = "{url}"\n{tail}')

    def serve(self):
        """Start production's server."""
        self.one.describe("ledger", SCRIPT, LEDGER_WADL)
        return self.one.serve()

    def run(self, *names: str, check: bool = True):
        """The commands of the page of these names."""
        places = {
            "/var/backups/opus": self.backups,
            "/srv/opus": self.one.folder,
            "/srv/copy": self.copy,
            "--owner opus --group opus ": "",  # who runs the test
            "directory /srv ": f"directory {self.base} ",
            "directory /srv\n": f"directory {self.base}\n",
        }
        text = "".join(BLOCKS[name].text for name in names)
        return run(text, places, check=check)

    def job(self, name: str, *, ends: bool = False, run: bool = True) -> str:
        """The URL of a new job."""
        if ends:
            self.let_end(name)
        return self.one.create("ledger", {"ledger": str(self.base / name), "text": name}, run=run)

    def let_end(self, *names: str) -> None:
        for name in names:
            (self.base / f"{name}.go").touch()

    def untouched(self, name: str) -> bool:
        """It has run once, and no signal has come to it."""
        return runs(self.base / name) == 1 and not (self.base / f"{name}.signals").exists()


@contextmanager
def opened(base: Path, database: Server | None = None) -> Iterator[Place]:
    found = Place(base, database)
    try:
        yield found
    finally:
        found.one.stop()


@pytest.fixture
def on_sqlite(tmp_path) -> Iterator[Place]:
    with opened(tmp_path) as found:
        yield found


@pytest.fixture
def on_postgresql(tmp_path) -> Iterator[Place]:
    with private_server() as database, opened(tmp_path, database) as found:
        yield found


@pytest.fixture(params=["on_sqlite", "on_postgresql"])
def place(request) -> Place:
    return request.getfixturevalue(request.param)


@contextmanager
def busy(one: Site) -> Iterator[list[str]]:
    """Somebody goes on creating jobs; their URLs."""
    made: list[str] = []
    over = threading.Event()

    def create() -> None:
        while not over.is_set():
            made.append(one.create("ledger", {"ledger": "-"}, run=False))

    thread = threading.Thread(target=create)
    thread.start()
    try:
        eventually(lambda: len(made) > 5)
        yield made
    finally:
        over.set()
        thread.join()


def path_of(job: str) -> str:
    return job[job.index("/rest/") :]


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "place", ["on_sqlite", pytest.param("on_postgresql", marks=pytest.mark.soak)], indirect=True
)
def test_a_copy_beside_production_leaves_production_alone(place: Place) -> None:
    one = place.one
    place.serve()
    over = place.job("over", ends=True)
    assert one.wait(over) == "COMPLETED"
    running = [place.job(name) for name in ("first", "second")]
    for job in running:
        one.wait(job, {"EXECUTING"})
    waiting, pending = place.job("waiting"), place.job("pending", run=False)
    eventually(lambda: "place 1 of 1" in one.get(waiting).text)
    with busy(one) as made:
        before = [*made]
        place.run("make")
        eventually(lambda: len(made) > len(before) + 5)

    with site(place.copy) as two:
        shutil.rmtree(two.folder)  # the page makes it
        place.run("folder of the copy", "make the copy")
        assert 'disabled = ["notify"]' in two.config.read_text()
        place.change(two, f"port = {one.port}", f"port = {two.port}")
        if place.database is not None:
            place.use(two, "copy")
        place.run("restore the copy")
        refused = two.start("serve")
        assert refused.wait(timeout=20) == 2
        sentence = f"{two.folder} was copied or moved here; run `opus init --adopt`"
        assert sentence in (two.folder / "stderr.log").read_text()

        # Its back-up is a few seconds old, and production's supervisor still seems to have it.
        eventually(lambda: place.run("new instance", check=False).returncode == 0, 20, 0.5)
        two.serve()
        for job in (*running, waiting):
            copied = two.document(path_of(job))
            assert (copied["phase"], copied["errorSummary"]["message"]) == ("ERROR", COPIED)
        assert two.phase(path_of(pending)) == "PENDING"
        assert two.get(f"{path_of(over)}/results/output").text == "over"
        there = {row["jobId"] for row in two.document("/rest/ledger")["jobs"]}
        assert {job.rpartition("/")[2] for job in before} <= there
        # It works, and gets rid of what it has.
        place.let_end("copys")
        own = two.create("ledger", {"ledger": str(place.base / "copys"), "text": "own"})
        assert two.wait(own) == "COMPLETED"
        for job in (*running, waiting):
            two.request("DELETE", path_of(job))
            folder = two.folder / "jobs" / job.rpartition("/")[2][:2] / job.rpartition("/")[2]
            eventually(lambda folder=folder: not folder.exists())

        assert [one.phase(job) for job in running] == ["EXECUTING"] * 2
        assert one.phase(waiting) == "QUEUED"
        assert runs(place.base / "waiting") == 0
        place.let_end("first", "second", "waiting")
        assert [one.wait(job) for job in (*running, waiting)] == ["COMPLETED"] * 3
    assert all(place.untouched(name) for name in ("first", "second", "waiting"))
    assert one.get(f"{waiting}/results/output").text == "waiting"


@pytest.mark.timeout(300)
def test_after_a_loss_all_that_was_in_the_back_up_goes_on(place: Place) -> None:
    one, shared = place.one, place.base / "shared"
    # The folders of jobs are where the cluster is, and are not lost.
    place.change(one, "# folder = ...", f'folder = "{shared}"')
    process = place.serve()
    over = place.job("over", ends=True)
    assert one.wait(over) == "COMPLETED"
    running = [place.job(name) for name in ("first", "second")]
    for job in running:
        one.wait(job, {"EXECUTING"})
    waiting = place.job("waiting")
    place.run("make")
    later = place.job("later")
    one.opus("user", "add", "late")

    kill(process)
    shutil.rmtree(one.folder)
    if place.database is not None:
        place.database.run("dropdb", *place.database.where, "production")
        place.database.run("createdb", *place.database.where, "production")
    place.let_end("first", "waiting", "later")
    eventually(lambda: list(shared.glob("*/*/exit")))

    done = place.run("new folder", "restore")
    assert "error" not in done.stdout
    one.serve()
    assert [one.wait(job) for job in (running[0], waiting)] == ["COMPLETED"] * 2
    assert one.get(f"{running[0]}/results/output").text == "first"
    assert one.phase(running[1]) == "EXECUTING"
    place.let_end("second")
    assert one.wait(running[1]) == "COMPLETED"
    assert one.get(f"{over}/results/output").text == "over"
    assert all(place.untouched(name) for name in ("over", "first", "second", "waiting"))
    # What is newer than the back-up is not there.
    assert one.get(later).status == 404
    assert "late" not in one.opus("user", "list").stdout


def test_what_a_job_has_called_like_a_part_of_opus_is_saved(on_sqlite: Place) -> None:
    """And of OPUS all but the storage, which has a file of its own, and what is on its way."""
    place, folder = on_sqlite, on_sqlite.one.folder
    results = folder / "jobs" / "ab" / "abcd" / "results"
    kept = {"opus/spool/x", "opus/opus.sqlite-notes", "spool", "opus.sqlite"}
    for name in kept:
        (results / name).parent.mkdir(parents=True, exist_ok=True)
        (results / name).write_text("a result")
    (folder / "spool").mkdir(exist_ok=True)
    (folder / "spool" / "request").write_text("on its way")
    place.run("make")
    [archive] = place.backups.glob("*/files.tar.gz")
    with tarfile.open(archive) as files:
        names = {name.removeprefix("opus/") for name in files.getnames()}
    assert {f"jobs/ab/abcd/results/{name}" for name in kept} <= names
    assert {"opus.toml", "secret", "instance"} <= names
    assert [name for name in names if name.startswith(("opus.sqlite", "spool"))] == []


def test_a_storage_that_cannot_be_saved_ends_the_script(on_sqlite: Place) -> None:
    """As cron runs it, by a shell that was told nothing; a tar behind it hides no failure."""
    place = on_sqlite
    place.change(place.one, 'use = "sqlite"', 'use = "another"')
    script = place.base / "back-up"
    places = {
        "/var/backups/opus": place.backups,
        "/srv/opus": place.one.folder,
        "directory /srv ": f"directory {place.base} ",
    }
    text = BLOCKS["make"].text
    for printed, path in places.items():
        text = text.replace(printed, str(path))
    script.write_text(text)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", script],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode != 0
    assert "another" in done.stderr
    assert not list(place.backups.glob("*/files.tar.gz"))


def test_the_database_may_be_backed_up_by_its_own_means(on_postgresql: Place) -> None:
    place, one = on_postgresql, on_postgresql.one
    assert place.database is not None
    place.serve()
    job = place.job("over", ends=True)
    assert one.wait(job) == "COMPLETED"
    environ = {"PATH": f"{programs()}:/usr/bin:/bin", **place.database.environ}
    named = {" opus": " production", "$backup": str(place.base)}
    run(BLOCKS["make by pg_dump"].text, named, environ=environ)
    one.stop()
    place.database.run("dropdb", *place.database.where, "production")
    place.database.run("createdb", *place.database.where, "production")
    run(BLOCKS["restore by pg_restore"].text, named, environ=environ)
    one.serve()
    assert one.get(f"{job}/results/output").text == "over"


def test_what_is_still_the_originals_is_no_copy(on_sqlite: Place) -> None:
    place, one, shared = on_sqlite, on_sqlite.one, on_sqlite.base / "shared"
    place.change(one, "# folder = ...", f'folder = "{shared}"')
    one.serve()  # which makes the folder
    one.stop()
    shutil.copytree(one.folder, place.copy, symlinks=True)
    two = Site(place.copy)
    two.config.write_text(one.config.read_text())
    command = f"opus init {two.folder} --new-instance"
    unedited = run(command, {}, check=False)
    assert unedited.returncode == 2
    assert f"names data_dir {one.folder}, which is not in {two.folder}" in unedited.stderr
    place.change(two, f'data_dir = "{one.folder}"', f'data_dir = "{two.folder}"')
    shares = run(command, {}, check=False)
    assert shares.returncode == 2
    assert f"[jobs] folder {shared} is that of the original" in shares.stderr
    (place.base / "link").symlink_to(shared)
    place.change(two, f'folder = "{shared}"', f'folder = "{place.base / "link"}"')
    assert "is that of the original" in run(command, {}, check=False).stderr
    shutil.copytree(shared, place.base / "own")
    place.change(two, f'"{place.base / "link"}"', f'"{place.base / "own"}"')
    (place.base / "queue").mkdir()
    (place.base / "queue" / "lock").touch()
    place.change(two, '# folder = "local"', f'folder = "{place.base / "queue"}"')
    assert "may be the original's" in run(command, {}, check=False).stderr
    place.change(two, f'"{place.base / "queue"}"', '"local"')
    probed = two.opus("check", "--probe", check=False).stdout
    assert re.search("^error +probe: .*was copied or moved here", probed, re.MULTILINE)
    run(command, {})


def test_a_restored_storage_is_filled_once_and_its_file_stays_as_it_is(
    on_sqlite: Place,
) -> None:
    place, one, file = on_sqlite, on_sqlite.one, on_sqlite.base / "storage.sqlite"
    one.opus("db", "backup", str(file))
    content = file.read_bytes()
    again = one.opus("db", "backup", str(file), check=False)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    full = one.opus("db", "restore", str(file), check=False)
    assert (full.returncode, "something in it already" in full.stderr) == (2, True)
    other = one.opus("db", "restore", str(one.config), check=False)
    assert (other.returncode, "is no file that `opus db backup` has made" in other.stderr) == (
        2,
        True,
    )
    assert file.read_bytes() == content
    assert sorted(path.name for path in place.base.glob("*storage*")) == ["storage.sqlite"]
