"""The main job of an operator in a real browser: seeing who waits, taking, answering by keyboard alone, in trouble."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyotp
import pytest
import pytest_asyncio
from playwright.async_api import expect

from bot.types import ReplyWindow
from frontdesk.clock import SystemClock
from tests.browser.conftest import keep_picture
from tests.browser.running_console import RunningConsole
from tests.staff import PASSWORD
from tests.staff_steps import change, many, row_of, wrote
from tests.store_steps import converse

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page, Route

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]
WITHIN_MS = 15_000


@pytest_asyncio.fixture(loop_scope="package")
async def page(browser: Browser, desk: RunningConsole) -> AsyncIterator[Page]:
    context = await browser.new_context(viewport={"width": 1440, "height": 900}, locale="en-US")
    opened = await context.new_page()
    opened.set_default_timeout(WITHIN_MS)
    errors: list[str] = []
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    await context.close()
    assert errors == []


async def _waits(desk: RunningConsole, text: str, **more: Any) -> int:
    talk = await wrote(desk.store, text, owner="queue", waiting_since=SystemClock().now(), channel="web", **more)
    desk.tell(talk)
    return talk


async def _until(is_so: Callable[[], bool]) -> None:
    async with asyncio.timeout(WITHIN_MS / 1000):
        while not is_so():  # noqa: ASYNC110 - the hub has no event for who listens
            await asyncio.sleep(0.02)


async def _looks(page: Page, *, away: bool) -> None:
    """The browser tells the page that its tab is in the background, or in front again."""
    told = "away => { Object.defineProperty(document, 'hidden', {value: away, configurable: true});"
    await page.evaluate(f"{told} document.dispatchEvent(new Event('visibilitychange')); }}", away)


async def test_a_waiting_customer_appears_is_taken_and_answered_by_keyboard_alone(
    desk: RunningConsole, page: Page
) -> None:
    await desk.enter(page)
    await page.goto(f"{desk.url}/console/inbox?list=queue")
    await expect(page.locator("#rows .empty")).to_contain_text("No one is waiting")
    talk = await _waits(desk, "I need a person")
    await expect(page.locator(f"#row-{talk}")).to_contain_text("I need a person", timeout=WITHIN_MS)
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("#talk")).to_contain_text("I need a person")
    await page.keyboard.press("r")
    await page.keyboard.type("Good morning, how can I help?")
    await page.keyboard.press("Enter")
    await expect(page.locator(".said.operator .bubble")).to_have_text(
        "Good morning, how can I help?", timeout=WITHIN_MS
    )
    await expect(page.locator("#head")).to_contain_text("You answer")
    await expect(page.locator("#reply")).to_have_value("")
    await expect(page.locator(f"#row-{talk}")).to_have_count(0)


async def test_what_the_customer_says_next_comes_by_itself(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    talk = await _waits(desk, "first")
    await page.goto(f"{desk.url}/console/inbox/{talk}?list=all")
    await expect(page.locator("#talk")).to_contain_text("first")
    await wrote(desk.store, "second", channel="web")
    desk.tell(talk)
    await expect(page.locator("#talk .said").last).to_contain_text("second", timeout=WITHIN_MS)
    await expect(page.locator(f"#row-{talk}")).to_contain_text("second", timeout=WITHIN_MS)


async def test_the_time_left_to_reply_runs_out_on_the_page(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    talk = await wrote(desk.store, "hi", channel="kf", opens=ReplyWindow("menu", 3, timedelta(minutes=5)))
    await page.clock.install()
    await page.goto(f"{desk.url}/console/inbox/{talk}?list=all")
    await expect(page.locator("#window")).to_contain_text("3 replies left, 4 min")
    await page.clock.run_for(270_000)
    await expect(page.locator("#window")).to_contain_text(re.compile(r"3 replies left, \d\d? s"))
    await page.clock.run_for(60_000)
    await expect(page.locator("#window.bad")).to_have_text("No reply is allowed until the customer writes again")


async def test_a_draft_outlives_a_restart_and_a_reload(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    talk = await _waits(desk, "hello")
    await page.goto(f"{desk.url}/console/inbox/{talk}")
    await page.fill("#reply", "half a sent")
    await desk.stop()
    await expect(page.locator("#offline")).to_be_visible(timeout=WITHIN_MS)
    await page.locator("#reply").press_sequentially("ence")
    await desk.start()
    await expect(page.locator("#offline")).to_be_hidden(timeout=WITHIN_MS)
    await expect(page.locator("#reply")).to_have_value("half a sentence")
    await page.reload()
    await expect(page.locator("#reply")).to_have_value("half a sentence")


async def test_what_was_written_offline_or_lost_its_answer_leaves_once_also_after_a_reload(
    desk: RunningConsole, page: Page
) -> None:
    await desk.enter(page)
    talk = await _waits(desk, "hello")
    await page.goto(f"{desk.url}/console/inbox/{talk}")
    await page.context.set_offline(True)
    await page.fill("#reply", "Good morning")
    await page.press("#reply", "Enter")
    await expect(page.locator(".toast")).to_be_visible()
    await expect(page.locator("#reply")).to_have_value("Good morning")
    await page.context.set_offline(False)

    async def lose(route: Route) -> None:
        await route.fetch()  # the desk has it; the browser never hears of that
        await route.abort()

    await page.route("**/say", lose)
    await page.press("#reply", "Enter")
    said = page.locator("#talk .said.operator .bubble")
    await expect(said).to_have_text("Good morning", timeout=WITHIN_MS)
    await page.unroute("**/say")
    await page.reload()
    await expect(page.locator("#reply")).to_have_value("Good morning")
    await page.press("#reply", "Enter")
    await expect(page.locator("#reply")).to_have_value("")
    await page.fill("#reply", "And now?")
    await page.press("#reply", "Enter")
    await expect(said).to_have_text(["Good morning", "And now?"], timeout=WITHIN_MS)


async def test_why_the_bot_understood_it_so_is_read_when_it_is_opened(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    talk = await converse(desk.store, "olleh", "bot answer")
    await page.goto(f"{desk.url}/console/inbox/{talk.conversation.id}?list=all")
    await page.click("#talk details.understood summary")
    await expect(page.locator("#talk details.understood")).to_contain_text("hello</i> greeting 0.50")


async def test_a_second_factor_is_set_up_and_asked_for_and_the_desk_is_chinese(
    desk: RunningConsole, page: Page
) -> None:
    await desk.enter(page, language="zh")
    await page.goto(f"{desk.url}/console/me")
    await page.click('form[action="/console/me/second-factor"] button')
    secret = await page.locator(".code").first.inner_text()
    codes = pyotp.TOTP(secret)
    await page.fill('form[action$="/confirm"] [name=code]', codes.at(SystemClock().now()))
    await page.click('form[action$="/confirm"] button.primary')
    await keep_picture(page, "console-recovery-codes-zh")
    await page.goto(f"{desk.url}/console/me")
    await page.click('form[action="/console/sign-out"] button')
    await page.fill("[name=name]", "li")
    await page.fill("[name=password]", PASSWORD)
    await page.click("button.primary")
    await page.fill("[name=code]", codes.at(SystemClock().now(), counter_offset=1))  # each serves once
    await page.click("button.primary")
    talk = await _waits(desk, "在吗")
    await page.goto(f"{desk.url}/console/inbox?list=queue")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await expect(page.locator("#talk")).to_contain_text("在吗")
    await page.keyboard.press("r")
    await page.keyboard.type("在的，请讲")
    await page.keyboard.press("Enter")
    await expect(page.locator(".said.operator .bubble")).to_have_text("在的，请讲", timeout=WITHIN_MS)
    assert await page.locator("html").get_attribute("lang") == "zh-CN"
    await keep_picture(page, "console-inbox-zh")
    assert talk


async def test_of_the_tabs_nobody_looks_at_one_keeps_its_stream_and_the_others_catch_up(
    desk: RunningConsole, page: Page
) -> None:
    await desk.enter(page)
    await page.goto(f"{desk.url}/console/inbox?list=queue")
    await expect(page.locator("#rows .empty")).to_be_visible()
    other = await page.context.new_page()
    await other.clock.install()
    await other.goto(f"{desk.url}/console/inbox?list=queue")
    await expect(other.locator("#rows .empty")).to_be_visible()
    streams = desk.console.hub.listeners
    await _until(lambda: len(streams) == 2)
    await _looks(page, away=True)
    await _looks(other, away=True)
    await other.clock.run_for(6_000)
    await _until(lambda: len(streams) == 1)
    await expect(page.locator("#offline")).to_be_hidden()
    talk = await _waits(desk, "I need a person")
    await expect(page.locator(f"#row-{talk}")).to_have_count(1, timeout=WITHIN_MS)
    await expect(other.locator(f"#row-{talk}")).to_have_count(0)
    await _looks(other, away=False)
    await expect(other.locator(f"#row-{talk}")).to_have_count(1, timeout=WITHIN_MS)
    await expect(other.locator("#rows .empty")).to_be_hidden()


async def _a_tab_without_stream(desk: RunningConsole, page: Page) -> Page:
    """A second tab on the queue that nobody looks at; the stream is that of the first one, which is signed in."""
    await desk.enter(page)
    other = await page.context.new_page()
    await other.clock.install()
    await other.goto(f"{desk.url}/console/inbox?list=queue")
    streams = desk.console.hub.listeners
    await _until(lambda: len(streams) == 2)
    await _looks(other, away=True)
    await other.clock.run_for(6_000)
    await _until(lambda: len(streams) == 1)
    return other


async def test_a_tab_that_looked_away_keeps_the_stream_when_the_one_that_had_it_is_gone(
    desk: RunningConsole, page: Page
) -> None:
    other, streams = await _a_tab_without_stream(desk, page), desk.console.hub.listeners
    await page.goto("about:blank")
    await _until(lambda: len(streams) == 1)
    talk = await _waits(desk, "I need a person")
    await expect(other.locator(f"#row-{talk}")).to_have_count(1, timeout=WITHIN_MS)


async def test_a_row_told_while_the_list_is_asked_for_anew_outlives_the_older_answer(
    desk: RunningConsole, page: Page
) -> None:
    other = await _a_tab_without_stream(desk, page)
    talks: list[int] = []

    async def late(route: Route) -> None:
        older = await route.fetch()
        talks.append(await _waits(desk, "I need a person"))
        await expect(other.locator(f"#row-{talks[0]}")).to_have_count(1, timeout=WITHIN_MS)
        await route.fulfill(response=older)

    await other.route("**/inbox/rows?*", late)
    async with other.expect_response("**/inbox/rows?*") as answered:
        await _looks(other, away=False)
    await (await answered.value).finished()
    await other.evaluate("new Promise(done => setTimeout(done))")  # the page has dealt with the answer
    await expect(other.locator(f"#row-{talks[0]}")).to_have_count(1, timeout=WITHIN_MS)


async def test_every_list_is_in_view_on_a_desktop(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    for width in (1440, 1280):
        await page.set_viewport_size({"width": width, "height": 800})
        await page.goto(f"{desk.url}/console/inbox?list=all")
        cut = "tabs => tabs.scrollWidth > tabs.clientWidth"
        assert await page.locator("#tabs a").count() == 6
        assert not await page.locator("#tabs").evaluate(cut)


async def test_ten_thousand_conversations_leave_at_most_200_rows_in_the_page(desk: RunningConsole, page: Page) -> None:
    await desk.store.database.run(lambda conn: many(conn, 1_000))
    await desk.enter(page)
    await page.goto(f"{desk.url}/console/inbox?list=all")
    for _ in range(12):
        before = await page.evaluate("document.querySelector('#rows').scrollHeight")
        await page.evaluate("document.querySelector('#rows').scrollTop = 1e7")
        await page.wait_for_function(
            "before => document.querySelector('#rows').scrollHeight > before", arg=before, timeout=WITHIN_MS
        )
    assert await page.locator("#rows .row").count() <= 250
    last = await page.locator("#rows .row").last.get_attribute("id")
    await page.evaluate("document.querySelector('#rows').scrollTop = 0")
    await expect(page.locator("#rows .row").first).to_be_visible(timeout=WITHIN_MS)
    assert last != await page.locator("#rows .row").first.get_attribute("id")


async def test_what_comes_by_itself_takes_no_dialog_or_typed_words_away(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    talk = await _waits(desk, "hello", owner_until=None)
    await page.goto(f"{desk.url}/console/inbox/{talk}")
    await page.keyboard.press("t")
    await expect(page.locator("#head")).to_contain_text("You answer")
    await page.keyboard.press("b")
    await page.fill("#return-dialog [name=summary]", "lid sent")
    await wrote(desk.store, "one thing more", channel="web", unanswered_since=SystemClock().now())
    await change(desk.store, talk, fence=7)  # what the head says of the conversation is another now
    desk.tell(talk)
    await expect(page.locator("#talk .said").last).to_contain_text("one thing more", timeout=WITHIN_MS)
    await expect(page.locator("#return-dialog [name=summary]")).to_have_value("lid sent")
    await page.locator("#return-dialog button[data-do=shut]").click()
    await expect(page.locator("#return-dialog [name=fence]").first).to_have_value("7", timeout=WITHIN_MS)


async def test_a_slow_answer_shows_the_shape_of_what_comes(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    talk = await _waits(desk, "hello")
    await page.goto(f"{desk.url}/console/inbox?list=queue")
    may_come = asyncio.Event()

    async def slowly(route: Route) -> None:
        await may_come.wait()
        await route.continue_()

    await page.route(f"**/console/inbox/{talk}?*", slowly)
    await page.click(f"#row-{talk}")
    await expect(page.locator("#conversation")).to_have_attribute("aria-busy", "true", timeout=WITHIN_MS)
    may_come.set()
    await expect(page.locator("#talk")).to_contain_text("hello", timeout=WITHIN_MS)
    assert await page.locator("#conversation").get_attribute("aria-busy") is None


async def test_a_conversation_closed_by_mistake_is_open_again_at_one_press(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    talk = await _waits(desk, "hello")
    await page.goto(f"{desk.url}/console/inbox/{talk}")
    await page.keyboard.press("t")
    await expect(page.locator("#head")).to_contain_text("You answer")
    await page.keyboard.press("e")
    await page.locator(".toast").get_by_role("button", name="Undo").click()
    await expect(page.locator("#toasts")).to_contain_text("Open again.")
    row = await row_of(desk.store, talk)
    assert (row.status, row.owner, row.operator) == ("open", "operator", "li")


async def test_two_at_once_the_slower_keeps_the_words(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    talk = await _waits(desk, "hello")
    await page.goto(f"{desk.url}/console/inbox/{talk}")
    await page.fill("#reply", "I was first")
    await change(desk.store, talk, owner="operator", operator="wu", fence=1)
    await page.click("#composer .primary")
    await expect(page.locator(".toast")).to_be_visible()
    await expect(page.locator("#talk")).not_to_contain_text("I was first")
    kept = await page.evaluate(
        "Object.entries(localStorage).filter(([key]) => key.startsWith('draft:')).map(e => e[1])"
    )
    assert kept == ["I was first"]


async def test_axe_finds_nothing_serious(desk: RunningConsole, page: Page) -> None:
    from axe_playwright_python.async_playwright import Axe

    talk = await _waits(desk, "I need a person")
    await page.goto(f"{desk.url}/console/sign-in")
    assert await _serious(Axe(), page) == []
    await desk.enter(page, "boss", "admin")
    for scheme in ("light", "dark"):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of two
        for path in (f"inbox/{talk}?list=queue", "me", "settings/people", "settings/rules", "settings/canned"):
            await page.goto(f"{desk.url}/console/{path}")
            assert await _serious(Axe(), page) == [], path


async def test_on_a_phone_list_and_conversation_take_turns(desk: RunningConsole, page: Page) -> None:
    await page.set_viewport_size({"width": 390, "height": 800})
    await desk.enter(page)
    talk = await _waits(desk, "I need a person")
    await page.goto(f"{desk.url}/console/inbox?list=queue")
    await page.click(f"#row-{talk}")
    await expect(page.locator("#talk")).to_be_visible()
    await expect(page.locator("#rows")).to_be_hidden()
    width = await page.evaluate("document.documentElement.scrollWidth")
    assert width <= 390
    await page.click("#head a.only-phone")
    await expect(page.locator("#rows")).to_be_visible()


async def _serious(axe: Any, page: Page) -> list[str]:
    found = await axe.run(page)
    return [
        json.dumps(
            [one["id"], [node["html"][:160] for node in one["nodes"][:3]], one["nodes"][0]["failureSummary"][:300]]
        )
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
