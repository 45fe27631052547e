"""Every page that is not about jobs: for everybody, light and dark, wide and narrow."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from browser.sites import say_site
from browser.tab import Tab, opened
from servers import Site, free_port

pytestmark = pytest.mark.takes(80)


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with say_site(folder, free_port(), auth="anonymous = false\npasswords = true") as one:
        one.opus("user", "add", "root", "--role", "admin", "--full-name", "<b>The admin</b>")
        one.opus("user", "add", "ann")
        one.opus("token", "add", "root", "--name", "for <i>scripts</i>")
        one.serve()
        yield one


@pytest.fixture
def root(site, chromium) -> Iterator[Tab]:
    with opened(chromium) as tab:
        yield tab.sign_in(site, "root")


def test_the_page_of_a_link_to_sign_in_by(site, tab):
    tab.open(site.opus("user", "link", "root").stdout.split()[-1])
    assert tab.page.locator("h1").count() == 1
    tab.accessible()


@pytest.mark.parametrize(
    "address", ["/account", "/admin", "/admin/users", "/admin/users/root", "/admin/audit", "/api"]
)
def test_pages_of_who_has_signed_in(site, root, address):
    root.open(site.url + address)
    assert root.page.locator("h1").count() == 1
    root.accessible()


@pytest.mark.parametrize(
    "address", ["/", "/signin", "/jobs", "/availability", "/nowhere", "/rest/nowhere"]
)
def test_pages_of_a_stranger(site, tab, address):
    tab.expected = ["404", "401"]
    tab.open(site.url + address)
    assert tab.page.locator("h1").count() == 1
    tab.accessible()


def test_an_admin_announces_and_everybody_reads_it(site, root, chromium):
    root.open(f"{site.url}/admin")
    root.page.get_by_label("What everybody is to know").fill("Closed on Friday.\n<b>All day</b>")
    root.page.get_by_role("button", name="Announce").click()
    root.page.get_by_text("There since").wait_for()
    with opened(chromium) as tab:
        tab.expected = ["401"]
        tab.open(f"{site.url}/")
        assert tab.text(".announced") == "Closed on Friday.\n<b>All day</b>"
        tab.accessible()


def test_a_new_token_is_shown_once(site, root):
    root.open(f"{site.url}/account")
    root.page.get_by_label("What it is for").fill("curl")
    root.page.get_by_role("button", name="Make it").click()
    token = root.page.locator(".notice code").inner_text()
    headers = {"Authorization": f"Bearer {token}"}
    assert site.get("/rest/say", headers=headers).status == 200
    root.accessible()
    root.page.reload()
    root.page.get_by_role("button", name=f"Revoke {token.split('_')[1]}").click()
    assert site.get("/rest/say", headers=headers).status == 401


# What fill.js makes of a number of seconds, and of bytes.
SAID = """
async ([what, values]) => {
  const style = document.querySelector("link[rel=stylesheet]").href;
  const words = await import(new URL("fill.js", style).href);
  return values.map(words[what]);
}
"""


@pytest.mark.parametrize(
    ("what", "said"),
    [
        (
            "span",
            {
                0: "0.0 s",
                -5: "0.0 s",
                3.14: "3.1 s",
                59: "59 s",
                3600: "1 h 0 min",
                61: "1 min 1 s",
                90061: "1 d 1 h",
            },
        ),
        (
            "bytes",
            {
                0: "0 B",
                999: "999 B",
                1000: "1 kB",
                135_000: "135 kB",
                999_999: "1 MB",
                5_010: "5.01 kB",
                2 * 10**9: "2 GB",
                10**16: "10 PB",
            },
        ),
    ],
)
def test_lengths_of_time_and_sizes_are_for_people(site, tab, what, said):
    tab.open(f"{site.url}/signin")
    assert tab.page.evaluate(SAID, [what, list(said)]) == list(said.values())
