"""JSON of the web channel: what visitors may send, and the one shape of every refusal. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import orjson

from bot.errors import InputError
from bot.types import Button, Identity, InboundMessage, Received, Text
from channels.web.tokens import Session

CHANNEL = "web"
MAX_TEXT = 20_000  # code points
MAX_ID = 64
MAX_USER = 128
MAX_NAME = 100
MAX_BUTTON = 256
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


def read_message(body: bytes, session: Session, now: datetime) -> Received:
    """A posted message as the inbox takes it; raises Refused."""
    message_id, content = _read_content(read_object(body))
    return _received(body, session, message_id, content, now)


def read_content(document: Mapping[str, Any], raw: bytes, session: Session, now: datetime) -> Received:
    """The same for a document that was parsed before (a WebSocket frame); raises Refused."""
    message_id, content = _read_content(document)
    return _received(raw, session, message_id, content, now)


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


def _read_content(document: Mapping[str, Any]) -> tuple[str, Text | Button]:
    message_id = document.get("id")
    if not isinstance(message_id, str) or not 1 <= len(message_id) <= MAX_ID or not message_id.isprintable():
        raise _invalid(f"id must be a text of 1 to {MAX_ID} printable characters, chosen by the client")
    text, button = document.get("text"), document.get("button")
    if (text is None) == (button is None):
        raise _invalid("a message holds either text or button")
    if button is None:
        if not isinstance(text, str):
            raise _invalid("text must be a string")
        if len(text) > MAX_TEXT:
            raise Refused(
                422, "text_too_long", f"text may hold at most {MAX_TEXT} characters, this one has {len(text)}"
            )
        return message_id, Text(text)
    if not isinstance(button, dict):
        raise _invalid('button must be an object: {"value": …, "label": …}')
    value, label = button.get("value"), button.get("label", "")
    if not isinstance(value, str) or not 1 <= len(value) <= MAX_BUTTON:
        raise _invalid(f"button.value must be a text of 1 to {MAX_BUTTON} characters")
    if not isinstance(label, str) or len(label) > MAX_BUTTON:
        raise _invalid(f"button.label must be a text of at most {MAX_BUTTON} characters")
    return message_id, Button(value, label)


def _received(body: bytes, session: Session, message_id: str, content: Text | Button, now: datetime) -> Received:
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
