"""Signing in and out with a browser, one's account, and the pages for admins."""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

import pytest
from lxml import html

from core import wsgi
from core.wsgi import CHROME
from opus_core.auth import passwords

SECRET = "four lame horses sing"
HOST = {"HTTP_HOST": "opus.test", "wsgi.url_scheme": "https"}
LOOPBACK = {"HTTP_HOST": "localhost:8080", "REMOTE_ADDR": "127.0.0.1"}


@pytest.fixture
def site(tmp_path, monkeypatch):
    monkeypatch.setattr(passwords, "_COST", (2**4, 8, 1))
    with wsgi.site(tmp_path) as found:
        found.people.add("tests", "ann")
        found.people.add("tests", "bob", roles=frozenset({"admin"}))
        yield found


class Browser:
    """Keeps cookies, and says of its requests what browsers do."""

    def __init__(self, site, **environ):
        self.environ = {**HOST, **environ}
        self.client = site.client(**self.environ)
        self.cookies = {}

    @property
    def origin(self):
        scheme = self.environ.get("wsgi.url_scheme", "http")
        return f"{scheme}://{self.environ['HTTP_HOST']}"

    def __call__(self, method, url, *, form=None, **headers):
        said = {"sec_fetch_site": "same-origin", "sec_fetch_mode": "navigate"}
        if method != "GET":
            said["origin"] = self.origin
        if self.cookies:
            said["cookie"] = "; ".join(f"{key}={value}" for key, value in self.cookies.items())
        answer = self.client(method, url, form=form, accept=CHROME, **{**said, **headers})
        if "set-cookie" in answer.headers:
            (name, value, age) = re.match(
                r"([^=]+)=([^;]*); .*Max-Age=(\d+)", answer.headers["set-cookie"]
            ).groups()
            if age == "0":
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return answer

    def get(self, url, **headers):
        return self("GET", url, **headers)

    def post(self, url, form=None, **headers):
        return self("POST", url, form=form or {}, **headers)

    def enter(self, site, name):
        """Sign in by a link."""
        answer = self.post(f"/signin/{site.people.link('tests', name)}")
        assert answer.status == 303, answer.text
        return self


def page(answer):
    assert answer.status == 200, answer.text
    return html.fromstring(answer.text)


# -- signing in


def test_a_password_signs_in_and_leads_back(site):
    site.people.set_password("ann", "ann", SECRET)
    browser = Browser(site)
    refused = browser.post("/signin", {"NAME": "ann", "PROOF": "wrong", "BACK": "/rest/fit"})
    assert (refused.status, browser.cookies) == (403, {})
    form = html.fromstring(refused.text).forms[0]
    assert (form.fields["NAME"], form.fields["BACK"]) == ("ann", "/rest/fit")
    assert form.fields["PROOF"] in (None, "")
    answer = browser.post("/signin", {**form.fields, "PROOF": SECRET})
    assert (answer.status, answer.location) == (303, "https://opus.test/rest/fit")
    assert "Signed in as" in browser.get("/").text
    job = browser.post("/rest/fit")
    assert site.storage.read(job.location.rpartition("/")[2]).owner == "ann"


def test_its_cookie_is_for_this_host_over_tls_and_no_script(site):
    browser = Browser(site)
    answer = browser.post(f"/signin/{site.people.link('tests', 'ann')}")
    assert re.fullmatch(
        r"__Host-opus=[\w-]{43}; Secure; Path=/; Max-Age=604800; HttpOnly; SameSite=Lax",
        answer.headers["set-cookie"],
    )
    assert "domain" not in answer.headers["set-cookie"].lower()


def test_a_new_session_has_a_new_cookie(site):
    browser = Browser(site).enter(site, "ann")
    first = browser.cookies["__Host-opus"]
    browser.enter(site, "ann")
    assert browser.cookies["__Host-opus"] != first
    assert site.people.by_cookie(first) is None


def test_signing_in_does_not_keep_a_cookie_that_somebody_planted(site):
    browser = Browser(site)
    browser.cookies["__Host-opus"] = "x" * 43
    browser.enter(site, "ann")
    assert browser.cookies["__Host-opus"] != "x" * 43


def test_over_plain_http_nobody_signs_in_but_on_loopback(site):
    open_ = Browser(site, **{"wsgi.url_scheme": "http"})
    link = site.people.link("tests", "ann")
    for url, form in ((f"/signin/{link}", {}), ("/signin", {"NAME": "ann", "PROOF": "x"})):
        answer = open_.post(url, form)
        assert answer.status == 403
        assert "use https" in answer.text
    assert "Nobody signs in over plain http" in open_.get("/signin").text
    proxied = Browser(
        site, **LOOPBACK, HTTP_X_FORWARDED_FOR="192.0.2.1", **{"wsgi.url_scheme": "http"}
    )
    assert proxied.post(f"/signin/{link}").status == 403
    here = Browser(site, **{**LOOPBACK, "wsgi.url_scheme": "http"})
    answer = here.post(f"/signin/{link}")
    assert answer.status == 303
    assert answer.headers["set-cookie"].startswith("opus=")
    assert "Signed in as" in here.get("/").text


def test_a_cookie_that_was_sent_in_plain_text_counts_for_nothing(site):
    browser = Browser(site).enter(site, "ann")
    cookie = browser.cookies["__Host-opus"]
    plain = site.client(HTTP_COOKIE=f"__Host-opus={cookie}; opus={cookie}")
    assert "Not signed in" in plain.get("/", accept=CHROME).text


@pytest.mark.parametrize(
    "back",
    [
        "https://evil.test/",
        "//evil.test",
        "/\\evil.test",
        "\\\\evil.test",
        "javascript:alert(1)",
        "/\r\nSet-Cookie: a=b",
        "http:evil.test",
        "/a b",
        "rest/fit",
        "/%0d%0a\u20ac",
    ],
)
def test_it_leads_to_no_other_server(site, back):
    token = site.people.make_token("tests", "ann").text
    answer = Browser(site).post("/signin", {"NAME": "ann", "PROOF": token, "BACK": back})
    assert (answer.status, answer.location) == (303, "https://opus.test/")


def test_somebody_who_has_to_sign_in_comes_back(site):
    site.parts.catalogue.access.set("fit", ["role user"])
    browser = Browser(site)
    refused = browser.get("/new/fit?order=4")
    assert refused.status == 401
    (link,) = html.fromstring(refused.text).xpath("//main//a[.='Sign in']/@href")
    form = page(browser.get(link)).forms[0]
    token = site.people.make_token("tests", "ann").text
    answer = browser.post("/signin", {**form.fields, "NAME": "ann", "PROOF": token})
    assert answer.location == "https://opus.test/new/fit?order=4"


def test_a_link_is_shown_before_it_is_used(site):
    link = f"/signin/{site.people.link('tests', 'ann')}"
    browser = Browser(site)
    for _ in range(3):
        assert "Sign in as" in browser.get(link).text
    assert browser.post(link).status == 303
    assert browser.get(link).status == 401
    assert Browser(site).post(link).status == 401


def test_signing_out_ends_the_session_here_and_there(site):
    browser = Browser(site).enter(site, "ann")
    thief = Browser(site)
    thief.cookies = dict(browser.cookies)
    assert "Signed in as" in thief.get("/").text
    assert browser.post("/signout").status == 303
    assert browser.cookies == {}
    assert "Not signed in" in thief.get("/").text


def test_signing_out_everywhere(site):
    one, two = Browser(site).enter(site, "ann"), Browser(site).enter(site, "ann")
    bob = Browser(site).enter(site, "bob")
    one.post("/signout", {"EVERYWHERE": "yes"})
    assert "Not signed in" in two.get("/").text
    assert "Signed in as" in bob.get("/").text


# -- what a session's cookie is good for


def test_a_foreign_page_does_nothing_with_it(site):
    browser = Browser(site).enter(site, "ann")
    job = urlsplit(browser.post("/rest/fit").location).path
    evil = {"sec_fetch_site": "cross-site", "origin": "https://evil.test"}
    tried = [
        browser.post("/rest/fit", **evil),
        browser.post(f"{job}/phase", {"PHASE": "ABORT"}, **evil),
        browser("DELETE", job, **evil),
        browser.post("/account/tokens", {"SCOPE": "run"}, **evil),
        browser.post("/signout", {"EVERYWHERE": "yes"}, **evil),
        browser.post("/rest/fit", sec_fetch_site="cross-site", origin="null"),
        browser.get("/rest/fit/sync", sec_fetch_site="cross-site"),
    ]
    assert {answer.status for answer in tried} == {403}
    assert len(site.people.tokens.of("ann")) == 0


def test_a_script_without_word_does_nothing_with_it(site):
    """Older browsers say nothing of where a request comes from; nor does curl."""
    browser = Browser(site).enter(site, "ann")
    silent = {"cookie": f"__Host-opus={browser.cookies['__Host-opus']}"}
    client = site.client(**HOST)
    assert client.post("/rest/fit", form={}, **silent).status == 403
    word = str(page(browser.get("/")).xpath("//meta[@name='opus-csrf']/@content")[0])
    answer = client.post("/rest/fit", form={}, x_opus_csrf=word, **silent)
    assert answer.status == 303
    assert site.storage.read(answer.location.rpartition("/")[2]).owner == "ann"


def test_a_foreign_page_is_shown_nothing_by_it(site):
    browser = Browser(site).enter(site, "ann")
    job = urlsplit(browser.post("/rest/fit").location).path
    part = {"sec_fetch_site": "cross-site", "sec_fetch_mode": "no-cors"}
    assert browser.get(job, **part).status == 403
    assert browser.get(job, sec_fetch_site="cross-site").status == 200  # a link in a mail


def test_a_token_needs_no_page(site):
    token = site.people.make_token("tests", "ann").text
    client = site.client(HTTP_AUTHORIZATION=f"Bearer {token}")
    answer = client.post("/rest/fit", form={}, origin="https://evil.test")
    assert site.storage.read(answer.location.rpartition("/")[2]).owner == "ann"


# -- one's account


def test_a_token_is_made_shown_once_and_revoked(site):
    browser = Browser(site).enter(site, "ann")
    made = page(browser.post("/account/tokens", {"NAME": "laptop", "SCOPE": "run", "DAYS": "30"}))
    (text,) = re.findall(r"opus_[0-9a-z]{12}_[\w-]{43}", made.text_content())
    again = page(browser.get("/account"))
    assert text not in again.text_content()
    assert "laptop" in again.text_content()
    (revoke,) = [form for form in again.forms if form.action.endswith("/revoke")]
    client = site.client(HTTP_AUTHORIZATION=f"Bearer {text}")
    assert client.post("/rest/fit", form={}).status == 303
    assert browser.post(revoke.action).status == 303
    assert client.get("/rest/fit").status == 401


@pytest.mark.parametrize(
    "form", [{}, {"SCOPE": "all"}, {"SCOPE": "run", "DAYS": "0"}, {"SCOPE": "run", "DAYS": "x"}]
)
def test_a_token_that_cannot_be_is_not_made(site, form):
    browser = Browser(site).enter(site, "ann")
    assert browser.post("/account/tokens", form).status == 400
    assert site.people.tokens.of("ann") == []


def test_a_token_makes_no_tokens(site):
    token = site.people.make_token("tests", "bob", scopes=frozenset({"run", "admin"})).text
    client = site.client(HTTP_AUTHORIZATION=f"Bearer {token}")
    forms = {
        "/account/tokens": {"SCOPE": "run"},
        "/account/password": {"PASSWORD": SECRET},
        "/signout": {"EVERYWHERE": "yes"},
        "/admin/users": {"NAME": "eve"},
        "/admin/users/bob": {"ACTION": "link"},
    }
    for url, form in forms.items():
        assert client.post(url, form=form).status == 403, url
    by_token = Browser(site)
    by_token.post("/signin", {"NAME": "bob", "PROOF": token})
    assert by_token.post("/account/tokens", {"SCOPE": "run"}).status == 403


def test_a_password_is_changed_by_who_knows_the_present_one(site):
    site.people.set_password("ann", "ann", SECRET)
    browser = Browser(site).enter(site, "ann")
    new = "a long way to the sea"
    answer = browser.post("/account/password", {"PRESENT": "wrong", "PASSWORD": new})
    assert answer.status == 403
    answer = browser.post("/account/password", {"PRESENT": SECRET, "PASSWORD": new})
    assert answer.status == 303
    assert "Not signed in" in browser.get("/").text
    assert browser.post("/signin", {"NAME": "ann", "PROOF": new}).status == 303


def test_who_is_vouched_for_makes_tokens_too(site):
    """Signed in by the web server, and without an account so far."""
    client = site.client(REMOTE_USER="dan", **HOST)
    answer = client.post("/account/tokens", form={"SCOPE": "read"}, accept=CHROME)
    (text,) = re.findall(r"opus_[0-9a-z]{12}_[\w-]{43}", answer.text)
    assert site.client(HTTP_AUTHORIZATION=f"Bearer {text}").get("/rest/fit").status == 200


def test_somebody_unknown_has_no_account(site):
    assert Browser(site).get("/account").status == 401


# -- admins


def test_admins_make_users_and_let_them_in(site):
    browser = Browser(site).enter(site, "bob")
    assert "Administration" in browser.get("/").text
    answer = browser.post("/admin/users", {"NAME": "eve", "ROLES": "publisher", "FULLNAME": "E."})
    assert answer.location == "https://opus.test/admin/users/eve"
    shown = page(browser.post("/admin/users/eve", {"ACTION": "link"})).text_content()
    (link,) = re.findall(r"https://opus\.test(/signin/\S+)", shown)
    eve = Browser(site)
    assert eve.post(link).status == 303
    assert "publisher" in eve.get("/account").text
    browser.post("/admin/users/eve", {"ACTION": "change", "ROLES": ""})  # not ticked: off
    assert not site.people.read("eve").active
    assert "Not signed in" in eve.get("/").text
    assert browser.post("/admin/users/eve", {"ACTION": "remove"}).status == 303
    assert browser.get("/admin/users/eve").status == 404
    audit = page(browser.get("/admin/audit")).text_content()
    for act in ("user added", "link made", "signed in", "user changed", "user removed"):
        assert act in audit


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", "/admin/users"),
        ("POST", "/admin/users"),
        ("GET", "/admin/users/bob"),
        ("POST", "/admin/users/bob"),
        ("GET", "/admin/audit"),
    ],
)
def test_nobody_else_is_one(site, method, url):
    assert Browser(site).enter(site, "ann")(method, url, form={}).status == 403
    assert Browser(site)(method, url, form={}).status == 401


def test_what_cannot_be_done_to_an_account_is_said(site):
    browser = Browser(site).enter(site, "bob")
    assert browser.post("/admin/users", {"NAME": "a:b"}).status == 400
    assert browser.post("/admin/users", {"NAME": "ann"}).status == 409
    assert browser.post("/admin/users/ann", {"ACTION": "promote"}).status == 400
    assert browser.post(f"/admin/users/{quote('<b>')}", {"ACTION": "link"}).status == 404
    assert browser.post("/admin/users/ann", {"ACTION": "revoke", "TOKEN": "x"}).status == 404


def test_an_admin_acts_for_all_and_it_is_known(site):
    job = site.client(REMOTE_USER="ann").create()
    browser = Browser(site).enter(site, "bob")
    for _ in range(3):
        assert browser.get(job).status == 200
    assert browser.post(f"{job}/phase", {"PHASE": "ABORT"}).status == 303
    assert browser("DELETE", job).status == 303
    found = [(one.actor, one.act, one.more) for one in site.people.audit.entries()]
    own = [one for one in found if one[1].startswith("job ")]
    assert own == [
        ("bob", "job seen", "of ann"),
        ("bob", "job aborted", "of ann"),
        ("bob", "job deleted", "of ann"),
    ]


def test_an_admins_list_has_all_jobs_or_one_owners(site):
    for name in ("ann", "ann", "dan"):
        site.client(REMOTE_USER=name).create()
    site.client().create()
    bob = site.client(REMOTE_USER="bob")
    assert len(bob.get("/rest/fit").xml) == 4
    assert len(bob.get("/rest/fit?OWNER=ann").xml) == 2
    assert len(bob.get("/rest/fit?owner=").xml) == 1
    ann = site.client(REMOTE_USER="ann")
    assert len(ann.get("/rest/fit").xml) == 2
    assert len(ann.get("/rest/fit?OWNER=dan").xml) == 0


# -- a description's own list


def test_a_description_shows_to_those_it_is_for(site):
    private = site.client(REMOTE_USER="ann").create()
    site.parts.catalogue.access.set("fit", ["user dan"])
    ann, dan = site.client(REMOTE_USER="ann"), site.client(REMOTE_USER="dan")

    def names(client):
        return [one["name"] for one in client.get("/rest").json["definitions"]]

    assert (names(ann), names(dan)) == (["echo"], ["echo", "fit"])
    assert "/rest/fit" not in ann.get("/capabilities").text
    assert "/rest/fit" in dan.get("/capabilities").text
    for url in ("/new/fit", "/jdl/fit", f"/new/fit/{private.rpartition('/')[2]}"):
        assert ann.get(url).status == 403, url
    assert ann.post("/rest/fit", form={}).status == 403
    assert ann.post("/rest/fit/sync", form={}).status == 403
    assert ann.post(f"{private}/phase", form={"PHASE": "RUN"}).status == 403
    assert ann.get(private).status == 200  # what one has, one keeps
    assert dan.post("/rest/fit", form={}).status == 303
    assert site.client().post("/rest/fit", form={}).status == 401


def test_a_damaged_list_hides_its_description_and_no_other(site):
    folder = site.parts.catalogue.access._folder / "fit"
    (folder / "access").write_text("everybody\n")
    ann = site.client(REMOTE_USER="ann")
    assert [one["name"] for one in ann.get("/rest").json["definitions"]] == ["echo"]
    assert "/rest/fit" not in ann.get("/capabilities").text
    assert ann.post("/rest/fit", form={}).status == 503
    assert site.client(REMOTE_USER="bob").post("/rest/fit", form={}).status == 303


def test_every_page_has_a_way_to_sign_out(site):
    browser = Browser(site).enter(site, "bob")
    job = urlsplit(browser.post("/rest/fit").location).path
    for url in ("/", "/new/fit", "/rest/fit", job, "/account", "/admin/users", "/admin/audit"):
        forms = [form.action for form in page(browser.get(url)).forms]
        assert "/signout" in forms, url
