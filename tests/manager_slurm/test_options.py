"""What an admin may write in `[manager]`, and what a run may then be given."""

from __future__ import annotations

from pathlib import Path

import pytest

from opus_core.config import Config, Selection
from opus_core.definition import ParameterType
from opus_core.errors import ConfigError, SubmitRejected
from opus_core.plugins import Registry
from opus_manager_slurm.limits import parse_limits
from opus_manager_slurm.manager import SlurmManager


def slurm(**options) -> SlurmManager:
    registry = Registry()
    registry.discover()
    return registry.manager(Config(manager=Selection(use="slurm", options=options)))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"transport": "ssh"}, 'transport = "ssh" needs the key host: the login node'),
        (
            {"transport": "local", "host": "login"},
            'transport = "local" runs the commands here, not on login; leave out one',
        ),
        ({"user": "opus"}, "user is about a login node, and there is no host"),
        ({"ssh_config": "config"}, "ssh_config is about a login node, and there is no host"),
        ({"transport": "rsh"}, "transport must be 'local' or 'ssh', not 'rsh'"),
        ({"partion": "long"}, "has no key partion; did you mean partition?"),
        ({"host": "-oProxyCommand=x"}, "is no name of a machine"),
        ({"host": "login", "folder": "../elsewhere"}, "is no path of a folder"),
        ({"partition": "a b"}, "partition: 'a b' is no name"),
        ({"partition": "a\n#SBATCH --x"}, "is no name"),
        ({"sbatch_options": ["-p main"]}, "is no option written as one --name=value"),
        ({"sbatch_options": ["--x=1 --y=2"]}, "is no option written as one --name=value"),
        ({"modules": ["a; rm -rf ~"]}, "modules: 'a; rm -rf ~' is no name"),
        ({"accounts": {"ann": "a b"}}, "accounts: ann: 'a b' is no name"),
        ({"commands": {"sbtch": "x"}}, "'sbtch' is none of sbatch, squeue"),
        ({"run_options": {"slurm_time": "1..2"}}, "'slurm_time' is none of slurm_mem"),
        ({"run_options": {"slurm_mem": "much"}}, 'write it as "100M..16G = 1G"'),
        ({"run_options": {"slurm_mem": "2G..1G"}}, 'write it as "100M..16G = 1G"'),
        ({"run_options": {"slurm_mem": "1G..2G = 3G"}}, "the default 3G is not within 1G..2G"),
        ({"run_options": {"slurm_mem": "1G..2G ="}}, "has no default behind the ="),
        ({"run_options": {"slurm_nodes": "1-4"}}, 'write it as "1..16 = 1"'),
        ({"run_options": {"slurm_qos": "a b | c"}}, 'write it as "main | long = main"'),
        ({"run_options": {"slurm_qos": "a | b = c"}}, "the default c is none of its values"),
        ({"grace": -1}, "grace must be at least 0, not -1"),
    ],
)
def test_a_mistake_is_one_sentence(options, sentence):
    with pytest.raises(ConfigError) as caught:
        slurm(**options)
    assert sentence in str(caught.value)


def test_a_host_means_ssh():
    assert slurm(host="login").options.remote
    assert slurm(host="login", transport="ssh", user="opus").options.remote
    assert not slurm(transport="local").options.remote
    assert not slurm().options.remote


def test_at_most_four_channels_are_used_by_ssh():
    assert slurm(host="login").parallel == 4


def test_commands_that_are_not_there_are_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(
        ConfigError, match=r"there is no sbatch on this machine; .* host to a login node"
    ):
        slurm().check()
    with pytest.raises(ConfigError, match="there is no ssh on this machine"):
        slurm(host="login").check()
    for name in ("sbatch", "squeue", "scancel", "scontrol"):
        (tmp_path / name).write_text("#!/bin/sh\n")
        (tmp_path / name).chmod(0o755)
    slurm().check()
    with pytest.raises(ConfigError, match=r"/opt/sbatch"):
        slurm(commands={"sbatch": "/opt/sbatch"}).check()


def test_an_ssh_configuration_that_is_not_there_is_named(tmp_path):
    manager = slurm(host="login", ssh_config=str(tmp_path / "nowhere"))
    with pytest.raises(ConfigError, match="nowhere, and there is no such file"):
        manager.check()


# -- run options

LIMITS = {
    "slurm_mem": "100M..16G = 1G",
    "slurm_cpus_per_task": "1..16",
    "slurm_partition": "main | long = main",
}


def test_forms_show_what_is_allowed():
    described = {one.name: one for one in slurm(run_options=LIMITS).options.described()}
    assert list(described) == list(LIMITS)
    memory = described["slurm_mem"]
    assert (memory.minimum, memory.maximum, memory.default) == ("100", "16384", "1024")
    assert (memory.type, memory.unit) == (ParameterType.INT, "MiB")
    assert [one.value for one in described["slurm_partition"].options] == ["main", "long"]
    assert described["slurm_cpus_per_task"].default is None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("slurm_mem", "2048", "2048M"),
        ("slurm_mem", "2G", "2048M"),
        ("slurm_mem", "2gb", "2048M"),
        ("slurm_mem", "200000K", "196M"),
        ("slurm_cpus_per_task", "16", "16"),
        ("slurm_partition", "long", "long"),
    ],
)
def test_an_allowed_value_is_written_as_sbatch_wants_it(name, text, value):
    assert parse_limits(LIMITS)[name].value(text) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("slurm_mem", "17G"),
        ("slurm_mem", "99M"),
        ("slurm_mem", "1G --qos=x"),
        ("slurm_mem", ""),
        ("slurm_cpus_per_task", "17"),
        ("slurm_cpus_per_task", "-1"),
        ("slurm_cpus_per_task", "²"),
        ("slurm_partition", "short"),
        ("slurm_partition", "main --qos=x"),
    ],
)
def test_what_a_description_asks_beyond_that_is_rejected(name, text):
    with pytest.raises(SubmitRejected, match="allowed here"):
        parse_limits(LIMITS)[name].value(text)


def test_paths_come_absolute_from_the_configuration(tmp_path):
    from opus_core.config import load

    (tmp_path / "opus.toml").write_text(
        '[manager]\nuse = "slurm"\nhost = "login"\nssh_config = "ssh/config"\n'
    )
    registry = Registry()
    registry.discover()
    manager = registry.manager(load(tmp_path / "opus.toml"))
    assert manager.options.ssh_config == Path(tmp_path, "ssh/config")
