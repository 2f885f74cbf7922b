"""Messages as JSON documents and back, and as the events a web visitor sees. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, Final

from bot.service_types import Notice
from bot.types import (
    Button,
    Card,
    Command,
    Contact,
    Content,
    Event,
    Identity,
    InboundMessage,
    Location,
    Media,
    OutMedia,
    OutPart,
    ReplyButton,
    Text,
    Unsupported,
)

_CLASSES: Final[dict[str, type[Content]]] = {
    "text": Text,
    "button": Button,
    "command": Command,
    "media": Media,
    "location": Location,
    "contact": Contact,
    "event": Event,
    "unsupported": Unsupported,
    "notice": Notice,
}
_KINDS: Final = {cls: kind for kind, cls in _CLASSES.items()}
# Attribute, key in the document, default. Media and Unsupported have a `kind` of their own, which is kept under `of`.
_FIELDS: Final = {
    cls: tuple((field.name, "of" if field.name == "kind" else field.name, field.default) for field in fields(cls))
    for cls in _KINDS
}

# The conversation says who wrote it and where; the columns of the inbox row say when.
_KEPT: Final = (
    "dedupe_key",
    "vendor_message_id",
    "edits",
    "reply_to",
    "quote",
    "forwarded_from",
    "album",
    "sender_name",
    "language_hint",
)


def kind_of(content: Content) -> str:
    """text, button, command, media, location, contact, event, unsupported or notice."""
    return _KINDS[type(content)]


def dump_content(content: Content) -> dict[str, Any]:
    """The content's kind and those of its fields that differ from their default."""
    document: dict[str, Any] = {"kind": _KINDS[type(content)]}
    for name, key, default in _FIELDS[type(content)]:
        value = getattr(content, name)
        if value != default:
            document[key] = dict(value) if isinstance(value, Mapping) else value
    return document


def load_content(document: Mapping[str, Any]) -> Content:
    """The content given to `dump_content`.

    Raises: KeyError for a kind that this code does not know (the store was checked to be no newer than the code).
    """
    cls = _CLASSES[document["kind"]]
    return cls(**{name: document[key] for name, key, _ in _FIELDS[cls] if key in document})


def dump_message(message: InboundMessage, content: Mapping[str, Any]) -> dict[str, Any]:
    """What the inbox keeps of a decoded message beside its columns."""
    document: dict[str, Any] = {"content": content}
    for name in _KEPT:
        value = getattr(message, name)
        if value:
            document[name] = value
    return document


def load_message(
    document: Mapping[str, Any], *, sender: Identity, chat_id: str, topic: str, sent_at: datetime, wants_turn: bool
) -> InboundMessage:
    """The message given to `dump_message`."""
    kept = {name: document[name] for name in _KEPT if name in document}
    kept.setdefault("dedupe_key", "")
    return InboundMessage(
        sender=sender,
        chat_id=chat_id,
        topic=topic,
        content=load_content(document["content"]),
        sent_at=sent_at,
        wants_turn=wants_turn,
        **kept,
    )


def words_in(content: Content) -> str:
    """What a reader sees of the content as text; empty for what has no words."""
    match content:
        case Text(text=text):
            return text
        case Button(value=value, label=label):
            return label or value
        case Command(name=name, argument=argument):
            return f"/{name} {argument}".rstrip()
        case Media(caption=caption, transcript=transcript):
            return caption or transcript
        case Location(name=name, address=address):
            return " ".join(part for part in (name, address) if part)
        case Contact(phone=phone, name=name):
            return " ".join(part for part in (name, phone) if part)
        case Unsupported(text=text):
            return text
        case _:
            return ""


def dump_buttons(buttons: Sequence[ReplyButton]) -> list[dict[str, str]]:
    """Buttons as on the wire."""
    return [{"label": button.label, "value": button.value} for button in buttons]


def dump_part(part: OutPart) -> dict[str, Any] | None:
    """What a part says beyond its text; None when that is all. Fields with their default value are left out."""
    document: dict[str, Any] = {}
    if part.buttons:
        document["buttons"] = dump_buttons(part.buttons)
    if part.image_url:
        document["image_url"] = part.image_url
    if part.media:
        document["media"] = [_filled(file) for file in part.media]
    if part.cards:
        document["cards"] = [_dump_card(card) for card in part.cards]
    for name in ("ask", "status_key"):
        if value := getattr(part, name):
            document[name] = value
    if part.text_format != "plain":
        document["text_format"] = part.text_format
    if part.takes_back:
        document["deleted"] = True
    return document or None


def load_part(text: str, content: Mapping[str, Any] | None) -> OutPart:
    """The part whose text and `dump_part` are given."""
    if not content:
        return OutPart(text)
    return OutPart(
        text,
        buttons=_load_buttons(content.get("buttons", ())),
        image_url=content.get("image_url", ""),
        media=tuple(OutMedia(**file) for file in content.get("media", ())),
        cards=tuple(
            Card(**{**card, "buttons": _load_buttons(card.get("buttons", ()))}) for card in content.get("cards", ())
        ),
        ask=content.get("ask", ""),
        text_format=content.get("text_format", "plain"),
        status_key=content.get("status_key", ""),
        takes_back=content.get("deleted", False),
    )


def _load_buttons(found: Sequence[Mapping[str, str]]) -> tuple[ReplyButton, ...]:
    return tuple(ReplyButton(button["label"], button["value"]) for button in found)


def _dump_card(card: Card) -> dict[str, Any]:
    document = _filled(card)
    if card.buttons:
        document["buttons"] = dump_buttons(card.buttons)
    return document


def _filled(item: OutMedia | Card) -> dict[str, Any]:
    return {name.name: value for name in fields(item) if (value := getattr(item, name.name)) and name.name != "buttons"}


def iso(moment: datetime) -> str:
    """ISO 8601 in UTC with milliseconds and a Z."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"


def plain(value: Any) -> Any:
    """The value as JSON takes it."""
    return iso(value) if isinstance(value, datetime) else value


def wire_event(
    *,
    seq: int,
    message_id: int,
    direction: str,
    author: str,
    kind: str,
    text: str,
    content: Mapping[str, Any] | None,
    at: datetime,
    replaces_seq: int | None = None,
) -> dict[str, Any]:
    """One message as a web visitor receives it; `replaces` is the sequence number of the event it stands for now."""
    content = content or {}
    event: dict[str, Any] = {
        "seq": seq,
        "id": message_id,
        "direction": direction,
        "author": author,
        "text": text,
        "buttons": content.get("buttons", []),
        "at": iso(at),
    }
    if kind != "text":
        event["kind"] = kind
    for name in ("image_url", "media", "cards", "ask", "text_format", "name", "deleted"):
        if content.get(name):
            event[name] = content[name]
    if kind == "media":
        file = {name: content[name] for name in ("file_name", "mime", "size") if name in content}
        event["media"] = [{"kind": content.get("of", "document"), "media_id": content.get("file_id", ""), **file}]
    if kind == "location":
        event["location"] = {name: content[name] for name in ("latitude", "longitude")}
    if replaces_seq is not None:
        event["replaces"] = replaces_seq
    return event
