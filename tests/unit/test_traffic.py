"""An account's second shared by replies and a broadcast: never too much in it, and replies first."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from contextlib import ExitStack
from typing import Any

import pytest

from bot.types import Capabilities
from channels.broadcast_pace import BroadcastPace
from channels.pacing import LocalRateTokens
from channels.traffic import AllTraffic, Traffic
from tests.channel_doubles import SteppedClock


def leave(traffic: Traffic, count: int, *, is_broadcast: bool = True) -> None:
    for _ in range(count):
        with traffic.under_way(is_broadcast=is_broadcast):
            pass


def test_no_second_holds_more_than_the_limit_however_late_answers_come() -> None:
    clock = SteppedClock()
    traffic = Traffic(30, clock.monotonic)
    leave(traffic, 29)
    with traffic.under_way(is_broadcast=True):  # may arrive at any moment until it is answered
        clock.elapsed_s = 5.0
        leave(traffic, 29)
        assert traffic.wait_s(is_broadcast=True) > 0
        clock.elapsed_s = 5.9
        assert traffic.wait_s(is_broadcast=True) > 0
    clock.elapsed_s = 6.1
    assert traffic.wait_s(is_broadcast=True) == 0


def test_a_reply_that_waits_goes_before_the_broadcast() -> None:
    clock = SteppedClock()
    traffic = Traffic(30, clock.monotonic)
    leave(traffic, 29)
    traffic.waiting = 1

    assert traffic.wait_s(is_broadcast=True) > 0
    assert traffic.wait_s(is_broadcast=False) == 0


def test_replies_of_late_leave_room_for_others() -> None:
    clock = SteppedClock()
    traffic = Traffic(30, clock.monotonic)
    leave(traffic, 3, is_broadcast=False)
    leave(traffic, 23)

    assert traffic.wait_s(is_broadcast=True) > 0  # 26 have left, and four more replies may come
    assert traffic.wait_s(is_broadcast=False) == 0


def test_replies_alone_keep_their_own_pace() -> None:
    clock = SteppedClock()
    traffic = Traffic(5, clock.monotonic)
    with ExitStack() as under_way:
        for _ in range(20):
            under_way.enter_context(traffic.under_way(is_broadcast=False))
        assert traffic.wait_s(is_broadcast=False) == 0


def a_pace(
    clock: SteppedClock, *, per_s: float, paid: float | None = None, tokens: LocalRateTokens | None = None
) -> BroadcastPace:
    """Of the only process, or of one of several with the same `tokens`."""
    can = Capabilities(
        channel="telegram",
        max_text=4096,
        length_unit="utf16",
        buttons=0,
        can_edit=False,
        can_type=False,
        idempotency_key=False,
        direct=False,
        per_account_per_s=per_s,
        broadcast_per_s=paid,
    )
    traffic = AllTraffic(clock.monotonic)
    timed: Any = {"sleep": clock.sleep, "monotonic": clock.monotonic, "alone": tokens is None}
    return BroadcastPace(("telegram", "main"), can, tokens or LocalRateTokens(clock.monotonic), traffic, **timed)


async def sent_within(pace: BroadcastPace, clock: SteppedClock, seconds: float, per_s: float | None) -> int:
    count, until = 0, clock.elapsed_s + seconds
    while await pace.take(per_s, lambda: clock.elapsed_s < until):
        leave(pace.traffic, 1)
        count += 1
    return count


async def test_a_minute_at_the_accounts_rate_is_within_two_percent_of_it() -> None:
    clock = SteppedClock()
    pace = a_pace(clock, per_s=30)
    await sent_within(pace, clock, 2, None)

    assert 60 * 30 * 0.98 <= await sent_within(pace, clock, 60, None) <= 60 * 30


@pytest.mark.parametrize("per_s", [30, 45, 20])
async def test_several_processes_together_never_pass_the_limit(per_s: float) -> None:
    clock = SteppedClock()
    tokens = LocalRateTokens(clock.monotonic)
    paces = [a_pace(clock, per_s=per_s, tokens=tokens) for _ in range(4)]
    moments: list[float] = []

    async def process(pace: BroadcastPace) -> None:
        while await pace.take(None, lambda: clock.elapsed_s < 20):
            moments.append(clock.elapsed_s)
            leave(pace.traffic, 1)
            if len(moments) % 7 == 0:  # now and then what is left of a group comes too late
                await asyncio.sleep(0)

    await asyncio.gather(*(process(pace) for pace in paces))

    moments.sort()
    assert max(bisect_left(moments, at + 1) - place for place, at in enumerate(moments)) <= per_s
    assert len(moments) > 20 * per_s * 0.8


async def test_what_is_about_to_leave_has_its_place_though_nothing_is_under_way_yet() -> None:
    clock = SteppedClock()
    pace = a_pace(clock, per_s=30)
    taken = 0
    while clock.elapsed_s < 0.9 and await pace.take(None, lambda: clock.elapsed_s < 0.9):
        taken += 1

    assert taken <= 30
    assert pace.traffic.wait_s(is_broadcast=False) == 0 or taken == 30


async def test_a_paid_rate_is_kept_as_asked() -> None:
    clock = SteppedClock()
    pace = a_pace(clock, per_s=30, paid=1000)
    await sent_within(pace, clock, 2, 500)

    assert abs(await sent_within(pace, clock, 60, 500) - 60 * 500) <= 60 * 500 * 0.02


async def test_what_the_vendor_asks_to_wait_for_is_waited_for() -> None:
    clock = SteppedClock()
    pace = a_pace(clock, per_s=30)
    await pace.rest(7, None)

    assert await pace.take(None, lambda: True)
    assert clock.elapsed_s >= 7


async def test_a_run_that_is_over_is_given_nothing_more() -> None:
    assert not await a_pace(SteppedClock(), per_s=30).take(None, lambda: False)
