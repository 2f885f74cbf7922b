"""One PostgreSQL database for many tests: what a test wrote is taken out again, and the rest is as it was copied.

To copy a database of a hundred tables and to drop it again costs many times what a test's own statements do. A
database that cannot be emptied exactly (its schema was changed, its rows were counted for the planner, a great deal was
written) is dropped, and the next test gets a new copy.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Coroutine, Iterator
from typing import Any, Final, TypeVar

import asyncpg

from tests import services

T = TypeVar("T")

USES: Final = 150  # indexes keep the pages they once had; a copy now and then keeps them as small as a test expects
MUCH: Final = 2_000_000  # bytes in tables; taking out more costs as much as a copy
PATIENCE_S: Final = 10.0
_FIRST_OWN: Final = 16_384  # object identifiers below are PostgreSQL's own

# Everything a statement that changes the schema, or ANALYZE, leaves a row of.
_CATALOGUES: Final = (
    ("pg_attribute", "attrelid"),
    ("pg_attrdef", "oid"),
    ("pg_constraint", "oid"),
    ("pg_index", "indexrelid"),
    ("pg_proc", "oid"),
    ("pg_statistic", "starelid"),
    ("pg_trigger", "oid"),
    ("pg_type", "oid"),
)
_SCHEMA: Final = " UNION ALL ".join(
    f"SELECT count(*) AS known, count(*) FILTER (WHERE age(xmin) < age('%(born)s'::xid)) AS fresh"
    f" FROM {catalogue} WHERE {key} >= {_FIRST_OWN}"
    for catalogue, key in _CATALOGUES
)
_CHANGED: Final = f"""
SELECT schema.*,
  (SELECT string_agg(version_num, ',') FROM alembic_version) AS revision,
  (SELECT sum(pg_relation_size(oid)) FROM unnest(%(tables)s::oid[]) AS oid) AS size,
  (SELECT string_agg(oid::regclass::text, ',') FROM unnest(%(tables)s::oid[]) AS oid WHERE pg_relation_size(oid) > 0)
    AS written
FROM (SELECT sum(known) AS known, sum(fresh) AS fresh FROM ({_SCHEMA}) AS catalogues) AS schema
"""
_END_OTHERS: Final = """
SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_RESTART_SEQUENCES: Final = """
SELECT setval(seqrelid, seqstart, false) FROM pg_sequence WHERE pg_sequence_last_value(seqrelid) IS NOT NULL
"""
# What the planner believes of a table that nobody has counted yet, and what vacuuming an empty one makes of it.
_KEEP_ESTIMATES: Final = f"""
CREATE TEMP TABLE born AS
SELECT oid, relpages, reltuples, relallvisible FROM pg_class WHERE oid >= {_FIRST_OWN} AND relkind IN ('r', 't', 'i')
"""
_RESTORE_ESTIMATES: Final = """
UPDATE pg_class SET relpages = born.relpages, reltuples = born.reltuples, relallvisible = born.relallvisible
FROM born WHERE pg_class.oid = born.oid AND (pg_class.relpages, pg_class.reltuples, pg_class.relallvisible)
  IS DISTINCT FROM (born.relpages, born.reltuples, born.relallvisible)
"""


class KeptDatabase:
    """Belongs to one process of the suite; one test at a time has it. Any thread may call."""

    def __init__(self, server_url: str, template: str) -> None:
        self._server_url, self._template = server_url, template
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="kept-database", daemon=True)
        self._thread.start()
        self._copy: _Copy | None = None

    def url(self) -> str:
        """Address of a database that is as the template is."""
        if self._copy is None:
            name = f"test_{secrets.token_hex(6)}"
            url = services.create_database(self._server_url, name, template=self._template)
            self._copy = _Copy(name, url)
            self._wait_for(self._copy.born())
        return self._copy.url

    def give_back(self) -> None:
        """What was written since `url` is gone and everybody who was connected is thrown out."""
        if self._copy is not None and not self._wait_for(self._copy.emptied()):
            self.drop()

    def drop(self) -> None:
        """The database is gone; the next test gets a new one."""
        if self._copy is not None:
            copy, self._copy = self._copy, None
            self._wait_for(copy.close())
            services.drop_database(self._server_url, copy.name)

    def close(self) -> None:
        """The database and the thread are gone."""
        self.drop()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait_for(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


@contextlib.contextmanager
def kept_database(server_url: str, template: str) -> Iterator[KeptDatabase]:
    """Copies of `template`, one after the other; none is left at the end."""
    kept = KeptDatabase(server_url, template)
    try:
        yield kept
    finally:
        kept.close()


class _Copy:
    """One copy of the template, with a connection of our own that stays open between tests."""

    def __init__(self, name: str, url: str) -> None:
        self.name, self.url = name, url
        self._uses = 0

    async def born(self) -> None:
        """What it is like while nobody has used it is known."""
        self._connection = await asyncpg.connect(self.url, timeout=PATIENCE_S)
        # Rows go in any order, whoever refers to them; pg_class is written to by hand.
        await self._connection.execute(
            "SET session_replication_role = replica; SET allow_system_table_mods = on;"
            f"SET lock_timeout = '{PATIENCE_S:.0f}s'; {_KEEP_ESTIMATES}"
        )
        tables = await self._connection.fetchval(
            "SELECT array_agg(oid) FROM pg_class"
            " WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace AND relname <> 'alembic_version'"
        )
        born = await self._connection.fetchval("SELECT pg_current_xact_id()::text")
        listed = f"'{{{','.join(map(str, tables))}}}'"
        self._changed = await self._connection.prepare(_CHANGED % {"born": born, "tables": listed})
        self._at_birth = await self._state()

    async def emptied(self) -> bool:
        """It is as it was born. False: drop it."""
        self._uses += 1
        try:
            async with asyncio.timeout(PATIENCE_S):
                # They may hold what we ask for next, and the server tells nobody when they are gone.
                while await self._connection.fetchval(_END_OTHERS):  # noqa: ASYNC110
                    await asyncio.sleep(0.001)
                state = await self._state()
                is_ours = all(state[key] == self._at_birth[key] for key in ("known", "fresh", "revision"))
                if self._uses >= USES or not is_ours or state["size"] > MUCH:
                    return False
                if state["written"]:
                    await self._take_out(state["written"].split(","))
                else:
                    await self._connection.execute(_RESTART_SEQUENCES)
                return True
        except (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, TimeoutError):
            return False  # a test has cut our connection off, or holds locks to the end

    async def _state(self) -> asyncpg.Record:
        state = await self._changed.fetchrow()
        assert state is not None
        return state

    async def _take_out(self, tables: list[str]) -> None:
        # TRUNCATE makes every file of a table anew, and of each table that refers to it. Vacuumed, a table has no page
        # left, so that the next rows lie in the order in which they come, as in a new one.
        await self._connection.execute("".join(f"DELETE FROM {name};" for name in tables) + _RESTART_SEQUENCES)
        await self._connection.execute(f"VACUUM (INDEX_CLEANUP ON) {','.join(tables)}")
        await self._connection.execute(_RESTORE_ESTIMATES)

    async def close(self) -> None:
        self._connection.terminate()
