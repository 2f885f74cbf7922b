"""Usual interval, stage of life and next action follow from a customer's own history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.errors import AssistantInvalid
from bot.service.care import CareRules, fell, missed, quarter, read_care
from bot.service.record import RecordRules
from bot.service.value import Purchase, value_class, worth

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
RULES = RecordRules()
DAY = timedelta(days=1)


def history(*days_ago: float, amount: int = 100) -> list[Purchase]:
    return [Purchase(NOW - days * DAY, amount, "CNY") for days in days_ago]


@pytest.mark.parametrize(
    ("days_ago", "stage"),
    [
        ((), ""),
        ((3,), "new"),
        ((400, 370, 340, 310), "lost"),
        ((160, 130, 100, 50), "fading"),
        ((160, 130, 100, 70, 40, 10), "stable"),
        ((800, 770, 740, 20), "won_back"),
        ((500,), "lost"),
        ((200,), "stable"),
    ],
)
def test_the_stage_follows_from_the_customers_own_interval(days_ago: tuple[float, ...], stage: str) -> None:
    assert worth(history(*days_ago), RULES, NOW).lifecycle == stage


def test_somebody_who_comes_often_fades_sooner_than_somebody_who_comes_rarely() -> None:
    weekly = worth(history(40, 33, 26, 15), RULES, NOW)
    yearly = worth(history(1110, 745, 380, 15), RULES, NOW)
    assert (weekly.lifecycle, yearly.lifecycle) == ("fading", "stable")
    assert weekly.usual_interval == timedelta(days=7)
    assert yearly.usual_interval == timedelta(days=365)


def test_figures_are_of_the_main_currency_and_of_the_past() -> None:
    mixed = [*history(400, 10, -5), Purchase(NOW - DAY, 5, "EUR"), Purchase(NOW - DAY / 2, 0)]
    found = worth(mixed, RULES, NOW)
    assert (found.currency, found.amount_year, found.amount_before, found.visits) == ("CNY", 100, 100, 3)


def test_growing_needs_more_than_the_year_before_and_a_complaint_comes_first() -> None:
    more = history(700, 300, 200, 100, 90, 30)
    assert (worth(more, RULES, NOW).lifecycle, worth(more, RULES, NOW).next_action) == ("growing", "thank")
    assert worth(more, RULES, NOW, has_open_complaint=True).next_action == "solve_complaint"


def test_classes_are_by_share_of_turnover() -> None:
    assert [value_class(share, 1) for share in (0.0, 0.79, 0.8, 0.94, 0.95)] == ["A", "A", "B", "B", "C"]
    assert value_class(0.0, 0) == "C"


def test_signals_have_their_limits() -> None:
    usual = 10 * DAY
    assert not missed(NOW - 14 * DAY, usual, 1.5, 4, NOW)
    assert missed(NOW - 15 * DAY, usual, 1.5, 4, NOW)
    assert not missed(NOW - 40 * DAY, usual, 1.5, 4, NOW)
    assert fell(50, 100, 0.5)
    assert not fell(51, 100, 0.5)
    assert not fell(0, 0, 0.5)
    assert (quarter(NOW), quarter(datetime(2026, 12, 1, tzinfo=UTC))) == ("2026Q1", "2026Q4")


def test_rules_of_the_business_take_the_place_of_the_defaults() -> None:
    assert [rule.signal for rule in CareRules().rules] == [
        "no_visit",
        "falling_amount",
        "unanswered_complaint",
        "low_score",
    ]
    (rule,) = read_care({"rules": [{"name": "missed", "signal": "no_visit", "level": 2, "assignee": "li"}]}).rules
    assert (rule.level, rule.assignee, rule.helped_days) == (2.0, "li", 30)
    assert rule.words("en", "Ann").startswith("Hello Ann,")
    assert rule.words("", "王芳").startswith("王芳您好")
    for wrong in ({"signal": "x"}, {"signal": "no_visit", "level": 0}, {"signal": "no_visit", "classes": ["Z"]}):
        with pytest.raises(AssistantInvalid):
            read_care({"rules": [wrong]})
