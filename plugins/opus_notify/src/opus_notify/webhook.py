"""A URL that changes are posted to, and what its answers mean."""

from __future__ import annotations

import hashlib
import http.client
import logging
import re
import ssl
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import quote

from opus_core import __version__, job
from opus_core.connecting import Patience, connect, look_up
from opus_core.errors import Unavailable
from opus_core.facts import about
from opus_core.hosts import Hosts, taken_apart
from opus_core.job import Change
from opus_notify import event, signature
from opus_notify.event import Links

log = logging.getLogger(__name__)

_LATER: Final = frozenset({408, 425, 429})  # and all from 500 on
_GONE: Final = 410
_SECONDS: Final = re.compile(r"[0-9]{1,9}")


class Webhook:
    """One of them. It is called by one thread, with one change after the other."""

    def __init__(
        self,
        url: str,
        *,
        keys: tuple[bytes, ...],
        links: Links,
        timeout: float,
        give_up_refused: float,
    ) -> None:
        self._parts, host = taken_apart(url)
        # The URL is the admin's: it may lead into the site, whatever its name resolves to.
        self._hosts = Hosts(names=frozenset({host}))
        self._keys = keys
        self._links = links
        self._timeout = timeout
        self._give_up_refused = give_up_refused
        self._refusing: float | None = None  # [s] monotonic; the first of refusals in a row
        self.name = f"webhook-{host}-{hashlib.sha256(url.encode()).hexdigest()[:8]}"
        """The same from one start to the next, another for another URL, and no secret, which the
        path or query may be: it is shown in the log and on pages."""

    def tell(self, change: Change) -> None:
        """Post it once. Raises `Unavailable` if it has to be told again."""
        try:
            status, retry_after = self._post(change)
        except Unavailable:
            self._refusing = None  # what refuses later is another matter
            raise
        if 200 <= status < 300:
            self._refusing = None
            log.info("told", extra=about(target=self.name, job=change.job_id, phase=change.new))
        elif status in _LATER or status >= 500:
            self._refusing = None
            raise Unavailable(f"{self.name} answers {status}", retry_after=retry_after)
        elif status == _GONE:
            log.warning(
                "not told: the answer is 410, gone for good; take it out of webhooks",
                extra=about(target=self.name, job=change.job_id, phase=change.new),
            )
        else:
            self._refused(change, status)

    def _refused(self, change: Change, status: int) -> None:
        """Redirected, or refused. Most often the receiver is not what it should be, and comes to
        be; but it may be this one change that it cannot take."""
        now = time.monotonic()
        if self._refusing is None:
            self._refusing = now
        age = (job.now() - change.time).total_seconds()
        # Both: what waited while nothing answered is not lost to the first wrong answer after it.
        if min(age, now - self._refusing) < self._give_up_refused:
            raise Unavailable(f"{self.name} answers {status}, as if it were not meant")
        log.warning(
            "given up: refused with %d",
            status,
            extra=about(target=self.name, job=change.job_id, phase=change.new),
        )

    def _post(self, change: Change) -> tuple[int, float | None]:
        """The status of the answer, and seconds from its `Retry-After`. Of its body nothing is
        read, and no redirection is followed: it could lead a signed post astray."""
        body, identity = event.document(change, self._links), event.identity(change)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"OPUS/{__version__}",
            "Connection": "close",
            **signature.headers(self._keys, identity, int(time.time()), body),
        }
        target = quote(self._parts.path or "/", safe="/%:@!$&'()*+,;=~")
        if self._parts.query:
            target += "?" + quote(self._parts.query, safe="/%:@!$&'()*+,;=~?")
        patience = Patience(time.monotonic() + self._timeout, lambda: None)
        with (
            self._telling(),
            closing(connect(self._parts, self._hosts, look_up, patience)) as connection,
        ):
            connection.request("POST", target, body=body, headers=headers)
            with closing(connection.getresponse()) as response:
                return response.status, _retry_after(response.headers.get("Retry-After", ""))

    @contextmanager
    def _telling(self) -> Iterator[None]:
        """Turn what goes wrong on the way into a sentence, without any of the URL but its host."""
        try:
            yield
        except TimeoutError as error:
            raise Unavailable(f"{self.name} did not answer in time") from error
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(f"{self.name} cannot be trusted: {error.verify_message}") from error
        except (OSError, http.client.HTTPException) as error:
            what = getattr(error, "strerror", None) or type(error).__name__
            raise Unavailable(f"{self.name} could not be reached: {what}") from error


def _retry_after(text: str) -> float | None:
    """Seconds from now (RFC 9110 section 10.2.3); None for what says nothing. Whoever waits bounds
    it."""
    if _SECONDS.fullmatch(text.strip()):
        return float(text)
    try:
        instant = parsedate_to_datetime(text)
        left = instant.astimezone(UTC) - datetime.now(UTC)
    except (ValueError, OverflowError):
        return None
    return max(0.0, left.total_seconds())
