"""Staff accounts."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from bot.errors import InputError, NotFound
from crm_sync.staff import add_user, disable_user, ensure_admin, list_users, reset_password
from crm_sync.store import SqlStore
from crm_sync.tables import staff_users
from desk.actors import Actor
from tests.staff import signing_in


async def test_the_first_start_makes_an_admin_and_the_second_does_not(store: SqlStore) -> None:
    password = await store.ensure_admin()
    assert password is not None
    assert await ensure_admin(store.database) is None
    assert (await signing_in(store).sign_in("admin", password)).session.actor == Actor("admin", "admin")


async def test_passwords_are_kept_as_argon2_only(store: SqlStore) -> None:
    password = await add_user(store.database, "li", "operator")
    hashed = await store.database.run(lambda conn: conn.execute(select(staff_users.c.password_hash)).scalar_one())
    assert hashed.startswith("$argon2id$")
    assert password not in hashed
    assert "password_hash" not in (await list_users(store.database))[0]


async def test_the_last_admin_stays(store: SqlStore) -> None:
    await store.ensure_admin()
    with pytest.raises(InputError, match="last admin"):
        await disable_user(store.database, "admin")
    await add_user(store.database, "second", "admin")
    await disable_user(store.database, "admin")


@pytest.mark.parametrize("name", ["", "a b", "x" * 61, "token:x", "System", "a/b", "\x00", "\ud800"])
async def test_odd_names_are_refused(store: SqlStore, name: str) -> None:
    with pytest.raises(InputError):
        await add_user(store.database, name, "operator")


async def test_a_name_is_given_once_and_unknown_ones_are_said_so(store: SqlStore) -> None:
    await add_user(store.database, "李强", "operator")
    with pytest.raises(InputError, match="already"):
        await add_user(store.database, "李强", "viewer")
    for work in (disable_user, reset_password):
        with pytest.raises(NotFound):
            await work(store.database, "nobody")
