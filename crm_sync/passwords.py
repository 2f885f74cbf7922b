"""Passwords: generated ones, and argon2id hashes, computed beside the event loop and a few at a time."""

from __future__ import annotations

import asyncio
import secrets
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

_HASHER = PasswordHasher()  # argon2-cffi's defaults are RFC 9106's low-memory profile
AT_ONCE: Final = 2  # each takes 64 MiB and a processor


def generated() -> str:
    """A password nobody guesses (96 bits)."""
    return secrets.token_urlsafe(12)


class Passwords:
    """Hashes and checks; whoever comes while others are checked waits, so that guessing does not slow everybody."""

    def __init__(self) -> None:
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        """What the store keeps of it."""
        async with self._turns:
            return await asyncio.to_thread(_HASHER.hash, password.encode("utf-8", "surrogatepass"))

    async def fits(self, hashed: str, password: str) -> bool:
        """Whether it is the password; without a hash (nobody, or no password set) never, in the same time."""
        async with self._turns:
            return await asyncio.to_thread(_fits, hashed, password)

    def is_outdated(self, hashed: str) -> bool:
        """Whether it was made with other costs than a hash of today."""
        return _HASHER.check_needs_rehash(hashed)


def _fits(hashed: str, password: str) -> bool:
    decoy = _decoy()  # made on the first check of all, whoever it is about
    try:
        fits = _HASHER.verify(hashed or decoy, password.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
    return fits and bool(hashed)


@cache
def _decoy() -> str:
    return _HASHER.hash(secrets.token_bytes(16))
