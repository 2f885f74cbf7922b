"""One line for each conversation of a page: who, where, the last words, why it waits, what is wrong with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, bindparam, exists, func, select
from sqlalchemy.sql.elements import ColumnElement

from crm_sync.columns import id_in, is_state
from crm_sync.console_tables import conversation_seen
from crm_sync.service_tables import customer_tags, customer_values
from crm_sync.statements import Statement
from crm_sync.tables import conversations, customers, handoffs, identities, messages, outbox, staff_users

SHORT: Final = 120  # characters of the last words
_TROUBLE: Final = ("parked", "failed", "uncertain")  # as the index on what staff look at has them
_last: Any = (
    select(func.max(messages.c.id))
    .where(messages.c.conversation_id == conversations.c.id, messages.c.replaces.is_(None), messages.c.kind != "event")
    .scalar_subquery()
)
_trouble: ColumnElement[bool] = exists().where(
    outbox.c.conversation_id == conversations.c.id, is_state(outbox.c.state, *_TROUBLE)
)
_ROWS: Final = Statement(
    select(
        conversations.c.id,
        conversations.c.customer_id,
        conversations.c.identity_id,
        conversations.c.channel,
        conversations.c.account,
        conversations.c.topic.label("chat_topic"),
        conversations.c.language,
        conversations.c.status,
        conversations.c.owner,
        conversations.c.operator,
        conversations.c.last_operator,
        conversations.c.team,
        conversations.c.fence,
        conversations.c.priority,
        conversations.c.waiting_since,
        conversations.c.unanswered_since,
        conversations.c.snoozed_until,
        conversations.c.closed_at,
        conversations.c.owner_until,
        conversations.c.last_inbound_at,
        conversations.c.last_message_at,
        conversations.c.created_at,
        customers.c.name.label("customer_name"),
        customers.c.phone,
        customers.c.timezone,
        customers.c.credit_class,
        identities.c.display_name,
        identities.c.unreachable_at,
        customer_values.c.value_class,
        _last.label("last_id"),
        _trouble.label("has_trouble"),
    )
    .select_from(
        conversations.join(customers, customers.c.id == conversations.c.customer_id)
        .join(identities, identities.c.id == conversations.c.identity_id)
        .outerjoin(customer_values, customer_values.c.customer_id == conversations.c.customer_id)
    )
    .where(id_in(conversations.c.id, "ids"))
)
_WORDS: Final = Statement(
    select(messages.c.id, messages.c.author, messages.c.kind, messages.c.text, messages.c.by, messages.c.deleted_at)
    .where(id_in(messages.c.id, "ids"))
)  # fmt: skip
_REASONS: Final = Statement(
    select(handoffs.c.conversation_id, handoffs.c.reason, handoffs.c.topic)
    .where(id_in(handoffs.c.conversation_id, "ids"), handoffs.c.ended_at.is_(None))
    .order_by(handoffs.c.id)
)
_SEEN_BY_ALL: Final = (
    select(conversation_seen.c.conversation_id, conversation_seen.c.message_id, staff_users.c.name)
    .join_from(conversation_seen, staff_users, staff_users.c.id == conversation_seen.c.user_id)
    .where(id_in(conversation_seen.c.conversation_id, "ids"))
)
_SEEN: Final = Statement(_SEEN_BY_ALL.where(staff_users.c.name == bindparam("name")))
_SEEN_BY: Final = Statement(_SEEN_BY_ALL)
_VIPS: Final = Statement(
    select(customer_tags.c.customer_id).where(
        and_(id_in(customer_tags.c.customer_id, "ids"), customer_tags.c.tag == "vip")
    )
)


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation as a list shows it."""

    id: int
    customer_id: int
    name: str  # of the person: as the record has it, else as the channel calls them; may be empty
    channel: str
    account: str
    language: str
    status: str  # open | snoozed | closed
    owner: str  # bot | queue | operator
    operator: str
    last_operator: str
    team: str
    fence: int
    priority: int
    last_words: str  # short, on one line; empty for a picture and the like
    last_kind: str  # of that message: text, media, location …
    last_author: str  # customer | bot | operator | system
    last_by: str  # staff user who wrote it
    last_message_at: datetime | None
    last_inbound_at: datetime | None
    waiting_since: datetime | None
    rank: datetime | None  # place in the queue: the smaller the sooner; None where nobody waits or it was not asked for
    unanswered_since: datetime | None
    snoozed_until: datetime | None
    closed_at: datetime | None
    owner_until: datetime | None
    reason: str  # key of why a person is wanted; "" while none is
    topic: str  # the flow or intent it is about
    is_unread: bool
    has_trouble: bool  # something was not delivered, or nobody knows
    is_vip: bool
    value_class: str
    credit_class: str
    is_unreachable: bool  # they blocked us, or are gone
    timezone: str  # the customer's own, if known
    phone: str  # without its middle, to tell people apart whose name nobody knows


@dataclass(frozen=True, slots=True)
class SharedRow:
    """A line that was read once for many readers: unread for everybody until one of them is named."""

    row: ConversationRow
    last_id: int
    seen: Mapping[str, int]  # name -> the newest message they have read

    def of(self, name: str) -> ConversationRow:
        """The line as this reader sees it."""
        is_unread = self.last_id > self.seen.get(name, 0)
        return self.row if is_unread else replace(self.row, is_unread=is_unread)


def rows_of(conn: Connection, ids: Sequence[int], name: str) -> list[ConversationRow]:
    """The lines in the order of `ids`, as `name` sees them; what is gone is left out."""
    seen = _SEEN.rows(conn, {"ids": list(ids), "name": name})
    return [line.of(name) for line in _lines(conn, ids, seen)]


def shared_rows(conn: Connection, ids: Sequence[int]) -> list[SharedRow]:
    """The lines in the order of `ids`, for whoever may see them; what is gone is left out."""
    return _lines(conn, ids, _SEEN_BY.rows(conn, {"ids": list(ids)}))


def _lines(conn: Connection, ids: Sequence[int], seen: Sequence[Any]) -> list[SharedRow]:
    found = {row.id: row for row in _ROWS.rows(conn, {"ids": list(ids)})}
    last = [row.last_id for row in found.values() if row.last_id is not None]
    words = {row.id: row for row in _WORDS.rows(conn, {"ids": last})}
    reasons = {row.conversation_id: row for row in _REASONS.rows(conn, {"ids": list(ids)})}
    readers: dict[int, dict[str, int]] = {row_id: {} for row_id in found}
    for mark in seen:
        readers.get(mark.conversation_id, {})[mark.name] = mark.message_id
    people = sorted({row.customer_id for row in found.values()})
    vips = {row.customer_id for row in _VIPS.rows(conn, {"ids": people})}
    return [
        SharedRow(
            _line(found[row_id], words.get(found[row_id].last_id), reasons.get(row_id), vips),
            found[row_id].last_id or 0,
            readers[row_id],
        )
        for row_id in ids
        if row_id in found
    ]


def _line(row: Any, last: Any, why: Any, vips: set[int]) -> ConversationRow:
    return ConversationRow(
        id=row.id,
        customer_id=row.customer_id,
        name=row.customer_name or row.display_name,
        channel=row.channel,
        account=row.account,
        language=row.language or "",
        status=row.status,
        owner=row.owner,
        operator=row.operator,
        last_operator=row.last_operator,
        team=row.team,
        fence=row.fence,
        priority=row.priority,
        last_words="" if last is None or last.deleted_at is not None else one_line(last.text),
        last_kind="" if last is None else last.kind,
        last_author="" if last is None else last.author,
        last_by="" if last is None else last.by,
        last_message_at=row.last_message_at,
        last_inbound_at=row.last_inbound_at,
        waiting_since=row.waiting_since,
        rank=None,
        unanswered_since=row.unanswered_since,
        snoozed_until=row.snoozed_until,
        closed_at=row.closed_at,
        owner_until=row.owner_until,
        reason="" if why is None or row.owner == "bot" else why.reason,
        topic="" if why is None else why.topic,
        is_unread=True,
        has_trouble=bool(row.has_trouble),
        is_vip=row.customer_id in vips or row.value_class == "A",
        value_class=row.value_class or "",
        credit_class=row.credit_class,
        is_unreachable=row.unreachable_at is not None,
        timezone=row.timezone,
        phone=f"{row.phone[:-8]}****{row.phone[-4:]}" if len(row.phone) > 8 else "",
    )


_BIDI: Final = {ord(char): None for char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"}


def one_line(text: str, most: int = SHORT) -> str:
    """The beginning of the words, on one line; marks that would turn the line around are left out."""
    flat = " ".join(text[: 4 * most].translate(_BIDI).split())
    return flat if len(flat) <= most else flat[: most - 1] + "…"
