"""A Rasa server through its bad days, in front of the embedded engine: every message is understood by somebody.

The server is a stand-in on loopback; what needs the real one is in tests/rasa.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from bot.types import Understanding
from nlu.cascade import Cascade, Rung
from nlu.compound import CompoundEngine
from nlu.embedded.engine import EmbeddedEngine
from nlu.embedded.model import train_model
from nlu.evaluation import parse_json
from nlu.rasa import Breaker, RasaEngine
from nlu.training_data import Example, TrainingData

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
LIMIT_S, PATIENT_S = 0.3, 10.0  # nobody waits for the limit but where the server hangs
OPEN_FOR_S = 5.0
PAIRS = [(f"where is my {thing}", "order_status") for thing in ("order", "parcel", "kettle", "lamp")]
PAIRS += [(f"{hello} there", "greet") for hello in ("hello", "hi", "good morning", "hey")]


@dataclass
class Server:
    """`mood`: fine | slow | garbage | wrong_model | failing. `down` closes the port, `up` opens the same one again."""

    mood: str = "fine"
    asked: int = 0
    port: int = 0
    _runner: web.AppRunner | None = None
    _never: asyncio.Event = field(default_factory=asyncio.Event)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked += 1
        text = json.loads(await request.text())["text"]
        if self.mood == "slow":
            await self._never.wait()
        if self.mood == "garbage":
            return web.Response(body=b'{"text":"' + b"\xff" * 9)
        name = "somebody_elses" if self.mood == "wrong_model" else "order_status" if "where" in text else "greet"
        top = {"name": name, "confidence": 0.97}
        body = {"text": text, "intent": top, "intent_ranking": [top], "entities": []}
        return web.json_response(body, status=503 if self.mood == "failing" else 200)

    async def up(self) -> None:
        app = web.Application()
        app.router.add_post("/model/parse", self.answer)
        self._runner = web.AppRunner(app, shutdown_timeout=0.01, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()
        self.port = self._runner.addresses[0][1]

    async def down(self) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None


@dataclass
class Desk:
    """The engines as a desk has them, and a clock for the circuit."""

    server: Server
    cascade: Cascade
    clock: list[float]

    async def understands(self, text: str = "where is my order") -> Understanding:
        answer = await self.cascade.parse(text, now=NOW, timezone="Asia/Shanghai")
        assert answer.intent.name == ("order_status" if "where" in text else "greet")
        assert answer.text == text
        return answer


@pytest.fixture(scope="module")
def embedded() -> EmbeddedEngine:
    return EmbeddedEngine(train_model(TrainingData(tuple(Example(text, intent) for text, intent in PAIRS))))


@asynccontextmanager
async def a_desk(embedded: EmbeddedEngine, limit_s: float = PATIENT_S) -> AsyncIterator[Desk]:
    server, clock = Server(), [100.0]
    await server.up()
    rasa = RasaEngine(
        f"http://127.0.0.1:{server.port}",
        timeout_s=limit_s,
        intents={"order_status", "greet"},
        breaker=Breaker(3, open_for_s=OPEN_FOR_S),
        monotonic=lambda: clock[0],
    )
    rungs = [Rung(CompoundEngine(rasa), limit_s=limit_s, close=rasa.close), Rung(embedded)]
    try:
        yield Desk(server, Cascade(rungs, minimum_confidence=0.4), clock)
    finally:
        await rasa.close()
        await server.down()


@pytest.mark.parametrize(
    ("mood", "note"),
    [
        ("slow", "timed out"),
        ("garbage", "did not answer in JSON"),
        ("wrong_model", "serves another model: the assistant has no intent 'somebody_elses'"),
        ("failing", "503"),
    ],
)
async def test_messages_are_understood_while_rasa_fails_and_the_circuit_opens_and_closes(
    embedded: EmbeddedEngine, mood: str, note: str
) -> None:
    async with a_desk(embedded, LIMIT_S if mood == "slow" else PATIENT_S) as desk:
        assert (await desk.understands()).engine == "rasa"
        desk.server.mood = mood
        for _ in range(3):
            answer = await desk.understands()
            assert (answer.engine, note in answer.note) == ("embedded", True)
        asked = desk.server.asked
        assert "left alone" in (await desk.understands("hello there")).note
        assert desk.server.asked == asked  # nobody waits for it now
        desk.clock[0] += OPEN_FOR_S + 1
        assert (await desk.understands()).engine == "embedded"  # the one that tries, in vain
        desk.server.mood = "fine"
        assert (await desk.understands()).engine == "embedded"
        desk.clock[0] += OPEN_FOR_S + 1
        assert [(await desk.understands()).engine for _ in range(2)] == ["rasa", "rasa"]


async def test_a_server_that_restarts_is_asked_again_and_no_message_is_lost(embedded: EmbeddedEngine) -> None:
    async with a_desk(embedded) as desk:
        assert (await desk.understands()).engine == "rasa"
        await desk.server.down()
        answers = await asyncio.gather(*(desk.understands(text) for text, _ in PAIRS))
        assert {answer.engine for answer in answers} == {"embedded"}
        assert [answer.text for answer in answers] == [text for text, _ in PAIRS]
        await desk.server.up()
        desk.clock[0] += OPEN_FOR_S + 1
        assert (await desk.understands()).engine == "rasa"


async def test_both_engines_answer_the_same_messages_in_the_same_shape(embedded: EmbeddedEngine) -> None:
    async with a_desk(embedded) as desk:
        rasa = RasaEngine(f"http://127.0.0.1:{desk.server.port}", timeout_s=5)
        try:
            for text in ("where is my order", "hello there", "你好", "🙂", "x" * 3000, "/restart", "a\x00b"):
                first, second = [
                    parse_json(await engine.parse(text, now=NOW, timezone="UTC")) for engine in (rasa, embedded)
                ]
                assert first["text"] == second["text"] == text
                assert _shape(first) == _shape(second)
        finally:
            await rasa.close()


def _shape(parsed: dict[str, Any]) -> Any:
    """Names and types of all there is; of lists the first entry, where there is one."""
    assert all(isinstance(entry["confidence"], float) for entry in parsed["intent_ranking"])
    return {name: type(value) for name, value in parsed.items()} | {
        "intent": {name: type(value) for name, value in parsed["intent"].items()}
    }
