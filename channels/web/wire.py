"""JSON of the web channel: what visitors may send, and the one shape of every refusal. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

import orjson

from bot.errors import InputError
from bot.types import Button, Content, Event, Identity, InboundMessage, Location, Media, Received, Text
from channels.web.tokens import Session

CHANNEL = "web"
MAX_TEXT = 20_000  # code points
MAX_ID = 64
MAX_USER = 128
MAX_NAME = 100
MAX_BUTTON = 256
MAX_MEDIA_ID = 128
MAX_EMAIL = 254  # RFC 5321: a path of 256 octets less its brackets
MAX_WELCOME = 300
WELCOME_EVENT = "welcome_answered"  # the sentence beside the closed chat that a visitor replied to
PROFILE_EVENT = "profile"  # what a visitor told in the form before the chat; see bot/events.py
MAX_SEQ = 2**53 - 1  # the largest integer a browser keeps exact

_LONE_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")
_LANGUAGE_TAG = re.compile(r"[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8}){0,4}\Z")


class Refused(InputError):
    """A request we answer with this status and `{"error": {"code", "message"}}`; nothing was stored."""

    def __init__(self, status: int, code: str, message: str, headers: Sequence[tuple[bytes, bytes]] = ()) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.headers = status, code, message, headers

    def body(self) -> bytes:
        return orjson.dumps({"error": {"code": self.code, "message": self.message}})


def _invalid(message: str) -> Refused:
    return Refused(422, "invalid", message)


def read_object(body: bytes) -> dict[str, Any]:
    """The JSON object in `body`.

    Half an emoji, cut by a careless client into an escape like \\ud83d, is kept as it came.
    Raises: Refused 400 for anything that is not JSON in UTF-8, 422 for JSON that is not an object.
    """
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as exc:
        if not _LONE_SURROGATE_ESCAPE.search(body):
            raise Refused(400, "invalid_json", "the body is not valid JSON in UTF-8") from exc
        document = _read_leniently(body)
    if not isinstance(document, dict):
        raise _invalid("the body must be a JSON object")
    return document


def _read_leniently(body: bytes) -> Any:
    try:
        return json.loads(body.decode())
    except (ValueError, RecursionError) as exc:
        raise Refused(400, "invalid_json", "the body is not valid JSON in UTF-8") from exc


def dump_event(event: Mapping[str, Any]) -> bytes:
    """One line of JSON in UTF-8; lone surrogates leave as the escapes they came as."""
    try:
        return orjson.dumps(event)
    except orjson.JSONEncodeError:
        return json.dumps(event, ensure_ascii=True).encode()


def read_content(document: Mapping[str, Any], raw: bytes, session: Session, now: datetime) -> Received:
    """A posted message as the inbox takes it, from its body and the document in it; raises Refused.

    An attachment is a `Media` that only names its file: whose it is, is for the caller to check (`with_file`).
    """
    message_id = read_id(document)
    return received(raw, session, message_id, _read_content(document), now)


def read_seq(value: Any, name: str = "seq") -> int:
    """A sequence number given as a JSON integer; raises Refused."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= MAX_SEQ:
        raise _invalid(f"{name} must be an integer from 0 on")
    return value


def read_after(text: str) -> int:
    """The `after` of a query string or Last-Event-ID; empty means from the beginning. Raises Refused."""
    if not text:
        return 0
    if not (text.isascii() and text.isdigit()) or len(text) > 16 or int(text) > MAX_SEQ:
        raise Refused(400, "invalid_after", "after must be a sequence number: an integer from 0 on")
    return int(text)


def read_text_field(document: Mapping[str, Any], name: str, limit: int, *, required: bool) -> str:
    """A short printable text field; raises Refused."""
    value = document.get(name)
    if value is None and not required:
        return ""
    if not isinstance(value, str) or len(value) > limit or not value.isprintable() or (required and not value):
        raise _invalid(f"{name} must be a text of {1 if required else 0} to {limit} printable characters")
    return value


def read_language(document: Mapping[str, Any]) -> str:
    """The language tag a page gives, or "" for none or nonsense: a hint is not worth refusing a visitor for."""
    value = document.get("language")
    return value if isinstance(value, str) and len(value) <= 35 and _LANGUAGE_TAG.match(value) else ""


def read_welcome(document: Mapping[str, Any], session: Session, now: datetime) -> Received | None:
    """The welcome sentence a message answers, to be recorded before it; None for most messages. Raises Refused."""
    text = read_text_field(document, "welcome", MAX_WELCOME, required=False)
    if not text:
        return None
    event = Event(WELCOME_EVENT, {"text": text})
    told = received(dump_event({"welcome": text}), session, f"{document['id']}:welcome", event, now)
    return replace(told, message=told.message and replace(told.message, wants_turn=False))


def read_id(document: Mapping[str, Any]) -> str:
    """The client's own id of what it posts; raises Refused."""
    message_id = document.get("id")
    if not isinstance(message_id, str) or not 1 <= len(message_id) <= MAX_ID or not message_id.isprintable():
        raise _invalid(f"id must be a text of 1 to {MAX_ID} printable characters, chosen by the client")
    return message_id


def _read_content(document: Mapping[str, Any]) -> Content:
    kinds = [kind for kind in ("text", "button", "location", "attachment") if document.get(kind) is not None]
    if kinds == ["text"]:
        return Text(_read_text(document["text"]))
    if kinds == ["button"]:
        return _read_button(document["button"])
    if kinds == ["location"]:
        return _read_location(document["location"])
    if kinds in (["attachment"], ["text", "attachment"]):
        return _read_attachment(document["attachment"], _read_text(document.get("text") or ""))
    raise _invalid("a message holds one of text, button, location and attachment; an attachment may come with text")


def _read_text(text: Any) -> str:
    if not isinstance(text, str):
        raise _invalid("text must be a string")
    if len(text) > MAX_TEXT:
        raise Refused(422, "text_too_long", f"text may hold at most {MAX_TEXT} characters, this one has {len(text)}")
    return text


def _read_button(button: Any) -> Button:
    if not isinstance(button, dict):
        raise _invalid('button must be an object: {"value": …, "label": …}')
    value, label = button.get("value"), button.get("label", "")
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_BUTTON:
        raise _invalid(f"button.value must be a text of 1 to {MAX_BUTTON} characters")
    if not isinstance(label, str) or len(label) > MAX_BUTTON:
        raise _invalid(f"button.label must be a text of at most {MAX_BUTTON} characters")
    return Button(value, label)


def _read_location(place: Any) -> Location:
    if not isinstance(place, dict):
        raise _invalid('location must be an object: {"latitude": …, "longitude": …}')
    latitude = _read_degrees(place.get("latitude"), "latitude", 90)
    longitude = _read_degrees(place.get("longitude"), "longitude", 180)
    return Location(latitude, longitude, read_text_field(place, "name", MAX_NAME, required=False))


def _read_degrees(value: Any, name: str, most: int) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) <= most:  # NaN is not either
        raise _invalid(f"location.{name} must be a number from -{most} to {most}")
    return float(value)


def _read_attachment(attachment: Any, caption: str) -> Media:
    if not isinstance(attachment, dict):
        raise _invalid('attachment must be an object: {"media_id": …}')
    return Media("document", read_text_field(attachment, "media_id", MAX_MEDIA_ID, required=True), caption=caption)


def received(body: bytes, session: Session, message_id: str, content: Content, now: datetime) -> Received:
    """What the session's visitor posted under `message_id`, as the inbox takes it. Every kind gets a turn."""
    key = f"{session.user}:{message_id}"
    return Received(
        channel=CHANNEL,
        account=session.account,
        dedupe_key=key,
        raw=seal(body, session, now),
        message=InboundMessage(
            sender=Identity(CHANNEL, session.account, session.user),
            chat_id=session.user,
            dedupe_key=key,
            content=content,
            sent_at=now,
            vendor_message_id=message_id,
            sender_name=session.name,
            language_hint=session.language,
        ),
    )


def seal(body: bytes, session: Session, now: datetime) -> bytes:
    """The stored raw payload: the body byte for byte, within what its session proved about the sender.

    `body` must have been parsed as one JSON document before: that is what keeps it from closing the object early.
    """
    sender = orjson.dumps({"user": session.user, "name": session.name, "language": session.language, "at": now})
    return b'{"sender":' + sender + b',"message":' + body + b"}"
