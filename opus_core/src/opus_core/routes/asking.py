"""One request as its handler sees it: who asks, for what, in which format, and where we are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final, cast
from urllib.parse import quote, urlsplit

from opus_core.auth.identity import Caller
from opus_core.auth.origin import FOREIGN, check_origin, is_meant
from opus_core.backends import User
from opus_core.departure import GONE, Gone, stays
from opus_core.errors import BadRequest, NotAllowed, UnknownJob
from opus_core.facts import add
from opus_core.forms import Pairs, read_query
from opus_core.forwarded import FORWARDED, HOST_BY_PROXY
from opus_core.heavy import Turn, is_heavy
from opus_core.job import Job
from opus_core.queries import Wait
from opus_core.render.negotiate import Format, choose
from opus_core.render.urls import Urls
from opus_core.routes.parts import Around, Parts
from opus_core.values import is_loopback, shown, split_host, without_paths

_JOB_ID: Final = re.compile(r"[0-9a-f]{32}")
_PORTS: Final = {"http": "80", "https": "443"}

DOCUMENT: Final = (Format.XML, Format.JSON)
PAGE: Final = (Format.XML, Format.JSON, Format.HTML)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request that may be answered."""

    parts: Parts
    environ: Mapping[str, Any]
    root: str  # this server's address, as `root` tells it
    caller: Caller
    pairs: Pairs  # of the query string
    turn: Turn  # taken by a request that needs much memory

    @property
    def user(self) -> User:
        """Who asks."""
        return self.caller.user

    @property
    def urls(self) -> Urls:
        """Absolute addresses, for documents and Location."""
        return Urls(self.root)

    @property
    def ways(self) -> Urls:
        """Addresses for Location: for scripts of our own pages without scheme and host, since they
        may not follow to another host, be it only another name of this one."""
        return self.links if self.header("Sec-Fetch-Site") == "same-origin" else self.urls

    @property
    def links(self) -> Urls:
        """The same without scheme and host, for links within pages."""
        return Urls(urlsplit(self.root).path)

    def format(self, *offered: Format) -> Format:
        """What the client wants of what is offered."""
        wish = self.value("RESPONSEFORMAT")
        if not self.parts.pages:
            offered = tuple(one for one in offered if one is not Format.HTML)
        return choose(str(self.environ.get("HTTP_ACCEPT", "")), offered, wish)

    @property
    def by_browser(self) -> bool:
        """Somebody looks at a page."""
        return self.format(*PAGE) is Format.HTML

    def value(self, name: str) -> str:
        """The first value of that name in the query, names not being case-sensitive; or empty."""
        return next((value for key, value in self.pairs if key.upper() == name), "")

    def job(self, name: str, job_id: str, wait: Wait | None = None) -> Job:
        """The job, for one who may see it; where it says so, after its phase has changed."""
        service, job_id = self.parts.service, check_id(job_id)
        if wait is None:
            job = service.read(self.user, name, job_id)
        else:
            job = service.wait(self.user, name, job_id, wait, self.gone)
        if is_heavy(job) and not self.turn.taken:
            del job  # nobody shall keep such a one while waiting
            self.turn.take()
            job = service.read(self.user, name, job_id)
        return _discreet(job)

    @property
    def gone(self) -> Gone:
        """Whether the client has left, as far as the web server can tell."""
        return cast(Gone, self.environ.get(GONE, stays))

    def header(self, name: str) -> str:
        """A header of the request; empty if it was not sent."""
        return str(self.environ.get(f"HTTP_{name.upper().replace('-', '_')}", ""))


def _discreet(job: Job) -> Job:
    """The job without what managers say of places on their machines."""
    waiting = job.job_info.get("waiting", "")
    said = without_paths(waiting)
    return job if said == waiting else replace(job, job_info={**job.job_info, "waiting": said})


def check_id(job_id: str) -> str:
    """A job's id as we make them; `UnknownJob` for anything else."""
    if not _JOB_ID.fullmatch(job_id):
        raise UnknownJob(job_id[:64])
    return job_id


def ask(parts: Parts, environ: Mapping[str, Any], turn: Turn) -> Asked:
    """Look at a request. Raises `NotAuthenticated`, `NotAllowed` and `BadRequest`."""
    if parts.private:
        check_called(environ)
    here = root(parts, environ)
    host = urlsplit(here).netloc
    caller = parts.door.caller(
        environ,
        private=is_private(environ),
        counts=lambda csrf: is_meant(environ, host, parts.origins, csrf),
    )
    if caller.user.name is not None:
        add(user=caller.user.name, address=None)
    check_meant(parts, environ, caller, host)
    return Asked(
        parts=parts,
        environ=environ,
        root=here,
        caller=caller,
        pairs=read_query(environ, parts.limits),
        turn=turn,
    )


def check_meant(parts: Parts, environ: Mapping[str, Any], caller: Caller, host: str) -> None:
    """Refuse what a foreign page made somebody's browser ask of this host: `NotAllowed`."""
    people = parts.people
    if caller.session is None or people is None:
        check_origin(environ, host, parts.origins, anonymous=caller.user.anonymous)
    elif not is_meant(environ, host, parts.origins, people.sessions.csrf(caller.cookie)):
        raise NotAllowed(FOREIGN)


def is_private(environ: Mapping[str, Any]) -> bool:
    """Whether nobody can listen to the connection: it is encrypted, or within this machine."""
    if environ.get("wsgi.url_scheme") == "https":
        return True
    host = split_host(str(environ.get("HTTP_HOST") or ""))
    here = host is not None and is_loopback(host[0])
    return here and is_loopback(str(environ.get("REMOTE_ADDR"))) and not environ.get(FORWARDED)


def check_called(environ: Mapping[str, Any]) -> None:
    """Refuse a request by a name that is none of this machine's own: `BadRequest`.

    A page of another site can have its own name lead to 127.0.0.1 as soon as a browser has loaded
    it (DNS rebinding). To the browser this server is that site then, and lets the page read all.
    """
    host = split_host(str(environ.get("HTTP_HOST") or ""))
    if host is None or environ.get(HOST_BY_PROXY) or is_loopback(host[0]):
        return  # of what is no host `root` will speak
    raise BadRequest(
        "this server listens to its own machine alone, as localhost and 127.0.0.1, and not as"
        f" {shown(host[0])}; whoever runs it can set base_url to the address that users call"
    )


def root(around: Around, environ: Mapping[str, Any]) -> str:
    """Where this server is: as configured, else as the client has called it.

    What proxies say of that is in the environ already, if they are trusted
    (`opus_core.forwarded`).
    """
    if around.base_url:
        return around.base_url.rstrip("/")
    scheme = str(environ.get("wsgi.url_scheme", "http"))
    host = str(environ.get("HTTP_HOST") or "")
    if not host:
        host = str(environ.get("SERVER_NAME", "localhost"))
        port = str(environ.get("SERVER_PORT", ""))
        if port and port != _PORTS.get(scheme):
            host = f"{host}:{port}"
    if split_host(host) is None:
        raise BadRequest("the Host header is not the name of a host")
    mount = str(environ.get("SCRIPT_NAME", "")).encode("latin-1", "replace").rstrip(b"/")
    return f"{scheme}://{host}{quote(mount)}"
