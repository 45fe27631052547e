"""What a release has left behind is there with the code of today, all of it.

The folders in tests/upgrade/releases were left by those releases (make.py beside them made them do
it); the first is of the first commit in which a server ran jobs. They come to another place and
another machine than they were made on. Each is opened on SQLite, the first one on PostgreSQL, too.
"""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import tarfile
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from servers import OVER, Site, eventually
from upgrade.survey import FILE, ODD, digest, form

pytestmark = pytest.mark.takes(70)

UPGRADE = Path(__file__).resolve().parents[1] / "upgrade"
RELEASES = {
    path.name.removesuffix(".tar.xz"): path
    for path in sorted((UPGRADE / "releases").glob("*.tar.xz"))
}
FIRST = "0.1.0-327488b"
OWNERS = ("", "ann", "bob")
PATIENCE = 60.0  # [s]

# How each job ends that was not over when the release was stopped, and with what output.
ENDS = {
    "ended meanwhile": ("COMPLETED", f"version 2: {ODD}".encode() + FILE),
    "cut off": ("ERROR", None),
    "to be aborted": ("ABORTED", None),
    "in the queue": ("COMPLETED", f"version 2: {ODD}".encode() + FILE),
    "run by nobody yet": ("COMPLETED", f"version 2: {ODD}".encode()),
    "expired": ("ARCHIVED", None),
}

# What today tells of a job in other words than a release, by release: a pattern in what it told,
# what stands there now, and why. Nothing so far.
CHANGES: dict[str, list[tuple[str, str, str]]] = {}


class Upgraded(Site):
    """The folder of a release, moved here and run by the code of today."""

    def __post_init__(self) -> None:
        """Its configuration is the old one."""

    def set(self, **values: str) -> None:
        """Change keys that stand in the configuration."""
        text = self.config.read_text()
        for key, value in values.items():
            text, found = re.subn(rf"(?m)^{key} = [^#\n]*", f"{key} = {value}", text)
            assert found == 1, key
        self.config.write_text(text)

    def start_all(self) -> None:
        web = self.start(str(self.port), program=UPGRADE / "named.py")
        self.start("supervise")
        self.wait_until_up(web)

    def ask(self, path: str, owner: str, kind: str = "*/*", **headers: str) -> bytes | None:
        """What is there for this user."""
        sent = {"X-User": owner, "Accept": kind, **headers}
        answer = self.get(path, headers=sent)
        assert answer.status in (200, 404), answer.text
        return answer.body if answer.status == 200 else None

    def tell(self, path: str, owner: str, **fields: str) -> str:
        """Where it sends to."""
        answer = self.post(path, fields, headers={"X-User": owner})
        assert answer.status == 303, answer.text
        return answer.location

    def end(self, path: str, owner: str, before: str = "") -> str:
        """The phase in which the job ends; not the one it had."""

        def end() -> str:
            phase = (self.ask(f"{path}/phase", owner) or b"").decode().strip()
            return phase if phase in OVER and phase != before else ""

        return eventually(end, PATIENCE)


def unpack(archive: Path, folder: Path) -> Upgraded:
    """At another place than it was made at, as it is told."""
    with tarfile.open(archive) as packed:
        # Modes and links as they were; the first Pythons 3.11 know no other way.
        packed.extraction_filter = getattr(tarfile, "tar_filter", None)
        packed.extractall(folder)  # noqa: S202  our own
    one = Upgraded(folder)
    one.set(data_dir=json.dumps(str(folder)))
    one.opus("init", "--adopt", str(folder))
    return one


def into_postgresql(one: Upgraded, url: str) -> None:
    """All that its storage has, by the command that admins have for it."""
    old = one.config.with_name("old.toml")
    shutil.copy(one.config, old)
    text = one.config.read_text()
    assert text.count('use = "sqlite"') == 1
    one.config.write_text(text.replace('use = "sqlite"', f'use = "postgresql"\nurl = "{url}"'))
    one.opus("db", "copy", str(old), str(one.config))
    (one.folder / "opus.sqlite").unlink()


def pytest_generate_tests(metafunc):
    if "release" in metafunc.fixturenames:
        ways = [(release, "sqlite") for release in RELEASES]
        ways.append((FIRST, "postgresql"))
        metafunc.parametrize(("release", "storage"), ways, ids=map("-".join, ways))


@pytest.fixture
def upgraded(release, storage, tmp_path, request):
    one = unpack(RELEASES[release], tmp_path / "site")
    if storage == "postgresql":
        database, name = request.getfixturevalue("database"), f"of_{abs(hash(tmp_path))}"
        database.run("createdb", "-h", "127.0.0.1", "-p", str(database.port), "-U", "opus", name)
        into_postgresql(one, database.url(name))
    try:
        one.start_all()
        yield one
    finally:
        one.stop()


def told(one: Upgraded) -> dict[str, Any]:
    return json.loads((one.folder / "told.json").read_text())


def comparable(document: str, release: str) -> str:
    for pattern, now, _ in CHANGES.get(release, []):
        document = re.sub(pattern, now, document)
    return ElementTree.canonicalize(document)


def check_lists(one: Upgraded, was: dict[str, Any]) -> None:
    """Everybody's list has their jobs, and no others."""
    jobs = [*was["settled"].values(), *was["unsettled"].values()]
    every = "".join(f"PHASE={phase}&" for phase in (*OVER, "PENDING", "QUEUED", "EXECUTING"))
    for owner in OWNERS:
        listed = (one.ask(f"/rest/survey?{every}", owner, "application/xml") or b"").decode()
        paths = {urlsplit(url).path for url in re.findall(r'href="([^"]+)"', listed)}
        assert paths == {job["path"] for job in jobs if job["owner"] == owner}


def check_settled(one: Upgraded, release: str, job: dict[str, Any]) -> None:
    """A job in which nothing happens any more is what it was, byte for byte."""
    path, owner = job["path"], job["owner"]
    document = (one.ask(path, owner, "application/xml") or b"").decode()
    assert comparable(document, "") == comparable(job["xml"], release)
    assert {
        name: digest(one.ask(f"{path}/results/{name}", owner)) for name in job["results"]
    } == job["results"]
    texts = {name: one.ask(f"{path}/{name}", owner) for name in ("stdout", "stderr")}
    assert {name: text.decode() for name, text in texts.items() if text is not None} == job["texts"]
    file = one.ask(f"{path}/parameters/file", owner)
    assert (None if file is None else digest(file)) == job["file"]


def check_end(one: Upgraded, role: str, job: dict[str, Any]) -> None:
    """What was going on ends as it should."""
    path, owner = job["path"], job["owner"]
    phase, output = ENDS[role]
    ended = one.end(path, owner, job["phase"])
    document = (one.ask(path, owner, "application/xml") or b"").decode()
    assert ended == phase, f"{role}: {document}"
    assert one.ask(f"{path}/results/output", owner) == output, f"{role}: {document}"


def check_old_descriptions(one: Upgraded, was: dict[str, Any]) -> None:
    """What was made of an old version runs by it, and new versions go on behind."""
    pending = was["settled"]["pending, version 1"]
    one.tell(f"{pending['path']}/phase", "ann", PHASE="RUN")
    assert one.end(pending["path"], "ann") == "COMPLETED"
    output = one.ask(f"{pending['path']}/results/output", "ann")
    assert output == b"version 1: of version 1" + FILE

    body, kind = form({"text": ODD, "PHASE": "RUN"}, file=True)
    headers = {"Content-Type": kind, "X-User": "ann"}
    answer = one.post("/rest/survey", body=body, headers=headers)
    assert answer.status == 303, answer.text
    made = urlsplit(answer.location).path
    assert one.end(made, "ann") == "COMPLETED"
    assert one.ask(f"{made}/results/output", "ann") == f"version 2: {ODD}".encode() + FILE

    # A third one is that much more than the second.
    document = one.opus("jdl", "export", "survey@2").stdout
    assert "Survey, version 2" in document
    assert "Survey, version 1" in one.opus("jdl", "export", "survey@1").stdout
    (one.folder / "third.wadl").write_text(document.replace("version 2", "version 3"))
    words = ("--script", str(one.folder / "third.sh"), "--name", "survey", "--publish")
    (one.folder / "third.sh").write_text('echo third > "$output"\n')
    one.opus("jdl", "import", str(one.folder / "third.wadl"), *words)
    third = urlsplit(one.tell("/rest/survey", "ann", PHASE="RUN")).path
    assert one.end(third, "ann") == "COMPLETED"
    assert one.ask(f"{third}/results/output", "ann") == b"third\n"


def check_accounts(one: Upgraded, was: dict[str, Any]) -> None:
    """A token that was given out signs in."""
    if was["token"]:
        bearer = {"Authorization": f"Bearer {was['token']}"}
        path = was["settled"]["completed, version 1"]["path"]
        assert one.ask(path, "", "application/xml", **bearer) is not None
        assert one.get(path).status == 403


def schema_changes(one: Upgraded) -> int:
    """How often the schema of its SQLite was changed; of PostgreSQL nobody counts that."""
    path = one.folder / "opus.sqlite"
    if not path.exists():
        return 0
    with closing(sqlite3.connect(path)) as database:
        return database.execute("PRAGMA schema_version").fetchone()[0]


@pytest.mark.timeout(300)
def test_nothing_is_lost(upgraded, release):
    was = told(upgraded)
    for job in was["settled"].values():
        check_settled(upgraded, release, job)
    check_lists(upgraded, was)
    for role, job in was["unsettled"].items():
        check_end(upgraded, role, job)
    folders = upgraded.folder / "jobs"
    for path in was["deleted"]:
        assert upgraded.ask(path, "ann") is None
        eventually(lambda path=path: not list(folders.glob(f"??/{path[-32:]}")), PATIENCE)
    check_accounts(upgraded, was)
    check_old_descriptions(upgraded, was)
    log = (upgraded.folder / "opus.log").read_text()
    assert "Traceback" not in log
    assert " ERROR " not in log

    # The next start has nothing to bring up to date.
    upgraded.stop()
    before = schema_changes(upgraded)
    upgraded.start_all()
    assert schema_changes(upgraded) == before
    for role, job in was["settled"].items():
        if role != "pending, version 1":
            check_settled(upgraded, release, job)


def test_the_first_release_is_among_them():
    assert FIRST in RELEASES
