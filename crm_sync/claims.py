"""Leasing conversations: what waits, whose it is, and everything a turn may know, in a handful of statements."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, bindparam, func, or_, select, update

from bot.ports import Claimed, ClaimedMessage
from bot.types import Conversation, ConversationId, CustomerId, CustomerSnapshot, Identity, InboxId, Owner
from crm_sync.codec import load_message
from crm_sync.columns import id_in, is_state
from crm_sync.service_tables import customer_values
from crm_sync.snapshot_parts import PARTS_OF
from crm_sync.snapshots import CustomerRow, snapshots
from crm_sync.statements import Statement
from crm_sync.tables import conversations, customers, identities, inbox

LEASE: Final = timedelta(seconds=10)
MAX_MESSAGES: Final = 10  # per conversation and claim

_now = bindparam("now", type_=conversations.c.dirty_since.type)
_DUE = Statement(
    select(
        conversations.c.id,
        conversations.c.customer_id,
        conversations.c.channel,
        conversations.c.account,
        conversations.c.chat_id,
        conversations.c.topic,
        conversations.c.language,
        conversations.c.owner,
        conversations.c.fence,
        conversations.c.version,
        conversations.c.state,
        conversations.c.last_message_at,
        identities.c.external_id,
        customers.c.name,
        customers.c.phone,
        customers.c.phone_is_verified,
        customers.c.email,
        customers.c.language.label("customer_language"),
        customers.c.timezone,
        customers.c.credit_class,
        customer_values.c.value_class,
        customer_values.c.lifecycle,
        PARTS_OF.label("parts"),
    )
    .join_from(conversations, identities, identities.c.id == conversations.c.identity_id)
    .join(customers, customers.c.id == conversations.c.customer_id)
    .outerjoin(customer_values, customer_values.c.customer_id == customers.c.id)
    .where(
        conversations.c.dirty_since.is_not(None),
        or_(conversations.c.lease_until.is_(None), conversations.c.lease_until <= _now),
        or_(conversations.c.retry_at.is_(None), conversations.c.retry_at <= _now),
    )
    .order_by(conversations.c.dirty_since)
    .limit(bindparam("limit"))
    .with_for_update(of=conversations, skip_locked=True)
)
_LEASE = Statement(
    update(conversations)
    .where(id_in(conversations.c.id, "b_ids"))
    .values(lease_owner=bindparam("b_lease"), lease_until=bindparam("b_until"))
)
_numbered = (
    select(
        inbox.c.id,
        inbox.c.conversation_id,
        inbox.c.message,
        inbox.c.sent_at,
        inbox.c.received_at,
        inbox.c.wants_turn,
        func.row_number().over(partition_by=inbox.c.conversation_id, order_by=inbox.c.id).label("place"),
    )
    .where(id_in(inbox.c.conversation_id, "ids"), is_state(inbox.c.state, "pending"))
    .subquery()
)
_PENDING = Statement(select(_numbered).where(_numbered.c.place <= MAX_MESSAGES).order_by(_numbered.c.id))
_NOTHING_WAITS = Statement(
    update(conversations)
    .where(id_in(conversations.c.id, "b_ids"))
    .values(dirty_since=None, lease_owner=None, lease_until=None, retry_at=None)
)
_RENEW = Statement(
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"), conversations.c.lease_owner == bindparam("b_lease"))
    .values(lease_until=bindparam("b_until"))
)
_RELEASE = Statement(
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"), conversations.c.lease_owner == bindparam("b_lease"))
    .values(lease_owner=None, lease_until=None, retry_at=bindparam("b_retry_at"))
)
_HOLDS = Statement(
    select(conversations.c.id)
    .where(conversations.c.id == bindparam("id"), conversations.c.lease_owner == bindparam("lease"))
    .with_for_update()
)


def claim(conn: Connection, worker: str, limit: int, now: datetime) -> list[Claimed]:
    """Up to `limit` conversations leased to `worker`, longest waiting first, each with its next messages."""
    due = _DUE.rows(conn, {"now": now, "limit": limit})
    if not due:
        return []
    lease = f"{worker}:{secrets.token_hex(6)}"
    ids = [row.id for row in due]
    _LEASE.change(conn, {"b_ids": ids, "b_lease": lease, "b_until": now + LEASE})
    waiting: dict[int, list[Any]] = defaultdict(list)
    for row in _PENDING.rows(conn, {"ids": ids}):
        waiting[row.conversation_id].append(row)
    idle = [row.id for row in due if row.id not in waiting]
    if idle:
        _NOTHING_WAITS.change(conn, {"b_ids": idle})
    people = snapshots(conn, [_customer(row) for row in due if row.id in waiting], now)
    return [
        _claimed(row, people[CustomerId(row.customer_id), row.channel], waiting[row.id], lease)
        for row in due
        if row.id in waiting
    ]


def _customer(row: Any) -> CustomerRow:
    return CustomerRow(
        snapshot=CustomerSnapshot(
            customer_id=CustomerId(row.customer_id),
            name=row.name,
            phone=row.phone,
            phone_is_verified=row.phone_is_verified,
            email=row.email,
            language=row.customer_language,
            timezone=row.timezone,
            credit_class=row.credit_class,
            value_class=row.value_class or "",
            lifecycle=row.lifecycle or "",
        ),
        channel=row.channel,
        parts=row.parts,
    )


def _claimed(row: Any, customer: CustomerSnapshot, waiting: Sequence[Any], lease: str) -> Claimed:
    sender = Identity(row.channel, row.account, row.external_id)
    return Claimed(
        conversation=Conversation(
            id=ConversationId(row.id),
            identity=sender,
            chat_id=row.chat_id,
            topic=row.topic,
            language=row.language,
            owner=Owner(row.owner),
            fence=row.fence,
            version=row.version,
            state=row.state,
            last_message_at=row.last_message_at,
            customer=customer,
        ),
        messages=tuple(
            ClaimedMessage(
                InboxId(entry.id),
                load_message(
                    entry.message,
                    sender=sender,
                    chat_id=row.chat_id,
                    topic=row.topic,
                    sent_at=entry.sent_at,
                    wants_turn=entry.wants_turn,
                ),
                entry.received_at,
            )
            for entry in waiting
        ),
        lease=lease,
    )


def renew(conn: Connection, leases: Sequence[Claimed], now: datetime) -> None:
    """Leases still held run for another 10 s."""
    rows = [
        {"b_id": item.conversation.id, "b_lease": item.lease, "b_until": now + LEASE}
        for item in sorted(leases, key=lambda item: item.conversation.id)
    ]
    _RENEW.change_each(conn, rows)


def release(conn: Connection, claimed: Claimed, retry_at: datetime | None) -> None:
    """The conversation can be claimed again, not before `retry_at`; nothing happens when the lease was lost."""
    _RELEASE.change(conn, {"b_id": claimed.conversation.id, "b_lease": claimed.lease, "b_retry_at": retry_at})


def park(conn: Connection, claimed: Claimed, inbox_id: InboxId, reason: str, now: datetime) -> None:
    """The message is set aside and the conversation released; nothing happens when the lease was lost."""
    if not _HOLDS.rows(conn, {"id": claimed.conversation.id, "lease": claimed.lease}):
        return
    conn.execute(
        update(inbox)
        .where(
            inbox.c.id == inbox_id,
            inbox.c.conversation_id == claimed.conversation.id,
            is_state(inbox.c.state, "pending"),
        )
        .values(state="parked", reason=reason, done_at=now)
    )
    release(conn, claimed, None)


def release_dead(conn: Connection) -> int:
    """Every lease on a conversation has ended; how many there were. Only for a store nobody else is working on."""
    return conn.execute(
        update(conversations)
        .where(conversations.c.lease_owner.is_not(None))
        .values(lease_owner=None, lease_until=None, retry_at=None)
    ).rowcount
