"""Staff book, move and cancel appointments: the same places as the bot's, and the customer is told."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select

from bot.errors import CustomerNotFound, NotFound, NotPermitted, RuleError
from bot.service.policy import read_policy
from crm_sync.service_tables import appointments, sites, timers
from crm_sync.store import SqlStore
from desk.audit import AuditDesk
from desk.booking import Booking, BookingDesk
from tests.staff_steps import AUDITOR, LI
from tests.store_steps import AUDIT_KEYS, START, SetClock, converse

POLICY = read_policy(
    {
        "calendars": {"default": {"timezone": "Asia/Shanghai", "week": {"mon-sun": ["00:00-24:00"]}}},
        "appointments": {
            "services": {"check": {"title": {"zh": "检查", "en": "Check"}, "kinds": ["workshop"], "lead_hours": 1}}
        },
    }
)


@pytest.fixture
async def timed(store_url: str) -> AsyncIterator[SqlStore]:
    store = await SqlStore.open(store_url, clock=SetClock(), audit_keys=AUDIT_KEYS)
    rows = [
        {"key": key, "names": {"zh": "保定路站", "en": "Baoding Road"}, "kind": kind, "updated_at": START}
        for key, kind in (("s1", "workshop"), ("s2", "station"))
    ]
    await store.database.run(lambda conn: conn.execute(insert(sites), rows) and None)
    yield store
    await store.close()


@pytest.fixture
def desk(timed: SqlStore) -> BookingDesk:
    return BookingDesk(timed.database, lambda: POLICY, SetClock())


async def _states(store: SqlStore) -> list[tuple[str, datetime]]:
    rows = await store.database.run(lambda conn: conn.execute(select(appointments).order_by(appointments.c.id)).all())
    return [(row.state, row.starts_at) for row in rows]


async def _told(store: SqlStore) -> list[str]:
    """What customers are told now or will be, in the order it was written down."""
    query = select(timers).where(timers.c.at.is_not(None), timers.c.kind == "notice").order_by(timers.c.id)
    rows = await store.database.run(lambda conn: conn.execute(query).all())
    return [row.details["notice"]["template"] for row in rows]


async def _customer(store: SqlStore, user: str) -> int:
    return int((await converse(store, "hi", "ok", user=user)).conversation.customer.customer_id)


async def test_a_free_time_is_booked_moved_and_cancelled_and_each_is_told(timed: SqlStore, desk: BookingDesk) -> None:
    ann = await _customer(timed, "ann")
    first, second, *_ = [slot.starts_at for slot in await desk.free(LI, "s1", "check", limit=30)][-2:]
    made = await desk.book(LI, Booking(ann, "check", "s1", first))
    assert first not in [slot.starts_at for slot in await desk.free(LI, "s1", "check", limit=60)]
    moved = await desk.book(LI, Booking(ann, "check", "s1", second, moves=made))
    assert await _states(timed) == [("moved", first), ("booked", second)]
    await desk.cancel(LI, moved)
    assert await _states(timed) == [("moved", first), ("cancelled", second)]
    told = [template for template in await _told(timed) if template != "utter_appointment_reminder"]
    assert told == ["utter_appointment_booked", "utter_appointment_moved", "utter_appointment_cancelled"]
    with pytest.raises(RuleError, match="cancelled already"):
        await desk.cancel(LI, moved)
    lines = (await AuditDesk(timed.database).lines(AUDITOR)).items
    assert [line.action for line in lines] == ["appointment.cancel", "appointment.move", "appointment.book"]


async def test_what_is_not_free_or_not_theirs_is_refused_and_nothing_is_written(
    timed: SqlStore, desk: BookingDesk
) -> None:
    ann, bob = await _customer(timed, "ann"), await _customer(timed, "bob")
    at = (await desk.free(LI, "s1", "check"))[0].starts_at
    made = await desk.book(LI, Booking(ann, "check", "s1", at))
    refused: tuple[tuple[Booking, type[Exception]], ...] = (
        (Booking(bob, "check", "s1", at), RuleError),
        (Booking(bob, "check", "s1", at + timedelta(minutes=7)), RuleError),
        (Booking(bob, "check", "s2", at + timedelta(hours=1)), RuleError),  # which does not offer it
        (Booking(bob, "check", "s1", at + timedelta(hours=1), moves=made), NotFound),
        (Booking(bob, "check", "s9", at), NotFound),
        (Booking(bob, "wash", "s1", at), NotFound),
        (Booking(999, "check", "s1", at + timedelta(hours=1)), CustomerNotFound),
    )
    for booking, error in refused:
        with pytest.raises(error):
            await desk.book(LI, booking)
    with pytest.raises(NotPermitted):
        await desk.book(AUDITOR, Booking(ann, "check", "s1", at))
    assert await _states(timed) == [("booked", at)]
