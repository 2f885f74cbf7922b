"""LINE webhook events to InboundMessages: careful dict reading, so that a field nobody has seen yet breaks nothing.

Names and meanings: https://developers.line.biz/en/reference/messaging-api/#webhook-event-objects (checked 2026-11).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from bot.errors import PayloadInvalid
from bot.types import Button, Content, Event, Identity, InboundMessage, Location, Media, Received, Text, Unsupported
from channels.fields import Fields, is_number, kept_in, number_in, object_in, read_json, text_in, time_of, write_json
from channels.webhook import parked

CHANNEL = "line"
_FILES: dict[str, Any] = {"file": "document"} | {kind: kind for kind in ("image", "video", "audio", "sticker")}
# Events that only report something -> the part of them that says more about it.
_REPORTS = {
    "join": "", "leave": "", "memberJoined": "joined", "memberLeft": "left", "videoPlayComplete": "videoPlayComplete",
    "beacon": "beacon", "membership": "membership", "unfollow": "", "follow": "follow", "accountLink": "link",
}  # fmt: skip


def decode_body(body: bytes, account: str, *, groups: bool) -> list[Received]:
    """Every event of one webhook body; with `groups`, messages in groups and rooms want a turn too.

    Raises: PayloadInvalid when the whole of it is unreadable.
    """
    document = read_json(body)
    events = document.get("events") if isinstance(document, dict) else None
    if not isinstance(events, list):
        raise PayloadInvalid("there is no list of events")
    if len(events) == 1:
        return [_received(events[0], body, account, groups)]
    return [_received(event, write_json({**document, "events": [event]}), account, groups) for event in events]


def _received(event: Any, raw: bytes, account: str, groups: bool) -> Received:
    key = text_in(event, "webhookEventId") if isinstance(event, dict) else ""  # the same in every redelivery
    if not key:
        return parked(CHANNEL, account, raw, "no webhookEventId")
    try:
        return Received(CHANNEL, account, key, raw, _message(event, account, key, groups))
    except PayloadInvalid as exc:
        return parked(CHANNEL, account, raw, str(exc), key)


def _message(event: Fields, account: str, key: str, groups: bool) -> InboundMessage:
    source, kind = object_in(event, "source"), text_in(event, "type")
    group = text_in(source, "groupId") or text_in(source, "roomId")
    sender = text_in(source, "userId") or group  # in groups LINE may keep to itself who it was
    if not sender:
        raise PayloadInvalid("the event names nobody")
    told = InboundMessage(
        sender=Identity(CHANNEL, account, sender),
        chat_id=group or sender,
        dedupe_key=key,
        content=Unsupported(kind or "empty"),
        sent_at=time_of(number_in(event, "timestamp") / 1000),
        wants_turn=False,
    )
    may_answer = (not group or groups) and event.get("mode") != "standby"  # another system answers at the moment
    if kind in {"message", "messageEdited"}:
        message = object_in(event, "message")
        told = replace(told, content=_content(message), vendor_message_id=text_in(message, "id"))
        if kind == "messageEdited":
            return replace(told, edits=told.vendor_message_id)
        return replace(told, reply_to=text_in(message, "quotedMessageId"), wants_turn=may_answer)
    if kind == "postback":
        return replace(told, content=_pressed(object_in(event, "postback")), wants_turn=may_answer)
    if kind == "unsend":  # the message shows nothing from now on, as its author wishes
        return replace(told, content=Event("unsent"), edits=text_in(object_in(event, "unsend"), "messageId"))
    return replace(told, content=_reported(kind, event)) if kind in _REPORTS else told


def _content(message: Fields) -> Content:
    kind, message_id = text_in(message, "type"), text_in(message, "id")
    if kind == "text" and isinstance(message.get("text"), str):
        return Text(message["text"])  # LINE's own emoji stand in it as (name), mentions as @name
    if kind == "location" and is_number(message.get("latitude")) and is_number(message.get("longitude")):
        place = text_in(message, "title"), text_in(message, "address")
        return Location(number_in(message, "latitude"), number_in(message, "longitude"), *place)
    if kind in _FILES and message_id:
        words, name = text_in(message, "text"), text_in(message, "fileName")  # a customer may type onto a sticker
        size, seconds = int(number_in(message, "fileSize")), number_in(message, "duration") / 1000
        known = size if 0 < size < 2**53 else None
        return Media(_FILES[kind], message_id, words, name, size=known, duration_s=seconds or None)
    if kind in {"text", "location", *_FILES}:
        raise PayloadInvalid(f"the {kind} lacks what makes it one")
    return Unsupported(kind or "empty")


def _pressed(postback: Fields) -> Content:
    """Our button, or the day somebody chose in a date picker, which is an answer in words."""
    chosen = text_in(kept_in(postback, "params"), "date")
    return Text(chosen) if chosen else Button(text_in(postback, "data"))


def _reported(kind: str, event: Fields) -> Event:
    told = {name: value for name, value in kept_in(event, _REPORTS[kind]).items() if name != "nonce"}
    if kind == "follow":
        return Event("unblocked" if told.get("isUnblocked") is True else "followed")
    return Event("blocked" if kind == "unfollow" else kind, told)
