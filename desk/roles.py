"""Roles: the built-in ones, those of the business, and that nobody hands out more than they have."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection

from bot.errors import InputError, NotFound, NotPermitted, StaleState
from bot.ports import Clock
from crm_sync import staff_roles
from crm_sync.database import Database
from desk.actors import Actor
from desk.audit import record
from desk.permissions import PERMISSIONS, RANKS, ROLES, TITLES

LONGEST: Final = 60
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{1,39}")


@dataclass(frozen=True, slots=True)
class RoleView:
    """A role with all that it permits. `version`: None for a built-in one, which stays as it is."""

    name: str
    titles: tuple[str, str]  # English, Chinese
    permissions: frozenset[str]
    version: int | None
    accounts: int  # how many have it, disabled ones too


def permissions_of(conn: Connection, role: str) -> frozenset[str]:
    """What a role permits. Raises: InputError when there is no such role."""
    if role in ROLES:
        return ROLES[role]
    row = staff_roles.find(conn, role)
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
        raise NotPermitted(f"{actor.name} ({actor.role}) may not hand out or change {role}: {why}")


class RoleDesk:
    """Roles as those who manage accounts see and change them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def list(self, actor: Actor) -> list[RoleView]:
        """Built-in roles, then those of the business by name. Raises: NotPermitted."""
        actor.require("users.read")

        def unit(conn: Connection) -> list[RoleView]:
            counts = staff_roles.counts(conn)
            builtin = [
                RoleView(name, TITLES[name], permissions, None, counts.get(name, 0))
                for name, permissions in ROLES.items()
            ]
            return builtin + [_view(row, counts.get(row.name, 0)) for row in staff_roles.all_roles(conn)]

        return await self._database.run(unit, read=True)

    async def create(self, actor: Actor, name: str, *, permissions: Collection[str], title: str = "") -> RoleView:
        """A role of the business's own.

        Raises: NotPermitted, also for permissions the actor has not; InputError for unknown ones, an odd name, or one
        that is taken.
        """
        actor.require("users.write")
        granted, now = _granted(actor, permissions), self._clock.now()
        if not _NAME.fullmatch(name) or name in ROLES:
            raise InputError("a role's name has 2 to 40 small letters, digits and dashes, and is not built in")

        def unit(conn: Connection) -> RoleView:
            staff_roles.add(conn, name, title=_title(title), permissions=sorted(granted), now=now)
            record(conn, actor, "role.create", f"role:{name}", {"permissions": sorted(granted)}, now=now)
            return _view(staff_roles.find(conn, name), 0)

        return await self._database.run(unit)

    async def change(
        self,
        actor: Actor,
        name: str,
        *,
        permissions: Collection[str] | None = None,
        title: str | None = None,
        version: int | None = None,
    ) -> RoleView:
        """The role permits this from now on, for all who have it.

        Raises: as `create`; NotFound, StaleState; NotPermitted for a role that permits more than the actor has.
        """
        actor.require("users.write")
        wanted = None if permissions is None else _granted(actor, permissions)
        now = self._clock.now()

        def unit(conn: Connection) -> RoleView:
            row = _locked(conn, actor, name, version)
            granted = sorted(row.permissions if wanted is None else wanted)
            values = {"permissions": granted, "title": row.title if title is None else _title(title)}
            staff_roles.change(conn, name, **values, updated_at=now)
            record(conn, actor, "role.change", f"role:{name}", {"permissions": granted}, now=now)
            return _view(staff_roles.find(conn, name), staff_roles.counts(conn).get(name, 0))

        return await self._database.run(unit)

    async def delete(self, actor: Actor, name: str, *, version: int | None = None) -> None:
        """There is no such role any more.

        Raises: NotPermitted, NotFound, StaleState; InputError while somebody has it.
        """
        actor.require("users.write")
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            _locked(conn, actor, name, version)
            if staff_roles.counts(conn).get(name) or staff_roles.has_tokens(conn, name):
                raise InputError(f"accounts or tokens still have the role {name!r}; give them another one first")
            staff_roles.remove(conn, name)
            record(conn, actor, "role.delete", f"role:{name}", {}, now=now)

        await self._database.run(unit)


def _granted(actor: Actor, permissions: Collection[str]) -> frozenset[str]:
    granted = frozenset(permissions)
    unknown = sorted(granted - PERMISSIONS.keys())
    if unknown:
        raise InputError(f"there is no permission {unknown[0]!r}")
    more = sorted(granted - actor.permissions)
    if more:
        raise NotPermitted(f"{actor.name} ({actor.role}) may not hand out {', '.join(more)}")
    return granted


def _title(title: str) -> str:
    words = " ".join(title.split())
    if len(words) > LONGEST or not words.isprintable():
        raise InputError(f"a title has at most {LONGEST} printable characters")
    return words


def _locked(conn: Connection, actor: Actor, name: str, version: int | None) -> Any:
    if name in ROLES:
        raise InputError(f"{name} is built in; make a role of your own instead")
    row = staff_roles.find(conn, name, lock=True)
    if row is None:
        raise NotFound(f"no role {name!r}")
    if version is not None and row.version != version:
        raise StaleState(f"somebody changed the role {name!r} in between")
    require_no_more(conn, actor, name)
    return row


def _view(row: Any, accounts: int) -> RoleView:
    title = row.title or row.name
    return RoleView(row.name, (title, title), frozenset(row.permissions), row.version, accounts)
