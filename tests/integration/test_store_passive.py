"""Replies the waiting webhook carries back: kept for it, taken once, given again to a redelivery, never doubled."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest
from sqlalchemy import select, update

from bot.ports import ComposedReply, SendOutcome
from bot.types import Capabilities, InboxId, Lane, Outbound
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, outbox, passive_replies
from tests.store_steps import SetClock, said, send_all, take_turn

PASSIVE = Capabilities(
    channel="wechat",
    max_text=2048,
    length_unit="utf8",
    buttons=0,
    can_edit=False,
    can_type=False,
    idempotency_key=False,
    direct=False,
    passive_s=4.5,
)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, clock=clock)
    opened.know({"wechat": PASSIVE})
    yield opened
    await opened.close()


def everything(rows: Sequence[Outbound]) -> ComposedReply:
    return ComposedReply("|".join(row.part.text for row in rows).encode(), tuple(row.outbox_id for row in rows))


def the_first(rows: Sequence[Outbound]) -> ComposedReply:
    return everything(rows[:1])


async def _asked(desk: SqlStore, text: str = "hi", key: str = "") -> InboxId:
    (accepted,) = await desk.accept([said(text, channel="wechat", key=key)])
    return accepted.inbox_id


async def _flushed(desk: SqlStore, taken: ComposedReply | None) -> bytes:
    assert taken is not None
    await desk.outbox.finish([SendOutcome(row, "sent") for row in taken.carries])
    return taken.body


async def _states(desk: SqlStore) -> list[str]:
    return await desk.database.run(
        lambda conn: list(conn.execute(select(outbox.c.state).order_by(outbox.c.id)).scalars())
    )


async def test_a_reply_is_kept_for_the_webhook_and_marked_sent_once_flushed(desk: SqlStore) -> None:
    message = await _asked(desk)
    assert await desk.passive.ended([message]) == set()
    assert await desk.passive.take(message, everything) is None

    await take_turn(desk, "one", "two")
    assert await desk.passive.ended([message]) == {message}
    assert await send_all(desk) == []

    assert await _flushed(desk, await desk.passive.take(message, everything)) == b"one|two"
    assert await _states(desk) == ["sent", "sent"]


async def test_after_the_wait_the_sender_takes_it(desk: SqlStore, clock: SetClock) -> None:
    message = await _asked(desk)
    await take_turn(desk, "late")
    clock.advance(seconds=4.5)

    assert await send_all(desk) == ["late"]
    assert await desk.passive.take(message, everything) == ComposedReply(b"")


async def test_a_turn_that_ends_after_the_wait_keeps_nothing_back(desk: SqlStore, clock: SetClock) -> None:
    await _asked(desk)
    clock.advance(seconds=5)
    await take_turn(desk, "slow")

    assert await send_all(desk) == ["slow"]


async def test_a_redelivery_gets_the_stored_words_and_nothing_is_sent_again(desk: SqlStore, clock: SetClock) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one")
    await _flushed(desk, await desk.passive.take(message, everything))
    clock.advance(minutes=1)

    assert await desk.passive.take(message, everything) == ComposedReply(b"one")
    assert await send_all(desk) == []


async def test_two_deliveries_at_once_carry_the_same_words(desk: SqlStore) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one")

    taken = await asyncio.gather(*(desk.passive.take(message, everything) for _ in range(4)))

    assert {item.body for item in taken if item} == {b"one"}
    for item in taken:
        await _flushed(desk, item)
    assert await _states(desk) == ["sent"]


async def test_a_crash_before_the_flush_ends_in_one_repetition_by_the_sender(desk: SqlStore, clock: SetClock) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one")
    await desk.passive.take(message, everything)
    assert await send_all(desk) == []

    clock.advance(seconds=31)
    (again,) = await desk.outbox.claim("sender", 10)
    assert again.attempt == 2
    repeated = await desk.database.run(lambda conn: conn.execute(select(outbox.c.maybe_repeated)).scalar())
    assert repeated


async def test_what_was_put_back_is_taken_anew_by_a_delivery_that_comes_soon(desk: SqlStore, clock: SetClock) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one", "two")
    await desk.passive.take(message, everything)
    await desk.passive.put_back(message)
    clock.advance(seconds=1)
    assert await send_all(desk) == []

    assert await _flushed(desk, await desk.passive.take(message, everything)) == b"one|two"
    assert await _states(desk) == ["sent", "sent"]


async def test_what_was_put_back_and_not_fetched_leaves_by_the_sender_as_at_a_first_try(
    desk: SqlStore, clock: SetClock
) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one")
    await desk.passive.take(message, everything)
    await desk.passive.put_back(message)
    clock.advance(seconds=2)

    (row,) = await desk.outbox.claim("sender", 10)
    assert row.attempt == 1
    await desk.outbox.finish([SendOutcome(row.outbox_id, "sent")])
    repeated = await desk.database.run(lambda conn: conn.execute(select(outbox.c.maybe_repeated)).scalar())
    assert not repeated
    assert await desk.passive.take(message, everything) == ComposedReply(b"")


async def test_what_another_delivery_carried_meanwhile_is_not_put_back(desk: SqlStore, clock: SetClock) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one")
    await desk.passive.take(message, everything)
    await _flushed(desk, await desk.passive.take(message, everything))

    await desk.passive.put_back(message)

    assert await _states(desk) == ["sent"]
    assert await desk.passive.take(message, everything) == ComposedReply(b"one")


async def test_a_redelivery_after_a_crash_finishes_what_the_dead_one_took(desk: SqlStore, clock: SetClock) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one")
    await desk.passive.take(message, everything)

    assert await _flushed(desk, await desk.passive.take(message, everything)) == b"one"
    clock.advance(minutes=1)
    assert await send_all(desk) == []


async def test_once_the_sender_repeats_it_a_late_redelivery_says_nothing(desk: SqlStore, clock: SetClock) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one")
    await desk.passive.take(message, everything)
    clock.advance(seconds=31)
    assert await send_all(desk) == ["one"]

    assert await desk.passive.take(message, everything) == ComposedReply(b"")


async def test_what_does_not_fit_leaves_by_the_sender_afterwards_and_in_order(desk: SqlStore) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one", "two")
    taken = await desk.passive.take(message, the_first)
    assert await send_all(desk) == []

    await _flushed(desk, taken)
    assert await send_all(desk) == ["two"]


async def test_what_cannot_travel_this_way_is_due_at_once(desk: SqlStore) -> None:
    message = await _asked(desk)
    await take_turn(desk, "picture")

    assert await desk.passive.take(message, lambda rows: None) == ComposedReply(b"")
    assert await send_all(desk) == ["picture"]


async def test_two_messages_get_their_own_answers_in_order(desk: SqlStore) -> None:
    first = await _asked(desk, "a")
    await take_turn(desk, "to a")
    second = await _asked(desk, "b")
    await take_turn(desk, "to b")

    assert await desk.passive.take(second, everything) is None  # the first one's answer is still to be carried
    assert await _flushed(desk, await desk.passive.take(first, everything)) == b"to a"
    assert await _flushed(desk, await desk.passive.take(second, everything)) == b"to b"


async def test_earlier_replies_that_wait_go_first(desk: SqlStore, clock: SetClock) -> None:
    await _asked(desk, "a")
    await take_turn(desk, "to a")
    clock.advance(hours=3)  # nobody could send it
    second = await _asked(desk, "b")
    await take_turn(desk, "to b")

    assert await _flushed(desk, await desk.passive.take(second, everything)) == b"to a|to b"


async def test_a_message_without_an_answer_is_answered_with_nothing(desk: SqlStore) -> None:
    message = await _asked(desk)
    await take_turn(desk)

    assert await desk.passive.take(message, everything) == ComposedReply(b"")


async def test_a_reply_decided_before_an_operator_took_over_is_not_carried(desk: SqlStore) -> None:
    message = await _asked(desk)
    await take_turn(desk, "bot")
    takeover = update(conversations).values(owner="operator", fence=conversations.c.fence + 1)
    await desk.database.run(lambda conn: conn.execute(takeover))

    assert await desk.passive.take(message, everything) == ComposedReply(b"")
    assert await send_all(desk) == []
    assert await _states(desk) == ["dropped"]


async def test_what_is_held_leaves_with_the_next_messages_answer(desk: SqlStore, clock: SetClock) -> None:
    await _asked(desk, "a")
    await take_turn(desk, "to a", "and more")
    clock.advance(hours=1)
    (first,) = await desk.outbox.claim("sender", 10)
    await desk.outbox.finish([SendOutcome(row, "held") for row in (first.outbox_id, *first.merged)])
    second = await _asked(desk, "b")
    await take_turn(desk, "to b")

    body = await _flushed(desk, await desk.passive.take(second, everything))
    assert body.split(b"|")[0] == b"to a"
    assert body.split(b"|")[-1] == b"to b"
    assert set(await _states(desk)) == {"sent"}


async def test_what_an_operator_said_and_is_held_leaves_though_the_bot_says_nothing(
    desk: SqlStore, clock: SetClock
) -> None:
    await _asked(desk, "a")
    await take_turn(desk, "from a colleague", lane=Lane.OPERATOR)
    clock.advance(hours=1)
    (row,) = await desk.outbox.claim("sender", 10)
    await desk.outbox.finish([SendOutcome(row.outbox_id, "held")])
    second = await _asked(desk, "b")
    await take_turn(desk)

    assert await _flushed(desk, await desk.passive.take(second, everything)) == b"from a colleague"
    assert await _states(desk) == ["sent"]


async def test_stored_words_are_forgotten_after_an_hour(desk: SqlStore, clock: SetClock) -> None:
    message = await _asked(desk)
    await take_turn(desk, "one")
    await _flushed(desk, await desk.passive.take(message, everything))
    clock.advance(minutes=59)
    await desk.passive.prune()
    assert await desk.database.run(lambda conn: conn.execute(select(passive_replies.c.body)).scalar()) == b"one"

    clock.advance(minutes=2)
    await desk.passive.prune()
    assert await desk.database.run(lambda conn: conn.execute(select(passive_replies.c.body)).scalar()) is None
