"""The kit itself: what it exports, what it needs, and what it says when something is wrong."""

from __future__ import annotations

import inspect
import subprocess
import sys
import threading

import pytest
from hypothesis import HealthCheck, given, settings

from opus_core import testing
from opus_core.backends import Accounts, Jdl, Manager, Storage
from opus_core.definition import check_definition
from opus_core.testing import strategies, timing
from opus_core.testing.memory import MemoryStorage
from opus_core.testing.samples import a_job

generous = settings(
    deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def test_every_interface_has_a_contract():
    contracts = {f"{one.__name__}Contract" for one in (Storage, Accounts, Manager, Jdl)}
    assert contracts <= set(testing.__all__)
    assert all(inspect.getdoc(getattr(testing, name)) for name in testing.__all__)


def test_servers_need_neither_pytest_nor_hypothesis():
    program = (
        "import sys, opus_core.backends, opus_core.folder, opus_core.hookspecs\n"
        "sys.exit(bool({'pytest', 'hypothesis'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", program]).returncode == 0


def test_an_author_is_told_which_fixture_is_missing(tmp_path):
    file = tmp_path / "test_mine.py"
    file.write_text(
        "from opus_core.testing import StorageContract\nclass TestMine(StorageContract): ...\n"
    )
    command = [sys.executable, "-m", "pytest", "-q", "-k", "read_of_an_unknown", str(file)]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert "TestMine needs a fixture: `@pytest.fixture def make(self, tmp_path)" in run.stdout


@generous
@given(strategies.definitions())
def test_definitions_may_be_published(definition):
    check_definition(definition)


@generous
@given(strategies.text())
def test_text_can_be_encoded_and_has_no_nul(text):
    assert "\0" not in text.encode().decode()


def test_eventually_says_what_did_not_come_true():
    with pytest.raises(AssertionError, match=r"the sun rises: not so within 0.01 s"):
        timing.eventually(lambda: 0, "the sun rises", 0.01)


def test_race_makes_all_calls_at_once():
    together = threading.Barrier(3)
    answers = timing.race(*[lambda: together.wait(10)] * 3)
    assert sorted(answers) == [0, 1, 2]


def test_race_answers_errors_in_their_place():
    first, second = timing.race(lambda: 1, lambda: 1 // 0)
    assert first == 1
    assert isinstance(second, ZeroDivisionError)


def test_another_universe_is_another_storage():
    names = ("kit one", "kit two")
    one, two = (MemoryStorage(MemoryStorage.Options(universe=name)) for name in names)
    job = one.add(a_job())
    assert two.changes(0) == (0, [])
    MemoryStorage.forget("kit one")
    assert MemoryStorage(MemoryStorage.Options(universe="kit one")).changes(0) == (0, [])
    assert one.read(job.id) == job, "an instance goes on with what it had"
    MemoryStorage.forget("kit two")
    MemoryStorage.forget("kit one")
