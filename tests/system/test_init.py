"""`opus init` beside what is there already, for another user, and when it fails."""

from __future__ import annotations

import os
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

import forked
from isolated import NOBODY, needs_root, open_folder
from servers import eventually

COMMAND = (sys.executable, "-m", "opus_core.cli")
BROKEN = """
import sys
from opus_core import cli
from opus_core.commands import init

def fails(*_):
    raise OSError(28, "No space left on device")

init.link = fails
sys.exit(cli.main(sys.argv[1:]))
"""


def init(*words: str | Path, command: tuple[str, ...] = ()) -> subprocess.CompletedProcess:
    if not command:
        return forked.run(["init", *map(str, words)])
    return subprocess.run(
        [*command, *map(str, words)], capture_output=True, text=True, timeout=60, check=False
    )


def fail(*words: str | Path) -> None:
    """`opus init` that fails at its last step."""
    done = init("init", *words, command=(sys.executable, "-c", BROKEN))
    assert done.returncode != 0
    assert "No space left" in done.stderr


def content(folder: Path) -> set[Path]:
    return {path.relative_to(folder) for path in folder.rglob("*")}


def owners(folder: Path) -> set[str]:
    return {pwd.getpwuid(one.lstat().st_uid).pw_name for one in (folder, *folder.rglob("*"))}


@pytest.mark.parametrize("name", ["opus.toml", "wsgi.py", "apache.conf", "deploy"])
@pytest.mark.parametrize("kind", ["a file", "a link", "a link to nowhere"])
def test_nothing_is_written_over(tmp_path, name, kind):
    folder, outside = tmp_path / "site", tmp_path / "outside"
    folder.mkdir()
    if kind == "a file":
        (folder / name).write_text("edited by hand")
    else:
        (folder / name).symlink_to(outside)
        if kind == "a link":
            outside.write_text("somebody's")
    before = folder.stat()
    done = init(folder)
    assert done.returncode == 2
    assert f"{folder / name} is there already; " in done.stderr
    assert "choose another folder" in done.stderr
    assert [path.name for path in folder.iterdir()] == [name]
    assert folder.stat().st_mode == before.st_mode
    if kind == "a file":
        assert (folder / name).read_text() == "edited by hand"
    else:
        assert outside.exists() == (kind == "a link")
        assert kind != "a link" or outside.read_text() == "somebody's"


def test_a_name_that_is_none_is_told_before_anything_is_made(tmp_path):
    done = init(tmp_path / "site", "--admin", "bad name/..")
    assert (done.returncode, "cannot be a user's name" in done.stderr) == (2, True)
    assert list(tmp_path.iterdir()) == []


def test_a_try_that_fails_leaves_no_folder(tmp_path):
    fail(tmp_path / "site")
    assert list(tmp_path.iterdir()) == []
    assert init(tmp_path / "site").returncode == 0


def test_a_try_that_fails_in_a_folder_that_was_there_can_be_repeated(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "notes").write_text("mine")
    fail(folder)
    assert {"opus.toml", "wsgi.py", "apache.conf", "deploy"}.isdisjoint(os.listdir(folder))
    assert (folder / "notes").read_text() == "mine"
    done = init(folder)
    assert done.returncode == 0, done.stderr
    assert "admin is the first admin" in done.stdout


def test_half_a_file_is_taken_away_as_well(tmp_path):
    """From a folder that was there, by a limit in the place of a disk that is full."""
    folder = tmp_path / "site"
    folder.mkdir()
    small = "ulimit -f 1; trap '' XFSZ; exec \"$@\""
    done = init("init", folder, command=("bash", "-c", small, "bash", *COMMAND))
    assert done.returncode != 0
    assert list(folder.iterdir()) == []
    assert init(folder).returncode == 0


def test_what_it_makes_is_closed_to_others(tmp_path):
    folder = tmp_path / "site"
    assert init(folder).returncode == 0
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2770
    open_ones = [one for one in folder.rglob("*") if one.stat().st_mode & stat.S_IRWXO]
    assert open_ones == []


# -- as root, for another user


@pytest.fixture
def base():
    needs_root()
    with open_folder() as folder:
        yield folder


def test_all_that_is_made_for_a_user_is_the_users(base):
    """Also in a folder that root has made for them, whose mode it keeps."""
    assert init(base / "site", "--user", NOBODY).returncode == 0
    assert owners(base / "site") == {NOBODY}
    assert stat.S_IMODE((base / "site").stat().st_mode) == 0o2770
    made = ["install", "--directory", "--owner", NOBODY, "--mode", "2771", base / "made"]
    subprocess.run(made, check=True)
    (base / "made" / "lost+found").mkdir(mode=0o700)
    assert init(base / "made", "--user", NOBODY).returncode == 0
    assert (base / "made" / "lost+found").stat().st_uid == 0
    (base / "made" / "lost+found").rmdir()
    assert owners(base / "made") == {NOBODY}
    assert stat.S_IMODE((base / "made").stat().st_mode) == 0o2771


def test_what_was_in_the_folder_is_given_to_nobody(base):
    folder = base / "site"
    folder.mkdir()
    (folder / "key").write_text("root's")
    done = init(folder, "--user", NOBODY)
    assert done.returncode == 2
    assert f"{folder} has key in it already" in done.stderr
    assert content(folder) == {Path("key")}
    assert owners(folder) == {"root"}


def test_no_link_is_followed_to_the_folder_that_is_given_away(base):
    (base / "empty").mkdir()
    (base / "site").symlink_to(base / "empty")
    done = init(base / "site", "--user", NOBODY)
    assert done.returncode == 2
    assert f"{base / 'site'} is a link to {base / 'empty'}; name that folder" in done.stderr
    assert owners(base / "empty") == {"root"}


def test_a_folder_that_is_swapped_for_a_link_meanwhile_gives_nothing_else_away(base):
    """By whoever owns the folder around it."""
    others, folder = base / "others", base / "site"
    others.mkdir()
    (others / "key").write_text("root's")
    swapping = BROKEN.replace(
        'raise OSError(28, "No space left on device")',
        f"""import os
    os.rename({str(folder)!r}, {str(base / "away")!r})
    os.symlink({str(others)!r}, {str(folder)!r})
    return "a link" """,
    )
    done = init("init", folder, "--user", NOBODY, command=(sys.executable, "-c", swapping))
    assert done.returncode == 0, done.stderr
    assert owners(others) == {"root"}
    assert owners(base / "away") == {NOBODY}


def test_a_try_for_a_user_that_fails_leaves_the_folder_as_it_was(base):
    fail(base / "site", "--user", NOBODY)
    assert not (base / "site").exists()
    folder = base / "made"
    folder.mkdir(mode=0o750)
    shutil.chown(folder, NOBODY)
    before = folder.stat()
    fail(folder, "--user", NOBODY)
    after = folder.stat()
    assert (after.st_mode, after.st_uid, after.st_gid) == (
        before.st_mode,
        before.st_uid,
        before.st_gid,
    )
    assert content(folder) == set()
    assert init(folder, "--user", NOBODY).returncode == 0


def test_root_makes_no_site_of_its_own_in_a_folder_of_another(base):
    folder = base / "theirs"
    folder.mkdir()
    shutil.chown(folder, NOBODY)
    (folder / "opus.sqlite").symlink_to(base / "roots.sqlite")
    done = init(folder)
    assert done.returncode == 2
    assert f"belongs to {NOBODY}" in done.stderr
    assert f"`--user {NOBODY}`" in done.stderr
    assert not (base / "roots.sqlite").exists()


def test_nobody_else_comes_to_it_while_it_is_filled(base):
    """It is the user's folder, who could have root write elsewhere by a link."""
    folder = base / "site"
    folder.mkdir()
    shutil.chown(folder, NOBODY)
    slow = BROKEN.replace("raise OSError", "sys.stdin.read(); raise OSError")
    process = subprocess.Popen(
        [sys.executable, "-c", slow, "init", str(folder), "--user", NOBODY],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        eventually(lambda: (folder / "opus.sqlite").exists())
        status = folder.stat()
        assert (status.st_uid, status.st_mode & 0o077) == (0, 0)
    finally:
        process.communicate(timeout=30)
