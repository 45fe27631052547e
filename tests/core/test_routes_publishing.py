"""Drafts and what becomes of them: descriptions are code, so who may do what is the matter."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from core import wsgi
from core.wsgi import CHROME, FIT
from json_jdl import JsonJdl
from opus_core.backends import User

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


# -- the editor's side


def keep(client, name="scan", **content):
    return client("PUT", f"/jdl/{name}/draft", form={"JSON": json.dumps(content)})


def test_a_draft_can_be_kept_in_json_as_it_is_answered(users):
    content = {"description": "Scans", "script": "true\n", "parameters": [{"name": "depth"}]}
    saved = keep(users[EVE], **content)
    assert saved.status == 200, saved.text
    again = users[EVE]("PUT", "/jdl/scan/draft", form={"JSON": saved.text})
    assert again.json == saved.json
    assert users[EVE].get("/jdl/scan/draft").json["parameters"][0]["name"] == "depth"


def test_what_is_wrong_in_json_is_told_where_it_stands(users):
    refused = users[EVE](
        "PUT",
        "/jdl/scan/draft",
        form={"JSON": json.dumps({"parameters": [{"name": 1}], "colour": "red"})},
        accept="application/json",
    )
    assert refused.status == 400
    assert set(refused.json["faults"]) == {"parameters.0.name", "colour"}
    assert users[EVE].get("/jdl/scan/draft").status == 404


def test_a_draft_is_given_out_in_an_installed_format(users):
    keep(users[EVE], script="true\n", description="Scans")
    answer = users[EVE].get("/jdl/scan/draft?FORMAT=json")
    assert 'filename="scan.json"' in answer.headers["content-disposition"]
    assert JsonJdl(None).loads(answer.body, {"script": b"true\n"}).description == "Scans"
    assert users[EVE].get("/jdl/scan/draft?FORMAT=cobol").status == 404


def test_a_draft_can_be_put_before_whoever_may_publish(site, users):
    assert users[EVE].post("/jdl/scan/draft/request").status == 404
    put(users[EVE])
    put(users[FAY], "other")
    assert users[EVE].post("/jdl/scan/draft/request").status == 204
    assert users[FAY].post("/jdl/other/draft/request").status == 204
    wishes = site.parts.publishing.wishes
    user = {name: User(name=name, roles=frozenset({ROLES[name]})) for name in (EVE, FAY, BOB)}
    assert [one.name for one in wishes(user[EVE])] == ["scan"]
    assert [one.name for one in wishes(user[BOB])] == ["scan", "other"]
    assert "/edit/scan?AUTHOR=eve" in users[BOB].get("/edit").text
    assert "/edit/other" not in users[EVE].get("/edit").text
    users[BOB].post("/jdl/scan/publish", form={"AUTHOR": EVE})
    users[FAY]("DELETE", "/jdl/other/draft")
    assert wishes(user[BOB]) == []


def test_versions_are_told_and_compared(users):
    for script in ("echo 1\n", "echo 2\n"):
        put(users[BOB], script=script)
        users[BOB].post("/jdl/scan/publish")
    told = users[EVE].get("/jdl/scan/versions").json["versions"]
    assert [(one["number"], one["author"]) for one in told] == [(1, BOB), (2, BOB)]
    assert users[EVE].get("/jdl/scan/versions?NUMBER=1").json["script"] == "echo 1\n"
    assert users[EVE].get("/jdl/scan/versions?NUMBER=7").status == 404
    page = users[EVE].get("/edit/scan/versions?FROM=1&TO=2").text
    assert '<div class="old">-echo 1</div>\n<div class="new">+echo 2</div>' in page
    assert (
        '<section aria-labelledby="difference">'
        not in users[EVE].get("/edit/scan/versions?FROM=2&TO=2").text
    )
    assert users[EVE].get("/edit/scan/versions?FROM=x").status == 400
    assert users[EVE].get("/edit/nope/versions").status == 404


def test_a_preview_keeps_nothing(site, users):
    content = {"parameters": [{"name": "depth", "type": "int"}, {"name": "a b"}]}
    answer = users[EVE].post("/edit/scan/preview", body=json.dumps(content).encode())
    assert set(answer.json["faults"]) == {"parameters.1.name", "script"}
    assert 'name="depth"' in answer.json["form"]
    assert site.parts.catalogue.drafts() == []


@pytest.mark.parametrize("url", ["/edit", "/edit/fit", "/edit/fit/versions"])
def test_nobody_else_sees_the_editor(users, url):
    assert users[ANN].get(url).status == 403
    assert users[None].get(url).status == 401
    assert users[EVE].get(url).status == 200
    assert 'href="/edit"' not in users[ANN].get("/", accept=CHROME).text
    assert 'href="/edit"' in users[EVE].get("/", accept=CHROME).text
