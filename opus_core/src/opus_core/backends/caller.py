"""Who is asking, and what a plugin sees of the request."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from ipaddress import ip_network


@dataclass(frozen=True, slots=True, kw_only=True)
class User:
    """Who is asking."""

    name: str | None  # None: anonymous
    roles: frozenset[str] = frozenset()
    scopes: frozenset[str] | None = None  # what a token was given of them; None: everything
    address: str = ""

    @property
    def anonymous(self) -> bool:
        """Nobody known."""
        return self.name is None

    @property
    def quota_key(self) -> str:
        """What quotas are counted by: the name, or the address of somebody anonymous; of IPv6 its
        network, for whoever has one address there has all 2**64 (RFC 6177)."""
        if self.name is not None:
            return f"user:{self.name}"
        address = self.address
        with suppress(ValueError):
            if ":" in address:
                address = str(ip_network(f"{address.partition('%')[0]}/64", strict=False))
        return f"address:{address}"


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestView:
    """What an authentication plugin sees of a request."""

    method: str
    path: str
    headers: Mapping[str, str]  # names in lower case
    remote_addr: str
    remote_user: str | None
