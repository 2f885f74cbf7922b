"""Whole turns: understood, decided, recorded, and the reply on the visitor's screen; beside a real Rasa server."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import Any

import yaml

from bench import rasa_rest
from bench.figures import equal_share, median, percentile
from bench.processes import Server, fresh_folder, frontdesk, measured_load, run_load, wait_until_idle
from bench.rasa_server import HOW, default_project, is_installed, rasa_server
from bench.sections import Plan, Section
from bench.understanding import SHOP, rows_of

VISITORS = 64
MIXED = 7  # any number, but always the same
ABOUT = (
    "A turn: the visitor posts a message; the desk stores it, understands it (embedded engine), decides, commits the "
    "turn and its reply to SQLite (synchronous=FULL) and delivers the reply over the visitor's event stream. 64 "
    "visitors each say their next message when they have their reply. At half load messages come at half the rate "
    "reached so, whether or not earlier replies have arrived. The messages are the Chinese and English paraphrases of "
    "the intents that data/rules.yml answers in one turn; none is a training example. Rasa 3.6.21 serves the same "
    "assistant over its REST channel, once with the pipeline and policies that `rasa init` suggests (default sizes, "
    "few epochs, which changes no cost of a turn: bench/rasa_default.yml) and once with the light pipeline of the "
    "sample's own config.yml. It keeps conversations in memory only and gets the same messages, each from a new sender."
)


@dataclass(frozen=True, slots=True)
class Desk:
    cpu_ms: float
    per_s: float
    p50_ms: float
    p99_ms: float
    memory_mb: float
    replies: list[list[str]]  # per message, what was answered, part by part


def run(plan: Plan) -> Section:
    section = Section("turn", "Complete turns", ABOUT)
    texts = single_turn_texts()
    desk = measure_desk(plan, texts)
    section.add("CPU per turn", desk.cpu_ms, "ms")
    section.add("Turns", desk.per_s, "/s")
    section.add("Message to reply at half load, p50", desk.p50_ms, "ms")
    section.add("Message to reply at half load, p99", desk.p99_ms, "ms", limit=50)
    section.add("Memory under load", desk.memory_mb, "MB")
    compare_with_rasa(section, plan, texts, desk)
    return section


def compare_with_rasa(section: Section, plan: Plan, texts: list[str], desk: Desk) -> None:
    if not is_installed():
        section.skipped = f"the comparison with Rasa: {HOW}."
        return
    chosen = texts[: 40 if plan.quick else 160]
    plan.say("turn: rasa, default pipeline (a first start trains its model, which takes minutes)")
    with rasa_server(default_project(plan.work)) as (url, pid):
        default = rasa_rest.measure(url, pid, chosen)
    plan.say("turn: rasa, the sample's own pipeline")
    with rasa_server() as (url, pid):
        light = rasa_rest.measure(url, pid, chosen)
    for name, rasa in (("Rasa, default pipeline", default), ("Rasa, the sample's light one", light)):
        note = f"{rasa['turns']} turns, one after the other"
        section.add(f"{name}: CPU per turn", rasa["cpu_ms_per_turn"], "ms", note=note)
        section.add(f"{name}: turns", rasa["turns_per_s"], "/s")
        section.add(f"{name}: message to reply, p99", rasa["p99_ms"], "ms")
        section.add(f"{name}: memory", rasa["rss_mb"], "MB")
    ratio = default["cpu_ms_per_turn"] / desk.cpu_ms
    section.add("CPU per turn, Rasa (default) to Frontdesk", ratio, "×", limit=20, kind="at_least", note="aim: 60 ×")
    section.add("CPU per turn, Rasa (light) to Frontdesk", light["cpu_ms_per_turn"] / desk.cpu_ms, "×")
    section.add("Turns per second, Frontdesk to Rasa (default)", desk.per_s / default["turns_per_s"], "×")
    compare_replies(section, desk.replies[: len(chosen)], light)


def compare_replies(section: Section, ours: list[list[str]], rasa: dict[str, Any]) -> None:
    theirs = [[part["text"] for part in reply] for reply in rasa["replies"]]
    same = 100 * equal_share(["\n".join(parts) for parts in ours], ["\n".join(parts) for parts in theirs])
    same_first = 100 * equal_share([first(parts) for parts in ours], [first(parts) for parts in theirs])
    note = "with the light one; the rest is understood differently"
    section.add("Same first message", same_first, "% of replies", note=note)
    section.add("Same reply, every message of it", same, "% of replies")


def first(parts: list[str]) -> str:
    return parts[0] if parts else ""


def single_turn_texts() -> list[str]:
    """Paraphrases of the intents that a rule answers, Chinese and English in turn, the intents well mixed."""
    rules = yaml.safe_load((SHOP / "data" / "rules.yml").read_text(encoding="utf-8"))["rules"]
    intents = {rule["steps"][0]["intent"] for rule in rules}
    chinese, english = (
        [text for text, intent in rows_of(SHOP / "tests" / f"paraphrases_{language}.csv") if intent in intents]
        for language in ("zh", "en")
    )
    pairs = list(zip(chinese, english, strict=False))
    Random(MIXED).shuffle(pairs)
    return [text for pair in pairs for text in pair]


def measure_desk(plan: Plan, texts: list[str]) -> Desk:
    plan.say("turn: frontdesk")
    folder = fresh_folder(plan.work, "turn", plan.template)
    job: dict[str, Any] = {"texts": texts, "visitors": VISITORS, "seconds": plan.seconds}
    samples: list[tuple[float, float]] = []
    with Server(frontdesk("run", "--port", "0"), folder) as server:
        heard = run_load({"kind": "replies", "port": server.port, "texts": texts})["replies"]
        measured_load(server, {**job, "kind": "turns", "seconds": 1})
        for _ in range(plan.repeats):
            wait_until_idle(server)
            report, spent = measured_load(server, {**job, "kind": "turns"})
            done = answered(report)
            samples.append((spent.cpu_s * 1000 / done, done / report["wall_s"]))
        cpu_ms, per_s = (median(column) for column in zip(*samples, strict=True))
        halves: list[tuple[float, float]] = []
        for _ in range(plan.repeats):
            wait_until_idle(server)
            report, _ = measured_load(server, {**job, "kind": "paced", "per_s": per_s / 2})
            answered(report)
            latencies = report["latencies_ms"]
            halves.append((percentile(latencies, 0.5), percentile(latencies, 0.99)))
        memory_mb = server.memory_mb()
    p50_ms, p99_ms = (median(column) for column in zip(*halves, strict=True))
    return Desk(cpu_ms, per_s, p50_ms, p99_ms, memory_mb, heard)


def answered(report: dict[str, Any]) -> int:
    """Turns with a reply. Raises: RuntimeError when a message was refused."""
    statuses: dict[str, int] = report["statuses"]
    if statuses.get("0"):
        raise RuntimeError(f"{statuses['0']} messages were refused")
    return statuses.get("200", 0)
