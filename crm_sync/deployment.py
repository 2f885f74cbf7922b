"""Small durable facts of the deployment: cursors of pull channels, rate tokens, retention of raw payloads."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from crm_sync.rows import upsert
from crm_sync.tables import cursors, inbox, rate_buckets


def get_cursor(conn: Connection, name: str) -> str:
    """The stored position; empty before the first."""
    found: str | None = conn.execute(select(cursors.c.value).where(cursors.c.name == name)).scalar()
    return found or ""


def set_cursor(conn: Connection, name: str, value: str, now: datetime) -> None:
    """The position is stored."""
    upsert(conn, cursors, {"name": name, "value": value, "updated_at": now}, key=["name"])


def take_token(conn: Connection, key: str, per_s: float, burst: int, now: datetime) -> float:
    """0.0 when a token was taken from the bucket, else the seconds until there is one."""
    row = conn.execute(select(rate_buckets).where(rate_buckets.c.key == key).with_for_update()).first()
    tokens = float(burst)
    if row is not None:
        # A clock that went backwards must not empty the bucket for longer than it was away.
        elapsed = max((now - row.at).total_seconds(), 0.0)
        tokens = min(float(burst), row.tokens + elapsed * per_s)
    wait = 0.0 if tokens >= 1 else (1 - tokens) / per_s
    left = tokens - 1 if wait == 0.0 else tokens
    if row is None:
        conn.execute(insert(rate_buckets), {"key": key, "tokens": left, "at": now})
    elif wait == 0.0 or now < row.at:
        conn.execute(update(rate_buckets).where(rate_buckets.c.key == key).values(tokens=left, at=now))
    return wait


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
