"""How far each of the staff has read."""

from __future__ import annotations

from datetime import datetime
from typing import Final

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from crm_sync.columns import is_postgres
from crm_sync.console_tables import conversation_seen
from crm_sync.tables import staff_users

_USER: Final = select(staff_users.c.id).where(staff_users.c.name == bindparam("name"))


def user_id(conn: Connection, name: str) -> int | None:
    """The account's id; None for a token of the API, which has no account."""
    found: int | None = conn.execute(_USER, {"name": name}).scalar()
    return found


def mark_seen(conn: Connection, name: str, conversation_id: int, message_id: int, now: datetime) -> None:
    """They have read up to this message; never goes back."""
    who = user_id(conn, name)
    if who is None:
        return
    build = postgresql.insert if is_postgres(conn) else sqlite.insert
    row = {"user_id": who, "conversation_id": conversation_id, "message_id": message_id, "at": now}
    statement = build(conversation_seen).values(row)
    fresh = {name: statement.excluded[name] for name in ("message_id", "at")}
    conn.execute(
        statement.on_conflict_do_update(
            index_elements=["user_id", "conversation_id"],
            set_=fresh,
            where=conversation_seen.c.message_id < statement.excluded.message_id,
        )
    )
