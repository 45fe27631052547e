"""The contract of `Storage`: every promise of its docstrings as a test."""

from __future__ import annotations

from opus_core.testing.storage_copies import CopyPromises
from opus_core.testing.storage_faults import FaultPromises
from opus_core.testing.storage_jobs import JobPromises
from opus_core.testing.storage_journal import JournalPromises
from opus_core.testing.storage_lease import LeasePromises
from opus_core.testing.storage_limits import LimitPromises
from opus_core.testing.storage_lists import ListPromises
from opus_core.testing.storage_notes import NotePromises
from opus_core.testing.storage_queue import QueuePromises
from opus_core.testing.storage_records import RecordPromises
from opus_core.testing.storage_saved import SavedPromises
from opus_core.testing.storage_search import SearchPromises
from opus_core.testing.storage_threads import ThreadPromises
from opus_core.testing.storage_values import ValuePromises
from opus_core.testing.storage_waiting import WaitPromises


class StorageContract(
    JobPromises,
    SavedPromises,
    NotePromises,
    ValuePromises,
    LimitPromises,
    ListPromises,
    SearchPromises,
    JournalPromises,
    WaitPromises,
    QueuePromises,
    LeasePromises,
    RecordPromises,
    CopyPromises,
    ThreadPromises,
    FaultPromises,
):
    """Inherit it and say how an instance is made; every call is another one on the same data.

        class TestMyStorage(StorageContract):
            @pytest.fixture
            def make(self, tmp_path):
                return lambda: MyStorage(MyStorage.Options(path=tmp_path / "opus.db"))

    What a storage does not do is said by class attributes:

    - `keeps_accounts = False`: `accounts()` is None. Else hold `AccountsContract` against it, too.
    - `copies = True`: `copy_into` copies into others of its kind; supply the fixture `empty`.

    What the kit cannot bring about by itself is said by fixtures, and skipped without them:

    - `pass_time`: a callable that puts the storage's clock forward by so many seconds.
    - `make_newer`: a callable that makes the stored schema look newer than the code.
    - `full`, `unavailable`: callables that make a context in which there is no room, or no store.
    - `unfit`: a callable that makes an instance which cannot work here.
    - `empty`: a callable that makes a storage on data of its own, with nothing in it.
    """
