"""API tokens as rows; the token itself is known to whoever was shown it, the store has its digest."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select, update

from bot.errors import InputError, NotFound
from crm_sync.console_tables import api_tokens
from crm_sync.rows import insert_if_absent
from crm_sync.staff_sessions import digest


def add(conn: Connection, token: str, *, name: str, **values: Any) -> int:
    """The token opens the API; its id. Raises: InputError when the name is taken, also by one that was revoked."""
    if not insert_if_absent(conn, api_tokens, {"name": name, "key": digest(token), **values}, key=("name",)):
        raise InputError(f"there is already a token {name!r}")
    return int(conn.execute(select(api_tokens.c.id).where(api_tokens.c.key == digest(token))).scalar_one())


def find(conn: Connection, token: str) -> Any | None:
    """The row of a token, whether it still opens anything or not."""
    return conn.execute(select(api_tokens).where(api_tokens.c.key == digest(token))).first()


def all_tokens(conn: Connection) -> Sequence[Any]:
    """Every token there was, the newest first."""
    return conn.execute(select(api_tokens).order_by(api_tokens.c.id.desc())).all()


def locked(conn: Connection, token_id: int) -> Any:
    """The token's row, locked. Raises: NotFound."""
    row = conn.execute(select(api_tokens).where(api_tokens.c.id == token_id).with_for_update()).first()
    if row is None:
        raise NotFound(f"no token {token_id}")
    return row


def change(conn: Connection, token_id: int, **values: Any) -> None:
    """The token has these values."""
    conn.execute(update(api_tokens).where(api_tokens.c.id == token_id).values(**values))
