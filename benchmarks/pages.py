"""Pages: what the server needs for one, and when somebody in a browser can use a long list."""

from __future__ import annotations

import re
import shutil
import statistics
import time
from collections.abc import Iterator

from benchmarks.asking import ask, get, load
from benchmarks.figure import Failed, Figure
from benchmarks.lists import LARGE, fill
from benchmarks.site import Site, new_site

_ROUNDS = 5
_BROWSER = {"Accept": "text/html"}
_FILE = re.compile(r'(?:href|src)="(/static/[^"]*\.(?:js|css))"')
_LAST_ROW = "tbody tr:nth-child(50) input[data-pick]"


def figures(quick: bool) -> Iterator[Figure]:
    """At a site with many jobs."""
    count = LARGE // 10 if quick else LARGE
    with new_site(supervisor="embedded = false") as site:
        fill(site, count)
        with site.serve():
            job = site.create(text="a")
            yield from _served(site, job, count)
            yield _usable(site, count)


def _served(site: Site, job: str, count: int) -> Iterator[Figure]:
    addresses = {
        "the first": f"{site.url}/",
        "the form": f"{site.url}/new/nothing",
        "the list": site.job_list(),
        "the list of all": f"{site.url}/jobs",
        "the job": job,
    }
    took: dict[str, float] = {}
    sizes: dict[str, float] = {}
    for name, address in addresses.items():
        request = get(address, headers=_BROWSER)
        took[name] = 1000 * load(request, number=100, connections=1)["p50"]
        files = set(_FILE.findall(ask(request).text))
        sizes[name] = sum(len(ask(get(f"{site.url}{file}")).body) for file in files) / 1000
    slowest, largest = max(took, key=took.__getitem__), max(sizes, key=sizes.__getitem__)
    note = f"{slowest}, with {count:,} jobs"
    yield Figure("slowest page", took[slowest], "ms", ceiling=20, note=note)
    yield Figure("scripts and style of a page", sizes[largest], "kB", ceiling=120, note=largest)
    rows = get(f"{site.url}/jobs?SORT=-created&LIMIT=50", headers={"Accept": "application/json"})
    yield Figure("rows of a page", 1000 * load(rows, number=100, connections=1)["p50"], "ms")


def _usable(site: Site, count: int) -> Figure:
    """From the address typed to rows that can be ticked, in a browser that knows nothing yet."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise Failed("playwright is not there: .venv/bin/pip install playwright") from error
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if program is None:
        raise Failed("there is no Chromium; Debian's chromium-headless-shell has it")
    times = []
    with sync_playwright() as playwright:
        flags = ["--headless", "--no-sandbox", "--disable-gpu"]
        browser = playwright.chromium.launch(executable_path=program, args=flags)
        for _ in range(_ROUNDS):
            page = browser.new_context().new_page()
            begin = time.perf_counter()
            page.goto(f"{site.url}/jobs")
            page.check(_LAST_ROW)  # which waits until that can be done
            times.append(time.perf_counter() - begin)
            page.context.close()
        browser.close()
    took = statistics.median(times)
    return Figure("list usable in a browser", took, "s", ceiling=1, note=f"{count:,} jobs")
