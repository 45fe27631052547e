"""Whether data folder and storage belong together, and are where they were made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from opus_core.checks.installation import Installation
from opus_core.datadir import INSTANCE_STREAM
from opus_core.errors import ConfigError
from opus_core.finding import Code, Finding, State
from opus_core.supervisor import check_home, check_instance

COPIED: Final = Code(
    "data-folder-copied",
    State.ERROR,
    "The data folder was copied or moved: no supervisor starts, lest it cancel other jobs.",
    "`opus init --adopt` if it was moved, `opus init --new-instance` if the original goes on.",
)
STRANGERS: Final = Code(
    "storage-of-another",
    State.ERROR,
    "The storage belongs to another installation than the data folder: no supervisor starts.",
    "Point them at each other in `opus.toml`; `opus init --new-instance` if this is to be a copy.",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """Nothing is written: a new storage is given its name by the first supervisor."""
    data_dir, storage = installation.data_dir, installation.storage
    if data_dir is None:
        return
    records = storage.records(INSTANCE_STREAM) if storage is not None else []
    words = {record.data.get("word") for record in records}
    try:
        if storage is not None and words:
            check_instance(data_dir, storage)
        else:
            check_home(data_dir)
    except ConfigError as error:
        is_stranger = bool(words) and data_dir.instance.word not in words
        yield (STRANGERS if is_stranger else COPIED)("instance", error.sentence)
