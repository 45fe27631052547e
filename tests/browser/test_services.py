"""Services elsewhere through the client by itself: two OPUS, and two that are none."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from browser.elsewhere import Elsewhere, elsewhere
from browser.sites import say_site
from browser.tab import Tab, opened
from servers import Site, free_port

pytestmark = pytest.mark.takes(200)

HOSTILE = "<img src=x onerror=\"document.title='owned'\">\u202e"
SHOWN = HOSTILE.replace("\u202e", "\ufffd")


@pytest.fixture(scope="module")
def away(tmp_path_factory) -> Iterator[Elsewhere]:
    with elsewhere(tmp_path_factory.mktemp("elsewhere")) as one:
        yield one


@pytest.fixture(scope="module")
def token(away) -> str:
    return away.near.opus("token", "add", "ann").stdout.strip()


@pytest.fixture(params=["old", "recent"])
def service(request, away) -> str:
    """That of UWS 1.0, and that of 1.1."""
    return getattr(away, request.param)


def say_to(tab: Tab, number: int, name: str, value: str) -> None:
    tab.page.get_by_label(f"Name of parameter {number}").fill(name)
    tab.page.get_by_label(f"Value of parameter {number}").fill(value)


def press(tab: Tab, name: str) -> None:
    tab.page.get_by_role("button", name=name, exact=True).click()


def job_page(tab: Tab) -> str:
    """The id of the job whose page is there now."""
    tab.page.wait_for_url(re.compile("/services/job\\?"))
    return parse_qs(urlsplit(tab.page.url).query)["ID"][0]


def create(service: str, **parameters: str) -> str:
    """Make a job by hand; answers its id."""
    with urllib.request.urlopen(service, urlencode(parameters).encode()) as answer:
        return answer.url.rsplit("/", 1)[1]


def phase(tab: Tab, wanted: str) -> None:
    tab.page.locator("[data-phase=phase]", has_text=wanted).first.wait_for()


# -- a job


def test_a_job_of_any_uws_from_the_first_page_to_its_end(away, service, tab):
    tab.expected = ["405"]  # what the old one says of DELETE
    tab.open(f"{away.url}/")
    where = service.partition("//")[2]
    tab.page.get_by_role("link", name=f"Jobs at {service}").click()
    tab.page.get_by_role("link", name="New job").click()
    say_to(tab, 1, "seconds", "1")
    press(tab, "Another value")
    say_to(tab, 2, "title", HOSTILE)
    press(tab, "Run")
    job = job_page(tab)
    phase(tab, "COMPLETED")
    assert tab.page.title() == f"COMPLETED: Job {job}, {where} · OPUS"
    assert {"1", SHOWN} <= set(tab.texts("[data-parameters] .value"))
    tab.page.locator("[data-results] summary", has_text="Preview").click()
    tab.page.get_by_text("42", exact=True).wait_for()
    # Nothing is asked of it that it does not have.
    assert not tab.page.locator("[data-outputs]").is_visible()
    # Once more, with another value, and nothing typed twice.
    tab.page.get_by_role("link", name="Run again").click()
    tab.page.get_by_label("Value of parameter 2").wait_for()
    names = [tab.page.get_by_label(f"Name of parameter {n}").input_value() for n in (1, 2)]
    assert names == ["seconds", "title"]
    tab.page.get_by_label("Value of parameter 1").fill("600")
    press(tab, "Create only")
    again = job_page(tab)
    assert again != job
    phase(tab, "PENDING")
    press(tab, "Run")
    phase(tab, "EXECUTING")
    press(tab, "Abort")
    phase(tab, "ABORTED")
    press(tab, "Delete…")
    press(tab, "Delete it")
    tab.page.wait_for_url(re.compile("/services/jobs\\?"))
    listed = tab.page.locator("tbody tr[data-job]")
    tab.until(lambda: listed.count() and again not in tab.texts("tbody th"))


def test_a_file_for_a_service_that_says_nothing_of_its_parameters(away, tab, tmp_path):
    file = tmp_path / "täble.csv"
    file.write_bytes(b"x" * 3_000_000)
    away.open(tab, "new", away.recent)
    press(tab, "A file")
    tab.page.get_by_label("Name of parameter 2").fill("table")
    tab.page.get_by_label("File of parameter 2").set_input_files(file)
    press(tab, "Remove parameter 1")
    press(tab, "Run")
    job_page(tab)
    phase(tab, "COMPLETED")
    tab.page.get_by_text("bytes").wait_for()
    assert "3000000 bytes" in tab.text("[data-parameters]")


def test_results_that_lie_elsewhere_are_links_alone(away, service, tab):
    """Whatever a service says that its results are, the page asks nobody but the service."""
    addresses = ("http://localhost:9/copy.txt", "javascript:alert(1)", "not:an address")
    for address in addresses:
        job = create(service, seconds="0", mirror=address, PHASE="RUN")
        away.open(tab, "job", service, ID=job)
        tab.until(lambda: tab.text("[data-phase=phase]"))
        if tab.text("[data-phase=phase]") == "PENDING":
            press(tab, "Run")
        phase(tab, "COMPLETED")
        item = tab.page.locator("[data-results] li", has_text="copy")
        item.wait_for()
        assert not item.locator("details").first.is_visible()
        href = item.locator("a").get_attribute("href")
        assert href == (address if address.startswith("http:") else None)


def test_a_job_that_is_not_there(away, service, tab):
    tab.expected = ["404"]
    away.open(tab, "job", service, ID="../nowhere?x=1")
    tab.page.get_by_text("This job has been deleted").wait_for()
    tab.accessible()


# -- lists


@pytest.mark.parametrize("size", [25])
def test_a_long_list_in_pages(away, service, tab, size):
    for number in range(60):
        create(service, RUNID=f"run {number}", seconds="0")
    away.open(tab, "jobs", service, LIMIT=str(size))
    seen: list[list[str]] = []

    def rows() -> list[str]:
        return tab.page.locator("tbody tr").evaluate_all("all => all.map((one) => one.dataset.job)")

    def turn(way: str) -> None:
        before = rows()
        tab.page.get_by_role("link", name=way).click()
        tab.until(lambda: rows() and rows() != before)

    tab.until(rows)
    while True:
        seen.append(rows())
        if not tab.page.get_by_role("link", name="Next").is_visible():
            break
        turn("Next")
    every = [job for page in seen for job in page]
    assert len(every) == len(set(every)) >= 60
    assert all(len(page) == size for page in seen[:-1])
    assert tab.page.url.count("SERVICE=") == 1
    for page in reversed(seen[:-1]):
        turn("Previous")
        assert rows() == page


def test_filters_that_a_service_has_and_those_that_it_has_not(away, service, tab):
    pending = create(service, RUNID="needle", seconds="1")
    away.open(tab, "jobs", service, PHASE="PENDING", LIMIT="250")
    tab.page.locator(f"tr[data-job='{pending}']").wait_for()
    assert set(tab.texts("tbody [data-phase]")) == {"PENDING"}
    if service == away.recent:
        tab.page.get_by_label("Run name or job id").fill("NEEDLE")
        press(tab, "Search")
        tab.until(lambda: tab.texts("tbody th a") == ["needle"])
        tab.page.get_by_label("Run name or job id").fill("nothing")
        press(tab, "Search")
        tab.page.get_by_text("No job matches these filters").wait_for()
        tab.page.get_by_role("link", name="Show all", exact=True).click()
        tab.until(lambda: len(tab.texts("tbody th a")) > 1)
    tab.page.get_by_role("button", name="Phase", exact=True).click()
    tab.until(lambda: tab.page.locator("th[aria-sort=descending]").count() == 1)
    found = tab.texts("tbody [data-phase]")
    assert found == sorted(found, reverse=True)
    tab.accessible()


def test_many_jobs_are_deleted_at_once(away, service, tab):
    tab.expected = ["405"]
    mine = {create(service, seconds="0") for _ in range(3)}
    away.open(tab, "jobs", service, PHASE="PENDING", LIMIT="250")
    for job in mine:
        tab.page.locator(f"tr[data-job='{job}'] input").check()
    press(tab, "Delete…")
    press(tab, "Delete them")
    tab.page.get_by_text("Done:").wait_for()
    rows = tab.page.locator("tbody tr")
    left = "all => all.map((one) => one.dataset.job)"
    tab.until(lambda: not mine & set(rows.evaluate_all(left)))


def test_a_server_with_several_job_lists_says_which(away, tab):
    away.open(tab, "jobs", away.far.url)
    tab.page.get_by_role("heading", name="Job lists at").wait_for()
    assert tab.texts("[data-lists] h2") == ["gallery", "say"]
    tab.accessible()
    tab.page.get_by_role("link", name="say").click()
    tab.page.get_by_role("heading", name=f"Jobs at {away.far.url[7:]}/rest/say").wait_for()


# -- an OPUS, through the proxy


def test_an_opus_has_its_form_its_previews_and_what_a_job_writes(away, tab):
    say = f"{away.far.url}/rest/say"
    tab.expected = ["400"]
    away.open(tab, "new", say)
    tab.page.get_by_label("lines").fill("300")
    tab.page.get_by_label("text").fill("a\tb")
    tab.page.get_by_text("How to run it").click()
    tab.page.get_by_label("Name of this run").fill("x" * 64)
    tab.page.get_by_label("Longest time").fill("0")
    tab.accessible()
    press(tab, "Run")
    job_page(tab)
    phase(tab, "COMPLETED")
    tab.page.get_by_text("line 300 é").wait_for()
    tab.page.locator("[data-results]").get_by_text("a\tb").wait_for()
    assert tab.text("h1") == "x" * 64
    tab.page.get_by_text("The same job made by a program").click()
    tab.until(lambda: say in tab.page.get_by_label("curl").input_value())
    # Everything but the pages themselves is asked of their own server.
    origins = tab.page.evaluate(
        "performance.getEntriesByType('resource').map(({ name }) => new URL(name).origin)"
    )
    assert set(origins) == {away.url}


def test_what_is_wrong_with_a_value_is_said_at_its_field(away, tab):
    tab.expected = ["400"]
    away.open(tab, "new", f"{away.far.url}/rest/say")
    tab.page.get_by_label("code").evaluate("(one) => { one.type = 'text'; one.value = 'many' }")
    press(tab, "Run")
    tab.page.locator("[data-field=code] .wrong").wait_for()
    assert "many" in tab.text("[data-field=code] .wrong")


def test_nothing_in_a_result_runs(away, tab):
    away.open(tab, "new", f"{away.far.url}/rest/gallery")
    press(tab, "Run")
    job_page(tab)
    phase(tab, "COMPLETED")
    title = tab.page.title()
    items = tab.page.locator("[data-results] li")
    tab.until(lambda: items.count() > 10)
    for number in range(items.count()):
        details = items.nth(number).locator("[data-preview-of]")
        if details.is_visible() and details.get_attribute("open") is None:
            details.locator("summary").first.click()
    for name in ("picture.svg", "pixels.png"):
        image = items.filter(has_text=name).locator("img")
        image.wait_for(state="attached")
        tab.until(lambda: image.evaluate("(one) => one.complete && one.naturalWidth > 0"))  # noqa: B023
    rows = items.filter(has_text="stars.vot").locator("tbody tr")
    tab.until(lambda: rows.count() == 2)
    items.filter(has_text="sky.fits").get_by_text("HDU 0").wait_for()
    assert tab.page.title() == title
    tab.accessible()


# -- an OPUS that lets pages ask, and wants to know whom it answers


def sign_in(tab: Tab, secret: str, user: str = "") -> None:
    if not tab.page.get_by_label("User name").is_visible():
        tab.page.locator("[data-credentials] summary").click()
    tab.page.get_by_label("User name").fill(user)
    tab.page.get_by_label("Password, or token").fill(secret)
    tab.accessible()
    press(tab, "Use it")


def test_credentials_go_to_their_service_alone_and_stay_in_the_tab(away, token, tab):
    say = f"{away.near.url}/rest/say"
    sent: list[tuple[str, dict[str, str]]] = []
    tab.page.on("request", lambda one: sent.append((one.url, one.headers)))
    tab.expected = ["401"]
    away.open(tab, "jobs", say)
    press(tab, "Say who you are")
    assert tab.page.evaluate("document.activeElement.id") == "service-user"
    sign_in(tab, "opus_wrong")
    tab.page.get_by_text("That did not work").wait_for()
    press(tab, "Say who you are")
    tab.page.get_by_label("Password, or token").fill(token)
    tab.page.keyboard.press("Enter")
    tab.page.get_by_text("No jobs that you may see").wait_for()
    tab.page.get_by_role("link", name="New job").click()
    tab.page.get_by_label("text").fill("for ann")
    press(tab, "Run")
    job_page(tab)
    phase(tab, "COMPLETED")
    assert "ann" in tab.texts("[data-text=owner]")
    tab.page.locator("[data-results]").get_by_text("for ann").wait_for()
    with tab.page.expect_download() as download:
        tab.page.locator("[data-results] a[data-download]").click()
    assert download.value.path().read_text() == "for ann"
    # A page of another tab knows nothing of it, nor does a service at another address.
    with opened(tab.context.browser) as other:
        other.expected = ["401"]
        other.open(tab.page.url)
        other.page.get_by_text("That did not work").wait_for()
    away.open(tab, "jobs", f"{away.far.url}/rest/say")
    assert tab.text("[data-credentials] summary").split() == "At 127.0.0.1 you are nobody".split()
    told = {url.split("/")[2] for url, headers in sent if "opus_" in str(headers)}
    assert told == {away.near.url[7:]}
    # It is forgotten at once.
    away.open(tab, "jobs", say)
    tab.page.locator("[data-credentials] summary").click()
    press(tab, "Forget it")
    tab.page.get_by_text("That did not work").wait_for()
    assert token not in tab.page.evaluate(
        "JSON.stringify([{ ...sessionStorage }, { ...localStorage }])"
    )


def test_what_was_filled_in_is_there_when_one_has_said_who_one_is(away, token, tab):
    tab.expected = ["401"]
    away.open(tab, "new", f"{away.near.url}/rest/say")
    tab.page.get_by_label("text").fill("kept")
    press(tab, "Run")
    tab.page.get_by_text("No job was made").wait_for()
    sign_in(tab, token)
    press(tab, "Run")
    job_page(tab)
    phase(tab, "COMPLETED")
    assert "kept" in tab.text("[data-parameters]")


# -- within a server of jobs


@pytest.fixture(scope="module")
def merged(away, tmp_path_factory) -> Iterator[Site]:
    """A server whose pages are for the others as well, for those who have signed in."""
    with say_site(tmp_path_factory.mktemp("merged"), free_port(), auth="anonymous = false") as one:
        servers = json.dumps([away.recent, away.far.url])
        server, auth = f"port = {one.port}", "anonymous = false"
        one.configure(server=server, auth=auth, client=f"servers = {servers}")
        one.opus("user", "add", "ann")
        one.serve()
        yield one


def test_who_has_signed_in_here_uses_others_from_here(away, merged, tab):
    tab.expected = ["401"]
    tab.open(f"{merged.url}/services")
    tab.page.get_by_role("link", name="Sign in", exact=True).first.wait_for()
    tab.sign_in(merged, "ann")
    tab.page.get_by_role("link", name="Other services").click()
    assert tab.texts(".card h2") == [away.recent[7:], away.far.url[7:]]
    tab.accessible()
    tab.page.get_by_role("link", name=f"Jobs at {away.recent}").click()
    tab.page.get_by_role("link", name="New job", exact=True).nth(1).click()
    say_to(tab, 1, "seconds", "0")
    tab.accessible()
    press(tab, "Run")
    job_page(tab)
    phase(tab, "COMPLETED")
    tab.accessible()
    assert tab.page.get_by_text("Signed in as").is_visible()


# -- all pages


@pytest.mark.parametrize("page", ["jobs", "new"])
def test_its_pages_are_for_everybody(away, service, tab, page):
    away.open(tab, page, service)
    tab.page.wait_for_load_state("networkidle")
    assert tab.page.locator("h1:visible").count() == 1
    tab.accessible()


def test_the_first_page_names_every_service(away, tab):
    tab.open(f"{away.url}/")
    assert len(tab.texts(".card h2")) == 4
    tab.accessible()


@pytest.mark.parametrize(
    ("address", "status"),
    [
        ("/services/jobs?SERVICE=http://example.org/async", 404),
        ("/services/jobs", 400),
        ("/services/job?ID=1&SERVICE=http://example.org/async", 404),
        ("/rest/say", 404),
        ("/admin", 404),
    ],
)
def test_what_is_not_there_is_said_in_a_page(away, tab, address, status):
    tab.expected = [str(status)]
    tab.open(away.url + address)
    assert str(status) in tab.text("main")
    assert tab.texts("header nav a") == ["Services"]
    tab.accessible()


def test_by_keyboard_alone(away, tab):
    away.open(tab, "jobs", away.recent)
    keyboard = tab.page.keyboard
    tab.to("New job")
    keyboard.press("Enter")
    tab.page.get_by_label("Name of parameter 1").wait_for()
    tab.to("Name of parameter 1")
    keyboard.type("seconds")
    tab.to("Value of parameter 1")
    keyboard.type("600")
    tab.to("Run")
    keyboard.press("Enter")
    job_page(tab)
    phase(tab, "EXECUTING")
    tab.to("Abort")
    keyboard.press("Enter")
    phase(tab, "ABORTED")
    tab.to("Delete…")
    keyboard.press("Enter")
    tab.to("Delete it")
    keyboard.press("Enter")
    tab.page.wait_for_url(re.compile("/services/jobs\\?"))
