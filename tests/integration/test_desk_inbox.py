"""The inbox shows each of the staff what they may see, in the order that matters, by index, with a place that holds."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, text, update

from bot.errors import InputError, NotFound, NotPermitted
from bot.service.handoff import HandoffRules
from crm_sync.columns import is_postgres
from crm_sync.conversation_lists import InboxFilter, Sight, page, queue_page
from crm_sync.queue_views import queue_view
from crm_sync.seen import mark_seen
from crm_sync.service_tables import customer_tags, customer_values
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, handoffs, outbox
from desk.actors import Actor
from desk.inbox import LISTS, MOST_COUNTED, InboxDesk, line_for
from tests.staff_steps import AUDITOR, LEAD, LI, WU, change, many, staff, wrote
from tests.store_steps import START


async def _ids(desk: InboxDesk, actor: Actor, which: InboxFilter | str, **more: Any) -> list[int]:
    return [row.id for row in (await desk.page(actor, which, **more)).items]


async def _everything(desk: InboxDesk, actor: Actor, which: InboxFilter | str, limit: int) -> list[int]:
    found, cursor = [], ""
    while True:
        shown = await desk.page(actor, which, cursor=cursor, limit=limit)
        found += [row.id for row in shown.items]
        cursor = shown.next
        if not cursor:
            return found


async def test_each_list_holds_what_it_says_in_its_order(store: SqlStore) -> None:
    desk = InboxDesk(store.database)
    calm = await wrote(store, user="calm", owner="queue", waiting_since=START, priority=1)
    urgent = await wrote(store, user="urgent", owner="queue", waiting_since=START + timedelta(minutes=5), priority=30)
    early = await wrote(store, user="early", owner="queue", waiting_since=START - timedelta(minutes=5), priority=1)
    mine = await wrote(store, user="m", owner="operator", operator="li", unanswered_since=START)
    sleeping = await wrote(store, user="s", status="snoozed", snoozed_until=START, operator="li")
    closed = await wrote(store, user="c", status="closed", closed_at=START)
    assert await _ids(desk, LI, "queue") == [urgent, early, calm]
    assert await _ids(desk, LI, "mine") == [mine]
    assert await _ids(desk, LI, "unanswered") == [mine]
    assert await _ids(desk, LI, "snoozed") == [sleeping]
    assert await _ids(desk, LI, "closed") == [closed]
    assert await _ids(desk, LI, "all") == [mine, early, urgent, calm]
    counts = await desk.counts(LI, ("mine", "queue", "all", "unanswered", "snoozed", "closed"))
    assert counts == {"mine": 1, "queue": 3, "all": 4, "unanswered": 1, "snoozed": 1, "closed": 1}


@pytest.mark.sql_per_case
@pytest.mark.parametrize("which", ["all", "queue", "unanswered", "snoozed", "closed"])
async def test_pages_together_are_the_list_once(store: SqlStore, which: str) -> None:
    desk = InboxDesk(store.database)
    states: dict[str, dict[str, Any]] = {
        "all": {},
        "queue": {"owner": "queue", "priority": lambda n: n % 3, "waiting_since": START},
        "unanswered": {"unanswered_since": START},
        "snoozed": {"status": "snoozed", "snoozed_until": START},
        "closed": {"status": "closed", "closed_at": START},
    }
    ids = await store.database.run(
        lambda conn: many(conn, 23, team=lambda n: ("", "care", "shop")[n % 3], **states[which])
    )
    seen = await _everything(desk, LEAD, which, 5)
    assert sorted(seen) == ids
    assert sorted(await _everything(desk, LI, which, 4)) == [n for n in ids if n % 3 != 2]
    assert await _everything(desk, LEAD, which, 200) == seen


async def test_the_queue_is_in_the_order_in_which_customers_are_told_their_places(store: SqlStore) -> None:
    rules = HandoffRules(ageing=timedelta(minutes=2))
    desk, chance = InboxDesk(store.database, lambda: rules), random.Random(7)
    ids = await store.database.run(
        lambda conn: many(
            conn,
            12,
            owner="queue",
            priority=lambda n: chance.choice((0, 5, 60)),
            waiting_since=lambda n: START + timedelta(minutes=chance.randrange(120)),
        )
    )

    def places(conn: Connection) -> list[int]:
        return [queue_view(conn, f"{n}|0|{rules.ageing.total_seconds()}|", START).ahead for n in ids]

    told = await store.database.run(places, read=True)
    shown = await _everything(desk, LEAD, "queue", 5)
    assert shown == [n for _, n in sorted(zip(told, ids, strict=True))]
    ranks = [row.rank for row in (await desk.page(LEAD, "queue")).items if row.rank is not None]
    assert ranks == sorted(ranks)


async def test_a_row_that_moves_up_is_not_shown_twice_and_hides_nobody(store: SqlStore) -> None:
    desk = InboxDesk(store.database)
    await store.database.run(lambda conn: many(conn, 9))
    first = await desk.page(LEAD, "all", limit=3)
    await change(store, 9, last_message_at=START + timedelta(hours=1))
    await change(store, 4, last_message_at=START + timedelta(hours=2))
    second = await desk.page(LEAD, "all", cursor=first.next, limit=3)
    assert [row.id for row in first.items] == [9, 8, 7]
    assert [row.id for row in second.items] == [6, 5, 3]


async def test_another_teams_conversation_is_not_there(store: SqlStore) -> None:
    desk = InboxDesk(store.database)
    theirs = await wrote(store, user="x", team="shop", owner="queue", waiting_since=START)
    nobodys = await wrote(store, user="y")
    once_mine = await wrote(store, user="z", team="shop", last_operator="li")
    assert sorted(await _ids(desk, LI, "all")) == [nobodys, once_mine]
    assert await _ids(desk, LI, "queue") == []
    assert await desk.counts(LI, ("queue", "all")) == {"queue": 0, "all": 2}
    assert (await desk.row(WU, theirs)).id == theirs
    with pytest.raises(NotFound):
        await desk.row(LI, theirs)
    with pytest.raises(NotFound):
        await desk.row(LI, 999)
    with pytest.raises(NotPermitted):
        await desk.page(AUDITOR, "all")


async def test_a_row_says_who_waits_why_and_what_is_wrong(store: SqlStore) -> None:
    desk = InboxDesk(store.database)
    await staff(store, LI)
    where = await wrote(
        store, "  still\u202e not\n\n fixed  " + "x" * 500, owner="queue", waiting_since=START, language="en"
    )

    def troubles(conn: Connection) -> None:
        row = {"conversation_id": where, "urgency": 2, "fence": 0, "requested_at": START}
        conn.execute(insert(handoffs).values(**row, reason="complaint", topic="repair"))
        message = {"conversation_id": where, "message_id": 1, "lane": 1, "channel": "telegram", "account": "default"}
        conn.execute(insert(outbox).values(**message, chat_id="ann", state="uncertain", fence=0, created_at=START))
        customer = {"customer_id": 1, "value_class": "A", "computed_at": START}
        conn.execute(insert(customer_values).values(**customer))

    await store.database.run(troubles)
    row = await desk.row(LI, where)
    assert (row.reason, row.topic, row.owner, row.language) == ("complaint", "repair", "queue", "en")
    assert row.last_words.startswith("still not fixed xxx")
    assert len(row.last_words) == 120
    assert (row.last_author, row.last_kind, row.is_unread) == ("customer", "text", True)
    assert (row.has_trouble, row.is_vip, row.value_class) == (True, True, "A")


async def test_filters_narrow_a_list_and_its_count(store: SqlStore) -> None:
    desk = InboxDesk(store.database)
    await store.database.run(
        lambda conn: many(conn, 6, team=lambda n: "care" if n % 2 else "", language=lambda n: "zh")
    )
    await store.database.run(
        lambda conn: conn.execute(insert(customer_tags).values(customer_id=4, tag="vip", at=START))
    )
    await wrote(store, user="web1", channel="web")
    assert await _ids(desk, LEAD, InboxFilter("all", team="care")) == [5, 3, 1]
    assert await _ids(desk, LEAD, InboxFilter("all", is_vip=True)) == [4]
    assert await _ids(desk, LEAD, InboxFilter("all", channel="web")) == [7]
    assert await desk.counts(LEAD, ("all",), within=InboxFilter(language="zh")) == {"all": 6}


async def test_counting_ends_at_a_thousand(store: SqlStore) -> None:
    desk = InboxDesk(store.database)
    await store.database.run(lambda conn: many(conn, MOST_COUNTED + 5))
    assert await desk.counts(LEAD, ("all",)) == {"all": MOST_COUNTED}
    assert await desk.counts(LI, ("all",)) == {"all": MOST_COUNTED}


async def test_an_unknown_list_and_a_foreign_cursor_are_refused(store: SqlStore) -> None:
    desk = InboxDesk(store.database)
    await store.database.run(lambda conn: many(conn, 3))
    cursor = (await desk.page(LEAD, "all", limit=1)).next
    for wrong in ({"which": "everything"}, {"which": "closed", "cursor": cursor}, {"which": "all", "cursor": "zz"}):
        with pytest.raises(InputError):
            await desk.page(LEAD, **wrong)  # type: ignore[arg-type]


@pytest.mark.sql_per_case
@pytest.mark.parametrize(
    ("which", "index"),
    [
        ("mine", "ix_conversations_operator"),
        ("all", "ix_conversations_recent"),
        ("unanswered", "ix_conversations_unanswered"),
        ("snoozed", "ix_conversations_snoozed"),
        ("closed", "ix_conversations_closed"),
        ("queue", "ix_conversations_queue"),
    ],
)
async def test_lists_walk_an_index(store: SqlStore, which: str, index: str) -> None:
    plan = await _plan(store, Sight("li"), which)
    assert index in plan, plan
    assert "Seq Scan" not in plan
    assert "SCAN conversations\n" not in plan


async def test_who_sees_some_teams_walks_one_index_for_each_way_of_seeing(store: SqlStore) -> None:
    plan = await _plan(store, Sight("li", frozenset({"care"})), "all")
    for index in ("recent", "team", "operator", "before"):
        assert f"ix_conversations_{index}" in plan, plan
    closed = await _plan(store, Sight("li", frozenset({"care"})), "closed")
    assert "ix_conversations_closed_team" in closed, closed
    assert "ix_conversations_closed_before" in closed, closed


async def _plan(store: SqlStore, sight: Sight, which: str) -> str:
    """How the database goes about the second page of a long list."""
    of_somebody = {"team": lambda n: f"team{n % 7}", "last_operator": lambda n: f"p{n % 40}"}
    states = (
        {},
        {"owner": "queue", "priority": lambda n: n % 3, "waiting_since": START},
        {"unanswered_since": START},
        {"status": "snoozed", "snoozed_until": START},
        {"status": "closed", "closed_at": START, **of_somebody},
        {"owner": "operator", "operator": "li", "team": "care"},
        {"owner": "operator", "operator": "wu", "team": "care", "last_operator": "li"},
        {"team": "shop"},
    )

    def unit(conn: Connection) -> str:
        for state in states:
            many(conn, 400, **state)
        conn.execute(text("ANALYZE"))
        if is_postgres(conn):
            conn.execute(text("SET LOCAL enable_seqscan = off"))  # so few rows are read faster without an index
        statement = (
            queue_page(conn, sight, InboxFilter(list=which), (START, 5), limit=50, ageing=timedelta(minutes=1))
            if which == "queue"
            else page(sight, InboxFilter(list=which), (START + timedelta(days=1), 5), 50)
        )
        explain = "EXPLAIN " if is_postgres(conn) else "EXPLAIN QUERY PLAN "
        compiled = statement.compile(dialect=conn.dialect, compile_kwargs={"literal_binds": True})
        return "\n".join(" ".join(map(str, row)) for row in conn.exec_driver_sql(explain + str(compiled))) + "\n"

    return await store.database.run(unit)


async def test_a_line_read_for_all_is_in_the_lists_in_which_the_store_has_it(store: SqlStore) -> None:
    """What is decided on lines that were read once agrees with what the statements find, for every list and filter."""
    desk, chance = InboxDesk(store.database), random.Random(5)
    ids = await store.database.run(lambda conn: _of_any_kind(conn, 60, chance))
    await store.database.run(
        lambda conn: conn.execute(
            insert(customer_tags), [{"customer_id": n, "tag": "vip", "at": START} for n in ids[::7]]
        )
    )
    filters = [
        InboxFilter(name, **more)
        for name in LISTS
        for more in ({}, {"team": "care"}, {"operator": "li"}, {"owner": "bot"}, {"language": "zh"}, {"is_vip": True})
    ]
    filters += [InboxFilter("queue", min_priority=2), InboxFilter(channel="web"), InboxFilter(account="main")]
    lines = await desk.shared(ids)
    for actor in (LI, WU, LEAD):
        for which in filters:
            seen = [n for n in ids if line_for(actor, which, lines[n]) is not None]
            assert seen == sorted(await _ids(desk, actor, which, limit=100)), (actor.name, which)


async def test_counts_of_many_are_those_of_each(store: SqlStore) -> None:
    desk, chance = InboxDesk(store.database), random.Random(6)
    await store.database.run(lambda conn: _of_any_kind(conn, 80, chance))
    everybody = [LI, WU, LEAD, Actor("zhao", "operator", frozenset({"care", "shop"}))]
    counts = await desk.shared_counts([*everybody, AUDITOR])
    assert counts == {actor.name: await desk.counts(actor) for actor in everybody}


async def test_a_line_read_for_all_is_unread_for_who_has_not_read_it(store: SqlStore) -> None:
    desk = InboxDesk(store.database)
    await staff(store, LI, WU)
    talk = await wrote(store, "hello")
    await store.database.run(lambda conn: mark_seen(conn, "li", talk, 1, START))
    line = (await desk.shared([talk, talk + 1]))[talk]
    unread = [line_for(actor, InboxFilter(), line) for actor in (LI, WU)]
    assert [row.is_unread for row in unread if row is not None] == [False, True]


def _of_any_kind(conn: Connection, count: int, chance: random.Random) -> list[int]:
    """Conversations in every state there is, and in some there hardly are; nobody holds a closed one."""

    def one_of(*values: Any) -> Any:
        return lambda n: chance.choice(values)

    row = {
        "status": one_of("open", "open", "snoozed", "closed"),
        "owner": one_of("bot", "queue", "operator"),
        "operator": one_of("", "", "li", "wu"),
        "last_operator": one_of("", "li", "wu", "zhao"),
        "team": one_of("", "care", "shop", "quality"),
        "language": one_of(None, "zh", "en"),
        "priority": one_of(0, 1, 2, 3),
    }
    times = ("waiting_since", "unanswered_since", "snoozed_until", "closed_at")
    ids = many(conn, count, **row, **{name: one_of(None, START) for name in times})
    conn.execute(update(conversations).where(conversations.c.status == "closed").values(operator=""))
    return ids
