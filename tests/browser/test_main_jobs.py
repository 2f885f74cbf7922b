"""The main job of each role takes at most three presses of the pointer, counted by the browser from the first screen
after signing in. Typing and keys do not count.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect
from sqlalchemy import insert

from crm_sync.tables import handoffs
from frontdesk.clock import SystemClock
from tests.broadcast_steps import agreed
from tests.browser.running_console import RunningConsole, a_watched_page
from tests.staff import an_account
from tests.staff_steps import LI, row_of, wrote

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]
MOST = 3
COUNTS = """addEventListener("pointerdown", (event) => {
  if (event.isTrusted) localStorage.presses = 1 + Number(localStorage.presses || 0);
}, true)"""


@pytest_asyncio.fixture(loop_scope="package")
async def page(browser: Browser, desk: RunningConsole) -> AsyncIterator[Page]:
    async with a_watched_page(browser) as opened:
        await opened.add_init_script(COUNTS)
        yield opened


async def _enter(desk: RunningConsole, page: Page, name: str, role: str) -> None:
    """They see their first screen, and nothing was pressed yet."""
    await desk.enter(page, name, role)
    await page.evaluate("localStorage.presses = 0")


async def _presses(page: Page) -> int:
    """At least one, or nothing was counted."""
    found = int(await page.evaluate("localStorage.presses"))
    assert found > 0
    return found


async def _waits(desk: RunningConsole, user: str, minutes: int) -> int:
    """Somebody wants a person since then."""
    since = SystemClock().now() - timedelta(minutes=minutes)
    more = {"owner": "queue", "waiting_since": since, "unanswered_since": since}
    return await wrote(desk.store, f"words of {user}", user=user, channel="web", **more)


async def test_an_operator_answers_who_waits_longest(desk: RunningConsole, page: Page) -> None:
    await wrote(desk.store, "mine", user="cid", channel="web", owner="operator", operator="li", fence=1)
    await _waits(desk, "ben", 2)
    longest = await _waits(desk, "ann", 9)
    await _enter(desk, page, "li", "operator")
    await page.click("#tabs a[href*='list=queue']")
    first = page.locator("#rows a.row").first
    await expect(first).to_contain_text("words of ann")
    await first.click()
    await expect(page.locator("#talk")).to_contain_text("words of ann")
    await page.focus("#reply")
    await page.keyboard.type("Good morning")
    await page.click("#composer button.primary")
    await expect(page.locator("#talk .said.operator .bubble")).to_have_text("Good morning")
    row = await row_of(desk.store, longest)
    assert (row.owner, row.operator, row.unanswered_since) == ("operator", "li", None)
    assert await _presses(page) <= MOST


async def test_a_supervisor_gives_a_conversation_of_one_operator_to_another(desk: RunningConsole, page: Page) -> None:
    await _waits(desk, "ben", 2)
    until = {"owner": "operator", "operator": "li", "fence": 1, "owner_until": SystemClock().now() + timedelta(hours=1)}
    held = await wrote(desk.store, "it burns", user="ann", channel="web", **until)
    for name in ("li", "wu"):
        await an_account(desk.store, name, settings={"language": "en"})
    await _enter(desk, page, "lena", "supervisor")
    await page.click("#tabs a[href*='list=all']")
    await page.click(f"#row-{held}")
    await page.locator("#head [data-dialog='assign-dialog']").click()
    await page.keyboard.type("wu")  # the field is ready
    await page.keyboard.press("Enter")
    await expect(page.locator("#head h1")).to_contain_text("wu answers")
    row = await row_of(desk.store, held)
    assert (row.owner, row.operator) == ("operator", "wu")
    assert await _presses(page) <= MOST


async def test_a_supervisor_gives_who_waits_to_a_colleague_with_the_pointer_alone(
    desk: RunningConsole, page: Page
) -> None:
    waiting = await _waits(desk, "ann", 2)
    await an_account(desk.store, "wu", settings={"language": "en"})
    await _enter(desk, page, "lena", "supervisor")
    await page.click(f"#row-{waiting}")
    await page.locator("#head [data-dialog='assign-dialog']").click()
    await page.click("#assign-choices button[value='person:wu']")
    await expect(page.locator("#head h1")).to_contain_text("wu answers")
    assert (await row_of(desk.store, waiting)).operator == "wu"
    assert await _presses(page) <= MOST


async def test_a_marketer_writes_a_broadcast_and_sees_what_starting_it_would_do(
    desk: RunningConsole, page: Page
) -> None:
    await agreed(desk.store, 5)
    await _enter(desk, page, "mia", "marketer")
    await page.click(".rail a[href='/console/broadcasts']")
    await page.click("a.primary[href$='/new']")
    await page.focus("[name=name]")
    await page.keyboard.type("spring")
    await page.focus("[name=aud][value=segment]")
    await page.keyboard.press("ArrowDown")
    await page.focus("[name=list]")
    await page.keyboard.type("regulars")
    await page.evaluate(  # this desk decided on no purposes
        "document.querySelector('[name=purpose]').add(new Option('promotion', 'promotion', true, true))"
    )
    await page.focus("[name='v0.text.en']")
    await page.keyboard.type("The check is half price")
    await page.get_by_role("button", name="Save and check").click()
    await expect(page.locator(".figures")).to_contain_text("5")
    assert await _presses(page) <= MOST


async def test_an_analyst_sees_why_people_were_wanted_in_the_last_week(desk: RunningConsole, page: Page) -> None:
    wanted = {"conversation_id": await _waits(desk, "ann", 2), "reason": "asked", "urgency": 2, "fence": 0}
    asked = insert(handoffs).values(wanted | {"requested_at": SystemClock().now() - timedelta(minutes=2)})
    await desk.store.database.run(lambda conn: conn.execute(asked) and None)
    await _enter(desk, page, "ana", "analyst")
    await page.click(".rail a[href='/console/reports']")
    await page.click(".menu-list a[href*='handoffs']")
    await page.click(".filters a[href*='range=7']")
    await expect(page.locator(".filters a[aria-current]")).to_have_text("7 days")
    await expect(page.locator(".figures")).to_be_visible()
    assert await _presses(page) <= MOST


async def test_who_keeps_the_articles_changes_what_the_next_customer_is_told(desk: RunningConsole, page: Page) -> None:
    await _enter(desk, page, "lena", "supervisor")
    await page.click(".rail a[href='/console/knowledge']")
    await page.click("#articles a[href*='/refunds']")
    await page.focus("#side-en [name=answer]")
    await page.keyboard.press("ControlOrMeta+a")
    await page.keyboard.type("Money comes back within 3 days.")
    await page.locator("#side-en").get_by_role("button", name="Save and publish").click()
    await expect(page.locator("#side-en .tag").first).to_have_text("published")
    assert [each.answer for each in await desk.store.articles("shop")] == ["Money comes back within 3 days."]
    assert await _presses(page) <= MOST


async def test_an_auditor_reads_the_log_of_what_one_person_did(desk: RunningConsole, page: Page) -> None:
    talk = await _waits(desk, "ann", 2)
    await an_account(desk.store, "li", settings={"language": "en"})
    await desk.console.services.handoff.take(LI, talk)
    await _enter(desk, page, "hu", "auditor")
    await page.click(".rail a[href='/console/settings']")
    await page.click(".tabs a[href='/console/settings/audit']")
    await page.focus("[name=actor]")
    await page.keyboard.type("li")
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody tr").first).to_contain_text(f"conversation:{talk}")
    assert await _presses(page) <= MOST
