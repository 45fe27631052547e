"""Answers: the headers that every one of them has, and what an error becomes."""

from __future__ import annotations

import json
import logging
import math
import traceback
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any, Final, Protocol
from urllib.parse import quote, urlsplit

import bottle

from opus_core import job as jobs
from opus_core.auth.sessions import COOKIE, COOKIE_IN_PLAIN
from opus_core.errors import BadInput, NotAuthenticated, OpusError
from opus_core.facts import about, add
from opus_core.render import html
from opus_core.render.negotiate import Format, choose
from opus_core.render.urls import Urls
from opus_core.routes.asking import Asked, root
from opus_core.routes.log import id_of, path_of
from opus_core.routes.parts import Around
from opus_core.values import without_paths

log = logging.getLogger(__name__)

XML: Final = "application/xml; charset=utf-8"
JSON: Final = "application/json"
TEXT: Final = "text/plain; charset=utf-8"
HTML: Final = "text/html; charset=utf-8"

# Of what is no page a browser that opens it shows the text, and does nothing with it. Its own way
# to show XML needs styles.
_NOTHING: Final = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; sandbox"
_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'{images};"
    " connect-src 'self'{asks}; form-action 'self'{forms}; frame-ancestors 'none'; base-uri 'none'"
)
SAMP_HUB: Final = "http://localhost:21012"
"""Where the programs of a page's reader listen (SAMP 1.3 section 5.2.1)."""

_ERROR_FORMATS: Final = (Format.TEXT, Format.XML, Format.JSON, Format.HTML)


class Readable(Protocol):
    """What bottle hands to the server's `wsgi.file_wrapper`."""

    def read(self, size: int = -1) -> bytes: ...
    def close(self) -> None: ...


def reply(
    body: bytes | str | Iterable[bytes] | Readable,
    content_type: str,
    *,
    status: int = 200,
    headers: Mapping[str, str] | None = None,
) -> bottle.HTTPResponse:
    """An answer that no cache keeps and no browser takes for another type."""
    content = {
        "Content-Type": content_type,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
        "Cross-Origin-Resource-Policy": "same-origin",
        "Content-Security-Policy": _NOTHING,
        "Cache-Control": "no-store",
        **(headers or {}),
    }
    return bottle.HTTPResponse(body, status, content)


def see_other(url: str) -> bottle.HTTPResponse:
    """303, with the address as it is given."""
    return reply("", TEXT, status=303, headers={"Location": url})


def document(
    asked: Asked,
    wanted: Format,
    body: bytes | Iterable[bytes],
    *,
    headers: Mapping[str, str] | None = None,
) -> bottle.HTTPResponse:
    """A negotiated document in XML or JSON."""
    kind = JSON if wanted is Format.JSON else XML
    return reply(body, kind, headers={"Vary": "Accept", **(headers or {})})


def page(
    asked: Asked, text: str, *, status: int = 200, asks: Iterable[str] = ()
) -> bottle.HTTPResponse:
    """A page in HTML; with it a session that has had its cookie for long gets a new one. `asks`:
    origins beside ours that its scripts may ask."""
    headers = {}
    caller, people = asked.caller, asked.parts.people
    if people is not None and caller.session is not None:
        cookie = people.sessions.renewed(caller.cookie, caller.session)
        if cookie is not None:
            left = caller.session.created + people.sessions.longest - jobs.now()
            headers["Set-Cookie"] = set_cookie(asked, cookie, left)
    return _page(asked.parts, text, status, headers, asks=asks)


def set_cookie(asked: Asked, cookie: str, lifetime: timedelta) -> str:
    """The header that gives a browser the cookie of a session, or with no lifetime takes it."""
    seconds = max(0, int(lifetime.total_seconds()))
    rest = f"Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax"
    if asked.environ.get("wsgi.url_scheme") == "https":
        return f"{COOKIE}={cookie}; Secure; {rest}"
    return f"{COOKIE_IN_PLAIN}={cookie}; {rest}"


def page_about(around: Around, text: str, asks: Iterable[str]) -> bottle.HTTPResponse:
    """A page about something elsewhere: its scripts may ask these origins, too, and show as images
    what they have from there."""
    origins = tuple(asks)
    return _page(around, text, 200, {}, asks=origins, blobs=bool(origins))


def _page(
    around: Around,
    text: str,
    status: int,
    headers: Mapping[str, str],
    *,
    asks: Iterable[str] = (),
    blobs: bool = False,
) -> bottle.HTTPResponse:
    # A form's answer leads to base_url; for a browser that called us otherwise, it is elsewhere.
    base = urlsplit(around.base_url or "")
    also = f" {base.scheme}://{base.netloc}" if base.netloc else ""
    content = {
        "Content-Security-Policy": _POLICY.format(
            images=" blob:" if blobs else "",
            asks="".join(f" {one}" for one in asks),
            forms=also,
        ),
        "Cross-Origin-Opener-Policy": "same-origin",
        "X-Frame-Options": "DENY",
        "Vary": "Accept",
        **headers,
    }
    return reply(text, HTML, status=status, headers=content)


def refusal(
    around: Around,
    environ: Mapping[str, Any],
    error: BaseException,
    extra: Mapping[str, str] | None = None,
) -> bottle.HTTPResponse:
    """The one place where an error becomes a response.

    What is not an `OpusError` is a fault of ours: 500. Its reader is told the id of the request,
    under which the log has the trace.
    """
    headers = dict(extra or {})
    trace = ""
    faults = error.faults if isinstance(error, BadInput) else {}
    if isinstance(error, OpusError):
        status, sentence = error.status, error.sentence
        if status >= 500:  # about us; what is wrong with a request quotes what was sent
            sentence = without_paths(sentence)
        if error.retry_after is not None or error.status in (429, 503):
            headers["Retry-After"] = str(max(1, math.ceil(error.retry_after or 5)))
        if isinstance(error, NotAuthenticated):
            headers["WWW-Authenticate"] = _challenge(environ)
    else:
        status, sentence = 500, ""
    if status >= 500:
        add(reason=sentence or type(error).__name__)
    if status >= 500 and status != 503:
        request = id_of(environ)
        where = about(method=str(environ.get("REQUEST_METHOD", "")), path=path_of(environ))
        log.error("went wrong: %s", error, exc_info=error, extra=where)
        sentence = (
            f"{sentence} (request {request})"
            if isinstance(error, OpusError)
            else f"something went wrong here, not with you; the log has it as request {request}"
        )
        if around.debug:
            trace = "".join(traceback.format_exception(error))
    return _said(around, environ, status, sentence, faults, trace, headers)


def _challenge(environ: Mapping[str, Any]) -> str:
    """The ways to say who one is. A browser is not told of Basic: it would ask its user in a
    window of its own instead of showing our page."""
    browser = "HTTP_SEC_FETCH_SITE" in environ or (
        choose(str(environ.get("HTTP_ACCEPT", "")), _ERROR_FORMATS) is Format.HTML
    )
    basic = [] if browser else ['Basic realm="OPUS", charset="UTF-8"']
    return ", ".join((*basic, 'Bearer realm="OPUS"', "ivoa_bearer"))


def _sign_in(around: Around, environ: Mapping[str, Any], links: Urls) -> str:
    """The page to sign in, from which one gets back here."""
    if not around.accounts:
        return ""
    here = quote(str(environ.get("PATH_INFO", "")).encode("latin-1", "replace"))
    query = str(environ.get("QUERY_STRING", ""))
    back = f"{links.root}{here}" + (f"?{query}" if query else "")
    return links.sign_in(back=back if environ.get("REQUEST_METHOD") == "GET" else "")


def _said(
    around: Around,
    environ: Mapping[str, Any],
    status: int,
    sentence: str,
    faults: Mapping[str, str],
    trace: str,
    headers: Mapping[str, str],
) -> bottle.HTTPResponse:
    wanted = choose(str(environ.get("HTTP_ACCEPT", "")), _ERROR_FORMATS)
    if wanted is Format.HTML and not around.pages:
        wanted = Format.TEXT
    if wanted is Format.JSON:
        content: dict[str, Any] = {"status": status, "error": sentence}
        if status >= 500:
            content["request"] = id_of(environ)
        if faults:
            content["faults"] = faults
        if trace:
            content["trace"] = trace
        body = json.dumps(content, indent=1) + "\n"
        return reply(body, JSON, status=status, headers={"Vary": "Accept", **headers})
    if wanted is Format.HTML:
        try:
            links = Urls(urlsplit(root(around, environ)).path)
        except OpusError:  # the Host header itself is what is wrong
            links = Urls("")
        text = html.error(
            html.Frame(
                links=links,
                title=around.title,
                version=around.version,
                alone=around.alone,
                services=bool(around.services),
            ),
            status=status,
            sentence=sentence,
            trace=trace,
            sign_in=_sign_in(around, environ, links) if status == 401 else "",
        )
        return _page(around, text, status, headers)
    body = f"{sentence}\n" + (f"\n{trace}" if trace else "")
    return reply(body, TEXT, status=status, headers={"Vary": "Accept", **headers})
