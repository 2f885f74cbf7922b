"""Ten thousand messages at once on a running desk: taken in, understood and answered, each customer's in order."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from time import monotonic, sleep

from bench.ingest import CONNECTIONS, SECRET, VISITORS, count_accepted
from bench.pacing import StandIn
from bench.processes import Server, fresh_folder, frontdesk, run_load, wait_until_idle
from bench.sections import TEXTS, Plan, Section
from channels.simulators.telegram import DEFAULT_TOKEN
from crm_sync.invariants import check
from crm_sync.store import SqlStore

MESSAGES = 10_000
CHANNELS = ("web", "telegram")
ACCEPTED_WITHIN_S, ANSWERED_WITHIN_S = 120.0, 600.0
ABOUT = (
    "`frontdesk run` (all roles in one process, SQLite) gets as many messages as fast as it takes them, from 512 "
    "customers in turn, 64 requests in flight; it understands and answers them meanwhile, so that both compete for the "
    "same core. The order is checked in the store afterwards, as `frontdesk check-invariants` does."
)


def run(plan: Plan) -> Section:
    section = Section("burst", "A burst on each channel", ABOUT)
    stand_in = StandIn()
    stand_in.known([10_000 + number for number in range(VISITORS)])
    account = "FRONTDESK_CHANNELS__TELEGRAM__BENCH__"
    environment = {
        f"{account}TOKEN": DEFAULT_TOKEN,
        f"{account}API_BASE_URL": stand_in.url,
        f"{account}SECRET": SECRET,
        f"{account}MODE": "webhook",
    }
    try:
        for channel in CHANNELS:
            one_burst(section, plan, channel, environment)
    finally:
        stand_in.close()
    return section


def one_burst(section: Section, plan: Plan, channel: str, environment: Mapping[str, str]) -> None:
    plan.say(f"burst: {channel}")
    count = MESSAGES // 10 if plan.quick else MESSAGES
    job = {"kind": "ingest", "channel": channel, "count": count, "seconds": ACCEPTED_WITHIN_S, "texts": TEXTS}
    job |= {"connections": CONNECTIONS, "users": VISITORS, "secret": SECRET}
    folder = fresh_folder(plan.work, f"burst-{channel}", plan.template)
    with Server(frontdesk("run", "--port", "0"), folder, environment) as server:
        visitors = run_load({"kind": "sessions", "port": server.port, "count": VISITORS})
        wait_until_idle(server)
        began, cpu = monotonic(), server.cpu_s()
        report = run_load({**job, "port": server.port, "tokens": visitors["tokens"]})
        accepted = count_accepted(report)
        until_answered(folder / "frontdesk.db")
        wall, spent = monotonic() - began, server.cpu_s() - cpu
    broken = asyncio.run(violations(folder / "frontdesk.db"))
    name = channel.capitalize()
    section.add(f"{name}: accepted", accepted, "", limit=count, kind="at_least", note=f"of {count}")
    section.add(f"{name}: accepted while answering", accepted / report["wall_s"], "/s")
    section.add(f"{name}: all answered after", wall, "s")
    section.add(f"{name}: CPU for each, accepted and answered", spent / accepted * 1000, "ms")
    section.add(f"{name}: promises broken (order, one turn each)", broken, "", limit=0)


def until_answered(file: Path) -> None:
    """No message waits for its turn. Raises: RuntimeError when that takes too long."""
    until = monotonic() + ANSWERED_WITHIN_S
    with closing(sqlite3.connect(f"file:{file}?mode=ro", uri=True)) as store:
        while store.execute("SELECT count(*) FROM inbox WHERE state = 'pending'").fetchone()[0]:
            if monotonic() > until:
                raise RuntimeError("the burst was not answered in time")
            sleep(0.1)


async def violations(file: Path) -> int:
    store = await SqlStore.open(f"sqlite:///{file}", migrate=False)
    try:
        return len(await check(store.database))
    finally:
        await store.close()
