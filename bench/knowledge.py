"""Articles: how long a question among fifty thousand takes, and how soon an edit answers."""

from __future__ import annotations

import json
import shutil
import subprocess
from typing import Any

from bench.processes import clean_environment, python
from bench.sections import Plan, Section

MANY = 50_000
ABOUT = (
    "Articles of a desk's own store, half of them Chinese, asked one question at a time in a process of its own. CPU "
    "time of the question, not of the turn around it. An edit is found by polling, as in a desk that runs."
)


def run(plan: Plan) -> Section:
    section = Section("knowledge", "Knowledge", ABOUT)
    plan.say(f"knowledge: {MANY} articles")
    found = ask_many(plan, MANY)
    note = f"p50 {found['p50_ms']:.1f} ms"
    section.add(f"A question among {MANY:,} articles, p99", found["p99_ms"], "ms of CPU", limit=20, note=note)
    note = "the slowest of ten, right behind an import of them all"
    section.add("An edited article answers after", found["edit_s"], "s", limit=1.0, note=note)
    note = "the slowest of ten, while the index is built anew after thousands of edits at once"
    section.add("… beside the building of a new index", found["rebuild_s"], "s", limit=1.0, note=note)
    section.add("Loading them all", found["loaded_s"], "s of CPU", note="with reading the store and building the index")
    section.add("Memory", found["rss_mb"], "MB", note="at its peak, while loading")
    return section


def ask_many(plan: Plan, count: int) -> dict[str, Any]:
    store = plan.work / "knowledge.db"
    shutil.copy(plan.template / "frontdesk.db", store)
    done = subprocess.run(
        python("-m", "bench.asking", str(store), str(count)),
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"asking failed: {done.stderr.strip()[-500:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
