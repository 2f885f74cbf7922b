"""What people are asked to do: one open task per kind, a clock that warns, an outcome, and nobody doing it twice."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, select

from bot.errors import NotFound, StaleState
from bot.service.calendars import always
from bot.service.promises import start
from bot.types import CreateTask
from crm_sync.service_tables import clocks
from crm_sync.store import SqlStore
from crm_sync.tables import timeline
from crm_sync.tasks import OpenTask, end_task, open_tasks
from tests.store_steps import START, converse


def a_call(summary: str = "as soon as possible", *, hours: float = 1) -> CreateTask:
    clock = start("callback", timedelta(hours=hours), always(), START)
    assert clock is not None
    return CreateTask(
        "callback", summary, START + timedelta(hours=hours), {"phone": "+8613800000001"}, "care", clocks=(clock,)
    )


async def listed(store: SqlStore, **which: Any) -> list[OpenTask]:
    return await store.database.run(lambda conn: open_tasks(conn, START, **which))


async def running(store: SqlStore) -> list[tuple[str, str]]:
    def unit(conn: Connection) -> list[tuple[str, str]]:
        rows = conn.execute(select(clocks.c.kind, clocks.c.state).order_by(clocks.c.id))
        return [(row.kind, row.state) for row in rows]

    return await store.database.run(unit)


async def test_a_call_has_a_clock_and_asking_again_moves_the_one_task(store: SqlStore) -> None:
    await converse(store, "call me", "we will", effects=[a_call()])
    await converse(store, "no, later", "fine", effects=[a_call("this evening", hours=5)])
    (task,) = await listed(store)
    assert (task.summary, task.assignee, task.due_at) == ("this evening", "care", START + timedelta(hours=5))
    assert await running(store) == [("callback", "stopped"), ("callback", "running")]


async def test_a_task_that_is_done_has_its_promise_kept_and_tells_how_it_went(store: SqlStore) -> None:
    await converse(store, "call me", "we will", effects=[a_call()])
    (task,) = await listed(store)
    await store.database.run(
        lambda conn: end_task(conn, task.id, outcome="reached", note="all well", by="ann", now=START)
    )
    assert await listed(store) == []
    assert await running(store) == [("callback", "met")]

    def told(conn: Connection) -> list[str]:
        return list(conn.execute(select(timeline.c.kind).order_by(timeline.c.id)).scalars())

    assert (await store.database.run(told))[-1] == "task_done"


async def test_a_task_is_ended_once_and_an_unknown_one_is_said_so(store: SqlStore) -> None:
    await converse(store, "call me", "we will", effects=[a_call()])
    (task,) = await listed(store)

    def end(conn: Connection) -> None:
        end_task(conn, task.id, outcome="reached", note="", by="ann", now=START)

    await store.database.run(end)
    with pytest.raises(StaleState, match="ann"):
        await store.database.run(end)
    with pytest.raises(NotFound):
        await store.database.run(lambda conn: end_task(conn, 99, outcome="", note="", by="ann", now=START))


async def test_tasks_are_listed_by_when_they_are_due_and_for_whom(store: SqlStore) -> None:
    await converse(store, "call me", "we will", user="late", effects=[a_call(hours=5)])
    await converse(store, "call me", "we will", user="soon", effects=[a_call(hours=1)])
    await converse(store, "look", "fine", user="some", effects=[CreateTask("look", "have a look", assignee="ann")])
    assert [task.due_at for task in await listed(store)] == [
        START + timedelta(hours=1),
        START + timedelta(hours=5),
        None,
    ]
    assert [task.kind for task in await listed(store, assignee="ann")] == ["look"]
    assert len(await listed(store, kind="callback")) == 2
    assert len(await listed(store, limit=1)) == 1
