"""What cases teach: spikes are said once per period, causes are counted where they come back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, insert, select

from bot.errors import InputError, NotPermitted
from bot.service.cases import SpikeRules
from bot.service.policy import read_policy
from crm_sync.console_tables import staff_notices
from crm_sync.service_tables import assets, case_alerts, sites
from crm_sync.store import SqlStore
from crm_sync.tables import cases, customers, staff_users
from desk.actors import Actor
from desk.learning import find_spikes, open_alerts, period_starts, repeated_causes, see_alert
from frontdesk.report_summaries import look_for_spikes
from frontdesk.scheduler import Context
from tests.builders import shop
from tests.store_steps import START

ZONE = "Asia/Shanghai"
LI = Actor("li", "operator")
RULES = SpikeRules(sigma=3, least=5, count=50, periods=7)


async def _opened(store: SqlStore, moments: Sequence[datetime], **more: Any) -> None:
    """One complaint at each of these moments."""

    def unit(conn: Connection) -> None:
        known = conn.execute(select(customers.c.id)).scalar()
        customer = known or conn.execute(insert(customers).values(created_at=START)).inserted_primary_key[0]  # type: ignore[index]
        taken = len(conn.execute(select(cases.c.id)).all())
        rows = [
            {
                "number": f"N{taken + place}",
                "customer_id": customer,
                "kind": "complaint",
                "category": "fuel",
                "subject": f"s{taken + place}",
                "severity": 1,
                "status": "received",
                "summary": "",
                "details": {},
                "is_open": True,
                "opened_at": at,
                "updated_at": at,
                **more,
            }
            for place, at in enumerate(moments)
        ]
        conn.execute(insert(cases), rows)

    await store.database.run(unit)


async def _site(store: SqlStore) -> int:
    row = {"key": "bd", "names": {"zh": "保定路站"}, "updated_at": START}
    return await store.database.run(lambda conn: int(conn.execute(insert(sites).values(row)).inserted_primary_key[0]))  # type: ignore[index]


def _days_ago(days: float, many: int) -> list[datetime]:
    return [START - timedelta(days=days, minutes=minute) for minute in range(many)]


def test_periods_begin_at_midnight_of_the_business() -> None:
    starts = period_starts(RULES, START, ZONE)
    assert len(starts) == 8
    assert starts[-1].isoformat() == "2026-11-21T16:00:00+00:00"
    weeks = period_starts(SpikeRules(period="week", periods=2), START, ZONE)
    assert [start.astimezone(START.tzinfo).date().isoformat() for start in weeks] == [
        "2026-11-01",
        "2026-11-08",
        "2026-11-15",
    ]


async def test_more_than_usual_is_said_once_in_a_period_and_again_in_the_next(store: SqlStore) -> None:
    for day in range(1, 8):
        await _opened(store, _days_ago(day, 1))
    await _opened(store, _days_ago(0, 6))
    assert await find_spikes(store.database, RULES, START, ZONE) == 1
    assert await find_spikes(store.database, RULES, START + timedelta(hours=1), ZONE) == 0
    (alert,) = await open_alerts(store.database, LI)
    assert (alert["category"], alert["count"], alert["expected"], alert["site_id"]) == ("fuel", 6, 1.0, None)
    tomorrow = START + timedelta(days=1)
    await _opened(store, [tomorrow - timedelta(minutes=minute) for minute in range(12)])
    assert await find_spikes(store.database, RULES, tomorrow, ZONE) == 1


async def test_who_leads_a_team_hears_of_what_stands_out_once(sqlite_url: str) -> None:
    store = await SqlStore.open(sqlite_url)
    account = {"name": "wang", "role": "lead", "password_hash": "x", "created_at": START, "password_changed_at": START}
    await store.database.run(lambda conn: conn.execute(insert(staff_users).values(**account)) and None)
    await _opened(store, _days_ago(0, 6))
    routing = {"teams": {"care": {"lead": "wang"}}, "manager": "nobody"}
    policy = read_policy({"routing": routing, "cases": {"spikes": {"least": 5, "count": 6}}})
    for hours in (0, 1):
        at = START + timedelta(hours=hours)
        await look_for_spikes(store, Context(at, policy, shop()), timezone=ZONE)
    kinds = await store.database.run(lambda conn: conn.execute(select(staff_notices.c.kind)).scalars().all())
    assert list(kinds) == ["case_spike"]
    await store.close()


async def test_as_many_as_ever_is_no_spike(store: SqlStore) -> None:
    for day in range(8):
        await _opened(store, _days_ago(day, 6))
    assert await find_spikes(store.database, RULES, START, ZONE) == 0


async def test_one_site_stands_out_although_all_together_do_not(store: SqlStore) -> None:
    site = await _site(store)
    for day in range(1, 8):
        await _opened(store, _days_ago(day, 30))
    await _opened(store, _days_ago(0, 6), site_id=site)
    assert await find_spikes(store.database, RULES, START, ZONE) == 1
    assert [alert["site_id"] for alert in await open_alerts(store.database, LI)] == [site]


async def test_a_product_that_fails_more_often_is_named(store: SqlStore) -> None:
    row = {"kind": "vehicle", "key": "k", "name": "Model 7", "updated_at": START}
    asset = await store.database.run(
        lambda conn: conn.execute(insert(assets).values(row)).inserted_primary_key[0]  # type: ignore[index]
    )
    await _opened(store, _days_ago(0, 5), asset_id=asset)
    await find_spikes(store.database, RULES, START, ZONE)
    assert "Model 7" in [alert["product"] for alert in await open_alerts(store.database, LI)]


async def test_an_alert_is_seen_by_one(store: SqlStore) -> None:
    await _opened(store, _days_ago(0, 5))
    await find_spikes(store.database, RULES, START, ZONE)
    (row,) = await store.database.run(lambda conn: conn.execute(select(case_alerts)).all())
    assert await see_alert(store.database, LI, row.id, START)
    assert not await see_alert(store.database, LI, row.id, START)
    assert await open_alerts(store.database, LI) == []


async def test_causes_are_counted_by_site_with_what_became_of_them(store: SqlStore) -> None:
    site = await _site(store)
    await _opened(store, _days_ago(1, 3), site_id=site, cause="wear", score=2, reopened=1)
    await _opened(store, _days_ago(1, 2), cause="wear", score=4)
    await _opened(store, _days_ago(1, 1), cause="delay")
    since = START - timedelta(days=7)
    (found, _) = await repeated_causes(store.database, LI, since, START, by="site")
    assert (found.cause, found.site, found.count, found.reopened, found.score) == ("wear", "bd", 3, 3, 2.0)
    (together,) = await repeated_causes(store.database, LI, since, START)
    assert (together.count, together.score) == (5, 2.8)


async def test_what_cannot_be_counted_is_said(store: SqlStore) -> None:
    with pytest.raises(InputError, match="not by"):
        await repeated_causes(store.database, LI, START - timedelta(days=1), START, by="mood")
    with pytest.raises(InputError, match="ends"):
        await repeated_causes(store.database, LI, START, START)
    with pytest.raises(NotPermitted):
        await repeated_causes(store.database, Actor("x", "robot"), START, START)
