"""Runs of broadcasts from their beginning to their end, through the loops that carry them out."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import Connection, insert, select, update

from bot.errors import (
    Misconfigured,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceUnavailable,
    StoreUnavailable,
)
from crm_sync import broadcasts as rows
from crm_sync.broadcast_tables import broadcasts, coupon_pools, coupons
from crm_sync.consent_register import withdraw_all
from crm_sync.recipient_claims import SEND_LEASE, decide
from crm_sync.store import SqlStore
from crm_sync.tables import cases, messages
from frontdesk.broadcasting import BroadcastPolicy, Ready
from tests.broadcast_under_test import CAN, PLACE, Desk, RememberingChannel, a_desk
from tests.store_steps import AUDIT_KEYS, START


@pytest.fixture
async def store(sqlite_url: str) -> AsyncIterator[SqlStore]:
    """What runs do is the same on both databases; their statements are tested on both beside this."""
    opened = await SqlStore.open(sqlite_url, audit_keys=AUDIT_KEYS)
    yield opened
    await opened.close()


async def sent_out(desk: Desk) -> None:
    await desk.preparer.run_once()
    await desk.sender.run_once()


async def started(desk: Desk, *ready: Ready) -> None:
    """These were sent, or given back."""
    for each in ready:
        await desk.sender._start(PLACE, [each])
    await asyncio.gather(*desk.sender._under_way[PLACE])


async def test_everybody_gets_it_once_in_their_own_words_and_it_is_over(store: SqlStore) -> None:
    desk = await a_desk(store, 120, at=START)

    await sent_out(desk)
    await desk.sender.run_once()

    assert sorted(desk.channel.sent) == sorted((str(10_000_000 + n), f"Hello Kim {n}") for n in range(1, 121))
    assert await desk.state() == ("finished", "")
    assert await desk.counts() == {"sent": 120}


async def test_time_that_passes_while_it_is_claimed_makes_nobody_wait(store: SqlStore) -> None:
    desk = await a_desk(store, 3, at=START)
    still, passed = desk.clock.now, iter(range(1_000_000))
    desk.clock.now = lambda: still() + timedelta(microseconds=next(passed))  # type: ignore[method-assign]

    await sent_out(desk)

    assert len(desk.channel.sent) == 3


async def test_those_held_out_are_never_sent_to(store: SqlStore) -> None:
    desk = await a_desk(store, 100, at=START, holdout=0.3)

    await sent_out(desk)

    counts = await desk.counts()
    assert counts["held_out"] == pytest.approx(30, abs=2)
    assert len(desk.channel.sent) == counts["sent"] == 100 - counts["held_out"]


async def test_nobody_to_send_to_is_over_at_once(store: SqlStore) -> None:
    desk = await a_desk(store, 0, at=START)

    await sent_out(desk)

    assert await desk.state() == ("finished", "")


async def test_it_begins_at_its_time_and_no_earlier(store: SqlStore) -> None:
    desk = await a_desk(store, 3, at=START, state="scheduled")
    due = update(broadcasts).values(next_at=START + timedelta(hours=1))
    await store.database.run(lambda conn: conn.execute(due))

    await sent_out(desk)
    early = len(desk.channel.sent)
    desk.clock.advance(hours=1)
    await sent_out(desk)

    assert (early, len(desk.channel.sent)) == (0, 3)


async def test_two_processes_begin_and_prepare_it_once(store: SqlStore) -> None:
    desk = await a_desk(store, 10, at=START, state="scheduled")
    await store.database.run(lambda conn: conn.execute(update(broadcasts).values(next_at=START)))
    _, other = desk.another("sender-2")

    await desk.preparer.run_once()
    await other.run_once()
    await desk.sender.run_once()

    assert await desk.counts() == {"sent": 10}
    assert len(desk.channel.sent) == 10


async def test_a_pause_from_elsewhere_is_seen_before_the_next_send_and_resuming_tries_the_rest(store: SqlStore) -> None:
    desk = await a_desk(store, 200, at=START)
    await desk.preparer.run_once()
    await store.database.run(partial(rows.pause, name="spring", by="mia", now=START))
    await desk.sender.run_once()
    held = len(desk.channel.sent)

    await store.database.run(partial(rows.resume, name="spring", now=START))
    await desk.sender.run_once()

    assert held == 0
    assert len(desk.channel.sent) == len(set(desk.channel.sent)) == 200


async def test_who_was_claimed_when_the_pause_came_is_due_again(store: SqlStore) -> None:
    desk = await a_desk(store, 30, at=START)
    await desk.preparer.run_once()
    await desk.sender._watch_states()
    first, *others = await desk.sender._claim(PLACE)
    await started(desk, first)
    await store.database.run(partial(rows.pause, name="spring", by="mia", now=START))
    await desk.sender._watch_states()

    await started(desk, *others)
    await desk.sender._flush()

    assert len(desk.channel.sent) == 1
    assert await desk.counts() == {"sent": 1, "pending": 29}


def leaves(conn: Connection, person: int, at: datetime) -> None:
    withdraw_all(conn, person, source="chat:stop", at=at)


async def test_a_stop_word_after_the_claim_stops_the_call(store: SqlStore) -> None:
    desk = await a_desk(store, 30, at=START)
    await desk.preparer.run_once()
    await desk.sender._watch_states()
    ready = await desk.sender._claim(PLACE)
    gone = ready[7].one
    await store.database.run(partial(leaves, person=gone.customer_id, at=START))

    await desk.sender._start(PLACE, ready)
    await asyncio.gather(*desk.sender._under_way[PLACE])
    await desk.sender._flush()

    assert await desk.counts() == {"sent": 29, "skipped": 1}
    assert gone.chat_id not in {chat for chat, _ in desk.channel.sent}


async def test_who_waits_when_the_process_stops_is_due_again(store: SqlStore) -> None:
    desk = await a_desk(store, 30, at=START, per_s=1)
    await desk.preparer.run_once()
    await desk.sender._watch_states()
    ready = [one for _ in range(3) for one in await desk.sender._claim(PLACE)]
    task = asyncio.create_task(desk.sender._start(PLACE, ready))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])

    await desk.sender._drain()

    counts = await desk.counts()
    assert counts.get("sending", 0) == 0
    assert counts["pending"] >= 27


async def test_the_rest_of_a_cancelled_one_is_skipped(store: SqlStore) -> None:
    desk = await a_desk(store, 20, at=START)
    await desk.preparer.run_once()
    await store.database.run(partial(rows.cancel, name="spring", by="mia", now=START))

    await sent_out(desk)

    assert desk.channel.sent == []
    assert await desk.counts() == {"skipped": 20}


@pytest.mark.parametrize(
    ("answer", "state", "reason"),
    [
        (RecipientUnreachable("telegram", "bot was blocked by the user"), "failed", "blocked"),
        (SendRefused("telegram", "wrong entity"), "failed", "refused"),
        (ServiceUnavailable("telegram", "no answer", happened="unknown"), "uncertain", "lost"),
        (ServiceUnavailable("telegram", "no connection"), "pending", ""),
        (RateLimited("telegram", retry_after_s=7), "pending", ""),
        (ZeroDivisionError(), "uncertain", "lost"),
    ],
)
async def test_each_answer_of_the_vendor_has_its_ending(
    store: SqlStore, answer: Exception, state: str, reason: str
) -> None:
    desk = await a_desk(store, 1, at=START)
    desk.channel.answers["10000001"] = answer

    await sent_out(desk)

    assert await desk.counts() == {state: 1}
    by_reason = await store.database.run(partial(rows.counts_of, broadcast_id=desk.broadcast), read=True)
    assert [(each[1], each[2]) for each in by_reason] == [(state, reason)]


async def test_what_is_uncertain_is_never_sent_again_without_a_decision(store: SqlStore) -> None:
    desk = await a_desk(store, 2, at=START)
    desk.channel.answers["10000001"] = ServiceUnavailable("telegram", "no answer", happened="unknown")
    await sent_out(desk)
    desk.channel.answers.clear()
    desk.clock.advance(days=1)
    await desk.sender.run_once()
    before = len(desk.channel.sent)

    await store.database.run(partial(decide, broadcast_id=desk.broadcast, ids=None, again=True, now=desk.clock.now()))
    await store.database.run(lambda conn: conn.execute(update(broadcasts).values(state="running")))
    await desk.sender.run_once()

    assert (before, len(desk.channel.sent)) == (1, 2)


async def test_an_account_banned_half_way_pauses_it_with_everybody_else_still_due(store: SqlStore) -> None:
    desk = await a_desk(store, 40, at=START)
    desk.channel.answers["10000005"] = Misconfigured("telegram", "the token is not valid")

    await sent_out(desk)

    state, reason = await desk.state()
    counts = await desk.counts()
    assert (state, reason) == ("paused", "telegram/bench cannot send: the token is not valid")
    assert counts["sent"] == len(desk.channel.sent)
    assert counts["sent"] + counts["pending"] == 40


async def test_too_many_blocks_stop_it(store: SqlStore) -> None:
    desk = await a_desk(store, 60, at=START, stop={"failures": 1.0, "blocks": 0.1, "complaints": 1.0, "after": 50})
    for number in range(1, 11):
        desk.channel.answers[str(10_000_000 + number)] = RecipientUnreachable("telegram", "blocked")
    await desk.preparer.run_once()

    await desk.sender.run_once()

    assert await desk.state() == ("stopped", "10 of 60 blocked us, more than 10.0%")


async def test_a_stopped_one_that_is_gone_on_with_is_judged_by_those_tried_from_then_on(store: SqlStore) -> None:
    desk = await a_desk(store, 20, at=START, stop={"failures": 1.0, "blocks": 0.1, "complaints": 1.0, "after": 5})
    for number in range(1, 7):
        desk.channel.answers[str(10_000_000 + number)] = RecipientUnreachable("telegram", "blocked")
    desk.sender, _ = desk.another("sender-1", policy=BroadcastPolicy(most_claimed=10))
    await desk.preparer.run_once()
    await desk.sender._watch_states()
    await started(desk, *await desk.sender._claim(PLACE))
    await desk.sender._flush()
    await desk.sender._look_after()
    stopped = await desk.state()

    await store.database.run(partial(rows.resume, name="spring", now=START))
    await desk.sender.run_once()

    assert stopped == ("stopped", "6 of 10 blocked us, more than 10.0%")
    assert await desk.state() == ("finished", "")
    assert await desk.counts() == {"sent": 14, "failed": 6}


async def test_too_many_complaints_stop_it(store: SqlStore) -> None:
    desk = await a_desk(store, 5, at=START, stop={"failures": 1.0, "blocks": 1.0, "complaints": 0.1, "after": 1})
    await store.database.run(lambda conn: conn.execute(update(broadcasts).values(started_at=START)))
    await desk.preparer.run_once()
    await desk.sender._watch_states()
    await started(desk, *await desk.sender._claim(PLACE))
    await desk.sender._flush()
    words = dict.fromkeys(("kind", "category", "subject", "status", "summary"), "other") | {"kind": "complaint"}
    more = {"number": "C-1", "severity": 2, "details": {}, "is_open": True, "updated_at": START}
    later = insert(cases).values(**words, **more, customer_id=2, opened_at=START + timedelta(hours=1))
    await store.database.run(lambda conn: conn.execute(later))

    await desk.sender._look_after()

    assert await desk.state() == ("stopped", "1 of 5 complained, more than 10.0%")


async def test_a_pool_that_runs_out_is_a_clean_pause(store: SqlStore) -> None:
    content = {"variants": [{"name": "a", "text": {"en": "Your code: {coupon}"}}], "coupons": "spring", "fallbacks": {}}
    desk = await a_desk(store, 5, at=START, content=content)

    def fill(conn: Connection) -> None:
        conn.execute(insert(coupon_pools).values(id=1, name="spring", created_at=START))
        conn.execute(insert(coupons), [{"pool_id": 1, "code": f"C{n}"} for n in range(3)])

    await store.database.run(fill)
    await sent_out(desk)
    paused, counts = await desk.state(), await desk.counts()
    more = insert(coupons).values(pool_id=1, code="C9")
    await store.database.run(lambda conn: conn.execute(more))
    await store.database.run(lambda conn: conn.execute(insert(coupons).values(pool_id=1, code="C8")))
    await store.database.run(partial(rows.resume, name="spring", now=START))
    await desk.sender.run_once()

    assert paused == ("paused", "the pool of coupons is used up")
    assert counts["pending"] + counts.get("sent", 0) == 5
    assert len({text for _, text in desk.channel.sent}) == 5


async def test_a_store_that_is_full_loses_no_outcome_and_sends_nobody_twice(
    store: SqlStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk = await a_desk(store, 10, at=START)
    await desk.preparer.run_once()
    real, refusals = store.database.run, [True]

    async def full(unit: object, **more: object) -> object:
        if desk.channel.sent and refusals:
            refusals.clear()
            raise StoreUnavailable("store", "the disk is full")
        return await real(unit, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(store.database, "run", full)
    with pytest.raises(StoreUnavailable):
        await desk.sender.run_once()
    await desk.sender._flush()
    await desk.sender.run_once()

    assert len(desk.channel.sent) == len(set(desk.channel.sent)) == 10
    assert await desk.counts() == {"sent": 10}


async def test_a_clock_that_jumps_makes_nobody_get_it_twice(store: SqlStore) -> None:
    desk = await a_desk(store, 3, at=START)
    other, _ = desk.another("sender-2")
    await desk.preparer.run_once()
    await desk.sender._watch_states()
    ready = await desk.sender._claim(PLACE)
    desk.clock.advance(seconds=SEND_LEASE.total_seconds() * 10)

    await other._take_over()
    await other._flush()
    uncertain = await desk.counts()
    await started(desk, *ready)
    await desk.sender._flush()

    assert uncertain == {"uncertain": 3}
    assert await desk.counts() == {"sent": 3}
    assert len(set(desk.channel.sent)) == 3


async def test_on_the_web_everybody_finds_it_in_their_conversation(store: SqlStore) -> None:
    desk = await a_desk(store, 4, at=START)
    desk.channel = RememberingChannel(capabilities=replace(CAN, direct=True))
    sender, _ = desk.another("sender-1")
    await desk.preparer.run_once()

    await sender.run_once()

    said = await store.database.run(lambda conn: conn.execute(select(messages.c.text, messages.c.seq)).all(), read=True)
    assert sorted(said) == [(f"Hello Kim {n}", 1) for n in range(1, 5)]
    assert desk.channel.sent == []


async def test_on_the_web_a_stop_word_counts_until_it_is_said(store: SqlStore) -> None:
    desk = await a_desk(store, 4, at=START)
    desk.channel = RememberingChannel(capabilities=replace(CAN, direct=True))
    sender, _ = desk.another("sender-1")
    await desk.preparer.run_once()
    await sender._watch_states()
    ready = await sender._claim(PLACE)
    await sender._start(PLACE, ready)
    await store.database.run(partial(leaves, person=ready[0].one.customer_id, at=START))

    await sender._flush()

    assert await desk.counts() == {"sent": 3, "skipped": 1}


async def test_what_cannot_be_read_any_more_is_paused_and_says_why(store: SqlStore) -> None:
    desk = await a_desk(store, 2, at=START)
    broken = update(broadcasts).values(document={"name": "spring"})
    await store.database.run(lambda conn: conn.execute(broken))

    await sent_out(desk)

    state, reason = await desk.state()
    assert state == "paused"
    assert reason == "content must be a mapping"
