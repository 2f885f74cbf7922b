"""Writing down the recipients of a broadcast: who, in which arm, once; on both databases."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from functools import partial
from typing import Any

from sqlalchemy import insert, select, update

from bot.reach.draw import WHOLE, arm_at, number_of, places
from crm_sync.broadcast_tables import broadcast_recipients, contact_wishes
from crm_sync.recipients import Occasion, write_chunk, write_range
from crm_sync.service_tables import customer_values
from crm_sync.store import SqlStore
from crm_sync.tables import consents, customers
from tests.recipient_steps import a_broadcast, in_states, prepared, set_state
from tests.store_steps import START


async def rows_of(store: SqlStore, occasion: Occasion) -> list[Any]:
    row = broadcast_recipients.c
    mine = (
        select(broadcast_recipients).where(row.broadcast_id == occasion.broadcast_id).order_by(row.customer_id, row.id)
    )
    return list(await store.database.run(lambda conn: conn.execute(mine).all(), read=True))


async def test_everybody_meant_is_a_recipient_once_and_a_tenth_of_each_value_is_held_out(store: SqlStore) -> None:
    occasion = await a_broadcast(store.database, 300, START)

    chunks = await prepared(store.database, occasion, START)

    rows = await rows_of(store, occasion)
    assert [row.customer_id for row in rows] == list(range(1, 301))
    assert sum(chunk.recipients for chunk in chunks) == 300
    arms = Counter((row.stratum, row.arm) for row in rows)
    for stratum, size in (("A", 100), ("", 200)):
        assert abs(arms[stratum, "holdout"] - size / 10) <= 3  # one for each chunk at most
        assert abs(arms[stratum, "a"] - arms[stratum, "b"]) <= 6
    assert {row.state for row in rows if row.arm == "holdout"} == {"held_out"}
    assert await in_states(store.database, occasion.broadcast_id) == {
        "held_out": sum(row.arm == "holdout" for row in rows),
        "pending": sum(row.arm != "holdout" for row in rows),
    }


async def test_the_database_draws_as_the_rule_says(store: SqlStore) -> None:
    occasion = await a_broadcast(store.database, 60, START)
    await prepared(store.database, occasion, START)

    rows = await rows_of(store, occasion)

    ends, start = places(occasion.holdout, occasion.variants), number_of(occasion.seed, 1) % WHOLE
    for stratum in ("A", ""):
        mine = sorted((r for r in rows if r.stratum == stratum), key=lambda r: number_of(occasion.seed, r.customer_id))
        assert [row.arm for row in mine] == [arm_at(rank, start, ends) for rank in range(len(mine))]


async def test_a_chunk_taken_up_after_a_death_goes_on_behind_the_last_one(store: SqlStore) -> None:
    occasion = await a_broadcast(store.database, 100, START)
    chunk = partial(write_chunk, occasion=occasion, size=40, now=START)
    first = await store.database.run(chunk)

    rest = await prepared(store.database, occasion, START, size=40)

    assert first is not None
    assert (first.through, [each.through for each in rest]) == (40, [80, 100])
    assert len(await rows_of(store, occasion)) == 100


async def test_whoever_is_a_recipient_already_stays_as_they_are(store: SqlStore) -> None:
    occasion = await a_broadcast(store.database, 20, START)
    await prepared(store.database, occasion, START)
    before = await rows_of(store, occasion)

    added = await store.database.run(lambda conn: write_range(conn, occasion, 0, 20, START))

    assert added == 0
    assert await rows_of(store, occasion) == before


async def test_the_same_person_is_in_the_same_arm_on_the_next_occasion(store: SqlStore) -> None:
    first = await a_broadcast(store.database, 60, START, comes_again=True)
    await prepared(store.database, first, START)
    again = {"comes_again": True, "name": "2026-12", "holdout": 0.3, "rules": first.rules, "people": first.people}
    second = Occasion(first.broadcast_id, 99, variants=first.variants, not_before=first.not_before, **again)  # type: ignore[arg-type]

    await store.database.run(lambda conn: write_range(conn, second, 0, 60, START))

    arms: dict[int, set[str]] = {}
    for row in await rows_of(store, first):
        arms.setdefault(row.customer_id, set()).add(row.arm)
    assert len(arms) == 60
    assert all(len(found) == 1 for found in arms.values())


async def test_nothing_is_written_for_a_broadcast_that_is_not_being_prepared(store: SqlStore) -> None:
    occasion = await a_broadcast(store.database, 10, START)
    await set_state(store.database, occasion.broadcast_id, "cancelled")

    assert await store.database.run(partial(write_chunk, occasion=occasion, size=10, now=START)) is None
    assert await rows_of(store, occasion) == []


async def test_nobody_to_send_to_is_a_chunk_without_recipients(store: SqlStore) -> None:
    occasion = await a_broadcast(store.database, 0, START)

    chunks = await prepared(store.database, occasion, START)

    assert [(chunk.recipients, chunk.is_last) for chunk in chunks] == [(0, True)]


async def test_whoever_did_not_agree_is_skipped_and_in_no_arm(store: SqlStore) -> None:
    occasion = await a_broadcast(store.database, 30, START)
    await store.database.run(
        lambda conn: conn.execute(update(consents).where(consents.c.id <= 5).values(granted=False))
    )

    await prepared(store.database, occasion, START)

    skipped = [row for row in await rows_of(store, occasion) if row.state == "skipped"]
    assert {(row.arm, row.reason) for row in skipped} == {("", "no_consent")}
    assert [row.customer_id for row in skipped] == [1, 2, 3, 4, 5]


async def test_everybody_waits_for_the_hours_of_their_zone_or_their_own(store: SqlStore) -> None:
    morning, evening, own = START + timedelta(hours=8), START + timedelta(hours=9), START + timedelta(hours=3)
    hours = {("", None): morning, ("Asia/Tokyo", None): evening, ("", ("20:00", "12:00")): own}
    occasion = await a_broadcast(
        store.database, 4, START, holdout=0.0, not_before=lambda zone, quiet: hours.get((zone, quiet))
    )

    def unit(conn: Any) -> None:
        conn.execute(update(customers).where(customers.c.id == 2).values(timezone="Asia/Tokyo"))
        conn.execute(update(customers).where(customers.c.id == 4).values(timezone="Etc/Never"))
        wish = {"customer_id": 3, "quiet_from": "20:00", "quiet_until": "12:00", "updated_at": START}
        conn.execute(insert(contact_wishes).values(**wish))

    await store.database.run(unit)
    await prepared(store.database, occasion, START)

    rows = await rows_of(store, occasion)
    assert [row.not_before for row in rows] == [morning, evening, own, None]
    assert [(row.state, row.reason) for row in rows][2:] == [("pending", ""), ("skipped", "quiet_hours")]
    await in_states(store.database, occasion.broadcast_id)


async def test_value_classes_are_kept_apart_however_few_there_are(store: SqlStore) -> None:
    occasion = await a_broadcast(store.database, 40, START, holdout=0.5)
    everybody = update(customer_values).values(value_class="B")
    await store.database.run(lambda conn: conn.execute(everybody))

    await prepared(store.database, occasion, START, size=1000)

    arms = Counter((row.stratum, row.arm == "holdout") for row in await rows_of(store, occasion))
    assert abs(arms["B", True] - arms["B", False]) <= 2
    assert abs(arms["", True] - arms["", False]) <= 2
