"""Cascade: who answers, who is asked next, what the note says. Engines are values here, no network."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr

from bot.errors import Misconfigured, ServiceUnavailable
from bot.types import Entity, ScoredIntent, Understanding
from config.settings import NluSettings
from nlu.cascade import Cascade, Recognising, Rung, build_engine, with_recognised

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)


class Engine:
    """Gives one intent with one confidence, or raises."""

    def __init__(
        self, name: str, confidence: float = 0.0, *, error: Exception | None = None, entities: tuple[Entity, ...] = ()
    ) -> None:
        self.name = name
        self.asked = 0
        self.closed = False
        self._confidence, self._error, self._entities = confidence, error, entities

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        self.asked += 1
        if self._error is not None:
            raise self._error
        intents = (ScoredIntent(f"from_{self.name}", self._confidence),) if self._confidence else ()
        return Understanding(text, "en", True, intents, self._entities, self.name)

    async def is_ready(self) -> bool:
        return self._error is None

    async def close(self) -> None:
        self.closed = True


class Waiting(Engine):
    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")


def a_cascade(*engines: Engine, limit_s: float | None = None) -> Cascade:
    return Cascade([Rung(engine, limit_s, engine.close) for engine in engines], minimum_confidence=0.4)


async def parsed(cascade: Cascade, text: str = "hello there") -> Understanding:
    return await cascade.parse(text, now=NOW, timezone="Asia/Shanghai")


async def test_a_sure_first_engine_is_the_only_one_asked() -> None:
    rasa, embedded = Engine("rasa", 0.9), Engine("embedded", 0.99)
    answer = await parsed(a_cascade(rasa, embedded))
    assert (answer.engine, answer.note, embedded.asked) == ("rasa", "", 0)


async def test_exactly_the_minimum_is_sure() -> None:
    assert (await parsed(a_cascade(Engine("rasa", 0.4), Engine("embedded", 0.9)))).engine == "rasa"


async def test_a_failing_engine_is_replaced_and_the_note_says_why() -> None:
    late = ServiceUnavailable("rasa", "timed out after 1.5 s")
    answer = await parsed(a_cascade(Engine("rasa", error=late), Engine("embedded", 0.8)))
    assert (answer.engine, answer.intent.name) == ("embedded", "from_embedded")
    assert answer.note == "rasa timed out after 1.5 s"


async def test_an_unsure_engine_is_replaced_by_a_sure_one() -> None:
    answer = await parsed(a_cascade(Engine("rasa", 0.31), Engine("embedded", 0.8)))
    assert (answer.engine, answer.note) == ("embedded", "rasa unsure (0.31)")


@pytest.mark.parametrize(
    ("rasa", "embedded", "winner"), [(0.3, 0.2, "rasa"), (0.2, 0.3, "embedded"), (0.3, 0.3, "rasa")]
)
async def test_among_unsure_answers_the_surest_wins_and_the_earlier_on_a_tie(
    rasa: float, embedded: float, winner: str
) -> None:
    answer = await parsed(a_cascade(Engine("rasa", rasa), Engine("embedded", embedded)))
    assert answer.engine == winner
    assert answer.note == f"rasa unsure ({rasa:.2f}); embedded unsure ({embedded:.2f})"


async def test_an_unsure_answer_is_better_than_a_failing_engine() -> None:
    down = ServiceUnavailable("rasa", "cannot be reached")
    answer = await parsed(a_cascade(Engine("embedded", 0.1), Engine("rasa", error=down)))
    assert (answer.engine, answer.note) == ("embedded", "embedded unsure (0.10); rasa cannot be reached")


async def test_when_every_engine_fails_the_message_is_kept_without_intents() -> None:
    down = ServiceUnavailable("rasa", "cannot be reached")
    answer = await parsed(
        a_cascade(Engine("rasa", error=down), Engine("embedded", error=ValueError("secret"))), "你好吗"
    )
    assert (answer.engine, answer.intents, answer.language, answer.text) == ("none", (), "zh", "你好吗")
    assert answer.note == "rasa cannot be reached; embedded broke (ValueError)"


async def test_an_engine_that_does_not_answer_is_left_at_its_limit() -> None:
    answer = await parsed(a_cascade(Waiting("rasa"), limit_s=0.01))
    assert (answer.engine, answer.note) == ("none", "rasa timed out after 0.01 s")


async def test_phone_and_date_are_found_and_normalised_whatever_the_engine() -> None:
    text = "kettle broke yesterday, call 13812345678"
    own = (
        Entity("product", "kettle", "kettle", 0, 6),
        Entity("order_number", "13812345678", "13812345678", 29, 40, 0.6),
    )
    answer = await Recognising(Engine("rasa", 0.9, entities=own)).parse(text, now=NOW, timezone="Asia/Shanghai")
    assert [(e.name, e.value) for e in answer.entities] == [
        ("product", "kettle"),
        ("date", "2026-11-19"),
        ("phone", "+8613812345678"),
    ]


async def test_relative_dates_count_in_the_customers_zone() -> None:
    late = datetime(2026, 11, 20, 23, 0, tzinfo=UTC)  # already the 21st in Shanghai
    for zone, day in (("Asia/Shanghai", "2026-11-20"), ("Nowhere/Else", "2026-11-19")):
        answer = await Recognising(Engine("rasa", 0.9)).parse("since yesterday", now=late, timezone=zone)
        assert [e.value for e in answer.entities] == [day]


def test_touching_entities_do_not_overlap() -> None:
    amount, product = Entity("amount", "39", "39元", 0, 3), Entity("product", "kettle", "水壶", 3, 5)
    assert with_recognised([product], [amount]) == (amount, product)


async def test_a_cascade_is_ready_while_one_engine_is() -> None:
    down = Engine("rasa", error=ServiceUnavailable("rasa"))
    assert await a_cascade(down, Engine("embedded", 0.9)).is_ready()
    assert not await a_cascade(down).is_ready()


async def test_closing_closes_the_engines() -> None:
    engine = Engine("rasa", 0.9)
    await a_cascade(engine).close()
    assert engine.closed


def test_embedded_alone_needs_no_cascade() -> None:
    embedded = Engine("embedded", 0.9)
    assert build_engine(NluSettings(), embedded) is embedded


async def test_rasa_first_falls_back_to_embedded_when_nobody_listens(unused_tcp_port: int) -> None:
    settings = NluSettings(
        engine=("rasa", "embedded"), rasa_url=f"http://127.0.0.1:{unused_tcp_port}", rasa_token=SecretStr("t")
    )
    engine = build_engine(settings, Engine("embedded", 0.9))
    assert isinstance(engine, Cascade)
    answer = await parsed(engine)
    await engine.close()
    assert (answer.engine, answer.note) == ("embedded", "rasa cannot be reached")


def test_a_wrong_address_stops_the_start() -> None:
    with pytest.raises(Misconfigured):
        build_engine(NluSettings(engine=("rasa",), rasa_url="rasa:5005"), Engine("embedded"))
