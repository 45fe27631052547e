"""The signature of what is posted: Standard Webhooks 1.0, symmetric, scheme `v1`."""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Iterable


def headers(keys: Iterable[bytes], identity: str, seconds: int, body: bytes) -> dict[str, str]:
    """The headers by which a receiver knows who posts, what, and when (`seconds` since 1970).

    With several keys one signature each: while a receiver changes its key, one of them fits.
    """
    content = b".".join((identity.encode(), str(seconds).encode(), body))
    signatures = (hmac.new(key, content, hashlib.sha256).digest() for key in keys)
    return {
        "webhook-id": identity,
        "webhook-timestamp": str(seconds),
        "webhook-signature": " ".join(f"v1,{base64.b64encode(one).decode()}" for one in signatures),
    }
