"""Staff accounts as rows, and the first one, which a new store begins with."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select, update

from bot.errors import InputError, NotFound, StaleState
from crm_sync.database import Database
from crm_sync.passwords import Passwords, generated
from crm_sync.rows import insert_if_absent
from crm_sync.tables import staff_users

_NAME: Final = re.compile(r"[^\s/:\x00-\x1f\x7f\ud800-\udfff]{1,60}")
RESERVED: Final = frozenset({"system", "bot", "cli", "queue"})  # who else acts in histories


def is_name(name: str) -> bool:
    """Whether an account may be called so. A colon is what tells an API token's name."""
    return _NAME.fullmatch(name) is not None and name.lower() not in RESERVED


def staff_names(conn: Connection) -> frozenset[str]:
    """The names of all accounts that may sign in."""
    return frozenset(conn.execute(select(staff_users.c.name).where(staff_users.c.disabled_at.is_(None))).scalars())


def users(conn: Connection) -> Sequence[Any]:
    """All accounts by name."""
    return conn.execute(select(staff_users).order_by(staff_users.c.name)).all()


def find_user(conn: Connection, name: str, *, lock: bool = False) -> Any | None:
    """The account of this name, locked if asked for."""
    if _NAME.fullmatch(name) is None:  # what PostgreSQL would not even take as a question
        return None
    found = select(staff_users).where(staff_users.c.name == name)
    return conn.execute(found.with_for_update() if lock else found).first()


def linked_user(conn: Connection, oidc_key: str) -> Any | None:
    """The account that somebody of a provider signs in to."""
    return conn.execute(select(staff_users).where(staff_users.c.oidc_key == oidc_key)).first()


def locked_user(conn: Connection, name: str, version: int | None = None) -> Any:
    """The account's row, locked. Raises: NotFound; StaleState when its version is another than the one given."""
    row = find_user(conn, name, lock=True)
    if row is None:
        raise NotFound(f"no account {name!r}")
    if version is not None and row.version != version:
        raise StaleState(f"somebody changed the account {name!r} in between")
    return row


def insert_user(conn: Connection, name: str, role: str, hashed: str, now: datetime, **values: Any) -> int:
    """The account exists; its id. Raises: InputError for an odd name or one that is taken."""
    if not is_name(name):
        raise InputError(
            "a name is 1 to 60 characters without spaces, slashes and colons, and none of the system's own"
        )
    row = {"name": name, "role": role, "password_hash": hashed, "created_at": now, "password_changed_at": now, **values}
    if not insert_if_absent(conn, staff_users, row, key=("name",)):
        raise InputError(f"there is already an account {name!r}")
    return int(locked_user(conn, name).id)


def change_user(conn: Connection, user_id: int, **values: Any) -> None:
    """The locked account has these values and the next version."""
    put_user(conn, user_id, **values, version=staff_users.c.version + 1)


def put_user(conn: Connection, user_id: int, **values: Any) -> None:
    """The account has these values; for what nobody edits, so that no form in front of somebody becomes stale."""
    conn.execute(update(staff_users).where(staff_users.c.id == user_id).values(**values))


def keep_an_admin(conn: Connection, name: str) -> None:
    """Somebody else with the role admin may sign in. To be asked before `name` loses the role or is disabled.

    Raises: InputError for the last one. All accounts are locked: two processes that take away the last two admins at
    once must not both succeed.
    """
    rows = conn.execute(select(staff_users).order_by(staff_users.c.id).with_for_update()).all()
    admins = {row.name for row in rows if row.role == "admin" and row.disabled_at is None}
    if admins == {name}:
        raise InputError("the last admin stays one; add another one first")


async def add_user(database: Database, name: str, role: str) -> str:
    """The account exists; its generated password. Raises: InputError for an odd name or one that is taken."""
    password = generated()
    hashed = await Passwords().hash(password)
    now = datetime.now(UTC)
    await database.run(lambda conn: insert_user(conn, name, role, hashed, now))
    return password


async def ensure_admin(database: Database) -> str | None:
    """There is an admin; the generated password of `admin` when it was created just now, else None."""

    def is_empty(conn: Connection) -> bool:
        return not conn.execute(select(func.count()).select_from(staff_users)).scalar_one()

    if not await database.run(is_empty, read=True):
        return None
    try:
        return await add_user(database, "admin", "admin")
    except InputError:  # another process was faster
        return None
