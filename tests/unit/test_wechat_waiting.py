"""A webhook that waits for its reply: what ends the wait, and that whatever goes wrong it gets an answer."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

import pytest

from bot.errors import StoreUnavailable
from bot.ports import ComposedReply
from bot.types import InboxId, Outbound
from channels.wechat.replies import compose
from channels.wechat.waiting import Waiting
from frontdesk.signals import LocalSignals

MINE = InboxId(7)
REPLY = ComposedReply(b"words")


class Replies:
    """Implements PassiveReplies: what the store answers to each take, in turn; the last one stays."""

    def __init__(self) -> None:
        self.over: set[InboxId] = {MINE}
        self.answers: list[ComposedReply | None] = [REPLY]
        self.is_away = False
        self.takes = 0
        self.was_asked = asyncio.Event()

    async def ended(self, inbox_ids: Sequence[InboxId]) -> set[InboxId]:
        if self.is_away:
            raise StoreUnavailable("store", "away")
        return self.over & set(inbox_ids)

    async def take(
        self, inbox_id: InboxId, compose: Callable[[Sequence[Outbound]], ComposedReply | None]
    ) -> ComposedReply | None:
        self.takes += 1
        self.was_asked.set()
        if self.is_away:
            raise StoreUnavailable("store", "away")
        return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]

    async def put_back(self, inbox_id: InboxId) -> None:
        raise AssertionError("nobody hung up")


@pytest.fixture
def replies() -> Replies:
    return Replies()


@pytest.fixture
async def waiting(replies: Replies) -> AsyncIterator[Waiting]:
    waiting = Waiting(replies, LocalSignals())
    watch = asyncio.create_task(waiting.run())
    yield waiting
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


async def test_the_end_of_the_turn_ends_the_wait(waiting: Waiting) -> None:
    assert await waiting.reply(MINE, compose, 60) == REPLY


async def test_several_deliveries_of_one_message_all_get_their_answer(waiting: Waiting) -> None:
    assert await asyncio.gather(*(waiting.reply(MINE, compose, 60) for _ in range(5))) == [REPLY] * 5


async def test_one_that_gives_up_does_not_take_the_others_along(waiting: Waiting, replies: Replies) -> None:
    replies.over = set()
    patient = asyncio.create_task(waiting.reply(MINE, compose, 60))
    assert await waiting.reply(MINE, compose, 0.01) == ComposedReply(b"")

    replies.over = {MINE}
    assert await patient == REPLY


async def test_while_an_earlier_reply_is_on_its_way_it_asks_again(waiting: Waiting, replies: Replies) -> None:
    replies.answers = [None, None, REPLY]
    assert await waiting.reply(MINE, compose, 60) == REPLY
    assert replies.takes == 3


async def test_a_redelivery_asks_before_it_waits(waiting: Waiting, replies: Replies) -> None:
    replies.over = set()
    assert await waiting.reply(MINE, compose, 60, is_new=False) == REPLY


async def test_a_redelivery_after_the_wait_is_acknowledged_since_the_reply_follows_by_itself(
    waiting: Waiting, replies: Replies
) -> None:
    replies.over, replies.answers = set(), [None]
    assert await waiting.reply(MINE, compose, 0.01) == ComposedReply(b"")

    assert await waiting.reply(MINE, compose, 60, is_new=False) == ComposedReply(b"")


async def test_a_redelivery_joins_a_delivery_that_still_waits(waiting: Waiting, replies: Replies) -> None:
    replies.over, replies.answers = set(), [None]
    first = asyncio.create_task(waiting.reply(MINE, compose, 60))
    await asyncio.sleep(0)
    second = asyncio.create_task(waiting.reply(MINE, compose, 60, is_new=False))
    await replies.was_asked.wait()

    replies.over, replies.answers = {MINE}, [REPLY]
    assert await asyncio.gather(first, second) == [REPLY, REPLY]


async def test_where_a_reply_has_no_other_way_each_redelivery_waits_anew(waiting: Waiting, replies: Replies) -> None:
    replies.answers = [None, REPLY]
    assert await waiting.reply(MINE, compose, 60, is_new=False, is_last_way=True) == REPLY
    assert replies.takes == 2


async def test_a_store_that_is_away_ends_in_nothing_said(waiting: Waiting, replies: Replies) -> None:
    replies.is_away = True
    assert await waiting.reply(MINE, compose, 60, is_new=False) == ComposedReply(b"")
    assert await waiting.reply(MINE, compose, 0.01) == ComposedReply(b"")


async def test_for_a_connection_that_is_gone_nothing_is_taken(waiting: Waiting, replies: Replies) -> None:
    async def gone() -> bool:
        return True

    assert await waiting.reply(MINE, compose, 60, is_gone=gone) == ComposedReply(b"")
    assert replies.takes == 0
