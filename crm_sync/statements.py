"""Statements of the hot path, compiled once.

SQLAlchemy's work per execution costs two to four times what SQLite itself needs for a small statement, so on SQLite a
`Statement` hands the compiled text straight to the driver, with the column types' own conversions. On PostgreSQL the
round trip outweighs all that, and SQLAlchemy runs it as usual.
"""

from __future__ import annotations

import sqlite3
from collections import namedtuple
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cache
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import Connection, Dialect, Executable, Insert, Select, Table, Update, bindparam, insert
from sqlalchemy.sql.dml import UpdateBase

from crm_sync.columns import is_postgres

Convert = Callable[[Any], Any]


class Statement:
    """A select, or a change with or without RETURNING, whose parameters are given by name."""

    def __init__(self, statement: Select[Any] | UpdateBase, *, column_keys: Sequence[str] | None = None) -> None:
        self._statement: Executable = statement
        self._source, self._column_keys = statement, column_keys
        self._compiled: _Compiled | None = None

    def rows(self, conn: Connection, parameters: Mapping[str, Any]) -> Sequence[Any]:
        """All rows, with a named attribute for each column."""
        if is_postgres(conn):
            return conn.execute(self._statement, parameters).all()
        compiled = self._for(conn)
        return compiled.read(_raw(conn).execute(compiled.text, compiled.bind(parameters)).fetchall())

    def change(self, conn: Connection, parameters: Mapping[str, Any]) -> int:
        """Carried out; how many rows it changed."""
        if is_postgres(conn):
            return conn.execute(self._statement, parameters).rowcount
        compiled = self._for(conn)
        return _raw(conn).execute(compiled.text, compiled.bind(parameters)).rowcount

    def change_each(self, conn: Connection, parameters: Sequence[Mapping[str, Any]]) -> None:
        """Carried out once for each set of parameters; nothing happens for none."""
        if not parameters:
            return
        if is_postgres(conn):
            conn.execute(self._statement, parameters)
            return
        compiled = self._for(conn)
        if len(parameters) == 1:
            _raw(conn).execute(compiled.text, compiled.bind(parameters[0]))
        else:
            _raw(conn).executemany(compiled.text, compiled.bind_each(parameters))

    def _for(self, conn: Connection) -> _Compiled:
        if self._compiled is None:
            self._compiled = _Compiled(self._source, self._column_keys, conn.dialect)
        return self._compiled


class Together:
    """Changes of different tables, none of which needs another one done before: one round trip on PostgreSQL.

    No parameter has the name of another one or of a column: SQLAlchemy would take it for a value of that column.
    """

    def __init__(self, *changes: Insert | Update) -> None:
        self._each = tuple(map(Statement, changes))
        *others, last = changes
        parts = [each.cte(f"part{place}") for place, each in enumerate(others)]
        self._all = Statement(last.add_cte(*parts) if parts else last)

    def change(self, conn: Connection, parameters: Mapping[str, Any]) -> None:
        """All are carried out."""
        for statement in (self._all,) if is_postgres(conn) else self._each:
            statement.change(conn, parameters)


class _Compiled:
    """The SQLite text of a statement, and how values travel in and out."""

    def __init__(
        self, statement: Select[Any] | UpdateBase, column_keys: Sequence[str] | None, dialect: Dialect
    ) -> None:
        compiled: Any = statement.compile(dialect=dialect, column_keys=column_keys)
        self.text: Final[str] = compiled.string
        fixed: Mapping[str, Any] = compiled.params
        self._binds: list[tuple[str, Any]] = [(name, fixed.get(name)) for name in compiled.positiontup]
        self._has_fixed = any(not compiled.binds[name].required for name, _ in self._binds)
        self._bind_converts: list[tuple[int, Convert]] = [
            (place, convert)
            for place, name in enumerate(compiled.positiontup)
            if (convert := compiled.binds[name].type.dialect_impl(dialect).bind_processor(dialect)) is not None
        ]
        columns = list(statement.exported_columns)
        # Positional: two columns of one name would make an ambiguous row, so they must be labelled.
        self._make = _row_maker([column.name for column in columns])
        self._converts: list[tuple[int, Convert]] = [
            (place, convert)
            for place, column in enumerate(columns)
            if (convert := column.type.dialect_impl(dialect).result_processor(dialect, None)) is not None
        ]

    def bind(self, parameters: Mapping[str, Any]) -> list[Any]:
        """The parameters in the order of the text's question marks."""
        values = [parameters.get(name, fixed) for name, fixed in self._binds]
        for place, convert in self._bind_converts:
            values[place] = convert(values[place])
        return values

    def bind_each(self, parameters: Sequence[Mapping[str, Any]]) -> Iterable[Sequence[Any]]:
        """As `bind` does for each. Raises: KeyError where one lacks a parameter."""
        if self._has_fixed or len(self._binds) == 1:
            return [self.bind(each) for each in parameters]
        values = itemgetter(*(name for name, _ in self._binds))
        return _converted([values(each) for each in parameters], self._bind_converts)

    def read(self, raw_rows: Sequence[tuple[Any, ...]]) -> Sequence[Any]:
        """Rows with the values the column types stand for."""
        return list(map(self._make, _converted(raw_rows, self._converts)))


def _converted(rows: Sequence[tuple[Any, ...]], converts: Sequence[tuple[int, Convert]]) -> Iterable[tuple[Any, ...]]:
    """The rows with the values at these places converted, column by column: many rows have the same moment in them."""
    if not rows or not converts:
        return rows
    columns: list[Sequence[Any]] = list(zip(*rows, strict=True))
    for place, convert in converts:
        columns[place] = _each(convert, columns[place])
    return zip(*columns, strict=True)


def _each(convert: Convert, values: Sequence[Any]) -> list[Any]:
    """Each value converted, those that are the very same one after the other only once."""
    before, became, converted = values[0], convert(values[0]), []
    for value in values:
        if value is not before:
            before, became = value, convert(value)
        converted.append(became)
    return converted


def _row_maker(names: Sequence[str]) -> Convert:
    row: Any = namedtuple("row", names)  # type: ignore[misc]  # its fields are known once the statement is compiled
    make: Convert = row._make
    return make


def prefixed(prefix: str, values: Mapping[str, Any]) -> dict[str, Any]:
    """The values by names that begin so."""
    return {f"{prefix}{name}": value for name, value in values.items()}


def insert_rows(conn: Connection, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """The rows, which all have the same columns, are inserted."""
    if rows:
        _insert(table, tuple(rows[0])).change_each(conn, rows)


def insert_of(table: Table, names: Sequence[str], prefix: str) -> Insert:
    """Inserts a row with these columns, from parameters that are called like them after the prefix."""
    row = {name: bindparam(f"{prefix}{name}", type_=table.c[name].type) for name in names}
    return insert(table).values(row).inline()


@cache
def _insert(table: Table, names: tuple[str, ...]) -> Statement:
    return Statement(insert(table), column_keys=names)


def _raw(conn: Connection) -> sqlite3.Connection:
    return conn.connection.dbapi_connection  # type: ignore[return-value]  # asked only on SQLite
