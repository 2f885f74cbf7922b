"""Single fields of what WeCom sends, read without trusting their types."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from channels.fields import is_int, is_number, whole

JsonObject = Mapping[str, Any]


def object_in(fields: JsonObject, name: str) -> JsonObject:
    """The object under `name`; empty when there is none."""
    found = fields.get(name)
    return found if isinstance(found, dict) else {}


def text_in(fields: JsonObject, name: str) -> str:
    """The string under `name`, without halves of surrogate pairs; empty when there is none."""
    found = fields.get(name)
    return whole(found) if isinstance(found, str) else ""


def int_in(fields: JsonObject, name: str) -> int | None:
    found = fields.get(name)
    return found if is_int(found) else None


def number_in(fields: JsonObject, name: str) -> float | None:
    found = fields.get(name)
    return float(found) if is_number(found) else None


def degrees(text: str, limit: float) -> float | None:
    """A latitude (limit 90) or longitude (limit 180); None for what is none."""
    try:
        found = float(text)
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) <= limit else None


def time_of(unix_s: Any, now: Callable[[], datetime]) -> datetime:
    """The vendor's clock; ours where it gave no usable time."""
    if isinstance(unix_s, str):
        unix_s = int(unix_s) if unix_s.isascii() and unix_s.isdecimal() and len(unix_s) < 13 else None
    if is_int(unix_s) and 0 < unix_s < 253_402_300_800:  # year 10000
        return datetime.fromtimestamp(unix_s, UTC)
    return now()


def hashed(raw: bytes) -> str:
    """Inbox key of what has no id of its own that can be read."""
    return f"sha256:{hashlib.sha256(raw).hexdigest()}"
