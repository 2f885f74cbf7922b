"""The pace of broadcasts of one account: the rate asked for, shared by all processes, behind the account's replies."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from math import ceil
from typing import Final

from bot.ports import RateTokens
from bot.types import Capabilities
from channels.pacing import Pace
from channels.traffic import Account, AllTraffic, Traffic

GROUPS_PER_S: Final = 20  # waking up costs a sender more than the message itself
CATCH_UP: Final = 3  # groups that may leave at once after a moment in which nothing could,
APART: Final = 1.02  # groups of several processes are so much further apart: only their spacing keeps the limit
MOST_CATCH_UP: Final = 10  # or so many where the vendor allows more than is asked for
GROUP_S: Final = 0.02  # so long a group may take to leave
UNLIMITED_PER_S: Final = 20.0  # on channels whose vendor names no limit
SHORTEST_S: Final = 0.001


class BroadcastPace:
    """Of one account in this process. A token of the shared source is worth a group of messages.

    `alone`: no other process sends for the account.
    """

    def __init__(
        self,
        account: Account,
        can: Capabilities,
        tokens: RateTokens,
        traffic: AllTraffic,
        *,
        alone: bool = True,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._tokens, self._sleep, self._monotonic, self._alone = tokens, sleep, monotonic, alone
        is_paid = can.broadcast_per_s is not None
        self.limit = can.broadcast_per_s or can.per_account_per_s or UNLIMITED_PER_S
        own = can.broadcast_per_s if is_paid else can.per_account_per_s
        self.traffic: Traffic = traffic.of(account, own, is_paid=is_paid)
        self._key = f"broadcasts:{account[0]}:{account[1]}"
        self._left, self._owed = 0, 0.0
        self._per_s = self.limit
        self._resumes_at = self._until = float("-inf")

    def size(self, per_s: float | None) -> int:
        """Messages in a group at this rate."""
        return max(1, round(min(per_s or self.limit, self.limit) / GROUPS_PER_S))

    async def take(self, per_s: float | None, may_go_on: Callable[[], bool]) -> bool:
        """True when a message may leave now; False when `may_go_on` said no meanwhile. Raises: ServiceUnavailable."""
        rate = min(per_s or self.limit, self.limit)
        if rate != self._per_s:
            self._per_s, self._left = rate, 0
        while may_go_on():
            if not self._alone and self._monotonic() > self._until:
                self._left = 0  # used this late they would add to the next group, which may be another process's
            wait_s = self._resumes_at - self._monotonic()
            if wait_s <= 0:
                wait_s = self.traffic.wait_s(is_broadcast=True)
            if wait_s <= 0 and not self._left:
                wait_s = await self._next_group(rate)
            if wait_s <= 0 and self._left:
                self._left -= 1
                self.traffic.book()
                return True
            await self._sleep(min(max(wait_s, SHORTEST_S), 0.25))
        return False

    def give_back(self) -> None:
        """The permit just taken was of no use: the next message may have it."""
        self._left += 1
        self.traffic.unbook()

    async def rest(self, wait_s: float, per_s: float | None) -> None:
        """The vendor says to wait: nobody's broadcast leaves the account until then."""
        self._resumes_at = max(self._resumes_at, self._monotonic() + wait_s)
        rate = min(per_s or self.limit, self.limit)
        size = self.size(rate)
        groups = self._groups(rate, size)
        await self._tokens.take(self._key, per_s=groups.per_s, burst=groups.burst, owed=ceil(wait_s * rate / size))

    async def _next_group(self, rate: float) -> float:
        size = self.size(rate)
        self._owed += self.traffic.unpaid() / size if rate >= self.limit else 0
        owed, self._owed = int(self._owed), self._owed % 1
        groups = self._groups(rate, size)
        wait_s = await self._tokens.take(self._key, per_s=groups.per_s, burst=groups.burst, owed=owed)
        if not wait_s:
            self._left, self._until = size, self._monotonic() + GROUP_S
        return wait_s

    def _groups(self, rate: float, size: int) -> Pace:
        """Groups a second and at once, so that no second holds more than the limit even with all of them.

        What this process has sent it knows (`traffic`), and may fill each second to the brim. Of others it knows
        nothing: without room to spare their groups and ours leave one by one.
        """
        room = int((self.limit - rate) / size)
        if self._alone or room > 1:
            return Pace(rate / size, max(CATCH_UP if self._alone else 1, min(MOST_CATCH_UP, room)))
        return Pace(min(rate / size, max(1, int(self.limit / size))) / APART, 1)
