"""Telegram updates to what the inbox takes: careful dict reading, so that a field nobody has seen yet breaks nothing.

Field names and meanings: https://core.telegram.org/bots/api (Bot API 10.0).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Any

from bot.errors import PayloadInvalid
from bot.types import InboundMessage, Received
from channels.fields import read_json
from channels.telegram.fields import Fields, is_int, object_in, time_of
from channels.telegram.messages import read_message
from channels.telegram.other_updates import read_callback, read_membership, read_other, read_reaction
from channels.telegram.reading import CHANNEL, Reading

__all__ = ["CHANNEL", "Reading", "decode_body", "decode_update"]


def decode_body(body: bytes, reading: Reading) -> Received:
    """One webhook body; genuine bytes that are no readable update become a Received without a message."""
    try:
        update = read_json(body)
    except PayloadInvalid as exc:
        return _unreadable(body, reading, None, str(exc))
    return decode_update(update, body, reading)


def decode_update(update: Any, raw: bytes, reading: Reading) -> Received:
    """One parsed update. Never raises: what cannot be read is said in `reason`."""
    update_id = update.get("update_id") if isinstance(update, dict) else None
    if not is_int(update_id):
        return _unreadable(raw, reading, None, "no update_id")
    try:
        message = _message_of(update, str(update_id), reading)
    except PayloadInvalid as exc:
        return _unreadable(raw, reading, update_id, str(exc))
    return Received(CHANNEL, reading.account, str(update_id), raw, message)


def _unreadable(raw: bytes, reading: Reading, update_id: int | None, reason: str) -> Received:
    key = str(update_id) if update_id is not None else "sha256:" + hashlib.sha256(raw).hexdigest()
    return Received(CHANNEL, reading.account, key, raw, None, reason)


def _message_of(update: Fields, key: str, reading: Reading) -> InboundMessage:
    if update.get("message") is not None:
        return read_message(object_in(update, "message"), key, reading)
    if update.get("callback_query") is not None:
        return read_callback(object_in(update, "callback_query"), key, reading)
    if update.get("edited_message") is not None:
        edited = object_in(update, "edited_message")
        message = read_message(edited, key, reading)
        edited_at = time_of(edited.get("edit_date"), reading.now)
        return replace(message, edits=message.vendor_message_id, sent_at=edited_at, wants_turn=False)
    if update.get("my_chat_member") is not None:
        return read_membership(object_in(update, "my_chat_member"), key, reading)
    if update.get("message_reaction") is not None:
        return read_reaction(object_in(update, "message_reaction"), key, reading)
    return read_other(update, key, reading)
