"""Who of the staff does something, and what their role lets them do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from bot.errors import NotFound, NotPermitted
from crm_sync.database import Database
from crm_sync.tables import staff_users

RANKS: Final[Mapping[str, int]] = {
    "viewer": 0,
    "marketer": 0,
    "operator": 1,
    "lead": 2,
    "supervisor": 2,
    "manager": 3,
    "admin": 4,
}
# What is done -> the least rank that may.
ACTS: Final[Mapping[str, int]] = {
    "look at cases": 0,
    "work on cases": 1,
    "give cases to others": 2,
    "decide on compensation": 2,
    "correct customers": 1,
    "give credit classes": 2,
    "merge customers": 2,
}


@dataclass(frozen=True, slots=True)
class Actor:
    """A member of staff who acts, with their role."""

    name: str
    role: str

    @property
    def rank(self) -> int:
        return RANKS.get(self.role, 0)

    def may(self, act: str) -> bool:
        """Whether the role is enough for this (a key of ACTS)."""
        return self.role in RANKS and self.rank >= ACTS[act]

    def require(self, act: str) -> None:
        """Raises: NotPermitted when the role is not enough."""
        if not self.may(act):
            raise NotPermitted(f"{self.name} ({self.role}) may not {act}")


async def actor_named(database: Database, name: str) -> Actor:
    """The member of staff with this account. Raises: NotFound; NotPermitted when the account is disabled."""

    def unit(conn: Connection) -> Actor:
        row = conn.execute(select(staff_users).where(staff_users.c.name == name)).first()
        if row is None:
            raise NotFound(f"there is no staff account {name!r}")
        if row.disabled_at is not None:
            raise NotPermitted(f"the account {name!r} is disabled")
        return Actor(row.name, row.role)

    return await database.run(unit, read=True)
