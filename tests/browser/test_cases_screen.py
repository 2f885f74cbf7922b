"""A case travels the board in a real browser, dragged and by keyboard; its screens are accessible, on a phone too."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect

from bot.types import OpenCase
from desk.actors import Actor
from frontdesk.clock import SystemClock
from tests.browser.running_console import RunningConsole, a_console
from tests.service_assistant import service_assistant
from tests.store_steps import converse

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]
WITHIN_MS = 15_000
NUMBER = "C-1024-7"


@pytest_asyncio.fixture(loop_scope="package")
async def desk(sqlite_url: str) -> AsyncIterator[RunningConsole]:
    async with a_console(sqlite_url) as running:
        clocks = service_assistant().service.clocks_for(2, SystemClock().now())
        opened = OpenCase(NUMBER, "complaint", "brakes", "car", 2, "brakes squeak", {}, team="care", clocks=clocks)
        await converse(running.store, "hi", "ok", effects=[opened])
        yield running


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


async def test_a_card_is_dragged_and_the_words_for_the_customer_are_asked_for(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    await page.goto(f"{desk.url}/console/cases")
    await page.locator(f"[data-card='{NUMBER}']").drag_to(page.locator("[data-column='assigned']"))
    await expect(page.locator(f"[data-column='assigned'] [data-card='{NUMBER}']")).to_contain_text("li")
    await page.locator(f"[data-card='{NUMBER}']").drag_to(page.locator("[data-column='in_progress']"))
    await expect(page.locator(".asking textarea")).to_be_focused()
    await page.keyboard.type("The pads are ordered.")
    await page.click(".asking button.primary")
    await expect(page.locator(f"[data-column='in_progress'] [data-card='{NUMBER}']")).to_be_visible()
    await expect(page.locator(".asking")).to_have_count(0)


async def test_what_a_colleague_does_to_a_case_is_seen_on_an_open_board(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    await page.goto(f"{desk.url}/console/cases?team=care")
    await page.keyboard.press("j")
    await desk.console.services.cases.take(Actor("wang", "operator"), NUMBER)
    card = page.locator(f"[data-column='assigned'] [data-card='{NUMBER}']")
    await expect(card).to_contain_text("wang", timeout=WITHIN_MS)
    await expect(card.locator("a").first).to_be_focused()  # whoever steps through the cards keeps their place


async def test_a_case_is_taken_and_noted_on_its_page_by_keyboard_alone(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page)
    await page.goto(f"{desk.url}/console/cases")
    await page.keyboard.press("j")
    await page.keyboard.press("Enter")
    await page.wait_for_url(f"**/console/cases/{NUMBER}")
    await page.keyboard.press("t")
    await expect(page.locator("#case header")).to_contain_text("Owner: li")
    await page.keyboard.press("n")
    await page.keyboard.type("Look at the repair log.")
    await page.keyboard.press("Tab")
    await page.keyboard.press("Enter")
    await expect(page.locator(".history .inside")).to_contain_text("Look at the repair log.")


async def test_axe_finds_nothing_serious_and_a_phone_shows_all(desk: RunningConsole, page: Page) -> None:
    from axe_playwright_python.async_playwright import Axe

    await desk.enter(page, "boss", "admin")
    paths = ("cases", "cases/list", "cases/week", f"cases/{NUMBER}", "customers", "customers/1", "customers/proposals")
    for scheme, width in (("light", 1440), ("dark", 360)):
        await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of two
        await page.set_viewport_size({"width": width, "height": 800})
        for path in paths:
            await page.goto(f"{desk.url}/console/{path}")
            found = await Axe().run(page)
            serious = [one for one in found.response["violations"] if one["impact"] in ("serious", "critical")]
            told = [json.dumps([one["id"], [node["html"][:160] for node in one["nodes"][:3]]]) for one in serious]
            assert told == [], (path, scheme)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width, path
