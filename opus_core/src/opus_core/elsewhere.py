"""UWS services of others that our pages are for: those that the site lists, and nobody else's.

What a page, or its proxy, may reach is decided here alone. A page is about a job list that is one
of the services, or lies below one; its proxy reaches the whole server that such a service is on,
for results often lie beside the job list.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import SplitResult, unquote, urljoin

from opus_core.errors import BadRequest, NotAllowed, NotFound
from opus_core.hosts import taken_apart
from opus_core.values import is_loopback, shown

_PORTS: Final = {"http": 80, "https": 443}
_DOTS: Final = frozenset({".", ".."})


@dataclass(frozen=True, slots=True)
class Origin:
    """A server: scheme, name of the host in lower case, and port."""

    scheme: str
    host: str
    port: int

    def __str__(self) -> str:
        """As browsers write it (RFC 6454 section 6.2)."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + (
            "" if self.port == _PORTS[self.scheme] else f":{self.port}"
        )

    @property
    def is_private(self) -> bool:
        """Nobody can listen to what it is sent: that is encrypted, or within this machine."""
        return self.scheme == "https" or is_loopback(self.host)

    @property
    def usual(self) -> bool:
        """It is at the port that its scheme has."""
        return self.port == _PORTS[self.scheme]


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One that the site lists: a job list, or a server with several."""

    url: str
    origin: Origin


@dataclass(frozen=True, slots=True)
class Services:
    """All that the site lists."""

    every: tuple[Service, ...] = field(default=())

    def __bool__(self) -> bool:
        return bool(self.every)

    def find(self, url: str) -> Service:
        """The job list at `url`, which is one of the services, or below one. Raises `NotFound`."""
        parts, origin = _apart(url)
        path = _path(parts)
        for one in self.every:
            above = _path(_apart(one.url)[0])
            if one.origin == origin and (path == above or path.startswith(f"{above}/")):
                if _DOTS & set(unquote(path).split("/")):
                    break  # a browser would make it the address of something else
                return Service(url=f"{origin}{path}", origin=origin)
        raise NotFound(
            f"{shown(url)} is none of the services that these pages are for; whoever runs them can"
            " add it to servers in [client]"
        )

    def reachable(self, url: str) -> tuple[SplitResult, Origin]:
        """An address on the server of one of the services, taken apart. Raises `NotAllowed`."""
        parts, origin = _apart(url)
        if not any(one.origin == origin for one in self.every):
            raise NotAllowed(
                f"{shown(url)} is on none of the servers that these pages are for; open it by"
                " itself"
            )
        return parts, origin

    def behind(self, location: str, url: str) -> str:
        """Where a redirection leads that `url` was answered with. Raises `NotAllowed` for one that
        leads to another server.

        A service behind a proxy of its own often does not know that it is called by https: that is
        the same server, and it is called as before.
        """
        try:
            target = urljoin(url, location)
            parts, origin = _apart(target)
        except (ValueError, BadRequest) as error:
            raise NotAllowed(
                f"{shown(url)} leads on to {shown(location)}, which is no address"
            ) from error
        here = _apart(url)[1]
        if origin.host == here.host and origin.usual and here.usual:
            return parts._replace(scheme=here.scheme, netloc=str(here).partition("//")[2]).geturl()
        if any(one.origin == origin for one in self.every):
            return target
        raise NotAllowed(
            f"{shown(url)} leads on to {shown(str(origin))}, which is none of the servers that"
            " these pages are for"
        )


def parse(urls: Iterable[str]) -> Services:
    """The services at these addresses, each once; `ValueError` for what is no address of one."""
    found: dict[str, Service] = {}
    for url in urls:
        try:
            parts, origin = _apart(url)
        except BadRequest as error:
            raise ValueError(f"{url!r} is no address of a service") from error
        service = Service(url=f"{origin}{_path(parts)}", origin=origin)
        found.setdefault(service.url, service)
    return Services(tuple(found.values()))


def _apart(url: str) -> tuple[SplitResult, Origin]:
    parts, host = taken_apart(url)
    return parts, Origin(parts.scheme, host, parts.port or _PORTS[parts.scheme])


def _path(parts: SplitResult) -> str:
    return parts.path.rstrip("/")
