"""Who of the staff does something, and what their role lets them do."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, select

from bot.errors import NotFound, NotPermitted
from bot.service.policy import ServicePolicy
from crm_sync.console_tables import staff_roles
from crm_sync.database import Database
from crm_sync.tables import staff_users
from desk.permissions import RANKS, ROLES


@dataclass(frozen=True, slots=True)
class Actor:
    """A member of staff (or an API token) who acts. `granted`: the permissions of a role of the business's own."""

    name: str
    role: str
    teams: frozenset[str] = field(default=frozenset(), compare=False)
    granted: frozenset[str] | None = field(default=None, compare=False)

    @property
    def permissions(self) -> frozenset[str]:
        return ROLES.get(self.role, frozenset()) if self.granted is None else self.granted

    @property
    def rank(self) -> int:
        return RANKS.get(self.role, 0)

    def may(self, permission: str) -> bool:
        """Whether the role is enough for this (a name in `desk.permissions.PERMISSIONS`)."""
        return permission in self.permissions

    def require(self, permission: str) -> None:
        """Raises: NotPermitted when the role is not enough."""
        if not self.may(permission):
            raise NotPermitted(f"{self.name} ({self.role}) may not do this: {permission} is needed")


def actor_of(conn: Connection, row: Any, policy: ServicePolicy) -> Actor:
    """Who acts with this account, with the teams that the rules of any assistant put them in."""
    return Actor(row.name, row.role, teams=policy.teams_of(row.name), granted=granted(conn, row.role))


async def actor_named(database: Database, name: str) -> Actor:
    """The member of staff with this account. Raises: NotFound; NotPermitted when the account is disabled."""

    def unit(conn: Connection) -> Actor:
        row = conn.execute(select(staff_users).where(staff_users.c.name == name)).first()
        if row is None:
            raise NotFound(f"there is no staff account {name!r}")
        if row.disabled_at is not None:
            raise NotPermitted(f"the account {name!r} is disabled")
        return Actor(row.name, row.role, granted=granted(conn, row.role))

    return await database.run(unit, read=True)


def granted(conn: Connection, role: str) -> frozenset[str] | None:
    """What a role of the business's own permits; None for the built-in ones."""
    if role in ROLES:
        return None
    row = conn.execute(select(staff_roles.c.permissions).where(staff_roles.c.name == role)).first()
    return frozenset() if row is None else frozenset(row.permissions)


def permits(conn: Connection, role: str, permission: str) -> bool:
    """Whether a role, built in or of the business's own, is enough for this; one that is gone permits nothing."""
    return Actor("", role, granted=granted(conn, role)).may(permission)
