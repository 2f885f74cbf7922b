"""The inbox's pages: what is shown to whom, taking and answering, and what forged, stale or foreign requests get."""

from __future__ import annotations

import re
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from bot.types import ReplyWindow
from crm_sync.tables import conversations, customers
from tests.console.console_under_test import ConsoleUnderTest
from tests.staff_steps import change, wrote

XSS = '<script>alert("1")</script>'


async def test_who_is_not_signed_in_is_sent_to_the_door_and_back(console: ConsoleUnderTest) -> None:
    stranger = console.browser()
    answer = await stranger.get("/console/inbox?list=queue")
    assert answer.status_code == 303
    assert answer.headers["location"] == "/console/sign-in?next=%2Fconsole%2Finbox%3Flist%3Dqueue"
    assert (await stranger.get("/console/inbox", headers={"x-part": "1"})).status_code == 401
    assert (await stranger.post("/console/inbox/1/take")).status_code == 401
    assert (await stranger.get("/console/live")).status_code in (303, 401)


@pytest.mark.parametrize("address", ["https://evil.example/", "//evil.example", "/console/\\evil", "/elsewhere"])
async def test_the_door_sends_nobody_to_another_place(console: ConsoleUnderTest, address: str) -> None:
    li = await console.enter()
    answer = await li.http.get("/console/sign-in", params={"next": address})
    assert answer.headers["location"] == "/console"


async def test_what_customers_wrote_is_shown_and_never_run(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, f"{XSS} \u202eevil", owner="queue", waiting_since=console.clock.now())
    li = await console.enter()
    page = await li.page(f"/console/inbox/{talk}?list=queue")
    assert page.status_code == 200
    assert "&lt;script&gt;" in page.text
    assert XSS not in page.text
    assert "script-src 'self'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"


async def test_who_has_no_name_is_called_by_the_number_they_gave_or_one_of_ours(console: ConsoleUnderTest) -> None:
    phoned, unknown = [await wrote(console.store, "hello", user=user, channel="web") for user in ("ann", "ben")]
    who = select(conversations.c.id, conversations.c.customer_id)
    people = {row.id: row.customer_id for row in await console.store.database.run(lambda conn: conn.execute(who).all())}
    number = update(customers).where(customers.c.id == people[phoned]).values(phone="+8613800138000")
    await console.store.database.run(lambda conn: conn.execute(number))
    lena = await console.enter("lena", "supervisor")
    shown = (await lena.page("/console/inbox?list=all")).text
    assert "+86138****8000" in shown
    assert "+8613800138000" not in shown
    assert f"Visitor {people[unknown]} " in shown.replace("<", " <")
    panel = (await lena.page(f"/console/inbox/{unknown}?list=all")).text
    assert f"<h2><bdi>Visitor {people[unknown]}</bdi>" in panel


async def test_the_replies_left_count_down_to_their_end(console: ConsoleUnderTest) -> None:
    window = ReplyWindow("message", 5, timedelta(hours=48))
    talk = await wrote(console.store, channel="kf", opens=window)
    li = await console.enter()
    page = (await li.page(f"/console/inbox/{talk}?list=all")).text
    (over, ends, left) = re.findall(r'<time data-age="left" data-over="([^"]+)" datetime="([^"]+)">([^<]+)<', page)[0]
    assert "5 replies left," in page
    assert (ends, left) == ((console.clock.now() + window.lasts).isoformat(), "2 d")
    assert over == "No reply is allowed until the customer writes again"


async def test_what_a_customer_said_is_translated_for_who_reads_it(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, ">b< olleh", owner="queue")
    li = await console.enter()
    page = (await li.page(f"/console/inbox/{talk}?list=all")).text
    (message,) = re.findall(r'id="t-(\d+)"', page)
    told = await li.do(f"/console/inbox/{talk}/translate", message=message)
    assert f'data-into="#t-{message}"' in told.text
    assert "<bdi>en:hello &lt;b&gt;</bdi>" in told.text
    assert (await li.do(f"/console/inbox/{talk}/translate", message=999)).status_code == 404


async def test_a_waiting_chat_is_taken_and_answered_once(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "I need a person", owner="queue", waiting_since=console.clock.now())
    li = await console.enter()
    await li.page(f"/console/inbox/{talk}?list=queue")
    taken = await li.do(f"/console/inbox/{talk}/take", fence=0)
    assert taken.status_code == 200
    assert "You answer" in taken.text
    fence = _fence(taken.text)
    for _ in range(2):
        said = await li.do(f"/console/inbox/{talk}/say", text="Good morning", client_id="one", fence=fence)
        assert said.status_code == 200
    page = await li.page(f"/console/inbox/{talk}")
    assert page.text.count('class="said out operator') == 1
    assert '<div class="bubble">Good morning</div>' in page.text


async def test_answering_a_waiting_chat_takes_it(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "hello?", owner="queue", waiting_since=console.clock.now())
    li = await console.enter()
    said = await li.do(f"/console/inbox/{talk}/say", text="Here I am", client_id="one", fence=0)
    assert said.status_code == 200
    assert "You answer" in said.text


async def test_who_was_slower_is_told_and_nothing_is_sent(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "hello?", owner="queue", waiting_since=console.clock.now())
    li, wu = await console.enter(), await console.enter("wu")
    assert (await wu.do(f"/console/inbox/{talk}/take", fence=0)).status_code == 200
    late = await li.do(f"/console/inbox/{talk}/say", text="Here I am", client_id="one", fence=0)
    assert late.status_code in (409, 422)
    assert "Here I am" not in (await wu.page(f"/console/inbox/{talk}")).text


async def test_another_teams_conversation_is_not_there(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "hello?", owner="queue", team="quality", waiting_since=console.clock.now())
    li = await console.enter()
    for path in (f"/console/inbox/{talk}", f"/console/inbox/{talk}/older", "/console/inbox/999"):
        assert (await li.page(path)).status_code == 404
    assert (await li.do(f"/console/inbox/{talk}/take", fence=0)).status_code == 404


async def test_a_form_of_another_page_does_nothing(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "hello?", owner="queue", waiting_since=console.clock.now())
    li = await console.enter()
    for headers in ({}, {"x-csrf": "forged"}):
        answer = await li.http.post(f"/console/inbox/{talk}/take", data={"fence": "0"}, headers=headers)
        assert answer.status_code == 403
    page = await li.page(f"/console/inbox/{talk}")
    assert "Waits for a person" in page.text


@pytest.mark.parametrize("role", ["auditor"])
async def test_a_role_without_the_right_sees_no_conversation(console: ConsoleUnderTest, role: str) -> None:
    talk = await wrote(console.store)
    hu = await console.enter("hu", role)
    assert (await hu.page("/console/inbox")).status_code == 403
    assert (await hu.page(f"/console/inbox/{talk}")).status_code == 403


async def test_a_viewer_reads_and_cannot_act(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store)
    gu = await console.enter("gu", "viewer")
    page = await gu.page(f"/console/inbox/{talk}")
    assert page.status_code == 200
    assert 'id="reply"' not in page.text
    assert (await gu.do(f"/console/inbox/{talk}/take", fence=0)).status_code == 403


@pytest.mark.parametrize(
    "fields",
    [
        {"text": "", "client_id": "1"},
        {"text": "x" * 20_001, "client_id": "1"},
        {"text": "hi", "client_id": ""},
        {"text": "hi", "client_id": "1", "fence": "many"},
        {"text": "hi", "client_id": "1", "at": "yesterday"},
    ],
)
async def test_what_cannot_be_sent_is_refused_in_words(console: ConsoleUnderTest, fields: dict[str, str]) -> None:
    talk = await wrote(console.store)
    li = await console.enter()
    taken = await li.do(f"/console/inbox/{talk}/take", fence=0)
    answer = await li.do(f"/console/inbox/{talk}/say", **{"fence": _fence(taken.text), **fields})
    assert answer.status_code == 422
    assert "data-toast" in answer.text


async def test_a_list_goes_on_where_its_page_ends(console: ConsoleUnderTest) -> None:
    talks = [await wrote(console.store, f"hello {number}", user=f"u{number}") for number in range(60)]
    for number, talk in enumerate(talks):
        console.clock.advance(seconds=1)
        await change(console.store, talk, last_message_at=console.clock.now())
        assert number < 60
    li = await console.enter()
    page = await li.page("/console/inbox?list=all")
    (more,) = re.findall(r'data-more="([^"]+)"', page.text)
    rest = await li.part(more.replace("&amp;", "&"))
    shown = re.findall(r'id="row-(\d+)"', page.text) + re.findall(r'id="row-(\d+)"', rest.text)
    assert [int(row) for row in shown] == talks[::-1]


async def test_the_words_are_chinese_for_who_wants_them(console: ConsoleUnderTest) -> None:
    await wrote(console.store, "您好", owner="queue", waiting_since=console.clock.now())
    li = await console.enter(language="zh")
    page = await li.page("/console/inbox?list=queue")
    assert 'lang="zh-CN"' in page.text
    assert "排队" in page.text
    assert "Queue" not in page.text


async def test_signing_out_ends_the_session(console: ConsoleUnderTest) -> None:
    li = await console.enter()
    await li.page("/console/inbox")
    assert (await li.http.post("/console/sign-out", data={"csrf": li.csrf})).status_code == 303
    assert (await li.page("/console/inbox")).status_code == 303


async def test_a_wrong_password_says_nothing_of_whether_the_name_exists(console: ConsoleUnderTest) -> None:
    await console.enter("li")
    pages = []
    for name in ("li", "nobody"):
        fields = {"step": "password", "name": name, "password": "wrong"}
        answer = await console.browser().post("/console/sign-in", data=fields)
        assert answer.status_code == 401
        pages.append(answer.text.replace(f'value="{name}"', ""))
    assert pages[0] == pages[1]


async def test_why_the_bot_understood_it_so_is_shown_by_what_it_was_taught(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "olleh", owner="queue")
    li = await console.enter()
    near = await li.part(f"/console/inbox/{talk}/nearest?message=1")
    assert 'data-into="#near-1"' in near.text
    assert '<bdi>&lt;i&gt;hello&lt;/i&gt;</bdi> <span class="meta">greeting 0.50</span>' in near.text
    assert (await li.part(f"/console/inbox/{talk}/nearest?message=99")).status_code == 404
    assert (await li.part(f"/console/inbox/{talk}/nearest")).status_code == 422


async def test_the_customers_clock_goes_on_beside_ours_where_it_is_another(console: ConsoleUnderTest) -> None:
    talk = await wrote(console.store, "hello")
    li = await console.enter()
    assert "data-clock" not in (await li.page(f"/console/inbox/{talk}")).text
    lives = update(customers).values(timezone="Europe/London")
    await console.store.database.run(lambda conn: conn.execute(lives))
    there = console.clock.now().astimezone(ZoneInfo("Europe/London"))
    shown = f'<time data-clock="Europe/London">{there:%H:%M}</time>'
    assert shown in (await li.page(f"/console/inbox/{talk}")).text


def _fence(html: str) -> str:
    found = re.search(r'name="fence" value="(\d+)"', html)
    assert found is not None
    return found[1]
