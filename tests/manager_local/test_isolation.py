"""Jobs as another user and in a sandbox: what they reach, and that they end as all others do."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from isolated import NOBODY, needs_bubblewrap, needs_root, open_folder
from local_jobs import Make, Prepare, begun, status, wait_end, wait_for, wrapper
from opus_core.backends import Cause, Kind, Task
from opus_core.errors import ConfigError, SubmitDeferred
from opus_manager_local import LocalOptions, isolation
from opus_manager_local.isolation import User
from opus_manager_local.processes import tree

SANDBOX = {"sandbox": "bubblewrap"}


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """A folder that others may pass through; pytest's own are closed to them."""
    with open_folder() as folder:
        yield folder


@pytest.fixture
def nobody() -> User:
    needs_root()
    return User.find(NOBODY)


@pytest.fixture
def sandbox() -> None:
    needs_bubblewrap()


def said(task: Task) -> list[str]:
    """The lines that the script has written to its standard output."""
    return (task.folder / "stdout").read_text().splitlines()


def closed(path: Path, text: str = "precious") -> Path:
    """A file of the server's, as the server makes them."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    path.chmod(0o660)
    return path


# --- another user ---


def test_a_job_runs_as_the_user_that_run_as_names(
    make: Make, prepare: Prepare, nobody: User
) -> None:
    manager = make(run_as=NOBODY)
    manager.check()
    task = prepare('id -u; id -g; id -G; echo "$HOME"; echo result >out')
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.OK
    groups = " ".join(map(str, nobody.groups))
    assert said(task) == [str(nobody.uid), str(nobody.gid), groups, nobody.home]
    inside = [path for path in (task.folder, *task.folder.rglob("*")) if not path.is_symlink()]
    assert {path.stat().st_uid for path in inside} == {nobody.uid}
    assert (task.folder / "work/out").stat().st_gid == task.folder.stat().st_gid, "the server's"


def test_such_a_job_reaches_nothing_of_the_server(
    make: Make, prepare: Prepare, tmp_path: Path, nobody: User
) -> None:
    secret = closed(tmp_path / "secret")
    manager = make(run_as=NOBODY)
    other = prepare("exit 0")  # waits for its turn, and is the server's until then
    task = prepare(
        f"cat {secret}; echo x >>{secret}; ls {tmp_path} {other.folder.parents[1]} {other.folder};"
        f" touch {tmp_path}/local/lock; ls {tmp_path}/local/records; kill -0 {os.getpid()};"
        f" cat /proc/{os.getpid()}/environ; echo end"
    )
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.OK
    assert said(task) == ["end"], "nothing was shown"
    assert secret.read_text() == "precious"
    errors = (task.folder / "stderr").read_text()
    assert errors.count("Permission denied") == 8
    assert errors.count("not permitted") == 1


def test_a_folder_that_was_given_away_is_never_touched_again(
    make: Make, prepare: Prepare, tmp_path: Path, nobody: User
) -> None:
    """The script may have made anything of it, and whoever gives away is root."""
    secret = closed(tmp_path / "secret")
    task = prepare("exit 0")
    (task.folder / "work" / "link").symlink_to(secret)
    isolation.prepare(LocalOptions(), task.folder, nobody)
    assert task.folder.stat().st_uid == nobody.uid
    assert (task.folder / "work" / "link").lstat().st_uid == nobody.uid
    assert secret.stat().st_uid == 0, "links are not followed"
    os.link(secret, task.folder / "hard")
    isolation.prepare(LocalOptions(), task.folder, nobody)
    assert secret.stat().st_uid == 0


def test_only_the_folder_of_a_job_is_given_away(
    make: Make, prepare: Prepare, tmp_path: Path, nobody: User
) -> None:
    """The records may be open to the user of the web server; root does not do all they say."""
    secret = closed(tmp_path / "other" / "secret")
    manager = make(run_as=NOBODY)
    task = prepare("exit 0")
    foreign = replace(task, folder=task.folder.rename(secret.parent / "job"))
    manager.start(foreign)
    assert status(manager, task).kind is Kind.QUEUED
    assert foreign.folder.stat().st_uid == 0


def test_where_that_user_cannot_come_a_job_waits_and_the_admin_is_told(
    make: Make, prepare: Prepare, tmp_path: Path, nobody: User
) -> None:
    manager = make(run_as=NOBODY)
    task = prepare("exit 0")
    tmp_path.chmod(0o700)
    with pytest.raises(SubmitDeferred, match="may not pass through the folders above"):
        manager.start(task)
    with pytest.raises(ConfigError, match=r"may not pass .*chmod o\+x"):
        manager.check()
    assert task.folder.stat().st_uid == 0
    assert manager.find([task.ref.tag]) == {task.ref.tag: ()}
    tmp_path.chmod(0o711)
    manager.check()
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.OK


@pytest.mark.parametrize(
    ("name", "uid", "sentence"),
    [
        ("no-such-user", 0, "there is no such user; make one"),
        ("root", 0, "names root"),
        (NOBODY, 1000, "needs a supervisor that is root"),
    ],
)
def test_a_user_that_cannot_be_is_refused_at_start(
    make: Make, monkeypatch: pytest.MonkeyPatch, name: str, uid: int, sentence: str
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    with pytest.raises(ConfigError, match=sentence):
        make(run_as=name).check()


def test_root_gives_jobs_to_nobody_where_they_could_pass_files_off_as_results(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nobody: User
) -> None:
    setting = tmp_path / "protected_hardlinks"
    setting.write_text("0\n")
    monkeypatch.setattr(isolation, "_HARD_LINKS", setting)
    with pytest.raises(ConfigError, match=r"fs\.protected_hardlinks=1"):
        make(run_as=NOBODY).check()


def test_root_is_warned_that_jobs_are_root_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    (warning,) = make().warnings()
    assert "run_as" in warning
    assert not make(run_as=NOBODY).warnings()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert not make().warnings()


# --- the sandbox ---


@pytest.mark.usefixtures("sandbox")
def test_a_sandbox_has_the_job_and_the_programs_of_the_machine(
    make: Make, prepare: Prepare, tmp_path: Path
) -> None:
    closed(tmp_path / "secret")
    manager = make(**SANDBOX)
    manager.check()
    other = prepare("exit 0")
    task = prepare(
        f"pwd; ls -A {tmp_path}; ls -A {tmp_path}/jobs/*; ls -A /tmp; ls -d /home /root /srv;"
        " for one in /proc/[0-9]*; do echo process; done; echo x >/usr/x;"
        ' touch /tmp/here && echo "$HOME"; cat "$OPUS_PARAMETERS" | tr -d " \\n"; echo;'
        ' echo "50 half" >"$OPUS_PROGRESS"; echo result >out'
    )
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.OK
    processes = [line for line in said(task) if line == "process"]
    assert len(processes) <= 3, "bwrap, bash, and what bash may have begun"
    assert [line for line in said(task) if line != "process"] == [
        str(task.folder / "work"),
        "jobs",
        task.job_id,
        "/tmp",
        '{"parameters":[]}',
    ]
    errors = (task.folder / "stderr").read_text()
    assert errors.count("No such file or directory") == 3
    assert "Read-only file system" in errors
    assert (task.folder / "progress").read_text() == "50 half\n"
    assert (task.folder / "work" / "out").read_text() == "result\n"
    assert (task.folder / "tmp" / "here").exists(), "temporary files count as the job's own"
    assert other.folder.exists()


@pytest.mark.usefixtures("sandbox")
def test_nothing_of_ours_is_open_in_a_sandbox_and_no_program_gives_rights(
    make: Make, prepare: Prepare
) -> None:
    manager = make(**SANDBOX)
    task = prepare(
        "for one in /proc/$$/fd/*; do readlink $one; done | sort -u;"
        " for word in NoNewPrivs CapEff CapBnd; do grep $word /proc/self/status; done"
    )
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.OK
    *files, privileges, effective, bounding = said(task)
    ours = {str(task.folder / name) for name in ("script", "stdout", "stderr")}
    assert {one for one in files if not one.startswith("pipe:")} == {"/dev/null", *ours}
    assert privileges.split() == ["NoNewPrivs:", "1"]
    assert int(effective.split()[1], 16) == int(bounding.split()[1], 16) == 0


@pytest.mark.usefixtures("sandbox")
@pytest.mark.parametrize("network", [False, True])
def test_the_network_is_there_if_the_site_says_so(
    make: Make, prepare: Prepare, network: bool
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        manager = make(**SANDBOX, sandbox_network=network)
        task = prepare(f"exec 3<>/dev/tcp/127.0.0.1/{port} && echo connected")
        manager.start(task)
        assert wait_end(manager, task).kind is Kind.ENDED
    assert said(task) == (["connected"] if network else [])


@pytest.mark.usefixtures("sandbox")
def test_more_can_be_read_where_the_site_says_so_even_in_its_own_folders(
    make: Make, prepare: Prepare, tmp_path: Path
) -> None:
    closed(tmp_path / "survey-1" / "catalogue", "stars")
    closed(tmp_path / "secret")
    more = (*LocalOptions().sandbox_reads, str(tmp_path / "survey-*"))
    manager = make(**SANDBOX, sandbox_reads=more)
    task = prepare(f"cat {tmp_path}/survey-1/catalogue; echo; ls -A {tmp_path}; cd {tmp_path}/s*")
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.OK
    assert said(task) == ["stars", "jobs", "survey-1"]


@pytest.mark.usefixtures("sandbox")
def test_what_can_be_read_never_shows_what_is_ours(
    make: Make, prepare: Prepare, tmp_path: Path
) -> None:
    secret = closed(tmp_path / "secret")
    other = prepare("exit 0")
    manager = make(**SANDBOX, sandbox_reads=("/",))
    task = prepare(f"ls -A {tmp_path} {tmp_path}/jobs; cat {secret} {other.folder}/script")
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.FAILED
    shard = task.folder.parent.name
    assert said(task) == [f"{tmp_path}:", "jobs", "", f"{tmp_path}/jobs:", shard]


@pytest.mark.usefixtures("sandbox")
def test_a_script_that_is_told_to_stop_has_its_grace_in_a_sandbox_too(
    make: Make, prepare: Prepare
) -> None:
    manager = make(**SANDBOX, grace=5)
    task = prepare(
        "trap 'sleep 0.3; echo saved >out; exit 3' TERM; echo ready; while :; do sleep 0.05; done"
    )
    manager.start(task)
    wait_for(lambda: begun(task) and (task.folder / "stdout").exists() and said(task))
    manager.abort(task.ref)
    assert wait_end(manager, task).cause is Cause.CANCELLED
    assert (task.folder / "work" / "out").read_text() == "saved\n"


@pytest.mark.usefixtures("sandbox")
def test_nothing_that_a_script_has_begun_outlives_its_sandbox(make: Make, prepare: Prepare) -> None:
    manager = make(**SANDBOX)
    task = prepare("env -i setsid bash -c 'while :; do date +%N >../beat; sleep 0.02; done' &")
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.OK
    assert tree(task.ref.tag, None) == []
    beat = task.folder / "beat"
    last = beat.read_text() if beat.exists() else ""
    wait_for(lambda: not tree(task.ref.tag, None))
    assert (beat.read_text() if beat.exists() else "") == last


@pytest.mark.usefixtures("sandbox")
def test_a_wrapper_that_is_killed_takes_its_sandbox_with_it(make: Make, prepare: Prepare) -> None:
    manager = make(**SANDBOX)
    task = prepare("trap '' TERM; sleep 1000")
    manager.start(task)
    wrapper(task).send(signal.SIGKILL)
    assert wait_end(manager, task).cause is Cause.FAILED
    assert tree(task.ref.tag, None) == []


@pytest.mark.usefixtures("sandbox")
def test_the_duration_ends_what_is_in_a_sandbox(make: Make, prepare: Prepare) -> None:
    manager = make(**SANDBOX)
    task = prepare("trap '' TERM; while :; do sleep 1; done", duration=1)
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.TIME_LIMIT


@pytest.mark.usefixtures("sandbox")
def test_the_scripts_own_code_is_told(make: Make, prepare: Prepare) -> None:
    manager = make(**SANDBOX)
    failing, killed = prepare("exit 7"), prepare("kill -KILL $$")
    for task in (failing, killed):
        manager.start(task)
        wait_end(manager, task)
    assert status(manager, failing).exit_code == 7
    assert status(manager, killed).signal == signal.SIGKILL


@pytest.mark.parametrize("there", [False, True])
def test_a_machine_without_sandboxes_is_refused_at_start(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, there: bool
) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bash", "ln", "mv", "readlink", "sleep"):
        (programs / name).symlink_to(str(shutil.which(name)))
    if there:
        (programs / "bwrap").write_text("#!/bin/bash\necho no namespaces >&2; exit 1\n")
        (programs / "bwrap").chmod(0o755)
    monkeypatch.setenv("PATH", str(programs))
    expected = r"cannot make a sandbox here \(no namespaces\)" if there else "install bubblewrap"
    with pytest.raises(ConfigError, match=expected):
        make(**SANDBOX).check()


# --- both ---


@pytest.mark.usefixtures("sandbox")
def test_another_user_in_a_sandbox(make: Make, prepare: Prepare, nobody: User) -> None:
    manager = make(**SANDBOX, run_as=NOBODY)
    manager.check()
    task = prepare('id -u; echo "$HOME"; touch /tmp/x && echo temporary; cat /etc/shadow || exit 0')
    manager.start(task)
    assert wait_end(manager, task).cause is Cause.OK
    assert said(task) == [str(nobody.uid), "/tmp", "temporary"]
    assert pwd.getpwuid((task.folder / "tmp" / "x").stat().st_uid).pw_name == NOBODY
