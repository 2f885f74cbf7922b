"""Texts no form would accept: each is kept as it came and answered in the right language."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from pydantic import SecretStr

from config.settings import NluSettings, Settings
from frontdesk.app import App
from frontdesk.saying import say_with

ROOT = Path(__file__).parents[2]

ODD = {
    "empty": "",
    "spaces": " \t\n\u3000",
    "emoji": "😀👨‍👩‍👧‍👦🇨🇳",
    "20,000 characters": "where is my order " * 1111 + "?!",
    "20,000 Chinese characters": "我的订单在哪里呢？" * 2222 + "好的",
    "right to left": "أين طلبي رقم 2391؟",
    "zero width": "\u200b\u200c\u200d\ufeff",
    "zero width inside": "wh\u200bere is my or\u200dder",
    "mixed scripts": "Где mon заказ 订单 where?",
    "controls": "\x00\x01\x07\x1b[31mred\x7f",
    "lone surrogate": "half \ud83d of an emoji",
    "combining": "Z" + "\u0351" * 300,
    "override": "\u202egnorw \u2066si\u2069 siht",
    "only punctuation": "?!?!…。。。",
    "a command": "/restart",
    "a Rasa shortcut": '/greet{"name": "x"}',
    "a template": "{case_number} {{7*7}} ${HOME} %s",
    "markup": "<script>alert(1)</script> [a](javascript:alert(1))",
    "sql": "'; DROP TABLE customers; --",
    "digits": "٣٤٥٦ ２３９１ ²³",
}


@pytest.fixture
async def app(tmp_path: Path) -> AsyncIterator[App]:
    settings = Settings(
        database_url=SecretStr(f"sqlite:///{tmp_path}/desk.db"),
        nlu=NluSettings(model_dir=ROOT / ".frontdesk" / "model"),
    )
    app = await App.open(settings)
    yield app
    await app.close()


def failures() -> float:
    return REGISTRY.get_sample_value("frontdesk_turns_failed_total", {"channel": "cli"}) or 0.0


def is_chinese(text: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in text)


async def test_every_odd_text_is_answered_in_the_language_of_the_conversation_and_kept_as_it_came(app: App) -> None:
    failed_before = failures()
    for opening, chinese in (("你好", True), ("hello", False)):
        for name, text in ODD.items():
            user = f"{opening} {name}"
            await say_with(app, user, opening)
            said = await say_with(app, user, text)
            answers = [reply["text"] for reply in said["replies"]]
            assert answers, name
            assert all(answer.strip() for answer in answers), name
            # Emoji, numbers, shortcuts and foreign scripts do not change the language; a clear sentence does.
            if name not in {"20,000 characters", "20,000 Chinese characters", "mixed scripts", "zero width inside"}:
                latin = name in {
                    "lone surrogate",
                    "controls",
                    "markup",
                    "sql",
                    "a template",
                    "override",
                    "a Rasa shortcut",
                }
                assert is_chinese(answers[0]) == chinese or latin, (name, answers)
            kept = await app.store.events_after(said["conversation_id"], 0, 50)
            assert text in [event["text"] for event in kept if event["author"] == "customer"], name
    assert failures() == failed_before


async def test_text_that_looks_like_a_command_is_only_text(app: App) -> None:
    for text in ("/restart", "/greet", '/complaint{"order_number": "2391"}'):
        said = await say_with(app, f"user {text}", text)
        assert said["engine"] == "embedded"  # understood from its words, not obeyed: a shortcut would score 1
        assert said["confidence"] < 1.0, text
        record = await app.store.events_after(said["conversation_id"], 0, 50)
        assert record[0]["text"] == text


async def test_braces_a_customer_wrote_are_shown_as_they_are_and_never_filled(app: App) -> None:
    await say_with(app, "mallory", "I want to complain about rude staff in your shop")
    shown = ""
    for answer in ("{number} {case_number} {name}", "Baoding Road", "yesterday", "an apology", "in this chat"):
        said = await say_with(app, "mallory", answer)
        shown += "\n".join(reply["text"] for reply in said["replies"])
    events = await app.store.events_after(said["conversation_id"], 0, 50)
    assert "{number} {case_number} {name}" in [event["text"] for event in events]
    assert "C-" in shown
