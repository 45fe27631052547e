"""A tab of a browser in which nobody may find fault with our pages."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import axe_playwright_python
from playwright.sync_api import Browser, BrowserContext, Page

from servers import Site, eventually

_AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text()
_TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
# The dark scheme has other values for the colours of the light one, and that is all it has.
_RULES = {
    "light": {"type": "tag", "values": _TAGS},
    "dark": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]},
}
_RUN = """
(rules) => axe.run(document, { runOnly: rules, resultTypes: ["violations", "incomplete"] })
  .then(({ violations, incomplete }) => {
    const why = ({ html, any, all, none }) =>
      [html, [...any, ...all, ...none].map(({ message }) => message).join("; ")];
    const told = (found) => found.map(({ id, nodes }) => [id, nodes.map(why)]);
    return [told(violations), told(incomplete)];
  })
"""
_FOCUS = """
() => {
  const { ariaLabel, innerText } = document.activeElement;
  return (ariaLabel || innerText || "").trim();
}
"""
_VIOLATIONS = """
document.addEventListener("securitypolicyviolation", (event) =>
  console.error(`policy: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile}`));
"""


class Tab:
    """A page, and what was complained of: errors, console, policy, requests to other hosts."""

    def __init__(self, context: BrowserContext) -> None:
        self.context = context
        self.page: Page = context.new_page()
        self.faults: list[str] = []
        self.others: list[Tab] = []
        self.expected: list[str] = []  # parts of what the console may say
        self.page.on("pageerror", lambda error: self.faults.append(f"{error} {error.stack}"))
        self.page.on("console", self._said)
        self.page.on("request", self._asked)

    def _said(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(f"{message.text} {message.location}")

    def _asked(self, request: Any) -> None:
        if urlsplit(request.url).hostname not in ("127.0.0.1", None):
            self.faults.append(f"asks {request.url}")

    def check(self) -> None:
        """Nothing was complained of but what was expected."""
        found = [one for one in self.faults if not any(part in one for part in self.expected)]
        assert not found, "\n".join(found)
        for one in self.others:
            one.check()

    def another(self) -> Tab:
        """A further tab of the same browser."""
        tab = Tab(self.context)
        self.others.append(tab)
        return tab

    def open(self, url: str) -> Tab:
        self.page.goto(url)
        return self

    def text(self, selector: str) -> str:
        return self.page.inner_text(selector)

    def texts(self, selector: str) -> list[str]:
        """Of all that are shown."""
        return [one for one in self.page.locator(f"{selector}:visible").all_inner_texts() if one]

    def sign_in(self, site: Site, user: str) -> Tab:
        """By a one-time link."""
        self.open(site.opus("user", "link", user).stdout.split()[-1])
        self.page.get_by_role("button", name="Sign in").click()
        self.page.get_by_text("Signed in as").wait_for()
        return self

    def focus(self) -> str:
        """What is said of the element that has the focus."""
        return self.page.evaluate(_FOCUS)

    def to(self, name: str) -> None:
        """Press Tab until the focus is there."""
        for _ in range(80):
            self.page.keyboard.press("Tab")
            if self.focus() == name:
                return
        raise AssertionError(f"no Tab leads to {name}")

    def until(self, what: Any, seconds: float = 20) -> Any:
        """Ask until it is so, and let the browser's events come meanwhile."""

        def held() -> Any:
            self.page.wait_for_timeout(20)
            return what()

        return eventually(held, seconds, 0)

    def accessible(self, **reviewed: str) -> None:
        """No rule of WCAG 2.2 AA is broken, light and dark, wide and narrow, and nothing is left
        open but what was looked at by eye; the page is no wider than its window.

        `reviewed`: the beginning of an element, by the rule of which axe cannot tell with it.
        """
        size = self.page.viewport_size
        self.page.evaluate(_AXE)
        for scheme, rules in _RULES.items():
            self.page.emulate_media(color_scheme=scheme)
            for width in (1280, 320):
                self.page.set_viewport_size({"width": width, "height": 800})
                broken, unsure = self.page.evaluate(_RUN, rules)
                unsure = [
                    (rule, html, why)
                    for rule, nodes in unsure
                    for html, why in nodes
                    if not html.startswith(reviewed.get(rule.replace("-", "_"), "no element"))
                ]
                assert not broken + unsure, f"{scheme}, {width} px: {broken + unsure}"
                wide = self.page.evaluate("document.documentElement.scrollWidth")
                assert wide <= width, f"{wide} px in a window of {width}"
        self.page.emulate_media(color_scheme=None)
        self.page.set_viewport_size(size)


@contextmanager
def opened(browser: Browser, **options: Any) -> Iterator[Tab]:
    """A browser of its own, with cookies of its own, and a tab in it."""
    context = browser.new_context(**options)
    context.add_init_script(_VIOLATIONS)
    context.set_default_timeout(20_000)
    try:
        tab = Tab(context)
        yield tab
        tab.check()
    finally:
        context.close()
