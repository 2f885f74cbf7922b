"""A typed client of Frontdesk's API: `async with Frontdesk("https://desk.example", token) as desk: …`."""

from __future__ import annotations

from frontdesk_client.client import Frontdesk
from frontdesk_client.errors import (
    ApiError,
    Changed,
    Conflict,
    Invalid,
    NotAuthenticated,
    NotFound,
    NotPermitted,
    TooManyRequests,
    Unavailable,
)
from frontdesk_client.hooks import BadSignature, verify

__all__ = [
    "ApiError",
    "BadSignature",
    "Changed",
    "Conflict",
    "Frontdesk",
    "Invalid",
    "NotAuthenticated",
    "NotFound",
    "NotPermitted",
    "TooManyRequests",
    "Unavailable",
    "verify",
]
