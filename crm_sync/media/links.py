"""Addresses of files: signed, for a limited time, so that nobody can make one up or keep one for ever."""

from __future__ import annotations

import base64
import hmac
import re
from collections.abc import Sequence
from typing import Final

from bot.errors import NotFound, SignatureInvalid

KEY: Final = re.compile(r"[A-Za-z0-9_-]{32}")
_EXPIRES: Final = re.compile(r"[1-9][0-9]{0,11}")


class LinkExpired(NotFound):
    """It was ours, and its time is over."""


class MediaLinks:
    """Signs with the first key, accepts any of them, so that keys can be rotated without breaking links."""

    def __init__(self, keys: Sequence[bytes], *, base_url: str, lasts_s: float) -> None:
        if not keys or not all(keys):
            raise ValueError("links need at least one non-empty secret key")
        # Derived, so that a link's signature can never be taken for anything else signed by the same secret key.
        self._keys = [hmac.digest(key, b"frontdesk media link", "sha256") for key in keys]
        self._base_url, self._lasts_s = base_url.rstrip("/"), lasts_s

    def link(self, key: str, *, now: float) -> str:
        """The address; it works until `now` (Unix seconds) plus the time set, at least."""
        # Rounded up, so that one file keeps one address for a while: browsers can cache it.
        step = max(int(self._lasts_s / 4), 1)
        expires = str((int(now + self._lasts_s) // step + 1) * step)
        return f"{self._base_url}/media/{key}?expires={expires}&signature={self._sign(self._keys[0], key, expires)}"

    def verify(self, key: str, expires: str, signature: str, *, now: float) -> None:
        """Returns when we made this link and its time is not over.

        Raises: SignatureInvalid, LinkExpired.
        """
        if not KEY.fullmatch(key) or not _EXPIRES.fullmatch(expires) or not signature.isascii():
            raise SignatureInvalid("not a link of ours")
        if not any(hmac.compare_digest(self._sign(secret, key, expires), signature) for secret in self._keys):
            raise SignatureInvalid("the link was not signed here")
        if int(expires) <= now:
            raise LinkExpired("the link is over")

    @staticmethod
    def _sign(secret: bytes, key: str, expires: str) -> str:
        digest = hmac.digest(secret, f"{key}\n{expires}".encode(), "sha256")
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
