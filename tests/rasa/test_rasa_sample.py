"""The sample assistant on a real Rasa 3.6.21: it trains, understands paraphrases and answers over REST like we do."""

from __future__ import annotations

import csv
import subprocess
import sys
from typing import get_args

import pytest
import yaml

from bench.rasa_rest import measure
from bot.assistant import Assistant
from bot.types import Language
from config.settings import SAMPLE_ASSISTANT
from frontdesk.assistant import load_assistant
from tests.rasa_server import SCRIPT, RasaServer

LANGUAGES: tuple[Language, ...] = get_args(Language)


@pytest.fixture(scope="module")
def assistant() -> Assistant:
    return load_assistant(SAMPLE_ASSISTANT)


def rules() -> dict[str, str]:
    """Intent -> response, for the intents that one answer settles."""
    read = yaml.safe_load((SAMPLE_ASSISTANT / "data" / "rules.yml").read_text(encoding="utf-8"))
    return {rule["steps"][0]["intent"]: rule["steps"][1]["action"] for rule in read["rules"]}


def paraphrases(language: Language) -> list[tuple[str, str]]:
    path = SAMPLE_ASSISTANT / "tests" / f"paraphrases_{language}.csv"
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["intent"]) for row in csv.DictReader(file)]


def wordings(assistant: Assistant, response: str, language: Language) -> set[str]:
    variations = [v for v in assistant.responses[response] if not v.channel]
    own = {v.text for v in variations if v.language == language}
    return own or {v.text for v in variations if v.language is None}


def test_rasa_finds_no_fault_in_the_folder() -> None:
    command = [sys.executable, SCRIPT, "validate", "--assistant", SAMPLE_ASSISTANT]
    validated = subprocess.run(command, capture_output=True, text=True, check=False)
    assert validated.returncode == 0, (validated.stdout + validated.stderr)[-2000:]


@pytest.mark.parametrize("language", LANGUAGES)
def test_paraphrases_are_understood(sample: RasaServer, language: Language) -> None:
    rows = paraphrases(language)[::3]
    ranked = [sample.parse(text)["intent_ranking"] for text, _ in rows]
    first = [next(i["name"] for i in ranking if i["name"] != "nlu_fallback") for ranking in ranked]
    wrong = [(text, intent, got) for (text, intent), got in zip(rows, first, strict=True) if got != intent]
    assert len(wrong) / len(rows) <= 0.15, wrong


@pytest.mark.parametrize("language", LANGUAGES)
def test_single_turn_messages_are_answered_with_our_wording_in_their_language(
    sample: RasaServer, assistant: Assistant, language: Language
) -> None:
    answered = set()
    for number, (text, intent) in enumerate(paraphrases(language)):
        response = rules().get(intent)
        if response is None or intent in answered or sample.parse(text)["intent"]["name"] != intent:
            continue
        replies = sample.say(text, sender=f"{language}-{number}")
        if all(letter.isascii() for letter in text) == (language == "en"):  # "ok" among the Chinese ones is English
            assert len(replies) == 1, (text, replies)
            assert replies[0] in wordings(assistant, response, language), text
            answered.add(intent)
    missing = set(rules()) - {"nlu_fallback"} - answered
    assert len(missing) <= 1, f"no paraphrase of {missing} was understood"


@pytest.mark.parametrize(("text", "language"), [("我的订单 10482 到哪了", "zh"), ("Where is my order 10482?", "en")])
def test_what_needs_a_flow_gets_one_polite_answer_from_rasa_alone(
    sample: RasaServer, assistant: Assistant, text: str, language: Language
) -> None:
    assert sample.parse(text)["intent"]["name"] == "order_status"
    replies = sample.say(text, sender=f"flow-{language}")
    assert len(replies) == 1
    assert replies[0] in wordings(assistant, "utter_default", language)


def test_the_benchmark_weighs_the_server(sample: RasaServer) -> None:
    weighed = measure(sample.url, sample.process.pid, ["营业时间", "what are your opening hours"])
    assert weighed["turns"] == len(weighed["replies"]) == 2
    assert 0 < weighed["cpu_ms_per_turn"] < 10_000
    assert weighed["turns_per_s"] > 0
    assert weighed["rss_mb"] > 200
    assert all(reply and reply[0]["text"] for reply in weighed["replies"])
