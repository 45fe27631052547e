"""What plugins answer below /plugins/NAME: behind our door, and with our headers."""

from __future__ import annotations

import json

import pytest

from core.wsgi import site
from opus_core.errors import NotAllowed, Unavailable
from opus_core.extensions import Routes


def echo(environ, start):
    """Says what it was asked."""
    told = {name: environ[name] for name in ("REQUEST_METHOD", "SCRIPT_NAME", "PATH_INFO")}
    body = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0)).decode()
    user = environ["opus.user"]
    start("200 OK", [("Content-Type", "application/json")])
    return [json.dumps({**told, "body": body, "user": user.name}).encode()]


def late(environ, start):
    """One that begins only when its answer is read."""
    start("202 Accepted", [("Content-Type", "text/html"), ("X-Frame-Options", "DENY")])
    yield b"one "
    yield b"two"


def raising(error):
    def application(environ, start):
        raise error

    return application


class Closing:
    """A body that says that it was closed."""

    closed = 0

    def __init__(self, *chunks):
        self.chunks = chunks

    def __iter__(self):
        return iter(self.chunks)

    def close(self):
        Closing.closed += 1


def closing(*chunks):
    def application(environ, start):
        start("200 OK", [("X-Name", "caf\xc3\xa9")])
        return Closing(*chunks)

    return application


def writing(environ, start):
    """The old way: by what `start` answers."""
    write = start("200 OK", [])
    write(b"written ")
    return [b"and returned"]


def silent(environ, start):
    """Never says its status."""
    return [b"", b""]


@pytest.fixture
def client(tmp_path):
    mounted = {
        "full": Routes(application=closing(b"", b"a", b"b"), anonymous=True),
        "empty": Routes(application=closing(), anonymous=True),
        "writing": Routes(application=writing, anonymous=True),
        "silent": Routes(application=silent, anonymous=True),
        "echo": Routes(application=echo, anonymous=True),
        "late": Routes(application=late, anonymous=True),
        "known": Routes(application=echo),
        "busy": Routes(application=raising(Unavailable("come back")), anonymous=True),
        "shut": Routes(application=raising(NotAllowed("not for you")), anonymous=True),
        "broken": Routes(application=raising(KeyError("lost")), anonymous=True),
    }
    with site(tmp_path) as one:
        yield one.client(changes={"mounted": mounted})


def test_an_application_sees_what_lies_behind_its_name(client):
    answer = client.post("/plugins/echo/a/b", body=b"hello", content_type="text/plain")
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.json == {
        "REQUEST_METHOD": "POST",
        "SCRIPT_NAME": "/plugins/echo",
        "PATH_INFO": "/a/b",
        "body": "hello",
        "user": None,
    }
    assert client.get("/plugins/echo").json["PATH_INFO"] == ""
    assert client("DELETE", "/plugins/echo/x").json["REQUEST_METHOD"] == "DELETE"
    assert client("HEAD", "/plugins/echo").body == b""


def test_a_server_below_a_prefix_tells_it(client):
    answer = client("GET", "/plugins/echo/a")
    assert answer.json["SCRIPT_NAME"] == "/plugins/echo"
    client._environ["SCRIPT_NAME"] = "/opus"
    assert client.get("/plugins/echo/a").json["SCRIPT_NAME"] == "/opus/plugins/echo"


def test_an_answer_has_the_headers_that_all_have_unless_it_sets_them(client):
    answer = client.get("/plugins/late")
    assert (answer.status, answer.text) == (202, "one two")
    assert answer.headers["content-type"] == "text/html"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


@pytest.mark.parametrize(
    ("sent", "path"),
    [
        ("/plugins/echo/list/", "/list/"),
        ("/plugins/echo/a//b", "/a//b"),
        ("//plugins//echo/", "/"),
        ("/plugins/echo/%E6%97%A5", "/\xe6\x97\xa5"),
        ("/plugins/echo/caf%C3%A9", "/caf\xc3\xa9"),
    ],
)
def test_a_path_arrives_as_it_was_sent(client, sent, path):
    assert client.get(sent).json["PATH_INFO"] == path


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(("plugin", "body"), [("full", b"ab"), ("empty", b"")])
def test_a_body_is_closed_whatever_becomes_of_it(client, method, plugin, body):
    Closing.closed = 0
    answer = client(method, f"/plugins/{plugin}")
    assert answer.body == (b"" if method == "HEAD" else body)
    assert Closing.closed >= 1
    assert answer.headers["x-name"] == "caf\xc3\xa9"


def test_what_is_written_comes_before_what_is_returned(client):
    assert client.get("/plugins/writing").text == "written and returned"


def test_an_answer_without_a_status_is_a_fault_of_the_plugin(client):
    assert client.get("/plugins/silent").status == 500


def test_a_token_does_no_more_than_it_was_made_for(tmp_path):
    with site(tmp_path) as one:
        one.people.add("test", "ada", roles=frozenset())
        mounted = {"known": Routes(application=echo)}
        app = one.client(changes={"mounted": mounted}, **{"wsgi.url_scheme": "https"})
        for scope, statuses in (("read", (200, 403)), ("run", (200, 200)), ("publish", (403, 403))):
            token = one.people.make_token("test", "ada", scopes=frozenset({scope})).text
            asks = [
                app(method, "/plugins/known", authorization=f"Bearer {token}")
                for method in ("GET", "POST")
            ]
            assert tuple(answer.status for answer in asks) == statuses, scope


def test_only_known_users_reach_an_application_unless_it_says_otherwise(client):
    assert client.get("/plugins/known").status == 401
    client._environ["REMOTE_USER"] = "ada"
    assert client.get("/plugins/known").json["user"] == "ada"


def test_what_a_foreign_page_made_a_browser_ask_for_is_refused(client):
    headers = {"origin": "https://elsewhere.example", "sec_fetch_site": "cross-site"}
    client._environ["REMOTE_USER"] = "ada"
    assert client.post("/plugins/echo", **headers).status == 403


@pytest.mark.parametrize(
    ("plugin", "status", "sentence"),
    [
        ("busy", 503, "come back"),
        ("shut", 403, "not for you"),
        ("broken", 500, "something went wrong here"),
        ("nobody", 404, "no plugin here answers at /plugins/nobody"),
    ],
)
def test_an_error_becomes_an_answer(client, plugin, status, sentence):
    answer = client.get(f"/plugins/{plugin}/x")
    assert answer.status == status
    assert sentence in answer.text


def test_without_such_plugins_there_is_nothing(tmp_path):
    with site(tmp_path) as one:
        assert one.client().get("/plugins/echo").status == 404
