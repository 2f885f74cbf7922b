"""The delivery worker: order, pacing, pauses, and that no outcome is ever lost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from bot.errors import (
    BotError,
    Misconfigured,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceError,
    ServiceUnavailable,
    StoreUnavailable,
    WindowClosed,
)
from bot.ports import WindowState
from bot.types import ConversationId, Lane, Outbound, OutboxId, Receipt
from channels.delivery import Sender
from channels.delivery_policy import DeliveryPolicy, outcome_of
from channels.pacing import LocalRateTokens
from tests.channel_doubles import START, MemoryOutbox, NoSignals, ScriptedAdapter, SteppedClock, an_outbound


class Bench:
    """A sender over one scripted account, on a clock that only sleeping moves."""

    def __init__(self, rows: Sequence[Outbound], *, per_chat_per_s: float | None = None) -> None:
        self.clock = SteppedClock()
        self.outbox = MemoryOutbox(self.clock, rows)
        self.adapter = ScriptedAdapter(per_chat_per_s=per_chat_per_s)
        self.points: list[str] = []
        self.sender = Sender(
            self.outbox,
            {("telegram", "main"): self.adapter},
            NoSignals(),
            LocalRateTokens(self.clock.monotonic),
            self.clock,
            policy=DeliveryPolicy(sweep_s=0.01),
            fault=self.points.append,
            sleep=self.clock.sleep,
            monotonic=self.clock.monotonic,
            jitter=lambda: 1.0,
        )

    def states(self) -> dict[int, str]:
        return {number: outcome.state for number, outcome in self.outbox.ended.items()}

    @property
    def sent_texts(self) -> list[str]:
        return [outbound.part.text for outbound in self.adapter.sent]


@contextlib.asynccontextmanager
async def running(sender: Sender) -> AsyncIterator[None]:
    task = asyncio.create_task(sender.run())
    try:
        yield
    finally:
        sender.stop()
        await task


async def until(is_so: object, timeout_s: float = 5.0) -> None:
    assert callable(is_so)
    async with asyncio.timeout(timeout_s):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0)


async def test_one_conversation_is_sent_in_order_although_every_wake_up_is_lost() -> None:
    bench = Bench([an_outbound(number, text=f"part {number}") for number in (1, 2, 3)])

    async with running(bench.sender):
        await until(lambda: len(bench.outbox.ended) == 3)

    assert bench.sent_texts == ["part 1", "part 2", "part 3"]
    assert bench.outbox.ended[1].vendor_message_id == "vendor-1"


async def test_the_points_where_a_fault_run_kills_lie_around_the_call() -> None:
    bench = Bench([an_outbound()])

    await bench.sender.run_once()

    assert bench.points == ["send.before_call", "send.after_call"]


async def test_the_next_row_waits_until_the_one_before_it_is_through() -> None:
    bench = Bench([an_outbound(1, text="first"), an_outbound(2, text="second")])
    bench.adapter.script = [ServiceUnavailable("telegram", "no connection", happened="no")]

    await bench.sender.run_once()
    assert await bench.sender.run_once() == 0  # not due yet, and the second row must not overtake
    bench.clock.elapsed_s += 1.0
    await bench.sender.run_once()
    await bench.sender.run_once()

    assert bench.sent_texts == ["first", "second"]


async def test_one_blocked_customer_does_not_hold_up_the_others() -> None:
    bench = Bench([an_outbound(1, chat="41"), an_outbound(2, chat="42")])
    bench.adapter.script = [RecipientUnreachable("telegram", "bot was blocked by the user")]

    await bench.sender.run_once()

    assert bench.states() == {1: "failed", 2: "sent"}
    assert bench.outbox.ended[1].unreachable


async def test_a_chat_gets_at_most_one_message_a_second() -> None:
    bench = Bench([an_outbound(number) for number in range(1, 5)], per_chat_per_s=1.0)

    for _ in range(4):
        await bench.sender.run_once()

    assert len(bench.adapter.sent) == 4
    # A little more than a second apart: no second sees two of them, although the network moves one by 100 ms.
    assert bench.clock.elapsed_s == pytest.approx(3.3)


async def test_a_chat_gets_at_most_one_message_a_second_also_when_the_account_is_what_it_waits_for() -> None:
    others = [an_outbound(number, chat=str(number)) for number in range(1, 11)]
    bench = Bench([*others, an_outbound(20, chat="42"), an_outbound(21, chat="42")], per_chat_per_s=1.0)
    bench.adapter.capabilities = replace(bench.adapter.capabilities, per_account_per_s=5.0)
    moments: list[float] = []

    async def send(row: Outbound) -> Receipt:
        if row.chat_id == "42":
            moments.append(bench.clock.elapsed_s)
        return Receipt("")

    bench.adapter.send = send  # type: ignore[method-assign] - when it was called is all that counts here
    while await bench.sender.run_once():
        pass

    first, second = moments  # the first was the last of eleven, and waited for the account longer than a second
    assert first > 1.0
    assert second - first > 1.0


async def test_a_row_that_would_wait_longer_than_its_lease_is_given_back() -> None:
    bench = Bench([an_outbound(1), an_outbound(2)], per_chat_per_s=0.1)
    await bench.sender.run_once()

    await bench.sender.run_once()

    assert bench.states() == {1: "sent"}
    assert bench.clock.sleeps == []
    bench.clock.elapsed_s += 10.2
    await bench.sender.run_once()
    assert bench.states() == {1: "sent", 2: "sent"}


async def test_after_a_429_the_whole_account_rests_as_long_as_it_was_told() -> None:
    bench = Bench([an_outbound(1, chat="41"), an_outbound(2, chat="42")])
    bench.adapter.script = [RateLimited("telegram", retry_after_s=17)]
    await bench.sender.run_once()
    late = MemoryOutbox(bench.clock, [an_outbound(3, chat="43")])

    bench.sender._outbox = late
    bench.clock.elapsed_s += 16.9
    assert await bench.sender.run_once() == 0
    assert late.claims == 0
    bench.clock.elapsed_s += 0.2
    await bench.sender.run_once()

    assert late.ended[3].state == "sent"


async def test_a_wrong_token_makes_the_account_unhealthy_until_a_send_goes_well() -> None:
    bench = Bench([an_outbound()])
    bench.adapter.script = [Misconfigured("telegram", "the Bot API does not know this token or address")]

    await bench.sender.run_once()
    assert not bench.sender.health()[("telegram", "main")].is_ok
    assert bench.states() == {}
    bench.clock.elapsed_s += 60.0
    await bench.sender.run_once()

    assert bench.states() == {1: "sent"}
    assert bench.sender.health()[("telegram", "main")].is_ok


async def test_a_lost_answer_is_reported_as_uncertain_not_guessed() -> None:
    bench = Bench([an_outbound()])
    bench.adapter.script = [ServiceUnavailable("telegram", "no answer", happened="unknown")]

    await bench.sender.run_once()

    assert bench.states() == {1: "uncertain"}


async def test_a_bug_in_an_adapter_leaves_the_row_uncertain_and_the_sender_alive() -> None:
    bench = Bench([an_outbound(1, chat="41"), an_outbound(2, chat="42")])
    bench.adapter.script = [KeyError("field")]

    await bench.sender.run_once()

    assert bench.states() == {1: "uncertain", 2: "sent"}


async def test_outcomes_are_kept_until_the_store_takes_them() -> None:
    bench = Bench([an_outbound(1), an_outbound(2)])
    bench.outbox.finish_failures = 3

    async with running(bench.sender):
        await until(lambda: len(bench.outbox.ended) == 2)

    assert bench.states() == {1: "sent", 2: "sent"}
    assert len(bench.adapter.sent) == 2  # storing was repeated, sending was not


async def test_a_single_run_says_that_the_store_did_not_take_the_outcome() -> None:
    bench = Bench([an_outbound()])
    bench.outbox.finish_failures = 1

    with pytest.raises(StoreUnavailable):
        await bench.sender.run_once()
    await bench.sender.run_once()

    assert bench.states() == {1: "sent"}
    assert len(bench.adapter.sent) == 1


async def test_stopping_waits_for_the_answer_of_a_send_under_way() -> None:
    bench = Bench([an_outbound()])
    answered = asyncio.Event()
    send = bench.adapter.send

    class SlowAdapter(ScriptedAdapter):
        async def send(self, outbound: Outbound) -> object:  # type: ignore[override]  # narrows nothing we use
            await answered.wait()
            return await send(outbound)

    bench.sender._adapters[("telegram", "main")] = SlowAdapter()
    task = asyncio.create_task(bench.sender.run())
    await until(lambda: "send.before_call" in bench.points)

    bench.sender.stop()
    await asyncio.sleep(0)
    answered.set()
    await task

    assert bench.states() == {1: "sent"}


@pytest.mark.parametrize(
    ("error", "state"),
    [
        (SendRefused("telegram", "message is too long"), "parked"),
        (RecipientUnreachable("telegram", "bot was blocked by the user"), "failed"),
        (RateLimited("telegram", retry_after_s=3), "retry"),
        (ServiceUnavailable("telegram", "no connection", happened="no"), "retry"),
        (ServiceUnavailable("telegram", "no answer", happened="unknown"), "uncertain"),
        (Misconfigured("telegram", "token"), "retry"),
    ],
)
@pytest.mark.parametrize("lane", [Lane.REPLY, Lane.BROADCAST])
def test_every_error_has_its_outcome(error: BotError, state: str, lane: Lane) -> None:
    outcome = outcome_of(error, an_outbound(lane=lane), now=START, policy=DeliveryPolicy(), jitter=lambda: 1.0)

    assert outcome.state == state
    assert (outcome.retry_at is not None) == (state in {"retry", "uncertain"})


def test_backoff_doubles_up_to_its_limit() -> None:
    error = ServiceUnavailable("telegram", "no connection", happened="no")
    waits = []
    for attempt in (1, 2, 3, 20):
        row = Outbound(**{**fields(an_outbound()), "attempt": attempt})
        outcome = outcome_of(error, row, now=START, policy=DeliveryPolicy(), jitter=lambda: 1.0)
        assert outcome.retry_at is not None
        waits.append((outcome.retry_at - START).total_seconds())

    assert waits == [1.0, 2.0, 4.0, 300.0]


def test_after_the_last_attempt_the_row_is_set_aside_for_staff() -> None:
    error = ServiceUnavailable("telegram", "no connection", happened="no")
    row = Outbound(**{**fields(an_outbound()), "attempt": 30})

    outcome = outcome_of(error, row, now=START, policy=DeliveryPolicy(), jitter=lambda: 1.0)

    assert (outcome.state, outcome.reason) == ("parked", "given up: no connection")


def test_being_asked_to_wait_ends_a_row_only_by_age() -> None:
    error = RateLimited("telegram", retry_after_s=3)
    tired = Outbound(**{**fields(an_outbound()), "attempt": 99})
    old = Outbound(**{**fields(an_outbound()), "created_at": START - timedelta(hours=25)})

    states = [
        outcome_of(error, row, now=START, policy=DeliveryPolicy(), jitter=lambda: 1.0).state for row in (tired, old)
    ]

    assert states == ["retry", "parked"]


def fields(outbound: Outbound) -> dict[str, object]:
    return {name: getattr(outbound, name) for name in Outbound.__slots__}


# --- channels that count replies ------------------------------------------------------------------------------------


class MemoryLedger:
    """So many replies for everybody together, as bot.ports.QuotaLedger counts them."""

    def __init__(self, left: int) -> None:
        self.left = left

    async def take(self, outbound: Outbound, *, reserve: int = 0) -> bool:
        if self.left < reserve + 1:
            return False
        self.left -= 1
        return True

    async def give_back(self, outbound: Outbound) -> None:
        self.left += 1

    async def spent(self, outbound: Outbound) -> None:
        self.left = 0

    async def state(self, conversation_id: ConversationId) -> WindowState:
        return WindowState(self.left, None)


def counting(rows: Sequence[Outbound], left: int) -> tuple[Bench, MemoryLedger]:
    bench, ledger = Bench(rows), MemoryLedger(left)
    bench.adapter.capabilities = replace(bench.adapter.capabilities, is_windowed=True)
    bench.sender._ledger = ledger
    return bench, ledger


async def test_replies_are_counted_and_the_last_is_kept() -> None:
    bench, ledger = counting([an_outbound(number, chat=str(number)) for number in (1, 2, 3)], left=3)

    await bench.sender.run_once()

    assert bench.states() == {1: "sent", 2: "sent", 3: "held"}
    assert ledger.left == 1


@pytest.mark.parametrize("row", [replace(an_outbound(), is_vital=True), an_outbound(lane=Lane.OPERATOR)])
async def test_the_last_reply_is_for_what_is_vital_and_for_operators(row: Outbound) -> None:
    bench, ledger = counting([row], left=1)

    await bench.sender.run_once()

    assert bench.states() == {1: "sent"}
    assert ledger.left == 0


@pytest.mark.parametrize(
    ("error", "left"),
    [
        (SendRefused("wechat", "bad content"), 5),
        (ServiceUnavailable("wechat", "no connection", happened="no"), 5),
        (RateLimited("wechat", retry_after_s=1), 5),
        (RecipientUnreachable("wechat", "not following"), 5),
        (ServiceUnavailable("wechat", "no answer", happened="unknown"), 4),
        (WindowClosed("wechat", "45015"), 0),
    ],
)
async def test_a_reply_that_was_not_sent_is_given_back_and_one_that_may_have_been_is_not(
    error: ServiceError, left: int
) -> None:
    bench, ledger = counting([an_outbound()], left=5)
    bench.adapter.script = [error]

    await bench.sender.run_once()

    assert ledger.left == left


async def test_what_the_vendor_refuses_for_want_of_a_window_is_held() -> None:
    bench, _ = counting([an_outbound()], left=5)
    bench.adapter.script = [WindowClosed("wechat", "45047")]

    await bench.sender.run_once()

    assert bench.states() == {1: "held"}


async def test_every_row_of_a_merged_send_ends_as_the_first() -> None:
    first = replace(an_outbound(1), merged=(OutboxId(2), OutboxId(3)))
    bench = Bench([first])

    await bench.sender.run_once()

    assert bench.states() == {1: "sent", 2: "sent", 3: "sent"}


# --- limits for a minute and an hour --------------------------------------------------------------------------------


async def test_a_member_gets_at_most_so_many_messages_in_any_minute_and_hour() -> None:
    bench = Bench([an_outbound(number) for number in range(1, 121)])
    bench.adapter.capabilities = replace(bench.adapter.capabilities, per_chat_per_min=30, per_chat_per_h=100)
    moments: list[float] = []
    while len(bench.outbox.ended) < 120:
        before = len(bench.adapter.sent)
        await bench.sender.run_once()
        moments += [bench.clock.elapsed_s] * (len(bench.adapter.sent) - before)
        bench.clock.elapsed_s += 0.5

    for window_s, most in ((60, 30), (3600, 100)):
        assert max(sum(at <= other < at + window_s for other in moments) for at in moments) <= most


async def test_a_broadcast_has_a_rate_of_its_own_where_the_vendor_sells_one() -> None:
    rows = [an_outbound(number, chat=str(number), lane=Lane.BROADCAST) for number in range(1, 11)]
    rows += [an_outbound(number, chat=str(number)) for number in range(11, 14)]
    bench = Bench(rows)
    bench.adapter.capabilities = replace(bench.adapter.capabilities, per_account_per_s=1.0, broadcast_per_s=1000.0)
    bench.sender = Sender(
        bench.outbox,
        {("telegram", "main"): bench.adapter},
        NoSignals(),
        LocalRateTokens(bench.clock.monotonic),
        bench.clock,
        policy=DeliveryPolicy(concurrency=1),
        sleep=bench.clock.sleep,
        monotonic=bench.clock.monotonic,
    )

    while len(bench.outbox.ended) < len(rows):
        assert await bench.sender.run_once()

    # Ten at a thousand a second, and beside them three replies at one a second.
    assert 2.0 <= bench.clock.elapsed_s < 2.5
