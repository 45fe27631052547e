"""The questions that SLURM is asked, and what it is told to do with submissions."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from opus_core.errors import BackendUnavailable, NotAllowed
from opus_manager_slurm.exchange import Answer
from opus_manager_slurm.options import SlurmOptions
from opus_manager_slurm.records import (
    SACCT_FIELDS,
    SEPARATOR,
    SQUEUE_FIELDS,
    Row,
    parse_sacct,
    parse_scontrol,
    parse_squeue,
)
from opus_manager_slurm.transport import Transport

log = logging.getLogger(__name__)

_NAMES: Final = 500  # in one question
_ASK_AGAIN: Final = 600.0  # [s] after which a site may have got accounting
_WITHOUT: Final = ("accounting storage is disabled", "slurm accounting storage is disabled")


class Commands:
    """squeue, sacct, scancel and scontrol of one cluster, in the name of one account."""

    def __init__(self, options: SlurmOptions, transport: Transport) -> None:
        self._options = options
        self._transport = transport
        self._without_until = 0.0  # accounting was found to be off

    def argv(self, name: str, *words: str) -> list[str]:
        """A command with what belongs to every one."""
        cluster = self._options.cluster
        where = [f"--clusters={cluster}"] if cluster and name != "scontrol" else []
        if cluster and name == "scontrol":
            where = ["-M", cluster]
        return [self._options.command(name), *where, *words]

    def queue(self, names: Iterable[str] = ()) -> list[Row]:
        """All submissions of the account that the controller knows, ended ones included; with
        names only those. One question, whatever their number."""
        fields = ",".join(f"{field}:{SEPARATOR}" for field in SQUEUE_FIELDS)
        words = ["--noheader", "--states=all", f"--user={self._transport.user()}", "-O", fields]
        listed = ",".join(names)
        if listed:
            words.append(f"--name={listed}")
        return parse_squeue(self._ask("squeue", *words).text)

    def history(self, names: Sequence[str], since: datetime) -> list[Row] | None:
        """What the accounting has under these names since then; None where there is none.

        A job that was requeued has several rows, the last one last.
        """
        if self._options.accounting is False or time.monotonic() < self._without_until:
            return None
        rows: list[Row] = []
        for start in range(0, len(names), _NAMES):
            words = [
                "--allocations",
                "--noheader",
                "--parsable2",
                "--duplicates",
                f"--delimiter={SEPARATOR}",
                f"--user={self._transport.user()}",
                f"--name={','.join(names[start : start + _NAMES])}",
                # In the cluster's own clock and zone, which need not be ours.
                f"--starttime={_ago(since)}",
                f"--format={','.join(SACCT_FIELDS)}",
            ]
            answer = self._transport.run(self.argv("sacct", *words))
            if answer.code or _disabled(answer):
                if self._options.accounting is None and _disabled(answer):
                    log.info("this SLURM keeps no accounting: only its controller is asked")
                    self._without_until = time.monotonic() + _ASK_AGAIN
                    return None
                raise _unanswered("sacct", answer)
            rows += parse_sacct(answer.text)
        return rows

    def cancel(self, name: str, job_id: str | None) -> None:
        """Cancel what has this name, or only that submission of the name. It succeeds for what is
        over or unknown as well, and proves nothing."""
        words = [
            f"--user={self._transport.user()}",
            f"--name={name}",
            *([job_id] if job_id else []),
        ]
        answer = self._transport.run(self.argv("scancel", *words))
        # A job that has ended by now is "already completing", and that is what was wanted.
        if answer.code and "invalid job id" not in answer.said.lower():
            raise _unanswered("scancel", answer)

    def release(self, job_id: str) -> None:
        """Release a held submission. Raises `NotAllowed` if only an administrator may."""
        answer = self._transport.run(self.argv("scontrol", "release", job_id))
        if not answer.code:
            return
        said = answer.said.lower()
        if "denied" in said or "not permitted" in said or "disabled" in said:
            raise NotAllowed(
                f"only the administrators of the cluster can release it ({answer.said.strip()})"
            )
        if "invalid job id" in said or "already" in said:
            return  # the next question will tell
        raise _unanswered("scontrol", answer)

    def show(self, job_id: str) -> dict[str, str]:
        """What scontrol tells of one submission; nothing for one that it does not know."""
        answer = self._transport.run(self.argv("scontrol", "--oneliner", "show", "job", job_id))
        if answer.code:
            if "invalid job id" in answer.said.lower():
                return {}
            raise _unanswered("scontrol", answer)
        return parse_scontrol(answer.text)

    def configuration(self) -> str:
        """How the cluster is set up, with the controller's clock in the first line."""
        return self._ask("scontrol", "show", "config").text

    def try_job(self, options: Sequence[str]) -> Answer:
        """Whether sbatch would take a job with these options; none is submitted."""
        return self._transport.run(self.argv("sbatch", "--test-only", "--wrap=true", *options))

    def _ask(self, name: str, *words: str) -> Answer:
        answer = self._transport.run(self.argv(name, *words))
        if answer.code:
            raise _unanswered(name, answer)
        return answer


def _ago(since: datetime) -> str:
    """A start for sacct that needs no clock of ours to be right, nor a time zone: a day earlier."""
    age = datetime.now(since.tzinfo) - since + timedelta(days=1)
    return f"now-{max(1, age.days + 1)}days"


def _disabled(answer: Answer) -> bool:
    said = f"{answer.said} {answer.text[:200]}".lower()
    return any(text in said for text in _WITHOUT)


def _unanswered(name: str, answer: Answer) -> BackendUnavailable:
    said = [line.strip() for line in answer.said.splitlines() if line.strip()]
    return BackendUnavailable(f"{name} ended with {answer.code}: {_plain(said)}")


def _plain(said: Sequence[str]) -> str:
    """What is the matter, in words an admin can act on, with SLURM's own."""
    last = said[-1] if said else "it said nothing"
    text = " ".join(said).lower()
    for sign, plain in (
        ("munge", "munge does not work on that machine"),
        ("unable to contact slurm controller", "the controller of SLURM does not answer"),
        ("socket timed out", "the controller of SLURM hangs"),
        ("problem talking to the database", "the accounting database does not answer"),
        ("connection refused", "the accounting database does not answer"),
        ("command not found", "the command is not there; see [manager.commands]"),
        ("no such file or directory", "the command is not there; see [manager.commands]"),
    ):
        if sign in text:
            return f"{plain} ({last})"
    return last
