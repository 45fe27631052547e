"""A soak of seconds finds nothing; and whatever may go wrong in one of hours would be found."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable
from contextlib import closing
from types import SimpleNamespace
from typing import Any

import pytest

from servers import eventually
from soak import gauges
from soak.book import YES, Book, Entry
from soak.client import Client
from soak.follower import Follower
from soak.gauges import Gauge, trend
from soak.report import Part, write
from soak.run import growth
from soak.sites import make_site
from soak.verdict import Verdict, judge, settle

_SECONDS = 3.0
_JOBS = 12  # at least


@pytest.fixture(scope="module")
def soaked(tmp_path_factory):
    """A site after some load, the book of its clients, and what was heard of it."""
    site = make_site(tmp_path_factory.mktemp("soak") / "site", embedded=True)
    try:
        site.serve()
        book = Book()
        clients = [Client(site, book, f"test-{number}", most=12) for number in range(3)]
        follower = Follower(site, book)
        for thread in (*clients, follower):
            thread.start()
        threading.Event().wait(_SECONDS)
        eventually(lambda: len(book.entries) >= _JOBS, 60)
        for client in clients:
            client.stopping.set()
        for client in clients:
            client.join()
        # Of each kind that is harmed below there is one.
        for file in (b"x" * 100, b""):
            keep(site, book, file)
        settle(site, 60)
        follower.stopping.set()
        follower.join()
        follower.catch_up()
        yield SimpleNamespace(site=site, book=book, heard=follower.heard)
    finally:
        site.stop()
        for pid, _ in gauges.job_processes(site):
            gauges.kill(pid)


def keep(site, book, file):
    """A job that ends well, and that no client has ever asked to end otherwise."""
    client = Client(site, book, f"kept-{bool(file)}", most=1)
    entry = client.invent()
    entry.seconds, entry.limit, entry.code, entry.text = 0, 0, 0, "hello"
    entry.upload = client.upload(len(file)) if file else None
    body, headers = client.form(entry, PHASE="RUN")
    answer = site.request("POST", "/rest/soak", body=body, headers=headers)
    assert answer.status == 303, answer.text
    entry.url, entry.run = answer.location, YES
    site.wait(entry.url)
    book.entries.append(entry)
    book.over.append(entry)


def verdict(soaked) -> Verdict:
    return judge(soaked.site, soaked.book, [], soaked.heard)


def kept(soaked, *, file: bool = False) -> Entry:
    (entry,) = [one for one in soaked.book.entries if one.word.startswith(f"client-kept-{file}")]
    return entry


def write_sql(soaked, statement: str, *values: Any) -> None:
    with closing(sqlite3.connect(soaked.site.database.path, timeout=30)) as database, database:
        assert database.execute(statement, values).rowcount


def test_nothing_is_found_where_nothing_is_wrong(soaked):
    found = verdict(soaked)
    assert found.faults == []
    assert found.jobs >= _JOBS
    assert found.requests > found.jobs
    assert soaked.heard


# -- each of these finds what it does, and leaves it done


def run_twice(soaked):
    with (soaked.site.folder / "ledgers" / kept(soaked).id).open("a") as ledger:
        ledger.write("again\n")


def make_another(soaked):
    columns = [row["name"] for row in soaked.site.database.rows("PRAGMA table_info(jobs)")]
    values = ", ".join("'0' || substr(id, 2)" if name == "id" else name for name in columns)
    statement = f"INSERT INTO jobs ({', '.join(columns)}) SELECT {values} FROM jobs WHERE id = ?"
    # Its id differs in the first digit, which is 1 to 9 in nine of ten: make sure.
    statement = statement.replace("'0' ||", "(CASE WHEN id LIKE '0%' THEN '1' ELSE '0' END) ||")
    write_sql(soaked, statement, kept(soaked, file=True).id)


def change_the_output(soaked):
    folder = soaked.site.job_folder(kept(soaked).id)
    (folder / "results" / "output").write_bytes(b"hullo")


def change_the_upload(soaked):
    for path in (soaked.site.job_folder(kept(soaked, file=True).id) / "input").iterdir():
        path.write_bytes(b"y" * 100)


def leave_a_process(soaked):
    word = json.loads((soaked.site.folder / "data" / "instance").read_text())["word"]
    tag = f"opus-{word}-{kept(soaked).id}"
    soaked.process = subprocess.Popen(["sleep", "60"], env={**os.environ, "OPUS_TAG": tag})


def leave_a_folder(soaked):
    folder = soaked.site.job_folder("0" * 32)
    folder.mkdir(parents=True)
    (folder / "run").write_text("")


def leave_half_a_file(soaked):
    (soaked.site.job_folder(kept(soaked).id) / ".new.half").write_text("")


def swell_a_folder(soaked):
    (soaked.site.job_folder(kept(soaked).id) / "work" / "core").write_bytes(bytes(100_000))


def swell_the_database(soaked):
    statement = "INSERT INTO records (stream, time, data) VALUES ('leak', 0, zeroblob(40000000))"
    write_sql(soaked, statement)


def leave_a_trace(soaked):
    with (soaked.site.folder / "data" / "opus.log").open("a") as log:
        log.write('12 INFO x\nTraceback (most recent call last):\n  File "x"\nKeyError: 1\n')


def log_an_error(soaked):
    with (soaked.site.folder / "data" / "opus.log").open("a") as log:
        log.write("2031-01-01T00:00:00.000Z ERROR opus_core.x it broke\n")


def be_silent(soaked):
    soaked.book.cut.append((1.0, 2.0, "GET RemoteDisconnected"))


def step_back(soaked):
    statement = "UPDATE journal SET old = 'COMPLETED', new = 'EXECUTING' WHERE seq = ?"
    last = [seq for seq, job, _, new in soaked.heard if job == kept(soaked).id and new]
    write_sql(soaked, statement, last[-1])


def tell_nobody(soaked):
    del soaked.heard[len(soaked.heard) // 2]


def count_a_job_for_ever(soaked):
    write_sql(soaked, "UPDATE usage SET active = active + 1")


def lose_the_thread(soaked):
    statement = "UPDATE jobs SET work = 'ENDED', due = NULL WHERE id = ?"
    write_sql(soaked, statement, kept(soaked).id)


def never_run(soaked):
    (soaked.site.folder / "ledgers" / kept(soaked, file=True).id).unlink()


def lose_a_job(soaked):
    write_sql(soaked, "DELETE FROM jobs WHERE id = ?", kept(soaked).id)


HARMS: list[tuple[Callable[[Any], None], str]] = [
    (run_twice, "twice: {kept} ran 2 times"),
    (make_another, "twice: client-kept-True-0 was made as"),
    (change_the_output, "wrong: {kept} is COMPLETED with another output"),
    (change_the_upload, "wrong: {other} has another upload"),
    (leave_a_process, "left: process {process} of {kept}"),
    (leave_a_folder, "left: the folder 00000000000000000000000000000000 belongs to no job"),
    (leave_half_a_file, "left: half written in the folder of {kept}: ['.new.half']"),
    (swell_a_folder, "grown: the folder of {kept} has"),
    (swell_the_database, "grown: the database has"),
    (leave_a_trace, "wrong: opus.log has a trace: "),
    (log_an_error, "wrong: opus.log: 2031-01-01T00:00:00.000Z ERROR opus_core.x it broke"),
    (be_silent, "wrong: 00:00:01 no answer, and nobody killed: GET RemoteDisconnected"),
    (step_back, "wrong: {kept} went from EXECUTING on by COMPLETED -> EXECUTING"),
    (tell_nobody, "lost: nobody who follows /changes was told of"),
    (count_a_job_for_ever, "wrong: the quota has 1 jobs"),
    (lose_the_thread, "stuck: {kept}: phase=COMPLETED work=ENDED"),
    (never_run, "lost: {other} is COMPLETED and never ran"),
    (lose_a_job, "lost: {kept} was acknowledged: 404"),
]


def test_an_answer_that_was_begun_may_break_off_with_the_database_and_no_other(soaked):
    before = verdict(soaked).faults
    soaked.book.cut += [(1.0, 2.0, "GET IncompleteRead(5)"), (1.0, 2.0, "GET RemoteDisconnected")]
    found = judge(soaked.site, soaked.book, [], soaked.heard, breaks=[(0.5, 1.5)]).faults
    del soaked.book.cut[-2:]
    (fault,) = set(found) - set(before)
    assert "RemoteDisconnected" in fault


@pytest.mark.parametrize(("harm", "sentence"), HARMS, ids=[harm.__name__ for harm, _ in HARMS])
def test_what_goes_wrong_is_found(soaked, harm, sentence):
    before = verdict(soaked).faults
    harm(soaked)
    words = {"kept": kept(soaked).id, "other": kept(soaked, file=True).id, "process": ""}
    try:
        if process := getattr(soaked, "process", None):
            words["process"] = process.pid
        new = set(verdict(soaked).faults) - set(before)
    finally:
        if process:
            process.kill()
            process.wait()
            del soaked.process
    assert [one for one in new if one.startswith(sentence.format(**words))], new


# -- what clients find themselves


@pytest.fixture
def client(soaked):
    """Somebody with a book of their own."""
    return Client(soaked.site, Book(), "finder", most=4)


def test_a_client_finds_that_a_repeated_creation_is_another_job(client):
    entry = client.invent()
    entry.key = "finder's"
    body, headers = client.form(entry)
    answer = client.ask("POST", "/rest/soak", 303, body=body, headers=headers)
    entry.url = answer.location
    client.repeat(entry, body, headers)
    assert client.book.faults == []
    entry.url += "0"
    client.repeat(entry, body, headers)
    (fault,) = client.book.faults
    assert fault.startswith("twice: ")
    assert fault.endswith(f"{entry.url} is {answer.location} when asked again")


def test_a_client_finds_that_a_job_is_on_no_page(client):
    client.create()
    client.walk()
    assert client.book.faults == []
    url = client.book.entries[0].url
    client.book.entries.append(
        Entry(word="never", url=f"{url[:-1]}{'1' if url[-1] == '0' else '0'}")
    )
    client.walk()
    (fault,) = client.book.faults
    assert fault.startswith("lost: ")
    assert "is on no page of the list" in fault


def test_a_client_finds_that_an_answer_is_another_one(client):
    client.book.compare("a", b"12", b"12")
    assert client.book.faults == []
    client.book.compare("a", b"12", b"13")
    (fault,) = client.book.faults
    assert fault.startswith("wrong: ")


# -- what grows

_LEAKS = """
import sys, time
kept, files = [], []
print(flush=True)
while True:
    if sys.argv[1] == "leaks":
        kept.append(bytearray(300_000))
        files.append(open("/dev/null"))
    time.sleep(0.02)
"""


@pytest.mark.parametrize("how", ["leaks", "stays"])
def test_what_a_process_gains_is_found(how):
    command = [sys.executable, "-c", _LEAKS, how]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        process.stdout.readline()
        gauge = Gauge(process.pid)
        gauge.start()
        eventually(lambda: len(gauge.times) >= 7)
        gauge.stopping.set()
        gauge.join()
        process.kill()
    found = Verdict()
    growth(gauge, found)
    grown = {fault.split()[1] for fault in found.faults if fault.startswith("grown: ")}
    assert grown == ({"memory", "descriptors"} if how == "leaks" else set())
    assert len(found.notes) == 3


def test_a_server_is_up_when_it_answers_and_not_when_something_holds_its_port(tmp_path):
    site = make_site(tmp_path / "site", embedded=True)
    waited = threading.Event()
    with subprocess.Popen(["sleep", "60"]) as process, closing(socket.socket()) as held:
        try:
            # As web servers do, so that the next one is not kept from the port by what is over.
            held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            held.bind(("127.0.0.1", site.port))
            held.listen()
            waiting = threading.Thread(
                target=lambda: (site.wait_until_up(process), waited.set()), daemon=True
            )
            waiting.start()
            connection, _ = held.accept()  # it has seen that something listens
            connection.close()
            assert not waited.wait(0.5)
            held.close()
            site.serve()
            assert waited.wait(30)
        finally:
            process.kill()
            site.stop()


def test_a_trend_is_that_of_the_last_two_thirds():
    times = [float(time) for time in range(90)]
    line = trend(times, [100.0 if time < 30 else 10 + time / 10 for time in times])
    assert (round(line.begin, 6), round(line.end, 6), line.worst) == (13.0, 18.9, 18.9)


# -- and what is told


def test_a_page_and_a_document_tell_of_each_kind(tmp_path):
    bad = Verdict(faults=["lost: a", "lost: b", "stuck: c"], notes=["noted"], jobs=7, requests=70)
    parts = [Part("sqlite", "calm", 12.3, bad), Part("postgresql", "calm", 1.0, Verdict())]
    write(tmp_path / "page.md", "seed", parts)
    page = (tmp_path / "page.md").read_text()
    assert "| sqlite | calm | 12 | 7 | 70 | 2 | 0 | 1 | 0 | 0 | 0 |" in page
    assert "- **stuck: c**" in page
    assert "- noted" in page
    write(tmp_path / "page.json", "seed", parts)
    document = json.loads((tmp_path / "page.json").read_text())
    assert document["parts"][0]["verdict"]["faults"] == bad.faults
