"""An Official Account, end to end: what travels back in WeChat's request, what follows it, and what has to wait."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from channels.simulators.faults import Fault
from channels.simulators.wechat import WechatSimulator
from config.settings import Settings
from crm_sync.channel_health import states
from crm_sync.schema import upgrade
from frontdesk.app import Role
from tests import services
from tests.scenarios.app_under_test import STORE, prepare, shop_settings
from tests.scenarios.wechat_under_test import WechatDesk, wechat_desk

CASE_NUMBER = re.compile(r"C-\d+(?:-\d+)?")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables and the trained shop, to be copied: preparing one takes seconds."""
    folder = tmp_path_factory.mktemp("shop")
    services.apart(prepare(folder))
    return folder / STORE


@pytest.fixture
def shop(prepared: Path, tmp_path: Path) -> Settings:
    shutil.copy(prepared, tmp_path / STORE)
    return shop_settings(tmp_path)


@pytest.fixture
async def simulator() -> AsyncIterator[WechatSimulator]:
    async with WechatSimulator() as running:
        yield running


@pytest.fixture
async def desk(shop: Settings, simulator: WechatSimulator) -> AsyncIterator[WechatDesk]:
    async with wechat_desk(shop, simulator) as running:
        yield running


async def complain(desk: WechatDesk, openid: str) -> str:
    """Everything up to the case's number, choosing from the numbered lists; the number."""
    ask = desk.ask
    await ask(openid, "hello", "Linden Home")
    await ask(openid, "I want to complain", "happened")
    await ask(openid, "it leaks all over the table and the lid does not close", "Which order")
    await ask(openid, "order 10482", "Since when")
    await ask(openid, "yesterday", "What would you like")
    await ask(openid, "1", "reach you")
    opened = await ask(openid, "Reply here in the chat", "C-")
    return CASE_NUMBER.findall(opened)[0]


@pytest.mark.parametrize("encryption", ["plain", "compatible", "encrypted"])
async def test_a_complaint_gets_its_number_in_wechats_own_request(shop: Settings, encryption: str) -> None:
    async with WechatSimulator(encryption=encryption) as simulator, wechat_desk(shop, simulator) as desk:
        number = await complain(desk, "o1")

        assert {shown.how for shown in desk.received("o1")} == {"passive"}
        assert simulator.ledger.entries("bad_reply") == []
        assert simulator.ledger.entries("call", method="message/custom/send") == []
        record = await desk.record("o1")
        assert record["cases"][0]["number"].startswith(number)
        assert {one["delivery"] for one in record["messages"] if one["author"] == "bot"} == {"sent"}
        assert await desk.violations() == []


@pytest.mark.postgres
async def test_a_complaint_on_postgresql(empty_pg_url: str, tmp_path: Path, simulator: WechatSimulator) -> None:
    await upgrade(empty_pg_url)
    shop = shop_settings(tmp_path).model_copy(update={"database_url": SecretStr(empty_pg_url)})
    async with wechat_desk(shop, simulator) as desk:
        await complain(desk, "o1")
        assert {shown.how for shown in desk.received("o1")} == {"passive"}
        assert await desk.violations() == []


async def test_a_slow_turns_reply_follows_as_a_customer_service_message(
    shop: Settings, simulator: WechatSimulator
) -> None:
    async with wechat_desk(shop, simulator, roles=("web", "sender"), passive_s=0.2) as desk:
        simulator.account.write("o1", "what are your opening hours?")
        await simulator.callbacks.settled()  # nobody answered in time
        assert desk.received("o1") == []

        await desk.app.worker.run_once()
        await desk.until(lambda: bool(desk.received("o1")))
        assert {shown.how for shown in desk.received("o1")} == {"service"}
        assert await desk.violations() == []


async def test_a_redelivery_gets_the_same_words_and_no_second_turn(
    desk: WechatDesk, simulator: WechatSimulator
) -> None:
    simulator.faults.plan(Fault("lost_reply", times=2))
    await desk.ask("o1", "hello", "Linden Home")

    record = await desk.record("o1")
    assert len(desk.received("o1")) == 1
    assert [one["author"] for one in record["messages"]].count("customer") == 1
    assert len(simulator.ledger.entries("delivery")) == 3


async def test_a_doubled_callback_is_answered_once(desk: WechatDesk, simulator: WechatSimulator) -> None:
    simulator.faults.plan(Fault("duplicate_update"))
    await desk.ask("o1", "hello", "Linden Home")
    await simulator.callbacks.settled()

    record = await desk.record("o1")
    assert [one["author"] for one in record["messages"]].count("customer") == 1
    assert len({shown.text for shown in desk.received("o1")}) == 1  # each delivery gets the same words


async def test_without_a_window_the_reply_waits_and_leaves_with_the_next_message(
    shop: Settings, simulator: WechatSimulator
) -> None:
    async with wechat_desk(shop, simulator, roles=("web", "sender"), passive_s=0.2) as desk:
        simulator.account.write("o1", "what are your opening hours?")
        await simulator.callbacks.settled()
        for window in simulator.account.follower("o1").windows.values():
            window.left = 0
        await desk.app.worker.run_once()
        await desk.until(lambda: bool(simulator.ledger.entries("call", errcode=45047)))
        record = await desk.record("o1")
        assert record["windows"][0]["held"] >= 1

        simulator.account.write("o1", "hello")
        await desk.until(lambda: bool(desk.received("o1")))
        record = await desk.record("o1")
        assert all(window["held"] == 0 for window in record["windows"])
        assert await desk.violations() == []


async def test_where_the_settings_name_a_template_a_follower_hears_of_the_waiting_reply_once(
    shop: Settings, simulator: WechatSimulator
) -> None:
    notice = {"template_id": "tpl", "fields": {"thing1": "您有新的回复"}}
    roles: tuple[Role, ...] = ("web", "sender")
    async with wechat_desk(shop, simulator, roles=roles, passive_s=0.2, held_notice=notice) as desk:
        simulator.account.write("o1", "what are your opening hours?")
        simulator.account.write("o1", "I want to complain")
        await simulator.callbacks.settled()
        simulator.account.follower("o1").windows.clear()
        await desk.app.worker.run_once()
        await desk.until(lambda: bool(desk.received("o1")))
        record = await desk.record("o1")

        assert record["windows"][0]["held"] >= 2
        assert [(shown.how, shown.text) for shown in desk.received("o1")] == [("template", "thing1: 您有新的回复")]


async def test_an_unverified_account_answers_later_with_the_next_message(shop: Settings) -> None:
    async with (
        WechatSimulator(is_verified=False) as simulator,
        wechat_desk(shop, simulator, roles=("web", "sender"), passive_s=0.2) as desk,
    ):
        simulator.account.write("o1", "what are your opening hours?")
        await simulator.callbacks.settled()
        await desk.app.worker.run_once()
        assert desk.received("o1") == []

    async with WechatSimulator(is_verified=False) as simulator, wechat_desk(shop, simulator) as desk:
        simulator.account.write("o1", "hello")
        await desk.until(lambda: bool(desk.received("o1")))
        (shown,) = desk.received("o1")
        assert shown.how == "passive"
        assert "Linden Home" in shown.text
        assert simulator.ledger.entries("call") == []


async def test_a_new_follower_is_greeted_and_known_by_the_code_they_scanned(
    desk: WechatDesk, simulator: WechatSimulator
) -> None:
    simulator.account.follow("o1", "spring")
    await desk.until(lambda: bool(desk.received("o1")))
    record = await desk.record("o1")
    assert record["identities"][0]["source"] == "qr:spring"

    simulator.account.unfollow("o1")
    await simulator.callbacks.settled()
    record = await desk.record("o1")
    assert record["identities"][0]["unreachable_at"]


async def test_voice_with_recognised_words_is_answered_and_without_politely(
    desk: WechatDesk, simulator: WechatSimulator
) -> None:
    simulator.account.voice("o1", "I want to complain")
    await desk.reads("o1", 0, "happened")
    simulator.account.voice("o2")
    await desk.until(lambda: bool(desk.received("o2")))


async def test_a_menu_item_of_ours_starts_what_it_says(desk: WechatDesk, simulator: WechatSimulator) -> None:
    simulator.account.tap("o1", "flow:complaint")
    await desk.until(lambda: bool(desk.received("o1")))
    assert desk.received("o1")[0].how == "passive"


async def test_a_picture_is_fetched_and_kept(desk: WechatDesk, simulator: WechatSimulator) -> None:
    simulator.account.picture("o1")
    await desk.until(lambda: bool(desk.received("o1")))
    await desk.until(lambda: bool(simulator.ledger.entries("call", method="media/get")))
    record = await desk.record("o1")
    while record["files"][0]["state"] not in {"stored", "refused"}:
        record = await desk.record("o1")
    assert (record["files"][0]["state"], record["files"][0]["mime"]) == ("stored", "image/png")


async def test_a_reply_in_the_request_counts_as_sent_and_hides_no_failure(desk: WechatDesk) -> None:
    desk.app.watch.failed("wechat", "main", "wrong secret")
    await desk.ask("o1", "hello", "Linden Home")
    await desk.record("o1")
    await desk.app.watch.tell()

    (state,) = [state for state in await states(desk.app.store.database) if state.channel == "wechat"]
    assert state.last_outbound_at is not None
    assert state.failing_since is not None
