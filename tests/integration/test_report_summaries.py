"""The summary goes out once when its hour has come: to accounts as a notice, to chats in words."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from bot.errors import AssistantInvalid
from bot.service.policy import ServicePolicy, read_policy
from bot.service.report_rules import Summary
from crm_sync.console_tables import staff_notices
from crm_sync.service_tables import case_alerts, timers
from crm_sync.staff import add_user
from crm_sync.store import SqlStore
from crm_sync.tables import cases, customers
from frontdesk.report_summaries import count_reports, report_jobs, send_summaries
from frontdesk.scheduler import Context
from tests.builders import shop
from tests.store_steps import SetClock, converse

MONDAY_8 = datetime(2026, 11, 30, 0, 5, tzinfo=UTC)  # five past eight in Shanghai
ZONE = "Asia/Shanghai"
RULES = {
    "routing": {"teams": {"care": {"title": {"zh": "客服", "en": "Care"}, "members": ["li"], "lead": "lena"}}},
    "reports": {
        "summaries": {
            "weekly": {
                "to": ["max", "care"],
                "chats": ["telegram/default/boss", "telegram/main/nobody"],
                "language": "en",
            }
        }
    },
}


def context(at: datetime, policy: ServicePolicy) -> Context:
    return Context(at, policy, replace(shop(), service=policy))


async def rows(store: SqlStore, table: Any) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(select(table).order_by(table.c.id))), read=True)


async def test_everything_that_counts_by_days_does_so_by_those_of_the_business(store: SqlStore) -> None:
    """Six complaints since midnight in Auckland, where the assistant's own hours are those of Shanghai."""
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)  # one in the morning of the 26th there
    rules = read_policy({"cases": {"spikes": {"least": 5, "count": 6}}})

    def unit(conn: Connection) -> None:
        customer = conn.execute(insert(customers).values(created_at=now)).inserted_primary_key[0]  # type: ignore[index]
        for number in range(6):
            at = now - timedelta(minutes=number)
            row = {"number": f"N{number}", "customer_id": customer, "kind": "complaint", "category": "fuel"}
            times = {"opened_at": at, "updated_at": at, "is_open": True, "severity": 1, "status": "received"}
            conn.execute(insert(cases).values(**row, **times, subject=f"s{number}", summary="", details={}))

    await store.database.run(unit)
    (job,) = [job for job in report_jobs("Pacific/Auckland") if job.name == "case_spikes"]
    await job.work(store, context(now, rules))
    (alert,) = await rows(store, case_alerts)
    assert alert.period_from == datetime(2026, 11, 25, 11, tzinfo=UTC)


async def test_on_monday_morning_everybody_named_hears_of_the_week_once(store_url: str) -> None:
    store = await SqlStore.open(store_url, clock=SetClock(datetime(2026, 11, 25, 3, tzinfo=UTC)))
    for name in ("max", "li", "lena", "zoe"):
        await add_user(store.database, name, "manager")
    await converse(store, "hello", "hi", user="boss", channel="telegram", direct=False)
    policy = read_policy(RULES)
    await send_summaries(
        store, context(MONDAY_8.replace(hour=23, day=29), policy), timezone=ZONE
    )  # Monday, but before eight
    assert await rows(store, staff_notices) == []
    for minutes in (5, 15):
        await send_summaries(store, context(MONDAY_8.replace(minute=minutes), policy), timezone=ZONE)
    found = await rows(store, staff_notices)
    assert sorted(row.user_id for row in found) == [1, 2, 3]
    assert {(row.kind, row.reference) for row in found} == {("report_summary", "2026-11-23:2026-11-30")}
    (notice,) = [row for row in await rows(store, timers) if row.kind == "notice"]
    words = notice.details["notice"]["args"]["summary"]
    assert words.splitlines()[0] == "Summary of 2026-11-23 to 2026-11-29"
    assert "Conversations rose from 0 to 1." in words
    assert "Complaints" not in words
    await store.close()


async def test_counting_in_the_background_leaves_little_for_whoever_looks(store_url: str) -> None:
    store = await SqlStore.open(store_url, clock=SetClock(datetime(2026, 11, 25, 3, tzinfo=UTC)))
    await converse(store, "hello", "hi")
    await count_reports(store, context(MONDAY_8, read_policy({})), timezone=ZONE)
    await count_reports(store, context(MONDAY_8, read_policy({})), timezone=ZONE)
    counted = await store.database.run(lambda conn: conn.exec_driver_sql("SELECT messages_in FROM report_days").all())
    assert [row[0] for row in counted] == [1]
    await store.close()


@pytest.mark.parametrize(
    ("every", "now", "span"),
    [
        ("day", datetime(2026, 3, 3, 8, tzinfo=UTC), (date(2026, 3, 2), date(2026, 3, 3))),
        ("day", datetime(2026, 3, 3, 7, 59, tzinfo=UTC), None),
        ("week", datetime(2026, 3, 2, 9, tzinfo=UTC), (date(2026, 2, 23), date(2026, 3, 2))),
        ("week", datetime(2026, 3, 3, 9, tzinfo=UTC), None),
        ("month", datetime(2026, 3, 1, 9, tzinfo=UTC), (date(2026, 2, 1), date(2026, 3, 1))),
        ("month", datetime(2026, 3, 2, 9, tzinfo=UTC), None),
    ],
)
def test_a_summary_is_about_the_whole_time_that_has_just_ended(every: Any, now: datetime, span: Any) -> None:
    assert Summary("s", ("max",), every=every, at=time(8)).period(now) == span


@pytest.mark.parametrize(
    "summary",
    [
        {},
        {"to": ["max"], "every": "hour"},
        {"to": ["max"], "weekday": 8},
        {"to": ["max"], "at": "25:00"},
        {"to": ["max"], "language": "fr"},
        {"chats": ["telegram"]},
        {"to": ["max"], "often": True},
    ],
)
def test_rules_that_make_no_sense_are_refused(summary: dict[str, Any]) -> None:
    with pytest.raises(AssistantInvalid):
        read_policy({"reports": {"summaries": {"weekly": summary}}})
    with pytest.raises(AssistantInvalid):
        read_policy({"knowledge": {"four_eyes": "yes"}})
