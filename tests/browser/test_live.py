"""live.js: what happens to jobs is told in every tab, and one of them asks."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

import opus_core
from browser.served import served
from browser.sites import say_site
from servers import Site, eventually, free_port

STATIC = Path(opus_core.__file__).parent / "client" / "static"

START = """
async ({ url, after }) => {
  const { Live } = await import("/static/live.js");
  window.told = [];
  window.live = new Live(url, { after });
  for (const type of ["changes", "reset", "state"]) {
    window.live.addEventListener(type, ({ detail }) => window.told.push([type, detail]));
  }
  window.live.start();
}
"""
# What a browser says of a tab that is looked at, or not.
LOOK = """
(state) => {
  Object.defineProperty(document, "visibilityState", { value: state, configurable: true });
  document.dispatchEvent(new Event("visibilitychange"));
}
"""


class Tabs:
    """Tabs of one browser that follow the changes of a site, and what they ask."""

    def __init__(self, context, origin: str, site: Site) -> None:
        self.context = context
        self.origin = origin
        self.site = site
        self.pages = []
        self.pending = []
        self.asked = 0
        self.most = 0
        context.on("request", self._begun)
        context.on("requestfinished", self._ended)
        context.on("requestfailed", self._ended)

    def open(self, after: int | None = None):
        page = self.context.new_page()
        page.goto(self.origin)
        self.start(page, after)
        return page

    def start(self, page, after: int | None = None) -> None:
        page.evaluate(START, {"url": f"{self.site.url}/changes", "after": after})
        self.pages.append(page)

    def close(self, page) -> None:
        self.pages.remove(page)
        # Of what a page still asks when it is closed nobody is told the end.
        self.pending = [one for one in self.pending if one.frame.page is not page]
        page.close()

    def told(self, page, kind: str):
        return page.evaluate("(kind) => told.filter(([type]) => type === kind)", kind)

    def state(self, page) -> str:
        return page.evaluate("live.state")

    def phases(self, page, job: str) -> list[str]:
        """The phases of a job, as the page was told of them."""
        job_id = job.rpartition("/")[2]
        changes = [one for _, detail in self.told(page, "changes") for one in detail]
        return [one["phase"] for one in changes if one["jobId"] == job_id]

    def until(self, condition, seconds: float = 20):
        """Ask until it is so, and let the browser's events come meanwhile."""

        def held():
            self.pages[0].wait_for_timeout(20)
            return condition()

        return eventually(held, seconds, 0)

    def until_told(self, job: str, phase: str = "COMPLETED") -> None:
        for page in self.pages:
            self.until(lambda page=page: phase in self.phases(page, job))

    def waiting(self):
        """The page whose question is held back."""
        return self.until(lambda: next((one for one in self.pending if "WAIT" in one.url), None))

    def asker(self):
        return self.waiting().frame.page

    def _begun(self, request) -> None:
        if "/changes" in request.url:
            self.pending.append(request)
            self.asked += 1
            self.most = max(self.most, len(self.pending))

    def _ended(self, request) -> None:
        if request in self.pending:
            self.pending.remove(request)


@pytest.fixture(scope="module")
def port():
    return free_port()


@pytest.fixture(scope="module")
def site(tmp_path_factory, port) -> Iterator[Site]:
    with say_site(tmp_path_factory.mktemp("site"), port) as one:
        one.serve()
        yield one


@pytest.fixture
def tabs(chromium, port, site):
    with served({"static": STATIC}, port) as origin:
        context = chromium.new_context()
        yield Tabs(context, origin, site)
        context.close()


def test_eight_tabs_have_one_connection_and_all_are_told(tabs):
    for _ in range(8):
        tabs.open()
    tabs.waiting()
    job = tabs.site.create("say", {"text": "a"})
    tabs.until_told(job)
    assert tabs.most == 1
    for page in tabs.pages:
        phases = tabs.phases(page, job)
        assert phases == sorted(set(phases), key=phases.index), "each change once"
        assert tabs.told(page, "reset") == []
        assert tabs.state(page) == "live"


def test_when_the_tab_that_asks_is_closed_another_goes_on(tabs):
    for _ in range(3):
        tabs.open()
    tabs.close(tabs.asker())
    job = tabs.site.create("say")
    tabs.until_told(job)
    assert tabs.most == 1
    assert [tabs.told(page, "reset") for page in tabs.pages] == [[], []]


def test_a_hidden_tab_lets_another_ask_and_nobody_asks_for_nobody(tabs):
    first, second = tabs.open(), tabs.open()
    asker = tabs.asker()
    other = second if asker is first else first
    asker.evaluate(LOOK, "hidden")
    assert tabs.until(lambda: tabs.pending and tabs.pending[0].frame.page is other)
    assert tabs.state(asker) == "hidden"
    job = tabs.site.create("say")
    tabs.until_told(job)
    other.evaluate(LOOK, "hidden")
    tabs.until(lambda: not tabs.pending)
    asked = tabs.asked
    job = tabs.site.create("say")
    assert tabs.site.wait(job) == "COMPLETED"
    first.wait_for_timeout(300)
    assert tabs.asked == asked, "nobody looks, so nobody asks"
    asker.evaluate(LOOK, "visible")
    tabs.until_told(job)
    assert [tabs.told(page, "reset") for page in tabs.pages] == [[], []]


def test_without_a_network_it_says_so_and_catches_up_afterwards(tabs):
    page = tabs.open()
    tabs.waiting()
    tabs.context.set_offline(True)
    tabs.site.stop()  # Chromium lets what is under way go on
    tabs.until(lambda: tabs.state(page) == "offline")
    tabs.site.serve()
    job = tabs.site.create("say")
    assert tabs.site.wait(job) == "COMPLETED"
    tabs.context.set_offline(False)
    tabs.until_told(job)
    assert tabs.state(page) == "live"
    assert tabs.told(page, "reset") == []
    states = [detail["state"] for _, detail in tabs.told(page, "state")]
    assert states == ["connecting", "live", "offline", "live"]


def test_a_page_that_was_made_before_is_told_what_has_happened_since(tabs):
    before = int(tabs.site.get("/changes").text.partition('"seq": ')[2].partition(",")[0])
    job = tabs.site.create("say")
    assert tabs.site.wait(job) == "COMPLETED"
    first = tabs.open(after=before)
    tabs.until_told(job)
    tabs.waiting()
    second = tabs.open(after=before)
    tabs.until(lambda: tabs.told(second, "reset"))
    assert tabs.told(first, "reset") == [], "it knew"


def test_whoever_is_not_let_in_is_told_and_asks_no_more(tabs, port, tmp_path):
    with say_site(tmp_path / "locked", port, auth="anonymous = false") as locked:
        locked.serve()
        tabs.site = locked
        page = tabs.open()
        tabs.until(lambda: tabs.state(page) == "signed out")
        asked = tabs.asked
        page.wait_for_timeout(3000)
        assert tabs.asked == asked
        page.evaluate(LOOK, "hidden")
        page.evaluate(LOOK, "visible")
        tabs.until(lambda: tabs.asked == asked + 1)


def test_once_stopped_it_is_silent(tabs):
    page = tabs.open()
    tabs.waiting()
    page.evaluate("live.stop()")
    tabs.until(lambda: not tabs.pending)
    job = tabs.site.create("say")
    assert tabs.site.wait(job) == "COMPLETED"
    assert tabs.phases(page, job) == []
    assert tabs.state(page) == "stopped"
    tabs.start(page)
    tabs.waiting()
    tabs.until_told(tabs.site.create("say"))
