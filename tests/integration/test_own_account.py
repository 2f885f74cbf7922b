"""What everybody does with their own account: password, second factor, sessions, settings."""

from __future__ import annotations

import asyncio

import pyotp
import pytest
from sqlalchemy import select

from bot.errors import InputError, NotFound, NotSignedIn, SignInRefused, TooManyTries
from crm_sync.store import SqlStore
from crm_sync.tables import staff_users
from desk.actors import Actor
from desk.audit import AuditDesk
from desk.own_account import OwnAccount, OwnSettings
from desk.second_factor import RECOVERY_CODES
from desk.sessions import SignInRules
from desk.signing_in import PER_NAME, SigningIn
from tests.staff import PASSWORD, an_account, signing_in
from tests.store_steps import SetClock

NEW = "a much better password"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def signing(store: SqlStore, clock: SetClock) -> SigningIn:
    return signing_in(store, clock)


@pytest.fixture
def own(store: SqlStore, clock: SetClock, signing: SigningIn) -> OwnAccount:
    return OwnAccount(store.database, clock, signing, issuer="Linden Home")


async def signed_in(store: SqlStore, signing: SigningIn) -> str:
    await an_account(store)
    return (await signing.sign_in("li", PASSWORD)).token


# --- the password -----------------------------------------------------------------------------------------------------


async def test_a_new_password_counts_and_ends_the_other_sessions(
    store: SqlStore, signing: SigningIn, own: OwnAccount
) -> None:
    token = await signed_in(store, signing)
    other = (await signing.sign_in("li", PASSWORD)).token
    renewed = await own.change_password(token, PASSWORD, NEW)
    assert (await signing.resolve(renewed.token)).actor.name == "li"
    for gone in (token, other):
        with pytest.raises(NotSignedIn):
            await signing.look(gone)
    with pytest.raises(SignInRefused):
        await signing.sign_in("li", PASSWORD)
    assert await signing.sign_in("li", NEW)
    lines = (await AuditDesk(store.database).lines(Actor("ann", "admin"))).items
    assert ("password.change", "user:1") in [(line.action, line.object) for line in lines]


async def test_a_password_from_an_admin_is_changed_and_then_the_session_may_be_used(
    store: SqlStore, signing: SigningIn, own: OwnAccount
) -> None:
    await an_account(store, must_change_password=True)
    token = (await signing.sign_in("li", PASSWORD)).token
    with pytest.raises(NotSignedIn):  # nothing else first
        await own.start_second_factor(token)
    renewed = await own.change_password(token, PASSWORD, NEW)
    assert renewed.session.needs == ""


@pytest.mark.parametrize("new", ["short", PASSWORD, "", "a" * 12, "li" + "x" * 9, "x" * 1001])
async def test_a_poor_password_is_refused(store: SqlStore, signing: SigningIn, own: OwnAccount, new: str) -> None:
    token = await signed_in(store, signing)
    with pytest.raises(InputError):
        await own.change_password(token, PASSWORD, new)
    assert await signing.sign_in("li", PASSWORD)


async def test_a_session_left_open_is_no_place_to_guess_the_password(
    store: SqlStore, signing: SigningIn, own: OwnAccount
) -> None:
    token = await signed_in(store, signing)
    for _ in range(PER_NAME):
        with pytest.raises(SignInRefused):
            await own.change_password(token, "wrong", NEW)
    with pytest.raises(TooManyTries):
        await own.change_password(token, PASSWORD, NEW)


async def test_of_two_who_change_it_at_once_one_wins(store: SqlStore, signing: SigningIn, own: OwnAccount) -> None:
    tokens = [await signed_in(store, signing), (await signing.sign_in("li", PASSWORD)).token]
    done = await asyncio.gather(
        *(own.change_password(token, PASSWORD, NEW + token) for token in tokens), return_exceptions=True
    )
    assert sum(not isinstance(each, Exception) for each in done) == 1
    assert {type(each) for each in done if isinstance(each, Exception)} <= {SignInRefused, NotSignedIn}


# --- the second factor ------------------------------------------------------------------------------------------------


async def test_a_second_factor_is_set_up_by_reading_a_picture_and_typing_a_code(
    store: SqlStore, signing: SigningIn, own: OwnAccount, clock: SetClock
) -> None:
    token = await signed_in(store, signing)
    with pytest.raises(InputError):
        await own.confirm_second_factor(token, "000000")
    started = await own.start_second_factor(token)
    assert started.address.startswith("otpauth://totp/Linden%20Home:li?secret=")
    assert started.qr_svg.startswith("<svg")
    assert started.secret not in repr(started)
    assert (await signing.sign_in("li", PASSWORD)).session.needs == ""  # not before it is confirmed
    with pytest.raises(SignInRefused):
        await own.confirm_second_factor(token, "000000")
    code = pyotp.parse_uri(started.address).at(clock.at)  # type: ignore[attr-defined]  # it is a TOTP
    enrolled = await own.confirm_second_factor(token, code)
    assert len(set(enrolled.recovery_codes)) == RECOVERY_CODES
    assert enrolled.signed_in.session.has_second_factor
    again = await signing.sign_in("li", PASSWORD)
    assert again.session.needs == "second_factor"
    with pytest.raises(SignInRefused):  # the code that confirmed it has served
        await signing.second_factor(again.token, code)
    assert (await signing.second_factor(again.token, enrolled.recovery_codes[3])).session.needs == ""
    stored = await store.database.run(lambda conn: str(conn.execute(select(staff_users)).one()))
    for secret in (started.secret, *enrolled.recovery_codes):
        assert secret not in stored
        assert secret.replace("-", "") not in stored


async def test_a_role_that_must_have_one_sets_it_up_before_anything_else_and_keeps_it(
    store: SqlStore, clock: SetClock
) -> None:
    signing = signing_in(store, clock, SignInRules(second_factor=frozenset({"*"})))
    own = OwnAccount(store.database, clock, signing)
    token = await signed_in(store, signing)
    with pytest.raises(NotSignedIn):
        await own.sessions(token)
    started = await own.start_second_factor(token)
    enrolled = await own.confirm_second_factor(token, pyotp.TOTP(started.secret).at(clock.at))
    assert enrolled.signed_in.session.needs == ""
    with pytest.raises(InputError, match="has to have"):
        await own.turn_second_factor_off(enrolled.signed_in.token, enrolled.recovery_codes[0])


async def test_a_second_factor_is_turned_off_and_its_codes_are_renewed_with_a_code_only(
    store: SqlStore, signing: SigningIn, own: OwnAccount, clock: SetClock
) -> None:
    token = await signed_in(store, signing)
    started = await own.start_second_factor(token)
    enrolled = await own.confirm_second_factor(token, pyotp.TOTP(started.secret).at(clock.at))
    token = enrolled.signed_in.token
    with pytest.raises(InputError, match="already"):
        await own.start_second_factor(token)
    for ask in (own.new_recovery_codes, own.turn_second_factor_off):
        with pytest.raises(SignInRefused):
            await ask(token, "000000")
    clock.advance(minutes=1)
    renewed = await own.new_recovery_codes(token, pyotp.TOTP(started.secret).at(clock.at))
    assert not set(renewed.recovery_codes) & set(enrolled.recovery_codes)
    token = renewed.signed_in.token
    with pytest.raises(SignInRefused):
        await own.turn_second_factor_off(token, enrolled.recovery_codes[0])
    off = await own.turn_second_factor_off(token, renewed.recovery_codes[0])
    assert not off.session.has_second_factor
    assert (await signing.sign_in("li", PASSWORD)).session.needs == ""


# --- sessions and settings --------------------------------------------------------------------------------------------


async def test_people_see_their_sessions_and_end_them_but_not_those_of_others(
    store: SqlStore, signing: SigningIn, own: OwnAccount
) -> None:
    token = await signed_in(store, signing)
    lost = (await signing.sign_in("li", PASSWORD, device="a lost phone")).token
    await an_account(store, "wu")
    theirs = await signing.sign_in("wu", PASSWORD)
    shown = await own.sessions(token)
    assert [line.device for line in shown] == ["a lost phone", ""]
    await own.end_session(token, shown[0].id)
    with pytest.raises(NotSignedIn):
        await signing.look(lost)
    with pytest.raises(NotFound):
        await own.end_session(token, theirs.session.id)
    assert (await signing.resolve(theirs.token)).actor.name == "wu"
    more = [(await signing.sign_in("li", PASSWORD)).token for _ in range(2)]
    assert await own.end_other_sessions(token) == 2
    for gone in more:
        with pytest.raises(NotSignedIn):
            await signing.look(gone)
    assert len(await own.sessions(token)) == 1


async def test_settings_follow_the_person(store: SqlStore, signing: SigningIn, own: OwnAccount) -> None:
    token = await signed_in(store, signing)
    assert await own.settings(token) == OwnSettings()
    wanted = OwnSettings("en", "dark", "compact", sound=False, notifications=True, lock_minutes=5)
    await own.change_settings(token, wanted)
    other = (await signing.sign_in("li", PASSWORD)).token
    assert await own.settings(other) == wanted
    for odd in (OwnSettings("fr"), OwnSettings(theme="x"), OwnSettings(density=""), OwnSettings(lock_minutes=-1)):
        with pytest.raises(InputError):
            await own.change_settings(token, odd)
    assert await own.settings(token) == wanted


async def test_a_locked_session_does_nothing_with_the_account(
    store: SqlStore, signing: SigningIn, own: OwnAccount
) -> None:
    token = await signed_in(store, signing)
    await signing.lock(token)
    for asked in (
        own.sessions(token),
        own.settings(token),
        own.end_other_sessions(token),
        own.end_session(token, 1),
        own.change_settings(token, OwnSettings()),
        own.change_password(token, PASSWORD, NEW),
        own.start_second_factor(token),
        own.turn_second_factor_off(token, "000000"),
    ):
        with pytest.raises(NotSignedIn):
            await asked
