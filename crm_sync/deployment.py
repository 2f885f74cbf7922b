"""Small durable facts of the deployment: cursors of pull channels, rate tokens, retention of raw payloads."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, bindparam, func, select, update

from crm_sync.rows import insert_if_absent, upsert
from crm_sync.statements import Statement
from crm_sync.tables import cursors, inbox, rate_buckets

CLOCK_SET_BACK_S = 2.0  # more than callers wait for each other
_CURSOR = Statement(select(cursors.c.value).where(cursors.c.name == bindparam("name")))


def get_cursor(conn: Connection, name: str) -> str:
    """The stored position; empty before the first."""
    found = _CURSOR.rows(conn, {"name": name})
    return found[0].value or "" if found else ""


def set_cursor(conn: Connection, name: str, value: str, now: datetime) -> None:
    """The position is stored."""
    upsert(conn, cursors, {"name": name, "value": value, "updated_at": now}, key=["name"])


def take_token(conn: Connection, key: str, per_s: float, burst: int, now: datetime, *, owed: int = 0) -> float:
    """0.0 when a token was taken from the bucket, else the seconds until there is one.

    `now` is the caller's clock. Callers wait for each other at the row: one may bring a time a little before the last.
    `owed` tokens more are gone in any case.
    """
    mine = select(rate_buckets).where(rate_buckets.c.key == key).with_for_update()
    row = conn.execute(mine).first()
    if row is None:
        insert_if_absent(conn, rate_buckets, {"key": key, "tokens": float(burst), "at": now}, key=["key"])
        row = conn.execute(mine).one()
    elapsed_s = (now - row.at).total_seconds()
    at = row.at
    if elapsed_s > 0 or elapsed_s < -CLOCK_SET_BACK_S:
        # A clock that was set back must not empty the bucket for as long as it was ahead.
        at, elapsed_s = now, max(elapsed_s, 0.0)
    tokens = min(float(burst), row.tokens + max(elapsed_s, 0.0) * per_s) - owed
    wait_s = 0.0 if tokens >= 1 else (1 - tokens) / per_s
    if wait_s == 0.0 or owed or at < row.at:
        left = tokens - 1 if wait_s == 0.0 else tokens
        conn.execute(update(rate_buckets).where(rate_buckets.c.key == key).values(tokens=left, at=at))
    return wait_s


def prune_raw(conn: Connection, before: datetime, limit: int = 5_000) -> int:
    """Raw payloads of at most `limit` handled messages received before then are gone; how many."""
    old = (
        select(inbox.c.id)
        .where(inbox.c.received_at < before, inbox.c.state != "pending", func.length(inbox.c.raw) > 0)
        .limit(limit)
    )
    ids = list(conn.execute(old).scalars())
    if ids:
        conn.execute(update(inbox).where(inbox.c.id.in_(ids)).values(raw=b""))
    return len(ids)
