"""What customers are told unasked: where it is said, once, in order, and what it does to a conversation under way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select, update

from bot.service_types import Notice, as_is
from bot.types import RequestHandoff
from crm_sync import notices
from crm_sync.erasure import erase_customer
from crm_sync.invariants import check
from crm_sync.service_tables import timers as timer_rows
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, identities, inbox, outbox, reply_windows
from frontdesk.clock import SystemClock
from frontdesk.scheduler import Scheduler
from frontdesk.signals import LocalSignals
from tests.builders import shop
from tests.integration.test_engine import Desk
from tests.store_steps import SetClock, converse, send_all

SORRY = Notice("utter_complaint_sorry")


@pytest.fixture
async def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    """A store whose clock the test moves."""
    store = await SqlStore.open(store_url, clock=clock)
    yield store
    await store.close()


def scheduler(store: SqlStore, clock: SetClock) -> Scheduler:
    return Scheduler(store, LocalSignals(), clock, shop)


async def tell(store: SqlStore, clock: SetClock, customer: int, notice: Notice = SORRY, **how: Any) -> bool:
    return await store.database.run(lambda conn: notices.tell(conn, customer, notice, now=clock.now(), **how))


async def waiting(store: SqlStore) -> list[tuple[str, str]]:
    """Channel and template of every notice that waits for its turn."""

    def unit(conn: Connection) -> list[tuple[str, str]]:
        rows = conn.execute(
            select(inbox.c.channel, inbox.c.message).where(inbox.c.kind == "notice", inbox.c.state == "pending")
        )
        return [(row.channel, row.message["content"]["template"]) for row in rows]

    return await store.database.run(unit)


async def test_a_notice_is_said_once_where_the_customer_wrote(timed: SqlStore, clock: SetClock) -> None:
    claimed = await converse(timed, "hello", "hi", channel="telegram")
    customer = claimed.conversation.customer.customer_id
    await tell(timed, clock, customer)
    await scheduler(timed, clock).settle()
    assert await waiting(timed) == [("telegram", "utter_complaint_sorry")]
    (again,) = await timed.claim("worker", 10)
    assert again.conversation.id == claimed.conversation.id
    assert again.messages[0].message.content == SORRY


async def test_a_conversation_in_which_a_notice_waits_can_be_read(timed: SqlStore, clock: SetClock) -> None:
    claimed = await converse(timed, "hello", "hi", channel="telegram")
    await tell(timed, clock, claimed.conversation.customer.customer_id)
    await scheduler(timed, clock).settle()
    since = select(conversations.c.dirty_since)
    assert await timed.database.run(lambda conn: conn.execute(since).scalar_one(), read=True) == clock.at


async def test_the_same_key_is_told_once_whatever_happens_meanwhile(timed: SqlStore, clock: SetClock) -> None:
    customer = (await converse(timed, "hello", "hi")).conversation.customer.customer_id
    assert await tell(timed, clock, customer, key="case:1:solved")
    await scheduler(timed, clock).settle()
    assert not await tell(timed, clock, customer, key="case:1:solved")
    await scheduler(timed, clock).settle()
    assert len(await waiting(timed)) == 1


async def test_a_planned_notice_waits_for_its_moment_and_can_be_cancelled(timed: SqlStore, clock: SetClock) -> None:
    customer = (await converse(timed, "hello", "hi")).conversation.customer.customer_id
    when = clock.now() + timedelta(days=1)

    def unit(conn: Connection) -> None:
        for key in ("kept", "dropped"):
            notices.plan_notice(conn, customer, SORRY, at=when, now=clock.now(), key=key)
        assert notices.timers.cancel(conn, "dropped", clock.now())

    await timed.database.run(unit)
    await scheduler(timed, clock).settle()
    assert await waiting(timed) == []
    clock.advance(days=1)
    await scheduler(timed, clock).settle()
    assert len(await waiting(timed)) == 1


async def test_it_goes_where_a_reply_can_leave_rather_than_where_the_window_is_shut(
    timed: SqlStore, clock: SetClock
) -> None:
    open_one = await converse(timed, "hello", "hi", user="tg", channel="telegram")
    clock.advance(hours=3)
    shut = await converse(timed, "hello", "hi", user="wx", channel="wechat")
    customer = open_one.conversation.customer.customer_id

    def unit(conn: Connection) -> None:
        conn.execute(
            update(conversations).where(conversations.c.id == shut.conversation.id).values(customer_id=customer)
        )
        identity = conn.execute(
            select(conversations.c.identity_id).where(conversations.c.id == shut.conversation.id)
        ).scalar_one()
        window = {"identity_id": identity, "kind": "message", "quota": 5, "used": 5, "opened_at": clock.now()}
        conn.execute(insert(reply_windows), {**window, "closes_at": clock.now() + timedelta(hours=48)})

    await timed.database.run(unit)
    await tell(timed, clock, customer)
    await scheduler(timed, clock).settle()
    assert await waiting(timed) == [("telegram", "utter_complaint_sorry")]


async def test_a_messenger_goes_before_a_web_page_that_was_left(timed: SqlStore, clock: SetClock) -> None:
    messenger = await converse(timed, "hello", "hi", user="tg", channel="telegram")
    clock.advance(hours=1)
    web = await converse(timed, "hello", "hi", user="v", channel="web")
    customer = messenger.conversation.customer.customer_id
    await timed.database.run(
        lambda conn: (
            conn.execute(
                update(conversations).where(conversations.c.id == web.conversation.id).values(customer_id=customer)
            )
            and None
        )
    )
    await tell(timed, clock, customer)
    await scheduler(timed, clock).settle()
    assert await waiting(timed) == [("web", "utter_complaint_sorry")]  # they are still there
    await timed.claim("worker", 10)
    clock.advance(hours=2)
    await tell(timed, clock, customer)
    await scheduler(timed, clock).settle()
    assert ("telegram", "utter_complaint_sorry") in await waiting(timed)


async def test_who_blocked_us_is_not_told_and_the_notice_is_kept_with_the_reason(
    timed: SqlStore, clock: SetClock
) -> None:
    customer = (await converse(timed, "hello", "hi", channel="telegram")).conversation.customer.customer_id
    await timed.database.run(lambda conn: conn.execute(update(identities).values(unreachable_at=clock.now())) and None)
    await tell(timed, clock, customer)
    for _ in range(10):
        await scheduler(timed, clock).settle()
        clock.advance(hours=1)
    assert await waiting(timed) == []

    def kept(conn: Connection) -> list[tuple[Any, ...]]:
        table = timer_rows
        return [tuple(row) for row in conn.execute(select(table.c.at, table.c.done_at, table.c.reason))]

    assert await timed.database.run(kept) == [(None, None, "nobody can be told now")]


async def test_an_erased_person_is_told_nothing(timed: SqlStore, clock: SetClock) -> None:
    customer = (await converse(timed, "hello", "hi", channel="telegram")).conversation.customer.customer_id
    await tell(timed, clock, customer)
    await erase_customer(timed.database, customer)
    await scheduler(timed, clock).settle()
    assert await waiting(timed) == []


async def test_four_schedulers_tell_each_customer_once_and_in_order(timed: SqlStore, clock: SetClock) -> None:
    customers = [
        (await converse(timed, "hello", "hi", user=f"u{number}", channel="telegram")).conversation.customer.customer_id
        for number in range(3)
    ]

    def unit(conn: Connection) -> None:
        for number in range(30):
            for customer in customers:
                notice = Notice("utter_article", {"title": as_is(f"@{number}")})
                notices.tell(conn, customer, notice, now=clock.now() + timedelta(microseconds=number))

    await timed.database.run(unit)
    clock.advance(seconds=1)
    hands = [scheduler(timed, clock) for _ in range(4)]

    async def work(hand: Scheduler) -> None:
        for _ in range(50):
            await hand.run_once()

    await asyncio.gather(*(work(hand) for hand in hands))

    def told(conn: Connection) -> dict[int, list[str]]:
        rows = conn.execute(
            select(inbox.c.conversation_id, inbox.c.message).where(inbox.c.kind == "notice").order_by(inbox.c.id)
        )
        said_to: dict[int, list[str]] = {}
        for row in rows:
            said_to.setdefault(row.conversation_id, []).append(row.message["content"]["args"]["title"])
        return said_to

    found = await timed.database.run(told)
    assert list(found.values()) == [[f"@@{number}" for number in range(30)]] * 3


# --- as the customer sees it ------------------------------------------------------------------------------------------


@pytest.fixture
async def desk(store: SqlStore) -> Desk:
    return Desk(store)


async def announced(desk: Desk, notice: Notice, customer: int = 1) -> list[str]:
    """What the customer sees of a notice told now."""
    clock = SetClock(SystemClock().now())
    before = len(await desk.saw())
    await tell(desk.store, clock, customer, notice)
    await scheduler(desk.store, clock).settle()
    await desk.works()
    return [text for _, text in (await desk.saw())[before:]]


async def test_it_is_said_in_the_language_of_the_conversation_and_its_values_in_words(desk: Desk) -> None:
    desk.nlu.meanings = {"你好": "greet"}
    await desk.hears("你好")
    await desk.works()
    notice = Notice("utter_article", {"title": "@word:case_status:solved"})
    assert await announced(desk, notice) == ["已解决"]
    assert await announced(desk, Notice("utter_article", {"title": "@zh:好|@en:fine"})) == ["好"]
    assert await announced(desk, Notice("utter_article", {"title": "@money:12850:CNY"})) == ["128.50 元"]
    assert await announced(desk, Notice("utter_article", {"title": as_is("@word:case_status:solved")})) == [
        "@word:case_status:solved"
    ]
    assert await announced(desk, Notice("utter_article", {"title": "@time:tomorrow"})) == ["@time:tomorrow"]
    assert await check(desk.store.database) == []


async def test_a_question_that_was_open_stays_open_and_is_not_put_again(desk: Desk) -> None:
    desk.nlu.meanings = {"where is my order": "order_status"}
    await desk.hears("where is my order")
    await desk.works()
    question = (await desk.saw())[-1]
    assert await announced(desk, Notice("utter_article", {"title": "News"})) == ["News"]
    await desk.hears("no idea what you mean")
    await desk.works()
    assert question in (await desk.saw())[-2:]


async def test_its_flow_begins_when_nothing_else_is_under_way(desk: Desk) -> None:
    desk.nlu.meanings = {"hi": "greet"}
    await desk.hears("hi")
    await desk.works()
    said_now = await announced(desk, Notice("utter_article", {"title": "News"}, flow="suggestion"))
    assert len(said_now) == 2
    await desk.hears("Longer opening hours on Sundays, please.")
    await desk.works()
    assert desk.observed.handled[-1].effects != ()


async def test_its_flow_waits_for_the_one_under_way(desk: Desk) -> None:
    desk.nlu.meanings = {"where is my order": "order_status"}
    await desk.hears("where is my order")
    await desk.works()
    assert await announced(desk, Notice("utter_article", {"title": "News"}, flow="suggestion")) == ["News"]
    await desk.hears("cancel")
    await desk.works()
    assert any("idea" in text.lower() for _, text in (await desk.saw())[-2:])


async def test_it_is_said_while_a_person_is_waited_for_and_starts_nothing(desk: Desk) -> None:
    await converse(desk.store, "a person", "wait", user="v-1", effects=[RequestHandoff("customer_asked")])
    assert await announced(desk, Notice("utter_article", {"title": "News"}, flow="suggestion")) == ["News"]


async def test_on_other_channels_it_leaves_as_a_service_notice_even_while_an_operator_answers(
    store: SqlStore,
) -> None:
    desk = Desk(store)
    claimed = await converse(store, "hello", "hi", user="t", channel="telegram")
    await send_all(store)
    await store.database.run(
        lambda conn: conn.execute(update(conversations).values(owner="operator", fence=3)) and None
    )
    clock = SetClock(SystemClock().now())
    await tell(store, clock, claimed.conversation.customer.customer_id, Notice("utter_article", {"title": "News"}))
    await scheduler(store, clock).settle()
    await desk.works()
    assert await send_all(store) == ["News"]

    def lanes(conn: Connection) -> list[int]:
        return list(conn.execute(select(outbox.c.lane).order_by(outbox.c.id)).scalars())

    assert (await store.database.run(lanes))[-1] == 2
