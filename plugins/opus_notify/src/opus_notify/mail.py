"""E-mail about changes: to whom, and what the answers of the mail server mean."""

from __future__ import annotations

import logging
import smtplib
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from email.headerregistry import Address
from typing import Final

from opus_core.backends import Storage
from opus_core.connecting import Patience
from opus_core.errors import Unavailable, UnknownJob, UnknownUser
from opus_core.facts import about
from opus_core.job import Change, Job
from opus_notify import addresses
from opus_notify.event import Links
from opus_notify.message import compose, one_line
from opus_notify.options import OWNER
from opus_notify.session import Server, session

log = logging.getLogger(__name__)

_DEFERRED: Final = 1800.0  # [s] that one mailbox may hold up the others; greylists take minutes
# RFC 5321 section 4.2.2, the server goes away; RFC 4954 section 6, it wants us to sign in: neither
# has to do with the mailbox that was asked for.
_NOT_OF_A_MAILBOX: Final = frozenset({421, 530})


class Mail:
    """The mail server as a target. It is called by one thread, with one change after the other."""

    name = "mail"

    def __init__(
        self,
        server: Server,
        *,
        sender: Address,
        mail_to: tuple[str, ...],
        storage: Storage,
        links: Links,
        timeout: float,
    ) -> None:
        self._server = server
        self._sender = sender
        self._mail_to = mail_to
        self._storage = storage
        self._links = links
        self._timeout = timeout
        # Of the change that is being told, who is told already: a mailbox that has to be tried
        # again is no reason to bother the others again.
        self._seq = -1
        self._over: set[str] = set()
        # Since when [s] (monotonic) a mailbox has been putting off all that is sent there.
        self._deferring: dict[str, float] = {}

    def tell(self, change: Change) -> None:
        """Send it to all who have not got it. Raises `Unavailable` if somebody has to be tried
        again."""
        if change.seq != self._seq:
            self._seq, self._over = change.seq, set()
        left = [one for one in self._recipients(change) if one not in self._over]
        if not left:
            return
        job = self._job(change)
        patience = Patience(time.monotonic() + self._timeout, lambda: None)
        put_off: list[str] = []
        with self._telling(patience), session(self._server, patience) as smtp:
            for address in left:
                if self._is_over(smtp, change, job, address):
                    self._over.add(address)
                else:
                    put_off.append(address)
        if put_off:
            raise Unavailable(f"no e-mail is taken now for {len(put_off)} of {len(left)} addresses")

    def _recipients(self, change: Change) -> list[str]:
        """The addresses, each once."""
        found = (self._owner(change) if one == OWNER else one for one in self._mail_to)
        return list(dict.fromkeys(one for one in found if one))

    def _owner(self, change: Change) -> str:
        """The address of who has the job; empty if there is nobody, or none that can be used."""
        accounts = self._storage.accounts()
        if change.owner is None or accounts is None:
            return ""
        try:
            account = accounts.read_user(change.owner)
        except UnknownUser:  # somebody whom the web server in front knows
            return ""
        address = account.email.strip()
        return address if account.active and addresses.is_address(address) else ""

    def _job(self, change: Change) -> Job | None:
        try:
            return self._storage.read(change.job_id)
        except UnknownJob:
            return None

    def _is_over(self, smtp: smtplib.SMTP, change: Change, job: Job | None, address: str) -> bool:
        """Send it to one address; whether that is done with, one way or the other."""
        message = compose(change, job, self._links, sender=self._sender, to=address)
        where = about(target="mail", job=change.job_id, phase=change.new, to=address)
        reply: bytes | str
        try:
            smtp.send_message(message, self._sender.addr_spec, [address])
        except smtplib.SMTPRecipientsRefused as error:
            code, reply = error.recipients[address]
        except smtplib.SMTPDataError as error:
            if error.smtp_code < 500:
                raise  # its own trouble, as a rule: a filter or a disk
            code, reply = error.smtp_code, error.smtp_error
        else:
            self._deferring.pop(address, None)
            log.info("told", extra=where)
            return True
        if code in _NOT_OF_A_MAILBOX or not 400 <= code < 600:
            raise smtplib.SMTPResponseException(code, reply)
        if code < 500 and self._waits(address):
            return False
        said = reply.decode(errors="replace") if isinstance(reply, bytes) else reply
        log.warning("given up: the answer is %d %s", code, one_line(said, 200), extra=where)
        return True

    def _waits(self, address: str) -> bool:
        """Whether a mailbox that puts this off is waited for. One that has done so for long is
        tried once for each change, until it takes one."""
        now = time.monotonic()
        return now - self._deferring.setdefault(address, now) < _DEFERRED

    @contextmanager
    def _telling(self, patience: Patience) -> Iterator[None]:
        """Turn what goes wrong with the server itself into a sentence."""
        where = f"the mail server {self._server.host}"
        try:
            yield
        except smtplib.SMTPResponseException as error:
            raise Unavailable(f"{where} answers {error.smtp_code}") from error
        except ssl.SSLCertVerificationError as error:
            raise Unavailable(f"{where} cannot be trusted: {error.verify_message}") from error
        except OSError as error:  # smtplib's own errors are such, too
            if patience.over or isinstance(error, TimeoutError):
                raise Unavailable(f"{where} did not answer in time") from error
            if isinstance(error, smtplib.SMTPServerDisconnected):
                raise Unavailable(f"{where} hung up") from error
            what = error.strerror or type(error).__name__
            raise Unavailable(f"{where} could not be reached: {what}") from error
