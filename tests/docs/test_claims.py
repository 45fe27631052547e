"""What the README says is listed in claims.toml, word for word, with the tests and figures behind
it; so a new sentence needs its evidence, and a test that goes takes its sentence along."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache

import pytest

from docs.blocks import CHECKOUT
from docs.figures import measured

README = (CHECKOUT / "README.md").read_text()
CLAIMS = tomllib.loads((CHECKOUT / "tests" / "docs" / "claims.toml").read_text())["says"]
EVIDENCE = {"tests", "figures"}


def words(text: str) -> str:
    """Without titles and the lines of tables, with a code block for its first line."""
    text = re.sub(r"^```\w+\n\s*(.*?)\s*\n.*?^```$", r"```\1```", text, flags=re.M | re.S)
    text = re.sub(r"^(#+ .*|[|-]+)$", "", text, flags=re.M)
    return " ".join(text.split())


def other(text: str, claims: list[str]) -> str:
    """Where a text goes on otherwise than its claims, taken one after another; empty if nowhere."""
    rest = words(text)
    for claim in claims:
        if not rest.startswith(claim):
            return f"{claim!r} is listed where the page says {rest[:100]!r}"
        rest = rest.removeprefix(claim).lstrip(" |")
    return rest


def test_every_word_of_the_readme_is_listed_and_no_other():
    assert other(README, [one["text"] for one in CLAIMS]) == ""


def test_a_sentence_that_is_not_listed_is_noticed():
    page = "# Title\n\nIt runs. It\nflies.\n\n| a | b |\n|---|---|\n| c | `d` |\n\n"
    page += "```sh\nmake\nx\n```\n"
    claims = ["It runs.", "It flies.", "a | b", "c | `d`", "```make```"]
    assert other(page, claims) == ""
    assert other(page, claims[:-1]) == "```make```"
    assert "'It sings." in other(page.replace("flies", "sings"), claims)
    assert other(page, [*claims, "It sinks."]).startswith("'It sinks.'")


@cache
def defined(path: str) -> set[str]:
    """The tests of a file, those of classes by `Class::test`."""
    tree = ast.parse((CHECKOUT / path).read_text())
    methods = {
        f"{one.name}::{inner.name}"
        for one in tree.body
        if isinstance(one, ast.ClassDef)
        for inner in one.body
        if isinstance(inner, ast.FunctionDef)
    }
    return methods | {one.name for one in tree.body if isinstance(one, ast.FunctionDef)}


@pytest.mark.parametrize("claim", CLAIMS, ids=lambda claim: claim["text"][:40])
def test_a_claim_has_evidence_that_exists_or_is_none(claim):
    assert claim.keys() & (EVIDENCE | {"no_claim"})
    assert not (claim.keys() & EVIDENCE and "no_claim" in claim)
    assert all(claim.values())
    for test in claim.get("tests", ()):
        path, _, name = test.partition("::")
        assert re.fullmatch(r"tests/\w+/test_\w+\.py", path), test
        assert name.rpartition("::")[2].startswith("test_"), test
        assert name in defined(path), test
    names = {name for name, _ in measured()}
    for figure in claim.get("figures", ()):
        assert figure in names
