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
    note = f"{count:,} jobs"
    addresses = {
        "first page": f"{site.url}/",
        "form": f"{site.url}/new/nothing",
        "list": site.job_list(),
        "list of all": f"{site.url}/jobs",
        "job": job,
    }
    for name, address in addresses.items():
        request = get(address, headers=_BROWSER)
        took = 1000 * load(request, number=100, connections=1)["p50"]
        yield Figure(f"page: {name}", took, "ms", ceiling=20, note=note)
        files = set(_FILE.findall(ask(request).text))
        size = sum(len(ask(get(f"{site.url}{file}")).body) for file in files) / 1000
        yield Figure(f"page: {name}, scripts and styles", size, "kB", ceiling=120)
    rows = get(f"{site.url}/jobs?SORT=-created&LIMIT=50", headers={"Accept": "application/json"})
    yield Figure("rows of a list", 1000 * load(rows, number=100, connections=1)["p50"], "ms")


def _usable(site: Site, count: int) -> Figure:
    """From the address typed to rows that can be ticked, in a browser that knows nothing yet."""
    try:
        from playwright.sync_api import sync_playwright
    except ImportError as error:
        raise Failed("playwright is not there: .venv/bin/pip install playwright") from error
    program = shutil.which("chromium")
    if program is None:
        raise Failed("chromium is not installed")
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
