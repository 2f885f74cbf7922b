"""Addresses of our own that stand for a link in one person's message, so that a click is known to be theirs. Pure.

A token is the recipient's and the link's number and a proof of 80 bits that we gave it out; it names nobody.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Sequence
from typing import Final, NamedTuple

PATH: Final = "/r/"
MAX_TOKEN: Final = 40  # characters
_NUMBERS: Final = struct.Struct(">QI")
_PROOF_BYTES: Final = 10


class ShortLink(NamedTuple):
    recipient_id: int
    link_id: int


def sign(link: ShortLink, keys: Sequence[bytes]) -> str:
    """The token for a link of a recipient, made with the first key."""
    body = _NUMBERS.pack(*link).lstrip(b"\0")
    return base64.urlsafe_b64encode(body + _proof(keys[0], body)).rstrip(b"=").decode()


def verified(token: str, keys: Sequence[bytes]) -> ShortLink | None:
    """What a token stands for; None when we never gave it out."""
    if len(token) > MAX_TOKEN or not token.isascii():
        return None
    try:
        found = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
    except (binascii.Error, ValueError):
        return None
    body, proof = found[:-_PROOF_BYTES], found[-_PROOF_BYTES:]
    if not body or len(body) > _NUMBERS.size:
        return None
    if not any(hmac.compare_digest(proof, _proof(key, body)) for key in keys):
        return None
    return ShortLink(*_NUMBERS.unpack(body.rjust(_NUMBERS.size, b"\0")))


def _proof(key: bytes, body: bytes) -> bytes:
    # A key of its own, so that nothing else signed by the secret key can be taken for a short link.
    own = hmac.digest(key, b"frontdesk short link", "sha256")
    return hmac.digest(own, body, "sha256")[:_PROOF_BYTES]
