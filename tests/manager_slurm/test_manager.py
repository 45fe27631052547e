from __future__ import annotations

import pytest

from opus_core.backends import Ref
from opus_core.config import Config, Selection
from opus_core.errors import BackendUnavailable, ConfigError
from opus_core.plugins import Registry
from opus_manager_slurm.manager import SlurmManager


def slurm(**options) -> SlurmManager:
    registry = Registry()
    registry.discover()
    return registry.manager(Config(manager=Selection(use="slurm", options=options)))


def test_the_installed_plugin_offers_slurm_and_says_what_it_cannot():
    manager = slurm()

    assert isinstance(manager, SlurmManager)
    assert "cannot submit yet" in manager.about


def test_a_server_that_selects_it_refuses_to_start_in_one_sentence(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigError) as caught:
        slurm().check()

    assert str(caught.value) == (
        "the slurm manager of this release cannot submit jobs yet; select another by use in "
        "[manager], such as local (there is no sbatch on this machine)"
    )


def test_check_says_where_sbatch_is(tmp_path, monkeypatch):
    sbatch = tmp_path / "sbatch"
    sbatch.write_text("#!/bin/sh\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(ConfigError, match=f"sbatch is at {sbatch}"):
        slurm().check()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ConfigError, match=f"{sbatch} is at {sbatch}"):
        slurm(commands={"sbatch": str(sbatch)}).check()
    with pytest.raises(ConfigError, match="login was not asked for sbatch"):
        slurm(host="login").check()


def test_nothing_that_was_not_asked_is_ever_answered():
    manager, ref = slurm(), Ref(tag="opus-x-0")

    for call in (
        lambda: manager.find(["opus-x-0"]),
        lambda: manager.get_status([ref]),
        lambda: manager.abort(ref),
        lambda: manager.start(None),
    ):
        with pytest.raises(BackendUnavailable, match="nothing was"):
            call()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"transport": "ssh"}, 'transport = "ssh" needs the key host: the login node'),
        (
            {"transport": "local", "host": "login"},
            'transport = "local" runs the commands here, not on login; leave out one',
        ),
        ({"user": "opus"}, "user names an account on a login node, and there is no host"),
        ({"transport": "rsh"}, "transport must be 'local' or 'ssh', not 'rsh'"),
        ({"partion": "long"}, "has no key partion; did you mean partition?"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(options, sentence):
    with pytest.raises(ConfigError) as caught:
        slurm(**options)
    assert sentence in str(caught.value)


def test_a_host_means_ssh():
    assert slurm(host="login").options.remote
    assert slurm(host="login", transport="ssh", user="opus").options.remote
    assert not slurm(transport="local").options.remote
    assert not slurm().options.remote
