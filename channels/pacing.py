"""Rate tokens inside one process. With several processes the Redis or PostgreSQL implementation is used instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from bot.ports import RateTokens

MARGIN_S = 0.1  # how far the network and a busy machine may move a message against the one a second before it
MAX_IDLE_KEYS = 10_000  # keys remembered before the idle ones are forgotten; a chat's key is idle after a second


class Pace(NamedTuple):
    per_s: float
    burst: int


def pace_within(limit: float, seconds: float, *, late_s: float = MARGIN_S) -> Pace:
    """A bucket for at most `limit` messages (1 or more) in any `seconds`, a quarter of them at once, although each may
    leave up to `late_s` after its token was taken.

    A bucket of `limit` refilled with `limit` in that time would give nearly twice as many at its beginning.
    """
    burst = max(1, int(limit / 4))
    return Pace(max(limit - burst, limit / 4) / (seconds + late_s), burst)


def within_a_second(limit: float) -> float:
    """Tokens a second, one at a time, of which no second sees more than `limit` messages, though each arrives up to
    MARGIN_S early or late; below 1, no time of 1 / `limit` seconds sees two.
    """
    return int(limit) / (1 + MARGIN_S) if limit >= 1 else limit / (1 + MARGIN_S * limit)


class Groups(NamedTuple):
    """Messages leave `size` at a time, `per_s` groups a second."""

    size: int
    per_s: float


def groups_within_a_second(limit: float) -> Groups:
    """Groups of which no second sees more than `limit` messages, even when each arrives up to MARGIN_S early or late.

    About ten groups a second, because waking up costs a sender several times what the message itself does.
    """
    size = max(1, int(limit / 10))
    groups = int(limit / size)
    return Groups(size, groups / (1 + MARGIN_S) if groups else limit)


class AccountPace:
    """Permits of one account. A token of the shared source is worth a group of them, for all who wait just then."""

    def __init__(
        self, tokens: RateTokens, key: str, limit: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`limit`: messages in any second."""
        self._tokens, self._key, self._monotonic = tokens, key, monotonic
        self._groups = groups_within_a_second(limit)
        self._left, self._until = 0, 0.0

    async def take(self) -> float:
        """0.0 when a message may leave now, else seconds to wait before asking again. Raises: ServiceUnavailable."""
        if not self._left or self._monotonic() >= self._until:
            wait_s = await self._tokens.take(self._key, per_s=self._groups.per_s)
            if wait_s:
                return wait_s
            # What nobody uses at once is lost: used later it would add to the next group.
            self._left, self._until = self._groups.size, self._monotonic() + MARGIN_S / 4
        self._left -= 1
        return 0.0

    def give_back(self) -> None:
        """The permit just taken was of no use: whoever asks next may have it, while its group leaves."""
        if self._monotonic() < self._until:
            self._left += 1


class LocalRateTokens:
    """Implements RateTokens: for each key the moment from which on everything taken so far is paid for (GCRA)."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._paid_until: dict[str, float] = {}

    async def take(self, key: str, *, per_s: float, burst: int = 1) -> float:
        """0.0 when a token was taken, else seconds to wait before asking again.

        Raises: ValueError for a rate or burst that would never give a token.
        """
        if per_s <= 0 or burst < 1:
            raise ValueError("a rate must be above 0 and a burst at least 1")
        now = self._monotonic()
        interval = 1 / per_s
        paid_until = max(self._paid_until.get(key, 0.0), now)
        wait_s = paid_until - now - (burst - 1) * interval
        if wait_s > 1e-9:  # a float's rounding is no reason to wait
            return wait_s
        if len(self._paid_until) >= MAX_IDLE_KEYS and key not in self._paid_until:
            self._paid_until = {name: until for name, until in self._paid_until.items() if until > now}
        self._paid_until[key] = paid_until + interval
        return 0.0
