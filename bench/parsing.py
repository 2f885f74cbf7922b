"""`python -m bench.parsing MODEL QUESTIONS.csv`: how many a packed model gets right, and how long a parse takes."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter

from bench.figures import percentile
from bench.understanding import rows_of
from nlu.embedded.engine import EmbeddedEngine
from nlu.embedded.model import unpack


def main() -> None:
    engine = EmbeddedEngine(unpack(Path(sys.argv[1]).read_bytes()))
    rows = rows_of(Path(sys.argv[2]))
    now = datetime.now(UTC)
    for text, _ in rows:
        engine.understand(text, now=now)  # caches are warm in a desk that runs
    right, took_ms = 0, []
    for text, intent in rows:
        began = perf_counter()
        understood = engine.understand(text, now=now)
        took_ms.append((perf_counter() - began) * 1000)
        right += understood.intent.name == intent
    p50_ms, p99_ms = percentile(took_ms, 0.5), percentile(took_ms, 0.99)
    json.dump({"rows": len(rows), "right": right, "p50_ms": p50_ms, "p99_ms": p99_ms}, sys.stdout)


if __name__ == "__main__":
    main()
