"""Tries to sign in, counted before they are checked, so that guessing many at once is no way around the limit."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Connection, delete, insert, select, text

from bot.errors import TooManyTries
from crm_sync.columns import is_postgres, key_in
from crm_sync.console_tables import sign_in_failures
from crm_sync.rows import new_ids

WINDOW: Final = timedelta(minutes=15)
FIRST_WAIT: Final = timedelta(seconds=30)  # doubled with every further failure, so that it stays below the window
LONGEST_WAIT: Final = timedelta(minutes=10)
KEPT: Final = timedelta(hours=1)
_LOCK: Final = text("SELECT pg_advisory_xact_lock(hashtextextended(:key, 0))")


def count_try(conn: Connection, limits: Mapping[str, int], now: datetime) -> dict[str, int]:
    """One more try for each key is noted; the ids by key. `limits`: how many failures a key has for free.

    Raises: TooManyTries when one of them has to wait; the try is then not counted, so waiting always ends.
    """
    for key in sorted(limits):
        if is_postgres(conn):  # who asks at the same time waits, and sees this try; always in the same order
            conn.execute(_LOCK, {"key": key})
        recent = (
            select(sign_in_failures.c.at)
            .where(sign_in_failures.c.key == key, sign_in_failures.c.at > now - WINDOW)
            .order_by(sign_in_failures.c.at.desc())
            .limit(limits[key] + 10)
        )
        failures = conn.execute(recent).scalars().all()
        if len(failures) >= limits[key]:
            wait = min(LONGEST_WAIT, FIRST_WAIT * 2 ** (len(failures) - limits[key]))
            left = failures[0] + wait - now
            if left > timedelta(0):
                raise TooManyTries(left.total_seconds())
    ids = dict(zip(limits, new_ids(conn, sign_in_failures, len(limits)), strict=True))
    conn.execute(insert(sign_in_failures), [{"id": ids[key], "key": key, "at": now} for key in limits])
    return ids


def forget_key(conn: Connection, *keys: str) -> None:
    """Nothing is held against these keys."""
    conn.execute(delete(sign_in_failures).where(key_in(sign_in_failures.c.key, "keys")), {"keys": keys})


def forget_try(conn: Connection, try_id: int) -> None:
    """This one try was no failure; others of its key stay."""
    conn.execute(delete(sign_in_failures).where(sign_in_failures.c.id == try_id))


def prune(conn: Connection, now: datetime) -> int:
    """Failures nobody asks for any more are gone; how many."""
    return conn.execute(delete(sign_in_failures).where(sign_in_failures.c.at < now - KEPT)).rowcount
