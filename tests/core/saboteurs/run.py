"""Hold the contracts against the saboteurs of one module, and write down which tests failed.

python -m core.saboteurs.run MODULE FOLDER     (writes FOLDER/failed.json)
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
    max_examples=8,
    phases=[Phase.explicit, Phase.generate],
    database=None,
    derandomize=True,
)


class Verdicts:
    """Collects the names of failed tests by class, without their parameters."""

    def __init__(self):
        self.failed = {}

    def pytest_runtest_logreport(self, report):
        name, _, test = report.nodeid.partition("::")[2].partition("::")
        failed = self.failed.setdefault(name.removeprefix("Test"), [])
        if report.failed:
            failed.append(test.partition("[")[0])


def main(module, folder):
    settings.load_profile("sabotage")
    file = folder / "test_saboteurs.py"
    file.write_text(
        "from core.saboteurs.registry import test_classes as made\n"
        f"globals().update(made({module!r}))\n"
    )
    (folder / "pytest.ini").write_text("[pytest]\n")
    verdicts = Verdicts()
    options = ["-q", "--tb=no", "-p", "no:cacheprovider", "-p", "no:timeout", "-W", "ignore"]
    pytest.main([*options, "-c", str(folder / "pytest.ini"), str(file)], plugins=[verdicts])
    (folder / "failed.json").write_text(json.dumps(verdicts.failed))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
