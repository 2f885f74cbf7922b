"""Passwords: generated ones, and argon2id hashes, computed beside the event loop and a few at a time."""

from __future__ import annotations

import asyncio
import secrets
from functools import cache
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

STANDARD: Final = PasswordHasher()  # argon2-cffi's defaults are RFC 9106's low-memory profile
AT_ONCE: Final = 2  # each takes 64 MiB and a processor


def generated() -> str:
    """A password nobody guesses (96 bits)."""
    return secrets.token_urlsafe(12)


class Passwords:
    """Hashes and checks; whoever comes while others are checked waits, so that guessing does not slow everybody."""

    def __init__(self, hasher: PasswordHasher = STANDARD) -> None:
        """`hasher` says what a hash costs whoever makes or checks it."""
        self._hasher, self._turns = hasher, asyncio.Semaphore(AT_ONCE)

    async def hash(self, password: str) -> str:
        """What the store keeps of it."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, password.encode("utf-8", "surrogatepass"))

    async def fits(self, hashed: str, password: str) -> bool:
        """Whether it is the password; without a hash (nobody, or no password set) never, in the same time."""
        async with self._turns:
            return await asyncio.to_thread(_fits, self._hasher, hashed, password)

    def is_outdated(self, hashed: str) -> bool:
        """Whether it was made with other costs than a hash of today."""
        return self._hasher.check_needs_rehash(hashed)


def _fits(hasher: PasswordHasher, hashed: str, password: str) -> bool:
    decoy = _decoy(hasher)  # made on the first check of all, whoever it is about
    try:
        fits = hasher.verify(hashed or decoy, password.encode("utf-8", "surrogatepass"))
    except (VerificationError, InvalidHashError):
        return False
    return fits and bool(hashed)


@cache
def _decoy(hasher: PasswordHasher) -> str:
    return hasher.hash(secrets.token_bytes(16))
