"""The figures that `make bench` measures, read from its sources."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys

from docs.blocks import CHECKOUT

HOME = CHECKOUT / "benchmarks"


def part(name: str):
    """A module of the benchmarks. The checkout is not on the path: in it the folders of our
    distributions would pass for what they contain."""
    if "benchmarks" not in sys.modules:
        spec = importlib.util.spec_from_file_location(
            "benchmarks", HOME / "__init__.py", submodule_search_locations=[str(HOME)]
        )
        sys.modules["benchmarks"] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"benchmarks.{name}")


def measured() -> set[tuple[str, str]]:
    """Each figure of the sources, with what is promised of it."""
    found = set()
    for group in part("groups").GROUPS:
        for node in ast.walk(ast.parse((HOME / f"{group}.py").read_text())):
            if not isinstance(node, ast.Call) or ast.unparse(node.func) != "Figure":
                continue
            name, _, unit = (ast.unparse(one).strip("'") for one in node.args)
            bounds = {one.arg: ast.unparse(one.value) for one in node.keywords}
            promised = ""
            if "floor" in bounds:
                promised = f">= {bounds['floor']} {unit}"
            elif "ceiling" in bounds:
                promised = f"<= {bounds['ceiling']} {unit}"
            found.add((name, promised))
    return found
