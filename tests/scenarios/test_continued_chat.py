"""A chat that goes on elsewhere, end to end: the website's case is known on Telegram, until staff take that back."""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests import services
from tests.scenarios.app_under_test import STORE, DeskUnderTest, desk_under_test, prepare

CASE_NUMBER = re.compile(r"C-\d+(?:-\d+)?")
NO_CASE, ASKED, LINKED = "没有登记过投诉", "要在这里接着聊吗", "我们在这里接着聊"
HOW_IS_IT = "我的投诉怎么样了"


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    services.apart(prepare(folder))
    return folder / STORE


@pytest.fixture
async def desk(prepared: Path, tmp_path: Path) -> AsyncIterator[DeskUnderTest]:
    shutil.copy(prepared, tmp_path / STORE)
    async with desk_under_test(tmp_path) as running:
        yield running


async def _frontdesk(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """The command line on the running desk's store."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRONTDESK_")}
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-c", "from frontdesk.cli import main; main()", *arguments],
        cwd=folder,
        env={**kept, "FRONTDESK_DATABASE_URL": f"sqlite:///{folder}/{STORE}", "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


async def test_a_case_of_the_website_is_known_on_telegram_until_the_link_is_undone(
    desk: DeskUnderTest, tmp_path: Path
) -> None:
    web, telegram = await desk.stranger("zh"), desk.texter("9008", "zh")
    await web.ask("订单2391还没到，我要投诉", "什么时候开始")
    await web.ask("上周五", "希望")
    await web.press("退款", "联系")
    number = CASE_NUMBER.findall(await web.press("就在这里回复我", "C-"))[0]
    await telegram.ask(HOW_IS_IT, NO_CASE)

    address = await web.visitor.continue_on("telegram/main")
    await telegram.follow(address, ASKED)
    assert (await desk.record(telegram))["cases"] == []  # opening the link says nothing yet
    await telegram.press("接着聊", LINKED)
    assert number in await telegram.ask(HOW_IS_IT, "C-")
    together = await desk.record(telegram)
    assert together["customer"] == (await desk.record(web))["customer"]
    assert {identity["channel"] for identity in together["identities"]} == {"web", "telegram"}

    shown = await _frontdesk(tmp_path, "customer", "unlink", telegram.key)
    assert (shown.returncode, shown.stderr) == (0, "")
    assert web.key in shown.stdout
    (link,) = json.loads((await _frontdesk(tmp_path, "customer", "unlink", web.key, "--json")).stdout)
    assert (link["offered_by"], link["taken_up_by"], link["undone_at"]) == (web.key, telegram.key, None)
    undone = await _frontdesk(tmp_path, "customer", "unlink", web.key, str(link["id"]))
    assert f"Link {link['id']} is undone: {telegram.key} is customer" in undone.stdout

    await telegram.ask(HOW_IS_IT, NO_CASE)
    assert number in await web.ask(HOW_IS_IT, "C-")
    assert (await desk.record(telegram))["cases"] == []
    assert [case["number"].startswith(number) for case in (await desk.record(web))["cases"]] == [True]
    again = await _frontdesk(tmp_path, "customer", "unlink", web.key, str(link["id"]))
    other = await _frontdesk(tmp_path, "customer", "unlink", web.key, "404")
    assert (again.returncode, other.returncode) == (1, 1)
    assert again.stderr == f"frontdesk: no link {link['id']} to undo; it may have been undone before\n"
    assert "has no link 404" in other.stderr
