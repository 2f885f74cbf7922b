"""The first account of a new store, and accounts as rows."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from bot.errors import InputError
from crm_sync.staff import add_user, ensure_admin
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


@pytest.mark.parametrize("name", ["", "a b", "x" * 61, "token:x", "System", "cli", "a/b", "\x00", "\ud800"])
async def test_odd_names_are_refused(store: SqlStore, name: str) -> None:
    with pytest.raises(InputError):
        await add_user(store.database, name, "operator")


async def test_a_name_is_given_once(store: SqlStore) -> None:
    await add_user(store.database, "李强", "operator")
    with pytest.raises(InputError, match="already"):
        await add_user(store.database, "李强", "viewer")
