"""Servers and commands of tests that begin as forks are, to whoever starts them, as any others."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import forked

SAYS = """
import json, os, signal, sys
said = {"argv": sys.argv[1:], "cwd": os.getcwd(), "environ": dict(os.environ), "path": sys.path[0]}
print(json.dumps(said), flush=True)
if sys.argv[1:] == ["waits"]:
    signal.pause()
sys.exit(sys.stdin.readline().strip() or 3)
"""


@pytest.fixture
def begin(tmp_path):
    """Starts a program; answers its process, and the file that it writes into."""
    program = tmp_path / "program.py"
    program.write_text(SAYS)

    def start(*words: str, prefix: tuple[str, ...] = ()) -> tuple[forked.Process, Path]:
        with (
            Path(os.devnull).open("rb") as nothing,
            (tmp_path / "out").open("wb") as out,
            (tmp_path / "err").open("wb") as err,
        ):
            files = (nothing, out, err)
            process = forked.start(words, prefix=prefix, cwd=tmp_path, files=files, program=program)
        return process, tmp_path / "out"

    return start


def said(begin: Any, *words: str, prefix: tuple[str, ...] = ()) -> dict[str, Any]:
    process, out = begin(*words, prefix=prefix)
    assert process.wait(60) == 3
    answer: dict[str, Any] = json.loads(out.read_text())
    return answer


def inherited() -> dict[str, str]:
    """The environment of any process that we start."""
    code = "import json, os; print(json.dumps(dict(os.environ)))"
    found: dict[str, str] = json.loads(subprocess.check_output([sys.executable, "-c", code]))
    return found


def test_it_has_the_words_the_folder_and_the_environment_of_who_starts_it(
    begin, tmp_path, monkeypatch
):
    monkeypatch.setenv("OPUS_TRIED", "once")
    first = said(begin, "--config", "a b")
    assert first["argv"] == ["--config", "a b"]
    assert (first["cwd"], first["path"]) == (str(tmp_path), str(tmp_path))
    assert first["environ"] == inherited()
    monkeypatch.delenv("OPUS_TRIED")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert said(begin)["environ"] == inherited()


def test_what_words_before_it_set_stays_as_they_say(begin, monkeypatch):
    monkeypatch.setenv("OPUS_TRIED", "once")
    prefix = ("env", "OPUS_TRIED=twice")
    assert said(begin, prefix=prefix)["environ"]["OPUS_TRIED"] == "twice"
    monkeypatch.setenv("OPUS_TRIED", "thrice")
    assert said(begin, prefix=prefix)["environ"]["OPUS_TRIED"] == "twice"


def test_it_is_waited_for_and_ended_as_any_other(begin):
    process, _ = begin("waits")
    assert process.poll() is None
    with pytest.raises(subprocess.TimeoutExpired, match=r"program\.py"):
        process.wait(0.1)
    process.kill()
    assert process.wait(60) == process.returncode == process.poll() == -signal.SIGKILL
    process.terminate()  # nothing happens


def test_a_command_is_given_its_input_and_answers_what_it_says():
    done = forked.run(["jdl", "no-such-word"])
    assert done.returncode == 2
    assert (done.stdout, "no-such-word" in done.stderr) == ("", True)
    assert forked.run(["--version"]).stdout.startswith("opus ")


def test_whoever_is_forked_is_replaced_when_it_has_ended(begin):
    process, _ = begin("waits", prefix=("env", "OPUS_TRIED=four times"))
    process._parent._process.kill()
    process._parent._process.wait()
    process.kill()
    assert process.wait(60) == 255  # nobody can be asked
    assert said(begin, prefix=("env", "OPUS_TRIED=four times"))["argv"] == []


def test_where_processes_have_other_numbers_it_is_refused(begin):
    prefix = ("unshare", "--pid", "--fork", "--mount-proc")
    if not shutil.which("unshare") or subprocess.run([*prefix, "true"]).returncode:
        pytest.skip("namespaces of one's own cannot be made here")
    with pytest.raises(AssertionError, match="start it afresh"):
        begin(prefix=prefix)
