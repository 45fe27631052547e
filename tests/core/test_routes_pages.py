from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path

import pytest

from core import wsgi
from core.wsgi import CHROME
from opus_core import elsewhere
from opus_core import job as jobs
from opus_core.errors import PluginError
from opus_core.job import ErrorSummary, ErrorType, Phase, Work
from opus_core.proxy import Proxy
from opus_core.render import assets, html

HUB = "http://localhost:21012"
VOID = {"meta", "link", "img", "input", "br", "hr"}


@pytest.fixture
def site(tmp_path):
    with wsgi.site(tmp_path) as site:
        site.supervised()
        yield site


@pytest.fixture
def client(site):
    return site.client()


class Checked(HTMLParser):
    """Elements are closed in order, and nothing is there that the policy would block."""

    def __init__(self, text):
        super().__init__()
        self.open, self.headings, self.links, self.script = [], 0, [], False
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        assert tag not in ("style", "iframe", "object"), tag
        if tag == "script":
            assert names["type"] == "module"
            assert names["src"].startswith("/static/")
        self.script = tag == "script"
        assert "style" not in names
        assert not [name for name in names if name.startswith("on")]
        for key in ("href", "src", "action"):
            if key in names:
                self.links.append(names[key])
        if tag == "img":
            assert "alt" in names
        self.headings += tag == "h1"
        if tag not in VOID:
            self.open.append(tag)

    def handle_data(self, data):
        assert not self.script or not data.strip(), data

    def handle_endtag(self, tag):
        self.script = False
        if tag not in VOID:
            assert self.open.pop() == tag


def jobs_of_all_kinds(site, client):
    hostile = "</title><script>x</script>\"'"
    pending = client.create(RUNID=hostile, note=hostile)
    running = client.create(PHASE="RUN")
    site.run(running)
    site.storage.note(
        running.rpartition("/")[2], {"progress": "40", "doing": hostile, hostile: "x"}
    )
    site.write(running, "stdout", hostile.encode())
    done = client.create()
    site.finish(done, plot=("plot.svg", "image/svg+xml", b"<svg/>"), curve=("c.csv", "x/<y>", b""))
    failed = client.create(PHASE="RUN")
    site.run(failed)
    error = ErrorSummary(message=hostile, type=ErrorType.TRANSIENT, has_detail=True)
    site.change(failed, phase=Phase.ERROR, work=Work.RELEASED, error=error, ended=jobs.now())
    archived = client.create()
    site.change(archived, phase=Phase.ABORTED, ended=jobs.now())
    site.change(archived, phase=Phase.ARCHIVED, destruction=None)
    return [pending, running, done, failed, archived]


def test_every_page_is_sound_and_keeps_its_own_policy(site, client):
    made = jobs_of_all_kinds(site, client)
    pages = [
        "/",
        "/new/fit",
        "/new/echo",
        "/rest/fit",
        "/rest/echo",
        "/rest/fit?PHASE=HELD",
        "/nope",
    ]
    for address in (*pages, *made, *(f"/new/fit/{one.rpartition('/')[2]}" for one in made)):
        answer = client.get(address, accept=CHROME)
        checked = Checked(answer.text)
        assert checked.headings == 1
        assert all(link.startswith(("/", "?", "#")) for link in checked.links), checked.links
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
        hub = f" {HUB}" if address in made else ""
        assert answer.headers["content-security-policy"] == (
            "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self';"
            f" connect-src 'self'{hub}; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
        )
        assert answer.headers["cache-control"] == "no-store"


def test_every_link_of_every_page_leads_somewhere(site, client):
    made = jobs_of_all_kinds(site, client)
    seen = set()
    for address in ("/", "/new/fit", "/rest/fit", "/jobs", *made):
        for link in Checked(client.get(address, accept=CHROME).text).links:
            target = address.partition("?")[0] + link if link.startswith("?") else link
            if link.startswith("#") or target in seen:
                continue
            seen.add(target)
            assert client.get(target, accept=CHROME).status in (200, 404, 405), target
    assert any(link.endswith("/results.zip") for link in seen)


def test_a_form_leads_to_the_page_of_the_job(client):
    answer = client.post("/rest/fit", form={"order": "2", "PHASE": "RUN"}, accept=CHROME)
    page = client.get(answer.location.removeprefix("http://opus.test"), accept=CHROME)
    assert "QUEUED" in page.text


@pytest.mark.parametrize("phase", list(Phase))
def test_the_phase_stands_in_the_title_before_any_script_runs(site, client, phase):
    job = client.create(RUNID="one")
    site.change(job, phase=phase)
    page = client.get(job, accept=CHROME).text
    assert f"<title>{phase}: one, fit · OPUS</title>" in page
    assert f'<strong data-when="phase={phase}">{html._SAYINGS[phase]}</strong>' in page


def test_what_the_description_says_is_told_to_the_page_of_a_job(client):
    page = client.get(client.create(), accept=CHROME).text
    assert "The curve." in page


def test_a_job_whose_description_cannot_be_read_any_more_is_still_shown(site, client, monkeypatch):
    job = client.create(order="4")

    def gone(ref):
        raise PluginError("its format is not installed")

    monkeypatch.setattr(site.parts.catalogue, "read", gone)
    page = client.get(job, accept=CHROME)
    assert page.status == 200
    assert "The curve." not in page.text


def test_the_name_of_the_user_is_shown(site):
    page = site.client(REMOTE_USER="ann<b>").get("/", accept=CHROME).text
    assert "ann&lt;b&gt;" in page


def test_what_pages_are_made_with_is_named_by_its_content_and_kept(client):
    page = client.get("/rest/fit", accept=CHROME).text
    addresses = set(re.findall(r'(?:href|src)="(/static/[^"]*)"', page))
    stamps = {one.split("/")[2] for one in addresses}
    assert stamps == {assets.stamp()}
    assert {one.rpartition("/")[2] for one in addresses} >= {"opus.css", "job_list.js", "uwsLib.js"}
    for address in addresses:
        answer = client.get(address)
        assert answer.status == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
    older = client.get(f"/static/{'0' * 12}/opus.css")
    assert older.headers["content-type"] == "text/css; charset=utf-8"
    assert older.headers["cache-control"] == "public, max-age=60"
    for file in ("base.html", "../templates/base.html", "%2e%2e/html.py"):
        assert client.get(f"/static/{assets.stamp()}/{file}").status == 404


def test_what_a_page_is_made_of_is_no_more_than_it_needs(site):
    """The budget of the web client: 120 kB for a page, images aside, not compressed."""
    known = elsewhere.parse(["https://vo.example.org/async"])
    client = site.client(changes={"services": known, "proxy": Proxy(known, at_once=1)})
    about = "SERVICE=https://vo.example.org/async"
    others = [f"/services/{one}?{about}" for one in ("jobs", "new", "job")]
    own = ["/", "/new/fit", "/rest/fit", client.create()]
    for address in (*own, *others[:-1], f"{others[-1]}&ID=1"):
        page = client.get(address, accept=CHROME).text
        files = re.findall(r'(?:href|src)="(/static/[^"]*\.(?:js|css))"', page)
        sizes = {one.rpartition("/")[2]: len(client.get(one).body) for one in files}
        assert sum(sizes.values()) <= 120_000, (address, sizes)
        named = {
            other
            for one in sizes
            if one.endswith(".js")
            for other in re.findall(r'^import .* from "./([^"]+)"', text_of(one), re.MULTILINE)
        }
        assert named <= set(sizes), "each is asked for at once, and not one after the other"


def text_of(file):
    return assets.content(assets.FILES[file][0], file).decode()


def test_every_module_that_another_one_names_is_there():
    """And every file of the folder is one that is served."""
    modules = {name: assets.content(*at[:1], name).decode() for name, at in assets.FILES.items()}
    named = {
        one
        for text in modules.values()
        for one in re.findall(r'(?:from |import\()"./([^"]+)"', text)
    }
    assert named <= set(modules)
    static = Path(assets.__file__).parents[1] / "client" / "static"
    assert {one.name for one in static.iterdir()} <= set(modules)


def test_the_library_for_scripts_is_served_as_a_module(client):
    answer = client.get("/static/uwsLib.js")
    assert answer.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "export class UwsClient" in answer.text
    assert client.get("/static/package.json").status == 404


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0.0 s"),
        (-5, "0.0 s"),
        (3.14, "3.1 s"),
        (59, "59 s"),
        (3600, "1 h 0 min"),
        (61, "1 min 1 s"),
        (90061, "1 d 1 h"),
    ],
)
def test_lengths_of_time_are_for_people(seconds, shown):
    assert html._span(timedelta(seconds=seconds)) == shown


@pytest.mark.parametrize("on", [True, False])
def test_results_are_sent_to_programs_where_a_site_lets_them(site, on):
    """CSP lets the page of a job connect to a SAMP hub then, and no other page."""
    client = site.client(changes={"samp": on})
    job = client.create()
    page = client.get(job, accept=CHROME)
    assert (HUB in page.headers["content-security-policy"]) is on
    assert ("data-send-of" in page.text) is on
    for address in ("/", "/rest/fit", "/new/fit"):
        assert HUB not in client.get(address, accept=CHROME).headers["content-security-policy"]
