"""The contract of `Storage`: every promise of its docstrings as a test."""

from __future__ import annotations

from opus_core.testing.storage_faults import FaultPromises
from opus_core.testing.storage_jobs import JobPromises
from opus_core.testing.storage_journal import JournalPromises
from opus_core.testing.storage_lease import LeasePromises
from opus_core.testing.storage_limits import LimitPromises
from opus_core.testing.storage_lists import ListPromises
from opus_core.testing.storage_notes import NotePromises
from opus_core.testing.storage_queue import QueuePromises
from opus_core.testing.storage_records import RecordPromises
from opus_core.testing.storage_search import SearchPromises
from opus_core.testing.storage_waiting import WaitPromises


class StorageContract(
    JobPromises,
    NotePromises,
    LimitPromises,
    ListPromises,
    SearchPromises,
    JournalPromises,
    WaitPromises,
    QueuePromises,
    LeasePromises,
    RecordPromises,
    FaultPromises,
):
    """Inherit it and say how an instance is made; every call is another one on the same data.

        class TestMyStorage(StorageContract):
            @pytest.fixture
            def make(self, tmp_path):
                return lambda: MyStorage(MyStorage.Options(path=tmp_path / "opus.db"))

    Four more fixtures may be overridden, else what they are for is skipped: `pass_time`, a
    callable that puts the storage's clock forward by so many seconds; `make_newer`, a callable
    that makes the stored schema look newer than the code; `full` and `unavailable`, callables
    that make a context in which there is no room, or no store.
    """
