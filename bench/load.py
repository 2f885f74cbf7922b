"""The load, in a process of its own: `python -m bench.load` reads one job as JSON from stdin and answers with JSON.

`ingest`: so many requests in flight, each connection sends its next message when the one before was acknowledged.
`turns`: visitors with an open event stream, each says its next message when the reply to the one before has arrived.
`paced`: the same at a given rate, whether or not earlier replies have arrived. `replies`: each message once, from a new
visitor, with everything that was answered.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from collections import Counter
from collections.abc import Callable
from time import perf_counter, process_time
from typing import Any

import uvloop

from bench.messages import MESSAGES, REQUESTS
from bench.wire import Exchange, connect, open_stream, post

SESSIONS = "/channels/web/default/sessions"
ANSWER_WITHIN_S = 20.0
QUIET_S = 0.15  # after a reply: how long to wait for another part of it

Job = dict[str, Any]


async def main() -> None:
    job: Job = json.load(sys.stdin)
    work = {"sessions": sessions, "ingest": ingest, "turns": turns, "paced": paced, "replies": replies}[job["kind"]]
    json.dump(await work(job), sys.stdout)


async def sessions(job: Job) -> Job:
    """{"tokens": [...], "users": [...]} of `count` new visitors."""
    exchange = await connect(job["port"])
    answers = [json.loads((await exchange.ask(post(SESSIONS, b"{}")))[1]) for _ in range(job["count"])]
    return {"tokens": [answer["token"] for answer in answers], "users": [answer["user"] for answer in answers]}


# --- ingest -----------------------------------------------------------------------------------------------------


async def ingest(job: Job) -> Job:
    """`connections` requests in flight until `seconds` have passed or `count` requests (if given) were answered;
    latencies in milliseconds of the accepted ones."""
    requests = itertools.islice(REQUESTS[job["channel"]](job), job.get("count"))
    exchanges = [await connect(job["port"]) for _ in range(job["connections"])]
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    idle: set[int] = set()
    done = asyncio.Event()
    until = 0.0

    def send(number: int, exchange: Exchange) -> bool:
        """False when no request is left."""
        sent_at = perf_counter()

        def answered(status: int, body: bytes) -> None:
            now = perf_counter()
            latencies.append((now - sent_at) * 1000)
            statuses[status] += 1
            if not (now < until and status and send(number, exchange)):
                idle.add(number)
            if len(idle) == len(exchanges):
                done.set()

        request = next(requests, None)
        if request is not None:
            exchange.send(request, answered)
        return request is not None

    signal_ready(job)
    until = perf_counter() + job["seconds"]
    began, cpu = perf_counter(), process_time()
    for number, exchange in enumerate(exchanges):
        send(number, exchange)
    await asyncio.wait_for(done.wait(), job["seconds"] + ANSWER_WITHIN_S)
    return report(latencies, statuses, perf_counter() - began, process_time() - cpu)


# --- turns ------------------------------------------------------------------------------------------------------


class Visitor:
    """One customer in front of an open page: posts, and notes when the answer comes over the stream."""

    def __init__(self, port: int, token: str) -> None:
        self._port, self._token = port, token
        self._headers = {"Authorization": f"Bearer {token}"}
        self._numbers = itertools.count()
        self._asked_at = 0.0
        self._seq: int | None = None
        self._heard: list[tuple[int, str, float]] = []  # sequence number, words, when
        self._replied: Callable[[float], None] | None = None

    async def open(self) -> None:
        self._exchange = await connect(self._port)
        self._stream = await open_stream(self._port, self._token, self._event)

    def say(self, text: str, replied: Callable[[float], None]) -> None:
        """`replied` is called once, with the milliseconds from sending to the first reply (negative: refused)."""
        body = json.dumps({"id": f"m{next(self._numbers)}", "text": text}, ensure_ascii=False).encode()
        self._seq, self._heard, self._replied = None, [], replied
        self._asked_at = perf_counter()
        self._exchange.send(post(MESSAGES, body, self._headers), self._acknowledged)

    @property
    def heard(self) -> list[str]:
        """Everything answered to the last message, part by part."""
        return [text for seq, text, _ in self._heard if self._seq is not None and seq > self._seq]

    def close(self) -> None:
        self._exchange.close()
        self._stream.close()

    def _acknowledged(self, status: int, body: bytes) -> None:
        if status != 202:
            self._finish(-1.0)
            return
        self._seq = json.loads(body)["seq"]
        self._check()

    def _event(self, event: dict[str, Any]) -> None:
        if event["direction"] == "out":
            self._heard.append((event["seq"], event["text"], perf_counter()))
            self._check()

    def _check(self) -> None:
        # The stream and the acknowledgement are two sockets: either may be read first.
        for seq, _, heard_at in self._heard:
            if self._seq is not None and seq > self._seq:
                self._finish((heard_at - self._asked_at) * 1000)
                return

    def _finish(self, latency_ms: float) -> None:
        replied, self._replied = self._replied, None
        if replied is not None:
            replied(latency_ms)


async def visitors_for(job: Job) -> list[Visitor]:
    made = await sessions({"port": job["port"], "count": job["visitors"]})
    visitors = [Visitor(job["port"], token) for token in made["tokens"]]
    for visitor in visitors:
        await visitor.open()
    return visitors


async def turns(job: Job) -> Job:
    visitors = await visitors_for(job)
    texts = itertools.cycle(job["texts"])
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    idle: set[int] = set()
    done = asyncio.Event()
    signal_ready(job)
    until = perf_counter() + job["seconds"]

    def say(number: int, visitor: Visitor) -> None:
        def replied(latency_ms: float) -> None:
            statuses[200 if latency_ms >= 0 else 0] += 1
            if latency_ms >= 0:
                latencies.append(latency_ms)
            if perf_counter() < until and latency_ms >= 0:
                say(number, visitor)
                return
            idle.add(number)
            if len(idle) == len(visitors):
                done.set()

        visitor.say(next(texts), replied)

    began, cpu = perf_counter(), process_time()
    for number, visitor in enumerate(visitors):
        say(number, visitor)
    await asyncio.wait_for(done.wait(), job["seconds"] + ANSWER_WITHIN_S)
    return report(latencies, statuses, perf_counter() - began, process_time() - cpu)


async def paced(job: Job) -> Job:
    visitors = await visitors_for(job)
    texts = itertools.cycle(job["texts"])
    latencies: list[float] = []
    statuses: Counter[int] = Counter()
    free = list(visitors)
    done = asyncio.Event()
    signal_ready(job)
    began, cpu, sent = perf_counter(), process_time(), 0
    total = int(job["seconds"] * job["per_s"])

    def say(visitor: Visitor) -> None:
        def replied(latency_ms: float) -> None:
            statuses[200 if latency_ms >= 0 else 0] += 1
            if latency_ms >= 0:
                latencies.append(latency_ms)
            free.insert(0, visitor)
            if statuses[200] + statuses[0] == total:
                done.set()

        visitor.say(next(texts), replied)

    while sent < total:
        due = min(total, int((perf_counter() - began) * job["per_s"]))
        while sent < due and free:
            say(free.pop())
            sent += 1
        statuses[-1] += sent < due  # nobody was free: the rate was not held
        await asyncio.sleep(0.001)
    await asyncio.wait_for(done.wait(), ANSWER_WITHIN_S)
    return report(latencies, statuses, perf_counter() - began, process_time() - cpu)


async def replies(job: Job) -> Job:
    """What each text is answered with by a desk that has never heard of its sender."""
    gate = asyncio.Semaphore(8)

    async def answer(text: str) -> list[str]:
        async with gate:
            (visitor,) = await visitors_for({"port": job["port"], "visitors": 1})
            replied = asyncio.get_running_loop().create_future()
            visitor.say(text, replied.set_result)
            await asyncio.wait_for(replied, ANSWER_WITHIN_S)
            await asyncio.sleep(QUIET_S)
            visitor.close()
            return visitor.heard

    return {"replies": await asyncio.gather(*(answer(text) for text in job["texts"]))}


def signal_ready(job: Job) -> None:
    """Everybody is connected: what is measured begins now."""
    if job.get("announce"):
        print("ready", file=sys.stderr, flush=True)


def report(latencies: list[float], statuses: Counter[int], wall_s: float, cpu_s: float) -> Job:
    return {"latencies_ms": latencies, "statuses": dict(statuses), "wall_s": wall_s, "client_cpu_s": cpu_s}


if __name__ == "__main__":
    uvloop.run(main())
