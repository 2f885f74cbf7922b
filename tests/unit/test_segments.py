"""Segments are read with every mistake named at its place, and said in words in both languages."""

from __future__ import annotations

from typing import Any

import pytest

from bot.errors import AssistantInvalid
from bot.reach.segment_fields import FIELDS
from bot.reach.segment_words import describe
from bot.reach.segments import DEEPEST, EVERYBODY, MOST_PARTS, read_segment
from bot.service.record import CREDIT_CLASSES, STAGES

ATTRIBUTES = {"mileage": "whole", "birthday": "date", "fleet": "yes_no"}
TYRES: dict[str, Any] = {
    "all": [
        {"did": "order", "within_days": 90, "where": {"field": "items", "contains": "tyres"}},
        {"not": {"did": "case", "where": {"field": "is_open", "is": True}}},
    ]
}


def _nested(levels: int) -> dict[str, Any]:
    return {"field": "language", "is": "zh"} if levels == 1 else {"not": _nested(levels - 1)}


@pytest.mark.parametrize(
    ("definition", "said"),
    [
        (["zh"], "a condition is a mapping"),
        ({}, "begins with one of: all, any, not, field, did"),
        ({"field": "langage", "is": "zh"}, "field: there is no field 'langage'; known: name, phone"),
        ({"all": [{"field": "tag", "has": "a"}, {"field": "x", "is": 1}]}, "all[2].field: there is no field 'x'"),
        ({"field": ["language"], "is": "zh"}, "there is no field ['language']"),
        ({"field": "attribute.colour", "is": "red"}, "attribute.mileage"),
        ({"field": "language", "at_least": "zh"}, "language (text) has no 'at_least'; known: is, is_not"),
        ({"field": "language"}, "language is compared once"),
        ({"field": "language", "is": "zh", "is_not": "en"}, "language is compared once"),
        ({"field": "language", "is": 3}, "is: language takes a text of 1 to 500 characters, not 3"),
        ({"field": "language", "is": "z\x00"}, "takes a text"),
        ({"field": "language", "one_of": []}, "takes a list of 1 to 500"),
        ({"field": "language", "one_of": ["zh", 3]}, "takes a list of 1 to 500"),
        ({"field": "credit_class", "is": "E"}, "takes one of A, B, C, D, not 'E'"),
        ({"field": "attribute.mileage", "at_least": "60000"}, "takes a whole number, not '60000'"),
        ({"field": "attribute.mileage", "at_least": True}, "takes a whole number, not True"),
        ({"field": "attribute.mileage", "at_least": 2**60}, "takes a whole number"),
        ({"field": "attribute.mileage", "between": [1]}, "takes two, each a whole number"),
        ({"field": "attribute.fleet", "is": "yes"}, "takes true or false, not 'yes'"),
        ({"field": "attribute.birthday", "anniversary_days": 90}, "a whole number of days from 0 to 60"),
        ({"field": "joined", "within_days": -1}, "a whole number of days"),
        ({"field": "joined", "after": "yesterday"}, "a day such as 2026-12-24, or a moment with its zone"),
        ({"field": "joined", "after": "2026-12-24T18:00"}, "a moment with its zone"),
        ({"field": "attribute.birthday", "after": "2026-12-24T18:00+08:00"}, "a day such as 2026-12-24, not"),
        ({"did": "oder"}, "did: there is no 'oder'; known: order, visit, case"),
        ({"did": "order", "withindays": 3}, "'withindays' does not belong here; known: did, within_days"),
        ({"did": "case", "total": {"at_least": 1}}, "'total' does not belong here"),
        ({"did": "order", "times": 2}, "times: is written as {at_least: 2}"),
        ({"did": "order", "times": {"at_least": "2"}}, "times.at_least: times takes a whole number"),
        ({"did": "order", "times": {"is_filled": True}}, "is a number, and always there"),
        ({"did": "order", "where": {"field": "plate", "is": "x"}}, "where.field: there is no field 'plate' of order"),
        ({"did": "order", "where": {"did": "visit"}}, "where: a condition begins with one of: all, any, not, field"),
        ({"all": [], "any": []}, "'any' does not belong here"),
        ({"any": []}, "any: needs at least one condition"),
        ({"all": {"field": "language"}}, "all: must be a list"),
        (_nested(DEEPEST + 1), f"conditions may be at most {DEEPEST} levels deep"),
        ({"all": [{"field": "tag", "has": "a"}] * MOST_PARTS}, f"at most {MOST_PARTS} conditions"),
    ],
)
def test_a_mistake_is_named_with_its_place_and_what_is_known(definition: Any, said: str) -> None:
    with pytest.raises(AssistantInvalid) as caught:
        read_segment(definition, ATTRIBUTES)
    assert said in str(caught.value)


def test_what_is_allowed_is_read() -> None:
    assert read_segment({"all": []}, {}) == EVERYBODY
    for definition in (TYRES, _nested(DEEPEST), {"field": "consent.news", "is_filled": True}):
        assert read_segment(definition, ATTRIBUTES)


def test_the_classes_are_those_of_the_record() -> None:
    assert FIELDS["lifecycle"].values == STAGES
    assert FIELDS["credit_class"].values == CREDIT_CLASSES


@pytest.mark.parametrize(
    ("definition", "english", "chinese"),
    [
        ({"all": []}, "everybody", "所有人"),
        (
            TYRES,
            "has orders (placed within the last 90 days and items contains “tyres”) and not (has cases (open: yes))",
            "有订单（下单时间在近90天内，且商品包含“tyres”），且不符合（有工单（未结：是））",
        ),
        (
            {"any": [{"field": "attribute.mileage", "between": [1, 9]}, {"field": "tag", "has_none": ["vip", "x"]}]},
            "Mileage is between 1 and 9 or tags include none of “vip”, “x”",
            "里程在1至9之间，或标签不包括“vip”、“x”",
        ),
        (
            {"did": "visit", "times": {"at_least": 3}, "total": {"more_than": 100_050}},
            "has visits, whose number is at least 3, whose total is more than 1000.50",
            "有到店，次数至少3，合计大于1000.50",
        ),
        (
            {"all": [{"field": "joined", "after": "2026-12-24"}, {"field": "email", "is_filled": False}]},
            "joined on or after 2026-12-24 and e-mail is not known",
            "建档时间在2026-12-24及以后，且邮箱未知",
        ),
    ],
)
def test_a_segment_is_said_in_words(definition: Any, english: str, chinese: str) -> None:
    segment = read_segment(definition, ATTRIBUTES)
    titles = {"mileage": {"en": "Mileage", "zh": "里程"}}
    assert (describe(segment, "en", titles), describe(segment, "zh", titles)) == (english, chinese)
