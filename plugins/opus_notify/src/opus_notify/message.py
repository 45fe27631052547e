"""The e-mail about a change: short, in plain text, and the same each time it is sent."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

from opus_core.job import Change, Job, Phase
from opus_core.render.text import instant
from opus_notify import event
from opus_notify.event import Links

_NAME: Final = 80  # characters of a name, for a header
_SENTENCE: Final = 1000  # characters of an error

_HAPPENED: Final = {
    Phase.COMPLETED: "has completed",
    Phase.ERROR: "has failed",
    Phase.ABORTED: "was aborted",
    Phase.EXECUTING: "has started",
}


def compose(
    change: Change, job: Job | None, links: Links, *, sender: Address, to: str
) -> EmailMessage:
    """The message to one address. `job`: None if there is no such job any more."""
    name = one_line(change.definition.name, _NAME)
    which = one_line(change.run_id or change.job_id, _NAME)
    message = EmailMessage(policy=SMTP)
    message["From"] = sender
    message["To"] = Address(addr_spec=to)
    message["Subject"] = _plain(f"[OPUS] {change.new}: {name}, {which}")
    message["Date"] = change.time
    message["Message-ID"] = f"<{event.identity(change)}@{sender.domain}>"
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: let no machine answer
    happened = _HAPPENED.get(change.new) if change.new else None
    first = f"A job of {name} {happened or f'is now {change.new}'}."
    lines = "".join(f"{key + ':':9}{value}\n" for key, value in _facts(change, job, links))
    message.set_content(f"{first}\n\n{lines}")
    return message


def _facts(change: Change, job: Job | None, links: Links) -> Iterator[tuple[str, str]]:
    yield "Job", one_line(change.job_id, _NAME)
    if change.run_id:
        yield "Run", one_line(change.run_id, _SENTENCE)
    if change.owner is not None:
        yield "Owner", one_line(change.owner, _SENTENCE)
    yield "Phase", f"{change.new} since {instant(change.time)}"
    # It may have moved on since: what it says now is then of another phase.
    if job is not None and job.phase is change.new and job.error is not None:
        yield "Error", one_line(job.error.message, _SENTENCE)
    if link := links.job(change):
        yield "Link", link


def _plain(text: str) -> str:
    """The text, as it can be given to `email`: that takes encoded words (RFC 2047) for what they
    stand for, and writes the line break that somebody has encoded there."""
    return text.replace("=?", "= ?")


def one_line(text: str, most: int) -> str:
    """The text as it can stand in a header or a line of its own, of `most` characters: whatever
    else than visible characters is in it becomes a blank."""
    # Categories C: controls, formats, lone surrogates; Z: all that separates.
    seen = (" " if unicodedata.category(one)[0] in "CZ" else one for one in text[: 10 * most])
    words = " ".join("".join(seen).split())
    return words if len(words) <= most else f"{words[: most - 3]}..."
