"""The staff's inbox over many open conversations: pages of lists, counts, opening a long history, search, sending."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from time import perf_counter
from typing import Any

from sqlalchemy import Connection, Table, insert, text

from bench.figures import median, percentile
from bench.sections import TEXTS, Plan, Section
from bot.types import Capabilities, OutPart, RenderedReply
from crm_sync.columns import is_postgres
from crm_sync.console_tables import conversation_notes
from crm_sync.search_indexing import SearchIndexer
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, customers, identities, messages, staff_users
from desk.actors import Actor
from desk.conversations import ConversationDesk
from desk.inbox import InboxDesk
from desk.outside import Outside
from desk.replies import ReplyDesk
from desk.search import SearchDesk
from frontdesk.clock import SystemClock
from frontdesk.signals import LocalSignals
from tests.services import ServiceMissing, create_database, postgres_server

OPEN = 100_000
LONG = 5_000  # messages of the one conversation that is opened
TEAMS = 20
WITHIN_MS = 300.0  # opening a conversation, as it was promised
PAGE_MS = 100.0
ABOUT = (
    f"{OPEN:,} open conversations of as many people in {TEAMS} teams, one in ten with an operator, one in twenty in "
    f"the queue, one of them with {LONG:,} messages. A page is 50 rows with all they show, from a place anywhere in "
    "the list; opening gives the newest 100 messages with deliveries, notes, window and the person's other "
    "conversations. One after the other through the services that screens and the API call, 99th percentile."
)
ALL, ONE_TEAM = Actor("lead", "supervisor"), Actor("op1", "operator", frozenset({"team7"}))


class OnePart:
    """Every answer is one message."""

    def encode(self, channel: str, reply: RenderedReply) -> tuple[OutPart, ...]:
        return (OutPart(reply.text),)

    def is_direct(self, channel: str) -> bool:
        return channel == "web"


def run(plan: Plan) -> Section:
    section = Section("inbox", f"The inbox with {OPEN:,} open conversations", ABOUT)
    count = OPEN // 10 if plan.quick else OPEN
    asyncio.run(measure(section, plan, f"sqlite:///{plan.work / 'inbox.db'}", count))
    try:
        with postgres_server() as server:
            asyncio.run(measure(section, plan, create_database(server, "bench_inbox"), count))
    except ServiceMissing as missing:
        section.add("PostgreSQL", None, "ms", note=str(missing))
    return section


async def measure(section: Section, plan: Plan, url: str, count: int) -> None:
    store = await SqlStore.open(url, audit_keys=(b"of the benchmark",))
    name = "SQLite" if store.database.dialect == "sqlite" else "PostgreSQL"
    plan.say(f"inbox: {count:,} conversations are made on {name}")
    for start in range(1, count + 1, 5_000):
        await store.database.run(partial(fill, start, min(start + 5_000, count + 1), count))
    await store.database.run(partial(fill_long, count))
    await store.database.run(settle)
    plan.say(f"inbox: the search index of {name} is made")
    began = perf_counter()
    indexed = await SearchIndexer(store.database, SystemClock()).catch_up()
    section.add(f"{name}: rows indexed for search", indexed / (perf_counter() - began), "/s")
    plan.say(f"inbox: measuring {name}")
    chance = random.Random(7)
    for what, (act, limit) in acts(store, count, chance).items():
        for _ in range(5):
            await act()
        spent = []
        for _ in range(40 if plan.quick else 200):
            began = perf_counter()
            await act()
            spent.append((perf_counter() - began) * 1000)
        section.add(
            f"{name}: {what}: p99", percentile(spent, 0.99), "ms", limit=limit, note=f"median {median(spent):.1f} ms"
        )
    await store.close()


def acts(
    store: SqlStore, count: int, chance: random.Random
) -> Mapping[str, tuple[Callable[[], Awaitable[object]], float]]:
    """What is measured, by what the table calls it, and what it is held against."""
    clock = SystemClock()
    can = Capabilities("telegram", 4000, "utf16", 8, True, True, False, False)
    outside = Outside(clock, LocalSignals(), OnePart(), channels={"telegram": can})
    inbox, talks = InboxDesk(store.database), ConversationDesk(store.database, outside)
    search, replies = SearchDesk(store.database), ReplyDesk(store.database, outside)
    cursors: dict[tuple[str, str], list[str]] = {}
    sends = iter(range(10**9))

    def page(actor: Actor, which: str) -> Callable[[], Awaitable[object]]:
        async def look() -> object:
            known = cursors.setdefault((actor.name, which), [""])
            found = await inbox.page(actor, which, cursor=chance.choice(known))
            if found.next and len(known) < 50:
                known.append(found.next)
            return found

        return look

    async def answer() -> object:
        who = 10 * chance.randint(1, count // 10)  # every tenth is an operator's
        return await replies.send(Actor("op3", "supervisor"), who, "I look into it", client_id=f"c{next(sends)}")

    return {
        "page of all": (page(ALL, "all"), PAGE_MS),
        "page of all, one team": (page(ONE_TEAM, "all"), PAGE_MS),
        "page of the queue": (page(ALL, "queue"), PAGE_MS),
        "page of one's own": (page(Actor("op3", "operator"), "mine"), PAGE_MS),
        "page of unanswered": (page(ALL, "unanswered"), PAGE_MS),
        "counts of five lists": (lambda: inbox.counts(ALL), PAGE_MS),
        "counts, one team": (lambda: inbox.counts(ONE_TEAM), PAGE_MS),
        "one row": (lambda: inbox.row(ALL, chance.randint(1, count)), PAGE_MS),
        f"opening {LONG:,} messages": (lambda: talks.open(ALL, 1), WITHIN_MS),
        "search: two Chinese characters": (lambda: search.search(ALL, "订单"), WITHIN_MS),
        "search: English words": (lambda: search.search(ALL, "kettle leaks"), WITHIN_MS),
        "search: a name": (lambda: search.search(ALL, f"person {chance.randint(1, count)}"), WITHIN_MS),
        "search: nothing found": (lambda: search.search(ALL, "nirgends"), WITHIN_MS),
        "an answer": (answer, PAGE_MS),
    }


def fill(start: int, end: int, count: int, conn: Connection) -> None:
    now = datetime.now(UTC)
    place = {"channel": "telegram", "account": "bench"}
    numbers = range(start, end)
    put(conn, customers, ({"id": n, "name": f"Person {n}", "created_at": now} for n in numbers))
    put(
        conn,
        identities,
        (
            {"id": n, "key": f"i{n}", "customer_id": n, "external_id": f"u{n}", "created_at": now, **place}
            for n in numbers
        ),
    )
    put(conn, conversations, (one(n, now - timedelta(seconds=count - n), place) for n in numbers))
    said = {"direction": "in", "author": "customer", "kind": "text"}
    put(
        conn,
        messages,
        ({"id": n, "conversation_id": n, "text": TEXTS[n % len(TEXTS)], "at": now, **said} for n in numbers),
    )


def one(n: int, at: datetime, place: Mapping[str, str]) -> dict[str, Any]:
    owner = "operator" if n % 10 == 0 else "queue" if n % 20 == 1 else "bot"
    waits = owner != "bot"
    return {
        "id": n,
        "key": f"c{n}",
        "identity_id": n,
        "customer_id": n,
        "chat_id": f"u{n}",
        "owner": owner,
        "operator": "op3" if owner == "operator" else "",
        "team": f"team{n // 10 % TEAMS}" if waits else "",
        "priority": n % 4 if waits else 0,
        "waiting_since": at if owner == "queue" else None,
        "unanswered_since": at if waits else None,
        "last_inbound_at": at,
        "last_message_at": at,
        "created_at": at,
        **place,
    }


def fill_long(count: int, conn: Connection) -> None:
    """The first conversation has a history, and a note now and then."""
    now = datetime.now(UTC)
    rows = [
        {
            "id": count + n,
            "conversation_id": 1,
            "direction": "in" if n % 2 else "out",
            "author": "customer" if n % 2 else "operator",
            "kind": "text",
            "text": TEXTS[n % len(TEXTS)],
            "by": "" if n % 2 else "op3",
            "at": now - timedelta(seconds=LONG - n),
        }
        for n in range(1, LONG + 1)
    ]
    put(conn, messages, rows)
    notes = [{"conversation_id": 1, "by": "op3", "text": "look at this", "at": row["at"]} for row in rows[::50]]
    put(conn, conversation_notes, notes)
    account = {"name": "op3", "role": "operator", "password_hash": "-", "created_at": now}
    put(conn, staff_users, [{**account, "password_changed_at": now}])


def put(conn: Connection, table: Table, rows: Iterable[Mapping[str, Any]]) -> None:
    conn.execute(insert(table), [dict(row) for row in rows])


def settle(conn: Connection) -> None:
    """Statistics as they would be after a while, and ids above those given here."""
    if is_postgres(conn):
        for table in ("customers", "identities", "conversations", "messages"):
            conn.execute(text(f"SELECT setval('{table}_id_seq', (SELECT max(id) FROM {table}))"))
    conn.execute(text("ANALYZE"))
