"""What a channel reports beside messages: colleagues' words, who answers, who can be reached, what did not arrive."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import select

from bot.ports import SendOutcome
from bot.types import Capabilities, Event, ReplyWindow, RequestHandoff, Text
from crm_sync.handovers import passed_on, waiting_handoffs, with_the_vendor
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, handoffs, identities, messages, outbox
from tests.store_steps import START, converse, decided, said, send_all, take_turn

KF_LIKE = Capabilities("kf", 2048, "utf8", 0, False, False, True, False, is_windowed=True)


async def _rows(store: SqlStore, table: Any) -> list[Any]:
    return list(
        await store.database.run(lambda conn: conn.execute(select(table).order_by(table.c.id)).all(), read=True)
    )


async def _report(store: SqlStore, name: str, **detail: Any) -> None:
    await store.accept([said(Event(name, detail), channel="kf", wants_turn=False)])


async def test_a_colleagues_words_are_recorded_as_theirs_and_take_no_turn(store: SqlStore) -> None:
    await store.accept([said("I am here", channel="kf", author="operator", key="m1")])

    (row,) = await _rows(store, messages)
    assert (row.direction, row.author, row.text) == ("out", "operator", "I am here")
    assert await store.claim("w", 10) == []
    assert await check(store.database) == []


async def test_a_person_taking_over_drops_what_the_bot_had_decided(store: SqlStore) -> None:
    await converse(store, "hi", "an answer", channel="kf")

    await _report(store, "owner_changed", owner="operator", by="zhangsan")

    assert await send_all(store) == []
    (conversation,) = await _rows(store, conversations)
    assert (conversation.owner, conversation.fence) == ("operator", 1)
    (row,) = await _rows(store, outbox)
    assert row.state == "dropped"
    (handoff,) = await _rows(store, handoffs)
    assert (handoff.ended_by, handoff.ended_at is not None) == ("kf:zhangsan", True)


async def test_a_turn_under_way_when_a_person_takes_over_says_nothing(store: SqlStore) -> None:
    await store.accept([said("hi", channel="kf")])
    (claimed,) = await store.claim("w", 10)

    await _report(store, "owner_changed", owner="operator", by="zhangsan")
    await store.commit([decided(claimed, "an answer")])

    assert await send_all(store) == []


async def test_told_twice_the_owner_changes_once(store: SqlStore) -> None:
    for _ in range(2):
        await _report(store, "owner_changed", owner="operator", by="zhangsan")

    (conversation,) = await _rows(store, conversations)
    assert conversation.fence == 1
    assert len(await _rows(store, handoffs)) == 1


async def test_a_session_closed_at_the_vendor_is_the_bots_again(store: SqlStore) -> None:
    await _report(store, "owner_changed", owner="operator", by="zhangsan")
    await _report(store, "owner_changed", owner="closed", by="zhangsan")

    (conversation,) = await _rows(store, conversations)
    assert (conversation.owner, conversation.status, conversation.fence) == ("bot", "closed", 2)
    await converse(store, "me again", "hello again", channel="kf")
    assert await send_all(store) == ["hello again"]


async def test_queued_at_the_vendor_what_was_said_before_still_leaves(store: SqlStore) -> None:
    await converse(store, "hi", "an answer", channel="kf")

    await _report(store, "owner_changed", owner="queue")

    assert await send_all(store) == ["an answer"]
    (handoff,) = await _rows(store, handoffs)
    assert handoff.passed_on_at is not None
    assert handoff.ended_at is None


async def test_a_handoff_is_passed_on_once_its_words_have_left(store: SqlStore) -> None:
    await converse(store, "a person!", "one moment", channel="kf", effects=(RequestHandoff("asked"),))

    async def waiting() -> list[Any]:
        return await store.database.run(lambda conn: waiting_handoffs(conn, "kf", "default"), read=True)

    assert await waiting() == []
    await send_all(store)
    (handoff,) = await waiting()
    assert (handoff.chat_id, handoff.topic) == ("ann", "")

    await store.database.run(lambda conn: passed_on(conn, handoff.handoff_id, START))

    assert await waiting() == []
    places = [("ann", ""), ("ben", "")]
    there = await store.database.run(lambda conn: with_the_vendor(conn, "kf", "default", places), read=True)
    assert there == {("ann", "")}


async def test_a_handoff_on_another_account_is_not_ours_to_pass_on(store: SqlStore) -> None:
    await converse(store, "a person!", channel="kf", effects=(RequestHandoff("asked"),))

    assert await store.database.run(lambda conn: waiting_handoffs(conn, "kf", "other"), read=True) == []
    assert await store.database.run(lambda conn: waiting_handoffs(conn, "wecom", "default"), read=True) == []


async def test_a_message_that_did_not_arrive_after_all_is_marked_failed(store: SqlStore) -> None:
    await converse(store, "hi", "one", channel="kf")
    await converse(store, "hi", "two", channel="kf", user="ben")
    await send_all(store)
    key = (await _rows(store, outbox))[0].idempotency_key

    await store.accept([said(Event("send_failed", {"key": key}), channel="kf", user="ben", wants_turn=False)])
    assert [row.state for row in await _rows(store, outbox)] == ["sent", "sent"]  # another conversation's word

    await _report(store, "send_failed", key=key, reason="refused by the customer", unreachable=True)

    failed, sent = await _rows(store, outbox)
    assert (failed.state, failed.reason, sent.state) == ("failed", "refused by the customer", "sent")
    assert failed.idempotency_key != key  # whoever tries again needs one the vendor has not seen
    assert (await _rows(store, identities))[0].unreachable_at is not None


async def test_a_failure_told_before_its_send_was_stored_is_not_overwritten(store: SqlStore) -> None:
    await converse(store, "hi", "one", channel="kf")
    (outbound,) = await store.outbox.claim("sender", 10)

    await _report(store, "send_failed", key=outbound.idempotency_key, reason="refused by the customer")
    await store.outbox.finish([SendOutcome(outbound.outbox_id, "sent", vendor_message_id="v1")])

    (row,) = await _rows(store, outbox)
    assert (row.state, row.reason) == ("failed", "refused by the customer")


async def test_a_message_outside_the_window_waits_until_the_customer_writes(store: SqlStore) -> None:
    five = ReplyWindow("message", 5, timedelta(hours=48))
    store.know({"kf": KF_LIKE})
    await store.accept([said("hi", channel="kf", opens=five)])
    await take_turn(store, "an answer")
    await send_all(store)
    (row,) = await _rows(store, outbox)

    await _report(store, "send_failed", key=row.idempotency_key, reason="five were sent", is_held=True)
    (row,) = await _rows(store, outbox)
    assert (row.state, row.is_held, row.sent_at) == ("parked", True, None)
    assert await send_all(store) == []

    await store.accept([said("still there?", channel="kf", opens=five)])
    assert await send_all(store) == ["an answer"]
    assert await check(store.database) == []


async def test_a_deleted_contact_is_unreachable_until_added_again(store: SqlStore) -> None:
    await _report(store, "contact_deleted", reason="deleted by the customer")
    (identity,) = await _rows(store, identities)
    assert identity.unreachable_reason == "deleted by the customer"

    await _report(store, "contact_added", source="autumn-leaflet")
    (identity,) = await _rows(store, identities)
    assert (identity.unreachable_at, identity.source) == (None, "autumn-leaflet")


async def test_the_first_known_source_stays(store: SqlStore) -> None:
    await _report(store, "entered", source="first")
    await _report(store, "entered", source="second")

    assert [row.source for row in await _rows(store, identities)] == ["first"]


async def test_an_unknown_event_is_recorded_and_does_nothing(store: SqlStore) -> None:
    await store.accept([said("hi", channel="kf")])
    await _report(store, "something_new", whatever=1)

    assert [row.kind for row in await _rows(store, messages)] == ["text", "event"]
    (conversation,) = await _rows(store, conversations)
    assert conversation.owner == "bot"
    assert isinstance((await store.claim("w", 10))[0].messages[0].message.content, Text)
