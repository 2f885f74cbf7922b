"""Understanding, the embedded engine beside Rasa's default pipeline: the same training data, test data and machine."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import yaml

from bench import rasa_parse
from bench.processes import ROOT, clean_environment, frontdesk
from bench.rasa_server import HOW, is_installed, model_server, rasa_command, rasa_environment
from bench.sections import Plan, Section
from bench.understanding import ask_model, rows_of

PIPELINE = ROOT / "bench" / "rasa_nlu.yml"
DATA = "train_5shot.csv"
FEW = 300  # test messages of a quick run
ABOUT = (
    "BANKING77 with five examples for each of its 77 intents, tested on the 3,080 messages of its test split; both "
    "engines get the same files. Rasa 3.6.21 has the pipeline and the epochs that `rasa init` suggests "
    "(bench/rasa_nlu.yml). It is the few-shot split because Rasa's training on all 10,003 examples takes more than an "
    "hour of CPU. Right is before giving anything up; *right and not given up* lets each engine's own threshold decide "
    "(Rasa: `FallbackClassifier`, 0.3; ours: 5 % of examples left out). Training is a whole process, imports "
    "included. Rasa answers over HTTP, its only way, one message after the other; the embedded engine answers in the "
    "process that asks, entities included. Memory is resident: at its peak in training, after the last message in "
    "serving."
)


@dataclass(frozen=True, slots=True)
class Trained:
    cpu_s: float  # user and system, all threads
    wall_s: float
    peak_mb: float


def run(plan: Plan) -> Section:
    section = Section("rasa", "Understanding: the embedded engine beside Rasa", ABOUT)
    given = os.environ.get("FRONTDESK_TEST_DATA")
    folder = Path(given) / "banking77" if given else None
    if folder is None or not (folder / DATA).is_file():
        section.skipped = "FRONTDESK_TEST_DATA does not name a folder with banking77/."
        return section
    if not is_installed():
        section.skipped = f"{HOW}."
        return section
    test = questions(plan, folder / "test.csv")
    plan.say("rasa: training the embedded engine")
    models = plan.work / "nlu"
    our_training = measured(frontdesk("nlu", "train", "--data", str(folder / DATA), "--out", str(models)))
    (model,) = models.iterdir()
    ours = ask_model(model, test)
    plan.say("rasa: training Rasa on the same examples, which takes minutes")
    project = rasa_project(plan.work / "rasa-banking77", rows_of(folder / DATA))
    theirs_training = measured(training_command(project), rasa_environment(project))
    plan.say("rasa: asking Rasa")
    with model_server(project / "model.tar.gz") as (url, pid, ready_s):
        theirs = {**rasa_parse.measure(url, pid, rows_of(test)), "load_s": ready_s}
    compare(section, (our_training, ours), (theirs_training, theirs))
    return section


def compare(section: Section, ours: tuple[Trained, Mapping[str, Any]], rasa: tuple[Trained, Mapping[str, Any]]) -> None:
    for name, (training, serving) in (("Embedded", ours), ("Rasa", rasa)):
        rows = serving["rows"]
        section.add(f"{name}: right", 100 * serving["right"] / rows, "%", note=f"of {rows:,} messages")
        section.add(f"{name}: right and not given up", 100 * serving["kept_right"] / rows, "%")
        section.add(f"{name}: training", training.cpu_s, "s of CPU", note=f"{training.wall_s:.0f} s on the clock")
        section.add(f"{name}: memory, training", training.peak_mb, "MB")
        section.add(f"{name}: from start to the first answer", serving["load_s"], "s")
        section.add(f"{name}: a message", serving["cpu_ms"], "ms of CPU")
        section.add(f"{name}: a message, p50", serving["p50_ms"], "ms", note=f"p99 {serving['p99_ms']:.1f} ms")
        section.add(f"{name}: memory, serving", serving["rss_mb"], "MB")
    (our_training, our_serving), (training, serving) = ours, rasa
    more = 100 * (our_serving["right"] / our_serving["rows"] - serving["right"] / serving["rows"])
    section.add("Embedded over Rasa: right", more, "points", limit=0.0, kind="at_least")
    for what, theirs, own in (
        ("training, CPU", training.cpu_s, our_training.cpu_s),
        ("a message, CPU", serving["cpu_ms"], our_serving["cpu_ms"]),
        ("memory, serving", serving["rss_mb"], our_serving["rss_mb"]),
    ):
        section.add(f"Rasa to embedded: {what}", theirs / own, "×", limit=1.0, kind="at_least")


def questions(plan: Plan, test: Path) -> Path:
    """The test file, or an even part of it for a quick run."""
    if not plan.quick:
        return test
    lines = test.read_text(encoding="utf-8").splitlines()
    part = plan.work / "some.csv"
    part.write_text("\n".join([lines[0], *lines[1 :: len(lines) // FEW]]) + "\n", encoding="utf-8")
    return part


def rasa_project(folder: Path, rows: Sequence[tuple[str, str]]) -> Path:
    """A Rasa project that knows these (text, intent) and nothing else."""
    examples: dict[str, list[str]] = {}
    for text, intent in rows:
        # Rasa reads [words](name) as an annotation and would leave out a part of the text.
        examples.setdefault(intent, []).append(text.replace("[", "(").replace("]", ")"))
    nlu = [
        {"intent": intent, "examples": "".join(f"- {text}\n" for text in texts)} for intent, texts in examples.items()
    ]
    (folder / "data").mkdir(parents=True)
    shutil.copy(PIPELINE, folder / "config.yml")
    for name, content in (("data/nlu.yml", {"nlu": nlu}), ("domain.yml", {"intents": list(examples)})):
        document = {"version": "3.1", **content}
        (folder / name).write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")
    return folder


def training_command(project: Path) -> list[str]:
    """Leaves `model.tar.gz` in the project."""
    data = ["--nlu", str(project / "data"), "--domain", str(project / "domain.yml")]
    made = ["--config", str(project / "config.yml"), "--out", str(project), "--fixed-model-name", "model"]
    return rasa_command("train", "nlu", *data, *made, "--quiet")


def measured(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Trained:
    """Runs it to its end and weighs it. Raises: RuntimeError with its last words."""
    began = monotonic()
    process = subprocess.Popen(
        command,
        env=dict(environment) if environment is not None else clean_environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    said = process.stderr.read()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    process.stderr.close()
    if process.returncode:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {said.strip()[-500:]}")
    peak = used.ru_maxrss / 1e6 if sys.platform == "darwin" else used.ru_maxrss * 1024 / 1e6
    return Trained(used.ru_utime + used.ru_stime, monotonic() - began, peak)
