"""What files for Apache, nginx and systemd say, as far as OPUS has to know."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

Directive = tuple[str, tuple[str, ...]]
"""Its name in lower case, and its words."""

_SIZES: Final = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_TIMES: Final = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_NGINX: Final = re.compile(r"""#[^\n]*|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|([;{}])|[^\s;{}]+""")


@dataclass(slots=True)
class Block:
    """What stands between two braces, or in a `<Section>`; or in none."""

    parent: Block | None = None
    own: list[Directive] = field(default_factory=list)

    def valid(self) -> list[Directive]:
        """What holds in it: its own, behind those around it."""
        return [*(self.parent.valid() if self.parent else ()), *self.own]


def apache(text: str) -> list[Block]:
    """The blocks of a file for Apache."""
    blocks = [Block()]
    inside = blocks[0]
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()
        if line.startswith("</"):
            inside = inside.parent or inside
        elif line.startswith("<"):
            inside = Block(inside)
            blocks.append(inside)
        elif line and not line.startswith("#"):
            words = _words(line)
            inside.own.append((words[0].lower(), tuple(words[1:])))
    return blocks


def nginx(text: str) -> list[Block]:
    """The blocks of a file for nginx."""
    blocks = [Block()]
    inside = blocks[0]
    words: list[str] = []
    for match in _NGINX.finditer(text):
        if match[0].startswith("#"):
            continue
        if not match[3]:
            words.append(next((one for one in match.groups()[:2] if one is not None), match[0]))
            continue
        if match[0] == "{":
            inside = Block(inside)
            blocks.append(inside)
        elif words:
            inside.own.append((words[0].lower(), tuple(words[1:])))
        if match[0] == "}":
            inside = inside.parent or inside
        words = []
    return blocks


def valid_where(blocks: list[Block], name: str, target: str) -> list[Directive]:
    """What holds beside the directive of this name that has `target` in it; all there is, if none
    does."""
    for block in blocks:
        if any(key == name and any(target in word for word in words) for key, words in block.own):
            return block.valid()
    return [directive for block in blocks for directive in block.own]


def unit(text: str) -> dict[str, str]:
    """The settings of a unit of systemd, whatever section they stand in; the last one counts."""
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    pairs = (line.partition("=") for line in lines if line[:1] not in ("", "#", ";", "["))
    return {key.strip(): value.strip() for key, _, value in pairs}


def command(value: str) -> list[str]:
    """The words of an ExecStart."""
    return [word.replace("%%", "%").replace("$$", "$") for word in _words(value)]


def options(words: tuple[str, ...]) -> dict[str, str]:
    """`name=value` words."""
    pairs = (word.partition("=") for word in words)
    return {name.lower(): value for name, sign, value in pairs if sign}


def program(text: str) -> Iterator[str]:
    """The configurations that a `wsgi.py` makes applications of; raises `SyntaxError`."""
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        name = node.func.attr if isinstance(node.func, ast.Attribute) else None
        name = node.func.id if isinstance(node.func, ast.Name) else name
        first = node.args[0]
        if name == "make_application" and isinstance(first, ast.Constant):
            yield str(first.value)


def size(text: str) -> int | None:
    """Bytes, as nginx and Apache write them; None for what is none."""
    match = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    return int(match[1]) * _SIZES[match[2]] if match else None


def seconds(text: str) -> float | None:
    """A time as nginx and Apache write it; None for what is none."""
    parts = re.findall(r"(\d+)(ms|[smhd]?)", text.lower())
    if not parts or "".join(map("".join, parts)) != text.lower():
        return None
    return sum(int(number) * _TIMES[letter] for number, letter in parts)


def _words(line: str) -> list[str]:
    try:
        return shlex.split(line) or [""]
    except ValueError:  # a quote that does not end: its own program says so better
        return line.split()
