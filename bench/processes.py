"""Servers under test: each in a process of its own, in a folder of its own, its CPU time read from outside."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Protocol, Self

import psutil

ROOT = Path(__file__).resolve().parents[1]
START_TIMEOUT_S = 120.0  # a first start trains the model


class NotStarted(Exception):
    """The server ended or stayed silent; its own last words are the message."""


def clean_environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Ours without what a developer has set for the desk; numeric libraries may use the cores they find."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRONTDESK_")}
    return {**kept, "PYTHONPATH": str(ROOT), "FRONTDESK_LOG_FORMAT": "json", **(more or {})}


@dataclass(frozen=True, slots=True)
class Spent:
    cpu_s: float  # user and system, all threads and children
    wall_s: float


class Server:
    """A started process that has said its port; stop it with `with`."""

    def __init__(
        self,
        command: Sequence[str],
        folder: Path,
        environment: Mapping[str, str] | None = None,
        *,
        has_port: bool = True,
    ) -> None:
        """Returns when the process says `http://127.0.0.1:PORT` or `ready PORT`, at once if it never does (port 0).

        Raises: NotStarted.
        """
        self.folder = folder
        self._log = folder / "stderr.log"
        self.started_at = monotonic()
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env=clean_environment(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
            )
        self.last_line = ""
        try:
            self.port = self._wait_for_port() if has_port else 0
        except BaseException:
            self._process.kill()
            self._process.wait()
            raise
        self.ready_s = monotonic() - self.started_at
        self._watched = psutil.Process(self._server_pid())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        return self._watched.pid

    def cpu_s(self) -> float:
        times = self._watched.cpu_times()
        return float(times.user + times.system)

    def memory_mb(self) -> float:
        return float(self._watched.memory_info().rss) / 1e6

    def stop(self) -> dict[str, Any]:
        """Ended by SIGTERM; what it printed last as JSON, if it did."""
        if self._process.poll() is None:
            with suppress(psutil.NoSuchProcess):
                self._watched.send_signal(signal.SIGTERM)
        try:
            rest, _ = self._process.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            rest, _ = self._process.communicate()
        last = rest.strip().rpartition("\n")[2]
        return json.loads(last) if last.startswith("{") else {}

    def _wait_for_port(self) -> int:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            words = line.split()
            if words[:1] == ["ready"]:
                return int(words[1])
            if "http://127.0.0.1:" in line:
                return int(line.split("http://127.0.0.1:")[1].split("/")[0])
        self._process.wait(timeout=10)
        raise NotStarted(self._log.read_text(errors="replace")[-2000:].strip() or "ended without a word")

    def _server_pid(self) -> int:
        """The process itself, or the one that strace runs for us."""
        children = psutil.Process(self._process.pid).children()
        is_traced = psutil.Process(self._process.pid).name() == "strace"
        return children[0].pid if is_traced and children else self._process.pid


def python(*arguments: str) -> list[str]:
    return [sys.executable, *arguments]


def frontdesk(*arguments: str) -> list[str]:
    """The installed command of this environment."""
    return [str(Path(sys.executable).with_name("frontdesk")), *arguments]


def run_load(job: Mapping[str, Any]) -> dict[str, Any]:
    """What `bench.load` measured. Raises: RuntimeError with its last words."""
    done = subprocess.run(
        python("-m", "bench.load"),
        input=json.dumps(job),
        capture_output=True,
        text=True,
        env=clean_environment(),
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"the load generator failed: {done.stderr.strip()[-1000:]}")
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def measured_load(server: Server, job: Mapping[str, Any]) -> tuple[dict[str, Any], Spent]:
    """The load's report, and what the server spent from the moment everybody was connected until the last answer."""
    generator = subprocess.Popen(
        python("-m", "bench.load"),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=clean_environment(),
    )
    assert generator.stdin is not None
    assert generator.stderr is not None
    assert generator.stdout is not None
    generator.stdin.write(json.dumps({**job, "port": server.port, "announce": True}))
    generator.stdin.close()
    said = generator.stderr.readline()
    before_cpu, before = server.cpu_s(), monotonic()
    report = generator.stdout.read()
    spent = Spent(server.cpu_s() - before_cpu, monotonic() - before)
    rest = generator.stderr.read()
    if generator.wait():
        raise RuntimeError(f"the load generator failed: {(said + rest).strip()[-1000:]}")
    answer: dict[str, Any] = json.loads(report)
    return answer, spent


class HasCpu(Protocol):
    def cpu_s(self) -> float: ...


def wait_until_idle(server: HasCpu, *, within_s: float = 10.0) -> None:
    """The server has stopped burning CPU (start-up work done, last checkpoint written)."""
    until = monotonic() + within_s
    before = server.cpu_s()
    while monotonic() < until:
        sleep(0.3)
        now = server.cpu_s()
        if now - before <= 0.03:
            return
        before = now


def fresh_folder(parent: Path, name: str, template: Path | None = None) -> Path:
    """An empty folder, or a copy of `template` without its locks and logs."""
    folder = parent / name
    shutil.rmtree(folder, ignore_errors=True)
    if template is None:
        folder.mkdir(parents=True)
    else:
        shutil.copytree(template, folder, ignore=shutil.ignore_patterns("*.lock", "*.log", "*.trace"))
    return folder


def is_ready(port: int) -> bool:
    """True when GET /readyz answers 200."""

    async def ask() -> bool:
        from bench.wire import connect

        try:
            exchange = await connect(port)
        except OSError:
            return False
        status, _ = await exchange.ask(b"GET /readyz HTTP/1.1\r\nHost: bench\r\n\r\n")
        exchange.close()
        return status == 200

    return asyncio.run(ask())
