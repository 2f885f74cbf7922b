"""What a Rasa server understands, and what that costs: POST /model/parse, one message after the other.

In: the server's address and process id, and (text, intent) of each message. Out: the numbers as a dict.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import psutil

from bench.figures import percentile
from bench.rasa_rest import WARM_UP, cpu_s, family

FALLBACK = "nlu_fallback"  # what Rasa ranks first where it gives a message up


def measure(url: str, pid: int, rows: Sequence[tuple[str, str]], *, timeout_s: float = 60.0) -> dict[str, Any]:
    """`cpu_ms` is user and system time of the server and its children for each message; `rss_mb` is read at the end.

    Raises: OSError when the server cannot be reached, psutil.NoSuchProcess for a wrong process id.
    """
    opener = build_opener(ProxyHandler({}))  # the server is on this machine, whatever the environment says
    server = psutil.Process(pid)
    for text, _ in rows[:WARM_UP]:
        _parse(opener, url, text, timeout_s)
    right = kept_right = 0
    took_ms = []
    before_s = cpu_s(server)
    for text, intent in rows:
        began = time.perf_counter()
        answer = _parse(opener, url, text, timeout_s)
        took_ms.append((time.perf_counter() - began) * 1000)
        is_right, is_kept = judged(answer, intent)
        right += is_right
        kept_right += is_right and is_kept
    return {
        "rows": len(rows),
        "right": right,
        "kept_right": kept_right,
        "cpu_ms": (cpu_s(server) - before_s) * 1000 / len(rows),
        "p50_ms": percentile(took_ms, 0.5),
        "p99_ms": percentile(took_ms, 0.99),
        "rss_mb": sum(process.memory_info().rss for process in family(server)) / 1e6,
    }


def judged(answer: dict[str, Any], intent: str) -> tuple[bool, bool]:
    """Whether the likeliest intent is right, giving up aside; whether the message was not given up."""
    ranked = [each["name"] for each in answer["intent_ranking"] if each["name"] != FALLBACK]
    return ranked[:1] == [intent], answer["intent"]["name"] != FALLBACK


def _parse(opener: Any, url: str, text: str, timeout_s: float) -> dict[str, Any]:
    body = json.dumps({"text": text}).encode()
    request = Request(f"{url}/model/parse", body, {"Content-Type": "application/json"})
    with opener.open(request, timeout=timeout_s) as response:
        answer: dict[str, Any] = json.load(response)
    return answer
