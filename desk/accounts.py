"""Accounts of the staff: who there is, with which role and skills; given out, changed and taken away by who may.

Nobody hands out more than they have, nor changes the account of somebody who may more than they.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from bot.errors import InputError, NotFound
from bot.ports import TOPIC_DESK, Clock, Signals
from bot.service.policy import ServicePolicy
from crm_sync import staff, staff_sessions
from crm_sync.database import Database
from crm_sync.passwords import Passwords, generated
from desk.actors import Actor
from desk.audit import record
from desk.roles import require_no_more
from desk.sessions import SessionLine, session_line

LONGEST: Final = 80  # characters of a name shown to customers
MOST_AT_ONCE: Final = 100  # conversations of one operator
MOST_SKILLS: Final = 50
_EMAIL: Final = re.compile(r"[^\s@,;<>\"]{1,64}@[^\s@,;<>\"]{1,190}")
_SKILL: Final = re.compile(r"[\w./-]{1,60}")


@dataclass(frozen=True, slots=True)
class Account:
    """A member of staff. Empty `languages`, `topics` and `channels` mean all of them."""

    id: int
    name: str
    role: str
    display_name: str
    email: str
    languages: tuple[str, ...]
    topics: tuple[str, ...]
    channels: tuple[str, ...]
    capacity: int
    presence: str
    teams: tuple[str, ...]
    has_second_factor: bool
    must_change_password: bool
    is_linked: bool  # to an account of the single sign-on provider
    created_at: datetime
    disabled_at: datetime | None
    last_seen_at: datetime | None
    version: int


@dataclass(frozen=True, slots=True)
class AccountChange:
    """What is to be different; None leaves it as it is."""

    role: str | None = None
    display_name: str | None = None
    email: str | None = None
    languages: tuple[str, ...] | None = None
    topics: tuple[str, ...] | None = None
    channels: tuple[str, ...] | None = None
    capacity: int | None = None


@dataclass(frozen=True, slots=True)
class NewPassword:
    """The only time anybody sees it; whoever gets it chooses another one when they sign in."""

    password: str = field(repr=False)
    account: Account


class AccountDesk:
    """The accounts as those who manage them see and change them. `policy` gives the rules as they are now."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        policy: Callable[[], ServicePolicy],
        signals: Signals | None = None,
    ) -> None:
        self._database, self._clock, self._policy, self._signals = database, clock, policy, signals
        self._passwords = Passwords()

    async def list(self, actor: Actor) -> list[Account]:
        """All accounts by name, disabled ones too. Raises: NotPermitted."""
        actor.require("users.read")
        return await self._database.run(lambda conn: [self._account(row) for row in staff.users(conn)], read=True)

    async def show(self, actor: Actor, name: str) -> Account:
        """Raises: NotPermitted, NotFound."""
        actor.require("users.read")

        def unit(conn: Connection) -> Account:
            row = staff.find_user(conn, name)
            if row is None:
                raise NotFound(f"no account {name!r}")
            return self._account(row)

        return await self._database.run(unit, read=True)

    async def add(
        self, actor: Actor, name: str, *, role: str = "operator", values: AccountChange | None = None
    ) -> NewPassword:
        """The account, with a password that was made for it.

        Raises: NotPermitted, also for a role that may more than the actor; InputError for an unknown role, an odd name,
        one that is taken, or values that cannot be.
        """
        actor.require("users.write")
        wanted = _values(values or AccountChange())
        password, now = generated(), self._clock.now()
        hashed = await self._passwords.hash(password)

        def unit(conn: Connection) -> Account:
            require_no_more(conn, actor, role)
            user_id = staff.insert_user(conn, name, role, hashed, now, must_change_password=True, **wanted)
            record(conn, actor, "user.add", f"user:{user_id}", {"role": role}, now=now)
            return self._account(staff.locked_user(conn, name))

        account = await self._database.run(unit)
        self._tell(name)
        return NewPassword(password, account)

    async def change(self, actor: Actor, name: str, change: AccountChange, *, version: int | None = None) -> Account:
        """The account is as wanted. Another role ends its sessions, so that it counts from the next signing in on.

        Raises: NotPermitted, NotFound, StaleState; InputError for values that cannot be, and for the last admin's role.
        """
        actor.require("users.write")
        wanted = _values(change)

        def unit(conn: Connection, now: datetime) -> None:
            row = self._managed(conn, actor, name, version)
            different = {key: value for key, value in wanted.items() if getattr(row, key) != value}
            if change.role is not None and change.role != row.role:
                require_no_more(conn, actor, change.role)
                if row.role == "admin":
                    staff.keep_an_admin(conn, name)
                different["role"] = change.role
                staff_sessions.end_all(conn, row.id, actor.name, now)
            if different:
                staff.change_user(conn, row.id, **different)
                role = {"role": different["role"]} if "role" in different else {}
                details = {"fields": sorted(different), **role}
                record(conn, actor, "user.change", f"user:{row.id}", details, now=now)

        return await self._changed(unit, name)

    async def disable(self, actor: Actor, name: str, *, version: int | None = None) -> Account:
        """The account cannot sign in, and its sessions are over; its history stays.

        Raises: NotPermitted, NotFound, StaleState; InputError for the last admin who can.
        """
        actor.require("users.write")

        def unit(conn: Connection, now: datetime) -> None:
            row = self._managed(conn, actor, name, version)
            if row.disabled_at is None:
                staff.keep_an_admin(conn, name)
                staff.change_user(conn, row.id, disabled_at=now, presence="off", presence_at=now)
                ended = staff_sessions.end_all(conn, row.id, actor.name, now)
                record(conn, actor, "user.disable", f"user:{row.id}", {"sessions": ended}, now=now)

        return await self._changed(unit, name)

    async def enable(self, actor: Actor, name: str, *, version: int | None = None) -> Account:
        """The account can sign in again, as it could before. Raises: NotPermitted, NotFound, StaleState."""
        actor.require("users.write")

        def unit(conn: Connection, now: datetime) -> None:
            row = self._managed(conn, actor, name, version)
            if row.disabled_at is not None:
                staff.change_user(conn, row.id, disabled_at=None)
                record(conn, actor, "user.enable", f"user:{row.id}", {}, now=now)

        return await self._changed(unit, name)

    async def reset_password(self, actor: Actor, name: str) -> NewPassword:
        """A password made for the account, to be changed when signing in; its sessions are over.

        Raises: NotPermitted, NotFound.
        """
        actor.require("users.write")
        password = generated()
        hashed = await self._passwords.hash(password)

        def unit(conn: Connection, now: datetime) -> None:
            row = self._managed(conn, actor, name, None)
            staff.change_user(conn, row.id, password_hash=hashed, password_changed_at=now, must_change_password=True)
            ended = staff_sessions.end_all(conn, row.id, actor.name, now)
            record(conn, actor, "password.reset", f"user:{row.id}", {"sessions": ended}, now=now)

        return NewPassword(password, await self._changed(unit, name))

    async def second_factor_off(self, actor: Actor, name: str) -> Account:
        """The account signs in with its password alone, until it sets up a second factor anew; its sessions are over.

        Raises: NotPermitted, NotFound.
        """
        actor.require("users.write")

        def unit(conn: Connection, now: datetime) -> None:
            row = self._managed(conn, actor, name, None)
            if row.totp_since is not None or row.totp_secret:
                staff.change_user(conn, row.id, totp_secret="", totp_since=None, recovery_hashes=[])
                staff_sessions.end_all(conn, row.id, actor.name, now)
                record(conn, actor, "second_factor.off", f"user:{row.id}", {}, now=now)

        return await self._changed(unit, name)

    async def end_sessions(self, actor: Actor, name: str) -> int:
        """All sessions of the account are over; how many were open. Raises: NotPermitted, NotFound."""
        actor.require("users.write")
        now = self._clock.now()

        def unit(conn: Connection) -> int:
            row = self._managed(conn, actor, name, None)
            ended = staff_sessions.end_all(conn, row.id, actor.name, now)
            if ended:
                record(conn, actor, "session.revoke", f"user:{row.id}", {"sessions": ended}, now=now)
            return ended

        return await self._database.run(unit)

    async def sessions(self, actor: Actor, name: str) -> tuple[SessionLine, ...]:
        """Sessions of the account that are open, the newest first. Raises: NotPermitted, NotFound."""
        actor.require("users.write")
        now = self._clock.now()

        def unit(conn: Connection) -> tuple[SessionLine, ...]:
            row = staff.find_user(conn, name)
            if row is None:
                raise NotFound(f"no account {name!r}")
            require_no_more(conn, actor, row.role)
            return tuple(session_line(each) for each in staff_sessions.open_of(conn, row.id, now))

        return await self._database.run(unit, read=True)

    async def end_session(self, actor: Actor, name: str, session_id: int) -> None:
        """This session of the account is over. Raises: NotPermitted, NotFound when it is none, or was over before."""
        actor.require("users.write")
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            row = self._managed(conn, actor, name, None)
            owner = staff_sessions.owner_of(conn, session_id)
            is_theirs = owner is not None and owner.id == row.id
            if not is_theirs or not staff_sessions.end(conn, session_id, actor.name, now):
                raise NotFound(f"{name} has no open session {session_id}")
            record(conn, actor, "session.revoke", f"user:{row.id}", {"sessions": 1}, now=now)

        await self._database.run(unit)

    async def _changed(self, unit: Callable[[Connection, datetime], None], name: str) -> Account:
        now = self._clock.now()

        def whole(conn: Connection) -> Account:
            unit(conn, now)
            return self._account(staff.locked_user(conn, name))

        account = await self._database.run(whole)
        self._tell(name)
        return account

    def _managed(self, conn: Connection, actor: Actor, name: str, version: int | None) -> Any:
        """The account's row, locked, of somebody who may no more than the actor."""
        row = staff.locked_user(conn, name, version)
        require_no_more(conn, actor, row.role)
        return row

    def _teams_of(self, name: str) -> tuple[str, ...]:
        policy = self._policy()
        mine = policy.teams_of(name)
        return tuple(team for team in policy.teams if team in mine)

    def _account(self, row: Any) -> Account:
        return Account(
            id=row.id,
            name=row.name,
            role=row.role,
            display_name=row.display_name,
            email=row.email,
            languages=tuple(row.languages),
            topics=tuple(row.topics),
            channels=tuple(row.channels),
            capacity=row.capacity,
            presence=row.presence,
            teams=self._teams_of(row.name),
            has_second_factor=row.totp_since is not None,
            must_change_password=row.must_change_password,
            is_linked=bool(row.oidc_key),
            created_at=row.created_at,
            disabled_at=row.disabled_at,
            last_seen_at=row.last_seen_at,
            version=row.version,
        )

    def _tell(self, name: str) -> None:
        if self._signals is not None:
            self._signals.publish(TOPIC_DESK, {"user": name, "kind": "account"})


def _values(change: AccountChange) -> dict[str, Any]:
    """The columns to be written, without the role. Raises: InputError for what cannot be."""
    wanted = {item.name: getattr(change, item.name) for item in fields(change) if item.name != "role"}
    wanted = {name: value for name, value in wanted.items() if value is not None}
    if "display_name" in wanted:
        wanted["display_name"] = " ".join(wanted["display_name"].split())
        if len(wanted["display_name"]) > LONGEST or not wanted["display_name"].isprintable():
            raise InputError(f"the name customers see has at most {LONGEST} printable characters")
    if wanted.get("email") and not _EMAIL.fullmatch(wanted["email"]):
        raise InputError("that is no e-mail address")
    for name in ("languages", "topics", "channels"):
        if name in wanted:
            wanted[name] = list(dict.fromkeys(wanted[name]))
            if len(wanted[name]) > MOST_SKILLS or not all(_SKILL.fullmatch(item) for item in wanted[name]):
                raise InputError(f"{name} are at most {MOST_SKILLS} names of letters, digits, dots, slashes and dashes")
    if not 0 <= wanted.get("capacity", 0) <= MOST_AT_ONCE:
        raise InputError(f"somebody has 0 to {MOST_AT_ONCE} conversations at once")
    return wanted
