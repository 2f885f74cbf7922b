"""A session of a member of staff: who acts with it, and what it still needs before anybody does."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection

from crm_sync import sign_in_failures, staff_sessions
from crm_sync.database import Database
from desk.actors import Actor

# What has to be done first; "": nothing, the session may be used.
Need = Literal["", "second_factor", "unlock", "new_password", "enrolment"]
EVERY_ROLE: Final = "*"
KEPT: Final = timedelta(days=30)  # how long a session that is over can be looked up


@dataclass(frozen=True, slots=True)
class SignInRules:
    """How long sessions live, and for whom a password alone is not enough."""

    longest: timedelta = timedelta(hours=12)
    idle: timedelta = timedelta(hours=4)  # without a sign of life it is over
    lock_after: timedelta = timedelta(minutes=15)  # without one it asks who is there; people may choose less
    second_factor: frozenset[str] = frozenset()  # roles that must have one; "*": all

    def wants_second_factor(self, role: str) -> bool:
        return role in self.second_factor or EVERY_ROLE in self.second_factor


@dataclass(frozen=True, slots=True)
class Session:
    """An open session. `csrf` belongs to its token and changes with it; `settings` are the person's own."""

    id: int
    user_id: int
    actor: Actor
    display_name: str
    needs: Need
    method: Literal["password", "oidc"]
    has_second_factor: bool
    settings: Mapping[str, Any]
    created_at: datetime
    expires_at: datetime
    csrf: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class SignedIn:
    """A new token, to be kept by the browser only (a cookie: HttpOnly, Secure, SameSite), and what it opens."""

    token: str = field(repr=False)
    session: Session


@dataclass(frozen=True, slots=True)
class SessionLine:
    """A session as its owner sees it in the list."""

    id: int
    device: str
    method: str
    created_at: datetime
    last_seen_at: datetime
    expires_at: datetime


def session_line(row: Any) -> SessionLine:
    """The row of a session as its owner, or who looks after the account, sees it."""
    return SessionLine(row.id, row.device, row.method, row.created_at, row.last_seen_at, row.expires_at)


async def prune_sign_ins(database: Database, now: datetime) -> int:
    """Failures that are held against nobody any more, and sessions over for a month, are gone; how many."""

    def unit(conn: Connection) -> int:
        return sign_in_failures.prune(conn, now) + staff_sessions.prune(conn, now - KEPT)

    return await database.run(unit)


def need_of(row: Any, user: Any, rules: SignInRules, now: datetime) -> Need:
    """What the session needs first, by its row and that of its account."""
    if not row.is_complete:
        return "second_factor"
    if row.locked_at is not None or now - row.last_seen_at >= _lock_after(user, rules):
        return "unlock"
    if user.must_change_password and row.method == "password":
        return "new_password"
    # Who comes from a provider has proven themselves there, by its own rules.
    if user.totp_since is None and row.method == "password" and rules.wants_second_factor(user.role):
        return "enrolment"
    return ""


def _lock_after(user: Any, rules: SignInRules) -> timedelta:
    minutes = user.settings.get("lock_minutes")
    own = timedelta(minutes=minutes) if isinstance(minutes, int) and minutes > 0 else rules.lock_after
    return min(own, rules.lock_after)
