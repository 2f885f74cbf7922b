"""One key per purpose from the secret keys, and secrets that lie in the store sealed with them."""

from __future__ import annotations

import hashlib
import hmac
import os
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from bot.errors import Misconfigured

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

AUDIT: Final = "audit chain"  # purpose of the keys that an open store writes the audit log with
_NONCE: Final = 12  # bytes, as NIST SP 800-38D wants for GCM


def purpose_keys(keys: Sequence[bytes], purpose: str) -> tuple[bytes, ...]:
    """One 256-bit key for each secret key, in their order; what is known of one says nothing of another purpose's.

    HKDF-SHA-256 (RFC 5869) without a salt, one block long. Every process derives keys when it starts, and the library
    that has it costs each 10 MB.
    """
    info = f"frontdesk {purpose}".encode()
    return tuple(_hmac(_hmac(bytes(32), key), info + b"\x01") for key in keys)


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.digest(key, message, hashlib.sha256)


class Marks:
    """Marks (HMAC-SHA-256) under the keys of one purpose: the first makes them, all of them check."""

    def __init__(self, keys: Sequence[bytes], purpose: str) -> None:
        self._keys = purpose_keys(keys, purpose)

    def make(self, *parts: str) -> str:
        """43 characters that only who has the key can compute from these parts."""
        return _mark(self._keys[0], parts)

    def all(self, *parts: str) -> tuple[str, ...]:
        """The mark under every key, the signing one first: to look for what was written before a rotation."""
        return tuple(_mark(key, parts) for key in self._keys)

    def fits(self, mark: str, *parts: str) -> bool:
        """Whether one of the keys made this mark of these parts; takes as long either way."""
        given = mark.encode("utf-8", "surrogatepass")
        agreed = [hmac.compare_digest(made.encode(), given) for made in self.all(*parts)]
        return any(agreed)


class Seal:
    """Secrets encrypted (AES-256-GCM) under the keys of one purpose: the first seals, all of them open."""

    def __init__(self, keys: Sequence[bytes], purpose: str) -> None:
        self._keys = {_key_id(key): key for key in purpose_keys(keys, purpose)}

    def seal(self, secret: str, context: str) -> str:
        """The secret as text for the store. It opens for this `context` only, so that rows cannot be exchanged."""
        key_id, key = next(iter(self._keys.items()))
        nonce = os.urandom(_NONCE)
        sealed = _cipher(key).encrypt(nonce, secret.encode(), context.encode())
        return f"{key_id}.{urlsafe_b64encode(nonce + sealed).decode()}"

    def open(self, sealed: str, context: str) -> str:
        """The secret. Raises: Misconfigured when its key is gone from the settings, or the text was changed."""
        key_id, _, body = sealed.partition(".")
        key = self._keys.get(key_id)
        if key is None:
            raise Misconfigured(
                "FRONTDESK_SECRET_KEY", "a stored secret was sealed with a key that is not set any more"
            )
        from cryptography.exceptions import InvalidTag

        try:
            raw = urlsafe_b64decode(body)
            return _cipher(key).decrypt(raw[:_NONCE], raw[_NONCE:], context.encode()).decode()
        except (InvalidTag, ValueError) as exc:
            raise Misconfigured("store", "a sealed secret was changed") from exc

    def is_current(self, sealed: str) -> bool:
        """Whether the signing key sealed it; what another one did is sealed anew on occasion."""
        return sealed.partition(".")[0] == next(iter(self._keys))


def _cipher(key: bytes) -> AESGCM:
    """Loaded when something is sealed or opened: most processes never do either, and it takes 10 MB."""
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    return AESGCM(key)


def _mark(key: bytes, parts: Sequence[str]) -> str:
    mac = hmac.new(key, digestmod=hashlib.sha256)
    for part in parts:  # with their lengths, so that ("ab", "c") is not ("a", "bc")
        encoded = part.encode("utf-8", "surrogatepass")
        mac.update(b"%d:" % len(encoded) + encoded)
    return urlsafe_b64encode(mac.digest()).rstrip(b"=").decode()


def _key_id(key: bytes) -> str:
    return hashlib.sha256(b"id" + key).hexdigest()[:8]
