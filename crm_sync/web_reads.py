"""What the web channel reads: a visitor's conversation, the events after a place, what was seen."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, bindparam, func, select, update

from bot.types import ConversationId, Identity
from crm_sync.addressing import Address, find_or_create
from crm_sync.codec import wire_event
from crm_sync.columns import digest_key
from crm_sync.statements import Statement
from crm_sync.tables import conversations, messages

_replaced = messages.alias("replaced")
_EVENTS = Statement(
    select(
        messages.c.seq,
        messages.c.id,
        messages.c.direction,
        messages.c.author,
        messages.c.kind,
        messages.c.text,
        messages.c.content,
        messages.c.at,
        messages.c.deleted_at,
        _replaced.c.seq.label("replaces_seq"),
    )
    .select_from(messages.outerjoin(_replaced, _replaced.c.id == messages.c.replaces))
    .where(
        messages.c.conversation_id == bindparam("conversation"),
        messages.c.seq > bindparam("after"),
    )
    .order_by(messages.c.seq)
    .limit(bindparam("limit"))
)
_FIND = select(conversations.c.id).where(conversations.c.key == bindparam("key"))


def find_conversation(conn: Connection, identity: Identity) -> ConversationId | None:
    """The conversation of a visitor who writes in a chat of his own; None when there is none yet."""
    key = digest_key(identity.channel, identity.account, identity.external_id, identity.external_id, "")
    found = conn.execute(_FIND, {"key": key}).scalar()
    return None if found is None else ConversationId(found)


def create_conversation(conn: Connection, identity: Identity, now: datetime) -> ConversationId:
    """The conversation of a visitor, created when there is none."""
    address = Address(identity.channel, identity.account, identity.external_id, identity.external_id)
    return ConversationId(find_or_create(conn, [address], now)[address].conversation_id)


def events_after(conn: Connection, conversation_id: ConversationId, after: int, limit: int) -> list[dict[str, Any]]:
    """At most `limit` events with a sequence number above `after`, in order, shaped as on the wire."""
    rows = _EVENTS.rows(conn, {"conversation": conversation_id, "after": after, "limit": limit})
    return [
        wire_event(
            seq=row.seq,
            message_id=row.id,
            direction=row.direction,
            author=row.author,
            kind=row.kind,
            text=row.text if row.deleted_at is None else "",
            content=row.content if row.deleted_at is None else {"deleted": True},
            at=row.at,
            replaces_seq=row.replaces_seq,
        )
        for row in rows
    ]


def mark_read(conn: Connection, conversation_id: ConversationId, seq: int) -> None:
    """The customer has seen everything up to `seq`; never goes back, never beyond what there is."""
    conn.execute(
        update(conversations)
        .where(
            conversations.c.id == conversation_id,
            conversations.c.customer_read_seq < seq,
            conversations.c.web_seq >= seq,
        )
        .values(customer_read_seq=seq)
    )


def web_seq(conn: Connection, conversation_id: ConversationId) -> int:
    """The sequence number of the newest event; 0 when there is none."""
    found = conn.execute(select(func.max(messages.c.seq)).where(messages.c.conversation_id == conversation_id)).scalar()
    return int(found or 0)
