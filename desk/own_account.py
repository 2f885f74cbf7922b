"""What everybody does with their own account, whatever their role: password, second factor, sessions, settings.

Each takes the token of the session it is done in. Where what a session may do changes, it goes on under a new token and
the others are over.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final

import segno
from sqlalchemy import Connection

from bot.errors import InputError, NotFound, NotSignedIn, SignInRefused
from bot.ports import Clock
from crm_sync import sign_in_failures, staff, staff_sessions
from crm_sync.database import Database
from desk import second_factor
from desk.audit import record
from desk.sessions import Session, SessionLine, SignedIn, session_line
from desk.signing_in import PER_NAME, SigningIn

SHORTEST_PASSWORD: Final = 12
LONGEST_PASSWORD: Final = 1000
CHOICES: Final[Mapping[str, tuple[str, ...]]] = {
    "language": ("", "zh", "en"),  # "": as the browser says
    "theme": ("auto", "light", "dark"),
    "density": ("comfortable", "compact"),
}
LOCK_MINUTES: Final = range(121)


@dataclass(frozen=True, slots=True)
class OwnSettings:
    """How somebody wants their console. `lock_minutes`: 0 for the business's."""

    language: str = ""
    theme: str = "auto"
    density: str = "comfortable"
    sound: bool = True
    notifications: bool = False
    lock_minutes: int = 0


@dataclass(frozen=True, slots=True)
class Enrolment:
    """A second factor that was not confirmed yet: for an authenticator app to read, or to be typed into it."""

    secret: str = field(repr=False)
    address: str = field(repr=False)
    qr_svg: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """The only time anybody sees the recovery codes."""

    signed_in: SignedIn
    recovery_codes: tuple[str, ...] = field(repr=False)


class OwnAccount:
    """The account behind a session. `issuer`: what an authenticator app calls this place."""

    def __init__(self, database: Database, clock: Clock, signing_in: SigningIn, *, issuer: str = "Frontdesk") -> None:
        self._database, self._clock, self._signing_in, self._issuer = database, clock, signing_in, issuer

    # --- the password -------------------------------------------------------------------------------------------

    async def change_password(self, token: str, old: str, new: str) -> SignedIn:
        """The new password counts; all other sessions are over.

        Raises: NotSignedIn, TooManyTries; SignInRefused when the old one does not fit; InputError for a new one that is
        too short, the old one, or the account's name.
        """
        session = await self._session(token, "new_password")
        _check_new(session.actor.name, old, new)
        hashed = await self._proven(session, old)
        fresh = await self._signing_in.passwords.hash(new)

        def change(conn: Connection, user: Any, now: datetime) -> None:
            if user.password_hash != hashed:
                raise SignInRefused("name, password or code do not fit")
            staff.change_user(conn, user.id, password_hash=fresh, password_changed_at=now, must_change_password=False)

        return await self._renewed(token, "password.change", change)

    # --- the second factor ----------------------------------------------------------------------------------------

    async def start_second_factor(self, token: str) -> Enrolment:
        """A secret waits to be confirmed; one that waited before is forgotten.

        Raises: NotSignedIn; InputError when there is a second factor already.
        """
        session = await self._session(token, "enrolment")
        secret = second_factor.new_secret()

        def unit(conn: Connection) -> None:
            user = staff.locked_user(conn, session.actor.name)
            if user.totp_since is not None:
                raise InputError("there is a second factor already; turn it off first")
            staff.put_user(conn, user.id, totp_secret=self._signing_in.sealed(user.id, secret), totp_step=0)

        await self._database.run(unit)
        address = second_factor.address(secret, name=session.actor.name, issuer=self._issuer)
        drawn = io.BytesIO()
        segno.make(address, error="m").save(drawn, kind="svg", scale=4, xmldecl=False)
        return Enrolment(secret, address, drawn.getvalue().decode())

    async def confirm_second_factor(self, token: str, code: str) -> Enrolled:
        """From now on signing in takes a code of the app; ten recovery codes for the day the app is lost.

        Raises: NotSignedIn, TooManyTries, SignInRefused; InputError when none was started.
        """
        codes = second_factor.new_recovery_codes()

        def fits(conn: Connection, user: Any, now: datetime) -> int | None:
            if not user.totp_secret or user.totp_since is not None:
                raise InputError("no second factor waits to be confirmed")
            return second_factor.step_of(self._signing_in.opened(user), code, now, after=user.totp_step)

        def change(conn: Connection, user: Any, now: datetime) -> None:
            step = fits(conn, user, now)
            marks = self._signing_in.recovery_marks(user.id, codes)
            staff.change_user(conn, user.id, totp_since=now, totp_step=step, recovery_hashes=marks)

        await self._session(token, "enrolment")
        signed_in = await self._with_code(
            token, lambda conn, user, now: fits(conn, user, now) is not None, "second_factor.on", change
        )
        return Enrolled(signed_in, codes)

    async def new_recovery_codes(self, token: str, code: str) -> Enrolled:
        """Ten other recovery codes; those from before open nothing.

        Raises: NotSignedIn, TooManyTries, SignInRefused.
        """
        codes = second_factor.new_recovery_codes()

        def change(conn: Connection, user: Any, now: datetime) -> None:
            staff.put_user(conn, user.id, recovery_hashes=self._signing_in.recovery_marks(user.id, codes))

        await self._session(token)
        signed_in = await self._with_code(token, self._uses(code), "second_factor.codes", change)
        return Enrolled(signed_in, codes)

    async def turn_second_factor_off(self, token: str, code: str) -> SignedIn:
        """The password alone is enough again.

        Raises: NotSignedIn, TooManyTries, SignInRefused; InputError when the role has to have one.
        """
        session = await self._session(token)
        if self._signing_in.rules.wants_second_factor(session.actor.role):
            raise InputError("your role has to have a second factor")

        def change(conn: Connection, user: Any, now: datetime) -> None:
            staff.change_user(conn, user.id, totp_secret="", totp_since=None, recovery_hashes=[])

        return await self._with_code(token, self._uses(code), "second_factor.off", change)

    # --- sessions and settings ------------------------------------------------------------------------------------

    async def sessions(self, token: str) -> tuple[SessionLine, ...]:
        """The account's open sessions, the newest first; `session.id` tells which is this one. Raises: NotSignedIn."""
        session, now = await self._session(token), self._clock.now()
        rows = await self._database.run(lambda conn: staff_sessions.open_of(conn, session.user_id, now), read=True)
        return tuple(session_line(row) for row in rows if now - row.last_seen_at < self._signing_in.rules.idle)

    async def end_session(self, token: str, session_id: int) -> None:
        """That session of the own account is over. Raises: NotSignedIn, NotFound."""
        session, now = await self._session(token), self._clock.now()

        def unit(conn: Connection) -> None:
            owner = staff_sessions.owner_of(conn, session_id)
            if owner is None or owner.id != session.user_id:
                raise NotFound(f"no session {session_id}")
            if staff_sessions.end(conn, session_id, session.actor.name, now):
                record(conn, session.actor, "session.revoke", f"session:{session_id}", {}, now=now)

        await self._database.run(unit)

    async def end_other_sessions(self, token: str) -> int:
        """This session is the only one; how many others there were. Raises: NotSignedIn."""
        session, now = await self._session(token), self._clock.now()

        def unit(conn: Connection) -> int:
            ended = staff_sessions.end_all(conn, session.user_id, session.actor.name, now, but=session.id)
            if ended:
                record(conn, session.actor, "session.revoke", f"user:{session.user_id}", {"sessions": ended}, now=now)
            return ended

        return await self._database.run(unit)

    async def settings(self, token: str) -> OwnSettings:
        """As they were last wanted. Raises: NotSignedIn."""
        return own_settings((await self._session(token)).settings)

    async def change_settings(self, token: str, wanted: OwnSettings) -> OwnSettings:
        """The console is as wanted from now on, on every device. Raises: NotSignedIn, InputError."""
        session = await self._session(token)
        for name, known in CHOICES.items():
            if getattr(wanted, name) not in known:
                raise InputError(f"{name} is one of {', '.join(filter(None, known))}")
        if wanted.lock_minutes not in LOCK_MINUTES:
            raise InputError(f"the console is locked after at most {LOCK_MINUTES[-1]} minutes")
        await self._database.run(
            lambda conn: staff.put_user(conn, session.user_id, settings={**session.settings, **asdict(wanted)})
        )
        return wanted

    # --- behind them ------------------------------------------------------------------------------------------------

    async def _session(self, token: str, *also: str) -> Session:
        """The session, which needs nothing, or what is done now. Raises: NotSignedIn."""
        session = await self._signing_in.look(token)
        if session.needs and session.needs not in also:
            raise NotSignedIn(session.needs)
        return session

    async def _proven(self, session: Session, password: str) -> str:
        """The hash of the password, which is the account's. Raises: TooManyTries, SignInRefused."""
        now, key = self._clock.now(), self._signing_in.name_key(session.actor.name)

        def unit(conn: Connection) -> Any:
            sign_in_failures.count_try(conn, {key: PER_NAME}, now)
            return staff.locked_user(conn, session.actor.name)

        hashed: str = (await self._database.run(unit)).password_hash
        if not await self._signing_in.passwords.fits(hashed, password):
            raise SignInRefused("name, password or code do not fit")
        await self._database.run(lambda conn: sign_in_failures.forget_key(conn, key))
        return hashed

    def _uses(self, code: str) -> Callable[[Connection, Any, datetime], bool]:
        return lambda conn, user, now: self._signing_in.uses_code(conn, user, code, now)

    async def _with_code(
        self,
        token: str,
        fits: Callable[[Connection, Any, datetime], bool],
        action: str,
        change: Callable[[Connection, Any, datetime], None],
    ) -> SignedIn:
        now = self._clock.now()

        def unit(conn: Connection) -> SignedIn | None:
            session = self._signing_in.opened_session(conn, token, now)
            user = staff.locked_user(conn, session.actor.name)
            key = self._signing_in.code_key(user.id)
            sign_in_failures.count_try(conn, {key: PER_NAME}, now)
            if not fits(conn, user, now):
                return None  # committed, so that the try stays counted
            sign_in_failures.forget_key(conn, key)
            return self._renew(conn, session, now, action, change)

        signed_in = await self._database.run(unit)
        if signed_in is None:
            raise SignInRefused("name, password or code do not fit")
        return signed_in

    async def _renewed(self, token: str, action: str, change: Callable[[Connection, Any, datetime], None]) -> SignedIn:
        now = self._clock.now()

        def unit(conn: Connection) -> SignedIn:
            session = self._signing_in.opened_session(conn, token, now)
            return self._renew(conn, session, now, action, change)

        return await self._database.run(unit)

    def _renew(
        self,
        conn: Connection,
        session: Session,
        now: datetime,
        action: str,
        change: Callable[[Connection, Any, datetime], None],
    ) -> SignedIn:
        user = staff.locked_user(conn, session.actor.name)
        change(conn, user, now)
        staff_sessions.end_all(conn, user.id, user.name, now, but=session.id)
        return self._signing_in.renewed(conn, session, now, action, subject=f"user:{user.id}", last_seen_at=now)


def own_settings(stored: Mapping[str, Any]) -> OwnSettings:
    """What is stored of somebody's settings, with the defaults for what is not."""
    names = OwnSettings.__slots__
    return OwnSettings(**{name: stored[name] for name in names if name in stored})


def _check_new(name: str, old: str, new: str) -> None:
    if not SHORTEST_PASSWORD <= len(new) <= LONGEST_PASSWORD:
        raise InputError(f"a password has at least {SHORTEST_PASSWORD} characters")
    if new == old:
        raise InputError("the new password is the old one")
    if (name.casefold() in new.casefold() and len(new) - len(name) < SHORTEST_PASSWORD) or len(set(new)) < 4:
        raise InputError("a password is not the account's name, nor the same few characters again and again")
