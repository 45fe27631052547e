"""The page on troubleshooting: each symptom in one form, each sentence really said by the program,
each command there."""

from __future__ import annotations

import argparse
import ast
import re

import pytest

from docs.blocks import CHECKOUT, DOCS
from opus_core.cli import build_parser
from opus_core.config import Config, Selection

PAGE = DOCS / "admin" / "troubleshooting.md"
HOLE = "\0"
SYMPTOMS = re.findall(r"^### (.+?)\n\n(.*?)(?=^##|\Z)", PAGE.read_text(), re.MULTILINE | re.DOTALL)
SENTENCES = re.findall(r"^> (.+)$", PAGE.read_text(), re.MULTILINE)
PAGES = sorted((DOCS / "admin").glob("*.md"))


def said() -> list[str]:
    """All that the program may say: its texts, with a mark where something is filled in."""
    found: list[str] = []
    for source in CHECKOUT.glob("**/src/*/**/*.py"):
        if "testing" in source.parts:
            continue
        for node in ast.walk(ast.parse(source.read_text())):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                found.append(node.value)
            elif isinstance(node, (ast.JoinedStr, ast.BinOp)):
                found.append(_text(node))
    for page in CHECKOUT.glob("opus_core/src/opus_core/render/templates/*.html"):
        found.append(re.sub(r"\{\{.*?\}\}|\{%.*?%\}", HOLE, page.read_text()))
    return found


def _text(node: ast.expr) -> str:
    match node:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=values):
            return "".join(map(_text, values))
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return _text(left) + _text(right)
        case _:
            return HOLE


TEXTS = said()


def is_said(sentence: str) -> bool:
    """Whether some text of the program is the sentence, where `...` is what is filled in."""
    pattern = re.compile(".*?".join(map(re.escape, sentence.split("..."))), re.DOTALL)
    return any(pattern.search(text) for text in TEXTS)


@pytest.mark.parametrize("sentence", SENTENCES)
def test_the_program_says_each_sentence(sentence):
    assert is_said(sentence), "no text of the sources is this"


def test_a_sentence_that_nobody_says_is_noticed():
    assert not is_said("no supervisor is running; start `opus superwise`")
    assert not is_said("the storage ... is lazy; try again in a moment")


def test_there_are_the_symptoms_that_admins_meet():
    assert len(SYMPTOMS) >= 25
    assert len(SENTENCES) >= 25


@pytest.mark.parametrize(("title", "text"), SYMPTOMS, ids=[title for title, _ in SYMPTOMS])
def test_each_symptom_has_the_same_form(title, text):
    assert re.fullmatch(r"(> .+\n\n)*\*\*Why:\*\* .+?\n\*\*Do:\*\* .+?\n+", text, re.DOTALL), title


def actions(one: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    found = [action for action in one._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


@pytest.fixture(scope="module")
def commands():
    return actions(build_parser())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_the_commands_that_pages_for_admins_name_are_there(page, commands):
    text = re.sub(r"\\\n +", " ", page.read_text())
    named = re.findall(r"(?:`|/bin/|^)opus (?:--config \S+ )?(\S[^`\n]*)", text, re.MULTILINE)
    for words in map(str.split, named):
        if words[0].startswith("-"):
            continue
        assert words[0] in commands, words
        below = actions(commands[words[0]])
        if below and len(words) > 1:
            assert words[1] in below, words


def test_the_keys_that_pages_for_admins_name_are_there():
    config, named = Config(), set()
    for page in PAGES:
        text = page.read_text()
        for keys, table in re.findall(r"(`\w+`(?: and `\w+`)?) (?:in|of) `\[(\w+)\]`", text):
            named |= {(table, key) for key in re.findall(r"\w+", keys) if key != "and"}
        named |= set(re.findall(r"`\[(\w+)\] (\w+)`", text))
    ours = {
        (table, key) for table, key in named if not isinstance(getattr(config, table), Selection)
    }
    assert len(ours) > 20
    assert {pair for pair in ours if not hasattr(getattr(config, pair[0]), pair[1])} == set()


def test_each_alert_has_a_line_that_says_what_to_do():
    text = (DOCS / "admin" / "monitoring.md").read_text()
    told = re.findall(r"^\| `(Opus\w+)` \|", text, re.MULTILINE)
    assert told == re.findall(r"- alert: (\w+)", text)
