"""One Telegram message as an InboundMessage: whose it is, what it says, whether we are meant."""

from __future__ import annotations

from typing import Any, Final, Literal

from bot.errors import PayloadInvalid
from bot.types import Command, Contact, Content, Event, Identity, InboundMessage, Location, Media, Text, Unsupported
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
    text_in,
    time_of,
    topic_of,
    whole,
)
from channels.telegram.reading import CHANNEL, Reading
from channels.telegram.references import entity_text, forwarded_from, is_for_us, our_mention, quote_in
from channels.telegram.shown import shown_of

COMMANDS: Final = frozenset({"start", "help"})  # those we set with setMyCommands; every other "/word" is only text

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
    "reply_to_message external_reply quote reply_to_story reply_to_checklist_task_id reply_to_poll_option_id via_bot "
    "edit_date has_protected_content is_from_offline is_paid_post media_group_id author_signature paid_star_count "
    "entities caption caption_entities show_caption_above_media has_media_spoiler effect_id link_preview_options "
    "reply_markup suggested_post_info guest_query_id guest_bot_caller_user guest_bot_caller_chat"
)
# Messages that report something instead of saying something: recorded, never answered.
_SERVICE = _names(
    "new_chat_members new_chat_member new_chat_participant left_chat_member left_chat_participant new_chat_title "
    "new_chat_photo delete_chat_photo group_chat_created supergroup_chat_created channel_chat_created "
    "message_auto_delete_timer_changed pinned_message write_access_allowed "
    "connected_website proximity_alert_triggered boost_added chat_background_set forum_topic_created "
    "forum_topic_edited forum_topic_closed forum_topic_reopened general_forum_topic_hidden "
    "general_forum_topic_unhidden video_chat_scheduled video_chat_started video_chat_ended "
    "video_chat_participants_invited giveaway_created giveaway_completed chat_owner_changed chat_owner_left "
    "checklist_tasks_added checklist_tasks_done direct_message_price_changed paid_message_price_changed "
    "gift unique_gift gift_upgrade_sent managed_bot_created poll_option_added poll_option_deleted refunded_payment "
    "successful_payment users_shared user_shared chat_shared passport_data suggested_post_approval_failed "
    "suggested_post_approved suggested_post_declined suggested_post_paid suggested_post_refunded"
)


def read_message(message: Fields, key: str, reading: Reading) -> InboundMessage:
    """Raises: PayloadInvalid."""
    chat = object_in(message, "chat")
    is_private = chat.get("type") == "private"
    sender = _sender(message, chat, reading)
    content, wants_turn = _content(message, sender, reading, is_private=is_private)
    is_meant = is_private or (reading.groups and is_for_us(message, reading))
    from_somebody = sender.get("is_bot") is not True and message.get("is_automatic_forward") is not True
    is_ours = _is_us(message.get("from"), reading)
    return InboundMessage(
        sender=Identity(CHANNEL, reading.account, id_in(sender, "id")),
        chat_id=id_in(chat, "id"),
        dedupe_key=key,
        content=content,
        sent_at=time_of(message.get("date"), reading.now),
        topic=topic_of(message),
        vendor_message_id=id_in(message, "message_id"),
        reply_to=replied_to(message),
        sender_name=name_of(sender),
        language_hint=whole(text_in(sender, "language_code")),
        quote=quote_in(message),
        forwarded_from=forwarded_from(message),
        album=whole(text_in(message, "media_group_id")),
        wants_turn=wants_turn and is_meant and from_somebody and not is_ours,
        author="bot" if is_ours else "customer",
    )


def _sender(message: Fields, chat: Fields, reading: Reading) -> Fields:
    """Who speaks. Behind `sender_chat` (an anonymous administrator, a channel) `from` is a stand-in shared by all.

    What we are reported to have done in a private chat (a message pinned) belongs to the customer's conversation.
    """
    found = message.get("sender_chat")
    if not isinstance(found, dict):
        found = message.get("from")
    if not isinstance(found, dict) or (_is_us(found, reading) and chat.get("type") == "private"):
        return chat  # anonymous: all we know is where it was said
    return found


def _is_us(person: Any, reading: Reading) -> bool:
    return isinstance(person, dict) and reading.bot_id != 0 and person.get("id") == reading.bot_id


def _content(message: Fields, sender: Fields, reading: Reading, *, is_private: bool) -> tuple[Content, bool]:
    """The content and whether such a content wants a turn."""
    text = message.get("text")
    if text is not None:
        if not isinstance(text, str):
            raise PayloadInvalid("text is not a string")
        return _words(message, text, reading, is_private=is_private)
    media = _media(message)
    if media is not None:
        return media, True
    contact = message.get("contact")
    if isinstance(contact, dict) and isinstance(contact.get("phone_number"), str):
        is_own = is_int(contact.get("user_id")) and contact.get("user_id") == sender.get("id")
        # Forwarded, the card proves nothing about who sends it now.
        is_own = is_own and not forwarded_from(message)
        return Contact(whole(contact["phone_number"]), name_of(contact), is_own), True
    location = _location(message)
    if location is not None:
        return location, True
    moved = _moved(message)
    if moved is not None:
        return moved, False
    kind = next((name for name in message if name not in _ENVELOPE), "empty")
    return Unsupported(whole(kind)[:64], shown_of(message.get(kind), message)), kind not in _SERVICE


def _words(message: Fields, text: str, reading: Reading, *, is_private: bool) -> tuple[Content, bool]:
    """A command only where Telegram itself marked one of ours at the very start and the sender typed it; else text."""
    entities = message.get("entities")
    for entity in entities if isinstance(entities, list) else ():
        if not isinstance(entity, dict) or entity.get("type") != "bot_command" or entity.get("offset") != 0:
            continue
        marked = entity_text(text, entity)
        if len(marked) < 2 or not marked.startswith("/") or forwarded_from(message):
            continue
        name, _, addressed_to = marked[1:].partition("@")
        if addressed_to and reading.username and addressed_to.casefold() != reading.username.casefold():
            return Text(whole(text)), False
        if name.lower() in COMMANDS:
            return _command(name.lower(), whole(text[len(marked) :].strip()), reading), True
    return Text(whole(text if is_private else our_mention(text, entities, reading))), True


def _command(name: str, argument: str, reading: Reading) -> Command:
    link = reading.link_in(argument) if name == "start" else None
    return Command(name, argument, link.kind, link.id) if link else Command(name, argument)


def _media(message: Fields) -> Media | None:
    caption = whole(text_in(message, "caption"))
    photo = message.get("photo")
    if isinstance(photo, list):
        sizes = [size for size in photo if isinstance(size, dict) and text_in(size, "file_id")]
        if sizes:
            largest = max(sizes, key=lambda size: number_in(size, "width") * number_in(size, "height"))
            return Media("image", whole(largest["file_id"]), caption, size=size_of(largest))
    for field, kind in _MEDIA:
        file = message.get(field)
        if isinstance(file, dict) and text_in(file, "file_id"):
            duration = file.get("duration")
            return Media(
                kind,
                whole(file["file_id"]),
                caption or (whole(text_in(file, "emoji")) if kind == "sticker" else ""),
                file_name=whole(text_in(file, "file_name")),
                mime=whole(text_in(file, "mime_type")),
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


def _moved(message: Fields) -> Event | None:
    """A group became a supergroup: said once in the old chat, which names the new one, and once the other way round."""
    here = message["chat"].get("id")
    for name, is_old_chat in (("migrate_to_chat_id", True), ("migrate_from_chat_id", False)):
        other = message.get(name)
        if is_int(other) and other != here:
            old, new = (here, other) if is_old_chat else (other, here)
            return Event("chat_moved", {"from": str(old), "to": str(new)})
    return None
