"""The order of the queue, and the queue as a customer sees it: how many come before, how long the last ones waited."""

from __future__ import annotations

from datetime import datetime, timedelta
from statistics import median
from typing import Any, Final

from sqlalchemy import BigInteger, Connection, Interval, and_, func, literal, select, tuple_, type_coerce
from sqlalchemy.dialects.postgresql import TIMESTAMP
from sqlalchemy.sql.elements import ColumnElement

from bot.types import QueueView
from crm_sync.columns import EPOCH, MICROSECOND, is_postgres, is_state
from crm_sync.tables import conversations, handoffs

RECENT: Final = timedelta(hours=12)
LAST: Final = 20  # waits that tell what the next one may be
FEWEST: Final = 3


def queue_view(conn: Connection, key: str, now: datetime) -> QueueView:
    """As `bot.types.Need` says for `queue`: for somebody who waits as they do, else as if they began now."""
    conversation, points, ageing_s, team = key.split("|", 3)
    row = conn.execute(
        select(
            conversations.c.owner, conversations.c.team, conversations.c.priority, conversations.c.waiting_since
        ).where(conversations.c.id == int(conversation))
    ).first()
    priority, since = int(points), now
    if row is not None and row.waiting_since is not None:
        team, priority, since = row.team, row.priority, row.waiting_since
    ageing = timedelta(seconds=float(ageing_s))
    rank = since - priority * ageing
    before = tuple_(rank_of(conn, ageing), conversations.c.id) < tuple_(as_rank(conn, rank), int(conversation))
    waiting = and_(
        is_state(conversations.c.owner, "queue"), conversations.c.team == team, conversations.c.id != int(conversation)
    )
    ahead = conn.execute(select(func.count()).select_from(conversations).where(waiting, before)).scalar_one()
    usual = _usual_wait(conn, team, now)
    left = None if usual is None else usual - (now - since)
    return QueueView(ahead, left if left is not None and left > timedelta(0) else None)


def _usual_wait(conn: Connection, team: str, now: datetime) -> timedelta | None:
    """The middle one of the team's last waits; None when too few were taken lately to say."""
    lately = (
        select(handoffs.c.requested_at, handoffs.c.taken_at)
        .where(
            handoffs.c.requested_at >= now - RECENT,
            handoffs.c.taken_at.is_not(None),
            handoffs.c.team == team,
            handoffs.c.reason != "taken",
        )
        .order_by(handoffs.c.id.desc())
        .limit(LAST)
    )
    waits = [(row.taken_at - row.requested_at).total_seconds() for row in conn.execute(lately)]
    return timedelta(seconds=median(waits)) if len(waits) >= FEWEST else None


def rank_of(conn: Connection, ageing: timedelta) -> ColumnElement[Any]:
    """`HandoffRules.rank` of a row that waits: what the queue is sorted by, for customers and for staff."""
    if is_postgres(conn):
        since: ColumnElement[Any] = type_coerce(conversations.c.waiting_since, TIMESTAMP(timezone=True))
        return since - conversations.c.priority * literal(ageing, Interval())
    return type_coerce(conversations.c.waiting_since, BigInteger) - conversations.c.priority * (ageing // MICROSECOND)


def as_rank(conn: Connection, moment: datetime) -> ColumnElement[Any]:
    """A moment to be compared with `rank_of`."""
    if is_postgres(conn):
        return literal(moment, TIMESTAMP(timezone=True))
    return literal((moment - EPOCH) // MICROSECOND, BigInteger())
