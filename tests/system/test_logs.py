"""The log of a site: what it tells of jobs and requests, and that logrotate costs no line."""

from __future__ import annotations

import getpass
import grp
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

import pytest

from servers import describe_ledger, eventually, kill, site
from services_missing import lacking

WRITER = Path(__file__).with_name("rotating.py")
PAGE = Path(__file__).resolve().parents[2] / "docs" / "admin" / "logs.md"
LOGROTATE = shutil.which("logrotate", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
JQ = shutil.which("jq")
JSON = 'log_format = "json"\nlog_requests = true'


def program(found: str | None, name: str) -> str:
    return found or lacking(f"no {name}: see tests/services/debian.txt")


def documented(log: Path, **changes: str) -> str:
    """What the page says, for this file and whoever runs this; `changes` replaces words."""
    text = PAGE.read_text().partition("<!-- logrotate -->")[2]
    text = text.partition("```text\n")[2].partition("```")[0]
    own = {"/var/lib/opus/opus.log": str(log), "su opus opus": f"su {_user()} {_group()}"}
    for old, new in {**own, **changes}.items():
        assert old in text, f"{PAGE.name} has no {old!r}"
        text = text.replace(old, new)
    return text


def _user() -> str:
    return getpass.getuser()


def _group() -> str:
    return grp.getgrgid(os.getgid()).gr_name


class Rotation:
    """logrotate with a state of its own."""

    def __init__(self, folder: Path, text: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._config, self._state = folder / "logrotate.conf", folder / "logrotate.state"
        self._config.write_text(text)
        self._config.chmod(0o644)

    def rotate(self) -> None:
        command = [program(LOGROTATE, "logrotate"), "-f", "-s", str(self._state)]
        done = subprocess.run(
            [*command, str(self._config)], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        assert "error" not in done.stderr, done.stderr


def written(log: Path) -> list[bytes]:
    """All lines of a log and of what was rotated away, packed or not."""
    lines = []
    for file in log.parent.glob(f"{log.name}*"):
        content = gzip.open(file).read() if file.suffix == ".gz" else file.read_bytes()
        assert not content or content.endswith(b"\n"), file
        lines += content.splitlines()
    return lines


class Writers:
    """Several processes that write the same log."""

    def __init__(self, log: Path, number: int = 3) -> None:
        self._processes = {
            name: subprocess.Popen(
                [sys.executable, str(WRITER), str(log), name],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
            for name in (f"writer{n}" for n in range(number))
        }
        names = [f'"writer": "{name}"'.encode() for name in self._processes]
        eventually(lambda: log.exists() and all(name in log.read_bytes() for name in names))

    def stop(self) -> tuple[set[tuple[str, int]], str]:
        """What they have written, and what they have complained of."""
        wrote, said = set(), ""
        for name, process in self._processes.items():
            out, err = process.communicate(timeout=30)
            assert process.returncode == 0, err.decode()
            wrote |= {(name, n) for n in range(int(out))}
            said += err.decode()
        return wrote, said


def entries(lines: list[bytes]) -> Counter[tuple[str, int]]:
    """Who wrote which line, how often; each of them has to be whole."""
    found = map(json.loads, lines)
    return Counter((entry["writer"], entry["number"]) for entry in found if "writer" in entry)


@pytest.fixture
def log(tmp_path):
    folder = tmp_path / "log"
    folder.mkdir(mode=0o770)
    return folder / "opus.log"


@pytest.mark.parametrize("change", [{}, {"nocreate": "create"}], ids=["documented", "create"])
def test_logrotate_costs_no_line_and_tears_none(log, tmp_path, change):
    rotation = Rotation(tmp_path, documented(log, **change))
    writers = Writers(log)
    for _ in range(6):
        rotation.rotate()
        size = log.stat().st_size if log.exists() else 0
        eventually(lambda size=size: log.exists() and log.stat().st_size > size + 20_000)
    wrote, said = writers.stop()
    found = entries(written(log))
    assert set(found) == wrote
    assert set(found.values()) == {1}
    assert said == ""
    assert len(list(log.parent.glob("*.gz"))) == 5
    assert not list(log.parent.glob("*backup*")), "logrotate and OPUS have both made the file"


def test_what_copytruncate_loses_is_no_more_than_it_has_to(log, tmp_path):
    rotation = Rotation(tmp_path, documented(log, nocreate="copytruncate", delaycompress=""))
    writers = Writers(log)
    rotation.rotate()
    eventually(lambda: log.stat().st_size > 20_000)
    wrote, _ = writers.stop()
    lines = written(log)
    assert not any(b"\0" in line for line in lines), "it goes on behind a hole"
    found = entries(lines)
    assert set(found) <= wrote
    assert set(found.values()) == {1}


def test_a_log_that_is_deleted_is_made_anew(log):
    writers = Writers(log)
    log.unlink()
    eventually(lambda: log.exists() and log.stat().st_size > 20_000)
    wrote, said = writers.stop()
    found = entries(written(log))
    for name in {one for one, _ in wrote}:
        numbers = sorted(number for writer, number in found if writer == name)
        assert numbers == list(range(numbers[0], numbers[-1] + 1)), "a gap after the deletion"
        assert (name, numbers[-1] + 1) not in wrote
    assert said == ""


def test_a_folder_that_is_away_for_a_while_costs_no_line(log):
    writers = Writers(log)
    away = log.parent.with_name("away")
    log.parent.rename(away)
    here = away / log.name
    size = here.stat().st_size
    eventually(lambda: here.stat().st_size > size + 20_000)
    away.rename(log.parent)
    size = log.stat().st_size
    eventually(lambda: log.stat().st_size > size + 20_000)
    wrote, said = writers.stop()
    found = entries(written(log))
    assert set(found) == wrote
    assert set(found.values()) == {1}
    assert said.count("cannot be written") <= 3  # once each


def test_a_folder_that_is_deleted_costs_the_lines_until_it_is_back(log):
    writers = Writers(log)
    # Not where they write: a file that one of them makes meanwhile would keep the folder.
    shutil.rmtree(log.parent.rename(log.parent.with_name("deleted")))
    time.sleep(0.3)
    log.parent.mkdir()
    eventually(lambda: log.exists() and log.stat().st_size > 20_000)
    wrote, said = writers.stop()
    lines = written(log)
    assert set(entries(lines)) < wrote
    lost = [one["lines"] for one in map(json.loads, lines) if "lines" in one]
    assert len(lost) == 3  # each has told how many
    assert min(lost) > 1
    assert said.count("cannot be written") == 3


# -- a whole site


def json_of(one) -> list[dict]:
    return [json.loads(line) for line in written(one.folder / "data" / "opus.log")]


def test_web_server_and_supervisor_share_a_log_that_is_rotated_under_load(tmp_path):
    with site(tmp_path / "site") as one:
        one.configure(JSON, supervisor="embedded = false\nlease_seconds = 3")
        describe_ledger(one)
        one.serve()
        one.start("supervise")
        log = one.folder / "data" / "opus.log"
        rotation = Rotation(tmp_path / "rotation", documented(log, nocreate="create"))
        over, asked, failed = threading.Event(), [], []

        def load():
            try:
                while not over.is_set():
                    asked.append(one.get("/rest/ledger").headers["X-Request-ID"])
            except Exception as error:  # which no thread could tell
                failed.append(error)

        threads = [threading.Thread(target=load) for _ in range(4)]
        for thread in threads:
            thread.start()
        jobs = []
        for _ in range(4):
            jobs.append(one.create("ledger", {"ledger": str(tmp_path / "ran")}))
            assert one.wait(jobs[-1]) == "COMPLETED"
            rotation.rotate()
        over.set()
        for thread in threads:
            thread.join()
        one.stop()
        assert failed == []
        entries_ = json_of(one)
        answered = Counter(one["request"] for one in entries_ if one["message"] == "answered")
        assert len(set(asked)) == len(asked)
        assert all(answered[request] == 1 for request in asked)
        for job in jobs:
            [end] = [
                entry
                for entry in entries_
                if entry.get("job") == job.rpartition("/")[2] and entry["message"] == "is over"
            ]
            assert (end["phase"], end["exit_code"]) == ("COMPLETED", 0)


def sentences(lines: list[dict], job: str) -> list[tuple[str, str | None]]:
    mine = [one for one in lines if one.get("job") == job.rpartition("/")[2]]
    return [(one["message"], one.get("phase")) for one in mine if one["level"] == "INFO"]


def test_the_lines_of_a_job_tell_its_life(tmp_path):
    with site(tmp_path / "site") as one:
        one.configure(JSON)
        describe_ledger(one)
        process = one.serve()
        ledger = {"ledger": str(tmp_path / "ran")}
        created = one.post("/rest/ledger", {**ledger, "code": "3", "RUNID": "my\nrun"})
        failed = created.location.partition(one.url)[2]
        one.post(f"{failed}/executionduration", {"EXECUTIONDURATION": "60"})
        one.post(f"{failed}/phase", {"PHASE": "RUN"})
        assert one.wait(failed) == "ERROR"
        long = one.create("ledger", {**ledger, "seconds": "60"})
        one.wait(long, {"EXECUTING"})
        kill(process)
        one.serve()
        aborted = one.post(f"{long}/phase", {"PHASE": "ABORT"})
        assert one.wait(long) == "ABORTED"
        one.request("DELETE", failed)
        unwanted = one.create("ledger", ledger, run=False)
        one.post(f"{unwanted}/phase", {"PHASE": "ABORT"})
        past = one.create("ledger", {**ledger, "DESTRUCTION": "2000-01-01"}, run=False)
        eventually(lambda: [] == [j for j in (failed, past) if _folder(one, j).exists()])
        eventually(lambda: sentences(json_of(one), past)[-1][0] == "removed")
        lines = json_of(one)

    assert [one for one in sentences(lines, failed) if one[0] != "launched"] == [
        ("created", "PENDING"),
        ("has another execution duration", "PENDING"),
        ("is to run", "QUEUED"),
        ("submitted", None),
        ("has come to a new phase", "EXECUTING"),
        ("is over", "ERROR"),
        ("deleted", "ERROR"),
        ("removed", None),
    ]
    assert sentences(lines, unwanted) == [
        ("created", "PENDING"),
        ("is to be aborted", "ABORTED"),
        ("is over", "ABORTED"),
    ]
    assert [one for one, _ in sentences(lines, past)] == [
        "created",
        "destroyed, since its time has come",
        "removed",
    ]
    [first] = [one for one in lines if one["message"] == "created" and "run_id" in one]
    assert first["request"] == created.headers["X-Request-ID"]
    assert (first["definition"], first["run_id"]) == ("ledger/1", "my\nrun")
    ends = {one["job"]: one for one in lines if one["message"] == "is over"}
    end = ends[failed.rpartition("/")[2]]
    assert (end["exit_code"], end["reason"]) == (3, "the script ended with exit code 3")
    assert ends[long.rpartition("/")[2]]["phase"] == "ABORTED"
    wish = next(one for one in lines if one["message"] == "is to be aborted")
    assert wish["request"] == aborted.headers["X-Request-ID"]
    assert len([one for one in lines if one["message"] == "serving"]) == 2


def _folder(one, job: str) -> Path:
    return one.job_folder(job.rpartition("/")[2])


def test_the_examples_of_the_page_find_what_they_say(tmp_path):
    program(JQ, "jq")
    with site(tmp_path / "site") as one:
        one.configure(JSON)
        describe_ledger(one)
        one.serve()
        job = one.create("ledger", {"ledger": str(tmp_path / "ran"), "code": "3"})
        assert one.wait(job) == "ERROR"
        folder = one.folder / "data"
    commands = re.findall(r"^(?:grep|jq) .*$", PAGE.read_text(), re.MULTILINE)
    job_id = job.rpartition("/")[2]
    said = {}
    for command in commands:
        own = command.replace("1f0c9d2e64a3b7580d1f2a3b4c5d6e7f", job_id)
        done = subprocess.run(
            ["bash", "-c", own], cwd=folder, capture_output=True, text=True, check=False
        )
        assert done.stderr == "", own
        said[command] = done.stdout
    lives = [out for command, out in said.items() if command.startswith("jq -c")]
    assert lives
    assert all('"created"' in out and '"is over"' in out for out in lives)
    [errors] = [out for command, out in said.items() if "ERROR" in command]
    assert errors.split("\t")[1:] == [job_id, "the script ended with exit code 3\n"]
    [slowest] = [out for command, out in said.items() if "sort_by" in command]
    assert '"path"' in slowest


def test_standard_error_that_is_the_journal_has_priorities(tmp_path):
    with site(tmp_path / "site") as one:
        text = one.config.read_text().replace('log_file = "opus.log"', "log_requests = true")
        one.config.write_text(text)
        err = one.folder / "stderr.log"
        err.touch()
        there = err.stat()
        one.prefix = ("env", f"JOURNAL_STREAM={there.st_dev}:{there.st_ino}")
        one.serve()
        one.get("/rest")
        one.stop()
        lines = err.read_text().splitlines()
        assert lines
        assert all(re.match(r"<[2-7]>\d{4}-", line) for line in lines)
        assert any(line.startswith("<6>") and "answered" in line for line in lines)
