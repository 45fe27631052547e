"""Put the examples into the wheel, as opus_core/examples.

They stand at the root of the checkout, where people look for them, and an installed server offers
them too. This is a hook and not two lines of `force-include` for two reasons: an editable install
would get a copy that goes stale (it reads the checkout instead), and a wheel is also built from
an unpacked sdist, where the examples are beside this file and not one folder up.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExamplesHook(BuildHookInterface[Any]):
    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":
            return
        root = Path(self.root)
        in_sdist = root / "examples"
        source = in_sdist if in_sdist.is_dir() else root.parent / "examples"
        target = "examples" if self.target_name == "sdist" else "opus_core/examples"
        build_data["force_include"][str(source)] = target
