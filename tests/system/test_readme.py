"""The README's commands and programs, run as they are printed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import fields, is_dataclass
from pathlib import Path

import pytest

from opus_core import sections
from servers import Site, site

README = Path(__file__).resolve().parents[2] / "README.md"
PRINTED = "http://127.0.0.1:8080"


def blocks(language: str, containing: str) -> list[str]:
    text = README.read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [block for block in found if containing in block]


@pytest.fixture(scope="module")
def one(tmp_path_factory):
    """`opus serve` without any configuration, in an empty folder."""
    folder = tmp_path_factory.mktemp("readme")
    with site(folder) as opened:
        opened.config.unlink()
        command = [sys.executable, "-m", "opus_core.cli", "serve", "--port", str(opened.port)]
        with (folder / "stderr.log").open("wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log)
        opened.processes.append(process)
        opened.wait_until_up(process)
        yield opened


def printed(block: str, one: Site) -> str:
    """The block as printed, but for the port: 8080 may be somebody else's here."""
    assert PRINTED in block
    return block.replace(PRINTED, one.url)


def test_the_curl_commands_fetch_the_strongest_period(one, tmp_path):
    (block,) = blocks("bash", "curl")
    done = subprocess.run(
        ["bash", "-e", "-c", printed(block, one)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    assert '"period": 10.99' in done.stdout


@pytest.mark.slow
def test_the_pyvo_program_runs_a_job_and_deletes_it(one, tmp_path):
    (block,) = blocks("python", "pyvo")
    program = tmp_path / "program.py"
    program.write_text(printed(block, one))
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        env={**os.environ, "HOME": str(tmp_path), "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("COMPLETED 10.99")


def test_opus_run_as_printed(one, tmp_path):
    (block,) = blocks("sh", "opus run")
    words = block.split()
    done = subprocess.run(
        ["opus", *words[1:], "--server", one.url],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    assert "strongest period: 11.00 years" in done.stdout


def test_opus_run_uploads_a_file_by_its_name(one, tmp_path):
    years = "".join(f"{year},{year % 7}\n" for year in range(1900, 2000))
    (tmp_path / "table.csv").write_text(f"year,value\n{years}")
    done = subprocess.run(
        ["opus", "run", "periodogram", "table=@table.csv", "--server", one.url],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=60,
        check=True,
    )
    assert "strongest period: 7.00 years" in done.stdout


def test_an_unconfigured_server_offers_two_examples_with_a_form_each(one):
    page = {"headers": {"Accept": "text/html"}}
    forms = set(re.findall(r'href="([^"]*/new/\w+)"', one.get("/", **page).text))
    assert sorted(form.rpartition("/")[2] for form in forms) == ["fitsheader", "periodogram"]
    assert all("data-new-job" in one.get(form, **page).text for form in forms)
    assert (one.folder / "opus-data").is_dir()


def test_init_as_printed_makes_a_site_that_check_has_nothing_against(tmp_path):
    (block,) = blocks("sh", "opus init")
    folder = tmp_path / "opus"
    words = block.replace("/srv/opus", str(folder)).split()
    made = subprocess.run(
        ["opus", *words[1:]], capture_output=True, text=True, timeout=60, check=True
    )
    assert str(folder / "opus.toml") in made.stdout
    checked = subprocess.run(
        ["opus", "--config", str(folder / "opus.toml"), "check"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout
    assert "no supervisor is running" in checked.stdout


def test_the_tables_that_choose_back_ends_are_legal(tmp_path):
    (block,) = blocks("toml", "[storage]")
    config = tmp_path / "opus.toml"
    config.write_text(block)
    subprocess.run(
        ["opus", "--config", str(config), "plugins"], check=True, timeout=60, capture_output=True
    )


# By `opus init` itself, which has words of its own for them.
WRITTEN = {"anonymous", "use"}


def test_init_explains_every_setting_of_the_server(tmp_path):
    subprocess.run(
        ["opus", "init", str(tmp_path / "opus")], check=True, timeout=60, capture_output=True
    )
    text = (tmp_path / "opus" / "opus.toml").read_text()
    tables = {name: one for name, one in vars(sections).items() if is_dataclass(one)}
    assert tables
    for table in tables.values():
        for key in fields(table):
            told = key.metadata.get("help", "")
            if told and key.name not in WRITTEN:
                assert told[1:].rstrip(".") in text, key.name
                assert re.search(rf"^(# )?{key.name} = ", text, re.MULTILINE), key.name
