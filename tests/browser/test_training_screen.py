"""The training page in a real browser: progress goes on by itself, the comparison comes, a candidate is promoted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from playwright.async_api import expect
from sqlalchemy import Connection

from crm_sync import trainings
from tests.browser.conftest import keep_picture
from tests.browser.running_console import RunningConsole
from tests.integration.test_understanding_desk import asked

if TYPE_CHECKING:
    from playwright.async_api import Browser

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]
TRAINING = "/console/understanding/training"


async def test_a_candidate_is_followed_compared_and_promoted(desk: RunningConsole, browser: Browser) -> None:
    inbox_id, _ = await asked(desk.store, "where is my parcel")
    await desk.store.put_model("shop", "v1", b"one", activate=True)
    await desk.store.put_model("shop", "v2", b"two")
    context = await browser.new_context(viewport={"width": 390, "height": 844}, locale="en-US")
    page = await context.new_page()
    page.set_default_timeout(15_000)
    page.on("dialog", lambda dialog: dialog.accept())
    await desk.enter(page, "lena", "supervisor")
    await page.goto(f"{desk.url}{TRAINING}")
    await page.get_by_role("button", name="Train a candidate").click()
    await expect(page.locator("#training")).to_contain_text("Waiting for a worker")
    now = desk.console.clock.now()

    def half_way(conn: Connection) -> int:
        taken = trainings.take(conn, "w", now)
        assert taken is not None
        assert trainings.beat(conn, taken.id, "w", step="training", progress=0.5, now=now)
        return taken.id

    training_id = await desk.store.database.run(half_way)
    await expect(page.locator("#training")).to_contain_text("Training 50 %")
    row = {"id": inbox_id, "verdict": "better", "before": ["greet", 0.3], "after": ["order_status", 0.9]}
    comparison = {"looked_at": 1, "counts": {"better": 1}, "rows": [{**row, "truth": "order_status", "learnt": False}]}
    done = {"candidate": "v2", "comparison": comparison, "progress": 1.0}
    await desk.store.database.run(lambda conn: trainings.end(conn, training_id, trainings.DONE, now, **done))
    await expect(page.locator("#training table")).to_contain_text("where is my parcel")
    await keep_picture(page, "training")
    await page.get_by_role("button", name="Promote the candidate").click()
    await expect(page.locator("#training dl").first).to_contain_text("v2")
    await expect(page.get_by_role("button", name="Roll back to v1")).to_be_visible()
    await context.close()
