"""`python -m bench.parsing MODEL QUESTIONS.csv`: how many a model gets right, how long a parse takes, and memory.

MODEL is a folder or a packed model.
"""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time, time

import psutil

from bench.figures import percentile
from bench.understanding import rows_of
from nlu.embedded.engine import REJECTED, EmbeddedEngine
from nlu.embedded.model import load_model, unpack


def main() -> None:
    process = psutil.Process()
    place, rows = Path(sys.argv[1]), rows_of(Path(sys.argv[2]))
    engine = EmbeddedEngine(load_model(place) if place.is_dir() else unpack(place.read_bytes()))
    now = datetime.now(UTC)
    engine.understand(rows[0][0], now=now)
    load_s = time() - process.create_time()
    for text, _ in rows:
        engine.understand(text, now=now)  # caches are warm in a desk that runs
    right, kept_right, took_ms = 0, 0, []
    before_s = process_time()
    for text, intent in rows:
        began = perf_counter()
        understood = engine.understand(text, now=now)
        took_ms.append((perf_counter() - began) * 1000)
        is_right = understood.intent.name == intent
        right += is_right
        kept_right += is_right and understood.intent.confidence >= REJECTED
    cpu_ms = (process_time() - before_s) * 1000 / len(rows)
    found = {"rows": len(rows), "right": right, "kept_right": kept_right, "cpu_ms": cpu_ms, "load_s": load_s}
    found |= {"p50_ms": percentile(took_ms, 0.5), "p99_ms": percentile(took_ms, 0.99)}
    json.dump({**found, "rss_mb": process.memory_info().rss / 1e6}, sys.stdout)


if __name__ == "__main__":
    main()
