"""What the inbox shows, as plain values: rows of lists, what was said, who holds a conversation, what may be done."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlencode

from console.frame import Look
from console.saying import person_name
from console.words import WORDS, say
from desk.inbox import MOST_COUNTED, ConversationRow, InboxFilter

LISTS: Final = ("mine", "queue", "all", "unanswered", "snoozed", "closed")
ORDER: Final[Mapping[str, str]] = {"queue": "up", "unanswered": "up", "snoozed": "up"}  # otherwise newest first
AT_RISK: Final = timedelta(minutes=5)  # somebody waits for a person: amber, then red
BROKEN: Final = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Tab:
    words: str
    query: str
    count: str
    is_current: bool


@dataclass(frozen=True, slots=True)
class Row:
    """One line of a list. `sort` orders lines as text; `since`: the moment whose age is shown."""

    id: int
    sort: str
    query: str
    name: str
    channel: str
    last: str
    speaker: str
    since: datetime | None
    why: str
    tone: str
    holder: str
    trouble: bool
    is_unread: bool
    is_vip: bool


def tabs(counts: Mapping[str, int], current: str, look: Look) -> list[Tab]:
    return [
        Tab(
            say(look.language, f"list.{name}"),
            urlencode({"list": name}),
            _bounded(counts.get(name, 0)),
            name == current,
        )
        for name in LISTS
    ]


def _bounded(count: int) -> str:
    return f"{MOST_COUNTED - 1}+" if count >= MOST_COUNTED else str(count) if count else ""


def row_of(row: ConversationRow, which: InboxFilter, look: Look) -> Row:
    why = reason_words(row.reason, look)
    return Row(
        id=row.id,
        sort=sort_key(row, which.list),
        query=urlencode({"list": which.list}),
        name=row_name(row, look),
        channel=channel_name(row.channel, look),
        last=row.last_words or (say(look.language, "file") if row.last_kind == "media" else ""),
        speaker=row.last_by
        or ("" if row.last_author == "customer" else say(look.language, f"author.{row.last_author}"))
        if row.last_author
        else "",
        since=_shown_age(row, which.list),
        why=why,
        tone=tone_of(row.unanswered_since or row.waiting_since, look),
        holder=row.operator if row.owner == "operator" else "",
        trouble=row.has_trouble,
        is_unread=row.is_unread,
        is_vip=row.is_vip,
    )


def row_name(row: ConversationRow, look: Look) -> str:
    """What the list and the head call the person of a conversation."""
    return person_name(look.language, row.name, row.customer_id, row.phone)


def reason_words(reason: str, look: Look) -> str:
    """Why a person is wanted, in two words; anything else as it is."""
    key = f"reason.{reason}"
    return say(look.language, key) if key in WORDS else reason


def sort_key(row: ConversationRow, which: str) -> str:
    """Text that sorts as the list does: see ORDER for the direction."""
    if which == "queue":
        at = row.rank
    elif which == "unanswered":
        at = row.unanswered_since
    elif which == "snoozed":
        at = row.snoozed_until
    elif which == "closed":
        at = row.closed_at
    else:
        at = row.last_message_at
    return f"{at.isoformat(timespec='microseconds') if at else ''}{row.id:020d}"


def _shown_age(row: ConversationRow, which: str) -> datetime | None:
    if which == "snoozed":
        return row.snoozed_until
    return row.waiting_since or row.unanswered_since or row.last_message_at


def tone_of(since: datetime | None, look: Look) -> str:
    if since is None or look.now - since < AT_RISK:
        return ""
    return " bad" if look.now - since >= BROKEN else " warn"


def channel_name(channel: str, look: Look) -> str:
    key = f"channel.{channel}"
    return say(look.language, key) if key in WORDS else channel
