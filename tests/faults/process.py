"""The desk under test as the operating system sees it: a process with an environment, killed and started again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.faults.forked import ForkedProcess, forked, is_possible

ROOT = Path(__file__).parents[2]
FRONTDESK = ("-c", "from frontdesk.cli import main; main()")
BROKEN = (str(Path(__file__).parent / "broken.py"),)
START_WITHIN_S = 40.0  # seconds; a start takes about two on an idle machine
STOP_WITHIN_S = 20.0
_ADDRESS = re.compile(rb"Customer page\s+(http://\S+?)/\s")


def clean_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """What a process is given: nothing of the caller's own Frontdesk settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRONTDESK_")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1", **settings}


async def run_to_end(
    arguments: Sequence[str], settings: Mapping[str, str], cwd: Path, *, within_s: float = 60
) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of one `frontdesk` command."""
    said = cwd / f"stderr-{secrets.token_hex(4)}.log"
    process = await begun(FRONTDESK, arguments, settings, cwd, said)
    assert process.stdout is not None
    try:
        async with asyncio.timeout(within_s):
            out, code = await process.stdout.read(), await process.wait()
    except BaseException:
        if process.returncode is None:
            process.kill()
            await process.wait()
        raise
    return code, out.decode(), said.read_text(encoding="utf-8")


async def begun(
    launch: Sequence[str], arguments: Sequence[str], settings: Mapping[str, str], folder: Path, stderr: Path
) -> asyncio.subprocess.Process | ForkedProcess:
    """A process of `python *launch *arguments` in `folder`; what it complains of is added to `stderr`."""
    if is_possible:
        return await forked(launch, arguments, clean_environment(settings), folder, stderr)
    with stderr.open("ab") as out:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *launch,
            *arguments,
            cwd=folder,
            env=clean_environment(settings),
            stdout=asyncio.subprocess.PIPE,
            stderr=out,
        )


class DeskProcess:
    """One `frontdesk run`. `url` is empty for a process that serves no pages."""

    def __init__(self, process: asyncio.subprocess.Process | ForkedProcess, log: Path) -> None:
        self._process, self._log = process, log
        self.url = ""
        self._reader: asyncio.Task[None] | None = None
        self._announced = asyncio.Event()

    @classmethod
    async def start(
        cls,
        settings: Mapping[str, str],
        folder: Path,
        *,
        launch: Sequence[str] = FRONTDESK,
        roles: str = "",
        name: str = "desk",
        wait: bool = True,
    ) -> DeskProcess:
        """Started and, unless told otherwise, answering. Raises: AssertionError with the end of its log."""
        log = folder / f"{name}.log"
        arguments = ["run", *(["--roles", roles] if roles else [])]
        if not roles or "web" in roles:
            arguments += ["--port", "0"]
        desk = cls(await begun(launch, arguments, settings, folder, log), log)
        desk._reader = asyncio.create_task(desk._read_stdout())
        if wait and "--port" in arguments:
            await desk._until_announced()
        return desk

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def is_running(self) -> bool:
        return self._process.returncode is None

    def log(self) -> str:
        return self._log.read_text(encoding="utf-8", errors="replace")

    async def until_dead(self, within_s: float) -> int:
        """The exit code; negative is the signal that ended it. Raises: TimeoutError while it still runs."""
        async with asyncio.timeout(within_s):
            code = await self._process.wait()
            if self._reader is not None:
                await self._reader
        return code

    async def kill(self) -> None:
        """SIGKILL, as power loss or the OOM killer would end it."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self.until_dead(10)

    async def stop(self) -> int:
        """SIGTERM, as a service manager stops it; the exit code."""
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            return await self.until_dead(STOP_WITHIN_S)
        except TimeoutError:
            await self.kill()
            raise AssertionError(f"did not stop within {STOP_WITHIN_S} s:\n{self.log()[-3000:]}") from None

    async def _until_announced(self) -> None:
        dead = asyncio.create_task(self._process.wait())
        announced = asyncio.create_task(self._announced.wait())
        try:
            await asyncio.wait({dead, announced}, timeout=START_WITHIN_S, return_when=asyncio.FIRST_COMPLETED)
            if not self._announced.is_set():
                code = self._process.returncode
                await self.kill()
                raise AssertionError(f"did not start (exit code {code}):\n{self.log()[-3000:]}")
        finally:
            for task in (dead, announced):
                task.cancel()
            await asyncio.gather(dead, announced, return_exceptions=True)

    async def _read_stdout(self) -> None:
        """Reads on to the end, or the process would wait for room in the pipe."""
        stdout = self._process.stdout
        assert stdout is not None
        async for line in stdout:
            if match := _ADDRESS.search(line):
                self.url = match[1].decode()
                self._announced.set()


class Desk:
    """A desk that is started again when it dies, as a service manager does; customers ask it where it is now."""

    def __init__(self, settings: Mapping[str, str], folder: Path, launch: Sequence[str] = FRONTDESK) -> None:
        self.settings, self.folder, self._launch = dict(settings), folder, launch
        self.process: DeskProcess | None = None
        self._is_up = asyncio.Event()

    async def start(self, fault: str = "") -> None:
        """A new process; it kills itself at `fault` (a point, or point:pass)."""
        settings = {**self.settings, **({"FRONTDESK_FAULT": fault} if fault else {})}
        self.process = await DeskProcess.start(settings, self.folder, launch=self._launch)
        self._is_up.set()

    def adopt(self, process: DeskProcess) -> None:
        """Customers are sent to this process, which somebody else starts and ends."""
        self.process = process
        self._is_up.set()

    async def url(self) -> str:
        """Where it answers, once it does."""
        await self._is_up.wait()
        assert self.process is not None
        return self.process.url

    async def until_killed(self, within_s: float) -> None:
        """It died of SIGKILL, by its own hand. Raises: AssertionError when it did not."""
        assert self.process is not None
        try:
            code = await self.process.until_dead(within_s)
        except TimeoutError:
            raise AssertionError(f"never came to the fault point:\n{self.process.log()[-3000:]}") from None
        self._is_up.clear()
        assert code == -signal.SIGKILL, f"ended with {code}:\n{self.process.log()[-3000:]}"

    async def stop(self) -> None:
        if self.process is not None and self.process.is_running:
            self._is_up.clear()
            assert await self.process.stop() == 0, self.process.log()[-3000:]
