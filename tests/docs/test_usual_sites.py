"""`opus check` has nothing against the usual sites of the page on the configuration."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from docs.blocks import DOCS
from printed import marked
from servers import Site
from services.postgresql import private_server

BLOCKS = {
    name.removeprefix("site: "): block.text
    for name, block in marked(DOCS / "configuration.md").items()
    if name.startswith("site: ")
}


def checked(folder: Path, text: str) -> dict[str, str]:
    """What `opus check` says of it, by subject: warnings and errors alone."""
    one = Site(folder / "site")
    for place in ("/srv/opus", "/shared/opus", "/var/log/opus", "/etc/opus"):
        text = text.replace(place, str(folder / place.replace("/", "-")))
    one.config.write_text(text)
    found = json.loads(one.opus("check", "--json", check=False).stdout)["findings"]
    bad = [finding for finding in found if finding["state"] != "ok"]
    return {finding["subject"]: finding["sentence"] for finding in bad}


# Before the first start there is no data folder, nobody supervises and nothing is described; the
# pages' host is nobody's; and root runs these tests.
NEW = {"data_dir", "supervisor", "definitions", "base_url", "manager"}


def test_they_are_the_four():
    assert list(BLOCKS) == ["laptop", "server", "slurm", "hosts"]


@pytest.mark.parametrize("name", ["laptop", "server"])
def test_on_one_machine(name, tmp_path):
    assert set(checked(tmp_path, BLOCKS[name])) <= NEW


def test_several_hosts(tmp_path):
    # Whether there is a SLURM is asked in tests/slurm.
    text = BLOCKS["hosts"].replace('use = "slurm"\npartition = "main"', 'use = "local"')
    assert text != BLOCKS["hosts"]
    password = tmp_path / "-etc-opus" / "database.password"
    password.parent.mkdir()
    password.write_text("any\n")
    password.chmod(0o600)
    with private_server() as database:
        database.run("createdb", *database.where, "opus")
        text = text.replace("opus@db.example.org", f"opus@127.0.0.1:{database.port}")
        assert set(checked(tmp_path, text)) <= NEW
