"""Addresses of e-mail, as far as they can be used everywhere: in ASCII, without quotes."""

from __future__ import annotations

import re
from email.headerregistry import Address
from typing import Final

# RFC 5321 section 4.1.2: Dot-string and Domain; section 4.5.3.1: how long they may be.
_ATOM: Final = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_ADDRESS: Final = re.compile(rf"(?=.{{1,64}}@){_ATOM}(?:\.{_ATOM})*@{_LABEL}(?:\.{_LABEL})*")
_LONGEST: Final = 254
_NAMED: Final = re.compile(r"(?P<name>[^<>\"]*?) *<(?P<address>[^<>]*)>")


def is_address(text: str) -> bool:
    """Whether e-mail can be sent there."""
    # What looks like an encoded word (RFC 2047) is one to `email`, and could be a line break.
    return len(text) <= _LONGEST and "=?" not in text and _ADDRESS.fullmatch(text) is not None


def sender(text: str) -> Address | None:
    """The address of `opus@example.org` or `OPUS <opus@example.org>`; None if it is none."""
    named = _NAMED.fullmatch(text)
    name, address = (named["name"], named["address"]) if named else ("", text)
    if not is_address(address) or not name.isprintable() or "=?" in name:
        return None
    return Address(display_name=name, addr_spec=address)
