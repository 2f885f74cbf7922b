"""People by name: a segment as it was at one moment, a file that was uploaded, or those who are left out.

A list is filled in short transactions and is nobody's list until it is ready: what was broken off is never sent to.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, Select, delete, func, insert, literal, select, update

from bot.errors import InputError, NotFound
from bot.reach.segments import Node
from crm_sync.broadcast_tables import audience_lists, audience_members
from crm_sync.database import Database
from crm_sync.merging import is_merged, root_of
from crm_sync.rows import insert_if_absent
from crm_sync.segment_sql import members
from crm_sync.tables import customers

CHUNK: Final = 5_000  # people written in one transaction


@dataclass(frozen=True, slots=True)
class AudienceList:
    """A list of people. `rows`, `duplicates` and `strangers` are of the file it came from."""

    id: int
    name: str
    kind: str  # snapshot | upload | exclusion
    source: str
    rows: int
    members: int
    duplicates: int
    strangers: int
    created_by: str
    created_at: datetime
    archived_at: datetime | None


_COLUMNS: Final = tuple(audience_lists.c[name] for name in AudienceList.__dataclass_fields__)


def begin(conn: Connection, name: str, kind: str, source: str, *, by: str, now: datetime) -> int:
    """An empty list of this name, still to be filled; its id. One that was never finished makes room for it.

    Raises: InputError when there is a list of this name.
    """
    row = conn.execute(select(audience_lists).where(audience_lists.c.name == name).with_for_update()).first()
    if row is not None:
        if row.filling_since is None:
            raise InputError(f"there is a list {name!r} already")
        broken_off = {"name": f"{name}~{row.id}", "archived_at": now}
        conn.execute(update(audience_lists).where(audience_lists.c.id == row.id).values(**broken_off))
    values = {"name": name, "kind": kind, "source": source, "created_by": by, "created_at": now, "filling_since": now}
    key = conn.execute(insert(audience_lists).values(**values)).inserted_primary_key
    return int(key[0])  # type: ignore[index]  # one row, one key


async def fill(database: Database, list_id: int, segment: Node, now: datetime) -> int:
    """Everybody the segment means at that moment is on the list; how many. A few thousand at a time."""
    after: int | None = 0
    while after is not None:
        after = await database.run(partial(_fill_some, list_id=list_id, segment=segment, now=now, after=after))
    return await database.run(partial(count_members, list_id=list_id), read=True)


def _fill_some(conn: Connection, list_id: int, segment: Node, now: datetime, after: int) -> int | None:
    """The id to go on behind; None at the end."""
    some = members(segment, now).where(customers.c.id > after).order_by(customers.c.id).limit(CHUNK).subquery()
    conn.execute(insert(audience_members).from_select(["list_id", "customer_id"], select(literal(list_id), some.c.id)))
    on_it = select(func.max(audience_members.c.customer_id)).where(audience_members.c.list_id == list_id)
    last: int | None = conn.execute(on_it).scalar()
    return None if last is None or last == after else last


def finish(conn: Connection, list_id: int, *, rows: int = 0, duplicates: int = 0, strangers: int = 0) -> AudienceList:
    """The list is ready to be used."""
    counts = {"rows": rows, "duplicates": duplicates, "strangers": strangers, "members": count_members(conn, list_id)}
    conn.execute(update(audience_lists).where(audience_lists.c.id == list_id).values(**counts, filling_since=None))
    return _one(conn, audience_lists.c.id == list_id, str(list_id))


def count_members(conn: Connection, list_id: int) -> int:
    """How many records are on it."""
    on_it = select(func.count()).select_from(audience_members).where(audience_members.c.list_id == list_id)
    return conn.execute(on_it).scalar_one()


def get(conn: Connection, name: str) -> AudienceList:
    """A list that is ready. Raises: NotFound."""
    return _one(conn, audience_lists.c.name == name, name)


def page(conn: Connection, *, before: int | None, limit: int, kind: str = "") -> list[AudienceList]:
    """Lists that are ready, the newest first."""
    there = (audience_lists.c.filling_since.is_(None), audience_lists.c.archived_at.is_(None))
    found = select(*_COLUMNS).where(*there).order_by(audience_lists.c.id.desc()).limit(limit)
    if kind:
        found = found.where(audience_lists.c.kind == kind)
    if before is not None:
        found = found.where(audience_lists.c.id < before)
    return [AudienceList(**row._mapping) for row in conn.execute(found)]


def people_on(list_id: int) -> Select[tuple[int]]:
    """The ids of those on the list who are somebody still: neither erased nor part of another record."""
    return (
        select(customers.c.id)
        .join_from(audience_members, customers, customers.c.id == audience_members.c.customer_id)
        .where(audience_members.c.list_id == list_id, customers.c.erased_at.is_(None), ~is_merged(customers.c.id))
    )


def put_member(conn: Connection, list_id: int, customer_id: int, *, listed: bool) -> bool:
    """The person is on the list, or is not any more; whether that is news. Raises: CustomerNotFound."""
    person = root_of(conn, customer_id)
    row = {"list_id": list_id, "customer_id": person}
    if listed:
        changed = insert_if_absent(conn, audience_members, row, key=("list_id", "customer_id"))
    else:
        here = (audience_members.c.list_id == list_id, audience_members.c.customer_id == person)
        changed = conn.execute(delete(audience_members).where(*here)).rowcount > 0
    if changed:
        one = audience_lists.c.members + (1 if listed else -1)
        conn.execute(update(audience_lists).where(audience_lists.c.id == list_id).values(members=one))
    return changed


def archive(conn: Connection, name: str, now: datetime) -> None:
    """It is offered no more; broadcasts that name it still find it. Raises: NotFound."""
    conn.execute(update(audience_lists).where(audience_lists.c.id == get(conn, name).id).values(archived_at=now))


def _one(conn: Connection, which: Any, name: str) -> AudienceList:
    row = conn.execute(select(*_COLUMNS).where(which, audience_lists.c.filling_since.is_(None))).first()
    if row is None:
        raise NotFound(f"there is no list {name!r}")
    return AudienceList(**row._mapping)
