"""Staff answer customers: once, only while they hold the conversation, at once or later, and put it right."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import insert, select

from bot.errors import DedupeMismatch, InputError, NotFound, NotHolding, NotPermitted, RuleError, StaleState
from bot.ports import SendOutcome
from bot.types import CustomerId
from crm_sync.erasure import erase_customer
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from crm_sync.tables import handoffs
from desk.audit import AuditDesk
from desk.conversations import ConversationDesk, HistoryMessage
from desk.notes import NoteDesk
from desk.replies import LONGEST, ReplyDesk, Sent
from frontdesk.scheduler import Scheduler
from frontdesk.signals import LocalSignals
from frontdesk.staff_services import staff_timers
from tests.builders import shop
from tests.media_files import office
from tests.media_library import library_in
from tests.staff_steps import AUDITOR, LEAD, LI, WU, an_outside, can_do, change, held, row_of, staff
from tests.store_steps import AUDIT_KEYS, START, SetClock, converse, send_all, take_turn


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    opened.know({name: can_do(name) for name in ("web", "telegram", "wechat")})
    yield opened
    await opened.close()


@pytest.fixture
def replies(desk: SqlStore, clock: SetClock) -> ReplyDesk:
    return ReplyDesk(desk.database, an_outside(clock))


async def _shown(desk: SqlStore, clock: SetClock, where: int, *, mine: bool = False) -> list[HistoryMessage]:
    view = await ConversationDesk(desk.database, an_outside(clock)).open(LEAD, where)
    found = [item for item in view.history.entries if isinstance(item, HistoryMessage)]
    return [item for item in found if item.author == "operator"] if mine else found


async def _words(desk: SqlStore, clock: SetClock, where: int) -> list[tuple[str, str, str]]:
    """Author, words and how far they came, of all of ours."""
    return [(item.author, item.text, item.delivery.state) for item in await _shown(desk, clock, where) if item.delivery]


# --- sending --------------------------------------------------------------------------------------------------------


async def test_an_answer_leaves_and_nothing_is_unanswered_any_more(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    await staff(desk, LI, li="李强")
    where = await held(desk, LI, unanswered_since=START, owner_until=START + timedelta(hours=1))
    handoff = {"conversation_id": where, "reason": "asked", "urgency": 2, "fence": 0, "requested_at": START}
    await desk.database.run(lambda conn: conn.execute(insert(handoffs).values(handoff)))
    sent = await replies.send(LI, where, "  I look into it.\r\n", client_id="c1", fence=1)
    assert (await row_of(desk, where)).unanswered_since is None
    assert (await row_of(desk, where)).last_operator == "li"
    first = await desk.database.run(lambda conn: conn.execute(select(handoffs.c.first_reply_at)).scalar(), read=True)
    assert first == clock.at
    assert await send_all(desk) == ["I look into it."]
    (mine,) = [item for item in await _shown(desk, clock, where) if item.id == sent.message_ids[0]]
    assert (mine.author, mine.by, mine.by_name) == ("operator", "li", "李强")
    await take_turn(desk)
    assert await check(desk.database, now=clock.at) == []


async def test_a_web_visitor_sees_it_at_once_with_the_name(desk: SqlStore, clock: SetClock) -> None:
    signals = LocalSignals()
    heard = signals.subscribe("web")
    replies = ReplyDesk(desk.database, an_outside(clock, signals=signals))
    await staff(desk, LI, li="Li")
    where = await held(desk, LI, channel="web")
    await replies.send(LI, where, "hello", client_id="c1")
    (event,) = (await anext(heard)).payload["events"]
    await heard.aclose()
    assert (event["seq"], event["author"], event["name"], event["text"]) == (2, "operator", "Li", "hello")
    assert (await desk.events_after(where, 1, 10)) == [event]  # type: ignore[arg-type]
    assert await _words(desk, clock, where) == [("operator", "hello", "sent")]


async def test_the_same_send_twice_is_done_once_and_other_words_under_its_id_are_refused(
    desk: SqlStore, replies: ReplyDesk
) -> None:
    where, other = await held(desk, LI), await held(desk, LI, user="bob")
    first = await replies.send(LI, where, "hello", client_id="c1")
    again = await asyncio.gather(*(replies.send(LI, where, "hello", client_id="c1") for _ in range(3)))
    assert again == [Sent(first.message_ids, is_new=False)] * 3
    for words, place in (("bye", where), ("hello", other)):
        with pytest.raises(DedupeMismatch):
            await replies.send(LI, place, words, client_id="c1")
    await replies.send(LI, other, "hello", client_id="c2")
    assert sorted(await send_all(desk)) == ["hello", "hello"]


async def test_of_two_operators_only_the_holder_writes_and_the_other_is_told_who_has_it(
    desk: SqlStore, replies: ReplyDesk
) -> None:
    where = await held(desk, LI)
    done = await asyncio.gather(
        replies.send(LI, where, "mine", client_id="a"),
        replies.send(WU, where, "also mine", client_id="b"),
        return_exceptions=True,
    )
    refused = [item for item in done if isinstance(item, BaseException)]
    assert [type(item) for item in refused] == [NotHolding]
    assert refused[0].operator == "li"  # type: ignore[attr-defined]
    assert await send_all(desk) == ["mine"]


async def test_whoever_comes_back_after_an_hour_offline_learns_that_it_changed_hands(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    where = await held(desk, LI)
    await change(desk, where, owner="bot", operator="", fence=2)
    clock.advance(hours=1)
    with pytest.raises(NotHolding) as refused:
        await replies.send(LI, where, "late", client_id="a", fence=1)
    assert refused.value.owner == "bot"
    await change(desk, where, owner="operator", operator="li", fence=3)
    with pytest.raises(StaleState):
        await replies.send(LI, where, "late", client_id="a", fence=1)
    assert (await replies.send(LI, where, "late", client_id="a", fence=3)).is_new


async def test_an_answer_that_left_before_is_known_even_when_the_conversation_is_somebody_elses(
    desk: SqlStore, replies: ReplyDesk
) -> None:
    where = await held(desk, LI)
    sent = await replies.send(LI, where, "hello", client_id="a")
    await change(desk, where, operator="wu", fence=2)
    assert await replies.send(LI, where, "hello", client_id="a", fence=1) == Sent(sent.message_ids, is_new=False)


async def test_a_bot_reply_decided_before_the_takeover_does_not_overtake_the_operator(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    claimed = await converse(desk, "hi", "bot answer", channel="telegram")
    await change(desk, claimed.conversation.id, owner="operator", operator="li", fence=1)
    await replies.send(LI, claimed.conversation.id, "my answer", client_id="a")
    assert await send_all(desk) == ["my answer"]
    assert [state for _, _, state in await _words(desk, clock, claimed.conversation.id)] == ["dropped", "sent"]


async def test_nothing_and_too_much_are_refused_and_odd_marks_are_taken_out(desk: SqlStore, replies: ReplyDesk) -> None:
    where = await held(desk, LI)
    for words in ("", " \n\t ", "\u202e\x00", "x" * (LONGEST + 1)):
        with pytest.raises(InputError):
            await replies.send(LI, where, words, client_id="a")
    with pytest.raises(InputError):
        await replies.send(LI, where, "hello", client_id="")
    with pytest.raises(InputError):
        await replies.send(LI, where, "hello", client_id="a", files=["nosuchfile"])
    await replies.send(LI, where, "pay\u202e 001\x07 \ud83d<b>", client_id="b")
    assert await send_all(desk) == ["pay 001 <b>"]


async def test_a_long_answer_is_cut_to_what_the_channel_carries(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    where = await held(desk, LI)
    sent = await replies.send(LI, where, "x" * LONGEST, client_id="a")
    assert len(sent.message_ids) == 10
    assert "".join(await send_all(desk)) == "x" * LONGEST


async def test_nobody_writes_where_they_see_nothing_or_may_not(desk: SqlStore, replies: ReplyDesk) -> None:
    where = await held(desk, WU, team="shop")
    with pytest.raises(NotFound):
        await replies.send(LI, where, "hello", client_id="a")
    with pytest.raises(NotHolding):
        await replies.send(LEAD, where, "hello", client_id="a")
    gone = await held(desk, LI, channel="carrier-pigeon", user="p")
    with pytest.raises(RuleError):
        await replies.send(LI, gone, "hello", client_id="a")


async def test_nothing_is_said_to_somebody_who_was_erased(desk: SqlStore, replies: ReplyDesk) -> None:
    where = await held(desk, LI)
    await erase_customer(desk.database, CustomerId((await row_of(desk, where)).customer_id))
    await change(desk, where, owner="operator", operator="li")
    with pytest.raises(RuleError):
        await replies.send(LI, where, "hello", client_id="a")


# --- putting right --------------------------------------------------------------------------------------------------


async def test_what_still_waits_is_changed_before_it_leaves(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    where = await held(desk, LI)
    (message,) = (await replies.send(LI, where, "teh", client_id="a")).message_ids
    await replies.edit(LI, where, message, "the")
    assert await send_all(desk) == ["the"]
    lines = (await AuditDesk(desk.database).lines(AUDITOR)).items
    assert [(line.actor, line.action, line.object) for line in lines] == [
        ("li", "message.edited", f"message:{message}")
    ]


async def test_what_telegram_has_is_edited_there(desk: SqlStore, clock: SetClock, replies: ReplyDesk) -> None:
    where = await held(desk, LI)
    (message,) = (await replies.send(LI, where, "teh", client_id="a")).message_ids
    await send_all(desk)
    for words in ("the", "The"):
        await replies.edit(LI, where, message, words)
        (leaving,) = await desk.outbox.claim("s", 10)
        assert (leaving.part.text, leaving.edits) == (words, "v1")
        await desk.outbox.finish([SendOutcome(leaving.outbox_id, "sent", vendor_message_id="v1")])
    (mine,) = [item for item in await _shown(desk, clock, where) if item.author == "operator"]
    assert (mine.text, mine.was) == ("The", ("teh", "the"))


async def test_what_telegram_has_is_taken_out_of_the_chat_for_two_days(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    where = await held(desk, LI)
    first, second = [(await replies.send(LI, where, said, client_id=said)).message_ids[0] for said in ("oops", "well")]
    await send_all(desk)
    await replies.take_back(LI, where, first)
    assert await _words(desk, clock, where) == [("operator", "oops", "pending"), ("operator", "well", "sent")]
    (leaving,) = await desk.outbox.claim("s", 10)
    assert (leaving.part.text, leaving.part.takes_back, leaving.edits) == ("", True, "v1")
    await desk.outbox.finish([SendOutcome(leaving.outbox_id, "failed", reason="message can't be deleted")])
    (gone, _) = await _shown(desk, clock, where, mine=True)
    assert gone.delivery is not None
    # The record keeps the words, and says that the customer still has them.
    assert (gone.text, gone.was, gone.deleted_at, gone.delivery.state) == ("oops", (), clock.at, "failed")
    await replies.retry(LEAD, where, [gone.delivery.outbox_id])
    assert await send_all(desk) == [""]
    assert [state for _, _, state in await _words(desk, clock, where)] == ["sent", "sent"]
    clock.advance(hours=48)
    with pytest.raises(RuleError, match="telegram"):
        await replies.take_back(LI, where, second)
    await take_turn(desk)
    assert await check(desk.database, now=clock.at) == []


async def test_a_deletion_that_was_given_up_leaves_the_message_to_be_changed_or_taken_back_again(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    where = await held(desk, LI)
    (message,) = (await replies.send(LI, where, "oops", client_id="a")).message_ids
    await send_all(desk)

    async def stands() -> tuple[str, str, str, bool]:
        (mine,) = await _shown(desk, clock, where, mine=True)
        assert mine.delivery is not None
        return mine.text, mine.delivery_of, mine.delivery.state, mine.deleted_at is not None

    await replies.take_back(LI, where, message)
    (leaving,) = await desk.outbox.claim("s", 10)
    await desk.outbox.finish([SendOutcome(leaving.outbox_id, "failed", reason="message can't be deleted")])
    assert await stands() == ("oops", "removal", "failed", True)
    with pytest.raises(RuleError, match="taken back"):
        await replies.edit(LI, where, message, "well")
    await replies.drop(LI, where, [leaving.outbox_id])
    assert await stands() == ("oops", "removal", "dropped", True)
    await replies.edit(LI, where, message, "well")
    assert await stands() == ("well", "edit", "pending", False)
    assert await send_all(desk) == ["well"]
    await replies.take_back(LI, where, message)
    assert await send_all(desk) == [""]
    assert await stands() == ("well", "message", "sent", True)
    with pytest.raises(RuleError, match="taken back"):
        await replies.take_back(LI, where, message)
    await take_turn(desk)
    assert await check(desk.database, now=clock.at) == []


async def test_what_stands_on_a_web_page_is_changed_and_taken_back_there(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    where = await held(desk, LI, channel="web")
    (message,) = (await replies.send(LI, where, "teh", client_id="a")).message_ids
    await replies.edit(LI, where, message, "the")
    events = await desk.events_after(where, 1, 10)  # type: ignore[arg-type]
    assert [(event["text"], event.get("replaces")) for event in events] == [("the", None), ("the", 2)]
    await replies.take_back(LI, where, message)
    events = await desk.events_after(where, 1, 10)  # type: ignore[arg-type]
    assert [(event["text"], event.get("replaces"), event.get("deleted")) for event in events] == [
        ("", None, True),
        ("the", 2, None),
        ("", 2, True),
    ]
    (mine,) = [item for item in await _shown(desk, clock, where) if item.author == "operator"]
    assert (mine.text, mine.deleted_at) == ("the", clock.at)  # the record keeps what was said
    with pytest.raises(RuleError):
        await replies.edit(LI, where, message, "once more")
    await take_turn(desk)
    assert await check(desk.database, now=clock.at) == []


async def test_what_cannot_be_changed_says_so(desk: SqlStore, clock: SetClock, replies: ReplyDesk) -> None:
    where = await held(desk, LI, channel="wechat")
    (message,) = (await replies.send(LI, where, "teh", client_id="a")).message_ids
    await send_all(desk)
    for refused in (replies.edit(LI, where, message, "the"), replies.take_back(LI, where, message)):
        with pytest.raises(RuleError, match="wechat"):
            await refused
    there = await held(desk, LI, user="bob")
    (sending,) = (await replies.send(LI, there, "on its way", client_id="b")).message_ids
    await desk.outbox.claim("s", 10)
    with pytest.raises(StaleState):
        await replies.edit(LI, there, sending, "stop")
    await replies.send(LI, there, "next", client_id="c")
    with pytest.raises(InputError):
        await replies.edit(LI, there, sending + 1, "x" * 3000)
    with pytest.raises(NotFound):
        await replies.edit(LI, there, message, "elsewhere")


async def test_words_of_the_bot_and_of_colleagues_are_not_ones_own(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    claimed = await converse(desk, "hi", "bot answer")
    where = claimed.conversation.id
    await change(desk, where, owner="operator", operator="wu")
    (theirs,) = (await replies.send(WU, where, "mine", client_id="a")).message_ids
    await change(desk, where, owner="operator", operator="li")
    for message in (2, theirs):
        with pytest.raises(NotPermitted):
            await replies.edit(LI, where, message, "not mine")


async def test_taken_back_before_it_left_it_never_leaves(desk: SqlStore, clock: SetClock, replies: ReplyDesk) -> None:
    where = await held(desk, LI)
    (message,) = (await replies.send(LI, where, "oops", client_id="a")).message_ids
    await replies.take_back(LI, where, message)
    assert await send_all(desk) == []
    assert await _words(desk, clock, where) == [("operator", "oops", "dropped")]


# --- what did not leave ---------------------------------------------------------------------------------------------


async def test_what_is_uncertain_is_sent_again_or_dropped(desk: SqlStore, clock: SetClock, replies: ReplyDesk) -> None:
    where = await held(desk, LI)
    await replies.send(LI, where, "one", client_id="a")
    for state in ("failed", "failed"):
        (row,) = await desk.outbox.claim("s", 10)
        await desk.outbox.finish([SendOutcome(row.outbox_id, state, reason="403")])
        shown = [item.delivery for item in await _shown(desk, clock, where) if item.delivery]
        assert [(item.state, item.reason, item.may_retry, item.may_drop) for item in shown] == [
            ("failed", "403", True, True)
        ]
        assert await replies.retry(LI, where, [shown[0].outbox_id]) == 1
    assert await replies.drop(LI, where, [shown[0].outbox_id]) == 1
    assert await send_all(desk) == []
    with pytest.raises(NotFound):
        await replies.retry(LI, where, [999])
    with pytest.raises(RuleError, match="is dropped"):
        await replies.retry(LI, where, [shown[0].outbox_id])


# --- later ----------------------------------------------------------------------------------------------------------


def _scheduler(desk: SqlStore, clock: SetClock, replies: ReplyDesk) -> Scheduler:
    return Scheduler(desk, LocalSignals(), clock, shop, handlers=staff_timers(replies), periodic=())


async def test_planned_words_leave_at_their_time_unless_cancelled(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    where = await held(desk, LI)
    later = await replies.schedule(LI, where, "tomorrow", clock.at + timedelta(hours=20))
    gone = await replies.schedule(LI, where, "never", clock.at + timedelta(hours=21))
    assert [item.text for item in await replies.scheduled(LI, where)] == ["tomorrow", "never"]
    await replies.cancel(LI, where, gone.id)
    for scheduled in (gone.id, 999):
        with pytest.raises((StaleState, NotFound)):
            await replies.cancel(LI, where, scheduled)
    clock.advance(hours=22)
    await _scheduler(desk, clock, replies).settle()
    assert await send_all(desk) == ["tomorrow"]
    assert await replies.scheduled(LI, where) == []
    assert await _words(desk, clock, where) == [("operator", "tomorrow", "sent")]
    assert later.by == "li"


@pytest.mark.parametrize(
    ("after", "leaves"),
    [
        ({"owner": "operator", "operator": "li"}, True),
        ({"owner": "bot", "operator": ""}, True),
        ({"owner": "operator", "operator": "wu"}, False),
        ({"owner": "queue", "operator": ""}, False),
        ({"owner": "bot", "operator": "", "last_inbound_at": START + timedelta(minutes=30)}, False),
    ],
)
async def test_planned_words_leave_only_if_they_still_fit(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk, after: dict[str, Any], leaves: bool
) -> None:
    await staff(desk, LI, WU)
    where = await held(desk, LI, channel="web")
    await replies.schedule(LI, where, "as promised", clock.at + timedelta(hours=1))
    await change(desk, where, **after)
    clock.advance(hours=2)
    await _scheduler(desk, clock, replies).settle()
    said = [words for author, words, _ in await _words(desk, clock, where) if author == "operator"]
    assert said == (["as promised"] if leaves else [])
    notices = await NoteDesk(desk.database, an_outside(clock)).notices(LI)
    assert [(notice.kind, notice.conversation_id) for notice in notices.items] == (
        [] if leaves else [("scheduled_refused", where)]
    )


async def test_the_same_plan_again_is_the_one_that_waits(desk: SqlStore, clock: SetClock, replies: ReplyDesk) -> None:
    where, at = await held(desk, LI), clock.at + timedelta(hours=3)
    first = await replies.schedule(LI, where, "tomorrow", at)
    again = await asyncio.gather(*(replies.schedule(LI, where, "tomorrow", at) for _ in range(3)))
    assert again == [first] * 3
    other = await replies.schedule(LI, where, "tomorrow", at + timedelta(hours=1))
    await replies.cancel(LI, where, first.id)
    anew = await replies.schedule(LI, where, "tomorrow", at)
    assert len({first.id, other.id, anew.id}) == 3


async def test_words_cannot_be_planned_for_the_past_or_by_somebody_else(
    desk: SqlStore, clock: SetClock, replies: ReplyDesk
) -> None:
    where = await held(desk, LI)
    for moment in (clock.at, clock.at + timedelta(days=400)):
        with pytest.raises(InputError):
            await replies.schedule(LI, where, "hello", moment)
    with pytest.raises(NotHolding):
        await replies.schedule(WU, where, "hello", clock.at + timedelta(hours=1))
    mine = await replies.schedule(LI, where, "hello", clock.at + timedelta(hours=1))
    with pytest.raises(NotFound):
        await replies.cancel(WU, where, mine.id)
    await replies.cancel(LEAD, where, mine.id)


async def test_what_was_set_aside_wakes_at_its_time(desk: SqlStore, clock: SetClock, replies: ReplyDesk) -> None:
    talks = ConversationDesk(desk.database, an_outside(clock))
    where = await held(desk, LI)
    await talks.snooze(LI, where, clock.at + timedelta(hours=1))
    await talks.snooze(LI, where, clock.at + timedelta(hours=3))
    scheduler = _scheduler(desk, clock, replies)
    clock.advance(hours=2)
    await scheduler.settle()
    assert (await row_of(desk, where)).status == "snoozed"
    clock.advance(hours=2)
    await scheduler.settle()
    assert ((await row_of(desk, where)).status, (await row_of(desk, where)).snoozed_until) == ("open", None)


# --- files ------------------------------------------------------------------------------------------------------------


async def test_a_file_is_sent_once_with_the_words_and_shown_with_its_address(
    desk: SqlStore, clock: SetClock, tmp_path: Path
) -> None:
    library = library_in(desk, tmp_path, clock=clock)
    outside = an_outside(clock, library=library)
    replies = ReplyDesk(desk.database, outside)
    where, other = await held(desk, LI), await held(desk, LI, user="bob")
    stored = await replies.attach(LI, where, office(), "../../your bill.docx")
    with pytest.raises(InputError):
        await replies.send(LI, other, "not yours", client_id="x", files=[stored.media_id])
    sent = await replies.send(LI, where, "here it is", client_id="a", files=[stored.media_id])
    assert await replies.send(LI, where, "here it is", client_id="a", files=[stored.media_id]) == Sent(
        sent.message_ids, is_new=False
    )
    with pytest.raises(InputError):
        await replies.send(LI, where, "again", client_id="b", files=[stored.media_id])
    (leaving,) = await desk.outbox.claim("s", 10)
    assert [(file.media_id, file.kind) for file in leaving.part.media] == [(stored.media_id, "document")]
    view = await ConversationDesk(desk.database, outside).open(LI, where)
    shown = view.history.entries[-1]
    assert isinstance(shown, HistoryMessage)
    assert [(file.media_id, file.state) for file in shown.files] == [(stored.media_id, "stored")]
    assert shown.files[0].url.startswith("https://desk.example")
    assert "/" not in shown.files[0].name


async def test_a_planned_file_is_kept_until_its_time_and_cannot_leave_twice(
    desk: SqlStore, clock: SetClock, tmp_path: Path
) -> None:
    library = library_in(desk, tmp_path, clock=clock)
    replies = ReplyDesk(desk.database, an_outside(clock, library=library))
    where = await held(desk, LI)
    stored = await replies.attach(LI, where, office(), "bill.docx")
    await replies.schedule(LI, where, "", clock.at + timedelta(days=3), files=[stored.media_id])
    with pytest.raises(InputError):
        await replies.send(LI, where, "now", client_id="b", files=[stored.media_id])
    clock.advance(days=3, minutes=1)
    await library.purge()
    await _scheduler(desk, clock, replies).settle()
    (leaving,) = await desk.outbox.claim("s", 10)
    assert [file.media_id for file in leaving.part.media] == [stored.media_id]
