"""Imports go one way, low to high: who reads a module need only know those below it."""

from __future__ import annotations

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import opus_core

ROOT = Path(opus_core.__file__).parent

# From low to high. A module imports from lower lines, and from its own.
LINES = (
    ("errors", "process", "place", "allocation", "facts", "finding", "pytest_options"),
    ("job", "definition", "disk"),
    ("links",),
    ("backends",),
    ("extensions",),
    ("hookspecs",),
    ("values", "below", "settings", "hosts", "departure", "elsewhere", "lines", "logfile"),
    (
        "sections",
        "texts",
        "bodies",
        "forwarded",
        "connecting",
        "forms",
        "queries",
        "shelf",
        "spool",
        "unsent",
        "pacing",
        "fetching",
        "notation",
        "proxy",
    ),
    ("access", "config", "controls", "heavy", "intake", "drafts", "offers", "validation"),
    ("hooks", "why"),
    ("plugins", "definitions", "wrapper", "lifecycle", "datadir", "logs"),
    ("folder",),
    ("roots",),
    ("auth", "waiting", "announcements"),
    ("publishing", "service", "supervisor"),
    ("render",),
    ("routes", "client", "remote"),
    ("app", "skeleton", "deployment"),
    ("checks",),
    ("serving", "wsgi"),
    ("commands",),
    ("cli",),
)
# For plugin authors and tests: reads everything below the web, and nothing reads it.
ASIDE = ("testing",)

PLACE = {name: line for line, names in enumerate(LINES) for name in names}


def place(module: str) -> str:
    """`opus_core.render.xml` -> `render`."""
    return module.split(".")[1] if "." in module else ""


def imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.startswith("opus_core.")}


def modules() -> dict[str, set[str]]:
    """What each top-level module or package imports."""
    found: dict[str, set[str]] = {}
    for path in ROOT.rglob("*.py"):
        name = path.relative_to(ROOT).parts[0].removesuffix(".py")
        found.setdefault(name, set()).update(map(place, imports(path)))
    return found


def dotted(path: Path) -> str:
    """`.../opus_core/render/xml.py` -> `opus_core.render.xml`."""
    return ".".join(path.relative_to(ROOT.parent).with_suffix("").parts).removesuffix(".__init__")


def graph() -> dict[str, set[str]]:
    """What each single module imports, a package standing for its `__init__`."""
    paths = {dotted(path): path for path in ROOT.rglob("*.py")}
    return {
        name: {one if one in paths else one.rpartition(".")[0] for one in imports(path)}
        for name, path in paths.items()
    }


def test_every_module_has_its_place():
    found = (
        path for path in ROOT.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    )
    names = {path.stem for path in found}
    strangers = names - set(PLACE) - set(ASIDE) - {"__init__"}
    assert strangers == set()


def test_no_module_imports_what_stands_above_it():
    wrong = [
        f"{name} imports {other}"
        for name, others in modules().items()
        if name in PLACE
        for other in others
        if other in PLACE and PLACE[other] > PLACE[name]
    ]
    assert wrong == []


def test_no_module_imports_itself_by_way_of_others():
    runs = {name: others for name, others in graph().items() if place(name) not in ASIDE}
    TopologicalSorter(runs).prepare()  # raises CycleError


def test_back_ends_have_one_door():
    door = "opus_core.backends"
    assert [
        f"{name} imports {other}"
        for name, others in graph().items()
        for other in others
        if other.startswith(f"{door}.") and not f"{name}.".startswith(f"{door}.")
    ] == []


def test_nothing_that_runs_imports_the_tests_for_plugin_authors():
    assert [
        name for name, others in modules().items() if name in PLACE and "testing" in others
    ] == []


def test_the_web_side_never_reaches_a_manager():
    assert "supervisor" not in modules()["service"] | modules()["routes"] | modules()["render"]
