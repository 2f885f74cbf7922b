"""The embedded engine: how often it is right and how long it takes, through `frontdesk nlu test`."""

from __future__ import annotations

import csv
import json
import os
import sqlite3
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.processes import ROOT, clean_environment, frontdesk, python
from bench.sections import Plan, Section

SHOP = ROOT / "config" / "assistants" / "shop"
ABOUT = (
    "`frontdesk nlu test` trains on one file and tests on another, in a process of its own; accuracy is before "
    "rejection. The shop paraphrases were written without looking at the training examples and are read by the model "
    "that `frontdesk run` has trained."
)


def run(plan: Plan) -> Section:
    section = Section("nlu", "Understanding (embedded engine)", ABOUT)
    plan.say("nlu: shop paraphrases")
    for language in ("zh", "en"):
        found = ask_shop_model(plan, SHOP / "tests" / f"paraphrases_{language}.csv")
        share = 100 * found["right"] / found["rows"]
        note = f"{found['rows']} texts; parse p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms"
        section.add(f"Shop paraphrases, {language}", share, "% right", limit=85, kind="at_least", note=note)
    given = os.environ.get("FRONTDESK_TEST_DATA")
    if not given:
        section.add("BANKING77", None, "", note="skipped: FRONTDESK_TEST_DATA does not name a folder with banking77/")
        return section
    folder = Path(given) / "banking77"
    for title, train, limit in (
        ("full", "train.csv", 91.5),
        ("10-shot", "train_10shot.csv", 76.5),
        ("5-shot", "train_5shot.csv", 66.0),
    ):
        plan.say(f"nlu: BANKING77 {title}")
        found = nlu_test(folder / train, folder / "test.csv")
        note = f"trained in {found['train_s']:.1f} s; parse p50 {found['p50_ms']:.2f} ms, p99 {found['p99_ms']:.2f} ms"
        accuracy = 100 * found["accuracy"]
        section.add(f"BANKING77 {title}", accuracy, "% right", limit=limit, kind="at_least", note=note)
        section.add(f"BANKING77 {title}: calibration error", found["ece"], "", limit=0.05)
        note = f"{found['serving']['load_s']:.2f} s of CPU to load"
        section.add(f"BANKING77 {title}: memory while serving", found["serving"]["rss_mb"], "MB", limit=200, note=note)
    add_encoder(section, plan, folder)
    shop = folder.parent / "hint3_curekart"
    if (shop / "train.csv").is_file():
        plan.say("nlu: HINT3 curekart")
        found = nlu_test(shop / "train.csv", shop / "test.csv")
        section.add("HINT3, in scope", 100 * found["accuracy"], "% right", limit=87.0, kind="at_least")
        section.add("HINT3, with rejection: MCC", found["mcc"], "", limit=0.66, kind="at_least")
        section.add("HINT3: area under the rejection curve", found["oos"]["auroc"], "")
    return section


def add_encoder(section: Section, plan: Plan, folder: Path) -> None:
    """With a sentence encoder beside the words, in a process that serves nothing else."""
    encoder = os.environ.get("FRONTDESK_TEST_ENCODER")
    if not encoder:
        section.add(
            "With a sentence encoder", None, "", note="skipped: FRONTDESK_TEST_ENCODER names no folder with one"
        )
        return
    for title, train, limit in (("5-shot", "train_5shot.csv", 80.0), ("full", "train.csv", 93.8)):
        plan.say(f"nlu: BANKING77 {title} with a sentence encoder")
        found = nlu_test(folder / train, folder / "test.csv", {"FRONTDESK_NLU__ENCODER": encoder})
        serving = found["serving"]
        accuracy, note = 100 * found["accuracy"], f"ECE {found['ece']:.3f}; trained in {found['train_s']:.0f} s"
        section.add(f"BANKING77 {title} with an encoder", accuracy, "% right", limit=limit, kind="at_least", note=note)
        note = f"p99 {serving['cpu_p99_ms']:.1f} ms; on one thread, of CPU"
        section.add(f"{title} with an encoder: a parse, p50", serving["cpu_p50_ms"], "ms", limit=30, note=note)
        section.add(f"{title} with an encoder: memory while serving", serving["rss_mb"], "MB", limit=450)


def nlu_test(train: Path, test: Path, environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    done = subprocess.run(
        frontdesk("nlu", "test", "--train", str(train), "--test", str(test), "--json"),
        capture_output=True,
        text=True,
        env=clean_environment(environment),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"frontdesk nlu test failed: {done.stderr.strip()[-500:]}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def ask_shop_model(plan: Plan, questions: Path) -> dict[str, Any]:
    """Right answers and times of the model in the template's store."""
    with sqlite3.connect(plan.template / "frontdesk.db") as connection:
        (packed,) = connection.execute("SELECT payload FROM models ORDER BY id DESC LIMIT 1").fetchone()
    connection.close()
    blob = plan.work / "shop.model"
    blob.write_bytes(packed)
    return ask_model(blob, questions)


def ask_model(model: Path, questions: Path) -> dict[str, Any]:
    """What `bench.parsing` says of a model, in a process of its own."""
    done = subprocess.run(
        python("-m", "bench.parsing", str(model), str(questions)),
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"parsing failed: {done.stderr.strip()[-500:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def rows_of(path: Path) -> list[tuple[str, str]]:
    """(text, intent) of each row."""
    with path.open(encoding="utf-8", newline="") as file:
        return [(row["text"], row["intent"]) for row in csv.DictReader(file)]
