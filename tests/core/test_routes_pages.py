from __future__ import annotations

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from core import wsgi
from core.wsgi import CHROME
from opus_core import job as jobs
from opus_core.errors import PluginError
from opus_core.job import ErrorSummary, ErrorType, Phase, Work
from opus_core.render import html

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
        self.open, self.headings, self.links = [], 0, []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        names = dict(attrs)
        assert tag not in ("script", "style", "iframe", "object"), tag
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

    def handle_endtag(self, tag):
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
        assert answer.headers["content-security-policy"] == (
            "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
            " frame-ancestors 'none'; base-uri 'none'"
        )
        assert answer.headers["cache-control"] == "no-store"


def test_every_link_of_every_page_leads_somewhere(site, client):
    made = jobs_of_all_kinds(site, client)
    seen = set()
    for address in ("/", "/new/fit", "/rest/fit", *made):
        for link in Checked(client.get(address, accept=CHROME).text).links:
            target = address.partition("?")[0] + link if link.startswith("?") else link
            if link.startswith("#") or target in seen:
                continue
            seen.add(target)
            assert client.get(target, accept=CHROME).status in (200, 405), target
    assert any(link.endswith("/results/plot") for link in seen)


def test_a_form_leads_to_the_page_of_the_job(client):
    answer = client.post("/rest/fit", form={"order": "2", "PHASE": "RUN"}, accept=CHROME)
    page = client.get(answer.location.removeprefix("http://opus.test"), accept=CHROME)
    assert "waiting for its turn" in page.text


@pytest.mark.parametrize("phase", list(Phase))
def test_every_phase_has_a_word_and_an_explanation(site, client, phase):
    job = client.create()
    site.change(job, phase=phase)
    page = client.get(job, accept=CHROME).text
    assert f'<span class="phase phase-{phase.lower()}">{phase}</span>' in page
    assert html._SAYINGS[phase] in page


@pytest.mark.parametrize(
    ("phase", "buttons"),
    [
        (Phase.PENDING, ["RUN", "DELETE"]),
        (Phase.QUEUED, ["ABORT", "DELETE"]),
        (Phase.EXECUTING, ["ABORT", "DELETE"]),
        (Phase.COMPLETED, ["DELETE"]),
    ],
)
def test_only_what_is_possible_is_offered(site, client, phase, buttons):
    job = client.create()
    site.change(job, phase=phase)
    page = client.get(job, accept=CHROME).text
    assert re.findall(r'<button[^>]*value="(\w+)"', page) == buttons


def test_the_page_is_read_again_until_the_job_is_over(site, client):
    job = client.create()
    refresh = re.compile(r'<meta http-equiv="refresh" content="(\d+)">')
    assert not refresh.search(client.get(job, accept=CHROME).text)  # it waits for its user
    client.post(f"{job}/phase", form={"PHASE": "RUN"})
    assert int(refresh.search(client.get(job, accept=CHROME).text)[1]) <= 5
    still = client.get(f"{job}?REFRESH=0", accept=CHROME).text
    assert not refresh.search(still)
    assert 'href="?"' in still
    site.finish(job)
    assert not refresh.search(client.get(job, accept=CHROME).text)


def test_progress_is_shown_while_it_runs(site, client):
    job = client.create(PHASE="RUN")
    site.run(job)
    site.storage.note(job.rpartition("/")[2], {"progress": "62", "waiting": "Priority"})
    page = client.get(job, accept=CHROME).text
    assert '<progress max="100" value="62"' in page
    assert "Priority" in page


def test_a_failure_is_told_in_plain_words(site, client):
    job = client.create(PHASE="RUN")
    site.run(job)
    site.write(job, "stderr", b"ValueError: row 17\n")
    error = ErrorSummary(message="the script ended with exit code 1", has_detail=True)
    site.change(job, phase=Phase.ERROR, work=Work.RELEASED, error=error)
    page = client.get(job, accept=CHROME).text
    assert "the script ended with exit code 1" in page
    assert "ValueError: row 17" in page


def test_images_are_shown_and_other_results_only_linked(site, client):
    job = client.create()
    site.finish(
        job, plot=("plot.svg", "image/svg+xml", b"<svg/>"), curve=("curve.csv", "text/csv", b"1")
    )
    page = client.get(job, accept=CHROME).text
    assert re.findall(r'<img src="([^"]*results[^"]*)"', page) == [f"{job}/results/plot"]
    assert f'href="{job}/results/curve" download="curve.csv"' in page
    assert "The curve." in page


def test_a_value_that_is_too_long_is_linked(client):
    job = client.create(note="y" * 300_000)
    page = client.get(job, accept=CHROME).text
    assert len(page) < 20_000
    assert f'href="{job}/parameters/note"' in page


def test_a_job_whose_description_cannot_be_read_any_more_is_still_shown(site, client, monkeypatch):
    job = client.create(order="4")

    def gone(ref):
        raise PluginError("its format is not installed")

    monkeypatch.setattr(site.parts.catalogue, "read", gone)
    page = client.get(job, accept=CHROME)
    assert page.status == 200
    assert "order" in page.text


def test_the_name_of_the_user_is_shown(site):
    page = site.client(REMOTE_USER="ann<b>").get("/", accept=CHROME).text
    assert "ann&lt;b&gt;" in page


def test_the_style_sheet_is_named_by_its_content_and_kept(client):
    page = client.get("/", accept=CHROME).text
    href = re.search(r'href="(/static/opus.css\?v=[0-9a-f]{12})"', page)[1]
    answer = client.get(href)
    assert answer.headers["content-type"] == "text/css; charset=utf-8"
    assert "max-age=31536000" in answer.headers["cache-control"]
    assert client.get("/static/base.html").status == 404


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


@pytest.mark.parametrize(
    ("size", "shown"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1 kB"),
        (135_000, "135 kB"),
        (999_999, "1 MB"),
        (5_010, "5.01 kB"),
        (2 * 10**9, "2 GB"),
        (10**16, "10 PB"),
    ],
)
def test_sizes_are_for_people(size, shown):
    assert html._bytes(size) == shown
