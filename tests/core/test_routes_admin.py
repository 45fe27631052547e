from __future__ import annotations

from dataclasses import replace

import pytest

from core import wsgi
from core.wsgi import CHROME
from opus_core.backends import Health, HealthState
from opus_core.job import now
from opus_core.plugins import Plugin, State

BOB, ANN = "bob", "ann"  # an admin, and somebody
BROKEN = Plugin(
    name="far",
    distribution="opus-far",
    version="2.1",
    offers=("manager far",),
    about=("Far away",),
    state=State.BROKEN,
    cause="it needs <more>",
)


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as found:
        found.people.add("tests", BOB, roles=frozenset({"admin"}))
        found.people.add("tests", ANN)
        found.supervised()
        yield found


@pytest.fixture
def bob(site):
    return site.client(REMOTE_USER=BOB)


def test_the_overview_tells_how_each_part_is(site, bob):
    down = Health(
        state=HealthState.DOWN, sentence="it does <not> answer", since=now(), heartbeat=now()
    )
    site.storage.set_health("the slurm manager", down)
    site.parts = replace(site.parts, plugins=lambda: [BROKEN])
    page = site.client(REMOTE_USER=BOB).get("/admin").text
    assert "it does &lt;not&gt; answer" in page
    assert "opus-far 2.1" in page
    assert "it needs &lt;more&gt;" in page
    assert "broken" in page


def test_what_is_announced_stands_on_the_first_page_until_it_is_taken_back(site, bob):
    text = "Closed on Friday.\r\n<b>All</b> day"
    assert bob.post("/admin/announcement", form={"TEXT": text}).status == 303
    for client in (bob, site.client()):
        page = client.get("/", accept=CHROME).text
        assert "Closed on Friday.\n&lt;b&gt;All&lt;/b&gt; day" in page
    assert "by <bdi>bob</bdi>" in bob.get("/admin").text
    bob.post("/admin/announcement", form={"TEXT": " "})
    assert "Friday" not in bob.get("/", accept=CHROME).text
    acts = [(one.actor, one.act) for one in site.people.audit.entries()]
    assert acts[-2:] == [(BOB, "announcement made"), (BOB, "announcement withdrawn")]


def test_an_announcement_is_no_book(bob):
    answer = bob.post("/admin/announcement", form={"TEXT": "x" * 2001})
    assert answer.status == 400
    assert "2000 characters at most" in answer.text


def test_nobody_else_administers(site):
    for client, status in ((site.client(REMOTE_USER=ANN), 403), (site.client(), 401)):
        assert client.get("/admin").status == status
        assert client.post("/admin/announcement", form={"TEXT": "mine"}).status == status
        assert 'href="/admin"' not in client.get("/", accept=CHROME).text
