"""What the pages point at is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

from docs.blocks import CHECKOUT, DOCS, PAGES
from opus_core.commands import MODULES

TOP = sorted(path.name for path in CHECKOUT.iterdir() if not path.name.startswith("."))


def prose(page: Path) -> str:
    return re.sub(r"^```.*?^```", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The names that GitHub gives to headings."""
    titles = re.findall(r"^#+ +(.*)", prose(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(CHECKOUT)))
def test_links_lead_somewhere(page):
    for link in re.findall(r"\]\(([^)\s]+)\)", prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


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


def test_the_first_page_names_every_command():
    index = (DOCS / "index.md").read_text()
    named = re.findall(r"^\| `opus ([\w-]+)`", index, re.MULTILINE)
    commands = [module.__name__.rpartition(".")[2].replace("_", "-") for module in MODULES]
    assert named == sorted(named, key=commands.index)
    assert len(named) == len(MODULES)
