"""A plan for paying later takes the place of the payment, once; reminders follow it, and what is paid ends it."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.errors import InputError, NotPermitted, RuleError
from bot.service.pay_plans import PayPlan, PlanRules
from bot.service.policy import ServicePolicy
from bot.service_types import AgreePayPlan
from bot.types import CustomerId, OpenCase
from crm_sync.dues import OpenDue, remind
from crm_sync.import_kinds import KINDS
from crm_sync.imports import import_file
from crm_sync.service_tables import dues, timers
from crm_sync.store import SqlStore
from desk.actors import Actor
from desk.pay_plans import PayPlanDesk
from tests.store_steps import START, SetClock, converse

TODAY = date(2026, 11, 22)
PARTS = PayPlan(parts=3, every_days=30).instalments(10_000, "2026-11-25", TODAY)
PLAN = AgreePayPlan({"b-1": PARTS}, "three_parts", "C-1024-7")


@pytest.fixture
async def owing(store: SqlStore, tmp_path: Path) -> SqlStore:
    """A store whose customer of the business's list, a signed-in visitor, owes one bill."""
    await bring(store, tmp_path, "customers", "key,name\nc-1,王芳\n")
    await bring(store, tmp_path, "dues", bill(""))
    return store


def bill(paid_on: str) -> str:
    return f"key,customer_key,kind,amount,currency,due_on,paid_on\nb-1,c-1,electricity,100,CNY,2026-11-25,{paid_on}\n"


async def bring(store: SqlStore, tmp_path: Path, kind: str, body: str) -> None:
    path = tmp_path / f"{kind}.csv"
    path.write_text(body)
    report = await import_file(store.database, KINDS[kind], path, now=lambda: START, again=True)
    assert not report.errors


async def agree(store: SqlStore, *, user: str = "u-c-1") -> CustomerId:
    claimed = await converse(store, "parts, please", "ok", user=user, effects=[PLAN])
    return claimed.conversation.customer.customer_id


async def all_dues(store: SqlStore) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(select(dues).order_by(dues.c.id))), read=True)


async def looked_at(store: SqlStore) -> list[str]:
    """Due days of the payments that a reminder would be thought of for."""
    seen: list[str] = []

    def note(due: OpenDue) -> None:
        seen.append(due.due_on)

    await store.database.run(
        lambda conn: remind(conn, after=0, today=TODAY, spread=(365, -365), decide=note, now=START) and None
    )
    return seen


def test_instalments_add_up_and_never_lie_in_the_past() -> None:
    assert [(part.amount_minor, part.due_on) for part in PARTS] == [
        (3334, "2026-11-25"),
        (3333, "2026-12-25"),
        (3333, "2027-01-24"),
    ]
    assert PayPlan(days=15).instalments(500, "2026-11-01", TODAY)[0].due_on == "2026-12-07"
    assert PayPlan().instalments(500, "soon", TODAY) == ()


async def test_instalments_take_the_place_of_the_payment_and_reminders_follow_them(owing: SqlStore) -> None:
    await agree(owing)
    whole, *parts = await all_dues(owing)
    assert whole.replaced_at is not None
    assert whole.details == {"plan": "three_parts", "case": "C-1024-7"}
    assert [(row.key, row.plan_of, row.details["part"]) for row in parts] == [
        (f"b-1#{place}", whole.id, f"{place}/3") for place in (1, 2, 3)
    ]
    assert await looked_at(owing) == ["2026-11-25", "2026-12-25", "2027-01-24"]
    seen = (await converse(owing, "bill", "ok", user="u-c-1")).conversation.customer.dues
    assert [due.key for due in seen] == ["b-1#1", "b-1#2", "b-1#3"]


async def test_a_plan_counts_once_and_never_for_somebody_elses_payment(owing: SqlStore) -> None:
    await agree(owing, user="mallory")
    assert len(await all_dues(owing)) == 1
    await agree(owing)
    await agree(owing)
    assert len(await all_dues(owing)) == 4


async def test_a_payment_that_is_paid_settles_what_is_left_of_its_plan(owing: SqlStore, tmp_path: Path) -> None:
    await agree(owing)
    await bring(owing, tmp_path, "dues", bill(""))  # the list still has it open: the plan stands
    assert len(await looked_at(owing)) == 3
    await bring(owing, tmp_path, "dues", bill("2026-12-01"))
    assert {row.paid_on for row in await all_dues(owing)} == {"2026-12-01"}
    assert await looked_at(owing) == []
    assert await agree(owing)
    assert len(await all_dues(owing)) == 4


async def test_staff_who_may_decide_grant_a_plan_for_a_class_that_has_none_at_once(owing: SqlStore) -> None:
    opened = OpenCase("C-1024-7", "payment_extension", "billing", "", 1, "more time", {"payment_plan": "three_parts"})
    await converse(owing, "more time to pay", "ok", user="u-c-1", effects=[opened])
    topics = replace(ServicePolicy().topics, plans=PlanRules({"three_parts": PayPlan(parts=3, every_days=30)}))
    policy = replace(ServicePolicy(), topics=topics)
    plans = PayPlanDesk(owing.database, lambda: policy, SetClock())
    with pytest.raises(NotPermitted):
        await plans.grant(Actor("li", "operator"), "C-1024-7")
    with pytest.raises(InputError, match="three_parts"):
        await plans.grant(Actor("lena", "lead"), "C-1024-7", "never")
    with pytest.raises(NotPermitted):
        await plans.choices(Actor("li", "operator"), "C-1024-7")
    (choice,) = await plans.choices(Actor("lena", "lead"), "C-1024-7")
    assert (choice.plan, choice.is_asked, choice.currency, choice.parts) == ("three_parts", True, "CNY", PARTS)
    granted = await plans.grant(Actor("lena", "lead"), "C-1024-7")
    assert await plans.choices(Actor("lena", "lead"), "C-1024-7") == (), "nothing is left to be granted"
    assert [part.amount_minor for part in granted.parts["b-1"]] == [3334, 3333, 3333]
    whole, *parts = await all_dues(owing)
    assert whole.details == {"plan": "three_parts", "case": "C-1024-7"}
    assert [(row.amount_minor, row.due_on) for row in parts] == [
        (p.amount_minor, p.due_on) for p in granted.parts["b-1"]
    ]
    (notice,) = await owing.database.run(lambda conn: conn.execute(select(timers.c.details)).scalars().all())
    assert notice["notice"]["template"] == "utter_notice_pay_plan"
    assert notice["notice"]["args"]["lines"].count("33.34") == 2, "in both languages"
    with pytest.raises(RuleError, match="nothing unpaid"):
        await plans.grant(Actor("lena", "lead"), "C-1024-7")
    assert len(await all_dues(owing)) == 4
