"""Tickets: an address of one result that is good without signing in, for some minutes.

For programs on the reader's own machine that are told by a page what to load (SAMP) and know
nothing of the reader's session or token. Nothing is kept of them: they are signed.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from opus_core import job as jobs

LIFETIME: Final = timedelta(minutes=10)

_TICKET: Final = re.compile(r"([0-9]{1,12})\.([0-9a-f]{64})")


@dataclass(frozen=True, slots=True)
class Ticket:
    """What is added to the address of a result, and until when it counts."""

    text: str
    expires: datetime


class Tickets:
    """Makes tickets and knows them again, in every process that has the site's secret."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def make(self, job_id: str, result_id: str) -> Ticket:
        """A ticket for this result of this job."""
        expires = (jobs.now() + LIFETIME).replace(microsecond=0)
        seconds = str(int(expires.timestamp()))
        return Ticket(f"{seconds}.{self._sign(job_id, result_id, seconds)}", expires)

    def admits(self, text: str, job_id: str, result_id: str) -> bool:
        """Whether this is a ticket for that result, and not too old."""
        found = _TICKET.fullmatch(text)
        if found is None or int(found[1]) < jobs.now().timestamp():
            return False
        return hmac.compare_digest(found[2], self._sign(job_id, result_id, found[1]))

    def _sign(self, job_id: str, result_id: str, seconds: str) -> str:
        # No tag of a job begins so, and the secret signs those as well.
        signed = "\0".join(("ticket", job_id, result_id, seconds))
        return hmac.new(
            self._secret, signed.encode("utf-8", "surrogatepass"), hashlib.sha256
        ).hexdigest()
