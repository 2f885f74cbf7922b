"""The place and the wait that customers are told, from the queue as it is in the store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection

from bot.types import CustomerId, Need, Owner, QueueView, RequestHandoff
from crm_sync.handoffs import COLUMNS, Move, move
from crm_sync.store import SqlStore
from crm_sync.tables import conversations
from tests.store_steps import SetClock, converse

MINUTE_A_POINT = 60


@pytest.fixture
async def timed(store_url: str) -> AsyncIterator[tuple[SqlStore, SetClock]]:
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock)
    yield store, clock
    await store.close()


async def waits(store: SqlStore, user: str, *, priority: int = 10, team: str = "care") -> int:
    asked = RequestHandoff("customer_asked", team=team, priority=priority)
    claimed = await converse(store, "a person", user=user, channel="telegram", effects=[asked])
    return claimed.conversation.id


async def seen_by(store: SqlStore, conversation_id: int, *, priority: int = 10, team: str = "care") -> QueueView:
    need = Need("queue", f"{conversation_id}|{priority}|{MINUTE_A_POINT}|{team}")
    view = (await store.fetch([need], CustomerId(1)))[need]
    assert isinstance(view, QueueView)
    return view


async def take(store: SqlStore, conversation_id: int, clock: SetClock) -> None:
    def unit(conn: Connection) -> None:
        row = conn.execute(conversations.select().where(conversations.c.id == conversation_id)).one()
        assert set(COLUMNS) <= set(conversations.c)
        move(conn, [Move(row, "taken", Owner.OPERATOR, by="li", operator="li", until=clock.at)], clock.at)

    await store.database.run(unit)


async def test_the_place_counts_points_and_minutes_together_within_the_team(
    timed: tuple[SqlStore, SetClock],
) -> None:
    store, clock = timed
    first = await waits(store, "first")
    await waits(store, "elsewhere", team="workshop")
    clock.advance(minutes=20)
    urgent = await waits(store, "urgent", priority=29)
    pressing = await waits(store, "pressing", priority=31)
    last = await waits(store, "last")
    places = [(await seen_by(store, chat)).ahead for chat in (pressing, first, urgent, last)]
    assert places == [0, 1, 2, 3]


async def test_whoever_is_about_to_wait_sees_where_they_would_be(timed: tuple[SqlStore, SetClock]) -> None:
    store, clock = timed
    for user in ("ann", "bob"):
        await waits(store, user)
    clock.advance(minutes=5)
    new = (await converse(store, "hi", user="new", channel="telegram")).conversation.id
    assert (await seen_by(store, new)).ahead == 2
    assert (await seen_by(store, new, priority=16)).ahead == 0
    assert (await seen_by(store, new, team="workshop")).ahead == 0


async def test_the_wait_is_the_middle_one_of_recent_ones_less_what_was_waited_already(
    timed: tuple[SqlStore, SetClock],
) -> None:
    store, clock = timed
    for minutes in (2, 4, 30):
        chat = await waits(store, f"user{minutes}")
        assert (await seen_by(store, chat)).wait is None
        clock.advance(minutes=minutes)
        await take(store, chat, clock)
    new = await waits(store, "new")
    assert (await seen_by(store, new)).wait == timedelta(minutes=4)
    clock.advance(minutes=3)
    assert (await seen_by(store, new)).wait == timedelta(minutes=1)
    clock.advance(minutes=2)
    assert (await seen_by(store, new)).wait is None, "nothing is known of somebody who waits longer than usual"
    clock.advance(hours=13)
    later = await waits(store, "later")
    assert (await seen_by(store, later)).wait is None
