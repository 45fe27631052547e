"""What files for Apache, nginx and systemd say, as far as OPUS has to know."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from typing import Final

Directive = tuple[str, tuple[str, ...]]
"""Its name in lower case, and its words."""

_SIZES: Final = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30}
_TIMES: Final = {"ms": 0.001, "": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
_NGINX: Final = re.compile(r"""#[^\n]*|"((?:\\.|[^"\\])*)"|'((?:\\.|[^'\\])*)'|([;{}])|[^\s;{}]+""")


def apache(text: str) -> list[Directive]:
    """The directives of a file for Apache; `<Section ...>` is one, too."""
    found = []
    for line in text.replace("\\\n", " ").splitlines():
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        words = _words(line.strip("<>"))
        found.append((words[0].lower(), tuple(words[1:])))
    return found


def nginx(text: str) -> list[Directive]:
    """The directives of a file for nginx; the head of a block is one, too."""
    found: list[Directive] = []
    words: list[str] = []
    for match in _NGINX.finditer(text):
        if match[0].startswith("#"):
            continue
        if match[3]:
            if words:
                found.append((words[0].lower(), tuple(words[1:])))
            words = []
        else:
            words.append(next((one for one in match.groups()[:2] if one is not None), match[0]))
    return found


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
