"""People of the staff for tests: somebody with an account, a role, and a session."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from argon2 import PasswordHasher

from bot.ports import Clock
from bot.service.policy import ServicePolicy, read_policy
from crm_sync.database import Database
from crm_sync.passwords import Passwords
from crm_sync.staff import insert_user, locked_user, put_user
from crm_sync.store import SqlStore
from desk.sessions import SignInRules
from desk.signing_in import SigningIn
from frontdesk.clock import SystemClock
from tests.store_steps import SECRET_KEYS

PASSWORD = "correct horse battery"
CHEAP = PasswordHasher(time_cost=1, memory_cost=8, parallelism=1)  # hundreds of tests sign somebody in
TEAMS = {"routing": {"teams": {"service": {"members": ["li"], "lead": "ann"}, "quality": {"members": ["ann"]}}}}


def policy() -> ServicePolicy:
    """Two teams: li and ann are in service, ann is in quality too."""
    return read_policy(TEAMS)


def signing_in(
    store: SqlStore,
    clock: Clock | None = None,
    rules: SignInRules | None = None,
    *,
    keys: Sequence[bytes] = SECRET_KEYS,
    hasher: PasswordHasher = CHEAP,
) -> SigningIn:
    """The service on this store."""
    return SigningIn(store.database, keys, clock or SystemClock(), policy, rules, passwords=Passwords(hasher))


async def an_account(
    store: SqlStore, name: str = "li", role: str = "operator", *, password: str = PASSWORD, **values: Any
) -> int:
    """The account is there with this password; its id."""
    hashed = await Passwords(CHEAP).hash(password)
    now = datetime(2026, 11, 1, tzinfo=UTC)
    return await store.database.run(lambda conn: insert_user(conn, name, role, hashed, now, **values))


async def disable_user(database: Database, name: str) -> None:
    """The account cannot sign in any more."""
    now = datetime(2026, 11, 2, tzinfo=UTC)
    await database.run(lambda conn: put_user(conn, locked_user(conn, name).id, disabled_at=now))
