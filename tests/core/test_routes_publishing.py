"""Drafts and what becomes of them: descriptions are code, so who may do what is the matter."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core import wsgi
from core.wsgi import FIT
from json_jdl import JsonJdl

NO_NAMES = ["..", "../sleep", "a%2f..%2fb", ".hidden", "a b", "x" * 300, "-x"]
EVE, FAY, BOB, ANN = "eve", "fay", "bob", "ann"  # two publishers, an admin, and somebody
ROLES = {EVE: "publisher", FAY: "publisher", BOB: "admin", ANN: ""}


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as found:
        for name, role in ROLES.items():
            found.people.add("tests", name, roles=frozenset(filter(None, [role])))
        yield found


@pytest.fixture
def users(site):
    return {name: site.client(REMOTE_USER=name) for name in ROLES} | {None: site.client()}


def document():
    return JsonJdl(None).dumps(replace(FIT, name="anything")).data.decode()


def put(client, name="scan", script="echo new\n"):
    form = {"DOCUMENT": document(), "SCRIPT": script}
    return client("PUT", f"/jdl/{name}/draft", form=form)


def acts(site):
    return [(one.actor, one.act, one.subject) for one in site.people.audit.entries()][4:]


def test_a_publisher_drafts_and_an_admin_publishes(site, users):
    saved = put(users[EVE])
    assert saved.status == 200, saved.text
    assert saved.json["name"] == "scan"  # the address says, not the document
    assert users[EVE].get("/jdl/scan/draft").json["script"] == "echo new\n"
    refused = users[EVE].post("/jdl/scan/publish")
    assert (refused.status, "an admin of this server has to publish" in refused.text) == (403, True)
    assert users[EVE].get("/rest/scan").status == 404
    published = users[BOB].post("/jdl/scan/publish", form={"AUTHOR": EVE})
    assert published.json == {"name": "scan", "number": 1}
    assert users[ANN].post("/rest/scan", form={}).status == 303
    assert users[EVE].get("/jdl/scan/draft").status == 404
    assert acts(site) == [
        (EVE, "draft saved", "scan"),
        (BOB, "description published", "scan"),
    ]


@pytest.mark.parametrize(
    ("method", "url", "form"),
    [
        ("PUT", "/jdl/scan/draft", {"DOCUMENT": "x"}),
        ("GET", "/jdl/scan/draft", None),
        ("DELETE", "/jdl/scan/draft", None),
        ("POST", "/jdl/fit/publish", {}),
        ("POST", "/jdl/fit/withdraw", {}),
        ("GET", "/jdl/fit/script", None),
        ("GET", "/jdl/fit/access", None),
        ("PUT", "/jdl/fit/access", {"ALLOW": "user ann"}),
    ],
)
@pytest.mark.upstream("S6", "S19")
def test_nobody_else_does_anything_to_descriptions(site, users, method, url, form):
    assert users[ANN](method, url, form=form).status == 403
    assert users[None](method, url, form=form).status == 401
    assert site.parts.catalogue.drafts() == []
    assert users[ANN].post("/rest/fit", form={}).status == 303


def test_scripts_show_to_those_who_edit_them(users):
    for name in (EVE, BOB):
        assert users[name].get("/jdl/fit/script").text == FIT.script
    for name in (*ROLES, None):
        assert FIT.script not in users[name].get("/jdl/fit").text
        assert FIT.script not in users[name].get("/jdl/fit.json").text


def test_drafts_are_their_authors_own(site, users):
    put(users[EVE], script="echo eve\n")
    put(users[FAY], script="echo fay\n")
    assert users[EVE].get("/jdl/scan/draft").json["script"] == "echo eve\n"
    assert users[EVE].get(f"/jdl/scan/draft?AUTHOR={FAY}").status == 403
    assert users[BOB].get(f"/jdl/scan/draft?AUTHOR={FAY}").json["script"] == "echo fay\n"
    assert users[EVE]("DELETE", "/jdl/scan/draft").status == 204
    assert users[EVE]("DELETE", "/jdl/scan/draft").status == 204
    assert users[FAY].get("/jdl/scan/draft").status == 200


def test_where_publishers_publish_they_do_so_with_their_own(site):
    policy = site.parts.policy
    object.__setattr__(policy, "publishers_publish", True)
    eve, fay, bob = (site.client(REMOTE_USER=name) for name in (EVE, FAY, BOB))
    put(eve)
    assert eve.post("/jdl/scan/publish").json["number"] == 1
    put(fay, script="echo mine\n")
    for url in ("/jdl/scan/publish", "/jdl/scan/withdraw", "/jdl/fit/withdraw"):
        refused = fay.post(url)
        assert (refused.status, "somebody else" in refused.text) == (403, True), url
    assert fay.post("/jdl/scan/publish", form={"AUTHOR": EVE}).status == 403
    assert bob.post("/jdl/scan/publish", form={"AUTHOR": FAY}).json["number"] == 2
    put(eve)
    assert eve.post("/jdl/scan/publish").status == 403  # it is bob's by now


def test_of_two_who_publish_one_is_told(site, users):
    put(users[EVE])
    users[BOB].post("/jdl/scan/publish", form={"AUTHOR": EVE, "EXPECTED": "0"})
    put(users[EVE], script="echo more\n")
    late = users[BOB].post("/jdl/scan/publish", form={"AUTHOR": EVE, "EXPECTED": "0"})
    assert (late.status, "not 0" in late.text) == (409, True)
    assert users[EVE].get("/jdl/scan/draft").status == 200  # nothing is lost
    for expected in ("x", ""):
        answer = users[BOB].post("/jdl/scan/publish", form={"AUTHOR": EVE, "EXPECTED": expected})
        assert answer.status == 400


@pytest.mark.upstream("S6", "S10", "R12")
@pytest.mark.parametrize(
    "name", ["..", "../sleep", "a%2f..%2fb", ".hidden", "a b", "x" * 300, "-x"]
)
def test_a_name_is_no_path(site, users, name, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for client in (users[EVE], users[BOB]):
        answer = client("PUT", f"/jdl/{name}/draft", form={"DOCUMENT": document()})
        assert 400 <= answer.status < 500, answer.text
        assert str(tmp_path) not in answer.text
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    "form",
    [
        {},
        {"DOCUMENT": ""},
        {"DOCUMENT": "<xml"},
        {"DOCUMENT": "{"},
        {"DOCUMENT": json.dumps({"name": "x", "script": 7})},
        {"SCRIPT": "echo alone\n"},
        {"DOCUMENT": "x" * 9_000_000},
    ],
)
def test_what_is_no_description_is_said_and_leaves_nothing(site, users, form):
    answer = users[EVE]("PUT", "/jdl/scan/draft", form=form)
    assert answer.status in (400, 413), answer.text
    assert site.parts.catalogue.drafts() == []


def test_a_withdrawn_description_takes_no_jobs_until_it_is_published_again(site, users):
    assert users[BOB].post("/jdl/fit/withdraw").status == 204
    assert users[ANN].post("/rest/fit", form={}).status == 403
    assert users[BOB].get("/jdl/none/script").status == 404
    assert users[BOB].post("/jdl/none/withdraw").status == 404


def test_admins_say_who_may_run_it(site, users):
    changed = users[BOB]("PUT", "/jdl/fit/access", form={"ALLOW": "role team\r\n user ann \n\n"})
    assert (changed.status, changed.text) == (200, "role team\nuser ann\n")
    assert users[ANN].post("/rest/fit", form={}).status == 303
    assert users[EVE].post("/rest/fit", form={}).status == 403
    assert users[EVE].get("/jdl/fit/access").text == "role team\nuser ann\n"
    for form in ({"ALLOW": "everybody"}, {}):
        assert users[BOB]("PUT", "/jdl/fit/access", form=form).status == 400
    assert users[BOB]("PUT", "/jdl/none/access", form={"ALLOW": ""}).status == 404
    assert users[BOB]("PUT", "/jdl/fit/access", form={"ALLOW": ""}).status == 200
    assert users[ANN].post("/rest/fit", form={}).status == 403
    assert (BOB, "access changed", "fit") in acts(site)


def test_a_token_for_jobs_does_nothing_to_descriptions(site):
    token = site.people.make_token("tests", BOB, scopes=frozenset({"run", "admin"})).text
    client = site.client(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert put(client).status == 403
    token = site.people.make_token("tests", BOB, scopes=frozenset({"publish"})).text
    client = site.client(HTTP_AUTHORIZATION=f"Bearer {token}")
    assert put(client).status == 200
    assert client.post("/jdl/scan/publish").status == 403  # as an admin it was not made to act
