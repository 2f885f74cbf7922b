"""Roles of the business's own, as rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, func, select, update

from bot.errors import InputError
from crm_sync.console_tables import api_tokens, staff_roles
from crm_sync.rows import insert_if_absent
from crm_sync.tables import staff_users


def find(conn: Connection, name: str, *, lock: bool = False) -> Any | None:
    """The role's row, locked if asked for."""
    if "\x00" in name or not name.isprintable():  # what PostgreSQL would not take as a question
        return None
    found = select(staff_roles).where(staff_roles.c.name == name)
    return conn.execute(found.with_for_update() if lock else found).first()


def all_roles(conn: Connection) -> Sequence[Any]:
    """By name."""
    return conn.execute(select(staff_roles).order_by(staff_roles.c.name)).all()


def counts(conn: Connection) -> Mapping[str, int]:
    """How many accounts have each role; none are left out."""
    counted = select(staff_users.c.role, func.count().label("number")).group_by(staff_users.c.role)
    return {row.role: row.number for row in conn.execute(counted)}


def has_tokens(conn: Connection, name: str) -> bool:
    """Whether an API token that was not revoked has the role."""
    using = (api_tokens.c.role == name) & api_tokens.c.revoked_at.is_(None)
    return conn.execute(select(api_tokens.c.id).where(using).limit(1)).first() is not None


def add(conn: Connection, name: str, *, title: str, permissions: Sequence[str], now: datetime) -> None:
    """Raises: InputError when the name is taken."""
    row = {"name": name, "title": title, "permissions": permissions, "version": 0, "updated_at": now}
    if not insert_if_absent(conn, staff_roles, row, key=("name",)):
        raise InputError(f"there is already a role {name!r}")


def change(conn: Connection, name: str, **values: Any) -> None:
    """The locked role has these values and the next version."""
    changed = update(staff_roles).where(staff_roles.c.name == name)
    conn.execute(changed.values(**values, version=staff_roles.c.version + 1))


def remove(conn: Connection, name: str) -> None:
    conn.execute(delete(staff_roles).where(staff_roles.c.name == name))
