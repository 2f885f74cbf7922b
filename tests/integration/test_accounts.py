"""Accounts and roles: given out and taken away by who may, never beyond what they have themselves."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bot.errors import InputError, NotFound, NotPermitted, NotSignedIn, SignInRefused, StaleState
from crm_sync.staff import put_user
from crm_sync.store import SqlStore
from desk.accounts import AccountChange, AccountDesk
from desk.actors import Actor
from desk.audit import AuditDesk
from desk.permissions import ROLES
from desk.roles import RoleDesk
from desk.tokens import TokenDesk
from tests.staff import PASSWORD, an_account, policy, signing_in
from tests.store_steps import SetClock

ADMIN = Actor("ann", "admin")
HR = frozenset({"users.read", "users.write", *ROLES["viewer"]})  # may give out the role viewer, and no other


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def desk(store: SqlStore, clock: SetClock) -> AccountDesk:
    return AccountDesk(store.database, clock, policy)


@pytest.fixture
def roles(store: SqlStore, clock: SetClock) -> RoleDesk:
    return RoleDesk(store.database, clock)


async def actions(store: SqlStore) -> list[str]:
    return [line.action for line in (await AuditDesk(store.database).lines(ADMIN)).items]


# --- accounts ---------------------------------------------------------------------------------------------------------


async def test_a_new_account_signs_in_and_has_to_choose_a_password(
    store: SqlStore, desk: AccountDesk, clock: SetClock
) -> None:
    values = AccountChange(
        display_name="  Li  Qiang ", email="li@shop.example", languages=("zh", "en", "zh"), capacity=3
    )
    made = await desk.add(ADMIN, "li", values=values)
    assert made.password not in repr(made)
    shown = made.account
    assert (shown.role, shown.display_name, shown.languages, shown.capacity) == (
        "operator",
        "Li Qiang",
        ("zh", "en"),
        3,
    )
    assert shown.teams == ("service",)
    signed_in = await signing_in(store, clock).sign_in("li", made.password)
    assert signed_in.session.needs == "new_password"
    assert await desk.list(ADMIN) == [await desk.show(ADMIN, "li")]
    assert await actions(store) == ["session.start", "user.add"]


@pytest.mark.parametrize(
    "change",
    [
        AccountChange(display_name="x" * 81),
        AccountChange(display_name="\u202eevil"),
        AccountChange(email="nobody"),
        AccountChange(email="a@b, c@d"),
        AccountChange(languages=("",)),
        AccountChange(topics=("a b",)),
        AccountChange(channels=tuple(str(number) for number in range(51))),
        AccountChange(capacity=-1),
        AccountChange(capacity=101),
    ],
)
async def test_values_that_cannot_be_change_nothing(store: SqlStore, desk: AccountDesk, change: AccountChange) -> None:
    await an_account(store)
    before = await desk.show(ADMIN, "li")
    with pytest.raises(InputError):
        await desk.change(ADMIN, "li", change)
    with pytest.raises(InputError):
        await desk.add(ADMIN, "wu", values=change)
    assert await desk.list(ADMIN) == [before]


async def test_two_who_change_the_same_account_notice_each_other(store: SqlStore, desk: AccountDesk) -> None:
    await an_account(store)
    seen = (await desk.show(ADMIN, "li")).version
    changed = await desk.change(ADMIN, "li", AccountChange(capacity=9), version=seen)
    assert (changed.capacity, changed.version) == (9, seen + 1)
    same = await desk.change(ADMIN, "li", AccountChange(capacity=9), version=changed.version)
    assert same.version == changed.version
    for late in (
        desk.change(ADMIN, "li", AccountChange(capacity=2), version=seen),
        desk.disable(ADMIN, "li", version=seen),
        desk.enable(ADMIN, "li", version=seen),
    ):
        with pytest.raises(StaleState):
            await late
    assert await actions(store) == ["user.change"]


async def test_another_role_signs_out_everywhere(store: SqlStore, desk: AccountDesk, clock: SetClock) -> None:
    await an_account(store)
    signing = signing_in(store, clock)
    token = (await signing.sign_in("li", PASSWORD)).token
    await desk.change(ADMIN, "li", AccountChange(display_name="Li"))
    assert (await signing.resolve(token)).display_name == "Li"
    await desk.change(ADMIN, "li", AccountChange(role="viewer"))
    with pytest.raises(NotSignedIn):
        await signing.resolve(token)
    assert (await signing.sign_in("li", PASSWORD)).session.actor.role == "viewer"


async def test_a_disabled_account_is_signed_out_and_comes_back_when_enabled(
    store: SqlStore, desk: AccountDesk, clock: SetClock
) -> None:
    await an_account(store)
    signing = signing_in(store, clock)
    token = (await signing.sign_in("li", PASSWORD)).token
    for _ in range(2):
        assert (await desk.disable(ADMIN, "li")).disabled_at == clock.at
    with pytest.raises(NotSignedIn):
        await signing.resolve(token)
    fresh = await desk.reset_password(ADMIN, "li")  # a new password alone does not let them in
    with pytest.raises(SignInRefused):
        await signing.sign_in("li", fresh.password)
    for _ in range(2):
        assert (await desk.enable(ADMIN, "li")).disabled_at is None
    assert (await signing.sign_in("li", fresh.password)).session.needs == "new_password"
    with pytest.raises(NotSignedIn):
        await signing.resolve(token)
    assert await actions(store) == [
        "session.start", "user.enable", "password.reset", "user.disable", "session.start",
    ]  # fmt: skip


async def test_a_reset_password_ends_every_session_and_the_old_one_opens_nothing(
    store: SqlStore, desk: AccountDesk, clock: SetClock
) -> None:
    await an_account(store)
    signing = signing_in(store, clock)
    token = (await signing.sign_in("li", PASSWORD)).token
    made = await desk.reset_password(ADMIN, "li")
    assert made.password not in repr(made)
    with pytest.raises(NotSignedIn):
        await signing.look(token)
    with pytest.raises(SignInRefused):
        await signing.sign_in("li", PASSWORD)


async def test_sessions_of_others_are_ended_by_who_manages_accounts(
    store: SqlStore, desk: AccountDesk, clock: SetClock
) -> None:
    await an_account(store)
    signing = signing_in(store, clock)
    tokens = [(await signing.sign_in("li", PASSWORD)).token for _ in range(2)]
    assert await desk.end_sessions(ADMIN, "li") == 2
    assert await desk.end_sessions(ADMIN, "li") == 0
    for token in tokens:
        with pytest.raises(NotSignedIn):
            await signing.look(token)


async def test_who_lost_the_second_factor_is_let_in_with_the_password(
    store: SqlStore, desk: AccountDesk, clock: SetClock
) -> None:
    user_id = await an_account(store)
    signing = signing_in(store, clock)
    values: dict[str, Any] = {"totp_secret": signing.sealed(user_id, "A" * 32), "totp_since": clock.at}
    await store.database.run(lambda conn: put_user(conn, user_id, **values))
    assert (await desk.show(ADMIN, "li")).has_second_factor
    assert not (await desk.second_factor_off(ADMIN, "li")).has_second_factor
    assert (await signing.sign_in("li", PASSWORD)).session.needs == ""


async def test_the_last_admin_stays_one_also_when_two_go_at_once(store: SqlStore, desk: AccountDesk) -> None:
    for name in ("a1", "a2"):
        await an_account(store, name, "admin")
    done = await asyncio.gather(*(desk.disable(ADMIN, name) for name in ("a1", "a2")), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["Account", "InputError"]
    (left,) = [each for each in await desk.list(ADMIN) if each.disabled_at is None]
    with pytest.raises(InputError, match="last admin"):
        await desk.change(ADMIN, left.name, AccountChange(role="manager"))
    with pytest.raises(InputError, match="last admin"):
        await desk.disable(ADMIN, left.name)


async def test_nobody_manages_an_account_that_may_more_than_they(store: SqlStore, desk: AccountDesk) -> None:
    """Else who manages accounts would make themselves admin by way of an admin's password."""
    await an_account(store, "boss", "admin")
    await an_account(store, "wu", "viewer")
    hr = Actor("hr", "hr", granted=HR)
    for tried in (
        desk.reset_password(hr, "boss"),
        desk.disable(hr, "boss"),
        desk.enable(hr, "boss"),
        desk.second_factor_off(hr, "boss"),
        desk.end_sessions(hr, "boss"),
        desk.change(hr, "boss", AccountChange(email="x@y.z")),
        desk.change(hr, "wu", AccountChange(role="operator")),
        desk.change(hr, "wu", AccountChange(role="admin")),
        desk.add(hr, "new", role="admin"),
    ):
        with pytest.raises(NotPermitted):
            await tried
    assert (await desk.change(hr, "wu", AccountChange(capacity=1))).capacity == 1
    assert (await desk.add(hr, "new", role="viewer")).account.role == "viewer"


async def test_who_is_not_there_is_said_so(desk: AccountDesk) -> None:
    for asked in (
        desk.show(ADMIN, "nobody"),
        desk.change(ADMIN, "nobody", AccountChange()),
        desk.disable(ADMIN, "\x00"),
        desk.reset_password(ADMIN, "\ud800"),
    ):
        with pytest.raises(NotFound):
            await asked
    with pytest.raises(InputError, match="no role"):
        await desk.add(ADMIN, "li", role="king")
    with pytest.raises(InputError, match="no role"):
        await desk.add(ADMIN, "li", role="\x00")


# --- roles ------------------------------------------------------------------------------------------------------------


async def test_a_role_of_ones_own_permits_what_it_says_from_then_on(
    store: SqlStore, desk: AccountDesk, roles: RoleDesk, clock: SetClock
) -> None:
    made = await roles.create(ADMIN, "night-shift", permissions={"cases.read", "users.read"}, title="夜班")
    assert (made.titles, made.version, made.accounts) == (("夜班", "夜班"), 0, 0)
    await an_account(store, "li", "night-shift")
    signing = signing_in(store, clock)
    token = (await signing.sign_in("li", PASSWORD)).token
    assert (await signing.resolve(token)).actor.permissions == {"cases.read", "users.read"}
    changed = await roles.change(ADMIN, "night-shift", permissions={"cases.read"}, version=0)
    assert (changed.version, changed.accounts, changed.titles[0]) == (1, 1, "夜班")
    assert (await signing.resolve(token)).actor.permissions == {"cases.read"}
    with pytest.raises(StaleState):
        await roles.change(ADMIN, "night-shift", title="x", version=0)
    with pytest.raises(InputError, match="still have"):
        await roles.delete(ADMIN, "night-shift")
    await desk.change(ADMIN, "li", AccountChange(role="viewer"))
    await roles.delete(ADMIN, "night-shift", version=1)
    assert [role.name for role in await roles.list(ADMIN)] == list(ROLES)
    assert [action for action in await actions(store) if action.startswith("role.")] == [
        "role.delete", "role.change", "role.create",
    ]  # fmt: skip


async def test_a_role_that_a_token_has_stays(store: SqlStore, roles: RoleDesk, clock: SetClock) -> None:
    await roles.create(ADMIN, "sync", permissions={"cases.read"})
    tokens = TokenDesk(store.database, clock)
    made = await tokens.create(ADMIN, "crm", role="sync")
    with pytest.raises(InputError, match="still have"):
        await roles.delete(ADMIN, "sync")
    await tokens.revoke(ADMIN, made.line.id)
    await roles.delete(ADMIN, "sync")


async def test_roles_that_cannot_be_are_refused(roles: RoleDesk) -> None:
    for name in ("", "a", "Night", "a b", "admin", "operator", "\x00"):
        with pytest.raises(InputError):
            await roles.create(ADMIN, name, permissions=set())
    with pytest.raises(InputError, match="no permission"):
        await roles.create(ADMIN, "night", permissions={"cases.fly"})
    with pytest.raises(InputError):
        await roles.create(ADMIN, "night", permissions=set(), title="x" * 61)
    await roles.create(ADMIN, "night", permissions=set())
    with pytest.raises(InputError, match="already"):
        await roles.create(ADMIN, "night", permissions=set())
    for built_in in (roles.change(ADMIN, "admin", title="x"), roles.delete(ADMIN, "viewer")):
        with pytest.raises(InputError, match="built in"):
            await built_in
    with pytest.raises(NotFound):
        await roles.delete(ADMIN, "nothing")


async def test_nobody_makes_or_changes_a_role_beyond_their_own(roles: RoleDesk) -> None:
    hr = Actor("hr", "hr", granted=HR)
    with pytest.raises(NotPermitted):
        await roles.create(hr, "more", permissions={"audit.read"})
    await roles.create(hr, "less", permissions={"cases.read"})
    await roles.create(ADMIN, "more", permissions={"audit.read"})
    for tried in (
        roles.change(hr, "less", permissions={"audit.read"}),
        roles.change(hr, "more", permissions={"cases.read"}),
        roles.change(hr, "more", title="x"),
        roles.delete(hr, "more"),
    ):
        with pytest.raises(NotPermitted):
            await tried
