"""What a Rasa server costs per single-turn message over its REST channel: CPU, rate, memory, and what it replied.

    python bench/rasa_rest.py http://127.0.0.1:5005 PID messages.txt

In: the server's address and process id, and the messages, one conversation each. Out: the numbers as a dict.
"""

from __future__ import annotations

import json
import sys
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.request import ProxyHandler, Request, build_opener

import psutil

WARM_UP = 5  # the first turns build TensorFlow's graphs


def measure(url: str, pid: int, messages: Sequence[str], *, timeout_s: float = 60.0) -> dict[str, Any]:
    """Send each message as a new sender, one after the other, and weigh the server meanwhile.

    `cpu_ms_per_turn` is user and system time of the server and its children; `rss_mb` (10^6 bytes) is read at the end;
    `replies` holds, per message, what the bot said: a list of {"text", "buttons"} in order.
    Raises: OSError when the server cannot be reached, psutil.NoSuchProcess for a wrong process id, ValueError without
    messages.
    """
    if not messages:
        raise ValueError("no messages to send")
    opener = build_opener(ProxyHandler({}))  # the server is on this machine, whatever the environment says
    server = psutil.Process(pid)
    for message in (list(messages) * WARM_UP)[:WARM_UP]:
        _turn(opener, url, message, timeout_s)
    cpu_before, started = cpu_s(server), time.perf_counter()
    latencies, replies = [], []
    for message in messages:
        sent_at = time.perf_counter()
        replies.append(_turn(opener, url, message, timeout_s))
        latencies.append(time.perf_counter() - sent_at)
    elapsed_s, spent_s = time.perf_counter() - started, cpu_s(server) - cpu_before
    latencies.sort()
    return {
        "turns": len(messages),
        "cpu_ms_per_turn": round(spent_s / len(messages) * 1000, 2),
        "turns_per_s": round(len(messages) / elapsed_s, 2),
        "p50_ms": round(latencies[len(latencies) // 2] * 1000, 1),
        "p99_ms": round(latencies[min(len(latencies) - 1, int(len(latencies) * 0.99))] * 1000, 1),
        "rss_mb": round(sum(process.memory_info().rss for process in family(server)) / 1e6, 1),
        "replies": replies,
    }


def _turn(opener: Any, url: str, message: str, timeout_s: float) -> list[dict[str, Any]]:
    body = json.dumps({"sender": uuid.uuid4().hex, "message": message}).encode()
    request = Request(f"{url.rstrip('/')}/webhooks/rest/webhook", body, {"Content-Type": "application/json"})
    with opener.open(request, timeout=timeout_s) as response:
        said = json.load(response)
    return [{"text": part.get("text", ""), "buttons": part.get("buttons", [])} for part in said]


def family(server: psutil.Process) -> list[psutil.Process]:
    """The server and its children."""
    return [server, *server.children(recursive=True)]


def cpu_s(server: psutil.Process) -> float:
    """User and system time of the server and its children."""
    return sum(times.user + times.system for times in (process.cpu_times() for process in family(server)))


if __name__ == "__main__":
    lines = [line for line in Path(sys.argv[3]).read_text(encoding="utf-8").splitlines() if line.strip()]
    print(json.dumps(measure(sys.argv[1], int(sys.argv[2]), lines), ensure_ascii=False, indent=1))
