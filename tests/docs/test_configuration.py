"""The pages on the configuration say what the code says."""

from __future__ import annotations

import ast
import dataclasses
import importlib.util
import re
import sys
from types import ModuleType

import pytest

import opus_core
from docs.blocks import CHECKOUT, DOCS, blocks
from opus_core import sections
from opus_core.config import Config, load
from opus_core.offers import EXTENSION, KINDS
from opus_core.plugins import Registry

PAGE = DOCS / "configuration.md"
SOURCES = CHECKOUT / "opus_core" / "src" / "opus_core"


def generate() -> ModuleType:
    """docs/generate.py, which is a script and no package."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = generate()
PAGES = (*GENERATE.PAGES, DOCS / "admin" / "local.md")
EXAMPLES = [b for page in PAGES for b in blocks(page) if b.language == "toml"]


@pytest.mark.parametrize("page", GENERATE.PAGES, ids=lambda page: page.name)
def test_its_tables_are_those_of_the_dataclasses(page):
    command = f"{sys.executable} {DOCS / 'generate.py'}"
    text = page.read_text()
    assert text == GENERATE.renewed(text), f"{page.name} is out of date; renew it by: {command}"


def test_every_table_stands_in_a_page():
    shown = [name for page in GENERATE.PAGES for name in GENERATE.shown(page.read_text())]
    assert set(shown) == set(GENERATE.tables())


def test_every_option_of_what_is_installed_is_in_its_table():
    registry, known = Registry.installed(), GENERATE.tables()
    listed = 0
    for kind in KINDS:
        for offered in registry.offered(kind):
            fields = dataclasses.fields(offered.Options)
            table = f"plugins.{offered.name}" if kind == EXTENSION else f"{kind}: {offered.name}"
            told = [re.match(r"[|] `(.+?)`", row)[1] for row in known.get(table, [])]
            assert told == [field.name for field in fields], table
            listed += len(fields)
    assert listed > 50


def test_a_changed_line_of_a_table_is_noticed():
    page = PAGE.read_text()
    assert GENERATE.renewed(page.replace("| `8080` |", "| `80` |")) == page


@pytest.mark.parametrize("block", EXAMPLES)
def test_its_examples_are_legal_to_the_last_key(block, tmp_path):
    (tmp_path / "opus.toml").write_text(block.text)
    config = load(tmp_path / "opus.toml")
    registry = Registry()
    registry.discover()
    backends = (registry.storage(config), registry.manager(config), registry.jdl(config))
    for opened in (*backends, *registry.extensions(config)):
        opened.close()


def read_somewhere() -> set[str]:
    """Names of attributes that the core reads; not those of methods it calls."""
    found: set[str] = set()
    for source in SOURCES.rglob("*.py"):
        if source.name == "sections.py":
            continue  # where the keys themselves stand
        tree = ast.parse(source.read_text())
        called = {id(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
        found |= {
            node.attr
            for node in ast.walk(tree)
            if isinstance(node, ast.Attribute) and id(node) not in called
        }
    return found


def test_every_key_is_read_somewhere():
    assert opus_core.__file__.startswith(str(SOURCES))
    config = Config()
    values = [getattr(config, field.name) for field in dataclasses.fields(config)]
    tables = [value for value in values if type(value).__module__ == sections.__name__]
    keys = {field.name for table in tables for field in dataclasses.fields(table)}
    assert keys - read_somewhere() == set()
