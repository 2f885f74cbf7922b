"""All rows from one store to another, as they are stored: between SQLite and PostgreSQL, in one transaction."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from sqlalchemy import URL, Column, Connection, MetaData, Table, Text, func, insert, literal, select, text

from bot.errors import RestoreRefused, StoreIncompatible
from crm_sync import schema
from crm_sync.columns import Document, Words, is_postgres
from crm_sync.database import parse_url
from crm_sync.schema import SchemaState
from crm_sync.search_indexing import start_anew
from crm_sync.tables import metadata

_ROWS: Final = 1_000  # copied at a time
_IN_USE: Final = ("customers", "conversations", "staff_users", "cases", "articles")  # a store without these is new


async def copy_out(source: URL, file: Path) -> None:
    """`file` is an SQLite store with the rows of this PostgreSQL one, all of the same moment.

    Raises: StoreUnavailable, StoreIncompatible (older or newer than this code).
    """
    from crm_sync.database_postgres import alone

    await schema.upgrade(f"sqlite:///{file}")
    async with alone(source) as plain:
        connection = await plain.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
        if await connection.run_sync(schema.state_of) is not SchemaState.CURRENT:
            raise StoreIncompatible("store", "its schema is older than this code; frontdesk db upgrade brings it up")
        await connection.run_sync(_into_file, file)


def _into_file(source: Connection, file: Path) -> None:
    from crm_sync.database_sqlite import alone

    with alone(parse_url(f"sqlite:///{file}"), write=True) as target:
        _copy_rows(source, target)


async def copy_in(source: URL, target: URL, replace: bool) -> None:
    """The PostgreSQL store `target` holds the rows of this SQLite one, or what it held before.

    Raises: RestoreRefused (it is in use and nobody said `replace`), StoreUnavailable.
    """
    from crm_sync.database_postgres import alone

    async with alone(target) as connection:
        await connection.execute(text("SET LOCAL lock_timeout = '30s'"))
        await connection.run_sync(_from_file, source, replace)
        await connection.commit()


def _from_file(target: Connection, source: URL, replace: bool) -> None:
    from crm_sync.database_sqlite import alone

    names = ", ".join(table.name for table in metadata.sorted_tables)
    target.execute(text(f"LOCK TABLE {names} IN ACCESS EXCLUSIVE MODE"))
    refuse_if_used(target, replace)
    with alone(source, write=False) as connection:
        _copy_rows(connection, target)


def _copy_rows(source: Connection, target: Connection) -> None:
    """The target's tables hold the source's rows and nothing else; its search index is made anew from the first row."""
    _empty(target)
    for table in metadata.sorted_tables:
        plain = _as_stored(table)
        # Rows that name others of their own table name earlier ones.
        found = source.execution_options(yield_per=_ROWS).execute(select(plain).order_by(*plain.primary_key.columns))
        for rows in found.mappings().partitions():
            target.execute(insert(plain), [dict(row) for row in rows])
    start_anew(target)
    if is_postgres(target):
        _count_on(target)


def _empty(target: Connection) -> None:
    if is_postgres(target):
        target.execute(text(f"TRUNCATE {', '.join(table.name for table in metadata.sorted_tables)}"))
        return
    for table in reversed(metadata.sorted_tables):
        target.execute(table.delete())


def _as_stored(table: Table) -> Table:
    """The same table, its documents and texts from outside as the text that lies in the store."""
    columns: list[Column[Any]] = [
        Column(
            column.name,
            Text() if isinstance(column.type, Document | Words) else column.type,
            primary_key=column.primary_key,
            autoincrement=False,
        )
        for column in table.columns
    ]
    return Table(table.name, MetaData(), *columns)


def _count_on(target: Connection) -> None:
    """New rows get numbers after the highest that was copied."""
    for table in metadata.sorted_tables:
        if "id" not in table.primary_key.columns or len(table.primary_key.columns) > 1:
            continue
        sequence = target.execute(select(func.pg_get_serial_sequence(table.name, "id"))).scalar()
        highest = target.execute(select(func.max(table.c.id))).scalar() if sequence else None
        if highest is not None:
            target.execute(select(func.setval(sequence, highest)))


def refuse_if_used(target: Connection, replace: bool) -> None:
    """Raises: RestoreRefused when the store holds anything people made and nobody said `replace`."""
    if replace:
        return
    for table in metadata.sorted_tables:
        if table.name in _IN_USE and target.execute(select(literal(1)).select_from(table).limit(1)).first():
            raise RestoreRefused(f"the store holds {table.name.replace('_', ' ')}; --replace gives up what it holds")
