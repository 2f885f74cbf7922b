"""Long polling against the stand-in: nothing is confirmed before it is stored, nothing is lost or doubled."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest

from bot.errors import Misconfigured, StoreUnavailable
from bot.types import Command, Text
from channels.simulators.faults import Fault
from channels.simulators.telegram import TelegramSimulator
from channels.telegram import TelegramAdapter, TelegramPoller
from channels.telegram.polling import PollerState
from config.settings import TelegramSettings
from tests.channel_doubles import MemoryCursors, MemoryHealth, MemoryInbox, SteppedClock


@pytest.fixture
async def desk(telegram: TelegramSimulator) -> AsyncIterator[Desk]:
    desk = Desk(telegram)
    yield desk
    await desk.adapter.close()


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator() as simulator:
        yield simulator


class Desk:
    """One polling account over an inbox in memory; pauses cost no time."""

    def __init__(self, telegram: TelegramSimulator, *, token: str = "") -> None:
        self.clock = SteppedClock()
        self.inbox, self.cursors = MemoryInbox(), MemoryCursors()
        self.adapter = TelegramAdapter(
            "main", TelegramSettings(token=token or telegram.token, api_base_url=telegram.url, timeout_s=5)
        )
        self.points: list[str] = []
        self.health = MemoryHealth()
        self.poller = self.new_poller()

    def new_poller(self) -> TelegramPoller:
        return TelegramPoller(
            self.adapter,
            self.inbox,
            self.cursors,
            poll_timeout_s=1,
            sleep=self.clock.sleep,
            now=self.clock.now,
            jitter=lambda: 1.0,
            fault=self.points.append,
            watch=self.health,
        )

    def texts(self) -> list[str]:
        contents = [row.message.content for row in self.inbox.rows if row.message]
        return [content.text for content in contents if isinstance(content, Text)]

    @contextlib.asynccontextmanager
    async def polling(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.poller.run())
        try:
            yield
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(is_so: object, timeout_s: float = 10.0) -> None:
    assert callable(is_so)
    async with asyncio.timeout(timeout_s):
        while not is_so():  # noqa: ASYNC110 - what is waited for has no event of its own
            await asyncio.sleep(0.002)


async def test_what_customers_say_arrives_once_and_in_order(telegram: TelegramSimulator, desk: Desk) -> None:
    wang = telegram.user(41, "王芳", "zh-hans")
    for number in range(250):  # more than one batch of 100
        wang.send_text(f"第{number}条")

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.texts() == [f"第{number}条" for number in range(250)]


async def test_a_message_sent_while_we_wait_ends_the_wait(telegram: TelegramSimulator, desk: Desk) -> None:
    async with desk.polling():
        await until(lambda: desk.poller.state is PollerState.POLLING)
        telegram.user(41).start("promo")
        await until(lambda: len(desk.inbox.rows) == 1)

    assert desk.inbox.rows[0].message is not None
    assert desk.inbox.rows[0].message.content == Command("start", "promo")


async def test_an_update_is_confirmed_only_after_it_is_committed(telegram: TelegramSimulator, desk: Desk) -> None:
    telegram.user(41).send_text("help")
    desk.inbox.failures = [StoreUnavailable("store", "disk full")] * 2

    with pytest.raises(StoreUnavailable):
        await desk.poller.poll_once()
    assert telegram.bot.pending
    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.texts() == ["help"]
    assert desk.points == ["telegram.before_confirm"]


async def test_dying_between_commit_and_confirmation_repeats_nothing(telegram: TelegramSimulator, desk: Desk) -> None:
    telegram.user(41).send_text("once")
    await desk.poller.poll_once()
    desk.cursors.values.clear()  # as if we had died before the position was stored

    desk.poller = desk.new_poller()
    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.texts() == ["once"]


async def test_a_restart_goes_on_where_the_stored_position_says(telegram: TelegramSimulator, desk: Desk) -> None:
    telegram.user(41).send_text("before")
    await desk.poller.poll_once()
    desk.poller = desk.new_poller()

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    batches = [entry["update_ids"] for entry in telegram.ledger.entries("call", method="getUpdates")]
    assert [batch for batch in batches if batch] == [[700_000_001]]


async def test_ids_that_start_over_lower_after_an_idle_week_are_still_read(
    telegram: TelegramSimulator, desk: Desk
) -> None:
    telegram.user(41).send_text("high")
    async with desk.polling():
        await until(lambda: not telegram.bot.pending)
    desk.clock.elapsed_s += 8 * 24 * 3600
    desk.poller = desk.new_poller()
    telegram.bot.next_update_id = 5000
    telegram.user(41).send_text("low")

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.texts() == ["high", "low"]


@pytest.mark.parametrize("kind", ["malformed_update", "broken_json"])
async def test_one_bad_update_is_parked_and_the_others_go_on(
    telegram: TelegramSimulator, desk: Desk, kind: str
) -> None:
    for text in ("one", "two", "three"):
        telegram.user(41).send_text(text)
    telegram.faults.plan(Fault(kind))

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.texts() == ["one", "two", "three"]
    assert [row.reason != "" for row in desk.inbox.rows if row.message is None] == [True]


async def test_an_update_of_an_impossible_shape_keeps_its_place(telegram: TelegramSimulator, desk: Desk) -> None:
    telegram.user(41).send_text("before")
    telegram.user(41).send_raw("message", {"chat": 7, "text": ["no"]})
    telegram.user(41).send_raw("message", {**telegram.user(41)._envelope(9), "hologram": {}})
    telegram.user(41).send_text("after")

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.texts() == ["before", "after"]
    assert desk.inbox.keys == [str(700_000_001 + number) for number in range(4)]


async def test_an_update_the_store_cannot_hold_is_parked_and_the_others_go_on(
    telegram: TelegramSimulator, desk: Desk
) -> None:
    desk.inbox.refuses = frozenset({"700000002"})
    for text in ("one", "odd", "three"):
        telegram.user(41).send_text(text)

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.texts() == ["one", "three"]
    assert [row.reason for row in desk.inbox.rows if row.message is None] == ["not storable: ValueError"]


@pytest.mark.parametrize("kind", ["duplicate_update", "reorder_updates"])
async def test_updates_doubled_or_out_of_order_are_each_stored_once(
    telegram: TelegramSimulator, desk: Desk, kind: str
) -> None:
    for text in ("one", "two"):
        telegram.user(41).send_text(text)
    telegram.faults.plan(Fault(kind))

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert sorted(desk.texts()) == ["one", "two"]


@pytest.mark.parametrize("kind", ["drop_request", "drop_answer", "error_500", "error_502", "unreadable_answer"])
async def test_a_failing_telegram_is_asked_again_after_a_pause(
    telegram: TelegramSimulator, desk: Desk, kind: str
) -> None:
    telegram.user(41).send_text("help")
    telegram.faults.plan(Fault(kind, "getUpdates", times=3))

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.texts() == ["help"]
    assert desk.clock.sleeps[:3] == [1.0, 2.0, 4.0]


async def test_a_429_on_polling_is_obeyed(telegram: TelegramSimulator, desk: Desk) -> None:
    telegram.user(41).send_text("help")
    telegram.faults.plan(Fault("rate_limited", "getUpdates", seconds=17))

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.clock.sleeps == [17.0]


async def test_a_webhook_left_behind_is_taken_down_without_losing_updates(
    telegram: TelegramSimulator, desk: Desk
) -> None:
    await desk.adapter.api.call("setWebhook", {"url": "http://127.0.0.1:9/nobody"})
    telegram.user(41).send_text("help")

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.texts() == ["help"]


async def test_a_second_poller_is_noticed_and_given_way(telegram: TelegramSimulator, desk: Desk) -> None:
    task = asyncio.create_task(desk.poller.poll_once())
    await until(lambda: telegram.bot.poll_number == 1)
    await desk.adapter.api.call("getUpdates", {"timeout": 0})
    with pytest.raises(Exception, match="another process polls this bot"):
        await task
    await desk.adapter.close()


async def test_a_conflict_shows_in_the_state_and_passes(telegram: TelegramSimulator, desk: Desk) -> None:
    seen: list[PollerState] = []
    resume = asyncio.Event()

    async def sleep(seconds: float) -> None:
        seen.append(desk.poller.state)
        await resume.wait()

    desk.poller._sleep = sleep
    async with desk.polling():
        await until(lambda: telegram.bot.poll_number >= 1)
        other = TelegramAdapter("other", desk.adapter.settings)
        await other.api.call("getUpdates", {"timeout": 0})
        await other.close()
        await until(lambda: bool(seen))
        resume.set()
        await until(lambda: desk.poller.state is PollerState.POLLING)

    assert seen == [PollerState.CONFLICT]
    assert desk.poller.state is PollerState.STOPPED


async def test_a_wrong_token_stops_polling_with_a_clear_state(telegram: TelegramSimulator) -> None:
    desk = Desk(telegram, token="1000001:wrong")

    with pytest.raises(Misconfigured) as caught:
        await desk.poller.run()
    await desk.adapter.close()

    assert desk.poller.state is PollerState.MISCONFIGURED
    assert "wrong" not in str(caught.value)


async def test_a_telegram_that_is_away_and_comes_back_is_told_as_health(
    telegram: TelegramSimulator, desk: Desk
) -> None:
    telegram.user(41).send_text("help")
    telegram.faults.plan(Fault("drop_request", "getUpdates"))
    telegram.faults.plan(Fault("rate_limited", "getUpdates", seconds=17))

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    well, away, slowed, again = desk.health.receiving
    assert (well, again) == (("telegram", "main", "ok"),) * 2
    assert "telegram" not in away[2]
    assert slowed[2] != away[2] != "ok" != slowed[2]
    assert desk.health.sending == []


async def test_a_refused_token_is_told_as_health_although_polling_ends(telegram: TelegramSimulator) -> None:
    desk = Desk(telegram, token="1000001:wrong")
    with pytest.raises(Misconfigured):
        await desk.poller.run()
    await desk.adapter.close()

    ((channel, account, reason),) = desk.health.receiving
    assert (channel, account) == ("telegram", "main")
    assert reason != "ok"
    assert "wrong" not in reason


async def test_a_store_that_fails_is_not_told_as_a_failing_telegram(telegram: TelegramSimulator, desk: Desk) -> None:
    telegram.user(41).send_text("help")
    desk.inbox.failures = [StoreUnavailable("store", "disk full")]

    async with desk.polling():
        await until(lambda: not telegram.bot.pending)

    assert desk.clock.sleeps, "it did fail"
    assert desk.health.receiving == [("telegram", "main", "ok")]


async def test_only_kinds_we_handle_are_asked_for(telegram: TelegramSimulator, desk: Desk) -> None:
    async with desk.polling():
        await until(lambda: telegram.bot.poll_number > 0)  # the kinds are named in getUpdates
        telegram.user(41).send_raw("inline_query", {"id": "1", "from": telegram.user(41).as_user(), "query": "x"})
        telegram.user(41).send_text("after")
        await until(lambda: bool(desk.inbox.rows))

    assert [row.message and row.message.content for row in desk.inbox.rows] == [Text("after")]


async def test_presses_are_answered_and_edits_and_blocks_arrive(telegram: TelegramSimulator, desk: Desk) -> None:
    wang = telegram.user(41)
    wang.start()
    async with desk.polling():
        await until(lambda: len(desk.inbox.rows) == 1)
        await desk.adapter.api.call(
            "sendMessage",
            {
                "chat_id": 41,
                "text": "Which?",
                "reply_markup": {"inline_keyboard": [[{"text": "First", "callback_data": "pick:1"}]]},
            },
        )
        wang.press("First")
        wang.edit(1, "/start again")
        wang.block()
        await until(lambda: len(desk.inbox.rows) == 4)
        await until(lambda: all(telegram.bot.open_queries.values()))

    contents = [row.message.content for row in desk.inbox.rows if row.message]
    assert [type(content).__name__ for content in contents] == ["Command", "Button", "Text", "Event"]
    assert [row.message.edits for row in desk.inbox.rows if row.message] == ["", "", "1", ""]


async def test_our_commands_are_in_the_menu_in_both_languages(telegram: TelegramSimulator, desk: Desk) -> None:
    async with desk.polling():
        await until(lambda: desk.poller.state is PollerState.POLLING)

    assert {menu: len(commands) for menu, commands in telegram.bot.commands.items()} == {
        ("default", "zh"): 2,
        ("default", ""): 2,
    }
