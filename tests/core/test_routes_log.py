"""What the log has of requests, and what a client is told to find it there."""

from __future__ import annotations

import io
import itertools
import json
import logging
import re

import bottle
import pytest

from core import wsgi
from opus_core.errors import BackendUnavailable
from opus_core.facts import standing
from opus_core.lines import Json
from opus_core.logs import REQUESTS
from opus_core.routes.log import Answered

MADE = re.compile("[0-9a-f]{16}")


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def client(site):
    return site.client()


class Ear(logging.Handler):
    """Hears what a logger says, as a file of the log would have it."""

    def __init__(self):
        super().__init__(logging.DEBUG)
        self.setFormatter(Json())
        self.said = []

    def emit(self, record):
        self.said.append(json.loads(self.format(record)))


@pytest.fixture
def lines(caplog):
    """The lines of requests so far, oldest first."""
    caplog.set_level(logging.DEBUG, REQUESTS)
    ear = Ear()
    logging.getLogger(REQUESTS).addHandler(ear)
    yield ear.said
    logging.getLogger(REQUESTS).removeHandler(ear)


def behind(site, *proxies):
    return site.client(changes={"proxies": proxies})


@pytest.mark.parametrize(
    "path", ["/", "/rest/fit", "/nope", "/rest/fit?LAST=x", "/static/opus.css"]
)
def test_every_answer_says_what_the_log_calls_the_request(client, path):
    first, second = client.get(path).headers, client.get(path).headers
    assert MADE.fullmatch(first["x-request-id"])
    assert first["x-request-id"] != second["x-request-id"]


def test_so_does_a_preflight(site):
    client = site.client(changes={"origins": ("https://a.example",)})
    asked = {"origin": "https://a.example", "access_control_request_method": "GET"}
    assert MADE.fullmatch(client("OPTIONS", "/rest/fit", **asked).headers["x-request-id"])
    shown = client.get("/rest/fit", origin="https://a.example").headers
    assert "X-Request-ID" in shown["access-control-expose-headers"]


@pytest.mark.parametrize("name", ["7be3a91c55d20f48", "ZnT@1-a_b.c", "x" * 64])
def test_a_trusted_proxy_names_the_request(site, name):
    here = behind(site, "192.0.2.0/24")
    assert here.get("/rest/fit", x_request_id=name).headers["x-request-id"] == name


@pytest.mark.parametrize(
    "name", ["short", "x" * 65, "a b c d e f", "a,bcdefgh", "aé345678", "a\tbcdefg"]
)
def test_what_is_no_plain_name_does_not_count(site, name):
    here = behind(site, "192.0.2.0/24")
    answer = here.get("/rest/fit", x_request_id=name)
    assert MADE.fullmatch(answer.headers["x-request-id"])


def test_nobody_else_names_it(client):
    answer = client.get("/rest/fit", x_request_id="7be3a91c55d20f48")
    assert answer.headers["x-request-id"] != "7be3a91c55d20f48"


def test_an_answer_is_one_line(client, lines):
    answer = client.get("/rest/fit?LAST=3&TICKET=hunter2")
    [line] = lines
    assert 0 < line.pop("ms") < 60_000
    assert line.pop("time")
    assert line == {
        "level": "INFO",
        "logger": REQUESTS,
        "message": "answered",
        "method": "GET",
        "path": "/rest/fit",
        "status": 200,
        "bytes": len(answer.body),
        "request": answer.headers["x-request-id"],
        "address": "192.0.2.7",
    }


def test_a_line_names_the_user_instead_of_the_address(site, lines):
    site.client(REMOTE_USER="ann").get("/rest/fit")
    [line] = lines
    assert (line["user"], "address" in line) == ("ann", False)


def test_a_head_has_no_bytes(client, lines):
    client("HEAD", "/rest/fit")
    [line] = lines
    assert (line["method"], line["bytes"]) == ("HEAD", 0)


@pytest.mark.parametrize(
    "path", ["/signin/opus_hunter2", "/mounted/signin/hunter2/x", "//signin/hunter2"]
)
def test_a_link_that_signs_in_is_no_part_of_it(client, lines, path):
    client.get(path)
    [line] = lines
    assert "hunter2" not in str(line)
    assert line["path"].endswith("/signin/***")


def test_a_long_path_is_cut(client, lines):
    client.get("/" + "x" * 5000)
    assert len(lines[0]["path"]) == 300


def test_what_asks_all_the_time_is_of_no_interest_unless_it_fails(client, lines):
    client.get("/healthz")
    client.post("/handler/job_event", form={"jobid": "1", "phase": "x"})
    assert [one["level"] for one in lines] == ["DEBUG", "INFO"]


def test_who_has_waited_says_how_long(client, lines):
    job = client.create()
    client.post(f"{job}/phase", form={"PHASE": "RUN"})
    client.get(f"{job}?WAIT=1")
    assert lines[-1]["waited"] >= 0.9
    assert lines[-1]["ms"] >= 900
    assert not any("waited" in line for line in lines[:-1])


def test_a_stream_is_one_line_when_it_is_over_and_says_if_it_was_cut(lines):
    app, seen = bottle.Bottle(), []

    @app.get("/x")
    def stream():
        def chunks():
            for _ in range(3):
                seen.append(standing()["request"])
                yield b"12345"

        return chunks()

    for taken, cut in ((3, None), (2, True)):
        environ = {
            "REQUEST_METHOD": "GET",
            "PATH_INFO": "/x",
            "REMOTE_ADDR": "192.0.2.1",
            "wsgi.input": io.BytesIO(),
        }
        body = Answered(environ, "PATH_INFO").by(app, lambda status, headers, *error: None)
        known = len(lines)
        parts = list(body) if cut is None else list(itertools.islice(body, taken))
        assert len(lines) == known
        body.close()
        line = lines[-1]
        assert (line["bytes"], line.get("cut")) == (5 * len(parts), cut)
        assert set(seen[-taken:]) == {line["request"]}
    assert dict(standing()) == {}


def test_lines_of_others_that_are_written_meanwhile_bear_the_request(site, monkeypatch):
    client, ear, library = site.client(), Ear(), logging.getLogger("library")
    job = client.create()
    read = site.storage.read

    def chatty(*args, **more):
        library.warning("reading")
        return read(*args, **more)

    monkeypatch.setattr(site.storage, "read", chatty)
    library.addHandler(ear)
    try:
        answer = client.get(job)
    finally:
        library.removeHandler(ear)
    assert ear.said[0]["request"] == answer.headers["x-request-id"]


def test_what_failed_says_why_and_a_reader_is_told_where_to_look(site, monkeypatch, lines):
    def fail(*args, **kwargs):
        raise BackendUnavailable("the database is away")

    client = site.client()
    job = client.create()
    monkeypatch.setattr(site.storage, "read", fail)
    said = client.get(job, accept="application/json").json
    assert (lines[-1]["status"], lines[-1]["reason"]) == (503, "the database is away")
    assert said["request"] == lines[-1]["request"]
