"""An address of one result that is good without signing in, for some minutes."""

from __future__ import annotations

from datetime import timedelta

import pytest

from core import wsgi
from opus_core import job as jobs
from opus_core.auth import tickets
from opus_core.auth.policy import Policy
from opus_core.auth.tickets import Tickets

BOB = {"REMOTE_USER": "bob"}
REFUSED = (401, 403)  # by who somebody is; of a job of somebody else's
FILE = ("curve.csv", "text/csv", b"x,y\n")


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def closed(site):
    """Nobody is shown anything without signing in."""
    return {"policy": Policy(anonymous=False, anonymous_list=False)}


@pytest.fixture
def ann(site, closed):
    return site.client(changes=closed, REMOTE_USER="ann")


@pytest.fixture
def result(site, ann):
    job = ann.create()
    site.finish(job, curve=FILE, plot=("plot.svg", "image/svg+xml", b"<svg/>"))
    return f"{job}/results/curve"


def of(answer):
    """The address in an answer, as a path."""
    assert answer.status == 200, answer.text
    return answer.json["url"].removeprefix("http://opus.test")


def test_whoever_has_it_loads_that_result(site, ann, closed, result):
    stranger = site.client(changes=closed)
    assert stranger.get(result).status in REFUSED
    ticket = of(ann.post(f"{result}/ticket"))
    answer = stranger.get(ticket, range="bytes=1-")
    assert (answer.status, answer.body) == (206, b",y\n")
    assert stranger("HEAD", ticket).headers["content-length"] == "4"
    assert site.client(changes=closed, **BOB).get(ticket).status == 200


def test_and_nothing_else(site, ann, closed, result):
    stranger = site.client(changes=closed)
    query = of(ann.post(f"{result}/ticket")).partition("?")[2]
    job = result.rpartition("/results")[0]
    other = ann.create()
    site.finish(other, curve=FILE)
    for address in (
        f"{job}/results/plot",
        f"{other}/results/curve",
        job,
        f"{job}/results",
        f"{job}/results.zip",
        f"{job}/parameters/order",
        f"{job}/stdout",
    ):
        assert stranger.get(f"{address}?{query}").status in REFUSED, address
    for method in ("POST", "DELETE"):
        assert stranger(method, f"{job}?{query}").status in REFUSED
        assert stranger(method, f"{result}?{query}").status == 405
    assert stranger.post(f"{result}/ticket?{query}").status in REFUSED
    under_another_name = result.replace("/rest/fit/", "/rest/echo/")
    assert stranger.get(f"{under_another_name}?{query}").status == 404


def test_nobody_else_gets_one(site, ann, closed, result):
    assert site.client(changes=closed).post(f"{result}/ticket").status in REFUSED
    assert site.client(changes=closed, **BOB).post(f"{result}/ticket").status == 403
    job = result.rpartition("/results")[0]
    assert ann.post(f"{job}/results/nothing/ticket").status == 404
    assert ann.get(f"{result}/ticket").status == 405


def test_a_page_of_another_site_gets_none(site, ann, result):
    origin = "https://other.test"
    assert ann.post(f"{result}/ticket", sec_fetch_site="cross-site", origin=origin).status == 403


def test_it_is_good_for_some_minutes(site, ann, closed, result, monkeypatch):
    stranger = site.client(changes=closed)
    ticket = of(ann.post(f"{result}/ticket"))
    now = jobs.now
    for later, good in ((tickets.LIFETIME * 0.9, True), (tickets.LIFETIME * 1.1, False)):
        monkeypatch.setattr(tickets.jobs, "now", lambda later=later: now() + later)
        assert (stranger.get(ticket).status == 200) is good
    assert "ask for a new one" in stranger.get(ticket).text


def test_none_can_be_made_up():
    known, other = Tickets(b"one secret of a site"), Tickets(b"another secret of a site")
    ticket = known.make("0" * 32, "curve").text
    assert known.admits(ticket, "0" * 32, "curve")
    assert not other.admits(ticket, "0" * 32, "curve")
    seconds, _, sign = ticket.partition(".")
    later = str(int(seconds) + 1)
    for wrong in (
        "",
        seconds,
        f"{later}.{sign}",
        f"{seconds}.{sign[:-1]}",
        f"{seconds}.{'0' * 64}",
        f" {ticket}",
        f"{ticket}\n",
        f"{'9' * 400}.{sign}",
        f"\u0661{seconds[1:]}.{sign}",
    ):
        assert not known.admits(wrong, "0" * 32, "curve"), wrong
    assert known.make("1", "2").expires - jobs.now() <= timedelta(minutes=10)
