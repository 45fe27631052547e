"""How the server of the journeys is made: an author's configuration, and what is set in it."""

from __future__ import annotations

import json
import secrets
import subprocess
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from pathlib import Path
from typing import Any, Final

import pytest

from opus_core.pytest_options import NO_CONFIG

_COMMAND_TIME: Final = 120  # [s]


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """An author's configuration, and where its servers are made. Servers of equal recipes are
    alike."""

    text: str  # opus.toml with placeholders: see `opus_core.testing.journeys`
    root: Path  # folder of the servers' folders
    here: Path = field(default_factory=Path.cwd)  # the folder that the text comes from
    before: str = ""  # commands of a shell
    after: str = ""
    prefix: tuple[str, ...] = ()  # words before every command of opus, such as those of env(1)
    headers: tuple[tuple[str, str], ...] = ()  # of every request

    @classmethod
    def from_options(cls, config: pytest.Config, root: Path) -> Recipe:
        """The recipe that the command line says, with servers in `root` unless it says where."""
        given, folder = config.getoption("opus_config"), config.getoption("opus_folder")
        if not given:
            pytest.fail(NO_CONFIG)
        path = Path(given).absolute()
        pairs = (header.partition(":") for header in config.getoption("opus_header"))
        return cls(
            text=path.read_text("utf-8-sig"),
            root=Path(folder).absolute() if folder else root,
            here=path.parent,
            before=config.getoption("opus_before") or "",
            after=config.getoption("opus_after") or "",
            headers=tuple((name.strip(), value.strip()) for name, _, value in pairs),
        )

    def place(self) -> Place:
        """A fresh folder, and a word for it."""
        word = f"opus_{secrets.token_hex(4)}"
        folder = self.root / word
        folder.mkdir(parents=True)
        return Place(recipe=self, word=word, folder=folder)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one server of a recipe is at home."""

    recipe: Recipe
    word: str
    folder: Path

    def filled(self, text: str) -> str:
        """The text with the placeholders filled."""
        values = {"site": self.word, "folder": self.folder, "here": self.recipe.here}
        for name, value in values.items():
            text = text.replace(f"{{{name}}}", str(value))
        return text

    def configure(self, port: int) -> None:
        """Write opus.toml."""
        document = tomllib.loads(self.filled(self.recipe.text))
        (self.folder / "opus.toml").write_text(dumps(controlled(document, port)), "utf-8")

    def run(self, command: str) -> None:
        """Run one of the author's commands. AssertionError with what it said if it fails."""
        if not command:
            return
        done = subprocess.run(
            ["sh", "-c", self.filled(command)],
            cwd=self.recipe.here,
            capture_output=True,
            text=True,
            timeout=_COMMAND_TIME,
            check=False,
        )
        assert done.returncode == 0, (
            f"{self.filled(command)!r} ended with exit code {done.returncode}:\n{done.stderr}"
        )


def controlled(document: Mapping[str, Any], port: int) -> dict[str, Any]:
    """The configuration with what the journeys set for themselves."""
    found = {key: value for key, value in document.items() if key != "base_url"}
    server, jobs = found.get("server", {}), found.get("jobs", {})
    supervisor = {"poll_interval": 1, "grace": 2} | found.get("supervisor", {})
    return found | {
        "data_dir": "data",
        "log_file": "opus.log",
        "server": _without(server, "event_url", "sendfile") | {"host": "127.0.0.1", "port": port},
        "supervisor": supervisor | {"embedded": True, "lease_seconds": 3},
        "jobs": _without(jobs, "folder"),
        "auth": found.get("auth", {"anonymous": True, "anonymous_list": True}),
    }


def dumps(document: Mapping[str, Any]) -> str:
    """The document in TOML 1.0, its tables inline from the second level on."""
    top = [f"{_key(k)} = {_value(v)}\n" for k, v in document.items() if not isinstance(v, dict)]
    for name, table in document.items():
        if isinstance(table, dict):
            top.append(f"\n[{_key(name)}]\n")
            top += [f"{_key(key)} = {_value(value)}\n" for key, value in table.items()]
    return "".join(top)


def _key(name: str) -> str:
    return _value(name)


def _value(value: Any) -> str:  # noqa: ANN401
    """A value; a string of JSON is one of TOML, but for the character DEL."""
    match value:
        case dict():
            return f"{{{_joined(f'{_key(k)} = {_value(v)}' for k, v in value.items())}}}"
        case list():
            return f"[{_joined(map(_value, value))}]"
        case date() | time():
            return value.isoformat()
        case float():
            return repr(value)  # inf and nan, which JSON does not have
        case _:
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _joined(pieces: Iterable[str]) -> str:
    return ", ".join(pieces)


def _without(table: Mapping[str, Any], *keys: str) -> dict[str, Any]:
    return {key: value for key, value in table.items() if key not in keys}
