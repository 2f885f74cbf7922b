"""What writes through the API were answered, by the key their client gave: the same request twice is done once."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from crm_sync.columns import is_postgres
from crm_sync.console_tables import api_answers


def find_locked(conn: Connection, key: str) -> Any:
    """The row of this key, which nobody else changes before this transaction ends; None when there is none."""
    return conn.execute(select(api_answers).where(api_answers.c.key == key).with_for_update()).first()


def begin(conn: Connection, key: str, digest: str, now: datetime) -> bool:
    """A row of this key is there, without an answer; False when there was one before."""
    row: dict[str, Any] = {"key": key, "digest": digest, "status": None, "headers": {}, "body": None, "at": now}
    build = postgresql.insert if is_postgres(conn) else sqlite.insert
    return conn.execute(build(api_answers).on_conflict_do_nothing(index_elements=["key"]), row).rowcount == 1


def take_over(conn: Connection, key: str, digest: str, now: datetime) -> None:
    """The key begins anew: whoever had it died, or its time is over."""
    anew: dict[str, Any] = {"digest": digest, "status": None, "headers": {}, "body": None, "at": now}
    conn.execute(update(api_answers).where(api_answers.c.key == key).values(**anew))


def keep(conn: Connection, key: str, status: int, headers: Mapping[str, str], body: bytes) -> None:
    conn.execute(
        update(api_answers).where(api_answers.c.key == key).values(status=status, headers=dict(headers), body=body)
    )


def forget(conn: Connection, key: str) -> None:
    """The key was never used."""
    conn.execute(delete(api_answers).where(and_(api_answers.c.key == key, api_answers.c.status.is_(None))))


def prune(conn: Connection, before: datetime) -> int:
    """Answers older than this are gone; how many."""
    return conn.execute(delete(api_answers).where(api_answers.c.at < before)).rowcount
