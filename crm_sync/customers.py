"""One customer: found, shown, exported, erased."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from bot.types import InboxId
from crm_sync.tables import conversations, messages, turns


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
