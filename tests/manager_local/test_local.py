"""The local manager: real processes, real crashes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from local_jobs import Make, Prepare, alive, begun, number_in, status, wait_end, wait_for, wrapper
from opus_core import links
from opus_core.backends import Cause, Kind, Ref, Task
from opus_core.errors import ConfigError, SubmitDeferred, SubmitRejected
from opus_manager_local import LocalManager, LocalOptions
from opus_manager_local.launcher import spawn
from opus_manager_local.processes import Process
from opus_manager_local.records import Record


def elsewhere(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Run Python code in another process, as another server would."""
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + code, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


PREAMBLE = """
import sys, json, pathlib
from opus_core.backends import Ref, Task
from opus_core.definition import JobDefinition
from opus_core.job import DefinitionRef
from opus_manager_local import LocalManager, LocalOptions
manager = LocalManager(LocalOptions(folder=pathlib.Path(sys.argv[1]), max_jobs=2, grace=1))
def task(tag, folder):
    return Task(job_id=tag[-32:], ref=Ref(tag=tag), folder=pathlib.Path(folder),
                definition=JobDefinition(name="test"), definition_ref=DefinitionRef("test", 1),
                owner=None, execution_duration=0)
"""


# --- one job ---


def test_a_job_runs_and_its_end_is_told(make: Make, prepare: Prepare) -> None:
    manager = make()
    task = prepare("echo hello")
    assert manager.start(task) == "1"
    end = wait_end(manager, task)
    assert (end.cause, end.exit_code, end.reason) == (Cause.OK, 0, "")
    assert end.submitted is not None
    assert end.started is not None
    assert end.ended is not None
    assert (task.folder / "stdout").read_text() == "hello\n"
    claimant = links.peek(task.folder).claimant
    assert claimant is not None
    assert manager.native_id(claimant) == "1"


@pytest.mark.parametrize(
    ("script", "cause", "code", "number"),
    [
        ("exit 3", Cause.FAILED, 3, None),
        ("kill -KILL $$", Cause.FAILED, 137, 9),
        ("sleep 1000", Cause.TIME_LIMIT, 143, 15),
    ],
)
def test_how_it_ended_is_told(
    make: Make, prepare: Prepare, script: str, cause: Cause, code: int, number: int | None
) -> None:
    manager = make()
    task = prepare(script, duration=1)
    manager.start(task)
    end = wait_end(manager, task)
    assert (end.cause, end.exit_code, end.signal) == (cause, code, number)


def test_a_job_gets_the_variables_that_are_allowed_and_no_others(
    make: Make, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "sesame")
    monkeypatch.setenv("LC_MINE", "1")
    monkeypatch.setenv("HOME", "/home/of 'it'")
    manager = make()
    task = prepare("env -0")
    manager.start(task)
    wait_end(manager, task)
    lines = (task.folder / "stdout").read_text().split("\0")
    assert "HOME=/home/of 'it'" in lines
    assert "LC_MINE=1" in lines
    assert not any("SECRET" in line or "PYTEST" in line for line in lines)


def test_limits_are_set_where_they_are_asked_for(make: Make, prepare: Prepare) -> None:
    manager = make(memory=512 * 2**20, file_size=2**20, open_files=64)
    task = prepare("ulimit -v; ulimit -f; ulimit -n; head -c 2000000 /dev/zero >big; ls -l big")
    manager.start(task)
    wait_end(manager, task)
    memory, size, files, *rest = (task.folder / "stdout").read_text().split()
    assert (memory, size, files) == ("524288", "1024", "64")
    assert "1048576" in rest


def test_what_is_unknown_is_gone_and_so_is_a_number_under_another_tag(
    make: Make, prepare: Prepare
) -> None:
    manager = make()
    unknown = Ref(tag="opus-t-unknown")
    assert manager.get_status([unknown])[unknown].kind is Kind.GONE
    task = prepare("true")
    manager.start(task)
    for ref in (Ref(tag=task.ref.tag, native_id="99"), Ref(tag="another", native_id="1")):
        assert manager.get_status([ref])[ref].kind is Kind.GONE
        manager.abort(ref)
    assert wait_end(manager, task).cause is Cause.OK


def test_starting_twice_is_one_submission_and_one_run(make: Make, prepare: Prepare) -> None:
    manager = make()
    task = prepare("echo ran >>../ran")
    numbers = {manager.start(task), make().start(task)}
    wait_end(manager, task)
    numbers.add(manager.start(task))
    assert numbers == {"1"}
    assert manager.find([task.ref.tag, "other"]) == {task.ref.tag: ("1",), "other": ()}
    assert (task.folder / "ran").read_text() == "ran\n"


def test_a_folder_without_a_job_is_rejected(make: Make, prepare: Prepare, tmp_path: Path) -> None:
    task = replace(prepare("true"), folder=tmp_path / "nowhere")
    with pytest.raises(SubmitRejected, match="nowhere"):
        make().start(task)


def test_a_state_folder_that_cannot_be_written_defers(
    make: Make, prepare: Prepare, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    manager = make(folder=tmp_path / "file" / "local")
    with pytest.raises(SubmitDeferred, match="cannot write to"):
        manager.start(prepare("true"))
    with pytest.raises(ConfigError, match=r"set \[manager\] folder"):
        manager.check()


@pytest.mark.parametrize("wrong", [{"memory": 1}, {"open_files": 2**40}, {"max_jobs": -1}])
def test_a_limit_that_cannot_be_set_is_a_mistake_of_the_admin(
    make: Make, wrong: dict[str, int]
) -> None:
    with pytest.raises(ConfigError, match=f"{next(iter(wrong))} = {next(iter(wrong.values()))}"):
        make(**wrong).check()


def one_after_the_other(manager: LocalManager, prepare: Prepare, script: str) -> tuple[Task, Task]:
    """A job that goes on until a line comes through its `gate`, and one that is in the queue."""
    first, second = prepare("read <../gate"), prepare(script)
    os.mkfifo(first.folder / "gate")
    manager.start(first)
    manager.start(second)
    return first, second


def test_a_job_whose_folder_is_taken_away_while_it_waits_has_ended(
    make: Make, prepare: Prepare
) -> None:
    manager = make(max_jobs=1)
    first, second = one_after_the_other(manager, prepare, "true")
    second.folder.rename(second.folder.with_name("elsewhere"))
    assert status(manager, second).cause is Cause.LAUNCH
    wait_for(lambda: begun(first))
    (first.folder / "gate").write_text("\n")
    assert wait_end(manager, first).cause is Cause.OK
    assert not (second.folder.with_name("elsewhere") / "claim").is_symlink()


def test_a_job_whose_folder_was_away_when_its_turn_came_runs_when_it_is_back(
    make: Make, prepare: Prepare
) -> None:
    """As that of a file system which is mounted later than the server starts."""
    manager = make(max_jobs=1)
    first, second = one_after_the_other(manager, prepare, "true")
    wait_for(lambda: begun(first))
    away = second.folder.with_name("elsewhere")
    second.folder.rename(away)
    (first.folder / "gate").write_text("\n")
    assert wait_end(manager, first).cause is Cause.OK
    for _ in range(2):  # there is room for it, and it is looked for
        assert status(manager, second).cause is Cause.LAUNCH
    away.rename(second.folder)
    assert wait_end(manager, second).cause is Cause.OK


def test_what_waits_in_an_installation_that_is_moved_runs_where_it_is_now(
    make: Make, prepare: Prepare, tmp_path: Path
) -> None:
    manager = make(max_jobs=1)
    first, second = one_after_the_other(manager, prepare, "pwd")
    wait_for(lambda: begun(first))
    other = make(max_jobs=1)  # another process's, which has seen where it was
    assert status(other, second).kind is Kind.QUEUED
    moved = replace(second, folder=tmp_path / "elsewhere" / second.folder.name)
    moved.folder.parent.mkdir()
    second.folder.rename(moved.folder)
    manager.moved([moved, replace(first, ref=Ref(tag="opus-t-unknown"))])
    assert status(manager, second).kind is Kind.QUEUED
    assert status(other, second).kind is Kind.QUEUED
    (first.folder / "gate").write_text("\n")
    assert wait_end(manager, second).cause is Cause.OK
    assert (moved.folder / "stdout").read_text() == f"{moved.folder}/work\n"
    assert not second.folder.exists()


def test_a_wrapper_that_never_claims_is_given_up(make: Make, prepare: Prepare) -> None:
    manager = make()
    task = prepare("true")
    (task.folder / "task").unlink()
    manager.start(task)
    end = wait_end(manager, task)
    assert end.cause is Cause.LAUNCH
    assert (manager.options.folder / "log").read_text().count("not the folder of a job") == 3


# --- the queue ---


def test_a_record_is_on_the_disk_before_anything_is_started(
    make: Make, prepare: Prepare, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    manager = make()
    task = prepare("exit 0")
    on_disk: list[Path | int] = []  # files by what they are, folders with what is in them
    fsync, launch = os.fsync, spawn

    def sync(descriptor: int) -> None:
        fsync(descriptor)
        path = Path(f"/proc/self/fd/{descriptor}").resolve()
        on_disk.append(path.stat().st_ino)
        on_disk.extend(path.iterdir() if path.is_dir() else [])

    def launched(record: Record, options: LocalOptions, log: Path, user: None) -> Process:
        (written,) = [one for one in (tmp_path / "local" / "records").iterdir() if one.stem]
        assert record.tag in written.name
        assert written.stat().st_ino in on_disk, "its content"
        assert written in on_disk, "its name"
        on_disk.append(0)
        return launch(record, options, log, user)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr("opus_manager_local.manager.spawn", launched)
    manager.start(task)
    assert 0 in on_disk, "it was started"
    assert wait_end(manager, task).cause is Cause.OK


def test_what_somebody_killed_has_left_half_done_goes_with_the_next_job(
    make: Make, prepare: Prepare, tmp_path: Path
) -> None:
    manager = make()
    first, second = prepare("true"), prepare("true")
    manager.start(first)
    wait_end(manager, first)
    half = [tmp_path / "local" / "records" / ".new.0123", tmp_path / "local" / "launched" / ".4567"]
    half[0].write_text("{")
    half[1].symlink_to("1/boot/2/3")
    manager.start(second)
    assert not any(os.path.lexists(path) for path in half)
    assert wait_end(manager, second).cause is Cause.OK


def test_as_many_jobs_run_as_there_are_cores_if_nothing_else_is_said(
    make: Make, prepare: Prepare, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 2, 5})  # of more than these
    assert LocalOptions().max_jobs == 0
    manager = make(max_jobs=0)
    tasks = [prepare("sleep 60") for _ in range(5)]
    for task in tasks:
        manager.start(task)
    refs = [task.ref for task in tasks]
    running = [Kind.RUNNING] * 3
    wait_for(
        lambda: [one.kind for one in manager.get_status(refs).values()][:3] == running, seconds=30
    )
    assert [one.kind for one in manager.get_status(refs).values()][3:] == [Kind.QUEUED] * 2


def test_at_most_max_jobs_run_and_the_rest_go_first_in_first_out(
    make: Make, prepare: Prepare, tmp_path: Path
) -> None:
    manager = make(max_jobs=1)
    alone = tmp_path / "alone"
    script = f"echo $PPID >>{tmp_path}/order; mkdir {alone} || exit 9; rmdir {alone}"
    blocker = prepare("read <../gate")
    os.mkfifo(blocker.folder / "gate")
    tasks = [prepare(script) for _ in range(6)]
    manager.start(blocker)
    numbers = [manager.start(task) for task in tasks]
    assert numbers == ["2", "3", "4", "5", "6", "7"]
    found = manager.get_status([task.ref for task in tasks])
    assert [found[task.ref].kind for task in tasks] == [Kind.QUEUED] * 6
    assert [found[task.ref].reason for task in tasks] == [f"place {n} of 6" for n in range(1, 7)]
    wait_for(lambda: begun(blocker))
    (blocker.folder / "gate").write_text("\n")
    for task in tasks:
        assert wait_end(manager, task).cause is Cause.OK
    pids = [links.peek(task.folder).claimant for task in tasks]
    ran = (tmp_path / "order").read_text().split()
    assert ran == [str(claim).split("/")[2] for claim in pids]


def test_the_next_one_begins_without_anybody_asking(make: Make, prepare: Prepare) -> None:
    manager = make(max_jobs=1)
    tasks = [prepare("true") for _ in range(4)]
    for task in tasks:
        manager.start(task)
    wait_for(lambda: all(links.peek(task.folder).exit for task in tasks))


def test_an_aborted_job_in_the_queue_never_begins(make: Make, prepare: Prepare) -> None:
    manager = make(max_jobs=1)
    first, second, third = prepare("read <../gate"), prepare("true"), prepare("true")
    os.mkfifo(first.folder / "gate")
    for task in (first, second, third):
        manager.start(task)
    manager.abort(second.ref)
    manager.abort(second.ref)
    assert status(manager, second).cause is Cause.CANCELLED
    assert status(manager, third).reason == "place 1 of 1"
    wait_for(lambda: begun(first))
    (first.folder / "gate").write_text("\n")
    wait_end(manager, third)
    manager.start(second)
    assert status(manager, second).cause is Cause.CANCELLED
    assert not (second.folder / "claim").is_symlink()


def test_a_sealed_job_in_the_queue_never_begins(make: Make, prepare: Prepare) -> None:
    manager = make(max_jobs=1)
    first, second, third = prepare("read <../gate"), prepare("true"), prepare("true")
    os.mkfifo(first.folder / "gate")
    for task in (first, second, third):
        manager.start(task)
    assert manager.seal(second).sealed
    assert status(manager, second).cause is Cause.CANCELLED
    wait_for(lambda: begun(first))
    (first.folder / "gate").write_text("\n")
    assert wait_end(manager, third).cause is Cause.OK
    assert not manager.peek([second])[second.ref.tag].begun


def test_numbers_are_never_given_out_twice(make: Make, prepare: Prepare) -> None:
    manager = make()
    numbers: list[str] = []
    for _ in range(3):
        task = prepare("true")
        numbers.append(manager.start(task))
        wait_end(manager, task)
        manager.delete(task)
        manager.delete(task)
        manager = make()
    assert numbers == ["1", "2", "3"]
    assert os.listdir(manager.options.folder / "records") == ["000000000003."]


def test_many_threads_and_processes_start_each_job_once(
    make: Make, prepare: Prepare, tmp_path: Path
) -> None:
    tasks = [prepare("echo ran >>../ran") for _ in range(24)]
    pairs = [(task.ref.tag, str(task.folder)) for task in tasks]
    code = "for pair in json.loads(sys.stdin.readline()): print(manager.start(task(*pair)))\n"
    others = [elsewhere(code, tmp_path / "local") for _ in range(2)]
    manager = make()
    for other in others:
        assert other.stdin is not None
        other.stdin.write(json.dumps(pairs) + "\n")
        other.stdin.flush()
    with ThreadPoolExecutor(4) as pool:
        mine = list(pool.map(manager.start, tasks))
    theirs = [other.communicate(timeout=60)[0].split() for other in others]
    for task in tasks:
        assert wait_end(manager, task).cause is Cause.OK
        assert (task.folder / "ran").read_text() == "ran\n"
    assert theirs == [mine, mine]
    assert len(set(mine)) == 24


# --- crashes and restarts ---


def test_jobs_outlive_the_kill_of_the_server_and_another_sees_and_aborts_them(
    make: Make, prepare: Prepare, tmp_path: Path
) -> None:
    tasks = [prepare("echo $$ >../pid; sleep 1000") for _ in range(3)]
    code = (
        "for pair in json.loads(sys.stdin.readline()): manager.start(task(*pair))\n"
        "print('started', flush=True)\nsys.stdin.readline()\n"
    )
    server = elsewhere(code, tmp_path / "local")
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(json.dumps([(t.ref.tag, str(t.folder)) for t in tasks]) + "\n")
    server.stdin.flush()
    assert server.stdout.readline() == "started\n"
    pids = [number_in(task.folder / "pid") for task in tasks[:2]]
    server.kill()
    server.communicate(timeout=20)

    manager = make()
    found = manager.get_status([task.ref for task in tasks])
    assert [found[t.ref].kind for t in tasks] == [Kind.RUNNING, Kind.RUNNING, Kind.QUEUED]
    assert all(alive(pid) for pid in pids)

    manager.abort(tasks[0].ref)
    assert wait_end(manager, tasks[0]).cause is Cause.CANCELLED
    assert not alive(pids[0])
    # The watcher of this process saw the child of another end: the queue has moved on.
    number_in(tasks[2].folder / "pid")
    for task in tasks[1:]:
        manager.abort(task.ref)
        wait_end(manager, task)


def test_what_was_launched_and_not_written_down_is_found_by_its_claim(
    make: Make, prepare: Prepare
) -> None:
    manager = make(max_jobs=1)
    first, second = prepare("echo ran >>../ran; read <../gate"), prepare("true")
    os.mkfifo(first.folder / "gate")
    manager.start(first)
    wait_for(lambda: begun(first))
    manager.close()
    (manager.options.folder / "launched" / f"{1:012d}").unlink()  # killed before it wrote that

    other = make(max_jobs=1)
    other.start(second)
    assert status(other, first).kind is Kind.RUNNING
    assert status(other, second).kind is Kind.QUEUED, "two ran at once"
    (first.folder / "gate").write_text("\n")
    wait_end(other, second)
    assert (first.folder / "ran").read_text() == "ran\n"


def test_a_record_whose_process_died_without_a_claim_is_launched_again(
    make: Make, prepare: Prepare
) -> None:
    manager = make()
    task = prepare("echo ran >>../ran")
    run = task.folder / "run"
    real = run.read_bytes()
    run.write_text("kill -KILL $$\n")
    manager.start(task)
    run.write_bytes(real)
    assert wait_end(manager, task).cause is Cause.OK
    assert (task.folder / "ran").read_text() == "ran\n"


def test_a_wrapper_that_was_killed_takes_its_script_along(make: Make, prepare: Prepare) -> None:
    manager = make()
    task = prepare("echo $$ >../pid; sleep 1000")
    manager.start(task)
    pid = number_in(task.folder / "pid")
    wrapper(task).send(signal.SIGKILL)
    end = wait_end(manager, task)
    assert (end.cause, end.reason) == (Cause.FAILED, "its wrapper was killed")
    assert not alive(pid)


def test_a_process_of_an_earlier_boot_is_not_alive_and_never_signalled(
    make: Make, prepare: Prepare
) -> None:
    manager = make()
    task = prepare("sleep 1000")
    bystander = subprocess.Popen(["sleep", "1000"])
    try:
        who = Process.of(bystander.pid)
        assert who is not None
        manager.start(task)
        wrapper(task).send(signal.SIGKILL)
        wait_end(manager, task)
        for name in ("claim", "started"):
            (task.folder / name).unlink()
        os.symlink(f"1/another-boot/{who.pid}/{who.start}", task.folder / "claim")
        os.symlink(f"here/another-boot/{who.pid}/{who.start}", task.folder / "started")
        end = status(make(), task)
        assert (end.cause, end.reason) == (Cause.NODE, "the machine was started again")
        manager.abort(task.ref)
        manager.delete(task)
        Process("another-boot", who.pid, who.start).send(signal.SIGKILL)
        Process(who.boot, who.pid, who.start + 1).send(signal.SIGKILL)
        assert bystander.poll() is None
    finally:
        bystander.kill()
        bystander.wait()


def test_ended_jobs_leave_no_zombies_and_no_descriptors(make: Make, prepare: Prepare) -> None:
    manager = make()
    before = len(os.listdir("/proc/self/fd"))
    tasks = [prepare("true") for _ in range(10)]
    for task in tasks:
        manager.start(task)
    for task in tasks:
        wait_end(manager, task)
    wait_for(lambda: not _children())
    manager.close()
    assert len(os.listdir("/proc/self/fd")) <= before
    assert not any(thread.name == "opus-local" for thread in threading.enumerate())


def test_a_zombie_is_not_alive() -> None:
    child = subprocess.Popen(["true"])
    process = Process.of(child.pid)
    assert process is not None
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert not process.alive
    child.wait()


# --- abort ---


def test_abort_reaches_all_a_job_has_started_also_what_left_its_session(
    make: Make, prepare: Prepare
) -> None:
    manager = make()
    task = prepare(
        "echo $$ >../pid; (sleep 1000 & echo $! >../child; wait) &\n"
        "setsid bash -c 'echo $$ >../escaped; exec sleep 1000' &\n"
        "setsid env -i bash -c 'echo $$ >../bare; sleep 1000; true' &\n"
        "wait"
    )
    manager.start(task)
    pids = [number_in(task.folder / name) for name in ("pid", "child", "escaped", "bare")]
    manager.abort(task.ref)
    end = wait_end(manager, task)
    assert (end.cause, end.reason) == (Cause.CANCELLED, "term")
    assert [alive(pid) for pid in pids] == [False] * 4


def test_what_does_not_heed_term_is_killed_and_the_exit_is_recorded(
    make: Make, prepare: Prepare
) -> None:
    manager = make(grace=1)
    task = prepare(
        "trap '' TERM; setsid bash -c 'trap \"\" TERM; echo $$ >../escaped;"
        " while :; do sleep 1; done' & echo $$ >../pid; while :; do sleep 1; done"
    )
    manager.start(task)
    pids = [number_in(task.folder / name) for name in ("pid", "escaped")]
    manager.abort(task.ref)
    end = wait_end(manager, task)
    assert (end.cause, end.reason, end.signal) == (Cause.CANCELLED, "term", 9)
    assert [alive(pid) for pid in pids] == [False, False]


def test_a_wrapper_that_hangs_is_killed_in_the_end(make: Make, prepare: Prepare) -> None:
    manager = make(grace=0)
    task = prepare("echo $$ >../pid; sleep 1000")
    manager.start(task)
    pid = number_in(task.folder / "pid")
    stuck = wrapper(task)
    stuck.send(signal.SIGSTOP)
    manager.abort(task.ref)
    wait_for(lambda: not stuck.alive)
    assert wait_end(manager, task).cause is Cause.CANCELLED
    assert not alive(pid)


def test_an_abort_that_a_crash_cut_off_is_completed_by_the_next(
    make: Make, prepare: Prepare
) -> None:
    manager = make()
    task = prepare("trap '' TERM; echo $$ >../pid; while :; do sleep 1; done")
    manager.start(task)
    pid = number_in(task.folder / "pid")
    manager.close()
    with manager._records.lock():
        manager._records.note_abort(1)  # and killed before any signal
    other = make()
    assert status(other, task).kind is Kind.RUNNING
    other.abort(task.ref)
    assert wait_end(other, task).cause is Cause.CANCELLED
    assert not alive(pid)


def test_abort_of_what_is_over_or_unknown_does_nothing(make: Make, prepare: Prepare) -> None:
    manager = make()
    task = prepare("true")
    manager.start(task)
    wait_end(manager, task)
    manager.abort(task.ref)
    manager.abort(Ref(tag="opus-t-unknown"))
    assert status(manager, task).cause is Cause.OK


def test_delete_kills_what_an_ended_job_has_left_behind(make: Make, prepare: Prepare) -> None:
    manager = make()
    task = prepare("setsid bash -c 'echo $$ >../escaped; exec sleep 1000' & sleep 0.3")
    manager.start(task)
    pid = number_in(task.folder / "escaped")
    assert wait_end(manager, task).cause is Cause.OK
    assert alive(pid)
    manager.delete(task)
    assert not alive(pid)
    assert status(manager, task).kind is Kind.GONE
    assert task.folder.exists()


def test_trivial_jobs_are_not_held_up(make: Make, prepare: Prepare) -> None:
    manager = make(max_jobs=8)
    tasks = [prepare("true") for _ in range(40)]
    begin = time.monotonic()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(manager.start, tasks))
    wait_for(lambda: all(links.peek(task.folder).exit for task in tasks))
    # 50 a second and more on an idle machine; a tenth of that allows for a busy one.
    assert time.monotonic() - begin < 8


def _children() -> list[str]:
    return Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()


# --- a copy of another installation ---


def test_what_is_disowned_is_not_launched_and_numbers_go_on(make: Make, prepare: Prepare) -> None:
    original = make(max_jobs=1)
    running, waiting = prepare("until [ -e stop ]; do sleep 0.02; done"), prepare("echo twice")
    original.start(running)
    wait_for(lambda: begun(running))
    original.start(waiting)
    original.disown()
    assert status(original, waiting).kind is Kind.GONE
    later = prepare("true")
    assert make(max_jobs=4).start(later) == "3"
    assert wait_end(make(max_jobs=4), later).cause is Cause.OK
    assert not begun(waiting)
    (running.folder / "work" / "stop").touch()
    wait_for(lambda: links.peek(running.folder).exit)
    assert links.peek(running.folder).exit.code == 0
