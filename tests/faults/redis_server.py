"""A Redis of one test's own, to be stopped and started at will."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from redis.asyncio import Redis
from redis.exceptions import RedisError

START_WITHIN_S = 15.0


class OwnRedis:
    """`start` and `stop` on one port; what it held is gone after a stop, as after a crash without persistence."""

    def __init__(self, binary: str, folder: Path) -> None:
        self._binary, self._folder = binary, folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Answering."""
        with (self._folder / "redis.log").open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                self._binary,
                *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
                *("--dir", str(self._folder), "--daemonize", "no"),
                stdout=log,
                stderr=log,
            )
        async with asyncio.timeout(START_WITHIN_S), Redis.from_url(self.url) as client:
            while not await _answers(client):
                assert self._process.returncode is None, (self._folder / "redis.log").read_text()[-2000:]
                await asyncio.sleep(0.02)

    async def stop(self) -> None:
        """Gone, and so are all connections to it."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()


async def _answers(client: Redis) -> bool:
    try:
        return bool(await client.ping())
    except (RedisError, OSError):
        return False
