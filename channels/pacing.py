"""Rate tokens inside one process. With several processes the Redis or PostgreSQL implementation is used instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

MAX_IDLE_KEYS = 10_000  # keys remembered before the idle ones are forgotten; a chat's key is idle after a second


class Pace(NamedTuple):
    per_s: float
    burst: int


def pace_within(limit: float, seconds: float) -> Pace:
    """A bucket that gives at most `limit` tokens (1 or more) in any `seconds`, a quarter of them at once.

    A bucket of `limit` refilled with `limit` in that time would give nearly twice as many at its beginning.
    """
    burst = max(1, int(limit / 4))
    return Pace(max(limit - burst, limit / 4) / seconds, burst)


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
