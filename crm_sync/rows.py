"""Writing rows: ids handed out before the insert, and upserts, in the dialect at hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Table, bindparam, func, select, text
from sqlalchemy.dialects import postgresql, sqlite

from crm_sync.columns import is_postgres
from crm_sync.statements import Statement


@cache
def _next_ids(table: Table) -> Any:
    return text(f"SELECT nextval('{table.name}_id_seq') FROM generate_series(1, :count)")  # noqa: S608 - our own names


@cache
def _highest_id(table: Table) -> Statement:
    return Statement(select(func.coalesce(func.max(table.c.id), 0).label("highest")))


def new_ids(conn: Connection, table: Table, count: int) -> Sequence[int]:
    """`count` ids nobody else gets, ascending.

    Knowing them before the insert lets rows that point at each other be written with one statement per table.
    On SQLite the transaction already holds the only write lock.
    """
    if count == 0:
        return ()
    if is_postgres(conn):
        return sorted(conn.execute(_next_ids(table), {"count": count}).scalars())
    highest = int(_highest_id(table).rows(conn, {})[0].highest)
    return range(highest + 1, highest + count + 1)


def upsert(conn: Connection, table: Table, row: Mapping[str, Any], *, key: Sequence[str]) -> None:
    """The row is there with these values; one with the same `key` columns is overwritten."""
    upsert_many(conn, table, [row], key=key)


def upsert_many(
    conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]], *, key: Sequence[str], added: Sequence[str] = ()
) -> None:
    """All rows are there; of one with the same `key` columns the `added` columns are summed, the others overwritten."""
    if rows:
        _upsert(table, tuple(rows[0]), tuple(key), tuple(added), is_postgres(conn)).change_each(conn, rows)


@cache
def _upsert(
    table: Table, names: tuple[str, ...], key: tuple[str, ...], added: tuple[str, ...], on_postgres: bool
) -> Statement:
    build = postgresql.insert if on_postgres else sqlite.insert
    statement = build(table).values({name: bindparam(name, type_=table.c[name].type) for name in names})
    changed = {
        name: table.c[name] + statement.excluded[name] if name in added else statement.excluded[name]
        for name in names
        if name not in key
    }
    return Statement(statement.on_conflict_do_update(index_elements=list(key), set_=changed))


def insert_if_absent(conn: Connection, table: Table, row: Mapping[str, Any], *, key: Sequence[str]) -> bool:
    """A row with these `key` columns is there; one that was is left alone, and the answer is False."""
    return _unless_there(table, tuple(row), tuple(key), is_postgres(conn)).change(conn, row) > 0


@cache
def _unless_there(table: Table, names: tuple[str, ...], key: tuple[str, ...], on_postgres: bool) -> Statement:
    build = postgresql.insert if on_postgres else sqlite.insert
    statement = build(table).values({name: bindparam(name, type_=table.c[name].type) for name in names})
    return Statement(statement.on_conflict_do_nothing(index_elements=list(key)))
