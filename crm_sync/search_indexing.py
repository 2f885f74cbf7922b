"""Keeping the search index up with the store, in small steps of its own: nothing that answers a customer waits for it.

What a step works on is found by ids, so nothing tells it what to do. On PostgreSQL ids can become visible out of their
order: until they have settled, what is new is looked for among all of the last minute.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import Any, Final

from sqlalchemy import Connection, bindparam, delete, func, select

from bot.ports import Clock
from bot.search_words import words_of
from crm_sync import search_tables
from crm_sync.columns import dump_json, id_in, is_postgres, load_json
from crm_sync.database import Database
from crm_sync.deployment import get_cursor, set_cursor
from crm_sync.search_tables import TABLES
from crm_sync.searching import people_words
from crm_sync.service_tables import audit
from crm_sync.statements import Statement
from crm_sync.tables import conversations, cursors, customers, identities, messages

STEP: Final = 100  # messages, or people, in one transaction: a few milliseconds
SETTLES: Final = timedelta(seconds=60)  # longer than any transaction that writes messages lasts
_CURSOR, _PURGE = "search", "search_purge"

_settled_by = bindparam("settled", type_=audit.c.at.type)
_FRESH_PEOPLE = Statement(
    select(customers.c.id)
    .where(customers.c.id > bindparam("after"), customers.c.created_at <= _settled_by)
    .order_by(customers.c.id)
    .limit(STEP)
)
_FRESH_LINES = Statement(
    select(audit.c.id, audit.c.customer_id)
    .where(audit.c.id > bindparam("after"), audit.c.at <= _settled_by)
    .order_by(audit.c.id)
    .limit(STEP)
)
_PEOPLE = Statement(
    select(customers.c.id, customers.c.name, customers.c.phone, customers.c.email, customers.c.erased_at).where(
        id_in(customers.c.id, "ids")
    )
)
_NAMED = Statement(
    select(identities.c.customer_id, identities.c.display_name, identities.c.external_id)
    .where(id_in(identities.c.customer_id, "ids"))
    .order_by(identities.c.id)
)
_index = search_tables.rows("message_search")
_FRESH = Statement(select(messages.c.id).where(messages.c.id > bindparam("after")).order_by(messages.c.id).limit(STEP))
_FRESH_UNSEEN = Statement(
    select(messages.c.id)
    .where(
        messages.c.id > bindparam("after"),
        ~select(_index.c.rowid).where(_index.c.rowid == messages.c.id).exists(),
    )
    .order_by(messages.c.id)
    .limit(STEP)
)
# Locked against an erasure, which waits and then removes what is written here, or has been and left no words.
_SAID = Statement(
    select(messages.c.id, messages.c.author, messages.c.text, messages.c.replaces, messages.c.conversation_id)
    .where(id_in(messages.c.id, "ids"))
    .with_for_update(read=True)
)
_OWNERS = Statement(select(conversations.c.customer_id).where(id_in(conversations.c.id, "ids")).distinct())


@dataclass(frozen=True, slots=True)
class _Done:
    """Up to which ids everything is in the index."""

    messages: int = 0
    customers: int = 0
    audit: int = 0


class SearchIndexer:
    """One of possibly several; two that work at once do the same twice."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def catch_up(self) -> int:
        """Everything said and everybody known is found; how many rows were looked at."""
        count = 0
        while done := await self.step():
            count += done
            if done < STEP:  # all of it; what came meanwhile is for the next time
                break
        return count

    async def step(self) -> int:
        """The next few are found; 0 when there was nothing to do."""
        now = self._clock.now()
        if not await self._database.run(partial(_is_behind, now=now), read=True):
            return 0
        return await self._database.run(partial(_step, now=now), durable=False)

    async def purge(self) -> None:
        """Nothing is left in the index's files of people who were erased."""
        if not await self._database.run(lambda conn: get_cursor(conn, _PURGE), read=True):
            return
        for name in TABLES:
            while await self._database.run(lambda conn, name=name: search_tables.compact(conn, name)):  # type: ignore[misc]
                pass
        now = self._clock.now()
        await self._database.run(lambda conn: set_cursor(conn, _PURGE, "", now))


def index_people(conn: Connection, ids: Collection[int]) -> None:
    """These people are found by what their record and identities say now."""
    if not ids:
        return
    asked = {"ids": sorted(ids)}
    known = {row.id: row for row in _PEOPLE.rows(conn, asked)}
    named: dict[int, list[Any]] = {}
    for row in _NAMED.rows(conn, asked):
        named.setdefault(row.customer_id, []).append(row)
    gone = [row_id for row_id, row in known.items() if row.erased_at is not None]
    search_tables.remove(conn, "people_search", gone)
    rows = {
        row_id: people_words(
            [row.name, *(one.display_name for one in named.get(row_id, ()))],
            row.phone,
            [row.email, *(one.external_id for one in named.get(row_id, ()))],
        )
        for row_id, row in known.items()
        if row.erased_at is None
    }
    search_tables.put(conn, "people_search", rows)


def forget(conn: Connection, customer_id: int, now: datetime) -> None:
    """Nothing of an erased person is found; the index is cleared of traces at the next tidying."""
    theirs = select(messages.c.id).join(conversations).where(conversations.c.customer_id == customer_id)
    search_tables.remove(conn, "message_search", conn.execute(theirs).scalars().all())
    search_tables.remove(conn, "people_search", [customer_id])
    set_cursor(conn, _PURGE, "due", now)


def start_anew(conn: Connection) -> None:
    """Nothing is indexed: the next steps take in everything there is."""
    for name in search_tables.TABLES:
        search_tables.clear(conn, name)
    conn.execute(delete(cursors).where(cursors.c.name == _CURSOR))


# --- one step -----------------------------------------------------------------------------------------------------


def _read(conn: Connection) -> _Done:
    written = get_cursor(conn, _CURSOR)
    return _Done(**load_json(written)) if written else _Done()


def _new_messages(conn: Connection, done: _Done) -> list[int]:
    fresh = _FRESH_UNSEEN if is_postgres(conn) else _FRESH
    return [row.id for row in fresh.rows(conn, {"after": done.messages})]


def _settled(conn: Connection, now: datetime) -> datetime:
    """What was written before this moment can be seen in the order of its ids."""
    return now - SETTLES if is_postgres(conn) else now


def _new_people(conn: Connection, done: _Done, now: datetime) -> tuple[list[int], list[Any]]:
    """New customers, and lines of the audit that say a record was changed."""
    settled = _settled(conn, now)
    return (
        [row.id for row in _FRESH_PEOPLE.rows(conn, {"after": done.customers, "settled": settled})],
        list(_FRESH_LINES.rows(conn, {"after": done.audit, "settled": settled})),
    )


def _is_behind(conn: Connection, now: datetime) -> bool:
    done = _read(conn)
    return bool(_new_messages(conn, done)) or any(_new_people(conn, done, now))


def _step(conn: Connection, now: datetime) -> int:
    done = _read(conn)
    ids = _new_messages(conn, done)
    people = set(_index_messages(conn, ids))
    fresh, lines = _new_people(conn, done, now)
    people |= {*fresh, *(line.customer_id for line in lines if line.customer_id is not None)}
    index_people(conn, people)
    after = replace(
        done,
        messages=_messages_done(conn, done, ids, now),
        customers=fresh[-1] if fresh else done.customers,
        audit=lines[-1].id if lines else done.audit,
    )
    if after != done:
        set_cursor(conn, _CURSOR, dump_json(asdict(after)), now)
    return len(ids) + len(fresh) + len(lines)


def _messages_done(conn: Connection, done: _Done, ids: Sequence[int], now: datetime) -> int:
    if not ids or not is_postgres(conn):
        return ids[-1] if ids else done.messages
    # All of it is in the index up to the last one: what is older than a minute stays so.
    up_to = messages.c.id <= ids[-1]
    old = select(func.max(messages.c.id)).where(
        messages.c.id > done.messages, up_to, messages.c.at <= _settled(conn, now)
    )
    return conn.execute(old).scalar() or done.messages


def _index_messages(conn: Connection, ids: Sequence[int]) -> list[int]:
    """The messages are found by what they say now, those they edit too; whose conversations they are in."""
    if not ids:
        return []
    rows = list(_SAID.rows(conn, {"ids": ids}))
    edited = sorted({row.replaces for row in rows if row.replaces is not None} - set(ids))
    rows += _SAID.rows(conn, {"ids": edited}) if edited else []
    # An edit is found as what it changed; its own row is only noted as seen.
    found = {row.id: _words_in(row) if row.replaces is None else () for row in rows}
    if not is_postgres(conn):  # there the cursor alone says what was seen
        empty = [row_id for row_id, words in found.items() if not words]
        search_tables.remove(conn, "message_search", [row_id for row_id in empty if row_id in edited])
        found = {row_id: words for row_id, words in found.items() if words}
    search_tables.put(conn, "message_search", found)
    return [row.customer_id for row in _OWNERS.rows(conn, {"ids": sorted({row.conversation_id for row in rows})})]


def _words_in(row: Any) -> Sequence[str]:
    # Half of what is said is the bot's, in the same words again and again; a customer's are not kept here.
    return _own_words(row.text) if row.author == "bot" else words_of(row.text)


_own_words: Final = lru_cache(maxsize=256)(words_of)
