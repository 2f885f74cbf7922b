"""Updates that are no message to us: pressed buttons, blocks, reactions, and what is only recorded."""

from __future__ import annotations

from typing import Any, Final

from bot.errors import PayloadInvalid
from bot.types import Button, Content, Event, Identity, InboundMessage, Unsupported
from channels.telegram.fields import (
    Fields,
    id_in,
    is_int,
    name_of,
    object_in,
    status_in,
    text_in,
    time_of,
    topic_of,
    whole,
)
from channels.telegram.reading import CHANNEL, Reading
from channels.telegram.shown import shown_of

# The two that are an opinion wherever they are used; whatever else somebody reacts with is only recorded.
FEEDBACK: Final = {"👍": "up", "👎": "down"}
MAX_REACTIONS: Final = 10  # kept of one update; Telegram allows three


def read_callback(query: Fields, key: str, reading: Reading) -> InboundMessage:
    """A pressed inline button; its message may be gone, too old to be shown (date 0) or never ours (inline mode)."""
    sender = object_in(query, "from")
    message = query.get("message")
    message = message if isinstance(message, dict) else {}
    chat = message.get("chat")
    chat = chat if isinstance(chat, dict) else {"id": sender.get("id"), "type": "private"}
    value = query.get("data")
    content: Content
    if isinstance(value, str):
        content = Button(whole(value), _pressed_label(message, value), whole(text_in(query, "id")))
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
        language_hint=whole(text_in(sender, "language_code")),
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


def read_membership(change: Fields, key: str, reading: Reading) -> InboundMessage:
    """The user blocked or unblocked us, or our place in a group changed."""
    sender, chat = object_in(change, "from"), object_in(change, "chat")
    old, new = status_in(change, "old_chat_member"), status_in(change, "new_chat_member")
    name = "membership"
    if chat.get("type") == "private" and old != new:
        name = {"kicked": "blocked", "member": "unblocked"}.get(new, name)
    return _happening(change, sender, Event(name, {"old": old, "new": new}), key, reading)


def read_reaction(change: Fields, key: str, reading: Reading) -> InboundMessage:
    """Somebody changed how they react to a message; the store knows whether it is one of ours."""
    person = change.get("user")
    if not isinstance(person, dict):
        person = object_in(change, "actor_chat")  # anonymous: as a channel or the group itself
    now = change.get("new_reaction")
    emoji = [text_in(item, "emoji") for item in now if isinstance(item, dict)] if isinstance(now, list) else []
    shown = [whole(sign)[:16] for sign in emoji if sign][:MAX_REACTIONS]
    feedback = next((FEEDBACK[sign] for sign in shown if sign in FEEDBACK), "")
    detail = {"message": id_in(change, "message_id"), "feedback": feedback, "emoji": shown}
    return _happening(change, person, Event("reaction", detail), key, reading)


def _happening(change: Fields, sender: Fields, content: Content, key: str, reading: Reading) -> InboundMessage:
    return InboundMessage(
        sender=Identity(CHANNEL, reading.account, id_in(sender, "id")),
        chat_id=id_in(object_in(change, "chat"), "id"),
        dedupe_key=key,
        content=content,
        sent_at=time_of(change.get("date"), reading.now),
        sender_name=name_of(sender),
        language_hint=whole(text_in(sender, "language_code")),
        wants_turn=False,
    )


def read_other(update: Fields, key: str, reading: Reading) -> InboundMessage:
    """Channel posts, business messages, poll answers, inline queries and whatever comes: shown, not answered.

    Raises: PayloadInvalid when nobody is named in it (a poll's count, say): there is no conversation to show it in.
    """
    kind = next((name for name in update if name != "update_id"), "empty")
    body = update.get(kind)
    if not isinstance(body, dict):
        raise PayloadInvalid(f"{kind[:64]} holds nothing readable")
    chat = body.get("chat")
    chat = chat if isinstance(chat, dict) else {}
    sender = _anybody(body)
    if sender is None:
        raise PayloadInvalid(f"{kind[:64]} names nobody")
    business = text_in(body, "business_connection_id")
    return InboundMessage(
        sender=Identity(CHANNEL, reading.account, id_in(sender, "id")),
        chat_id=id_in(chat, "id") if is_int(chat.get("id")) else id_in(sender, "id"),
        dedupe_key=key,
        content=Unsupported(whole(kind)[:64], shown_of(body)),
        sent_at=time_of(body.get("date"), reading.now),
        # A business message was said to somebody else: it must not mix with what the customer says to us.
        topic=whole(f"business:{business}") if "business" in kind else "",
        vendor_message_id=str(body["message_id"]) if is_int(body.get("message_id")) else "",
        sender_name=name_of(sender),
        language_hint=whole(text_in(sender, "language_code")),
        wants_turn=False,
    )


def _anybody(body: Fields) -> dict[str, Any] | None:
    people = (body.get(name) for name in ("from", "user", "actor_chat", "voter_chat", "sender_chat", "chat"))
    return next((person for person in people if isinstance(person, dict) and is_int(person.get("id"))), None)
