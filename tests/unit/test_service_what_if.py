"""Last month under other rules: the same histories, promises counted again."""

from __future__ import annotations

from datetime import datetime

import pytest

from bot.service.policy import ServicePolicy, read_policy
from bot.service.what_if import (
    ANSWERED,
    CLOSED,
    PAUSED,
    REOPENED,
    RESUMED,
    SOLVED,
    CaseHistory,
    Happening,
    Kept,
    compare,
    played,
)
from crm_sync.policies import CaseLine
from desk.policies import case_history
from frontdesk.yaml_lines import parse_yaml

UNTIL = datetime.fromisoformat("2026-03-31T12:00+08:00")


def at(text: str) -> datetime:
    return datetime.fromisoformat(f"2026-03-{text}+08:00")


def policy(text: str) -> ServicePolicy:
    return read_policy(parse_yaml(text.encode(), name="service.yml"))


STRICT = policy("promises: {first_response: 1, update: 0, solution: 8, ladder: [{to: lead, after_h: 0}]}")
EASY = policy("promises: {first_response: 8, update: 0, solution: 100, ladder: []}")


def a_case(*happenings: tuple[str, str], number: str = "C-1") -> CaseHistory:
    return CaseHistory(number, at("06T10:00"), 2, "", tuple(Happening(at(when), what) for when, what in happenings))


def test_an_answer_in_time_keeps_the_promise_and_a_late_one_breaks_it() -> None:
    assert played(a_case(("06T10:30", ANSWERED)), "first_response", STRICT, UNTIL) == ["promised"]
    late = played(a_case(("06T12:00", ANSWERED)), "first_response", STRICT, UNTIL)
    assert late == ["promised", "warned", "breached", "escalated:lead"]


def test_time_spent_waiting_for_the_customer_does_not_count() -> None:
    waited = a_case(("06T11:00", PAUSED), ("09T11:00", RESUMED), ("09T17:00", SOLVED))
    assert "breached" not in played(waited, "solution", STRICT, UNTIL)
    not_waited = a_case(("09T17:00", SOLVED))
    assert "breached" in played(not_waited, "solution", STRICT, UNTIL)


def test_a_case_nobody_touched_is_broken_by_now() -> None:
    assert "breached" in played(a_case(), "solution", STRICT, UNTIL)


def test_every_answer_promises_the_next_update_until_it_is_solved() -> None:
    rules = policy("promises: {update: 12}")
    told = a_case(("06T15:00", ANSWERED), ("07T10:00", ANSWERED), ("07T11:00", SOLVED), ("08T11:00", ANSWERED))
    assert played(told, "update", rules, UNTIL) == ["promised"] * 3


def test_a_reopened_case_promises_anew() -> None:
    again = a_case(("06T12:00", SOLVED), ("08T12:00", REOPENED), ("08T14:00", SOLVED), ("09T09:00", CLOSED))
    assert played(again, "solution", STRICT, UNTIL) == ["promised", "promised"]


def test_what_is_not_promised_is_not_counted() -> None:
    assert played(a_case(), "update", STRICT, UNTIL) == []


def test_two_policies_are_compared_by_kind_and_by_case() -> None:
    slow = a_case(("06T12:00", ANSWERED), ("06T13:00", SOLVED), number="C-1")
    fast = a_case(("06T10:10", ANSWERED), ("06T11:00", SOLVED), number="C-2")
    found = compare([slow, fast], STRICT, EASY, UNTIL)
    assert found.cases == 2
    assert found.before["first_response"] == Kept(promised=2, warned=1, breached=1, escalated=1)
    assert found.after["first_response"] == Kept(promised=2)
    assert (found.newly_broken, found.no_longer_broken) == ((), ("C-1",))
    assert compare([slow, fast], EASY, STRICT, UNTIL).newly_broken == ("C-1",)


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        ([("06T11:00", "status", "operator", "in_progress")], [ANSWERED]),
        ([("06T11:00", "updated", "customer", "")], []),
        ([("06T11:00", "status", "operator", "waiting_customer"), ("06T12:00", "status", "customer", "in_progress")],
         [ANSWERED, PAUSED, RESUMED]),
        ([("06T11:00", "status", "site", "solved"), ("06T12:00", "status", "customer", "confirmed")],
         [ANSWERED, SOLVED, CLOSED]),
        ([("06T11:00", "status", "customer", "withdrawn")], [CLOSED]),
    ],
)  # fmt: skip
def test_a_cases_events_are_read_as_its_clocks_see_them(
    events: list[tuple[str, str, str, str]], expected: list[str]
) -> None:
    line = CaseLine("C-1", at("06T10:00"), 2, "", tuple((at(when), *rest) for when, *rest in events))  # type: ignore[misc]
    assert [happening.what for happening in case_history(line).happenings] == expected
