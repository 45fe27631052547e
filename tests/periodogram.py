"""The example that everybody runs, and what its script writes without any of us."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

FOLDER = Path(__file__).parents[1] / "examples/periodogram"
OUTPUTS = {
    "plot": "periodogram.svg",
    "strongest": "strongest.json",
    "spectrum_csv": "spectrum.csv",
    "spectrum_votable": "spectrum.vot",
}
TABLE = b"time,value\n" + b"".join(
    b"%d,%d\n" % (2000 + year, (year * 7) % 11 + 3 * (year % 4)) for year in range(60)
)


def computed(folder: Path, **variables: str) -> dict[str, bytes]:
    """Each result, as the script alone writes it into a new folder."""
    folder.mkdir()
    names = {"shortest": "2", "longest": "100", "oversampling": "10", **OUTPUTS, **variables}
    subprocess.run(
        ["python3", str(FOLDER / "script")],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **names},
        check=True,
        capture_output=True,
    )
    return {name: (folder / file).read_bytes() for name, file in OUTPUTS.items()}
