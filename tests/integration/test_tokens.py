"""API tokens: shown once, never more than who gave them out, and over when they are."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.errors import InputError, NotFound, NotPermitted, NotSignedIn
from crm_sync.console_tables import api_tokens, staff_roles
from crm_sync.store import SqlStore
from desk.actors import Actor
from desk.audit import AuditDesk
from desk.tokens import TokenDesk
from tests.store_steps import SetClock

ADMIN = Actor("ann", "admin")


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def desk(store: SqlStore, clock: SetClock) -> TokenDesk:
    return TokenDesk(store.database, clock)


async def test_a_token_is_shown_once_and_acts_with_its_role(store: SqlStore, desk: TokenDesk) -> None:
    made = await desk.create(ADMIN, "shop-sync", role="operator", per_minute=30)
    assert made.token.startswith("fdk_")
    bearer = await desk.resolve(made.token)
    assert (bearer.actor.name, bearer.actor.role, bearer.per_minute) == ("token:shop-sync", "operator", 30)
    assert bearer.actor.may("cases.work")
    assert not bearer.actor.may("users.write")
    stored = await store.database.run(lambda conn: conn.execute(select(api_tokens)).one())
    assert made.token not in str(stored)
    assert made.token not in repr(made)
    (line,) = (await AuditDesk(store.database).lines(ADMIN)).items
    assert (line.actor, line.action, line.object) == ("ann", "token.create", f"token:{made.line.id}")


async def test_a_revoked_token_opens_nothing_at_once(store: SqlStore, desk: TokenDesk) -> None:
    made = await desk.create(ADMIN, "shop-sync", role="viewer")
    await desk.resolve(made.token)
    for _ in range(2):
        assert (await desk.revoke(ADMIN, made.line.id)).revoked_at is not None
    with pytest.raises(NotSignedIn):
        await desk.resolve(made.token)
    assert [line.action for line in (await AuditDesk(store.database).lines(ADMIN)).items] == [
        "token.revoke",
        "token.create",
    ]
    with pytest.raises(NotFound):
        await desk.revoke(ADMIN, 99)
    with pytest.raises(InputError, match="already"):  # names in the audit log mean one token for ever
        await desk.create(ADMIN, "shop-sync", role="viewer")


async def test_a_token_is_over_at_its_time(desk: TokenDesk, clock: SetClock) -> None:
    made = await desk.create(ADMIN, "trial", role="viewer", expires_at=clock.at + timedelta(hours=1))
    clock.advance(minutes=59)
    await desk.resolve(made.token)
    clock.advance(minutes=1)
    with pytest.raises(NotSignedIn):
        await desk.resolve(made.token)


@pytest.mark.parametrize("token", ["", "fdk_", "x", "fdk_\ud800", "fdk_\x00"])
async def test_what_is_no_token_opens_nothing(desk: TokenDesk, token: str) -> None:
    with pytest.raises(NotSignedIn):
        await desk.resolve(token)


async def test_last_use_is_written_once_a_minute(desk: TokenDesk, clock: SetClock) -> None:
    made, began = await desk.create(ADMIN, "x", role="viewer"), clock.at
    for advance, expected in ((0, 0), (59, 0), (1, 60)):
        clock.advance(seconds=advance)
        await desk.resolve(made.token)
        (line,) = await desk.list(ADMIN)
        assert line.last_used_at is not None
        assert (line.last_used_at - began).total_seconds() == expected


async def test_nobody_hands_out_more_than_they_have(store: SqlStore, desk: TokenDesk, clock: SetClock) -> None:
    permissions = ["tokens.write", "cases.read", "customers.read", "conversations.read", "knowledge.read"]
    row = {"name": "integrator", "permissions": permissions, "updated_at": clock.at}
    await store.database.run(lambda conn: conn.execute(staff_roles.insert(), row))
    integrator = Actor("wu", "integrator", granted=frozenset(permissions))
    made = await desk.create(integrator, "reader", role="viewer")
    assert (await desk.resolve(made.token)).actor.role == "viewer"
    own = await desk.create(integrator, "own", role="integrator")
    assert (await desk.resolve(own.token)).actor.permissions == set(permissions)
    for role in ("operator", "admin", "auditor"):
        with pytest.raises(NotPermitted):
            await desk.create(integrator, "more", role=role)


async def test_odd_wishes_are_refused(desk: TokenDesk, clock: SetClock) -> None:
    for name in ("", "A", "a b", "a:b", "x" * 61, "\x00"):
        with pytest.raises(InputError):
            await desk.create(ADMIN, name, role="viewer")
    with pytest.raises(InputError, match="no role"):
        await desk.create(ADMIN, "a", role="king")
    for rate in (0, -1, 10**9):
        with pytest.raises(InputError):
            await desk.create(ADMIN, "a", role="viewer", per_minute=rate)
    with pytest.raises(InputError):
        await desk.create(ADMIN, "a", role="viewer", expires_at=clock.at)
    assert await desk.list(ADMIN) == []


async def test_only_who_may_sees_and_changes_tokens(desk: TokenDesk) -> None:
    manager = Actor("li", "manager")
    for asked in (desk.list(manager), desk.create(manager, "a", role="viewer"), desk.revoke(manager, 1)):
        with pytest.raises(NotPermitted):
            await asked
