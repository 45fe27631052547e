"""Ask a web server who it is, with little patience."""

from __future__ import annotations

import http.client
import json
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

_PATIENCE: Final = 5.0  # [s]
_MOST: Final = 65536  # [byte] of an answer


@dataclass(frozen=True, slots=True)
class Said:
    """What came back."""

    status: int
    location: str = ""
    is_opus: bool = False  # it answers as an OPUS does
    certificate_ends: datetime | None = None


def get_health(root: str) -> Said:
    """Ask for the health of the OPUS that should be at this address. Raises `OSError`, and
    `ssl.SSLError` among them; `ValueError` for what is no HTTP."""
    status, location, body, ends = _ask("GET", f"{root.rstrip('/')}/healthz")
    return Said(status, location, _is_health(body), ends)


def post_event(root: str) -> Said:
    """Report an event without a token, as nobody's job would: an OPUS answers 403, or if it
    believes this machine (`job_servers`), that it means no job. Raises as `get_health` does."""
    status, location, body, ends = _ask(
        "POST", f"{root.rstrip('/')}/handler/job_event", urlencode({"jobid": "check"})
    )
    is_opus = status == 403 or (status == 200 and body.strip() == b"0")
    return Said(status, location, is_opus, ends)


def _ask(method: str, url: str, body: str | None = None) -> tuple[int, str, bytes, datetime | None]:
    parts = urlsplit(url)
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        connection = http.client.HTTPSConnection(parts.netloc, timeout=_PATIENCE)
    else:
        connection = http.client.HTTPConnection(parts.netloc, timeout=_PATIENCE)
    headers = {"Accept": "application/json", "User-Agent": "opus check"}
    if body is not None:
        headers["Content-Type"] = "application/x-www-form-urlencoded"
    try:
        connection.request(method, parts.path, body, headers)
        ends = _end_of_certificate(connection)
        answer = connection.getresponse()
        return answer.status, answer.headers.get("Location", ""), answer.read(_MOST), ends
    except http.client.HTTPException as error:
        raise ValueError(type(error).__name__) from error
    finally:
        connection.close()


def _end_of_certificate(connection: http.client.HTTPConnection) -> datetime | None:
    if not isinstance(connection.sock, ssl.SSLSocket):
        return None
    shown = (connection.sock.getpeercert() or {}).get("notAfter")
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(shown)), UTC) if shown else None


def _is_health(body: bytes) -> bool:
    try:
        document: Any = json.loads(body)
    except ValueError:
        return False
    return isinstance(document, dict) and {"status", "version", "components"} <= document.keys()
