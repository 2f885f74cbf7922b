"""The inbox: accepted means committed, once, in order, whatever comes and however often."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime

import pytest
from sqlalchemy import func, select

from bot.errors import DedupeMismatch
from bot.types import Button, Command, Contact, Content, Event, Location, Media, Received, Text, Unsupported
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, customers, identities, inbox, messages
from tests.store_steps import said, take_turn


async def _count(store: SqlStore, table: object) -> int:
    return await store.database.run(lambda conn: conn.execute(select(func.count()).select_from(table)).scalar_one())  # type: ignore[call-overload]


async def _waiting_texts(store: SqlStore) -> list[str]:
    return [item.message.content.text for claimed in await store.claim("w", 50) for item in claimed.messages]  # type: ignore[union-attr]


async def test_accepted_messages_carry_their_ids_and_web_sequence_in_order(store: SqlStore) -> None:
    first, second = await store.accept([said("one"), said("two")])
    assert (first.seq, second.seq) == (1, 2)
    assert first.inbox_id < second.inbox_id
    assert first.conversation_id == second.conversation_id is not None
    assert first.is_new
    assert second.is_new


async def test_an_accepted_message_is_shown_as_it_will_be_read_back(store: SqlStore) -> None:
    (accepted,) = await store.accept([said("你好 \x00 \ud83d")])
    assert accepted.conversation_id is not None
    assert [accepted.visible] == await store.events_after(accepted.conversation_id, 0, 10)


async def test_redelivery_changes_nothing_and_gets_the_first_rows_answer(store: SqlStore) -> None:
    message = said("one", key="a")
    (first,) = await store.accept([message])
    (again,) = await store.accept([message])
    assert again == replace(first, is_new=False)
    assert await _count(store, inbox) == await _count(store, messages) == 1


async def test_one_key_twice_in_one_call_is_one_message(store: SqlStore) -> None:
    message = said("one", key="a")
    first, second = await store.accept([message, message])
    assert (first.is_new, second.is_new) == (True, False)
    assert first.inbox_id == second.inbox_id
    assert await _count(store, messages) == 1


async def test_one_key_from_many_callers_at_once_is_one_message(store: SqlStore) -> None:
    message = said("one", key="a")
    answers = await asyncio.gather(*(store.accept([message]) for _ in range(20)))
    assert len({answer.inbox_id for (answer,) in answers}) == 1
    assert [answer.is_new for (answer,) in answers].count(True) == 1


async def test_redelivery_after_the_turn_starts_no_second_turn(store: SqlStore) -> None:
    message = said("one", key="a")
    await store.accept([message])
    await take_turn(store, "hi")
    await store.accept([message])
    assert await store.claim("w", 10) == []


async def test_web_key_with_other_content_is_refused_and_nothing_of_that_call_is_kept(store: SqlStore) -> None:
    await store.accept([said("one", key="a")])
    with pytest.raises(DedupeMismatch):
        await store.accept([said("new", key="b"), said("two", key="a")])
    assert await _waiting_texts(store) == ["one"]


async def test_a_mismatch_does_not_touch_callers_in_the_same_batch(store: SqlStore) -> None:
    await store.accept([said("one", key="a")])
    calls = [store.accept([said(f"ok {n}", user=f"u{n}")]) for n in range(5)]
    calls.insert(2, store.accept([said("other", key="a")]))
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert [type(answer) for answer in answers].count(DedupeMismatch) == 1
    assert await _count(store, inbox) == 6


async def test_another_channel_may_repeat_a_key_with_other_bytes(store: SqlStore) -> None:
    await store.accept([said("one", key="7", channel="telegram")])
    (again,) = await store.accept([said("one, spelled differently", key="7", channel="telegram")])
    assert not again.is_new


async def test_the_same_key_on_another_account_or_channel_is_another_message(store: SqlStore) -> None:
    answers = await store.accept(
        [said(key="1", channel="telegram"), said(key="1"), said(key="1", channel="telegram", account="second")]
    )
    assert all(answer.is_new for answer in answers)


async def test_many_strangers_at_once_each_get_a_customer_and_a_conversation(store: SqlStore) -> None:
    answers = await asyncio.gather(*(store.accept([said("hi", user=f"u{n % 10}")]) for n in range(60)))
    assert len({answer.conversation_id for (answer,) in answers}) == 10
    assert await _count(store, customers) == await _count(store, identities) == await _count(store, conversations) == 10


async def test_two_processes_meeting_the_same_stranger_make_one_customer(store_url: str) -> None:
    one, other = await SqlStore.open(store_url), await SqlStore.open(store_url)
    try:
        calls = [(one, other)[n % 2].accept([said(f"{n}", user="ann", key=f"p{n}")]) for n in range(24)]
        answers = [answer for (answer,) in await asyncio.gather(*calls)]
        assert len({answer.conversation_id for answer in answers}) == 1
        assert sorted(answer.seq or 0 for answer in answers) == list(range(1, 25))
        assert await _count(one, customers) == 1
    finally:
        await one.close()
        await other.close()


async def test_the_same_person_in_two_chats_is_one_customer_with_two_conversations(store: SqlStore) -> None:
    private, group = await store.accept(
        [said("a", channel="telegram"), said("b", channel="telegram", chat_id="-100", topic="5")]
    )
    assert private.conversation_id != group.conversation_id
    assert await _count(store, customers) == 1


async def test_unreadable_payload_is_parked_under_its_key_once(store: SqlStore) -> None:
    parked = Received("telegram", "default", "77", b"{broken", None, "no JSON")
    (first,), (again,) = await store.accept([parked]), await store.accept([parked])
    assert (first.conversation_id, first.message_id, first.seq) == (None, None, None)
    assert (again.inbox_id, again.is_new) == (first.inbox_id, False)
    row = await store.database.run(lambda conn: conn.execute(select(inbox)).one())
    assert (row.state, row.reason, row.message) == ("parked", "no JSON", None)
    assert await store.claim("w", 10) == []


async def test_an_endless_sender_id_is_parked_and_holds_nobody_up(store: SqlStore) -> None:
    answers = await store.accept([said("x", user="u" * 5000), said("y", user="ok")])
    assert [answer.conversation_id is None for answer in answers] == [True, False]


@pytest.mark.sql_per_case
@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "a\x00b",
        "\ud800 half",
        "\udfff\ud800",
        "\x10 0000",
        "😀" * 50,
        "س" * 20_000,
        "\x01\x7f\u200b\u202e",
        "𝒳" * 9000,
    ],
    ids=["empty", "space", "nul", "surrogate", "reversed-pair", "escape", "emoji", "rtl-20000", "control", "astral"],
)
async def test_words_are_kept_code_point_for_code_point(store: SqlStore, text: str) -> None:
    await store.accept([said(text, user=f"u\x00{text[:9]}", key=f"k{text[:40]}", sender_name=text[:30])])
    (claimed,) = await store.claim("w", 1)
    assert claimed.messages[0].message.content == Text(text)
    assert claimed.conversation.identity.external_id == f"u\x00{text[:9]}"
    (event,) = await store.events_after(claimed.conversation.id, 0, 10)
    assert event["text"] == text
    committed = await store.commit([_echo(claimed, text)])
    assert committed[0].visible[0]["text"] == text
    assert (await store.events_after(claimed.conversation.id, 1, 10))[0]["text"] == text


def _echo(claimed: object, text: str) -> object:
    from tests.store_steps import decided

    return decided(claimed, text, state={"slot": text})  # type: ignore[arg-type]


@pytest.mark.sql_per_case
@pytest.mark.parametrize(
    "content",
    [
        Button("yes", "Yes", "cb1"),
        Button(""),
        Command("start", "deep-link"),
        Media("image", "f1", caption="look\x00", size=3, duration_s=1.5),
        Location(30.5, 114.25, "站", "路 1 号"),
        Contact("+8613800000000", "王芳", is_own=True),
        Event("joined", {"by": "x", "deep": {"n": [1, None]}}),
        Unsupported("poll"),
    ],
    ids=lambda content: type(content).__name__,
)
async def test_every_kind_of_content_comes_back_as_it_was(store: SqlStore, content: Content) -> None:
    given = said(content, channel="telegram", vendor_message_id="9", reply_to="8", language_hint="zh-hans", topic="3")
    await store.accept([given])
    (claimed,) = await store.claim("w", 1)
    assert given.message is not None
    expected = replace(given.message, sender_name="")
    assert claimed.messages[0].message == expected


async def test_messages_that_want_no_turn_are_recorded_and_done(store: SqlStore) -> None:
    await store.accept([said("for somebody else", wants_turn=False)])
    assert await store.claim("w", 10) == []
    assert await _count(store, messages) == 1


async def test_an_edit_updates_the_old_message_and_keeps_its_words(store: SqlStore) -> None:
    (first,) = await store.accept([said("frist", vendor_message_id="5", channel="web")])
    await store.accept([said("first", edits="5", vendor_message_id="5", wants_turn=False)])
    assert first.conversation_id is not None
    original, edit = await store.events_after(first.conversation_id, 0, 10)
    assert (original["text"], edit["text"], edit["replaces"]) == ("first", "first", original["seq"])
    row = await store.database.run(
        lambda conn: conn.execute(select(messages).where(messages.c.id != first.message_id)).one()
    )
    assert (row.replaces, row.content["was"]) == (first.message_id, "frist")


async def test_an_edit_of_a_message_we_never_saw_is_an_ordinary_record(store: SqlStore) -> None:
    (edit,) = await store.accept([said("late", edits="404", wants_turn=False)])
    row = await store.database.run(lambda conn: conn.execute(select(messages)).one())
    assert (row.id, row.replaces, row.text) == (edit.message_id, None, "late")


async def test_blocked_and_unblocked_mark_the_identity(store: SqlStore) -> None:
    async def unreachable_at() -> datetime | None:
        return await store.database.run(lambda conn: conn.execute(select(identities.c.unreachable_at)).scalar_one())

    await store.accept([said(Event("blocked"), wants_turn=False)])
    assert await unreachable_at() is not None
    await store.accept([said(Event("unblocked"), wants_turn=False)])
    assert await unreachable_at() is None


async def test_display_name_and_language_hint_follow_the_channel(store: SqlStore) -> None:
    await store.accept([said("a", sender_name="Ann", language_hint="en")])
    await store.accept([said("b", sender_name="Anna")])
    row = await store.database.run(lambda conn: conn.execute(select(identities)).one())
    assert (row.display_name, row.language_hint) == ("Anna", "en")


async def test_a_time_without_a_zone_is_refused_for_its_caller_only(store: SqlStore) -> None:
    answers = await asyncio.gather(
        store.accept([said("a", sent_at=datetime(2026, 1, 1))]),  # noqa: DTZ001 - the fault under test
        store.accept([said("b")]),
        return_exceptions=True,
    )
    assert isinstance(answers[0], ValueError)
    assert not isinstance(answers[1], BaseException)


async def test_sender_clocks_do_not_change_the_order(store: SqlStore) -> None:
    from tests.store_steps import START

    await store.accept(
        [said("first", sent_at=START.replace(year=2090)), said("second", sent_at=START.replace(year=1971))]
    )
    assert await _waiting_texts(store) == ["first", "second"]


async def test_nothing_received_is_nothing_done(store: SqlStore) -> None:
    assert await store.accept([]) == []
