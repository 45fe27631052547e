"""The page on Apache, nginx, systemd and containers does what it says, in a folder for a root."""

from __future__ import annotations

import getpass
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from docs.blocks import DOCS, PAGES, blocks
from opus_core.config import load
from opus_core.deployment import faults, rules
from opus_core.deployment.files import DEPLOY

PAGE = DOCS / "admin" / "deployment.md"


@pytest.fixture(scope="module")
def root() -> Iterator[Path]:
    """Where `/srv` and `/etc` of the page are, after all of its blocks of bash have run."""
    root = Path(tempfile.mkdtemp(prefix="opus-root-"))
    root.chmod(0o755)  # pytest's own folders may be entered by their owner alone
    for name in ("srv", "etc/nginx/snippets", "etc/apache2/conf-available", "etc/systemd/system"):
        (root / name).mkdir(parents=True)
    try:
        follow(root)
        yield root
    finally:
        shutil.rmtree(root)


def follow(root: Path) -> None:
    script = "".join(block.text for block in blocks(PAGE) if block.language == "bash")
    script = re.sub(r"/(srv|etc)/", rf"{root}/\1/", script)
    script = script.replace("--user opus", f"--user {user()}")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-e", "-x", "-c", script],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env={**os.environ, "PATH": path},
    )
    assert done.returncode == 0, done.stdout + done.stderr


def user() -> str:
    return "nobody" if os.getuid() == 0 else getpass.getuser()


def test_the_files_that_are_named_are_those_that_are_written(root):
    rows = [row for row in PAGE.read_text().splitlines() if row.startswith("|")]
    named = {name for row in rows for name in re.findall(r"`([\w./-]+\.(?:py|conf|service))`", row)}
    folder = root / "srv" / "opus"
    written = {folder / "wsgi.py", folder / "apache.conf", *(folder / "deploy").iterdir()}
    assert {str(file.relative_to(folder)) for file in written} == {
        name for name in named if (folder / name).exists()
    }


def test_whoever_follows_the_page_has_done_nothing_wrong(root):
    [text] = [block.text for block in blocks(PAGE) if block.language == "toml"]
    assert tomllib.loads(text)["server"]["trusted_proxies"] == ["127.0.0.1"]
    file = root / "srv" / "opus" / "opus.toml"
    file.write_text(f'data_dir = "{file.parent}"\n{text}')
    said = [one for one in faults(load(file), root / "etc") if "no program here" not in one]
    assert said == []


def test_the_user_is_made_as_for_installing():
    """In a home folder that there is: a daemon of Apache does not start in another."""
    [here] = re.findall("^useradd .*$", PAGE.read_text(), re.MULTILINE)
    [there] = re.findall("^useradd .*$", (DOCS / "admin/install.md").read_text(), re.MULTILINE)
    assert here == there
    assert "--home-dir /srv/opus" in here


OTHERS = {"apache2", "nginx"}  # of the web servers in front


def test_every_unit_that_a_page_names_is_written_by_init():
    written = {Path(name).stem for name in DEPLOY if name.endswith(".service")}
    commands = []
    for page in PAGES:
        commands += [(page, one) for one in re.findall(r"\bsystemctl ([\w -]+)", page.read_text())]
    units = {}
    for page, command in commands:
        words = [word for word in command.split() if not word.startswith("-")]
        assert words[0] in ("daemon-reload", "enable", "reload", "start", "status", "stop"), page
        units |= dict.fromkeys(words[1:], page)
    assert set(units) <= written | OTHERS, units
    assert written <= set(units)


def test_the_page_names_the_settings_that_the_rules_know():
    text = PAGE.read_text()
    for name in ("WSGIPassAuthorization", "WSGIChunkedRequest", "KillMode=process", "threads"):
        assert name in text
        assert name.partition("=")[0] in Path(rules.__file__).read_text()
