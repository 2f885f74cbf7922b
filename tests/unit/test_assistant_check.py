"""`frontdesk assistant check`: what it finds, and that the sample has nothing to be ashamed of."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import SAMPLE_ASSISTANT
from frontdesk.assistant_check import assistant_check, language_of, training_examples
from nlu.lint import Finding, near_duplicates

DOMAIN = """\
intents: [greet, subscribe, lonely]
entities: []
slots:
  forgotten: {type: text, mappings: [{type: custom}]}
responses:
  utter_greet: [{text: 你好}, {text: hello, condition: [{type: slot, name: language, value: en}]}]
  utter_subscribe: [{text: 好的}, {text: all right, condition: [{type: slot, name: language, value: en}]}]
  utter_dusty: [{text: 旧的}, {text: old, condition: [{type: slot, name: language, value: en}]}]
"""


def examples(intent: str, *words: str) -> str:
    return f"- intent: {intent}\n  examples: |\n" + "".join(f"    - {word}\n" for word in words)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "data").mkdir()
    (tmp_path / "domain.yml").write_text(DOMAIN, "utf-8")
    (tmp_path / "assistant.yml").write_text("languages: [zh, en]\n", "utf-8")
    english = examples("greet", *(f"hello number {chr(97 + number)} friend" for number in range(20)), "我想说你好")
    english += examples("subscribe", "please send me the [news](topic) every week", "send me the news")
    english += examples("lonely", "please do send me the news every week", "send me the news!")
    (tmp_path / "data" / "nlu_en.yml").write_text("nlu:\n" + english, "utf-8")
    return tmp_path


def messages(findings: list[Finding], where: str = "") -> list[str]:
    return [finding.message for finding in findings if where in finding.where]


def test_thin_intents_are_counted_per_language(folder: Path) -> None:
    findings = assistant_check(folder)
    assert "0 different examples in zh; 20 or more are needed" in messages(findings, "greet")
    assert not [message for message in messages(findings, "greet") if " in en" in message]
    assert "2 different examples in en; 20 or more are needed" in messages(findings, "subscribe")


def test_near_duplicates_across_intents_are_named_with_both_places(folder: Path) -> None:
    found = [message for message in messages(assistant_check(folder)) if " like " in message]
    assert any("subscribe" in message and "lonely" in message and "100%" in message for message in found)
    assert any("please send" in message and "please do send" in message for message in found)


def test_an_example_in_the_wrong_language_is_found_with_its_line(folder: Path) -> None:
    lines = (folder / "data" / "nlu_en.yml").read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, start=1) if "我想说" in text)
    assert messages(assistant_check(folder), f"data/nlu_en.yml:{line}") == ["'我想说你好' is not en"]


def test_unused_responses_and_slots_and_intents_without_answer_are_found(folder: Path) -> None:
    findings = assistant_check(folder)
    assert messages(findings, "utter_dusty") == ["is used by no flow, intent or action"]
    assert messages(findings, "forgotten") == ["is never filled"]
    assert "starts no flow and has no response" in messages(findings, "lonely")


def test_examples_of_an_unknown_intent_are_an_error(folder: Path) -> None:
    (folder / "data" / "nlu_zh.yml").write_text("nlu:\n" + examples("weather", "今天天气"), "utf-8")
    errors = [finding for finding in assistant_check(folder) if finding.level == "error"]
    assert "intent 'weather' is not in domain.yml" in [finding.message for finding in errors]


def test_a_folder_that_cannot_be_loaded_gives_that_one_error(folder: Path) -> None:
    (folder / "domain.yml").write_text("intents: 5\n", "utf-8")
    assert assistant_check(folder) == [Finding("error", "domain.yml:1", "intents must be a list")]


def test_annotations_are_no_part_of_the_words(folder: Path) -> None:
    assert "please send me the news every week" in [example.text for example in training_examples(folder)]


def test_examples_of_one_intent_are_never_near_duplicates_of_each_other(folder: Path) -> None:
    greetings = [example for example in training_examples(folder) if example.intent == "greet"]
    assert list(near_duplicates(greetings)) == []


@pytest.mark.parametrize(
    ("words", "language"),
    [("订单 SO-20391 呢", "zh"), ("where is it", "en"), ("2391", None), ("ok", None), ("👍", None)],
)
def test_the_language_of_an_example(words: str, language: str | None) -> None:
    assert language_of(words) == language


def test_the_sample_assistant_has_no_errors_and_no_thin_intents() -> None:
    findings = assistant_check(SAMPLE_ASSISTANT)
    assert [finding for finding in findings if finding.level == "error"] == []
    assert [finding for finding in findings if "are needed" in finding.message] == []
    assert [finding for finding in findings if finding.where.startswith("utter_")] == []
