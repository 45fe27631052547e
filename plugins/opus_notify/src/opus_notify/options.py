"""What `[plugins.notify]` may say. All of it may be left out: then nobody is told anything."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal

from opus_core.definition import DEFINITION_NAME
from opus_core.errors import BadRequest
from opus_core.hosts import taken_apart
from opus_core.job import Phase
from opus_core.settings import choice, nearest, shown
from opus_core.values import is_loopback, split_host
from opus_notify import addresses

OWNER: Final = "owner"

_PORTS: Final = {"starttls": 587, "tls": 465, "none": 25}  # RFC 6409, RFC 8314, RFC 5321


@dataclass(frozen=True, slots=True, kw_only=True)
class NotifyOptions:
    """Who is told of what, and how long it is tried."""

    webhooks: tuple[str, ...] = field(
        default=(),
        repr=False,  # its path and query may be secrets
        metadata={"help": "URLs that changes are posted to; https, or http on this machine."},
    )
    webhook_secret_file: Path | None = field(
        default=None,
        metadata={
            "help": "A file with the key that signs what is posted, or with several, a line each;"
            " absent: there can be no webhooks."
        },
    )
    phases: tuple[str, ...] = field(
        default=("COMPLETED", "ERROR", "ABORTED"),
        metadata={"help": "The phases of which is told when a job gets there."},
    )
    definitions: tuple[str, ...] = field(
        default=(), metadata={"help": "The job descriptions whose jobs count; none: all."}
    )
    smtp: str | None = field(
        default=None,
        metadata={
            "help": "The mail server, as HOST or HOST:PORT; the port is 587, 465 or 25 by default,"
            " as smtp_security says; absent: no e-mail is sent."
        },
    )
    smtp_security: Literal["starttls", "tls", "none"] = field(
        default="starttls",
        metadata={
            "help": "How the way to the mail server is protected; none: not at all, on this machine"
            " only."
        },
    )
    smtp_user: str | None = field(
        default=None, metadata={"help": "Who signs in to the mail server; absent: nobody does."}
    )
    smtp_password_file: Path | None = field(
        default=None, metadata={"help": "A file with that user's password alone."}
    )
    sender: str | None = field(
        default=None,
        metadata={"help": "The address that e-mail comes from, such as `OPUS <opus@example.org>`."},
    )
    mail_to: tuple[str, ...] = field(
        default=(OWNER,),
        metadata={"help": "Who gets e-mail: `owner`, who has the job, and addresses."},
    )
    timeout: float = field(
        default=20.0,
        metadata={
            "help": "Longest time that one request, or one conversation with the mail server, may"
            " take.",
            "unit": "seconds",
            "least": 1,
            "most": 30,  # a supervisor that stops waits no longer
        },
    )
    give_up: int = field(
        default=3 * 86400,
        metadata={
            "help": "Age of a change after which nobody is told of it any more; three days by"
            " default.",
            "unit": "seconds",
            "least": 60,
            "most": 29 * 86400,  # the journal forgets after 30 days
        },
    )
    give_up_refused: int = field(
        default=6 * 3600,
        metadata={
            "help": "The same where a webhook answers, and refuses; six hours by default.",
            "unit": "seconds",
            "least": 0,
            "most": 29 * 86400,
        },
    )

    def __post_init__(self) -> None:
        _check_webhooks(self.webhooks)
        for phase in self.phases:
            if phase not in Phase.__members__:
                raise ValueError(
                    f"phases: {shown(phase)} is no phase{choice(phase, Phase.__members__)}"
                )
        if not self.phases:
            raise ValueError("phases: none is named, so nobody would be told anything")
        for name in self.definitions:
            if not DEFINITION_NAME.fullmatch(name):
                raise ValueError(f"definitions: {shown(name)} cannot be the name of a description")
        _check_mail(self)

    @property
    def mail_server(self) -> tuple[str, int] | None:
        """Host and port; None: no e-mail is sent."""
        found = split_host(self.smtp) if self.smtp is not None else None
        return found and (found[0].lower(), found[1] or _PORTS[self.smtp_security])


def _check_webhooks(urls: tuple[str, ...]) -> None:
    """Sentences have the number of a URL, for what stands in it may be secret."""
    for number, url in enumerate(urls, start=1):
        which = f"webhooks: number {number}"
        if url in urls[: number - 1]:
            raise ValueError(f"{which} is there twice")
        if "@" in url.split("//", 1)[-1].split("/", 1)[0]:
            raise ValueError(
                f"{which} has a user before its host; leave that out, posts are signed"
            )
        try:
            parts, host = taken_apart(url)
        except BadRequest as error:
            raise ValueError(
                f"{which} is no URL that can be posted to, such as https://example.org/hook"
            ) from error
        if parts.scheme != "https" and not is_loopback(host):
            raise ValueError(f"{which} goes to another machine by http, in the clear; use https")


def _check_mail(options: NotifyOptions) -> None:
    if options.smtp is None:
        for key in ("smtp_user", "smtp_password_file", "sender"):
            if getattr(options, key) is not None:
                raise ValueError(f"{key} is of no use without smtp, which names the mail server")
        return
    server = options.mail_server
    if server is None or not server[0]:
        raise ValueError(
            f"smtp: {shown(options.smtp)} is no host, such as mail.example.org or"
            " mail.example.org:587"
        )
    if options.smtp_security == "none" and not is_loopback(server[0]):
        raise ValueError(
            f'smtp_security: "none" would send all in the clear to {server[0]}; use "starttls" or'
            ' "tls"'
        )
    if (options.smtp_user is None) != (options.smtp_password_file is None):
        raise ValueError("smtp_user and smtp_password_file belong together; name both or neither")
    if options.smtp_user is not None and not (
        options.smtp_user.isascii() and options.smtp_user.isprintable() and options.smtp_user
    ):
        raise ValueError("smtp_user has to be of printable ASCII characters")
    if options.sender is None:
        raise ValueError("smtp needs sender, the address that e-mail comes from")
    if addresses.sender(options.sender) is None:
        raise ValueError(
            f"sender: {shown(options.sender)} is no address, such as opus@example.org or"
            " OPUS <opus@example.org>"
        )
    if not options.mail_to:
        raise ValueError("mail_to: nobody is named, so no e-mail would be sent; leave out smtp")
    for entry in options.mail_to:
        if entry != OWNER and not addresses.is_address(entry):
            raise ValueError(
                f'mail_to: {shown(entry)} is neither "owner" nor an address, such as'
                f" admin@example.org{nearest(entry, (OWNER,))}"
            )
