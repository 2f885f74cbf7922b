"""`frontdesk simulate telegram`: a vendor in a process of its own, asked for its own count."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from tests.faults.process import FRONTDESK, START_WITHIN_S, STOP_WITHIN_S, begun

_ADDRESS = re.compile(rb"Chat as a customer\s+(http://\S+?)/_sim/")
AT_ONCE = 2_000  # people who start in one call
_SETTING = re.compile(rb"(FRONTDESK_CHANNELS__\S+?)=(\S+)")


@dataclass
class StandInProcess:
    """One running stand-in. `settings` connect a desk to it."""

    url: str
    settings: dict[str, str]
    ledger_file: Path

    def ledger(self) -> list[dict[str, Any]]:
        """Everything it saw until now."""
        lines = self.ledger_file.read_bytes().split(b"\n")[:-1]  # after the last newline: a line half written
        return [orjson.loads(line) for line in lines]

    def sends(self) -> list[dict[str, Any]]:
        return [entry for entry in self.ledger() if entry["kind"] == "call" and entry["method"] == "sendMessage"]

    async def know(self, users: Mapping[int, str]) -> None:
        """These people have started the bot, so that it may write to them; id -> name."""
        some = list(users.items())
        async with aiohttp.ClientSession(raise_for_status=True) as http:
            for start in range(0, len(some), AT_ONCE):
                body = {"users": {str(user): name for user, name in some[start : start + AT_ONCE]}}
                await http.post(f"{self.url}/_sim/users", json=body)


@asynccontextmanager
async def telegram_stand_in(folder: Path) -> AsyncIterator[StandInProcess]:
    """It serves; at the end it is stopped. Its limits are the vendor's."""
    ledger_file = folder / "vendor.jsonl"
    arguments = ("simulate", "telegram", "--port", "0", "--ledger", str(ledger_file))
    process = await begun(FRONTDESK, arguments, {}, folder, folder / "vendor.log")
    try:
        assert process.stdout is not None
        url, settings = "", dict[str, str]()
        async with asyncio.timeout(START_WITHIN_S):
            while not any(name.endswith("__API_BASE_URL") for name in settings):
                line = await process.stdout.readline()
                assert line, "the stand-in ended without a word"
                if found := _ADDRESS.search(line):
                    url = found[1].decode()
                elif found := _SETTING.search(line):
                    settings[found[1].decode()] = found[2].decode()
        yield StandInProcess(url, settings, ledger_file)
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGTERM)  # SIGINT is ignored by what a suite in the background starts
            async with asyncio.timeout(STOP_WITHIN_S):
                await process.wait()
