"""Where service happens, as a list is kept by hand: a site is put right or added, one at a time."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection

from bot.errors import InputError, NotFound, StaleState
from bot.ports import Clock
from crm_sync import sites
from crm_sync.database import Database
from desk.actors import Actor
from desk.audit import record

LONGEST_KEY = 60


@dataclass(frozen=True, slots=True)
class SiteFields:
    """All of a site that people write. `contact`: channel:account:chat, where links to its tasks go beside `email`."""

    names: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))  # language -> name
    kind: str = ""
    latitude: float | None = None
    longitude: float | None = None
    address: str = ""
    phone: str = ""
    email: str = ""
    contact: str = ""
    timezone: str = ""
    calendar: str = ""  # name in the rules; "": the default one
    skills: tuple[str, ...] = ()
    languages: tuple[str, ...] = ()
    capacity: int = 0  # open tasks at a time; 0: no limit
    is_active: bool = True


@dataclass(frozen=True, slots=True)
class SiteRecord:
    """`version`: another number as soon as any of it is different."""

    key: str
    fields: SiteFields
    version: int


class SiteDesk:
    """Sites as those who keep the list see and change them."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def show(self, actor: Actor, key: str) -> SiteRecord:
        """The site, also one that is not active. Raises: NotPermitted, NotFound."""
        actor.require("sites.write")
        return await self._database.run(lambda conn: _found(conn, key), read=True)

    async def put(self, actor: Actor, key: str, wanted: SiteFields, *, version: int | None = None) -> SiteRecord:
        """The site is so from now on, also a new one. `version`: that of the one the actor looked at.

        Raises: NotPermitted, InputError for what no list could hold either, StaleState.
        """
        actor.require("sites.write")
        if not 0 < len(key) <= LONGEST_KEY or key != key.strip():
            raise InputError(f"the key of a site has 1 to {LONGEST_KEY} characters")
        values, now = sites.read(key, _cells(wanted)), self._clock.now()

        def unit(conn: Connection) -> SiteRecord:
            before = sites.kept_site(conn, key, for_change=True)
            if version is not None and (before is None or _record(before).version != version):
                raise StaleState(f"site {key} was changed by somebody else; look at it again")
            changed = sites.put(conn, key, values, now)
            if changed:
                deed = "site.add" if before is None else "site.change"
                record(conn, actor, deed, f"site:{key}", {"fields": changed}, now=now)
            return _found(conn, key)

        return await self._database.run(unit)


def _found(conn: Connection, key: str) -> SiteRecord:
    row = sites.kept_site(conn, key)
    if row is None:
        raise NotFound(f"there is no site {key!r}")
    return _record(row)


def _record(row: Any) -> SiteRecord:
    names = {name: getattr(row, name) for name in SiteFields.__dataclass_fields__}
    fields = SiteFields(**{**names, "skills": tuple(row.skills), "languages": tuple(row.languages)})
    told = repr((row.key, fields)).encode("utf-8", "surrogatepass")
    return SiteRecord(row.key, fields, int.from_bytes(hashlib.blake2b(told, digest_size=7).digest()))


def _cells(wanted: SiteFields) -> dict[str, str]:
    """As a line of an imported list has it: what is refused there is refused here."""
    unknown = set(wanted.names) - {"zh", "en"}
    if unknown:
        raise InputError(f"a site has names in zh and en, not in {', '.join(sorted(unknown))}")
    if (wanted.latitude is None) != (wanted.longitude is None):
        raise InputError("latitude and longitude are given together, or neither")
    return {
        "name_zh": wanted.names.get("zh", "").strip(),
        "name_en": wanted.names.get("en", "").strip(),
        "latitude": "" if wanted.latitude is None else repr(wanted.latitude),
        "longitude": "" if wanted.longitude is None else repr(wanted.longitude),
        "skills": ";".join(wanted.skills),
        "languages": ";".join(wanted.languages),
        "capacity": str(wanted.capacity),
        "is_active": "yes" if wanted.is_active else "no",
        **{name: getattr(wanted, name).strip() for name in _PLAIN},
    }


_PLAIN = ("kind", "address", "phone", "email", "contact", "timezone", "calendar")
