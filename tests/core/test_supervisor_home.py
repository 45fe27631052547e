"""Whose jobs they are: not a copy's, and not another manager's."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from dataclasses import replace

import pytest

from core.helpers.cluster import SmallManager
from core.helpers.mounts import mounted
from core.helpers.site import Site, a_site
from opus_core.backends import HealthState
from opus_core.datadir import INSTANCE_STREAM, open_data_dir
from opus_core.errors import ConfigError
from opus_core.job import Mark, Phase, Work, now
from opus_core.supervisor.copied import disown_jobs
from opus_core.testing.timing import eventually


@pytest.fixture
def site(tmp_path):
    with a_site(tmp_path) as site:
        yield site


def test_jobs_of_a_manager_that_is_not_configured_wait_and_health_says_so(site: Site) -> None:
    job = site.job()
    foreign = site.storage.save(replace(job, manager="other"), expected=1)
    running = site.storage.add(
        replace(
            site.job(run=False),
            id="0" * 32,
            work=Work.LIVE,
            phase=Phase.EXECUTING,
            started=now(),
            tag="opus-x-y",
            native_ids=("77",),
            manager="other",
        )
    )
    site.supervisor()
    site.until_released(site.job(), Phase.COMPLETED)
    health = eventually(lambda: site.storage.health().get("manager other"), "health tells")
    assert health.state is HealthState.DOWN
    assert (site.read(foreign).phase, site.read(foreign).work) == (Phase.QUEUED, Work.WANTED)
    time.sleep(3 * SmallManager.poll_interval + site.settings.policy.grace)
    assert site.read(running).phase is Phase.EXECUTING


def test_a_copy_of_an_installation_is_not_supervised(site: Site, tmp_path) -> None:
    shutil.copytree(tmp_path / "data", tmp_path / "copy")
    site.data_dir = open_data_dir(tmp_path / "copy")
    with pytest.raises(ConfigError, match=r"was copied or moved here; run `opus init --adopt`"):
        site.supervisor()


def before_a_reboot(folder):
    """What a supervisor has left in `instance` before this host was started anew."""
    file = folder / "instance"
    document = json.loads(file.read_text())
    document["places"][0].update(boot="before", device=7)
    file.write_text(json.dumps(document))
    return open_data_dir(folder)


def test_after_a_reboot_a_supervisor_starts_and_writes_down_where_it_is(
    site: Site, tmp_path
) -> None:
    opened = site.data_dir
    site.data_dir = before_a_reboot(tmp_path / "data")
    site.supervisor()
    site.until_released(site.job(), Phase.COMPLETED)
    assert open_data_dir(tmp_path / "data") == opened


def test_where_that_cannot_be_written_it_starts_all_the_same(site: Site, tmp_path, caplog) -> None:
    disk = tmp_path / "disk"
    with mounted(disk):
        shutil.copytree(tmp_path / "data", disk, dirs_exist_ok=True)
        open_data_dir(disk).adopt()
        site.data_dir = before_a_reboot(disk)
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        site.supervisor()
        assert f"where {disk} lies cannot be written down anew (Read-only" in caplog.text
        site.until_released(site.job(), Phase.COMPLETED)


def test_a_storage_of_another_installation_is_not_supervised(site: Site) -> None:
    site.storage.append(INSTANCE_STREAM, {"word": "another"}, key=INSTANCE_STREAM)
    with pytest.raises(ConfigError, match="belongs to another installation"):
        site.supervisor()


def test_a_copy_disowns_what_is_not_over_and_cancels_nothing(site: Site) -> None:
    first = site.supervisor()
    running = site.job("sleep 60")
    site.until_phase(running, Phase.EXECUTING)
    first.stop()
    over, wanted, pending = site.job(), site.job(), site.job(run=False)
    site.abort(over)
    doomed = site.job("sleep 60")
    site.storage.save(
        replace(doomed, work=Work.LIVE, native_ids=("9",), marks=frozenset({Mark.DOOMED})),
        expected=1,
    )
    calls = site.cluster.calls.copy()
    assert disown_jobs(site.storage) == 3
    for job in (running, wanted):
        disowned = site.read(job)
        assert (disowned.phase, disowned.work) == (Phase.ERROR, Work.RELEASED)
        assert disowned.error is not None
        assert disowned.error.message.startswith("copied from another installation")
    assert site.read(over).phase is Phase.ABORTED
    assert site.read(pending).phase is Phase.PENDING
    assert site.read(doomed).work is Work.RELEASED
    assert site.cluster.calls == calls
