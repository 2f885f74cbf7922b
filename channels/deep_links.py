"""Signed payloads for links that open a chat with us (`t.me/<bot>?start=…`, a QR scene): who sent whom here.

A payload fits the narrowest place it travels in: 64 characters of A-Z a-z 0-9 _ - (Bot API, deep linking). Forging one
means guessing 96 bits; it names its kind, is bound to one account and ends by itself. Pure.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal

LinkKind = Literal["campaign", "customer", "continue"]

MAX_PAYLOAD: Final = 64  # characters, https://core.telegram.org/bots/features#deep-linking
_KINDS: Final[dict[LinkKind, int]] = {"campaign": 1, "customer": 2, "continue": 3}
_NAMES: Final = {number: kind for kind, number in _KINDS.items()}
_HEAD: Final = struct.Struct(">BI")  # kind, minute of 1970 in which it ends
_MAC_BYTES: Final = 12
MAX_ID_BYTES: Final = MAX_PAYLOAD * 3 // 4 - _HEAD.size - _MAC_BYTES  # of UTF-8


@dataclass(frozen=True, slots=True)
class DeepLink:
    """`id` is the campaign's name, the customer's number, or what is to be continued; at most 31 bytes."""

    kind: LinkKind
    id: str
    expires_at: datetime  # aware; kept to the minute, rounded up


def sign_link(link: DeepLink, keys: Sequence[bytes], *, account: str) -> str:
    """A payload that `verified_link` turns back into `link` for the same account (`telegram/main`) until it ends.

    Signed with the first key. Raises: ValueError for an empty or too long id, or an end the payload cannot hold.
    """
    name = link.id.encode()
    if not 1 <= len(name) <= MAX_ID_BYTES:
        raise ValueError(f"the id must have 1 to {MAX_ID_BYTES} bytes, it has {len(name)}")
    minute = -int(-link.expires_at.timestamp() // 60)
    if not 0 <= minute < 2**32:
        raise ValueError("the link must end after 1970 and within 8,000 years")
    body = _HEAD.pack(_KINDS[link.kind], minute) + name
    return base64.urlsafe_b64encode(body + _mac(keys[0], account, body)).rstrip(b"=").decode()


def verified_link(payload: str, keys: Sequence[bytes], *, account: str, now: datetime) -> DeepLink | None:
    """What a payload says; None when it is not ours, was made for another account, or is over."""
    if len(payload) > MAX_PAYLOAD or not payload.isascii():
        return None
    try:
        found = base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4))
    except (binascii.Error, ValueError):
        return None
    if len(found) <= _HEAD.size + _MAC_BYTES:
        return None
    body, mac = found[:-_MAC_BYTES], found[-_MAC_BYTES:]
    if not any(hmac.compare_digest(mac, _mac(key, account, body)) for key in keys):
        return None
    number, minute = _HEAD.unpack_from(body)
    expires_at = datetime.fromtimestamp(minute * 60, UTC) if minute * 60 < 253_402_300_800 else None  # year 10000
    kind = _NAMES.get(number)
    if kind is None or expires_at is None or expires_at <= now:
        return None
    return DeepLink(kind, body[_HEAD.size :].decode("utf-8", "replace"), expires_at)


def _mac(key: bytes, account: str, body: bytes) -> bytes:
    # A key of its own, so that nothing else signed by the secret key can be taken for a link.
    own = hmac.digest(key, b"frontdesk deep link", "sha256")
    return hmac.digest(own, account.encode() + b"\0" + body, "sha256")[:_MAC_BYTES]
