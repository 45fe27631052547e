"""What one anonymous client can make the server keep, in memory and on the disk, is bounded; and
nothing of what it sent is lost."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import socket
import threading
import time
from pathlib import Path

import pytest
from lxml import etree

from attacked import attacked_site
from servers import LEDGER_WADL, eventually

MIB = 2**20
UWS = "{http://www.ivoa.net/xml/UWS/v1.0}"
SEVERAL = LEDGER_WADL.replace(
    'name="seconds" type="xs:double" default="0"',
    'name="many" type="xs:string" repeating="true" required="false"',
)
SCRIPT = """\
if [ -n "${text_FILE-}" ]; then cat "$text_FILE" > "$output"; fi
"""
TEXT = b"&" * (16 * MIB - 100)  # all that fits beside the other fields
MANY = [b"%04d" % number + b"&" * 124 for number in range(9_998)]  # of the longest that are shown
HEADERS = {"Content-Type": "multipart/form-data; boundary=f"}


def form(*fields: tuple[str, bytes]) -> dict[str, object]:
    body = b"".join(
        b'--f\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n' % (name.encode(), value)
        for name, value in (("ledger", b"-"), *fields)
    )
    return {"body": body + b"--f--\r\n", "headers": HEADERS}


@pytest.fixture(scope="module")
def one():
    with attacked_site() as opened:
        opened.configure(server=f"port = {opened.port}\nthreads = 64")
        opened.describe("long", SCRIPT, SEVERAL.replace('path="ledger"', 'path="long"'))
        opened.serve()
        opened.create("long", {"ledger": "-"}, run=False)  # what the first request loads
        yield opened


@pytest.fixture(scope="module")
def long(one):
    """A job with the longest text there can be."""
    return one.post("/rest/long", **form(("text", TEXT))).location


@pytest.fixture(scope="module")
def largest(one):
    """A job with the largest document that there can be."""
    return one.post("/rest/long", **form(*[("many", value) for value in MANY])).location


class Used:
    """What the server takes while a block runs, above what it had before [MiB]."""

    def __init__(self, one):
        self._process = Path(f"/proc/{one.processes[0].pid}")
        self._spool = str(one.folder / "data" / "spool")

    def __enter__(self):
        (self._process / "clear_refs").write_text("5")  # the peak begins anew
        self._before = self._figure("VmRSS")
        return self

    def __exit__(self, *error):
        self.memory = self._figure("VmHWM") - self._before

    def _figure(self, key):
        status = (self._process / "status").read_text()
        return int(re.search(rf"{key}:\s+(\d+) kB", status)[1]) / 1024

    def disk(self):
        """What lies in the spool folder at this moment; the files have no names."""
        size = 0
        for descriptor in os.listdir(self._process / "fd"):
            with contextlib.suppress(FileNotFoundError):  # closed since it was listed
                if os.readlink(self._process / "fd" / descriptor).startswith(self._spool):
                    size += (self._process / "fd" / descriptor).stat().st_blocks * 512
        return size / MIB


def at_once(count, call, *arguments, **options):
    """What so many calls answer that begin together."""
    answers = [None] * count
    gate = threading.Barrier(count)

    def run(number):
        gate.wait(60)
        answers[number] = call(*arguments, **options)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    return answers


def refused(answer):
    """Told to come back later, in so many words."""
    return answer.status == 503 and int(answer.headers["Retry-After"]) > 0 and bool(answer.body)


def shown(document, name):
    """The values of a parameter in an XML document, and whether each is by reference."""
    return [
        (entry.text or "", entry.get("byReference") == "true")
        for entry in etree.fromstring(document).iter(f"{UWS}parameter")
        if entry.get("id") == name
    ]


def reading_nothing(one, path, count):
    """Connections that ask for it, and leave it at that."""
    opened = contextlib.ExitStack()
    for _ in range(count):
        connection = opened.enter_context(socket.socket())
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", one.port))
        request = f"GET {path.removeprefix(one.url)} HTTP/1.1\r\nHost: localhost\r\n\r\n"
        connection.sendall(request.encode())
    return opened


def answered(one):
    begin = time.monotonic()
    assert one.get("/healthz").status == 200
    assert one.get("/rest/long?LAST=1").status == 200
    return time.monotonic() - begin


# -- one long text


def test_a_text_as_long_as_can_be_takes_no_memory_whoever_asks_for_its_job(one, long):
    paths = [long, f"{long}/parameters", f"{long}/quote", f"{long}/phase", f"{long}?WAIT=0"]
    with Used(one) as used:
        for path in paths:
            for accept in ("application/xml", "application/json", "text/html"):
                answers = at_once(16, one.get, path, headers={"Accept": accept})
                assert {answer.status for answer in answers} == {200}
                assert max(len(answer.body) for answer in answers) < 20_000
        answers = at_once(16, one.get, "/rest/long")
        assert {answer.status for answer in answers} == {200}
    assert used.memory < 30


def test_it_is_by_reference_and_comes_back_byte_for_byte(one, long):
    [(url, by_reference)] = shown(one.get(long).body, "text")
    assert by_reference
    assert url == f"{long}/parameters/text"
    with Used(one) as used:
        answers = at_once(16, lambda: one.get(url).body == TEXT)
    assert answers == [True] * 16
    assert used.memory < 60
    [entry] = [part for part in one.document(long)["parameters"] if part["id"] == "text"]
    assert entry["sha256"] == hashlib.sha256(TEXT).hexdigest()


def test_it_reaches_the_script(one):
    with Used(one) as used:
        jobs = [one.post("/rest/long?PHASE=RUN", **form(("text", TEXT))).location for _ in range(8)]
        assert {one.wait(job, seconds=60) for job in jobs} == {"COMPLETED"}
    assert used.memory < 60
    assert one.get(f"{jobs[0]}/results/output").body == TEXT


def test_so_many_that_create_such_jobs_take_no_memory_and_none_is_lost(one):
    sent = form(("text", "\U0001f52d".encode() + TEXT[4:]))  # four bytes a character, as str
    before = set(one.jobs("long"))
    with Used(one) as used:
        answers = at_once(32, one.post, "/rest/long", **sent)
    made = [answer.location for answer in answers if answer.status == 303]
    assert all(answer.status == 303 or refused(answer) for answer in answers)
    assert len(made) >= 16
    assert used.memory < 100
    assert set(one.jobs("long")) - before == {job.rpartition("/")[2] for job in made}
    for job in made[::5]:
        assert one.get(f"{job}/parameters/text").body == sent["body"].split(b"\r\n")[7]


# -- many texts


def test_ten_thousand_small_values_are_shown_as_they_are(one):
    values = [f"value {number}" for number in range(9_998)]
    with Used(one) as used:
        job = one.post("/rest/long", **form(*[("many", one.encode()) for one in values])).location
        assert shown(one.get(job).body, "many") == [(value, False) for value in values]
        said = one.document(job)["parameters"]
        assert one.get(f"{job}/parameters/many").text == "\n".join(values)
    assert [part["value"] for part in said if part["id"] == "many"] == values
    assert used.memory < 60


def test_many_long_ones_are_by_reference_beyond_a_total(one):
    values = [b"%05d" % number + b"&" * 60_000 for number in range(250)]
    with Used(one) as used:
        answer = one.post("/rest/long", **form(*[("many", value) for value in values]))
        document = one.get(answer.location)
        answers = at_once(32, one.get, answer.location)
        assert all(
            other.body == document.body if other.status == 200 else refused(other)
            for other in answers
        )
    assert used.memory < 100
    assert len(document.body) < 6 * MIB
    found = shown(document.body, "many")
    assert len(found) == 250
    for (text, by_reference), value in list(zip(found, values, strict=True))[::25]:
        assert (one.get(text).body if by_reference else text.encode()) == value
    assert one.get(f"{answer.location}/parameters/many").body == b"\n".join(values)


@pytest.mark.parametrize(
    "accept",
    ["application/xml", "application/json", pytest.param("text/html", marks=pytest.mark.soak)],
)
def test_those_who_ask_for_the_largest_document_at_once_are_bounded(one, largest, accept):
    with Used(one) as used:
        answers = at_once(48, one.get, largest, headers={"Accept": accept})
    assert all(answer.status == 200 or refused(answer) for answer in answers)
    good = {answer.body for answer in answers if answer.status == 200}
    assert used.memory < 150
    if accept == "application/xml":
        [whole] = good
        assert 6 * MIB < len(whole) < 16 * MIB
        assert [text.encode() for text, _ in shown(whole, "many")] == MANY
    elif accept == "application/json":
        assert all(len(json.loads(body)["parameters"]) > len(MANY) for body in good)
    else:
        assert all(body.rstrip().endswith(b"</html>") for body in good)


@pytest.mark.soak
def test_those_who_create_such_jobs_at_once_are_bounded_and_none_is_lost(one):
    sent = form(*[("many", "\U0001f52d".encode() + value[4:]) for value in MANY])
    before = set(one.jobs("long"))
    with Used(one) as used:
        answers = at_once(48, one.post, "/rest/long", **sent)
    made = {answer.location.rpartition("/")[2] for answer in answers if answer.status == 303}
    assert all(answer.status == 303 or refused(answer) for answer in answers)
    assert len(made) >= 20
    assert set(one.jobs("long")) - before == made
    assert used.memory < 150


# -- clients that do not read


def test_those_who_read_nothing_of_the_largest_document_are_bounded(one, largest):
    """Their answers are some 400 MiB, of which the system takes a part."""
    with Used(one) as used:
        opened = reading_nothing(one, largest, 64)
        with opened:
            eventually(lambda: used.disk() > 40)
            assert eventually(lambda: answered(one) < 5)
            assert used.disk() < 600
    assert used.memory < 150
    eventually(lambda: used.disk() == 0)


@pytest.mark.soak
def test_those_who_read_nothing_of_a_long_text_take_nothing(one, long):
    with Used(one) as used, reading_nothing(one, f"{long}/parameters/text", 200):
        assert eventually(lambda: answered(one) < 5)
        assert used.disk() < 10
    assert used.memory < 60


@pytest.mark.soak
def test_more_of_them_than_there_is_room_for_have_to_go_and_others_are_served(one, largest):
    with Used(one) as used, contextlib.ExitStack() as opened:
        for _ in range(4):
            opened.enter_context(reading_nothing(one, largest, 40))
            eventually(lambda: answered(one) < 2)
            assert used.disk() < 600
        # A client that reads gets its answer among all those that do not.
        answer = eventually(lambda: (got := one.get(largest)).status == 200 and got)
        assert len(answer.body) > 6 * MIB
    assert used.memory < 200
