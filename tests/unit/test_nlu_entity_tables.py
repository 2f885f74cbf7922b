"""Sentences as customers write them, with every value they hold: 380 in two languages, each with nothing else found."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import yaml

from bot.types import Entity, Language
from nlu.entities import find_entities
from nlu.lexicon import Lexicon

TABLES = Path(__file__).parents[1] / "payloads" / "entities"
SUNDAY_NOON = datetime(2026, 11, 22, 12, tzinfo=ZoneInfo("Asia/Shanghai"))


def entities(text: str, language: Language, now: datetime = SUNDAY_NOON) -> tuple[Entity, ...]:
    return find_entities(text, Lexicon(), now=now, language=language)


def said(entity: Entity) -> str:
    return f"{entity.name} {entity.value.removesuffix('+08:00')}"


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_sentence_of_the_table_yields_its_values_and_no_others(language: Language) -> None:
    table = yaml.load((TABLES / f"entities_{language}.yml").read_text("utf-8"), yaml.CSafeLoader)
    assert len(table) >= 150
    found = {sentence: list(map(said, entities(sentence, language))) for sentence in table}
    assert {sentence: values for sentence, values in found.items() if values != table[sentence]} == {}


@pytest.mark.parametrize(
    ("text", "zone", "moment"),
    [
        ("昨天下午三点", "Asia/Shanghai", "2026-11-22T15:00+08:00"),
        ("昨天下午三点", "America/New_York", "2026-11-21T15:00-05:00"),
        ("两小时前", "Europe/London", "2026-11-22T18:30+00:00"),
    ],
)
def test_times_are_counted_in_the_zone_they_were_said_in(text: str, zone: str, moment: str) -> None:
    late = datetime(2026, 11, 22, 20, 30, tzinfo=UTC).astimezone(ZoneInfo(zone))
    assert [e.value for e in entities(text, "zh", late) if e.name == "time"] == [moment]


def test_an_hour_ago_is_an_hour_in_the_night_the_clocks_go_back() -> None:
    after = datetime(2026, 10, 25, 1, 30, tzinfo=UTC).astimezone(ZoneInfo("Europe/Berlin"))
    assert [e.value for e in entities("an hour ago", "en", after)] == ["2026-10-25T02:30+02:00"]


def test_what_names_a_person_or_is_theirs_is_flagged_and_nothing_else() -> None:
    text = (
        "order 10482 of 3 October for $20: call 13812345678 or mail a@b.co, car 冀F7K26N, card 4111 1111 1111 1111, "
        "id 11010519491231002X, 2 boxes at 3pm, case C-1024-7"
    )
    flags = {entity.name: entity.is_personal for entity in entities(text, "en")}
    assert {name for name, is_personal in flags.items() if is_personal} == {
        "phone", "email", "plate", "bank_card", "id_number",
    }  # fmt: skip
    assert {"order_number", "date", "amount", "quantity", "time", "case_number"} <= set(flags)


@pytest.mark.parametrize("text", ["4111 1111 1111 1112", "6222 0212 3456 7890 123", "110105194912310021"])
def test_a_long_number_with_a_wrong_check_digit_is_neither_a_card_nor_an_order(text: str) -> None:
    assert entities(text, "en") == ()
