"""The staff console under load: a hundred open consoles hear of every change of a running desk."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
from bisect import bisect_right
from collections import defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic, perf_counter
from typing import Any

import aiohttp

from bench.figures import percentile
from bench.messages import MESSAGES
from bench.processes import Server, fresh_folder, frontdesk, wait_until_idle
from bench.sections import Plan, Section

CONSOLES = 100
CHANGES_PER_S = 20
VISITORS = 40
SECONDS = 20.0
ABOUT = (
    f"`frontdesk run` (all roles in one process, SQLite). {CONSOLES} consoles, each with a session of its own, hold "
    f"their stream open on the list of all conversations while {VISITORS} visitors of the web chat say something, "
    f"{CHANGES_PER_S} a second in all, and the bot answers. Counted from the moment a message was sent until its row "
    "has reached each console; a later row of the same conversation counts for the one before. A console is told at "
    "most twice a second, so that 0.5 s is about the best possible 99th percentile. Memory: resident, before the first "
    "console came and with all of them open."
)


@dataclass
class Console:
    """One open console: by conversation, when its row came, in order."""

    heard: dict[int, list[float]] = field(default_factory=lambda: defaultdict(list))
    received: int = 0  # bytes


@dataclass(frozen=True, slots=True)
class Said:
    """A message of the visitor with this number, and when it was sent."""

    visitor: int
    at: float


def run(plan: Plan) -> Section:
    section = Section("console", f"{CONSOLES} open consoles", ABOUT)
    plan.say("console")
    folder = fresh_folder(plan.work, "console", plan.template)
    password = reset_admin(folder)
    with Server(frontdesk("run", "--port", "0"), folder) as server:
        wait_until_idle(server)
        measured = asyncio.run(measure(server, password, 5.0 if plan.quick else SECONDS))
    section.add("Row after a message, p50", measured["p50_ms"], "ms")
    section.add("Row after a message, p99", measured["p99_ms"], "ms", limit=1000)
    section.add("Changes missed", measured["missed"], "", limit=0, note=f"of {measured['expected']:,}")
    section.add("Memory per console", measured["mb_each"], "MB", limit=1)
    section.add("First page of the inbox, p50 of 20", measured["page_ms"], "ms", limit=1000)
    section.add("Message accepted while consoles listen, p99", measured["accept_p99_ms"], "ms")
    section.add("CPU of one core", measured["cpu_percent"], "%")
    section.add("Sent to each console", measured["kb_each"], "kB/s")
    return section


def reset_admin(folder: Path) -> str:
    """The admin's new password, which is changed at the first signing in as any other."""
    done = subprocess.run(
        frontdesk("user", "reset-password", "admin"), cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[0].split()[-1]


async def measure(server: Server, password: str, seconds: float) -> dict[str, Any]:
    base = f"http://127.0.0.1:{server.port}"
    jars: list[aiohttp.ClientSession] = []
    consoles = [Console() for _ in range(CONSOLES)]
    tasks: list[asyncio.Task[None]] = []
    chosen = "a password of the benchmark"
    try:
        for number in range(CONSOLES):
            jar = aiohttp.ClientSession(
                cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(limit=0)
            )
            jars.append(jar)
            await sign_in(jar, base, password, chosen, is_first=number == 0)
        before = server.memory_mb()
        page_ms = await pages(jars[0], base)
        for jar, console in zip(jars, consoles, strict=True):
            tasks.append(asyncio.create_task(listen(jar, base, console)))
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http:
            visitors = Visitors(http, base)
            await visitors.arrive()
            await asyncio.sleep(2)
            visitors.accepted_ms.clear()
            cpu, began = server.cpu_s(), monotonic()
            received = sum(console.received for console in consoles)
            await visitors.talk(seconds)
            spent, took = server.cpu_s() - cpu, monotonic() - began
            received = sum(console.received for console in consoles) - received
            await asyncio.sleep(3)
        after = server.memory_mb()
    finally:
        for task in tasks:
            task.cancel()
        for jar in jars:
            await jar.close()
    waits, missed = held_against(visitors.said, newest_conversations(server.folder), consoles)
    return {
        "p50_ms": percentile(waits, 0.5),
        "p99_ms": percentile(waits, 0.99),
        "missed": missed,
        "expected": len(visitors.said) * CONSOLES,
        "mb_each": max(0.0, after - before) / CONSOLES,
        "page_ms": page_ms,
        "accept_p99_ms": percentile(visitors.accepted_ms, 0.99),
        "cpu_percent": 100 * spent / took,
        "kb_each": received / CONSOLES / took / 1000,
    }


async def sign_in(jar: aiohttp.ClientSession, base: str, password: str, chosen: str, *, is_first: bool) -> None:
    fields = {"step": "password", "name": "admin", "password": password if is_first else chosen}
    async with jar.post(f"{base}/console/sign-in", data=fields) as answer:
        page = await answer.text()
        if 'name="new_password"' in page:
            csrf = page.split('name="csrf" value="')[1].split('"')[0]
            fields = {"step": "new_password", "password": password, "new_password": chosen, "csrf": csrf}
            async with jar.post(f"{base}/console/sign-in", data=fields) as changed:
                page = await changed.text()
    if 'class="rail"' not in page:
        raise RuntimeError("the console did not let us in")


async def pages(jar: aiohttp.ClientSession, base: str) -> float:
    took = []
    for _ in range(20):
        began = perf_counter()
        async with jar.get(f"{base}/console/inbox?list=all") as answer:
            await answer.read()
        took.append((perf_counter() - began) * 1000)
    return percentile(took, 0.5)


async def listen(jar: aiohttp.ClientSession, base: str, console: Console) -> None:
    async with jar.get(f"{base}/console/live?list=all", timeout=aiohttp.ClientTimeout(total=None)) as answer:
        name = b""
        async for line in answer.content:
            console.received += len(line)
            if line.startswith(b"event: "):
                name = line[7:].strip()
            elif line.startswith(b"data: ") and name == b"rows":
                now = perf_counter()
                for row in json.loads(line[6:]):
                    console.heard[row["id"]].append(now)


class Visitors:
    """Those who write, each in a conversation of their own."""

    def __init__(self, http: aiohttp.ClientSession, base: str) -> None:
        self._http, self._base = http, f"{base}/channels/web/default"
        self._tokens: list[str] = []
        self.said: list[Said] = []
        self.accepted_ms: list[float] = []

    async def arrive(self) -> None:
        """One after the other, so that their conversations are numbered in this order."""
        for number in range(VISITORS):
            async with self._http.post(f"{self._base}/sessions", json={}) as answer:
                self._tokens.append((await answer.json())["token"])
            await self._say(number, f"first-{number}")

    async def talk(self, seconds: float) -> None:
        """At a steady rate, whatever the desk does."""
        saying: list[asyncio.Task[None]] = []
        began = perf_counter()
        for number in range(int(seconds * CHANGES_PER_S)):
            await asyncio.sleep(max(0.0, began + number / CHANGES_PER_S - perf_counter()))
            self.said.append(Said(number % VISITORS, perf_counter()))
            saying.append(asyncio.create_task(self._say(number % VISITORS, str(number))))
        await asyncio.gather(*saying)

    async def _say(self, visitor: int, client_id: str) -> None:
        body = {"id": client_id, "text": MESSAGES[visitor % len(MESSAGES)]}
        headers = {"Authorization": f"Bearer {self._tokens[visitor]}"}
        began = perf_counter()
        async with self._http.post(f"{self._base}/messages", json=body, headers=headers) as answer:
            await answer.read()
        self.accepted_ms.append((perf_counter() - began) * 1000)


def newest_conversations(folder: Path) -> list[int]:
    """The visitors' conversations, in the order in which they arrived."""
    (file,) = folder.glob("*.db")
    with closing(sqlite3.connect(file)) as store:
        rows = store.execute("SELECT id FROM conversations ORDER BY id DESC LIMIT ?", (VISITORS,)).fetchall()
    return [row[0] for row in reversed(rows)]


def held_against(said: list[Said], talks: list[int], consoles: list[Console]) -> tuple[list[float], int]:
    """Every message against every console: the first row of its conversation after it was sent, in ms; and after how
    many none came.
    """
    waits: list[float] = []
    missed = 0
    for message in said:
        for console in consoles:
            rows = console.heard[talks[message.visitor]]
            at = bisect_right(rows, message.at)
            if at == len(rows):
                missed += 1
            else:
                waits.append((rows[at] - message.at) * 1000)
    return waits, missed
