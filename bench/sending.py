"""What sending alone costs: a store with replies that only wait to leave, sent at the vendor's limit."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import monotonic, sleep

from bench.figures import busiest_window
from bench.pacing import PER_S
from bench.processes import Server, fresh_folder, frontdesk, wait_until_idle
from bench.sections import Plan, Section
from bench.stand_ins import TelegramStandIn
from bot.ports import OutMessage, TurnResult, TurnsCommit
from bot.types import Identity, InboundMessage, Lane, OutPart, Received, Text
from channels.simulators.telegram import DEFAULT_TOKEN
from crm_sync.store import SqlStore

ACCOUNT = "bench"
REPLIES = 600
CLAIM = 200
ABOUT = (
    "The same stand-in; the store holds replies for as many customers, decided before the start, so that nothing is "
    "received or understood meanwhile. `frontdesk run` (all roles, polling) sends them at its own pace below 30/s; the "
    "CPU time is that of the whole process, and what it spends when idle is shown beside it."
)


def run(plan: Plan) -> Section:
    section = Section("sending", "Telegram: sending alone", ABOUT)
    plan.say("sending: a prepared outbox")
    replies = 150 if plan.quick else REPLIES
    folder = fresh_folder(plan.work, "sending", plan.template)
    users = [10_000 + number for number in range(replies)]
    asyncio.run(prepare(folder / "frontdesk.db", users))
    stand_in = TelegramStandIn(users)
    environment = {
        f"FRONTDESK_CHANNELS__TELEGRAM__{ACCOUNT.upper()}__TOKEN": DEFAULT_TOKEN,
        f"FRONTDESK_CHANNELS__TELEGRAM__{ACCOUNT.upper()}__API_BASE_URL": stand_in.url,
    }
    try:
        with Server(frontdesk("run", "--port", "0"), folder, environment) as server:
            while len(stand_in.sent()) < PER_S:  # what starting costs is over by then
                sleep(0.01)
            began, cpu, before = monotonic(), server.cpu_s(), len(stand_in.sent())
            while len(stand_in.sent()) < replies and monotonic() - began < replies / PER_S * 3:
                sleep(0.25)
            spent, wall, count = server.cpu_s() - cpu, monotonic() - began, len(stand_in.sent()) - before
            wait_until_idle(server)
            idle_cpu, idle_began = server.cpu_s(), monotonic()
            sleep(2 if plan.quick else 5)
            idle = (server.cpu_s() - idle_cpu) / (monotonic() - idle_began)
    finally:
        stand_in.close()
    taken = [call for call in stand_in.sent() if call.get("outcome") == "ok"]
    moments = [datetime.fromisoformat(call["at"]).timestamp() for call in taken]
    at_limit = (spent / wall - idle) * PER_S / (count / wall)
    section.add("Sent", len(taken), "", limit=replies, kind="at_least", note=f"of {replies}")
    section.add("Mean rate", count / wall, "/s", limit=25, kind="at_least")
    section.add("Most in any second, by the stand-in's count", busiest_window(moments, 1.0), "", limit=PER_S)
    section.add("CPU of one core while sending", spent / wall * 100, "%")
    section.add("CPU of one core when idle", idle * 100, "%")
    section.add("CPU of one core for sending at 30/s", at_limit * 100, "%", limit=5)
    section.add("CPU time per message", (spent - idle * wall) / count * 1000, "ms")
    return section


async def prepare(file: Path, users: Sequence[int]) -> None:
    """Each of these Telegram users has written and was answered; the answer waits in the outbox."""
    store = await SqlStore.open(f"sqlite:///{file}")
    try:
        for at in range(0, len(users), CLAIM):
            await store.accept([_message(user) for user in users[at : at + CLAIM]])
        while claimed := await store.claim("bench", CLAIM):
            commits = []
            for each in claimed:
                out = OutMessage((OutPart("We are open from 9 to 21 every day."),), "en", Lane.REPLY, "bench")
                turns = [TurnResult(message.inbox_id, None, (), (out,), {}, "en", 1.0) for message in each.messages]
                commits.append(TurnsCommit(each, tuple(turns), direct=False))
            await store.commit(commits)
    finally:
        await store.close()


def _message(user: int) -> Received:
    message = InboundMessage(
        sender=Identity("telegram", ACCOUNT, str(user)),
        chat_id=str(user),
        dedupe_key=f"bench-{user}",
        content=Text("When are you open?"),
        sent_at=datetime.now(UTC),
    )
    return Received("telegram", ACCOUNT, message.dedupe_key, b"{}", message)
