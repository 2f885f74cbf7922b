"""What the web channel, the model loader and the pull channels read from the store."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from bot.errors import NotFound
from bot.types import ConversationId, Identity
from crm_sync.models import StoredArticle
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, inbox
from tests.store_steps import SetClock, converse, said

ANN = Identity("web", "default", "ann")


async def test_a_visitors_conversation_is_made_once_and_is_where_messages_go(store: SqlStore) -> None:
    made = await asyncio.gather(*(store.web_conversation(ANN) for _ in range(8)))
    (accepted,) = await store.accept([said("hi")])
    assert {accepted.conversation_id, *made} == {made[0]}


async def test_events_come_after_a_place_in_order_and_not_more_than_asked(store: SqlStore) -> None:
    for n in range(3):
        await converse(store, f"say {n}", f"answer {n}")
    conversation = await store.web_conversation(ANN)
    events = await store.events_after(conversation, 2, 3)
    assert [(event["seq"], event["direction"], event["text"]) for event in events] == [
        (3, "in", "say 1"),
        (4, "out", "answer 1"),
        (5, "in", "say 2"),
    ]
    assert await store.events_after(conversation, 6, 10) == []
    assert await store.web_seq(conversation) == 6


async def test_an_event_has_the_shape_of_the_public_contract(store: SqlStore) -> None:
    await converse(store, "hi", "hello")
    event = (await store.events_after(await store.web_conversation(ANN), 1, 1))[0]
    assert {name: type(value) for name, value in event.items()} == {
        "seq": int,
        "id": int,
        "direction": str,
        "author": str,
        "text": str,
        "buttons": list,
        "at": str,
    }
    assert event["at"].endswith("Z")


async def test_a_conversation_that_does_not_exist_has_no_events(store: SqlStore) -> None:
    assert await store.events_after(ConversationId(404), 0, 10) == []
    assert await store.web_seq(ConversationId(404)) == 0


async def test_read_goes_forward_only_and_never_beyond_what_there_is(store: SqlStore) -> None:
    async def read_to() -> int:
        return await store.database.run(
            lambda conn: conn.execute(select(conversations.c.customer_read_seq)).scalar_one()
        )

    await converse(store, "hi", "hello")
    conversation = await store.web_conversation(ANN)
    for seq, expected in ((2, 2), (1, 2), (99, 2), (-1, 2)):
        await store.mark_read(conversation, seq)
        assert await read_to() == expected


async def test_messages_of_other_channels_have_no_web_sequence(store: SqlStore) -> None:
    claimed = await converse(store, "hi", "hello", channel="telegram")
    assert await store.events_after(claimed.conversation.id, 0, 10) == []


async def test_the_active_model_is_what_was_activated_last(store: SqlStore) -> None:
    assert await store.active_model("shop") is None
    assert await store.model_epoch() == 0
    await store.put_model("shop", "1", b"\x00one", training_hash="h1", activate=True)
    await store.put_model("shop", "2", b"two", training_hash="h2", manifest={"intents": 30})
    active = await store.active_model("shop")
    assert active is not None
    assert (active.version, active.packed, active.training_hash) == ("1", b"\x00one", "h1")
    epoch = await store.model_epoch()
    await store.activate_model("shop", "2")
    active = await store.active_model("shop")
    assert active is not None
    assert (active.version, active.manifest) == ("2", {"intents": 30})
    assert await store.model_epoch() == epoch + 1


async def test_a_model_that_is_not_there_cannot_be_activated(store: SqlStore) -> None:
    with pytest.raises(NotFound):
        await store.activate_model("shop", "404")


async def test_putting_a_version_again_keeps_its_bytes(store: SqlStore) -> None:
    await store.put_model("shop", "1", b"one", activate=True)
    await store.put_model("shop", "1", b"other", activate=True)
    active = await store.active_model("shop")
    assert active is not None
    assert active.packed == b"one"


async def test_an_edited_article_wins_and_moves_the_epoch(store: SqlStore) -> None:
    await store.put_article("shop", StoredArticle("hours", "zh", "营业时间", "九点到六点", ("几点开门",)))
    epoch = await store.model_epoch()
    await store.put_article("shop", StoredArticle("hours", "zh", "营业时间", "八点到六点", ("几点开门",)))
    assert list(await store.articles("shop")) == [StoredArticle("hours", "zh", "营业时间", "八点到六点", ("几点开门",))]
    assert list(await store.articles("other")) == []
    assert await store.model_epoch() == epoch + 1


async def test_cursors_are_kept_by_name(store: SqlStore) -> None:
    assert await store.get_cursor("telegram:a") == ""
    await store.set_cursor("telegram:a", "7")
    await store.set_cursor("telegram:a", "8\x00")
    await store.set_cursor("telegram:b", "1")
    assert (await store.get_cursor("telegram:a"), await store.get_cursor("telegram:b")) == ("8\x00", "1")


async def test_rate_tokens_are_shared_and_refill(store_url: str) -> None:
    clock = SetClock()
    one, other = await SqlStore.open(store_url, clock=clock), await SqlStore.open(store_url, clock=clock)
    waits = [await store.take_token("k", per_s=2, burst=2) for store in (one, other, one)]
    assert waits == [0.0, 0.0, 0.5]
    clock.advance(seconds=0.5)
    assert await other.take_token("k", per_s=2, burst=2) == 0.0
    assert await one.take_token("k", per_s=2, burst=2) == 0.5
    clock.advance(seconds=-60)
    assert await one.take_token("k", per_s=2, burst=2) <= 0.5
    await one.close()
    await other.close()


async def test_takers_at_once_never_get_more_than_the_burst(store: SqlStore) -> None:
    waits = await asyncio.gather(*(store.take_token("k", per_s=0.001, burst=3) for _ in range(12)))
    assert waits.count(0.0) == 3


async def test_raw_payloads_go_after_their_time_and_pending_ones_stay(store_url: str) -> None:
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock)
    await converse(store, "old", "ok")
    await store.accept([said("waiting")])
    clock.advance(days=30)
    assert await store.prune_raw(days=7) == 1
    assert await store.prune_raw(days=7) == 0
    kept = await store.database.run(
        lambda conn: [len(raw) > 0 for raw in conn.execute(select(inbox.c.raw).order_by(inbox.c.id)).scalars()]
    )
    assert kept == [False, True]
    await store.close()
