"""What a process that serves a model costs: time of a parse on one thread, time to load, memory.

`python -m nlu.serving_cost MODEL [ENCODER]` with texts on stdin (a JSON list) writes them as JSON. In a process of its
own, because whoever has trained the model holds scikit-learn and the examples too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter, process_time
from typing import Final

import numpy as np
import orjson
import psutil

from bot.errors import ServiceError

_WARMING: Final = 50  # texts; caches are warm in a desk that runs
_ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")


def serving_cost(packed: bytes, texts: Sequence[str], encoder: Path | None = None) -> dict[str, float]:
    """`parse_p50_ms` and `parse_p99_ms` are wall time of whole parses, one after the other, `cpu_…` the process's time.

    `load_s` is CPU time after the imports; `rss_mb` is held while serving. Raises: ServiceError with what went wrong.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.zip"
        model.write_bytes(packed)
        command = [sys.executable, "-m", "nlu.serving_cost", str(model), *([str(encoder)] if encoder else [])]
        done = subprocess.run(  # noqa: S603 - our own module
            command, input=orjson.dumps(list(texts)), capture_output=True, check=False, env=os.environ | _ONE_THREAD
        )
    if done.returncode:
        raise ServiceError("nlu", done.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2])
    measured: dict[str, float] = orjson.loads(done.stdout)
    return measured


def measure(model: Path, texts: Sequence[str], encoder: Path | None) -> dict[str, float]:
    """The same, in this process."""
    from nlu.embedded.encoder import load_encoder
    from nlu.embedded.engine import EmbeddedEngine
    from nlu.embedded.model import unpack

    began = process_time()
    engine = EmbeddedEngine(unpack(model.read_bytes(), load_encoder(encoder) if encoder else None))
    load_s, now = process_time() - began, datetime.now(UTC)
    for text in texts[:_WARMING]:
        engine.understand(text, now=now)
    took, cpu = [], []
    for text in texts:
        began, spent = perf_counter(), process_time()
        engine.understand(text, now=now)
        took.append((perf_counter() - began) * 1000)
        cpu.append((process_time() - spent) * 1000)
    (p50, p99), (cpu_p50, cpu_p99) = (np.percentile(each, [50, 99]) for each in (took, cpu))
    found = {"parse_p50_ms": p50, "parse_p99_ms": p99, "cpu_p50_ms": cpu_p50, "cpu_p99_ms": cpu_p99, "load_s": load_s}
    found["rss_mb"] = psutil.Process().memory_info().rss / 1e6
    return {name: round(float(value), 3) for name, value in found.items()}


if __name__ == "__main__":
    place = Path(sys.argv[2]) if len(sys.argv) > 2 else None
    sys.stdout.buffer.write(orjson.dumps(measure(Path(sys.argv[1]), orjson.loads(sys.stdin.buffer.read()), place)))
