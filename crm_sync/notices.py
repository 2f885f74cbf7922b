"""Telling a customer something unasked: planned with what it is about, handed to the conversation that is open to us.

A notice is a timer first, so that a transaction about a case never needs the lock of a conversation. When it is due it
becomes an inbound row of our own in one of the customer's conversations; the worker does the rest.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, func, insert, literal, or_, select, update

from bot.service_types import Notice, as_is
from crm_sync import timers
from crm_sync.codec import dump_content
from crm_sync.columns import digest_key
from crm_sync.tables import conversations, identities, inbox, reply_windows
from crm_sync.timers import Timer

__all__ = ["as_is", "hand_out", "plan_notice", "reachable", "tell"]

KIND: Final = "notice"
_CAN_BE_TOLD: Final = (
    identities.c.unreachable_at.is_(None),
    or_(conversations.c.chat_id != "", conversations.c.topic != ""),
)
LIVE: Final = timedelta(minutes=30)  # who wrote this recently is still there, whatever the channel


def tell(
    conn: Connection,
    customer_id: int,
    notice: Notice,
    *,
    now: datetime,
    key: str | None = None,
    case_id: int | None = None,
    conversation_id: int | None = None,
) -> bool:
    """The customer is told as soon as the scheduler has looked; False when this key was told or planned before.

    `conversation_id`: where, if that place can still be reached; otherwise and by default where it is open to us.
    """
    return plan_notice(
        conn, customer_id, notice, at=now, now=now, key=key, case_id=case_id, conversation_id=conversation_id
    )


def plan_notice(
    conn: Connection,
    customer_id: int,
    notice: Notice,
    *,
    at: datetime,
    now: datetime,
    key: str | None = None,
    case_id: int | None = None,
    conversation_id: int | None = None,
) -> bool:
    """The customer will be told at `at`; False when this key was told or planned before."""
    details: dict[str, Any] = {"notice": asdict(notice)}
    if conversation_id is not None:
        details["conversation_id"] = conversation_id
    return timers.plan(conn, KIND, at, now, key=key, customer_id=customer_id, case_id=case_id, details=details)


def hand_out(conn: Connection, due: Sequence[Timer], now: datetime) -> list[Timer]:
    """Each due notice waits in a conversation of its customer for its turn; those nobody can be told come back.

    `due` are timers of kind `notice`, locked, in the order in which they are to be said.
    """
    where = _places(conn, {timer.customer_id for timer in due if timer.customer_id is not None}, now)
    rows: list[dict[str, Any]] = []
    lost: list[Timer] = []
    for timer in due:
        open_to_us = where.get(timer.customer_id or 0, [])
        wanted = timer.details.get("conversation_id")
        place = next((place for place in open_to_us if place.id == wanted), open_to_us[0] if open_to_us else None)
        if place is None:
            lost.append(timer)
            continue
        rows.append(_inbox_row(place, timer, now))
    if rows:
        conn.execute(insert(inbox), rows)
        touched = sorted({row["conversation_id"] for row in rows})
        since = conversations.c.dirty_since
        waits = func.coalesce(since, literal(now, since.type))  # bare, it would be a time as SQLAlchemy writes them
        conn.execute(update(conversations).where(conversations.c.id.in_(touched)).values(dirty_since=waits))
    return lost


def reachable(conn: Connection, customer_ids: Collection[int]) -> set[int]:
    """Those of the customers who have a conversation in which they can be told something."""
    found = select(conversations.c.customer_id).join_from(
        conversations, identities, identities.c.id == conversations.c.identity_id
    )
    mine = conversations.c.customer_id.in_(sorted(customer_ids))
    return set(conn.execute(found.where(mine, *_CAN_BE_TOLD).distinct()).scalars())


def _places(conn: Connection, customer_ids: set[int], now: datetime) -> dict[int, list[Any]]:
    """Customer -> their reachable conversations, locked, the best first.

    First where they are right now; then where a free reply can leave; then wherever they wrote last.
    """
    window = (
        select(func.count())
        .where(
            reply_windows.c.identity_id == conversations.c.identity_id,
            reply_windows.c.closes_at > now,
            reply_windows.c.used < reply_windows.c.quota,
        )
        .scalar_subquery()
    )
    counted = select(func.count()).where(reply_windows.c.identity_id == conversations.c.identity_id).scalar_subquery()
    found = conn.execute(
        select(
            conversations.c.id,
            conversations.c.customer_id,
            conversations.c.channel,
            conversations.c.account,
            conversations.c.last_inbound_at,
            window.label("open_windows"),
            counted.label("windows"),
        )
        .join_from(conversations, identities, identities.c.id == conversations.c.identity_id)
        .where(
            conversations.c.customer_id.in_(sorted(customer_ids)),
            *_CAN_BE_TOLD,
        )
        .order_by(conversations.c.id)
        .with_for_update(of=conversations)
    ).all()
    places: dict[int, list[Any]] = {}
    for row in found:
        places.setdefault(row.customer_id, []).append(row)
    for rows in places.values():
        rows.sort(key=lambda row: _rank(row, now), reverse=True)
    return places


def _rank(row: Any, now: datetime) -> tuple[bool, bool, bool, datetime]:
    last = row.last_inbound_at or datetime.min.replace(tzinfo=now.tzinfo)
    can_leave = row.windows == 0 or row.open_windows > 0
    is_live = now - last < LIVE
    return is_live and can_leave, can_leave, row.channel not in ("web", "cli"), last


def _inbox_row(place: Any, timer: Timer, now: datetime) -> dict[str, Any]:
    content = dump_content(Notice(**timer.details["notice"]))
    return {
        "dedupe": digest_key(place.channel, place.account, f"notice:{timer.id}"),
        "channel": place.channel,
        "account": place.account,
        "conversation_id": place.id,
        "message_id": None,
        "state": "pending",
        "kind": KIND,
        "wants_turn": True,
        "message": {"content": content, "dedupe_key": f"notice:{timer.id}"},
        "raw": b"",
        "digest": "",
        "reason": "",
        "sent_at": now,
        "received_at": now,
    }
