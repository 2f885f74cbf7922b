"""Ten thousand promises that run out in the same minute, and as many notices: done by four schedulers, each once."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any

from sqlalchemy import Connection, func, insert, select

from bench.processes import clean_environment
from bench.sections import Plan, Section
from bot.service_types import Notice
from crm_sync.notices import plan_notice
from crm_sync.service_tables import clocks, timers
from crm_sync.store import SqlStore
from crm_sync.tables import case_events, cases, conversations, customers, identities, inbox
from tests.services import ServiceMissing, create_database, postgres_server

DUE = 10_000
WITHIN_S = 30.0
SCHEDULERS = 4
ABOUT = (
    f"{DUE:,} cases whose promise is broken in the same minute (warning, breach and first rung of the ladder), and "
    f"{DUE:,} notices due then, for as many customers. The schedulers are processes of their own that do nothing else. "
    "Counted is the time from their start, without loading, until nothing is due; then the store is asked whether each "
    "was done once."
)


def run(plan: Plan) -> Section:
    section = Section("due", "Due at the same minute", ABOUT)
    count = DUE // 10 if plan.quick else DUE
    folder = plan.work / "due"
    folder.mkdir()
    plan.say("due: SQLite, one scheduler")
    measure(section, "SQLite, one scheduler", f"sqlite:///{folder}/due.db", 1, count)
    try:
        with postgres_server() as server:
            plan.say(f"due: PostgreSQL, {SCHEDULERS} schedulers")
            url = create_database(server, "bench_due")
            measure(section, f"PostgreSQL, {SCHEDULERS} schedulers", url, SCHEDULERS, count)
    except ServiceMissing as missing:
        section.skipped = str(missing)
    return section


def measure(section: Section, where: str, url: str, schedulers: int, count: int) -> None:
    asyncio.run(filled(url, count))
    command = [sys.executable, "-m", "bench.due", url]
    root = Path(__file__).resolve().parents[1]
    workers = [
        subprocess.Popen(command, cwd=root, env=clean_environment(), stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        for _ in range(schedulers)
    ]
    for worker in workers:  # loaded and connected, waiting for the word
        assert worker.stdout is not None
        worker.stdout.readline()
    began = monotonic()
    for worker in workers:
        worker.communicate(b"go\n")
    took = monotonic() - began
    outcome = asyncio.run(counted(url))
    section.add(f"{where}: everything done", took, "s", limit=WITHIN_S)
    section.add(f"{where}: steps of clocks written once", outcome["steps"], "", limit=3 * count, kind="at_least")
    section.add(f"{where}: steps or notices done twice", outcome["twice"], "", limit=0)
    section.add(f"{where}: customers told", outcome["told"], "", limit=count, kind="at_least")


async def filled(url: str, count: int) -> None:
    """A store with everything due a minute ago."""
    store = await SqlStore.open(url)
    now = datetime.now(UTC)
    for start in range(1, count + 1, 1000):
        await store.database.run(partial(fill, range(start, min(start + 1000, count + 1)), now))
    await store.close()


def fill(ids: range, now: datetime, conn: Connection) -> None:
    began, due = now - timedelta(days=2), now - timedelta(minutes=1)
    rows: list[tuple[Any, Callable[[int], dict[str, Any]]]] = [
        (customers, lambda n: {"id": n, "created_at": began}),
        (identities, lambda n: {
            "id": n, "key": f"i{n}", "customer_id": n, "channel": "telegram", "account": "bench", "external_id": str(n),
            "created_at": began,
        }),
        (conversations, lambda n: {
            "id": n, "key": f"c{n}", "identity_id": n, "customer_id": n, "channel": "telegram", "account": "bench",
            "chat_id": str(n), "created_at": began,
        }),
        (cases, lambda n: {
            "id": n, "number": f"C-{n}", "customer_id": n, "kind": "complaint", "category": "other", "subject": "",
            "severity": 2, "status": "assigned", "summary": "bench", "details": {}, "is_open": True, "opened_at": began,
            "updated_at": began, "owner": "ann",
        }),
        (clocks, lambda n: {
            "id": n, "case_id": n, "kind": "solution", "state": "running", "calendar": "always", "budget_s": 172_740,
            "running_since": began, "started_at": began, "due_at": due, "next_at": due,
        }),
    ]  # fmt: skip
    for table, row in rows:
        conn.execute(insert(table), [row(n) for n in ids])
    for n in ids:
        plan_notice(conn, n, Notice("utter_greet"), at=due, now=began)


async def counted(url: str) -> dict[str, float]:
    store = await SqlStore.open(url)

    def unit(conn: Connection) -> dict[str, float]:
        steps = Counter(
            (row.case_id, row.changes["step"])
            for row in conn.execute(select(case_events).where(case_events.c.kind == "clock"))
        )
        told = Counter(conn.execute(select(inbox.c.conversation_id).where(inbox.c.kind == "notice")).scalars())
        twice = sum(times > 1 for times in (*steps.values(), *told.values()))
        left = conn.execute(select(func.count()).select_from(timers).where(timers.c.at.is_not(None))).scalar_one()
        return {"steps": len(steps), "told": len(told) - left, "twice": twice}

    found = await store.database.run(unit, read=True)
    await store.close()
    return found


async def schedule(url: str) -> None:
    """A scheduler that stops when nothing is due any more, also for the others."""
    from frontdesk.clock import SystemClock
    from frontdesk.scheduler import Scheduler
    from frontdesk.signals import LocalSignals
    from tests.builders import shop

    store = await SqlStore.open(url)
    scheduler = Scheduler(store, LocalSignals(), SystemClock(), shop)
    shop()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)

    def is_due(conn: Connection) -> bool:
        now = datetime.now(UTC)
        waiting = select(clocks.c.id).where(clocks.c.next_at <= now).limit(1)
        planned = select(timers.c.id).where(timers.c.at <= now).limit(1)
        return conn.execute(waiting).first() is not None or conn.execute(planned).first() is not None

    while True:
        if await scheduler.run_once():
            continue
        if not await store.database.run(is_due, read=True):
            break
        await asyncio.sleep(0.05)  # others hold what is left
    await store.close()


if __name__ == "__main__":
    asyncio.run(schedule(sys.argv[1]))
