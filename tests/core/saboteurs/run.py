"""Hold the contracts against saboteurs, and write down which tests failed, and what they said.

python -m core.saboteurs.run FOLDER MODULE...     (writes FOLDER/failed.json)
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from hypothesis import Phase, settings

# A counter-example is wanted, and neither the smallest nor for later.
settings.register_profile(
    "sabotage",
    max_examples=5,
    phases=[Phase.explicit, Phase.generate],
    database=None,
    derandomize=True,
)


class Verdicts:
    """Collects by module and saboteur what failed tests said, by name without parameters."""

    def __init__(self):
        self.failed = {}

    def pytest_runtest_logreport(self, report):
        file, name, test = report.nodeid.split("::", 2)
        module = Path(file).stem.removeprefix("test_")
        failed = self.failed.setdefault(f"{module}.{name.removeprefix('Test')}", {})
        if report.failed:
            # What an author reads first: the error with its notes, without the traceback.
            crash = getattr(report.longrepr, "reprcrash", None)
            said = crash.message if crash else str(report.longrepr)
            failed.setdefault(test.partition("[")[0], said[:4000])


def main(folder, modules):
    settings.load_profile("sabotage")
    (folder / "pytest.ini").write_text("[pytest]\n")
    files = []
    for module in modules:
        files.append(folder / f"test_{module.rpartition('.')[2]}.py")
        files[-1].write_text(
            "from core.saboteurs.registry import test_classes as made\n"
            f"globals().update(made({module!r}))\n"
        )
    verdicts = Verdicts()
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:timeout", "-W", "ignore"]
    pytest.main([*options, "-c", folder / "pytest.ini", *files], plugins=[verdicts])
    (folder / "failed.json").write_text(json.dumps(verdicts.failed))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
