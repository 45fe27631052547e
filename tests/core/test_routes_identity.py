from __future__ import annotations

import pytest

from core import wsgi
from core.wsgi import CHROME
from opus_core.auth.identity import Door, view
from opus_core.auth.policy import Policy
from opus_core.backends import User
from opus_core.errors import NotAuthenticated
from opus_core.render import assets


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        yield site


def nobody(request):
    return None


def identify(environ, authenticate):
    door = Door(people=None, authenticate=authenticate)
    return door.caller(environ, private=False, counts=lambda csrf: False).user


# -- who is asking


def test_the_web_server_in_front_comes_first():
    asked = []
    user = identify({"REMOTE_USER": "ann", "REMOTE_ADDR": "192.0.2.1"}, asked.append)
    assert user == User(name="ann", address="192.0.2.1")
    assert asked == []


def test_a_plugin_comes_next_and_its_users_have_an_address():
    user = identify({"REMOTE_ADDR": "192.0.2.1"}, lambda request: User(name="bob"))
    assert user == User(name="bob", address="192.0.2.1")


def test_else_it_is_somebody_anonymous_with_an_address():
    user = identify({"REMOTE_ADDR": "192.0.2.1"}, nobody)
    assert user.anonymous
    assert user.quota_key == "address:192.0.2.1"


@pytest.mark.parametrize("header", ["REMOTE_USER", "X_REMOTE_USER", "X_REAL_IP", "X_FORWARDED_FOR"])
def test_a_header_makes_nobody_anybody(header):
    user = identify({f"HTTP_{header}": "admin", "REMOTE_ADDR": "192.0.2.1"}, nobody)
    assert user == User(name=None, address="192.0.2.1")


def test_a_name_in_utf_8_arrives_as_it_is():
    environ = {"REMOTE_USER": "rené".encode().decode("latin-1")}
    assert identify(environ, nobody).name == "rené"


def test_a_plugin_sees_the_request():
    seen = view(
        {
            "REQUEST_METHOD": "POST",
            "PATH_INFO": "/rest/fit",
            "HTTP_AUTHORIZATION": "Bearer x",
            "HTTP_X_TOKEN": "y",
            "CONTENT_TYPE": "text/plain",
            "REMOTE_ADDR": "192.0.2.1",
        }
    )
    assert (seen.method, seen.path, seen.remote_user) == ("POST", "/rest/fit", None)
    assert seen.headers["authorization"] == "Bearer x"
    assert seen.headers["x-token"] == "y"
    assert seen.headers["content-type"] == "text/plain"


def test_wrong_credentials_are_401_with_a_challenge(site):
    def refuse(request):
        raise NotAuthenticated("the token has expired; make a new one")

    client = site.client(changes={"authenticate": refuse})
    for accept in ("*/*", CHROME, "application/json"):
        answer = client.get("/rest/fit", accept=accept)
        assert answer.status == 401
        basic = "" if accept == CHROME else 'Basic realm="OPUS", charset="UTF-8", '
        challenge = f'{basic}Bearer realm="OPUS", ivoa_bearer'
        assert answer.headers["www-authenticate"] == challenge
        assert "the token has expired" in answer.text


def test_where_anonymous_is_off_everything_of_a_job_is_401(site):
    client = site.client()
    job = client.create()
    site.parts.service._policy = Policy(anonymous=False)
    for child in ("", "/phase", "/results", "/results/curve", "/stdout", "/parameters/order"):
        assert client.get(job + child).status == 401


@pytest.mark.upstream("S11")
def test_a_users_job_is_nobody_elses(site):
    ann, bob, anonymous = (
        site.client(REMOTE_USER="ann"),
        site.client(REMOTE_USER="bob"),
        site.client(),
    )
    job = ann.create()
    site.finish(job, curve=("curve.csv", "text/csv", b"1"))
    children = ["", "/phase", "/results", "/results/curve", "/parameters", "/parameters/order"]
    children += ["/error", "/quote", "/owner", "/destruction", "/executionduration"]
    for stranger in (bob, anonymous):
        for child in (*children, "/stdout", "/stderr"):
            assert stranger.get(job + child).status == 403
        for child in ("", "/phase", "/parameters", "/destruction", "/executionduration"):
            assert stranger.post(job + child, form={"PHASE": "ABORT"}).status == 403
        assert stranger("DELETE", job).status == 403
        assert stranger("PUT", f"{job}/parameters/order", b"1").status == 403
        assert stranger.get(f"/new/fit/{job.rpartition('/')[2]}").status == 403
    assert ann.get(f"{job}/results/curve").body == b"1"


# -- whether a foreign page asked


@pytest.mark.parametrize(
    ("headers", "passes"),
    [
        ({}, True),  # curl, pyvo
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "none"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "https://opus.test"}, True),
        ({"origin": "http://opus.test"}, True),
        ({"origin": "https://opus.test"}, True),  # TLS ends at a proxy
        ({"sec_fetch_site": "same-site", "origin": "http://opus.test"}, True),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "http://opus.test"}, False),
        ({"sec_fetch_site": "same-site", "origin": "http://opus.test:8081"}, False),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "nonsense"}, False),
        ({"origin": "http://evil.test"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://opus.test.evil.test"}, False),
        ({"origin": "http://[bad"}, False),
        ({"origin": "https://portal.test", "sec_fetch_site": "cross-site"}, True),
    ],
)
def test_a_foreign_page_cannot_change_anything(site, headers, passes):
    client = site.client(changes={"origins": ("https://portal.test",)})
    job = client.create()
    assert client.post("/rest/fit", form={}, **headers).status == (303 if passes else 403)
    assert client("DELETE", job, **headers).status == (303 if passes else 403)
    assert client.get("/rest/fit", **headers).status == 200


@pytest.mark.parametrize(("credentials", "status"), [("Basic YTpi", 403), ("Bearer x", 303)])
def test_a_page_has_no_token_unless_it_was_given_one(site, credentials, status):
    """But a browser repeats Basic credentials by itself, whoever's page asks."""
    changes = {"authenticate": lambda request: User(name="ann")}
    client = site.client(changes=changes, HTTP_AUTHORIZATION=credentials)
    assert client.post("/rest/fit", form={}, origin="http://evil.test").status == status


def test_a_refused_page_has_made_no_job(site):
    client = site.client(REMOTE_USER="ann")
    answer = client.post("/rest/fit", form={}, sec_fetch_site="cross-site")
    assert answer.status == 403
    assert "another web site" in answer.text
    assert len(client.get("/rest/fit").xml) == 0


def test_the_own_origin_is_that_of_base_url(site):
    client = site.client(changes={"base_url": "https://jobs.example.org/opus"})
    ours, theirs = "https://jobs.example.org", "http://opus.test"
    assert client.post("/rest/fit", form={}, origin=ours).status == 303
    assert client.post("/rest/fit", form={}, origin=theirs).status == 403


# -- where we are


def test_addresses_are_those_the_client_has_called(site):
    client = site.client(HTTP_HOST="jobs.example.org:8443", **{"wsgi.url_scheme": "https"})
    answer = client.post("/rest/fit", form={})
    assert answer.location.startswith("https://jobs.example.org:8443/rest/fit/")


def test_a_mount_is_part_of_every_address(site):
    client = site.client(SCRIPT_NAME="/opus")
    answer = client.post("/rest/fit", form={})
    assert answer.location.startswith("http://opus.test/opus/rest/fit/")
    job = answer.location.removeprefix("http://opus.test/opus")
    assert 'action="/opus/rest/fit"' in client.get("/new/fit").text
    page = client.get(job, accept=CHROME).text
    assert f'href="/opus/static/{assets.stamp()}/opus.css"' in page
    assert 'data-list="/opus/rest/fit"' in page


def test_headers_of_proxies_are_not_believed(site):
    client = site.client(
        HTTP_X_FORWARDED_HOST="evil.test",
        HTTP_X_FORWARDED_PROTO="gopher",
        HTTP_X_SCRIPT_NAME="/evil",
        HTTP_FORWARDED="host=evil.test",
    )
    assert client.post("/rest/fit", form={}).location.startswith("http://opus.test/rest/fit/")


def test_base_url_comes_before_what_the_client_has_called(site):
    client = site.client(changes={"base_url": "https://jobs.example.org/opus/"})
    answer = client.post("/rest/fit", form={})
    assert answer.location.startswith("https://jobs.example.org/opus/rest/fit/")
    page = client.get("/new/fit")
    assert 'action="/opus/rest/fit"' in page.text
    policy = page.headers["content-security-policy"]
    assert "form-action 'self' https://jobs.example.org;" in policy


def test_a_client_without_a_host_header_is_answered_too(site):
    client = site.client(HTTP_HOST="", SERVER_PORT="8080")
    assert client.post("/rest/fit", form={}).location.startswith("http://opus.test:8080/rest/fit/")
