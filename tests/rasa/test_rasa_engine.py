"""RasaEngine and the cascade against a real Rasa 3.6.21 server trained on tests/rasa/mini."""

from __future__ import annotations

import signal
import time
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.types import Understanding
from config.settings import NluSettings
from nlu.cascade import Cascade, build_engine
from nlu.embedded.engine import EmbeddedEngine
from nlu.evaluation import parse_json
from nlu.rasa import RasaEngine
from tests.rasa_server import RasaServer

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
INTENTS = {"greet", "order_status", "opening_hours", "complaint"}


async def understood(server: RasaServer, text: str) -> Understanding:
    engine = RasaEngine(server.url, timeout_s=30)
    try:
        return await engine.parse(text, now=NOW, timezone="Asia/Shanghai")
    finally:
        await engine.close()


def a_cascade(server: RasaServer, embedded: EmbeddedEngine, *, limit_s: float = 30) -> Cascade:
    settings = NluSettings(engine=("rasa", "embedded"), rasa_url=server.url, rasa_timeout_s=limit_s)
    cascade = build_engine(settings, embedded)
    assert isinstance(cascade, Cascade)
    return cascade


@pytest.mark.parametrize(
    ("text", "intent", "language"),
    [
        ("我的订单 2391 发货了吗", "order_status", "zh"),
        ("has order 2391 been shipped", "order_status", "en"),
        ("你们周末几点关门", "opening_hours", "zh"),
        ("what are your opening hours on Saturday", "opening_hours", "en"),
        ("服务太差了，我要投诉", "complaint", "zh"),
        ("I want to complain about the rude staff", "complaint", "en"),
    ],
)
async def test_both_languages_are_understood(mini: RasaServer, text: str, intent: str, language: str) -> None:
    answer = await understood(mini, text)
    assert (answer.intent.name, answer.language, answer.engine) == (intent, language, "rasa")
    assert {scored.name for scored in answer.intents} <= INTENTS
    for entity in answer.entities:
        assert text[entity.start : entity.end] == entity.text


async def test_entities_are_found_once_with_their_synonym_and_place(mini: RasaServer) -> None:
    text = "\u3000😀 我买的电水壶什么时候送到"
    answer = await understood(mini, text)
    assert [(e.name, e.value, e.text) for e in answer.entities] == [("product", "kettle", "电水壶")]
    assert text[answer.entities[0].start : answer.entities[0].end] == "电水壶"


async def test_both_engines_answer_in_the_same_shape(mini: RasaServer, embedded: EmbeddedEngine) -> None:
    text = "has order 2391 been shipped"
    theirs = mini.parse(text)
    ours = parse_json(embedded.understand(text, now=NOW))
    assert set(ours) <= set(theirs)
    assert _shape(ours["intent"]) == _shape(theirs["intent"])
    assert _shape(ours["intent_ranking"][0]) == _shape(theirs["intent_ranking"][0])
    assert {i["name"] for i in ours["intent_ranking"]} == {i["name"] for i in theirs["intent_ranking"]} == INTENTS
    their_entity = next(e for e in theirs["entities"] if e["extractor"] == "DIETClassifier")
    our_entity = ours["entities"][0]
    assert set(our_entity) <= set(their_entity)
    assert {k: our_entity[k] for k in ("entity", "value", "start", "end")} == {
        k: their_entity[k] for k in ("entity", "value", "start", "end")
    }
    assert parse_json(await understood(mini, text)).keys() == ours.keys()


def _shape(scored: dict[str, Any]) -> dict[str, type]:
    return {key: type(value) for key, value in scored.items()}


async def test_text_that_looks_like_a_command_is_classified_like_any_text(mini: RasaServer) -> None:
    shortcut = mini.parse("/greet")
    assert shortcut["intent"] == {"name": "greet", "confidence": 1.0}, "Rasa no longer has the trap this is about"
    for typed in ("/ I want to complain", " //complaint 我要投诉", "/greet I want to complain about your service"):
        answer = await understood(mini, typed)
        assert answer.intent.name == "complaint"
    for typed in ("/restart", "/greet", '/greet{"name": "x"}', "／greet", "\x1c/greet"):
        # A shortcut would be ranked alone; a classifier ranks all it knows.
        assert {scored.name for scored in (await understood(mini, typed)).intents} == INTENTS


ODD = {
    "empty": "",
    "space": " \n",
    "emoji": "😀😀",
    "control": "\x00\x01",
    "invisible": "\u200b\u200f\u202e",
    "surrogate": "\ud800",
    "rtl": "مرحبا أين طلبي",
    "slashes": "/" * 500,
    "digits": "2391",
    "code": "`${{}}`",
    "long": "a" * 20_000,
    "long-zh": "订单" * 10_000,
}


@pytest.mark.parametrize("text", ODD.values(), ids=ODD.keys())
async def test_odd_text_is_answered_and_kept_as_it_was(mini: RasaServer, text: str) -> None:
    answer = await understood(mini, text)
    assert answer.text == text
    assert answer.engine == "rasa"


async def test_a_loaded_server_is_ready(mini: RasaServer) -> None:
    engine = RasaEngine(mini.url, timeout_s=30)
    try:
        assert await engine.is_ready()
    finally:
        await engine.close()


async def test_numbers_and_dates_are_normalised_behind_rasa_too(mini: RasaServer, embedded: EmbeddedEngine) -> None:
    cascade = a_cascade(mini, embedded)
    text = "order 2391 has not arrived since yesterday, my number is 13812345678"
    try:
        answer = await cascade.parse(text, now=NOW, timezone="Asia/Shanghai")
    finally:
        await cascade.close()
    assert answer.engine == "rasa"
    assert {(e.name, e.value) for e in answer.entities} >= {
        ("order_number", "2391"),
        ("date", "2026-11-19"),
        ("phone", "+8613812345678"),
    }


async def test_when_rasa_hangs_or_dies_the_embedded_engine_answers_within_the_limit(
    doomed: RasaServer, embedded: EmbeddedEngine
) -> None:
    patient, cascade = a_cascade(doomed, embedded), a_cascade(doomed, embedded, limit_s=1.0)

    async def ask(engine: Cascade = cascade) -> Understanding:
        return await engine.parse("where is my order", now=NOW, timezone="Asia/Shanghai")

    try:
        assert (await ask(patient)).engine == "rasa"
        doomed.process.send_signal(signal.SIGSTOP)
        for _ in range(3):
            started = time.monotonic()
            hung = await ask()
            assert (hung.engine, hung.intent.name) == ("embedded", "order_status")
            assert hung.note == "rasa timed out after 1 s"
            assert time.monotonic() - started < 3
        started = time.monotonic()
        assert "left alone" in (await ask()).note
        assert time.monotonic() - started < 0.5
        doomed.process.kill()
        doomed.process.wait()
        died = await ask(patient)
        assert died.engine == "embedded"
        assert died.note.startswith("rasa ")
    finally:
        await cascade.close()
        await patient.close()
