"""The search index of each database: FTS5 on SQLite, tsvector with GIN on PostgreSQL, filled with words of our own.

Both hold a row per message, or per person, under its id. Words are letters and digits without spaces, so that neither
database has an opinion of its own on where one ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Text,
    bindparam,
    column,
    delete,
    insert,
    select,
    table,
    text,
)

from bot.search_words import Query
from crm_sync.columns import id_in, is_postgres
from crm_sync.statements import Statement

SearchTable = Literal["message_search", "people_search"]
TABLES: Final[tuple[SearchTable, ...]] = ("message_search", "people_search")
SHADOWS: Final = ("data", "idx", "content", "docsize", "config")  # what FTS5 keeps beside each of them
_MERGE_PAGES: Final = 200  # of the index in one transaction: a few milliseconds


_FTS: Final = {name: table(name, column("rowid", BigInteger), column("words", Text)) for name in TABLES}
_KNOWN: Final = {name: Statement(select(fts).where(id_in(fts.c.rowid, "ids"))) for name, fts in _FTS.items()}
_ADD: Final = {name: Statement(insert(fts), column_keys=("rowid", "words")) for name, fts in _FTS.items()}
_REMOVE: Final = {name: Statement(delete(fts).where(fts.c.rowid == bindparam("id"))) for name, fts in _FTS.items()}


def put(conn: Connection, name: SearchTable, rows: Mapping[int, Sequence[str]]) -> int:
    """Each id is found by exactly these words; how many rows were not like that before."""
    if not rows:
        return 0
    if is_postgres(conn):
        statement = text(
            f"INSERT INTO {name} (rowid, words) VALUES (:id, array_to_tsvector(CAST(:words AS text[])))"  # noqa: S608 - our own names
            f" ON CONFLICT (rowid) DO UPDATE SET words = excluded.words WHERE {name}.words <> excluded.words"
        )
        conn.execute(statement, [{"id": row_id, "words": sorted(set(words))} for row_id, words in rows.items()])
        return len(rows)
    known = {row.rowid: row.words for row in _KNOWN[name].rows(conn, {"ids": list(rows)})}
    fresh = {row_id: " ".join(words) for row_id, words in rows.items()}
    changed = {row_id: words for row_id, words in fresh.items() if known.get(row_id) != words}
    remove(conn, name, [row_id for row_id in changed if row_id in known])
    _ADD[name].change_each(conn, [{"rowid": row_id, "words": words} for row_id, words in sorted(changed.items())])
    return len(changed)


def remove(conn: Connection, name: SearchTable, ids: Sequence[int]) -> None:
    """Nothing finds these any more."""
    _REMOVE[name].change_each(conn, [{"id": row_id} for row_id in ids])


def clear(conn: Connection, name: SearchTable) -> None:
    """Nothing at all is found."""
    conn.execute(delete(_FTS[name]))


def rows(name: SearchTable) -> Any:
    """The index as something to select from; its column is `rowid`."""
    return _FTS[name]


def matches(conn: Connection, name: SearchTable, query: Query) -> ColumnElement[bool]:
    """True for rows that hold all words of the query."""
    if is_postgres(conn):
        parts = [f"'{word}'" for word in query.words] + ([f"'{query.begins}':*"] if query.begins else [])
        found = text(f"{name}.words @@ CAST(:looked_for AS tsquery)")
        return found.bindparams(bindparam("looked_for", " & ".join(parts)))  # type: ignore[return-value]
    parts = [f'"{word}"' for word in query.words] + ([f'"{query.begins}" *'] if query.begins else [])
    return text(f"{name} MATCH :looked_for").bindparams(bindparam("looked_for", " AND ".join(parts)))  # type: ignore[return-value]


def compact(conn: Connection, name: SearchTable) -> bool:
    """One step towards an index without traces of what was removed; False when there is nothing left to do.

    PostgreSQL's vacuum does it by itself. FTS5 keeps removed words until the parts of its index are merged.
    """
    if is_postgres(conn):
        return False
    raw: Any = conn.connection.dbapi_connection
    conn.exec_driver_sql("PRAGMA secure_delete=ON").close()
    before = raw.total_changes
    conn.execute(text(f"INSERT INTO {name} ({name}, rank) VALUES ('merge', :pages)"), {"pages": -_MERGE_PAGES})  # noqa: S608
    is_busy = raw.total_changes - before >= 2  # as FTS5 documents it
    conn.exec_driver_sql("PRAGMA secure_delete=OFF").close()
    return bool(is_busy)
