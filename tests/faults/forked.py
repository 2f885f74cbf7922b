"""Processes of `frontdesk` that begin with everything imported, which is most of what a start costs.

Python's fork server imports once for each process of the suite; every desk is forked from it, with an environment, a
folder and streams of its own, and dies of signals like any other. Starts from nothing are what the templates of
tests/faults/conftest.py and one test of tests/scenarios/test_cli.py do. Elsewhere than on Linux a fork of what has
threads in system libraries is not safe: there `is_possible` is false.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import runpy
import signal
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import forkserver
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).parents[2]
is_possible = sys.platform == "linux"


class ForkedProcess:
    """What tests use of asyncio's Process, for a process the fork server made. Belongs to the loop it was made in."""

    def __init__(self, process: ForkServerProcess, stdout: asyncio.StreamReader) -> None:
        assert process.pid is not None
        self.pid, self.stdout = process.pid, stdout
        self.returncode: int | None = None
        self._process, self._ended = process, asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(process.sentinel, self._end)

    def _end(self) -> None:
        self._loop.remove_reader(self._process.sentinel)
        self._process.join()
        self.returncode = self._process.exitcode
        self._process.close()
        self._ended.set()

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


async def forked(
    launch: Sequence[str], arguments: Sequence[str], environment: Mapping[str, str], folder: Path, stderr: Path
) -> ForkedProcess:
    """A process that is what `python *launch *arguments` is; `stderr` is added to."""
    server = _server()
    reading, writing = server.Pipe(duplex=False)
    process = server.Process(
        target=_become, args=(writing, stderr, tuple(launch), tuple(arguments), dict(environment), folder), daemon=True
    )
    process.start()
    writing.close()
    stdout = asyncio.StreamReader()
    pipe = os.fdopen(os.dup(reading.fileno()), "rb", 0)
    reading.close()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdout), pipe)
    return ForkedProcess(process, stdout)


def _server() -> multiprocessing.context.ForkServerContext:
    """Running, with everything imported."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.faults.imported"])
    kept = {name: os.environ.get(name) for name in ("PYTHONPATH", "PYTHONUNBUFFERED")}
    os.environ |= {"PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    try:
        forkserver.ensure_running()
    finally:
        for name, value in kept.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
    return context


def _become(
    stdout: Connection,
    stderr: Path,
    launch: Sequence[str],
    arguments: Sequence[str],
    environment: Mapping[str, str],
    folder: Path,
) -> None:
    os.dup2(stdout.fileno(), 1)
    stdout.close()
    with stderr.open("ab") as log:
        os.dup2(log.fileno(), 2)
    for name in [name for name in os.environ if name.startswith("FRONTDESK_")]:
        del os.environ[name]
    os.environ.update(environment)
    os.chdir(folder)
    sys.argv = [launch[0], *arguments]
    if launch[0] == "-c":
        exec(launch[1], {"__name__": "__main__"})
    else:
        runpy.run_path(launch[0], run_name="__main__")
