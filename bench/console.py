"""The staff console under load: a hundred open consoles hear of every change of a running desk."""

from __future__ import annotations

import asyncio
import json
import subprocess
from bisect import bisect_right
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from time import monotonic, perf_counter, time
from typing import TYPE_CHECKING, Any

import aiohttp
from sqlalchemy import select

from bench.desks import Desk, Running, in_one_process, roles_apart
from bench.figures import percentile
from bench.messages import MESSAGES
from bench.processes import clean_environment, frontdesk, wait_until_idle
from bench.sections import Plan, Section
from bench.settling import opened
from crm_sync.tables import conversations
from tests.browser.chromium import ARGUMENTS, find_chromium, what_is_missing
from tests.services import ServiceMissing, postgres_server, redis_server

if TYPE_CHECKING:
    from playwright.async_api import Page

CONSOLES = 100
CHANGES_PER_S = 20
VISITORS = 40
SECONDS = 20.0
BROWSERS = 3
ROLES = ("web", "console", "worker", "sender", "scheduler")
ABOUT = (
    f"{CONSOLES} consoles, each with a session of its own, hold their stream open on the list of all conversations "
    f"while {VISITORS} visitors of the web chat say something, {CHANGES_PER_S} a second in all, and the bot answers. "
    "Counted from the moment a message was sent until its row has reached each console; a later row of the same "
    "conversation counts for the one before. A console is told at most twice a second, so that 0.5 s is about the best "
    "possible 99th percentile. Memory: resident, before the first console came and with all of them open. First "
    "`frontdesk run`, all roles in one process on SQLite; then a process for each role (web, console, worker, sender, "
    f"scheduler) on PostgreSQL and Redis, all of them and the load on the same machine, with {BROWSERS} windows of a "
    "real Chromium on the same list beside the hundred: their rows count from when they stand in the page."
)
# When a row comes into the page, or a newer one into its place, in milliseconds since 1970.
WATCH = """
window.heard = {};
addEventListener("DOMContentLoaded", () => new MutationObserver((changes) => {
  for (const { addedNodes } of changes) for (const node of addedNodes)
    if (node.id?.startsWith("row-")) (heard[node.id.slice(4)] ||= []).push(Date.now());
}).observe(document.body, { childList: true, subtree: true }));
"""


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
    one_desk(section, plan, in_one_process, "One process")
    try:
        with postgres_server() as database, redis_server() as redis:
            one_desk(section, plan, roles_apart(database, redis, ROLES), "Roles apart", browsers=BROWSERS)
    except ServiceMissing as missing:
        section.add("Roles apart", None, "", note=f"skipped: {missing}")
    return section


def one_desk(section: Section, plan: Plan, running: Running, where: str, browsers: int = 0) -> None:
    plan.say(f"console: {where.lower()}")
    if browsers and (missing := what_is_missing()):
        section.add(f"{where}: browsers", None, "", note=f"skipped: {missing}")
        browsers = 0
    with running(plan, "console", {}) as desk:
        password = reset_admin(desk)
        wait_until_idle(desk)
        measured = asyncio.run(measure(desk, password, 5.0 if plan.quick else SECONDS, browsers))
    add = partial(added, section, where)
    add("row after a message, p50", measured["p50_ms"], "ms")
    add("row after a message, p99", measured["p99_ms"], "ms", limit=1000)
    add("changes missed", measured["missed"], "", limit=0, note=f"of {measured['expected']:,}")
    if browsers:
        add("row in a browser, p99", measured["page_p99_ms"], "ms", limit=1000, note=f"{browsers} windows")
        add("changes missed by the browsers", measured["page_missed"], "", limit=0)
    add("memory per console", measured["mb_each"], "MB", limit=1)
    add("first page of the inbox, p50 of 20", measured["page_ms"], "ms", limit=1000)
    add("message accepted before consoles listen, p99", measured["alone_p99_ms"], "ms")
    add("message accepted while consoles listen, p99", measured["accept_p99_ms"], "ms")
    add("CPU of one core", measured["cpu_percent"], "%", note="of the process that serves the consoles")
    add("sent to each console", measured["kb_each"], "kB/s")


def added(section: Section, where: str, what: str, value: float, unit: str, **more: Any) -> None:
    section.add(f"{where}: {what}", value, unit, **more)


def reset_admin(desk: Desk) -> str:
    """The admin's new password, which is changed at the first signing in as any other."""
    done = subprocess.run(
        frontdesk("user", "reset-password", "admin"),
        cwd=desk.servers[0].folder,
        env=clean_environment(desk.environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.splitlines()[0].split()[-1]


async def measure(desk: Desk, password: str, seconds: float, browsers: int) -> dict[str, Any]:
    server = next((each for each in desk.servers[1:] if each.port), desk.servers[0])  # the consoles' own, where it is
    base = f"http://127.0.0.1:{server.port}"
    jars: list[aiohttp.ClientSession] = []
    consoles = [Console() for _ in range(CONSOLES)]
    windows: list[Console] = []
    chosen = "a password of the benchmark"
    async with AsyncExitStack() as open_:
        for number in range(CONSOLES + browsers):
            jar = aiohttp.ClientSession(
                cookie_jar=aiohttp.CookieJar(unsafe=True), connector=aiohttp.TCPConnector(limit=0)
            )
            jars.append(await open_.enter_async_context(jar))
            await sign_in(jar, base, password, chosen, is_first=number == 0)
        before = server.memory_mb()
        page_ms = await pages(jars[0], base)
        http = await open_.enter_async_context(aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)))
        visitors = Visitors(http, f"http://127.0.0.1:{desk.port}")
        await visitors.arrive()
        alone_p99_ms = await visitors.talk(seconds / 2)
        for jar, console in zip(jars, consoles, strict=False):
            listening = asyncio.create_task(listen(jar, base, console))
            open_.callback(listening.cancel)
        pages_open = [await open_.enter_async_context(window(jar, base)) for jar in jars[CONSOLES:]]
        await asyncio.sleep(2)
        visitors.said.clear()
        cpu, began = server.cpu_s(), monotonic()
        received = sum(console.received for console in consoles)
        accept_p99_ms = await visitors.talk(seconds)
        spent, took = server.cpu_s() - cpu, monotonic() - began
        received = sum(console.received for console in consoles) - received
        await asyncio.sleep(3)
        after = server.memory_mb()
        windows += [await seen_in(page) for page in pages_open]
    talks = await newest_conversations(desk.store)
    waits, missed = held_against(visitors.said, talks, consoles)
    page_waits, page_missed = held_against(visitors.said, talks, windows)
    return {
        "p50_ms": percentile(waits, 0.5),
        "p99_ms": percentile(waits, 0.99),
        "missed": missed,
        "expected": len(visitors.said) * CONSOLES,
        "page_p99_ms": percentile(page_waits, 0.99) if page_waits else None,
        "page_missed": page_missed,
        "mb_each": max(0.0, after - before) / CONSOLES,
        "page_ms": page_ms,
        "alone_p99_ms": alone_p99_ms,
        "accept_p99_ms": accept_p99_ms,
        "cpu_percent": 100 * spent / took,
        "kb_each": received / CONSOLES / took / 1000,
    }


@asynccontextmanager
async def window(jar: aiohttp.ClientSession, base: str) -> AsyncIterator[Page]:
    """The list of all conversations in a browser of its own, signed in as the jar is."""
    from playwright.async_api import async_playwright

    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=find_chromium(), args=list(ARGUMENTS))
        context = await browser.new_context()
        await context.add_cookies([{"name": each.key, "value": each.value, "url": base} for each in jar.cookie_jar])
        await context.add_init_script(WATCH)
        page = await context.new_page()
        await page.goto(f"{base}/console/inbox?list=all")
        yield page
        await browser.close()


async def seen_in(page: Page) -> Console:
    """By the clock of the messages, which counts from another moment than the browser's."""
    since = time() - perf_counter()
    heard: dict[str, list[float]] = await page.evaluate("window.heard")
    return Console({int(talk): [ms / 1000 - since for ms in times] for talk, times in heard.items()})


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

    async def talk(self, seconds: float) -> float:
        """At a steady rate, whatever the desk does; until how late 99 % were accepted, in ms."""
        saying: list[asyncio.Task[None]] = []
        self.accepted_ms.clear()
        began = perf_counter()
        for number in range(int(seconds * CHANGES_PER_S)):
            await asyncio.sleep(max(0.0, began + number / CHANGES_PER_S - perf_counter()))
            self.said.append(Said(number % VISITORS, perf_counter()))
            saying.append(asyncio.create_task(self._say(number % VISITORS, f"{began}-{number}")))
        await asyncio.gather(*saying)
        return percentile(self.accepted_ms, 0.99)

    async def _say(self, visitor: int, client_id: str) -> None:
        body = {"id": client_id, "text": MESSAGES[visitor % len(MESSAGES)]}
        headers = {"Authorization": f"Bearer {self._tokens[visitor]}"}
        began = perf_counter()
        async with self._http.post(f"{self._base}/messages", json=body, headers=headers) as answer:
            await answer.read()
        self.accepted_ms.append((perf_counter() - began) * 1000)


async def newest_conversations(url: str) -> list[int]:
    """The visitors' conversations, in the order in which they arrived."""
    newest = select(conversations.c.id).order_by(conversations.c.id.desc()).limit(VISITORS)
    async with opened(url) as store:
        found = await store.database.run(lambda conn: conn.execute(newest).scalars().all(), read=True)
    return [int(each) for each in reversed(found)]


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
