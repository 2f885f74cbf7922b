"""How many recipients of a broadcast are in which state, kept by whoever moves them, in the same transaction."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Connection, func, select

from crm_sync.broadcast_tables import broadcast_counts
from crm_sync.rows import upsert_many

Place = tuple[int, str, str, str]  # broadcast, arm, state, reason


def add_counts(conn: Connection, changes: Mapping[Place, int]) -> None:
    """The counts are changed by so much. Always in the same order, so that two senders never wait for each other."""
    keys = ("broadcast_id", "arm", "state", "reason")
    rows = [{**dict(zip(keys, place, strict=True)), "count": by} for place, by in sorted(changes.items()) if by]
    upsert_many(conn, broadcast_counts, rows, key=keys, added=("count",))


def moved(changes: Counter[Place], broadcast_id: int, arm: str, was: tuple[str, str], now: tuple[str, str]) -> None:
    """One recipient goes from one (state, reason) to another."""
    changes[(broadcast_id, arm, *was)] -= 1
    changes[(broadcast_id, arm, *now)] += 1


def counts_of(conn: Connection, broadcast_id: int) -> dict[str, int]:
    """State -> recipients."""
    rows = conn.execute(
        select(broadcast_counts.c.state, func.sum(broadcast_counts.c.count).label("rows"))
        .where(broadcast_counts.c.broadcast_id == broadcast_id)
        .group_by(broadcast_counts.c.state)
    )
    return {row.state: int(row.rows) for row in rows if row.rows}
