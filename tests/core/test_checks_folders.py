"""What is wrong with folders, files and clocks: each made to be so, found, and told with the way
out."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from core.helpers.checked import checked
from isolated import needs_root, open_folder
from opus_core import checks
from opus_core import job as jobs
from opus_core.backends import SUPERVISOR, Health, HealthState
from opus_core.checks import Installation, clocks, users
from opus_core.checks.users import Want
from opus_core.datadir import INSTANCE_STREAM, read_data_dir
from opus_core.finding import State
from opus_core.roots import OWNER


@pytest.fixture
def site(tmp_path, monkeypatch):
    with checked(tmp_path, monkeypatch) as one:
        one.begin()
        yield one


@pytest.fixture
def small_disk(tmp_path):
    """Makes a file system of its own, as these options of tmpfs say."""
    needs_root()
    made = []

    def make(options, kind="tmpfs"):
        folder = tmp_path / f"disk{len(made)}"
        folder.mkdir()
        subprocess.run(["mount", "-t", kind, "-o", options, kind, folder], check=True)
        made.append(folder)
        return folder

    yield make
    for folder in made:
        subprocess.run(["umount", folder], check=True)


# -- the configuration


def test_a_configuration_that_everybody_may_write(site):
    config = site.folder / "opus.toml"
    config.chmod(0o646)

    assert f"chmod o-w {config}" in site.one("configuration-writable-by-all").sentence


def test_a_configuration_that_is_no_toml_leaves_the_plugins_to_be_looked_at(site):
    (site.folder / "opus.toml").write_text("[nonsense")
    site.install("gone", "import no_such_module")

    assert "not valid TOML" in site.one("configuration-mistake").sentence
    assert "no_such_module" in site.one("plugin-broken").sentence


# -- the data folder


def test_a_data_folder_that_is_not_there(site):
    shutil.move(site.data, site.folder / "elsewhere")

    found = site.one("data-folder-missing")

    assert found.state is State.WARNING
    assert f"there is nothing of OPUS in {site.data} yet" in found.sentence


def test_a_folder_with_nothing_of_opus_in_it_is_no_data_folder(site):
    shutil.rmtree(site.data)
    site.data.mkdir()

    assert site.one("data-folder-missing")


@pytest.mark.parametrize("name", ["secret", "instance"])
def test_a_data_folder_whose_own_files_are_damaged(site, name):
    (site.data / name).write_text("{")

    assert "restore it from a back-up" in site.one("data-folder-damaged").sentence


@pytest.mark.parametrize("name", ["secret", "instance"])
def test_a_data_folder_that_was_not_brought_back_whole(site, name):
    (site.data / name).unlink()

    assert f"there is no {site.data / name}; bring it" in site.one("data-folder-damaged").sentence
    assert not (site.data / name).exists()


def test_a_data_folder_that_is_a_file(site):
    shutil.rmtree(site.data)
    site.data.write_text("")

    assert "data cannot be used: Not a directory" in site.one("data-folder-damaged").sentence


def test_a_secret_that_everybody_may_read(site):
    (site.data / "secret").chmod(0o664)

    assert f"chmod o= {site.data / 'secret'}" in site.one("secret-readable-by-all").sentence


@pytest.mark.parametrize("name", ["", "jobs"])
def test_folders_that_everybody_may_look_into(site, name):
    folder = site.data / name
    folder.chmod(0o2775)

    assert site.one("data-folder-readable-by-all").sentence.endswith(f"chmod o= {folder}")


def test_others_may_pass_through_as_jobs_of_another_user_have_to(site):
    site.data.chmod(0o2771)

    assert site.wrong() == {}


def test_a_file_that_root_has_left_in_the_folder_of_another_user(monkeypatch):
    needs_root()
    with open_folder() as folder, checked(folder, monkeypatch) as site:
        site.begin()
        for path in (site.data, *site.data.rglob("*")):
            os.chown(path, 65534, 65534)
        stray = site.data / "definitions"
        os.chown(stray, 0, 0)

        found = site.one("data-file-of-another")

    assert "belongs to root, and nobody, whose" in found.sentence
    assert found.sentence.endswith(f"chown nobody {stray}")


def test_a_data_folder_that_was_copied(site):
    shutil.copytree(site.data, site.folder / "copy")
    config = site.folder / "opus.toml"
    config.write_text(config.read_text().replace('data_dir = "data"', 'data_dir = "copy"'))

    assert "opus init --adopt" in site.one("data-folder-copied").sentence


def test_a_storage_of_another_installation(site):
    storage = site.storage()
    storage.append(INSTANCE_STREAM, {"word": "other"}, key=INSTANCE_STREAM)

    assert "belongs to another installation" in site.one("storage-of-another").sentence
    storage.close()


# -- rights


def test_whatever_cannot_be_done_is_told_with_its_path(site, tmp_path):
    """By whatever root cannot do either; what others cannot is tried in tests/system."""
    lacking = [
        Want("fill", "data_dir", "it", tmp_path / "nowhere", checks.rights.DATA),
        Want("write", "log_file", "it", Path("/proc/nowhere/opus.log"), checks.rights.LOG),
        Want("read", "secret", "it", tmp_path / "nothing", checks.rights.DATA),
        Want("write", "log_file", "it", tmp_path, checks.rights.LOG),
        Want("fill", "jobs", "it", tmp_path, checks.rights.JOBS),
        Want("write", "log_file", "it", tmp_path / "new" / "opus.log", checks.rights.LOG),
    ]

    said = users.refusals(lacking, None)

    assert said[0] == said[2] == os.strerror(2)
    assert said[1].startswith("there is no folder /proc/nowhere, and none can be made (")
    assert said[3] == os.strerror(21)
    assert said[4:] == ["", ""]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["path", "site"]


def test_a_log_that_cannot_be_written(site):
    (site.data / "opus.log").mkdir()
    site.configure('log_file = "opus.log"')

    found = site.one("log-closed")

    assert f"({site.data / 'opus.log'}): {os.strerror(21)}" in found.sentence


def test_a_log_that_everybody_may_read(site):
    log = site.data / "opus.log"
    log.write_text("")
    log.chmod(0o664)
    site.configure('log_file = "opus.log"')

    assert f"chmod o= {log}" in site.one("log-readable-by-all").sentence
    assert site.wrong().keys() == {"log-readable-by-all"}


# -- the folders of jobs


def test_a_file_system_of_jobs_that_is_not_mounted(site):
    (site.data / "jobs").rename(site.folder / "elsewhere")
    (site.data / "jobs").mkdir(mode=0o2770)

    assert "is their file system mounted?" in site.one("jobs-folder-unmounted").sentence


def test_a_folder_of_jobs_that_another_installation_keeps(site):
    """More of it in test_roots.py."""
    file = site.data / "jobs" / OWNER
    file.write_text(file.read_text().replace(read_data_dir(site.data).instance.word, "12345678"))

    found = site.one("jobs-folder-of-another")

    assert found.sentence.endswith(f"if that installation is gone, remove {file}")


def test_a_folder_of_jobs_that_is_not_there_and_never_was(site):
    site.configure(jobs=f'folder = "{site.folder}/apart"')

    assert f"there is no {site.folder}/apart yet" in site.one("jobs-folder-missing").sentence
    assert not (site.folder / "apart").exists()


def test_a_file_system_without_hard_links(site, small_disk):
    """Message queues have a file system of their own, which has files and knows no links."""
    disk = small_disk("defaults", "mqueue")
    site.configure(jobs=f'folder = "{disk}"')

    found = site.one("jobs-folder-without-links")

    assert "makes no hard links (Operation not permitted)" in found.sentence
    assert not [path for path in disk.iterdir() if "check" in path.name]


def test_too_little_room_for_jobs(site, small_disk):
    disk = small_disk("size=2m,mode=2770")
    site.configure(jobs=f'folder = "{disk}"\nmin_free = "1 GiB"')

    found = site.one("disk-full")

    assert f"{disk} has 2097152 bytes free for the folders of jobs" in found.sentence
    assert "nothing is submitted until there is room" in found.sentence


def test_too_few_inodes(site, small_disk):
    disk = small_disk("nr_inodes=20,mode=2770")
    site.configure(jobs=f'folder = "{disk}"')

    assert f"{disk} can hold 19 further files, of 20" in site.one("inodes-few").sentence


# -- clocks


def wrong_clocks(site, now):
    """What `clocks` finds, of a machine whose clock is `now`."""
    installation = Installation(named=site.folder / "opus.toml")
    with installation.closing:
        before = checks._LOOKS[: checks._LOOKS.index(clocks.findings)]
        for look in (*checks._FIRST, *before):
            list(look(installation))
        return {one.code: one.sentence for one in clocks.findings(installation, now)}


def test_a_database_whose_clock_is_ahead(site):
    storage = site.storage()
    storage.pass_time(90)

    found = site.one("clock-storage")

    assert found.sentence.startswith("the clock of the storage is 90 s ahead of this machine's")
    storage.pass_time(-89)
    assert site.wrong() == {}
    storage.close()


def test_clocks_that_are_behind(site):
    found = wrong_clocks(site, lambda: time.time() + 60)

    assert found.keys() == {"clock-storage", "clock-files"}
    for sentence in found.values():
        assert " is 60 s behind of this machine's: set both by NTP" in sentence


def test_a_slow_answer_is_no_wrong_clock(site):
    """What is asked may take its time; the clock may show any instant meanwhile."""
    began = time.time()
    times = iter([began - 20, began + 20])

    assert list(clocks.differing(clocks.STORAGE, "it", lambda: began, lambda: next(times))) == []


def test_a_supervisor_of_the_future(site):
    storage = site.storage()
    later = jobs.now() + timedelta(seconds=40)
    health = Health(state=HealthState.OK, sentence="acts", since=later, heartbeat=later)
    storage.set_health(SUPERVISOR, health)

    found = site.one("clock-supervisor")

    assert " s from now: set the clock of its host or of this one by NTP" in found.sentence
    storage.set_health(SUPERVISOR, replace(health, heartbeat=jobs.now()))
    assert site.wrong() == {}
    storage.close()
