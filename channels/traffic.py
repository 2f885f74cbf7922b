"""What one account has under way in this process, replies and broadcasts together, so that no second sees too much.

A message arrives at the vendor at some moment between its call and its answer. Whatever may have arrived within the
last second counts, so that no second the vendor looks at holds more than the limit, however late the network is.
Replies go first: a broadcast leaves when none waits, and leaves free what replies have used lately.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

Account = tuple[str, str]  # channel, account
WINDOW_S: Final = 1.0
HEARD_S: Final = 10.0  # a reply within so long means that another may come
MOST_RESERVED: Final = 0.5  # of the limit, so that a broadcast goes on however much is answered


class Traffic:
    """Of one account. `limit`: messages in any second; None: the vendor has none."""

    def __init__(self, limit: float | None, monotonic: Callable[[], float] = time.monotonic) -> None:
        # Below one a second the spacing of the tokens says it all.
        self._limit, self._monotonic = limit if limit is None or limit >= 1 else None, monotonic
        self._open = 0
        self._broadcasts_open, self._broadcast_at = 0, float("-inf")
        self._ended: deque[float] = deque()
        self._booked: deque[float] = deque()  # places taken by what is about to be called; given up after a second
        self._replies: deque[float] = deque()  # when each of the last HEARD_S left
        self._unpaid = 0  # replies no broadcast token was given up for yet
        self.waiting = 0  # replies that wait for room

    def wait_s(self, *, is_broadcast: bool) -> float:
        """0.0 when a message may leave now, else seconds before it is worth asking again."""
        if self._limit is None:
            return 0.0
        now = self._monotonic()
        if not is_broadcast and not self._broadcasts_open and self._broadcast_at <= now - WINDOW_S:
            return 0.0  # replies alone keep their own pace
        self._forget(now)
        room = int(self._limit) - self._open - len(self._ended) - len(self._booked)
        if is_broadcast:
            room -= self.waiting + self._reserved(now)
        if room > 0:
            return 0.0
        oldest = self._ended[0] + WINDOW_S - now if self._ended else WINDOW_S / self._limit
        return max(min(oldest, WINDOW_S / self._limit), 0.001)

    def book(self) -> None:
        """The place just found is kept for a message that is about to leave."""
        self._booked.append(self._monotonic())

    def unbook(self) -> None:
        """It does not leave after all, or is under way."""
        if self._booked:
            self._booked.popleft()

    @contextmanager
    def under_way(self, *, is_broadcast: bool) -> Iterator[None]:
        """Around the call of the vendor."""
        if not is_broadcast:
            self._replies.append(self._monotonic())
            self._unpaid += 1
        self.unbook()
        self._open += 1
        self._broadcasts_open += is_broadcast
        try:
            yield
        finally:
            self._open -= 1
            self._broadcasts_open -= is_broadcast
            now = self._monotonic()
            self._ended.append(now)
            self._broadcast_at = now if is_broadcast else self._broadcast_at
            self._forget(now)

    def unpaid(self) -> int:
        """Replies since this was asked last: so many messages of the account's rate are gone for broadcasts."""
        count, self._unpaid = self._unpaid, 0
        return count

    def _reserved(self, now: float) -> int:
        if not self._replies:
            return 0
        lately = sum(at > now - WINDOW_S for at in self._replies)
        return min(lately + 1, int((self._limit or 0) * MOST_RESERVED))

    def _forget(self, now: float) -> None:
        while self._ended and self._ended[0] <= now - WINDOW_S:
            self._ended.popleft()
        while self._booked and self._booked[0] <= now - WINDOW_S:
            self._booked.popleft()
        while self._replies and self._replies[0] <= now - HEARD_S:
            self._replies.popleft()


class AllTraffic:
    """Of every account of a process, made when first asked for."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._found: dict[tuple[Account, bool], Traffic] = {}

    def of(self, account: Account, limit: float | None, *, is_paid: bool = False) -> Traffic:
        """`is_paid`: the broadcasts of an account whose vendor sells them a rate of their own."""
        key = (account, is_paid)
        if key not in self._found:
            self._found[key] = Traffic(limit, self._monotonic)
        return self._found[key]
