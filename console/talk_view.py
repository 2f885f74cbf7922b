"""What an open conversation shows, as plain values: what was said, who holds it, what may be done, the time left."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from bot.business_time import zone
from console.frame import Look
from console.inbox_view import channel_name, reason_words, tone_of
from console.saying import clock, span
from console.words import WORDS, say
from desk.actors import Actor
from desk.conversations import ConversationView, Entry, HistoryEvent, HistoryMessage, HistoryNote, Window
from desk.inbox import ConversationRow

_PLACE: Final = "https://www.openstreetmap.org/?mlat={:.6f}&mlon={:.6f}#map=17/{:.6f}/{:.6f}"
_TROUBLED: Final = frozenset({"failed", "uncertain", "held", "parked"})


@dataclass(frozen=True, slots=True)
class Delivered:
    words: str
    tone: str
    reason: str
    outbox_id: int
    may_retry: bool
    may_drop: bool
    ask: str  # asked before it is sent again
    of: str  # message | edit | removal: what it is that has come so far


@dataclass(frozen=True, slots=True)
class Why:
    """What the bot took a message for."""

    words: str
    ranking: tuple[tuple[str, str], ...]
    entities: tuple[tuple[str, str], ...]
    engine: str


@dataclass(frozen=True, slots=True)
class Attached:
    name: str
    url: str
    is_picture: bool


@dataclass(frozen=True, slots=True)
class Said:
    """One line of a conversation. `kind`: message, note or event."""

    kind: str
    id: int
    conversation_id: int
    at: datetime
    text: str = ""
    by: str = ""
    words: str = ""
    note: str = ""
    direction: str = ""
    author: str = ""
    speaker: str = ""
    where: str = ""
    quote: str = ""
    place: str = ""
    was: tuple[str, ...] = ()
    buttons: tuple[str, ...] = ()
    files: tuple[Attached, ...] = ()
    is_taken_back: bool = False
    can_change: bool = False
    can_translate: bool = False
    delivery: Delivered | None = None
    understood: Why | None = None


def said(
    entries: Sequence[Entry], view: ConversationView, actor: Actor, look: Look, *, translates: bool = False
) -> list[Said]:
    return [said_one(entry, view, actor, look, translates=translates) for entry in entries]


def said_one(entry: Entry, view: ConversationView, actor: Actor, look: Look, *, translates: bool = False) -> Said:
    """`translates`: there is somebody who says it in the reader's language."""
    if isinstance(entry, HistoryNote):
        return Said("note", entry.id, entry.conversation_id, entry.at, text=entry.text, by=entry.by)
    if isinstance(entry, HistoryEvent):
        words = event_words(entry, look)
        note = reason_words(entry.note, look)
        return Said("event", entry.id, entry.conversation_id, entry.at, words=words, note=note)
    message = _message(entry, view, actor, look)
    is_theirs = translates and message.author == "customer" and bool(message.text) and not message.is_taken_back
    return replace(message, can_translate=is_theirs)


def event_words(event: HistoryEvent, look: Look) -> str:
    key = f"event.{event.kind}"
    if not event.by and f"{key}.rules" in WORDS:
        key = f"{key}.rules"
    return say(look.language, key, by=event.by or "–", to=event.to or "–") if key in WORDS else event.kind


def _message(message: HistoryMessage, view: ConversationView, actor: Actor, look: Look) -> Said:
    is_here = message.conversation_id == view.row.id
    is_own = message.author == "operator" and message.by == actor.name
    place = ""
    if message.place is not None:
        latitude, longitude = message.place
        place = _PLACE.format(latitude, longitude, latitude, longitude)
    return Said(
        kind="message",
        id=message.id,
        conversation_id=message.conversation_id,
        at=message.at,
        text=message.text or "\n".join(message.cards),
        direction=message.direction,
        author=message.author,
        speaker=message.by_name or say(look.language, f"author.{message.author}"),
        where="" if is_here else channel_name(message.channel, look),
        quote=message.quote,
        place=place,
        was=message.was,
        buttons=message.buttons,
        files=tuple(Attached(file.name, file.url, file.mime.startswith("image/")) for file in message.files),
        is_taken_back=message.deleted_at is not None and message.delivery_of != "removal",
        can_change=is_here and is_own and view.can_edit and view.is_mine and _stands(message),
        delivery=_delivered(message, look),
        understood=_why(message, look),
    )


def _stands(message: HistoryMessage) -> bool:
    """It is to stay in the chat: nobody wanted it gone, or that was given up."""
    if message.deleted_at is None:
        return True
    return message.delivery_of == "removal" and message.delivery is not None and message.delivery.state == "dropped"


def _delivered(message: HistoryMessage, look: Look) -> Delivered | None:
    delivery, of = message.delivery, message.delivery_of
    if delivery is None:
        return None
    words = say(look.language, f"delivery.{delivery.state}" if of == "message" else f"delivery.{of}.{delivery.state}")
    if delivery.maybe_repeated:
        words = f"{words} · {say(look.language, 'delivery.repeated')}"
    return Delivered(
        words=words,
        tone=_tone(delivery.state, of),
        reason=delivery.reason if delivery.state in _TROUBLED else "",
        outbox_id=delivery.outbox_id,
        may_retry=delivery.may_retry,
        may_drop=delivery.may_drop,
        ask=say(look.language, "delivery.ask") if delivery.state == "uncertain" and of == "message" else "",
        of=of,
    )


def _tone(state: str, of: str) -> str:
    if state in ("failed", "uncertain"):
        return "bad"
    return "warn" if state in _TROUBLED or (state == "dropped" and of != "message") else ""


def _why(message: HistoryMessage, look: Look) -> Why | None:
    understood = message.understood
    if understood is None:
        return None
    if understood.intent:
        score = "" if understood.score is None else f"{understood.score:.2f}"
        words = say(look.language, "talk.understood", intent=understood.intent, score=score).strip()
    else:
        words = say(look.language, "talk.not_understood")
    ranking = tuple((intent, f"{score:.2f}") for intent, score in understood.ranking)
    return Why(words, ranking, understood.entities, understood.engine)


# --- its head ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Act:
    """Something that may be done now. `dialog`: opens one instead of doing it at once."""

    name: str
    words: str
    key: str = ""
    dialog: str = ""
    is_primary: bool = False


@dataclass(frozen=True, slots=True)
class Countdown:
    """What is left of the window; with `ends_at` the page counts down to it and then says `over`."""

    words: str
    tone: str
    ends_at: datetime | None = None
    left: str = ""
    over: str = ""


def holder_of(row: ConversationRow, actor: Actor, look: Look) -> str:
    if row.owner == "operator":
        own = row.operator == actor.name
        return (
            say(look.language, "talk.holder.you") if own else say(look.language, "talk.holder.other", name=row.operator)
        )
    return say(look.language, f"talk.holder.{row.owner}")


def acts_of(row: ConversationRow, actor: Actor, look: Look) -> list[Act]:
    """The buttons of the head, the likely one first."""
    if not actor.may("conversations.reply"):
        return []
    is_own = row.owner == "operator" and row.operator == actor.name
    is_others = row.owner == "operator" and not is_own
    acts: list[Act] = []
    if not is_own and (not is_others or actor.may("conversations.assign")):
        name = "talk.pull" if is_others else "talk.take"
        acts.append(Act("take", say(look.language, name), key="t", is_primary=row.owner == "queue"))
    if is_own or actor.may("conversations.assign"):
        acts.append(Act("transfer", say(look.language, "talk.transfer"), key="a", dialog="assign-dialog"))
    if row.owner != "bot" and (is_own or actor.may("conversations.assign")):
        acts.append(Act("return", say(look.language, "talk.return"), key="b", dialog="return-dialog"))
    if is_others and not actor.may("conversations.assign"):
        return acts
    if row.status == "open":
        acts.append(Act("snooze", say(look.language, "talk.snooze"), key="s", dialog="snooze-dialog"))
        acts.append(Act("close", say(look.language, "talk.close"), key="e"))
    elif row.status == "snoozed":
        acts.append(Act("wake", say(look.language, "talk.wake"), key="s"))
    else:
        acts.append(Act("reopen", say(look.language, "talk.reopen"), key="e"))
    return acts


def countdown(window: Window, look: Look) -> Countdown | None:
    """What the channel still allows; None where it counts nothing."""
    if not window.is_counted:
        return None
    over = say(look.language, "talk.window.closed")
    if window.closes_at is None or window.closes_at <= look.now or window.left <= 0:
        return Countdown(over, "bad")
    left = window.closes_at - look.now
    words = say(look.language, "talk.window.count", count=window.left)
    tone = "warn" if left < timedelta(hours=2) or window.left == 1 else ""
    return Countdown(words, tone, window.closes_at, span(left, look.language), over)


@dataclass(frozen=True, slots=True)
class LocalTime:
    """The clock where the customer is, and the name of the zone by which the page lets it go on."""

    clock: str
    zone: str


def local_time(view: ConversationView, look: Look) -> LocalTime | None:
    """The customer's time, when that is known and another one than ours."""
    there = zone(view.zone)
    if not view.zone_is_own or look.now.astimezone(there).utcoffset() == look.now.astimezone(look.zone).utcoffset():
        return None
    return LocalTime(clock(look.now, there), view.zone)


def waits_tone(row: ConversationRow, look: Look) -> str:
    return tone_of(row.unanswered_since or row.waiting_since, look).strip()
