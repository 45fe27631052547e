"""The editor of job descriptions: from a document somebody has to jobs that others run."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from browser.sites import SCRIPT, WADL, say_site
from browser.tab import Tab, opened
from servers import Site, free_port

pytestmark = pytest.mark.takes(130)

COMPLETED = "COMPLETED"
ROOT, EVE = "root", "eve"  # an admin, and a publisher
KINDS = {"a parameter": "parameters", "an input file": "used", "a result": "generated"}
HOSTILE = "<img src=x onerror=\"document.title='owned'\">"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with say_site(folder, free_port(), auth="anonymous = false") as one:
        one.opus("user", "add", ROOT, "--role", "admin")
        one.opus("user", "add", EVE, "--role", "publisher")
        one.serve()
        yield one


@pytest.fixture
def root(site, chromium) -> Iterator[Tab]:
    with opened(chromium) as tab:
        yield tab.sign_in(site, ROOT)


def described(tab: Tab, site: Site, name: str) -> Tab:
    """The editor of a new description."""
    tab.open(f"{site.url}/edit")
    tab.page.get_by_label("Name").fill(name)
    tab.page.get_by_role("button", name="Describe it").click()
    tab.page.get_by_role("heading", name=name, level=1).wait_for()
    return tab


def press(tab: Tab, name: str) -> None:
    tab.page.get_by_role("button", name=name, exact=True).click()


def add(tab: Tab, what: str, name: str):
    """A new row of that kind; the keys go on in its name."""
    press(tab, f"Add {what}")
    tab.page.keyboard.type(name)
    rows = tab.page.locator(f"[data-list={KINDS[what]}] > li")
    return rows.nth(rows.count() - 1)


def names(tab: Tab, kind: str) -> list[str]:
    rows = tab.page.locator(f"[data-list={kind}] [data-key=name]")
    return [one.input_value() for one in rows.all()]


def draft(tab: Tab, site: Site, name: str) -> dict:
    return json.loads(tab.page.request.get(f"{site.url}/jdl/{name}/draft").text())


def saved(tab: Tab) -> None:
    press(tab, "Save draft")
    tab.page.get_by_text("The draft is saved.").wait_for()


def test_a_document_is_taken_in_changed_looked_at_published_and_run(site, root, tmp_path):
    wadl, script = tmp_path / "say.wadl", tmp_path / "script"
    wadl.write_text(WADL)
    script.write_text(SCRIPT)
    tab = described(root, site, "taken")
    tab.page.get_by_label("A description in any format").set_input_files(wadl)
    tab.page.get_by_label("Its script").set_input_files(script)
    press(tab, "Take it in as your draft")
    tab.until(lambda: names(tab, "parameters") == ["text", "seconds", "lines", "code"])
    preview = tab.page.locator("[data-preview-place]")
    preview.get_by_text("seconds").wait_for()
    row = add(tab, "a parameter", "colour")
    row.get_by_text("Limits, choices and meaning").click()
    row.get_by_label("Choices").fill("red | like fire\nblue")
    preview.locator("select[name=colour]").wait_for()
    assert preview.locator("option").all_inner_texts()[1:] == ["red: like fire", "blue"]
    press(tab, "Publish")
    tab.page.get_by_text("is published.").wait_for()
    tab.page.get_by_role("link", name="Make a job of it").click()
    tab.page.get_by_label("colour").select_option("blue")
    press(tab, "Run")
    tab.page.wait_for_url(re.compile("/rest/taken/[0-9a-f]{32}$"))
    tab.until(lambda: tab.text(".state .phase") == COMPLETED)
    assert "blue" in tab.text("[data-parameters]")


def test_everything_that_is_said_comes_back(site, root):
    tab = described(root, site, "whole")
    tab.page.get_by_label("What it does").fill(f"Does\n{HOSTILE}")
    tab.page.get_by_label("Documentation").fill("https://example.org/doc")
    row = add(tab, "a parameter", "depth")
    row.locator("[data-key=type]").select_option("double")
    row.get_by_label("Default").fill("1.5")
    row.get_by_label("Unit").fill("m")
    row.get_by_label("required").check()
    row.get_by_text("Limits, choices and meaning").click()
    row.get_by_label("Least").fill("1")
    row.get_by_label("Most").fill("2")
    add(tab, "an input file", "table").get_by_label("Media type").fill("text/csv")
    add(tab, "a result", "plot").get_by_label("File").fill("plot.svg")
    tab.page.get_by_label("Longest time it may run").fill("60")
    tab.page.get_by_role("textbox", name="Script").fill("echo $depth >$plot\n")
    saved(tab)
    said = draft(tab, site, "whole")
    tab.page.reload()
    tab.page.locator("[data-preview-place]").get_by_text("depth").wait_for()
    saved(tab)
    assert draft(tab, site, "whole") == said
    (depth,) = said["parameters"]
    assert (depth["type"], depth["default"], depth["unit"]) == ("double", "1.5", "m")
    assert (depth["minimum"], depth["maximum"], depth["required"]) == ("1", "2", True)
    assert said["used"][0]["content_type"] == "text/csv"
    assert said["generated"][0]["default"] == "plot.svg"
    assert said["execution_duration"] == 60
    assert said["description"] == f"Does\n{HOSTILE}"
    assert said["script"] == "echo $depth >$plot\n"
    with tab.page.expect_download() as download:
        tab.page.get_by_role("link", name="wadl", exact=True).click()
    assert "<application" in Path(download.value.path()).read_text()
    assert "owned" not in tab.page.title()


def test_hostile_words_of_an_author_do_nothing(site, root):
    tab = described(root, site, "hostile")
    tab.page.get_by_label("What it does").fill(HOSTILE)
    tab.page.get_by_label("Contact").fill(HOSTILE)
    tab.page.get_by_label("Documentation").fill("javascript:document.title='owned'")
    row = add(tab, "a parameter", "one")
    row.get_by_label("What it is").fill(HOSTILE)
    row.get_by_label("Unit").fill(HOSTILE)
    row.get_by_label("Default").fill(HOSTILE)
    row.get_by_text("Limits, choices and meaning").click()
    row.get_by_label("Choices").fill(f"{HOSTILE} | {HOSTILE}\n{'x' * 400}")
    add(tab, "a result", "plot").get_by_label("What it is").fill(HOSTILE)
    tab.page.get_by_role("textbox", name="Script").fill("echo >$plot")
    tab.page.locator("[data-preview-place] .help").get_by_text(HOSTILE).first.wait_for()
    press(tab, "Publish")
    tab.page.get_by_text("is published.").wait_for()
    for address in ("/", "/new/hostile", "/edit/hostile"):
        tab.open(site.url + address)
        assert HOSTILE in tab.page.text_content("main")
        assert tab.page.locator("main img").count() == 0
        tab.accessible()
    tab.open(f"{site.url}/new/hostile")
    assert tab.page.locator("a[href^=javascript]").count() == 0
    press(tab, "Run")
    tab.page.wait_for_url(re.compile("/rest/hostile/[0-9a-f]{32}$"))
    tab.until(lambda: tab.text(".state .phase") == COMPLETED)
    tab.accessible(color_contrast="<pre")
    assert "owned" not in tab.page.title()


def test_rows_go_up_and_down_by_keyboard_and_by_mouse(site, root):
    tab = described(root, site, "order")
    for name in ("a", "b", "c"):
        add(tab, "a parameter", name)
    assert names(tab, "parameters") == ["a", "b", "c"]
    tab.page.get_by_role("button", name="Move this parameter up").nth(2).focus()
    tab.page.keyboard.press("Enter")
    assert names(tab, "parameters") == ["a", "c", "b"]
    assert tab.page.evaluate("document.activeElement.dataset.do") == "up"
    tab.page.keyboard.press("Enter")
    assert names(tab, "parameters") == ["c", "a", "b"]
    tab.page.set_viewport_size({"width": 1280, "height": 2000})
    rows = tab.page.locator("[data-list=parameters] > li")
    rows.nth(2).drag_to(
        rows.nth(0), source_position={"x": 5, "y": 40}, target_position={"x": 5, "y": 40}
    )
    assert names(tab, "parameters") == ["b", "c", "a"]
    tab.page.get_by_role("button", name="Remove this parameter").first.click()
    assert names(tab, "parameters") == ["c", "a"]
    assert tab.page.evaluate("document.activeElement.value") == "c"
    tab.page.locator("[data-preview-place]").get_by_text("c", exact=True).wait_for()
    saved(tab)
    assert [one["name"] for one in draft(tab, site, "order")["parameters"]] == ["c", "a"]


def test_what_is_wrong_is_told_at_the_field_while_one_types(site, root):
    tab = described(root, site, "wrong")
    row = add(tab, "a parameter", "a b")
    control = row.get_by_label("Name")
    row.get_by_text("cannot be the name of a parameter").wait_for()
    assert control.get_attribute("aria-invalid") == "true"
    tab.page.get_by_role("button", name="script: there is no script; write one").click()
    assert tab.page.evaluate("document.activeElement.dataset.key") == "script"
    tab.page.keyboard.type("true")
    tab.until(lambda: tab.page.get_by_role("button", name=re.compile("^script:")).count() == 0)
    tab.accessible()
    control.fill("ab")
    tab.until(lambda: not tab.page.get_by_text("Before it can be published").is_visible())
    assert control.get_attribute("aria-invalid") is None


def test_what_cannot_run_is_not_published(site, root):
    tab = described(root, site, "unfit")
    root.expected = ["400"]
    press(tab, "Publish")
    tab.page.get_by_role("alert").get_by_text("has no script").wait_for()
    assert site.get("/jdl/unfit").status == 404


def test_a_publisher_asks_and_an_admin_publishes(site, root, chromium):
    with opened(chromium) as tab:
        described(tab.sign_in(site, EVE), site, "asked")
        assert tab.page.get_by_role("button", name="Publish").count() == 0
        tab.page.get_by_role("textbox", name="Script").fill("true")
        press(tab, "Ask for validation")
        tab.page.get_by_text("an admin is asked to look at it").wait_for()
    root.open(f"{site.url}/edit")
    root.page.get_by_role("link", name="asked").click()
    root.page.get_by_text("The draft of eve").wait_for()
    root.accessible()
    press(root, "Publish it")
    root.page.get_by_text("is published.").wait_for()
    root.open(f"{site.url}/edit")
    assert root.page.get_by_text("Waiting for you").count() == 0
    assert root.page.get_by_role("row", name="asked").count() == 1


def test_a_version_that_came_in_between_is_not_overwritten(site, root):
    first = described(root, site, "raced")
    first.page.get_by_role("textbox", name="Script").fill("echo 1")
    second = root.another().open(f"{site.url}/edit/raced")
    second.page.get_by_role("textbox", name="Script").fill("echo 2")
    press(second, "Publish")
    second.page.get_by_text("is published.").wait_for()
    first.expected = ["409"]
    press(first, "Publish")
    first.page.get_by_text("the last version of 'raced' is 1 and not 0").wait_for()
    first.page.get_by_role("link", name="Look at the versions").click()
    first.page.get_by_label("Compare version 1").check()
    first.page.get_by_label("with your draft").check()
    press(first, "Compare")
    diff = first.page.locator(".diff")
    diff.get_by_text("-echo 2").wait_for()
    assert diff.locator(".new").all_inner_texts() == ["+echo 1"]
    first.accessible()


def test_a_draft_can_be_discarded_and_is_not_lost_by_leaving(site, root):
    tab = described(root, site, "left")
    tab.page.get_by_role("textbox", name="Script").fill("true")
    asked = []

    def leave(dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    tab.page.once("dialog", leave)
    tab.page.get_by_role("link", name="My jobs").click(no_wait_after=True)
    tab.until(lambda: asked == ["beforeunload"])
    saved(tab)
    tab.page.reload()
    press(tab, "Discard draft…")
    press(tab, "Discard it")
    tab.page.wait_for_url(re.compile("/edit$"))
    assert tab.page.get_by_role("link", name="left").count() == 0


@pytest.mark.parametrize("address", ["/edit", "/edit/say", "/edit/say/versions"])
def test_everybody_can_use_it(site, root, address):
    root.open(site.url + address)
    if address == "/edit/say":
        root.page.locator("[data-preview-place]").get_by_text("seconds").wait_for()
        for summary in root.page.locator("[data-row] summary").all():
            summary.click()
    root.accessible()
