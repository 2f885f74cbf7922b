"""Signing in and what a session opens: the right people, for as long as they are there, and nobody who guesses."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pyotp
import pytest
from sqlalchemy import Connection, select, update

from bot.errors import NotSignedIn, SignInRefused, TooManyTries
from crm_sync import sign_in_failures as failures
from crm_sync import staff_sessions as sessions_sql
from crm_sync.console_tables import sign_in_failures, staff_roles, staff_sessions
from crm_sync.passwords import STANDARD
from crm_sync.staff import put_user
from crm_sync.store import SqlStore
from crm_sync.tables import staff_users
from desk.actors import Actor
from desk.audit import AuditDesk
from desk.sessions import SignInRules
from desk.signing_in import PER_ADDRESS, PER_NAME, SigningIn
from tests.staff import PASSWORD, an_account, signing_in
from tests.store_steps import SECRET_KEYS, SetClock

ADMIN = Actor("ann", "admin")
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
def desk(store: SqlStore, clock: SetClock) -> SigningIn:
    return signing_in(store, clock)


async def enrolled(store: SqlStore, desk: SigningIn, codes: tuple[str, ...] = ()) -> int:
    """li has a second factor."""
    user_id = await an_account(store)

    def unit(conn: Connection) -> None:
        values = {"totp_secret": desk.sealed(user_id, SECRET), "totp_since": SetClock().at}
        put_user(conn, user_id, **values, recovery_hashes=desk.recovery_marks(user_id, codes))

    await store.database.run(unit)
    return user_id


def code_at(clock: SetClock, **off: float) -> str:
    return pyotp.TOTP(SECRET).at(clock.at + timedelta(**off))


async def fail(desk: SigningIn, name: str = "li", **how: Any) -> None:
    with pytest.raises(SignInRefused):
        await desk.sign_in(name, "wrong", **how)


# --- name and password ------------------------------------------------------------------------------------------------


async def test_name_and_password_open_a_session_of_that_person(store: SqlStore, desk: SigningIn) -> None:
    user_id = await an_account(store, display_name="Li Qiang", settings={"language": "zh"})
    signed_in = await desk.sign_in("li", PASSWORD, device="Firefox\x00 on Linux\n")
    session = await desk.resolve(signed_in.token)
    assert (session.actor.name, session.actor.role, session.actor.teams) == ("li", "operator", frozenset({"service"}))
    assert (session.user_id, session.display_name, session.needs) == (user_id, "Li Qiang", "")
    assert session.settings == {"language": "zh"}
    stored = await store.database.run(lambda conn: conn.execute(select(staff_sessions)).one())
    assert stored.device == "Firefox on Linux"
    assert signed_in.token not in str(stored)
    assert signed_in.token not in repr(signed_in)
    (line,) = (await AuditDesk(store.database).lines(ADMIN)).items
    assert (line.actor, line.action, line.object) == ("li", "session.start", f"session:{session.id}")


async def test_a_role_of_the_business_gives_what_it_permits(store: SqlStore, desk: SigningIn, clock: SetClock) -> None:
    row = {"name": "night", "permissions": ["cases.read"], "updated_at": clock.at}
    await store.database.run(lambda conn: conn.execute(staff_roles.insert(), row))
    await an_account(store, role="night")
    signed_in = await desk.sign_in("li", PASSWORD)
    assert signed_in.session.actor.permissions == {"cases.read"}


@pytest.mark.parametrize("wrong", ["", "x", "\x00", "\ud800", "a" * 10_000])
async def test_what_does_not_fit_opens_nothing_and_says_the_same_for_everybody(
    store: SqlStore, desk: SigningIn, wrong: str
) -> None:
    await an_account(store)
    await an_account(store, "gone", disabled_at=SetClock().at)
    await store.database.run(lambda conn: put_user(conn, 2, oidc_key="k", password_hash=""))
    said = set()
    for name in ("li", "gone", "nobody", wrong):
        with pytest.raises(SignInRefused) as refused:
            await desk.sign_in(name, wrong)
        said.add(str(refused.value))
    assert len(said) == 1


async def test_a_disabled_account_opens_nothing_with_its_password_and_its_sessions_are_over(
    store: SqlStore, desk: SigningIn, clock: SetClock
) -> None:
    user_id = await an_account(store)
    token = (await desk.sign_in("li", PASSWORD)).token
    await store.database.run(lambda conn: put_user(conn, user_id, disabled_at=clock.at))
    with pytest.raises(NotSignedIn):
        await desk.resolve(token)
    with pytest.raises(SignInRefused):
        await desk.sign_in("li", PASSWORD)


async def test_a_hash_of_old_costs_is_renewed_on_signing_in(store: SqlStore, clock: SetClock) -> None:
    desk = signing_in(store, clock, hasher=STANDARD)
    await an_account(store)  # with a cheap hash
    await desk.sign_in("li", PASSWORD)
    kept = await store.database.run(lambda conn: conn.execute(select(staff_users.c.password_hash)).scalar_one())
    assert "m=65536" in kept
    await desk.sign_in("li", PASSWORD)


# --- guessing ---------------------------------------------------------------------------------------------------------


async def test_after_five_failures_a_name_waits_longer_each_time_but_never_for_good(
    store: SqlStore, desk: SigningIn, clock: SetClock
) -> None:
    await an_account(store)
    for _ in range(PER_NAME):
        await fail(desk)
    waits = []
    for _ in range(3):
        with pytest.raises(TooManyTries) as refused:
            await desk.sign_in("li", PASSWORD)
        waits.append(refused.value.retry_after_s)
        clock.advance(seconds=refused.value.retry_after_s)
        await fail(desk)
    assert waits == [30, 60, 120]
    with pytest.raises(TooManyTries) as refused:
        await desk.sign_in("LI", PASSWORD)  # however it is written
    clock.advance(seconds=refused.value.retry_after_s)
    assert (await desk.sign_in("li", PASSWORD)).session.actor.name == "li"


async def test_signing_in_clears_what_was_held_against_the_name(store: SqlStore, desk: SigningIn) -> None:
    await an_account(store)
    for _ in range(3):
        for _ in range(PER_NAME - 1):
            await fail(desk)
        await desk.sign_in("li", PASSWORD)


async def test_unknown_names_are_throttled_like_known_ones(desk: SigningIn) -> None:
    for _ in range(PER_NAME):
        await fail(desk, "nobody")
    with pytest.raises(TooManyTries):
        await desk.sign_in("nobody", "wrong")


async def test_one_address_trying_many_names_waits_and_a_success_there_clears_only_itself(
    store: SqlStore, desk: SigningIn
) -> None:
    await an_account(store)
    for number in range(PER_ADDRESS - 1):
        await fail(desk, f"name{number}", address=f"2001:db8::{number:x}")  # one network of one sender
        await desk.sign_in("li", PASSWORD, address="2001:db8::1") if number % 7 == 0 else None
    await fail(desk, "last", address="2001:db8::ffff")
    with pytest.raises(TooManyTries):
        await desk.sign_in("li", PASSWORD, address="2001:db8::1")
    assert await desk.sign_in("li", PASSWORD, address="192.0.2.7")


async def test_many_guesses_at_once_are_not_more_than_allowed(store: SqlStore, desk: SigningIn) -> None:
    await an_account(store)
    tries = await asyncio.gather(*(desk.sign_in("li", f"guess {n}") for n in range(12)), return_exceptions=True)
    assert sorted(type(error).__name__ for error in tries) == ["SignInRefused"] * 5 + ["TooManyTries"] * 7


async def test_the_store_keeps_no_typed_name_and_forgets_failures_after_an_hour(
    store: SqlStore, desk: SigningIn, clock: SetClock
) -> None:
    await fail(desk, "my-password-typed-in-the-wrong-box", address="192.0.2.1")
    kept = await store.database.run(lambda conn: conn.execute(select(sign_in_failures.c.key)).scalars().all())
    assert len(kept) == 2
    assert not any("password" in key or "192" in key for key in kept)
    clock.advance(minutes=61)
    assert await store.database.run(lambda conn: failures.prune(conn, clock.at)) == 2


# --- the second factor ------------------------------------------------------------------------------------------------


async def test_with_a_second_factor_the_password_alone_does_nothing(
    store: SqlStore, desk: SigningIn, clock: SetClock
) -> None:
    await enrolled(store, desk)
    first = await desk.sign_in("li", PASSWORD)
    assert first.session.needs == "second_factor"
    with pytest.raises(NotSignedIn) as refused:
        await desk.resolve(first.token)
    assert refused.value.needs == "second_factor"
    second = await desk.second_factor(first.token, code_at(clock))
    assert (await desk.resolve(second.token)).actor.name == "li"
    with pytest.raises(NotSignedIn):  # the token from before the second factor opens nothing
        await desk.look(first.token)


async def test_a_code_serves_once_also_in_another_session(store: SqlStore, desk: SigningIn, clock: SetClock) -> None:
    await enrolled(store, desk)
    tokens = [(await desk.sign_in("li", PASSWORD)).token for _ in range(2)]
    code = code_at(clock)
    done = await asyncio.gather(*(desk.second_factor(token, code) for token in tokens), return_exceptions=True)
    assert sorted(type(each).__name__ for each in done) == ["SignInRefused", "SignedIn"]


@pytest.mark.parametrize(("off", "fits"), [(-61, False), (-30, True), (30, True), (61, False)])
async def test_a_clock_may_be_one_step_off(
    store: SqlStore, desk: SigningIn, clock: SetClock, off: int, fits: bool
) -> None:
    await enrolled(store, desk)
    token = (await desk.sign_in("li", PASSWORD)).token
    code = code_at(clock, seconds=off)
    if fits:
        assert (await desk.second_factor(token, f" {code[:3]} {code[3:]}")).session.needs == ""
    else:
        with pytest.raises(SignInRefused):
            await desk.second_factor(token, code)


async def test_a_recovery_code_serves_once_however_it_is_typed(store: SqlStore, desk: SigningIn) -> None:
    await enrolled(store, desk, ("ABCDE-23456", "QRSTU-77777"))
    token = (await desk.sign_in("li", PASSWORD)).token
    assert (await desk.second_factor(token, "abcde 23456")).session.needs == ""
    token = (await desk.sign_in("li", PASSWORD)).token
    with pytest.raises(SignInRefused):
        await desk.second_factor(token, "ABCDE-23456")
    lines = (await AuditDesk(store.database).lines(ADMIN)).items
    assert [line.details for line in lines if line.action == "second_factor.recovered"] == [{"left": 1}]


async def test_codes_cannot_be_guessed(store: SqlStore, desk: SigningIn, clock: SetClock) -> None:
    await enrolled(store, desk)
    for _ in range(PER_NAME):
        token = (await desk.sign_in("li", PASSWORD)).token  # the password being right clears nothing here
        with pytest.raises(SignInRefused):
            await desk.second_factor(token, "000000")
    with pytest.raises(TooManyTries):
        await desk.second_factor(token, code_at(clock))


async def test_a_half_open_session_is_over_after_ten_minutes(store: SqlStore, desk: SigningIn, clock: SetClock) -> None:
    await enrolled(store, desk)
    token = (await desk.sign_in("li", PASSWORD)).token
    clock.advance(minutes=10)
    with pytest.raises(NotSignedIn):
        await desk.second_factor(token, code_at(clock))


async def test_the_secret_is_sealed_with_the_new_key_after_a_rotation(store: SqlStore, clock: SetClock) -> None:
    old = signing_in(store, clock, keys=SECRET_KEYS[1:])
    await enrolled(store, old, ("ABCDE-23456",))
    both = signing_in(store, clock)
    await both.second_factor((await both.sign_in("li", PASSWORD)).token, code_at(clock))
    await both.second_factor((await both.sign_in("li", PASSWORD)).token, "ABCDE-23456")
    clock.advance(minutes=5)
    new = signing_in(store, clock, keys=SECRET_KEYS[:1])
    assert (await new.second_factor((await new.sign_in("li", PASSWORD)).token, code_at(clock))).session.needs == ""


async def test_a_role_that_must_have_a_second_factor_enrols_first(store: SqlStore, clock: SetClock) -> None:
    await an_account(store)
    for roles, needs in (({"operator"}, "enrolment"), ({"*"}, "enrolment"), ({"admin"}, "")):
        desk = signing_in(store, clock, SignInRules(second_factor=frozenset(roles)))
        assert (await desk.sign_in("li", PASSWORD)).session.needs == needs


async def test_a_password_given_by_an_admin_is_changed_first(store: SqlStore, desk: SigningIn) -> None:
    await an_account(store, must_change_password=True)
    token = (await desk.sign_in("li", PASSWORD)).token
    with pytest.raises(NotSignedIn) as refused:
        await desk.resolve(token)
    assert refused.value.needs == "new_password"


# --- the life of a session --------------------------------------------------------------------------------------------


async def test_a_session_ends_after_twelve_hours_of_work_and_four_of_silence(store: SqlStore, clock: SetClock) -> None:
    desk = signing_in(store, clock, SignInRules(lock_after=timedelta(days=1)))
    await an_account(store)
    worked, silent = [(await desk.sign_in("li", PASSWORD)).token for _ in range(2)]
    for _ in range(3):
        clock.advance(hours=3, minutes=59)
        await desk.resolve(worked)
    with pytest.raises(NotSignedIn):
        await desk.resolve(silent)
    clock.advance(minutes=3)
    with pytest.raises(NotSignedIn):
        await desk.resolve(worked)


async def test_nobody_there_for_a_while_locks_it_until_password_or_code(
    store: SqlStore, desk: SigningIn, clock: SetClock
) -> None:
    await enrolled(store, desk)
    token = (await desk.second_factor((await desk.sign_in("li", PASSWORD)).token, code_at(clock))).token
    for _ in range(3):
        clock.advance(minutes=14)
        await desk.resolve(token)
    for _ in range(2):  # a page that asks for news is no sign of life, and a locked session does not unlock itself
        clock.advance(minutes=10)
        needs = (await desk.look(token)).needs
        if not needs:
            await desk.resolve(token, is_active=False)
    assert needs == "unlock"
    with pytest.raises(NotSignedIn) as refused:
        await desk.resolve(token)
    assert refused.value.needs == "unlock"
    for wrong in ({"password": "wrong"}, {"code": "000000"}, {}):
        with pytest.raises(SignInRefused):
            await desk.unlock(token, **wrong)
    unlocked = await desk.unlock(token, password=PASSWORD)
    assert (await desk.resolve(unlocked.token)).needs == ""
    with pytest.raises(NotSignedIn):
        await desk.look(token)
    await desk.lock(unlocked.token)
    assert (await desk.look(unlocked.token)).needs == "unlock"
    assert (await desk.unlock(unlocked.token, code=code_at(clock))).session.needs == ""


async def test_a_locked_session_is_no_place_to_guess_passwords(store: SqlStore, desk: SigningIn) -> None:
    await an_account(store)
    token = (await desk.sign_in("li", PASSWORD)).token
    await desk.lock(token)
    for _ in range(PER_NAME):
        with pytest.raises(SignInRefused):
            await desk.unlock(token, password="wrong")
    with pytest.raises(TooManyTries):
        await desk.unlock(token, password=PASSWORD)
    with pytest.raises(TooManyTries):
        await desk.sign_in("li", PASSWORD)


async def test_it_may_be_locked_sooner_but_not_later(store: SqlStore, desk: SigningIn, clock: SetClock) -> None:
    await an_account(store, "li", settings={"lock_minutes": 2})
    await an_account(store, "wu", settings={"lock_minutes": 600})
    tokens = [(await desk.sign_in(name, PASSWORD)).token for name in ("li", "wu")]
    clock.advance(minutes=2)
    assert [(await desk.look(token)).needs for token in tokens] == ["unlock", ""]
    clock.advance(minutes=13)
    assert [(await desk.look(token)).needs for token in tokens] == ["unlock", "unlock"]


async def test_signing_out_ends_the_session_once(store: SqlStore, desk: SigningIn) -> None:
    await an_account(store)
    token = (await desk.sign_in("li", PASSWORD)).token
    for _ in range(2):
        await desk.sign_out(token)
    with pytest.raises(NotSignedIn):
        await desk.resolve(token)
    lines = (await AuditDesk(store.database).lines(ADMIN)).items
    assert [line.action for line in lines] == ["session.end", "session.start"]


@pytest.mark.parametrize("token", ["", "x", "\ud800", "\x00", "a" * 100_000])
async def test_what_is_no_token_opens_nothing(desk: SigningIn, token: str) -> None:
    for ask in (desk.resolve, desk.look, desk.lock):
        with pytest.raises(NotSignedIn):
            await ask(token)


async def test_a_form_belongs_to_the_session_it_was_made_for(store: SqlStore, desk: SigningIn) -> None:
    await an_account(store)
    one, other = [await desk.sign_in("li", PASSWORD) for _ in range(2)]
    assert desk.csrf_fits(one.token, one.session.csrf)
    assert not desk.csrf_fits(other.token, one.session.csrf)
    assert not desk.csrf_fits(one.token, "")
    assert not desk.csrf_fits(one.token, "\ud800")


async def test_signs_of_life_are_written_once_a_minute(store: SqlStore, desk: SigningIn, clock: SetClock) -> None:
    await an_account(store)
    token = (await desk.sign_in("li", PASSWORD)).token
    began = clock.at
    seen = select(staff_sessions.c.last_seen_at)
    for advance, expected in ((59, 0), (1, 60), (59, 60)):
        clock.advance(seconds=advance)
        await desk.resolve(token)
        last = await store.database.run(lambda conn: conn.execute(seen).scalar_one())
        assert (last - began).total_seconds() == expected


async def test_old_sessions_are_forgotten(store: SqlStore, desk: SigningIn, clock: SetClock) -> None:
    await an_account(store)
    await desk.sign_out((await desk.sign_in("li", PASSWORD)).token)
    kept = (await desk.sign_in("li", PASSWORD)).token
    clock.advance(minutes=1)
    assert await store.database.run(lambda conn: sessions_sql.prune(conn, clock.at)) == 1
    assert (await desk.resolve(kept)).actor.name == "li"


async def test_an_exchanged_secret_opens_nothing(store: SqlStore, desk: SigningIn, clock: SetClock) -> None:
    """Who can write to the store cannot give an account the second factor of another one."""
    from bot.errors import Misconfigured

    await enrolled(store, desk)
    theirs = await an_account(store, "wu")

    def exchange(conn: Connection) -> None:
        mine = conn.execute(select(staff_users).where(staff_users.c.name == "li")).one()
        values = {"totp_secret": mine.totp_secret, "totp_since": mine.totp_since}
        conn.execute(update(staff_users).where(staff_users.c.id == theirs).values(**values))

    await store.database.run(exchange)
    token = (await desk.sign_in("wu", PASSWORD)).token
    with pytest.raises(Misconfigured):
        await desk.second_factor(token, code_at(clock))
