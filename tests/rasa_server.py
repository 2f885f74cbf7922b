"""A real Rasa server for a test: started through scripts/rasa_env.py on a free port, ended with its test."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import ProxyHandler, Request, build_opener

import pytest

ROOT = Path(__file__).parent.parent
MINI = ROOT / "tests" / "rasa" / "mini"
SCRIPT = ROOT / "scripts" / "rasa_env.py"
READY_WITHIN_S = 850  # the first time: install, train, load TensorFlow, on a busy machine


@dataclass(frozen=True)
class RasaServer:
    url: str
    process: subprocess.Popen[bytes]

    def post(self, path: str, body: dict[str, Any]) -> Any:
        request = Request(f"{self.url}/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"})
        with build_opener(ProxyHandler({})).open(request, timeout=120) as response:
            return json.load(response)

    def parse(self, text: str) -> Any:
        return self.post("model/parse", {"text": text})

    def say(self, text: str, *, sender: str) -> list[str]:
        """What Rasa replies over its REST channel."""
        return [
            part.get("text", "") for part in self.post("webhooks/rest/webhook", {"sender": sender, "message": text})
        ]


@contextmanager
def rasa_server(assistant: Path, log: Path) -> Iterator[RasaServer]:
    """`rasa_env.py serve` on a free port, ready; ended with its test."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, SCRIPT, "serve", "--assistant", assistant, "--port", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL)
    server = RasaServer(f"http://127.0.0.1:{port}", process)
    try:
        _wait_until_ready(server, log)
        yield server
    finally:
        if process.poll() is None:
            os.kill(process.pid, signal.SIGCONT)
            process.kill()
        process.wait()


def _wait_until_ready(server: RasaServer, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    opener = build_opener(ProxyHandler({}))
    while time.monotonic() < deadline:
        if server.process.poll() is not None:
            pytest.fail(f"Rasa ended before it was ready:\n{log.read_text(errors='replace')[-2000:]}")
        try:
            with opener.open(f"{server.url}/status", timeout=10) as response:
                if json.load(response).get("model_id"):
                    return
        except (URLError, OSError):
            time.sleep(0.25)  # polling another process, which has no other way to say that it is ready
    pytest.fail(f"Rasa was not ready in time:\n{log.read_text(errors='replace')[-2000:]}")
