"""Time-based codes (RFC 6238: SHA-1, six digits, 30 s) and recovery codes; pure, the store is somebody else's."""

from __future__ import annotations

import hmac
import re
import secrets
from base64 import b32encode
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import pyotp

STEP_S: Final = 30
DRIFT: Final = 1  # steps a clock may be off either way
RECOVERY_CODES: Final = 10
_CODE: Final = re.compile(r"[0-9]{6}", re.ASCII)


def new_secret() -> str:
    """160 bits in base32, as RFC 4226 recommends."""
    return pyotp.random_base32(32)


def address(secret: str, *, name: str, issuer: str) -> str:
    """The otpauth address that an authenticator app reads from a QR code."""
    return pyotp.TOTP(secret).provisioning_uri(name=name, issuer_name=issuer)


def step_of(secret: str, code: str, now: datetime, *, after: int) -> int | None:
    """The time step whose code this is, one later than `after`; None when it is none: each code serves once."""
    plain = tidy(code)
    if _CODE.fullmatch(plain) is None:
        return None
    totp, current = pyotp.TOTP(secret, interval=STEP_S), int(now.timestamp()) // STEP_S
    fitting = [
        step
        for step in range(current - DRIFT, current + DRIFT + 1)
        if hmac.compare_digest(totp.generate_otp(step), plain)
    ]
    return next((step for step in fitting if step > after), None)


def new_recovery_codes() -> tuple[str, ...]:
    """Ten codes of 50 random bits, written in two groups."""
    codes = (b32encode(secrets.token_bytes(10)).decode()[:10] for _ in range(RECOVERY_CODES))
    return tuple(f"{code[:5]}-{code[5:]}" for code in codes)


def tidy(code: str) -> str:
    """The code as it was given out, however it was typed."""
    return re.sub(r"[\s-]", "", code)[:40].upper()


def without(hashes: Sequence[str], used: str) -> list[str]:
    """The recovery codes that are left."""
    return [each for each in hashes if each != used]
