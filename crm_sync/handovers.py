"""Conversations whose person sits at the vendor: which wait to be passed on there, and which are there now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, exists, select, update

from bot.types import ConversationId, Owner
from crm_sync.columns import is_state
from crm_sync.handoffs import COLUMNS, Move, move
from crm_sync.service_tables import case_links
from crm_sync.tables import conversations, handoffs, outbox


@dataclass(frozen=True, slots=True)
class WaitingHandoff:
    """A customer who waits for a person, and whom the vendor's people do not know of yet."""

    handoff_id: int
    conversation_id: ConversationId
    chat_id: str
    topic: str


def waiting_handoffs(conn: Connection, channel: str, account: str, limit: int = 50) -> list[WaitingHandoff]:
    """Oldest first. Those with something of ours still to send wait: afterwards the vendor would refuse it."""
    unsent = exists().where(
        outbox.c.conversation_id == conversations.c.id, is_state(outbox.c.state, "pending", "sending")
    )
    rows = conn.execute(
        select(
            handoffs.c.id, conversations.c.id.label("conversation_id"), conversations.c.chat_id, conversations.c.topic
        )
        .join_from(handoffs, conversations, conversations.c.id == handoffs.c.conversation_id)
        .where(
            conversations.c.channel == channel,
            conversations.c.account == account,
            conversations.c.owner == Owner.QUEUE.value,
            handoffs.c.ended_at.is_(None),
            handoffs.c.passed_on_at.is_(None),
            ~unsent,
        )
        .order_by(handoffs.c.id)
        .limit(limit)
    )
    return [WaitingHandoff(row.id, ConversationId(row.conversation_id), row.chat_id, row.topic) for row in rows]


def passed_on(conn: Connection, handoff_id: int, now: datetime) -> None:
    """The vendor's people have it from now on; an earlier time stays."""
    mine = and_(handoffs.c.id == handoff_id, handoffs.c.passed_on_at.is_(None))
    conn.execute(update(handoffs).where(mine).values(passed_on_at=now))


def with_the_vendor(conn: Connection, channel: str, account: str, places: Sequence[tuple[str, str]]) -> set[Any]:
    """Those of these (chat, topic) that the store believes to be with the vendor's people or in its queue.

    Their newest handoff decides: one that still waits here is our own.
    """
    wanted = set(places)
    later = handoffs.alias("later")
    rows = conn.execute(
        select(conversations.c.chat_id, conversations.c.topic).where(
            conversations.c.channel == channel,
            conversations.c.account == account,
            conversations.c.owner != Owner.BOT.value,
            conversations.c.chat_id.in_({chat for chat, _ in wanted}),
            exists().where(
                handoffs.c.conversation_id == conversations.c.id,
                handoffs.c.passed_on_at.is_not(None),
                ~exists().where(later.c.conversation_id == conversations.c.id, later.c.id > handoffs.c.id),
            ),
        )
    )
    return {(row.chat_id, row.topic) for row in rows} & wanted


def waits_at_the_vendor(conn: Connection, conversation_id: int) -> bool:
    """Whether the one who waits here was passed on to the vendor's own people."""
    mine = and_(handoffs.c.conversation_id == conversation_id, handoffs.c.ended_at.is_(None))
    return conn.execute(select(handoffs.c.id).where(mine, handoffs.c.passed_on_at.is_not(None))).first() is not None


RELEASE = "release_waiting"  # kind of the timer that does it


def release_waiting(conn: Connection, case_ids: Sequence[int], now: datetime) -> int:
    """Whoever waited for a person because of these complaints waits no longer: what they waited for is done.

    Those an operator has taken over, or who asked for a person themselves, are left alone. How many were released.
    """
    waiting = (
        select(*COLUMNS)
        .join_from(handoffs, conversations, conversations.c.id == handoffs.c.conversation_id)
        .join(case_links, case_links.c.conversation_id == conversations.c.id)
        .where(
            case_links.c.case_id.in_(case_ids),
            conversations.c.owner == Owner.QUEUE.value,
            handoffs.c.ended_at.is_(None),
            handoffs.c.passed_on_at.is_(None),
            handoffs.c.reason == "complaint",
        )
        .order_by(conversations.c.id)
        .with_for_update(of=conversations)
    )
    rows = {row.id: row for row in conn.execute(waiting)}
    move(conn, [Move(row, "solved", Owner.BOT) for row in rows.values()], now)
    return len(rows)
