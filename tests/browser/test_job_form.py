"""The form for a new job, as somebody fills it in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.sites import WADL, say_site
from browser.tab import Tab, opened
from servers import Site, eventually, free_port

COMPLETED = "COMPLETED"
PARAMETERS = """
   <param style="query" name="word" type="xs:string" required="true"/>
   <param style="query" name="number" type="xs:int" default="5"><doc>How often</doc></param>
   <param style="query" name="speed" type="xs:double" default="1.5"/>
   <param style="query" name="colour" type="xs:string" default="red">
    <option value="red"/><option value="blue"/></param>
   <param style="query" name="note" type="xs:string" default="a note"/>
   <param style="query" name="many" type="xs:string" repeating="true"/>
   <param style="query" name="table" type="file"/>
"""
FORM = re.sub(r'   <param style="query".*?/>\n(?=  </request>)', PARAMETERS, WADL, flags=re.DOTALL)
FORM = FORM.replace('path="say"', 'path="form"')
SCRIPT = 'wc -c <"${table:-/dev/null}" >"$output"; echo "$word" >>"$output"'
LARGE = 200_000_000  # [byte]


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    with say_site(tmp_path_factory.mktemp("site"), free_port()) as one:
        one.describe("form", SCRIPT, FORM)
        one.serve()
        yield one


def fields(tab: Tab):
    return tab.page.locator("form[data-new-job]")


def run(tab: Tab) -> None:
    tab.page.get_by_role("button", name="Run", exact=True).click()


def job_of(tab: Tab) -> str:
    """The address of the job whose page is there now."""
    tab.page.wait_for_url(re.compile("/rest/[a-z]+/[0-9a-f]{32}$"))
    return tab.page.url


def values(site: Site, job: str) -> dict[str, str]:
    return {one["id"]: one.get("value") for one in site.document(job)["parameters"]}


def test_what_is_filled_in_is_what_the_job_gets(site, tab, tmp_path):
    table = tmp_path / "täble.csv"
    table.write_text("x,y\n")
    tab.open(f"{site.url}/new/form")
    tab.page.get_by_label("word").fill("héllo <b>")
    tab.page.get_by_label("number").fill("7")
    tab.page.get_by_label("colour").select_option("blue")
    tab.page.get_by_label("note").fill("")
    tab.page.get_by_label("many, value 1").fill("one")
    tab.page.get_by_label("many, value 2").fill("two")
    tab.page.get_by_role("button", name="Another value").click()
    assert tab.page.evaluate("document.activeElement.ariaLabel") == "many, value 3"
    tab.page.keyboard.type("three")
    tab.page.get_by_label("table").set_input_files(table)
    tab.page.get_by_text("How to run it").click()
    tab.page.get_by_label("Name of this run").fill("filled in")
    run(tab)
    job = job_of(tab)
    document = site.document(job)
    given = [(one["id"], one.get("value", one.get("file"))) for one in document["parameters"]]
    assert given == [
        ("word", "héllo <b>"),
        ("number", "7"),
        ("speed", "1.5"),
        ("colour", "blue"),
        ("note", ""),
        ("many", "one"),
        ("many", "two"),
        ("many", "three"),
        ("table", "täble.csv"),
    ]
    assert document["runId"] == "filled in"
    assert site.wait(job) == COMPLETED
    assert site.get(f"{job}/results/output").text == "4\nhéllo <b>\n"


def test_what_is_wrong_is_told_at_the_field_and_nothing_is_lost(site, tab, tmp_path):
    table = tmp_path / "table.csv"
    table.write_text("x")
    tab.expected = ["400"]
    tab.open(f"{site.url}/new/form?number=many&speed=fast")
    tab.page.get_by_label("word").fill("kept")
    tab.page.get_by_label("table").set_input_files(table)
    run(tab)
    summary = tab.page.locator("[data-summary]")
    summary.get_by_text("No job was made.").wait_for()
    assert summary.evaluate("one => one === document.activeElement"), "who cannot see it hears it"
    links = summary.get_by_role("link")
    tab.until(lambda: links.count() == 2)
    number = tab.page.get_by_label("number")
    assert number.get_attribute("aria-invalid") == "true"
    described = number.get_attribute("aria-describedby").split()
    assert any("number: 'many' is not" in tab.text(f"[id='{one}']") for one in described)
    links.first.click()
    assert number.evaluate("one => one === document.activeElement")
    tab.accessible()
    number.fill("3")
    tab.page.get_by_label("speed").fill("2")
    run(tab)
    job = job_of(tab)
    assert values(site, job)["word"] == "kept"
    assert site.wait(job) == COMPLETED
    assert site.get(f"{job}/results/output").text == "1\nkept\n"


def test_without_scripts_it_works_as_well(site, chromium):
    with opened(chromium, java_script_enabled=False) as tab:
        tab.expected = ["400"]
        tab.open(f"{site.url}/new/form?number=many")
        tab.page.get_by_label("word").fill("plain")
        run(tab)
        tab.page.get_by_role("link", name=re.compile("number: 'many' is not")).wait_for()
        assert tab.page.get_by_label("word").input_value() == "plain"
        tab.page.get_by_label("number").fill("4")
        run(tab)
        assert values(site, job_of(tab))["number"] == "4"


def test_what_is_required_is_asked_for_before_anything_is_sent(site, tab):
    tab.open(f"{site.url}/new/form")
    before = len(site.jobs("form"))
    run(tab)
    assert tab.page.evaluate("document.activeElement.name") == "word"
    assert len(site.jobs("form")) == before


def test_a_large_file_tells_how_far_it_is_and_can_be_stopped(site, tab, tmp_path):
    table = tmp_path / "large.bin"
    with table.open("wb") as file:
        file.truncate(LARGE)
    before = len(site.jobs("form"))

    def kept() -> set[Path]:
        """The files of all jobs, and what is on its way to become one."""
        return {
            one
            for one in (site.folder / "data").rglob("*")
            if one.is_file() and "/jobs/" in str(one)
        }

    files = kept()
    tab.expected = ["ERR_ABORTED", "ERR_FAILED"]
    session = tab.context.new_cdp_session(tab.page)
    session.send("Network.enable")
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1}
    slow["uploadThroughput"] = 20_000_000
    session.send("Network.emulateNetworkConditions", slow)
    tab.open(f"{site.url}/new/form")
    tab.page.get_by_label("word").fill("large")
    tab.page.get_by_label("table").set_input_files(table)
    run(tab)
    sent = tab.page.locator("[data-sending]")
    percent = re.compile(r"of 200 MB sent, ([1-9]\d?) %")
    sent.get_by_text(percent).wait_for()
    tab.page.get_by_role("button", name="Cancel").click()
    tab.until(lambda: not sent.is_visible())
    assert len(site.jobs("form")) == before
    eventually(lambda: kept() == files)
    slow["uploadThroughput"] = -1
    session.send("Network.emulateNetworkConditions", slow)
    run(tab)
    job = job_of(tab)
    assert site.wait(job) == COMPLETED
    assert site.get(f"{job}/results/output").text == f"{LARGE}\nlarge\n"


def test_a_file_that_is_too_large_is_not_sent(tmp_path, chromium):
    table = tmp_path / "table"
    table.write_bytes(b"x" * 2000)
    with say_site(tmp_path / "site", free_port()) as site:
        site.configure(jobs="max_upload = 1000")
        site.describe("form", SCRIPT, FORM)
        site.serve()
        with opened(chromium) as tab:
            tab.open(f"{site.url}/new/form")
            tab.page.get_by_label("word").fill("x")
            tab.page.get_by_label("table").set_input_files(table)
            asked = []
            tab.page.on("request", lambda request: asked.append(request.method))
            run(tab)
            tab.page.get_by_text("The files have 2 kB; this server takes 1 kB.").wait_for()
            assert "POST" not in asked


def test_a_network_that_fails_makes_no_second_job(site, tab):
    tab.expected = ["ERR_FAILED", "ERR_CONNECTION"]
    tab.open(f"{site.url}/new/form")
    tab.page.get_by_label("word").fill("once")
    before = set(site.jobs("form"))

    def lose(route) -> None:
        route.fetch(max_redirects=0)  # it arrives, and its answer does not
        route.abort()

    tab.page.route("**/rest/form", lose)
    run(tab)
    tab.page.get_by_text("could not be reached").wait_for()
    tab.page.unroute("**/rest/form")
    run(tab)
    job_of(tab)
    assert len(set(site.jobs("form")) - before) == 1


def test_a_file_may_be_given_by_its_address(tmp_path, chromium):
    with say_site(tmp_path / "site", free_port()) as site:
        site.configure(jobs='fetch_hosts = ["127.0.0.1"]', supervisor="lease_seconds = 3")
        site.describe("form", SCRIPT, FORM)
        site.serve()
        source = f"{site.url}/static/uwsLib.js"
        with opened(chromium) as tab:
            tab.open(f"{site.url}/new/form?word=far")
            tab.page.get_by_label("table, or its address").fill(source)
            tab.accessible()
            run(tab)
            job = job_of(tab)
            assert site.wait(job) == COMPLETED
            size = len(site.get("/static/uwsLib.js").body)
            assert site.get(f"{job}/results/output").text == f"{size}\nfar\n"
            tab.page.get_by_role("link", name="as it was fetched").wait_for()
            tab.page.get_by_role("link", name="Run again…").click()
            assert tab.page.get_by_label("table, or its address").input_value() == source


def test_everybody_can_use_it(site, tab):
    tab.open(f"{site.url}/new/form")
    tab.page.get_by_text("How to run it").click()
    tab.accessible()
