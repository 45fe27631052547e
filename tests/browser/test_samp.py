"""Results sent to programs on the reader's machine, by a real hub of the SAMP Web Profile."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from browser import gallery
from browser.elsewhere import client_alone
from browser.guide import SIZE, shot
from browser.samp import IMAGE, PORT, TABLE, VOTABLE, hub, program
from browser.sites import say_site
from browser.tab import Tab, opened
from servers import Site, eventually, free_port


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with say_site(folder, free_port(), auth="anonymous = false") as one:
        one.describe("gallery", gallery.SCRIPT, gallery.WADL)
        one.opus("user", "add", "ann")
        one.serve()
        yield one


@pytest.fixture(scope="module")
def token(site) -> str:
    return site.opus("token", "add", "ann").stdout.strip()


@pytest.fixture(scope="module")
def job(site, token) -> str:
    """The path of a job with results of all kinds."""
    headers = {"Authorization": f"Bearer {token}"}
    made = site.post("/rest/gallery", {"PHASE": "RUN"}, headers=headers).location
    path = made.removeprefix(site.url)
    eventually(lambda: site.get(f"{path}/phase", headers=headers).text == "COMPLETED")
    return path


@pytest.fixture
def ann(site, tab) -> Tab:
    # Where the hub would be, and is not in one of the tests.
    tab.expected = [f"localhost:{PORT}"]
    return tab.sign_in(site, "ann")


def offer(tab: Tab, file: str) -> Any:
    """The panel of a result, opened."""
    item = tab.page.locator("[data-results] li", has_text=file)
    item.get_by_text("Send to a program").click()
    return item


def loaded(url: str) -> bytes:
    """As another program does it, which knows nothing of who has signed in."""
    with urllib.request.urlopen(url) as answer:
        return answer.read()


def test_a_table_arrives_where_it_was_sent(site, job, ann, tmp_path):
    with hub(tmp_path) as answer, program("<b>TOPCAT</b>", VOTABLE) as told:
        ann.open(site.url + job)
        item = offer(ann, "stars.vot")
        ann.until(lambda: item.get_by_role("button", name="<b>TOPCAT</b>").is_visible())
        assert answer.asked == ["OPUS"]
        ann.accessible()
        item.get_by_role("button", name="<b>TOPCAT</b>").click()
        item.get_by_text("Sent to <b>TOPCAT</b>.").wait_for()
        kind, parameters = told.get(timeout=10)
        assert kind == VOTABLE
        assert parameters["name"] == "stars.vot"
        assert parameters["url"].startswith(f"{site.url}{job}/results/stars?TICKET=")
        assert parameters["table-id"] == parameters["url"]
        assert loaded(parameters["url"]).decode() == gallery.VOTABLE
        with pytest.raises(urllib.error.HTTPError):
            loaded(parameters["url"].replace("/stars?", "/coded?"))
        # The page is asked for once, whatever is sent.
        other = offer(ann, "coded.vot")
        other.get_by_role("button", name="<b>TOPCAT</b>").click()
        assert told.get(timeout=10)[1]["name"] == "coded.vot"
        assert answer.asked == ["OPUS"]


def test_a_fits_file_is_an_image_to_one_and_a_table_to_another(site, job, ann, tmp_path):
    with (
        hub(tmp_path),
        program("Aladin", IMAGE) as aladin,
        program("TOPCAT", TABLE, VOTABLE) as topcat,
    ):
        ann.open(site.url + job)
        item = offer(ann, "sky.fits")
        ann.until(lambda: item.locator("[data-send-place] li").count() == 2)
        item.get_by_role("button", name="Aladin as an image").click()
        kind, parameters = aladin.get(timeout=10)
        assert (kind, parameters["image-id"]) == (IMAGE, parameters["url"])
        assert loaded(parameters["url"]) == gallery.fits()
        item.get_by_role("button", name="TOPCAT as a table").click()
        assert topcat.get(timeout=10)[0] == TABLE


def test_who_does_not_want_it_is_not_sent_anything(site, job, ann, tmp_path):
    ann.open(site.url + job)
    item = offer(ann, "stars.vot")
    item.get_by_text("No program answers on this machine").wait_for()
    ann.accessible()
    with hub(tmp_path, allows=False):
        item.get_by_role("button", name="Look again").click()
        item.get_by_text("It was refused:").wait_for()
    with hub(tmp_path), program("Aladin", IMAGE):
        item.get_by_role("button", name="Look again").click()
        item.get_by_text("No program that is running takes such a file").wait_for()
        with program("TOPCAT", VOTABLE) as told:
            item.get_by_role("button", name="Look again").click()
            item.get_by_role("button", name="TOPCAT").click()
            assert told.get(timeout=10)[0] == VOTABLE
            assert ann.focus() == "TOPCAT"


def test_what_is_neither_is_not_offered(site, job, ann):
    ann.open(site.url + job)
    items = ann.page.locator("[data-results] li")
    ann.until(lambda: items.count() > 10)
    offers = ann.page.locator("[data-results] li", has=ann.page.locator("[data-send-of]:visible"))
    names = offers.locator("[data-text=file]").all_inner_texts()
    assert set(names) == {"stars.vot", "coded.vot", "apart.vot", "sky.fits", "broken.fits"}


def test_a_hub_that_has_gone_meanwhile(site, job, ann, tmp_path):
    ann.open(site.url + job)
    with hub(tmp_path), program("TOPCAT", VOTABLE):
        item = offer(ann, "stars.vot")
        button = item.get_by_role("button", name="TOPCAT")
        button.wait_for()
    button.click()
    item.get_by_text("It was not sent:").wait_for()


def test_a_result_of_another_server(site, token, job, tab, tmp_path):
    tab.expected = [f"localhost:{PORT}", "401"]
    with client_alone(tmp_path / "client", free_port(), site.url) as client:
        service = f"{site.url}/rest/gallery"
        tab.open(f"{client.url}/services/job?SERVICE={service}&ID={job.rpartition('/')[2]}")
        tab.page.locator("[data-credentials] summary").click()
        tab.page.get_by_label("Password, or token").fill(token)
        tab.page.keyboard.press("Enter")
        tab.page.locator("[data-results] li").first.wait_for()
        with hub(tmp_path), program("TOPCAT", VOTABLE) as told:
            offer(tab, "stars.vot").get_by_role("button", name="TOPCAT").click()
            _, parameters = told.get(timeout=10)
        assert loaded(parameters["url"]).decode() == gallery.VOTABLE


def test_the_picture_of_it_in_the_guide(site, job, chromium, tmp_path):
    with opened(chromium, viewport=SIZE, timezone_id="Europe/Paris") as tab:
        tab.expected = [f"localhost:{PORT}"]
        tab.sign_in(site, "ann").open(site.url + job)
        with hub(tmp_path), program("Aladin", IMAGE), program("TOPCAT", TABLE, VOTABLE):
            item = offer(tab, "sky.fits")
            item.get_by_role("button", name="Aladin").click()
            item.get_by_text("Sent to Aladin.").wait_for()
            item.scroll_into_view_if_needed()
            shot(tab, "programs")
