"""A copy of a site whose jobs are on a cluster: it does not stop them, and they end as if nothing
had been."""

from __future__ import annotations

import shutil
from pathlib import Path

from servers import Site, eventually
from slurm.sites import PATIENCE, Stage, id_of, lines

COPIED = "copied from another installation, which goes on with it; run it again"


def test_jobs_on_the_cluster_are_the_originals(either: Stage, ledger: Path, tmp_path: Path) -> None:
    one, cluster = either.site, either.cluster
    go = ledger.with_suffix(".go")
    waits = (
        f"trap 'echo signal >> {ledger}.signals' TERM INT; until [ -e {go} ]; do sleep 0.1; done"
    )
    job = either.work(waits, ledger)
    number = either.runs(job)
    one.opus("db", "backup", str(tmp_path / "storage.sqlite"))

    two = Site(cluster.folder / f"copy-{either.way}", prefix=one.prefix)
    try:
        shutil.copytree(one.folder / "data", two.folder / "data", symlinks=True)
        jobs = two.folder / "shared"
        shutil.copytree(one.folder / "shared", jobs, symlinks=True)
        (two.folder / "base").mkdir()
        text = one.config.read_text().replace(f"port = {one.port}", f"port = {two.port}")
        two.config.write_text(text)
        two.opus("db", "restore", str(tmp_path / "storage.sqlite"))
        refused = two.start("serve")
        assert refused.wait(timeout=60) == 2
        claim = ("init", str(two.folder), "--new-instance")
        # Production's supervisor seems to have the back-up, as long as its lease was.
        eventually(lambda: two.opus(*claim, check=False).returncode == 0, PATIENCE, 0.5)
        two.serve()
        path = f"/rest/work/{id_of(job)}"
        copied = two.document(path)
        assert (copied["phase"], copied["errorSummary"]["message"]) == ("ERROR", COPIED)
        two.request("DELETE", path)
        folder = jobs / "jobs" / id_of(job)[:2] / id_of(job)
        eventually(lambda: not folder.exists(), PATIENCE)
    finally:
        two.stop()
        shutil.rmtree(two.folder)

    assert either.queue(job, "%i %T") == [f"{number} RUNNING"]
    go.touch()
    either.ends(job, "COMPLETED")
    assert lines(ledger) == 1
    assert not Path(f"{ledger}.signals").exists()
