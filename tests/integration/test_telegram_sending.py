"""What we send, judged by the strict stand-in: limits, refusals, lost answers, and a token nobody sees."""

from __future__ import annotations

import asyncio
import io
import traceback
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
import structlog

from bot.errors import (
    Misconfigured,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceError,
    ServiceUnavailable,
)
from bot.types import OutPart, Receipt, RenderedReply, ReplyButton
from channels.delivery import Sender
from channels.delivery_policy import DeliveryPolicy
from channels.pacing import LocalRateTokens
from channels.simulators.faults import Fault
from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_methods import Limits
from channels.telegram import TelegramAdapter
from config.settings import TelegramSettings
from tests.channel_doubles import MemoryOutbox, NoSignals, SteppedClock, an_outbound

SECRET_PART = "AAF-a-token-that-must-stay-unseen"
TOKEN = f"1000001:{SECRET_PART}"


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator(TOKEN) as simulator:
        simulator.user(42, "Li Wei").start()
        yield simulator


def settings_for(telegram: TelegramSimulator, **more: Any) -> TelegramSettings:
    return TelegramSettings(**{"token": TOKEN, "api_base_url": telegram.url, "timeout_s": 5, **more})


@pytest.fixture
async def adapter(telegram: TelegramSimulator) -> AsyncIterator[TelegramAdapter]:
    adapter = TelegramAdapter("main", settings_for(telegram))
    yield adapter
    await adapter.close()


def outbound(part: OutPart, **changes: Any) -> Any:
    return replace(an_outbound(), part=part, **changes)


async def test_what_is_taken_back_is_gone_from_the_chat(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    stays, goes = [await adapter.send(outbound(OutPart(words))) for words in ("well", "oops")]
    wish = OutPart("", status_key="message:2", takes_back=True)

    for _ in range(2):  # asked again after a lost answer, or deleted by the customer: it is gone
        assert await adapter.send(outbound(wish, edits=goes.vendor_message_id)) == goes

    assert [shown.text for shown in telegram.user(42).received] == ["well"]
    with pytest.raises(SendRefused, match="take back"):
        await adapter.send(outbound(wish))
    telegram.user(42).received[0].at -= 2 * 86_400
    with pytest.raises(SendRefused, match="can't be deleted"):
        await adapter.send(outbound(wish, edits=stays.vendor_message_id))


async def test_the_customer_sees_words_and_buttons(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    part = OutPart("是哪一单？", (ReplyButton("2390", "o:2390"), ReplyButton("2391", "o:2391")))

    receipt = await adapter.send(outbound(part))

    shown = telegram.user(42).received[0]
    assert (shown.text, shown.buttons) == ("是哪一单？", ["2390", "2391"])
    assert receipt == Receipt(str(shown.message_id))


async def test_a_long_reply_arrives_whole(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    telegram.limits.chat_burst = 100
    text = "您好🙂。" * 3000

    for part in adapter.encode(RenderedReply(text, (ReplyButton("ok", "ok"),))):
        await adapter.send(outbound(part))

    assert "".join(shown.text for shown in telegram.user(42).received) == text
    assert telegram.user(42).received[-1].buttons == ["ok"]


async def test_a_picture_carries_its_caption(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    await adapter.send(outbound(OutPart("look", (), "https://shop.example/a.png")))

    shown = telegram.user(42).received[0]
    assert (shown.photo, shown.text) == ("https://shop.example/a.png", "look")


async def test_a_picture_telegram_cannot_take_arrives_as_words_and_address(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    await adapter.send(outbound(OutPart("look", (), "ftp://shop.example/a.png")))

    assert telegram.user(42).received[0].text == "look\nftp://shop.example/a.png"


async def test_half_a_surrogate_pair_does_not_stop_a_reply(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    await adapter.send(outbound(OutPart("odd \ud83d text")))

    assert telegram.user(42).received[0].text == "odd \ufffd text"


@pytest.mark.parametrize(
    ("chat", "topic", "kind"),
    [
        ("999", "", RecipientUnreachable),
        ("42", "7", SendRefused),
        ("nobody", "", SendRefused),
        ("42", "x", SendRefused),
    ],
)
async def test_where_it_cannot_go_decides_the_class(
    adapter: TelegramAdapter, chat: str, topic: str, kind: type[ServiceError]
) -> None:
    with pytest.raises(kind):
        await adapter.send(outbound(OutPart("hello"), chat_id=chat, topic=topic))


async def test_a_customer_who_blocked_us_is_unreachable(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    telegram.user(42).block()

    with pytest.raises(RecipientUnreachable, match="blocked"):
        await adapter.send(outbound(OutPart("hello")))


async def test_a_customer_who_never_wrote_is_unreachable(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    telegram.user(43)

    with pytest.raises(RecipientUnreachable, match="initiate"):
        await adapter.send(outbound(OutPart("hello"), chat_id="43"))


@pytest.mark.parametrize(
    ("kind", "happened", "arrived"),
    [
        ("drop_request", "unknown", 0),
        ("drop_answer", "unknown", 1),
        ("error_500", "unknown", 0),
        ("error_502", "unknown", 1),
        ("unreadable_answer", "unknown", 1),
        ("error_503", "no", 0),
    ],
)
async def test_a_lost_answer_is_told_from_a_refused_request(
    telegram: TelegramSimulator, adapter: TelegramAdapter, kind: str, happened: str, arrived: int
) -> None:
    telegram.faults.plan(Fault(kind, "sendMessage"))

    with pytest.raises(ServiceUnavailable) as caught:
        await adapter.send(outbound(OutPart("hello")))

    assert caught.value.happened == happened
    assert len(telegram.user(42).received) == arrived


async def test_an_answer_that_comes_too_late_leaves_it_unknown(telegram: TelegramSimulator) -> None:
    adapter = TelegramAdapter("main", settings_for(telegram, timeout_s=0.2))
    telegram.faults.plan(Fault("late_answer", "sendMessage", seconds=2))

    with pytest.raises(ServiceUnavailable) as caught:
        await adapter.send(outbound(OutPart("hello")))
    await adapter.close()

    assert caught.value.happened == "unknown"


async def test_a_telegram_that_is_not_there_has_sent_nothing(telegram: TelegramSimulator) -> None:
    adapter = TelegramAdapter("main", settings_for(telegram))
    await telegram.close()

    with pytest.raises(ServiceUnavailable) as caught:
        await adapter.send(outbound(OutPart("hello")))
    await adapter.close()

    assert caught.value.happened == "no"


async def test_a_429_says_how_long_to_rest(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    telegram.faults.plan(Fault("rate_limited", "sendMessage", seconds=33))

    with pytest.raises(RateLimited) as caught:
        await adapter.send(outbound(OutPart("hello")))

    assert caught.value.retry_after_s == 33


@pytest.mark.parametrize("kind", ["drop_request", "late_answer", "error_502", "refused", "not there"])
async def test_the_token_is_in_no_error_and_no_log(telegram: TelegramSimulator, kind: str) -> None:
    wrong = TOKEN + "x" if kind == "refused" else TOKEN
    adapter = TelegramAdapter("main", settings_for(telegram, token=wrong, timeout_s=0.2))
    if kind == "not there":
        await telegram.close()
    elif kind != "refused":
        telegram.faults.plan(Fault(kind, seconds=2))
    log = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))

    try:
        with pytest.raises(ServiceError) as caught:
            await adapter.send(outbound(OutPart("hello")))
        await adapter.send_typing("42")
    finally:
        structlog.reset_defaults()
        await adapter.close()

    error: BaseException | None = caught.value
    assert error is not None
    assert (error.__cause__, error.__context__) == (None, None)
    shown = "".join(traceback.format_exception(error)) + repr(error) + log.getvalue() + repr(adapter.settings)
    assert SECRET_PART not in shown


async def test_courtesies_never_raise(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    await adapter.send_typing("42")
    await adapter.send_typing("999")
    telegram.faults.plan(Fault("drop_request", "sendChatAction"))
    await adapter.send_typing("42")

    assert telegram.user(42).actions == ["typing"]


async def test_setting_the_webhook_needs_the_secret_and_names_our_route(telegram: TelegramSimulator) -> None:
    adapter = TelegramAdapter("main", settings_for(telegram, mode="webhook", secret="s3cret"))
    without = TelegramAdapter("other", settings_for(telegram))

    await adapter.set_webhook("http://127.0.0.1:9/")
    with pytest.raises(Misconfigured):
        await without.set_webhook("http://127.0.0.1:9/")
    await adapter.close()

    assert telegram.bot.webhook is not None
    assert telegram.bot.webhook.url == "http://127.0.0.1:9/channels/telegram/main"
    assert telegram.bot.webhook.secret_token == "s3cret"


async def test_the_sender_stays_below_the_vendors_limits_and_keeps_order() -> None:
    clock = SteppedClock()
    limits = Limits(chat_burst=1, bot_burst=3)  # no indulgence: one message more than a group would be refused
    async with TelegramSimulator(TOKEN, limits=limits, monotonic=clock.monotonic) as telegram:
        rows = []
        for number in range(90):
            chat = 40 + number % 30
            telegram.user(chat).has_started = True
            rows.append(an_outbound(number + 1, text=f"message {number}", chat=str(chat)))
        adapter = TelegramAdapter("main", settings_for(telegram))
        outbox = MemoryOutbox(clock, rows)
        sender = Sender(
            outbox,
            {("telegram", "main"): adapter},
            NoSignals(),
            LocalRateTokens(clock.monotonic),
            clock,
            policy=DeliveryPolicy(concurrency=1),
            sleep=clock.sleep,
            monotonic=clock.monotonic,
        )

        while len(outbox.ended) < len(rows):
            if not await sender.run_once():
                clock.elapsed_s += 0.5
        await adapter.close()

        assert {outcome.state for outcome in outbox.ended.values()} == {"sent"}
        assert telegram.ledger.entries("call", outcome="refused") == []
        for chat in range(40, 70):
            expected = [row.part.text for row in rows if row.chat_id == str(chat)]
            assert [shown.text for shown in telegram.user(chat).received] == expected


async def test_a_group_gets_at_most_twenty_messages_in_any_minute_while_others_go_on() -> None:
    clock = SteppedClock()
    async with TelegramSimulator(
        TOKEN, now=lambda: clock.now().timestamp(), monotonic=clock.monotonic, limits=Limits(group_per_min=20)
    ) as telegram:
        telegram.group(-1007)
        telegram.user(42).start()
        rows = [an_outbound(number + 1, text=f"message {number}", chat="-1007") for number in range(50)]
        rows += [an_outbound(number + 100, text=f"private {number}", chat="42") for number in range(50)]
        outbox = MemoryOutbox(clock, rows)
        adapter = TelegramAdapter("main", settings_for(telegram))
        tokens = LocalRateTokens(clock.monotonic)
        sender = Sender(
            outbox,
            {("telegram", "main"): adapter},
            NoSignals(),
            tokens,
            clock,
            policy=DeliveryPolicy(concurrency=1, hold_s=0.0),
            sleep=clock.sleep,
            monotonic=clock.monotonic,
        )

        while len(outbox.ended) < len(rows):
            if not await sender.run_once():
                clock.elapsed_s += 0.5
        await adapter.close()

        assert telegram.ledger.entries("call", outcome="refused") == []
        assert [shown.text for shown in telegram.group(-1007).received] == [row.part.text for row in rows[:50]]
        at = [
            (entry["chat_id"], datetime.fromisoformat(entry["at"]).timestamp())
            for entry in telegram.ledger.entries("call", method="sendMessage")
        ]
    group, private = ([moment for chat, moment in at if chat == wanted] for wanted in (-1007, 42))
    assert max(sum(start <= moment < start + 60 for moment in group) for start in group) <= 20
    assert private[-1] < group[-1]


async def test_sends_to_different_chats_do_not_wait_for_each_other(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    telegram.user(43).start()
    telegram.faults.plan(Fault("late_answer", "sendMessage", seconds=0.5))

    slow = asyncio.create_task(adapter.send(outbound(OutPart("slow"))))
    await telegram.user(42).wait_for_replies(1)
    await adapter.send(outbound(OutPart("quick"), chat_id="43"))
    was_waiting = not slow.done()
    await slow

    assert was_waiting
