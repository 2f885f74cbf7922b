"""Staff accounts: who may sign in, with which role. Passwords are generated, shown once and kept as argon2id."""

from __future__ import annotations

import asyncio
import re
import secrets
from datetime import UTC, datetime
from typing import Any, Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from bot.errors import InputError, NotFound
from crm_sync.database import Database
from crm_sync.tables import staff_users

ROLES: Final = ("admin", "manager", "lead", "supervisor", "operator", "marketer", "analyst", "auditor", "viewer")
_NAME = re.compile(r"[^\s/\x00-\x1f\x7f\ud800-\udfff]{1,60}")
_HASHER = PasswordHasher()  # argon2-cffi's defaults are RFC 9106's low-memory profile


async def add_user(database: Database, name: str, role: str) -> str:
    """The account exists; its generated password.

    Raises: InputError for an unknown role, an odd name or a name that is taken.
    """
    if role not in ROLES:
        raise InputError(f"unknown role {role!r}; use one of {', '.join(ROLES)}")
    if not _NAME.fullmatch(name):
        raise InputError("a name is 1 to 60 characters without spaces")
    password, hashed = await _new_password()
    try:
        await database.run(lambda conn: _insert(conn, name, role, hashed))
    except IntegrityError as exc:
        raise InputError(f"there is already an account {name!r}") from exc
    return password


async def list_users(database: Database) -> list[dict[str, Any]]:
    """Accounts by name, without secrets; times as ISO 8601."""

    def unit(conn: Connection) -> list[dict[str, Any]]:
        rows = conn.execute(select(staff_users).order_by(staff_users.c.name))
        return [
            {
                "name": row.name,
                "role": row.role,
                "created_at": row.created_at.isoformat(),
                "disabled_at": row.disabled_at.isoformat() if row.disabled_at else None,
            }
            for row in rows
        ]

    return await database.run(unit, read=True)


def staff_names(conn: Connection) -> frozenset[str]:
    """The names of all accounts that may sign in."""
    return frozenset(conn.execute(select(staff_users.c.name).where(staff_users.c.disabled_at.is_(None))).scalars())


async def disable_user(database: Database, name: str) -> None:
    """The account can no longer sign in. Raises: NotFound; InputError for the last admin who can."""

    def unit(conn: Connection) -> None:
        # Locked as a whole: two processes disabling the last two admins at once must not both succeed.
        rows = conn.execute(select(staff_users).order_by(staff_users.c.id).with_for_update()).all()
        account = next((row for row in rows if row.name == name), None)
        if account is None:
            raise NotFound(f"no account {name!r}")
        if account.disabled_at is not None:
            return
        admins = [row.name for row in rows if row.role == "admin" and row.disabled_at is None]
        if admins == [name]:
            raise InputError("the last admin cannot be disabled; add another one first")
        conn.execute(update(staff_users).where(staff_users.c.id == account.id).values(disabled_at=_now()))

    await database.run(unit)


async def reset_password(database: Database, name: str) -> str:
    """The account has a new generated password, and may sign in again if it was disabled. Raises: NotFound."""
    password, hashed = await _new_password()

    def unit(conn: Connection) -> None:
        changed = conn.execute(
            update(staff_users)
            .where(staff_users.c.name == name)
            .values(password_hash=hashed, password_changed_at=_now(), disabled_at=None)
        ).rowcount
        if changed == 0:
            raise NotFound(f"no account {name!r}")

    await database.run(unit)
    return password


async def ensure_admin(database: Database) -> str | None:
    """There is an admin; the generated password of `admin` when it was created just now, else None."""

    def unit(conn: Connection) -> int:
        return conn.execute(select(func.count()).select_from(staff_users)).scalar_one()

    if await database.run(unit, read=True):
        return None
    try:
        return await add_user(database, "admin", "admin")
    except InputError:  # another process was faster
        return None


async def check_password(database: Database, name: str, password: str) -> str | None:
    """The account's role when name and password fit and it is not disabled, else None."""

    def unit(conn: Connection) -> Any:
        return conn.execute(select(staff_users).where(staff_users.c.name == name)).first()

    row = await database.run(unit, read=True)
    # Somebody unknown costs as much time as somebody known, so that names cannot be tried out.
    hashed = row.password_hash if row is not None else await asyncio.to_thread(_HASHER.hash, secrets.token_hex(8))
    fits = await asyncio.to_thread(_fits, hashed, password)
    return row.role if row is not None and fits and row.disabled_at is None else None


def _fits(hashed: str, password: str) -> bool:
    try:
        return _HASHER.verify(hashed, password)
    except (VerificationError, InvalidHashError, UnicodeEncodeError):
        return False


async def _new_password() -> tuple[str, str]:
    password = secrets.token_urlsafe(12)  # 96 bits
    return password, await asyncio.to_thread(_HASHER.hash, password)


def _insert(conn: Connection, name: str, role: str, hashed: str) -> None:
    now = _now()
    conn.execute(
        insert(staff_users),
        {"name": name, "role": role, "password_hash": hashed, "created_at": now, "password_changed_at": now},
    )


def _now() -> datetime:
    return datetime.now(UTC)
