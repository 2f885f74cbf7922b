"""Broadcasts that go on by themselves: triggered by what happens, in steps, learning which variant is followed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from crm_sync import broadcast_bandit, broadcast_events
from crm_sync.broadcast_events import Place, Watched
from crm_sync.broadcast_tables import (
    broadcast_clicks,
    broadcast_counts,
    broadcast_links,
    broadcast_recipients,
    broadcast_waits,
    broadcasts,
)
from crm_sync.invariants import check
from crm_sync.service_tables import customer_attributes, dues, visits
from crm_sync.store import SqlStore
from crm_sync.tables import cases, consents, conversations, customers, messages, orders, tasks
from frontdesk import broadcast_following
from tests.broadcast_under_test import Desk, a_desk
from tests.store_steps import AUDIT_KEYS, START

STEPS = [
    {"name": "one", "variant": "a", "when": {"clicked": "three"}},
    {"name": "two", "variant": "b", "after": "2d"},
    {"name": "three", "variant": "c", "after": "1d"},
]
CONTENT = {"variants": [{"name": name, "text": {"en": f"{name} for {{name}}"}} for name in "abc"]}


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[SqlStore]:
    """The statements behind are tested on both databases below."""
    opened = await SqlStore.open(sqlite_url, audit_keys=AUDIT_KEYS)
    yield opened
    await opened.close()


async def _go(desk: Desk, **later: float) -> list[str]:
    """What is sent when so much time has passed."""
    desk.clock.advance(**later)
    before = len(desk.channel.sent)
    await desk.preparer.run_once()
    await desk.sender.run_once()
    await desk.sender.run_once()
    return [text for _, text in desk.channel.sent[before:]]


async def _do(desk: Desk, *statements: Any) -> None:
    await desk.store.database.run(lambda conn: [conn.execute(statement) for statement in statements] and None)


async def _people(desk: Desk) -> list[int]:
    found = select(customers.c.id).order_by(customers.c.id)
    return await desk.store.database.run(lambda conn: list(conn.execute(found).scalars()), read=True)


def _clicked(who: int, at: datetime) -> Any:
    mine = broadcast_recipients.c.customer_id == who
    return update(broadcast_recipients).where(mine).values(clicked_at=at)


def _said(who: int, at: datetime) -> Any:
    talk = select(conversations.c.id).where(conversations.c.customer_id == who).scalar_subquery()
    row = {"direction": "in", "author": "customer", "kind": "text", "text": "hi", "at": at}
    return insert(messages).values(conversation_id=talk, **row)


def _complaint(who: int, at: datetime) -> Any:
    case = {
        "number": f"C-{who}",
        "customer_id": who,
        "kind": "complaint",
        "category": "x",
        "subject": "",
        "severity": 1,
    }
    rest = {"status": "received", "summary": "", "details": {}, "is_open": True, "opened_at": at, "updated_at": at}
    return insert(cases).values(**case, **rest)


async def _document(desk: Desk) -> dict[str, Any]:
    found = select(broadcasts.c.document)
    return dict(await desk.store.database.run(lambda conn: conn.execute(found).scalar_one(), read=True))


async def _journey(store: SqlStore, people: int, steps: list[dict[str, Any]] = STEPS, **changes: Any) -> Desk:
    plan = {"quiet": ["00:00", "00:00"], "steps": steps}
    return await a_desk(store, people, at=START, content=CONTENT, plan=plan, **changes)


# --- journeys -------------------------------------------------------------------------------------------------------


async def test_a_journey_goes_its_way_and_is_over_when_everybody_is_through(store: SqlStore) -> None:
    desk = await _journey(store, 1)
    assert await _go(desk) == ["a for Kim 1"]
    assert await _go(desk, days=1) == []
    assert (await desk.state())[0] == "running"
    assert await _go(desk, days=1) == ["b for Kim 1"]
    assert await _go(desk, hours=23) == []
    assert await _go(desk, hours=1) == ["c for Kim 1"]
    assert await desk.state() == ("finished", "")
    assert await desk.counts() == {"sent": 3}
    assert await check(store.database) == []


async def test_whoever_follows_the_link_goes_another_way_and_sooner(store: SqlStore) -> None:
    desk = await _journey(store, 2)
    await _go(desk)
    first, second = await _people(desk)
    await _do(desk, _clicked(first, desk.clock.now()))
    assert await _go(desk, days=1) == ["c for Kim 1"]
    assert await _go(desk, days=1) == ["b for Kim 2"]
    assert second != first


async def test_a_reply_or_a_complaint_ends_the_journey(store: SqlStore) -> None:
    desk = await _journey(store, 3)
    await _go(desk)
    first, second, _ = await _people(desk)
    at = desk.clock.now() + timedelta(hours=1)
    await _do(desk, _said(first, at), _complaint(second, at))
    assert await _go(desk, days=2) == ["b for Kim 3"]
    outcomes = select(broadcast_waits.c.outcome).order_by(broadcast_waits.c.customer_id)
    found = await store.database.run(lambda conn: list(conn.execute(outcomes).scalars()), read=True)
    assert found[:2] == ["replied", "complained"]


async def test_what_is_said_while_the_next_step_waits_for_the_morning_ends_the_journey_too(store: SqlStore) -> None:
    steps = [{"name": "one", "variant": "a"}, {**STEPS[1], "after": "1h"}]
    desk = await _journey(store, 3, steps)
    document = {**(await _document(desk)), "plan": {"quiet": ["10:00", "11:00"], "steps": steps}}
    await _do(desk, update(broadcasts).values(document=document))
    await _go(desk)
    first, second, _ = await _people(desk)
    quiet = await _go(desk, hours=1)
    at = desk.clock.now() + timedelta(minutes=30)
    await _do(desk, _said(first, at), _complaint(second, at))
    assert quiet == []
    assert await _go(desk, hours=1) == ["b for Kim 3"]
    assert (await desk.state())[0] == "finished"


async def test_a_reply_that_has_a_way_of_its_own_is_followed(store: SqlStore) -> None:
    steps = [{"name": "one", "variant": "a", "when": {"replied": "two", "else": "end"}}, {**STEPS[1], "after": "1h"}]
    desk = await _journey(store, 2, steps)
    await _go(desk)
    first, _ = await _people(desk)
    await _do(desk, _said(first, desk.clock.now() + timedelta(minutes=5)))
    assert await _go(desk, hours=1) == ["b for Kim 1"]
    assert await desk.state() == ("finished", "")


async def test_a_purchase_leads_on(store: SqlStore) -> None:
    steps = [{"name": "one", "variant": "a", "when": {"bought": "end", "else": "two"}}, STEPS[1]]
    desk = await _journey(store, 2, steps)
    await _go(desk)
    first, _ = await _people(desk)
    at = desk.clock.now() + timedelta(hours=1)
    order = {"number": "1", "customer_id": first, "status": "paid", "placed_at": at, "updated_at": at}
    await _do(desk, insert(orders).values(**order))
    assert await _go(desk, days=2) == ["b for Kim 2"]


async def test_those_held_out_are_on_no_journey(store: SqlStore) -> None:
    desk = await _journey(store, 40, holdout=0.5)
    first = await _go(desk)
    second = await _go(desk, days=2)
    assert len(first) == len(second) == (await desk.counts())["sent"] / 2
    assert await check(store.database) == []


async def test_a_paused_journey_waits(store: SqlStore) -> None:
    desk = await _journey(store, 1)
    await _go(desk)
    await _do(desk, update(broadcasts).values(state="paused", goes_on_as="running"))
    assert await _go(desk, days=2) == []
    await _do(desk, update(broadcasts).values(state="running", version=broadcasts.c.version + 1))
    assert await _go(desk) == ["b for Kim 1"]


async def test_what_is_done_while_the_next_step_is_held_counts_when_it_goes_on(store: SqlStore) -> None:
    steps = [{"name": "one", "variant": "a", "when": {"bought": "three", "else": "two"}}, *STEPS[1:]]
    desk = await _journey(store, 5, steps)
    await _go(desk)
    first, second, third, fourth, fifth = await _people(desk)
    desk.clock.advance(days=2)
    await desk.preparer.run_once()  # the second step is decided, and before anybody sends it the run is paused
    await _do(desk, update(broadcasts).values(state="paused", goes_on_as="running"))
    at = desk.clock.now() + timedelta(hours=1)
    order = {"number": "1", "customer_id": third, "status": "paid", "placed_at": at, "updated_at": at}
    withdrawn = {"customer_id": fourth, "purpose": "promotion", "channel": "telegram", "source": "x", "granted": False}
    await _do(
        desk,
        _said(first, at),
        _complaint(second, at).values(is_open=False),  # settled by then: it ends the journey all the same
        insert(orders).values(**order),
        insert(consents).values(**withdrawn, at=at),
    )
    desk.clock.advance(hours=2)
    await _do(desk, update(broadcasts).values(state="running", version=broadcasts.c.version + 1))
    assert fifth != first
    assert await _go(desk) == ["b for Kim 5"]
    assert await _go(desk) == ["c for Kim 3"]  # where a purchase leads, which was sooner
    row = broadcast_recipients.c
    skipped = select(row.customer_id, row.reason).where(row.state == "skipped", row.step == "two")
    found = await store.database.run(lambda conn: conn.execute(skipped).all(), read=True)
    assert {each.customer_id: each.reason for each in found} == {
        first: "replied",
        second: "complained",
        third: "went_elsewhere",
        fourth: "no_consent",
    }
    assert await desk.counts() == {"sent": 7, "skipped": 4}
    assert await check(store.database) == []


# --- triggered ------------------------------------------------------------------------------------------------------


async def _triggered(store: SqlStore, people: int, on: dict[str, Any], **plan: Any) -> Desk:
    whole = {"quiet": ["00:00", "00:00"], "on": on, **plan}
    desk = await a_desk(store, people, at=START, state="scheduled", plan=whole)
    await _do(desk, update(broadcasts).values(next_at=START))
    assert await _go(desk) == []  # begins to watch
    return desk


def _visit(who: int, at: datetime, kind: str = "refuel") -> Any:
    return insert(visits).values(customer_id=who, at=at, kind=kind)


async def test_a_visit_is_followed_by_a_message_after_its_time(store: SqlStore) -> None:
    desk = await _triggered(store, 2, {"event": "visit", "after": "2h"})
    first, _ = await _people(desk)
    desk.clock.advance(minutes=1)
    await _do(desk, _visit(first, desk.clock.now()), _visit(first, desk.clock.now()))
    assert await _go(desk, minutes=1) == []
    assert await _go(desk, hours=1, minutes=57) == []
    assert await _go(desk, minutes=2) == ["Hello Kim 1"]
    assert (await desk.state())[0] == "running"
    assert await desk.counts() == {"sent": 1}  # two visits of a day are one occasion


async def test_another_days_visit_is_another_occasion(store: SqlStore) -> None:
    desk = await _triggered(store, 1, {"event": "visit"})
    (first,) = await _people(desk)
    await _do(desk, _visit(first, START + timedelta(minutes=1)))
    assert await _go(desk, minutes=2) == ["Hello Kim 1"]
    await _do(desk, _visit(first, START + timedelta(days=1)))
    assert await _go(desk, days=1) == ["Hello Kim 1"]


async def test_what_was_before_and_what_comes_too_late_triggers_nothing(store: SqlStore) -> None:
    desk = await a_desk(store, 2, at=START, state="scheduled", plan={"on": {"event": "visit"}})
    first, second = await _people(desk)
    await _do(desk, update(broadcasts).values(next_at=START), _visit(first, START - timedelta(days=3)))
    assert await _go(desk) == []
    await _do(desk, _visit(second, START + timedelta(minutes=1)), update(broadcasts).values(next_at=START))
    assert await _go(desk, days=2) == []
    assert await desk.counts() == {}


async def test_only_the_kind_that_was_named_counts(store: SqlStore) -> None:
    desk = await _triggered(store, 2, {"event": "visit", "name": "service"})
    first, second = await _people(desk)
    at = START + timedelta(seconds=1)
    await _do(desk, _visit(first, at), _visit(second, at, "service"))
    assert await _go(desk, minutes=1) == ["Hello Kim 2"]


async def test_it_watches_no_longer_than_its_end(store: SqlStore) -> None:
    desk = await _triggered(store, 1, {"event": "visit"}, until=(START + timedelta(hours=1)).isoformat())
    assert await _go(desk, hours=2) == []
    await _go(desk, minutes=1)
    assert await desk.state() == ("finished", "")


async def test_quiet_hours_hold_for_what_is_triggered_too(store: SqlStore) -> None:
    night = [f"{START:%H:%M}", f"{START + timedelta(hours=3):%H:%M}"]
    desk = await _triggered(store, 1, {"event": "visit"}, quiet=night)
    (first,) = await _people(desk)
    await _do(desk, _visit(first, START + timedelta(minutes=1)))
    assert await _go(desk, minutes=5) == []
    assert await _go(desk, hours=3) == ["Hello Kim 1"]


# --- events, on both databases --------------------------------------------------------------------------------------


@pytest.fixture
async def both(store_url: str) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, audit_keys=AUDIT_KEYS)
    yield opened
    await opened.close()


Seen = list[tuple[int, str]]


async def _seen(store: SqlStore, event: str, place: Place, now: datetime = START, name: str = "") -> Seen:
    watched = Watched(event, name, START - timedelta(days=400), UTC)
    found: Seen = []
    is_last = False
    while not is_last:
        look = partial(broadcast_events.happened, watched=watched, place=place, now=now)
        page = await store.database.run(look, read=True)
        found += [(each.customer_id, each.occasion) for each in page.events]
        place, is_last = page.place, page.is_last
    return found


@pytest.mark.sql_per_case
@pytest.mark.parametrize(
    ("event", "name", "seen"),
    [
        ("order", "", [(1, "order:2026-11-22")]),
        ("care", "", [(1, "care:2026-11-22"), (2, "care:2026-11-22")]),
        ("care", "fading", [(2, "care:2026-11-22")]),
        ("joined", "", [(1, "joined:2026-11-22"), (2, "joined:2026-11-22")]),
        ("birthday", "", [(1, "birthday:2026-11-22")]),
        ("due", "", [(1, "due:2026-11-22"), (2, "due:2026-11-22")]),
        ("due", "loan", [(2, "due:2026-11-22")]),
    ],
)
async def test_what_happened_is_found(both: SqlStore, event: str, name: str, seen: list[tuple[int, str]]) -> None:
    def unit(conn: Any) -> None:
        conn.execute(insert(customers), [{"id": number, "created_at": START} for number in (1, 2)])
        order = {"number": "1", "customer_id": 1, "status": "paid", "placed_at": START, "updated_at": START}
        conn.execute(insert(orders).values(**order))
        for who, rule in ((1, "lost"), (2, "fading")):
            task = {"customer_id": who, "kind": "care", "summary": "", "rule": rule}
            conn.execute(insert(tasks).values(**task, created_at=START, updated_at=START))
            kind = "bill" if who == 1 else "loan"
            due = {"key": str(who), "customer_id": who, "kind": kind, "amount_minor": 1, "currency": "CNY"}
            conn.execute(insert(dues).values(**due, due_on="2026-11-22", updated_at=START))
        for who, born in ((1, "1990-11-22"), (2, "1990-11-23")):
            row = {"customer_id": who, "name": "birthday", "value": born, "updated_at": START}
            conn.execute(insert(customer_attributes).values(**row))

    await both.database.run(unit)
    place = Place(0, START.date().isoformat()) if event in ("birthday", "due") else Place()
    assert await _seen(both, event, place, name=name) == seen


async def test_somebody_born_on_a_leap_day_is_not_forgotten(both: SqlStore) -> None:
    row = {"customer_id": 1, "name": "birthday", "value": "2000-02-29", "updated_at": START}

    def unit(conn: Any) -> None:
        conn.execute(insert(customers), {"id": 1, "created_at": START})
        conn.execute(insert(customer_attributes).values(**row))

    await both.database.run(unit)
    found = []
    for day in (date(2027, 2, 28), date(2028, 2, 28), date(2028, 2, 29)):
        now = datetime(day.year, day.month, day.day, 12, tzinfo=START.tzinfo)
        found.append(await _seen(both, "birthday", Place(0, day.isoformat()), now))
    assert found == [[(1, "birthday:2027-02-28")], [], [(1, "birthday:2028-02-29")]]


async def test_whoever_begins_to_watch_begins_behind_what_is_there(both: SqlStore) -> None:
    await both.database.run(lambda conn: conn.execute(insert(customers), {"id": 7, "created_at": START}) and None)
    today = START.date()
    begun = await both.database.run(
        lambda conn: [broadcast_events.begin_at(conn, event, today) for event in ("joined", "birthday")], read=True
    )
    assert begun == [Place(7), Place(0, today.isoformat())]


# --- a bandit -------------------------------------------------------------------------------------------------------


async def test_the_variant_that_is_followed_more_is_given_more(store: SqlStore) -> None:
    content = {**CONTENT, "links": {"shop": "https://shop.example"}, "split": "bandit"}
    desk = await a_desk(store, 900, at=START, content=content)
    await desk.preparer.run_once()

    def half_way(conn: Any) -> None:
        row = broadcast_recipients.c
        first = list(conn.execute(select(row.id, row.arm).order_by(row.id).limit(600)))
        link = conn.execute(
            insert(broadcast_links).values(broadcast_id=desk.broadcast, name="shop", url="https://shop.example")
        ).inserted_primary_key[0]
        for each in first:
            mine = row.id == each.id
            talk = conn.execute(select(row.conversation_id).where(mine)).scalar_one()
            said = {"direction": "out", "author": "bot", "kind": "text", "text": "a link", "at": START}
            message = conn.execute(insert(messages).values(conversation_id=talk, **said)).inserted_primary_key[0]
            sent = {"state": "sent", "sent_at": START, "message_id": message, "attempts": 1}
            conn.execute(update(broadcast_recipients).where(mine).values(**sent))
        for arm in "abc":
            mine = [each.id for each in first if each.arm == arm]
            for state, by in (("pending", -len(mine)), ("sent", len(mine))):
                key = {"broadcast_id": desk.broadcast, "arm": arm, "state": state, "reason": ""}
                there = [broadcast_counts.c[name] == value for name, value in key.items()]
                if not conn.execute(
                    update(broadcast_counts).where(*there).values(count=broadcast_counts.c.count + by)
                ).rowcount:
                    conn.execute(insert(broadcast_counts).values(**key, count=by))
            for recipient in mine[: 60 if arm == "b" else 5]:
                conn.execute(
                    insert(broadcast_clicks).values(recipient_id=recipient, link_id=link, first_at=START, last_at=START)
                )

    await store.database.run(half_way)
    seen = await store.database.run(lambda conn: broadcast_bandit.clicks_by_arm(conn, desk.broadcast), read=True)
    assert {arm: clicks for arm, (_, clicks) in seen.items()} == {"a": 5, "b": 60, "c": 5}
    run = await desk.sender._loaded((await store.database.run(broadcast_following.broadcast_runs.active, read=True))[0])
    assert await store.database.run(lambda conn: broadcast_following.learn(conn, run))
    await desk.sender.run_once()
    later = desk.channel.sent
    assert len(later) == 300
    assert sum(text.startswith("b for") for _, text in later) > 240
    assert await check(store.database) == []
