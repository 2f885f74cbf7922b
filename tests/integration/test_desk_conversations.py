"""Staff read the whole history of a person, and set conversations aside, close them and have them back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import insert

from bot.errors import InputError, NotFound, NotHolding, NotPermitted, StaleState
from bot.ports import SendOutcome
from bot.types import Button, Capabilities, Media, ReplyWindow, RequestHandoff
from crm_sync import merging
from crm_sync.console_tables import conversation_notes, handoff_events
from crm_sync.invariants import check
from crm_sync.store import SqlStore
from desk.audit import AuditDesk
from desk.conversations import ConversationDesk, HistoryEvent, HistoryMessage, HistoryNote, HistoryPage
from desk.inbox import InboxDesk
from frontdesk.signals import LocalSignals
from tests.staff_steps import AUDITOR, LEAD, LI, WU, an_outside, held, row_of, staff, wrote
from tests.store_steps import AUDIT_KEYS, START, SetClock, converse, said, send_all, take_turn


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def desk(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, clock=clock, audit_keys=AUDIT_KEYS)
    yield opened
    await opened.close()


def _talks(store: SqlStore, clock: SetClock, **channels: Capabilities) -> ConversationDesk:
    return ConversationDesk(store.database, an_outside(clock, **channels))


def _words(page: HistoryPage) -> list[str]:
    return [item.text for item in page.entries if isinstance(item, HistoryMessage)]


async def test_a_history_is_read_backwards_page_by_page(desk: SqlStore, clock: SetClock) -> None:
    talks = _talks(desk, clock)
    where = 0
    for number in range(7):
        clock.advance(seconds=1)
        where = await wrote(desk, f"w{number}")
    view = await talks.open(LEAD, where, limit=3)
    assert _words(view.history) == ["w4", "w5", "w6"]
    before = await talks.older(LEAD, where, view.history.older, limit=3)
    first = await talks.older(LEAD, where, before.older, limit=3)
    assert (_words(before), _words(first), first.older) == (["w1", "w2", "w3"], ["w0"], "")


async def test_all_channels_of_a_person_are_one_history_and_can_be_read_apart(desk: SqlStore, clock: SetClock) -> None:
    talks = _talks(desk, clock)
    here = await wrote(desk, "on telegram")
    there = await wrote(desk, "on web", user="ann2", channel="web")
    theirs = await wrote(desk, "to the shop", user="ann3", channel="wechat", team="shop")
    one, *others = [(await row_of(desk, number)).customer_id for number in (here, there, theirs)]
    for other in others:
        await desk.database.run(
            lambda conn, other=other: merging.merge(conn, one, other, evidence="staff", author="li", now=START)  # type: ignore[misc]
        )
    await wrote(desk, "telegram again")
    view = await talks.open(LI, here)
    assert _words(view.history) == ["on telegram", "on web", "telegram again"]
    assert [(talk.id, talk.channel) for talk in view.others] == [(there, "web")]
    assert _words((await talks.open(LI, here, merged=False)).history) == ["on telegram", "telegram again"]
    assert "to the shop" in _words((await talks.open(LEAD, here)).history)


async def test_what_came_since_is_told_once_with_notes_and_changes_of_hands(desk: SqlStore, clock: SetClock) -> None:
    talks = _talks(desk, clock)
    where = await wrote(desk, "one")
    view = await talks.open(LI, where)
    clock.advance(seconds=1)
    await wrote(desk, "two")
    clock.advance(seconds=1)
    note = {"conversation_id": where, "by": "li", "text": "look", "at": clock.at}
    event = {"conversation_id": where, "kind": "taken", "by": "li", "fence": 1, "at": clock.at}
    await desk.database.run(lambda conn: conn.execute(insert(conversation_notes).values(note)))
    await desk.database.run(lambda conn: conn.execute(insert(handoff_events).values(event)))
    fresh = await talks.updates(LI, where, view.history.newest)
    assert [type(item) for item in fresh.entries] == [HistoryMessage, HistoryNote, HistoryEvent]
    again = await talks.updates(LI, where, fresh.newest)
    assert (again.entries, again.changed, again.newest) == ((), (), fresh.newest)
    opened = await talks.open(LI, where)
    assert [type(item) for item in opened.history.entries] == [
        HistoryMessage,
        HistoryMessage,
        HistoryNote,
        HistoryEvent,
    ]


async def test_it_is_kept_who_looked(desk: SqlStore, clock: SetClock) -> None:
    talks, where = _talks(desk, clock), await wrote(desk)
    for _ in range(2):
        await talks.open(LI, where)
    with pytest.raises(NotFound):
        await talks.open(LI, 99)
    lines = (await AuditDesk(desk.database).lines(AUDITOR)).items
    assert [(line.actor, line.action, line.object) for line in lines] == [
        ("li", "conversation.view", f"conversation:{where}")
    ]


async def test_an_edit_of_the_customers_shows_what_it_said_before(desk: SqlStore, clock: SetClock) -> None:
    talks = _talks(desk, clock)
    where = await wrote(desk, "frist", vendor_message_id="v1")
    view = await talks.open(LI, where)
    await desk.accept([said("first", channel="telegram", vendor_message_id="v2", edits="v1")])
    fresh = await talks.updates(LI, where, view.history.newest)
    assert fresh.entries == ()
    assert [(item.text, item.was) for item in fresh.changed] == [("first", ("frist",))]
    assert _words((await talks.open(LI, where)).history) == ["first"]


async def test_a_message_says_what_was_understood_and_whether_the_answer_arrived(
    desk: SqlStore, clock: SetClock
) -> None:
    talks = _talks(desk, clock)
    claimed = await converse(desk, "where is it", "on its way", "and more", channel="telegram")
    where = claimed.conversation.id
    (row,) = await desk.outbox.claim("s", 1)
    await desk.outbox.finish([SendOutcome(row.outbox_id, "uncertain", reason="no answer")])
    asked, first, second = [
        item for item in (await talks.open(LI, where)).history.entries if isinstance(item, HistoryMessage)
    ]
    assert asked.understood is not None
    assert (asked.understood.intent, asked.understood.score) == ("greet", 0.9)
    assert (asked.understood.ranking, asked.delivery) == ((("greet", 0.9),), None)
    assert first.delivery is not None
    assert second.delivery is not None
    assert (first.delivery.state, second.delivery.state) == ("pending", "pending")
    await send_all(desk)
    shown = await talks.messages(LI, where, [first.id, second.id, 999])
    assert [item.delivery.state for item in shown if item.delivery] == ["sent", "sent"]
    assert first.author == "bot"


async def test_a_web_reply_was_read_when_the_visitor_saw_it(desk: SqlStore, clock: SetClock) -> None:
    talks = _talks(desk, clock)
    claimed = await converse(desk, "hi", "hello")
    where = claimed.conversation.id
    answer = (await talks.open(LI, where)).history.entries[-1]
    assert isinstance(answer, HistoryMessage)
    assert answer.delivery is not None
    assert answer.delivery.state == "sent"
    await desk.mark_read(where, 2)
    (seen,) = await talks.messages(LI, where, [answer.id])
    assert seen.delivery is not None
    assert seen.delivery.state == "read"


async def test_buttons_files_and_odd_words_are_shown_as_they_are(desk: SqlStore, clock: SetClock) -> None:
    talks = _talks(desk, clock)
    odd = "<script>alert(1)</script>\u202e\U0001f600" * 50
    where = await wrote(desk, odd)
    await desk.accept([said(Button("yes", label="Yes"), channel="telegram")])
    await desk.accept([said(Media("document", "f1", "look", "../../etc/passwd"), channel="telegram")])
    words, pressed, file = (await talks.open(LI, where)).history.entries
    assert isinstance(words, HistoryMessage)
    assert isinstance(pressed, HistoryMessage)
    assert isinstance(file, HistoryMessage)
    assert (words.text, pressed.text, pressed.kind, file.text) == (odd, "Yes", "button", "look")
    assert [(item.kind, item.state, item.url) for item in file.files] == [("document", "gone", "")]


async def test_the_window_counts_down_where_replies_are_counted(desk: SqlStore, clock: SetClock) -> None:
    counted = Capabilities("wechat", 600, "utf8", 0, False, False, False, False, is_windowed=True)
    talks = _talks(desk, clock, wechat=counted)
    where = await wrote(desk, channel="wechat", opens=ReplyWindow("message", 5, timedelta(hours=48)))
    free = await wrote(desk, user="tom")
    window = (await talks.open(LI, where)).window
    assert (window.is_counted, window.left, window.closes_at) == (True, 5, START + timedelta(hours=48))
    clock.advance(hours=49)
    assert (await talks.window(LI, where)).left == 0
    assert not (await talks.window(LI, free)).is_counted


async def test_whose_local_time_it_is(desk: SqlStore, clock: SetClock) -> None:
    talks = _talks(desk, clock)
    where = await wrote(desk)
    view = await talks.open(LI, where)
    assert (view.zone, view.zone_is_own) == ("Europe/London", False)


async def test_unread_is_what_came_after_what_was_seen(desk: SqlStore, clock: SetClock) -> None:
    talks, inbox = _talks(desk, clock), InboxDesk(desk.database)
    await staff(desk, LI, WU)
    where = await wrote(desk)
    assert (await inbox.row(LI, where)).is_unread
    await talks.seen(LI, where, 1)
    assert not (await inbox.row(LI, where)).is_unread
    assert (await inbox.row(WU, where)).is_unread
    await wrote(desk, "more")
    await talks.seen(LI, where, 2)
    await talks.seen(LI, where, 1)
    assert not (await inbox.row(LI, where)).is_unread


async def test_what_is_set_aside_wakes_when_the_customer_writes(desk: SqlStore, clock: SetClock) -> None:
    talks, inbox = _talks(desk, clock), InboxDesk(desk.database)
    where = await held(desk, LI)
    until = clock.at + timedelta(days=1)
    await talks.snooze(LI, where, until, fence=1)
    assert (await inbox.row(LI, where)).snoozed_until == until
    await take_turn(desk)  # what was waiting for its turn does not wake it
    assert (await row_of(desk, where)).status == "snoozed"
    await wrote(desk, "again")
    row = await row_of(desk, where)
    assert (row.status, row.snoozed_until) == ("open", None)


async def test_a_closed_conversation_is_found_by_whoever_had_it_and_opens_by_itself(
    desk: SqlStore, clock: SetClock
) -> None:
    talks, inbox = _talks(desk, clock), InboxDesk(desk.database)
    where = await held(desk, LI, team="shop", unanswered_since=START)
    await talks.close(LI, where)
    assert [row.id for row in (await inbox.page(LI, "closed")).items] == [where]
    assert (await row_of(desk, where)).unanswered_since is None
    await wrote(desk, "one more thing")
    assert (await row_of(desk, where)).status == "open"
    await talks.close(LI, where)
    await talks.reopen(LI, where)
    assert (await row_of(desk, where)).closed_at is None


async def test_whoever_waited_in_a_closed_conversation_does_not_wait_there_when_they_write_again(
    desk: SqlStore, clock: SetClock
) -> None:
    talks, inbox = _talks(desk, clock), InboxDesk(desk.database)
    claimed = await converse(desk, "help", "ok", channel="telegram", effects=[RequestHandoff("asked")])
    where = claimed.conversation.id
    assert [row.id for row in (await inbox.page(LI, "queue")).items] == [where]
    await talks.close(LI, where)
    await wrote(desk, "thanks")
    row = await row_of(desk, where)
    assert (row.status, row.owner, row.waiting_since) == ("open", "bot", None)
    await take_turn(desk)
    assert await check(desk.database, now=clock.at) == []


async def test_closing_and_setting_aside_is_in_the_audit_log(desk: SqlStore, clock: SetClock) -> None:
    talks, where = _talks(desk, clock), await held(desk, LI)
    await talks.snooze(LI, where, clock.at + timedelta(hours=1))
    await talks.wake(LI, where)
    await talks.close(LI, where)
    await talks.reopen(LI, where)
    lines = (await AuditDesk(desk.database).lines(AUDITOR)).items
    assert {(line.actor, line.object) for line in lines} == {("li", f"conversation:{where}")}
    deeds = [line.action for line in lines][::-1]
    assert deeds == [f"conversation.{deed}" for deed in ("snooze", "wake", "close", "reopen")]


async def test_a_colleagues_conversation_is_theirs_to_close(desk: SqlStore, clock: SetClock) -> None:
    talks = _talks(desk, clock)
    where = await held(desk, LI)
    with pytest.raises(NotHolding) as refused:
        await talks.close(WU, where)
    assert (refused.value.owner, refused.value.operator) == ("operator", "li")
    with pytest.raises(StaleState):
        await talks.close(LI, where, fence=0)
    await talks.close(LEAD, where)


async def test_nobody_does_what_they_may_not_or_to_what_they_do_not_see(desk: SqlStore, clock: SetClock) -> None:
    talks = _talks(desk, clock)
    where = await wrote(desk, team="shop")
    for refused in (talks.open(LI, where), talks.seen(LI, where, 1), talks.close(LI, where), talks.present(LI, where)):
        with pytest.raises(NotFound):
            await refused
    with pytest.raises(NotPermitted):
        await talks.open(AUDITOR, where)
    for until in (clock.at, clock.at + timedelta(days=400)):
        with pytest.raises(InputError):
            await talks.snooze(WU, where, until)
    with pytest.raises(InputError):
        await talks.updates(WU, where, "")


async def test_others_see_who_is_typing(desk: SqlStore, clock: SetClock) -> None:
    signals = LocalSignals()
    talks = ConversationDesk(desk.database, an_outside(clock, signals=signals))
    where = await wrote(desk)
    heard = signals.subscribe("desk")
    await talks.present(LI, where, "typing")
    assert (await anext(heard)).payload == {"conversation_id": where, "kind": "typing", "user": "li"}
    await heard.aclose()
    with pytest.raises(InputError):
        await talks.present(LI, where, "sleeping")
