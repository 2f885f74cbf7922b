"""What a turn decides beyond replying, and what the next turn then knows."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, insert, select

from bot.types import (
    AddTimeline,
    CreateTask,
    CustomerSnapshot,
    Effect,
    Need,
    OpenCase,
    Owner,
    RecordConsent,
    ReleaseHandoff,
    RequestHandoff,
    UpdateCase,
    UpdateCustomer,
)
from crm_sync.customers import customer_record
from crm_sync.merge_evidence import CHECK
from crm_sync.service_tables import audit, timers
from crm_sync.store import SqlStore
from crm_sync.tables import case_events, cases, consents, conversations, handoffs, orders, timeline
from tests.store_steps import START, converse, said, take_turn


def _complaint(number: str = "C-1024-7", *, severity: int = 2, subject: str = "2391", **details: str) -> OpenCase:
    return OpenCase(number, "complaint", "delivery", subject, severity, "parcel late", details)


async def _with(store: SqlStore, *effects: Effect, user: str = "ann", channel: str = "web") -> None:
    await converse(store, "hi", "ok", effects=effects, user=user, channel=channel)


async def _snapshot(store: SqlStore, user: str = "ann", channel: str = "web") -> CustomerSnapshot:
    await store.accept([said("look", user=user, channel=channel)])
    claimed = await take_turn(store)
    return claimed.conversation.customer


async def _all(store: SqlStore, table: Any) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(select(table).order_by(table.c.id))))


async def test_an_opened_case_is_in_the_next_snapshot_and_in_the_record(store: SqlStore) -> None:
    await _with(store, _complaint(what_happened="不见了\x00", wish="refund"))
    snapshot = await _snapshot(store)
    (case,) = snapshot.cases
    assert (case.number, case.kind, case.category, case.subject) == ("C-1024-7", "complaint", "delivery", "2391")
    assert (case.severity, case.status, case.is_open) == (2, "received", True)
    assert case.details == {"what_happened": "不见了\x00", "wish": "refund"}
    record = await customer_record(store.database, snapshot.customer_id)
    assert [event["kind"] for event in record["cases"][0]["events"]] == ["opened"]
    assert "complaint_opened" in [line["kind"] for line in record["timeline"]]


async def test_the_same_complaint_again_updates_the_open_case(store: SqlStore) -> None:
    await _with(store, _complaint(severity=2, wish="refund"))
    await _with(store, _complaint("C-1025-4", severity=3, contact="138"))
    await _with(store, _complaint("C-1026-1", severity=1))
    (case,) = (await _snapshot(store)).cases
    assert (case.number, case.severity, case.details) == ("C-1024-7", 3, {"wish": "refund", "contact": "138"})
    assert [row.kind for row in await _all(store, case_events)] == ["opened", "updated", "updated"]


async def test_another_subject_or_another_customer_is_another_case(store: SqlStore) -> None:
    await _with(store, _complaint("C-1-9"))
    await _with(store, _complaint("C-2-8", subject="2392"))
    await _with(store, _complaint("C-3-7"), user="bob")
    assert len(await _all(store, cases)) == 3


async def test_a_closed_case_does_not_swallow_a_new_complaint(store: SqlStore) -> None:
    await _with(store, _complaint("C-1-9"))
    await _with(store, UpdateCase("C-1-9", note="never mind", status="withdrawn"))
    await _with(store, _complaint("C-2-8"))
    assert [(case.number, case.is_open) for case in (await _snapshot(store)).cases] == [
        ("C-2-8", True),
        ("C-1-9", False),
    ]


async def test_reopening_next_to_an_open_twin_leaves_the_twin_to_carry_on(store: SqlStore) -> None:
    await _with(store, _complaint("C-1-9"))
    await _with(store, UpdateCase("C-1-9", status="withdrawn"))
    await _with(store, _complaint("C-2-8"))
    await _with(store, UpdateCase("C-1-9", note="again", status="reopened"))
    assert sum(case.is_open for case in (await _snapshot(store)).cases) == 1


async def test_a_number_alone_gives_no_right_to_somebody_elses_case(store: SqlStore) -> None:
    await _with(store, _complaint("C-1024-7", wish="refund"))
    await _with(store, UpdateCase("C-1024-7", note="hijack", status="withdrawn"), user="mallory")
    mallory = (await _snapshot(store, user="mallory")).customer_id
    assert await store.fetch([Need("case", "C-1024-7")], mallory) == {Need("case", "C-1024-7"): None}
    ann = await _snapshot(store)
    assert ann.cases[0].is_open
    for spelling in ("C-1024", "c1024-7", "1024"):
        answer = await store.fetch([Need("case", spelling)], ann.customer_id)
        assert answer[Need("case", spelling)].number == "C-1024-7"


async def test_asking_for_a_person_queues_the_conversation_and_lets_earlier_replies_leave(store: SqlStore) -> None:
    await _with(store, RequestHandoff("asked", urgency=2))
    await _with(store, RequestHandoff("asked again", urgency=4))
    (row,) = await _all(store, conversations)
    assert (row.owner, row.fence) == (Owner.QUEUE, 0)
    (handoff,) = await _all(store, handoffs)
    assert (handoff.urgency, handoff.ended_at) == (4, None)


async def test_no_longer_waiting_gives_the_conversation_back_to_the_bot(store: SqlStore) -> None:
    await _with(store, RequestHandoff("asked"))
    await _with(store, ReleaseHandoff())
    (row,) = await _all(store, conversations)
    assert row.owner == Owner.BOT
    assert (await _all(store, handoffs))[0].ended_at is not None


async def test_consent_is_a_history_and_the_snapshot_knows_what_holds_now(store: SqlStore) -> None:
    await _with(store, RecordConsent("news", True, "chat:subscribe_news"))
    assert (await _snapshot(store)).consents == {"news": True}
    await _with(store, RecordConsent("news", False, "chat:stop"))
    assert (await _snapshot(store)).consents == {"news": False}
    first, second = await _all(store, consents)
    assert (first.granted, second.granted) == (True, False)
    assert first.until is not None
    assert second.until is None


async def test_consent_on_one_channel_says_nothing_about_another(store: SqlStore) -> None:
    await _with(store, RecordConsent("news", True, "x"), channel="web")
    assert (await _snapshot(store, channel="telegram")).consents == {}


async def test_an_open_task_of_the_same_kind_is_updated(store: SqlStore) -> None:
    await _with(store, CreateTask("callback", "call today", START, {"phone": "1"}))
    await _with(store, CreateTask("callback", "call tomorrow", START + timedelta(days=1), {"time": "9"}))
    await _with(store, CreateTask("invoice", "send it"))
    snapshot = await _snapshot(store)
    assert sorted(snapshot.open_tasks) == ["callback", "invoice"]
    record = await customer_record(store.database, snapshot.customer_id)
    callback = next(task for task in record["tasks"] if task["kind"] == "callback")
    assert (callback["summary"], callback["details"]) == ("call tomorrow", {"phone": "1", "time": "9"})


async def test_told_facts_fill_the_record_and_empty_ones_leave_it(store: SqlStore) -> None:
    await _with(store, UpdateCustomer(name="王芳", phone="+8613800000001", email="w@x.cn"))
    await _with(store, UpdateCustomer(language="zh"))
    customer = await _snapshot(store)
    assert (customer.name, customer.phone, customer.email, customer.language) == (
        "王芳",
        "+8613800000001",
        "w@x.cn",
        "zh",
    )
    assert not customer.phone_is_verified


async def test_a_number_told_in_passing_does_not_displace_a_proven_one(store: SqlStore) -> None:
    await _with(store, UpdateCustomer(phone="+861", phone_is_verified=True))
    await _with(store, UpdateCustomer(phone="+862"))
    customer = await _snapshot(store)
    assert (customer.phone, customer.phone_is_verified) == ("+861", True)
    await _with(store, UpdateCustomer(phone="+863", phone_is_verified=True))
    assert (await _snapshot(store)).phone == "+863"


async def test_orders_are_seen_by_their_owner_or_a_proven_phone_only(store: SqlStore) -> None:
    await _with(store, UpdateCustomer(phone="+8613800000001"))
    ann = (await _snapshot(store)).customer_id
    rows = [
        {"number": "1", "customer_id": ann, "phone": "", "status": "shipped", "updated_at": START},
        {"number": "2", "customer_id": None, "phone": "+8613800000001", "status": "paid", "updated_at": START},
        {"number": "3", "customer_id": None, "phone": "+8613800000009", "status": "paid", "updated_at": START},
    ]
    await store.database.run(lambda conn: conn.execute(insert(orders), rows) and None)
    assert [order.number for order in (await _snapshot(store)).orders] == ["1"]
    assert (await store.fetch([Need("order", "2")], ann))[Need("order", "2")] is None
    await _with(store, UpdateCustomer(phone="+8613800000001", phone_is_verified=True))
    assert {order.number for order in (await _snapshot(store)).orders} == {"1", "2"}
    assert (await store.fetch([Need("order", " 2 ")], ann))[Need("order", " 2 ")].status == "paid"
    assert (await store.fetch([Need("order", "3")], ann))[Need("order", "3")] is None


async def test_a_snapshot_holds_the_ten_newest_orders_and_cases(store: SqlStore) -> None:
    ann = (await _snapshot(store)).customer_id
    rows = [
        {
            "number": str(n),
            "customer_id": ann,
            "status": "paid",
            "placed_at": START + timedelta(days=n),
            "updated_at": START,
        }
        for n in range(14)
    ]
    await store.database.run(lambda conn: conn.execute(insert(orders), rows) and None)
    for n in range(12):
        await _with(store, _complaint(f"C-{n}-0", subject=str(n)))
    snapshot = await _snapshot(store)
    assert [order.number for order in snapshot.orders] == [str(n) for n in range(13, 3, -1)]
    assert [case.number for case in snapshot.cases] == [f"C-{n}-0" for n in range(11, 1, -1)]


async def test_effects_of_many_conversations_in_one_commit_stay_apart(store: SqlStore) -> None:
    from tests.store_steps import decided

    users = [f"u{n}" for n in range(6)]
    await store.accept([said("hi", user=user) for user in users])
    claims = await store.claim("w", 10)
    commits = [decided(claimed, "ok", effects=[_complaint(f"C-{place}-0")]) for place, claimed in enumerate(claims)]
    assert all(item.ok for item in await store.commit(commits))
    owners = await store.database.run(
        lambda conn: conn.execute(select(func.count(cases.c.customer_id.distinct()))).scalar_one()
    )
    assert owners == 6


async def test_what_is_told_again_changes_nothing_and_is_written_nowhere(store: SqlStore) -> None:
    told = UpdateCustomer(name="Ann", phone="+8613800000001")

    async def written() -> tuple[int, int, int]:
        checks = [timer for timer in await _all(store, timers) if timer.kind == CHECK]
        notes = [line for line in await _all(store, timeline) if line.kind == "customer_updated"]
        return len(checks), len(notes), len(await _all(store, audit))

    await _with(store, told, user="bob")
    await _with(store, told)
    assert await written() == (1, 2, 2)
    await _with(store, told)
    assert await written() == (1, 2, 2)
    await _with(store, UpdateCustomer(phone="+8613800000001", phone_is_verified=True))
    assert await written() == (2, 3, 3), "newly proven"
    assert (await _all(store, audit))[-1].fields == ["phone"]
    await _with(store, UpdateCustomer(phone="+8613800000001", phone_is_verified=True))
    await _with(store, told)
    assert await written() == (2, 3, 3)
    await _with(store, UpdateCustomer(name="Anna"))
    assert await written() == (2, 4, 4), "a name finds nobody"
    assert (await _all(store, audit))[-1].action == "correct"


async def test_every_effect_leaves_a_line_in_the_timeline(store: SqlStore) -> None:
    await _with(
        store,
        _complaint(),
        UpdateCase("C-1024-7", note="more"),
        RequestHandoff("asked"),
        ReleaseHandoff(),
        RecordConsent("news", True, "x"),
        CreateTask("callback", "call"),
        UpdateCustomer(name="Ann"),
        AddTimeline("praise", "kind staff"),
    )
    record = await customer_record(store.database, (await _snapshot(store)).customer_id)
    kinds = [line["kind"] for line in record["timeline"]]
    assert kinds[:10] == [
        "message_in",
        "complaint_opened",
        "complaint_updated",
        "handoff_requested",
        "handoff_released",
        "consent_granted",
        "task_created",
        "customer_updated",
        "praise",
        "message_out",
    ]
