"""Single fields of an update, read without trusting their types."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeGuard

from bot.errors import PayloadInvalid

Fields = Mapping[str, Any]


def object_in(fields: Fields, name: str) -> Fields:
    found = fields.get(name)
    if not isinstance(found, dict):
        raise PayloadInvalid(f"{name} is missing or no object")
    return found


def id_in(fields: Fields, name: str) -> str:
    found = fields.get(name)
    if not is_int(found):
        raise PayloadInvalid(f"{name} is missing or no integer")
    return str(found)


def text_in(fields: Fields, name: str) -> str:
    found = fields.get(name)
    return found if isinstance(found, str) else ""


def whole(text: str) -> str:
    """`text` without halves of surrogate pairs, which no store or encoder takes."""
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return text


def name_of(person: Fields) -> str:
    names = (text_in(person, "first_name"), text_in(person, "last_name"))
    return whole(" ".join(name for name in names if name) or text_in(person, "title"))


def topic_of(message: Fields) -> str:
    """The forum topic; `message_thread_id` alone may be a mere reply thread."""
    thread = message.get("message_thread_id")
    return str(thread) if message.get("is_topic_message") is True and is_int(thread) else ""


def replied_to(message: Fields) -> str:
    original = message.get("reply_to_message")
    return str(original["message_id"]) if isinstance(original, dict) and is_int(original.get("message_id")) else ""


def status_in(change: Fields, name: str) -> str:
    member = change.get(name)
    return text_in(member, "status") if isinstance(member, dict) else ""


def time_of(unix_s: Any, now: Callable[[], datetime]) -> datetime:
    """Telegram's clock; ours where it gave no usable time (0 stands for a message that is gone)."""
    if is_int(unix_s) and 0 < unix_s < 253_402_300_800:  # year 10000
        return datetime.fromtimestamp(unix_s, UTC)
    return now()


def is_int(found: Any) -> TypeGuard[int]:
    """An integer both databases can hold; Telegram's ids have at most 52 significant bits."""
    return isinstance(found, int) and not isinstance(found, bool) and -(2**63) <= found < 2**63


def is_number(found: Any) -> TypeGuard[float]:
    return (isinstance(found, float) and math.isfinite(found)) or is_int(found)


def number_in(fields: Fields, name: str) -> float:
    found = fields.get(name)
    return float(found) if is_number(found) else 0.0


def size_of(fields: Fields) -> int | None:
    found = fields.get("file_size")
    return found if is_int(found) and found >= 0 else None
