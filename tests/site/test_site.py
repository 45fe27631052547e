"""What `make docs` builds: without a warning, whole, and in need of nothing from elsewhere."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
FIRST = "README.html"
# Made for the way there, not from a page.
ON_THE_WAY = {"index.html", "search.html"}
LOADING = {"audio", "embed", "iframe", "img", "input", "script", "source", "track", "video"}


def build(checkout, out):
    """By the very command of `make docs`."""
    makefile = (CHECKOUT / "Makefile").read_text()
    [line] = re.findall(r"^\t@\.venv-docs/bin/sphinx-build (.*)", makefile, re.MULTILINE)
    *options, target = shlex.split(line)
    assert target == "docs/_build/html"
    return subprocess.run(
        [sys.executable, "-m", "sphinx", *options, str(out)],
        cwd=checkout,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


class Page(HTMLParser):
    """What a page links to, what it loads, and the names that links to it may end with."""

    def __init__(self, file):
        super().__init__()
        self.links, self.loads, self.names = [], [], set()
        self.feed(file.read_text())

    def handle_starttag(self, tag, attrs):
        told = dict(attrs)
        self.names |= {told[key] for key in ("id", "name") if told.get(key)}
        if tag == "a" and "href" in told:
            self.links.append(told["href"])
        elif tag == "link":
            self.loads.append(told["href"])
        elif tag in LOADING and told.get("src"):
            self.loads.append(told["src"])
        assert "srcset" not in told
        assert "url(" not in told.get("style", "")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The folder of the site, and what was said when it was built."""
    folder = tmp_path_factory.mktemp("site") / "html"
    return folder, build(CHECKOUT, folder)


@pytest.fixture(scope="module")
def pages(site):
    folder, _ = site
    return {str(file.relative_to(folder)): Page(file) for file in folder.rglob("*.html")}


def lies(page, link):
    """Where a link of a page leads within the site, and the name behind it; None if it leaves."""
    parts = urlsplit(link)
    if parts.scheme or parts.netloc:
        assert parts.scheme in ("http", "https"), f"{page}: {link}"
        assert re.fullmatch(r"[\w.-]+(:\d+)?", parts.netloc), f"{page}: {link}"
        return None
    assert not parts.path.startswith("/"), f"{page}: {link} holds at the root of a server only"
    path = os.path.normpath(os.path.join(os.path.dirname(page), unquote(parts.path)))
    return path if parts.path else page, unquote(parts.fragment)


def test_it_is_built_without_a_warning(site):
    _, done = site
    assert (done.returncode, done.stderr) == (0, "")


def test_what_is_wrong_with_a_page_ends_the_build(tmp_path):
    for name in ("README.md", "CHANGELOG.md", "CONTRIBUTING.md"):
        shutil.copy2(CHECKOUT / name, tmp_path)
    for name in ("docs", "opus_core/src/opus_core"):
        ignored = shutil.ignore_patterns("_build", "__pycache__")
        shutil.copytree(CHECKOUT / name, tmp_path / name, ignore=ignored)
    page = tmp_path / "docs" / "nowhere.md"
    page.write_text("# Nowhere\n\n[one](http.md#none), [two](none.md)\n")
    done = build(tmp_path, tmp_path / "html")
    assert done.returncode == 1
    said = [line for line in done.stderr.splitlines() if line.startswith(f"{page}")]
    assert len(said) == 3
    for what in ("isn't included in any toctree", "not found in doc 'docs/http'", "'none.md'"):
        assert any(what in line for line in said)


def test_every_page_is_reached_from_the_first(site, pages):
    folder, _ = site
    reached, todo = set(), [FIRST]
    while todo:
        page = todo.pop()
        if page not in reached:
            reached.add(page)
            found = (lies(page, link) for link in pages[page].links)
            todo += [to[0] for to in found if to is not None and to[0] in pages]
    assert set(pages) - reached == ON_THE_WAY - reached
    written = {str(file.relative_to(CHECKOUT)) for file in (CHECKOUT / "docs").glob("**/*.md")}
    lacking = {name for name in written if not (folder / name).with_suffix(".html").exists()}
    assert all(name.startswith("docs/plugins/cellar/") for name in lacking)


def test_no_link_of_it_is_broken(site, pages):
    folder, _ = site
    for page, content in pages.items():
        for link in content.links:
            to = lies(page, link)
            if to is not None:
                target, name = to
                assert (folder / target).is_file(), f"{page}: {link}"
                assert not name or name in pages[target].names, f"{page}: {link}"


def test_it_loads_nothing_from_elsewhere(site, pages):
    folder, _ = site
    for page, content in pages.items():
        for link in content.loads:
            to = lies(page, link)
            assert to is not None, f"{page} loads {link}"
            assert (folder / to[0]).is_file(), f"{page}: {link}"
    for sheet in folder.rglob("*.css"):
        text = sheet.read_text()
        assert "@import" not in text
        for link in re.findall(r"url\(\s*['\"]?([^'\")]+)", text):
            assert link.startswith("data:") or (sheet.parent / link).exists(), f"{sheet}: {link}"


def test_the_first_page_is_found_by_whoever_opens_the_folder(site):
    folder, _ = site
    assert f'http-equiv="refresh" content="0; url={FIRST}"' in (folder / "index.html").read_text()


def test_what_is_searched_for_is_found(site):
    folder, _ = site
    index = (folder / "searchindex.js").read_text()
    assert all(word in index for word in ("docs/admin/slurm", '"periodogram":[', '"visible_aft":['))


def test_what_scrolls_is_reached_by_keys_and_headings_have_levels(site):
    folder, _ = site
    text = (folder / FIRST).read_text()
    assert "<pre>" not in text
    assert '<pre tabindex="0">' in text
    assert text.count('role="heading"') == text.count('role="heading" aria-level="2"') > 3


def test_it_looks_like_the_web_client(site):
    folder, _ = site
    static = CHECKOUT / "opus_core" / "src" / "opus_core" / "render" / "static"
    accents = re.findall(r"--accent: (#\w+);", (static / "opus.css").read_text())
    told = re.findall(r"--color-brand-primary: (#\w+);", (folder / FIRST).read_text())
    assert len(set(accents)) == 2
    assert set(told) == set(accents)
    assert (folder / "_static" / "opus.svg").read_bytes() == (static / "opus.svg").read_bytes()
