"""Passwords, kept as scrypt hashes that carry their own cost (RFC 7914).

A check costs a third of a second and 32 MiB on purpose, so only a few are made at once.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import re
import threading
from typing import Final

from opus_core.errors import BadRequest

SHORTEST: Final = 12  # characters
LONGEST: Final = 1024

_COST: Final = (2**15, 8, 3)  # of the OWASP cheat sheet on password storage
_DIFFERENT: Final = 6  # characters at least
_HASH: Final = re.compile(r"scrypt\$(\d{1,8})\$(\d{1,2})\$(\d{1,2})\$([\w+/=]+)\$([\w+/=]+)")
_AT_ONCE: Final = threading.Semaphore(2)


def hashed(password: str) -> str:
    """What is stored of a password."""
    salt = os.urandom(16)
    n, r, p = _COST
    return f"scrypt${n}${r}${p}${_text(salt)}${_text(_scrypt(password, salt, n, r, p))}"


def is_right(password: str, stored: str | None) -> bool:
    """Whether the password is the stored one; takes as long if there is none."""
    match = _HASH.fullmatch(stored or _NONE)
    if match is None or len(password) > LONGEST:
        return False
    n, r, p = (int(match[number]) for number in (1, 2, 3))
    found = _scrypt(password, base64.b64decode(match[4]), n, r, p)
    return hmac.compare_digest(found, base64.b64decode(match[5])) and stored is not None


def check(password: str, name: str) -> None:
    """Raise `BadRequest` for a password that is easily guessed."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise BadRequest(
            f"a password has {SHORTEST} to {LONGEST} characters; take a few words that do not"
            " belong together"
        )
    folded = password.casefold()
    if len(set(folded)) < _DIFFERENT or len(folded.replace(name.casefold(), "")) < SHORTEST - 4:
        raise BadRequest(
            "that password is too easily guessed; take a few words that do not belong together"
        )


def _scrypt(password: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    with _AT_ONCE:
        return hashlib.scrypt(
            password.encode("utf-8", "surrogatepass"),
            salt=salt,
            n=n,
            r=r,
            p=p,
            maxmem=256 * n * r,
            dklen=32,
        )


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode()


_NONE: Final = "scrypt${}${}${}${}${}".format(*_COST, _text(bytes(16)), _text(bytes(32)))
