"""What a claimed row waits for before it may leave: the tokens of its chat and of its account.

The long windows (minute, hour, group) come first, the second of the chat last. That token says "now": any other wait
between it and the send would bring the chat's next message, whose own wait is shorter, right behind.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from bot.ports import RateTokens
from bot.types import Capabilities, Lane, Outbound
from channels.pacing import AccountPace, pace_within, within_a_second
from channels.traffic import Account, AllTraffic, Traffic

__all__ = ["Account", "MustWait", "Permits"]


class MustWait(Exception):
    """Rate tokens, or the account's pause, take longer than a claimed row may wait."""

    def __init__(self, wait_s: float) -> None:
        self.wait_s = wait_s


class Permits:
    """One for each sender; `tokens` are shared by all of them."""

    def __init__(
        self,
        tokens: RateTokens,
        pause_s: Callable[[Account], float],
        *,
        hold_s: float,
        sleep: Callable[[float], Awaitable[None]],
        monotonic: Callable[[], float],
        traffic: AllTraffic | None = None,
    ) -> None:
        """`pause_s`: how long the account still rests (0 or less: not at all); `hold_s`: how long a row may wait.

        `traffic` is shared with whoever else sends for the same accounts in this process.
        """
        self._tokens, self._pause_s, self._hold_s = tokens, pause_s, hold_s
        self._sleep, self._monotonic = sleep, monotonic
        self._turns: dict[Account, asyncio.Lock] = {}
        self._paces: dict[str, AccountPace] = {}
        self._traffic = traffic or AllTraffic(monotonic)

    async def take(self, row: Outbound, can: Capabilities, claimed_at: float) -> None:
        """The row may leave now. Raises: MustWait, ServiceUnavailable (no token source)."""
        deadline = claimed_at + self._hold_s
        await self._take_of_long_windows(row, can, deadline)
        pace = self._pace(row, can)
        while True:
            await self._take_of_account(row, can, pace, deadline)
            wait_s = await self._take_of_chat(row, can)
            if not wait_s:
                return
            if pace is not None:
                pace.give_back()  # another chat may have it
                self._traffic_of(row, can).unbook()
            await self._wait(wait_s, deadline)

    @contextmanager
    def under_way(self, row: Outbound, can: Capabilities) -> Iterator[None]:
        """Around the call of the vendor: how long it takes says how the next ones may leave."""
        pace = self._pace(row, can)
        if pace is None:
            yield
            return
        pace.leaves(row.outbox_id)
        try:
            with self._traffic_of(row, can).under_way(is_broadcast=row.lane is Lane.BROADCAST):
                yield
        finally:
            pace.answered(row.outbox_id)

    async def _take_of_long_windows(self, row: Outbound, can: Capabilities, deadline: float) -> None:
        limits = [("minute", can.per_chat_per_min, 60.0), ("hour", can.per_chat_per_h, 3600.0)]
        if row.chat_id.startswith("-"):
            limits.append(("group", can.per_group_per_min, 60.0))
        for name, limit, seconds in limits:
            if limit is not None:
                pace = pace_within(limit, seconds, late_s=self._hold_s)
                key = f"{name}:{row.channel}:{row.account}:{row.chat_id}"
                await self._until_taken(partial(self._tokens.take, key, per_s=pace.per_s, burst=pace.burst), deadline)

    async def _take_of_account(
        self, row: Outbound, can: Capabilities, pace: AccountPace | None, deadline: float
    ) -> None:
        account = (row.channel, row.account)
        turn = self._turns.setdefault(account, asyncio.Lock())
        async with turn:  # first come, first served, instead of everybody asking again at once
            pause_s = self._pause_s(account)
            if pause_s > 0:
                raise MustWait(pause_s)
            if pace is not None:
                await self._until_taken(pace.take, deadline)
                await self._until_there_is_room(row, can, deadline)

    async def _until_there_is_room(self, row: Outbound, can: Capabilities, deadline: float) -> None:
        """A broadcast that fills the account's second lets a reply in at its next place."""
        traffic = self._traffic_of(row, can)
        traffic.waiting += 1
        try:
            while wait_s := traffic.wait_s(is_broadcast=False):
                await self._wait(wait_s, deadline)
            traffic.book()
        finally:
            traffic.waiting -= 1

    def _traffic_of(self, row: Outbound, can: Capabilities) -> Traffic:
        is_paid = row.lane is Lane.BROADCAST and can.broadcast_per_s is not None
        limit = can.broadcast_per_s if is_paid else can.per_account_per_s
        return self._traffic.of((row.channel, row.account), limit, is_paid=is_paid)

    async def _take_of_chat(self, row: Outbound, can: Capabilities) -> float:
        """0.0 when it is the chat's turn, else seconds until it is."""
        if can.per_chat_per_s is None:
            return 0.0
        key = f"chat:{row.channel}:{row.account}:{row.chat_id}"
        return await self._tokens.take(key, per_s=within_a_second(can.per_chat_per_s))

    def _pace(self, row: Outbound, can: Capabilities) -> AccountPace | None:
        if row.lane is Lane.BROADCAST and can.broadcast_per_s is not None:
            lane, limit = "broadcast", can.broadcast_per_s
        elif can.per_account_per_s is not None:
            lane, limit = "account", can.per_account_per_s
        else:
            return None
        key = f"{lane}:{row.channel}:{row.account}"
        if key not in self._paces:
            self._paces[key] = AccountPace(self._tokens, key, limit, self._monotonic)
        return self._paces[key]

    async def _until_taken(self, take: Callable[[], Awaitable[float]], deadline: float) -> None:
        while wait_s := await take():
            await self._wait(wait_s, deadline)

    async def _wait(self, wait_s: float, deadline: float) -> None:
        if self._monotonic() + wait_s > deadline:
            raise MustWait(wait_s)
        await self._sleep(wait_s)
