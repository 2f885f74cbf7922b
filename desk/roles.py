"""Roles: the built-in ones, those of the business, and that nobody hands out more than they have."""

from __future__ import annotations

from sqlalchemy import Connection, select

from bot.errors import InputError, NotPermitted
from crm_sync.console_tables import staff_roles
from desk.actors import Actor
from desk.permissions import RANKS, ROLES


def permissions_of(conn: Connection, role: str) -> frozenset[str]:
    """What a role permits. Raises: InputError when there is no such role."""
    if role in ROLES:
        return ROLES[role]
    row = conn.execute(select(staff_roles.c.permissions).where(staff_roles.c.name == role)).first()
    if row is None:
        raise InputError(f"there is no role {role!r}")
    return frozenset(row.permissions)


def require_no_more(conn: Connection, actor: Actor, role: str) -> None:
    """The role permits nothing that the actor may not do, and decides on no more.

    Raises: NotPermitted, InputError for an unknown role.
    """
    more = sorted(permissions_of(conn, role) - actor.permissions)
    if more or RANKS.get(role, 0) > actor.rank:
        why = f"it permits {', '.join(more)}" if more else "it decides on more"
        raise NotPermitted(f"{actor.name} ({actor.role}) may not hand out {role}: {why}")
