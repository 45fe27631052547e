from __future__ import annotations

from datetime import timedelta

import pytest

from core import wsgi
from core.wsgi import CHROME
from opus_core import job as jobs
from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.errors import Unavailable

VOSI = "{http://www.ivoa.net/xml/VOSIAvailability/v1.0}"
SENTENCE = "no supervisor is running; start `opus supervise`"


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def client(site):
    return site.client()


def said(client):
    root = client.get("/availability").xml
    return root.findtext(VOSI + "available"), [one.text for one in root.iter(VOSI + "note")]


def beat(site, age, component=SUPERVISOR, state=HealthState.OK, sentence="it works"):
    then = jobs.now() - timedelta(seconds=age)
    health = Health(state=state, sentence=sentence, since=then, heartbeat=then)
    site.storage.set_health(component, health)


def test_without_a_supervisor_the_service_is_not_available(site, client):
    assert said(client) == ("false", [SENTENCE])
    beat(site, 31)
    assert said(client) == ("false", [SENTENCE])


def test_with_a_supervisor_it_is(site, client):
    beat(site, 29)
    assert said(client) == ("true", [])
    root = client.get("/availability").xml
    assert [child.tag for child in root] == [VOSI + "available", VOSI + "upSince"]
    assert root.findtext(VOSI + "upSince").endswith("Z")


def test_a_cluster_that_is_down_is_told(site, client):
    beat(site, 1)
    beat(site, 1, "manager", HealthState.DOWN, "sbatch does not answer")
    beat(site, 1, "disk", HealthState.DEGRADED, "it is getting full")
    assert said(client) == ("false", ["manager: sbatch does not answer"])


def test_json_says_the_same(site, client):
    answer = client.get("/availability", accept="application/json").json
    assert (answer["available"], answer["notes"]) == (False, [SENTENCE])


def test_the_pages_say_it_where_it_matters(site, client):
    waiting, idle = client.create(PHASE="RUN"), client.create()
    for address in ("/", "/new/fit", waiting):
        assert "no supervisor is running" in client.get(address, accept=CHROME).text
    assert "no supervisor is running" not in client.get(idle, accept=CHROME).text
    beat(site, 1)
    assert "no supervisor is running" not in client.get(waiting, accept=CHROME).text


def test_healthz_is_ok_as_long_as_requests_can_be_answered(site, client, monkeypatch):
    beat(site, 500)
    answer = client.get("/healthz")
    assert (answer.status, answer.json["status"]) == (200, "ok")
    assert answer.json["components"][SUPERVISOR]["sentence"] == "it works"

    def fail():
        raise Unavailable("the database is locked")

    monkeypatch.setattr(site.storage, "health", fail)
    assert client.get("/healthz").status == 503
    assert said(client) == ("false", ["the storage does not answer: the database is locked"])
