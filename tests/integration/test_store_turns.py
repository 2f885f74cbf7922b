"""Claims and commits: one at a time, in order, all or nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta

import pytest
from sqlalchemy import func, select, update

from bot.types import Need, Owner
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, inbox, outbox, turns
from tests.store_steps import SetClock, converse, decided, said, take_turn


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    """A store on a clock that the test moves."""
    opened = await SqlStore.open(store_url, clock=clock)
    yield opened
    await opened.close()


async def test_a_claim_holds_the_conversation_until_its_lease_ends(timed: SqlStore, clock: SetClock) -> None:
    await timed.accept([said("one")])
    (claimed,) = await timed.claim("a", 10)
    assert await timed.claim("b", 10) == []
    clock.advance(seconds=11)
    (second,) = await timed.claim("b", 10)
    assert second.messages == claimed.messages
    (late,) = await timed.commit([decided(claimed, "from a")])
    assert (late.ok, late.reason) == (False, "the lease was lost")
    (good,) = await timed.commit([decided(second, "from b")])
    assert good.ok
    assert await check(timed.database, now=clock.now()) == []


async def test_a_renewed_lease_lasts_longer(timed: SqlStore, clock: SetClock) -> None:
    await timed.accept([said("one")])
    claimed = await timed.claim("a", 10)
    clock.advance(seconds=9)
    await timed.renew(claimed)
    clock.advance(seconds=9)
    assert await timed.claim("b", 10) == []


async def test_a_lost_lease_cannot_be_renewed(timed: SqlStore, clock: SetClock) -> None:
    await timed.accept([said("one")])
    old = await timed.claim("a", 10)
    clock.advance(seconds=11)
    (new,) = await timed.claim("b", 10)
    await timed.renew(old)
    clock.advance(seconds=8)
    (committed,) = await timed.commit([decided(new, "hi")])
    assert committed.ok


async def test_a_released_conversation_waits_until_its_retry_time(timed: SqlStore, clock: SetClock) -> None:
    await timed.accept([said("one")])
    (claimed,) = await timed.claim("a", 10)
    await timed.release(claimed, retry_at=clock.now() + timedelta(seconds=30))
    assert await timed.claim("a", 10) == []
    clock.advance(seconds=31)
    assert len(await timed.claim("a", 10)) == 1


async def test_the_longest_waiting_comes_first_and_no_more_than_asked(timed: SqlStore, clock: SetClock) -> None:
    for user in ("ann", "bob", "cid"):
        await timed.accept([said("hi", user=user)])
        clock.advance(seconds=1)
    await timed.accept([said("again", user="ann")])
    claimed = await timed.claim("w", 2)
    assert [item.conversation.identity.external_id for item in claimed] == ["ann", "bob"]


async def test_two_workers_never_hold_the_same_conversation(store: SqlStore) -> None:
    await store.accept([said("hi", user=f"u{n}") for n in range(20)])
    claims = await asyncio.gather(*(store.claim(f"w{n}", 7) for n in range(5)))
    held = [item.conversation.id for claimed in claims for item in claimed]
    assert len(held) == len(set(held)) == 20


async def test_a_flood_is_handed_out_ten_at_a_time_in_order(store: SqlStore) -> None:
    await store.accept([said(f"{n}") for n in range(23)])
    seen: list[str] = []
    more: list[bool] = []
    while claims := await store.claim("w", 5):
        (claimed,) = claims
        seen += [item.message.content.text for item in claimed.messages]  # type: ignore[union-attr]
        (committed,) = await store.commit([decided(claimed, "ok")])
        more.append(committed.has_more)
    assert seen == [f"{n}" for n in range(23)]
    assert more == [True, True, False]
    assert await check(store.database) == []


async def test_state_language_version_and_turns_are_committed_together(store: SqlStore) -> None:
    await store.accept([said("one"), said("two")])
    await take_turn(store, "hi", state={"flow": {"name": "return", "slots": {"order": "2391\x00\ud800"}}})
    await store.accept([said("three")])
    (claimed,) = await store.claim("w", 1)
    conversation = claimed.conversation
    assert conversation.state == {"flow": {"name": "return", "slots": {"order": "2391\x00\ud800"}}}
    assert (conversation.version, conversation.language) == (2, "en")
    assert (
        await store.database.run(lambda conn: conn.execute(select(func.count()).select_from(turns)).scalar_one()) == 2
    )


async def test_a_commit_with_another_version_writes_nothing(store: SqlStore) -> None:
    await store.accept([said("one")])
    (claimed,) = await store.claim("w", 1)
    await store.database.run(lambda conn: conn.execute(update(conversations).values(version=5)) and None)
    (committed,) = await store.commit([decided(claimed, "hi")])
    assert (committed.ok, committed.reason) == (False, "the version changed")
    assert (
        await store.database.run(lambda conn: conn.execute(select(func.count()).select_from(outbox)).scalar_one()) == 0
    )


async def test_one_stale_conversation_leaves_the_others_of_the_commit_alone(store: SqlStore) -> None:
    await store.accept([said("hi", user=user) for user in ("ann", "bob", "cid")])
    claimed = await store.claim("w", 10)
    stale = replace(claimed[1], lease="somebody else's")
    committed = await store.commit([decided(item, "hi") for item in (claimed[0], stale, claimed[2])])
    assert [item.ok for item in committed] == [True, False, True]
    assert [item.conversation_id for item in committed] == [item.conversation.id for item in claimed]


async def test_the_same_turn_committed_twice_is_written_once(store: SqlStore) -> None:
    await store.accept([said("one")])
    (claimed,) = await store.claim("w", 1)
    both = await asyncio.gather(*(store.commit([decided(claimed, "hi")]) for _ in range(2)))
    assert sorted(item.ok for (item,) in both) == [False, True]
    assert len(await store.events_after(claimed.conversation.id, 0, 10)) == 2


async def test_a_message_parked_meanwhile_is_not_turned_and_the_rest_is_committed(store: SqlStore) -> None:
    await store.accept([said("one", user="ann"), said("two", user="bob")])
    claimed = await store.claim("w", 10)
    parked = claimed[0].messages[0].inbox_id
    await store.database.run(
        lambda conn: conn.execute(update(inbox).where(inbox.c.id == parked).values(state="parked")) and None
    )
    committed = await store.commit([decided(item, "hi") for item in claimed])
    assert [item.ok for item in committed] == [False, True]
    assert await store.turn_of(parked) is None


async def test_a_parked_message_no_longer_stops_those_behind_it(store: SqlStore) -> None:
    await store.accept([said("poison"), said("fine")])
    (claimed,) = await store.claim("w", 1)
    await store.park(claimed, claimed.messages[0].inbox_id, "cannot be handled")
    (again,) = await store.claim("w", 1)
    assert [item.message.content.text for item in again.messages] == ["fine"]  # type: ignore[union-attr]


async def test_parking_the_only_message_leaves_nothing_waiting(store: SqlStore) -> None:
    await store.accept([said("poison")])
    (claimed,) = await store.claim("w", 1)
    await store.park(claimed, claimed.messages[0].inbox_id, "cannot be handled")
    assert await store.claim("w", 1) == []
    assert await check(store.database) == []


async def test_a_message_accepted_during_the_turn_is_seen_by_the_commit(store: SqlStore) -> None:
    await store.accept([said("one")])
    (claimed,) = await store.claim("w", 1)
    await store.accept([said("two")])
    (committed,) = await store.commit([decided(claimed, "hi")])
    assert committed.has_more
    (again,) = await store.claim("w", 1)
    assert [item.message.content.text for item in again.messages] == ["two"]  # type: ignore[union-attr]


async def test_messages_and_commits_racing_lose_and_double_nothing(store: SqlStore) -> None:
    async def talk(user: str) -> None:
        for n in range(12):
            await store.accept([said(f"{user} {n}", user=user)])

    async def work(done: asyncio.Event) -> None:
        while claims := await store.claim("w", 3) or not done.is_set():
            if isinstance(claims, list):
                await store.commit([decided(item, "ok") for item in claims])
            await asyncio.sleep(0)

    done = asyncio.Event()
    workers = [asyncio.create_task(work(done)) for _ in range(3)]
    await asyncio.gather(*(talk(user) for user in ("ann", "bob", "cid", "dee")))
    done.set()
    await asyncio.gather(*workers)
    assert await check(store.database) == []
    assert (
        await store.database.run(lambda conn: conn.execute(select(func.count()).select_from(turns)).scalar_one()) == 48
    )


async def test_direct_replies_are_visible_at_once_in_sequence(store: SqlStore) -> None:
    await store.accept([said("one")])
    (claimed,) = await store.claim("w", 1)
    (committed,) = await store.commit([decided(claimed, "first", "second")])
    assert [(event["seq"], event["text"], event["author"]) for event in committed.visible] == [
        (2, "first", "bot"),
        (3, "second", "bot"),
    ]
    assert committed.out == 0
    assert list(committed.visible) == await store.events_after(claimed.conversation.id, 1, 10)
    assert await store.outbox.claim("s", 10) == []


async def test_replies_to_other_channels_wait_for_a_sender(store: SqlStore) -> None:
    await store.accept([said("one", channel="telegram")])
    (claimed,) = await store.claim("w", 1)
    (committed,) = await store.commit([decided(claimed, "first", "second")])
    assert (committed.out, committed.visible) == (2, ())


async def test_a_turn_without_words_or_replies_is_still_a_turn(store: SqlStore) -> None:
    await store.accept([said("one")])
    (claimed,) = await store.claim("w", 1)
    commit = decided(claimed)
    commit = replace(commit, turns=tuple(replace(turn, understanding=None) for turn in commit.turns))
    (committed,) = await store.commit([commit])
    assert committed.ok
    turn = await store.turn_of(claimed.messages[0].inbox_id)
    assert turn is not None
    assert (turn["replies"], turn["intent"]) == ([], "")


async def test_a_reply_decided_before_the_operator_came_is_dropped(store: SqlStore) -> None:
    await store.accept([said("one")])
    (claimed,) = await store.claim("w", 1)
    await store.database.run(
        lambda conn: conn.execute(update(conversations).values(owner="operator", fence=1)) and None
    )
    (committed,) = await store.commit([decided(claimed, "hi")])
    assert (committed.ok, committed.visible) == (True, ())
    states = await store.database.run(lambda conn: list(conn.execute(select(outbox.c.state)).scalars()))
    assert states == ["dropped"]


async def test_taken_over_and_given_back_meanwhile_is_decided_again(store: SqlStore) -> None:
    await store.accept([said("one")])
    (claimed,) = await store.claim("w", 1)
    await store.database.run(lambda conn: conn.execute(update(conversations).values(fence=2)) and None)
    (committed,) = await store.commit([decided(claimed, "hi")])
    assert (committed.ok, committed.reason) == (False, "the owner changed")


async def test_leases_of_a_dead_process_are_released_at_start(store_url: str) -> None:
    dead = await SqlStore.open(store_url)
    await dead.accept([said("one")])
    await dead.claim("dead", 1)
    await dead.close()
    alive = await SqlStore.open(store_url, release_leases=True)
    assert len(await alive.claim("alive", 1)) == 1
    await alive.close()


async def test_needs_are_answered_and_numbers_are_never_given_twice(store: SqlStore) -> None:
    claimed = await converse(store, "hi")
    customer = claimed.conversation.customer.customer_id
    numbers = await asyncio.gather(*(store.fetch([Need("case_number", "complaint")], customer) for _ in range(20)))
    assert len({answer[Need("case_number", "complaint")] for answer in numbers}) == 20
    assert "C-1024-7" in {answer[Need("case_number", "complaint")] for answer in numbers}
    nothing = await store.fetch([Need("order", "2391"), Need("case", "C-9999-9"), Need("case", "\x00")], customer)
    assert set(nothing.values()) == {None}


async def test_a_new_conversation_belongs_to_the_bot(store: SqlStore) -> None:
    await store.accept([said("one")])
    (claimed,) = await store.claim("w", 1)
    assert (claimed.conversation.owner, claimed.conversation.fence) == (Owner.BOT, 0)


async def test_fault_points_are_passed_in_order(sqlite_url: str) -> None:
    passed: list[str] = []
    store = await SqlStore.open(sqlite_url, fault=passed.append)
    await store.accept([said("one", channel="telegram")])
    await take_turn(store, "hi")
    (item,) = await store.outbox.claim("s", 1)
    from bot.ports import SendOutcome

    await store.outbox.finish([SendOutcome(item.outbox_id, "sent")])
    await store.close()
    assert passed == [
        "inbox.before_commit",
        "inbox.after_commit",
        "claim.after_commit",
        "turn.before_commit",
        "turn.after_commit",
        "outbox.claimed",
        "outbox.before_finish",
        "outbox.after_finish",
    ]
