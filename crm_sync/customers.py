"""One customer's record: found by what staff know of a person, and everything there is about them, newest last."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, RowMapping, Table, and_, func, select
from sqlalchemy.sql.elements import ColumnElement

from bot.errors import CustomerNotFound
from bot.ports import WindowState
from bot.types import CustomerId, InboxId
from crm_sync.addressing import identity_key
from crm_sync.codec import plain
from crm_sync.database import Database
from crm_sync.phones import normalise_phone
from crm_sync.record_parts import parts_of
from crm_sync.reply_windows import left_in
from crm_sync.service_tables import customer_merges
from crm_sync.tables import (
    case_events,
    cases,
    consents,
    conversations,
    customers,
    handoffs,
    identities,
    media,
    messages,
    orders,
    outbox,
    tasks,
    timeline,
    turns,
)

_NOT_SHOWN: Final = frozenset({"key", "customer_id", "lease_owner", "lease_until", "dirty_since", "retry_at"})


async def find_customers(database: Database, key: str) -> list[CustomerId]:
    """Customers that `key` fits: an id, a phone number, or channel/account/external id. Erased ones fit nothing."""
    return await database.run(lambda conn: ids_found_by(conn, key.strip()), read=True)


async def customer_record(database: Database, customer_id: CustomerId) -> dict[str, Any]:
    """Everything known about a customer, JSON-safe, each section in order of time.

    Sections: customer, identities, conversations, windows (replies left on channels that count them), messages (in and
    out, with delivery state), cases, orders, consents, tasks, handoffs, files, those of record_parts.py, timeline.
    Raises: CustomerNotFound.
    """
    now = datetime.now(UTC)
    return await database.run(lambda conn: _record(conn, customer_id, now), read=True)


def rows_as_dicts(conn: Connection, table: Table, condition: ColumnElement[bool]) -> list[dict[str, Any]]:
    """Every column of the table's rows that meet the condition, JSON-safe, by primary key."""
    found = conn.execute(select(table).where(condition).order_by(*table.primary_key.columns))
    return [{name: plain(value) for name, value in row._mapping.items()} for row in found]


def orders_of(customer_id: CustomerId) -> ColumnElement[bool]:
    """True for the customer's own orders, and those of the phone number the customer has proven."""
    proven = select(customers.c.phone).where(
        customers.c.id == customer_id, customers.c.phone_is_verified, customers.c.phone != ""
    )
    return (orders.c.customer_id == customer_id) | orders.c.phone.in_(proven)


def conversations_of(customer_id: CustomerId) -> Any:
    """The ids of the customer's conversations, as a subquery."""
    return select(conversations.c.id).where(conversations.c.customer_id == customer_id)


def ids_found_by(conn: Connection, key: str) -> list[CustomerId]:
    """As `find_customers`, inside a transaction."""
    found: set[int] = set()
    if key.isascii() and key.isdecimal() and len(key) <= 18:
        found.update(conn.execute(select(customers.c.id).where(customers.c.id == int(key))).scalars())
    phone = normalise_phone(key) if re.fullmatch(r"[+\d\s().-]{5,30}", key) else None
    if phone:
        found.update(conn.execute(select(customers.c.id).where(customers.c.phone == phone)).scalars())
    if key.count("/") >= 2:
        channel, account, external_id = key.split("/", 2)
        same = identities.c.key == identity_key(channel, account, external_id)
        found.update(conn.execute(select(identities.c.customer_id).where(same)).scalars())
    return [CustomerId(customer_id) for customer_id in sorted({_present(conn, customer_id) for customer_id in found})]


def _present(conn: Connection, customer_id: int) -> int:
    """The record that this one is part of now; itself when it was not merged."""
    merged = and_(customer_merges.c.merged_customer_id == customer_id, customer_merges.c.undone_at.is_(None))
    into = conn.execute(select(customer_merges.c.kept_customer_id).where(merged).limit(1)).scalar()
    return customer_id if into is None else _present(conn, into)


def _record(conn: Connection, customer_id: CustomerId, now: datetime) -> dict[str, Any]:
    said = _messages(conn, customer_id)
    return {
        **_sections(conn, customer_id, now),
        "messages": said,
        "timeline": _timeline(conn, customer_id, said),
    }


def customer_sections(conn: Connection, customer_id: int, now: datetime) -> dict[str, Any]:
    """As `customer_record`, without what was said and the timeline, which are read page by page.

    Raises: CustomerNotFound.
    """
    return _sections(conn, CustomerId(customer_id), now)


def _sections(conn: Connection, customer_id: CustomerId, now: datetime) -> dict[str, Any]:
    profile = rows_as_dicts(conn, customers, customers.c.id == customer_id)
    if not profile:
        raise CustomerNotFound(f"no customer {customer_id}")
    return {
        "customer": profile[0],
        "identities": _shown(conn, identities, identities.c.customer_id == customer_id),
        "conversations": _shown(conn, conversations, conversations.c.customer_id == customer_id),
        "windows": _windows(conn, customer_id, now),
        "cases": _cases(conn, customer_id),
        "orders": _shown(conn, orders, orders_of(customer_id)),
        "consents": _shown(conn, consents, consents.c.customer_id == customer_id),
        "tasks": _shown(conn, tasks, tasks.c.customer_id == customer_id),
        "handoffs": _shown(conn, handoffs, handoffs.c.conversation_id.in_(conversations_of(customer_id))),
        "files": _files(conn, customer_id),
        **parts_of(conn, customer_id),
    }


def _shown(conn: Connection, table: Table, condition: ColumnElement[bool]) -> list[dict[str, Any]]:
    rows = rows_as_dicts(conn, table, condition)
    return [{name: value for name, value in row.items() if name not in _NOT_SHOWN} for row in rows]


def _files(conn: Connection, customer_id: CustomerId) -> list[dict[str, Any]]:
    """What the customer sent and was sent, without what the store needs for itself."""
    rows = rows_as_dicts(conn, media, media.c.conversation_id.in_(conversations_of(customer_id)))
    shown = ("conversation_id", "message_id", "state", "reason", "kind", "mime", "size", "file_name", "created_at")
    return [{"media_id": row["key"], **{name: row[name] for name in shown}} for row in rows]


def _windows(conn: Connection, customer_id: CustomerId, now: datetime) -> list[dict[str, Any]]:
    """Conversations with an open reply window, or with replies held until the customer writes."""
    waiting = conn.execute(
        select(outbox.c.conversation_id, func.count().label("held"))
        .where(outbox.c.conversation_id.in_(conversations_of(customer_id)), outbox.c.is_held)
        .group_by(outbox.c.conversation_id)
    )
    held = {row.conversation_id: row.held for row in waiting}
    mine = conn.execute(conversations_of(customer_id).order_by(conversations.c.id)).scalars().all()
    left = left_in(conn, mine, now)
    none = WindowState(0, None)
    return [
        {
            "conversation_id": conversation_id,
            "left": left.get(conversation_id, none).left,
            "closes_at": plain(left.get(conversation_id, none).closes_at),
            "held": held.get(conversation_id, 0),
        }
        for conversation_id in mine
        if conversation_id in left or conversation_id in held
    ]


def _messages(conn: Connection, customer_id: CustomerId) -> list[dict[str, Any]]:
    found = conn.execute(
        select(
            messages.c.id,
            messages.c.conversation_id,
            conversations.c.channel,
            messages.c.direction,
            messages.c.author,
            messages.c.kind,
            messages.c.text,
            messages.c.content,
            messages.c.replaces,
            messages.c.edited_at,
            messages.c.at,
            turns.c.intent,
            turns.c.confidence,
            turns.c.understanding,
            outbox.c.state.label("delivery"),
            outbox.c.reason,
            outbox.c.attempts,
            outbox.c.maybe_repeated,
            outbox.c.sent_at,
        )
        .join_from(messages, conversations, conversations.c.id == messages.c.conversation_id)
        .outerjoin(turns, (turns.c.inbox_id == messages.c.inbox_id) & (messages.c.direction == "in"))
        .outerjoin(outbox, outbox.c.message_id == messages.c.id)
        .where(conversations.c.customer_id == customer_id)
        .order_by(messages.c.id)
    )
    return [_message(row._mapping) for row in found]


def _message(row: RowMapping) -> dict[str, Any]:
    """A voice message shows the words that were heard in it."""
    shown = {name: plain(value) for name, value in row.items()}
    heard = (shown.pop("understanding") or {}).get("text", "")
    if shown["kind"] == "media" and not shown["text"]:
        shown["text"] = heard
    return shown


def _cases(conn: Connection, customer_id: CustomerId) -> list[dict[str, Any]]:
    shown = _shown(conn, cases, cases.c.customer_id == customer_id)
    for case in shown:
        events = rows_as_dicts(conn, case_events, case_events.c.case_id == case["id"])
        case["events"] = [
            {name: event[name] for name in ("kind", "author", "by", "note", "is_internal", "changes", "at")}
            for event in events
        ]
    return shown


def _timeline(conn: Connection, customer_id: CustomerId, said: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Effects have rows of their own; messages are shown from where they are kept, so that no word is stored twice."""
    lines = [
        {name: row[name] for name in ("at", "kind", "summary", "reference", "author", "conversation_id")}
        for row in rows_as_dicts(conn, timeline, timeline.c.customer_id == customer_id)
    ]
    lines += [
        {
            "at": message["at"],
            "kind": f"message_{message['direction']}",
            "summary": message["text"] or message["kind"],
            "reference": str(message["id"]),
            "author": message["author"],
            "conversation_id": message["conversation_id"],
        }
        for message in said
    ]
    # What was said comes before what was decided on it; answers come after.
    rank = {"message_in": 0, "message_out": 2}
    return sorted(lines, key=lambda line: (line["at"], rank.get(line["kind"], 1)))


def turn_of(conn: Connection, *, inbox_id: InboxId) -> dict[str, Any] | None:
    """What one message led to; None while it waits for its turn."""
    row = conn.execute(
        select(turns, conversations.c.customer_id)
        .join_from(turns, conversations, conversations.c.id == turns.c.conversation_id)
        .where(turns.c.inbox_id == inbox_id)
    ).first()
    if row is None:
        return None
    replies = conn.execute(
        select(messages.c.text, messages.c.content)
        .where(
            messages.c.conversation_id == row.conversation_id,
            messages.c.inbox_id == inbox_id,
            messages.c.direction == "out",
        )
        .order_by(messages.c.id)
    )
    return {
        "replies": [{"text": reply.text, "buttons": (reply.content or {}).get("buttons", [])} for reply in replies],
        "intent": row.intent,
        "confidence": row.confidence,
        "entities": (row.understanding or {}).get("entities", []),
        "engine": row.engine,
        "customer_id": row.customer_id,
    }
