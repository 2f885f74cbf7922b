"""Broadcasts: a million recipients written down on both databases, the pace of sending, and what replies feel of it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from datetime import UTC, datetime
from functools import partial
from time import monotonic, sleep
from typing import Any

import psutil
from sqlalchemy import Connection, insert, literal, select, update

from bench.broadcast_people import FIRST_CHAT, PURPOSE, analyzed, broadcast_row, settle
from bench.figures import busiest_window, percentile
from bench.processes import Server, clean_environment, fresh_folder, frontdesk, python
from bench.sections import Plan, Section
from bench.stand_ins import TelegramStandIn
from channels.simulators.telegram import DEFAULT_TOKEN
from crm_sync.broadcast_tables import audience_lists, audience_members, broadcasts
from crm_sync.broadcasts import pause, resume
from crm_sync.database import Database
from crm_sync.eligibility import SendRules
from crm_sync.recipients import FIRST_CHUNK, Occasion, next_size, write_chunk
from crm_sync.schema import upgrade
from crm_sync.store import SqlStore
from crm_sync.tables import customers
from tests.services import ServiceMissing, create_database, postgres_server

PEOPLE = 1_000_000
WINDOW_S = 60.0
REPLIES = 1_000  # measured while a broadcast goes out, and as many while it is paused
ROUND_S = 10.0  # of each in turn
SETTLE_S = 1.5  # until a pause, or its end, is what everybody does
PATIENCE_S = 20.0  # for the last reply of a round
WARM_S = 5.0
PREFIX = "FRONTDESK_CHANNELS__TELEGRAM__BENCH__"
RATES = {30: 8.0, 500: 20.0}  # broadcast -> replies a second, which the vendor counts too
ABOUT = (
    f"{PEOPLE:,} customers, each with an identity, a conversation and a consent, written down as recipients in chunks "
    "by the scheduler's own statements, the rules asked about each of them. Then `frontdesk run` (all roles, SQLite) "
    "sends a broadcast to the stand-in Bot API, which counts: a minute at 30/s and one at 500/s (as a paid broadcast), "
    f"then customers ask something, {RATES[30]:.0f} and {RATES[500]:.0f} a second, while it is paused and while it "
    f"goes out, {ROUND_S:.0f} s of each in turn, until {REPLIES:,} were answered in both. CPU per send is that of a "
    "process that only calls the channel's client."
)


def run(plan: Plan) -> Section:
    section = Section("broadcast", "Broadcasts", ABOUT)
    people = PEOPLE // 20 if plan.quick else PEOPLE
    folder = plan.work / "broadcast"
    folder.mkdir()
    plan.say(f"broadcast: {people:,} recipients on SQLite")
    written_down(section, "SQLite", f"sqlite:///{folder}/million.db", people)
    try:
        with postgres_server() as server:
            plan.say(f"broadcast: {people:,} recipients on PostgreSQL")
            written_down(section, "PostgreSQL", create_database(server, "bench_broadcast"), people)
    except ServiceMissing as missing:
        section.skipped = str(missing)
    client(section, plan)
    for per_s in RATES:
        sent(section, plan, per_s)
    return section


# --- writing down -----------------------------------------------------------------------------------------------------


def written_down(section: Section, where: str, url: str, people: int) -> None:
    took, longest, grown, recipients = asyncio.run(_written_down(url, people))
    share = people / PEOPLE
    section.add(f"{where}: recipients written down", recipients, "", limit=people, kind="at_least")
    section.add(f"{where}: time", took, "s", limit=15 * share)
    section.add(f"{where}: longest transaction", longest * 1000, "ms", limit=200)
    section.add(f"{where}: memory grown by", grown, "MB", limit=100)


async def _written_down(url: str, people: int) -> tuple[float, float, float, int]:
    await upgrade(url)
    store = await SqlStore.open(url)
    try:
        await settle(store.database, people, checked=False)
        await analyzed(store.database)
        broadcast = await broadcast_row(store.database, "million", "preparing", {})
        now, rules = datetime.now(UTC), SendRules(PURPOSE, ("telegram",), cap=(3, 7))
        variants = (("a", 1.0), ("b", 1.0))
        occasion = Occasion(broadcast, 7, select(customers.c.id), rules, 0.1, variants, lambda zone, quiet: now)
        process, size, longest, recipients = psutil.Process(), FIRST_CHUNK, 0.0, 0
        before, began = process.memory_info().rss, monotonic()
        while True:
            took: list[float] = []
            chunk = await store.database.run(partial(_timed, took, occasion, size, now), durable=False, checked=False)
            longest = max(longest, took[-1])
            if chunk is None:
                raise RuntimeError("somebody else prepares it")
            recipients += chunk.recipients
            if chunk.is_last:
                break
            size = next_size(size, took[-1])
        spent = monotonic() - began
        return spent, longest, (process.memory_info().rss - before) / 1e6, recipients
    finally:
        await store.close()


def _timed(took: list[float], occasion: Occasion, size: int, now: datetime, conn: Connection) -> Any:
    began = monotonic()
    chunk = write_chunk(conn, occasion, size, now)
    took.append(monotonic() - began)
    return chunk


# --- sending ----------------------------------------------------------------------------------------------------------


def client(section: Section, plan: Plan) -> None:
    """CPU of the channel's client alone."""
    plan.say("broadcast: the client's CPU")
    chats = range(50_000, 50_000 + 50 + (500 if plan.quick else 900))  # fewer than Telegram takes in a second
    with closing(TelegramStandIn(chats)) as stand_in:
        command = python("-m", "bench.broadcast_client", stand_in.url, str(chats.start), str(chats.stop))
        best = min(_client_ms(command) for _ in range(plan.repeats))
    section.add("CPU per send in the channel's client", best, "ms", limit=0.6)


def _client_ms(command: Sequence[str]) -> float:
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=clean_environment())
    return float(json.loads(done.stdout)["ms"])


def sent(section: Section, plan: Plan, per_s: int) -> None:
    """A broadcast goes out at `per_s`: how evenly, at what cost, and what replies feel of it."""
    seconds, rounds = (10.0, 1) if plan.quick else (WINDOW_S, round(REPLIES / RATES[per_s] / ROUND_S + 0.5))
    plan.say(f"broadcast: {per_s}/s")
    people = int(per_s * (seconds + rounds * (ROUND_S + 4 * SETTLE_S) + 6 * WARM_S))
    folder = fresh_folder(plan.work, f"broadcast-{per_s}", plan.template)
    url = f"sqlite:///{folder}/frontdesk.db"
    asyncio.run(_due(url, people, per_s))
    asking = range(10_000, 10_000 + 2 * rounds * (int(RATES[per_s] * ROUND_S) + 2))
    stand_in = TelegramStandIn([*asking, *range(FIRST_CHAT + 1, FIRST_CHAT + people + 1)])
    environment = {f"{PREFIX}TOKEN": DEFAULT_TOKEN, f"{PREFIX}API_BASE_URL": stand_in.url}
    if per_s > 30:
        environment[f"{PREFIX}ALLOW_PAID_BROADCAST"] = "true"
    with closing(stand_in), Server(frontdesk("run", "--port", "0"), folder, environment) as server:
        began = monotonic()
        while len(_moments(stand_in.sent())) < per_s * WARM_S and monotonic() - began < 60:
            sleep(0.5)
        cpu, start = server.cpu_s(), datetime.now(UTC).timestamp()
        sleep(seconds)
        spent, end = server.cpu_s() - cpu, start + seconds
        customers_ = iter(asking)
        asked: dict[bool, dict[int, float]] = {True: {}, False: {}}
        for _ in range(rounds):
            for is_held in (True, False):
                asyncio.run(_hold(url, is_held=is_held))
                sleep(SETTLE_S)
                these = _ask(stand_in, customers_, RATES[per_s], ROUND_S)
                asked[is_held].update(these)
                began = monotonic()  # the last replies leave before it is as it was
                while len(_took(stand_in.sent(), these)) < len(these) and monotonic() - began < PATIENCE_S:
                    sleep(0.2)
        calls = stand_in.sent()
    moments = [at for at in _moments(calls) if start <= at < end]
    rate, name = len(moments) / seconds, f"{per_s}/s"
    section.add(f"{name}: mean rate", rate, "/s", limit=per_s * 0.98, kind="at_least")
    section.add(f"{name}: mean rate, not above", rate, "/s", limit=per_s * 1.02)
    most = busiest_window([_at(call) for call in calls if call.get("outcome") == "ok"], 1.0)
    section.add(
        f"{name}: most in any second", most, "", limit=30 if per_s == 30 else 1000, note="what the vendor allows"
    )
    section.add(f"{name}: refused (429)", sum(call.get("status") == 429 for call in calls), "", limit=0)
    section.add(f"{name}: CPU of the whole process per send", spent / max(1, len(moments)) * 1000, "ms")
    section.add(f"{name}: CPU of the whole process", spent / seconds * 100, "% of a core", limit=100)
    alone, during = _took(calls, asked[True]), _took(calls, asked[False])
    for what, took in (("paused", alone), ("sending", during)):
        section.add(f"{name}, {what}: reply p50", percentile(took, 0.5) * 1000, "ms")
        section.add(f"{name}, {what}: reply p99", percentile(took, 0.99) * 1000, "ms", note=f"of {len(took):,}")
    section.add(
        f"Reply p99 during {name}, as often as without",
        percentile(during, 0.99) / percentile(alone, 0.99),
        "×",
        limit=1.5,
    )


async def _due(url: str, people: int, per_s: int) -> None:
    database = await Database.open(url)
    try:
        await settle(database, people)
        content = {"variants": [{"name": "a", "text": {"en": "Hello {name}"}}], "fallbacks": {"name": {"en": "you"}}}
        document = {
            "name": "bench",
            "purpose": PURPOSE,
            "audience": {"list": "everybody"},
            "channels": ["telegram"],
            "content": content,
            "plan": {"quiet": ["00:00", "00:00"]},
            "holdout": 0.0,
            "per_s": per_s,
        }
        broadcast = await broadcast_row(database, "bench", "scheduled", document)

        def unit(conn: Connection) -> None:
            now = datetime.now(UTC)
            conn.execute(insert(audience_lists).values(id=1, name="everybody", kind="upload", created_at=now))
            everybody = select(literal(1), customers.c.id).where(customers.c.name.like("Kim %"))
            conn.execute(insert(audience_members).from_select(["list_id", "customer_id"], everybody))
            conn.execute(update(broadcasts).where(broadcasts.c.id == broadcast).values(next_at=now))

        await database.run(unit)
    finally:
        await database.close()


def _at(call: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(call["at"]).timestamp()


def _moments(calls: Sequence[Mapping[str, Any]]) -> list[float]:
    """When each message of the broadcast arrived."""
    return [_at(call) for call in calls if call.get("outcome") == "ok" and int(call["chat_id"]) > FIRST_CHAT]


async def _hold(url: str, *, is_held: bool) -> None:
    """The broadcast is paused, or goes on, as any process beside the running one may say."""
    database, now = await Database.open(url), datetime.now(UTC)

    def unit(conn: Connection) -> None:
        if is_held:
            pause(conn, "bench", by="bench", now=now)
        else:
            resume(conn, "bench", now=now)

    try:
        await database.run(unit)
    finally:
        await database.close()


def _ask(stand_in: TelegramStandIn, customers_: Iterator[int], per_s: float, seconds: float) -> dict[int, float]:
    """Customers ask something, evenly over the time; who, when."""
    asked: dict[int, float] = {}
    began, pause_ = monotonic(), threading.Event()
    for number in range(int(per_s * seconds)):
        pause_.wait(max(0.0, began + number / per_s - monotonic()))
        customer = next(customers_)

        async def write(who: int = customer) -> None:
            stand_in.simulator.user(who, language="en").send_text("What are your opening hours?")

        asked[customer] = datetime.now(UTC).timestamp()
        stand_in.do(write())
    return asked


def _took(calls: Sequence[Mapping[str, Any]], asked: Mapping[int, float]) -> list[float]:
    first: dict[int, float] = {}
    for call in calls:
        chat = int(call["chat_id"])
        if call.get("outcome") == "ok" and chat in asked:
            first.setdefault(chat, _at(call))
    return [at - asked[chat] for chat, at in first.items()]
