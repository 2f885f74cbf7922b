"""Whether every conversation is somebody's, as the store lies there: bot, queue or operator, and what goes with it."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import Connection, and_, func, or_, select

from crm_sync.console_tables import handoff_events
from crm_sync.tables import conversations, handoffs


def held_as_said(conn: Connection) -> Iterator[str]:
    """An operator is named exactly where one owns it, a lease runs only there, and only who waits has waited since."""
    owner = conversations.c.owner
    odd = or_(
        and_(owner == "operator", conversations.c.operator == ""),
        and_(owner != "operator", or_(conversations.c.operator != "", conversations.c.owner_until.is_not(None))),
        and_(owner == "queue", conversations.c.waiting_since.is_(None)),
        and_(owner != "queue", conversations.c.waiting_since.is_not(None)),
        and_(owner == "bot", conversations.c.unanswered_since.is_not(None)),
    )
    for row in conn.execute(select(conversations.c.id, owner).where(odd).order_by(conversations.c.id)):
        yield f"conversation {row.id} is the {row.owner}'s, and what is noted beside it says otherwise"


def one_handoff_each(conn: Connection) -> Iterator[str]:
    """Who waits, or is answered by one of ours, has one open handoff; who is with the bot has none."""
    still = and_(handoffs.c.conversation_id == conversations.c.id, handoffs.c.ended_at.is_(None))
    counted = (
        select(
            conversations.c.id,
            conversations.c.owner,
            conversations.c.owner_until,
            func.count(handoffs.c.id).label("open"),
        )
        .outerjoin_from(conversations, handoffs, still)
        .group_by(conversations.c.id, conversations.c.owner, conversations.c.owner_until)
        .having(or_(func.count(handoffs.c.id) > 0, conversations.c.owner != "bot"))
        .order_by(conversations.c.id)
    )
    for row in conn.execute(counted):
        is_vendor_s = row.owner == "operator" and row.owner_until is None
        expected = 0 if row.owner == "bot" or is_vendor_s else 1
        if row.open != expected:
            yield f"conversation {row.id} is the {row.owner}'s and has {row.open} open handoffs"


def fences_only_rise(conn: Connection) -> Iterator[str]:
    """The history's fences never fall, and the conversation's own is the highest of them."""
    told = select(
        handoff_events.c.conversation_id, handoff_events.c.fence, conversations.c.fence.label("now")
    ).join_from(handoff_events, conversations, conversations.c.id == handoff_events.c.conversation_id)
    last = (0, 0)
    for row in conn.execute(told.order_by(handoff_events.c.conversation_id, handoff_events.c.id)):
        if row.conversation_id == last[0] and row.fence < last[1]:
            yield f"conversation {row.conversation_id}: its fence fell from {last[1]} to {row.fence}"
        if row.fence > row.now:
            yield f"conversation {row.conversation_id}: its history knows fence {row.fence}, it says {row.now}"
        last = (row.conversation_id, row.fence)
