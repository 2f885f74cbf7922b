"""`frontdesk run` on the sample assistant: how soon it answers, and what it occupies."""

from __future__ import annotations

from time import monotonic, sleep

import psutil

from bench.figures import median
from bench.processes import Server, fresh_folder, frontdesk, is_ready, wait_until_idle
from bench.sections import Plan, Section

ABOUT = (
    "`frontdesk run`, all roles, sample assistant, on a store that exists (a second start). Ready: from starting the "
    "process until GET /readyz answers 200, which needs store, migrations and model. Memory: resident, once idle."
)


def run(plan: Plan) -> Section:
    section = Section("start", "Starting", ABOUT)
    seconds: list[float] = []
    memory: list[float] = []
    unshared: list[float] = []
    for number in range(plan.repeats):
        plan.say(f"start: {number + 1}")
        folder = fresh_folder(plan.work, f"start-{number}", plan.template)
        with Server(frontdesk("run", "--port", "0"), folder) as server:
            while not is_ready(server.port):
                sleep(0.01)
            seconds.append(monotonic() - server.started_at)
            wait_until_idle(server)
            memory.append(server.memory_mb())
            unshared.append(psutil.Process(server.pid).memory_full_info().uss / 1e6)
    section.add("Second start until ready", median(seconds), "s", limit=3)
    section.add("Memory after start", median(memory), "MB", limit=200, note=f"{median(unshared):.0f} MB not shared")
    return section
