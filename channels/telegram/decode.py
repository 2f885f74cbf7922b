"""Telegram updates to InboundMessages: careful dict reading, so that a field nobody has seen yet breaks nothing.

Field names and meanings: https://core.telegram.org/bots/api (Bot API 9). Offsets of entities count UTF-16 units.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from bot.errors import PayloadInvalid
from bot.types import (
    Button,
    Command,
    Contact,
    Content,
    Event,
    Identity,
    InboundMessage,
    Location,
    Media,
    Received,
    Text,
    Unsupported,
)
from channels.fields import read_json
from channels.telegram.fields import (
    Fields,
    id_in,
    is_int,
    is_number,
    name_of,
    number_in,
    object_in,
    replied_to,
    size_of,
    status_in,
    text_in,
    time_of,
    topic_of,
    whole,
)

CHANNEL = "telegram"
COMMANDS = frozenset({"start", "help"})  # the ones we set with setMyCommands; every other "/word" is only text

MediaKind = Literal["image", "voice", "audio", "video", "document", "sticker", "animation"]
# In this order: an animation also carries `document`, for clients that do not know animations.
_MEDIA: tuple[tuple[str, MediaKind], ...] = (
    ("animation", "animation"),
    ("voice", "voice"),
    ("audio", "audio"),
    ("video", "video"),
    ("video_note", "video"),
    ("sticker", "sticker"),
    ("document", "document"),
)


def _names(spaced: str) -> frozenset[str]:
    return frozenset(spaced.split())


# What a message carries around its content; whatever else is there names the kind of a message unknown to us.
_ENVELOPE = _names(
    "message_id message_thread_id direct_messages_topic from sender_chat sender_boost_count sender_business_bot "
    "sender_tag date business_connection_id chat forward_origin forward_from forward_from_chat forward_date "
    "forward_from_message_id forward_signature forward_sender_name is_topic_message is_automatic_forward "
    "reply_to_message external_reply quote reply_to_story reply_to_checklist_task_id via_bot edit_date "
    "has_protected_content is_from_offline is_paid_post media_group_id author_signature paid_star_count entities "
    "caption caption_entities show_caption_above_media has_media_spoiler effect_id link_preview_options reply_markup "
    "suggested_post_info"
)
# Messages that report something instead of saying something: recorded, never answered.
_SERVICE = _names(
    "new_chat_members new_chat_member new_chat_participant left_chat_member left_chat_participant new_chat_title "
    "new_chat_photo delete_chat_photo group_chat_created supergroup_chat_created channel_chat_created "
    "message_auto_delete_timer_changed migrate_to_chat_id migrate_from_chat_id pinned_message write_access_allowed "
    "connected_website proximity_alert_triggered boost_added chat_background_set forum_topic_created "
    "forum_topic_edited forum_topic_closed forum_topic_reopened general_forum_topic_hidden "
    "general_forum_topic_unhidden video_chat_scheduled video_chat_started video_chat_ended "
    "video_chat_participants_invited giveaway_created giveaway_completed"
)


@dataclass(frozen=True, slots=True)
class Reading:
    """What decoding an account's updates depends on besides the bytes."""

    account: str
    groups: bool  # messages in groups want a turn
    now: Callable[[], datetime]  # for updates Telegram puts no time on, e.g. a button press
    username: str = ""  # ours, once getMe told it: `/start@other_bot` is then for somebody else


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
        return _from_message(object_in(update, "message"), key, reading)
    if update.get("callback_query") is not None:
        return _from_callback(object_in(update, "callback_query"), key, reading)
    if update.get("edited_message") is not None:
        edited = object_in(update, "edited_message")
        message = _from_message(edited, key, reading)
        edited_at = time_of(edited.get("edit_date"), reading.now)
        return replace(message, edits=message.vendor_message_id, sent_at=edited_at, wants_turn=False)
    if update.get("my_chat_member") is not None:
        return _from_membership(object_in(update, "my_chat_member"), key, reading)
    return _from_other(update, key, reading)


# --- messages -----------------------------------------------------------------------------------------------------


def _from_message(message: Fields, key: str, reading: Reading) -> InboundMessage:
    chat = object_in(message, "chat")
    chat_id = id_in(chat, "id")
    sender = message.get("from") if isinstance(message.get("from"), dict) else message.get("sender_chat")
    if not isinstance(sender, dict):
        sender = chat  # anonymous: all we know is where it was said
    content, wants_turn = _content(message, sender, reading)
    is_private = chat.get("type") == "private"
    return InboundMessage(
        sender=Identity(CHANNEL, reading.account, id_in(sender, "id")),
        chat_id=chat_id,
        dedupe_key=key,
        content=content,
        sent_at=time_of(message.get("date"), reading.now),
        topic=topic_of(message),
        vendor_message_id=id_in(message, "message_id"),
        reply_to=replied_to(message),
        sender_name=name_of(sender),
        language_hint=text_in(sender, "language_code"),
        wants_turn=wants_turn and (is_private or reading.groups) and sender.get("is_bot") is not True,
    )


def _content(message: Fields, sender: Fields, reading: Reading) -> tuple[Content, bool]:
    """The content and whether such a content wants a turn."""
    text = message.get("text")
    if text is not None:
        if not isinstance(text, str):
            raise PayloadInvalid("text is not a string")
        return _words(whole(text), message.get("entities"), reading)
    media = _media(message)
    if media is not None:
        return media, True
    contact = message.get("contact")
    if isinstance(contact, dict) and isinstance(contact.get("phone_number"), str):
        is_own = is_int(contact.get("user_id")) and contact.get("user_id") == sender.get("id")
        return Contact(contact["phone_number"], name_of(contact), is_own), True
    location = _location(message)
    if location is not None:
        return location, True
    kind = next((name for name in message if name not in _ENVELOPE), "empty")
    return Unsupported(kind), kind not in _SERVICE


def _words(text: str, entities: Any, reading: Reading) -> tuple[Content, bool]:
    """A command only where Telegram itself marked one of ours at the very start; all else is the customer's text."""
    for entity in entities if isinstance(entities, list) else ():
        if not isinstance(entity, dict) or entity.get("type") != "bot_command" or entity.get("offset") != 0:
            continue
        length = entity.get("length")
        if not is_int(length) or length < 2 or not text.startswith("/"):
            continue
        # Commands are ASCII, so UTF-16 units and code points agree up to their end.
        name, _, addressed_to = text[1:length].partition("@")
        if addressed_to and reading.username and addressed_to.casefold() != reading.username.casefold():
            return Text(text), False
        if name.lower() in COMMANDS:
            return Command(name.lower(), text[length:].strip()), True
    return Text(text), True


def _media(message: Fields) -> Media | None:
    caption = whole(text_in(message, "caption"))
    photo = message.get("photo")
    if isinstance(photo, list):
        sizes = [size for size in photo if isinstance(size, dict) and text_in(size, "file_id")]
        if sizes:
            largest = max(sizes, key=lambda size: number_in(size, "width") * number_in(size, "height"))
            return Media("image", largest["file_id"], caption, size=size_of(largest))
    for field, kind in _MEDIA:
        file = message.get(field)
        if isinstance(file, dict) and text_in(file, "file_id"):
            duration = file.get("duration")
            return Media(
                kind,
                file["file_id"],
                caption or (text_in(file, "emoji") if kind == "sticker" else ""),
                file_name=whole(text_in(file, "file_name")),
                mime=text_in(file, "mime_type"),
                size=size_of(file),
                duration_s=float(duration) if is_number(duration) else None,
            )
    return None


def _location(message: Fields) -> Location | None:
    venue = message.get("venue")  # a venue message also carries `location`: the venue says more
    venue = venue if isinstance(venue, dict) else {}
    place = venue.get("location") if isinstance(venue.get("location"), dict) else message.get("location")
    if not isinstance(place, dict) or not (is_number(place.get("latitude")) and is_number(place.get("longitude"))):
        return None
    name, address = whole(text_in(venue, "title")), whole(text_in(venue, "address"))
    return Location(float(place["latitude"]), float(place["longitude"]), name, address)


# --- what is no message -------------------------------------------------------------------------------------------


def _from_callback(query: Fields, key: str, reading: Reading) -> InboundMessage:
    """A pressed inline button; its message may be gone, too old to be shown (date 0) or never ours (inline mode)."""
    sender = object_in(query, "from")
    message = query.get("message")
    message = message if isinstance(message, dict) else {}
    chat = message.get("chat")
    chat = chat if isinstance(chat, dict) else {"id": sender.get("id"), "type": "private"}
    value = query.get("data")
    content: Content
    if isinstance(value, str):
        content = Button(whole(value), _pressed_label(message, value), text_in(query, "id"))
    else:
        content = Unsupported("game" if "game_short_name" in query else "callback_query")
    in_private = chat.get("type", "private") == "private"
    return InboundMessage(
        sender=Identity(CHANNEL, reading.account, id_in(sender, "id")),
        chat_id=id_in(chat, "id"),
        dedupe_key=key,
        content=content,
        sent_at=reading.now(),
        topic=topic_of(message),
        reply_to=str(message["message_id"]) if is_int(message.get("message_id")) else "",
        sender_name=name_of(sender),
        language_hint=text_in(sender, "language_code"),
        wants_turn=isinstance(content, Button) and (in_private or reading.groups) and sender.get("is_bot") is not True,
    )


def _pressed_label(message: Fields, value: str) -> str:
    markup = message.get("reply_markup")
    rows = markup.get("inline_keyboard") if isinstance(markup, dict) else None
    for row in rows if isinstance(rows, list) else ():
        for button in row if isinstance(row, list) else ():
            if isinstance(button, dict) and button.get("callback_data") == value:
                return whole(text_in(button, "text"))
    return ""


def _from_membership(change: Fields, key: str, reading: Reading) -> InboundMessage:
    """The user blocked or unblocked us, or our place in a group changed."""
    sender, chat = object_in(change, "from"), object_in(change, "chat")
    old, new = status_in(change, "old_chat_member"), status_in(change, "new_chat_member")
    name = "membership"
    if chat.get("type") == "private" and old != new:
        name = {"kicked": "blocked", "member": "unblocked"}.get(new, name)
    return InboundMessage(
        sender=Identity(CHANNEL, reading.account, id_in(sender, "id")),
        chat_id=id_in(chat, "id"),
        dedupe_key=key,
        content=Event(name, {"old": old, "new": new}),
        sent_at=time_of(change.get("date"), reading.now),
        sender_name=name_of(sender),
        language_hint=text_in(sender, "language_code"),
        wants_turn=False,
    )


def _from_other(update: Fields, key: str, reading: Reading) -> InboundMessage:
    """Channel posts, business messages, reactions, polls, inline queries and whatever comes: shown, not answered.

    Raises: PayloadInvalid when nobody is named in it (a poll's count, say): there is no conversation to show it in.
    """
    kind = next((name for name in update if name != "update_id"), "empty")
    body = update.get(kind)
    if not isinstance(body, dict):
        raise PayloadInvalid(f"{kind} holds nothing readable")
    chat = body.get("chat")
    chat = chat if isinstance(chat, dict) else {}
    people = (body.get(name) for name in ("from", "user", "actor_chat", "voter_chat", "sender_chat", "chat"))
    sender = next((person for person in people if isinstance(person, dict) and is_int(person.get("id"))), None)
    if sender is None:
        raise PayloadInvalid(f"{kind} names nobody")
    business = text_in(body, "business_connection_id")
    return InboundMessage(
        sender=Identity(CHANNEL, reading.account, id_in(sender, "id")),
        chat_id=id_in(chat, "id") if is_int(chat.get("id")) else id_in(sender, "id"),
        dedupe_key=key,
        content=Unsupported(kind),
        sent_at=time_of(body.get("date"), reading.now),
        # A business message was said to somebody else: it must not mix with what the customer says to us.
        topic=f"business:{business}" if "business" in kind else "",
        vendor_message_id=str(body["message_id"]) if is_int(body.get("message_id")) else "",
        sender_name=name_of(sender),
        language_hint=text_in(sender, "language_code"),
        wants_turn=False,
    )
