"""Install all distributions with the oldest version that they allow of everything they require.

tox runs it before the tests of the environment `oldest`: `python oldest.py FOLDER`, where wheels
are built. A bound that is lower than what works is a promise that nobody has tried.
"""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

from wheels import build, install, sources


def bounds() -> dict[str, str]:
    """The lowest version that is allowed of each distribution that is not ours. Raises if one is
    bounded differently by two of ours, or not at all."""
    found: dict[str, str] = {}
    ours = {folder.name.replace("_", "-") for folder in sources()}
    for folder in sources():
        project = tomllib.loads((folder / "pyproject.toml").read_text())["project"]
        for requirement in map(Requirement, project["dependencies"]):
            if requirement.name in ours:
                continue
            [lowest] = [
                one.version for one in requirement.specifier if one.operator in (">=", "~=")
            ]
            if found.setdefault(requirement.name, lowest) != lowest:
                raise ValueError(f"{folder.name} has another lower bound for {requirement.name}")
    return found


if __name__ == "__main__":
    wheels = build(Path(sys.argv[1]))
    constraints = Path(sys.argv[1]) / "oldest.txt"
    constraints.write_text("".join(f"{name}=={lowest}\n" for name, lowest in bounds().items()))
    print(constraints.read_text(), end="")
    install(wheels, "--constraint", constraints)
