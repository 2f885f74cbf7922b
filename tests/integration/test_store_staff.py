"""Staff accounts."""

from __future__ import annotations

import pytest
from sqlalchemy import select

from bot.errors import InputError, NotFound
from crm_sync.staff import add_user, check_password, disable_user, ensure_admin, list_users, reset_password
from crm_sync.store import SqlStore
from crm_sync.tables import staff_users


async def test_the_first_start_makes_an_admin_and_the_second_does_not(store: SqlStore) -> None:
    password = await store.ensure_admin()
    assert password is not None
    assert await ensure_admin(store.database) is None
    assert await check_password(store.database, "admin", password) == "admin"


async def test_passwords_are_kept_as_argon2_only(store: SqlStore) -> None:
    password = await add_user(store.database, "li", "operator")
    hashed = await store.database.run(lambda conn: conn.execute(select(staff_users.c.password_hash)).scalar_one())
    assert hashed.startswith("$argon2id$")
    assert password not in hashed
    assert "password_hash" not in (await list_users(store.database))[0]


@pytest.mark.parametrize("wrong", ["", "x", "\x00", "\ud800", "a" * 10_000])
async def test_a_wrong_password_or_name_opens_nothing(store: SqlStore, wrong: str) -> None:
    await add_user(store.database, "li", "operator")
    assert await check_password(store.database, "li", wrong) is None
    assert await check_password(store.database, "nobody", wrong) is None


async def test_a_disabled_account_cannot_sign_in_until_its_password_is_reset(store: SqlStore) -> None:
    password = await add_user(store.database, "li", "operator")
    await disable_user(store.database, "li")
    assert await check_password(store.database, "li", password) is None
    fresh = await reset_password(store.database, "li")
    assert await check_password(store.database, "li", password) is None
    assert await check_password(store.database, "li", fresh) == "operator"


async def test_the_last_admin_stays(store: SqlStore) -> None:
    await store.ensure_admin()
    with pytest.raises(InputError, match="last admin"):
        await disable_user(store.database, "admin")
    await add_user(store.database, "second", "admin")
    await disable_user(store.database, "admin")


@pytest.mark.parametrize(
    ("name", "role"), [("li", "king"), ("", "operator"), ("a b", "operator"), ("x" * 61, "operator")]
)
async def test_odd_names_and_roles_are_refused(store: SqlStore, name: str, role: str) -> None:
    with pytest.raises(InputError):
        await add_user(store.database, name, role)


async def test_a_name_is_given_once_and_unknown_ones_are_said_so(store: SqlStore) -> None:
    await add_user(store.database, "李强", "operator")
    with pytest.raises(InputError, match="already"):
        await add_user(store.database, "李强", "viewer")
    for work in (disable_user, reset_password):
        with pytest.raises(NotFound):
            await work(store.database, "nobody")
