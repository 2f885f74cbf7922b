"""Engine and worker on a real SQLite store: one message, one turn, whatever goes wrong on the way."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from bot.engine import APOLOGY, Engine, Worker
from bot.errors import ServiceUnavailable
from bot.ports import TOPIC_TYPING, ClaimedMessage, Committed, KnowledgeIndex, TurnResult
from bot.reading import AssistantRuntime, hinted_language, words_of
from bot.types import (
    ArticleHit,
    Button,
    Conversation,
    Event,
    Identity,
    InboundMessage,
    Language,
    Media,
    OutPart,
    Received,
    RenderedReply,
    ScoredIntent,
    Text,
    Understanding,
)
from crm_sync.store import SqlStore
from frontdesk.clock import SystemClock
from frontdesk.signals import LocalSignals
from tests.builders import shop


@dataclass
class ScriptedNlu:
    """Understands from a table; `gate` holds it up, `broken` makes it raise."""

    name: str = "embedded"
    meanings: dict[str, str] = field(default_factory=dict)
    gate: asyncio.Event | None = None
    is_thinking: asyncio.Event = field(default_factory=asyncio.Event)
    broken: Exception | None = None

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        self.is_thinking.set()
        if self.gate is not None:
            await self.gate.wait()
        if self.broken is not None:
            raise self.broken
        language: Language = "zh" if any("\u4e00" <= letter <= "\u9fff" for letter in text) else "en"
        intents = (ScoredIntent(self.meanings[text], 0.95),) if text in self.meanings else ()
        return Understanding(text, language, language_is_sure=True, intents=intents, entities=(), engine="embedded")

    async def is_ready(self) -> bool:
        return True


class NoArticles:
    def ask(self, text: str, *, language: Language, top: int = 3) -> tuple[ArticleHit, ...]:
        return ()


class PlainEncoder:
    def encode(self, channel: str, reply: RenderedReply) -> tuple[OutPart, ...]:
        return (OutPart(reply.text, reply.buttons),)

    def is_direct(self, channel: str) -> bool:
        return channel == "web"


class Observed:
    """Keeps what the engine reports."""

    def __init__(self) -> None:
        self.handled: list[TurnResult] = []
        self.failed: list[Exception] = []
        self.refused: list[Committed] = []
        self.away: list[Exception] = []

    def turn_handled(self, conversation: Conversation, turn: TurnResult) -> None:
        self.handled.append(turn)

    def turn_failed(self, conversation: Conversation, message: ClaimedMessage, error: Exception) -> None:
        self.failed.append(error)

    def commit_refused(self, committed: Committed) -> None:
        self.refused.append(committed)

    def store_failed(self, error: Exception) -> None:
        self.away.append(error)


class Desk:
    """One worker on one store, with everything else scripted."""

    def __init__(self, store: SqlStore) -> None:
        self.store, self.observed, self.signals = store, Observed(), LocalSignals()
        self.nlu: Any = ScriptedNlu()
        self.worker = self.another_worker("first")
        self._said = 0
        self._runtime: AssistantRuntime | None = None

    def another_worker(self, name: str) -> Worker:
        engine = Engine(self.store, self, PlainEncoder(), SystemClock())
        return Worker(engine, self.store, self.signals, self.observed, SystemClock(), name=name)

    def runtime_for(self, identity: Identity) -> AssistantRuntime:
        return self._runtime or AssistantRuntime(shop(), self.nlu, NoArticles(), "Asia/Shanghai", "zh")

    def answers_with(self, knowledge: KnowledgeIndex) -> None:
        self._runtime = AssistantRuntime(shop(), self.nlu, knowledge, "Asia/Shanghai", "zh")

    async def hears(self, content: Any, *, user: str = "v-1", **fields: Any) -> None:
        self._said += 1
        key = f"{user}:{self._said}"
        message = InboundMessage(
            sender=Identity("web", "default", user),
            chat_id=user,
            dedupe_key=key,
            content=Text(content) if isinstance(content, str) else content,
            sent_at=SystemClock().now(),
            vendor_message_id=key,
            **fields,
        )
        await self.store.accept([Received("web", "default", key, key.encode(), message)])

    async def works(self) -> None:
        while await self.worker.run_once():
            pass

    async def saw(self, user: str = "v-1") -> list[tuple[str, str]]:
        conversation = await self.store.web_conversation(Identity("web", "default", user))
        events: Sequence[dict[str, Any]] = await self.store.events_after(conversation, 0, 100)
        return [(event["author"], event["text"]) for event in events]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = await SqlStore.open(f"sqlite:///{tmp_path}/desk.db")
    yield Desk(store)
    await store.close()


async def test_each_message_gets_one_answer_in_the_order_of_acceptance(desk: Desk) -> None:
    desk.nlu.meanings = {"hi": "greet", "你好": "greet", "bye": "goodbye"}
    for text in ("hi", "你好", "bye"):
        await desk.hears(text)
    await desk.works()
    assert [turn.language for turn in desk.observed.handled] == ["en", "zh", "en"]
    # Accepted together, so the three questions come first; the answers follow in their order.
    assert [author for author, _ in await desk.saw()] == ["customer"] * 3 + ["bot"] * 3


async def test_a_message_is_not_handled_again_by_a_later_round(desk: Desk) -> None:
    desk.nlu.meanings = {"hi": "greet"}
    await desk.hears("hi")
    await desk.works()
    assert await desk.another_worker("second").run_once() == 0
    assert len(desk.observed.handled) == 1


async def test_two_workers_never_hold_one_conversation_together(desk: Desk) -> None:
    desk.nlu.meanings = {"hi": "greet"}
    desk.nlu.gate = asyncio.Event()
    await desk.hears("hi")
    thinking = asyncio.create_task(desk.worker.run_once())
    await desk.nlu.is_thinking.wait()
    await desk.hears("hi")
    assert await desk.another_worker("second").run_once() == 0
    desk.nlu.gate.set()
    assert await thinking == 1
    await desk.works()
    assert [author for author, _ in await desk.saw()].count("bot") == 2


async def test_while_an_answer_takes_its_time_the_chat_it_is_for_is_told(desk: Desk) -> None:
    desk.nlu.meanings = {"hi": "greet"}
    desk.nlu.gate = asyncio.Event()
    hints = desk.signals.subscribe(TOPIC_TYPING)
    await desk.hears("hi")
    thinking = asyncio.create_task(desk.worker.run_once())

    hint = await asyncio.wait_for(anext(hints), 10)
    desk.nlu.gate.set()
    await thinking
    await hints.aclose()

    assert {"channel", "account", "chat_id", "topic"} == set(hint.payload)
    assert hint.payload["channel"] == "web"


async def test_a_crash_while_understanding_answers_with_an_apology_and_keeps_the_state(desk: Desk) -> None:
    desk.nlu.meanings = {"I want to complain": "complaint"}
    await desk.hears("I want to complain")
    await desk.works()
    state = desk.observed.handled[-1].state
    desk.nlu.broken = RuntimeError("boom")
    await desk.hears("the kettle leaks")
    await desk.works()
    assert [type(error) for error in desk.observed.failed] == [RuntimeError]
    assert desk.observed.handled[-1].state == state
    assert (await desk.saw())[-1] == ("bot", APOLOGY["en"])


async def test_a_service_that_is_away_leaves_the_message_for_later(desk: Desk) -> None:
    desk.nlu.broken = ServiceUnavailable("nlu")
    desk.nlu.meanings = {"hi": "greet"}
    await desk.hears("hi")
    assert await desk.worker.run_once() == 1
    assert [type(error) for error in desk.observed.away] == [ServiceUnavailable]
    assert desk.observed.handled == []
    assert [author for author, _ in await desk.saw()] == ["customer"]


class ReadsMany(ScriptedNlu):
    """Counts what was read together and what alone; `broken_batch` makes reading together fail."""

    def __init__(self, *, broken_batch: bool = False, **fields: Any) -> None:
        super().__init__(**fields)
        self.together: list[tuple[str, ...]] = []
        self.alone: list[str] = []
        self.broken_batch = broken_batch

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        self.alone.append(text)
        return await super().parse(text, now=now, timezone=timezone)

    async def parse_many(self, texts: Sequence[str], *, now: datetime, timezones: Sequence[str]) -> list[Understanding]:
        self.together.append(tuple(texts))
        if self.broken_batch:
            raise RuntimeError("one text breaks the engine")
        assert len(texts) == len(timezones)
        return [await super(ReadsMany, self).parse(text, now=now, timezone="UTC") for text in texts]


class CountsArticles(NoArticles):
    def __init__(self) -> None:
        self.together: list[tuple[str, Language]] = []
        self.alone = 0

    def ask(self, text: str, *, language: Language, top: int = 3) -> tuple[ArticleHit, ...]:
        self.alone += 1
        return ()

    def ask_many(self, questions: Sequence[tuple[str, Language]], *, top: int = 3) -> list[tuple[ArticleHit, ...]]:
        self.together += questions
        return [()] * len(questions)


async def test_what_many_customers_say_is_read_together_and_answered_one_by_one(desk: Desk) -> None:
    desk.nlu, articles = ReadsMany(meanings={"hello": "greet", "你好": "greet"}), CountsArticles()
    desk.answers_with(articles)
    await desk.hears("hello", user="v-1")
    await desk.hears("你好", user="v-2")
    await desk.hears("hello", user="v-3")
    await desk.hears(Button("intent:greet", "Hello"), user="v-4")
    await desk.works()
    assert desk.nlu.together == [("hello", "你好")]
    assert desk.nlu.alone == []
    assert articles.together == [("hello", "en"), ("你好", "zh")]
    assert articles.alone == 0
    assert [turn.understanding and turn.understanding.intent.name for turn in desk.observed.handled] == [
        "greet", "greet", "greet", None,
    ]  # fmt: skip


async def test_one_message_alone_is_not_read_ahead(desk: Desk) -> None:
    desk.nlu = ReadsMany(meanings={"hello": "greet"})
    desk.answers_with(CountsArticles())
    await desk.hears("hello")
    await desk.works()
    assert (desk.nlu.together, desk.nlu.alone) == ([], ["hello"])


async def test_where_reading_together_fails_every_message_is_read_by_itself(desk: Desk) -> None:
    desk.nlu = ReadsMany(meanings={"hello": "greet", "hi": "greet"}, broken_batch=True)
    desk.answers_with(CountsArticles())
    await desk.hears("hello", user="v-1")
    await desk.hears("hi", user="v-2")
    await desk.works()
    assert sorted(desk.nlu.alone) == ["hello", "hi"]
    assert len(desk.observed.handled) == 2
    assert desk.observed.failed == []


async def test_an_event_is_recorded_without_an_answer(desk: Desk) -> None:
    await desk.hears(Event("joined"))
    await desk.works()
    assert [turn.out for turn in desk.observed.handled] == [()]
    assert "bot" not in {author for author, _ in await desk.saw()}


async def test_a_refused_commit_writes_nothing_and_is_reported(desk: Desk) -> None:
    desk.nlu.meanings = {"hi": "greet"}
    await desk.hears("hi")
    (claimed,) = await desk.store.claim("somebody", 1)
    engine = Engine(desk.store, desk, PlainEncoder(), SystemClock())
    commit = await engine.handle(claimed, desk.observed)
    stale = replace(commit, claimed=replace(claimed, conversation=replace(claimed.conversation, version=99)))
    (outcome,) = await desk.store.commit([stale])
    assert not outcome.ok
    assert "bot" not in {author for author, _ in await desk.saw()}


def test_words_are_what_was_said_and_nothing_else() -> None:
    def message(content: Any, hint: str = "") -> InboundMessage:
        return InboundMessage(
            Identity("web", "default", "v"), "v", "k", content, SystemClock().now(), language_hint=hint
        )

    assert words_of(message(Text("hi"))) == "hi"
    assert words_of(message(Media("voice", "f", transcript="where is it"))) == "where is it"
    assert words_of(message(Media("image", "f"))) is None
    assert hinted_language(message(Text(""), "zh-Hant")) == "zh"
    assert hinted_language(message(Text(""), "fr")) == "en"
    assert hinted_language(message(Text(""))) is None
