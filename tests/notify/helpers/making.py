"""Options, changes and storages as tests want them."""

from __future__ import annotations

from pathlib import Path

from opus_core.extensions import Site
from opus_core.job import Change, DefinitionRef, Phase, new_id, now
from opus_core.settings import fill
from opus_core.testing.memory import MemoryStorage
from opus_notify.extension import Notify
from opus_notify.options import NotifyOptions

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"  # of the examples of Standard Webhooks
PASSWORD = "correct-horse-battery"


def options(folder: Path, **table: object) -> NotifyOptions:
    """What `[plugins.notify]` with these keys says, in a file in this folder."""
    return fill(
        NotifyOptions,
        {key: list(value) if isinstance(value, tuple) else value for key, value in table.items()},
        where="opus.toml: [plugins.notify]",
        base=folder,
        data_dir=folder / "data",
    )


def secret_file(folder: Path, text: str = SECRET, name: str = "secret", mode: int = 0o600) -> str:
    path = folder / name
    path.write_text(f"{text}\n")
    path.chmod(mode)
    return str(path)


def opened(
    folder: Path,
    storage: MemoryStorage,
    *,
    base_url: str | None = "https://opus.example.org",
    **table: object,
) -> Notify:
    """The extension as a server has it."""
    if "webhooks" in table and "webhook_secret_file" not in table:
        table["webhook_secret_file"] = secret_file(folder)
    extension = Notify(options(folder, **table))
    extension.check()
    extension.open(Site(storage=storage, data_dir=folder / "data", base_url=base_url))
    return extension


def a_change(new: Phase | None = Phase.COMPLETED, **values: object) -> Change:
    """A change of a job of ann's, that has just happened."""
    return Change(
        **{
            "seq": 7,
            "job_id": new_id(),
            "definition": DefinitionRef("periodogram", 3),
            "owner": "ann",
            "run_id": "first try",
            "old": Phase.EXECUTING,
            "new": new,
            "time": now(),
            **values,
        }
    )
