"""A whole desk under fire: the real process on a real store, browsers and Telegram users talking to it meanwhile.

`Scene` plays it: everybody talks, the process dies at a named point, is started again, and every promise is checked.
docs/guarantees.md says what must hold and how to run this by hand.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_methods import Limits
from tests.faults.customers import AGAIN_AFTER_S, Texter, Visitor, texter, words_for
from tests.faults.judge import confirmed_updates, look_for_ourselves, query, run_checker
from tests.faults.process import FRONTDESK, ROOT, Desk

ASSISTANT = Path(__file__).parent / "assistant"
SECRET_KEY = "only-for-the-fault-suite-0123456789"
ACCOUNT = "main"
PER_CHAT_PER_S = 20.0  # instead of Telegram's 1: what is tested is order and loss, not patience


def basic_settings(database_url: str, redis_url: str = "") -> dict[str, str]:
    """A desk with the web account `default` and an assistant that trains in a second."""
    return {
        "FRONTDESK_DATABASE_URL": database_url,
        "FRONTDESK_SECRET_KEY": SECRET_KEY,
        "FRONTDESK_ASSISTANT": str(ASSISTANT),
        "FRONTDESK_NLU__MODEL_DIR": str(ROOT / ".frontdesk" / "model"),  # trained once per checkout, not per worker
        "FRONTDESK_LOG_FORMAT": "json",
        **({"FRONTDESK_REDIS_URL": redis_url} if redis_url else {}),
    }


def telegram_settings(simulator: TelegramSimulator) -> dict[str, str]:
    prefix = f"FRONTDESK_CHANNELS__TELEGRAM__{ACCOUNT.upper()}__"
    return {
        f"{prefix}TOKEN": simulator.token,
        f"{prefix}API_BASE_URL": simulator.url,
        f"{prefix}PER_CHAT_PER_S": str(PER_CHAT_PER_S),
    }


@dataclass
class Scene:
    """One store, one desk, and the people who talk to it."""

    database_url: str
    folder: Path
    simulator: TelegramSimulator
    desk: Desk
    visitors: list[Visitor]
    texters: list[Texter]
    _numbers: itertools.count[int] = field(default_factory=lambda: itertools.count(20_001))

    async def everybody_talks(self, messages: int = 3) -> None:
        """Each visitor has `messages` acknowledged, one after the other; each Telegram user sent as many at once."""
        for user in self.texters:
            for index in range(messages):
                user.say(words_for(str(next(self._numbers)), index))
        await asyncio.gather(*(self._talk(visitor, messages) for visitor in self.visitors))

    async def until_everybody_is_answered(self, within_s: float = 40) -> None:
        await asyncio.gather(
            *(visitor.until_answered(within_s) for visitor in self.visitors),
            *(user.until_answered(within_s) for user in self.texters),
        )

    async def until_settled(self, within_s: float = 60) -> None:
        """Every message sent had its turn and nothing waits to leave, as far as the store says."""
        wanted = sum(len(person.sent) for person in [*self.visitors, *self.texters])
        async with asyncio.timeout(within_s):
            while True:
                if await self._progress() == (wanted, 0):
                    return
                await asyncio.sleep(AGAIN_AFTER_S)

    async def _progress(self) -> tuple[int, int]:
        """Messages done, replies that still have to leave."""
        ((done, waiting),) = await query(
            self.database_url,
            "SELECT (SELECT count(*) FROM inbox WHERE state = 'done'), "
            "(SELECT count(*) FROM outbox WHERE state IN ('pending', 'sending'))",
        )
        return done, waiting

    async def judge(self, *, deaths: int = 1) -> None:
        """No violation by our own eyes, nor by the public checker; the desk died at most `deaths` times."""
        await look_for_ourselves(self.database_url, self.visitors, self.texters, deaths)
        assert await self.check() == (0, [])

    async def check(self) -> tuple[int, list[dict[str, str]]]:
        """Exit code and violations of `frontdesk check-invariants`, given both channels' own word."""
        acknowledged = [entry for visitor in self.visitors for entry in visitor.ledger()]
        acknowledged += confirmed_updates(self.simulator.ledger, ACCOUNT)
        return await run_checker(self.desk.settings, self.folder, self.simulator.ledger.entries(), acknowledged)

    async def _talk(self, visitor: Visitor, messages: int) -> None:
        await visitor.open()
        for index in range(messages):
            await visitor.say(words_for(str(next(self._numbers)), index))


@asynccontextmanager
async def stage(
    database_url: str,
    folder: Path,
    *,
    visitors: int = 2,
    texters: int = 2,
    launch: Sequence[str] = FRONTDESK,
    extra: Mapping[str, str] | None = None,
) -> AsyncIterator[Scene]:
    """A scene ready to start: the stand-in for Telegram runs, the desk does not yet."""
    limits = Limits(chat_per_s=1000, chat_burst=1000, bot_per_s=1000, bot_burst=1000)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=5, sock_read=60)
    async with TelegramSimulator(limits=limits) as simulator, aiohttp.ClientSession(timeout=timeout) as http:
        settings = {**basic_settings(database_url), **telegram_settings(simulator), **(extra or {})}
        desk = Desk(settings, folder, launch)
        browsers = [Visitor(desk.url, http) for _ in range(visitors)]
        users = [texter(simulator, 1001 + index) for index in range(texters)]
        try:
            yield Scene(database_url, folder, simulator, desk, browsers, users)
        finally:
            for browser in browsers:
                await browser.close()
            if desk.process is not None and desk.process.is_running:
                await desk.process.kill()
