"""`opus check` as an admin types it: what it says of installations that are broken for real, and
whether jobs can run, by running one."""

from __future__ import annotations

import json
import os
import pwd
import shutil
import tempfile
from pathlib import Path

import pytest

from isolated import needs_root
from servers import eventually, site
from services_missing import lacking


@pytest.fixture
def one(tmp_path):
    with site(tmp_path / "site") as opened:
        yield opened


def probed(one):
    """Exit code and findings of `opus check --probe`, those of the probe alone."""
    done = one.opus("check", "--probe", "--json", check=False)
    found = [
        finding for finding in json.loads(done.stdout)["findings"] if finding["subject"] == "probe"
    ]
    return done.returncode, [(finding["state"], finding["sentence"]) for finding in found]


def test_a_probe_goes_the_way_of_all_jobs_and_leaves_nothing(one):
    code, found = probed(one)
    assert code == 0
    assert [state for state, _ in found] == ["ok"] * 3
    assert "submitted as 1" in found[0][1]
    assert f"ran on {os.uname().nodename}" in found[2][1]
    assert list((one.folder / "data" / "jobs").glob("*/*")) == []
    assert [path for path in (one.folder / "data" / "local").glob("tags/*")] == []
    one.serve()
    assert one.get("/healthz").status == 200


def test_a_probe_says_at_which_step_it_stops(one):
    commands = ", ".join(
        f'{name} = "/bin/false"' for name in ("sbatch", "squeue", "scancel", "scontrol")
    )
    one.configure(manager=f'use = "slurm"\ncommands = {{ {commands} }}')
    code, found = probed(one)
    assert code == 1
    assert found == [("error", "sbatch ended with 1: it said nothing")]


def test_a_web_server_that_does_not_supervise_needs_no_way_to_the_cluster(one):
    one.configure(
        manager='use = "slurm"\ncommands = { sbatch = "/nowhere/sbatch" }',
        supervisor="embedded = false",
    )
    one.serve()
    assert one.get("/healthz").status == 200
    alone = one.opus("supervise", check=False)
    assert alone.returncode != 0
    assert "there is no /nowhere/sbatch on this machine" in alone.stderr


# -- a sound installation, and then one thing after the other


def begin(one, *arguments):
    """`opus init`, and a configuration beside its folder, for which its files are not."""
    data = one.folder / "data"
    one.opus("init", str(data), *arguments)
    for name in ("wsgi.py", "apache.conf"):
        (data / name).unlink()
    shutil.rmtree(data / "deploy")
    one.configure(auth="anonymous = false")


@pytest.fixture
def sound(tmp_path):
    """With descriptions, and an admin who can sign in."""
    with site(tmp_path / "site") as opened:
        begin(opened)
        yield opened


def wrong(one, *arguments, code=None):
    """What is found wrong by `opus check`, sentences by code; `code`: how it has to end. That jobs
    are root's is what root's tests cannot help."""
    done = one.opus("check", "--json", "--quiet", *arguments, check=False)
    assert done.stderr == ""
    found = json.loads(done.stdout)
    assert done.returncode == (1 if found["errors"] else 0)
    assert code in (None, done.returncode), found["findings"]
    told = {}
    for finding in found["findings"]:
        if finding["code"] != "manager-remark":
            told.setdefault(finding["code"], []).append(finding["sentence"])
    return {name: "\n".join(sentences) for name, sentences in told.items()}


def test_nothing_is_wrong_with_a_server_that_runs(sound):
    sound.serve()
    eventually(lambda: "supervisor-missing" not in wrong(sound), every=1)
    done = sound.opus("check")
    assert {line[:8] for line in done.stdout.splitlines() if "manager-remark" not in line} == {
        "ok      "
    }
    assert f"ok       server: answers at {sound.url}" in done.stdout
    assert "ok       accounts: admin, an admin, can sign in" in done.stdout
    sound.configure(f'base_url = "{sound.url}/opus"', auth="anonymous = false")
    found = wrong(sound, code=0)
    assert found.keys() == {"base-url-elsewhere"}
    assert (
        f"what answers at {sound.url}/opus/healthz is not OPUS (404)"
        in (found["base-url-elsewhere"])
    )
    for root, found in ((f"{sound.url}/opus", {"event-url-elsewhere"}), (sound.url, set())):
        server = f'port = {sound.port}\nevent_url = "{root}"'
        sound.configure(server=server, auth="anonymous = false")
        assert wrong(sound).keys() == found


def test_many_mistakes_are_told_at_once(sound):
    data = sound.folder / "data"
    (data / "jobs").rename(data / "elsewhere")
    (data / "jobs").mkdir(mode=0o2770)
    (data / "definitions" / "periodogram" / "published").write_text("9\n")
    sound.configure(
        f'base_url = "http://127.0.0.1:{sound.port}"\nlog_files = "x"',
        manager='use = "slurm"\ncommands = { sbatch = "/nowhere/sbatch" }',
        supervisor="grace = -1",
        auth="anonymous = false",
    )
    sound.prefix = ("bash", "-c", 'ulimit -n 300; exec "$@"', "-")
    found = wrong(sound, code=1)
    assert found.keys() == {
        "base-url-silent",
        "configuration-mistake",
        "description-damaged",
        "jobs-folder-unmounted",
        "manager-unusable",
        "open-files-few",
        "supervisor-missing",
    }
    assert found["configuration-mistake"].count("\n") == 1
    assert "a process may open 300 files here, and 16 threads need 320" in found["open-files-few"]


def test_a_database_that_is_not_there_is_not_made(sound):
    file = sound.folder / "data" / "opus.sqlite"
    for name in ("", "-wal", "-shm"):
        Path(f"{file}{name}").unlink(missing_ok=True)
    assert f"there is no {file}" in wrong(sound, code=0)["storage-missing"]
    assert not file.exists()
    file.touch()
    assert "it has no tables yet" in wrong(sound, code=0)["storage-schema"]
    assert file.read_bytes() == b""
    file.write_text("no database\n" * 100)
    assert "storage-unusable" in wrong(sound, code=1)


def test_a_first_look_makes_nothing(tmp_path):
    with site(tmp_path / "new") as one:
        found = one.opus("check", "--json")
        assert [path.name for path in one.folder.iterdir()] == ["opus.toml"]
    document = json.loads(found.stdout)
    states = {finding["subject"]: finding["state"] for finding in document["findings"]}
    assert states["data_dir"] == "warning"
    assert states["storage"] == states["jdl"] == "ok"


# -- rights, each tried as whoever needs it


@pytest.fixture
def shared():
    """A sound installation of the user nobody, in a folder that others may pass through."""
    needs_root()
    # pytest's own folders may be entered by their owner alone.
    folder = Path(tempfile.mkdtemp(prefix="opus-check-", dir="/var/tmp"))
    try:
        folder.chmod(0o755)
        with site(folder / "site") as one:
            begin(one, "--user", "nobody")
            log = one.folder / "data" / "opus.log"
            log.touch()
            log.chmod(0o660)
            for path in (one.folder, one.config, log):
                os.chown(path, 65534, 65534)
            one.config.chmod(0o640)
            yield one
    finally:
        shutil.rmtree(folder)


def test_root_tries_what_the_owner_of_the_data_folder_can_do(shared):
    done = shared.opus("check")
    assert "ok       rights: nobody can read and write what OPUS needs" in done.stdout
    assert {path.stat().st_uid for path in shared.folder.rglob("*")} == {65534}, (
        "a look has left something of root's behind"
    )
    modes = {
        "data": (0o2570, "data-folder-closed", "cannot write to the data folder"),
        "data/secret": (0o060, "data-folder-closed", "cannot read its secret"),
        "data/jobs": (0o570, "jobs-folder-closed", "cannot write to the folders of jobs"),
        "data/opus.log": (0o460, "log-closed", "cannot write the log"),
        "data/opus.sqlite": (0o460, "file-closed", "cannot write [storage] path"),
        "data/definitions": (0o570, "file-closed", "cannot write to the descriptions"),
        "opus.toml": (0o060, "file-closed", "cannot read the configuration"),
    }
    for name, (mode, _, _) in modes.items():
        (shared.folder / name).chmod(mode)
    found = wrong(shared, code=1)
    for name, (_, code, words) in modes.items():
        path = shared.folder / name
        assert f"nobody {words} ({path}): Permission denied; give it" in found[code]
    assert found.keys() == {code for _, code, _ in modes.values()}


def test_a_folder_above_that_nobody_may_pass_through_is_told_once(shared):
    above = shared.folder.parent
    above.chmod(0o700)
    found = wrong(shared, code=1)
    assert found.keys() == {"data-folder-closed"}
    assert found["data-folder-closed"] == (
        f"nobody cannot write to the data folder ({shared.folder}/data): it may not pass through"
        f" {above}; open that folder to it (o+x), or to a group that all who run OPUS are of"
    )


def test_two_users_of_one_group_are_tried_both(shared):
    """As web server and supervisor: the group is what lets the second in."""
    other = next(user for user in pwd.getpwall() if user.pw_uid not in (0, 65534))
    both = ("--as", "nobody", "--as", other.pw_name)
    found = wrong(shared, *both, code=1)
    assert found["data-folder-closed"].startswith(f"{other.pw_name} cannot write to the data")
    assert "\n" not in found["data-folder-closed"], "what follows from that is no news"
    for path in (shared.folder, *shared.folder.rglob("*")):
        os.chown(path, -1, other.pw_gid)
    for folder in (shared.folder, shared.folder / "data"):
        folder.chmod(0o2770)
    assert wrong(shared, *both, code=0).keys() == {"supervisor-missing"}


def chosen(one):
    """Have the configuration name a program that writes down who runs it; the file that it is in.
    It is called for each question of the manager's, `--probe` included."""
    program, told = one.folder / "scontrol", one.folder / "who"
    program.write_text(f"#!/bin/sh\nid -u >> {told}\nexit 1\n")
    program.chmod(0o755)
    commands = ", ".join(
        f'{name} = "{program}"' for name in ("sbatch", "squeue", "scancel", "scontrol")
    )
    one.configure(manager=f'use = "slurm"\ncommands = {{ {commands} }}', auth="anonymous = false")
    return told


@pytest.mark.parametrize("arguments", [(), ("--probe",), ("--security", "--as", "root")])
@pytest.mark.parametrize("owned", ["opus.toml", ".", "data"])
def test_root_runs_no_program_that_another_user_has_chosen(shared, owned, arguments):
    """Whoever owns the file, the folder or the data of it decides what is in the configuration."""
    told = chosen(shared)
    for path in (shared.folder, *shared.folder.rglob("*")):
        os.chown(path, 0, 0)
    given = shared.folder / owned
    for path in (given, *(given.rglob("*") if owned == "data" else ())):
        os.chown(path, 65534, 65534)
    shared.folder.chmod(0o777)  # where `told` is written
    shared.config.chmod(0o644)
    found = wrong(shared, *arguments, code=1)
    assert "slurm-silent" in found
    assert set(told.read_text().split()) == {"65534"}


def test_root_looks_as_root_where_nobody_else_decides_and_the_supervisor_is_root(shared):
    """As docs/admin/local.md has it: jobs run as a user of their own."""
    roots = Path(tempfile.mkdtemp(prefix="opus-check-", dir="/var/tmp"))
    try:
        user = next(user.pw_name for user in pwd.getpwall() if user.pw_uid not in (0, 65534))
        shared.configure(manager=f'use = "local"\nrun_as = "{user}"', auth="anonymous = false")
        text = shared.config.read_text().replace('"data"', f'"{shared.folder}/data"')
        for folder in (shared.folder, shared.folder / "data"):
            folder.chmod(0o2771)
        config = roots / "opus.toml"
        config.write_text(text)
        roots.chmod(0o755)
        config.chmod(0o644)
        check = ("--config", str(config), "check", "--quiet")
        assert "manager-unusable" not in shared.opus(*check).stdout
        os.chown(config, 65534, -1)
        assert "needs a supervisor that is root" in shared.opus(*check, check=False).stdout
    finally:
        shutil.rmtree(roots)


def test_root_without_the_right_to_become_another_says_so(shared):
    if shutil.which("setpriv") is None:
        lacking("there is no setpriv here; Debian's util-linux has it")
    told = chosen(shared)
    shared.prefix = ("setpriv", "--bounding-set=-setuid,-setgid", "--inh-caps=-setuid,-setgid")
    found = wrong(shared, "--as", "nobody", code=1)
    assert found.keys() == {"check-as-owner", "rights-untried"}
    assert (
        "of nobody, whom this process cannot become (Operation not permitted)"
        in (found["check-as-owner"])
    )
    assert "runuser -u nobody -- opus check" in found["check-as-owner"]
    assert found["rights-untried"].startswith("cannot try as nobody here (Operation not permitted)")
    assert not told.exists()


def test_a_user_that_there_is_not_is_no_finding(tmp_path):
    with site(tmp_path / "new") as one:
        refused = one.opus("check", "--as", "nobody-here", check=False)
    assert refused.returncode == 2
    assert refused.stderr == "opus: --as nobody-here: there is no such user on this machine\n"


# -- clocks


def test_a_file_server_whose_clock_is_wrong(sound):
    """To this machine's processes the kernel, which dates files, is the server of files."""
    if shutil.which("faketime") is None:
        lacking("there is no faketime; Debian's faketime has it")
    sound.prefix = ("env", "NO_FAKE_STAT=1", "faketime", "-f", "+90s")
    sentence = wrong(sound, code=1)["clock-files"]
    assert " s behind of this machine's: set both by NTP" in sentence
