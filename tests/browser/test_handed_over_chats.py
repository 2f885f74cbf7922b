"""From a customer's chat to a person and back, with nothing replaced but the vendors: stand-ins for both of them, the
real desk with all roles, three of the staff in real browsers. What the customer reads is the stand-in's own count.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import pytest_asyncio
from playwright.async_api import expect
from pydantic import SecretStr

from channels.simulators.ledger import Ledger
from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_account import Pulse
from channels.simulators.telegram_account import Shown as TelegramShown
from channels.simulators.telegram_methods import Limits
from channels.simulators.wechat import WechatSimulator
from channels.simulators.wechat_world import Shown as WechatShown
from config.settings import TelegramSettings
from tests.browser.conftest import NewPage, keep_picture
from tests.scenarios.app_under_test import ROOT, prepare, shop_settings
from tests.scenarios.wechat_under_test import WechatDesk, wechat_desk
from tests.staff import PASSWORD, an_account

if TYPE_CHECKING:
    from playwright.async_api import Page

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="package")]
WITHIN_S = 60.0


@dataclass
class Person:
    """A customer at their phone. `received` gives what they read so far."""

    pulse: Pulse
    ledger: Ledger
    write: Callable[[str], object]
    chat: Callable[[], Sequence[TelegramShown | WechatShown]]

    def received(self) -> Sequence[str]:
        return [shown.text for shown in self.chat()]

    async def ask(self, text: str, answer: str) -> None:
        """They write, and read an answer that holds these words."""
        before = len(self.received())
        self.write(text)
        await self.reads(answer, before)

    async def reads(self, words: str, before: int = 0) -> None:
        if not await self.pulse.until(lambda: any(words in text for text in self.received()[before:]), WITHIN_S):
            raise TimeoutError(f"{words!r} is not among {self.received()[before:]!r}")

    def sent(self, words: str) -> int:
        """How often the vendor was asked to send these words, as its ledger has it."""
        return sum(words in str(entry) for entry in self.ledger.entries())


@dataclass
class Floor:
    """The running desk with both channels, and a browser for each of the staff."""

    desk: WechatDesk
    telegram: TelegramSimulator
    new_page: NewPage
    url: str

    def customer(self, channel: str) -> Person:
        if channel == "telegram":
            texter = self.telegram.user(7001, "Ann Smith", "en")
            return Person(texter.bot.pulse, self.telegram.ledger, texter.send_text, lambda: texter.received)
        account = self.desk.simulator.account
        follower = account.follower("oAnnSmith7001")
        return Person(
            account.pulse,
            self.desk.simulator.ledger,
            lambda text: account.write("oAnnSmith7001", text),
            lambda: follower.received,
        )

    async def enter(self, name: str, role: str = "operator") -> Page:
        """Somebody of the staff at their screen."""
        await an_account(self.desk.app.store, name, role, settings={"language": "en"})
        page = await self.new_page(viewport={"width": 1440, "height": 900}, locale="en-US")
        page.set_default_timeout(WITHIN_S * 1000)
        await page.goto(f"{self.url}/console")
        await page.fill("[name=name]", name)
        await page.fill("[name=password]", PASSWORD)
        await page.click("button.primary")
        await page.wait_for_selector(".rail")
        return page


def _a_shop_at_noon(folder: Path) -> Path:
    """The sample assistant, of a shop where staff are there now whenever the test runs."""
    mine = shutil.copytree(ROOT / "config" / "assistants" / "shop", folder / "shop")
    ahead = 12 - datetime.now(UTC).hour
    file, zone = mine / "assistant.yml", f"Etc/GMT{-ahead:+d}"  # names of these zones count the other way round
    there, told = "timezone: Asia/Shanghai", file.read_text(encoding="utf-8")
    assert told.count(there) == 1
    file.write_text(told.replace(there, f"timezone: {zone}"), encoding="utf-8")
    return mine


@asynccontextmanager
async def a_floor(folder: Path, new_page: NewPage) -> AsyncIterator[Floor]:
    await prepare(folder)
    settings = shop_settings(folder)
    limits = Limits(chat_per_s=1000, chat_burst=1000)
    async with TelegramSimulator(limits=limits) as telegram, WechatSimulator() as wechat:
        account = TelegramSettings(token=SecretStr(telegram.token), api_base_url=telegram.url, per_chat_per_s=50)
        channels = settings.channels.model_copy(update={"telegram": {"main": account}})
        shop = settings.model_copy(update={"channels": channels, "assistant": _a_shop_at_noon(folder)})
        async with wechat_desk(shop, wechat) as desk:
            yield Floor(desk, telegram, new_page, wechat.callbacks.url.partition("/channels")[0])


@pytest_asyncio.fixture(loop_scope="package")
async def floor(tmp_path: Path, new_page: NewPage) -> AsyncIterator[Floor]:
    async with a_floor(tmp_path, new_page) as running:
        yield running


async def _answers(page: Page, words: str) -> None:
    await page.fill("#reply", words)
    await page.press("#reply", "Enter")
    await expect(page.locator("#talk .said.operator .bubble").last).to_have_text(words, timeout=WITHIN_S * 1000)
    await expect(page.locator("#reply")).to_have_value("", timeout=WITHIN_S * 1000)


@pytest.mark.parametrize("channel", ["telegram", "wechat"])
async def test_a_chat_goes_from_the_bot_to_two_operators_and_back(floor: Floor, channel: str) -> None:
    within, pictures = WITHIN_S * 1000, itertools.count(1)

    async def keep(page: Page, what: str) -> None:
        await keep_picture(page, f"handed-over-{channel}-{next(pictures)}-{what}")

    customer = floor.customer(channel)
    await customer.ask("hello", "Linden Home")
    li = await floor.enter("li")
    await li.goto(f"{floor.url}/console/inbox?list=queue")
    await expect(li.locator("#rows .empty")).to_be_visible(timeout=within)
    customer.write("I want to talk to a person")
    row = li.locator("#rows a.row")
    await expect(row).to_have_count(1, timeout=within)  # by itself: nobody reloads the page
    await keep(li, "waits")
    await row.click()
    await expect(li.locator("#talk")).to_contain_text("I want to talk to a person", timeout=within)
    await li.keyboard.press("t")
    await expect(li.locator("#head")).to_contain_text("You answer", timeout=within)
    await _answers(li, "Good morning, Li speaking.")
    await customer.reads("Good morning, Li speaking.")
    customer.write("my kettle leaks")
    await expect(li.locator("#talk .said").last).to_contain_text("my kettle leaks", timeout=within)
    await keep(li, "taken")

    wang, lena = await floor.enter("wang"), await floor.enter("lena", "supervisor")
    await wang.goto(f"{floor.url}/console/inbox?list=mine")
    await lena.goto(li.url)
    await lena.keyboard.press("a")
    await lena.fill("#assign-dialog [name=note]", "knows kettles")
    await keep(lena, "assigns")
    await lena.fill("#assign-dialog [data-narrows]", "wan")
    await lena.press("#assign-dialog [data-narrows]", "Enter")
    await expect(li.locator("#head")).to_contain_text("wang", timeout=within)
    await expect(li.locator("#reply")).to_have_count(0, timeout=within)  # it is not theirs to answer any more
    await wang.locator("#rows a.row").click(timeout=within)
    await expect(wang.locator("#talk")).to_contain_text("knows kettles", timeout=within)
    await _answers(wang, "Wang here. A new lid is on its way.")
    await customer.reads("Wang here. A new lid is on its way.")

    await wang.locator("#reply").blur()
    await wang.keyboard.press("b")
    await wang.fill("#return-dialog [name=summary]", "lid sent")
    await keep(wang, "hands-back")
    await wang.click("#return-dialog button.primary")
    await expect(wang.locator("#head")).not_to_contain_text("You answer", timeout=within)
    await customer.ask("hello", "Linden Home")
    await expect(wang.locator("#talk .said").last).to_contain_text("Linden Home", timeout=within)
    await keep(wang, "bot-again")

    read = customer.received()
    for words in ("Good morning, Li speaking.", "Wang here. A new lid is on its way."):
        assert read.count(words) == customer.sent(words) == 1
    assert not any("knows kettles" in text or "lid sent" in text for text in read)
