"""What nobody should send, and what goes wrong between browser and desk: nothing leaks, is lost, or leaves twice."""

from __future__ import annotations

import asyncio
import re
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Connection, func, select, update

from crm_sync.console_tables import operator_sends, scheduled_messages
from crm_sync.search_indexing import index_people
from crm_sync.tables import conversations, customers, messages
from tests.console.console_under_test import Browser, ConsoleUnderTest
from tests.media_files import office
from tests.staff import PASSWORD
from tests.staff_steps import change, wrote

TURNS_AROUND = "\u202egpj.exe"
EMOJI = "\U0001f469\u200d\U0001f680"
BILL = office()
WEB: dict[str, Any] = {"owner": "queue", "channel": "web"}


async def _said(console: ConsoleUnderTest) -> list[str]:
    """What staff have said to customers, in order."""
    found = select(messages.c.text).where(messages.c.author == "operator").order_by(messages.c.id)
    return list(await console.store.database.run(lambda conn: conn.execute(found).scalars().all()))


def _fence(html: str) -> str:
    return re.findall(r'name="fence" value="(\d+)"', html)[0]


async def _holding(console: ConsoleUnderTest, li: Browser, text: str = "hello?", **row: Any) -> tuple[int, str]:
    """The customer wrote and `li` has taken it: the conversation and its fence."""
    talk = await wrote(console.store, text, waiting_since=console.clock.now(), **{**WEB, **row})
    return talk, _fence((await li.do(f"/console/inbox/{talk}/take", fence=0)).text)


# --- what customers write ---------------------------------------------------------------------------------------------


async def test_a_name_that_turns_the_line_around_turns_nothing_but_itself(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "hello", **WEB)

    def unit(conn: Connection) -> None:
        conn.execute(update(customers).values(name=TURNS_AROUND))
        index_people(conn, conn.execute(select(customers.c.id)).scalars().all())

    await console.store.database.run(unit)
    lena = await console.enter("lena", "supervisor")
    page = (await lena.page(f"/console/inbox/{talk}?list=all")).text
    found = (await lena.do("/console/inbox/search", q="gpj")).text
    for html in (page, found):
        shown = re.findall(f".{{5}}{TURNS_AROUND}", re.sub(r'"[^"]*"|<title>.*?</title>', "", html))
        assert shown
        assert set(shown) == {f"<bdi>{TURNS_AROUND}"}


async def test_a_conversation_of_twenty_thousand_emoji_opens(console: ConsoleUnderTest) -> None:
    said = (EMOJI * 7000)[:20_000]
    talk = await wrote(console.store, said, **WEB)
    li = await console.enter()
    assert said in (await li.page(f"/console/inbox/{talk}?list=all")).text


async def test_a_million_emoji_from_the_composer_are_refused_and_nothing_is_sent(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    talk, fence = await _holding(console, li)
    fields = {"text": "\U0001f600" * 1_000_000, "client_id": "1", "fence": fence}
    refused = await li.do(f"/console/inbox/{talk}/say", **fields)
    assert refused.status_code == 422
    headers = {"x-part": "1", "x-csrf": li.csrf}
    in_parts = await li.http.post(
        f"/console/inbox/{talk}/say", data=fields, files={"file": ("a.txt", b"a")}, headers=headers
    )
    assert in_parts.status_code == 422
    assert await _said(console) == []
    fits = await li.do(f"/console/inbox/{talk}/say", **{**fields, "text": "\U0001f600" * 20_000})
    assert fits.status_code == 200


async def test_a_file_named_like_a_path_is_sent_under_its_last_part(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    talk, fence = await _holding(console, li)
    sent = await _with_file(li, talk, fence, name=f"../../etc/{TURNS_AROUND}/bill.docx")
    assert sent.status_code == 200, sent.text
    page = (await li.page(f"/console/inbox/{talk}")).text
    assert "<bdi>bill.docx</bdi>" in page
    assert "etc" not in page.split('id="talk"')[1].split('id="composer"')[0]


# --- whose session, whose conversation --------------------------------------------------------------------------------


async def test_nothing_of_another_teams_conversation_is_there_on_any_route(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "hello?", **WEB, team="quality", waiting_since=console.clock.now())
    li = await console.enter()
    await li.page("/console/inbox")
    fields = {"fence": 0, "text": "x", "client_id": "1", "message": 1, "outbox": 1, "scheduled": 1, "until": "hour"}
    fields |= {"to": "person:li", "q": "x", "outcome": "solved"}
    tried = 0
    for route in console.app.routes:
        path, methods = getattr(route, "path", ""), getattr(route, "methods", None) or ()
        if not path.startswith("/console/inbox/{id:int}") or path.endswith(("/people", "/canned", "/test")):
            continue  # those give nothing of the conversation, or are not the console's
        address = path.replace("{id:int}", str(talk))
        if "POST" in methods:
            answer = await li.do(address, **fields)
        else:
            answer = await li.http.get(address, params={"message": "1"}, headers={"x-part": "1"})
        assert answer.status_code == 404, (address, answer.text)
        tried += 1
    assert tried >= 20
    assert await _said(console) == []


async def test_a_session_that_is_over_sends_nothing_and_the_words_are_asked_for_again(
    console: ConsoleUnderTest,
) -> None:
    li = await console.enter()
    talk, fence = await _holding(console, li)
    console.clock.advance(hours=13)
    late = await li.do(f"/console/inbox/{talk}/say", text="late", client_id="1", fence=fence)
    assert late.status_code == 401
    assert (await li.page(f"/console/inbox/{talk}")).headers["location"].startswith("/console/sign-in?next=")
    assert await _said(console) == []


async def test_a_stolen_session_is_worth_nothing_once_its_owner_has_changed_the_password(
    console: ConsoleUnderTest,
) -> None:
    li = await console.enter()
    await li.page("/console/me")
    thief = Browser(console.browser("en"), li.csrf)
    thief.http.cookies.update(li.http.cookies)
    assert (await thief.page("/console/inbox")).status_code == 200
    new = f"{PASSWORD} and more"
    changed = await li.post("/console/me/password", password=PASSWORD, new_password=new, again=new)
    assert changed.status_code == 303, changed.text
    assert (await thief.page("/console/inbox")).status_code == 303
    assert (await thief.do("/console/presence", state="online")).status_code == 401
    assert (await li.page("/console/inbox")).status_code == 200


async def test_no_page_may_be_framed_whatever_it_answers(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store)
    boss, stranger = await console.enter("boss", "admin"), console.browser()
    for browser in (boss.http, stranger):
        for path in ("sign-in", "inbox", f"inbox/{talk}", "inbox/999", "cases", "customers", "reports/volume", "me"):
            answer = await browser.get(f"/console/{path}")
            assert answer.headers["x-frame-options"] == "DENY", path
            assert "frame-ancestors 'none'" in answer.headers["content-security-policy"], path
            assert answer.headers["cache-control"] == "no-store", path


async def test_fields_that_a_form_does_not_have_change_nothing(console: ConsoleUnderTest) -> None:
    await console.enter("wu", "supervisor")
    li = await console.enter()
    talk = await wrote(console.store, "hello?", waiting_since=console.clock.now(), **WEB)
    slipped = {"operator": "wu", "owner": "bot", "team": "shop", "priority": 99, "by": "wu", "author": "bot", "id": 7}
    taken = await li.do(f"/console/inbox/{talk}/take", fence=0, **slipped)
    said = await li.do(f"/console/inbox/{talk}/say", text="hi", client_id="1", fence=_fence(taken.text), **slipped)
    assert said.status_code == 200
    row = select(conversations.c.operator, conversations.c.owner, conversations.c.team, conversations.c.priority)
    assert (await console.store.database.run(lambda conn: conn.execute(row).one())) == ("li", "operator", "", 0)
    whose = select(messages.c.by).where(messages.c.author == "operator")
    assert (await console.store.database.run(lambda conn: conn.execute(whose).scalars().all())) == ["li"]


# --- twice, at once, late ---------------------------------------------------------------------------------------------


async def test_of_two_operators_who_answer_at_once_one_is_told_and_keeps_the_words(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "hello?", waiting_since=console.clock.now(), **WEB)
    li, wu = await console.enter(), await console.enter("wu")
    for browser in (li, wu):
        await browser.page(f"/console/inbox/{talk}")
    path = f"/console/inbox/{talk}/say"
    answers = await asyncio.gather(
        li.do(path, text="from li", client_id="1", fence=0), wu.do(path, text="from wu", client_id="1", fence=0)
    )
    assert sorted(answer.status_code for answer in answers) in ([200, 409], [200, 422])
    assert len(await _said(console)) == 1


async def test_a_send_whose_answer_was_lost_is_one_send_with_its_file_too(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    talk, fence = await _holding(console, li)
    for _ in range(2):
        sent = await _with_file(li, talk, fence)
        assert sent.status_code == 200, sent.text
    assert await _said(console) == ["here it is"]
    other = await _with_file(li, talk, fence, text="and this too")
    assert other.status_code == 422
    assert "has arrived after all" in other.text
    assert await _said(console) == ["here it is"]


async def test_a_file_alone_answers_a_waiting_chat(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "the bill please", waiting_since=console.clock.now(), **WEB)
    li = await console.enter()
    await li.page(f"/console/inbox/{talk}")
    sent = await _with_file(li, talk, "0", text="")
    assert sent.status_code == 200, sent.text
    assert "You answer" in sent.text


async def test_words_planned_twice_are_planned_once(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    talk, fence = await _holding(console, li)
    at = (console.clock.now() + timedelta(days=1, hours=8)).strftime("%Y-%m-%dT%H:%M")
    for number in range(2):
        fields = {"text": "as promised", "client_id": str(number), "fence": fence, "at": at}
        assert (await li.do(f"/console/inbox/{talk}/say", **fields)).status_code == 200
        assert (await _with_file(li, talk, fence, at=at)).status_code == 200
    count = select(func.count()).select_from(scheduled_messages)
    assert await console.store.database.run(lambda conn: conn.execute(count).scalar_one()) == 2


async def test_without_the_script_pressing_twice_says_it_once(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    talk, fence = await _holding(console, li)
    page = (await li.page(f"/console/inbox/{talk}")).text
    (attempt,) = re.findall(r'name="client_id" value="([^"]+)"', page)
    fields = {"csrf": li.csrf, "text": "good morning", "client_id": attempt, "fence": fence}
    for _ in range(2):
        assert (await li.http.post(f"/console/inbox/{talk}/say", data=fields)).status_code == 303
    assert await _said(console) == ["good morning"]
    again = (await li.page(f"/console/inbox/{talk}")).text
    assert f'value="{attempt}"' not in again


async def test_whoever_was_offline_for_an_hour_sends_once_after_taking_it_again(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    talk, fence = await _holding(console, li)
    console.clock.advance(hours=1)
    await change(console.store, talk, owner="queue", operator="", fence=int(fence) + 1)  # their lease was over
    late = {"text": "half a sentence", "client_id": "1"}
    path = f"/console/inbox/{talk}/say"
    assert (await li.do(path, **late, fence=fence)).status_code == 401  # locked meanwhile
    door = (await li.http.get("/console/sign-in")).text
    csrf = re.findall(r'name="csrf" value="([^"]+)"', door)[0]
    unlocked = {"step": "unlock", "password": PASSWORD, "csrf": csrf}
    assert (await li.http.post("/console/sign-in", data=unlocked)).status_code == 303
    await li.page("/console/me")
    assert (await li.do(path, **late, fence=fence)).status_code in (409, 422)
    assert await _said(console) == []
    fence = _fence((await li.page(f"/console/inbox/{talk}")).text)
    for _ in range(2):
        assert (await li.do(f"/console/inbox/{talk}/say", **late, fence=fence)).status_code == 200
    assert await _said(console) == ["half a sentence"]
    count = select(func.count()).select_from(operator_sends)
    assert await console.store.database.run(lambda conn: conn.execute(count).scalar_one()) == 1


@pytest.mark.parametrize("value", ["-1", "1e3", "9" * 19, "0x10", "٣"])
async def test_a_number_that_is_none_is_refused(console: ConsoleUnderTest, value: str) -> None:
    li = await console.enter()
    talk, _ = await _holding(console, li)
    refused = await li.do(f"/console/inbox/{talk}/say", text="hi", client_id="1", fence=value)
    assert refused.status_code in (409, 422)
    assert await _said(console) == []


async def _with_file(
    li: Browser, talk: int, fence: str, *, name: str = "bill.docx", text: str = "here it is", at: str = ""
) -> httpx.Response:
    fields = {"text": text, "client_id": "with-file", "fence": fence, "at": at}
    headers = {"x-part": "1", "x-csrf": li.csrf}
    return await li.http.post(f"/console/inbox/{talk}/say", data=fields, files={"file": (name, BILL)}, headers=headers)
