"""The outbox: first in, first out per conversation, fenced, and never guessed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update

from bot.ports import SendOutcome
from bot.types import Capabilities, Lane, RequestHandoff
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, identities, messages, outbox
from tests.store_steps import SetClock, converse, said, send_all, take_turn

KEYED = Capabilities(
    channel="kf",
    max_text=2048,
    length_unit="utf8",
    buttons=0,
    can_edit=False,
    can_type=False,
    idempotency_key=True,
    direct=False,
)


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    """A store on a clock that the test moves; the vendor of channel `kf` takes idempotency keys."""
    opened = await SqlStore.open(store_url, clock=clock)
    opened.know({"kf": KEYED})
    yield opened
    await opened.close()


async def _reply(desk: SqlStore, *texts: str, user: str = "ann", channel: str = "telegram", **more: Any) -> None:
    await converse(desk, "hi", *texts, user=user, channel=channel, **more)


async def _states(desk: SqlStore) -> list[str]:
    return await desk.database.run(
        lambda conn: list(conn.execute(select(outbox.c.state).order_by(outbox.c.id)).scalars())
    )


async def _row(desk: SqlStore) -> Any:
    return await desk.database.run(lambda conn: conn.execute(select(outbox)).one())


async def test_parts_leave_one_after_the_other_in_order(desk: SqlStore) -> None:
    await _reply(desk, "1", "2")
    await _reply(desk, "3")
    assert [item.part.text for item in await desk.outbox.claim("s", 10)] == ["1"]
    assert await desk.outbox.claim("s", 10) == []


async def test_everything_leaves_in_the_order_it_was_decided(desk: SqlStore) -> None:
    await _reply(desk, "1", "2")
    await _reply(desk, "3")
    assert await send_all(desk) == ["1", "2", "3"]
    assert await _states(desk) == ["sent"] * 3


@pytest.mark.parametrize("end", ["failed", "parked"])
async def test_a_row_that_ended_badly_lets_the_next_one_go(desk: SqlStore, end: str) -> None:
    await _reply(desk, "1", "2")
    (first,) = await desk.outbox.claim("s", 10)
    await desk.outbox.finish([SendOutcome(first.outbox_id, end, reason="400")])
    assert await send_all(desk) == ["2"]
    assert await _states(desk) == [end, "sent"]


async def test_a_row_told_to_wait_holds_back_those_behind_it(desk: SqlStore, clock: SetClock) -> None:
    await _reply(desk, "1", "2")
    (first,) = await desk.outbox.claim("s", 10)
    await desk.outbox.finish([SendOutcome(first.outbox_id, "retry", retry_at=clock.now() + timedelta(seconds=5))])
    assert await desk.outbox.claim("s", 10) == []
    clock.advance(seconds=6)
    (again,) = await desk.outbox.claim("s", 10)
    assert (again.part.text, again.attempt, again.idempotency_key) == ("1", 2, first.idempotency_key)


async def test_conversations_do_not_wait_for_each_other(desk: SqlStore) -> None:
    for user in ("ann", "bob", "cid"):
        await _reply(desk, f"to {user}", "and more", user=user)
    assert [item.chat_id for item in await desk.outbox.claim("s", 10)] == ["ann", "bob", "cid"]


async def test_two_senders_never_get_the_same_row(desk: SqlStore) -> None:
    for n in range(12):
        await _reply(desk, "x", user=f"u{n}")
    claims = await asyncio.gather(*(desk.outbox.claim(f"s{n}", 5) for n in range(4)))
    ids = [item.outbox_id for claimed in claims for item in claimed]
    assert len(ids) == len(set(ids)) == 12


async def test_operators_go_first_and_broadcasts_last(desk: SqlStore) -> None:
    for user, lane in (("a", Lane.BROADCAST), ("b", Lane.SERVICE), ("c", Lane.REPLY), ("d", Lane.OPERATOR)):
        await _reply(desk, lane.value, user=user, lane=lane)
    assert [item.lane for item in await desk.outbox.claim("s", 10)] == [
        Lane.OPERATOR,
        Lane.REPLY,
        Lane.SERVICE,
        Lane.BROADCAST,
    ]


async def test_only_the_asked_accounts_are_handed_out(desk: SqlStore) -> None:
    await _reply(desk, "1", channel="telegram")
    await _reply(desk, "2", channel="kf")
    assert await desk.outbox.claim("s", 10, channels=[]) == []
    (item,) = await desk.outbox.claim("s", 10, channels=[("kf", "default"), ("kf", "other")])
    assert item.part.text == "2"


async def test_a_reply_of_a_dead_sender_is_sent_once_more_and_marked(desk: SqlStore, clock: SetClock) -> None:
    await _reply(desk, "1")
    await desk.outbox.claim("dead", 10)
    assert await desk.outbox.claim("alive", 10) == []
    clock.advance(seconds=31)
    (again,) = await desk.outbox.claim("alive", 10)
    assert (again.attempt, (await _row(desk)).maybe_repeated) == (2, True)


async def test_a_reply_whose_second_sender_died_too_stays_uncertain(desk: SqlStore, clock: SetClock) -> None:
    await _reply(desk, "1", "2")
    for _ in range(2):
        await desk.outbox.claim("dead", 10)
        clock.advance(seconds=31)
    (nxt,) = await desk.outbox.claim("alive", 10)
    assert nxt.part.text == "2", "an uncertain row is an end state and holds nothing up"
    assert (await _states(desk))[0] == "uncertain"


async def test_a_broadcast_of_a_dead_sender_is_never_repeated(desk: SqlStore, clock: SetClock) -> None:
    await _reply(desk, "1", lane=Lane.BROADCAST)
    await desk.outbox.claim("dead", 10)
    clock.advance(seconds=31)
    assert await desk.outbox.claim("alive", 10) == []
    assert await _states(desk) == ["uncertain"]


async def test_with_an_idempotency_key_it_is_sent_again_under_the_same_key(desk: SqlStore, clock: SetClock) -> None:
    await _reply(desk, "1", channel="kf", lane=Lane.BROADCAST)
    (first,) = await desk.outbox.claim("dead", 10)
    for _ in range(3):
        clock.advance(seconds=31)
        (again,) = await desk.outbox.claim("alive", 10)
        assert again.idempotency_key == first.idempotency_key
    assert (await _row(desk)).maybe_repeated is False


async def test_an_answer_lost_is_tried_once_more_then_left_uncertain(desk: SqlStore) -> None:
    await _reply(desk, "1")
    for _ in range(2):
        (item,) = await desk.outbox.claim("s", 10)
        await desk.outbox.finish([SendOutcome(item.outbox_id, "uncertain", reason="timeout")])
    assert await desk.outbox.claim("s", 10) == []
    row = await _row(desk)
    assert (row.state, row.maybe_repeated, row.attempts) == ("uncertain", True, 2)


async def test_a_broadcast_whose_answer_was_lost_is_uncertain_at_once(desk: SqlStore) -> None:
    await _reply(desk, "1", lane=Lane.BROADCAST)
    (item,) = await desk.outbox.claim("s", 10)
    await desk.outbox.finish([SendOutcome(item.outbox_id, "uncertain")])
    assert await _states(desk) == ["uncertain"]


async def test_an_end_state_is_not_overwritten(desk: SqlStore) -> None:
    await _reply(desk, "1")
    (item,) = await desk.outbox.claim("s", 10)
    await desk.outbox.finish([SendOutcome(item.outbox_id, "sent", vendor_message_id="55")])
    await desk.outbox.finish([SendOutcome(item.outbox_id, "failed"), SendOutcome(item.outbox_id, "retry")])
    row = await _row(desk)
    assert (row.state, row.vendor_message_id) == ("sent", "55")


async def test_the_first_of_two_outcomes_in_one_call_counts(desk: SqlStore) -> None:
    await _reply(desk, "1")
    (item,) = await desk.outbox.claim("s", 10)
    await desk.outbox.finish([SendOutcome(item.outbox_id, "sent"), SendOutcome(item.outbox_id, "failed")])
    assert await _states(desk) == ["sent"]


async def test_an_unknown_outcome_is_refused(desk: SqlStore) -> None:
    await _reply(desk, "1")
    (item,) = await desk.outbox.claim("s", 10)
    with pytest.raises(ValueError, match="exploded"):
        await desk.outbox.finish([SendOutcome(item.outbox_id, "exploded")])


async def test_the_vendors_id_is_kept_on_the_message(desk: SqlStore) -> None:
    await _reply(desk, "1")
    (item,) = await desk.outbox.claim("s", 10)
    await desk.outbox.finish([SendOutcome(item.outbox_id, "sent", vendor_message_id="987")])
    kept = await desk.database.run(
        lambda conn: conn.execute(
            select(messages.c.vendor_message_id).where(messages.c.direction == "out")
        ).scalar_one()
    )
    assert kept == "987"


async def test_a_recipient_who_blocked_us_is_marked_unreachable(desk: SqlStore) -> None:
    await _reply(desk, "1")
    (item,) = await desk.outbox.claim("s", 10)
    await desk.outbox.finish([SendOutcome(item.outbox_id, "failed", reason="403 blocked", unreachable=True)])
    row = await desk.database.run(lambda conn: conn.execute(select(identities)).one())
    assert row.unreachable_at is not None
    assert row.unreachable_reason == "403 blocked"


async def test_a_bot_reply_is_dropped_once_an_operator_owns_the_conversation(desk: SqlStore) -> None:
    await _reply(desk, "1", "2")
    (first,) = await desk.outbox.claim("s", 10)
    await desk.database.run(lambda conn: conn.execute(update(conversations).values(owner="operator", fence=1)) and None)
    await desk.outbox.finish([SendOutcome(first.outbox_id, "sent")])
    assert await desk.outbox.claim("s", 10) == []
    assert await _states(desk) == ["sent", "dropped"]


async def test_dropped_rows_do_not_hold_up_the_operators_own_message(desk: SqlStore) -> None:
    await _reply(desk, "old reply")
    await desk.database.run(lambda conn: conn.execute(update(conversations).values(owner="operator", fence=1)) and None)
    await _reply(desk, "I am here", lane=Lane.OPERATOR)
    assert [item.part.text for item in await desk.outbox.claim("s", 10)] == ["I am here"]


async def test_the_reply_that_announces_a_handoff_is_sent(desk: SqlStore) -> None:
    await _reply(desk, "a person will come", effects=[RequestHandoff("asked")])
    assert await send_all(desk) == ["a person will come"]


async def test_replies_decided_before_a_handoff_request_still_leave(desk: SqlStore) -> None:
    await _reply(desk, "old")
    await _reply(desk, "a person will come", effects=[RequestHandoff("asked")])
    assert await send_all(desk) == ["old", "a person will come"]
    assert await _states(desk) == ["sent", "sent"]


async def test_sends_of_a_dead_process_are_taken_up_at_start(store_url: str) -> None:
    dead = await SqlStore.open(store_url)
    await _reply(dead, "1")
    await dead.outbox.claim("dead", 1)
    await dead.close()
    alive = await SqlStore.open(store_url, release_leases=True)
    assert [item.attempt for item in await alive.outbox.claim("alive", 1)] == [2]
    await alive.close()


async def test_buttons_and_pictures_reach_the_sender_as_decided(desk: SqlStore) -> None:
    from dataclasses import replace

    from bot.types import OutPart, ReplyButton
    from tests.store_steps import decided

    await desk.accept([said("hi", channel="telegram")])
    (claimed,) = await desk.claim("w", 1)
    commit = decided(claimed, "x")
    part = OutPart("look\x00", (ReplyButton("是", "yes"),), "https://shop.example/a.png")
    turn = replace(commit.turns[0], out=(replace(commit.turns[0].out[0], parts=(part,)),))
    await desk.commit([replace(commit, turns=(turn,))])
    (item,) = await desk.outbox.claim("s", 1)
    assert item.part == part


async def test_a_turn_answered_later_still_leaves_after_earlier_answers(desk: SqlStore) -> None:
    await desk.accept([said("1", channel="telegram")])
    await take_turn(desk, "answer 1")
    await desk.accept([said("2", channel="telegram")])
    await take_turn(desk, "answer 2")
    assert await send_all(desk) == ["answer 1", "answer 2"]
