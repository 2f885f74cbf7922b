"""What a message tells beyond its words: where the chat is now, who can be reached, who sent whom, what was liked."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select

from bot.ports import SendOutcome
from bot.types import Command, Event
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, identities, messages, outbox, timeline
from tests.store_steps import said, send_all, take_turn

OLD, NEW = "-7", "-1007"
MOVED = Event("chat_moved", {"from": OLD, "to": NEW})


def in_group(content: Any, *, chat: str, user: str = "ann", **more: Any) -> Any:
    wants_turn = more.pop("wants_turn", not isinstance(content, Event))
    return said(content, user=user, channel="telegram", chat_id=chat, wants_turn=wants_turn, **more)


async def rows(store: SqlStore, *columns: Any) -> list[tuple[Any, ...]]:
    statement = select(*columns).order_by(columns[0].table.c.id)
    return await store.database.run(lambda conn: [tuple(row) for row in conn.execute(statement)])


async def test_a_group_that_moved_goes_on_where_it_is_now(store: SqlStore) -> None:
    (first,) = await store.accept([in_group("one", chat=OLD)])
    await take_turn(store, "answer", state={"step": 7})

    await store.accept([in_group(MOVED, chat=OLD)])
    (later,) = await store.accept([in_group("two", chat=NEW)])

    assert later.conversation_id == first.conversation_id
    (claimed,) = await store.claim("worker", 10)
    assert (claimed.conversation.chat_id, claimed.conversation.state) == (NEW, {"step": 7})
    (outbound,) = await store.outbox.claim("sender", 10)
    assert (outbound.chat_id, outbound.part.text) == (NEW, "answer")


async def test_both_notices_and_their_repetition_move_a_chat_once(store: SqlStore) -> None:
    await store.accept([in_group("one", chat=OLD, user="ann"), in_group("uno", chat=OLD, user="bob")])

    for chat in (OLD, NEW, NEW):
        await store.accept([in_group(MOVED, chat=chat, user="ann")])

    assert [chat for (chat,) in await rows(store, conversations.c.chat_id)] == [NEW, NEW]


async def test_whoever_wrote_in_the_new_chat_first_keeps_the_older_conversation(store: SqlStore) -> None:
    (before,) = await store.accept([in_group("one", chat=OLD)])
    (between,) = await store.accept([in_group("two", chat=NEW)])
    assert between.conversation_id != before.conversation_id

    await store.accept([in_group(MOVED, chat=OLD)])
    (after,) = await store.accept([in_group("three", chat=NEW)])

    assert after.conversation_id == before.conversation_id
    waiting = [item.message.content for claimed in await store.claim("worker", 10) for item in claimed.messages]
    assert len(waiting) == 3  # nothing said in between is lost


async def test_a_late_word_from_the_old_chat_does_not_take_the_conversation_away(store: SqlStore) -> None:
    (before,) = await store.accept([in_group("one", chat=OLD)])
    await store.accept([in_group(MOVED, chat=OLD), in_group("late", chat=OLD)])

    await store.accept([in_group(MOVED, chat=NEW)])
    (after,) = await store.accept([in_group("three", chat=NEW)])

    assert after.conversation_id == before.conversation_id


async def test_what_arrives_together_with_the_move_stays_one_conversation(store: SqlStore) -> None:
    (first,) = await store.accept([in_group("one", chat=OLD)])

    rest = await store.accept(
        [in_group("two", chat=OLD), in_group("three", chat=NEW), in_group(MOVED, chat=OLD), in_group(MOVED, chat=NEW)]
    )

    assert {row.conversation_id for row in rest} == {first.conversation_id}
    assert await rows(store, conversations.c.chat_id) == [(NEW,)]


async def test_another_account_and_channel_stay_where_they_are(store: SqlStore) -> None:
    await store.accept([said("one", channel="telegram", account="other", chat_id=OLD), said("two", chat_id=OLD)])

    await store.accept([in_group(MOVED, chat=OLD)])

    chats = await rows(store, conversations.c.account, conversations.c.channel, conversations.c.chat_id)
    assert ("other", "telegram", OLD) in chats
    assert ("default", "web", OLD) in chats


async def test_a_send_that_found_the_chat_moved_takes_the_rest_along(store: SqlStore) -> None:
    (first,) = await store.accept([in_group("one", chat=OLD)])
    await take_turn(store, "a", "b")
    (outbound,) = await store.outbox.claim("sender", 1)

    await store.outbox.finish([SendOutcome(outbound.outbox_id, "sent", vendor_message_id="1", moved_to=NEW)])

    (after,) = await store.accept([in_group("two", chat=NEW)])
    assert after.conversation_id == first.conversation_id
    assert [row.chat_id for row in await store.outbox.claim("sender", 10)] == [NEW]
    assert [state for (state, _) in await rows(store, outbox.c.state, outbox.c.id)] == ["sent", "sending"]


async def test_whoever_writes_can_be_reached_again(store: SqlStore) -> None:
    await store.accept([in_group("one", chat="ann")])
    await take_turn(store, "a")
    (outbound,) = await store.outbox.claim("sender", 1)
    await store.outbox.finish([SendOutcome(outbound.outbox_id, "failed", reason="blocked", unreachable=True)])
    await store.accept([in_group(Event("membership"), chat="ann")])
    assert [reason for (reason,) in await rows(store, identities.c.unreachable_reason)] == ["blocked"]

    await store.accept([in_group("I am back", chat="ann")])

    assert [found for (found,) in await rows(store, identities.c.unreachable_at)] == [None]
    await take_turn(store, "welcome back")
    assert await send_all(store) == ["welcome back"]


async def test_the_first_campaign_that_led_here_is_kept(store: SqlStore) -> None:
    for campaign in ("", "spring", "summer"):
        kind = "campaign" if campaign else ""
        await store.accept([in_group(Command("start", "…", kind, campaign), chat="ann")])
    await store.accept([in_group(Command("start", "…", "customer", "7"), chat="bob", user="bob")])

    assert await rows(store, identities.c.source) == [("campaign:spring",), ("",)]


async def liked(store: SqlStore, message: str, feedback: str) -> None:
    await store.accept([in_group(Event("reaction", {"message": message, "feedback": feedback}), chat="ann")])


async def test_a_reaction_is_feedback_on_that_message_of_ours(store: SqlStore) -> None:
    await store.accept([in_group("one", chat="ann", vendor_message_id="in-1")])
    await take_turn(store, "a", "b")
    await send_all(store)
    vendor_ids = [found for (found, _) in await rows(store, messages.c.vendor_message_id, messages.c.id)]
    assert vendor_ids[0] == "in-1"

    await liked(store, vendor_ids[2], "up")
    await liked(store, "in-1", "down")  # the customer's own message
    await liked(store, "nobody's", "down")

    contents = await rows(store, messages.c.text, messages.c.content)
    assert contents[:3] == [("one", None), ("a", None), ("b", {"feedback": "up"})]
    assert [row[1:] for row in await rows(store, timeline.c.id, timeline.c.kind, timeline.c.summary)] == [
        ("feedback", "up")
    ]
    assert await store.claim("worker", 10) == []

    await liked(store, vendor_ids[2], "")
    assert (await rows(store, messages.c.text, messages.c.content))[2] == ("b", None)


async def test_a_reaction_finds_our_message_in_any_topic_of_the_chat_but_in_no_other_chat(store: SqlStore) -> None:
    for chat, topic in (("ann", "55"), ("elsewhere", "")):
        await store.accept([in_group("one", chat=chat, topic=topic)])
        await take_turn(store, "a")
        (outbound,) = await store.outbox.claim("sender", 10)
        await store.outbox.finish([SendOutcome(outbound.outbox_id, "sent", vendor_message_id="90")])

    await liked(store, "90", "down")

    contents = await rows(store, messages.c.direction, messages.c.content)
    assert [content for direction, content in contents if direction == "out"] == [{"feedback": "down"}, None]


async def test_staff_see_what_a_message_refers_to(store: SqlStore) -> None:
    await store.accept(
        [in_group("where is it?", chat="ann", reply_to="90", quote="order 2391", forwarded_from="Li", album="g1")]
    )

    assert await rows(store, messages.c.content) == [
        ({"reply_to": "90", "quote": "order 2391", "forwarded_from": "Li", "album": "g1"},)
    ]
    (claimed,) = await store.claim("worker", 10)
    message = claimed.messages[0].message
    assert (message.reply_to, message.quote, message.forwarded_from, message.album) == ("90", "order 2391", "Li", "g1")
