"""Signing in through a provider (OpenID Connect): authorization code with PKCE, state and nonce; the ID token is
checked before anybody is believed to be somebody.

An account belongs to issuer and subject, never to a name or an e-mail address: those can be given to somebody else.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from sqlalchemy import Connection

from bot.errors import InputError, Misconfigured, SignInRefused
from bot.ports import Clock
from crm_sync import staff
from crm_sync.columns import digest_key
from crm_sync.database import Database
from desk.audit import SYSTEM, record
from desk.oidc_provider import NotProven, OidcProvider
from desk.roles import permissions_of
from desk.sealing import Seal
from desk.sessions import SignedIn
from desk.signing_in import SigningIn

log = structlog.get_logger(__name__)

TIME_TO_ANSWER: Final = timedelta(minutes=10)  # from leaving for the provider to coming back
_CONTEXT: Final = "on the way to the provider"
_TRIES: Final = 20  # names tried for a new account


@dataclass(frozen=True, slots=True)
class Admission:
    """Who may come in through the provider. Without `role` and `roles` only accounts that were linked may."""

    role: str = ""  # of accounts made on first signing in
    role_claim: str = ""  # claim (a name or a list of them) that decides on the role instead, at every signing in
    roles: Mapping[str, str] = field(default_factory=dict)  # value of that claim -> role; the first that fits
    name_claim: str = "preferred_username"


@dataclass(frozen=True, slots=True)
class Departure:
    """Where the browser goes, and what it keeps until it comes back (a cookie: HttpOnly, Secure, SameSite=Lax)."""

    url: str = field(repr=False)
    sealed: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Return:
    """What the provider's redirect brought: the parameters of its address, and what the browser kept."""

    sealed: str = field(repr=False)
    state: str = field(repr=False)
    code: str = field(repr=False)
    issuer: str = ""  # parameter iss (RFC 9207), where the provider sends it


class SingleSignOn:
    """`redirect_uri`: our address that the provider sends browsers back to, registered there."""

    def __init__(
        self,
        database: Database,
        keys: Sequence[bytes],
        clock: Clock,
        signing_in: SigningIn,
        provider: OidcProvider,
        *,
        redirect_uri: str,
        admission: Admission | None = None,
    ) -> None:
        self._database, self._clock, self._signing_in, self._provider = database, clock, signing_in, provider
        self.redirect_uri, self._admission = redirect_uri, admission or Admission()
        self._seal = Seal(keys, "single sign-on")

    async def start(self) -> Departure:
        """The way to the provider. Raises: ServiceUnavailable, Misconfigured."""
        found = await self._provider.metadata()
        state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
        question = {
            "response_type": "code",
            "client_id": self._provider.client_id,
            "redirect_uri": self.redirect_uri,
            "scope": " ".join(self._provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": _challenge(verifier),
            "code_challenge_method": "S256",
        }
        kept = {"state": state, "nonce": nonce, "verifier": verifier, "at": self._clock.now().timestamp()}
        sign = "&" if "?" in found.authorization_endpoint else "?"
        url = f"{found.authorization_endpoint}{sign}{urlencode(question)}"
        return Departure(url, self._seal.seal(json.dumps(kept), _CONTEXT))

    async def finish(self, answer: Return, *, device: str = "") -> SignedIn:
        """A session of the account that belongs to whoever the provider says this is.

        Raises: SignInRefused, ServiceUnavailable, Misconfigured.
        """
        claims, now = await self._claims(answer), self._clock.now()

        def unit(conn: Connection) -> SignedIn | str:
            key = digest_key(self._provider.issuer, claims["sub"])
            row = staff.linked_user(conn, key)
            role = self._role(conn, claims)
            if row is None:
                if not role:
                    return "unknown"
                row = self._new_account(conn, key, role, claims, now)
            elif row.disabled_at is not None:
                return "disabled"
            elif self._admission.role_claim:
                if not role:
                    return "no role"
                row = _with_role(conn, row, role, now)
            return self._signing_in.begin(conn, row, "oidc", device, now)

        signed_in = await self._database.run(unit)
        if isinstance(signed_in, str):
            raise self._refused(signed_in)
        return signed_in

    async def link(self, token: str, answer: Return) -> None:
        """The account of this session is the one whoever the provider says this is signs in to from now on.

        Raises: NotSignedIn, SignInRefused, ServiceUnavailable, Misconfigured; InputError when somebody else's is.
        """
        await self._signing_in.resolve(token)
        claims, now = await self._claims(answer), self._clock.now()

        def unit(conn: Connection) -> None:
            session = self._signing_in.opened_session(conn, token, now)
            key = digest_key(self._provider.issuer, claims["sub"])
            other = staff.linked_user(conn, key)
            if other is not None and other.id != session.user_id:
                raise InputError("another account signs in with this one already")
            staff.locked_user(conn, session.actor.name)
            staff.change_user(conn, session.user_id, oidc_key=key)
            record(conn, session.actor, "user.link", f"user:{session.user_id}", {}, now=now)

        await self._database.run(unit)

    async def _claims(self, answer: Return) -> Mapping[str, Any]:
        """What the provider says of who came back. Raises: SignInRefused."""
        try:
            kept = json.loads(self._seal.open(answer.sealed, _CONTEXT))
        except Misconfigured as exc:
            raise self._refused("cookie") from exc
        now = self._clock.now()
        if not hmac.compare_digest(kept["state"].encode(), answer.state.encode("utf-8", "surrogatepass")):
            raise self._refused("state")
        if now.timestamp() - kept["at"] > TIME_TO_ANSWER.total_seconds():
            raise self._refused("late")
        try:
            return await self._provider.redeem(
                answer.code,
                verifier=kept["verifier"],
                nonce=kept["nonce"],
                redirect_uri=self.redirect_uri,
                answered_by=answer.issuer,
                now=now,
            )
        except NotProven as exc:
            raise self._refused(exc.reason) from exc

    def _role(self, conn: Connection, claims: Mapping[str, Any]) -> str:
        """The role that the claims, or the settings, give; "" for none. Raises: Misconfigured for one there is not."""
        rules = self._admission
        if rules.role_claim:
            said = claims.get(rules.role_claim)
            values = said if isinstance(said, list) else [said]
            role = next((role for value, role in rules.roles.items() if value in values), rules.role)
        else:
            role = rules.role
        if role:
            try:
                permissions_of(conn, role)
            except InputError as exc:
                raise Misconfigured("FRONTDESK_OIDC", f"there is no role {role!r}") from exc
        return role

    def _new_account(self, conn: Connection, key: str, role: str, claims: Mapping[str, Any], now: datetime) -> Any:
        said = str(claims.get(self._admission.name_claim) or "").partition("@")[0]
        base = said if staff.is_name(said) else "staff"
        shown, email = (_plain(claims.get(name)) for name in ("name", "email"))
        for number in range(1, _TRIES + 1):
            name = base if number == 1 else f"{base[:50]}-{number}"
            if staff.find_user(conn, name) is None:
                break
        else:
            name = f"{base[:40]}-{secrets.token_hex(4)}"
        user_id = staff.insert_user(conn, name, role, "", now, oidc_key=key, display_name=shown, email=email)
        record(conn, SYSTEM, "user.add", f"user:{user_id}", {"role": role, "method": "oidc"}, now=now)
        return staff.locked_user(conn, name)

    def _refused(self, reason: str) -> SignInRefused:
        log.warning("single_sign_on_refused", reason=reason)
        return SignInRefused("the provider did not prove who this is, or they have no account here")


def _with_role(conn: Connection, row: Any, role: str, now: datetime) -> Any:
    """The account with the role that the provider gives it now; the last admin stays one."""
    if row.role == role:
        return row
    row = staff.locked_user(conn, row.name)
    if row.role == "admin":
        try:
            staff.keep_an_admin(conn, row.name)
        except InputError:
            log.warning("last_admin_kept", user_id=row.id)
            return row
    staff.change_user(conn, row.id, role=role)
    record(conn, SYSTEM, "user.change", f"user:{row.id}", {"fields": ["role"], "role": role}, now=now)
    return staff.locked_user(conn, row.name)


def _challenge(verifier: str) -> str:
    """RFC 7636 §4.2, S256."""
    return urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()


def _plain(said: Any) -> str:
    return " ".join(said.split())[:80] if isinstance(said, str) and said.isprintable() else ""
