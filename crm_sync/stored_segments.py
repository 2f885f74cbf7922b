"""Segments that were given a name: kept, changed with their version checked, archived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from bot.errors import InputError, NotFound, StaleState
from crm_sync.broadcast_tables import segments


@dataclass(frozen=True, slots=True)
class StoredSegment:
    """A segment by name. `definition`: as `bot.reach.segments.read_segment` takes it."""

    id: int
    name: str
    title: str
    definition: Mapping[str, Any]
    version: int
    created_by: str
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None


_COLUMNS = tuple(segments.c[name] for name in StoredSegment.__dataclass_fields__)


def get(conn: Connection, name: str) -> StoredSegment:
    """Raises: NotFound."""
    row = conn.execute(select(*_COLUMNS).where(segments.c.name == name)).first()
    if row is None:
        raise NotFound(f"there is no segment {name!r}")
    return StoredSegment(**row._mapping)


def page(conn: Connection, *, after: str | None, limit: int, archived: bool = False) -> list[StoredSegment]:
    """Segments by name, those behind `after`; without those that were archived unless they are wanted."""
    found = select(*_COLUMNS).order_by(segments.c.name).limit(limit)
    if not archived:
        found = found.where(segments.c.archived_at.is_(None))
    if after is not None:
        found = found.where(segments.c.name > after)
    return [StoredSegment(**row._mapping) for row in conn.execute(found)]


def save(
    conn: Connection,
    name: str,
    version: int | None,
    *,
    title: str,
    definition: Mapping[str, Any],
    by: str,
    now: datetime,
) -> StoredSegment:
    """The segment says this. `version`: the one that was seen; None: it is new.

    Raises: InputError when a new one's name is taken, NotFound, StaleState.
    """
    row = conn.execute(select(segments.c.version).where(segments.c.name == name).with_for_update()).first()
    written = {"title": title, "definition": dict(definition), "updated_at": now}
    if version is None:
        if row is not None:
            raise InputError(f"there is a segment {name!r} already")
        conn.execute(insert(segments).values(name=name, created_by=by, created_at=now, **written))
        return get(conn, name)
    _checked(row, name, version)
    here = segments.c.name == name
    conn.execute(update(segments).where(here).values(**written, version=version + 1, archived_at=None))
    return get(conn, name)


def archive(conn: Connection, name: str, version: int, now: datetime) -> StoredSegment:
    """It is offered no more; broadcasts that name it still find it. Raises: NotFound, StaleState."""
    row = conn.execute(select(segments.c.version).where(segments.c.name == name).with_for_update()).first()
    _checked(row, name, version)
    conn.execute(update(segments).where(segments.c.name == name).values(archived_at=now, version=version + 1))
    return get(conn, name)


def _checked(row: Any, name: str, version: int) -> None:
    if row is None:
        raise NotFound(f"there is no segment {name!r}")
    if row.version != version:
        raise StaleState(f"the segment {name!r} was changed meanwhile; look at it again")
