"""What a back end does not do is said by flags and fixtures; the kit says which, and lists them."""

from __future__ import annotations

import ast
import inspect
import re
from pathlib import Path

import pytest

from opus_core import testing
from opus_core.testing import (
    AccountsContract,
    AuthenticateContract,
    JdlContract,
    ManagerContract,
    ObserverContract,
    StorageContract,
)

KIT = Path(testing.__file__).parent
CONTRACTS = [
    StorageContract,
    AccountsContract,
    ManagerContract,
    JdlContract,
    AuthenticateContract,
    ObserverContract,
]
OF_MANAGERS = {"can_resume", "parallel"}  # said by the manager itself


SOURCES = {file.stem: ast.parse(file.read_text()) for file in sorted(KIT.glob("*.py"))}


def skips():
    """Where the kit skips, and what it says there; of an f-string what stands in it."""
    return [
        pytest.param("".join(_texts(node.args[0])), id=f"{name}:{node.lineno}")
        for name, source in SOURCES.items()
        for node in ast.walk(source)
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.skip"
    ]


def _texts(node):
    return [one.value for one in ast.walk(node) if isinstance(one, ast.Constant)]


def flags(contract):
    """Class attributes that say what a back end is not, or does not do."""
    return {name for one in contract.__mro__ for name in vars(one).get("__annotations__", ())}


def fixtures(contract):
    """Fixtures that an author may supply, and that are None without."""
    parts = {one.__name__ for one in contract.__mro__}
    return {
        function.name
        for source in SOURCES.values()
        for part in source.body
        if isinstance(part, ast.ClassDef) and part.name in parts
        for function in part.body
        if isinstance(function, ast.FunctionDef)
        and (ast.get_docstring(function) or "").startswith("Override with")
    }


@pytest.mark.parametrize("said", skips())
def test_every_skip_names_what_to_supply(said):
    known = OF_MANAGERS.union(*(flags(one) | fixtures(one) for one in CONTRACTS))
    named = {name for name in re.findall(r"`(\w+)(?: = \w+)?`", said)}
    assert named & known, f"neither a flag nor a fixture is named by {said!r}"


@pytest.mark.parametrize("contract", CONTRACTS)
def test_the_contract_lists_all_that_it_can_be_told(contract):
    listed = set(re.findall(r"`(\w+)(?: = \w+)?`", inspect.getdoc(contract)))
    missing = (flags(contract) | fixtures(contract)) - listed
    assert not missing, "an author reads of these nowhere"


def test_flags_and_fixtures_are_found():
    assert flags(ManagerContract) == {"shared_folder", "forgets", "asks"}
    assert fixtures(ManagerContract) == {
        *("unavailable", "unreachable", "rejected", "held", "crowded", "restarted", "unfit")
    }
    assert flags(StorageContract) == {"keeps_accounts", "copies"}
    assert flags(JdlContract) == {"xml", "too_large"}
