"""Rate tokens inside one process. With several processes the Redis or PostgreSQL implementation is used instead."""

from __future__ import annotations

import time
from collections.abc import Callable
from math import ceil
from typing import NamedTuple

from bot.ports import RateTokens

MARGIN_S = 0.1  # how far the network and a busy machine may move a message against the one a second before it
INTO_SILENCE_S = 2.0  # between groups that leave although nothing is answered
FIRST_ANSWER_S = 0.2  # taken for usual before a vendor has answered once
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
    """Permits of one account. A token of the shared source is worth a group of them, for all who wait just then.

    A token says when a message leaves, not when it arrives: what leaves while the vendor, or the way to it, stands
    still arrives together, in front of what leaves next. So nothing more leaves into silence, and a group that was
    answered late costs a second token, which nobody uses.
    """

    def __init__(
        self, tokens: RateTokens, key: str, limit: float, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        """`limit`: messages in any second."""
        self._tokens, self._key, self._monotonic = tokens, key, monotonic
        self._groups = groups_within_a_second(limit)
        self._left, self._until = 0, 0.0
        self._grouped_at = float("-inf")  # when the last group was given
        self._open: dict[int, float] = {}  # sends that wait for their answer -> since when
        self._answered_at = float("-inf")
        self._usual_s = FIRST_ANSWER_S  # until an answer comes
        self._late = 0  # messages that were answered late and not yet paid for

    async def take(self) -> float:
        """0.0 when a message may leave now, else seconds to wait before asking again. Raises: ServiceUnavailable."""
        now = self._monotonic()
        if not self._left or now >= self._until:
            if self._is_silent(now):
                return MARGIN_S / 2
            owed, self._late = ceil(self._late / self._groups.size), 0
            wait_s = await self._tokens.take(self._key, per_s=self._groups.per_s, owed=owed)
            if wait_s:
                return wait_s
            # What nobody uses at once is lost: used later it would add to the next group.
            self._grouped_at = self._monotonic()
            self._left, self._until = self._groups.size, self._grouped_at + MARGIN_S / 4
        self._left -= 1
        return 0.0

    def give_back(self) -> None:
        """The permit just taken was of no use: whoever asks next may have it, while its group leaves."""
        if self._monotonic() < self._until:
            self._left += 1

    def leaves(self, send: int) -> None:
        """The vendor is called; `send` is any number of the caller's, to be given to `answered`."""
        self._open[send] = self._monotonic()

    def answered(self, send: int) -> None:
        """The call is over, whatever came of it."""
        now = self._monotonic()
        took_s = now - self._open.pop(send)
        self._answered_at = now
        if took_s > self._usual_s + MARGIN_S / 2:
            self._late += 1
        # The shortest of late, so that a vendor who is slow for good is not taken for one who stands still.
        self._usual_s = took_s if took_s < self._usual_s else self._usual_s + (took_s - self._usual_s) / 20

    def _is_silent(self, now: float) -> bool:
        """No answer comes; even then a group leaves now and then: perhaps it is but one long upload."""
        if now - self._grouped_at >= INTO_SILENCE_S:
            return False
        # What left before the last answer came and is still open takes long by itself.
        since = next((began for began in self._open.values() if began >= self._answered_at), now)
        return now - since > self._usual_s + MARGIN_S


class LocalRateTokens:
    """Implements RateTokens: for each key the moment from which on everything taken so far is paid for (GCRA)."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._paid_until: dict[str, float] = {}

    async def take(self, key: str, *, per_s: float, burst: int = 1, owed: int = 0) -> float:
        """0.0 when a token was taken, else seconds to wait before asking again; `owed` are taken in any case.

        Raises: ValueError for a rate or burst that would never give a token.
        """
        if per_s <= 0 or burst < 1:
            raise ValueError("a rate must be above 0 and a burst at least 1")
        now = self._monotonic()
        interval = 1 / per_s
        if owed:
            self._paid_until[key] = max(self._paid_until.get(key, 0.0), now) + owed * interval
        paid_until = max(self._paid_until.get(key, 0.0), now)
        wait_s = paid_until - now - (burst - 1) * interval
        if wait_s > 1e-9:  # a float's rounding is no reason to wait
            return wait_s
        if len(self._paid_until) >= MAX_IDLE_KEYS and key not in self._paid_until:
            self._paid_until = {name: until for name, until in self._paid_until.items() if until > now}
        self._paid_until[key] = paid_until + interval
        return 0.0
