"""News for subscribers, outages and payment reminders: brought in once, told once, stopped at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from pydantic import SecretStr
from sqlalchemy import insert, select, update
from starlette.applications import Starlette

from bot.service.policy import read_policy
from bot.service_types import ReportOutage, SubscribeTopic
from config.settings import FeedSettings
from crm_sync import subscriptions as hand
from crm_sync.service_tables import dues, feed_items, outage_reports, subscriptions, timers
from crm_sync.store import SqlStore
from crm_sync.tables import consents, customers, identities, inbox
from crm_sync.timers import MAX_ATTEMPTS
from frontdesk.due_reminders import remind_of_dues
from frontdesk.feed_routes import FeedDesk, feed_routes
from frontdesk.scheduler import Context, Scheduler
from frontdesk.signals import LocalSignals
from tests.builders import shop
from tests.store_steps import START, SetClock, converse

TOKEN = "a long enough token"
POLICY = read_policy(
    {
        "topics": {
            "subscribe": {"price": {"title": {"zh": "油价"}}, "outage": {}},
            "reminders": {"D": {"days": [7, 3], "tone": "firm"}},
        }
    }
)
ASSISTANT = replace(shop(), service=POLICY)
NEWS = {"key": "n1", "words": {"zh": "95 号降价", "en": "95 is cheaper"}}
FAULT = {"key": "o1", "area": "东区", "latitude": 38.874, "longitude": 115.464, "radius_m": 1500}


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    store = await SqlStore.open(store_url, clock=clock)
    yield store
    await store.close()


@pytest.fixture
async def client(timed: SqlStore, clock: SetClock) -> AsyncIterator[httpx.AsyncClient]:
    feeds = {
        "all": FeedSettings(token=SecretStr(TOKEN)),
        "weather": FeedSettings(token=SecretStr("another long token"), topics=("weather",)),
    }
    desk = FeedDesk(timed.database, feeds, clock, LocalSignals(), lambda: ASSISTANT)
    transport = httpx.ASGITransport(app=Starlette(routes=feed_routes(desk)))
    headers = {"Authorization": f"Bearer {TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="https://desk.example", headers=headers) as opened:
        yield opened


def scheduler(store: SqlStore, clock: SetClock) -> Scheduler:
    return Scheduler(store, LocalSignals(), clock, lambda: ASSISTANT)


async def subscribed(store: SqlStore, user: str, *wishes: tuple[str, str], **more: Any) -> int:
    effects = [SubscribeTopic(topic, wanted=True, source="chat", match=match) for topic, match in wishes]
    claimed = await converse(store, "tell me", "ok", user=user, effects=effects, **more)
    return int(claimed.conversation.customer.customer_id)


async def rows_of(store: SqlStore, table: Any) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(select(table).order_by(table.c.id))))


async def told(store: SqlStore) -> list[tuple[int, str]]:
    """Customer and template of every notice that was planned, in order."""
    rows = [row for row in await rows_of(store, timers) if row.kind == "notice"]
    return [(row.customer_id, row.details["notice"]["template"]) for row in rows]


# --- news ---------------------------------------------------------------------------------------------------------


async def test_an_item_is_told_once_to_everybody_it_fits(
    client: httpx.AsyncClient, timed: SqlStore, clock: SetClock
) -> None:
    ann = await subscribed(timed, "ann", ("price", "95"), ("price", ""))  # two that fit: told once
    bob = await subscribed(timed, "bob", ("price", "92"))
    await subscribed(timed, "cai", ("outage", ""))
    answer = await client.post("/api/v1/feeds/price", json={**NEWS, "match": "95"})
    assert (answer.status_code, answer.json()["is_new"]) == (202, True)
    again = await client.post("/api/v1/feeds/price", json={**NEWS, "match": "95"})
    assert (again.status_code, again.json()["is_new"]) == (200, False)
    await asyncio.gather(*(scheduler(timed, clock).settle() for _ in range(3)))
    assert await told(timed) == [(ann, "utter_topic_news")]
    await client.post("/api/v1/feeds/price", json={**NEWS, "key": "n2"})
    await scheduler(timed, clock).settle()
    assert sorted(await told(timed)) == sorted(
        [(ann, "utter_topic_news"), (ann, "utter_topic_news"), (bob, "utter_topic_news")]
    )
    assert [row.next_subscription for row in await rows_of(timed, feed_items)] == [None, None]


async def test_many_subscribers_are_told_in_steps_and_none_is_left_out(
    client: httpx.AsyncClient, timed: SqlStore, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hand, "CHUNK", 3)
    people = [await subscribed(timed, f"user{number}", ("price", "")) for number in range(7)]
    await client.post("/api/v1/feeds/price", json=NEWS)
    await asyncio.gather(*(scheduler(timed, clock).settle() for _ in range(2)))
    await scheduler(timed, clock).settle()
    assert sorted(customer for customer, _ in await told(timed)) == sorted(people)


async def test_news_wait_for_their_time_and_are_not_told_when_it_is_over(
    client: httpx.AsyncClient, timed: SqlStore, clock: SetClock
) -> None:
    await subscribed(timed, "ann", ("price", ""))
    at, until = START + timedelta(hours=2), START + timedelta(hours=3)
    times = {"at": at.isoformat(), "until": until.isoformat()}
    await client.post("/api/v1/feeds/price", json={**NEWS, **times})
    await client.post("/api/v1/feeds/price", json={**NEWS, **times, "key": "late"})
    await scheduler(timed, clock).settle()
    assert await told(timed) == []
    clock.at = until
    await scheduler(timed, clock).settle()
    assert await told(timed) == []


async def test_who_stopped_is_told_nothing_more(client: httpx.AsyncClient, timed: SqlStore, clock: SetClock) -> None:
    await subscribed(timed, "ann", ("price", ""), ("outage", ""))
    bob = await subscribed(timed, "bob", ("price", ""), ("outage", ""))
    await converse(timed, "stop", "ok", effects=[SubscribeTopic("*", wanted=False, source="chat")])
    await converse(timed, "stop", "ok", user="bob", effects=[SubscribeTopic("outage", wanted=False, source="chat")])
    await client.post("/api/v1/feeds/price", json=NEWS)
    await client.post("/api/v1/feeds/outage", json=NEWS)
    await scheduler(timed, clock).settle()
    assert await told(timed) == [(bob, "utter_topic_news")]
    in_force = {(row.customer_id, row.purpose, row.granted) for row in await rows_of(timed, consents) if not row.until}
    assert (bob, "topic:price", True) in in_force
    assert (bob, "topic:outage", False) in in_force
    assert not any(granted for customer, _, granted in in_force if customer != bob)


async def test_subscribing_twice_is_one_subscription(timed: SqlStore) -> None:
    await subscribed(timed, "ann", ("price", ""), ("price", ""))
    await subscribed(timed, "ann", ("price", ""))
    assert len(await rows_of(timed, subscriptions)) == 1


async def test_a_key_used_for_other_words_is_refused(client: httpx.AsyncClient, timed: SqlStore) -> None:
    await client.post("/api/v1/feeds/price", json=NEWS)
    other = await client.post("/api/v1/feeds/price", json={**NEWS, "words": {"zh": "别的"}})
    assert (other.status_code, other.json()["error"]["code"]) == (409, "key_used")
    assert (await rows_of(timed, feed_items))[0].words == NEWS["words"]


async def test_nobody_feeds_without_a_token_for_the_topic(client: httpx.AsyncClient, timed: SqlStore) -> None:
    for token, status in (
        ("", 401),
        ("Bearer", 401),
        ("Bearer wrong token, also long", 401),
        (f"Basic {TOKEN}", 401),
        ("Bearer another long token", 403),
        ("bearer " + TOKEN, 202),
    ):
        answer = await client.post("/api/v1/feeds/price", json=NEWS, headers={"Authorization": token})
        assert answer.status_code == status, token
    assert (await client.post("/api/v1/feeds/gossip", json=NEWS)).status_code == 404
    assert len(await rows_of(timed, feed_items)) == 1


async def test_what_makes_no_sense_is_refused_and_nothing_is_kept(client: httpx.AsyncClient, timed: SqlStore) -> None:
    for body, status in (
        (b"{", 400),
        (b"[]", 422),
        (b'{"key": "k", "words": {}}', 422),
        (b'{"key": "k", "words": {"fr": "x"}}', 422),
        (b'{"key": "k", "words": {"zh": " "}}', 422),
        (b'{"key": "", "words": {"zh": "x"}}', 422),
        (b'{"key": 5, "words": {"zh": "x"}}', 422),
        (b'{"key": "k", "words": {"zh": "x"}, "at": "2026-03-02T10:00:00"}', 422),
        (b'{"key": "k", "words": {"zh": "x"}, "at": 5}', 422),
        (b'{"key": "k", "words": {"zh": "x"}, "match": 5}', 422),
        (b'{"key": "k", "words": {"zh": "x"}, "until": "2020-01-01T00:00:00Z"}', 422),
        (b'{"key": "k", "words": {"zh": "' + b"x" * 70_000 + b'"}}', 413),
    ):
        answer = await client.post("/api/v1/feeds/price", content=body)
        assert answer.status_code == status, body[:60]
    for outage in (
        {"key": "o"},
        {"key": "o", "latitude": 95, "longitude": 0},
        {"key": "o", "latitude": 0, "longitude": 0},
        {"key": "o", "latitude": 38.0},
        {"key": "o", "area": "东区", "radius_m": 0},
        {"key": "o", "area": "东区", "kind": "storm"},
        {"key": "o", "area": "东区", "expected_end_at": "soon"},
    ):
        assert (await client.post("/api/v1/outages", json=outage)).status_code == 422, outage
    nan = await client.post("/api/v1/outages", content=b'{"key": "o", "latitude": NaN, "longitude": 1}')
    assert nan.status_code == 422
    assert await rows_of(timed, feed_items) == []


def test_without_feeders_there_are_no_routes(clock: SetClock) -> None:
    assert feed_routes(FeedDesk(None, {}, clock, LocalSignals(), shop)) == []  # type: ignore[arg-type]  # never used


# --- outages ------------------------------------------------------------------------------------------------------


async def test_reports_find_their_outage_and_hear_of_its_end_once(
    client: httpx.AsyncClient, timed: SqlStore, clock: SetClock
) -> None:
    near = ReportOutage(None, latitude=38.875, longitude=115.465)
    ann = int((await converse(timed, "no power", "ok", effects=[near])).conversation.customer.customer_id)
    away = ReportOutage(None, latitude=39.5, longitude=115.465)
    await converse(timed, "no power", "ok", user="bob", effects=[away])
    end = (START + timedelta(hours=3)).isoformat()
    first = await client.post("/api/v1/outages", json={**FAULT, "expected_end_at": end})
    assert first.status_code == 202
    known = ReportOutage(first.json()["id"], address="东区")
    cai = int((await converse(timed, "no power", "ok", user="cai", effects=[known])).conversation.customer.customer_id)
    await client.post("/api/v1/outages", json={**FAULT, "expected_end_at": end})
    later = (START + timedelta(hours=5)).isoformat()
    await client.post("/api/v1/outages", json={**FAULT, "expected_end_at": later})
    over = {**FAULT, "ended_at": (START + timedelta(hours=4)).isoformat()}
    for _ in range(2):
        assert (await client.post("/api/v1/outages", json=over)).status_code == 200
    assert await told(timed) == [
        (ann, "utter_outage_expected"),
        (ann, "utter_outage_expected"),
        (cai, "utter_outage_expected"),
        (ann, "utter_outage_over"),
        (cai, "utter_outage_over"),
    ]


async def test_the_same_customer_reporting_again_is_one_report(timed: SqlStore) -> None:
    for words in ("no power", "still none"):
        await converse(timed, words, "ok", effects=[ReportOutage(None, address="东区", note=words)])
    (row,) = await rows_of(timed, outage_reports)
    assert (row.note, row.outage_id) == ("still none", None)


# --- payments -----------------------------------------------------------------------------------------------------


async def test_a_payment_is_reminded_of_once_per_step_in_the_tone_of_the_class_and_not_once_paid(
    timed: SqlStore, clock: SetClock
) -> None:
    customer = int((await converse(timed, "hello", "hi")).conversation.customer.customer_id)
    due = {
        "customer_id": customer,
        "kind": "electricity",
        "amount_minor": 12850,
        "currency": "CNY",
        "updated_at": START,
    }
    today = START.date()

    def fill(conn: Any) -> None:
        conn.execute(update(customers).values(credit_class="D"))
        for key, days, paid in (("d1", 7, ""), ("d2", 7, "2026-11-20"), ("d3", 40, "")):
            on = (today + timedelta(days=days)).isoformat()
            conn.execute(insert(dues), {**due, "key": key, "due_on": on, "paid_on": paid})

    await timed.database.run(fill)

    async def remind() -> None:
        await remind_of_dues(timed, Context(clock.now(), POLICY, ASSISTANT))

    clock.at = START.replace(hour=1)  # 9:00 in Shanghai: too early in the day
    await remind()
    assert await told(timed) == []
    clock.at = START.replace(hour=3)
    await asyncio.gather(remind(), remind())
    clock.advance(days=1)
    await remind()
    assert await told(timed) == [(customer, "utter_due_firm")]
    clock.advance(days=3)
    await remind()
    assert await told(timed) == [(customer, "utter_due_firm")] * 2
    args = (await rows_of(timed, timers))[-1].details["notice"]["args"]
    assert (args["amount"], args["kind"]) == ("@money:12850:CNY", "@word:due_kind:electricity")
    await timed.database.run(lambda conn: conn.execute(update(dues).values(paid_on="2026-11-27")) and None)
    clock.advance(days=5)
    await remind()
    assert len(await told(timed)) == 2


async def test_who_could_not_be_told_is_reminded_as_soon_as_they_write_while_it_is_still_time(
    timed: SqlStore, clock: SetClock
) -> None:
    customer = int((await converse(timed, "hello", "hi")).conversation.customer.customer_id)

    async def change(*statements: Any) -> None:
        await timed.database.run(lambda conn: [conn.execute(statement) for statement in statements] and None)

    async def remind() -> None:
        await remind_of_dues(timed, Context(clock.now(), POLICY, ASSISTANT))

    async def waiting() -> int:
        return sum(row.kind == "notice" for row in await rows_of(timed, inbox))

    due = {"kind": "electricity", "amount_minor": 100, "currency": "CNY", "updated_at": START, "customer_id": customer}
    on = (START.date() + timedelta(days=3)).isoformat()
    blocked = update(identities).values(unreachable_at=START)
    await change(insert(dues).values(**due, key="d1", due_on=on), update(customers).values(credit_class="D"), blocked)
    clock.at = START.replace(hour=3)
    await remind()
    assert await told(timed) == []
    await change(update(identities).values(unreachable_at=None))
    await remind()
    assert await told(timed) == [(customer, "utter_due_firm")]
    # They block us before it is said: tried for a while, set aside, and due again when they are back.
    await change(blocked)
    desk = Scheduler(timed, LocalSignals(), clock, lambda: ASSISTANT, periodic=())
    for _ in range(MAX_ATTEMPTS):
        await desk.settle()
        clock.advance(minutes=15)
    assert await waiting() == 0
    await remind()
    await change(update(identities).values(unreachable_at=None))
    await remind()
    await desk.settle()
    await remind()
    assert await waiting() == 1
    assert len(await told(timed)) == 2
