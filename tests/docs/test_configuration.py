"""The page on the configuration says what the code says."""

from __future__ import annotations

import ast
import configparser
import dataclasses
import importlib.util
import re
import sys

import pytest

import opus_core
from docs.blocks import CHECKOUT, DOCS, blocks
from opus_core import sections
from opus_core.config import Config, load
from opus_core.plugins import Registry

PAGE = DOCS / "configuration.md"
SOURCES = CHECKOUT / "opus_core" / "src" / "opus_core"


def renewed(page: str) -> str:
    """The page as docs/generate.py, which is a script and no package, would leave it."""
    spec = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.renewed(page)


def test_its_tables_are_those_of_the_dataclasses():
    page = PAGE.read_text()
    command = f"{sys.executable} {DOCS / 'generate.py'}"
    assert page == renewed(page), f"docs/configuration.md is out of date; renew it by: {command}"


def test_a_page_that_lacks_a_table_is_not_renewed():
    without = PAGE.read_text().replace("<!-- keys: jobs -->", "")
    with pytest.raises(ValueError, match="jobs"):
        renewed(without)


def test_a_changed_line_of_a_table_is_noticed():
    page = PAGE.read_text()
    assert renewed(page.replace("| `8080` |", "| `80` |")) == page


@pytest.mark.parametrize("block", [b for b in blocks(PAGE) if b.language == "toml"])
def test_its_examples_are_legal_to_the_last_key(block, tmp_path):
    (tmp_path / "opus.toml").write_text(block.text)
    config = load(tmp_path / "opus.toml")
    registry = Registry()
    registry.discover()
    for opened in (registry.storage(config), registry.manager(config), registry.jdl(config)):
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


def test_the_keys_it_calls_without_effect_are_all_that_nothing_reads():
    assert opus_core.__file__.startswith(str(SOURCES))
    config = Config()
    values = [getattr(config, field.name) for field in dataclasses.fields(config)]
    tables = [value for value in values if type(value).__module__ == sections.__name__]
    keys = {field.name for table in tables for field in dataclasses.fields(table)}
    _, _, rest = PAGE.read_text().partition("## Keys without effect\n")
    listed = re.findall(r"^- .*", rest.partition("\n## ")[0], re.MULTILINE)
    named = {name for line in listed for name in re.findall(r"`([a-z_]+)`", line)}
    if any("[plugins.NAME]" in line for line in listed):
        named.add("tables")
    assert keys - read_somewhere() == named


def test_the_unit_runs_a_command_and_lets_jobs_live_when_it_is_stopped():
    [block] = [one for one in blocks(PAGE) if one.before == "<!-- unit -->"]
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str
    unit.read_string(block.text)
    program, *words = unit["Service"]["ExecStart"].split()
    assert program.endswith("/bin/opus")
    assert words[:1] + words[2:] == ["--config", "serve"]
    # The default, control-group, kills jobs of the local manager with the server.
    assert unit["Service"]["KillMode"] == "process"
    assert int(unit["Service"]["UMask"], 8) == 0o007
