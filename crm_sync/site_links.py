"""The link a site works with: no account, one task, for a limited time. Forging one means guessing 128 bits.

A token names its task, the serial of the link and when it ends. Raising the task's serial ends every link given out
before; that is looked up only after the token itself was found genuine.
"""

from __future__ import annotations

import base64
import hmac
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from bot.errors import SignatureInvalid
from crm_sync.media.links import LinkExpired

_BODY: Final = struct.Struct(">QIQ")  # task, serial, second of 1970 in which it ends
_MAC_BYTES: Final = 16
_TOKEN: Final = re.compile(r"[A-Za-z0-9_-]{48}")  # exactly: the decoder would pass over other characters


@dataclass(frozen=True, slots=True)
class SiteToken:
    """What a genuine token says."""

    task_id: int
    serial: int
    expires_at: datetime


class SiteLinks:
    """Signs with the first key, accepts any of them, so that keys can be rotated without breaking links."""

    def __init__(self, keys: Sequence[bytes], *, base_url: str) -> None:
        if not keys or not all(keys):
            raise ValueError("links need at least one non-empty secret key")
        # Derived, so that nothing else signed by the secret key can be taken for a site's link.
        self._keys = [hmac.digest(key, b"frontdesk site link", "sha256") for key in keys]
        self._base_url = base_url.rstrip("/")

    def link(self, task_id: int, serial: int, expires_at: datetime) -> str:
        """The address; it works until `expires_at` or until the task's serial is raised."""
        body = _BODY.pack(task_id, serial, int(expires_at.timestamp()))
        return f"{self._base_url}/site/{base64.urlsafe_b64encode(body + _mac(self._keys[0], body)).decode()}"

    def verify(self, token: str, now: datetime) -> SiteToken:
        """What the token says, when we made it and its time is not over. Raises: SignatureInvalid, LinkExpired."""
        if not _TOKEN.fullmatch(token):
            raise SignatureInvalid("not a link of ours")
        found = base64.urlsafe_b64decode(token)
        body, mac = found[:-_MAC_BYTES], found[-_MAC_BYTES:]
        if not any(hmac.compare_digest(mac, _mac(key, body)) for key in self._keys):
            raise SignatureInvalid("the link was not signed here")
        task_id, serial, second = _BODY.unpack(body)
        expires_at = datetime.fromtimestamp(second, UTC)
        if expires_at <= now:
            raise LinkExpired("the link is over")
        return SiteToken(task_id, serial, expires_at)


def _mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, body, "sha256")[:_MAC_BYTES]
