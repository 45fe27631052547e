"""Back ends that are wrong in one thing each, as an author might be."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import replace

from opus_core import hookimpl
from opus_core.job import Phase
from opus_jdl_wadl.plugin import WadlJdl
from opus_manager_local.manager import LocalManager
from opus_storage_sqlite.storage import SQLiteStorage


class Twice(LocalManager):
    """Submits a copy of the folder as well, in which the claim of the first is not seen."""

    name = "twice"

    def start(self, task):
        copy = task.folder.with_name(f".{task.job_id}.copy")
        shutil.copytree(task.folder, copy, symlinks=True)
        subprocess.Popen(
            ["bash", str(copy / "run")],
            env={"PATH": os.environ["PATH"], "OPUS_CLAIMANT": "copy", "OPUS_FOLDER": str(copy)},
            start_new_session=True,
        )
        return super().start(task)


class Deaf(LocalManager):
    """Does not stop anything."""

    name = "deaf"

    def abort(self, ref):
        """It is too far away to hear."""


class Forgetful(SQLiteStorage):
    """Begins anew with each start."""

    name = "forgetful"

    def prepare(self):
        for suffix in ("", "-wal", "-shm"):
            self.options.path.with_name(self.options.path.name + suffix).unlink(missing_ok=True)
        super().prepare()


class Skipping(SQLiteStorage):
    """Leaves one kind of entry out of the journal."""

    name = "skipping"

    def changes(self, after, **which):
        seq, found = super().changes(after, **which)
        return seq, [change for change in found if change.new is not Phase.QUEUED]


class Losing(WadlJdl):
    """Forgets a parameter when it writes."""

    name = "losing"

    def dumps(self, definition, *, lossy=False):
        kept = [one for one in definition.parameters if one.name != "width"]
        return super().dumps(replace(definition, parameters=tuple(kept)), lossy=lossy)


@hookimpl
def opus_register_manager():
    return [Twice, Deaf]


@hookimpl
def opus_register_storage():
    return [Forgetful, Skipping]


@hookimpl
def opus_register_jdl():
    return Losing


class Grumbler:
    """An observer with an error."""

    @hookimpl
    def opus_job_phase_changed(self, change):
        raise ValueError(f"who has asked for {change.new}?")


grumbler = Grumbler()
