"""What the pages point at is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from docs.blocks import CHECKOUT, DOCS, PAGES, every_page

TOP = sorted(path.name for path in CHECKOUT.iterdir() if not path.name.startswith("."))


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The names that forges give to headings: a second one of the same words gets a number."""
    found: dict[str, int] = {}
    names = set()
    for title in re.findall(r"^#+ +(.*)", prose(page), re.MULTILINE):
        words = re.sub(r"\]\(.*?\)", "", title.lower())
        name = re.sub(r"[^\w\- ]", "", words).replace(" ", "-")
        names.add(f"{name}-{found[name]}" if name in found else name)
        found[name] = found.get(name, 0) + 1
    return names


def links(page: Path) -> list[str]:
    """Of all of its forms Markdown has here two: `[words](link)` and `<link>`."""
    text = re.sub(r"`[^`]+`", "", prose(page))
    assert not re.search(r"^\[.*?\]: ", text, re.MULTILINE), "a link that is defined elsewhere"
    return [*re.findall(r"\]\(([^)]*)\)", text), *re.findall(r"<(\w+:[^>]*)>", text)]


@pytest.mark.parametrize("page", every_page(), ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page):
    for link in links(page):
        if ":" in link:  # what is elsewhere is not asked by tests
            assert re.fullmatch(r"https?://[\w-]+(\.[\w-]+)+(:\d+)?(/[^\s<>]*)?", link), link
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.is_relative_to(CHECKOUT), link
        assert target.exists(), link
        if "#" in link:
            assert anchor in anchors(target), link


def test_the_second_heading_of_the_same_words_has_a_number(tmp_path):
    page = tmp_path / "page.md"
    page.write_text("# A `b_c` & [d](e.md)\n\n## Twice\n\n## Twice\n\n```sh\n# none\n```\n")
    assert anchors(page) == {"a-b_c--d", "twice", "twice-1"}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_the_files_that_are_named_exist(page):
    for name in re.findall(r"`([\w./-]+/[\w./-]*)`", prose(page)):
        if name.split("/")[0] in TOP:
            assert (CHECKOUT / name).exists(), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_the_modules_and_names_that_are_named_exist(page):
    for name in re.findall(r"`(opus_core\.[\w.]+)`", prose(page)):
        module, _, attribute = name.rpartition(".")
        try:
            importlib.import_module(name)
        except ModuleNotFoundError:
            assert hasattr(importlib.import_module(module), attribute), name


def test_the_first_page_leads_to_every_other():
    index = (DOCS / "index.md").read_text()
    pages = {page for page in DOCS.rglob("*.md") if page.name != "README.md"}
    others = {str(page.relative_to(DOCS)) for page in pages} - {"index.md"}
    assert others <= set(re.findall(r"\]\(([\w./-]+)\)", index))


def test_every_row_of_the_first_page_is_for_a_reader():
    rows = [line for line in (DOCS / "index.md").read_text().splitlines() if line.startswith("| ")]
    assert rows[0] == "| who | wants to | reads |"
    assert re.match(r"\| \*\*\w", rows[1])
    for row in rows[1:]:
        assert re.fullmatch(r"\| (\*\*[\w ]+\*\* )?\| [^|]+ \| \[[^|]+\]\([^|]+\) \|", row), row


def test_the_first_page_fits_on_a_screen():
    # Of 1,080 pixels the browser takes 100 and what is above the table 130; a row takes 26.
    rows = [line for line in (DOCS / "index.md").read_text().splitlines() if line.startswith("|")]
    assert len(rows) - 1 <= 32
