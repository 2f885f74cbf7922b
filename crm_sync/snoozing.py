"""Setting a conversation aside for a while, closing it, having it back. Whose it is stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, insert, select, update

from bot.errors import StaleState
from bot.types import Owner
from crm_sync import handoffs, timers
from crm_sync.console_tables import handoff_events
from crm_sync.handoffs import Move
from crm_sync.tables import conversations
from crm_sync.timers import Timer

WAKE: Final = "wake_conversation"
_OPEN: Final[dict[str, Any]] = {"status": "open", "snoozed_until": None, "closed_at": None}


def check_fence(row: Any, fence: int | None) -> None:
    """Raises: StaleState when the conversation changed hands since the caller looked."""
    if fence is not None and row.fence != fence:
        raise StaleState(f"conversation {row.id} has changed hands meanwhile")


def snooze(conn: Connection, row: Any, *, until: datetime, now: datetime) -> None:
    """The locked conversation is set aside; a timer wakes it."""
    _set(conn, row.id, status="snoozed", snoozed_until=until, closed_at=None)
    timers.plan(conn, WAKE, until, now, customer_id=row.customer_id, details={"conversation_id": row.id})


def close(conn: Connection, row: Any, *, by: str, now: datetime) -> None:
    """The locked conversation is done with; whoever had it still finds it, whoever waited in it waits no more."""
    fence = row.fence
    if row.owner == Owner.QUEUE:
        (moved,) = handoffs.move(conn, [Move(row, "returned", Owner.BOT, by=by)], now)
        fence = moved.fence
    _set(
        conn,
        row.id,
        status="closed",
        closed_at=now,
        snoozed_until=None,
        unanswered_since=None,
        last_operator=row.operator or row.last_operator or by,
    )
    event = {"conversation_id": row.id, "kind": "closed", "by": by, "fence": fence, "at": now}
    conn.execute(insert(handoff_events), event)


def reopen(conn: Connection, row: Any) -> None:
    """The locked conversation is open."""
    _set(conn, row.id, **_OPEN)


def wake_due(conn: Connection, due: Sequence[Timer], now: datetime) -> list[int]:
    """Those whose time has come are open again, unless they were set aside anew; which."""
    ids = [timer.details["conversation_id"] for timer in due if "conversation_id" in timer.details]
    sleeping = (
        select(conversations.c.id)
        .where(conversations.c.id.in_(ids), conversations.c.status == "snoozed", conversations.c.snoozed_until <= now)
        .order_by(conversations.c.id)
        .with_for_update()
    )
    woken = list(conn.execute(sleeping).scalars())
    conn.execute(update(conversations).where(conversations.c.id.in_(woken)).values(**_OPEN))
    return woken


def _set(conn: Connection, conversation_id: int, **values: Any) -> None:
    conn.execute(update(conversations).where(conversations.c.id == conversation_id).values(**values))
