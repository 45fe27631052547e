"""Mistakes of admins, as the commands tell them: a sentence that names the thing, no traceback."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import contextmanager

import pytest

import forked
from attacked import powerless
from servers import eventually, site

SERVER = "[server]\nport = 0\n"


def write(folder, text=""):
    (folder / "opus.toml").write_text(f"{text}\n{SERVER if '[server]' not in text else ''}")


def says(text):
    """A configuration of these words."""
    return lambda folder: write(folder, text)


def make(name, content=None, mode=None):
    """A file in an installation, or a folder, with a mode."""

    def prepare(folder):
        write(folder)
        path = folder / "opus-data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir(exist_ok=True) if content is None else path.write_text(content)
        if mode is not None:
            path.chmod(mode)

    return prepare


def file_without_rights(folder):
    write(folder)
    (folder / "opus.toml").chmod(0)


def folder_without_rights(folder):
    folder.chmod(0)


def link_to_nowhere(folder):
    (folder / "opus.toml").symlink_to("nowhere.toml")


def link_to_itself(folder):
    (folder / "opus.toml").symlink_to("opus.toml")


def log_without_rights(folder):
    make("opus.log", "", 0o444)(folder)
    write(folder, 'log_file = "opus.log"')


def file_for_init(folder):
    (folder / "site").write_text("")


def init_without_rights(folder):
    (folder / "site").mkdir(mode=0o555)


BOTH = ("serve", "supervise")
MISTAKES = {
    "no address": (("serve",), says('[server]\nhost = "999.1.1.1"'), "host: '999.1.1.1'"),
    "no host": (("serve",), says('[server]\nhost = "not a host"'), "'not a host'"),
    "unknown host": (
        ("serve",),
        says('[server]\nport = 0\nhost = "nobody.invalid"'),
        "nobody.invalid:0",
    ),
    "address of others": (
        ("serve",),
        says('[server]\nport = 0\nhost = "192.0.2.7"'),
        "choose another [server] host",
    ),
    "log without rights": (BOTH, log_without_rights, "opus.log cannot be written"),
    "log that is a folder": (
        BOTH,
        lambda folder: (make("log")(folder), says('log_file = "log"')(folder)),
        "log cannot be written: Is a directory",
    ),
    "folder without rights": (
        ("serve", "plugins", "jdl list"),
        folder_without_rights,
        "opus.toml cannot be looked for: Permission denied",
    ),
    "file without rights": (
        ("serve",),
        file_without_rights,
        "toml cannot be read: Permission",
    ),
    "link to nowhere": (
        ("serve", "plugins"),
        link_to_nowhere,
        "opus.toml, a link to nowhere.toml, cannot be read: No such file",
    ),
    "link to itself": (
        ("serve",),
        link_to_itself,
        "opus.toml, a link to opus.toml,",
    ),
    "folder in /proc": (
        ("supervise",),
        says('[manager]\nfolder = "/proc/zz"'),
        "cannot write to /proc/zz (No such file or directory)",
    ),
    "init of a file": (("init site",), file_for_init, "site cannot be a folder: File exists"),
    "init without rights": (("init site",), init_without_rights, "opus.toml: Permission denied"),
    "definitions without rights": (
        ("serve", "jdl list", "jdl withdraw x"),
        make("definitions", mode=0),
        "definitions cannot be read: Permission denied",
    ),
    "definitions that are a file": (
        ("serve", "jdl list"),
        make("definitions", ""),
        "definitions cannot be read: Not a directory",
    ),
    "jobs without rights": (
        ("supervise",),
        make("jobs", mode=0o550),
        "the job folders cannot be kept in",
    ),
    "empty secret": (("serve",), make("secret", "", 0o600), "secret holds 0 bytes"),
    "short secret": (("serve",), make("secret", "00" * 15, 0o600), "secret holds 15 bytes"),
    "data folder without rights": (("serve",), make("", mode=0), "Permission denied"),
    "secret without rights": (("serve",), make("secret", "00" * 32, 0), "/secret)"),
}

# What is only wrong with an installation that has been used: else `opus check` finds a new one.
USED = {name for name in MISTAKES if name.endswith(("secret", "rights"))} | {
    "definitions that are a file"
}
SAYS = {"jobs without rights": "this user cannot write to the folders of jobs"}

# `opus check` listens nowhere, writes no log, and makes no installation.
HIDDEN = {name for name in MISTAKES if name.startswith(("unknown", "address", "log", "init"))}


@contextmanager
def prepared(folder, prepare):
    folder.mkdir()
    prepare(folder)
    try:
        yield
    finally:
        # pytest, which may be no root, has to remove it.
        folder.chmod(0o755)
        for path in folder.rglob("*"):
            if path.is_dir() and not path.is_symlink():
                path.chmod(0o755)


def opus(folder, command):
    if folder.stat().st_mode & 0o777:
        return forked.run(command.split(), prefix=powerless(), cwd=folder, timeout=30)
    # One who has no rights cannot go there, only be there when they are taken away.
    return subprocess.run(
        [*powerless(), sys.executable, "-m", "opus_core.cli", *command.split()],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=30,
    )


@pytest.mark.parametrize(
    ("command", "prepare", "words"),
    [
        pytest.param(command, prepare, words, id=f"{name}-{command}")
        for name, (commands, prepare, words) in MISTAKES.items()
        for command in commands
    ],
)
def test_a_mistake_is_one_sentence(tmp_path, command, prepare, words):
    with prepared(tmp_path / "site", prepare):
        done = opus(tmp_path / "site", command)
    assert done.returncode == 2, done.stdout
    assert done.stderr.startswith("opus: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr


@pytest.mark.parametrize("name", [name for name in MISTAKES if name not in HIDDEN])
def test_check_finds_it(tmp_path, name):
    _, prepare, words = MISTAKES[name]

    def used(folder):
        if name in USED:
            assert opus(folder, "user list").returncode == 0
        prepare(folder)

    with prepared(tmp_path / "site", used):
        done = opus(tmp_path / "site", "check")
    assert done.returncode == 1
    assert done.stderr == ""
    [finding] = [line for line in done.stdout.splitlines() if line.startswith("error")]
    assert SAYS.get(name, words) in finding


# -- damaged descriptions


@pytest.fixture
def one(tmp_path):
    """A site without any configuration: with two examples."""
    with site(tmp_path / "site") as opened:
        opened.configure()
        opened.opus("jdl", "list")
        for name in ("good", "bad"):
            opened.describe(name, "true\n", DOCUMENT.format(name=name))
        yield opened


DOCUMENT = """<application xmlns="http://wadl.dev.java.net/2009/02"><resources base="">
<resource id="joblist" path="{name}"><method id="create_job" name="POST"/></resource>
</resources></application>
"""
DAMAGES = {
    "document": ("versions/1/definition.wadl", "<application/>", "restore them from a back-up"),
    "meta": ("versions/1/meta.json", "{", "restore them from a back-up"),
    "number": ("published", "9\n", "names version 9, which is not there; write 1 into it"),
    "word": ("published", "x7\n", "write the number of the version into it"),
}


@pytest.mark.parametrize(("file", "content", "words"), DAMAGES.values(), ids=DAMAGES)
def test_a_damaged_description_hides_no_other_and_check_names_it(one, file, content, words):
    (one.folder / "data/definitions/bad" / file).write_text(content)
    one.serve()
    for headers in ({"Accept": "text/html"}, {"Accept": "application/json"}):
        answer = one.get("/", headers=headers)
        assert answer.status == 200
        assert "/rest/good" in answer.text
        assert "/rest/bad" not in answer.text
    assert one.get("/capabilities").status == 200
    assert one.create("good")
    log = (one.folder / "data/opus.log").read_text()
    assert re.search(r" definition=bad .*: left out of the list", log)
    done = one.opus("check", check=False)
    assert done.returncode == 1
    [finding] = [line for line in done.stdout.splitlines() if line.startswith("error")]
    path = file if file == "published" else "versions/1"
    assert finding.startswith(f"error    definitions/bad/{path}: ")
    assert words in finding
    assert "good  version 1\n" in one.opus("jdl", "list").stdout


def test_what_check_says_of_a_damaged_description_mends_it(one):
    (one.folder / "data/definitions/bad/versions/1/script").write_text("rm -rf /\n")
    assert "jdl import FILE --name bad --publish" in one.opus("check", check=False).stdout
    one.describe("bad", "true\n", DOCUMENT.format(name="bad"))
    done = one.opus("check")
    assert "warning  definitions/bad/versions/1: " in done.stdout


def test_definitions_lost_while_it_serves_are_told_to_those_who_ask(one):
    one.serve()
    (one.folder / "data/definitions").rename(one.folder / "data/elsewhere")
    (one.folder / "data/definitions").write_text("")
    answer = one.get("/")
    assert answer.status == 503
    assert "the job descriptions in" in answer.text
    (one.folder / "data/definitions").unlink()
    (one.folder / "data/elsewhere").rename(one.folder / "data/definitions")
    assert eventually(lambda: one.get("/").status == 200)
