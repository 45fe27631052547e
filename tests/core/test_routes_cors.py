"""What scripts of pages of other sites may do here, and what their browser lets them see."""

from __future__ import annotations

import pytest

from core import wsgi
from core.wsgi import CHROME
from opus_core.backends import User
from opus_core.errors import NotAuthenticated

PORTAL, OTHER = "https://portal.test", "https://other.test"
ALLOW, CREDENTIALS = "access-control-allow-origin", "access-control-allow-credentials"
FOREIGN = {"sec_fetch_site": "cross-site"}


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


def open_to(site, *origins, **environ):
    return site.client(changes={"origins": origins}, **environ)


def preflight(client, url, origin, method="POST", **headers):
    return client("OPTIONS", url, origin=origin, access_control_request_method=method, **headers)


def test_without_the_setting_nothing_is_said(site):
    client = site.client()
    answer = client.get("/rest/fit", origin=PORTAL)
    assert answer.status == 200
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert "Origin" not in answer.headers["vary"]
    assert preflight(client, "/rest/fit", PORTAL).status == 405


def test_every_answer_says_that_a_listed_page_may_see_it(site):
    client = open_to(site, PORTAL)
    job = client.post("/rest/fit", form={}, origin=PORTAL, **FOREIGN)
    path = job.location.removeprefix("http://opus.test")
    answers = [
        job,
        client.get("/rest/fit", origin=PORTAL),
        client.get("/rest/fit", origin=PORTAL, accept=CHROME),
        client("HEAD", path, origin=PORTAL),
        client.get("/static/opus.css", origin=PORTAL),
        client.get(f"{path}/nothing", origin=PORTAL),
        client.get("/nowhere", origin=PORTAL, accept="application/json"),
        client("PATCH", path, origin=PORTAL),
        client.post(path, form={"PHASE": "nonsense"}, origin=PORTAL),
        client.post("/rest/fit", body=b"x", content_type="text/nonsense", origin=PORTAL),
    ]
    assert {answer.status for answer in answers} >= {200, 303, 400, 404, 405}
    for answer in answers:
        assert answer.headers[ALLOW] == PORTAL
        assert answer.headers[CREDENTIALS] == "true"
        assert "Origin" in answer.headers["vary"].split(", ")
        exposed = answer.headers["access-control-expose-headers"].split(", ")
        assert {"Location", "ETag", "Content-Range", "Link", "Retry-After"} <= set(exposed)


def test_a_refusal_to_say_who_it_is_can_be_seen_too(site):
    def refuse(request):
        raise NotAuthenticated("sign in")

    client = site.client(changes={"origins": (PORTAL,), "authenticate": refuse})
    answer = client.get("/rest/fit", origin=PORTAL)
    assert (answer.status, answer.headers[ALLOW]) == (401, PORTAL)
    assert preflight(client, "/rest/fit", PORTAL).status == 204


@pytest.mark.parametrize(
    "origin",
    [OTHER, "null", "http://portal.test", "https://portal.test:8443", f"{PORTAL}.evil", ""],
)
def test_a_page_that_is_not_listed_is_told_nothing(site, origin):
    client = open_to(site, PORTAL)
    answer = client.get("/rest/fit", origin=origin)
    assert answer.status == 200
    assert ALLOW not in answer.headers
    # A cache must not give it to a listed one.
    assert "Origin" in answer.headers["vary"]
    asked = preflight(client, "/rest/fit", origin)
    assert asked.status == 405
    assert ALLOW not in asked.headers


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_a_preflight_is_answered_before_anything_else(site, method):
    client = open_to(site, PORTAL)
    headers = "authorization, content-type, idempotency-key, x-token"
    answer = preflight(
        client, "/rest/fit/x", PORTAL, method, access_control_request_headers=headers, **FOREIGN
    )
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers[ALLOW] == PORTAL
    assert answer.headers[CREDENTIALS] == "true"
    assert method in answer.headers["access-control-allow-methods"].split(", ")
    assert answer.headers["access-control-allow-headers"] == headers
    assert answer.headers["access-control-max-age"] == "600"
    assert "Origin" in answer.headers["vary"]


@pytest.mark.parametrize(
    "names", ["", "a b", "a,,b", "a\x00", "x" * 1001, "ü".encode().decode("latin-1")]
)
def test_names_of_headers_that_are_none_are_not_repeated(site, names):
    answer = preflight(
        open_to(site, PORTAL), "/rest/fit", PORTAL, access_control_request_headers=names
    )
    assert answer.status == 204
    assert "access-control-allow-headers" not in answer.headers


def test_options_that_is_no_preflight_is_a_wrong_method(site):
    answer = open_to(site, PORTAL)("OPTIONS", "/rest/fit", origin=PORTAL)
    assert (answer.status, answer.headers[ALLOW]) == (405, PORTAL)


# -- any origin


def test_any_page_may_see_answers_but_not_those_for_somebody(site):
    client = open_to(site, "*")
    for origin in (PORTAL, OTHER, "null"):
        answer = client.get("/rest/fit", origin=origin)
        assert answer.headers[ALLOW] == "*"
        assert CREDENTIALS not in answer.headers
        assert "Origin" not in answer.headers["vary"]  # it is the same for all
        asked = preflight(client, "/rest/fit", origin)
        assert (asked.status, asked.headers[ALLOW]) == (204, "*")
        assert CREDENTIALS not in asked.headers


def test_any_page_may_do_what_an_anonymous_user_may(site):
    client = open_to(site, "*")
    answer = client.post("/rest/fit", form={}, origin=OTHER, **FOREIGN)
    assert answer.status == 303
    job = answer.location.removeprefix("http://opus.test")
    assert client("DELETE", job, origin=OTHER, **FOREIGN).status == 303
    # A form without a script tells no origin where its page hides it; that is nobody's wish.
    assert client.post("/rest/fit", form={}, **FOREIGN).status == 403


def test_no_page_does_anything_in_the_name_of_whom_the_browser_signs_in(site):
    ann = open_to(site, "*", REMOTE_USER="ann")
    assert ann.post("/rest/fit", form={}, origin=OTHER, **FOREIGN).status == 403
    assert ann.get("/rest/fit/sync", origin=OTHER, **FOREIGN).status == 403

    def by_cookie(request):
        return User(name="ann") if "cookie" in request.headers else None

    client = site.client(changes={"origins": ("*",), "authenticate": by_cookie})
    assert client.post("/rest/fit", form={}, origin=OTHER, cookie="s=1", **FOREIGN).status == 403
    assert client.post("/rest/fit", form={}, origin=OTHER, **FOREIGN).status == 303


def test_a_token_that_the_page_itself_sends_is_its_own_business(site):
    def by_token(request):
        return User(name="ann") if "authorization" in request.headers else None

    client = site.client(changes={"origins": ("*",), "authenticate": by_token})
    answer = client.post("/rest/fit", form={}, origin=OTHER, authorization="Bearer x", **FOREIGN)
    assert (answer.status, answer.headers[ALLOW]) == (303, "*")


def test_a_listed_origin_beside_any_keeps_its_credentials(site):
    client = open_to(site, PORTAL, "*", REMOTE_USER="ann")
    assert client.post("/rest/fit", form={}, origin=PORTAL, **FOREIGN).status == 303
    assert client.post("/rest/fit", form={}, origin=OTHER, **FOREIGN).status == 403
    mine, other = (client.get("/rest/fit", origin=one) for one in (PORTAL, OTHER))
    assert (mine.headers[ALLOW], mine.headers[CREDENTIALS]) == (PORTAL, "true")
    assert (other.headers[ALLOW], other.headers.get(CREDENTIALS)) == ("*", None)
    assert "Origin" in mine.headers["vary"]
