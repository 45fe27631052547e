"""The wrapper: a script runs once, as asked, and how it ended is written down."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from urllib.parse import parse_qs

import pytest

from isolated import humble
from opus_core import links
from opus_core.backends import Event
from opus_core.definition import (
    GeneratedDescription,
    JobDefinition,
    ParameterDescription,
    reserved,
)
from opus_core.folder import Folders
from opus_core.job import DefinitionRef, Job, Parameter, new_id, now
from opus_core.links import Exit
from opus_core.testing.timing import eventually
from services_missing import lacking

# Clusters run old ones: OPUS_TEST_BASH=/path/to/bash-4.2 tests with that.
BASH = os.environ.get("OPUS_TEST_BASH") or shutil.which("bash") or "bash"

ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("OPUS_")}

Prepare = Callable[..., Path]


@pytest.fixture
def prepare(tmp_path: Path) -> Prepare:
    """A callable that writes the folder of a new job and answers it."""

    def prepare(
        script: str,
        *values: tuple[str, str],
        outputs: tuple[str, ...] = (),
        duration: int = 0,
        event: Event | None = None,
    ) -> Path:
        definition = JobDefinition(
            name="test",
            script=script,
            parameters=tuple(ParameterDescription(name=name) for name in dict(values)),
            generated=tuple(GeneratedDescription(name=name) for name in outputs),
        )
        job = Job(
            id=new_id(),
            definition=DefinitionRef("test", 1),
            created=now(),
            parameters=tuple(Parameter(name=name, value=value) for name, value in values),
            execution_duration=duration,
        )
        folders = Folders(tmp_path / "jobs")
        folders.write(job, definition, event=event, host="here", backends={})
        return folders.path(job.id)

    return prepare


def begin(
    folder: Path, claimant: str = "1", grace: int = 1, via: tuple[str, ...] = ()
) -> subprocess.Popen[bytes]:
    """Start the wrapper as a manager does."""
    return subprocess.Popen(
        [BASH, folder / "run", *via],
        env={**ENVIRONMENT, "OPUS_CLAIMANT": claimant, "OPUS_GRACE": str(grace), "OPUS_TAG": "t"},
        cwd="/",
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def run(folder: Path, claimant: str = "1", via: tuple[str, ...] = ()) -> Exit | None:
    """Run the wrapper to its end; how the script ended."""
    process = begin(folder, claimant, via=via)
    process.communicate(timeout=60)
    return links.peek(folder).exit


def wait_for(condition: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def number_in(path: Path) -> int:
    wait_for(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


@contextmanager
def listener() -> Iterator[tuple[str, list[str]]]:
    """A server that keeps what is posted to it; its address, and the requests."""
    requests: list[str] = []
    server = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, connection.makefile("rb") as stream:
                head = b""
                while not head.endswith(b"\r\n\r\n"):
                    head += stream.readline()
                length = int(head.lower().partition(b"content-length:")[2].split()[0])
                body = stream.read(length)
                connection.sendall(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
                requests.append((head + body).decode())

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.getsockname()[1]}/events", requests
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


# --- what the script gets, and what becomes of what it writes ---


def test_a_script_without_first_line_is_run_by_bash_in_an_empty_folder(prepare: Prepare) -> None:
    folder = prepare('echo "$BASH_VERSION"; pwd; ls -A; echo trouble >&2')
    end = run(folder)
    version, where, *files = (folder / "stdout").read_text().splitlines()
    assert version[0].isdigit()
    assert where == str(folder / "work")
    assert files == []
    assert (folder / "stderr").read_text() == "trouble\n"
    assert end is not None
    assert (end.claimant, end.code, end.signal, end.reason) == ("1", 0, None, "")
    assert end.started is not None
    assert end.ended is not None
    assert end.started <= end.ended <= now()


def test_a_script_is_run_by_the_program_in_its_first_line(prepare: Prepare) -> None:
    folder = prepare("#! /usr/bin/awk -f \nBEGIN { print 6 * 7 }\n")
    run(folder)
    assert (folder / "stdout").read_text() == "42\n"


def test_a_program_that_is_not_there_is_code_127(prepare: Prepare) -> None:
    folder = prepare("#!/no/such/program\n")
    end = run(folder)
    assert end is not None
    assert end.code == 127
    assert "/no/such/program" in (folder / "stderr").read_text()


HOSTILE = {
    "quotes": 'it\'s "quoted" \\ and \\\\ more\\',
    "substitution": "$(touch /tmp/opus-was-here; touch ../was-here)",
    "backticks": "`touch ../was-here`",
    "newlines": "\n\nfirst\nsecond\r\n\n",
    "blanks": "   \t leading and trailing \t  ",
    "rtl": "שלום \u202e עולם \U0001f52d",
    "climbing": "../../../../etc/passwd",
    "separators": "; touch ../was-here & | > ../was-here < /etc/passwd",
    "globs": "* ? [a-z] {a,b} ~root !$ !!",
    "assignment": "a=b=c",
    "empty": "",
    "dashes": "--help -rf /",
    "percent": "%s %n %d \\x41 \\n",
    "index": "a[$(touch ../was-here)]=1",
    # Names that bash or the wrapper might take for their own.
    "reason": "limit",
    "script": "1",
    "OLDPWD": "/nowhere",
    "RANDOM": "seven",
    "SECONDS": "eight",
    "LINENO": "nine",
    "REPLY": "ten",
    "entry": "eleven",
    "POSIXLY_CORRECT": "y",
    "long": "0123456789abcdé" * 4000,
}


def test_hostile_values_arrive_byte_for_byte_and_nothing_of_them_is_executed(
    prepare: Prepare,
) -> None:
    folder = prepare(
        "#!/usr/bin/python3\n"
        "import os, sys\n"
        "sys.stdout.buffer.write(b'\\0'.join(k + b'=' + v for k, v in os.environb.items()))\n",
        *HOSTILE.items(),
    )
    end = run(folder)
    got = dict(
        entry.split(b"=", 1) for entry in (folder / "stdout").read_bytes().split(b"\0") if entry
    )
    assert end is not None
    assert end.code == 0
    assert {name: got.get(name.encode()) for name in HOSTILE} == {
        name: value.encode() for name, value in HOSTILE.items()
    }
    listed = json.loads((folder / "parameters.json").read_bytes())["parameters"]
    assert {one["name"]: one["value"] for one in listed} == HOSTILE
    assert not (folder / "was-here").exists()
    assert not Path("/tmp/opus-was-here").exists()


def names_bash_has_a_use_for() -> list[str]:
    """Every variable of the wrapper and of bash itself that a description may use as a name."""
    source = files("opus_core").joinpath("wrapper.sh").read_text()
    own = set(re.findall(r"\b([A-Za-z_][A-Za-z0-9_]*)(?:\[[^]]*\])?\+?=", source))
    own |= set(re.findall(r"\$\{?#?([A-Za-z_][A-Za-z0-9_]*)", source))
    listed = subprocess.run(
        [BASH, "-c", "compgen -v"], capture_output=True, text=True, check=True, env={}
    )
    special = "OPTARG OPTERR REPLY MAPFILE COPROC TMOUT TIMEFORMAT GLOBIGNORE FIGNORE LC_ALL PS0"
    return sorted(
        name for name in own | {*listed.stdout.split(), *special.split()} if not reserved(name)
    )


def test_no_name_means_anything_to_the_wrapper_or_to_bash(prepare: Prepare, tmp_path: Path) -> None:
    value = f"a[$(touch {tmp_path}/PWNED)]"
    names = names_bash_has_a_use_for()
    assert {"files", "outputs", "SECONDS"} <= {*names}
    script = f"#!{sys.executable}\nimport json, os\njson.dump(dict(os.environ), open('seen', 'w'))"
    folder = prepare(script, *((name, value) for name in names))
    exit_ = run(folder)
    assert exit_ is not None
    assert exit_.code == 0, (folder / "stderr").read_text()
    seen = json.loads((folder / "work" / "seen").read_text())
    assert [name for name in names if seen.get(name) != value] == []
    assert not (tmp_path / "PWNED").exists()


def test_the_script_sees_its_tag_and_where_to_report_but_not_who_claimed_the_job(
    prepare: Prepare,
) -> None:
    with listener() as (url, _):
        folder = prepare("env | grep ^OPUS_ | sort", event=Event(url=url, token="sesame"))
        run(folder)
    assert (folder / "stdout").read_text().splitlines() == [
        f"OPUS_PARAMETERS={folder}/parameters.json",
        f"OPUS_PROGRESS={folder}/progress",
        "OPUS_TAG=t",
    ]


def test_named_regular_files_become_results_whatever_the_end_was(prepare: Prepare) -> None:
    folder = prepare(
        "echo 1 >a.csv; echo 2 >other; ln -s /etc/passwd link; mkdir folder; mkfifo pipe; exit 3",
        outputs=("a.csv", "link", "folder", "pipe", "missing"),
    )
    end = run(folder)
    assert end is not None
    assert end.code == 3
    assert sorted(os.listdir(folder / "results")) == ["a.csv"]
    assert sorted(os.listdir(folder / "work")) == ["folder", "link", "other", "pipe"]


@pytest.mark.parametrize(
    "script",
    [
        "rm -r ../work",
        "rm -r ../work; ln -s /etc ../work",
        "rm -r ../results; ln -s /tmp ../results; echo 1 >a.csv",
    ],
)
def test_a_script_that_replaces_its_folders_has_no_results(prepare: Prepare, script: str) -> None:
    folder = prepare(script, outputs=("a.csv", "passwd"))
    end = run(folder)
    assert end is not None
    assert end.code == 0
    assert (folder / "results").is_symlink() or os.listdir(folder / "results") == []
    assert not Path("/tmp/a.csv").exists()
    assert Path("/etc/passwd").exists()


@pytest.mark.parametrize(
    "closed", ["..", "../work", "../results", "a.csv", "../stdout ../progress", "../results .."]
)
def test_a_script_that_closes_its_files_to_everybody_ends_as_any_other(
    prepare: Prepare, closed: str
) -> None:
    folder = prepare(
        f'echo 1 >a.csv; echo 50 >"$OPUS_PROGRESS"; chmod 0 {closed}', outputs=("a.csv",)
    )
    subprocess.run(
        [*humble(), BASH, folder / "run"],
        env={**ENVIRONMENT, "OPUS_CLAIMANT": "1"},
        check=True,
    )
    end = links.peek(folder).exit
    assert end is not None
    assert end.code == 0
    for name in ("", "work", "results"):
        assert (folder / name).stat().st_mode & 0o700 == 0o700
    for name in ("results/a.csv", "stdout", "progress"):
        assert (folder / name).stat().st_mode & 0o600 == 0o600


# --- how it ends ---


def test_a_command_of_the_manager_runs_the_script_and_nothing_else_of_the_wrapper(
    prepare: Prepare,
) -> None:
    folder = prepare(
        'printf "%s\\n" "$PPID" "$WORD" "$value" "$#" >out; exit 7',
        ("value", "a b"),
        outputs=("out",),
    )
    end = run(folder, via=(BASH, "-c", 'export WORD="$1"; "${@:2}"; exit', "-", "a  *"))
    assert end is not None
    assert end.code == 7
    parent, *rest = (folder / "results/out").read_text().splitlines()
    assert rest == ["a  *", "a b", "0"], "words and values arrive as they are"
    assert links.peek(folder).started is not None
    assert links.peek(folder).started.split("/")[2] != parent, "the command is between them"


def test_code_and_signal_are_told(prepare: Prepare) -> None:
    died = run(prepare("kill -KILL $$"))
    failed = run(prepare("exit 3"))
    odd = run(prepare("exit 255"))
    assert died is not None
    assert failed is not None
    assert odd is not None
    assert (died.code, died.signal, died.reason) == (137, 9, "")
    assert (failed.code, failed.signal, failed.reason) == (3, None, "")
    assert (odd.code, odd.signal, odd.reason) == (255, None, "")


def test_a_script_that_closes_its_output_and_leaves_a_daemon_ends(prepare: Prepare) -> None:
    folder = prepare("exec >&- 2>&-; sleep 1000 & echo $! >../pid")
    end = run(folder)
    assert end is not None
    assert end.code == 0
    pid = number_in(folder / "pid")
    wait_for(lambda: not alive(pid))


def test_a_script_that_kills_its_own_process_group_is_recorded(prepare: Prepare) -> None:
    end = run(prepare("kill -KILL 0"))
    assert end is not None
    assert (end.signal, end.reason) == (9, "")


def test_a_script_that_tells_the_wrapper_to_stop_is_stopped(prepare: Prepare) -> None:
    end = run(prepare("kill -TERM $PPID; sleep 1000"))
    assert end is not None
    assert end.reason == "term"


def test_the_execution_duration_is_enforced_to_the_second(prepare: Prepare) -> None:
    folder = prepare("echo kept >a.csv; sleep 1000", outputs=("a.csv",), duration=2)
    end = run(folder)
    assert end is not None
    assert end.reason == "limit"
    assert end.started is not None
    assert end.ended is not None
    assert 1.9 <= (end.ended - end.started).total_seconds() < 3
    assert (folder / "results" / "a.csv").read_text() == "kept\n"


def test_a_script_that_ends_in_time_leaves_no_timer_behind(prepare: Prepare) -> None:
    folder = prepare("echo $PPID >../wrapper", duration=4711)
    run(folder)
    timer = [b"sleep", b"4711", b""]

    def sleeping() -> bool:
        return any(
            _read(path).split(b"\0") == timer for path in Path("/proc").glob("[0-9]*/cmdline")
        )

    eventually(lambda: not sleeping(), "what was killed is gone")


def test_told_to_stop_it_stops_the_whole_group_and_says_term(prepare: Prepare) -> None:
    folder = prepare("trap 'echo tidied >a.csv; exit 9' TERM; echo $$ >../pid; sleep 1000 & wait")
    process = begin(folder)
    pid = number_in(folder / "pid")
    process.terminate()
    process.communicate(timeout=20)
    end = links.peek(folder).exit
    assert end is not None
    assert (end.code, end.reason) == (9, "term")
    assert not alive(pid)


def test_a_script_that_is_faster_to_end_by_a_signal_than_that_is_to_come_was_stopped(
    prepare: Prepare,
) -> None:
    # Whoever cancels a job on a cluster signals all its processes, one after the other.
    folder = prepare("(sleep 0.05; kill -TERM $PPID) & exit 3")
    process = begin(folder)
    process.communicate(timeout=20)
    end = links.peek(folder).exit
    assert end is not None
    assert (end.code, end.reason) == (3, "term")


def test_what_does_not_heed_term_is_killed_after_the_grace(prepare: Prepare) -> None:
    folder = prepare("trap '' TERM; echo $$ >../pid; while :; do sleep 1000; done")
    process = begin(folder, grace=1)
    pid = number_in(folder / "pid")
    begun = time.monotonic()
    process.terminate()
    process.communicate(timeout=20)
    assert 0.9 < time.monotonic() - begun < 4
    end = links.peek(folder).exit
    assert end is not None
    assert (end.signal, end.reason) == (9, "term")
    assert not alive(pid)


def test_what_a_stopped_script_has_begun_gets_the_rest_of_the_grace(prepare: Prepare) -> None:
    # Bash dies of TERM at once; what it called tidies up, and is done before the results move.
    folder = prepare(
        'bash -c \'trap "sleep 0.3; echo tidied >a.csv; exit" TERM;'
        " echo $$ >../pid; sleep 1000 & wait'",
        outputs=("a.csv",),
    )
    process = begin(folder, grace=10)
    number_in(folder / "pid")
    process.terminate()
    process.communicate(timeout=20)
    assert (folder / "results" / "a.csv").read_text() == "tidied\n"


def test_a_wrapper_that_is_killed_leaves_no_exit_and_no_other_begins(prepare: Prepare) -> None:
    folder = prepare("echo $$ >>../ran; echo $$ >../pid; sleep 1000")
    process = begin(folder)
    pid = number_in(folder / "pid")
    process.kill()
    process.communicate(timeout=20)
    assert run(folder, "2") is None
    assert links.peek(folder).begun
    assert len((folder / "ran").read_text().splitlines()) == 1
    os.killpg(pid, signal.SIGKILL)


def test_the_exit_takes_a_place_that_was_allocated_before_the_script(prepare: Prepare) -> None:
    folder = prepare("stat -c '%i %s' ../.exit-*")
    run(folder)
    inode, size = (folder / "stdout").read_text().split()
    status = os.stat(folder / "exit")
    assert (status.st_ino, status.st_size) == (int(inode), int(size))
    assert int(size) >= 1024


def test_a_link_in_place_of_the_draft_leads_the_wrapper_nowhere(
    tmp_path: Path, prepare: Prepare
) -> None:
    other = tmp_path / "other"
    other.write_text("precious")
    folder = prepare(f"draft=$(echo ../.exit-*) && rm $draft && ln -s {other} $draft && touch done")
    assert run(folder) is None, "the record is gone with the draft"
    assert (folder / "work/done").exists(), "no link was made"
    assert other.read_text() == "precious"


def test_a_full_disk_cannot_lose_the_exit(tmp_path: Path, prepare: Prepare) -> None:
    small = tmp_path / "small"
    small.mkdir()
    folder = prepare("cat /dev/zero >filler; exit 5")
    begin_there = (
        'mount -t tmpfs -o size=1m,nr_inodes=100 small "$1" && cp -r "$2/." "$1" || exit 77;'
        ' OPUS_CLAIMANT=1 "$3" "$1/run"; cat "$1/exit"'
    )
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", begin_there, "sh", small, folder, BASH],
        capture_output=True,
        check=False,
        timeout=60,
    )
    if done.returncode == 77 or b"unshare failed" in done.stderr:
        lacking("this machine lets nobody but root mount a small disk")
    end = links.parse_exit(done.stdout)
    assert end is not None
    assert (end.code, end.reason) == (5, "")


# --- once ---


def test_without_a_folder_nothing_is_made(tmp_path: Path, prepare: Prepare) -> None:
    folder = prepare("echo ran >>../ran")
    copy = tmp_path / "copy"
    shutil.copy(folder / "run", copy)
    shutil.rmtree(folder)
    process = subprocess.run(
        [BASH, copy],
        env={**ENVIRONMENT, "OPUS_CLAIMANT": "1", "OPUS_FOLDER": str(folder)},
        capture_output=True,
        check=False,
    )
    assert process.returncode == 1
    assert b"no such folder" in process.stderr
    assert not folder.exists()


def test_a_copy_of_the_wrapper_elsewhere_finds_the_folder_it_is_told(
    tmp_path: Path, prepare: Prepare
) -> None:
    folder = prepare("pwd")
    copy = tmp_path / "copy"
    shutil.copy(folder / "run", copy)
    subprocess.run(
        [BASH, copy],
        env={**ENVIRONMENT, "OPUS_CLAIMANT": "1", "OPUS_FOLDER": str(folder)},
        check=True,
    )
    assert (folder / "stdout").read_text() == f"{folder}/work\n"


@pytest.mark.parametrize("claimant", ["", "sealed", "two words", "two\nlines"])
def test_a_claimant_that_could_be_mistaken_is_refused(prepare: Prepare, claimant: str) -> None:
    folder = prepare("echo ran >>../ran")
    assert run(folder, claimant) is None
    assert not (folder / "claim").is_symlink()


def test_a_late_duplicate_leaves_and_writes_nothing(prepare: Prepare) -> None:
    folder = prepare("echo ran >>../ran")
    first = run(folder, "1")
    before = _snapshot(folder)
    process = begin(folder, "2")
    _, said = process.communicate(timeout=20)
    assert process.returncode == 0
    assert b"the claim is 1" in said
    assert _snapshot(folder) == before
    assert links.peek(folder).exit == first


def test_a_requeue_before_the_script_began_runs_it(prepare: Prepare) -> None:
    folder = prepare("echo ran >>../ran")
    os.symlink("1", folder / "claim")  # made, and then the node died
    end = run(folder, "1")
    assert end is not None
    assert (end.code, end.reason) == (0, "")
    assert (folder / "ran").read_text() == "ran\n"


def test_a_requeue_after_the_script_began_says_so_and_does_not_run_it(prepare: Prepare) -> None:
    folder = prepare("echo ran >>../ran")
    os.symlink("1", folder / "claim")
    os.symlink("elsewhere/boot/1/2", folder / "started")
    end = run(folder, "1")
    assert end is not None
    assert (end.claimant, end.code, end.reason, end.started) == ("1", None, "requeued", None)
    assert not (folder / "ran").exists()


def test_the_first_exit_stands(prepare: Prepare) -> None:
    folder = prepare("echo $$ >../pid; read <../gate")
    os.mkfifo(folder / "gate")
    process = begin(folder, "1")
    number_in(folder / "pid")
    requeued = run(folder, "1")
    with open(folder / "gate", "w") as gate:
        gate.write("\n")
    process.communicate(timeout=20)
    assert requeued is not None
    assert links.peek(folder).exit == requeued
    assert requeued.reason == "requeued"


def test_nothing_of_a_sealed_job_begins(prepare: Prepare) -> None:
    folder = prepare("echo ran >>../ran")
    assert links.seal(folder).sealed
    assert run(folder, "1") is None
    claimed = prepare("echo ran >>../ran")
    os.symlink("1", claimed / "claim")
    assert links.seal(claimed).sealed
    assert run(claimed, "1") is None
    assert not (claimed / "exit").exists()
    assert not (folder / "ran").exists()
    assert not (claimed / "ran").exists()


def test_told_to_stop_before_the_script_began_it_never_begins(prepare: Prepare) -> None:
    folder = prepare("echo ran >>../ran")
    wrapper = (folder / "run").read_text()
    (folder / "run").write_text(
        wrapper.replace("  IFS= read -r boot", "  kill -TERM $$\n  IFS= read -r boot")
    )
    end = run(folder)
    assert end is not None
    assert (end.code, end.reason) == (None, "term")
    assert not (folder / "ran").exists()


def test_in_100_races_of_three_wrappers_and_a_seal_the_script_runs_once_or_never(
    prepare: Prepare,
) -> None:
    outcomes = set()
    for turn in range(100):
        folder = prepare("echo $$ >>../ran")
        wrappers = [begin(folder, str(number)) for number in (1, 2, 3)]
        time.sleep(turn % 25 / 1000)  # so that the seal comes at any moment of a wrapper's life
        seal = links.seal(folder)
        for wrapper in wrappers:
            wrapper.communicate(timeout=60)
        ran = (folder / "ran").read_text().splitlines() if (folder / "ran").exists() else []
        found = links.peek(folder)
        assert len(ran) == (1 if seal.begun else 0)
        assert seal.sealed != seal.begun
        assert found.begun == seal.begun
        assert (found.exit is not None) == seal.begun
        outcomes.add(seal.begun)
    assert outcomes == {True, False}, "only one side ever won: these were no races"


# --- events ---


def test_start_and_end_are_reported_with_the_token(prepare: Prepare) -> None:
    with listener() as (url, requests):
        folder = prepare("exit 1", event=Event(url=url, token="a b&c=d/é"))
        end = run(folder)
        wait_for(lambda: len(requests) == 2)
    assert end is not None
    forms = [parse_qs(request.partition("\r\n\r\n")[2]) for request in requests]
    assert {form["phase"][0] for form in forms} == {"EXECUTING", "ERROR"}
    assert {form["jobid"][0] for form in forms} == {folder.name}
    assert {form["token"][0] for form in forms} == {"a b&c=d/é"}
    assert all(request.startswith("POST /events HTTP/1.1\r\n") for request in requests)


def test_a_server_that_never_answers_delays_nothing_that_counts(prepare: Prepare) -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}/"
        folder = prepare("exit 0", event=Event(url=url, token="sesame"))
        begun = time.monotonic()
        process = begin(folder)
        wait_for(lambda: links.peek(folder).exit)
        assert time.monotonic() - begun < 2
        process.communicate(timeout=20)
        assert time.monotonic() - begun < 5


def test_a_server_that_is_not_there_is_no_reason_to_fail(prepare: Prepare) -> None:
    folder = prepare("exit 0", event=Event(url="http://127.0.0.1:1/", token="sesame"))
    end = run(folder)
    assert end is not None
    assert end.code == 0
    assert (folder / "stderr").read_text() == ""


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


def _snapshot(folder: Path) -> list[tuple[str, int]]:
    return sorted((str(path), os.lstat(path).st_mtime_ns) for path in folder.rglob("*"))


def test_told_to_stop_it_always_notices_the_end_of_its_script(prepare: Prepare) -> None:
    """Bash's `wait` can miss it while the wrapper has other children that live."""
    for number in range(80):
        folder = prepare("echo $$ > pid; exec sleep 60", duration=600)
        process = begin(folder, grace=10)
        script = number_in(folder / "work" / "pid")
        time.sleep(0.01 * (number % 5))
        # As managers do, all of the job, the wrapper first.
        os.kill(process.pid, signal.SIGTERM)
        with suppress(ProcessLookupError):  # the wrapper may have been as fast
            os.kill(script, signal.SIGTERM)
        process.communicate(timeout=5)
        exit_ = links.peek(folder).exit
        assert exit_ is not None
        assert exit_.reason == "term"
