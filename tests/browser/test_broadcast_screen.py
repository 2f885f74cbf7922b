"""A broadcast in a real browser: written with its preview, checked, started, followed; no finding, no wide page."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect

from tests.broadcast_steps import agreed
from tests.browser.conftest import keep_picture
from tests.browser.running_console import RunningConsole, a_watched_page

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]
PATHS = (
    "", "/calendar", "/compare", "/new", "/b/spring/edit", "/b/spring/preflight", "/b/spring", "/b/spring/results",
    "/segments", "/segments/new", "/lists", "/coupons", "/consents",
)  # fmt: skip


@pytest_asyncio.fixture(loop_scope="package")
async def page(browser: Browser, desk: RunningConsole) -> AsyncIterator[Page]:
    async with a_watched_page(browser) as opened:
        yield opened


async def test_a_broadcast_is_written_previewed_checked_started_and_followed(desk: RunningConsole, page: Page) -> None:
    from axe_playwright_python.async_playwright import Axe

    await agreed(desk.store, 5)
    await desk.enter(page, "bo", "marketer")
    await page.goto(f"{desk.url}/console/broadcasts")
    await page.keyboard.press("n")
    await page.fill("[name=name]", "spring")
    await page.fill("[name=title]", "Spring check")
    await page.check("[name=aud][value=list]")
    await page.select_option("[name=list]", "regulars")
    await page.evaluate(
        "document.querySelector('[name=purpose]').add(new Option('promotion', 'promotion', true, true))"
    )
    await page.fill("[name='v0.text.en']", "Hello {name}, the check is half price")
    await page.fill("[name='f.name.en']", "dear customer")
    await expect(page.locator("#seen .bubble")).to_have_text("Hello dear customer, the check is half price")
    await keep_picture(page, "composer")
    await page.get_by_role("button", name="Save and check").click()
    await expect(page.locator(".figures")).to_contain_text("5")
    page.on("dialog", lambda dialog: dialog.accept())
    await page.get_by_role("button", name="Start").click()
    await expect(page.locator("#head")).to_contain_text("Started.")
    await expect(page.get_by_role("button", name="Pause")).to_be_visible()
    await page.get_by_role("button", name="Pause").click()
    await expect(page.locator("#head h1 .tag")).to_have_text("paused")
    for path in PATHS:
        await page.goto(f"{desk.url}/console/broadcasts{path}")
        found = await Axe().run(page)
        serious = [
            json.dumps([one["id"], [node["html"][:160] for node in one["nodes"][:3]]])
            for one in found.response["violations"]
            if one["impact"] in ("serious", "critical")
        ]
        assert serious == [], path
        await page.set_viewport_size({"width": 390, "height": 800})
        assert await page.evaluate("document.querySelector('.main').scrollWidth") <= 390, path
        await page.set_viewport_size({"width": 1440, "height": 900})
