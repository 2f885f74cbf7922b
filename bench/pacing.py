"""The delivery worker against the stand-in Bot API: as fast as allowed, never faster, and nearly idle meanwhile."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from time import monotonic, sleep
from typing import Any

from bench.figures import busiest_window
from bench.processes import Server, fresh_folder, frontdesk
from bench.sections import Plan, Section
from bench.stand_ins import TelegramStandIn
from channels.simulators.telegram import DEFAULT_TOKEN

CUSTOMERS = 300
PER_S = 30  # Bot API FAQ, broadcasting limits
ABOUT = (
    "`frontdesk run` polling the stand-in Bot API (another process), 300 customers write at once, each gets a reply. "
    "What was sent, when and to whom is the stand-in's own count. It allows 30/s per bot and 1/s per chat."
)
ANSWERED_WITHIN_S = 60.0


def answered(calls: Sequence[dict[str, Any]]) -> int:
    """Customers who have got at least one message."""
    return len({str(call["chat_id"]) for call in calls if call.get("outcome") == "ok"})


def run(plan: Plan) -> Section:
    section = Section("telegram", "Telegram: sending", ABOUT)
    plan.say("telegram: sending pace")
    customers = 90 if plan.quick else CUSTOMERS
    stand_in = TelegramStandIn()
    folder = fresh_folder(plan.work, "telegram", plan.template)
    environment = {
        "FRONTDESK_CHANNELS__TELEGRAM__BENCH__TOKEN": DEFAULT_TOKEN,
        "FRONTDESK_CHANNELS__TELEGRAM__BENCH__API_BASE_URL": stand_in.url,
    }
    try:
        with Server(frontdesk("run", "--port", "0"), folder, environment) as server:
            sleep(1)
            stand_in.write(customers)
            while not stand_in.sent():
                sleep(0.01)
            began, cpu = monotonic(), server.cpu_s()
            while answered(stand_in.sent()) < customers and monotonic() - began < ANSWERED_WITHIN_S:
                sleep(0.05)
            share = (server.cpu_s() - cpu) / (monotonic() - began)
    finally:
        stand_in.close()
    calls = stand_in.sent()
    taken = [call for call in calls if call.get("outcome") == "ok"]
    moments = [datetime.fromisoformat(call["at"]).timestamp() for call in taken]
    span = max(moments) - min(moments)
    asked_too_fast = sum(call.get("status") == 429 for call in calls)
    section.add("Customers answered", answered(calls), "", limit=customers, kind="at_least", note=f"of {customers}")
    section.add("Sent, mean rate", (len(taken) - 1) / span, "/s", limit=25, kind="at_least")
    section.add("Sent, most in any second", busiest_window(moments, 1.0), "", limit=PER_S)
    section.add("Refused by the stand-in (429)", asked_too_fast, "", limit=0)
    section.add("CPU of one core while sending", share * 100, "%")
    return section
