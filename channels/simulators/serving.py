"""A stand-in as a process of its own, the same way for every vendor."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from bot.errors import Misconfigured


class Simulator(Protocol):
    async def start(self, host: str, port: int) -> None: ...

    async def close(self) -> None: ...


async def serve_until_cancelled(simulator: Simulator, host: str, port: int, started: Callable[[], None]) -> None:
    """The stand-in serves until this is cancelled; `started` is called once it does.

    Raises: Misconfigured when the port cannot be had.
    """
    try:
        await simulator.start(host, port)
    except (OSError, OverflowError) as exc:
        await simulator.close()
        raise Misconfigured(f"Port {port} on {host}", "cannot be opened; choose another with --port") from exc
    started()
    try:
        await asyncio.Event().wait()
    finally:
        await simulator.close()
