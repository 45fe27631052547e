"""Whose the root of jobs' folders is: shared with another installation it is refused, copied it is
not, and mount points, whose inodes are all the same, are told apart as well."""

from __future__ import annotations

import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict, replace

import pytest

from core.helpers.checked import checked
from core.helpers.mounts import mounted
from opus_core import roots
from opus_core.app import open_opus
from opus_core.commands import init
from opus_core.config import load
from opus_core.datadir import open_data_dir
from opus_core.errors import ConfigError
from opus_core.folder import MARK
from opus_core.place import Place
from opus_core.roots import OWNER, owner_of


@pytest.fixture(params=["folders", "mounts"])
def place(request, tmp_path):
    """A folder by its name: on the file system of all others, or each the root of its own."""
    with ExitStack() as mounts:

        def make(name):
            folder = tmp_path / name
            if request.param == "mounts":
                mounts.enter_context(mounted(folder))
            else:
                folder.mkdir()
            return folder

        yield make


@pytest.fixture
def site(tmp_path, monkeypatch):
    with checked(tmp_path, monkeypatch) as one:
        yield one


def at(site, data, jobs):
    """An installation of this data folder and this folder of jobs."""
    site.configure(jobs=f'folder = "{jobs}"')
    file = site.folder / "opus.toml"
    file.write_text(file.read_text().replace('data_dir = "data"', f'data_dir = "{data}"'))
    return load(file)


def began(site, place):
    """The original's folders, after its first start."""
    data, jobs = place("data"), place("jobs")
    open_opus(at(site, data, jobs)).close()
    (jobs / "ab").mkdir()
    return data, jobs


def copied(folder, copy):
    shutil.copytree(folder, copy, dirs_exist_ok=True)
    return copy


def new_instance(site):
    """What `opus init --new-instance` does with it."""

    class Arguments:
        folder = None
        config = site.folder / "opus.toml"
        adopt = False
        new_instance = True

    return init._claim(Arguments)


def test_a_copy_with_the_originals_folder_of_jobs_is_refused(site, place):
    data, jobs = began(site, place)
    at(site, copied(data, place("copy")), jobs)

    with pytest.raises(ConfigError, match="is that of the original"):
        new_instance(site)

    assert owner_of(jobs).word == open_data_dir(data).instance.word


def test_a_copy_with_a_copied_folder_of_jobs_gets_a_word_of_its_own(site, place):
    data, jobs = began(site, place)
    copy, own = copied(data, place("copy")), copied(jobs, place("own"))
    config = at(site, copy, own)

    assert new_instance(site) == 0

    word = open_data_dir(copy).instance.word
    assert word != open_data_dir(data).instance.word
    assert owner_of(own) == roots.Owner(word, Place.of(own))
    open_opus(config).close()
    shutil.rmtree(site.folder / "cluster")  # or it could be the original's
    assert new_instance(site) == 0, "what is at home may begin anew"


def test_no_server_starts_in_the_folder_of_jobs_of_another(site, place):
    _, jobs = began(site, place)
    config = at(site, place("other"), jobs)

    with pytest.raises(ConfigError, match="is that of another installation") as refusal:
        open_opus(config)

    (site.folder / "data").mkdir()
    site.configure(jobs=f'folder = "{jobs}"')
    open_data_dir(site.folder / "data")
    found = site.one("jobs-folder-of-another")
    assert found.sentence == refusal.value.sentence
    assert f"remove {jobs / OWNER}" in found.sentence
    (jobs / OWNER).unlink()
    open_opus(config).close()
    assert owner_of(jobs).word == open_data_dir(config.data_dir).instance.word


def test_a_root_that_says_not_whose_it_is_gets_its_word_at_the_next_start_at_home(site, place):
    data, jobs = began(site, place)
    (jobs / OWNER).unlink()
    copy = copied(data, place("copy"))
    config = at(site, copy, jobs)
    open_opus(config).close()
    assert owner_of(jobs) is None, "a copy that is not at home writes nothing"
    with pytest.raises(ConfigError, match="start the original once"):
        new_instance(site)

    open_opus(at(site, data, jobs)).close()

    assert owner_of(jobs).word == open_data_dir(data).instance.word
    at(site, copy, jobs)
    with pytest.raises(ConfigError, match="is that of the original"):
        new_instance(site)


def test_of_another_host_or_boot_the_inode_alone_can_tell(site, place):
    data, jobs = began(site, place)
    at(site, copied(data, place("copy")), jobs)
    owner = owner_of(jobs)

    for other in ({"host": "elsewhere"}, {"boot": "before"}):
        told = replace(owner, place=replace(owner.place, device=7, **other))
        (jobs / OWNER).write_text(json.dumps(asdict(told)))
        with pytest.raises(ConfigError, match="on another host or of before") as refusal:
            new_instance(site)
    for file in (OWNER, MARK):
        assert str(jobs / file) in refusal.value.sentence
        (jobs / file).unlink()
    assert new_instance(site) == 0
    assert (jobs / MARK).exists()
    assert owner_of(jobs).place == Place.of(jobs)


@pytest.mark.parametrize("changes", [{"boot": "before"}, {"path": None}, {"boot": None}])
def test_a_start_writes_anew_where_the_root_is(site, place, changes):
    """Also where it was written by a release that knew less of places."""
    data, jobs = began(site, place)
    owner = owner_of(jobs)
    told = asdict(owner)
    told["place"].update(changes)
    told["place"] = {key: value for key, value in told["place"].items() if value is not None}
    (jobs / OWNER).write_text(json.dumps(told))
    at(site, copied(data, place("copy")), jobs)
    with pytest.raises(ConfigError, match="is that of the original"):
        new_instance(site)

    open_opus(at(site, data, jobs)).close()

    assert owner_of(jobs) == owner


def test_a_root_that_is_not_mounted_is_given_nothing(site, place, tmp_path):
    data, jobs = began(site, place)
    for file in (OWNER, MARK):
        (jobs / file).unlink()

    open_opus(at(site, data, jobs)).close()

    assert not (jobs / OWNER).exists()


@pytest.mark.parametrize("text", ["{", "[]", '{"word": "ab"}', '{"word": "ab", "place": {}}'])
def test_a_damaged_word_is_told_with_the_way_out(tmp_path, text):
    (tmp_path / OWNER).write_text(text)

    with pytest.raises(ConfigError, match=rf"{OWNER} is damaged; remove it if"):
        owner_of(tmp_path)
