"""Which hosts inputs may be fetched from, when a client gives one as a URL.

A server that fetches what strangers name can be made to ask its own neighbours: a database on
loopback, a router, the metadata of a cloud. So nothing is fetched unless the site says from where,
and what counts is the address that is connected to, not the name that led there.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import SplitResult, urlsplit

from opus_core.errors import BadRequest, NotAllowed
from opus_core.values import fits_xml, shown

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PUBLIC: Final = "public"
LONGEST: Final = 2048  # characters of a URL

_NAME: Final = re.compile(r"(?:\*\.)?[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,251}[A-Za-z0-9_])?")
_NOT_IN_URL: Final = re.compile(r"[\x00-\x20\x7f<>\"\\^`{|}]")
# Beside what `ipaddress` calls not global or multicast, which differs between releases of Python:
# the registries of RFC 6890 as they are now, and ways to write one address within another.
_SPECIAL: Final = tuple(
    map(
        ipaddress.ip_network,
        (
            "0.0.0.0/8 100.64.0.0/10 192.0.0.0/24 192.88.99.0/24 198.18.0.0/15 240.0.0.0/4"
            " ::/96 64:ff9b:1::/48 100::/64 2001::/23 2001:db8::/32 2002::/16 3fff::/20 5f00::/16"
            " fc00::/7 fe80::/10 fec0::/10 ff00::/8"
        ).split(),
    )
)
_NAT64: Final = ipaddress.IPv6Network("64:ff9b::/96")


@dataclass(frozen=True, slots=True, kw_only=True)
class Hosts:
    """What a site allows. Nothing at all: no input is fetched.

    A name allows that host wherever it is, also within the site; `*.` before a name all hosts
    below it, and `public` every host, both at public addresses alone; a network every host that
    has an address in it.
    """

    names: frozenset[str] = frozenset()
    below: tuple[str, ...] = ()  # `.example.org`
    networks: tuple[Network, ...] = ()
    public: bool = False

    @property
    def any(self) -> bool:
        """Whether anything is fetched at all."""
        return bool(self.names or self.below or self.networks or self.public)

    def check(self, url: str) -> SplitResult:
        """The URL, taken apart; what can be said of it without asking anybody.

        Raises `BadRequest` if it is none that can be fetched, `NotAllowed` if its host is not one
        of these.
        """
        if not self.any:
            raise NotAllowed(
                f"{shown(url)} cannot be fetched: this server fetches no files; download it and"
                " upload it"
            )
        parts, host = taken_apart(url)
        literal = _address(host)
        possible = self.permits(host, host) if literal else bool(self.networks) or self._named(host)
        if not possible:
            raise NotAllowed(
                f"{shown(url)} cannot be fetched: this server fetches nothing from {shown(host)};"
                " download it and upload it"
            )
        return parts

    def permits(self, host: str, address: str) -> bool:
        """Whether to connect to this address, which the name of the host has led to."""
        found = _address(address)
        if found is None:
            return False
        if host in self.names or any(
            found.version == network.version and found in network for network in self.networks
        ):
            return True
        return is_public(found) and self._named(host)

    def _named(self, host: str) -> bool:
        return self.public or host in self.names or host.endswith(self.below or "\0")


def parse(entries: Iterable[str]) -> Hosts:
    """What a list in the configuration allows; `ValueError` for an entry that is nothing."""
    names: set[str] = set()
    below: list[str] = []
    networks: list[Network] = []
    public = False
    for entry in entries:
        try:
            networks.append(ipaddress.ip_network(entry))
            continue
        except ValueError:
            pass  # so it is a name
        if entry == PUBLIC:
            public = True
        elif not _NAME.fullmatch(entry):
            raise ValueError(
                f'{entry!r} is no host, such as "archive.example.org", "*.example.org" or'
                ' "192.0.2.0/24"; "public" stands for all public ones'
            )
        elif entry.startswith("*."):
            below.append(entry[1:].lower())
        else:
            names.add(entry.lower())
    return Hosts(
        names=frozenset(names), below=tuple(below), networks=tuple(networks), public=public
    )


def host_of(parts: SplitResult) -> str:
    """The host of a URL that was checked, as its name is asked for and compared."""
    return taken_apart(parts.geturl())[1]


def is_public(address: Address) -> bool:
    """Whether an address belongs to the whole Internet, whatever it is written within."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
    special = any(address.version == network.version and address in network for network in _SPECIAL)
    return address.is_global and not address.is_multicast and not special


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def taken_apart(url: str) -> tuple[SplitResult, str]:
    """The parts of a URL of http or https, and its host in lower case and ASCII, without a dot at
    its end. Raises `BadRequest` for what is none, or names a user."""
    refused = f"{shown(url)} cannot be fetched"
    # urlsplit takes line breaks out without a word.
    if len(url) > LONGEST or _NOT_IN_URL.search(url) or not fits_xml(url):
        raise BadRequest(f"{refused}: it is too long, or has characters that no URL has")
    try:
        parts = urlsplit(url)
        port = parts.port
        host = (parts.hostname or "").encode("idna").decode().lower().removesuffix(".")
    except ValueError as error:  # UnicodeError among them
        raise BadRequest(f"{refused}: it is no URL") from error
    if parts.scheme not in ("http", "https"):
        raise BadRequest(f"{refused}: send a URL of http or https")
    if not host or port == 0 or "%" in host:
        raise BadRequest(f"{refused}: it names no host")
    if "@" in parts.netloc:
        raise BadRequest(f"{refused}: leave out the user and password before the host")
    return parts, host
