"""Products and places in the wrong spelling; the assistant's own numbers with check digits; what it calls personal."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from bot.errors import AssistantInvalid
from nlu.check_digits import METHODS
from nlu.entities import find_entities
from nlu.lexicon import Lexicon, build_lexicon
from nlu.training_data import Example, Lookup, TrainingData, load_training_data
from nlu.typos import MAX_PHRASES, Typos, is_slip

SUNDAY = datetime(2026, 11, 22, 12, tzinfo=ZoneInfo("Asia/Shanghai"))


def a_lexicon() -> Lexicon:
    lookups = (
        Lookup("product", ("kettle", "rice cooker", "curtains", "shelf", "电饭煲", "空气净化器")),
        Lookup("store", ("Riverside", "人民广场店")),
    )
    examples = (Example("the kittle family moved", "inform"), Example("I am certain", "affirm"))
    return build_lexicon(TrainingData(examples, {"电水壶": "kettle"}, lookups))


def found(text: str, lexicon: Lexicon) -> list[tuple[str, str, str]]:
    return [
        (e.name, e.value, e.extractor) for e in find_entities(text, lexicon, now=SUNDAY, language="en") if e.extractor
    ]


@pytest.mark.parametrize(
    ("text", "name", "value"),
    [
        ("my ketle leaks", "product", "kettle"),
        ("my kettel leaks", "product", "kettle"),
        ("my kettlle leaks", "product", "kettle"),
        ("my kwttle leaks", "product", "kettle"),
        ("two ketles", "product", "kettle"),
        ("the rice coker", "product", "rice cooker"),
        ("the ricecooker", "product", "rice cooker"),
        ("at riversid", "store", "Riverside"),
        ("电饭堡坏了", "product", "电饭煲"),
        ("电水湖漏水", "product", "kettle"),
        ("空汽净化气有异响", "product", "空气净化器"),
        ("人名广场店几点关门", "store", "人民广场店"),
    ],
)
def test_a_slip_in_a_known_phrase_is_forgiven(text: str, name: str, value: str) -> None:
    entities = [e for e in find_entities(text, a_lexicon(), now=SUNDAY, language="en") if e.name != "quantity"]
    assert [(e.name, e.value, e.extractor) for e in entities] == [(name, value, "typo")]
    assert entities[0].confidence < 1


@pytest.mark.parametrize(
    "text",
    [
        "I am certain",  # one letter from curtain, but on other keys
        "settle it",  # people rarely err in the first letter
        "the kittle family",  # the examples use this word as it is
        "my self",  # five letters: too many words are that near
        "a metal lid",
        "人民商场",
    ],
)
def test_another_word_is_no_slip(text: str) -> None:
    assert found(text, a_lexicon()) == []


def test_a_phrase_as_it_should_be_is_found_as_such_and_counts_before_a_slip() -> None:
    assert found("kettle and ketle", a_lexicon()) == [("product", "kettle", "lookup"), ("product", "kettle", "typo")]


def test_a_slip_as_near_to_two_things_is_neither() -> None:
    lexicon = build_lexicon(TrainingData((), {}, (Lookup("product", ("carpet blue", "carpet glue")),)))
    assert found("the carpet lue", lexicon) == []


def test_slips_are_forgiven_after_storing_too() -> None:
    again = Lexicon.from_json(a_lexicon().to_json())
    assert found("ketle, kittle", again) == [("product", "kettle", "typo")]


def test_an_assistant_with_very_many_phrases_is_taken_at_its_word() -> None:
    assert not Typos.of(f"product number {n}" for n in range(MAX_PHRASES + 1)).gaps


@pytest.mark.parametrize(
    ("written", "meant", "expected"),
    [
        ("kettl", "kettle", True),
        ("kettlee", "kettle", True),
        ("kettlex", "kettle", False),
        ("kttele", "kettle", False),
        ("kettle", "kettle", False),
        ("", "kettle", False),
    ],
)
def test_what_counts_as_one_slip(written: str, meant: str, expected: bool) -> None:
    assert is_slip(written, meant) is expected


@pytest.mark.parametrize(
    ("method", "right", "wrong"),
    [
        ("luhn", "4111 1111 1111 1111", "4111 1111 1111 1112"),
        ("gs1", "4006381333931", "4006381333932"),
        ("mod11_2", "11010519491231002X", "110105194912310021"),
        ("mod11_2", "0000-0002-1825-0097", "0000-0002-1825-0098"),
        ("mod97", "WEST12345698765432GB82", "WEST12345698765433GB82"),
        ("luhn", "59", "0"),
    ],
)
def test_check_digits(method: str, right: str, wrong: str) -> None:
    assert METHODS[method](right)
    assert not METHODS[method](wrong)


def an_assistant(folder: Path, rules: str) -> Path:
    (folder / "nlu.yml").write_text(
        "version: '3.1'\nnlu:\n- intent: points\n  examples: |\n    - my points\n"
        "- regex: card_number\n  examples: |\n    - \\bM\\d{8}\\b\n" + rules,
        "utf-8",
    )
    return folder


def test_a_number_of_the_assistant_counts_only_with_its_check_digit_and_may_be_personal(tmp_path: Path) -> None:
    data = load_training_data(
        an_assistant(tmp_path, "entity_rules:\n  card_number: {check_digit: luhn, personal: true}\n")
    )
    lexicon = Lexicon.from_json(build_lexicon(data).to_json())
    entities = find_entities("cards M12345674 and M12345675", lexicon, now=SUNDAY, language="en")
    assert [(e.value, e.is_personal) for e in entities] == [("M12345674", True)]


def test_rules_are_part_of_what_a_model_is_made_from(tmp_path: Path) -> None:
    without = load_training_data(an_assistant(tmp_path, "")).content_hash()
    data = load_training_data(an_assistant(tmp_path, "entity_rules:\n  card_number: {check_digit: luhn}\n"))
    assert data.content_hash() != without


@pytest.mark.parametrize(
    ("rules", "reason"),
    [
        ("entity_rules: [luhn]\n", "must be a mapping"),
        ("entity_rules:\n  card_number: luhn\n", "needs `check_digit` or `personal`"),
        ("entity_rules:\n  card_number: {digit: luhn}\n", "unknown key `digit`"),
        ("entity_rules:\n  card_number: {check_digit: verhoeff}\n", "is not one of luhn"),
        ("entity_rules:\n  card_number: {personal: perhaps}\n", "must be true or false"),
    ],
)
def test_rules_that_cannot_be_read_are_refused_with_their_line(tmp_path: Path, rules: str, reason: str) -> None:
    with pytest.raises(AssistantInvalid, match=reason) as refused:
        load_training_data(an_assistant(tmp_path, rules))
    assert refused.value.file == "nlu.yml"
    assert refused.value.line
