"""Taking messages in: 64 webhooks in flight, beside one commit per message and beside bare Starlette routes."""

from __future__ import annotations

import shutil
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.figures import count_syncs, median, percentile
from bench.processes import Server, fresh_folder, measured_load, python, run_load, wait_until_idle
from bench.sections import TEXTS, Plan, Section

CONNECTIONS = 64
VISITORS = 512
SECRET = "bench-webhook-secret"
TELEGRAM = {
    "FRONTDESK_CHANNELS__TELEGRAM__BENCH__TOKEN": "1:bench",
    "FRONTDESK_CHANNELS__TELEGRAM__BENCH__SECRET": SECRET,
    "FRONTDESK_CHANNELS__TELEGRAM__BENCH__MODE": "webhook",
}
WECHAT = {"token": "benchToken", "aes_key": "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "app_id": "wxbench"}
# PASSIVE_S=0: nobody waits for a reply, which is the turn's cost and not the message's.
WECHAT_ACCOUNTS = {
    f"FRONTDESK_CHANNELS__WECHAT__{account}__{name.upper()}": value
    for account, encryption in (("WECHAT", "plain"), ("WECHAT-AES", "encrypted"))
    for name, value in {**WECHAT, "encryption": encryption, "passive_s": "0"}.items()
}
ABOUT = (
    "POST with 64 requests in flight over keep-alive connections, 512 returning visitors in turn, SQLite in WAL mode "
    "with synchronous=FULL, no worker running. CPU is the server process's user and system time, all threads; the "
    "servers take turns, round by round. *One commit each* is the same application with each message committed on its "
    "own. *Bare Starlette, same store* is one Starlette route that parses the body and hands it to the same "
    "group-committing store: no session, no checks, no signals. *Bare Starlette, plain SQL* writes the same rows into "
    "the same tables with hand-written SQL over sqlite3, grouped into commits by a thread of its own, without looking "
    "for redeliveries, errors of single messages or new visitors."
)


SUBJECTS = (
    *(("desk", "web"), ("desk", "telegram"), ("desk", "wechat"), ("desk", "wechat-aes")),
    *(("bare-store", "web"), ("bare-sql", "web"), ("single", "web")),
)


@dataclass(frozen=True, slots=True)
class Sample:
    cpu_ms: float
    per_s: float
    p50_ms: float
    p99_ms: float
    client_ms: float


@dataclass(frozen=True, slots=True)
class Measured:
    """The rounds of one server; its numbers are their medians."""

    samples: list[Sample]
    commits_per_1000: float

    def __getattr__(self, name: str) -> float:
        return median([getattr(sample, name) for sample in self.samples])


def run(plan: Plan) -> Section:
    section = Section("ingest", "Taking messages in", ABOUT)
    ready = prepare_visitors(plan)
    desk, telegram, wechat, encrypted, store, plain, single = measure(plan, ready)
    versus_store, versus_plain, versus_single = (ratio(desk, other) for other in (store, plain, single))
    section.add("Web message: CPU", desk.cpu_ms, "ms", limit=0.35)
    section.add("Telegram update: CPU", telegram.cpu_ms, "ms", limit=0.35)
    section.add("WeChat message, plain: CPU", wechat.cpu_ms, "ms", limit=0.35)
    section.add("WeChat message, encrypted: CPU", encrypted.cpu_ms, "ms", limit=0.6)
    add_syncs(section, plan, ready, desk)
    section.add("Web message: p99 until accepted", desk.p99_ms, "ms", limit=50)
    section.add("Telegram update: p99 until accepted", telegram.p99_ms, "ms", limit=50)
    section.add("Web message: p50 until accepted", desk.p50_ms, "ms")
    section.add("Web messages", desk.per_s, "/s", note=f"client: {desk.client_ms:.3f} ms CPU per message")
    section.add("Telegram updates", telegram.per_s, "/s")
    section.add("WeChat messages, plain", wechat.per_s, "/s")
    section.add("WeChat messages, encrypted", encrypted.per_s, "/s")
    section.add("One commit each", single.per_s, "/s", note=f"{single.cpu_ms:.2f} ms CPU, p99 {single.p99_ms:.0f} ms")
    section.add("Bare Starlette, same store", store.per_s, "/s", note=f"{store.cpu_ms:.2f} ms CPU")
    section.add("Bare Starlette, plain SQL", plain.per_s, "/s", note=f"{plain.cpu_ms:.2f} ms CPU")
    section.add("Throughput to one commit each", versus_single, "×")
    section.add("Throughput to bare Starlette, same store", versus_store, "×", limit=0.8, kind="at_least")
    section.add("Throughput to bare Starlette, plain SQL", versus_plain, "×")
    section.add("CPU to bare Starlette, plain SQL", desk.cpu_ms / plain.cpu_ms, "×")
    return section


@dataclass(frozen=True, slots=True)
class Visitors:
    folder: Path  # a store in which they have written before
    tokens: list[str]
    users: list[str]


def prepare_visitors(plan: Plan) -> Visitors:
    folder = fresh_folder(plan.work, "ingest", plan.template)
    with Server(command("desk"), folder, environment("desk")) as server:
        made = run_load({"kind": "sessions", "port": server.port, "count": VISITORS})
        job = {"kind": "ingest", "connections": CONNECTIONS, "texts": TEXTS, "seconds": 1.0, "port": server.port}
        run_load({**job, "channel": "web", "tokens": made["tokens"]})
        run_load({**job, "channel": "telegram", "users": VISITORS, "secret": SECRET})
        run_load({**job, "channel": "wechat", "users": VISITORS, "account": WECHAT})
        run_load({**job, "channel": "wechat-aes", "users": VISITORS, "account": WECHAT})
        server.stop()
    return Visitors(folder, made["tokens"], made["users"])


def measure(plan: Plan, ready: Visitors) -> list[Measured]:
    """All servers stand ready and take turns, so that what else the machine does falls on each of them alike."""
    servers: list[Server] = []
    samples: list[list[Sample]] = [[] for _ in SUBJECTS]
    accepted = [0] * len(SUBJECTS)
    with ExitStack() as running:
        for mode, channel in SUBJECTS:
            folder = fresh_folder(plan.work, f"ingest-{mode}-{channel}", ready.folder)
            server = running.enter_context(Server(command(mode), folder, environment(mode)))
            servers.append(server)
        for number in range(-1, plan.repeats):  # the first round warms up
            for place, (mode, channel) in enumerate(SUBJECTS):
                plan.say(f"ingest: {mode}, {channel}, {'warm-up' if number < 0 else number + 1}")
                wait_until_idle(servers[place])
                sample, count = one_run(servers[place], the_job(ready, channel, plan.seconds if number >= 0 else 0.5))
                accepted[place] += count
                if number >= 0:
                    samples[place].append(sample)
        commits = [server.stop().get("commits", 0) for server in servers]
    return [Measured(taken, commits[place] * 1000 / accepted[place]) for place, taken in enumerate(samples)]


def one_run(server: Server, job: dict[str, Any]) -> tuple[Sample, int]:
    report, spent = measured_load(server, job)
    count = count_accepted(report)
    latencies = report["latencies_ms"]
    return Sample(
        cpu_ms=spent.cpu_s * 1000 / count,
        per_s=count / report["wall_s"],
        p50_ms=percentile(latencies, 0.5),
        p99_ms=percentile(latencies, 0.99),
        client_ms=report["client_cpu_s"] * 1000 / count,
    ), count


def ratio(ours: Measured, theirs: Measured) -> float:
    """Of the throughputs: the median of the rounds' ratios."""
    pairs = zip(ours.samples, theirs.samples, strict=True)
    return median([mine.per_s / other.per_s for mine, other in pairs])


def add_syncs(section: Section, plan: Plan, ready: Visitors, desk: Measured) -> None:
    """Traced in a run of its own, because tracing costs time; commits counted by the store where there is no strace."""
    what = "Web message: fsyncs per 1,000"
    if shutil.which("strace") is None:
        note = "commits counted by the store; with strace installed, fsync calls are counted"
        section.add(what, desk.commits_per_1000, "", limit=60, note=note)
        return
    plan.say("ingest: counting fsyncs")
    folder = fresh_folder(plan.work, "ingest-syncs", ready.folder)
    trace = folder / "syncs.trace"
    traced = ["strace", "-f", "--seccomp-bpf", "-e", "trace=fsync,fdatasync", "-o", str(trace), *command("desk")]
    with Server(traced, folder, environment("desk")) as server:
        wait_until_idle(server)
        before = count_syncs(trace.read_text().splitlines())
        report, _ = measured_load(server, the_job(ready, "web", plan.seconds))
        after = count_syncs(trace.read_text().splitlines())
    accepted = count_accepted(report)
    shutil.rmtree(folder)
    section.add(
        what, (after - before) * 1000 / accepted, "", limit=60, note=f"{after - before} fsync calls seen by strace"
    )


def the_job(ready: Visitors, channel: str, seconds: float) -> dict[str, Any]:
    """The bare routes read the visitor's name from a header; the desk reads the token and ignores the name."""
    names = zip(ready.tokens, ready.users, strict=True)
    return {
        "kind": "ingest",
        "channel": channel,
        "connections": CONNECTIONS,
        "seconds": seconds,
        "texts": TEXTS,
        "headers": [{"Authorization": f"Bearer {token}", "X-Visitor": user} for token, user in names],
        "users": VISITORS,
        "secret": SECRET,
        "account": WECHAT,
    }


def count_accepted(report: dict[str, Any]) -> int:
    """Raises: RuntimeError when any message was refused: what was measured then is not what is claimed."""
    statuses: dict[str, int] = report["statuses"]
    accepted = statuses.get("202", 0) + statuses.get("200", 0)
    if accepted != sum(statuses.values()) or not accepted:
        raise RuntimeError(f"messages were refused: {statuses}")
    return accepted


def command(mode: str) -> list[str]:
    return python("-m", "bench.server", mode)


def environment(mode: str) -> dict[str, str]:
    return {
        **(TELEGRAM | WECHAT_ACCOUNTS if mode == "desk" else {}),
        "FRONTDESK_DATABASE_URL": "sqlite:///frontdesk.db",
    }
