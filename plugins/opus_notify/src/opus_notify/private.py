"""Secrets, which stand in files of their own that others cannot read."""

from __future__ import annotations

import base64
import binascii
import stat
from pathlib import Path
from typing import Final

from opus_core.errors import ConfigError

_LONGEST: Final = 65536  # [byte]
_PREFIX: Final = "whsec_"
_LEAST_KEY: Final = 24  # [byte], Standard Webhooks: Symmetric signatures


def password(path: Path) -> str:
    """What the file of `smtp_password_file` says. Raises `ConfigError`."""
    key = "smtp_password_file"
    found = _read(path, key).strip("\r\n")
    # SMTP's ways to sign in have no word for other characters (RFC 4954 has them prepared by both).
    if not found or not found.isascii() or not found.isprintable():
        raise _mistake(key, path, "has to hold one password, of printable ASCII characters")
    return found


def signing_keys(path: Path) -> tuple[bytes, ...]:
    """The keys in the file of `webhook_secret_file`, at least one. Raises `ConfigError`.

    A key is written as by Standard Webhooks: `whsec_` and its bytes in base64.
    """
    lines = [line.strip() for line in _read(path, "webhook_secret_file").splitlines()]
    keys = [_key(line, path) for line in lines if line]
    if not keys:
        raise _no_key(path)
    return tuple(keys)


def _key(line: str, path: Path) -> bytes:
    if not line.startswith(_PREFIX):
        raise _no_key(path)
    try:
        found = base64.b64decode(line.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        # from None: the cause may quote what is secret
        raise _no_key(path) from None
    if len(found) < _LEAST_KEY:
        raise _no_key(path)
    return found


def _no_key(path: Path) -> ConfigError:
    return _mistake(
        "webhook_secret_file",
        path,
        f"has to hold {_PREFIX} and at least {_LEAST_KEY} random bytes in base64 on each line, as"
        f' `echo "{_PREFIX}$(openssl rand -base64 32)"` prints it',
    )


def _read(path: Path, key: str) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise _mistake(key, path, "is no file")
        if mode & stat.S_IRWXO:
            raise _mistake(key, path, f"is open to everybody on this machine; chmod o= {path}")
        with path.open(encoding="ascii") as file:
            return file.read(_LONGEST)
    except OSError as error:
        raise _mistake(key, path, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise _mistake(key, path, "has characters that are not ASCII") from None


def _mistake(key: str, path: Path, what: str) -> ConfigError:
    return ConfigError(f"[plugins.notify] {key}: {path} {what}")
