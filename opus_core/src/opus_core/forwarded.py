"""What proxies in front say of a request: believed of those that the site names, of nobody else.

`X-Forwarded-For`, `-Proto`, `-Host`, `-Port` and `-Prefix` become what a server without a proxy
would have put into the environ, so that nothing else has to know of them. What is malformed is as
good as not sent: a proxy writes it, and a client can do nothing about it. So does the one header in
which a proxy names the user, if a site has one, and `X-Request-ID`, under which the proxy's own log
has the request.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, Final
from urllib.parse import unquote_to_bytes

from opus_core.values import split_host

_HEADERS: Final = tuple(
    f"HTTP_X_FORWARDED_{name}" for name in ("FOR", "PROTO", "HOST", "PORT", "PREFIX")
)
HOST_BY_PROXY: Final = "opus.host_by_proxy"
"""In the environ of a request whose Host is what a trusted proxy said."""
FROM_HEADER: Final = "opus.user_from_header"
"""In the environ of a request whose REMOTE_USER is what a trusted proxy said in a header."""
FORWARDED: Final = "opus.forwarded"
"""In the environ of a request that has come through a proxy, but none that is trusted."""

REQUEST_ID: Final = "HTTP_X_REQUEST_ID"
"""In the environ: what a trusted proxy calls the request, if that is a plain word."""

_PLAIN_ID: Final = re.compile(r"[A-Za-z0-9@._-]{8,64}")
_MOST: Final = 100  # addresses of one request
_WITH_PORT: Final = re.compile(r"(?:\[([^\]]*)\]|([0-9.]+))(?::[0-9]{1,5})?")
_PREFIX: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[A-Za-z0-9._~!$&'()*+;=:@%-]+)+/?")
_NOT_IN_PATH: Final = re.compile(r"//|[\x00-\x1f\x7f]")  # a link //x leads to the host x
_PORTS: Final = {"http": 80, "https": 443}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Networks:
    """Addresses and networks as the configuration lists them."""

    def __init__(self, entries: Iterable[str]) -> None:
        self._networks = tuple(map(ipaddress.ip_network, entries))

    def __bool__(self) -> bool:
        return bool(self._networks)

    def __contains__(self, address: str) -> bool:
        """Whether the address is within; what is no address (a Unix socket, nothing) never is."""
        found = _address(address)
        return found is not None and any(
            found.version == network.version and found in network for network in self._networks
        )


class Proxies:
    """Those that are trusted."""

    def __init__(self, entries: Iterable[str], user_header: str | None = None) -> None:
        """`user_header`: in which they name the user; it counts of nobody else."""
        self._trusted = Networks(entries)
        self._user = f"HTTP_{user_header.upper().replace('-', '_')}" if user_header else ""

    def seen_through(self, environ: Mapping[str, Any]) -> dict[str, Any]:
        """The environ as if the client had called this server itself.

        Of several proxies in a row each appends what it knows, or replaces what there was. So as
        many values count, from the right, as there are proxies that are trusted.
        """
        seen = dict(environ)
        said = {name: str(seen.pop(name, "")) for name in _HEADERS}
        user = str(seen.pop(self._user, ""))
        request = str(seen.pop(REQUEST_ID, ""))
        if str(environ.get("REMOTE_ADDR") or "") not in self._trusted:
            if any(said.values()):
                seen[FORWARDED] = True
            return seen
        if _PLAIN_ID.fullmatch(request):
            seen[REQUEST_ID] = request
        if user and not seen.get("REMOTE_USER"):
            seen["REMOTE_USER"] = user
            seen[FROM_HEADER] = True
        address, hops = self._client(said["HTTP_X_FORWARDED_FOR"])
        if address is not None:
            seen["REMOTE_ADDR"] = address
            seen.pop("REMOTE_HOST", None)
            seen.pop("REMOTE_PORT", None)
        proto, host, port, prefix = (_value(said[name], hops) for name in _HEADERS[1:])
        scheme = str(seen.get("wsgi.url_scheme", "http"))
        if proto.lower() in _PORTS:
            seen["wsgi.url_scheme"] = scheme = proto.lower()
        if split_host(host) is not None:
            seen["HTTP_HOST"] = _with_port(host, port, scheme)
            seen[HOST_BY_PROXY] = True
        mount = unquote_to_bytes(prefix.rstrip("/")).decode("latin-1")
        if _PREFIX.fullmatch(prefix) and not _NOT_IN_PATH.search(mount):
            seen["SCRIPT_NAME"] = mount
        return seen

    def _client(self, header: str) -> tuple[str | None, int]:
        """The address nearest to us that is no trusted proxy, and how many of those are between;
        where all are trusted, the first."""
        address, hops = None, 0
        chain = header.split(",")[-_MOST:]
        for text in reversed(chain):
            match = _WITH_PORT.fullmatch(text.strip(" \t"))
            found = _address((match[1] or match[2]) if match else text.strip(" \t"))
            if found is None:
                break
            address = str(found)
            if address not in self._trusted:
                break
            hops += 1
        return address, min(hops, len(chain) - 1)  # the first is the client, wherever it is


@lru_cache(maxsize=4096)  # of clients, who seldom send one request alone
def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _value(header: str, hops: int) -> str:
    values = [value.strip(" \t") for value in header.split(",")]
    return values[max(0, len(values) - 1 - hops)]


def _with_port(host: str, port: str, scheme: str) -> str:
    """The host with the port that was named apart, unless it has one or it is the usual one."""
    number = int(port) if re.fullmatch(r"[0-9]{1,5}", port) else 0
    both = f"{host}:{number}"
    return host if number in (0, _PORTS[scheme]) or split_host(both) is None else both
