"""The usual site with SLURM, of the page on the configuration, before a real cluster."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from docs.blocks import DOCS
from printed import marked
from services.slurm import Cluster
from slurm.sites import reachable


def test_check_has_nothing_against_it(cluster: Cluster, tmp_path: Path) -> None:
    shared = reachable(cluster.folder / "usual")
    text = marked(DOCS / "configuration.md")["site: slurm"].text
    config = tmp_path / "opus.toml"
    config.write_text(text.replace("/srv/opus", str(tmp_path)).replace("/shared", str(shared)))
    done = subprocess.run(
        [sys.executable, "-m", "opus_core.cli", "--config", config, "check", "--probe", "--json"],
        env=cluster.environment() | {"PYTHONPATH": ":".join(sys.path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    found = json.loads(done.stdout)["findings"]
    bad = {one["subject"]: one["sentence"] for one in found if one["state"] != "ok"}
    # Nobody supervises yet, nothing is described, nobody has an account; the page's host is
    # nobody's; and the cluster of these tests is in a hurry to kill.
    assert set(bad) <= {"supervisor", "definitions", "accounts", "base_url", "slurm"}, bad
    assert "KillWait" in bad["slurm"]
    assert [one["sentence"] for one in found if one["subject"] == "probe"]
