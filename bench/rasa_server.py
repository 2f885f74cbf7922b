"""A real Rasa 3.6.21 server on the sample assistant, where its environment has been installed (`make rasa`)."""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from time import monotonic, sleep
from types import ModuleType
from urllib.error import URLError
from urllib.request import ProxyHandler, build_opener

from bench.processes import ROOT, NotStarted, clean_environment

SCRIPT = ROOT / "scripts" / "rasa_env.py"
HOW = (
    "there is no Rasa environment; `make rasa` (or `python scripts/rasa_env.py ensure`) installs one in about two "
    "minutes where there is a Python 3.10"
)
SAMPLE = ROOT / "config" / "assistants" / "shop"
DEFAULT_PIPELINE = ROOT / "bench" / "rasa_default.yml"
READY_WITHIN_S = 1800.0  # a first start trains the model


def is_installed() -> bool:
    """True when the environment is complete; nothing is installed."""
    script = _script()
    return bool(script.is_complete(script.env_folder(os.environ), os.environ))


def default_project(work: Path) -> Path:
    """The sample assistant below `work`, with Rasa's default pipeline instead of its own light one."""
    folder = work / "rasa-default"
    shutil.copytree(SAMPLE, folder, dirs_exist_ok=True)
    shutil.copy(DEFAULT_PIPELINE, folder / "config.yml")
    return folder


@contextmanager
def rasa_server(assistant: Path = SAMPLE) -> Iterator[tuple[str, int]]:
    """(address, process id) of a server that has loaded its model of this assistant. Raises: NotStarted."""
    # The script becomes Rasa, so this is Rasa's own process id; what a developer has set for Rasa stays.
    environment = {name: value for name, value in os.environ.items() if name.startswith("FRONTDESK_")}
    port = free_port()
    command = [sys.executable, str(SCRIPT), "serve", "--port", str(port), "--assistant", str(assistant)]
    with _serving(command, clean_environment(environment), port) as (url, pid, _):
        yield url, pid


@contextmanager
def model_server(model: Path) -> Iterator[tuple[str, int, float]]:
    """(address, process id, seconds until it was ready) of a server of this model alone. Raises: NotStarted."""
    port = free_port()
    command = rasa_command(
        "run", "--enable-api", "--interface", "127.0.0.1", "--port", str(port), "--model", str(model), "--quiet"
    )
    with _serving(command, rasa_environment(model.parent), port) as started:
        yield started


def rasa_command(*arguments: str) -> list[str]:
    python = _script().env_folder(os.environ) / "bin" / "python"
    return [str(python), "-W", "ignore", "-m", "rasa", *arguments]


def rasa_environment(work: Path) -> dict[str, str]:
    """Rasa's, with a cache of its own below `work`: what an earlier run has trained would look fast."""
    environment: dict[str, str] = _script().rasa_environ(os.environ)
    return {**environment, "RASA_CACHE_DIRECTORY": str(work / "cache")}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def _serving(command: list[str], environment: dict[str, str], port: int) -> Iterator[tuple[str, int, float]]:
    url = f"http://127.0.0.1:{port}"
    began = monotonic()
    server = subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        _wait(server, url)
        yield url, server.pid, monotonic() - began
    finally:
        server.terminate()
        try:
            server.communicate(timeout=20)
        except subprocess.TimeoutExpired:
            server.kill()
            server.communicate()


def _wait(server: subprocess.Popen[str], url: str) -> None:
    opener = build_opener(ProxyHandler({}))
    until = monotonic() + READY_WITHIN_S
    while monotonic() < until:
        if server.poll() is not None:
            _, said = server.communicate()
            raise NotStarted(f"Rasa did not start: {said.strip()[-500:]}")
        try:
            with opener.open(f"{url}/status", timeout=5) as response:
                if response.status == 200:
                    return
        except (URLError, OSError):
            sleep(0.5)
    raise NotStarted(f"Rasa did not answer within {READY_WITHIN_S:.0f} s")


def _script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("rasa_env", SCRIPT)
    if spec is None or spec.loader is None:
        raise NotStarted(f"{SCRIPT.name} is missing")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
