"""Appointments in the store: one place, one customer, whoever is fastest; reminders, moves, cancellations, ends."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select

from bot.errors import NotFound, RuleError
from bot.ports import TurnsCommit
from bot.service_types import BookAppointment, CancelAppointment, Notice
from bot.types import CustomerId, Need
from crm_sync.appointments import finish, on_day
from crm_sync.erasure import erase_customer
from crm_sync.service_tables import appointments, sites, surveys, timers
from crm_sync.store import SqlStore
from desk.appointments import finish as finish_and_ask
from frontdesk.scheduler import Scheduler
from frontdesk.signals import LocalSignals
from tests.builders import shop
from tests.store_steps import START, SetClock, converse, decided, said

NINE = datetime(2026, 11, 24, 1, 0, tzinfo=UTC)
REMINDER = Notice("utter_appointment_reminder", {"time": "@zh:11月24日周二 09:00|@en:Tue 24 Nov, 09:00"})


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    """A store whose clock the test moves, with one site."""
    store = await SqlStore.open(store_url, clock=clock)
    site = {"key": "s1", "names": {"zh": "保定路站"}, "updated_at": START}
    await store.database.run(lambda conn: conn.execute(insert(sites), site) and None)
    yield store
    await store.close()


def booking(starts_at: datetime = NINE, **fields: Any) -> BookAppointment:
    values = {"places": 1, "remind_at": starts_at - timedelta(hours=24), "reminder": REMINDER, **fields}
    return BookAppointment("s1", "check", starts_at, starts_at + timedelta(hours=1), **values)


async def booked(store: SqlStore) -> list[tuple[int, str, datetime, int]]:
    """Customer, state, start and place of every appointment."""
    rows = await store.database.run(lambda conn: conn.execute(select(appointments).order_by(appointments.c.id)).all())
    return [(row.customer_id, row.state, row.starts_at, row.place) for row in rows]


async def planned(store: SqlStore) -> list[tuple[str, str]]:
    """Kind, and template of a notice, of everything that is still to be done."""
    query = select(timers).where(timers.c.at.is_not(None)).order_by(timers.c.id)
    rows = await store.database.run(lambda conn: conn.execute(query).all())
    return [(row.kind, row.details.get("notice", {}).get("template", "")) for row in rows]


async def newest_id(store: SqlStore) -> int:
    query = select(appointments.c.id).order_by(appointments.c.id.desc())
    return await store.database.run(lambda conn: conn.execute(query).scalars().first()) or 0


async def test_a_booked_time_is_the_customers_and_is_no_longer_free(timed: SqlStore) -> None:
    claimed = await converse(timed, "book", "ok", effects=[booking()])
    assert await booked(timed) == [(claimed.conversation.customer.customer_id, "booked", NINE, 0)]
    need = Need("slots", "s1|check|2026-11-23|7")
    assert await timed.fetch([need], CustomerId(0)) == {need: (NINE,)}
    assert await planned(timed) == [("notice", "utter_appointment_reminder"), ("appointment_end", "")]


async def test_the_last_place_goes_to_one_of_two_who_ask_at_once_and_the_other_is_told(timed: SqlStore) -> None:
    users = ("ann", "bob")
    await timed.accept([said("book", user=user) for user in users])
    claimed = await timed.claim("worker", 10)
    commits: list[TurnsCommit] = [decided(item, "booked", effects=[booking()]) for item in claimed]
    answers = await asyncio.gather(*(timed.commit([commit]) for commit in commits))
    assert all(answer.ok for (answer,) in answers)
    assert [(state, place) for _, state, _, place in await booked(timed)] == [("booked", 0)]
    assert sorted(await planned(timed)) == [
        ("appointment_end", ""),
        ("notice", "utter_appointment_gone"),
        ("notice", "utter_appointment_reminder"),
    ]


async def test_as_many_as_there_are_places_are_booked_side_by_side(timed: SqlStore) -> None:
    for user in ("ann", "bob", "cai"):
        await converse(timed, "book", "ok", user=user, effects=[booking(places=2)])
    assert [(state, place) for _, state, _, place in await booked(timed)] == [("booked", 0), ("booked", 1)]


async def test_a_time_that_overlaps_a_booked_one_has_no_place_left(timed: SqlStore) -> None:
    await converse(timed, "book", "ok", effects=[booking()])
    await converse(timed, "book", "ok", user="bob", effects=[booking(NINE + timedelta(minutes=30))])
    await converse(timed, "book", "ok", user="cai", effects=[booking(NINE + timedelta(minutes=60))])
    assert [starts_at for _, _, starts_at, _ in await booked(timed)] == [NINE, NINE + timedelta(minutes=60)]


async def test_a_site_that_is_no_longer_there_books_nothing(timed: SqlStore) -> None:
    effect = BookAppointment("s9", "check", NINE, NINE + timedelta(hours=1), 1)
    await converse(timed, "book", "ok", effects=[effect])
    assert await booked(timed) == []
    assert await planned(timed) == [("notice", "utter_appointment_gone")]


async def test_moving_frees_the_earlier_time_and_its_reminder(timed: SqlStore) -> None:
    await converse(timed, "book", "ok", effects=[booking()])
    later = NINE + timedelta(days=1)
    await converse(timed, "move", "ok", effects=[booking(later, moves=await newest_id(timed))])
    assert [(state, starts_at) for _, state, starts_at, _ in await booked(timed)] == [
        ("moved", NINE),
        ("booked", later),
    ]
    assert await planned(timed) == [("notice", "utter_appointment_reminder"), ("appointment_end", "")]


async def test_moving_by_half_an_hour_is_not_kept_back_by_the_appointment_itself(timed: SqlStore) -> None:
    await converse(timed, "book", "ok", effects=[booking()])
    await converse(timed, "move", "ok", effects=[booking(NINE + timedelta(minutes=30), moves=await newest_id(timed))])
    await converse(timed, "move", "ok", effects=[booking(NINE + timedelta(minutes=30), moves=await newest_id(timed))])
    assert [state for _, state, _, _ in await booked(timed)] == ["moved", "moved", "booked"]


async def test_the_same_move_sent_twice_moves_once(timed: SqlStore) -> None:
    await converse(timed, "book", "ok", effects=[booking()])
    move = booking(NINE + timedelta(days=1), moves=await newest_id(timed))
    await converse(timed, "move", "ok", effects=[move])
    await converse(timed, "move", "ok", effects=[move])
    assert [state for _, state, _, _ in await booked(timed)] == ["moved", "booked"]


async def test_a_move_to_a_time_that_just_went_keeps_the_earlier_one(timed: SqlStore) -> None:
    await converse(timed, "book", "ok", effects=[booking()])
    mine = await newest_id(timed)
    later = NINE + timedelta(days=1)
    await converse(timed, "book", "ok", user="bob", effects=[booking(later)])
    await converse(timed, "move", "ok", effects=[booking(later, moves=mine)])
    assert [state for _, state, _, _ in await booked(timed)] == ["booked", "booked"]
    assert ("notice", "utter_appointment_kept_earlier") in await planned(timed)


async def test_cancelling_frees_the_place_and_ends_the_reminder_and_only_ones_own(timed: SqlStore) -> None:
    await converse(timed, "book", "ok", effects=[booking()])
    mine = await newest_id(timed)
    await converse(timed, "cancel", "ok", user="mallory", effects=[CancelAppointment(mine)])
    await converse(timed, "move", "ok", user="mallory", effects=[booking(NINE + timedelta(days=1), moves=mine)])
    assert [state for _, state, _, _ in await booked(timed)] == ["booked"]
    await converse(timed, "cancel", "ok", effects=[CancelAppointment(mine)])
    assert [state for _, state, _, _ in await booked(timed)] == ["cancelled"]
    assert await planned(timed) == []
    await converse(timed, "book", "ok", user="bob", effects=[booking()])
    assert [state for _, state, _, _ in await booked(timed)] == ["cancelled", "booked"]


async def test_the_reminder_comes_a_day_before_and_what_nobody_says_anything_about_is_done(
    timed: SqlStore, clock: SetClock
) -> None:
    await converse(timed, "book", "ok", effects=[booking()])
    desk = Scheduler(timed, LocalSignals(), clock, shop)
    await desk.settle()
    assert len(await planned(timed)) == 2
    clock.at = NINE - timedelta(hours=24)
    await desk.settle()
    assert await planned(timed) == [("appointment_end", "")]
    (reminded,) = await timed.claim("worker", 10)
    assert reminded.messages[0].message.content == REMINDER
    clock.at = NINE + timedelta(hours=25)
    await desk.settle()
    assert [state for _, state, _, _ in await booked(timed)] == ["done"]


async def test_staff_say_that_nobody_came_and_the_customer_is_told_once(timed: SqlStore, clock: SetClock) -> None:
    await converse(timed, "book", "ok", effects=[booking()])
    mine = await newest_id(timed)

    async def mark(state: Any, *, at: datetime) -> None:
        await timed.database.run(lambda conn: finish(conn, mine, state, "li-qiang", at))

    with pytest.raises(RuleError, match="has not begun"):
        await mark("missed", at=START)
    await mark("missed", at=NINE + timedelta(hours=2))
    await mark("missed", at=NINE + timedelta(hours=3))
    assert await planned(timed) == [("notice", "utter_appointment_missed")]
    with pytest.raises(RuleError, match="is missed; it cannot become done"):
        await mark("done", at=NINE + timedelta(hours=3))
    with pytest.raises(NotFound):
        await timed.database.run(lambda conn: finish(conn, 999, "done", "li-qiang", NINE))


async def asked_about(store: SqlStore) -> list[str]:
    """What customers were asked about, in order."""
    rows = await store.database.run(lambda conn: conn.execute(select(surveys).order_by(surveys.c.id)).all())
    return [f"{row.kind} {row.reference}" for row in rows]


async def test_who_came_is_asked_a_day_after_the_service_and_not_again_within_the_week(
    timed: SqlStore, clock: SetClock
) -> None:
    desk, policy = Scheduler(timed, LocalSignals(), clock, shop), shop().service
    ids = []
    for days in (0, 2):
        await converse(timed, "book", "ok", effects=[booking(NINE + timedelta(days=days))])
        ids.append(await newest_id(timed))
    for mine, days in zip(ids, (0, 2), strict=True):
        clock.at = NINE + timedelta(days=days, hours=2)
        for _ in range(2):
            came = partial(finish_and_ask, appointment_id=mine, state="done", by="li", policy=policy, now=clock.at)
            await timed.database.run(came)
        await desk.settle()
        assert await asked_about(timed) == ([] if days == 0 else [f"csat appointment:{ids[0]}"])
        clock.at = NINE + timedelta(days=days, hours=25)
        await desk.settle()
        assert await asked_about(timed) == [f"csat appointment:{ids[0]}"]
    (waiting,) = await timed.claim("worker", 10)
    told = [item.message.content for item in waiting.messages if isinstance(item.message.content, Notice)]
    begun = [notice for notice in told if notice.flow == "satisfaction"]
    assert [notice.slots for notice in begun] == [{"survey_reference": f"appointment:{ids[0]}"}]
    assert begun[0].template == "utter_survey_appointment"
    assert begun[0].args == {
        "service": "@zh:check|@en:check",  # the shop has no such service: better its name than nothing
        "site": "@zh:保定路站|@en:保定路站",
        "time": f"@time:{NINE.isoformat()}",
    }


async def test_an_appointment_taken_as_kept_is_asked_about_and_a_missed_one_is_not(
    timed: SqlStore, clock: SetClock
) -> None:
    for user in ("ann", "bob"):
        await converse(timed, "book", "ok", user=user, effects=[booking(places=2)])
    missed = await newest_id(timed)
    desk, policy = Scheduler(timed, LocalSignals(), clock, shop), shop().service
    clock.at = NINE + timedelta(hours=2)
    await timed.database.run(lambda conn: finish_and_ask(conn, missed, "missed", by="li", policy=policy, now=clock.at))
    clock.at = NINE + timedelta(hours=25)
    await desk.settle()
    assert await asked_about(timed) == [f"csat appointment:{missed - 1}"]


async def test_the_place_of_an_erased_customer_is_free_again_and_nobody_is_reminded(timed: SqlStore) -> None:
    claimed = await converse(timed, "book", "ok", effects=[booking()])
    await erase_customer(timed.database, claimed.conversation.customer.customer_id)
    assert await planned(timed) == []
    await converse(timed, "book", "ok", user="bob", effects=[booking()])
    assert [state for _, state, _, _ in await booked(timed)] == ["cancelled", "booked"]


async def test_the_list_of_a_day_has_what_takes_place_on_it_in_order(timed: SqlStore) -> None:
    later = NINE + timedelta(hours=3)
    for user, starts_at in (("ann", later), ("bob", NINE), ("cai", NINE + timedelta(days=1))):
        await converse(timed, "book", "ok", user=user, effects=[booking(starts_at)])
    await converse(timed, "cancel", "ok", user="ann", effects=[CancelAppointment(1)])
    await converse(timed, "book", "ok", user="ann", effects=[booking(later)])
    day = NINE.replace(hour=0)
    liking = booking(NINE + timedelta(days=2), details={"wishes": "请张师傅做"})
    await converse(timed, "book", "ok", effects=[liking])
    lines = await timed.database.run(lambda conn: on_day(conn, day + timedelta(days=2), day + timedelta(days=3)))
    assert [line.wishes for line in lines] == ["请张师傅做"]

    async def listed(site: str) -> list[datetime]:
        lines = await timed.database.run(lambda conn: on_day(conn, day, day + timedelta(days=1), site))
        return [line.starts_at for line in lines]

    assert await listed("s1") == await listed("") == [NINE, later]
    assert await listed("s9") == []
