"""What the stand-in's flood control allows. Limits: the bots FAQ ("My bot is hitting limits")."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from channels.simulators.telegram_params import Refused


@dataclass(slots=True)
class Limits:
    """What the flood control allows. Per second, except groups; a burst is what may come at once."""

    chat_per_s: float = 1.0  # FAQ: "avoid sending more than one message per second"; short bursts may pass
    chat_burst: int = 3
    bot_per_s: float = 30.0  # FAQ: about 30 messages per second overall
    bot_burst: int = 30
    group_per_min: float = 20.0  # FAQ: 20 messages per minute to the same group
    paid_per_s: float = 1000.0  # sendMessage, allow_paid_broadcast


class Flood:
    """Token buckets by key; what is refused costs nothing."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._monotonic = monotonic
        self._buckets: dict[str, tuple[float, float]] = {}  # key -> tokens, when

    def take(self, wanted: Mapping[str, tuple[float, int]]) -> None:
        """A token of each key (rate per second, burst). Raises: Refused 429 with whole seconds to wait."""
        now = self._monotonic()
        left: dict[str, float] = {}
        for key, (rate, burst) in wanted.items():
            tokens, since = self._buckets.get(key, (float(burst), now))
            left[key] = min(float(burst), tokens + (now - since) * rate)
            if left[key] < 1 - 1e-9:
                wait_s = max(1, math.ceil((1 - left[key]) / rate))
                raise Refused(429, f"Too Many Requests: retry after {wait_s}", retry_after=wait_s)
        self._buckets.update({key: (tokens - 1, now) for key, tokens in left.items()})
