"""RasaEngine against a stub server on loopback that misbehaves in every way a server can."""

from __future__ import annotations

import asyncio
import gzip
import json
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest
import structlog
from aiohttp import web
from pydantic import SecretStr

from bot.errors import Misconfigured, ServiceUnavailable
from bot.types import Entity, Understanding
from nlu.rasa import MAX_CHARACTERS, Breaker, RasaEngine, what_to_send, without_overlaps

NOW = datetime(2026, 11, 20, 4, 0, tzinfo=UTC)
Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


def an_answer(text: str, intent: str = "greet", confidence: float = 0.9, **fields: Any) -> dict[str, Any]:
    top = {"name": intent, "confidence": confidence}
    return {"text": text, "intent": top, "intent_ranking": [top], "entities": [], **fields}


@dataclass
class Stub:
    """Answers with `answer`; remembers the texts and query strings it was sent."""

    answer: Answer
    url: str = ""
    texts: list[str] = field(default_factory=list)
    queries: list[str] = field(default_factory=list)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.queries.append(request.query_string)
        if request.method == "POST":
            self.texts.append(json.loads(await request.text())["text"])
        return await self.answer(request)


@asynccontextmanager
async def serving(answer: Answer) -> AsyncIterator[Stub]:
    stub = Stub(answer)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", stub.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    stub.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield stub
    finally:
        await runner.cleanup()


def saying(body: Any, status: int = 200) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(body, status=status)

    return answer


def raw(body: bytes, status: int = 200, **headers: str) -> Answer:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=body, status=status, headers={k.replace("_", "-"): v for k, v in headers.items()})

    return answer


async def understood(answer: Answer, text: str = "hello there", **options: Any) -> Understanding:
    async with serving(answer) as stub:
        return await asked(stub.url, text, **options)


async def asked(url: str, text: str = "hello there", **options: Any) -> Understanding:
    engine = RasaEngine(url, **{"timeout_s": 5.0, **options})
    try:
        return await engine.parse(text, now=NOW, timezone="Asia/Shanghai")
    finally:
        await engine.close()


# --- what is understood -----------------------------------------------------------------------------------------


async def test_ranking_becomes_intents_best_first_with_who_understood_it() -> None:
    ranking = [{"name": "greet", "confidence": 0.2}, {"name": "complaint", "confidence": 0.7}]
    answer = await understood(saying(an_answer("hello there", intent_ranking=ranking)))
    assert [(i.name, i.confidence) for i in answer.intents] == [("complaint", 0.7), ("greet", 0.2)]
    assert (answer.engine, answer.language, answer.language_is_sure) == ("rasa", "en", True)
    assert answer.duration_ms > 0


async def test_a_pipeline_without_ranking_gives_its_one_intent() -> None:
    answer = await understood(
        saying({"text": "hello there", "intent": {"name": "greet", "confidence": 1}, "entities": []})
    )
    assert [i.name for i in answer.intents] == ["greet"]


async def test_rasas_own_fallback_is_not_something_a_customer_wants() -> None:
    ranking = [{"name": "nlu_fallback", "confidence": 0.4}, {"name": "greet", "confidence": 0.3}]
    answer = await understood(saying(an_answer("hello there", "nlu_fallback", intent_ranking=ranking)))
    assert [i.name for i in answer.intents] == ["greet"]


async def test_no_intent_at_all_is_an_empty_ranking() -> None:
    body = {"text": "hello there", "intent": {"name": None, "confidence": 0.0}, "entities": [], "intent_ranking": []}
    assert (await understood(saying(body))).intents == ()


async def test_entities_keep_code_point_offsets_across_emoji_and_leading_space() -> None:
    text = "  😀 电水壶 broke"
    found = {"entity": "product", "start": 2, "end": 5, "value": "kettle", "confidence_entity": 0.8, "extractor": "D"}
    answer = await understood(saying(an_answer("😀 电水壶 broke", entities=[found])), text)
    assert answer.entities == (Entity("product", "kettle", "电水壶", 4, 7, 0.8, "D"),)
    assert text[answer.entities[0].start : answer.entities[0].end] == "电水壶"


async def test_roles_helpers_and_entities_without_a_place_are_left_out_or_ignored() -> None:
    entities = [
        {"entity": "language", "start": 0, "end": 5, "value": "en"},
        {"entity": "mood", "value": "good"},
        {"entity": "amount", "start": 0, "end": 5, "value": 39, "role": "from", "group": "1", "confidence": 1.0},
        {"entity": "date", "start": 6, "end": 11, "value": {"from": "x"}},
    ]
    answer = await understood(saying(an_answer("hello there", entities=entities)))
    assert [(e.name, e.value, e.confidence) for e in answer.entities] == [("amount", "39", 1.0), ("date", "there", 1.0)]


async def test_offsets_into_another_text_are_not_believed() -> None:
    entities = [{"entity": "product", "start": 0, "end": 5, "value": "kettle"}]
    answer = await understood(saying(an_answer("something else", entities=entities)))
    assert [i.name for i in answer.intents] == ["greet"]
    assert answer.entities == ()


@pytest.mark.parametrize(
    ("text", "word", "found"),
    [
        ("a fantastic company", "fan", False),
        ("your company", "pan", False),
        ("two kettles", "kettle", True),
        ("FANS", "fan", True),
        ("the fan.", "fan", True),
        ("这个fan坏了", "fan", True),
        ("2391fan", "fan", True),
    ],
)
async def test_a_lookup_inside_another_word_is_no_finding(text: str, word: str, found: bool) -> None:
    start = text.lower().index(word)
    entity = {"entity": "product", "start": start, "end": start + len(word), "value": word}
    answer = await understood(saying(an_answer(text, entities=[entity])), text)
    assert bool(answer.entities) is found


def test_overlapping_findings_of_several_extractors_are_given_once() -> None:
    diet = Entity("product", "lamp", "lamp", 5, 9, 0.99, "DIETClassifier")
    lookup = Entity("product", "desk lamp", "desk lamp", 0, 9, 1.0, "RegexEntityExtractor")
    twice = Entity("order_number", "2391", "2391", 20, 24, 0.7, "DIETClassifier")
    surer = Entity("order_number", "2391", "2391", 20, 24, 1.0, "RegexEntityExtractor")
    assert without_overlaps([twice, surer, diet, lookup]) == (lookup, surer)


# --- what is sent -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("typed", "sent", "lead"),
    [
        ("/restart", "restart", 1),
        ('/greet{"name": "x"}', 'greet{"name": "x"}', 1),
        (" \n/ /restart ", "restart", 5),
        ("\x1c/restart", "restart", 2),
        ("／restart", "restart", 1),
        ("EXTERNAL: /greet", "EXTERNAL: /greet", 0),
        ("and/or", "and/or", 0),
        ("///", "", 3),
        ("   ", "", 3),
        ("", "", 0),
        ("ＳＯ－２３９１ 訂單", "so-2391 订单", 0),
        ("Where IS it", "Where IS it", 0),
        ("a\ud800b", "a\ufffdb", 0),
    ],
)
def test_no_text_reaches_rasa_as_one_of_its_shortcuts(typed: str, sent: str, lead: int) -> None:
    part = what_to_send(typed)
    assert (part.text, part.lead) == (sent, lead)
    assert not part.text.strip().startswith("/")


async def test_command_looking_text_is_classified_as_text_with_offsets_of_what_was_typed() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        entities = [{"entity": "order_number", "start": 6, "end": 10, "value": "2391"}]
        return web.json_response(an_answer("order 2391", "order_status", entities=entities))

    async with serving(answer) as stub:
        found = await asked(stub.url, " /order 2391")
        assert stub.texts == ["order 2391"]
    assert found.entities[0].start == 8
    assert found.text[8:12] == "2391"


async def test_only_the_beginning_of_a_huge_text_is_sent_and_the_note_says_so() -> None:
    async with serving(saying(an_answer("x" * MAX_CHARACTERS))) as stub:
        answer = await asked(stub.url, "x" * 20_000)
        assert [len(text) for text in stub.texts] == [MAX_CHARACTERS]
    assert len(answer.text) == 20_000
    assert "1000 characters" in answer.note


async def test_text_with_nothing_to_read_is_not_sent() -> None:
    async with serving(saying({}, 500)) as stub:
        assert (await asked(stub.url, " // ")).intents == ()
        assert stub.queries == []


# --- what can go wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"\xff\xfe{}",
        b"[]",
        b"null",
        b'"text"',
        b"{}",
        b'{"text":"hello there"}',
        b"[" * 100_000,
        gzip.compress(b"{}", mtime=0),
        json.dumps(an_answer("hello there", intent_ranking="greet")).encode(),
        json.dumps(an_answer("hello there", intent_ranking=[["greet", 1]])).encode(),
        json.dumps(an_answer("hello there", intent_ranking=[{"name": "greet"}])).encode(),
        json.dumps(an_answer("hello there", intent_ranking=[{"name": 7, "confidence": 1}])).encode(),
        json.dumps(an_answer("hello there", intent_ranking=[{"name": "a", "confidence": "high"}])).encode(),
        json.dumps(an_answer("hello there", intent_ranking=[{"name": "a", "confidence": True}])).encode(),
        b'{"text":"hello there","intent":{"name":"a","confidence":NaN},"entities":[]}',
        json.dumps(an_answer("hello there", entities=None)).encode(),
        json.dumps(an_answer("hello there", entities=["product"])).encode(),
        json.dumps(an_answer("hello there", entities=[{"entity": "p", "start": 0, "end": 99}])).encode(),
        json.dumps(an_answer("hello there", entities=[{"entity": "p", "start": -3, "end": 2}])).encode(),
        json.dumps(an_answer("hello there", entities=[{"entity": "p", "start": "0", "end": 2}])).encode(),
        json.dumps(an_answer("hello there", entities=[{"entity": None, "start": 0, "end": 2}])).encode(),
    ],
)
async def test_an_answer_of_another_shape_is_no_answer(body: bytes) -> None:
    with pytest.raises(ServiceUnavailable) as caught:
        await understood(raw(body))
    assert caught.value.service == "rasa"


@pytest.mark.parametrize(
    ("status", "hint"),
    [
        (401, "TOKEN"),
        (403, "TOKEN"),
        (404, "--enable-api"),
        (409, "no model"),
        (500, "500"),
        (503, "503"),
        (302, "302"),
    ],
)
async def test_an_error_status_says_what_to_do(status: int, hint: str) -> None:
    with pytest.raises(ServiceUnavailable, match=hint):
        await understood(raw(b"{}", status, Location="http://127.0.0.1:1/elsewhere"))


async def test_an_endless_answer_is_cut_off() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" " * 65_536)
        except ConnectionError:
            return response

    with pytest.raises(ServiceUnavailable, match="more than"):
        await understood(answer)


async def test_a_slow_answer_ends_at_the_time_limit() -> None:
    forever = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    with pytest.raises(ServiceUnavailable, match=r"timed out after 0\.05 s"):
        await understood(answer, timeout_s=0.05)


async def test_a_broken_connection_is_no_answer() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        assert request.transport is not None
        request.transport.close()
        return web.Response()

    with pytest.raises(ServiceUnavailable, match="broke off"):
        await understood(answer)


async def test_nobody_listening_is_no_answer(unused_tcp_port: int) -> None:
    with pytest.raises(ServiceUnavailable, match="cannot be reached"):
        await asked(f"http://127.0.0.1:{unused_tcp_port}")


@pytest.mark.parametrize("url", ["", "127.0.0.1:5005", "ftp://127.0.0.1", "http://", "http://[::1"])
def test_an_address_that_is_none_is_refused_at_the_start(url: str) -> None:
    with pytest.raises(Misconfigured):
        RasaEngine(url)


async def test_the_token_is_sent_but_gets_into_no_error_and_no_log(caplog: pytest.LogCaptureFixture) -> None:
    token, words = "s3cr&t=1", "call me on 13812345678"
    caplog.set_level(logging.DEBUG)
    with structlog.testing.capture_logs() as logs:
        async with serving(raw(b"{", 503)) as stub:
            with pytest.raises(ServiceUnavailable) as caught:
                await asked(stub.url, words, token=SecretStr(token))
            assert stub.queries == ["token=s3cr%26t%3D1"]
        with pytest.raises(ServiceUnavailable) as unreachable:
            await asked(stub.url, words, token=SecretStr(token))
    for failure in (caught.value, unreachable.value):
        shown = "".join(traceback.format_exception(failure)) + repr(failure) + caplog.text + str(logs)
        assert "s3cr" not in shown
        assert "1381234" not in shown
    assert [line["event"] for line in logs] == ["rasa_parse_failed"] * 2


# --- leaving a failing server alone -----------------------------------------------------------------------------


async def test_after_repeated_failures_rasa_is_left_alone_and_tried_again_later() -> None:
    clock = [100.0]
    healthy = [False]

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.json_response(an_answer("hello there"), status=200 if healthy[0] else 503)

    async with serving(answer) as stub:
        engine = RasaEngine(stub.url, breaker=Breaker(3, open_for_s=5.0), monotonic=lambda: clock[0])

        async def fails(match: str) -> None:
            with pytest.raises(ServiceUnavailable, match=match):
                await engine.parse("hello there", now=NOW, timezone="UTC")

        try:
            for _ in range(3):
                await fails("503")
            await fails("left alone")
            assert len(stub.texts) == 3
            clock[0] += 5.1
            await fails("503")  # the one that tries
            await fails("left alone")
            healthy[0] = True
            clock[0] += 5.1
            for _ in range(2):
                assert (await engine.parse("hello there", now=NOW, timezone="UTC")).intent.name == "greet"
        finally:
            await engine.close()
    assert len(stub.texts) == 6


async def test_being_left_waiting_counts_as_a_failure() -> None:
    forever = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        await forever.wait()
        return web.Response()

    async with serving(answer) as stub:
        engine = RasaEngine(stub.url, breaker=Breaker(1))
        try:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(engine.parse("hello there", now=NOW, timezone="UTC"), 0.05)
            with pytest.raises(ServiceUnavailable, match="left alone"):
                await engine.parse("hello there", now=NOW, timezone="UTC")
        finally:
            await engine.close()


async def test_texts_that_rasa_cannot_read_do_not_close_it_to_others() -> None:
    async def answer(request: web.Request) -> web.StreamResponse:
        text = json.loads(await request.text())["text"]
        return web.json_response(an_answer(text), status=500 if text == "odd" else 200)

    async with serving(answer) as stub:
        engine = RasaEngine(stub.url, breaker=Breaker(2))
        try:
            for _ in range(3):
                with pytest.raises(ServiceUnavailable):
                    await engine.parse("odd", now=NOW, timezone="UTC")
            assert (await engine.parse("hello there", now=NOW, timezone="UTC")).intent.name == "greet"
        finally:
            await engine.close()


# --- ready ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "ready"),
    [
        (saying({"model_file": "m.tar.gz", "model_id": "a7c0", "num_active_training_jobs": 0}), True),
        (saying({"model_file": "", "model_id": None, "num_active_training_jobs": 0}), False),
        (saying({"reason": "ConflictingAgent"}, 409), False),
        (raw(b"ok"), False),
        (saying([]), False),
    ],
)
async def test_ready_means_a_model_is_loaded(answer: Answer, ready: bool) -> None:
    async with serving(answer) as stub:
        engine = RasaEngine(stub.url)
        try:
            assert await engine.is_ready() is ready
        finally:
            await engine.close()
