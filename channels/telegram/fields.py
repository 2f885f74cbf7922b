"""Single fields of an update, read without trusting their types."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from bot.errors import PayloadInvalid
from channels.fields import Fields, is_int, is_number, number_in, object_in, text_in, whole

__all__ = [
    "Fields",
    "id_in",
    "is_int",
    "is_number",
    "name_of",
    "number_in",
    "object_in",
    "replied_to",
    "size_of",
    "status_in",
    "text_in",
    "time_of",
    "topic_of",
    "whole",
]

GENERAL_TOPIC = 1  # tdlib's number for it; sendMessage refuses it, so it is addressed by naming none


def id_in(fields: Fields, name: str) -> str:
    found = fields.get(name)
    if not is_int(found):
        raise PayloadInvalid(f"{name} is missing or no integer")
    return str(found)


def name_of(person: Fields) -> str:
    names = (text_in(person, "first_name"), text_in(person, "last_name"))
    return whole(" ".join(name for name in names if name) or text_in(person, "title"))


def topic_of(message: Fields) -> str:
    """The forum topic, empty for the general one; `message_thread_id` alone may be a mere reply thread."""
    thread = message.get("message_thread_id")
    if message.get("is_topic_message") is not True or not is_int(thread) or thread == GENERAL_TOPIC:
        return ""
    return str(thread)


def replied_to(message: Fields) -> str:
    """The message answered. In a forum every message hangs on the notice that opened its topic: that is no answer."""
    original = message.get("reply_to_message")
    if not isinstance(original, dict) or "forum_topic_created" in original:
        return ""
    return str(original["message_id"]) if is_int(original.get("message_id")) else ""


def status_in(change: Fields, name: str) -> str:
    member = change.get(name)
    return text_in(member, "status") if isinstance(member, dict) else ""


def time_of(unix_s: Any, now: Callable[[], datetime]) -> datetime:
    """Telegram's clock; ours where it gave no usable time (0 stands for a message that is gone)."""
    if is_int(unix_s) and 0 < unix_s < 253_402_300_800:  # year 10000
        return datetime.fromtimestamp(unix_s, UTC)
    return now()


def size_of(fields: Fields) -> int | None:
    found = fields.get("file_size")
    return found if is_int(found) and found >= 0 else None
