"""The pictures of the user guide.

`OPUS_GUIDE=docs/user-guide/images` takes them anew; else they only have to be there.
"""

from __future__ import annotations

import os
import struct
from pathlib import Path

from browser.tab import Tab

ROOT = Path(__file__).parents[2]
GUIDE = ROOT / "docs" / "user-guide"
SIZE = {"width": 1200, "height": 800}


def shot(tab: Tab, name: str) -> None:
    """Take a picture of what is in the window; the guide has one of that name and size."""
    folder = os.environ.get("OPUS_GUIDE")
    data = tab.page.screenshot(path=str(Path(folder) / f"{name}.png") if folder else None)
    there = (GUIDE / "images" / f"{name}.png").read_bytes()
    assert there[:8] == data[:8]
    assert struct.unpack(">II", there[16:24]) == struct.unpack(">II", data[16:24])
