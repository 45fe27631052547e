"""The page of a job: what it shows while a job lives, and what can be done there."""

from __future__ import annotations

import hashlib
import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from browser import gallery
from browser.sites import say_site
from browser.tab import Tab
from servers import Site, eventually, free_port

pytestmark = pytest.mark.takes(110)

EXAMPLE = Path(__file__).parents[2] / "examples" / "periodogram"
COMPLETED = "COMPLETED"
READ = """
async (text) => {
  const style = document.querySelector("link[rel=stylesheet]").href;
  const { readVotable } = await import(new URL("votable.js", style).href);
  return readVotable(text).rows;
}
"""
# 100,000 lines, of which some come only after a while.
LOUD = (
    'seq 1 60000; sleep 2; seq 60001 100000; printf "50%%\\r100%%\\nno end"; echo done >"$output"'
)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    with say_site(tmp_path_factory.mktemp("site"), free_port()) as one:
        one.describe("gallery", gallery.SCRIPT, gallery.WADL)
        one.describe("loud", LOUD, gallery.only("output", "loud"))
        wadl = (EXAMPLE / "definition.wadl").read_text()
        one.describe("periodogram", (EXAMPLE / "script").read_text(), wadl)
        one.serve()
        yield one


@pytest.fixture(scope="module")
def shown(site) -> str:
    """The job with a result of every kind."""
    job = site.create("gallery")
    assert site.wait(job) == COMPLETED
    return job


def phase(tab: Tab) -> str:
    return tab.text(".state .phase")


def until(tab: Tab, wanted: str) -> None:
    tab.until(lambda: phase(tab) == wanted)


def value(tab: Tab, name: str) -> str:
    """What the page says of a parameter."""
    row = tab.page.locator("[data-parameter-row]", has=tab.page.get_by_text(name, exact=True))
    return row.locator(".value").inner_text()


def output(tab: Tab, name: str) -> str:
    return tab.page.text_content(f"[data-output={name}]")


# -- journeys


def gone(tab: Tab) -> None:
    """From now on its page may ask for what a job has printed, and whether there is more to come,
    and be told that there is no such job."""
    tab.check()
    tab.expected = ["/stdout", "/stderr", "/phase"]


def test_from_the_first_page_to_a_result_and_once_more_and_away(site, tab):
    tab.open(f"{site.url}/")
    clicks = ["New job: periodogram", "Run"]
    tab.page.get_by_role("link", name=clicks[0]).first.click()
    tab.page.get_by_role("button", name=clicks[1], exact=True).click()
    assert len(clicks) <= 3
    until(tab, COMPLETED)
    assert tab.page.title().startswith("COMPLETED: ")
    tab.page.locator("[data-results] img").first.wait_for()
    tab.page.get_by_role("link", name="Run again…").click()
    tab.page.get_by_role("button", name="Run", exact=True).click()
    until(tab, COMPLETED)
    first, second = site.jobs("periodogram")
    assert first != second
    gone(tab)
    tab.page.get_by_role("button", name="Delete…").click()
    tab.page.get_by_role("button", name="Delete it").click()
    tab.page.wait_for_url(re.compile("/rest/periodogram$"))
    eventually(lambda: len(site.jobs("periodogram")) == 1)
    tab.until(lambda: tab.page.locator("tbody tr").count() == 1)


def test_all_of_it_can_be_done_by_keyboard_alone(site, tab):
    keys = tab.page.keyboard

    tab.open(f"{site.url}/")
    tab.to("New job: periodogram")
    keys.press("Enter")
    tab.page.wait_for_url(re.compile("/new/periodogram$"))
    tab.to("Run")
    keys.press("Enter")
    tab.page.wait_for_url(re.compile("/rest/periodogram/[0-9a-f]{32}$"))
    until(tab, COMPLETED)
    job = tab.page.url
    tab.to("Run again…")
    keys.press("Enter")
    tab.page.wait_for_url(re.compile("/new/periodogram/"))
    tab.page.go_back()
    until(tab, COMPLETED)
    tab.to("Delete…")
    keys.press("Enter")
    assert tab.focus() == "Keep it"
    keys.press("Escape")
    assert site.get(f"{job}/phase").status == 200
    gone(tab)
    keys.press("Enter")
    keys.press("Shift+Tab")
    keys.press("Enter")
    tab.page.wait_for_url(re.compile("/rest/periodogram$"))
    eventually(lambda: site.get(f"{job}/phase").status == 404)


def test_a_job_is_followed_from_its_start_to_its_end(site, tab):
    job = site.create("say", {"text": "hello", "lines": "40", "RUNID": "followed"}, run=False)
    tab.open(job)
    until(tab, "PENDING")
    assert "not started" in tab.text(".state")
    tab.page.get_by_role("button", name="Run", exact=True).click()
    until(tab, "EXECUTING")
    assert tab.page.title().startswith("EXECUTING: followed, say")
    tab.until(lambda: "line 10" in output(tab, "stdout"))
    assert "line 40" not in output(tab, "stdout"), "it comes while it is written"
    assert "running for" in tab.text(".course")
    until(tab, COMPLETED)
    tab.until(lambda: "line 40 é\nend" in output(tab, "stdout"))
    assert [one for one in tab.texts(".course li") if "for" in one][1].startswith("ran for")
    assert "The job wrote nothing to it." in output(tab, "stderr")
    tab.until(lambda: tab.texts("[data-results] pre") == ["hello"])


@pytest.mark.parametrize("listed", ["true", "false"])
def test_a_job_of_nobody_is_followed_even_where_no_list_has_it(tmp_path, tab, listed):
    auth = f"anonymous = true\nanonymous_list = {listed}"
    with say_site(tmp_path / "site", free_port(), auth) as site:
        site.serve()
        job = site.create("say", {"seconds": "1"}, run=False)
        tab.open(job)
        until(tab, "PENDING")
        asked = []
        tab.page.on("request", lambda one: asked.append(one.url))
        tab.page.wait_for_timeout(1000)
        site.post(f"{job}/phase", {"PHASE": "RUN"})
        began = datetime.now()
        until(tab, "EXECUTING")
        until(tab, COMPLETED)
        assert datetime.now() - began < timedelta(seconds=6), "at once, and not when asked again"
        assert any("/changes" in one for one in asked) == (listed == "true")


def test_a_job_can_be_aborted(site, tab):
    job = site.create("say", {"seconds": "60"})
    tab.open(job)
    until(tab, "EXECUTING")
    tab.page.get_by_role("button", name="Abort").click()
    until(tab, "ABORTED")
    assert not tab.page.get_by_role("button", name="Abort").is_visible()


def test_a_failure_is_told_in_plain_words(site, tab):
    job = site.create("say", {"code": "3"})
    tab.open(job)
    until(tab, "ERROR")
    tab.page.get_by_text("the script ended with exit code 3").wait_for()


def test_what_waits_says_why(site, tab):
    busy = [site.create("say", {"seconds": "30"}) for _ in range(4)]  # as many as run at once
    for one in busy:
        site.wait(one, {"EXECUTING"})
    job = site.create("say")
    tab.open(job)
    until(tab, "QUEUED")
    tab.until(lambda: "waiting for its turn" in tab.text(".state"))
    assert "waiting for" in tab.text(".course")
    for one in busy:
        site.request("DELETE", one)
    until(tab, COMPLETED)


def test_a_job_that_is_gone_says_so(site, tab):
    job = site.create("say", run=False)
    tab.open(job)
    tab.page.get_by_text("Live", exact=True).wait_for()
    site.request("DELETE", job)
    tab.page.get_by_text("This job has been deleted.").wait_for()


def test_nobody_asks_any_longer_about_a_job_that_is_gone(site, tab):
    job = site.create("say", {"lines": "400"})
    tab.open(job)
    tab.until(lambda: "line 3" in output(tab, "stdout"))
    gone(tab)
    tab.expected.append(job)  # it may be read once before the page knows
    site.request("DELETE", job)
    tab.page.get_by_text("This job has been deleted.").wait_for()
    tab.page.wait_for_timeout(500)  # for what was on its way
    asked = []
    tab.page.on("request", lambda request: asked.append(request.url))
    tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")
    tab.page.wait_for_timeout(4000)  # more than is between two readings of what runs
    assert [one for one in asked if one.startswith(job)] == []


# -- what can be changed


def test_a_job_that_waits_for_its_user_can_be_changed(site, tab):
    job = site.create("say", {"text": "before", "seconds": "0"}, run=False)
    tab.open(job)
    tab.page.get_by_role("button", name="Change text").click()
    area = tab.page.get_by_role("textbox", name="New value of text")
    assert area.input_value() == "before"
    area.fill("after\nthat")
    tab.page.get_by_role("button", name="Save").click()
    tab.until(lambda: value(tab, "text") == "after\nthat")
    tab.page.locator("[data-opens=limit]").click()
    tab.page.get_by_label("Longest time it may run, in seconds").fill("90")
    tab.page.keyboard.press("Enter")
    tab.until(lambda: "1 min 30 s" in tab.text("[aria-labelledby=limits]"))
    now = site.document(job)
    assert now["executionDuration"] == 90
    assert [one["value"] for one in now["parameters"]][:1] == ["after\nthat"]
    tab.page.get_by_role("button", name="Run", exact=True).click()
    until(tab, COMPLETED)
    assert tab.page.get_by_role("button", name="Change text").count() == 0
    assert not tab.page.locator("[data-opens=limit]").is_visible()


def test_a_value_that_is_wrong_is_told_and_kept(site, tab):
    tab.expected = ["400"]
    job = site.create("say", run=False)
    tab.open(job)
    tab.page.get_by_role("button", name="Change seconds").click()
    tab.page.get_by_role("textbox", name="New value of seconds").fill("many")
    tab.page.get_by_role("button", name="Save").click()
    alert = tab.page.get_by_role("alert").get_by_text("seconds")
    alert.wait_for()
    tab.page.evaluate("document.dispatchEvent(new Event('visibilitychange'))")  # it is read again
    tab.page.wait_for_timeout(500)
    assert alert.is_visible(), "until something else is done"
    assert tab.page.get_by_role("textbox", name="New value of seconds").input_value() == "many"


def test_it_can_be_kept_for_longer(site, tab):
    job = site.create("say")
    assert site.wait(job) == COMPLETED
    until_day = datetime.now() + timedelta(days=3)
    tab.open(job)
    tab.page.locator("[data-opens=kept]").click()
    tab.page.get_by_label("Keep it until the end of").fill(f"{until_day:%Y-%m-%d}")
    tab.page.keyboard.press("Enter")
    tab.until(lambda: f"{until_day:%Y-%m-%d} 23:59:59" in tab.text("[aria-labelledby=limits]"))
    assert tab.page.evaluate("document.activeElement.dataset.opens") == "kept"
    kept = datetime.fromisoformat(site.document(job)["destruction"]).astimezone()
    assert f"{kept:%Y-%m-%d %H:%M:%S}" == f"{until_day:%Y-%m-%d} 23:59:59"


def test_files_and_long_texts_are_linked(site, tab):
    long = "y" * 300_000
    body = (
        b'--b\r\nContent-Disposition: form-data; name="text"\r\n\r\n'
        + long.encode()
        + b"\r\n--b--\r\n"
    )
    kind = {"Content-Type": "multipart/form-data; boundary=b"}
    job = site.request("POST", "/rest/say", body=body, headers=kind).location
    tab.open(job)
    link = tab.page.get_by_role("link", name="text", exact=True)
    link.wait_for()
    assert site.get(link.get_attribute("href")).text == long
    row = tab.text("[data-parameter-row]")
    assert "300 kB" in row
    assert hashlib.sha256(long.encode()).hexdigest() in row


# -- results


def opened(tab: Tab, name: str):
    item = tab.page.locator(
        "[data-results] li", has=tab.page.locator(f"a[href$='/results/{name}']")
    )
    preview = item.locator("[data-preview-of]")
    if preview.get_attribute("open") is None:
        preview.locator("summary").first.click()
    return item


def test_results_are_shown_for_what_they_are(site, tab, shown):
    tab.open(shown)
    image = opened(tab, "picture").locator("img")
    tab.until(lambda: image.evaluate("one => one.naturalWidth") == 40)
    assert image.get_attribute("alt") == "What picture shows"
    tab.until(lambda: opened(tab, "pixels").locator("img").evaluate("one => one.naturalWidth") == 1)
    rows = opened(tab, "table").locator("tr")
    tab.until(lambda: rows.count() == 3)
    assert rows.nth(0).locator("th").all_inner_texts() == ["name", "flux", 'a "word", or two']
    assert rows.nth(1).locator("td").all_inner_texts() == ["first", "1.5", gallery.HOSTILE]
    rows = opened(tab, "stars").locator("tr")
    tab.until(lambda: rows.count() == 3)
    assert rows.nth(0).locator("th").all_inner_texts() == ["name", "ra [deg]"]
    assert rows.nth(2).locator("td").all_inner_texts() == ["Barnard <b>", "269.45"]
    rows = opened(tab, "coded").locator("tr")
    tab.until(lambda: rows.count() == 3)
    found = [rows.nth(number).locator("td").all_inner_texts() for number in (1, 2)]
    assert found == gallery.CODED_ROWS
    opened(tab, "apart").get_by_text("written in BINARY2").wait_for()
    sky = opened(tab, "sky")
    tab.until(lambda: sky.locator("details details").count() == 2)
    sky.get_by_text("HDU 1: BINTABLE EVENTS").wait_for()
    sky.locator("details details").first.locator("summary").click()
    row = sky.get_by_role("row", name="OBJECT")
    assert row.locator("td").all_inner_texts()[0] == "M 31's core"
    assert "\ufffdtxet" in opened(tab, "notes").locator("pre").inner_text()
    assert "<script>" in opened(tab, "page").locator("pre").inner_text()
    opened(tab, "broken").get_by_text("It cannot be shown: a header without END.").wait_for()
    opened(tab, "empty").get_by_text("The file is empty.").wait_for()
    packed = tab.page.locator("[data-results] li", has_text="packed.bin")
    assert not packed.locator("[data-preview-of] > summary").is_visible()
    assert "owned" not in tab.page.title()


def test_rows_without_a_mask_are_read_as_well(site, tab):
    tab.open(f"{site.url}/")
    rows = tab.page.evaluate(READ, gallery.PLAIN)
    assert rows == [gallery.CODED_ROWS[0], ["0", *gallery.CODED_ROWS[1][1:]]]


def test_no_script_of_a_job_is_run_by_a_page(site, tab, shown):
    tab.expected = ["MIME type"]
    tab.open(shown)
    loaded = tab.page.evaluate(
        """(src) => new Promise((resolve) => {
          const script = Object.assign(document.createElement("script"), { src });
          script.onload = () => resolve(true);
          script.onerror = () => resolve(false);
          document.head.append(script);
        })""",
        f"{shown}/results/code",
    )
    assert loaded is False
    assert "owned" not in tab.page.title()


def test_all_results_come_in_one_file(site, tab, shown):
    tab.open(shown)
    with tab.page.expect_download() as download:
        tab.page.get_by_role("link", name="All of them as ZIP").click()
    assert download.value.suggested_filename.startswith("gallery-")
    archive = zipfile.ZipFile(download.value.path())
    assert archive.testzip() is None
    found = {one.rpartition(".")[0]: archive.read(one) for one in archive.namelist()}
    assert found == gallery.FILES
    answer = site.get(f"{shown}/results.zip")
    assert zipfile.ZipFile(io.BytesIO(answer.body)).namelist() == archive.namelist()


# -- what it writes


def test_a_hundred_thousand_lines_are_followed(site, tab):
    job = site.create("loud")
    tab.open(job)
    log = tab.page.locator("[data-output=stdout] [data-log]")
    tab.until(lambda: "60000\n" in log.text_content() or "100000" in log.text_content(), 60)
    tab.until(lambda: log.text_content().endswith("100000\n100%\nno end"), 60)
    assert "50%" not in log.text_content(), "a bar of progress shows its last state"
    at_end = "one => one.scrollHeight - one.scrollTop - one.clientHeight < 40"
    assert log.evaluate(at_end), "it stays at the end"
    assert log.text_content().count("\n") <= 10_200
    began = datetime.now()
    log.evaluate("one => { one.scrollTop = 0; }")
    tab.until(lambda: not tab.page.get_by_label("Stay at the end").first.is_checked())
    assert datetime.now() - began < timedelta(seconds=5)
    tab.page.get_by_label("Stay at the end").first.check()
    assert log.evaluate(at_end)


# -- as code


def test_the_code_for_the_same_job_makes_it(site, tab, tmp_path):
    said = 'it\'s "100%" $HOME `x` \\ é\nline 2'
    job = site.create("say", {"text": said, "RUNID": "again"}, run=False)
    tab.open(job)
    tab.page.locator("[data-snippets] > summary").click()
    tab.until(lambda: tab.page.locator("#as-javascript").input_value())
    areas = {
        one: tab.page.locator(f"#as-{one}").input_value()
        for one in ("curl", "python", "javascript")
    }
    script = tmp_path / "job.mjs"
    library = tmp_path / "uwsLib.mjs"
    library.write_bytes(site.get("/static/uwsLib.js").body)
    served = f"{site.url}/static/uwsLib.js"
    assert served in areas["javascript"]
    script.write_text(areas["javascript"].replace(served, "./uwsLib.mjs"))
    node = shutil.which("node")
    commands = [
        ["bash", "-c", areas["curl"]],
        [sys.executable, "-c", areas["python"]],
        [node, script],
    ]
    before = set(site.jobs("say"))
    for command in commands:
        subprocess.run(command, check=True, timeout=60, capture_output=True)
        (made,) = set(site.jobs("say")) - before
        before.add(made)
        assert site.wait(f"/rest/say/{made}") == COMPLETED
        document = site.document(f"/rest/say/{made}")
        given = {one["id"]: one["value"] for one in document["parameters"]}
        assert (given["text"], document["runId"]) == (said, "again")


# -- for everybody


def test_hostile_values_do_nothing(site, tab):
    said = f"{gallery.HOSTILE}\n\u202egnp.exe " + "x" * 3000
    job = site.create("say", {"text": said, "RUNID": gallery.HOSTILE[:60]})
    assert site.wait(job) == COMPLETED
    tab.open(job)
    tab.until(lambda: value(tab, "text").startswith(f"{gallery.HOSTILE}\n\ufffdgnp.exe xxx"))
    tab.page.get_by_role("link", name=f"all {len(said)} characters").wait_for()
    assert gallery.HOSTILE[:60] in tab.text("h1")
    assert "owned" not in tab.page.title().replace(gallery.HOSTILE[:60], "")
    tab.accessible(color_contrast="<pre")


@pytest.mark.parametrize("what", ["pending", "done", "failed", "editing", "deleting", "gone"])
def test_everybody_can_use_it(site, tab, shown, what):
    job = shown
    if what != "done":
        job = site.create("say", {"code": "1", "lines": "20"}, run=what == "failed")
    if what == "failed":
        site.wait(job)
    tab.open(job)
    tab.page.get_by_text("Live", exact=True).wait_for()
    if what == "editing":
        for button in tab.page.locator("[data-do=change], [data-opens]").all():
            button.click()
        tab.page.locator("[data-snippets] > summary").click()
    if what == "deleting":
        tab.page.get_by_role("button", name="Delete…").click()
    if what == "done":
        for name in ("table", "stars", "sky", "notes", "empty"):
            opened(tab, name)
        tab.page.wait_for_timeout(500)
    if what == "gone":
        site.request("DELETE", job)
        tab.page.get_by_text("This job has been deleted.").wait_for()
    # What lies behind a dialog, or is scrolled away, has no contrast that could be told.
    tab.accessible(color_contrast="<" if what == "deleting" else "<pre")
