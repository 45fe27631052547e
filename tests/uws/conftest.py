"""The sites that these tests ask, each started once, in zones where no local time is UTC."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from servers import Site, site
from uws.jobs import ASYNC, WORK, describe

MOUNTED = Path(__file__).with_name("mounted.py")
PREFIX = "/opus/uws"


def pytest_configure(config: pytest.Config) -> None:
    # pyvo leaves its connections to the garbage collector, in whatever test that comes by.
    config.addinivalue_line("filterwarnings", "ignore:unclosed <socket:ResourceWarning")


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Processes started here live in another time zone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", name)
        time.tzset()
        try:
            # Without its data a zone is UTC, and the tests would prove nothing.
            assert time.localtime().tm_gmtoff != 0, f"tzdata has no {name}"
            yield
        finally:
            patch.undo()
            time.tzset()


@pytest.fixture(scope="session")
def one(tmp_path_factory) -> Iterator[Site]:
    """`opus serve` for anybody, fourteen hours ahead of UTC."""
    with site(tmp_path_factory.mktemp("one")) as opened, zone("Pacific/Kiritimati"):
        for definition in (WORK, ASYNC):
            describe(opened, definition)
        opened.serve()
        yield opened


@pytest.fixture(scope="session")
def gate(tmp_path_factory) -> Iterator[Site]:
    """A WSGI server with users, below a prefix, its supervisor beside it; it archives jobs, and
    grants ten minutes and ten days at most."""
    with site(tmp_path_factory.mktemp("gate")) as opened, zone("America/Los_Angeles"):
        opened.configure(
            auth="anonymous = false",
            supervisor="lease_seconds = 3\ngrace = 2",
            jobs="archive = true\nmax_wait = 2\nmax_upload = 65536\n"
            "execution_duration = 300\nexecution_duration_max = 600\n"
            "destruction_days = 5\ndestruction_days_max = 10",
        )
        describe(opened, WORK)
        opened.start("supervise")
        process = opened.start("--port", str(opened.port), "--prefix", PREFIX, program=MOUNTED)
        opened.wait_until_up(process)
        yield opened


@pytest.fixture(scope="session")
def still(tmp_path_factory) -> Iterator[Site]:
    """A server whose jobs nobody runs, so that they stay in the phase they were put into; jobs may
    be kept for ever."""
    with site(tmp_path_factory.mktemp("still")) as opened, zone("Pacific/Kiritimati"):
        opened.configure(
            supervisor="embedded = false", jobs="max_wait = 2\ndestruction_days_max = 0"
        )
        describe(opened, WORK)
        opened.serve()
        yield opened


@pytest.fixture
def jobs(one: Site, request) -> str:
    """The path of a job list that only this test knows."""
    name = "".join(c if c.isalnum() else "-" for c in request.node.name)
    return describe(one, WORK, name=name[-60:].strip("-"))
