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


def health(client):
    answer = client.get("/healthz")
    assert answer.status == 200  # requests can be answered
    return answer.json["status"], answer.json["components"]


def test_healthz_says_ok_as_long_as_everything_is(site, client):
    beat(site, 29)
    beat(site, 500, "manager")
    status, components = health(client)
    assert status == "ok"
    assert components[SUPERVISOR]["sentence"] == "it works"
    beat(site, 1, "manager", HealthState.DEGRADED, "it is slow")
    assert health(client)[0] == "degraded"
    beat(site, 1, "storage", HealthState.DOWN, "it is gone")
    assert health(client)[0] == "down"


@pytest.mark.parametrize("age", [None, 35])
def test_healthz_tells_that_the_supervisor_is_gone_as_availability_does(site, client, age):
    if age is not None:
        beat(site, age)
    status, components = health(client)
    assert status == "down"
    assert components[SUPERVISOR]["state"] == "down"
    assert components[SUPERVISOR]["sentence"] == SENTENCE
    assert said(client) == ("false", [SENTENCE])


def test_healthz_is_503_where_the_storage_does_not_answer(site, client, monkeypatch):

    def fail():
        raise Unavailable("the database is locked")

    monkeypatch.setattr(site.storage, "health", fail)
    assert client.get("/healthz").status == 503
    assert said(client) == ("false", ["the storage does not answer: the database is locked"])
