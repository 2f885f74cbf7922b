"""A night's work on the record: figures and ranks of everybody, follow-ups once per occasion, and what they brought."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
import structlog
from sqlalchemy import Connection, insert, select, update

from bot.service.policy import read_policy
from bot.types import OpenCase
from crm_sync import care
from crm_sync.service_tables import customer_values, surveys, visits
from crm_sync.staff import add_user
from crm_sync.store import SqlStore
from crm_sync.tables import cases, customers, tasks
from crm_sync.tasks import end_task
from frontdesk.caring import assignee_of, compute, look_after
from tests.staff import disable_user
from tests.store_steps import START, converse

DAY = timedelta(days=1)
RULE = {"name": "missed", "signal": "no_visit", "level": 1.5, "assignee": "li"}
POLICY = read_policy(
    {
        "care": {
            "rules": [
                RULE,
                {"name": "falling", "signal": "falling_amount", "level": 0.5},
                {"name": "unanswered", "signal": "unanswered_complaint", "level": 24},
                {"name": "low", "signal": "low_score", "level": 2},
            ]
        }
    }
)


def _customer(conn: Connection, name: str, *days_ago: float, amount: int = 100, language: str = "zh") -> int:
    row = conn.execute(insert(customers).values(name=name, language=language, created_at=START))
    owner: int = row.inserted_primary_key[0]  # type: ignore[index]  # one row, one key
    for days in days_ago:
        values = {"customer_id": owner, "at": START - days * DAY, "amount_minor": amount, "currency": "CNY"}
        conn.execute(insert(visits), values)
    return owner


async def _all(store: SqlStore, table: Any) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(select(table))), read=True)


async def test_everybody_who_came_has_figures_and_ranks_and_again_changes_nothing(store: SqlStore) -> None:
    def fill(conn: Connection) -> list[int]:
        often = _customer(conn, "often", 70, 60, 50, 40, 30, 20, 10, amount=900)
        some = [_customer(conn, f"some{place}", 60 + place, 30 + place, 5 + place, amount=50) for place in range(4)]
        _customer(conn, "never")
        return [often, *some]

    ids = await store.database.run(fill)
    assert await compute(store.database, POLICY, START) == 5
    first = {row.customer_id: row for row in await _all(store, customer_values)}
    assert set(first) == set(ids)
    best = first[ids[0]]
    assert (best.visits, best.usual_interval_s, best.amount_year_minor) == (7, 10 * 86_400, 6300)
    assert (best.frequency, best.monetary, best.value_class, best.lifecycle) == (5, 5, "A", "new")
    assert sorted(row.recency for row in first.values()) == [1, 2, 3, 4, 5]
    assert {row.value_class for row in first.values()} == {"A", "B", "C"}
    await compute(store.database, POLICY, START + timedelta(hours=1))
    assert {row.computed_at for row in await _all(store, customer_values)} == {START}


async def test_each_signal_becomes_one_task_for_a_person_with_words_to_say(store: SqlStore) -> None:
    def fill(conn: Connection) -> None:
        _customer(conn, "王芳", 55, 45, 35, 16)
        _customer(conn, "Ann", 700, 500, 400, 90, amount=1000, language="en")
        _customer(conn, "steady", 45, 35, 25, 15, 5)
        angry = _customer(conn, "angry")
        row = {"customer_id": angry, "kind": "nps", "reference": "nps:1", "asked_at": START, "score": 1}
        conn.execute(insert(surveys), {**row, "answered_at": START})

    await store.database.run(fill)
    await add_user(store.database, "li", "operator")
    complaint = OpenCase("C-1024-7", "complaint", "delivery", "1", 2, "late", {})
    await converse(store, "hi", "ok", effects=[complaint])
    await store.database.run(lambda conn: conn.execute(update(cases).values(opened_at=START - 2 * DAY)))
    await compute(store.database, POLICY, START)
    found = await asyncio.gather(*(look_after(store.database, POLICY, START) for _ in range(3)))
    assert sum(found) == 4
    assert await look_after(store.database, POLICY, START + timedelta(hours=1)) == 0
    made = {row.rule: row for row in await _all(store, tasks)}
    assert set(made) == {"missed", "falling", "unanswered", "low"}
    assert (made["missed"].assignee, made["missed"].due_at) == ("li", START + 2 * DAY)
    assert made["missed"].suggestion.startswith("王芳您好")
    assert made["falling"].suggestion.startswith("Hello Ann")
    assert made["unanswered"].case_id is not None
    listed = await store.database.run(lambda conn: care.open_care(conn, assignee="li"), read=True)
    assert [row["rule"] for row in listed] == ["missed"]


async def test_a_rule_for_somebody_there_is_not_goes_to_their_team_and_the_log_names_the_rule(store: SqlStore) -> None:
    routing = {"teams": {"care": {"members": ["li"]}}}
    policy = read_policy({"care": {"rules": [RULE]}, "routing": routing})
    await store.database.run(lambda conn: _customer(conn, "王芳", 55, 45, 35, 16) and None)
    await add_user(store.database, "li", "operator")
    await disable_user(store.database, "li")
    await compute(store.database, policy, START)
    with structlog.testing.capture_logs() as logs:
        assert await look_after(store.database, policy, START) == 1
    assert [row.assignee for row in await _all(store, tasks)] == ["care"]
    assert [entry for entry in logs if entry["log_level"] == "warning"] == [
        {"event": "care_assignee_unknown", "log_level": "warning", "rule": "missed"}
    ]


@pytest.mark.parametrize(
    ("assignee", "staff", "expected"),
    [
        ("li", {"li"}, "li"),
        ("care", set(), "care"),  # a team of the policy
        ("li", set(), "care"),  # its member has no account
        ("lena", set(), "care"),  # nor has its lead
        ("ghost", {"max"}, "max"),  # in no team: the manager
        ("ghost", set(), ""),  # who is not there either: anybody
    ],
)
def test_who_is_asked_is_somebody_there_is(assignee: str, staff: set[str], expected: str) -> None:
    routing = {"teams": {"care": {"members": ["li"], "lead": "lena"}}, "manager": "max"}
    policy = read_policy({"care": {"rules": [{**RULE, "assignee": assignee}]}, "routing": routing})
    assert assignee_of(policy.care.rules[0], policy, staff) == expected


async def test_the_report_says_how_often_a_rule_helped(store: SqlStore) -> None:
    def fill(conn: Connection) -> list[int]:
        return [_customer(conn, f"n{place}", 56 + place, 46 + place, 36 + place, 16 + place) for place in range(3)]

    ids = await store.database.run(fill)
    await compute(store.database, POLICY, START)
    assert await look_after(store.database, POLICY, START) == 3
    rows = sorted(await _all(store, tasks), key=lambda row: row.customer_id)

    def go_on(conn: Connection) -> None:
        for row, outcome in zip(rows[:2], ("reached", "not_reached"), strict=True):
            end_task(conn, row.id, outcome=outcome, note="", by="li", now=START + DAY)
        conn.execute(insert(visits), {"customer_id": ids[0], "at": START + 3 * DAY})
        conn.execute(insert(visits), {"customer_id": ids[1], "at": START + 60 * DAY})

    await store.database.run(go_on)
    result = await store.database.run(lambda conn: care.report(conn, "missed", 30), read=True)
    assert result == care.CareResult("missed", 3, 2, 1, {"reached": 1, "not_reached": 1})
    # the next missed interval is another occasion
    await compute(store.database, POLICY, START + 30 * DAY)
    assert await look_after(store.database, POLICY, START + 30 * DAY) == 1
