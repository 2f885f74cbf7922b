"""Rate tokens in one process."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from channels.pacing import MARGIN_S, AccountPace, LocalRateTokens, groups_within_a_second, pace_within, within_a_second
from tests.channel_doubles import SteppedClock


async def taken_within(tokens: LocalRateTokens, clock: SteppedClock, seconds: float, *, per_s: float) -> int:
    count, end = 0, clock.elapsed_s + seconds
    while clock.elapsed_s < end:
        wait_s = await tokens.take("account", per_s=per_s)
        if wait_s == 0:
            count += 1
        else:
            clock.elapsed_s += wait_s
    return count


async def test_thirty_a_second_are_given_and_not_one_more() -> None:
    clock = SteppedClock()

    assert await taken_within(LocalRateTokens(clock.monotonic), clock, 9.99, per_s=30) == 300


async def test_a_key_does_not_slow_down_another() -> None:
    tokens = LocalRateTokens(SteppedClock().monotonic)

    assert [await tokens.take(f"chat:{number}", per_s=1) for number in range(3)] == [0.0, 0.0, 0.0]


async def test_a_burst_goes_at_once_and_is_then_paid_for() -> None:
    tokens = LocalRateTokens(SteppedClock().monotonic)

    waits = [await tokens.take("chat", per_s=2, burst=3) for _ in range(4)]

    assert waits == [0.0, 0.0, 0.0, 0.5]


async def test_asking_in_vain_costs_nothing() -> None:
    clock = SteppedClock()
    tokens = LocalRateTokens(clock.monotonic)
    await tokens.take("chat", per_s=1)

    for _ in range(5):
        assert await tokens.take("chat", per_s=1) == pytest.approx(1.0)
    clock.elapsed_s += 1.0

    assert await tokens.take("chat", per_s=1) == 0.0


async def test_idle_keys_are_forgotten_without_forgetting_busy_ones() -> None:
    clock = SteppedClock()
    tokens = LocalRateTokens(clock.monotonic)
    for number in range(10_000):
        await tokens.take(f"idle:{number}", per_s=1)
    clock.elapsed_s += 2.0
    await tokens.take("busy", per_s=0.1)

    await tokens.take("one more", per_s=1)

    assert len(tokens._paid_until) < 10
    assert await tokens.take("busy", per_s=0.1) > 0


@pytest.mark.parametrize(("per_s", "burst"), [(0, 1), (-1, 1), (1, 0)])
async def test_a_rate_that_never_gives_a_token_is_refused(per_s: float, burst: int) -> None:
    with pytest.raises(ValueError, match="rate"):
        await LocalRateTokens().take("chat", per_s=per_s, burst=burst)


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 20, 600])
async def test_no_minute_holds_more_than_its_limit_although_some_leave_late(limit: int) -> None:
    clock = SteppedClock()
    tokens = LocalRateTokens(clock.monotonic)
    pace = pace_within(limit, 60, late_s=5)
    moments: list[float] = []

    while clock.elapsed_s < 300:
        wait_s = await tokens.take("group", per_s=pace.per_s, burst=pace.burst)
        if wait_s:
            clock.elapsed_s += wait_s
        else:
            moments.append(max([clock.elapsed_s + (5.0 if clock.elapsed_s < 100 else 0.0), *moments[-1:]]))

    busiest = max(sum(start <= moment < start + 60 for moment in moments) for start in moments)
    assert limit / 2 <= busiest <= limit
    assert len(moments) > limit


@pytest.mark.parametrize("limit", [1, 2, 5, 10, 20, 25, 29, 30, 33, 39, 100, 1000])
def test_no_second_sees_more_than_the_limit_although_messages_arrive_early_and_late(limit: int) -> None:
    clock = SteppedClock()
    source = LocalRateTokens(clock.monotonic)
    senders = [AccountPace(source, "account", limit, clock.monotonic) for _ in range(4)]
    moments: list[float] = []

    async def send_all() -> None:
        turn = 0
        while clock.elapsed_s < 5:
            wait_s = await senders[turn % 4].take()
            if wait_s:
                turn += 1  # the next process is faster
                clock.elapsed_s += wait_s / 2
            else:
                early_or_late = MARGIN_S / 2 if len(moments) % 7 < 3 else 0.0
                moments.append(clock.elapsed_s + early_or_late)

    asyncio.run(send_all())

    ordered = sorted(moments)
    most = max(sum(at <= other < at + 1 for other in ordered) for at in ordered)
    assert most <= limit
    assert len(moments) >= 5 * limit * 0.8


async def test_a_permit_given_back_goes_to_whoever_asks_next_unless_its_group_has_left() -> None:
    clock = SteppedClock()
    pace = AccountPace(LocalRateTokens(clock.monotonic), "account", 1, clock.monotonic)
    assert await pace.take() == 0.0
    pace.give_back()

    assert await pace.take() == 0.0
    assert await pace.take() > 0.0
    clock.elapsed_s += MARGIN_S
    pace.give_back()
    assert await pace.take() > 0.0


@pytest.mark.parametrize("limit", [0.2, 1, 2.5, 20])
async def test_no_second_of_a_chat_sees_more_than_its_limit_although_messages_arrive_early_and_late(
    limit: float,
) -> None:
    clock = SteppedClock()
    tokens = LocalRateTokens(clock.monotonic)
    moments: list[float] = []
    while clock.elapsed_s < 50:
        wait_s = await tokens.take("chat", per_s=within_a_second(limit))
        clock.elapsed_s += wait_s
        if not wait_s:
            moments.append(clock.elapsed_s + (MARGIN_S if len(moments) % 3 == 0 else 0.0))

    window_s = max(1.0, 1 / limit)
    most = max(sum(at <= other < at + window_s - 1e-9 for other in moments) for at in moments)
    assert most <= max(limit, 1)
    assert len(moments) >= 50 * limit * 0.7


@pytest.mark.parametrize("senders", [1, 4])
@pytest.mark.parametrize("stall_s", [0.3, 0.7, 1.5])
def test_no_second_sees_more_than_the_limit_although_the_vendor_stands_still_for_a_while(
    stall_s: float, senders: int
) -> None:
    clock, arrived, chance = SteppedClock(), list[float](), Random(7)
    source = LocalRateTokens(clock.monotonic)
    paces = [AccountPace(source, "account", 30, clock.monotonic) for _ in range(senders)]
    ready_at = [0.0] * senders
    answers: list[tuple[float, int, int]] = []  # when, which sender, which send

    async def run() -> None:
        for number in range(6_000):  # one thousandth of a second after the other
            clock.elapsed_s = number / 1_000
            for answer in [answer for answer in answers if answer[0] <= clock.elapsed_s]:
                answers.remove(answer)
                paces[answer[1]].answered(answer[2])
            for index, pace in chance.sample(list(enumerate(paces)), senders):
                while ready_at[index] <= clock.elapsed_s:
                    if wait_s := await pace.take():
                        ready_at[index] = clock.elapsed_s + wait_s
                        break
                    pace.leaves(len(arrived))
                    is_stuck = 3.0 <= clock.elapsed_s < 3.0 + stall_s
                    arrived.append(3.0 + stall_s if is_stuck else clock.elapsed_s)
                    answers.append((arrived[-1] + 0.02, index, len(arrived) - 1))

    asyncio.run(run())

    most = max(sum(at <= other < at + 1 for other in arrived) for at in arrived)
    assert most <= 30
    assert len(arrived) > 27 * (6 - 2 * stall_s) * 0.9


async def test_one_long_upload_holds_up_nobody_who_is_answered() -> None:
    clock = SteppedClock()
    pace = AccountPace(LocalRateTokens(clock.monotonic), "account", 10, clock.monotonic)
    pace.leaves(0)
    for number in range(1, 50):
        while wait_s := await pace.take():
            clock.elapsed_s += wait_s
        pace.leaves(number)
        clock.elapsed_s += 0.05
        pace.answered(number)

    assert clock.elapsed_s == pytest.approx(49 * 0.11, abs=0.2)


def test_about_ten_groups_a_second() -> None:
    assert groups_within_a_second(30).size == 3
    assert groups_within_a_second(1).size == 1
    assert groups_within_a_second(0.5).per_s == 0.5
