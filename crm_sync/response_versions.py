"""What the bot says, as staff changed it: every version kept, one of each name and language in force."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, select, update

from crm_sync.console_tables import response_versions
from crm_sync.models import raise_epoch
from crm_sync.rows import insert_if_absent


@dataclass(frozen=True, slots=True)
class ResponseVersion:
    """`texts`: (channel, text) of each wording; empty: what the file says is in force again."""

    name: str
    language: str
    version: int
    texts: tuple[tuple[str, str], ...]
    is_current: bool
    by: str
    note: str
    at: datetime


def current(conn: Connection, assistant: str) -> list[ResponseVersion]:
    """Those in force instead of the files."""
    return [each for each in _read(conn, assistant, response_versions.c.is_current) if each.texts]


def history(conn: Connection, assistant: str, name: str) -> list[ResponseVersion]:
    """All versions of a response in every language, the newest first."""
    return _read(conn, assistant, response_versions.c.name == name)


def put(conn: Connection, assistant: str, version: ResponseVersion) -> bool:
    """The version is in force and every process notices within a second; False when its number is taken."""
    table = response_versions
    mine = and_(table.c.assistant == assistant, table.c.name == version.name, table.c.language == version.language)
    raise_epoch(conn)  # first: its row is the lock of all who write what the bot says
    if conn.execute(select(table.c.id).where(mine, table.c.version >= version.version)).first() is not None:
        return False
    conn.execute(update(table).where(mine, table.c.is_current).values(is_current=False))
    row = {
        "assistant": assistant,
        "name": version.name,
        "language": version.language,
        "version": version.version,
        "texts": [list(each) for each in version.texts],
        "is_current": True,
        "by": version.by,
        "note": version.note,
        "at": version.at,
    }
    insert_if_absent(conn, table, row, key=("assistant", "name", "language", "version"))
    return True


def _read(conn: Connection, assistant: str, condition: Any) -> list[ResponseVersion]:
    table = response_versions
    rows = conn.execute(
        select(table).where(table.c.assistant == assistant, condition).order_by(table.c.name, table.c.version.desc())
    )
    return [
        ResponseVersion(
            row.name,
            row.language,
            row.version,
            tuple((str(channel), str(text)) for channel, text in row.texts),
            row.is_current,
            row.by,
            row.note,
            row.at,
        )
        for row in rows
    ]
