"""What a site hears of its task: the link, reminders in time; what did not arrive is staff's to see."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select, update

from bot.errors import RecipientUnreachable, ServiceError, ServiceUnavailable
from bot.service_types import ClockStart, Notice
from bot.types import OpenCase
from config.settings import Settings
from crm_sync import clocks as clock_rows
from crm_sync import site_messages
from crm_sync.cases import By
from crm_sync.codec import load_content
from crm_sync.erasure import erase_customer
from crm_sync.service_tables import clocks, site_tasks, sites, timers
from crm_sync.site_links import SiteLinks
from crm_sync.store import SqlStore
from crm_sync.tables import case_events, cases, inbox, tasks
from desk.site_work import offer_site
from frontdesk.scheduler import Scheduler
from frontdesk.signals import LocalSignals
from frontdesk.site_messenger import SiteMessenger
from tests.builders import shop
from tests.store_steps import START, SetClock, converse

DESK = "https://desk.example"
KEYS = (b"a secret key of this test",)
NUMBER = "C-1024-7"
STAFF = By("operator", START, "li-qiang")
MAIL, CHAT = ("s1", "s1@example.org", ""), ("s1", "", "telegram:default:77")


class MailServer:
    """Takes mail, or refuses it with the error it is told to raise."""

    def __init__(self) -> None:
        self.taken: list[tuple[str, str, str]] = []
        self.error: ServiceError | None = None

    async def send(self, to: str, subject: str, words: str) -> None:
        if self.error is not None:
            raise self.error
        self.taken.append((to, subject, words))


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def timed(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    store = await SqlStore.open(store_url, clock=clock)
    yield store
    await store.close()


@pytest.fixture
def mail() -> MailServer:
    return MailServer()


def a_desk(store: SqlStore, clock: SetClock, mail: MailServer | None) -> Scheduler:
    settings = Settings(public_url=DESK)
    messenger = SiteMessenger(KEYS, settings, mail)
    outside = {site_messages.KIND: messenger.deliver}
    return Scheduler(store, LocalSignals(), clock, shop, periodic=(), outside=outside)


async def a_case(store: SqlStore, *reached: tuple[str, str, str]) -> None:
    """A case that is offered to the site `s1`."""
    names = {"zh": "保定路站", "en": "Baoding Road"}
    rows = [
        {"key": key, "names": names, "email": email, "contact": contact, "updated_at": START}
        for key, email, contact in reached
    ]
    await store.database.run(lambda conn: conn.execute(insert(sites), rows) and None)
    opened = OpenCase(NUMBER, "complaint", "brakes", "2391", 3, "noise", {}, language="zh", site="s1")
    await converse(store, "hi", "ok", effects=[opened], channel="telegram")


async def rows_of(store: SqlStore, table: Any) -> list[Any]:
    return await store.database.run(lambda conn: list(conn.execute(select(table).order_by(table.c.id))), read=True)


async def notices_in(store: SqlStore) -> list[Notice]:
    rows = [row for row in await rows_of(store, inbox) if row.kind == "notice"]
    found = [load_content(row.message["content"]) for row in rows]
    return [notice for notice in found if isinstance(notice, Notice)]


async def history(store: SqlStore) -> list[str]:
    """What was noted of messages to the site."""
    return [row.kind for row in await rows_of(store, case_events) if row.kind.startswith("site_")]


async def test_a_site_with_an_e_mail_gets_the_link_it_works_with_once(
    timed: SqlStore, clock: SetClock, mail: MailServer
) -> None:
    await a_case(timed, MAIL)
    for _ in range(2):
        await a_desk(timed, clock, mail).settle()
    ((to, subject, words),) = mail.taken
    assert to == "s1@example.org"
    assert subject == f"服务任务 {NUMBER}：保定路站"
    link = re.search(rf"{DESK}/site/\S+", words)
    assert link is not None
    (task,) = await rows_of(timed, site_tasks)
    assert SiteLinks(KEYS, base_url=DESK).verify(link[0].rpartition("/")[2], clock.now()).task_id == task.id
    assert await history(timed) == ["site_told"]


async def test_a_site_with_a_chat_is_told_there_in_a_turn_of_its_own(
    timed: SqlStore, clock: SetClock, mail: MailServer
) -> None:
    contact = await converse(timed, "我是保定路站", "ok", channel="telegram", user="77")
    await a_case(timed, CHAT)
    await a_desk(timed, clock, mail).settle()
    (notice,) = await notices_in(timed)
    assert notice.template == "utter_site_task"
    assert notice.args["number"] == NUMBER
    assert notice.args["link"].startswith(f"{DESK}/site/")
    rows = [row for row in await rows_of(timed, inbox) if row.kind == "notice"]
    assert [row.conversation_id for row in rows] == [contact.conversation.id]
    assert mail.taken == []


async def test_a_site_without_either_is_staffs_to_tell_as_before(
    timed: SqlStore, clock: SetClock, mail: MailServer
) -> None:
    await a_case(timed, ("s1", "", ""))
    await a_desk(timed, clock, mail).settle()
    assert [row for row in await rows_of(timed, timers) if row.kind == site_messages.KIND] == []


@pytest.mark.parametrize(
    ("reached", "error"),
    [
        (MAIL, RecipientUnreachable("mail", "the mail server does not take this address")),
        (CHAT, None),  # nobody has ever written to us from there
    ],
)
async def test_what_cannot_arrive_is_a_task_for_the_team_and_in_the_history(
    timed: SqlStore, clock: SetClock, mail: MailServer, reached: tuple[str, str, str], error: ServiceError | None
) -> None:
    mail.error = error
    await a_case(timed, reached)
    await timed.database.run(lambda conn: conn.execute(update(cases).values(team="workshop")) and None)
    await a_desk(timed, clock, mail).settle()
    (task,) = await rows_of(timed, tasks)
    assert (task.kind, task.assignee) == ("site_not_reached", "workshop")
    assert NUMBER in task.summary
    assert await history(timed) == ["site_not_told"]


async def test_without_a_mail_server_staff_are_asked_to_tell_the_site(timed: SqlStore, clock: SetClock) -> None:
    await a_case(timed, MAIL)
    await a_desk(timed, clock, None).settle()
    (task,) = await rows_of(timed, tasks)
    assert "no mail server is configured" in task.summary


async def test_a_mail_server_that_is_away_is_tried_again_and_given_up_with_a_task(
    timed: SqlStore, clock: SetClock, mail: MailServer
) -> None:
    mail.error = ServiceUnavailable("mail", "ConnectionRefusedError")
    await a_case(timed, MAIL)
    desk = a_desk(timed, clock, mail)
    await desk.settle()
    assert await rows_of(timed, tasks) == []
    mail.error = None
    clock.advance(minutes=1)
    await desk.settle()
    assert len(mail.taken) == 1
    mail.error = ServiceUnavailable("mail", "ConnectionRefusedError")
    await offer_site(timed.database, NUMBER, "s1", shop().service, STAFF)
    for _ in range(8):
        await desk.settle()
        clock.advance(minutes=30)
    assert [task.kind for task in await rows_of(timed, tasks)] == ["site_not_reached"]


async def test_a_link_that_was_replaced_or_whose_task_is_over_is_not_sent(
    timed: SqlStore, clock: SetClock, mail: MailServer
) -> None:
    await a_case(timed, MAIL)
    await offer_site(timed.database, NUMBER, "s1", shop().service, STAFF)  # a new link: the first one is dead
    await a_desk(timed, clock, mail).settle()
    assert len(mail.taken) == 1
    await offer_site(timed.database, NUMBER, "s1", shop().service, STAFF)
    await timed.database.run(lambda conn: conn.execute(update(site_tasks).values(state="declined")) and None)
    await a_desk(timed, clock, mail).settle()
    assert len(mail.taken) == 1


async def test_the_site_of_an_erased_customer_hears_nothing(timed: SqlStore, clock: SetClock, mail: MailServer) -> None:
    await a_case(timed, MAIL)
    (case,) = await rows_of(timed, cases)
    await erase_customer(timed.database, case.customer_id)
    await a_desk(timed, clock, mail).settle()
    assert mail.taken == []


async def test_reminders_come_before_the_promise_ends_and_follow_it_when_it_moves(
    timed: SqlStore, clock: SetClock, mail: MailServer
) -> None:
    await a_case(timed, MAIL)
    (case,) = await rows_of(timed, cases)
    due_at = START + timedelta(hours=30)
    promise = ClockStart("solution", "always", 30 * 3600, due_at, due_at)
    await timed.database.run(lambda conn: clock_rows.begin(conn, [promise], START, case_id=case.id))
    desk = a_desk(timed, clock, mail)
    await desk.settle()
    assert len(mail.taken) == 1
    clock.advance(hours=6, minutes=1)  # 24 hours before
    await desk.settle()
    assert [subject for _, subject, _ in mail.taken[1:]] == [f"提醒：服务任务 {NUMBER}"]
    moved = due_at + timedelta(hours=10)
    await timed.database.run(lambda conn: conn.execute(update(clocks).values(due_at=moved)) and None)
    clock.advance(hours=22)  # 2 hours before the first promise
    await desk.settle()
    assert len(mail.taken) == 2
    clock.advance(hours=10)  # 2 hours before the one that counts now
    await desk.settle()
    assert len(mail.taken) == 3
    clock.advance(days=3)
    await desk.settle()
    assert len(mail.taken) == 3


async def test_a_site_that_is_done_is_not_reminded(timed: SqlStore, clock: SetClock, mail: MailServer) -> None:
    await a_case(timed, MAIL)
    desk = a_desk(timed, clock, mail)
    await desk.settle()
    await timed.database.run(lambda conn: conn.execute(update(site_tasks).values(state="closed")) and None)
    clock.advance(days=4)
    await desk.settle()
    assert len(mail.taken) == 1
