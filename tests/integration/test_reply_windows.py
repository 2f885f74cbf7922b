"""Reply windows: opened by what the customer writes, counted by what is sent, and nothing held is forgotten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from bot.ports import OutMessage, SendOutcome, TurnsCommit, WindowState
from bot.types import Capabilities, ConversationId, Lane, Outbound, OutPart, ReplyButton, ReplyWindow
from channels.encoding import merge_parts
from crm_sync.customers import customer_record, find_customers
from crm_sync.invariants import check
from crm_sync.reply_windows import HELD
from crm_sync.store import SqlStore
from crm_sync.tables import outbox
from tests.store_steps import SetClock, decided, out, said

WECHAT = Capabilities("wechat", 200, "codepoint", 0, False, False, False, False, is_windowed=True)
FIVE = ReplyWindow("message", 5, timedelta(hours=48))
LIVING = replace(WECHAT, channel="living", is_windowed=False, can_edit=True)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, clock=clock)
    opened.know({"wechat": WECHAT, "living": LIVING}, merge_parts)
    yield opened
    await opened.close()


async def hears(desk: SqlStore, *replies: OutMessage | str, opens: ReplyWindow | None = FIVE, **more: Any) -> None:
    """The customer writes, and the bot decides these replies."""
    await desk.accept([said("hi", channel=more.pop("channel", "wechat"), opens=opens, **more)])
    (claimed,) = await desk.claim("worker", 10)
    turn = decided(claimed, direct=False)
    wanted = tuple(out(reply) if isinstance(reply, str) else reply for reply in replies)
    (result,) = turn.turns
    commit = TurnsCommit(claimed, (replace(result, out=wanted),), direct=False)
    (committed,) = await desk.commit([commit])
    assert committed.ok, committed.reason


async def one(desk: SqlStore) -> Outbound:
    (outbound,) = await desk.outbox.claim("s", 10)
    return outbound


async def left(desk: SqlStore) -> int:
    return (await desk.quota.state(await conversation(desk))).left


async def conversation(desk: SqlStore) -> ConversationId:
    return ConversationId(
        await desk.database.run(lambda conn: conn.execute(select(outbox.c.conversation_id).limit(1)).scalar_one())
    )


async def states(desk: SqlStore) -> list[str]:
    return await desk.database.run(
        lambda conn: list(conn.execute(select(outbox.c.state).order_by(outbox.c.id)).scalars())
    )


async def ends(desk: SqlStore, outbound: Outbound, state: str, **more: Any) -> None:
    await desk.outbox.finish([SendOutcome(row, state, **more) for row in (outbound.outbox_id, *outbound.merged)])


# --- counting -------------------------------------------------------------------------------------------------------


async def test_a_message_opens_its_window_and_each_reply_is_counted(desk: SqlStore, clock: SetClock) -> None:
    await hears(desk, "1")
    row = await one(desk)
    assert await desk.quota.state(row.conversation_id) == WindowState(5, clock.now() + timedelta(hours=48))

    assert await desk.quota.take(row)

    assert await left(desk) == 4


async def test_taking_twice_for_the_same_attempt_counts_once_and_the_next_attempt_again(desk: SqlStore) -> None:
    await hears(desk, "1")
    row = await one(desk)

    assert await desk.quota.take(row)
    assert await desk.quota.take(row)
    assert await left(desk) == 4
    assert await desk.quota.take(replace(row, attempt=2))
    assert await left(desk) == 3


async def test_what_the_vendor_refused_before_counting_is_given_back_once(desk: SqlStore) -> None:
    await hears(desk, "1")
    row = await one(desk)
    await desk.quota.take(row)

    await desk.quota.give_back(row)
    await desk.quota.give_back(row)

    assert await left(desk) == 5


async def test_the_reserve_is_kept(desk: SqlStore) -> None:
    await hears(desk, "1", opens=replace(FIVE, quota=2))
    row = await one(desk)

    assert await desk.quota.take(replace(row, attempt=1), reserve=1)
    assert not await desk.quota.take(replace(row, attempt=2), reserve=1)
    assert await desk.quota.take(replace(row, attempt=2), reserve=0)
    assert not await desk.quota.take(replace(row, attempt=3), reserve=0)


async def test_a_window_is_over_in_time(desk: SqlStore, clock: SetClock) -> None:
    await hears(desk, "1")
    row = await one(desk)
    clock.advance(hours=48)

    assert not await desk.quota.take(row)
    assert await desk.quota.state(row.conversation_id) == WindowState(0, None)


async def test_the_next_message_starts_its_window_anew_and_another_kind_runs_beside(
    desk: SqlStore, clock: SetClock
) -> None:
    await hears(desk, "1")
    await desk.quota.take(await one(desk))

    await hears(desk, opens=ReplyWindow("follow", 3, timedelta(minutes=1)))
    assert await left(desk) == 4 + 3
    await hears(desk)
    assert await left(desk) == 5 + 3
    clock.advance(minutes=1)
    assert await left(desk) == 5


async def test_the_window_that_closes_first_is_used_first(desk: SqlStore, clock: SetClock) -> None:
    await hears(desk, "1")
    await hears(desk, opens=ReplyWindow("follow", 3, timedelta(minutes=1)))
    await desk.quota.take(await one(desk))

    clock.advance(minutes=1)

    assert await left(desk) == 5


async def test_a_redelivery_opens_nothing(desk: SqlStore) -> None:
    first = said("hi", channel="wechat", opens=FIVE, key="m1")
    await desk.accept([first])
    (claimed,) = await desk.claim("w", 1)
    await desk.commit([decided(claimed, "1", direct=False)])
    await desk.quota.take(await one(desk))

    await desk.accept([first])

    assert await left(desk) == 4


async def test_the_vendor_says_that_nothing_is_left(desk: SqlStore) -> None:
    await hears(desk, "1")
    row = await one(desk)

    await desk.quota.spent(row)

    assert not await desk.quota.take(row)


async def test_four_senders_at_once_take_no_more_than_there_are(desk: SqlStore) -> None:
    await hears(desk, "1")
    row = await one(desk)

    taken = await asyncio.gather(*(desk.quota.take(replace(row, attempt=number)) for number in range(1, 13)))

    assert sum(taken) == 5


async def replied(desk: SqlStore, clock: SetClock, *texts: str) -> None:
    """The customer writes, and each of these leaves a minute after the one before."""
    await hears(desk, *texts, sent_at=clock.now())
    for _ in texts:
        clock.advance(minutes=1)
        row = await one(desk)
        assert await desk.quota.take(row)
        await ends(desk, row, "sent")


async def test_what_left_since_a_late_message_was_written_is_of_its_window(desk: SqlStore, clock: SetClock) -> None:
    await replied(desk, clock, "1", "2", "3")

    await hears(desk, sent_at=clock.now() - timedelta(seconds=90))

    assert await left(desk) == 5 - 2


async def test_what_is_leaving_as_a_late_message_is_accepted_is_of_its_window(desk: SqlStore, clock: SetClock) -> None:
    await hears(desk, "1")
    row = await one(desk)
    await desk.quota.take(row)

    await desk.accept([said("?", channel="wechat", opens=FIVE, sent_at=clock.now() - timedelta(seconds=3))])

    assert await left(desk) == 4
    await desk.quota.give_back(row)
    assert await left(desk) == 5


async def test_of_several_late_messages_the_last_written_counts(desk: SqlStore, clock: SetClock) -> None:
    await replied(desk, clock, "1", "2", "3")
    times = [clock.now() - timedelta(seconds=length) for length in (150, 30, 90)]

    await desk.accept([said("?", channel="wechat", opens=FIVE, sent_at=at) for at in times])

    assert await left(desk) == 5 - 1


async def test_a_clock_that_is_off_leaves_room_for_replies(desk: SqlStore, clock: SetClock) -> None:
    await replied(desk, clock, "1", "2", "3", "4")

    await hears(desk, sent_at=clock.now() - timedelta(hours=1))

    assert await left(desk) == 2


# --- held -----------------------------------------------------------------------------------------------------------


async def test_what_is_held_leaves_first_when_the_customer_writes_again(desk: SqlStore, clock: SetClock) -> None:
    await hears(desk, "1", "2")
    clock.advance(hours=49)
    row = await one(desk)
    assert not await desk.quota.take(row)
    await ends(desk, row, "held")
    assert await states(desk) == ["parked", "parked"]
    assert await desk.outbox.claim("s", 10) == []
    clock.advance(hours=60)

    await hears(desk, "3")

    texts = []
    for _ in range(3):
        row = await one(desk)
        texts.append(row.part.text)
        await ends(desk, row, "sent")
    assert texts == ["1", "2", "3"]
    assert await check(desk.database, now=clock.now()) == []


async def test_staff_see_what_is_held_and_the_window(desk: SqlStore) -> None:
    await hears(desk, "1")
    row = await one(desk)
    await desk.quota.spent(row)
    await ends(desk, row, "held")

    (customer,) = await find_customers(desk.database, "wechat/default/ann")
    record = await customer_record(desk.database, customer)

    assert [(message["delivery"], message["reason"]) for message in record["messages"]][1:] == [("parked", HELD)]
    assert [(window["left"], window["held"]) for window in record["windows"]] == [(0, 1)]


async def test_a_vital_reply_passes_those_that_are_held(desk: SqlStore, clock: SetClock) -> None:
    vital = replace(out("C-1 opened"), is_vital=True)
    picture = OutMessage((OutPart("", image_url="https://x.example/a.png"),), "en")
    await hears(desk, picture, vital, opens=replace(FIVE, quota=1))
    first = await one(desk)
    assert not first.is_vital
    await ends(desk, first, "held")
    second = await one(desk)
    assert (second.part.text, second.is_vital) == ("C-1 opened", True)
    await ends(desk, second, "sent")

    assert await states(desk) == ["parked", "sent"]
    await hears(desk)
    await ends(desk, await one(desk), "sent")
    assert await check(desk.database, now=clock.now()) == []


async def test_the_last_reply_carries_what_is_vital_together_with_what_came_before(desk: SqlStore) -> None:
    await hears(desk, "1", replace(out("C-1 opened"), is_vital=True), opens=replace(FIVE, quota=1))

    row = await one(desk)

    assert (row.part.text, row.is_vital) == ("1\n\nC-1 opened", True)


async def test_a_message_that_comes_while_a_send_is_being_refused_is_not_missed(desk: SqlStore) -> None:
    await hears(desk, "1")
    row = await one(desk)
    await desk.quota.spent(row)
    await desk.accept([said("hello?", channel="wechat", opens=FIVE)])

    await ends(desk, row, "held")

    assert await states(desk) == ["pending"]


async def test_a_message_that_opens_no_window_releases_nothing(desk: SqlStore) -> None:
    await hears(desk, "1")
    row = await one(desk)
    await desk.quota.spent(row)
    await ends(desk, row, "held")

    await desk.accept([said("event", channel="wechat", opens=None)])
    await desk.accept([said("hi", channel="wechat", opens=FIVE, user="bob")])

    assert await states(desk) == ["parked"]


# --- merging --------------------------------------------------------------------------------------------------------


async def test_texts_are_merged_when_fewer_replies_are_left(desk: SqlStore) -> None:
    buttons = (ReplyButton("Yes", "y"), ReplyButton("No", "n"))
    await hears(desk, "1", "2", OutMessage((OutPart("Sure?", buttons),), "en"), opens=replace(FIVE, quota=3))

    row = await one(desk)

    assert row.part == OutPart("1\n\n2\n\nSure?\n\n1. Yes\n2. No")
    assert len(row.merged) == 2
    assert await states(desk) == ["sending"] * 3
    await ends(desk, row, "sent", vendor_message_id="v1")
    assert await states(desk) == ["sent"] * 3


async def test_texts_leave_one_by_one_while_there_are_enough(desk: SqlStore) -> None:
    await hears(desk, "1", "2", "3")

    row = await one(desk)

    assert (row.part.text, row.merged) == ("1", ())


async def test_only_texts_that_fit_and_follow_are_merged(desk: SqlStore) -> None:
    picture = OutMessage((OutPart("", image_url="https://x.example/a.png"),), "en")
    await hears(desk, "a" * 150, "b" * 60, "c", picture, "d", opens=replace(FIVE, quota=2))

    leaving = []
    while rows := await desk.outbox.claim("s", 1):
        leaving.append((rows[0].part.text[:3], len(rows[0].merged)))
        await ends(desk, rows[0], "sent")

    assert leaving == [("aaa", 0), ("bbb", 1), ("", 0), ("d", 0)]


async def test_an_operators_words_are_not_merged_with_the_bots(desk: SqlStore) -> None:
    await hears(desk, "1", replace(out("2"), lane=Lane.OPERATOR), opens=replace(FIVE, quota=1))

    assert (await one(desk)).merged == ()


@pytest.mark.parametrize("end", ["retry", "uncertain"])
async def test_a_merged_send_that_is_tried_again_carries_the_same_words(desk: SqlStore, end: str) -> None:
    await hears(desk, "1", "2", opens=replace(FIVE, quota=2))
    first = await one(desk)
    await ends(desk, first, end)
    assert await states(desk) == ["pending", "pending"]
    await hears(desk, "3")

    second = await one(desk)

    assert (second.part.text, second.merged) == ("1\n\n2", first.merged)
    await ends(desk, second, "sent")
    assert (await one(desk)).part.text == "3"


async def test_after_a_crash_the_merged_rows_follow_the_first(desk: SqlStore, clock: SetClock) -> None:
    await hears(desk, "1", "2", opens=replace(FIVE, quota=2))
    first = await one(desk)
    clock.advance(seconds=31)

    again = await one(desk)
    assert (again.part.text, again.merged) == ("1\n\n2", first.merged)
    clock.advance(seconds=31)

    assert await desk.outbox.claim("s", 10) == []
    assert await states(desk) == ["uncertain", "uncertain"]


async def test_what_was_merged_and_held_is_free_again(desk: SqlStore) -> None:
    await hears(desk, "1", "2", opens=replace(FIVE, quota=1))
    row = await one(desk)
    assert len(row.merged) == 1
    await desk.quota.spent(row)
    await ends(desk, row, "held")

    await hears(desk)

    assert ((await one(desk)).part.text) == "1"


# --- one living message ---------------------------------------------------------------------------------------------


async def test_the_newest_message_of_a_status_is_edited(desk: SqlStore) -> None:
    for number in (1, 2, 3):
        status = OutMessage((OutPart(f"status {number}", status_key="case:C-1"),), "en")
        await hears(desk, status, channel="living", opens=None)
        row = await one(desk)
        assert row.edits == ("" if number == 1 else "v1")
        await ends(desk, row, "sent", vendor_message_id="v1")


async def test_a_status_of_something_else_or_of_somebody_else_is_a_new_message(desk: SqlStore) -> None:
    for key, user in (("case:C-1", "ann"), ("case:C-2", "ann"), ("case:C-1", "bob")):
        status = OutMessage((OutPart("status", status_key=key),), "en")
        await hears(desk, status, channel="living", opens=None, user=user)
        row = await one(desk)
        assert row.edits == ""
        await ends(desk, row, "sent", vendor_message_id=f"{key}-{user}")
