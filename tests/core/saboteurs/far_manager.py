"""The same manager, to which the folders of jobs are sent and whose results are brought."""

from __future__ import annotations

import shutil
from contextlib import suppress
from dataclasses import replace

from core.saboteurs.process_manager import ProcessManager
from opus_core.errors import SubmitRejected


class FarManager(ProcessManager):
    name = "far"
    about = "Processes on this machine, as if it were another, for the tests"
    folders = "manager/far"

    def far(self, task):
        """The task as the cluster has it."""
        return replace(task, folder=self.options.folder / "far" / task.job_id)

    def start(self, task):
        if not (task.folder / "run").exists():
            raise SubmitRejected(f"there is no job in {task.folder}")
        far = self.far(task)
        with self.lock():
            if not (far.folder / "run").exists():
                shutil.copytree(task.folder, far.folder, symlinks=True, dirs_exist_ok=True)
        return super().start(far)

    def peek(self, tasks):
        self.reach()
        return super().peek([self.far(task) for task in tasks])

    def seal(self, task):
        self.reach()
        far = self.far(task)
        with suppress(OSError):  # what it cannot be is said below
            far.folder.mkdir(parents=True, exist_ok=True)
        return super().seal(far)

    def get_output(self, tasks):
        for task in tasks:
            self.bring(task, "stdout", "stderr")

    def get_results(self, task):
        self.bring(task, "results", "stdout", "stderr", "exit")

    def bring(self, task, *names):
        self.reach()
        for name in names:
            there, here = self.far(task).folder / name, task.folder / name
            if there.is_dir():
                shutil.copytree(there, here, dirs_exist_ok=True)
            elif there.exists():
                here.unlink(missing_ok=True)
                shutil.copyfile(there, here)

    def delete(self, task):
        super().delete(task)
        shutil.rmtree(self.far(task).folder, ignore_errors=True)
