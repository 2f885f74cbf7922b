"""What customers change in their record is written with an audit, and who wants to be forgotten is, in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from bot.service_types import RecordPreference, RequestErasure, SetAttribute
from bot.types import CustomerSnapshot, Effect, UpdateCustomer
from crm_sync import timers
from crm_sync.customers import customer_record
from crm_sync.record import ERASURE
from crm_sync.service_tables import audit
from crm_sync.service_tables import timers as timers_table
from crm_sync.store import SqlStore
from frontdesk.scheduler import erase_people
from tests.store_steps import START, SetClock, converse


async def _with(store: SqlStore, *effects: Effect) -> CustomerSnapshot:
    await converse(store, "hi", "ok", effects=effects)
    return (await converse(store, "look", "ok")).conversation.customer


async def _audited(store: SqlStore) -> list[tuple[str, str, list[str]]]:
    rows = await store.database.run(lambda conn: list(conn.execute(select(audit).order_by(audit.c.id))))
    return [(row.author, row.action, row.fields) for row in rows]


async def test_an_attribute_is_set_changed_and_removed_each_with_an_audit(store: SqlStore) -> None:
    for value, seen in (("1990-02-03", {"birthday": "1990-02-03"}), ("1991-02-03", {"birthday": "1991-02-03"})):
        assert (await _with(store, SetAttribute("birthday", value, "chat"))).attributes == seen
    assert (await _with(store, SetAttribute("birthday", None, "chat"))).attributes == {}
    await _with(store, SetAttribute("birthday", None, "chat"))
    assert await _audited(store) == [("customer", "correct", ["birthday"])] * 3


async def test_a_corrected_name_is_audited_as_such_without_what_it_was(store: SqlStore) -> None:
    await _with(store, UpdateCustomer(name="Ann"))
    await _with(store, UpdateCustomer(name="Anna", email="a@b.example"))
    assert await _audited(store) == [("customer", "tell", ["name"]), ("customer", "correct", ["email", "name"])]


async def test_a_preference_is_kept_once_and_ended(store: SqlStore) -> None:
    feathers = RecordPreference("allergy", "feathers", "chat")
    seen = await _with(store, feathers, feathers, RecordPreference("room", "quiet", "chat"))
    assert {item.value for item in seen.preferences} == {"feathers", "quiet"}
    seen = await _with(store, RecordPreference("allergy", "feathers", "chat", ended=True))
    assert [item.value for item in seen.preferences] == ["quiet"]


async def _due(store: SqlStore, days: float) -> list[Any]:
    now = START + timedelta(days=days)

    def unit(conn: Any) -> list[Any]:
        found = [timer for timer in timers.due(conn, now, 10) if timer.kind == ERASURE]
        erase_people(conn, found, type("Now", (), {"now": now})())  # type: ignore[arg-type]  # all it needs to know
        timers.done(conn, [timer.id for timer in found], now)
        return found

    return await store.database.run(unit)


async def test_who_wants_to_be_forgotten_is_after_the_time_to_change_their_mind(store: SqlStore) -> None:
    store = SqlStore(store.database, clock=SetClock())
    at = START + timedelta(days=7)
    seen = await _with(store, UpdateCustomer(name="Ann"), RequestErasure(at, "chat"))
    assert seen.attributes == {"erasure_at": at.isoformat()}
    assert await _due(store, 6.9) == []
    assert len(await _due(store, 7.1)) == 1
    record = await customer_record(store.database, seen.customer_id)
    assert (record["customer"]["name"], bool(record["customer"]["erased_at"])) == ("", True)
    assert record["attributes"] == []
    assert await _due(store, 9) == []


async def test_an_erasure_taken_back_does_not_happen_and_can_be_asked_for_again(store: SqlStore) -> None:
    store = SqlStore(store.database, clock=SetClock())
    seen = await _with(
        store,
        RequestErasure(START + timedelta(days=7), "chat"),
        RequestErasure(None, "chat"),
        UpdateCustomer(name="Ann"),
    )
    assert (seen.name, seen.attributes) == ("Ann", {})
    assert await _due(store, 30) == []
    await _with(store, RequestErasure(START + timedelta(days=8), "chat"))
    kept = await store.database.run(lambda conn: list(conn.execute(select(timers_table))))
    assert sum(row.at is not None for row in kept) == 1
