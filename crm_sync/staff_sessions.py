"""Sessions of the staff. The store knows the digest of a token only, so that reading it opens no session."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, or_, select, update

from crm_sync.console_tables import staff_sessions
from crm_sync.rows import new_ids
from crm_sync.statements import insert_rows
from crm_sync.tables import staff_users

_of_user = staff_users.c.id == staff_sessions.c.user_id


def digest(token: str) -> str:
    """What is stored of a token, which is random enough to need no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def begin(
    conn: Connection, token: str, *, user_id: int, is_complete: bool, method: str, device: str, now: datetime,
    expires_at: datetime,
) -> int:  # fmt: skip
    """A session is opened; its id."""
    (session_id,) = new_ids(conn, staff_sessions, 1)
    row = {
        "id": session_id,
        "key": digest(token),
        "user_id": user_id,
        "is_complete": is_complete,
        "method": method,
        "device": device,
        "created_at": now,
        "last_seen_at": now,
        "expires_at": expires_at,
    }
    insert_rows(conn, staff_sessions, [row])
    return session_id


def find(conn: Connection, token: str, now: datetime) -> tuple[Any, Any] | None:
    """(session, its account) of a token; None when it is over, or the account disabled."""
    alive = (staff_sessions.c.ended_at.is_(None), staff_sessions.c.expires_at > now)
    row = conn.execute(select(staff_sessions).where(staff_sessions.c.key == digest(token), *alive)).first()
    if row is None:
        return None
    user = conn.execute(select(staff_users).where(staff_users.c.id == row.user_id)).one()
    return (row, user) if user.disabled_at is None else None


def change(conn: Connection, session_id: int, **values: Any) -> None:
    """The session has these values."""
    conn.execute(update(staff_sessions).where(staff_sessions.c.id == session_id).values(**values))


def end(conn: Connection, session_id: int, by: str, now: datetime) -> bool:
    """It is over; False when it was before."""
    open_one = (staff_sessions.c.id == session_id) & staff_sessions.c.ended_at.is_(None)
    return conn.execute(update(staff_sessions).where(open_one).values(ended_at=now, ended_by=by)).rowcount > 0


def end_all(conn: Connection, user_id: int, by: str, now: datetime, *, but: int | None = None) -> int:
    """All sessions of an account, except one, are over; how many were open."""
    open_ones = (staff_sessions.c.user_id == user_id) & staff_sessions.c.ended_at.is_(None)
    if but is not None:
        open_ones &= staff_sessions.c.id != but
    return conn.execute(update(staff_sessions).where(open_ones).values(ended_at=now, ended_by=by)).rowcount


def open_of(conn: Connection, user_id: int, now: datetime) -> Sequence[Any]:
    """Sessions of an account that are not over, the newest first."""
    found = select(staff_sessions).where(
        staff_sessions.c.user_id == user_id, staff_sessions.c.ended_at.is_(None), staff_sessions.c.expires_at > now
    )
    return conn.execute(found.order_by(staff_sessions.c.id.desc())).all()


def owner_of(conn: Connection, session_id: int) -> Any | None:
    """The account a session belongs to."""
    found = select(staff_users).join(staff_sessions, _of_user).where(staff_sessions.c.id == session_id)
    return conn.execute(found).first()


def prune(conn: Connection, before: datetime) -> int:
    """Sessions that were over by then are gone; how many."""
    over = or_(staff_sessions.c.ended_at < before, staff_sessions.c.expires_at < before)
    return conn.execute(delete(staff_sessions).where(over)).rowcount
