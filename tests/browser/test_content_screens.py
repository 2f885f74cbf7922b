"""What the bot says and understands, in a real browser: labelling by keyboard alone, an article, charts, a phone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

import pytest
import pytest_asyncio
from playwright.async_api import expect

from crm_sync.tables import UNCLEAR_TEMPLATES
from tests.browser.conftest import keep_picture
from tests.browser.running_console import RunningConsole, a_watched_page
from tests.integration.test_understanding_desk import asked

if TYPE_CHECKING:
    from playwright.async_api import Browser, Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]
UNCLEAR = next(iter(UNCLEAR_TEMPLATES))
PATHS = (
    "settings/hours",
    "settings/promises",
    "reports/volume", "reports/channels", "knowledge", "knowledge/article/refunds", "knowledge/unanswered",
    "understanding", "understanding/training", "flows", "flows/texts", "flows/texts/utter_phone_noted", "flows/tests",
)  # fmt: skip


@pytest_asyncio.fixture(loop_scope="package")
async def page(browser: Browser, desk: RunningConsole) -> AsyncIterator[Page]:
    async with a_watched_page(browser) as opened:
        yield opened


async def test_messages_are_labelled_by_keyboard_alone(desk: RunningConsole, page: Page) -> None:
    first, _ = await asked(desk.store, "the thing with the thing", template=UNCLEAR, score=0.3)
    second, _ = await asked(desk.store, "the other thing", template=UNCLEAR, score=0.3)
    await desk.enter(page)
    await page.goto(f"{desk.url}/console/understanding")
    await page.keyboard.press("j")
    await page.keyboard.press("1")
    await expect(page.locator(f"#u-{second}.is-done")).to_be_visible()
    await page.keyboard.press("0")
    await expect(page.locator(f"#u-{first}.is-done")).to_contain_text("Nothing to learn")
    await page.locator(f"#u-{first} button").click()
    await expect(page.locator(f"#u-{first}")).to_have_count(0)
    await keep_picture(page, "understanding")


async def test_an_article_is_changed_and_published_beside_its_other_language(desk: RunningConsole, page: Page) -> None:
    await desk.enter(page, "lena", "supervisor")
    await page.goto(f"{desk.url}/console/knowledge/article/refunds")
    side = page.locator("#side-en")
    await side.locator("[name=answer]").fill("Money comes back within 3 days.")
    await side.get_by_role("button", name="Save draft").click()
    await expect(side.locator(".tag").first).to_have_text("draft")
    await side.get_by_role("button", name="Publish", exact=True).click()
    await expect(side.locator(".tag").first).to_have_text("published")
    assert [each.answer for each in await desk.store.articles("shop")] == ["Money comes back within 3 days."]
    await keep_picture(page, "article")


async def test_axe_finds_nothing_serious_and_a_phone_shows_no_page_wider_than_itself(
    desk: RunningConsole, page: Page
) -> None:
    from axe_playwright_python.async_playwright import Axe

    await asked(desk.store, "the thing with the thing", template=UNCLEAR, score=0.3)
    await desk.enter(page, "boss", "admin")
    for path in PATHS:
        await page.goto(f"{desk.url}/console/{path}")
        for scheme in ("light", "dark"):
            await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]  # one of two
            assert await _serious(Axe(), page) == [], path
        await page.set_viewport_size({"width": 390, "height": 800})
        assert await page.evaluate("document.documentElement.scrollWidth") <= 390, path
        assert await page.evaluate("document.querySelector('.main').scrollWidth") <= 390, path
        await keep_picture(page, f"phone-{path.replace('/', '-')}")
        await page.set_viewport_size({"width": 1440, "height": 900})


async def _serious(axe: Any, page: Page) -> list[str]:
    found = await axe.run(page)
    return [
        json.dumps([one["id"], [node["html"][:160] for node in one["nodes"][:3]]])
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
    ]
