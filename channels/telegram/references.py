"""What a message refers to: another message, its first author, a part of its own text, us. Pure, trusts no type."""

from __future__ import annotations

from typing import Any, Final

from channels.telegram.fields import Fields, is_int, name_of, text_in, whole
from channels.telegram.reading import Reading

MAX_QUOTE: Final = 500  # characters kept of the words a message answers; they are stored in full with their own message
UNNAMED: Final = "?"  # forwarded, and Telegram does not say from whom


def quote_in(message: Fields) -> str:
    """The words this message is about: the quoted part, else the beginning of what it answers."""
    quote, original = message.get("quote"), message.get("reply_to_message")
    words = text_in(quote, "text") if isinstance(quote, dict) else ""
    if not words and isinstance(original, dict):
        words = text_in(original, "text") or text_in(original, "caption")
    return whole(words)[:MAX_QUOTE]


def forwarded_from(message: Fields) -> str:
    """Who said it first, as Telegram shows it; "" for the sender's own words."""
    origin = message.get("forward_origin")
    if isinstance(origin, dict):
        people = (origin.get(name) for name in ("sender_user", "sender_chat", "chat"))
        hidden = text_in(origin, "sender_user_name")
    elif "forward_date" in message or "forward_from" in message:  # before Bot API 7.0
        people = (message.get(name) for name in ("forward_from", "forward_from_chat"))
        hidden = text_in(message, "forward_sender_name")
    else:
        return "" if origin is None else UNNAMED
    named = next((name_of(person) for person in people if isinstance(person, dict)), "")
    return named or whole(hidden) or UNNAMED


def entity_text(text: str, entity: Fields) -> str:
    """The part of `text` an entity marks; offsets count UTF-16 units. Empty for one that marks nothing."""
    offset, length = entity.get("offset"), entity.get("length")
    if not is_int(offset) or not is_int(length) or offset < 0 or length <= 0 or offset > 1_000_000:
        return ""
    units = text.encode("utf-16-le", "surrogatepass")
    return units[offset * 2 : (offset + min(length, 1_000_000)) * 2].decode("utf-16-le", "replace")


def is_for_us(message: Fields, reading: Reading) -> bool:
    """In a group: an answer to us, our name, or a command with our name. The rest is between people."""
    original = message.get("reply_to_message")
    if isinstance(original, dict) and "forum_topic_created" not in original:
        author = original.get("from")
        if isinstance(author, dict) and reading.bot_id and author.get("id") == reading.bot_id:
            return True
    for words, marks in (("text", "entities"), ("caption", "caption_entities")):
        entities = message.get(marks)
        for entity in entities if isinstance(entities, list) else ():
            if isinstance(entity, dict) and _names_us(text_in(message, words), entity, reading):
                return True
    return False


def our_mention(text: str, entities: Any, reading: Reading) -> str:
    """`text` without our name at its start or end, where it only says whom it is for."""
    for entity in entities if isinstance(entities, list) else ():
        if not isinstance(entity, dict) or not _names_us(text, entity, reading):
            continue
        name = entity_text(text, entity)
        if entity.get("offset") == 0:
            return text[len(name) :].lstrip(" ,:，：") or text
        if text.endswith(name):
            return text[: -len(name)].rstrip(" ,，") or text
    return text


def _names_us(text: str, entity: Fields, reading: Reading) -> bool:
    match entity.get("type"):
        case "text_mention":
            user = entity.get("user")
            return isinstance(user, dict) and reading.bot_id != 0 and user.get("id") == reading.bot_id
        case "mention" | "bot_command":
            name = entity_text(text, entity).partition("@")[2]
            return bool(reading.username) and name.casefold() == reading.username.casefold()
    return False
