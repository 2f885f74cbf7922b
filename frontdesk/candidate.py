"""`python -m frontdesk.candidate OUT`: trains a candidate and compares it, in a process of its own.

In: one JSON document on stdin (customers' words go through no file). Out: lines of JSON on stdout with how far it is,
the last one with the comparison; OUT/model.zip. It yields to whatever serves on the same machine.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import orjson

from bot.errors import BotError

# Where each step begins and ends on the way from 0 to 1.
STEPS: Final = {"reading": (0.0, 0.03), "training": (0.03, 0.6), "comparing": (0.6, 0.75), "replaying": (0.75, 1.0)}
TICK_S: Final = 0.5
NICENESS: Final = 10


class Progress:
    """Lines that say how far it is. While training, which cannot say, by the seconds that the last one took."""

    def __init__(self, write: Any = None) -> None:
        self._write = write or sys.stdout.buffer
        self._lock = threading.Lock()

    def at(self, step: str, share: float) -> None:
        start, end = STEPS[step]
        self.line({"step": step, "progress": round(start + (end - start) * min(max(share, 0.0), 1.0), 4)})

    def line(self, value: Mapping[str, Any]) -> None:
        with self._lock:
            self._write.write(orjson.dumps(value) + b"\n")
            self._write.flush()

    def while_training(self, expected_s: float, done: threading.Event) -> None:
        started = time.monotonic()
        while not done.wait(TICK_S):
            passed = time.monotonic() - started
            self.at("training", min(passed / expected_s, 0.97))


def main(out: str) -> int:
    """0 with a candidate; 1 with one sentence on stderr."""
    os.nice(NICENESS)
    wanted = orjson.loads(sys.stdin.buffer.read())
    progress = Progress()
    try:
        progress.line({"done": make(wanted, Path(out), progress)})
    except BotError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def make(wanted: Mapping[str, Any], out: Path, progress: Progress) -> dict[str, Any]:
    """OUT/model.zip is the candidate; how it compares. Raises: AssistantInvalid."""
    from config.settings import Settings
    from frontdesk.sentence_encoder import sentence_encoder
    from nlu.embedded.model import pack, train_model, unpack
    from nlu.shadow import Heard, compare
    from nlu.training_data import load_training_data

    progress.at("reading", 0)
    folder, learnt = Path(wanted["folder"]), [tuple(each) for each in wanted["learnt"]]
    data = with_learnt(load_training_data(folder / "data"), learnt)
    encoder = sentence_encoder(Settings().nlu.encoder)
    baseline = unpack(Path(wanted["baseline"]).read_bytes(), encoder)
    expected_s = max(baseline.manifest.train_s * len(data.examples) / max(baseline.manifest.examples, 1), 2.0)
    progress.at("training", 0)
    done = threading.Event()
    ticking = threading.Thread(target=progress.while_training, args=(expected_s, done), daemon=True)
    ticking.start()
    try:
        candidate = train_model(data, encoder=encoder)
    finally:
        done.set()
        ticking.join()
    packed = pack(candidate)
    (out / "model.zip").write_bytes(packed)
    progress.at("comparing", 0)
    heard = [Heard(**each) for each in wanted["heard"]]
    comparison = compare(
        baseline, candidate, heard, accept=wanted["accept"], progress=lambda share: progress.at("comparing", share)
    )
    progress.at("replaying", 0)
    transcripts = _replayed(wanted, packed, candidate.version, progress)
    return {
        **comparison,
        "version": candidate.version,
        "examples": len(data.examples),
        "learnt": len(learnt),
        "intents": len(candidate.intents),
        "train_s": round(candidate.manifest.train_s, 1),
        "transcripts": transcripts,
    }


def with_learnt(data: Any, learnt: Sequence[tuple[str, str]]) -> Any:
    """The training data with what staff have labelled; where a file says otherwise about the same words, they win.

    A meaning that the files do not have any more is left out.
    """
    from nlu.language import fold
    from nlu.training_data import Example

    known = {example.intent for example in data.examples}
    said = {fold(text): Example(text, intent, file="labelled") for text, intent in learnt if intent in known}
    kept = [
        each for each in data.examples if fold(each.text) not in said or said[fold(each.text)].intent == each.intent
    ]
    return replace(data, examples=(*kept, *said.values()))


def _replayed(wanted: Mapping[str, Any], packed: bytes, version: str, progress: Progress) -> dict[str, Any]:
    """The assistant's transcripts with the model that serves and with the candidate."""
    import asyncio

    from config.logging import configure_logging
    from config.settings import NluSettings, Settings
    from frontdesk.replaying import replay_read
    from frontdesk.transcripts import read_transcripts, transcript_of

    folder = Path(wanted["folder"])
    configure_logging("json", "error")
    settings = Settings(
        assistant=folder,
        timezone=wanted["timezone"],
        language=wanted["language"],
        nlu=NluSettings(model_dir=Path(wanted["model_dir"])),
    )
    transcripts = [each for file in sorted((folder / "tests").glob("*.yml")) for each in read_transcripts(file)]
    transcripts += [transcript_of(each, file="stored", folder=folder) for each in wanted["transcripts"]]
    if not transcripts:
        return {"before": 0, "after": 0, "tests": 0, "better": [], "worse": []}
    baseline = (wanted["baseline_version"], Path(wanted["baseline"]).read_bytes())
    before = asyncio.run(replay_read(settings, transcripts, model=baseline))
    progress.at("replaying", 0.5)
    after = asyncio.run(replay_read(settings, transcripts, model=(version, packed)))
    pairs = list(zip(before.outcomes, after.outcomes, strict=True))
    return {
        "tests": after.tests,
        "before": before.tests - before.failures,
        "after": after.tests - after.failures,
        "better": [now.name for was, now in pairs if now.passed and not was.passed],
        "worse": [{"name": now.name, "failure": now.failure} for was, now in pairs if was.passed and not now.passed],
    }


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1]))
