"""One ssh connection to the login node, as the site has configured ssh, against a real sshd."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

from opus_core.errors import BackendUnavailable
from opus_manager_slurm.connection import CHANNELS, Connection
from opus_manager_slurm.options import SlurmOptions
from services.daemons import descendants


@pytest.fixture
def connect(cluster):
    """Makes connections, and closes them."""
    made = []

    def make(config=None, **options):
        settings = {"host": cluster.ssh_host, "ssh_config": config or cluster.ssh_config, **options}
        made.append(Connection(SlurmOptions(**settings)))
        return made[-1]

    yield make
    for one in made:
        one.close()


def say(connection, command):
    """What a command prints there."""
    parts = []
    code, stderr = connection.exchange(command, feed=(), take=parts.append, quiet=20)
    assert code == 0, stderr
    return b"".join(parts).decode()


def sessions(cluster):
    """Connections that the login node has accepted."""
    return (cluster.folder / "log/sshd.out").read_text().count("Accepted ")


def configured(cluster, tmp_path, text):
    """A configuration of ssh with more in it; what comes first counts."""
    config = tmp_path / "config"
    config.write_text(f"{text}\n{cluster.ssh_config.read_text()}")
    return config


def test_many_commands_share_one_connection(cluster, connect):
    one = connect()
    before = sessions(cluster)
    for number in range(5):
        assert say(one, f"echo {number}; id -un") == f"{number}\n{cluster.user}\n"
    assert sessions(cluster) == before + 1


def test_at_most_four_channels_are_used_at_once(connect, tmp_path):
    one = connect()
    say(one, "true")
    running, most, lock = 0, 0, threading.Lock()

    def take(data: bytes) -> None:
        nonlocal running, most
        with lock:
            running += 1 if b"begin" in data else -1
            most = max(most, running)

    def work() -> None:
        one.exchange("echo begin; sleep 0.3; echo end", feed=(), take=take, quiet=30)

    threads = [threading.Thread(target=work) for _ in range(3 * CHANNELS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == CHANNELS


def test_a_jump_host_of_the_configuration_is_used(cluster, connect, tmp_path):
    here = cluster.ssh_config.read_text()
    jump = here.replace(f"Host {cluster.ssh_host}", "Host gateway")
    config = configured(
        cluster, tmp_path, f"{jump}\nHost {cluster.ssh_host}\n  ProxyJump gateway\n"
    )
    before = sessions(cluster)
    assert say(connect(config), "id -un") == f"{cluster.user}\n"
    assert sessions(cluster) == before + 2


def test_a_key_in_an_agent_is_used(cluster, connect, tmp_path, monkeypatch):
    key = cluster.folder / "ssh/id"
    agent = subprocess.Popen(
        ["ssh-agent", "-D", "-a", str(tmp_path / "agent")], stdout=subprocess.DEVNULL
    )
    try:
        monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "agent"))
        deadline = time.monotonic() + 10
        while not (tmp_path / "agent").exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        subprocess.run(["ssh-add", "-q", str(key)], check=True, capture_output=True)
        config = tmp_path / "config"
        lines = cluster.ssh_config.read_text().splitlines()
        config.write_text("\n".join(x for x in lines if "Identit" not in x) + "\n")
        assert say(connect(config), "id -un") == f"{cluster.user}\n"
    finally:
        agent.send_signal(signal.SIGTERM)
        agent.wait()


def test_a_certificate_of_the_account_is_used(cluster, connect, tmp_path):
    authority, key = tmp_path / "ca", tmp_path / "key"
    for one in (authority, key):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", one], check=True)
    subprocess.run(
        ["ssh-keygen", "-q", "-s", authority, "-I", "opus", "-n", cluster.user, f"{key}.pub"],
        check=True,
    )
    allowed = cluster.folder / "ssh/id.pub"
    kept = allowed.read_text()
    try:
        allowed.write_text(f"cert-authority {authority.with_suffix('.pub').read_text()}")
        with pytest.raises(BackendUnavailable, match="refuses the key of the server's account"):
            say(connect(), "true")
        config = configured(
            cluster,
            tmp_path,
            f"Host {cluster.ssh_host}\n  IdentityFile {key}\n  CertificateFile {key}-cert.pub\n",
        )
        assert say(connect(config), "id -un") == f"{cluster.user}\n"
    finally:
        allowed.write_text(kept)


@pytest.mark.parametrize(
    "setting", ["StrictHostKeyChecking no", "StrictHostKeyChecking accept-new"]
)
def test_a_host_key_that_is_not_known_is_refused_whatever_is_configured(
    cluster, connect, tmp_path, setting
):
    (tmp_path / "known").write_text("")
    config = configured(
        cluster,
        tmp_path,
        f"Host *\n  {setting}\n  UserKnownHostsFile {tmp_path}/known\n",
    )
    with pytest.raises(
        BackendUnavailable, match=r"the host key of .* is not the one that is known"
    ):
        say(connect(config), "true")
    assert (tmp_path / "known").read_text() == ""


def test_a_host_key_that_has_changed_is_named_and_learned_by_hand_alone(cluster, connect):
    one = connect()
    say(one, "true")
    cluster.rotate_host_key()
    with pytest.raises(BackendUnavailable):
        say(one, "true")  # the old connection has gone
    with pytest.raises(BackendUnavailable, match="is not the one that is known"):
        say(one, "true")
    cluster.trust_host_key()
    deadline = time.monotonic() + 20
    while True:  # it rests after a failure
        try:
            assert say(one, "echo again") == "again\n"
            return
        except BackendUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_a_connection_that_was_cut_is_made_again(cluster, connect):
    one = connect()
    say(one, "true")
    cluster.kill("sshd")
    cluster.start("sshd")
    deadline = time.monotonic() + 20
    while True:
        try:
            assert say(one, "echo again") == "again\n"
            return
        except BackendUnavailable:
            assert time.monotonic() < deadline
            time.sleep(0.2)


def test_after_a_failure_it_rests_and_says_the_same(connect, tmp_path):
    one = connect(host="no-such-host.invalid")
    with pytest.raises(BackendUnavailable, match="no connection to no-such-host") as first:
        say(one, "true")
    begin = time.monotonic()
    for _ in range(100):
        with pytest.raises(BackendUnavailable) as again:
            say(one, "true")
        assert again.value.sentence == first.value.sentence
    assert time.monotonic() - begin < 2


def test_a_command_that_hangs_gives_its_channel_back(connect):
    one = connect()
    for _ in range(CHANNELS + 1):
        with pytest.raises(BackendUnavailable, match="did not answer within"):
            one.exchange("sleep 60", feed=(), take=lambda data: None, quiet=0.3)
    assert say(one, "echo free") == "free\n"


def test_it_ends_with_the_process_that_made_it(cluster, tmp_path):
    """Also by kill -9: nothing of ours stays signed in."""
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from opus_manager_slurm.connection import Connection\n"
        "from opus_manager_slurm.options import SlurmOptions\n"
        f"one = Connection(SlurmOptions(host={cluster.ssh_host!r},"
        f" ssh_config=Path({str(cluster.ssh_config)!r})))\n"
        "one.exchange('true', feed=(), take=lambda data: None, quiet=20)\n"
        "print('connected', flush=True)\n"
        "time.sleep(60)\n"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"connected\n"
        masters = [one for one in descendants(_process(process.pid)) if one.name == "ssh"]
        assert masters
        process.kill()
        process.wait()
    deadline = time.monotonic() + 20
    while any(_lives(one.pid) for one in masters):
        assert time.monotonic() < deadline, "the connection outlives its process"
        time.sleep(0.05)


def test_the_folder_of_its_socket_is_its_own_and_goes_with_it(cluster):
    one = Connection(SlurmOptions(host=cluster.ssh_host, ssh_config=cluster.ssh_config))
    say(one, "true")
    folder = one._folder
    assert folder.stat().st_mode & 0o777 == 0o700
    assert len(os.fsencode(folder / "s")) < 90
    one.close()
    one.close()
    assert not folder.exists()
    assert shutil.which("ssh")


def _process(pid):
    from services.daemons import processes

    return next(one for one in processes() if one.pid == pid)


def _lives(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False
