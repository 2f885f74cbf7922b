"""What a case is about and weighs, who may give what, what a score leads to, and when a number is a spike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import AssistantInvalid
from bot.service.cases import CaseRules, CompensationRules, SatisfactionRules, SpikeRules, read_cases, spike
from bot.service_types import CASE_MOVES, CLOSED_STATUSES, may_become

CAR = {
    "categories": {
        "brakes": {
            "names": {"zh": "制动系统", "en": "brakes"},
            "words": {"zh": "刹车 制动", "en": "brake*"},
            "parent": "vehicle",
            "severity": 3,
            "quality_types": {
                "noise": {
                    "names": {"zh": "异响", "en": "noise"},
                    "words": {"zh": "刹车异响", "en": "brake* squeal*, squeaking brakes"},
                    "severity": 2,
                },
            },
        },
        "vehicle": {
            "names": {"zh": "车辆", "en": "vehicle"},
            "words": {"zh": "车", "en": "car"},
            "team": "technical",
        },
    },
    "severity": {
        "value_from": {2: 10_000, 3: 100_000},
        "raising_classes": ["A"],
        "danger_words": {"zh": "刹车失灵", "en": "brakes failed"},
    },
}


@pytest.fixture
def rules() -> CaseRules:
    return read_cases(CAR)


def test_a_quality_type_says_more_than_its_category(rules: CaseRules) -> None:
    found = rules.find("我的车刹车异响")
    assert (found.category, found.quality_type, found.severity) == ("brakes", "noise", 2)


def test_what_a_branch_does_not_say_is_taken_from_the_one_above(rules: CaseRules) -> None:
    assert rules.find("the brakes are soft").team == "technical"
    assert rules.find("the brakes are soft").severity == 3


def test_english_words_match_from_their_start_and_chinese_anywhere(rules: CaseRules) -> None:
    assert rules.find("the scar on the door").category == "other"
    assert rules.find("我那辆车的门").category == "vehicle"


def test_words_of_danger_of_the_business_are_critical(rules: CaseRules) -> None:
    found = rules.find("高速上刹车失灵")
    assert (found.category, found.severity) == ("brakes", 4)


def test_names_are_those_of_the_quality_type_in_the_language(rules: CaseRules) -> None:
    assert rules.categories.name("brakes", "noise", "en") == "noise"
    assert rules.categories.name("brakes", "", "zh") == "制动系统"
    assert rules.categories.name("gone", "", "zh") == ""


@pytest.mark.parametrize(
    ("urgency", "value", "is_repeat", "classes", "expected"),
    [
        (1, None, False, (), 1),
        (1, 20_000, False, (), 2),
        (1, 100_000, False, (), 3),
        (1, None, True, (), 2),
        (1, None, False, ("A",), 2),
        (3, None, False, ("A",), 3),  # a good customer never makes a danger
        (4, None, False, (), 4),
    ],
)
def test_severity_grows_with_value_repetition_and_class(
    rules: CaseRules, urgency: int, value: int | None, is_repeat: bool, classes: tuple[str, ...], expected: int
) -> None:
    finding = rules.find("门")
    assert rules.severity(urgency, finding, value_minor=value, is_repeat=is_repeat, classes=classes) == expected


@pytest.mark.parametrize(
    ("urgency", "classes", "more", "expected"),
    [
        (1, (), 1, 2),
        (1, ("A",), 1, 2),  # the same class is named in both places: it counts once
        (1, ("A",), 2, 3),
        (1, (), 3, 3),  # no class makes a danger
        (4, (), 1, 4),
    ],
)
def test_the_rule_of_a_credit_class_raises_severity(
    rules: CaseRules, urgency: int, classes: tuple[str, ...], more: int, expected: int
) -> None:
    assert rules.severity(urgency, rules.find("门"), classes=classes, more=more) == expected


@pytest.mark.parametrize(("share", "may"), [(1.0, False), (1.5, True), (0.0, False)])
def test_the_rule_of_a_credit_class_widens_or_narrows_what_a_role_may_give(share: float, may: bool) -> None:
    assert CompensationRules().may_give("operator", 7_000, "CNY", share=share) is may
    assert CompensationRules().may_give("operator", 5_000, "CNY", share=share) is (share >= 1)


@pytest.mark.parametrize(
    ("role", "amount", "currency", "may"),
    [
        ("operator", 5_000, "CNY", True),
        ("operator", 5_001, "CNY", False),
        ("marketer", 1, "CNY", False),
        ("manager", 400_000, "CNY", True),
        ("manager", 1, "EUR", False),
        ("admin", 1, "EUR", True),
    ],
)
def test_a_role_gives_within_its_limit(role: str, amount: int, currency: str, may: bool) -> None:
    assert CompensationRules().may_give(role, amount, currency) is may


@pytest.mark.parametrize(("score", "outcome"), [(1, "reopen"), (2, "follow_up"), (3, "follow_up"), (4, ""), (5, "")])
def test_a_low_score_leads_to_something(score: int, outcome: str) -> None:
    assert SatisfactionRules().outcome(score) == outcome


@pytest.mark.parametrize(
    ("count", "earlier", "is_spike"),
    [
        (9, [2, 2, 2, 2, 2, 2], True),
        (4, [0, 0, 0, 0, 0, 0], False),  # fewer than `least`
        (5, [0, 0, 0, 0, 0, 0], True),
        (6, [2, 2, 2, 2, 2, 2], False),  # 2.8 deviations of a Poisson process
        (30, [10, 40, 5, 35, 12, 38], False),  # as restless as ever
        (120, [100, 101, 99, 100, 100, 100], True),  # the set count
        (40, [], False),
        (50, [], True),
    ],
)
def test_a_spike_stands_out_from_the_earlier_periods(count: int, earlier: list[int], is_spike: bool) -> None:
    assert (spike(count, earlier, SpikeRules()) is not None) is is_spike


@given(st.lists(st.integers(0, 200), min_size=1, max_size=14), st.integers(0, 200))
def test_more_of_the_same_never_stops_being_a_spike(earlier: list[int], count: int) -> None:
    if spike(count, earlier, SpikeRules()):
        assert spike(count + 1, earlier, SpikeRules())


def test_every_case_can_end_and_no_ended_one_moves_without_being_reopened() -> None:
    for status, following in CASE_MOVES.items():
        if status in CLOSED_STATUSES:
            assert set(following) == {"reopened"}
        else:
            assert {"solved", "withdrawn", "confirmed"} & set(following)
        assert set(following) <= set(CASE_MOVES)


def test_customers_only_say_what_is_theirs_to_say() -> None:
    theirs = {
        (status, following)
        for status, moves in CASE_MOVES.items()
        for following in moves
        if may_become(status, following, "customer")
    }
    assert {following for _, following in theirs} == {"withdrawn", "confirmed", "reopened", "in_progress"}
    assert ("received", "in_progress") not in theirs


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"categories": {"a": {"parent": "b"}}}, "no category 'b'"),
        ({"categories": {"a": {"parent": "b"}, "b": {"parent": "a"}}}, "above itself"),
        ({"categories": {"a": {"severity": 9}}}, "from 1 to 4"),
        ({"categories": {"a": {"wrods": {}}}}, "unknown key"),
        ({"satisfaction": {"reopen_to": 3, "follow_up_to": 2}}, "follow_up_to"),
        ({"satisfaction": {"reopen_to": 1.5}}, "whole number"),
        ({"compensation": {"limits": {"operator": -1}}}, "whole number"),
        ({"spikes": {"period": "year"}}, "day or week"),
        ({"severity": {"value_from": {"9": 1}}}, "unknown key"),
        ({"severity": {"raising_classes": "A"}}, "list"),
    ],
)
def test_a_wrong_section_says_what_is_wrong(section: dict[str, object], reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason):
        read_cases(section)
