"""Inputs that a job was given as URLs are there before its script runs."""

from __future__ import annotations

import hashlib
import json
import socket
import threading
from dataclasses import replace

import pytest

from core.helpers.origin import origin
from core.helpers.site import a_site
from opus_core import lifecycle
from opus_core.definition import GeneratedDescription, JobDefinition, UsedDescription
from opus_core.errors import NotAllowed
from opus_core.fetching import Fetch
from opus_core.hosts import parse
from opus_core.job import ErrorType, Job, Parameter, Phase, Upload, Work, new_id, now
from opus_core.supervisor import inputs
from opus_core.testing.timing import eventually

HOSTS = Fetch(hosts=parse(["127.0.0.1"]), max_bytes=1_000_000, seconds=10)
DATA = b"x,y\n" + b"1,2\n" * 50_000


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


@pytest.fixture
def server():
    with origin() as server:
        yield server


@pytest.fixture
def _quick(monkeypatch):
    monkeypatch.setattr(inputs, "pause", lambda attempts: 0.05)


def given(url: str, name: str = "table") -> Parameter:
    return Parameter(name=name, value=url, upload=Upload(sha256="", size=0, name="t.csv"))


def asked(site, *urls: str, script: str = 'cat "$table" > "$copy"', whose: str = "") -> Job:
    """A job that is wanted and has these inputs, each under the name of its place."""
    names = ["table", "more", "most"][: len(urls)]
    definition = JobDefinition(
        name="copy",
        script=f"echo $PWD >> {site.trace}\n{script}\n",
        used=tuple(UsedDescription(name=name) for name in names),
        generated=(GeneratedDescription(name="copy", required=True),),
    )
    job_id = new_id()
    job = Job(
        id=job_id,
        definition=site.catalogue.publish(definition, "tests"),
        created=now(),
        manager="small",
        quota_key=whose,
        parameters=tuple(map(given, urls, names)),
    )
    return site.storage.add(lifecycle.run(job, now=now(), tag=site.tag(job_id), can_resume=False))


def test_an_input_is_fetched_before_the_script_runs(site, server):
    server.put("/a/sky.csv.gz", DATA, content_type="text/csv")
    job = asked(site, server.at("/a/sky.csv.gz"), script='cat "$table" > $copy; echo "$table"')
    site.supervisor(fetch=HOSTS)
    done = site.until_released(job, Phase.COMPLETED)
    sha256 = hashlib.sha256(DATA).hexdigest()
    assert done.results[0].sha256 == sha256
    assert done.parameters == (
        Parameter(
            name="table",
            value=server.at("/a/sky.csv.gz"),
            upload=Upload(sha256=sha256, size=len(DATA), name="sky.csv.gz", media_type="text/csv"),
        ),
    )
    assert done.bytes == 2 * len(DATA)
    folder = site.folders.path(job.id)
    assert (folder / "stdout").read_text().endswith(f"/input/{sha256}.csv.gz\n")
    [told] = json.loads((folder / "job.json").read_text())["parameters"]
    assert (told["url"], told["sha256"]) == (server.at("/a/sky.csv.gz"), sha256)
    assert len(server.seen) == 1


def test_several_inputs_are_fetched_and_each_url_once(site, server):
    server.put("/a", b"one")
    server.put("/b", b"two")
    urls = [server.at("/a"), server.at("/b"), server.at("/a")]
    job = asked(site, *urls, script='cat "$table" "$more" "$most" > "$copy"')
    site.supervisor(fetch=HOSTS)
    site.until_released(job, Phase.COMPLETED)
    assert (site.folders.path(job.id) / "results" / "copy").read_bytes() == b"onetwoone"
    assert [path for path, _ in server.seen] == ["/a", "/b"]


@pytest.mark.usefixtures("_quick")
def test_a_server_that_stumbles_is_asked_again(site, server):
    server.put("/a", b"", 503)
    job = asked(site, server.at("/a"))
    site.supervisor(fetch=HOSTS)
    waiting = site.until(job, lambda job: job.watch.attempts == 2, "it has been tried twice")
    assert waiting.phase is Phase.QUEUED
    assert "an input could not be fetched" in waiting.job_info["waiting"]
    assert "answers 503" in waiting.job_info["waiting"]
    server.put("/a", b"there")
    done = site.until_released(job, Phase.COMPLETED)
    assert done.job_info.get("waiting", "") == ""


@pytest.mark.usefixtures("_quick")
def test_a_server_that_goes_on_stumbling_ends_the_job(site, server):
    server.put("/a", b"", 503)
    job = asked(site, server.at("/a"))
    site.supervisor(fetch=HOSTS)
    failed = site.until_released(job, Phase.ERROR)
    assert failed.error.type is ErrorType.TRANSIENT
    assert "its server answers 503" in failed.error.message
    assert len(server.seen) == 5
    assert site.runs() == 0
    assert site.native_ids(job) == []


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("/gone", "is not there: its server answers 404"),
        ("/large", "more than the 1000000 bytes"),
        ("/inside", "fetches nothing from '127.0.0.2'"),
    ],
)
def test_what_cannot_be_had_ends_the_job_with_the_reason(site, server, path, sentence):
    server.put("/gone", b"", 404)
    server.put("/large", b"x" * 1_000_001)
    server.lead("/inside", server.at("/secret", "127.0.0.2"))
    job = asked(site, server.at(path))
    site.supervisor(fetch=HOSTS)
    failed = site.until_released(job, Phase.ERROR)
    assert failed.error.type is ErrorType.FATAL
    assert failed.error.message.startswith("an input could not be fetched: ")
    assert sentence in failed.error.message
    assert not failed.error.has_detail
    assert len(server.seen) == 1
    assert site.runs() == 0


def test_inputs_of_a_job_share_the_limit(site, server):
    for path in ("/a", "/b"):
        server.put(path, path.encode() * 300_000)
    job = asked(site, server.at("/a"), server.at("/b"))
    site.supervisor(fetch=HOSTS)
    failed = site.until_released(job, Phase.ERROR)
    assert "more than the 400000 bytes" in failed.error.message


def test_a_site_that_fetches_nothing_says_so(site, server):
    job = asked(site, server.at("/a"))
    site.supervisor()
    failed = site.until_released(job, Phase.ERROR)
    assert "this server fetches no files" in failed.error.message
    assert server.seen == []


def test_slow_inputs_hold_up_nobody_else(site, server):
    held = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12"
    server.say("/slow", head, then=lambda: held.wait(20))
    slow = [asked(site, server.at("/slow")) for _ in range(12)]
    others = [site.job() for _ in range(5)]
    site.supervisor(fetch=HOSTS)
    for job in others:
        site.until_released(job, Phase.COMPLETED)
    assert {site.read(job).work for job in slow} == {Work.WANTED}
    for job in slow:
        site.abort(job)
    held.set()


@pytest.mark.parametrize("inputs_each", [1, 3])
def test_slow_inputs_of_one_owner_hold_up_no_other_owner_s(site, server, inputs_each):
    held = threading.Event()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n12"
    server.say("/slow", head, then=lambda: held.wait(20))
    server.put("/quick", b"1")
    urls = [server.at(f"/slow?{number}") for number in range(inputs_each)]
    slow = [asked(site, *urls, whose="user:ann") for _ in range(70)]
    quick = [asked(site, server.at("/quick"), whose=f"user:{name}") for name in ("bob", "cid")]
    site.supervisor(fetch=HOSTS)
    for job in quick:
        site.until_released(job, Phase.COMPLETED)
    assert sum(path.startswith("/slow") for path, _ in server.seen) == 2
    assert {site.read(job).work for job in slow} == {Work.WANTED}
    for job in slow:
        site.delete(job)
    held.set()


def test_a_job_that_is_aborted_meanwhile_is_not_prepared_further(site, server, monkeypatch):
    monkeypatch.setattr(inputs, "_LOOK", 0.0)
    on_its_way, stop = threading.Event(), threading.Event()

    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        on_its_way.set()
        while not stop.wait(0.01):
            handler.wfile.write(b"x")

    server.answers["/a"] = endless
    job = asked(site, server.at("/a"))
    supervisor = site.supervisor(fetch=replace(HOSTS, seconds=600))
    assert on_its_way.wait(10)
    aborted = site.abort(job)
    assert (aborted.phase, aborted.work) == (Phase.ABORTED, Work.NONE)
    site.delete(job)
    site.until_removed(job)
    assert not site.folders.path(job.id).exists()
    stop.set()
    assert supervisor.acting


def test_an_abort_reaches_who_waits_for_a_name(site, server, monkeypatch):
    """Eight that wait would hold up all others for as long as their names take."""
    monkeypatch.setattr(inputs, "_LOOK", 0.0)
    asking, end, real = threading.Semaphore(0), threading.Event(), socket.getaddrinfo

    def hanging(host, *more, **options):
        if host == "slow.test":
            asking.release()
            end.wait(20)
        return real("127.0.0.1" if host == "slow.test" else host, *more, **options)

    monkeypatch.setattr(socket, "getaddrinfo", hanging)
    server.put("/a", b"1")
    url = server.at("/b", "slow.test")
    slow = [asked(site, url, whose=f"user:{number}") for number in range(8)]
    site.supervisor(fetch=replace(HOSTS, hosts=parse(["slow.test", "127.0.0.1"]), seconds=600))
    for _ in slow:
        assert asking.acquire(timeout=10)
    for job in slow:
        site.delete(job)
    for job in slow:
        site.until_removed(job)
    site.until_released(asked(site, server.at("/a")), Phase.COMPLETED)
    end.set()
    names = threading.enumerate
    eventually(lambda: "opus-look-up" not in {one.name for one in names()}, "they have ended")


def test_a_supervisor_that_stops_breaks_off_and_the_next_one_begins_afresh(site, server):
    on_its_way, stop = threading.Event(), threading.Event()

    def endless(handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
        on_its_way.set()
        while not stop.wait(0.01):
            handler.wfile.write(b"x")

    server.put("/first", b"1")
    server.answers["/second"] = endless
    job = asked(site, server.at("/first"), server.at("/second"))
    supervisor = site.supervisor(fetch=HOSTS)
    assert on_its_way.wait(10)
    supervisor.stop()
    stop.set()
    left = site.read(job)
    assert left.work is Work.WANTED
    assert lifecycle.awaited(left) == (server.at("/second"),)
    kept = [file.name for file in (site.folders.path(job.id) / "input").iterdir()]
    assert kept == [hashlib.sha256(b"1").hexdigest()]
    server.put("/second", b"2")
    site.supervisor(fetch=HOSTS)
    site.until_released(job, Phase.COMPLETED)
    assert [path for path, _ in server.seen] == ["/first", "/second", "/second"]


# -- the rules


def test_nothing_arrives_at_a_job_that_is_not_wanted():
    job = Job(id=new_id(), definition=("copy", 1), created=now(), parameters=(given("http://a/"),))
    file = Upload(sha256="0" * 64, size=1)
    for one in (job, lifecycle.abort(job, now=now())):
        with pytest.raises(NotAllowed):
            lifecycle.arrived(one, "http://a/", file)
        with pytest.raises(NotAllowed):
            lifecycle.not_arrived(one)
    wanted = lifecycle.run(job, now=now(), tag="opus-x-1", can_resume=False)
    with pytest.raises(NotAllowed):
        lifecycle.arrived(wanted, "http://b/", file)
    there = lifecycle.arrived(lifecycle.not_arrived(wanted), "http://a/", file)
    assert lifecycle.awaited(there) == ()
    assert there.watch.attempts == 0
