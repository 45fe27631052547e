from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import urlsplit

import pytest

from core import wsgi
from core.wsgi import CHROME, UWS, XLINK
from opus_core.auth.policy import Policy
from opus_core.job import DefinitionRef, Phase
from opus_core.testing.samples import LONG_AGO, a_job


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


@pytest.fixture
def client(site):
    return site.client()


def fill(site, count, **changes):
    """Jobs one minute apart; their ids, oldest first."""
    made = []
    for number in range(count):
        created = LONG_AGO + timedelta(minutes=number)
        values = {"owner": None, "definition": DefinitionRef("fit", 1), "created": created}
        job = a_job(**(values | changes))
        made.append(site.storage.add(job).id)
    return made


def ids(answer):
    assert answer.status == 200, answer.text
    return [row.get("id") for row in answer.xml]


def test_every_row_leads_to_its_job(client):
    job = client.create(RUNID="r 1")
    (row,) = client.get("/rest/fit").xml
    assert row.get(XLINK + "href") == f"http://opus.test{job}"
    assert row.findtext(UWS + "runId") == "r 1"
    assert client.get(row.get(XLINK + "href").removeprefix("http://opus.test")).status == 200


def test_lists_of_other_descriptions_are_other_lists(client):
    client.create()
    assert ids(client.get("/rest/echo")) == []


def test_phases_are_a_union_and_archived_is_hidden(site, client):
    (pending,) = fill(site, 1)
    (queued,) = fill(site, 1, phase=Phase.QUEUED)
    (archived,) = fill(site, 1, phase=Phase.ARCHIVED)
    assert set(ids(client.get("/rest/fit"))) == {pending, queued}
    assert ids(client.get("/rest/fit?PHASE=QUEUED")) == [queued]
    both = client.get("/rest/fit?PHASE=QUEUED&phase=PENDING")
    assert set(ids(both)) == {pending, queued}
    assert ids(client.get("/rest/fit?PHASE=ARCHIVED")) == [archived]


def test_last_is_the_newest_first(site, client):
    made = fill(site, 5)
    assert ids(client.get("/rest/fit?LAST=2")) == [made[4], made[3]]


def test_after_is_strict(site, client):
    made = fill(site, 3)
    shown = client.get("/rest/fit").xml[1].findtext(UWS + "creationTime")
    assert ids(client.get(f"/rest/fit?AFTER={shown}")) == [made[2]]


def test_filters_come_before_the_cut(site, client):
    made = fill(site, 3)
    fill(site, 2, phase=Phase.QUEUED)
    assert ids(client.get("/rest/fit?PHASE=PENDING&LAST=2")) == [made[2], made[1]]


@pytest.mark.parametrize(
    "query",
    [
        "PHASE=NOPE",
        "PHASE=",
        "LAST=0",
        "LAST=x",
        "LAST=",
        "AFTER=soon",
        "LIMIT=-1",
        "SORT=size",
        "CURSOR=x",
        "CURSOR=-x&LIMIT=3",
        "CURSOR=-",
        "LAST=1&LAST=2",
    ],
)
@pytest.mark.parametrize("accept", ["*/*", "application/json"])
def test_a_bad_filter_is_400(client, query, accept):
    assert client.get(f"/rest/fit?{query}", accept=accept).status == 400


def linked(answer):
    """The Link header: path and query by relation."""
    found = re.findall(r'<([^>]*)>; rel="(\w+)"', answer.headers.get("link", ""))
    return {rel: urlsplit(url)._replace(scheme="", netloc="").geturl() for url, rel in found}


@pytest.mark.parametrize("order", ["created", "-created", "phase", "-ended"])
@pytest.mark.parametrize("size", [1, 3, 7, 8])
def test_all_pages_forth_and_back_show_every_job_once(site, client, order, size):
    fill(site, 4)
    fill(site, 3, phase=Phase.QUEUED)
    whole = ids(client.get(f"/rest/fit?SORT={order}&LIMIT=1000"))
    assert len(set(whole)) == 7
    pages, url = [], f"/rest/fit?SORT={order}&LIMIT={size}"
    while url:
        answer = client.get(url)
        pages.append((url, ids(answer)))
        url = linked(answer).get("next")
    assert [one for _, page in pages for one in page] == whole
    assert "prev" not in linked(client.get(pages[0][0]))
    back = [linked(client.get(pages[-1][0])).get("prev")]
    for _, page in reversed(pages[:-1]):
        answer = client.get(back[-1])
        assert ids(answer) == page
        back.append(linked(answer).get("prev"))
    assert back[-1] is None


def test_a_short_list_has_a_length_and_a_long_one_comes_as_it_is_read(site, client):
    fill(site, 99)
    for accept in ("*/*", "application/json"):
        answer = client.get("/rest/fit", accept=accept)
        assert answer.headers["content-length"] == str(len(answer.body))
    made = fill(site, 30)
    assert "content-length" not in client.get("/rest/fit").headers
    assert len(set(ids(client.get("/rest/fit")))) == 129
    assert made[0] in ids(client.get("/rest/fit"))


def test_a_whole_list_has_no_pages(site, client):
    fill(site, 3)
    assert "link" not in client.get("/rest/fit").headers


def test_nobody_sees_the_jobs_of_others(site):
    ann, bob, nobody = (site.client(REMOTE_USER="ann"), site.client(REMOTE_USER="bob"), None)
    job = ann.create()
    assert ids(ann.get("/rest/fit")) == [job.rpartition("/")[2]]
    assert ids(bob.get("/rest/fit")) == []
    assert bob.get(job).status == 403
    nobody = site.client()
    assert ids(nobody.get("/rest/fit")) == []
    assert nobody.get(f"{job}/results").status == 403


def test_the_list_of_anonymous_jobs_can_be_kept_from_everybody(site):
    service = site.parts.service
    client = site.client()
    job = client.create()
    service._policy = Policy(anonymous=True, anonymous_list=False)
    assert ids(client.get("/rest/fit")) == []
    assert client.get(job).status == 200


def test_a_list_that_cannot_be_read_is_an_error_and_not_half_a_list(site, client, monkeypatch):
    def broken(query):
        raise ValueError("the disk is on fire")
        yield

    monkeypatch.setattr(site.storage, "get_list", broken)
    answer = client.get("/rest/fit")
    assert answer.status == 500
    assert b"<uws:jobs" not in answer.body


# -- of all descriptions


def test_the_jobs_of_all_descriptions_are_one_list(site, client):
    fit, echo = client.create(), client.create("/rest/echo", text="a")
    answer = client.get("/jobs")
    assert answer.headers["content-type"] == "application/xml; charset=utf-8"
    hrefs = {row.get(XLINK + "href") for row in answer.xml}
    assert hrefs == {f"http://opus.test{one}" for one in (fit, echo)}
    rows = client.get("/jobs?SORT=-created", accept="application/json").json["jobs"]
    assert {row["href"]: row["definition"] for row in rows} == {
        f"http://opus.test{echo}": {"name": "echo", "number": 1},
        f"http://opus.test{fit}": {"name": "fit", "number": 1},
    }


def test_one_description_can_be_asked_for_by_name(client):
    client.create()
    echo = client.create("/rest/echo", text="a")
    rows = client.get("/jobs?NAME=echo", accept="application/json").json["jobs"]
    assert [row["jobId"] for row in rows] == [echo.rpartition("/")[2]]
    answer = client.get("/jobs?NAME=nope")
    assert answer.status == 404
    assert "nope" in answer.text


def test_its_pages_lead_to_each_other(site, client):
    made = fill(site, 5)
    seen, url = [], "/jobs?NAME=fit&LIMIT=2&SORT=-created"
    while url:
        answer = client.get(url, accept="application/json")
        seen += [row["jobId"] for row in answer.json["jobs"]]
        link = re.search(
            r'<http://opus.test(/jobs\?[^>]*NAME=fit[^>]*)>; rel="next"',
            answer.headers.get("link", ""),
        )
        url = link and link[1]
    assert seen == made[::-1]


def test_it_shows_ones_own_jobs_alone(site):
    ann, bob = site.client(REMOTE_USER="ann"), site.client(REMOTE_USER="bob")
    mine = ann.create()
    assert [row.get("id") for row in ann.get("/jobs").xml] == [mine.rpartition("/")[2]]
    assert len(bob.get("/jobs").xml) == 0


def test_the_page_of_a_list_is_told_where_it_reads(client):
    page = client.get("/jobs", accept=CHROME).text
    assert 'data-list="/jobs"' in page
    assert re.search(r'data-changes="/changes" data-seq="\d+"', page)
    assert "<option>echo</option>" in page
    assert 'data-list="/rest/fit"' in client.get("/rest/fit", accept=CHROME).text
