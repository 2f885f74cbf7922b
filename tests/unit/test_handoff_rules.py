"""Why, how urgent and to which team: the rules of a handoff as a business writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from bot.errors import AssistantInvalid
from bot.service.anger import Anger
from bot.service.handoff import HandoffMatter, HandoffRules
from bot.service.handoff_reading import read_handoff
from bot.service.policy import read_policy

NOON = datetime(2026, 11, 26, 4, tzinfo=UTC)


def rules(**section: object) -> HandoffRules:
    return read_handoff(dict(section))


def test_points_of_reason_urgency_importance_and_keyword_add_up() -> None:
    found = rules(
        priorities={"reasons": {"complaint": 30}, "urgency": {3: 7}, "vip": 5},
        keywords=[
            {"name": "cancel", "words": {"zh": "退卡", "en": "cancel my card"}, "points": 11, "team": "accounts"}
        ],
    )
    assert found.priority(HandoffMatter("complaint", 3, is_vip=True)) == 42
    assert found.priority(HandoffMatter("customer_asked")) == 10
    assert found.priority(HandoffMatter("keyword", keyword="cancel")) == 26
    assert found.team(HandoffMatter("keyword", keyword="cancel")) == "accounts"


def test_the_first_team_rule_that_fits_decides() -> None:
    found = rules(
        teams=[
            {"reason": "complaint", "urgency_from": 3, "team": "quality"},
            {"topic": ["order_status"], "language": "en", "channel": ["telegram", "web"], "team": "abroad"},
            {"team": "care"},
        ]
    )
    assert found.team(HandoffMatter("complaint", 3)) == "quality"
    assert found.team(HandoffMatter("complaint", 2)) == "care"
    assert found.team(HandoffMatter("customer_asked", topic="order_status", language="en", channel="web")) == "abroad"
    assert found.team(HandoffMatter("customer_asked", topic="order_status", language="zh", channel="web")) == "care"


def test_without_rules_anybody_answers() -> None:
    assert HandoffRules().team(HandoffMatter("anger", 4)) == ""


def test_who_waits_long_enough_goes_before_who_has_more_points() -> None:
    found = HandoffRules()
    angry, calm = NOON, NOON - timedelta(minutes=20)
    assert found.rank(35, angry) < found.rank(10, calm)
    assert found.rank(10, calm - timedelta(minutes=6)) < found.rank(35, angry)


def test_overflow_goes_where_the_longest_wait_that_is_over_sends_it() -> None:
    found = rules(
        overflow=[{"after_min": 10, "from": "care", "team": "stations"}, {"after_min": 30, "team": "manager"}]
    )
    assert found.overflows_to("care", timedelta(minutes=9)) == ""
    assert found.overflows_to("care", timedelta(minutes=10)) == "stations"
    assert found.overflows_to("quality", timedelta(minutes=10)) == ""
    assert found.overflows_to("care", timedelta(minutes=31)) == "manager"
    assert found.overflows_to("manager", timedelta(hours=3)) == ""


@pytest.mark.parametrize(
    ("section", "reason"),
    [
        ({"colour": 1}, "unknown key 'colour'"),
        ({"assignment": "magic"}, "manual or automatic"),
        ({"lease_min": 0}, "lease_min"),
        ({"capacity": 0}, "capacity"),
        ({"teams": [{"reason": "boredom", "team": "x"}]}, "unknown reason 'boredom'"),
        ({"teams": [{"urgency_from": 9, "team": "x"}]}, "urgency_from"),
        ({"teams": [{"reason": "anger"}]}, "team must be"),
        ({"keywords": [{"name": "x"}]}, "needs words"),
        ({"priorities": {"urgency": {9: 1}}}, "urgency must be"),
        ({"priorities": {"reasons": {"anger": -1}}}, "anger must be"),
        ({"anger": {"strong_from": 0}}, "strong_from"),
    ],
)
def test_a_rule_that_makes_no_sense_is_refused_with_the_reason(section: dict[str, object], reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason):
        rules(**section)


def test_a_team_that_routing_does_not_know_is_refused() -> None:
    document = {"routing": {"teams": {"care": {}}}, "handoff": {"teams": [{"team": "cart"}]}}
    with pytest.raises(AssistantInvalid, match="'cart'"):
        read_policy(document)
    known = read_policy(
        {"routing": {"teams": {"care": {}}}, "handoff": {"teams": [{"team": "care"}], "silence_min": 5}}
    )
    assert (known.handoff.silence, known.handoff.lease) == (timedelta(minutes=5), timedelta(minutes=5))


@pytest.mark.parametrize(
    ("words", "strength"),
    [
        ("你们太差了", 1),
        ("气死我了，太过分了！！", 3),
        ("this is ridiculous, I am fed up", 2),
        ("I am not angry, just asking", 0),
        ("垃圾袋有卖吗", 0),
        ("在吗？？？", 0),
        ("HELLO!!!", 0),
        ("", 0),
    ],
)
def test_anger_is_counted_by_its_signs(words: str, strength: int) -> None:
    assert Anger().strength(words) == strength
