"""The local manager keeps the contract that every manager has to keep, however it isolates jobs."""

from __future__ import annotations

import ctypes
import os
from contextlib import contextmanager
from dataclasses import replace

import pytest

from isolated import NOBODY, needs_bubblewrap, needs_root, open_folder
from opus_core.testing import ManagerContract
from opus_core.testing.manager_kit import COUNTS, WAITS, Desk, let_end, until_it_runs
from opus_manager_local import LocalManager, LocalOptions

AT_FDCWD, RENAME_EXCHANGE = -100, 2  # linux/fcntl.h, linux/fs.h


def exchange(one, other):
    """Give two paths each other's names in one step, which leaves the manager's threads no moment
    at which the name is free and they could make a folder of it."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(AT_FDCWD, bytes(one), AT_FDCWD, bytes(other), RENAME_EXCHANGE):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(one))


class TestLocalManager(ManagerContract):
    @pytest.fixture
    def isolation(self):
        """The options that keep jobs from what is not theirs."""
        return {}

    @pytest.fixture
    def make(self, tmp_path, isolation):
        made = []

        def make():
            options = LocalOptions(folder=tmp_path / "local", grace=1, **isolation)
            made.append(LocalManager(options))
            return made[-1]

        yield make
        for manager in made:
            manager.close()

    @pytest.fixture
    def crowded(self, make, tmp_path):
        """As many jobs as run at once, which end with the context."""

        @contextmanager
        def full():
            manager, desk = make(), Desk(tmp_path / "crowd")
            cores = len(os.sched_getaffinity(0))  # as many jobs run at once
            tasks = [desk.started(manager, COUNTS + WAITS) for _ in range(cores)]
            for task in tasks:
                until_it_runs(task)
            yield
            for task in tasks:
                let_end(task)

        return full

    @pytest.fixture
    def unfit(self, tmp_path):
        (tmp_path / "file").touch()
        return lambda: LocalManager(LocalOptions(folder=tmp_path / "file"))

    @pytest.fixture
    def rejected(self):
        """A task whose folder is not there: nothing will ever run."""
        return lambda task: replace(task, folder=task.folder.with_name("nowhere"))

    @pytest.fixture
    def unreachable(self, job_root):
        """The folders of jobs lie behind a link that leads round and round."""

        @contextmanager
        def lost():
            elsewhere = job_root.with_name("elsewhere")
            job_root.rename(elsewhere)
            job_root.symlink_to(job_root.name)
            try:
                yield
            finally:
                job_root.unlink()
                elsewhere.rename(job_root)

        return lost

    @pytest.fixture
    def unavailable(self, tmp_path):
        """The folder of the manager's records is away, as when a disk is not mounted."""

        @contextmanager
        def away():
            there, elsewhere = tmp_path / "local", tmp_path / "elsewhere"
            elsewhere.write_text("not a folder")
            exchange(there, elsewhere)
            try:
                yield
            finally:
                exchange(there, elsewhere)

        return away


class TestInASandbox(TestLocalManager):
    @pytest.fixture
    def isolation(self):
        needs_bubblewrap()
        return {"sandbox": "bubblewrap"}


class TestAsAnotherUser(TestLocalManager):
    @pytest.fixture
    def tmp_path(self):
        """A folder that others may pass through; pytest's own are closed to them."""
        with open_folder() as folder:
            yield folder

    @pytest.fixture
    def isolation(self):
        needs_root()
        return {"run_as": NOBODY}


class TestAsAnotherUserInASandbox(TestAsAnotherUser):
    @pytest.fixture
    def isolation(self):
        needs_root()
        needs_bubblewrap()
        return {"run_as": NOBODY, "sandbox": "bubblewrap"}
