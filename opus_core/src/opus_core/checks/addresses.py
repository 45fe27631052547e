"""How users and jobs reach the server: its addresses are asked who answers there."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from datetime import timedelta
from typing import Final
from urllib.parse import urlsplit

from opus_core import job as jobs
from opus_core.checks import asking
from opus_core.checks.installation import Installation
from opus_core.config import Config
from opus_core.finding import Code, Finding, State, ok
from opus_core.values import is_loopback

_SOON: Final = timedelta(days=14)

UNKNOWN: Final = Code(
    "base-url-unknown",
    State.WARNING,
    "The name of the host in `base_url` cannot be resolved on this machine.",
    "Mend `base_url`, or the name service.",
)
SILENT: Final = Code(
    "base-url-silent",
    State.WARNING,
    "Nobody answers at `base_url`: no server runs, or a firewall is between.",
    "Start the server and the web server in front of it, or mend `base_url`.",
)
CERTIFICATE: Final = Code(
    "certificate-invalid",
    State.ERROR,
    "The certificate at `base_url` is not valid: it is over, of another name, or of an authority"
    " that this machine does not know.",
    "Renew it, with the whole chain; browsers and jobs refuse it.",
)
CERTIFICATE_ENDS: Final = Code(
    "certificate-ends",
    State.WARNING,
    "The certificate at `base_url` is over within two weeks.",
    "Renew it, and see why that has not happened by itself.",
)
ELSEWHERE: Final = Code(
    "base-url-elsewhere",
    State.WARNING,
    "Another program than OPUS answers at `base_url`, or OPUS does under another path.",
    "Write the address into `base_url` under which users see the list of jobs.",
)
EVENTS_ELSEWHERE: Final = Code(
    "event-url-elsewhere",
    State.WARNING,
    "No OPUS answers at `[server] event_url`: the ends of jobs show only at the next poll.",
    "Write the address that compute nodes reach this server at, with the path it is mounted under.",
)
EVENTS_LOOPBACK: Final = Code(
    "event-url-loopback",
    State.WARNING,
    "Jobs run on other machines and are told a loopback address to report to.",
    "Set `[server] event_url` to an address of this machine that compute nodes reach.",
)
EVENTS_NOWHERE: Final = Code(
    "event-url-missing",
    State.WARNING,
    "Jobs are told no address to report to, so their end shows only at the next poll.",
    "Set `base_url`, or `[server] event_url`.",
)


def findings(installation: Installation) -> Iterator[Finding]:
    """Whom `base_url` leads to, and whom jobs report to."""
    config = installation.config
    if config is None or "server" in installation.mistaken:
        return
    if config.base_url is not None:
        yield from _base_url(config.base_url)
    far = installation.manager is not None and installation.manager.far
    yield from _events(config, far=far)


def _base_url(root: str) -> Iterator[Finding]:
    try:
        said = asking.get_health(root)
    except socket.gaierror as error:
        yield UNKNOWN(
            "base_url",
            f"{urlsplit(root).hostname} cannot be resolved here ({error.strerror}); mend base_url"
            " or the name service",
        )
    except ssl.SSLCertVerificationError as error:
        yield CERTIFICATE(
            "base_url",
            f"the certificate at {root} is not valid ({error.verify_message}); renew it, with the"
            " whole chain",
        )
    except (OSError, ValueError) as error:
        yield SILENT(
            "base_url",
            f"nobody answers at {root} ({_reason(error)}); start the server, and the web server in"
            " front of it, or mend base_url",
        )
    else:
        yield from _answered(root, said)


def _answered(root: str, said: asking.Said) -> Iterator[Finding]:
    if not said.is_opus:
        what = f"{said.status}, and leads to {said.location}" if said.location else said.status
        yield ELSEWHERE(
            "base_url",
            f"what answers at {root}/healthz is not OPUS ({what}); write the address into base_url"
            " under which users see the list of jobs",
        )
    else:
        yield ok("base_url", f"OPUS answers at {root}")
    ends = said.certificate_ends
    if ends is not None and ends - jobs.now() < _SOON:
        yield CERTIFICATE_ENDS(
            "base_url",
            f"the certificate at {root} is over on {ends:%Y-%m-%d}; renew it",
        )


def _events(config: Config, *, far: bool) -> Iterator[Finding]:
    """Where wrappers report to: see `Opus.supervisor`."""
    url = config.server.event_url or config.base_url
    if url is None and not config.embedded:
        yield EVENTS_NOWHERE(
            "events",
            "jobs cannot report their end, so it shows only at the next poll; set base_url, or"
            " event_url in [server]",
        )
        return
    host = urlsplit(url).hostname if url is not None else config.server.host
    if far and is_loopback(host or ""):
        yield EVENTS_LOOPBACK(
            "events",
            f"jobs run on other machines and would report to {url or host}, which is each machine"
            " itself; set [server] event_url to an address of this one that they reach",
        )
    if config.server.event_url is not None:
        yield from _event_url(config.server.event_url)


def _event_url(url: str) -> Iterator[Finding]:
    try:
        said = asking.post_event(url)
    except (OSError, ValueError) as error:
        reason = f"nobody answers ({_reason(error)})"
    else:
        if said.is_opus:
            return
        reason = f"a report without a token is answered {said.status}, and by OPUS 403"
    yield EVENTS_ELSEWHERE(
        "event_url",
        f"{url}: {reason}; start the server, or write the address that compute nodes reach it at,"
        " with the path it is mounted under",
    )


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
