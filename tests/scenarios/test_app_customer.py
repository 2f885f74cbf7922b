"""The main job, end to end: customers chat, complain, ask how it stands, look up an order; staff find all of it."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from channels.simulators.faults import Fault
from tests import services
from tests.scenarios.app_under_test import STORE, WITHIN_S, DeskUnderTest, desk_under_test, line_user, prepare

CHANNELS = ["web", "telegram", "line"]
CASE_NUMBER = re.compile(r"C-\d+(?:-\d+)?")
COLUMNS = "order_number,channel,account,external_id,name,status,placed_at,expected_at,items,amount,currency"
SHIPPED = "shipped,2026-11-10T09:42:00+08:00,2026-11-24T18:00:00+08:00,kettle x1,307.00,CNY"
ORDERS = f"""{COLUMNS},carrier,tracking_number
52391,web,default,9001,王芳,{SHIPPED},Swift Parcel,SP77
52392,telegram,main,9001,Li Wei,{SHIPPED},Swift Parcel,SP77
52393,line,main,{line_user("9001")},Lin Mei,{SHIPPED},Swift Parcel,SP77
"""


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables and the trained shop, to be copied: preparing one takes seconds."""
    folder = tmp_path_factory.mktemp("shop")
    services.apart(prepare(folder))
    return folder / STORE


@pytest.fixture
async def desk(prepared: Path, tmp_path: Path) -> AsyncIterator[DeskUnderTest]:
    shutil.copy(prepared, tmp_path / STORE)
    async with desk_under_test(tmp_path) as running:
        yield running


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_complaint_in_english_gets_a_number_that_can_be_asked_for_later(
    desk: DeskUnderTest, channel: str
) -> None:
    chat = await desk.chat(channel, "9002", "en")
    await chat.ask("hello", "Linden Home")
    await chat.ask("I want to complain", "happened")
    await chat.ask("it leaks all over the table and the lid does not close", "Which order")
    await chat.ask("order 2391", "Since when")
    await chat.ask("no, the order number is 10482", "10482")
    await chat.press("Yesterday", "What would you like")
    await chat.press("Replacement", "reach you")
    opened = await chat.press("Reply here in the chat", "C-")
    number = CASE_NUMBER.findall(opened)[0]
    assert number in await chat.ask(f"what about {number}?", number)

    record = await desk.record(chat)
    (case,) = record["cases"]
    assert case["number"].startswith(number)
    assert (case["kind"], case["is_open"]) == ("complaint", True)
    assert "10482" in str(case["details"])
    assert "leaks" in str(case)
    assert any(line["kind"].startswith("case") or line["reference"] == case["number"] for line in record["timeline"])
    assert [message["author"] for message in record["messages"]][:2] == ["customer", "bot"]
    assert {message["delivery"] for message in record["messages"] if message["direction"] == "out"} == {"sent"}


@pytest.mark.parametrize("channel", CHANNELS)
async def test_a_complaint_in_chinese_said_with_an_order_gets_a_number_that_can_be_asked_for_later(
    desk: DeskUnderTest, channel: str
) -> None:
    chat = await desk.chat(channel, "9003", "zh")
    await chat.ask("你好", "菩提家居")
    await chat.ask("订单2391还没到，我要投诉", "什么时候开始")
    await chat.ask("上周五", "希望")
    await chat.press("退款", "联系")
    opened = await chat.press("就在这里回复我", "C-")
    number = CASE_NUMBER.findall(opened)[0]
    assert number in await chat.ask("我的投诉怎么样了", number)

    record = await desk.record(chat)
    (case,) = record["cases"]
    assert case["number"].startswith(number)
    assert case["subject"] == "2391" or "2391" in str(case["details"])
    assert record["conversations"][0]["language"] == "zh"
    assert "订单2391还没到，我要投诉" in [message["text"] for message in record["messages"]]


@pytest.mark.parametrize("channel", CHANNELS)
async def test_the_same_complaint_again_updates_and_does_not_double(desk: DeskUnderTest, channel: str) -> None:
    chat = await desk.chat(channel, "9004", "zh")
    await chat.ask("订单2391还没到，我要投诉", "什么时候开始")
    await chat.ask("上周五", "希望")
    await chat.press("退款", "联系")
    number = CASE_NUMBER.findall(await chat.press("就在这里回复我", "C-"))[0]
    assert number in await chat.ask("订单2391还没到，我要投诉", "C-")
    assert len((await desk.record(chat))["cases"]) == 1


@pytest.mark.parametrize("channel", CHANNELS)
async def test_an_owner_finds_an_imported_order_and_a_stranger_learns_nothing(
    desk: DeskUnderTest, channel: str, tmp_path: Path
) -> None:
    (tmp_path / "orders.csv").write_text(ORDERS, encoding="utf-8")
    await desk.import_orders(tmp_path / "orders.csv")
    number = {"web": "52391", "telegram": "52392", "line": "52393"}[channel]
    owner = await desk.chat(channel, "9001", "en")
    assert "Swift Parcel" in await owner.ask(f"where is my order {number}?", number)
    assert "已" in await owner.ask(f"订单{number}到哪了？", number)
    assert {order["number"].removeprefix("SO-") for order in (await desk.record(owner))["orders"]} == {number}

    stranger = await desk.stranger()
    answer = await stranger.ask(f"where is my order {number}?", number)
    assert "Swift" not in answer
    assert "shipped" not in answer
    assert (await desk.record(stranger))["orders"] == []


async def test_the_language_follows_the_customer_within_one_conversation(desk: DeskUnderTest) -> None:
    chat = await desk.stranger("zh")
    assert "10:00" in await chat.ask("几点开门", "10:00")
    answer = await chat.ask("what are your opening hours?", "10")
    assert not re.search(r"[一-鿿]", answer)
    assert re.search(r"[一-鿿]", await chat.ask("几点开门", "10:00"))


async def test_on_line_a_redelivery_gives_one_turn_and_one_answer(desk: DeskUnderTest) -> None:
    customer = desk.line.user(line_user("9005"))
    message = {"type": "text", "id": "1", "text": "几点开门", "quoteToken": "q"}
    event = customer.event("message", message=message)

    desk.line.faults.plan(Fault("duplicate_update"))
    assert await desk.line.deliver([event]) == 200
    assert await customer.until(lambda: bool(customer.texts), WITHIN_S)
    assert await desk.line.deliver([event]) == 200
    chat = await desk.chat("line", "9005")
    await chat.ask("你好", "菩提家居")

    record = await desk.record(chat)
    assert [item["text"] for item in record["messages"] if item["direction"] == "in"] == ["几点开门", "你好"]
    assert ["10:00" in text for text in customer.texts] == [True, False]
    assert {entry["status"] for entry in desk.line.ledger.entries("delivery")} == {200}


async def test_on_line_an_unsent_message_no_longer_shows_its_words(desk: DeskUnderTest) -> None:
    chat = await desk.chat("line", "9006")
    await chat.ask("几点开门", "10:00")
    record = await desk.record(chat)
    unsent = next(item for item in record["messages"] if item["text"] == "几点开门")

    assert await desk.line.user(line_user("9006")).unsend() == 200

    after = await desk.record(chat)
    assert next(item for item in after["messages"] if item["id"] == unsent["id"])["text"] == ""
