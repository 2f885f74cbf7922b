"""Ten thousand messages at once on a running desk: taken in, understood and answered, each customer's in order."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import ExitStack, closing
from dataclasses import dataclass
from time import monotonic
from typing import Any

from bench import stand_ins
from bench.desks import Desk, Running, in_one_process, roles_apart
from bench.ingest import CONNECTIONS, SECRET, VISITORS, count_accepted
from bench.processes import run_load, wait_until_idle
from bench.sections import TEXTS, Plan, Section
from bench.settling import LEAVING, PENDING, look, until_accepted, until_none
from bench.stand_ins import StandIn, TelegramStandIn
from channels.simulators.telegram import DEFAULT_TOKEN
from tests.services import ServiceMissing, postgres_server, redis_server

MESSAGES = 10_000
KF_CUSTOMERS = 5_000  # each may be answered five times for all they write at once, and the last is kept for a handoff
ACCEPTED_WITHIN_S = 600.0
WECHAT_PATIENCE_MS = 5000.0
ROLES = ("web", "worker", "worker", "sender", "scheduler")
ABOUT = (
    "`frontdesk run` (all roles in one process, SQLite) gets as many messages as fast as it takes them, from 512 "
    "customers in turn, 64 requests in flight; it understands and answers them meanwhile, so that both compete for the "
    "same core. The order is checked in the store afterwards, as `frontdesk check-invariants` does. WeChat: 512 in "
    "flight, since each request is held until its reply is there. 微信客服: 5,000 customers, since each may be "
    "answered five times; the messages are pulled, and *accepted* is from the first to the last in the store. "
    "Telegram's replies leave at 30/s and are not waited for. *Roles apart*: one process with `web`, two with "
    "`worker`, one each with `sender` and `scheduler`, on PostgreSQL and Redis, which share the machine."
)


@dataclass(frozen=True, slots=True)
class Channel:
    """`kind` is the load's. `vendor` makes the stand-in for so many messages of so many customers."""

    name: str
    kind: str
    vendor: Callable[[int, int], StandIn[Any]] | None = None
    users: int = VISITORS
    in_flight: int = CONNECTIONS
    is_sent: bool = True  # until everything has left is waited for, too


WEB = Channel("Web", "web")
WECHAT = Channel("WeChat", "wechat-aes", stand_ins.wechat, in_flight=VISITORS)
CHANNELS = (
    WEB,
    Channel(
        "Telegram",
        "telegram",
        lambda messages, users: TelegramStandIn([10_000 + number for number in range(users)]),
        is_sent=False,
    ),
    WECHAT,
    Channel("微信客服", "kf", stand_ins.wecom, users=KF_CUSTOMERS),
    Channel("WeCom", "wecom", stand_ins.wecom),
    Channel("LINE", "line", stand_ins.line),
)
ACCOUNTS = {"wechat-aes": "WECHAT__WECHAT-AES", "kf": "WECOM__BENCH"}  # else the channel's name and BENCH


def run(plan: Plan) -> Section:
    section = Section("burst", "A burst on each channel", ABOUT)
    for channel in CHANNELS:
        one_burst(section, plan, channel, in_one_process)
    try:
        with postgres_server() as database, redis_server() as redis:
            for channel in (WEB, WECHAT):
                one_burst(section, plan, channel, roles_apart(database, redis, ROLES), ", roles apart")
    except ServiceMissing as missing:
        section.add("Roles apart", None, "", note=f"skipped: {missing}")
    return section


def one_burst(
    section: Section,
    plan: Plan,
    channel: Channel,
    running: Running,
    where: str = "",
) -> None:
    plan.say(f"burst: {channel.name}{where}")
    count = MESSAGES // 10 if plan.quick else MESSAGES
    users = min(channel.users, count)
    with ExitStack() as open_:
        stand_in = channel.vendor(count, users) if channel.vendor is not None else None
        if stand_in is not None:
            open_.enter_context(closing(stand_in))
        desk = open_.enter_context(running(plan, f"burst-{channel.kind}", account_of(channel, stand_in)))
        job = {"channel": channel.kind, "count": count, "users": users, "connections": channel.in_flight}
        if channel is WEB:
            job |= run_load({"kind": "sessions", "port": desk.port, "count": users})
        wait_until_idle(desk)
        began, cpu = monotonic(), desk.cpu_s()
        report = burst(job, desk, stand_in)
        asyncio.run(until_none(desk.store, PENDING))
        wall = sent = monotonic() - began
        if channel.is_sent:
            asyncio.run(until_none(desk.store, LEAVING))
            sent = monotonic() - began
        spent = desk.cpu_s() - cpu
        facts = asyncio.run(look(desk.store))
    name = f"{channel.name}{where}"
    section.add(f"{name}: accepted", facts.accepted, "", limit=count, kind="at_least", note=f"of {count}")
    rate = count_accepted(report) / report["wall_s"] if report else facts.accepted / facts.accepted_within_s
    section.add(f"{name}: accepted while answering", rate, "/s")
    section.add(f"{name}: all answered after", wall, "s")
    if channel.is_sent:
        section.add(f"{name}: all sent after", sent, "s")
        section.add(f"{name}: replies that did not leave", facts.unsent, "", limit=0)
    section.add(f"{name}: CPU for each, accepted and answered", spent / facts.accepted * 1000, "ms")
    if channel is WECHAT:
        late = sum(latency > WECHAT_PATIENCE_MS for latency in report["latencies_ms"])
        section.add(f"{name}: requests held for longer than 5 s", late, "", limit=0)
    section.add(f"{name}: promises broken (order, one turn each)", facts.broken, "", limit=0)


def burst(job: dict[str, Any], desk: Desk, stand_in: StandIn[Any] | None) -> dict[str, Any]:
    """Everything was said; what the load measured, nothing where messages are pulled."""
    if job["channel"] == "kf":
        assert stand_in is not None
        stand_in.simulator.callbacks.url = f"http://127.0.0.1:{desk.port}/channels/wecom/bench"
        stand_ins.write_to_kf(stand_in, TEXTS, job["count"], job["users"])
        asyncio.run(until_accepted(desk.store, job["count"]))
        return {}
    account = stand_in.simulator.settings() if stand_in is not None and job["channel"] != "telegram" else {}
    more = {"kind": "ingest", "seconds": ACCEPTED_WITHIN_S, "texts": TEXTS, "secret": SECRET, "account": account}
    return run_load({**job, **more, "port": desk.port})


def account_of(channel: Channel, stand_in: StandIn[Any] | None) -> dict[str, str]:
    """The account as settings, connected to the stand-in."""
    if stand_in is None:
        return {}
    settings = (
        {"token": DEFAULT_TOKEN, "api_base_url": stand_in.url, "secret": SECRET, "mode": "webhook"}
        if isinstance(stand_in, TelegramStandIn)
        else stand_in.simulator.settings()
    )
    prefix = f"FRONTDESK_CHANNELS__{ACCOUNTS.get(channel.kind, f'{channel.kind.upper()}__BENCH')}__"
    return {f"{prefix}{name.upper()}": str(value) for name, value in settings.items()}
