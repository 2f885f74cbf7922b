"""News that arises here: orders that move on, outages, new articles; who asked is told once, and nobody else."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from bot.service.policy import read_policy
from bot.service.topics import OwnTopics, TopicRules
from bot.service_types import ReportOutage, SubscribeTopic
from bot.types import ArticleDetails
from crm_sync import subscriptions
from crm_sync.imports import ImportReport, import_file
from crm_sync.outages import OutageLine
from crm_sync.service_tables import timers
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, customers
from desk.policies import put_policy
from frontdesk.feed_routes import write_outage
from frontdesk.own_news import orders_kind, store_articles, topic_rules
from frontdesk.scheduler import Scheduler
from frontdesk.signals import LocalSignals
from nlu.article_fields import Article
from tests.builders import shop
from tests.store_steps import START, SetClock, converse

ASSISTANTS = Path(__file__).parents[2] / "config" / "assistants"
SHANGHAI = ZoneInfo("Asia/Shanghai")
POLICY = read_policy(
    {
        "topics": {
            "subscribe": {
                "order": {},
                "outage": {"choices": {"east": {"zh": "东区", "en": "East"}, "west": {"zh": "西区"}}},
                "articles": {},
            }
        }
    }
)
RULES = POLICY.topics
FAULT = OutageLine("o1", area="东区", expected_end_at=START + timedelta(hours=3))
CARE = ArticleDetails(tags=("care",))
ZH = Article("brakes", "zh", "刹车保养", "每两年换一次刹车油。", details=CARE)
EN = Article(
    "brakes", "en", "Looking after brakes", "Change the fluid every two years.", details=ArticleDetails(tags=("care",))
)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    store = await SqlStore.open(store_url, clock=clock)
    yield store
    await store.close()


async def _subscribed(store: SqlStore, user: str, *wishes: tuple[str, str]) -> int:
    effects = [SubscribeTopic(topic, wanted=True, source="chat", match=match) for topic, match in wishes]
    claimed = await converse(store, "tell me", "ok", user=user, channel="telegram", effects=effects)
    return int(claimed.conversation.customer.customer_id)


async def _set(store: SqlStore, statement: Any) -> None:
    def unit(conn: Any) -> None:
        conn.execute(statement)

    await store.database.run(unit)


async def _notices(store: SqlStore, clock: SetClock) -> list[tuple[int, str, Mapping[str, str]]]:
    """Customer, template and args of all that was told, after three schedulers have looked."""
    await asyncio.gather(*(Scheduler(store, LocalSignals(), clock, lambda: _ASSISTANT).settle() for _ in range(3)))
    await Scheduler(store, LocalSignals(), clock, lambda: _ASSISTANT).settle()

    def read(conn: Any) -> list[Any]:
        return list(conn.execute(select(timers).where(timers.c.kind == "notice").order_by(timers.c.id)))

    rows = await store.database.run(read)
    return [(row.customer_id, row.details["notice"]["template"], row.details["notice"]["args"]) for row in rows]


async def _told(store: SqlStore, clock: SetClock) -> list[tuple[int, str]]:
    return sorted((customer, template) for customer, template, _ in await _notices(store, clock))


_ASSISTANT = replace(shop(), service=POLICY)

OWNERS = (("SO-77", "ann"), ("78", "bob"), ("79", "cai"))

# --- orders -------------------------------------------------------------------------------------------------------


async def _orders(store: SqlStore, tmp_path: Path, *lines: str, rules: TopicRules = RULES, **more: Any) -> ImportReport:
    path = tmp_path / "orders.csv"
    path.write_text("\n".join(["order_number,channel,external_id,status,expected_at", *lines]))
    kind = orders_kind(rules, SHANGHAI)
    return await import_file(store.database, kind, path, again=True, now=lambda: START, **more)


async def test_an_owner_hears_once_of_each_new_status_and_nobody_of_somebody_elses_order(
    timed: SqlStore, clock: SetClock, tmp_path: Path
) -> None:
    ann = await _subscribed(timed, "ann", ("order", ""), ("order", "77"))
    bob = await _subscribed(timed, "bob", ("order", ""), ("order", "77"))
    cai = await _subscribed(timed, "cai", ("order", "so77"))
    await _orders(timed, tmp_path, *(f"{number},telegram,{user},paid," for number, user in OWNERS))
    assert await _notices(timed, clock) == []  # a first listing changes no status
    moved = [f"{number},telegram,{user},shipped,2026-12-01 09:00" for number, user in OWNERS]
    assert (await _orders(timed, tmp_path, *moved, dry_run=True)).updated == len(OWNERS)
    assert await _notices(timed, clock) == []
    for _ in range(2):
        await _orders(timed, tmp_path, *moved)
    args = {"status": "@word:order_status:shipped", "expected": "@day:2026-12-01"}
    assert await _notices(timed, clock) == [
        (ann, "utter_order_news_expected", {**args, "order_number": "SO-77"}),
        (bob, "utter_order_news_expected", {**args, "order_number": "78"}),
    ]
    assert cai not in {customer for customer, _ in await _told(timed, clock)}
    await _orders(
        timed, tmp_path, "SO-77,telegram,ann,delivered,2026-12-01 09:00", "78,telegram,bob,shipped,2026-12-02 09:00"
    )
    assert (await _notices(timed, clock))[2:] == [
        (ann, "utter_order_news", {"order_number": "SO-77", "status": "@word:order_status:delivered"})
    ]


async def test_without_a_topic_for_orders_or_after_stopping_nobody_is_told(
    timed: SqlStore, clock: SetClock, tmp_path: Path
) -> None:
    await _subscribed(timed, "ann", ("order", ""))
    await _orders(timed, tmp_path, "77,telegram,ann,paid,")
    await _orders(timed, tmp_path, "77,telegram,ann,packed,", rules=TopicRules())
    stop = [SubscribeTopic("*", wanted=False, source="chat")]
    await converse(timed, "stop", "ok", user="ann", channel="telegram", effects=stop)
    await _orders(timed, tmp_path, "77,telegram,ann,shipped,")
    assert await _notices(timed, clock) == []


async def test_rules_put_into_the_store_name_the_topics(timed: SqlStore, tmp_path: Path) -> None:
    folder = tmp_path / "stations"
    assert await topic_rules(timed, folder) == TopicRules()
    shutil.copytree(ASSISTANTS / "power", folder)
    assert (await topic_rules(timed, folder)).own == OwnTopics(outages="outage")
    document = {"topics": {"subscribe": {"parcels": {}}, "own": {"orders": "parcels"}}}
    await put_policy(timed.database, "stations", document, note="", author="li", now=START)
    assert (await topic_rules(timed, folder)).own == OwnTopics(orders="parcels")


# --- outages ------------------------------------------------------------------------------------------------------


async def _outage(
    store: SqlStore, line: OutageLine, *, over: bool = False, rules: TopicRules = RULES, now: datetime = START
) -> None:
    ended_at = START + timedelta(hours=4) if over else None
    await store.database.run(partial(write_outage, line, ended_at, rules, now))


async def test_subscribers_of_the_area_hear_of_an_outage_its_new_end_and_its_end_and_reporters_not_twice(
    timed: SqlStore, clock: SetClock
) -> None:
    ann = await _subscribed(timed, "ann", ("outage", "east"))
    bob = await _subscribed(timed, "bob", ("outage", ""), ("outage", "东区"))
    await _subscribed(timed, "cai", ("outage", "west"))
    report = ReportOutage(None, address="东区")
    await converse(timed, "no power", "ok", user="bob", channel="telegram", effects=[report])
    for _ in range(2):
        await _outage(timed, FAULT)
    assert await _told(timed, clock) == sorted([(ann, "utter_outage_known"), (bob, "utter_outage_expected")])
    later = replace(FAULT, expected_end_at=START + timedelta(hours=5))
    for _ in range(2):
        await _outage(timed, later)
    assert len(await _told(timed, clock)) == 4
    for _ in range(2):
        await _outage(timed, later, over=True)
    assert (await _notices(timed, clock))[4:] == [
        (bob, "utter_outage_over", {"area": "东区", "end": f"@time:{(START + timedelta(hours=4)).isoformat()}"}),
        (ann, "utter_outage_over", {"area": "东区", "end": f"@time:{(START + timedelta(hours=4)).isoformat()}"}),
    ]


async def test_an_end_that_is_put_back_to_what_it_was_is_a_change_and_told_again(
    timed: SqlStore, clock: SetClock
) -> None:
    await _subscribed(timed, "ann", ("outage", ""))
    report = ReportOutage(None, address="东区")
    await converse(timed, "no power", "ok", user="bob", channel="telegram", effects=[report])
    for minute, hours in enumerate((3, 5, 3)):
        line = replace(FAULT, expected_end_at=START + timedelta(hours=hours))
        for _ in range(2):
            await _outage(timed, line, now=START + timedelta(minutes=minute))
    clock.advance(minutes=3)
    assert Counter(template for _, template in await _told(timed, clock)) == {
        "utter_outage_known": 3,
        "utter_outage_expected": 3,
    }


async def test_planned_work_is_told_as_such_and_an_outage_without_a_name_or_a_topic_to_nobody(
    timed: SqlStore, clock: SetClock
) -> None:
    ann = await _subscribed(timed, "ann", ("outage", ""))
    await _outage(timed, OutageLine("o0", latitude=38.8, longitude=115.4))
    await _outage(timed, replace(FAULT, key="o9"), rules=TopicRules())
    planned = replace(FAULT, key="p1", kind="planned", expected_end_at=None)
    await _outage(timed, planned)
    await _outage(timed, planned, over=True)
    told = [(customer, template) for customer, template, _ in await _notices(timed, clock)]
    assert told == [(ann, "utter_outage_planned_open"), (ann, "utter_outage_planned_over")]


async def test_many_subscribers_are_told_in_steps_and_none_is_left_out(
    timed: SqlStore, clock: SetClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(subscriptions, "CHUNK", 2)
    people = [await _subscribed(timed, f"user{number}", ("outage", "")) for number in range(5)]
    await _outage(timed, FAULT)
    assert await _told(timed, clock) == [(customer, "utter_outage_known") for customer in sorted(people)]


# --- articles -----------------------------------------------------------------------------------------------------


async def _articles(store: SqlStore, *articles: Article, **more: Any) -> int:
    told: dict[str, Any] = {"known": frozenset(), "rules": RULES, "now": START, **more}
    return await store_articles(store, "shop", articles, **told)


async def test_a_new_article_is_told_once_to_who_asked_for_its_tag_and_an_edit_to_nobody(
    timed: SqlStore, clock: SetClock
) -> None:
    ann = await _subscribed(timed, "ann", ("articles", "care"), ("articles", ""))
    await _subscribed(timed, "bob", ("articles", "tyres"))
    await _articles(timed, replace(ZH, id="seeded"), known=frozenset({"seeded"}))
    assert await asyncio.gather(*(_articles(timed, ZH, EN) for _ in range(2))) == [2, 2]
    await _articles(timed, replace(ZH, title="刹车"))
    title = {"title": "@zh:刹车保养|@en:Looking after brakes"}
    assert await _notices(timed, clock) == [(ann, "utter_article_news", title)]
    assert len(await timed.articles("shop")) == 3


async def test_an_article_in_one_language_is_not_told_to_who_reads_another(timed: SqlStore, clock: SetClock) -> None:
    ann = await _subscribed(timed, "ann", ("articles", ""))
    bob = await _subscribed(timed, "bob", ("articles", ""))
    await _set(timed, update(conversations).values(language=None))
    await _set(timed, update(customers).where(customers.c.id == ann).values(language="zh-CN"))
    await _set(timed, update(customers).where(customers.c.id == bob).values(language="zh-CN"))
    await _set(timed, update(conversations).where(conversations.c.customer_id == bob).values(language="en"))
    await _articles(timed, EN)
    assert await _told(timed, clock) == [(bob, "utter_article_news")]
    await _articles(timed, replace(ZH, id="no-topic"), rules=TopicRules())
    assert len(await _told(timed, clock)) == 1
