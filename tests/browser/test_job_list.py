"""The page of a job list: what it shows, filters, sorts and turns over, and what it does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone

import pytest

from browser.sites import WADL, say_site
from browser.stock import stocked
from browser.tab import Tab, opened
from opus_core.job import Phase
from servers import Site, eventually, free_port

pytestmark = pytest.mark.takes(90)

COMPLETED = "COMPLETED"
WADL_OTHER = WADL.replace('path="say"', 'path="other"')


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    with say_site(tmp_path_factory.mktemp("site"), free_port()) as one:
        one.describe("other", 'printf done >"$output"', WADL_OTHER)
        one.serve()
        yield one


@pytest.fixture
def clean(site) -> Site:
    """The site without any job."""
    for name in ("say", "other"):
        for job in site.jobs(name):
            site.request("DELETE", f"/rest/{name}/{job}")
    eventually(lambda: not site.jobs("say") and not site.jobs("other"))
    return site


def names(tab: Tab) -> list[str]:
    """The run names of the rows, from the top."""
    return tab.texts("tbody tr > th a")


def row(tab: Tab, title: str):
    return tab.page.locator("tbody tr", has=tab.page.get_by_role("link", name=title, exact=True))


def phase(tab: Tab, title: str) -> str:
    return row(tab, title).locator(".phase").inner_text()


def live(tab: Tab) -> None:
    tab.page.get_by_text("Live", exact=True).wait_for()
    # The list itself may come later than the word that its news will.
    tab.until(lambda: tab.page.locator("[aria-busy=true]").count() == 0)


def worked(tab: Tab) -> str:
    """What is said of what was done to all that were selected."""
    return re.sub(r"\s+(?=[.,])", "", " ".join(tab.text("[data-work] p").split()))


def make(site: Site, title: str, name: str = "say", *, run: bool = False, **values: str) -> str:
    return site.create(name, {"RUNID": title, **values}, run=run)


# -- rows


def test_a_row_tells_what_a_job_is_and_follows_it(clean, tab):
    make(clean, "waits")
    done = make(clean, "done", run=True)
    assert clean.wait(done) == COMPLETED
    tab.open(f"{clean.url}/rest/say")
    tab.until(lambda: names(tab) == ["done", "waits"])
    assert (phase(tab, "done"), phase(tab, "waits")) == (COMPLETED, "PENDING")
    assert re.search(r"\d+\.\d s", row(tab, "done").inner_text())
    live(tab)
    row(tab, "waits").get_by_role("button", name="Run").click()
    tab.until(lambda: phase(tab, "waits") == COMPLETED)
    assert row(tab, "waits").get_by_role("button").count() == 0
    row(tab, "waits").get_by_role("link").click()
    tab.page.wait_for_url(re.compile("/rest/say/[0-9a-f]{32}$"))


def test_times_are_those_of_the_reader(clean, chromium):
    job = make(clean, "a")
    created = datetime.fromisoformat(clean.document(job)["creationTime"])
    with opened(chromium, timezone_id="Asia/Kolkata") as tab:
        tab.open(f"{clean.url}/jobs")
        shown = row(tab, "a").locator("[data-time=created]")
        here = created.astimezone(timezone(timedelta(hours=5, minutes=30)))
        tab.until(lambda: shown.inner_text() == f"{here:%Y-%m-%d %H:%M:%S}")
        assert shown.get_attribute("title") == f"{created:%Y-%m-%d %H:%M:%S} UTC"


def test_new_jobs_do_not_come_under_the_pointer(clean, tab):
    make(clean, "first")
    tab.open(f"{clean.url}/jobs")
    live(tab)
    make(clean, "second", "other")
    show = tab.page.get_by_role("button", name="Show 1 more")
    show.wait_for()
    assert names(tab) == ["first"]
    show.click()
    tab.until(lambda: names(tab) == ["second", "first"])
    assert not show.is_visible()


def test_the_first_job_appears_by_itself(clean, tab):
    tab.open(f"{clean.url}/rest/say")
    tab.page.get_by_text("No jobs yet.").wait_for()
    live(tab)
    make(clean, "first")
    tab.until(lambda: names(tab) == ["first"])
    assert not tab.page.get_by_text("No jobs yet.").is_visible()


def test_a_job_that_is_deleted_elsewhere_is_marked(clean, tab):
    job = make(clean, "a")
    make(clean, "b")
    tab.open(f"{clean.url}/jobs")
    live(tab)
    clean.request("DELETE", job)
    row(tab, "a").get_by_text("deleted", exact=True).wait_for()
    assert names(tab) == ["b", "a"]
    assert row(tab, "a").locator("input").is_disabled()


def test_who_cannot_see_it_is_told_of_changes(clean, tab):
    job = make(clean, "spoken")
    tab.open(f"{clean.url}/jobs")
    live(tab)
    clean.post(f"{job}/phase", {"PHASE": "ABORT"})
    status = tab.page.locator("[data-news]")
    tab.until(lambda: status.inner_text().strip() == "Job spoken is now ABORTED.")
    assert status.get_attribute("role") == "status"


def test_two_tabs_have_one_connection(clean, tab):
    job = make(clean, "both")
    second = tab.another()
    waiting = []

    def held(request) -> bool:
        return "/changes" in request.url and "WAIT" in request.url

    tab.context.on("request", lambda one: waiting.append(one) if held(one) else None)
    tab.open(f"{clean.url}/jobs")
    live(tab)
    second.open(f"{clean.url}/rest/say")
    live(second)
    clean.post(f"{job}/phase", {"PHASE": "RUN"})
    for one in (tab, second):
        one.until(lambda one=one: phase(one, "both") == COMPLETED)
    assert {one.frame.page for one in waiting} == {tab.page}


def test_without_a_network_it_says_so_and_catches_up(clean, tab):
    job = make(clean, "a", run=True, seconds="1")
    tab.expected = ["ERR_INTERNET_DISCONNECTED", "ERR_CONNECTION_REFUSED"]
    tab.open(f"{clean.url}/jobs")
    live(tab)
    tab.context.set_offline(True)
    clean.stop()  # Chromium lets what is under way go on
    tab.page.get_by_text("Not connected.").wait_for()
    clean.serve()
    assert clean.wait(job) == COMPLETED
    tab.context.set_offline(False)
    live(tab)
    tab.until(lambda: phase(tab, "a") == COMPLETED)


def test_it_can_be_paused(clean, tab):
    job = make(clean, "a")
    tab.open(f"{clean.url}/jobs")
    live(tab)
    tab.page.get_by_role("button", name="Pause").click()
    assert tab.page.locator(":focus").inner_text() == "Go on"
    clean.post(f"{job}/phase", {"PHASE": "ABORT"})
    tab.page.reload()
    tab.page.get_by_role("button", name="Go on").wait_for()
    tab.until(lambda: phase(tab, "a") == "ABORTED")
    make(clean, "b")
    tab.page.get_by_role("button", name="Go on").click()
    live(tab)
    tab.page.get_by_role("button", name="Show 1 more").wait_for()


# -- filters


def test_filters_stand_in_the_address(clean, tab):
    make(clean, "apple")
    make(clean, "pear", "other")
    aborted = make(clean, "apple pie")
    clean.post(f"{aborted}/phase", {"PHASE": "ABORT"})
    tab.open(f"{clean.url}/jobs")
    tab.until(lambda: names(tab) == ["apple pie", "pear", "apple"])
    tab.page.get_by_label("Run name or job id").fill("apple")
    tab.page.keyboard.press("Enter")
    tab.until(lambda: names(tab) == ["apple pie", "apple"])
    tab.page.locator("summary", has_text="any").click()
    tab.page.get_by_role("checkbox", name="ABORTED").check()
    tab.until(lambda: names(tab) == ["apple pie"])
    assert "TEXT=apple" in tab.page.url
    assert "PHASE=ABORTED" in tab.page.url
    tab.page.go_back()
    tab.until(lambda: names(tab) == ["apple pie", "apple"])
    tab.page.go_forward()
    tab.until(lambda: names(tab) == ["apple pie"])
    again = tab.another().open(tab.page.url)
    again.until(lambda: names(again) == ["apple pie"])
    assert again.page.get_by_label("Run name or job id").input_value() == "apple"
    tab.page.get_by_role("link", name="Show all jobs").click()
    tab.until(lambda: len(names(tab)) == 3)
    tab.page.get_by_role("combobox", name="Description").select_option("other")
    tab.until(lambda: names(tab) == ["pear"])


def test_days_are_those_of_the_reader(clean, tab):
    make(clean, "today", text="what is said in a value")
    now = datetime.now().astimezone()
    tab.open(f"{clean.url}/jobs")
    tab.until(lambda: names(tab) == ["today"])
    tab.page.get_by_label("Created from").fill(f"{now + timedelta(days=1):%Y-%m-%d}")
    tab.page.get_by_text("No job matches these filters.").wait_for()
    tab.page.get_by_label("Created from").fill(f"{now:%Y-%m-%d}")
    tab.page.get_by_label("until", exact=True).fill(f"{now:%Y-%m-%d}")
    tab.until(lambda: names(tab) == ["today"])
    assert tab.page.get_by_label("until", exact=True).input_value() == f"{now:%Y-%m-%d}"
    assert tab.page.get_by_text("Values of parameters are searched as well.").is_visible()
    tab.page.get_by_label("Run name or job id").fill("said in a value")
    tab.page.keyboard.press("Enter")
    tab.until(lambda: names(tab) == ["today"])


def test_a_filter_that_means_nothing_is_told(clean, tab):
    tab.expected = ["400"]
    tab.open(f"{clean.url}/jobs?PHASE=NOWHERE")
    tab.page.get_by_text("unknown phase 'NOWHERE'").wait_for()
    tab.page.get_by_label("Run name or job id").fill("x")
    assert tab.page.get_by_role("button", name="Try again").is_visible()


def test_columns_are_remembered(clean, tab):
    make(clean, "a")
    tab.open(f"{clean.url}/jobs")
    tab.until(lambda: names(tab) == ["a"])
    head = tab.page.get_by_role("columnheader", name="Kept until")
    assert not head.is_visible()
    tab.page.locator("summary", has_text="choose").click()
    tab.page.get_by_role("checkbox", name="Kept until").check()
    tab.page.get_by_role("checkbox", name="Started").uncheck()
    assert head.is_visible()
    tab.page.reload()
    tab.until(lambda: names(tab) == ["a"])
    assert head.is_visible()
    assert not tab.page.get_by_role("columnheader", name="Started").is_visible()
    assert "not yet" not in row(tab, "a").inner_text()


# -- many jobs

# In one go: rows come and go meanwhile.
TURN = """
(way) => {
  const link = document.querySelector(`a[rel=${way}]`);
  const rows = [...document.querySelectorAll("tbody tr")].map((row) => row.dataset.job);
  const more = !link.hidden;
  if (more) link.click();
  return [more, rows];
}
"""


@pytest.mark.parametrize(
    ("number", "limit"), [(800, 100), pytest.param(10_000, 250, marks=pytest.mark.soak)]
)
def test_all_pages_of_many_jobs_both_ways_while_jobs_come_and_go(tmp_path, tab, number, limit):
    with say_site(tmp_path / "many", free_port()) as site:
        ids = stocked(site, "say", number)
        site.serve()
        tab.open(f"{site.url}/rest/say?LIMIT={limit}")
        stay = set(ids[::2])  # the others may go
        seen = turned(tab, site, "next", iter(ids[1::40]))
        assert len(seen) == len(set(seen)), "none twice"
        assert stay <= set(seen)
        back = turned(tab, site, "prev", iter(ids[21::40]))
        assert len(back) == len(set(back)), "none twice"
        assert stay - set(back) <= set(ids[-limit:]), "all but those of the page where it began"


def turned(tab: Tab, site: Site, way: str, going: Iterator[str]) -> list[str]:
    """The ids of all pages from here on; with each page a job is made, and one is deleted."""
    seen: list[str] = []
    while True:
        tab.until(lambda: tab.page.get_attribute("[data-job-list]", "aria-busy") is None)
        make(site, "new")
        assert site.request("DELETE", f"/rest/say/{next(going)}").status == 303
        more, ids = tab.page.evaluate(TURN, way)
        seen += ids
        if not more:
            return seen


def test_the_order_can_be_chosen(clean, tab):
    for title in ("a", "b", "c"):
        make(clean, title)
    job = make(clean, "d")
    clean.post(f"{job}/phase", {"PHASE": "ABORT"})
    tab.open(f"{clean.url}/jobs")
    tab.until(lambda: names(tab) == ["d", "c", "b", "a"])
    tab.page.get_by_role("button", name="Created").click()
    tab.until(lambda: names(tab) == ["a", "b", "c", "d"])
    assert tab.page.locator("th[aria-sort=ascending]").inner_text().startswith("Created")
    tab.page.get_by_role("button", name="Phase").click()
    tab.page.get_by_role("button", name="Phase").click()
    tab.until(lambda: names(tab)[0] == "d")
    assert tab.page.locator("th[aria-sort=ascending]").inner_text().startswith("Phase")


# -- to many jobs at once


def test_some_are_aborted_and_the_rest_is_left_alone(clean, tab):
    for title in ("a", "b", "c", "d"):
        make(clean, title)
    tab.open(f"{clean.url}/jobs")
    tab.until(lambda: names(tab) == ["d", "c", "b", "a"])
    row(tab, "d").locator("input").check()
    row(tab, "b").locator("input").click(modifiers=["Shift"])
    assert tab.text("[data-selection] p").strip() == "3 selected"
    row(tab, "c").locator("input").uncheck()
    tab.page.get_by_role("button", name="Abort…").click()
    tab.page.get_by_role("heading", name="Abort 2 job(s)?").wait_for()
    tab.page.get_by_role("button", name="Abort them").click()
    tab.until(lambda: worked(tab) == "Done: 2 of 2 aborted.")
    tab.until(lambda: [phase(tab, one) for one in "abcd"] == ["PENDING", "ABORTED"] * 2)
    assert not tab.page.locator("[data-selection]").is_visible()


def test_nothing_is_done_without_a_yes(clean, tab):
    make(clean, "a")
    tab.open(f"{clean.url}/jobs")
    tab.page.get_by_role("checkbox", name="Select a", exact=True).check()
    tab.page.get_by_role("button", name="Delete…").click()
    assert tab.page.locator(":focus").inner_text() == "Keep them as they are"
    tab.page.keyboard.press("Escape")
    tab.page.get_by_role("button", name="Delete…").click()
    tab.page.get_by_role("button", name="Keep them as they are").click()
    tab.page.wait_for_timeout(300)
    assert clean.jobs("say") != []


def test_all_that_match_are_deleted_on_every_page(clean, tab):
    for number in range(60):
        make(clean, f"many {number}")
    make(clean, "keep")
    tab.open(f"{clean.url}/jobs?TEXT=many&LIMIT=25")
    tab.until(lambda: len(names(tab)) == 25)
    tab.page.get_by_role("checkbox", name="Select all jobs of this page").check()
    tab.page.get_by_role("button", name="Select all that match, on every page").click()
    tab.page.get_by_role("button", name="Delete…").click()
    tab.page.get_by_role("button", name="Delete them").click()
    tab.until(lambda: worked(tab) == "Done: 60 deleted.")
    tab.page.get_by_text("No job matches these filters.").wait_for()
    assert len(clean.jobs("say")) == 1


def test_what_could_not_be_done_is_told(clean, tab):
    job = make(clean, "a")
    make(clean, "b")
    tab.open(f"{clean.url}/jobs")
    tab.page.get_by_role("button", name="Pause").click()
    tab.page.get_by_role("checkbox", name="Select all jobs of this page").check()
    clean.request("DELETE", job)
    eventually(lambda: clean.get(f"{job}/phase").status == 404)
    tab.expected = ["404"]
    tab.page.get_by_role("button", name="Delete…").click()
    tab.page.get_by_role("button", name="Delete them").click()
    tab.until(lambda: worked(tab) == "Done: 1 of 2 deleted, 1 not.")
    assert "a there is no job" in tab.text("[data-work] ul").replace("\n", " ")


# -- who sees what


def test_an_admin_sees_the_jobs_of_all_and_can_ask_for_one_owner(tmp_path, chromium):
    with say_site(tmp_path / "site", free_port(), auth="anonymous = false") as site:
        site.serve()
        for user, role in (("ann", "user"), ("root", "admin")):
            site.opus("user", "add", user, "--role", role)
            token = site.opus("token", "add", user).stdout.strip()
            known = {"Authorization": f"Bearer {token}"}
            site.post("/rest/say", {"RUNID": f"of {user}"}, headers=known)
        with opened(chromium) as tab:
            tab.sign_in(site, "ann")
            tab.open(f"{site.url}/jobs")
            tab.until(lambda: names(tab) == ["of ann"])
            assert tab.page.get_by_role("textbox", name="Owner").count() == 0
        with opened(chromium) as tab:
            tab.sign_in(site, "root")
            tab.open(f"{site.url}/jobs")
            tab.until(lambda: names(tab) == ["of root", "of ann"])
            tab.page.get_by_role("textbox", name="Owner").fill("ann")
            tab.page.keyboard.press("Enter")
            tab.until(lambda: names(tab) == ["of ann"])


# -- for everybody


@pytest.mark.parametrize("what", ["rows", "selected", "menu", "none", "fault"])
def test_everybody_can_use_it(clean, tab, what):
    if what != "none":
        for title, run in (("a", False), ("b", True), ("<b>c</b>", True)):
            make(clean, title, run=run, code="1" if title == "b" else "0")
    tab.expected = ["400"]
    tab.open(f"{clean.url}/jobs" + ("?SORT=x" if what == "fault" else ""))
    live(tab)
    if what == "selected":
        tab.page.get_by_role("checkbox", name="Select all jobs of this page").check()
    if what == "menu":
        tab.page.locator("summary", has_text="any").click()
    # The menu lies over other things, whose contrast cannot be told then.
    tab.accessible(**({"color_contrast": "<"} if what == "menu" else {}))


def test_it_can_be_used_by_keyboard_alone(clean, tab):
    for title in ("a", "b"):
        make(clean, title)
    tab.open(f"{clean.url}/rest/say")
    tab.until(lambda: names(tab) == ["b", "a"])

    tab.to("Select b")
    tab.page.keyboard.press("Space")
    tab.to("Delete…")
    tab.page.keyboard.press("Enter")
    assert tab.focus() == "Keep them as they are"
    tab.page.keyboard.press("Shift+Tab")
    tab.page.keyboard.press("Enter")
    tab.until(lambda: names(tab) == ["a"])
    tab.to("Select a")


def test_hostile_names_do_nothing(clean, tab):
    hostile = ['<img src=x onerror="document.title=1">', "\u202egnp.exe", "x" * 64]
    for title in hostile:
        make(clean, title)
    tab.open(f"{clean.url}/jobs")
    tab.until(lambda: len(names(tab)) == 3)
    assert names(tab)[::-1] == [hostile[0], "\ufffdgnp.exe", hostile[2]]
    tab.accessible()


def test_it_says_where_programs_read_the_same(clean, tab):
    make(clean, "a")
    tab.open(f"{clean.url}/jobs?TEXT=a&LIMIT=25")
    link = tab.page.get_by_role("link", name="JSON")
    tab.until(lambda: "TEXT=a" in (link.get_attribute("href") or ""))
    answer = clean.get(link.get_attribute("href"))
    assert '"runId": "a"' in answer.text
    assert len(list(Phase)) == tab.page.locator("[name=PHASE]").count()
