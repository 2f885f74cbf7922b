"""Statements handed straight to SQLite say what SQLAlchemy would have said."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Column, Connection, Integer, MetaData, Table, bindparam, create_engine, insert, select, update

from crm_sync.columns import Document, UtcDateTime, Words
from crm_sync.statements import Statement, insert_rows

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
TABLE = Table(
    "things",
    MetaData(),
    Column("id", Integer, primary_key=True),
    Column("words", Words),
    Column("at", UtcDateTime),
    Column("known", Document),
)
ROWS = [
    {"id": 1, "words": "a\x00b", "at": NOW, "known": {"a": 1}},
    {"id": 2, "words": None, "at": NOW, "known": None},
    {"id": 3, "words": None, "at": NOW + timedelta(seconds=1), "known": {"a": 1}},
    {"id": 4, "words": "c", "at": None, "known": []},
]
_ALL = select(TABLE).order_by(TABLE.c.id)


@pytest.fixture
def conn() -> Iterator[Connection]:
    engine = create_engine("sqlite://")
    with engine.connect() as connection:
        TABLE.create(connection)
        yield connection
    engine.dispose()


def stored(conn: Connection) -> list[tuple[object, ...]]:
    return [tuple(row) for row in conn.execute(_ALL)]


@pytest.mark.parametrize("count", [1, 2, 4])
def test_rows_written_together_are_those_sqlalchemy_writes(conn: Connection, count: int) -> None:
    insert_rows(conn, TABLE, ROWS[:count])
    ours = stored(conn)
    conn.execute(TABLE.delete())
    conn.execute(insert(TABLE), ROWS[:count])
    assert ours == stored(conn) == [tuple(row.values()) for row in ROWS[:count]]


def test_rows_read_are_those_sqlalchemy_reads(conn: Connection) -> None:
    insert_rows(conn, TABLE, ROWS)
    found = Statement(_ALL).rows(conn, {})
    assert [tuple(row) for row in found] == stored(conn)
    assert [row.words for row in found] == ["a\x00b", None, None, "c"]


def test_a_value_written_out_holds_for_each_set_of_parameters(conn: Connection) -> None:
    insert_rows(conn, TABLE, ROWS)
    emptied = update(TABLE).where(TABLE.c.id == bindparam("b_id")).values(at=None, words="gone")
    Statement(emptied).change_each(conn, [{"b_id": 1}, {"b_id": 2}])
    assert [row[1:3] for row in stored(conn)] == [("gone", None)] * 2 + [(row["words"], row["at"]) for row in ROWS[2:]]


def test_no_row_of_several_is_written_when_one_cannot_be(conn: Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        insert_rows(conn, TABLE, [ROWS[0], ROWS[0]])
    conn.rollback()
    with pytest.raises(ValueError, match="without a zone"):
        insert_rows(conn, TABLE, [ROWS[0], {**ROWS[1], "at": datetime(2026, 1, 1)}])  # noqa: DTZ001 - that is the point
    assert stored(conn) == []
