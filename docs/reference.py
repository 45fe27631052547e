"""Write the reference for authors of plugins, from what the interfaces say of themselves.

`docs/generate.py` calls it. Nothing is imported: the sources are read, so that signatures and
comments stand there as they were written.
"""

from __future__ import annotations

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_CORE: Final = Path(__file__).parents[1] / "opus_core" / "src" / "opus_core"
PAGE: Final = Path(__file__).parent / "plugins" / "reference.md"

_INTERFACES: Final = (
    ("backends", ("Backend", "Storage", "Accounts", "Manager", "Jdl")),
    ("extensions", ("Extension",)),
)
# Those that an author meets, where they are made.
_VALUES: Final = (
    ("extensions", ("Site", "Routes")),
    (
        "backends",
        (
            *("Task", "Ref", "Status", "Kind", "Cause", "Live", "Output", "Event", "Bundle"),
            *("User", "RequestView", "JobQuery", "Sort", "Limits", "Lease", "Record"),
            *("Health", "HealthState", "Account", "Token", "Session"),
        ),
    ),
    ("links", ("Links", "Exit")),
    ("finding", ("Code", "Finding", "State")),
    (
        "job",
        (
            *("Change", "Job", "JobSummary", "DefinitionRef", "Parameter", "Upload", "Result"),
            *("ErrorSummary", "Idempotency", "Phase", "Work", "Mark"),
        ),
    ),
    (
        "definition",
        (
            *("JobDefinition", "ParameterDescription", "ParameterType", "Option"),
            *("UsedDescription", "GeneratedDescription"),
        ),
    ),
)
_CONTRACTS: Final = (
    "StorageContract",
    "AccountsContract",
    "ManagerContract",
    "JdlContract",
    "AuthenticateContract",
    "ObserverContract",
)
_HEAD: Final = """\
# Reference

For authors of plugins: every hook, every method, every value. This page is made from the sources by
`docs/generate.py`; what it says is what the contract tests hold.
"""


def page() -> str:
    """The whole page."""
    body = "\n".join([*_hooks(), *_interfaces(), *_values(), *_errors(), *_contracts()])
    titles = re.findall(r"^## (.*)", body, re.MULTILINE)
    links = "".join(f"- [{title}](#{title.lower()})\n" for title in titles)
    return f"{_HEAD}\n{links}\n{body}"


def _hooks() -> Iterator[str]:
    yield "## Hooks\n"
    yield "A hook may take fewer arguments than it has here, and none that it has not.\n"
    for node in _Source("hookspecs").functions():
        yield f"### {node.name}\n"
        yield from _method(node)


def _interfaces() -> Iterator[str]:
    for module, names in _INTERFACES:
        source = _Source(module)
        for name in names:
            node = source.classes()[name]
            yield f"## {name}\n"
            yield f"`opus_core.{module}.{name}`. {_prose(node)}"
            for attribute, told in _attributes(source, node):
                yield f"**`{attribute}`**: {told}" if told else f"**`{attribute}`**\n"
            methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
            public = [one for one in methods if not one.name.startswith("_")]
            for abstract, title in ((True, "must be written"), (False, "may be written")):
                some = [one for one in public if _is_abstract(one) is abstract]
                if some:
                    yield f"### {name}: what {title}\n"
                for method in some:
                    yield from _method(method)


def _values() -> Iterator[str]:
    yield "## Values\n"
    yield "Frozen, made with keywords; instants are aware and in UTC.\n"
    for module, names in _VALUES:
        source = _Source(module)
        for name in names:
            node = source.classes()[name]
            yield f"### {name}\n"
            yield f"`opus_core.{module}.{name}`. {_prose(node)}"
            yield f"```python\n{source.fields(node)}```\n"


def _errors() -> Iterator[str]:
    yield "## Errors\n"
    yield "Of `opus_core.errors`; each takes one sentence, for whoever has to act.\n"
    tree = (ast.get_docstring(_Source("errors").tree) or "").split("\n\n")[1]
    yield f"```text\n{textwrap.dedent(tree)}\n```\n"


def _contracts() -> Iterator[str]:
    yield "## Contracts\n"
    yield "Of `opus_core.testing`; see [Tests for authors](testing.md).\n"
    for name in _CONTRACTS:
        [node] = [
            found
            for path in sorted((_CORE / "testing").glob("*.py"))
            for found in ast.parse(path.read_text()).body
            if isinstance(found, ast.ClassDef) and found.name == name
        ]
        yield f"### {name}\n"
        yield _prose(node)


class _Source:
    """One module of the core, or a package, whose modules are read as one text."""

    def __init__(self, module: str) -> None:
        files = sorted((_CORE / module).glob("*.py")) or [_CORE / f"{module}.py"]
        self.text = "\n".join(file.read_text() for file in files)
        self.tree = ast.parse(self.text)
        self._lines = self.text.splitlines(keepends=True)

    def classes(self) -> dict[str, ast.ClassDef]:
        return {one.name: one for one in self.tree.body if isinstance(one, ast.ClassDef)}

    def functions(self) -> list[ast.FunctionDef]:
        return [one for one in self.tree.body if isinstance(one, ast.FunctionDef)]

    def fields(self, node: ast.ClassDef) -> str:
        """What stands in a class between its docstring and its methods, comments included."""
        first = node.body[1] if ast.get_docstring(node) else node.body[0]
        methods = [one for one in node.body if isinstance(one, ast.FunctionDef)]
        until = node.end_lineno
        if methods:
            until = min(one.lineno for one in (*methods[0].decorator_list, methods[0])) - 1
        return textwrap.dedent("".join(self._lines[first.lineno - 1 : until])).strip() + "\n"


def _method(node: ast.FunctionDef) -> Iterator[str]:
    returns = f" -> {ast.unparse(node.returns)}" if node.returns else ""
    of_class = "classmethod " if "classmethod" in _decorators(node) else ""
    yield f"**`{of_class}{node.name}({ast.unparse(node.args)}){returns}`**\n"
    yield _prose(node)


def _attributes(source: _Source, node: ast.ClassDef) -> Iterator[tuple[str, str]]:
    """What a class has that is no method, and the string that stands below each."""
    following = [*node.body[1:], None]
    for one, below in zip(node.body, following, strict=True):
        if isinstance(one, ast.AnnAssign):
            told = ""
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                told = inspect.cleandoc(str(below.value.value)) + "\n"
            yield ast.unparse(one), told


def _is_abstract(node: ast.FunctionDef) -> bool:
    return "abstractmethod" in _decorators(node)


def _decorators(node: ast.FunctionDef) -> set[str]:
    return {ast.unparse(one) for one in node.decorator_list}


def _prose(node: ast.ClassDef | ast.FunctionDef) -> str:
    return (ast.get_docstring(node) or "") + "\n"
