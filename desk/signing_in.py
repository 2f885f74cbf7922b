"""Signing in: name and password, then the second factor where there is one; and what a session's token opens.

Tokens are random, shown to the browser once, and stored as digests. Every try is counted before it is checked. What
does not fit is refused in the same words and the same time, whether the account exists or not.
"""

from __future__ import annotations

import ipaddress
import secrets
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import structlog
from sqlalchemy import Connection

from bot.errors import NotSignedIn, SignInRefused
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from crm_sync import sign_in_failures, staff, staff_sessions
from crm_sync.database import Database
from crm_sync.passwords import Passwords
from desk.actors import actor_of
from desk.audit import record
from desk.sealing import Marks, Seal
from desk.second_factor import step_of, tidy, without
from desk.sessions import Need, Session, SignedIn, SignInRules, need_of

log = structlog.get_logger(__name__)

PER_NAME: Final = 5  # failures within a quarter of an hour before it has to wait
PER_ADDRESS: Final = 20  # many people may share one
TIME_FOR_CODE: Final = timedelta(minutes=10)  # between the password and the second factor
SIGN_OF_LIFE: Final = timedelta(minutes=1)  # how often one is written down
DEVICE: Final = 200  # characters of what a browser calls itself


class SigningIn:
    """Sessions of the staff. `keys` are the secret keys; `policy` gives the rules as they are now."""

    def __init__(
        self,
        database: Database,
        keys: Sequence[bytes],
        clock: Clock,
        policy: Callable[[], ServicePolicy],
        rules: SignInRules | None = None,
        *,
        passwords: Passwords | None = None,
    ) -> None:
        self._database, self._clock, self._policy = database, clock, policy
        self.rules = rules or SignInRules()
        self.passwords = passwords or Passwords()
        self._tries, self._csrf = Marks(keys, "sign-in failures"), Marks(keys, "csrf")
        self._recovery, self._totp = Marks(keys, "recovery codes"), Seal(keys, "second factor")

    # --- signing in -----------------------------------------------------------------------------------------------

    async def sign_in(self, name: str, password: str, *, address: str = "", device: str = "") -> SignedIn:
        """A session, which may still need something (`session.needs`). `address`: where the request came from.

        Raises: TooManyTries, SignInRefused.
        """
        now, by_name, limits = self._clock.now(), self.name_key(name), {}
        limits[by_name] = PER_NAME
        if address:
            limits[self._tries.make("address", _network(address))] = PER_ADDRESS
        user, tries = await self._database.run(
            lambda conn: (staff.find_user(conn, name), sign_in_failures.count_try(conn, limits, now))
        )
        hashed = "" if user is None or user.disabled_at is not None else user.password_hash
        if not await self.passwords.fits(hashed, password):
            raise self._refused("password", user)
        fresh = await self.passwords.hash(password) if self.passwords.is_outdated(hashed) else hashed

        def unit(conn: Connection) -> SignedIn | None:
            row = staff.find_user(conn, name, lock=True)
            if row is None or row.disabled_at is not None or row.password_hash != hashed:  # changed in between
                return None
            sign_in_failures.forget_key(conn, by_name)
            for try_id in tries.values():
                sign_in_failures.forget_try(conn, try_id)
            if fresh != hashed:
                staff.put_user(conn, row.id, password_hash=fresh)
            return self.begin(conn, row, "password", device, now)

        return await self._database.run(unit) or self._refuse("password", user)

    def begin(self, conn: Connection, user: Any, method: str, device: str, now: datetime) -> SignedIn:
        """A session of this account is open, whoever has proven that it is theirs."""
        token = _new_token()
        is_complete = method != "password" or user.totp_since is None
        session_id = staff_sessions.begin(
            conn,
            token,
            user_id=user.id,
            is_complete=is_complete,
            method=method,
            device="".join(character for character in device if character.isprintable())[:DEVICE],
            now=now,
            expires_at=now + (self.rules.longest if is_complete else TIME_FOR_CODE),
        )
        record(conn, user.name, "session.start", f"session:{session_id}", {"method": method}, now=now)
        return SignedIn(token, self.opened_session(conn, token, now))

    async def second_factor(self, token: str, code: str) -> SignedIn:
        """The session is complete and has a new token. `code`: of the app, or one of the recovery codes.

        Raises: NotSignedIn, TooManyTries, SignInRefused.
        """
        return await self._prove(token, "second_factor", lambda conn, user, now: self.uses_code(conn, user, code, now))

    async def unlock(self, token: str, *, password: str = "", code: str = "") -> SignedIn:
        """A locked session goes on under a new token, for who has the password or a code.

        Raises: as `second_factor`.
        """
        session = await self.look(token)
        if code:
            return await self._prove(token, "unlock", lambda conn, user, now: self.uses_code(conn, user, code, now))
        user = await self._database.run(lambda conn: staff.find_user(conn, session.actor.name), read=True)
        hashed = "" if user is None else user.password_hash

        # The try is counted before anything is computed, as everywhere.
        now, key = self._clock.now(), self.name_key(session.actor.name)
        await self._database.run(lambda conn: sign_in_failures.count_try(conn, {key: PER_NAME}, now))
        if not await self.passwords.fits(hashed, password):
            raise self._refused("password", user)
        return await self._prove(token, "unlock", lambda conn, row, now: row.password_hash == hashed, key=key)

    async def _prove(
        self,
        token: str,
        need: Need,
        fits: Callable[[Connection, Any, datetime], bool],
        *,
        key: str = "",
    ) -> SignedIn:
        """`key`: under which the try was counted already."""
        now = self._clock.now()

        def unit(conn: Connection) -> SignedIn | None:
            session = self.opened_session(conn, token, now)
            if session.needs != need:  # another tab was faster; nothing is gained by it
                return SignedIn(token, session)
            user = staff.locked_user(conn, session.actor.name)
            tries = key or self.code_key(user.id)
            if not key:
                sign_in_failures.count_try(conn, {tries: PER_NAME}, now)
            if not fits(conn, user, now):
                return None
            sign_in_failures.forget_key(conn, tries)
            values: dict[str, Any] = {"is_complete": True, "locked_at": None, "last_seen_at": now}
            if need == "second_factor":
                values["expires_at"] = now + self.rules.longest
            return self.renewed(conn, session, now, f"session.{need}", **values)

        return await self._database.run(unit) or self._refuse(need, None)

    def renewed(
        self, conn: Connection, session: Session, now: datetime, action: str, *, subject: str = "", **values: Any
    ) -> SignedIn:
        """The session goes on under a new token; the one before opens nothing."""
        token = _new_token()
        staff_sessions.change(conn, session.id, key=staff_sessions.digest(token), **values)
        opened = self.opened_session(conn, token, now)
        record(conn, session.actor, action, subject or f"session:{session.id}", {}, now=now)
        return SignedIn(token, opened)

    def uses_code(self, conn: Connection, user: Any, code: str, now: datetime) -> bool:
        """Whether this is a code of the locked account, which then serves no second time."""
        if user.totp_since is None:
            return False
        secret = self.opened(user)
        step = step_of(secret, code, now, after=user.totp_step)
        if step is not None:
            staff.put_user(conn, user.id, totp_step=step)
            if not self._totp.is_current(user.totp_secret):
                staff.put_user(conn, user.id, totp_secret=self.sealed(user.id, secret))
            return True
        marks = self._recovery.all(str(user.id), tidy(code))
        used = next((mark for mark in marks if mark in user.recovery_hashes), None)
        if used is None:
            return False
        left = without(user.recovery_hashes, used)
        staff.put_user(conn, user.id, recovery_hashes=left)
        record(conn, user.name, "second_factor.recovered", f"user:{user.id}", {"left": len(left)}, now=now)
        return True

    def sealed(self, user_id: int, secret: str) -> str:
        """The secret of an account's codes as the store keeps it."""
        return self._totp.seal(secret, f"user:{user_id}")

    def opened(self, user: Any) -> str:
        """The secret of an account's codes."""
        return self._totp.open(user.totp_secret, f"user:{user.id}")

    def name_key(self, name: str) -> str:
        """What failures with a name's password are counted under."""
        return self._tries.make("name", name.casefold())

    def code_key(self, user_id: int) -> str:
        """What failures with an account's codes are counted under."""
        return self._tries.make("code", str(user_id))

    def recovery_marks(self, user_id: int, codes: Sequence[str]) -> list[str]:
        """Recovery codes as the store keeps them."""
        return [self._recovery.make(str(user_id), tidy(code)) for code in codes]

    # --- using a session ------------------------------------------------------------------------------------------

    async def resolve(self, token: str, *, is_active: bool = True) -> Session:
        """The session, ready to act with. `is_active`: somebody is at the keyboard, not only a page that asks for news.

        Raises: NotSignedIn, also for a session that needs something first.
        """
        session = await self._look(token, is_active=is_active)
        if session.needs:
            raise NotSignedIn(session.needs)
        return session

    async def look(self, token: str) -> Session:
        """The session whatever it needs; nothing may be done with it but what it needs. Raises: NotSignedIn."""
        return await self._look(token, is_active=False)

    def csrf_fits(self, token: str, csrf: str) -> bool:
        """Whether a form or request was made by a page of this session."""
        return self._csrf.fits(csrf, token)

    async def lock(self, token: str) -> None:
        """Nothing is shown or done until it is unlocked. Raises: NotSignedIn."""
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            session = self.opened_session(conn, token, now)
            staff_sessions.change(conn, session.id, locked_at=now)

        await self._database.run(unit)

    async def sign_out(self, token: str) -> None:
        """The token opens nothing any more; fine for one that did not."""
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            found = staff_sessions.find(conn, token, now)
            if found is not None and staff_sessions.end(conn, found[0].id, found[1].name, now):
                record(conn, found[1].name, "session.end", f"session:{found[0].id}", {}, now=now)

        await self._database.run(unit)

    async def _look(self, token: str, *, is_active: bool) -> Session:
        now = self._clock.now()

        def unit(conn: Connection) -> tuple[Session, datetime]:
            row, user = self._found(conn, token, now)
            return self._session(conn, token, row, user, now), row.last_seen_at

        session, last_seen_at = await self._database.run(unit, read=True)
        if is_active and not session.needs and now - last_seen_at >= SIGN_OF_LIFE:
            await self._database.run(
                lambda conn: staff_sessions.change(conn, session.id, last_seen_at=now), durable=False
            )
        return session

    def opened_session(self, conn: Connection, token: str, now: datetime) -> Session:
        """As `look`, in the caller's transaction."""
        return self._session(conn, token, *self._found(conn, token, now), now)

    def _found(self, conn: Connection, token: str, now: datetime) -> tuple[Any, Any]:
        found = staff_sessions.find(conn, token, now)
        if found is None or now - found[0].last_seen_at >= self.rules.idle:
            raise NotSignedIn
        return found

    def _session(self, conn: Connection, token: str, row: Any, user: Any, now: datetime) -> Session:
        return Session(
            id=row.id,
            user_id=user.id,
            actor=actor_of(conn, user, self._policy()),
            display_name=user.display_name or user.name,
            needs=need_of(row, user, self.rules, now),
            method=row.method,
            has_second_factor=user.totp_since is not None,
            settings=user.settings,
            created_at=row.created_at,
            expires_at=row.expires_at,
            csrf=self._csrf.make(token),
        )

    def _refuse(self, what: str, user: Any) -> SignedIn:
        raise self._refused(what, user)

    def _refused(self, what: str, user: Any) -> SignInRefused:
        log.warning("sign_in_refused", what=what, user_id=None if user is None else user.id)
        return SignInRefused("name, password or code do not fit")


def _new_token() -> str:
    return secrets.token_urlsafe(32)


def _network(address: str) -> str:
    """What one sender can easily have many of counts as one: a /64 of IPv6."""
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return address[:100]
    return str(ipaddress.ip_network((parsed, 64), strict=False)) if parsed.version == 6 else str(parsed)
