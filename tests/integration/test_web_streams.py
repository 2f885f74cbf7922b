"""Streams of the web chat on a real server: resuming loses and repeats nothing, whatever gets lost on the way."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest

from bot.ports import TOPIC_WEB
from channels.web.hub import MAX_STREAMS_PER_USER, PAGE, TAIL
from config.settings import WebSettings
from tests.web_server import WebServer, web_server

EVENTS = "/channels/web/default/events"


@dataclass
class Visitor:
    """One visitor with a conversation, and how they read it."""

    server: WebServer
    client: aiohttp.ClientSession
    token: str
    user: str
    conversation: int = 0

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.token}"}

    @asynccontextmanager
    async def stream(self, after: int | str = 0, **headers: str) -> AsyncIterator[Reader]:
        url = f"{EVENTS}?after={after}" if after != "" else EVENTS
        async with self.client.get(url, headers={**self.headers, **headers}) as response:
            yield Reader(response)


@dataclass
class Reader:
    response: aiohttp.ClientResponse
    lines: list[str] = field(default_factory=list)

    async def block(self) -> list[str]:
        """The next server-sent block; raises StopAsyncIteration at the end of the stream."""
        lines: list[str] = []
        while True:
            line = (await self.response.content.readline()).decode()
            if not line:
                raise StopAsyncIteration
            if line == "\n":
                return lines
            lines.append(line.rstrip("\n"))

    async def event(self) -> dict[str, Any]:
        """The next event with a payload; its `id:` line must be its seq, and hints must have none."""
        while True:
            lines = await self.block()
            payload = [line[6:] for line in lines if line.startswith("data: ")]
            if not payload:
                continue
            (line,) = payload
            event: dict[str, Any] = json.loads(line)
            ids = [int(line[4:]) for line in lines if line.startswith("id: ")]
            assert ids == ([event["seq"]] if "type" not in event else [])
            return event

    async def seqs(self, count: int) -> list[int]:
        return [(await self.event())["seq"] for _ in range(count)]

    async def ended(self) -> bool:
        try:
            while True:
                await self.block()
        except StopAsyncIteration:
            return True


@asynccontextmanager
async def _visitor(server: WebServer) -> AsyncIterator[Visitor]:
    async with aiohttp.ClientSession(server.url) as client:
        async with client.post("/channels/web/default/sessions") as response:
            session = await response.json()
        visitor = Visitor(server, client, session["token"], session["user"])
        async with visitor.stream():
            visitor.conversation = server.store.conversation_of(visitor.user)
        yield visitor


@asynccontextmanager
async def _chat(**options: Any) -> AsyncIterator[Visitor]:
    # Sweeps and heartbeats far away, unless a test is about them: what arrives must have come by signal.
    hub = {"sweep_s": 600.0, "heartbeat_s": 600.0, "tick_s": 0.02, **options.pop("hub_options", {})}
    async with web_server(hub_options=hub, **options) as server, _visitor(server) as visitor:
        yield visitor


@pytest.fixture
async def visitor() -> AsyncIterator[Visitor]:
    async with _chat() as chat:
        yield chat


async def test_history_comes_first_and_then_what_happens(visitor: Visitor) -> None:
    visitor.server.say(visitor.conversation, "one")
    async with visitor.stream() as reader:
        assert (await reader.event())["text"] == "one"
        visitor.server.say(visitor.conversation, "two", buttons=[{"label": "是", "value": "/yes"}])
        event = await reader.event()

    assert event == visitor.server.store.events[visitor.conversation][1]


async def test_a_stream_resumes_behind_the_place_it_is_given(visitor: Visitor) -> None:
    for number in range(5):
        visitor.server.say(visitor.conversation, str(number))
    async with visitor.stream(after=3) as reader:
        assert await reader.seqs(2) == [4, 5]
    async with visitor.stream(after="", **{"Last-Event-ID": "4"}) as reader:
        assert await reader.seqs(1) == [5]


async def test_a_client_that_knows_more_than_the_store_starts_over(visitor: Visitor) -> None:
    visitor.server.say(visitor.conversation, "one")
    async with visitor.stream(after=99) as reader:
        assert (await reader.event())["type"] == "reset"
        assert await reader.seqs(1) == [1]
        visitor.server.say(visitor.conversation, "two")
        assert await reader.seqs(1) == [2]


@pytest.mark.parametrize("after", ["-1", "x", "1.5", "9" * 30])
async def test_a_place_that_is_no_number_is_refused(visitor: Visitor, after: str) -> None:
    async with visitor.client.get(f"{EVENTS}?after={after}", headers=visitor.headers) as response:
        assert response.status == 400
        assert (await response.json())["error"]["code"] == "invalid_after"


async def test_a_message_whose_signal_was_lost_arrives_with_the_next_one(visitor: Visitor) -> None:
    async with visitor.stream() as reader:
        visitor.server.store.append(visitor.conversation, "nobody was told")
        visitor.server.say(visitor.conversation, "told")
        assert await reader.seqs(2) == [1, 2]


async def test_a_message_whose_signal_was_lost_arrives_with_the_sweep() -> None:
    async with _chat(hub_options={"sweep_s": 0.05}) as visitor, visitor.stream() as reader:
        visitor.server.store.append(visitor.conversation, "nobody was told")
        assert await reader.seqs(1) == [1]


async def test_signals_without_events_doubled_or_out_of_order_repeat_nothing(visitor: Visitor) -> None:
    store, signals, number = visitor.server.store, visitor.server.signals, visitor.conversation
    events = [store.append(number, str(n)) for n in range(4)]
    async with visitor.stream(after=2) as reader:
        for payload in [
            {"events": [events[3]]},
            {"events": [events[2]]},
            {"events": events},
            {},
            {"events": []},
        ]:
            signals.publish(TOPIC_WEB, {"conversation_id": number, **payload})
        visitor.server.say(number, "last")
        assert await reader.seqs(3) == [3, 4, 5]


async def test_other_conversations_stay_apart(visitor: Visitor) -> None:
    async with _visitor(visitor.server) as other, visitor.stream() as reader:
        visitor.server.say(other.conversation, "for the other")
        visitor.server.say(visitor.conversation, "for us")
        assert (await reader.event())["text"] == "for us"


@pytest.mark.parametrize("count", [PAGE - 1, PAGE, PAGE + 1, 2 * PAGE + TAIL + 7])
async def test_a_long_history_arrives_whole(visitor: Visitor, count: int) -> None:
    for number in range(count):
        visitor.server.store.append(visitor.conversation, str(number))
    async with visitor.stream() as reader:
        assert await reader.seqs(count) == list(range(1, count + 1))
        visitor.server.say(visitor.conversation, "live")
        assert await reader.seqs(1) == [count + 1]


async def test_readers_that_come_and_go_while_messages_arrive_see_each_exactly_once(visitor: Visitor) -> None:
    total = 400
    chance = random.Random(7)

    async def write() -> None:
        for number in range(total):
            event = visitor.server.store.append(visitor.conversation, str(number))
            signal: dict[str, Any] = {"conversation_id": visitor.conversation}
            if chance.random() < 0.6:
                signal["events"] = [event]
            if chance.random() < 0.8:  # the rest is lost
                visitor.server.signals.publish(TOPIC_WEB, signal)
            if chance.random() < 0.3:
                await asyncio.sleep(0)
        visitor.server.signals.publish(TOPIC_WEB, {"conversation_id": visitor.conversation})

    async def read(seed: int) -> list[int]:
        random_ = random.Random(seed)
        seen: list[int] = []
        while len(seen) < total:
            async with visitor.stream(after=seen[-1] if seen else 0) as reader:
                seen += await reader.seqs(min(random_.randint(1, 120), total - len(seen)))
        return seen

    _, *readers = await asyncio.gather(write(), *[read(seed) for seed in range(4)])

    assert readers == [list(range(1, total + 1))] * 4


async def test_a_reader_that_falls_far_behind_misses_nothing(visitor: Visitor) -> None:
    count = 3 * TAIL
    async with visitor.stream() as reader:
        # More than socket and server buffers hold, so that the server must stop writing to this reader.
        for number in range(count):
            visitor.server.say(visitor.conversation, f"{number} " + "x" * 50_000)
            await asyncio.sleep(0)
        assert await reader.seqs(count) == list(range(1, count + 1))


async def test_typing_and_read_signals_have_no_place_in_the_sequence(visitor: Visitor) -> None:
    async with visitor.stream() as reader:
        for payload in [{"type": "typing"}, {"type": "typing", "author": "operator", "name": "李强"}]:
            visitor.server.signals.publish(TOPIC_WEB, {"conversation_id": visitor.conversation, **payload})
        assert await reader.event() == {"type": "typing", "author": "bot"}
        assert await reader.event() == {"type": "typing", "author": "operator", "name": "李强"}
        async with visitor.client.post(
            "/channels/web/default/read", json={"seq": 3}, headers=visitor.headers
        ) as response:
            assert response.status == 204
        assert await reader.event() == {"type": "read", "author": "customer", "seq": 3}


async def test_a_quiet_stream_is_kept_alive() -> None:
    async with _chat(hub_options={"heartbeat_s": 0.01}) as visitor, visitor.stream() as reader:
        blocks = [await reader.block() for _ in range(3)]

    assert all(line.startswith((":", "retry:")) for block in blocks for line in block)


async def test_one_visitor_cannot_hold_any_number_of_streams(visitor: Visitor) -> None:
    responses = [await visitor.client.get(EVENTS, headers=visitor.headers) for _ in range(MAX_STREAMS_PER_USER + 1)]
    statuses = [response.status for response in responses]
    for response in responses:
        response.close()

    assert statuses == [200] * MAX_STREAMS_PER_USER + [429]


async def test_a_reader_that_leaves_is_forgotten() -> None:
    async with _chat() as visitor:
        async with visitor.stream() as reader:
            await reader.block()
            assert visitor.server.hub.open_streams >= 1
        async with asyncio.timeout(5):
            while visitor.server.hub.open_streams:
                visitor.server.say(visitor.conversation, "anyone there?")
                await asyncio.sleep(0.01)


async def test_a_stream_ends_when_its_token_does() -> None:
    accounts = {"default": WebSettings(session_hours=1.5 / 3600)}
    async with _chat(accounts=accounts) as visitor, visitor.stream() as reader:
        assert await reader.ended()


async def test_stopping_the_server_ends_the_streams_at_once(visitor: Visitor) -> None:
    async with visitor.stream() as reader:
        await reader.block()
        await visitor.server.hub.close()
        assert await reader.ended()
        async with visitor.client.get(EVENTS, headers=visitor.headers) as response:
            assert response.status == 503
            assert response.headers["Retry-After"] == "1"


async def test_a_stream_resumes_after_a_restart_of_the_server(visitor: Visitor) -> None:
    visitor.server.say(visitor.conversation, "one")
    async with visitor.stream() as reader:
        assert await reader.seqs(1) == [1]
        await visitor.server.stop()
        assert await reader.ended()
    visitor.server.store.append(visitor.conversation, "while down")
    await visitor.server.start()
    async with visitor.stream(after=1) as reader:
        assert await reader.seqs(1) == [2]


async def test_a_store_that_is_down_is_said_before_the_stream_begins(visitor: Visitor) -> None:
    visitor.server.store.is_down = True
    async with visitor.client.get(EVENTS, headers=visitor.headers) as response:
        assert response.status == 503
        assert "Retry-After" in response.headers


async def test_a_store_that_fails_for_a_while_only_delays() -> None:
    async with _chat(hub_options={"sweep_s": 0.05}) as visitor, visitor.stream() as reader:
        await reader.block()
        visitor.server.store.is_down = True
        visitor.server.store.append(visitor.conversation, "unseen")
        visitor.server.signals.publish(TOPIC_WEB, {"conversation_id": visitor.conversation})
        await visitor.server.store.was_down.wait()
        visitor.server.store.is_down = False
        assert await reader.seqs(1) == [1]


async def test_replies_carried_by_their_signal_are_not_read_from_the_store_again(visitor: Visitor) -> None:
    async with visitor.stream() as reader:
        visitor.server.say(visitor.conversation, "first")
        await reader.seqs(1)
        reads = visitor.server.store.reads
        for number in range(50):
            visitor.server.say(visitor.conversation, str(number))
        assert await reader.seqs(50) == list(range(2, 52))
        assert visitor.server.store.reads == reads
