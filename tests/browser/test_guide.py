"""The user guide: what it says can be done is done here, and its pictures are taken.

`OPUS_GUIDE=docs/user-guide/images` takes them anew; else they only have to be there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from browser.elsewhere import client_alone
from browser.foreign import foreign
from browser.guide import GUIDE, ROOT, SIZE, shot
from browser.sites import say_site
from browser.tab import Tab, opened
from servers import Site, free_port


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with say_site(folder, free_port(), auth="anonymous = false") as one:
        one.opus("jdl", "withdraw", "say")
        for example in ("periodogram", "fitsheader"):
            source = ROOT / "examples" / example
            document = (source / "definition.wadl").read_text()
            one.describe(example, (source / "script").read_text(), document)
        one.opus("user", "add", "ann")
        one.opus("user", "add", "eve", "--role", "admin")
        one.serve()
        yield one


@contextmanager
def signed_in(site: Site, chromium, user: str) -> Iterator[Tab]:
    with opened(chromium, viewport=SIZE, timezone_id="Europe/Paris") as tab:
        yield tab.sign_in(site, user)


@pytest.fixture
def ann(site, chromium) -> Iterator[Tab]:
    """A scientist."""
    with signed_in(site, chromium, "ann") as tab:
        yield tab


@pytest.fixture
def eve(site, chromium) -> Iterator[Tab]:
    """An admin."""
    with signed_in(site, chromium, "eve") as tab:
        yield tab


def test_running_jobs(site, ann):
    ann.open(f"{site.url}/")
    shot(ann, "first-page")
    for name, longest in (("first look", "100"), ("shorter", "60"), ("once more", "80")):
        ann.open(f"{site.url}/")
        ann.page.get_by_role("link", name="New job: periodogram").first.click()
        ann.page.get_by_label("longest", exact=True).fill(longest)
        ann.page.get_by_text("How to run it").click()
        ann.page.get_by_label("Name of this run").fill(name)
        ann.page.get_by_role("button", name="Run", exact=True).click()
        ann.page.wait_for_url(re.compile("/rest/periodogram/[0-9a-f]{32}$"))
    ann.until(lambda: ann.text(".state .phase") == "COMPLETED")
    image = ann.page.locator("[data-results] img").first
    ann.until(lambda: image.evaluate("one => one.naturalWidth") > 0)
    shot(ann, "job")
    ann.page.get_by_role("link", name="My jobs").first.click()
    ann.until(lambda: ann.page.locator("tbody tr").count() == 3)
    ann.page.get_by_role("checkbox", name="Select shorter").check()
    ann.page.get_by_role("checkbox", name="Select first look").check()
    ann.page.get_by_text("Live", exact=True).wait_for()
    shot(ann, "jobs")


def test_jobs_of_other_servers(site, chromium, tmp_path):
    with (
        foreign(recent=True) as service,
        client_alone(tmp_path / "client", free_port(), service) as client,
        opened(chromium, viewport=SIZE, timezone_id="Europe/Paris") as tab,
    ):
        tab.open(f"{client.url}/services/new?SERVICE={service}")
        tab.page.get_by_label("Name of parameter 1").fill("LANG")
        tab.page.get_by_label("Value of parameter 1").fill("ADQL")
        tab.page.get_by_role("button", name="Another value").click()
        tab.page.get_by_label("Name of parameter 2").fill("QUERY")
        tab.page.get_by_label("Value of parameter 2").fill("SELECT TOP 10 * FROM stars")
        shot(tab, "elsewhere")


def test_describing_jobs(site, eve):
    eve.open(f"{site.url}/edit/periodogram")
    eve.page.locator("[data-preview-place]").get_by_text("longest", exact=True).wait_for()
    eve.page.mouse.wheel(0, 330)
    eve.page.wait_for_timeout(200)
    shot(eve, "editor")
    eve.page.locator("[data-list=parameters] [data-key=default]").first.fill("3")
    eve.page.get_by_role("button", name="Save draft").click()
    eve.page.get_by_text("The draft is saved.").wait_for()
    eve.open(f"{site.url}/edit/periodogram/versions?FROM=1&TO=draft")
    eve.page.get_by_text("+parameters 1.default: 3").wait_for()
    shot(eve, "versions")


def test_the_guide_shows_all_its_pictures_and_no_others():
    texts = [one.read_text() for one in GUIDE.glob("*.md")]
    named = {one for text in texts for one in re.findall(r"!\[[^\]]+\]\(images/([^)]+)\)", text)}
    assert named == {one.name for one in (GUIDE / "images").iterdir()}
