"""Jobs on a SLURM cluster: submitted under a tag, found by it again, believed no further.

SLURM gives ids out twice after a crash, so a submission is known by its name, which is the tag, and
by its id beside it. One squeue tells of all; sacct is asked about what has left the queue.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from opus_core import job as jobs
from opus_core.backends import Kind, Manager, Ref, Status, Task
from opus_core.definition import ParameterDescription
from opus_core.errors import BackendUnavailable, SubmitRejected
from opus_core.finding import Code, Finding
from opus_core.links import Links
from opus_manager_slurm import survey
from opus_manager_slurm.batch import batch_script, directive, mapped
from opus_manager_slurm.commands import Commands
from opus_manager_slurm.local import LocalTransport
from opus_manager_slurm.options import SlurmOptions
from opus_manager_slurm.records import Row
from opus_manager_slurm.refusals import refusal, submitted
from opus_manager_slurm.ssh import SshTransport
from opus_manager_slurm.transport import Transport

log = logging.getLogger(__name__)

_HISTORY: Final = timedelta(days=7)  # that `find` looks back, which is not told when

_GONE: Final = Status(kind=Kind.GONE, native_state="not in the queue, nor in the accounting")

# Of several rows of one submission (requeues, a federation) the liveliest counts.
_LIVELY: Final = (
    Kind.RUNNING,
    Kind.SUSPENDED,
    Kind.QUEUED,
    Kind.HELD,
    Kind.UNRECOGNISED,
    Kind.ENDED,
)


class SlurmManager(Manager):
    """Runs jobs by sbatch, on this machine or on a login node."""

    name = "slurm"
    about = "runs jobs on a SLURM cluster, by its commands here or over ssh"
    Options = SlurmOptions
    poll_interval = 30.0
    can_resume: ClassVar[bool] = True
    far: ClassVar[bool] = True
    codes: ClassVar[tuple[Code, ...]] = survey.CODES

    def __init__(self, options: SlurmOptions) -> None:
        super().__init__(options)
        self._options = options
        self._transport: Transport = (
            SshTransport(options) if options.remote else LocalTransport(options)
        )
        self._commands = Commands(options, self._transport)
        self.parallel = self._transport.parallel
        self.visible_after = options.visible_after

    def check(self) -> None:
        """The commands, or ssh, are there. A cluster that does not answer is no mistake."""
        self._transport.check()

    def findings(self) -> Iterable[Finding]:
        """Whether the cluster answers, would take jobs, and is set up as `[manager]` says."""
        return survey.findings(self._commands, self._options)

    def close(self) -> None:
        """End the connection to the login node; jobs go on."""
        self._transport.close()

    @classmethod
    def run_options(cls, options: Any) -> tuple[ParameterDescription, ...]:  # noqa: ANN401
        """What `[manager.run_options]` allows."""
        described: tuple[ParameterDescription, ...] = options.described()
        return described

    def start(self, task: Task) -> str:
        """Run sbatch, which reads the batch script from its input."""
        directives = self._directives(task)
        answer = self._transport.submit(
            task,
            self._commands.argv("sbatch", "--parsable"),
            lambda folder: batch_script(
                task,
                folder,
                directives,
                grace=self._options.grace,
                modules=self._options.modules,
            ),
        )
        native_id = submitted(answer.text) if not answer.code else None
        if native_id is None:
            raise refusal(answer.code, answer.text, answer.said)
        return native_id

    def find(self, tags: Sequence[str]) -> dict[str, tuple[str, ...]]:
        """By squeue, and by sacct what that does not know (any more)."""
        if not tags:
            return {}
        found: dict[str, list[str]] = {tag: [] for tag in tags}
        _collect(found, self._commands.queue(tags))
        absent = [tag for tag, ids in found.items() if not ids]
        if absent:
            _collect(found, self._commands.history(absent, jobs.now() - _HISTORY) or [])
        return {tag: tuple(sorted(ids, key=int)) for tag, ids in found.items()}

    def get_status(self, refs: Sequence[Ref]) -> dict[Ref, Status]:
        """One squeue for all; one sacct for those that have left the queue.

        Where sacct does not answer, the error carries what squeue has told of the others.
        """
        if not refs:
            return {}
        rows = _by_name(self._commands.queue())
        answers: dict[Ref, Status] = {}
        left: list[Ref] = []
        for ref in dict.fromkeys(refs):
            row = _match(ref, rows)
            if row is None:
                left.append(ref)
            else:
                answers[ref] = row.status()
        if left:
            try:
                ended = self._ended(left)
            except BackendUnavailable as error:
                raise BackendUnavailable(error.sentence, answers=answers) from error
            answers |= {ref: ended.get(ref, _GONE) for ref in left}
        return answers

    def abort(self, ref: Ref) -> None:
        """scancel by account and name, and by id where one of several is meant."""
        self._commands.cancel(ref.tag, ref.native_id)

    def peek(self, tasks: Sequence[Task]) -> dict[str, Links]:
        return self._transport.peek(tasks)

    def seal(self, task: Task) -> Links:
        return self._transport.seal(task)

    def resume(self, ref: Ref) -> None:
        """scontrol release."""
        if ref.native_id is not None:
            self._commands.release(ref.native_id)

    def get_info(self, ref: Ref) -> dict[str, str]:
        """What scontrol shows of the submission."""
        if ref.native_id is None:
            return {}
        info = self._commands.show(ref.native_id)
        if info.pop("JobName", None) != ref.tag:
            return {}
        return {f"slurm_{key}": value for key, value in info.items()}

    def get_output(self, tasks: Sequence[Task]) -> None:
        self._transport.get_output(tasks)

    def get_results(self, task: Task) -> None:
        self._transport.get_results(task)

    def delete(self, task: Task) -> None:
        """Remove the folder on the cluster; SLURM itself forgets in its own time."""
        self._transport.remove(task)

    # --- one submission ---

    def _directives(self, task: Task) -> list[str]:
        """What this job asks for beyond the site's own. Raises `SubmitRejected`."""
        options = self._options
        limits = options.limits
        wanted = {
            "account": mapped(options.accounts, task.owner, options.account),
            "wckey": mapped(options.wckeys, task.owner, None),
            "partition": options.partition,
            "qos": options.qos,
        }
        for name in task.options:
            if name.startswith("slurm_") and name not in limits:
                raise SubmitRejected(
                    f"{name} may not be set here; the administrators of this server can allow it"
                    " in [manager.run_options]"
                )
        for name, limit in limits.items():
            text = task.options.get(name, limit.default or "")
            if text:
                wanted[limit.option] = limit.value(text)
        given = [directive(name, value) for name, value in wanted.items() if value is not None]
        return [*options.sbatch_options, *given]

    def _ended(self, refs: Sequence[Ref]) -> dict[Ref, Status]:
        """How those ended that the controller has forgotten, as far as the accounting knows.

        Only ends count, and only of submissions with our name: for a second or so after an end it
        shows another state, another name, and no end.
        """
        names = list(dict.fromkeys(ref.tag for ref in refs))
        since = min((ref.submitted_at or jobs.now() - _HISTORY for ref in refs), default=jobs.now())
        rows = self._commands.history(names, since)
        ends = _by_name([row for row in rows or () if row.final])
        found = {ref: _match(ref, ends) for ref in refs}
        return {
            ref: row.status()
            for ref, row in found.items()
            if row is not None and _since(row, ref.submitted_at)
        }


def _by_name(rows: Sequence[Row]) -> Mapping[str, list[Row]]:
    found: dict[str, list[Row]] = {}
    for row in rows:
        found.setdefault(row.name, []).append(row)
    return found


def _match(ref: Ref, rows: Mapping[str, list[Row]]) -> Row | None:
    """The row of a submission: its name and its id, or its name alone where no id is known."""
    named = rows.get(ref.tag, ())
    ours = [row for row in named if ref.native_id in (None, row.job_id)]
    if len(ours) == 1:  # as nearly always, and a poll has thousands
        return ours[0]
    # The last of equals: a requeue comes later.
    return min(reversed(ours), key=lambda row: _LIVELY.index(row.status().kind), default=None)


def _since(row: Row, submitted_at: datetime | None) -> bool:
    """It was submitted when we did, give or take a day between the clocks."""
    if submitted_at is None or row.submitted is None:
        return True
    return row.submitted >= submitted_at - timedelta(days=1)


def _collect(found: Mapping[str, list[str]], rows: Sequence[Row]) -> None:
    for row in rows:
        ids = found.get(row.name)
        if ids is not None and row.job_id not in ids:
            ids.append(row.job_id)
