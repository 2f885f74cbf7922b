"""Signing in through a provider: who it proves to be somebody comes in, and no forged, old or foreign answer does."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import structlog
from sqlalchemy import select

from bot.errors import InputError, Misconfigured, NotSignedIn, ServiceUnavailable, SignInRefused
from crm_sync.staff import find_user, put_user
from crm_sync.store import SqlStore
from crm_sync.tables import staff_users
from desk.actors import Actor
from desk.audit import AuditDesk
from desk.oidc_provider import OidcProvider
from desk.signing_in import SigningIn
from desk.single_sign_on import Admission, Return, SingleSignOn
from tests import oidc_provider
from tests.oidc_provider import CLIENT, RETURN, SECRET, Provider
from tests.staff import PASSWORD, an_account, signing_in
from tests.store_steps import SECRET_KEYS, SetClock

OPEN_TO_ALL = Admission(role="viewer")


class Desk:
    """Our side of it, with a provider that runs."""

    def __init__(self, store: SqlStore, provider: Provider, clock: SetClock) -> None:
        self.store, self.provider, self.clock = store, provider, clock
        self.signing: SigningIn = signing_in(store, clock)
        self._opened: list[OidcProvider] = []

    def sso(self, admission: Admission | None = None, *, issuer: str = "", secret: str = SECRET) -> SingleSignOn:
        client = OidcProvider(issuer or self.provider.issuer, CLIENT, secret)
        self._opened.append(client)
        return SingleSignOn(
            self.store.database, SECRET_KEYS, self.clock, self.signing, client, redirect_uri=RETURN, admission=admission
        )

    async def go(self, sso: SingleSignOn, **changed: str) -> Return:
        """To the provider and back; `changed`: what somebody altered on the way."""
        left = await sso.start()
        back = self.provider.authorize(left.url)
        return replace(Return(left.sealed, back["state"], back["code"], back.get("iss", "")), **changed)

    async def close(self) -> None:
        for client in self._opened:
            await client.close()


@pytest.fixture
async def desk(store: SqlStore) -> AsyncIterator[Desk]:
    clock = SetClock()
    provider = Provider(clock)
    await provider.start()
    desk = Desk(store, provider, clock)
    yield desk
    await desk.close()
    await provider.stop()


async def names(store: SqlStore) -> list[tuple[str, str]]:
    rows = await store.database.run(lambda conn: conn.execute(select(staff_users).order_by(staff_users.c.id)).all())
    return [(row.name, row.role) for row in rows]


# --- coming in --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
@pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])
async def test_who_is_proven_gets_an_account_once_and_the_same_one_ever_after(
    desk: Desk, algorithm: str, method: str
) -> None:
    desk.provider.algorithm, desk.provider.method = algorithm, method
    sso = desk.sso(OPEN_TO_ALL)
    first = await sso.finish(await desk.go(sso), device="Firefox")
    assert (await desk.signing.resolve(first.token)).actor == Actor("li", "viewer")
    assert (first.session.display_name, first.session.method) == ("Li Qiang", "oidc")
    desk.provider.person["preferred_username"] = "renamed"
    again = await sso.finish(await desk.go(sso))
    assert again.session.user_id == first.session.user_id
    assert await names(desk.store) == [("li", "viewer")]
    assert desk.provider.calls.count("discovery") == 1
    lines = (await AuditDesk(desk.store.database).lines(Actor("ann", "admin"))).items
    assert [(line.actor, line.action) for line in lines][-2:] == [("li", "session.start"), ("system", "user.add")]


async def test_without_a_role_for_new_people_only_linked_accounts_come_in(desk: Desk) -> None:
    sso = desk.sso()
    with pytest.raises(SignInRefused):
        await sso.finish(await desk.go(sso))
    await an_account(desk.store)
    with pytest.raises(SignInRefused):  # a name that is the same proves nothing
        await sso.finish(await desk.go(sso))
    token = (await desk.signing.sign_in("li", PASSWORD)).token
    await sso.link(token, await desk.go(sso))
    assert (await sso.finish(await desk.go(sso))).session.actor == Actor("li", "operator")
    await an_account(desk.store, "wu")
    theirs = (await desk.signing.sign_in("wu", PASSWORD)).token
    with pytest.raises(InputError, match="another account"):
        await sso.link(theirs, await desk.go(sso))
    with pytest.raises(NotSignedIn):
        await sso.link("", await desk.go(sso))


async def test_a_name_that_is_taken_is_left_to_its_owner(desk: Desk) -> None:
    await an_account(desk.store)
    sso = desk.sso(OPEN_TO_ALL)
    assert (await sso.finish(await desk.go(sso))).session.actor.name == "li-2"
    desk.provider.person = {"sub": "p-2", "preferred_username": "../\x00 evil", "name": 7, "email": ["x"]}
    assert (await sso.finish(await desk.go(sso))).session.actor.name == "staff"
    desk.provider.person = {"sub": "p-3", "preferred_username": "system"}
    assert (await sso.finish(await desk.go(sso))).session.actor.name == "staff-2"
    desk.provider.person = {"sub": "p-4", "preferred_username": "zhao@shop.example"}
    assert (await sso.finish(await desk.go(sso))).session.actor.name == "zhao"


async def test_a_disabled_account_stays_out(desk: Desk) -> None:
    sso = desk.sso(OPEN_TO_ALL)
    user_id = (await sso.finish(await desk.go(sso))).session.user_id
    await desk.store.database.run(lambda conn: put_user(conn, user_id, disabled_at=desk.clock.at))
    with pytest.raises(SignInRefused):
        await sso.finish(await desk.go(sso))


async def test_the_account_has_no_password_to_guess(desk: Desk) -> None:
    sso = desk.sso(OPEN_TO_ALL)
    await sso.finish(await desk.go(sso))
    for guess in ("", "li"):
        with pytest.raises(SignInRefused):
            await desk.signing.sign_in("li", guess)


async def test_a_claim_decides_on_the_role_at_every_signing_in(desk: Desk) -> None:
    sso = desk.sso(Admission(role_claim="groups", roles={"desk-admins": "admin", "desk": "operator"}))
    desk.provider.person["groups"] = ["sales", "desk", "desk-admins"]
    assert (await sso.finish(await desk.go(sso))).session.actor.role == "admin"
    desk.provider.person["groups"] = "desk"
    assert (await sso.finish(await desk.go(sso))).session.actor.role == "admin"  # the last admin stays one
    await an_account(desk.store, "boss", "admin")
    assert (await sso.finish(await desk.go(sso))).session.actor.role == "operator"
    desk.provider.person["groups"] = ["sales"]
    with pytest.raises(SignInRefused):  # no longer one of us
        await sso.finish(await desk.go(sso))


# --- answers that prove nothing ---------------------------------------------------------------------------------------


def _other(**values: Any) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda claims: {**claims, **values}


def _without(name: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda claims: {key: value for key, value in claims.items() if key != name}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (_other(nonce="another"), "nonce"),
        (_without("nonce"), "nonce"),
        (_other(aud="another"), "aud"),
        (_without("aud"), "aud"),
        (_other(aud=[CLIENT, "another"]), "azp"),
        (_other(azp="another"), "azp"),
        (_other(iss="https://other.example"), "iss"),
        (lambda claims: {**claims, "exp": claims["iat"] - 61}, "exp"),
        (_other(exp="never"), "exp"),
        (_without("exp"), "exp"),
        (lambda claims: {**claims, "iat": claims["iat"] + 3600}, "iat"),
        (_other(sub=""), "sub"),
        (_other(sub=7), "sub"),
        (_other(sub="x" * 256), "sub"),
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(desk: Desk, spoil: Any, reason: str) -> None:
    desk.provider.spoil = spoil
    sso = desk.sso(OPEN_TO_ALL)
    with structlog.testing.capture_logs() as logs, pytest.raises(SignInRefused):
        await sso.finish(await desk.go(sso))
    assert [entry["reason"] for entry in logs if entry["event"] == "single_sign_on_refused"] == [reason]
    assert await names(desk.store) == []


@pytest.mark.parametrize(
    "sign",
    [
        oidc_provider.unsigned,
        oidc_provider.with_a_shared_secret,
        oidc_provider.by_a_stranger,
        lambda provider, claims: "not.a.token",
        lambda provider, claims: provider.signed(claims)[:-4] + "AAAA",
    ],
)
async def test_a_token_the_provider_did_not_sign_is_refused(desk: Desk, sign: Any) -> None:
    desk.provider.sign = sign
    sso = desk.sso(OPEN_TO_ALL)
    with structlog.testing.capture_logs() as logs, pytest.raises(SignInRefused):
        await sso.finish(await desk.go(sso))
    assert [entry["reason"] for entry in logs if entry["event"] == "single_sign_on_refused"] == ["signature"]
    assert await names(desk.store) == []


async def test_a_code_opens_one_session(desk: Desk) -> None:
    sso = desk.sso(OPEN_TO_ALL)
    answer = await desk.go(sso)
    await sso.finish(answer)
    with pytest.raises(SignInRefused):
        await sso.finish(answer)


async def test_an_answer_belongs_to_the_browser_that_asked(desk: Desk) -> None:
    """Else somebody could sign a victim's browser in as themselves, or use a code they got hold of."""
    sso = desk.sso(OPEN_TO_ALL)
    mine, theirs = await desk.go(sso), await desk.go(sso)
    for mixed in (
        replace(mine, sealed=theirs.sealed),  # state
        replace(mine, sealed=theirs.sealed, state=theirs.state),  # the code of another's journey: PKCE
        replace(mine, state="\ud800"),
        replace(mine, sealed=""),
        replace(mine, sealed=mine.sealed[:-8] + "AAAAAAA="),
    ):
        with pytest.raises(SignInRefused):
            await sso.finish(mixed)
    assert await names(desk.store) == []


async def test_an_answer_of_another_provider_is_refused_before_its_code_goes_anywhere(desk: Desk) -> None:
    sso = desk.sso(OPEN_TO_ALL)
    for issuer in ("https://other.example", ""):
        with pytest.raises(SignInRefused):
            await sso.finish(await desk.go(sso, issuer=issuer))
    assert "token" not in desk.provider.calls
    desk.provider.sends_issuer = False
    plain = desk.sso(OPEN_TO_ALL)
    assert await plain.finish(await desk.go(plain))


async def test_an_answer_that_comes_late_is_refused(desk: Desk) -> None:
    sso = desk.sso(OPEN_TO_ALL)
    answer = await desk.go(sso)
    desk.clock.advance(minutes=11)
    with pytest.raises(SignInRefused):
        await sso.finish(answer)


# --- the provider -----------------------------------------------------------------------------------------------------


async def test_other_keys_of_the_provider_are_noticed(desk: Desk) -> None:
    sso = desk.sso(OPEN_TO_ALL)
    await sso.finish(await desk.go(sso))
    desk.provider.rotate()
    assert await sso.finish(await desk.go(sso))
    assert desk.provider.calls.count("keys") == 2


async def test_a_provider_that_calls_itself_otherwise_is_not_believed(desk: Desk) -> None:
    desk.provider.says = {"issuer": "https://other.example"}
    with pytest.raises(Misconfigured, match="issuer"):
        await desk.sso().start()


@pytest.mark.parametrize("name", ["authorization_endpoint", "token_endpoint", "jwks_uri"])
@pytest.mark.parametrize("address", ["http://other.example/x", "", None, "ftp://x"])
async def test_addresses_that_could_be_listened_to_are_refused(desk: Desk, name: str, address: Any) -> None:
    desk.provider.says = {name: address}
    with pytest.raises(Misconfigured, match="https"):
        await desk.sso().start()
    with pytest.raises(Misconfigured, match="https"):
        desk.sso(issuer="http://other.example")


async def test_a_wrong_secret_is_told_to_the_admins_not_to_who_signs_in(desk: Desk) -> None:
    sso = desk.sso(OPEN_TO_ALL, secret="wrong")
    with pytest.raises(Misconfigured) as refused:
        await sso.finish(await desk.go(sso))
    assert "wrong" not in str(refused.value)


async def test_a_provider_that_does_not_answer_is_said_so(desk: Desk) -> None:
    sso = desk.sso(OPEN_TO_ALL)
    answer = await desk.go(sso)
    await desk.provider.stop()
    with pytest.raises(ServiceUnavailable):
        await sso.finish(answer)
    with pytest.raises(ServiceUnavailable):
        await desk.sso().start()


async def test_a_role_there_is_not_is_a_mistake_in_the_settings(desk: Desk) -> None:
    sso = desk.sso(Admission(role="king"))
    with pytest.raises(Misconfigured, match="king"):
        await sso.finish(await desk.go(sso))


async def test_nothing_secret_is_shown_by_what_is_passed_around(desk: Desk) -> None:
    sso = desk.sso(OPEN_TO_ALL)
    left = await sso.start()
    answer = await desk.go(sso)
    for secret in (left.sealed, answer.code, answer.state):
        assert secret not in repr(left) + repr(answer)
    user = await desk.store.database.run(lambda conn: find_user(conn, "li"))
    assert user is None
