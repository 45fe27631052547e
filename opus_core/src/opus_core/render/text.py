"""Values as plain text: what atoms of the job tree answer, and what other documents are made of."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

from opus_core.job import Job

# What XML 1.0 cannot hold (section 2.2, production Char), not even escaped.
_NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def instant(value: datetime | None) -> str:
    """ISO 8601 in UTC with milliseconds and a Z (UWS 1.1 section 2.2.1); empty for none."""
    if value is None:
        return ""
    return f"{value.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def fits_xml(text: str) -> bool:
    """Whether XML can hold the text as it is."""
    return _NOT_IN_XML.search(text) is None


def for_xml(text: str) -> str:
    """The text with a replacement character for each that XML cannot hold."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", text)


def error(job: Job, tail: str = "") -> str:
    """Why a job failed, and the end of what it wrote to stderr."""
    if job.error is None:
        return ""
    text = job.error.message + "\n"
    return f"{text}\nThe end of its standard error:\n\n{tail}" if tail else text
