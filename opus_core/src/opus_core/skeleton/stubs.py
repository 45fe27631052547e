"""What a plugin's author has to write, as source: signatures and promises, taken from where they
are made. There is one text of each promise, and no second one that could say something else."""

from __future__ import annotations

import ast
import builtins
import inspect
import re
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final, cast

from opus_core import backends

__all__ = ["Stub", "abstract_methods", "door", "hook_method", "import_lines"]

_WIDTH: Final = 100
_UNWRITTEN: Final = "        raise NotImplementedError\n"


@dataclass(frozen=True, slots=True)
class Stub:
    """A method without its body, indented for a class, and what its signature needs."""

    name: str
    source: str
    needs: Mapping[str, str]  # name -> the module it is imported from


def abstract_methods(base: type[Any]) -> list[Stub]:
    """The methods that a class has to have, in the order in which `base` promises them."""
    wanted: frozenset[str] = base.__abstractmethods__
    return [_stub(function) for name, function in vars(base).items() if name in wanted]


def hook_method(hook: Callable[..., Any]) -> Stub:
    """A hook as the method of an extension."""
    stub = _stub(hook)
    head, rest = stub.source.split("(", 1)
    body = rest if rest.startswith(")") else f", {rest}"
    source = f"    @hookimpl\n{head}(self{body}"
    return Stub(stub.name, source, stub.needs)


def door(module: str) -> str:
    """Where an author imports from what is made in `module`."""
    return backends.__name__ if module.startswith(f"{backends.__name__}.") else module


def import_lines(needs: Iterable[tuple[str, str]]) -> str:
    """The statements that import these (name, module), sorted as ruff sorts them."""
    by_module: dict[str, set[str]] = {}
    for name, module in needs:
        by_module.setdefault(module, set()).add(name)
    groups: tuple[list[str], list[str]] = ([], [])
    for module in sorted(by_module):
        ours = module.partition(".")[0] not in sys.stdlib_module_names
        groups[ours].append(_import(module, sorted(by_module[module], key=_rank)))
    return "\n\n".join("\n".join(group) for group in groups if group)


def _stub(function: Callable[..., Any]) -> Stub:
    source = textwrap.dedent(inspect.getsource(function))
    node = cast(ast.FunctionDef, ast.parse(source).body[0])
    lines = source.splitlines(keepends=True)[node.lineno - 1 : node.body[0].end_lineno]
    lines = [re.sub(r"  # (type: ignore|noqa)\b.*", "", line) for line in lines]
    return Stub(
        name=node.name,
        source=textwrap.indent("".join(lines), "    ") + _UNWRITTEN,
        needs=_needed(node, sys.modules[function.__module__]),
    )


def _needed(node: ast.FunctionDef, module: ModuleType) -> dict[str, str]:
    """Where the names of the signature come from."""
    origin: dict[str, str] = {}
    for statement in ast.parse(inspect.getsource(module)).body:
        if isinstance(statement, ast.ImportFrom) and statement.module:
            origin |= {alias.name: statement.module for alias in statement.names}
    signature = [node.args, *([node.returns] if node.returns else [])]
    names = {
        one.id for part in signature for one in ast.walk(part) if isinstance(one, ast.Name)
    } - set(dir(builtins))
    return {name: door(origin.get(name, module.__name__)) for name in names}


def _import(module: str, names: list[str]) -> str:
    line = f"from {module} import {', '.join(names)}"
    if len(line) <= _WIDTH:
        return line
    listed = "".join(f"    {name},\n" for name in names)
    return f"from {module} import (\n{listed})"


def _rank(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest."""
    return (0 if name.isupper() else 1 if name[0].isupper() else 2, name)
