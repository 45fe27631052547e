"""What the journeys make of an author's configuration; tests/slurm shows that they can fail."""

from __future__ import annotations

import subprocess
import sys
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opus_core.testing.journeys.recipe import Recipe, controlled, dumps
from opus_core.testing.strategies import text

VALUES = st.recursive(
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.dates()
    | st.times()
    | st.datetimes()
    | text(largest=15),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text(largest=8), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(text(largest=8), VALUES, max_size=5))
def test_a_configuration_is_written_as_it_was_read(document):
    assert tomllib.loads(dumps(document)) == document


def test_what_the_journeys_set_is_set_and_the_rest_stays():
    written = controlled(
        tomllib.loads(
            """
            base_url = "https://opus.example.org"
            debug = true
            server = {port = 80, host = "::", threads = 8, event_url = "http://a:1", sendfile = "x"}
            supervisor = {embedded = false, lease_seconds = 60, poll_interval = 5}
            manager = {use = "queue", cellar = "left"}
            jobs = {folder = "/data", archive = true}
            """
        ),
        4321,
    )
    assert written == {
        "data_dir": "data",
        "log_file": "opus.log",
        "debug": True,
        "server": {"port": 4321, "host": "127.0.0.1", "threads": 8},
        "supervisor": {"embedded": True, "lease_seconds": 3, "poll_interval": 5, "grace": 2},
        "manager": {"use": "queue", "cellar": "left"},
        "jobs": {"archive": True},
        "auth": {"anonymous": True, "anonymous_list": True},
    }
    assert controlled({"auth": {"passwords": True}}, 1)["auth"] == {"passwords": True}


def test_each_server_has_a_folder_and_a_word_of_its_own(tmp_path):
    recipe = Recipe(text="x = '{site} {folder} {here}'", root=tmp_path / "sites", here=tmp_path)
    one, two = recipe.place(), recipe.place()
    assert one.filled(recipe.text) == f"x = '{one.word} {one.folder} {tmp_path}'"
    assert one.word != two.word
    assert one.folder != two.folder
    assert list(one.folder.iterdir()) == []


def test_a_command_of_the_author_s_that_fails_says_why(tmp_path):
    place = Recipe(text="", root=tmp_path, here=tmp_path).place()
    place.run("touch {site}")
    assert (tmp_path / place.word).exists()
    with pytest.raises(AssertionError, match=f"{place.word}' ended with exit code 3:\\s+no room"):
        place.run("echo no room >&2; exit 3; {site}")


def test_what_every_run_of_pytest_loads_imports_nothing():
    code = """
import sys, opus_core
before = set(sys.modules)
import opus_core.pytest_options
print(*set(sys.modules) - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["opus_core.pytest_options"]
