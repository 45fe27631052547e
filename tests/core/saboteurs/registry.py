"""Which saboteur breaks which promise, and test classes that hold a contract against each."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass


@dataclass(frozen=True)
class Saboteur:
    """A back end with one promise broken."""

    name: str
    back_end: type
    contract: type  # or the part of one that the promise belongs to
    caught_by: frozenset[str]
    more: str  # why further tests cannot help noticing it; empty: none may
    says: str  # a regular expression that is found in what each of these tests says

    def __str__(self) -> str:
        return self.name


def breaks(contract, *tests, more="", says=""):
    """Declare a class a saboteur, which exactly these tests of the contract catch, and say why."""

    def declare(back_end):
        missing = [name for name in tests if not hasattr(contract, name)]
        assert not missing, f"{contract.__name__} has no {missing}"
        back_end.saboteur = Saboteur(
            back_end.__name__, back_end, contract, frozenset(tests), more, says
        )
        return back_end

    return declare


def saboteurs(module):
    """The saboteurs of a module, in its order."""
    found = vars(importlib.import_module(module)).values()
    return [
        one.saboteur
        for one in found
        if isinstance(one, type) and "saboteur" in vars(one) and one.__module__ == module
    ]


def held(module):
    """Those that the contracts are held against: in a soak all, and else every sixth."""
    return saboteurs(module)[:: 1 if os.environ.get("OPUS_SOAK") else 6]


def test_classes(module):
    """A test class for each of these; the module's `fixtures` says how an instance is made."""
    fixtures = importlib.import_module(module).fixtures
    return {
        f"Test{one.name}": type(f"Test{one.name}", (one.contract,), fixtures(one.back_end))
        for one in held(module)
    }
