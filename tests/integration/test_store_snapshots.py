"""What a turn knows of a customer: every part of the record there is, bounded, and nothing of anybody else's."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, insert, update

from bot.service_types import Appointment, Asset, Due, OpenSurvey, Preference, Visit
from bot.types import Case, CustomerSnapshot, OpenCase
from crm_sync.customers import customer_record
from crm_sync.service_tables import (
    appointments,
    assets,
    clocks,
    customer_attributes,
    customer_tags,
    customer_values,
    dues,
    points,
    preferences,
    sites,
    subscriptions,
    surveys,
    visits,
)
from crm_sync.snapshot_parts import NEWEST
from crm_sync.store import SqlStore
from crm_sync.tables import cases, customers
from tests.store_steps import START, SetClock, converse, said, take_turn

DAY = timedelta(days=1)
NAMES = {"zh": "保定路站", "en": "Baoding Road"}


def _add(conn: Connection, table: Any, **values: Any) -> int:
    key = conn.execute(insert(table).values(**values)).inserted_primary_key
    return int(key[0]) if key else 0


async def _seen(store: SqlStore, user: str = "ann") -> CustomerSnapshot:
    await store.accept([said("look", user=user)])
    return (await take_turn(store)).conversation.customer


async def _known(store: SqlStore) -> tuple[SqlStore, CustomerSnapshot]:
    """A store whose clock stands, and a customer who has said one thing and has a complaint."""
    store = SqlStore(store.database, clock=SetClock())
    complaint = OpenCase("C-1024-7", "complaint", "delivery", "2391", 2, "late", {})
    claimed = await converse(store, "hi", "ok", effects=[complaint])
    return store, claimed.conversation.customer


async def test_every_part_of_the_record_is_in_the_snapshot_and_in_what_staff_read(store: SqlStore) -> None:
    store, before = await _known(store)
    me = before.customer_id

    def fill(conn: Connection) -> tuple[int, int, int]:
        site = _add(conn, sites, key="s-1", names=NAMES, updated_at=START)
        car = _add(
            conn,
            assets,
            customer_id=me,
            kind="vehicle",
            key="AB1",
            name="Lark",
            attributes={"doors": 5},
            since=START - 400 * DAY,
            updated_at=START,
        )
        _add(
            conn, visits, customer_id=me, site_id=site, asset_id=car, kind="service", at=START - DAY,
            amount_minor=32000, currency="CNY", items="brakes",
        )  # fmt: skip
        booked = _add(
            conn, appointments, site_id=site, customer_id=me, service="service", starts_at=START + DAY,
            ends_at=START + DAY + timedelta(hours=1), place=0, state="booked", created_at=START, updated_at=START,
        )  # fmt: skip
        due = {"kind": "bill", "amount_minor": 8050, "currency": "CNY", "updated_at": START, "customer_id": me}
        _add(conn, dues, key="b-2", due_on="2026-12-01", asset_id=car, **due)
        _add(conn, dues, key="b-1", due_on="2026-11-01", paid_on="2026-10-30", **due)
        _add(conn, preferences, customer_id=me, topic="allergy", value="feathers", at=START)
        _add(conn, preferences, customer_id=me, topic="room", value="quiet", at=START, ended_at=START)
        conversation = conn.execute(cases.select()).one().conversation_id
        case = conn.execute(cases.select()).one().id
        _add(conn, surveys, customer_id=me, case_id=case, kind="csat", reference="case:C-1024-7", asked_at=START)
        _add(
            conn, subscriptions, customer_id=me, conversation_id=conversation, topic="price", match="Shanghai",
            source="chat", at=START,
        )  # fmt: skip
        _add(conn, customer_attributes, customer_id=me, name="birthday", value="1990-02-03", updated_at=START)
        _add(conn, customer_tags, customer_id=me, tag="vip", at=START)
        _add(conn, points, customer_id=me, change=50, reason="idea", reference="r1", at=START)
        _add(conn, points, customer_id=me, change=-20, reason="used", reference="r2", at=START)
        _add(conn, customer_values, customer_id=me, value_class="A", lifecycle="stable", computed_at=START)
        conn.execute(update(customers).where(customers.c.id == me).values(credit_class="B"))
        conn.execute(update(cases).values(quality_type="brakes", wish="repair", team="workshop", owner="li"))
        for kind, hours in (("solution", 30), ("update", 4)):
            _add(
                conn, clocks, case_id=case, kind=kind, state="running", calendar="default", budget_s=60,
                due_at=START + timedelta(hours=hours), started_at=START,
            )  # fmt: skip
        return car, booked, case

    car, booked, _ = await store.database.run(fill)
    seen = await _seen(store)
    assert seen.assets == (Asset(car, "vehicle", "AB1", "Lark", {"doors": 5}, START - 400 * DAY, None),)
    assert seen.visits == (Visit(START - DAY, "service", "s-1", NAMES, "brakes", 32000, "CNY", "AB1"),)
    assert seen.appointments == (
        Appointment(booked, "s-1", NAMES, "service", START + DAY, START + DAY + timedelta(hours=1), "booked", ""),
    )
    assert seen.dues == (Due("b-2", "bill", 8050, "CNY", "2026-12-01", "", "AB1"),)
    assert seen.preferences == (Preference("allergy", "feathers", START),)
    assert seen.surveys == (OpenSurvey("case:C-1024-7", "csat", "C-1024-7"),)
    assert (seen.subscriptions, seen.attributes) == ((("price", "Shanghai"),), {"birthday": "1990-02-03"})
    assert (seen.tags, seen.points, seen.credit_class) == (frozenset({"vip"}), 30, "B")
    assert (seen.value_class, seen.lifecycle) == ("A", "stable")
    (case,) = seen.cases
    assert isinstance(case, Case)
    assert (case.quality_type, case.wish, case.team, case.owner) == ("brakes", "repair", "workshop", "li")
    assert case.next_update_at == START + timedelta(hours=4)

    record = await customer_record(store.database, me)
    for part in ("assets", "visits", "appointments", "dues", "preferences", "surveys", "subscriptions", "points"):
        assert record[part], part
    assert record["visits"][0]["site"] == "s-1"
    assert record["value"]["lifecycle"] == "stable"
    assert record["attributes"][0]["value"] == "1990-02-03"


async def test_nobody_sees_what_belongs_to_another(store: SqlStore) -> None:
    store, ann = await _known(store)
    await converse(store, "hi", "ok", user="bob")
    await store.database.run(
        lambda conn: _add(conn, assets, customer_id=ann.customer_id, kind="meter", key="M1", updated_at=START)
    )
    bob = await _seen(store, "bob")
    assert (bob.assets, bob.cases, bob.visits) == ((), (), ())


async def test_a_list_is_bounded_and_begins_with_what_matters_now(store: SqlStore) -> None:
    store, before = await _known(store)
    me = before.customer_id

    def fill(conn: Connection) -> None:
        for place in range(NEWEST + 5):
            at = START - place * DAY
            _add(conn, visits, customer_id=me, at=at, kind=f"v{place}")
            _add(
                conn, assets, customer_id=me, kind="vehicle", key=f"old{place}", since=at, until=START - DAY,
                updated_at=START,
            )  # fmt: skip
        _add(conn, assets, customer_id=me, kind="vehicle", key="mine", since=START - 900 * DAY, updated_at=START)

    await store.database.run(fill)
    seen = await _seen(store)
    assert [visit.kind for visit in seen.visits] == [f"v{place}" for place in range(NEWEST)]
    assert (len(seen.assets), seen.assets[0].key) == (NEWEST, "mine")


async def test_an_appointment_that_is_over_is_no_longer_shown(store: SqlStore) -> None:
    store, before = await _known(store)

    def fill(conn: Connection) -> None:
        site = _add(conn, sites, key="s-1", names={}, updated_at=START)
        for days, state in ((-2, "booked"), (3, "booked"), (2, "booked"), (1, "cancelled")):
            at = START + days * DAY
            _add(
                conn, appointments, site_id=site, customer_id=before.customer_id, service="s", starts_at=at,
                ends_at=at + timedelta(hours=1), place=0, state=state, created_at=START, updated_at=START,
            )  # fmt: skip

    await store.database.run(fill)
    assert [item.starts_at for item in (await _seen(store)).appointments] == [START + 2 * DAY, START + 3 * DAY]
