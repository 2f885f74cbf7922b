"""Where service happens: sites as routing sees them, with what they have to do now, and the list brought in as CSV."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import ColumnElement, Connection, Text, bindparam, case, func, insert, literal_column, select, update

from bot.errors import InputError, StaleState
from bot.service_types import IN_ZONE, Site
from bot.types import Language
from crm_sync.columns import is_filled
from crm_sync.import_cells import listed
from crm_sync.imports import How, Kind, Written
from crm_sync.phones import normalise_phone
from crm_sync.rows import insert_if_absent
from crm_sync.service_tables import site_tasks, sites
from crm_sync.tables import cases

COLUMNS: Final = (
    "key",
    "name_zh",
    "name_en",
    "kind",
    "latitude",
    "longitude",
    "address",
    "phone",
    "email",
    "contact",
    "timezone",
    "calendar",
    "skills",
    "languages",
    "capacity",
    "is_active",
)
REQUIRED: Final = ("key",)
MOST_TASKS: Final = 100_000
_NO: Final = frozenset({"0", "no", "false", "否"})
_YES: Final = frozenset({"", "1", "yes", "true", "是"})
_EMAIL: Final = re.compile(r"[^@\s<>,;:\"]+@[^@\s<>,;:\"]+\.[^@\s<>,;:\"]+")
OPEN_STATES: Final = ("offered", "accepted")


def active_sites(conn: Connection, kind: str = "") -> tuple[Site, ...]:
    """All active sites (of a kind), by key, each with how many tasks it has open."""
    busy: dict[int, int] = dict(
        conn.execute(
            select(site_tasks.c.site_id, func.count())
            .where(site_tasks.c.state.in_(OPEN_STATES))
            .group_by(site_tasks.c.site_id)
        ).all()
    )
    wanted = select(sites).where(sites.c.is_active).order_by(sites.c.key)
    rows = conn.execute(wanted if not kind else wanted.where(sites.c.kind == kind))
    return tuple(site_of(row, busy.get(row.id, 0)) for row in rows)


def find_site(conn: Connection, key: str) -> Any:
    """The active site with this key as a row; None when there is none."""
    return conn.execute(select(sites).where(sites.c.key == key, sites.c.is_active)).first()


def kept_site(conn: Connection, key: str, *, for_change: bool = False) -> Any:
    """The site with this key as a row, also one that is not active; None when there is none. `for_change`: locked."""
    found = select(sites).where(sites.c.key == key)
    return conn.execute(found.with_for_update() if for_change else found).first()


def read(key: str, cells: Mapping[str, str]) -> Mapping[str, Any]:
    """The columns of `sites`, of what a line of a list says. Raises: InputError."""
    row = {"key": key, **cells}
    return _site(row, How(ZoneInfo("UTC"))).values


def put(conn: Connection, key: str, values: Mapping[str, Any], now: datetime) -> list[str]:
    """The site says this, also a new one; names of what is different. Raises: StaleState."""
    before = kept_site(conn, key, for_change=True)
    if before is None:
        if not insert_if_absent(conn, sites, {**values, "key": key, "updated_at": now}, key=("key",)):
            raise StaleState(f"site {key} was added by somebody else at this moment")
        return sorted(values)
    changed = [name for name, value in values.items() if before._mapping[name] != value]
    if changed:
        conn.execute(update(sites).where(sites.c.id == before.id).values(**values, updated_at=now))
    return sorted(changed)


HOURS: Final[ColumnElement[str]] = sites.c.calendar + case(  # as `Site.hours` names them
    (is_filled(sites.c.timezone), literal_column(f"'{IN_ZONE}'", Text) + sites.c.timezone),
    else_=literal_column("''", Text),
)
HOURS_OF_CASE: Final = func.coalesce(  # of the site that has it, for a row of `cases`; "" without one
    select(HOURS).where(sites.c.id == cases.c.site_id).scalar_subquery(), ""
)
_CALENDAR: Final = select(HOURS).where(sites.c.id == bindparam("site_id"))


def calendar_of(conn: Connection, site_id: int | None) -> str:
    """The hours of this site, as `Site.hours` names them; "" without one."""
    if site_id is None:
        return ""
    return conn.execute(_CALENDAR, {"site_id": site_id}).scalar() or ""


def names_by_key(conn: Connection) -> dict[str, Mapping[Language, str]]:
    """What each site is called, closed ones too."""
    return {row.key: row.names for row in conn.execute(select(sites.c.key, sites.c.names))}


def site_of(row: Any, open_tasks: int = 0) -> Site:
    """The site in a row of `sites`."""
    return Site(
        id=row.id,
        key=row.key,
        names=row.names,
        kind=row.kind,
        latitude=row.latitude,
        longitude=row.longitude,
        address=row.address,
        phone=row.phone,
        timezone=row.timezone,
        calendar=row.calendar,
        skills=frozenset(row.skills),
        languages=frozenset(row.languages),
        capacity=row.capacity,
        open_tasks=open_tasks,
    )


# --- imported -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SiteLine:
    """One checked row, as the columns of `sites`."""

    key: str
    values: Mapping[str, Any]


def _write(conn: Connection, lines: Sequence[SiteLine], now: datetime) -> Written:
    """Sites the file does not name stay."""
    written = Written()
    for line in lines:
        before = conn.execute(select(sites).where(sites.c.key == line.key)).first()
        if before is None:
            conn.execute(insert(sites), {**line.values, "key": line.key, "updated_at": now})
            written.inserted += 1
        elif any(before._mapping[name] != value for name, value in line.values.items()):
            conn.execute(update(sites).where(sites.c.id == before.id).values(**line.values, updated_at=now))
            written.updated += 1
    return written


def _site(row: Mapping[str, str], how: How) -> SiteLine:
    names = {language: row[f"name_{language}"] for language in ("zh", "en") if row[f"name_{language}"]}
    if not names:
        raise InputError("the site needs a name: name_zh, name_en or both")
    latitude, longitude = degrees(row["latitude"], row["longitude"])
    active = row["is_active"].lower()
    if active not in _NO | _YES:
        raise InputError("is_active must be yes or no")
    return SiteLine(
        row["key"],
        {
            "names": names,
            "kind": row["kind"].lower(),
            "latitude": latitude,
            "longitude": longitude,
            "address": row["address"],
            "phone": _phone(row["phone"]),
            "email": _email(row["email"]),
            "contact": _contact(row["contact"]),
            "timezone": _zone(row["timezone"]),
            "calendar": row["calendar"],
            "skills": listed(row["skills"]),
            "languages": [item.lower() for item in listed(row["languages"])],
            "capacity": _capacity(row["capacity"]),
            "is_active": active in _YES,
        },
    )


def degrees(latitude: str, longitude: str) -> tuple[float | None, float | None]:
    """Coordinates of a row; None for both when both cells are empty.

    Raises: InputError for a place nobody can be at.
    """
    if not latitude and not longitude:
        return None, None
    try:
        north, east = float(latitude), float(longitude)
    except ValueError as exc:
        raise InputError("latitude and longitude must both be numbers, in degrees such as 38.874") from exc
    # Written so that NaN, which compares with nothing, is refused too.
    if not (-90 <= north <= 90 and -180 <= east <= 180):
        raise InputError("latitude must lie between -90 and 90, longitude between -180 and 180; are they swapped?")
    if abs(north) < 0.01 and abs(east) < 0.01:
        raise InputError("latitude and longitude are 0: that is in the open sea; leave both empty if they are unknown")
    return north, east


def _phone(text: str) -> str:
    """A short service number such as 95306 stays as it is written."""
    if not text or (text.isascii() and text.isdecimal() and 3 <= len(text) <= 6):
        return text
    phone = normalise_phone(text)
    if phone is None:
        raise InputError("phone is not a phone number")
    return phone


def _email(text: str) -> str:
    if text and not _EMAIL.fullmatch(text):
        raise InputError("email is not an e-mail address")
    return text


def _contact(text: str) -> str:
    if text and not all(part.strip() for part in [*text.split(":", 2), "", ""][:3]):
        raise InputError("contact must be channel:account:chat, such as telegram:main:123456789")
    return text


def _zone(name: str) -> str:
    if name:
        try:
            ZoneInfo(name)
        except (KeyError, ValueError, OSError) as exc:
            raise InputError(f"there is no time zone {name!r}; write Asia/Shanghai") from exc
    return name


def _capacity(text: str) -> int:
    if not text:
        return 0
    if not (text.isascii() and text.isdecimal()) or int(text) > MOST_TASKS:
        raise InputError("capacity must be a whole number from 0 (no limit)")
    return int(text)


SITES: Final = Kind("sites", COLUMNS, REQUIRED, _site, lambda line: f"site {line.key}", _write)
