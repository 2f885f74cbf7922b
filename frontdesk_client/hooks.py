"""For who receives webhooks: whether a request is genuine."""

from __future__ import annotations

import hashlib
import hmac
import time


class BadSignature(Exception):
    """The request was not signed with this secret, or too long ago."""


def verify(secret: str, header: str, body: bytes, *, tolerance_s: float = 300, now: float | None = None) -> None:
    """The body was signed with the secret within the tolerance. `header`: that of `Frontdesk-Signature`.

    Raises: BadSignature.
    """
    parts = dict(part.partition("=")[::2] for part in header.split(","))
    stamp = parts.get("t", "")
    if not (stamp.isascii() and stamp.isdecimal()) or len(stamp) > 12:
        raise BadSignature("no time of signing")
    expected = hmac.new(secret.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if not hmac.compare_digest(expected.encode(), parts.get("v1", "").encode("utf-8", "replace")):
        raise BadSignature("signed with another secret")
    if abs((time.time() if now is None else now) - int(stamp)) > tolerance_s:
        raise BadSignature("signed too long ago")
