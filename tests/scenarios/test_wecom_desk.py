"""微信客服 and a WeCom application, end to end: questions, complaints, people who take over, what gets lost."""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from PIL import Image

from channels.simulators.faults import Fault
from channels.simulators.wecom import OPEN_KFID, WecomSimulator
from channels.simulators.wecom_world import CLOSED, POOL, SERVICER
from tests import services
from tests.scenarios.app_under_test import STORE, prepare
from tests.scenarios.wecom_under_test import WecomDesk, wecom_desk

CASE_NUMBER = re.compile(r"C-\d+(?:-\d+)?")


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store with its tables and the trained shop, to be copied: preparing one takes seconds."""
    folder = tmp_path_factory.mktemp("shop")
    services.apart(prepare(folder))
    return folder / STORE


@pytest.fixture
def folder(prepared: Path, tmp_path: Path) -> Path:
    shutil.copy(prepared, tmp_path / STORE)
    return tmp_path


@pytest.fixture
async def simulator() -> AsyncIterator[WecomSimulator]:
    async with WecomSimulator(callback_delay_s=0.05) as running:
        yield running


@pytest.fixture
async def desk(folder: Path, simulator: WecomSimulator) -> AsyncIterator[WecomDesk]:
    async with wecom_desk(folder, simulator) as running:
        yield running


async def test_a_complaint_in_wechat_gets_a_number(desk: WecomDesk) -> None:
    ask, press = desk.ask, desk.press
    await ask("wm1", "hello", "Linden Home")
    await ask("wm1", "I want to complain", "happened")
    await ask("wm1", "it leaks all over the table and the lid does not close", "Which order")
    await ask("wm1", "order 10482", "Since when")
    await press("wm1", "Yesterday", "What would you like")
    await press("wm1", "Replacement", "reach you")
    opened = await press("wm1", "Reply here in the chat", "C-")
    number = CASE_NUMBER.findall(opened)[0]

    record = await desk.record("kf/main/wm1")
    assert [case["number"].startswith(number) for case in record["cases"]] == [True]
    assert [one["text"] for one in record["messages"] if one["author"] == "customer"][:2] == [
        "hello",
        "I want to complain",
    ]
    assert await desk.violations() == []


async def test_a_member_asks_the_application(desk: WecomDesk) -> None:
    await desk.member_asks("lisi", "what are your opening hours?", "")
    answer = await desk.member_asks("lisi", "I want to complain", "happened")

    assert answer
    record = await desk.record("wecom/main/lisi")
    assert {one["author"] for one in record["messages"]} == {"customer", "bot"}


async def test_a_customer_who_opens_the_chat_is_greeted_at_once_and_named(desk: WecomDesk) -> None:
    desk.simulator.company.names["wm1"] = "王芳"
    desk.simulator.company.enter(OPEN_KFID, "wm1", "leaflet")

    await desk.reads(desk.session("wm1"), 0, "您好")
    await desk.until(lambda: bool(desk.simulator.ledger.entries("call", method="kf/customer/batchget", outcome="ok")))

    record = await desk.record("kf/main/wm1")
    assert [one["author"] for one in record["messages"] if one["text"]] == ["bot"]
    assert record["identities"][0]["display_name"] in {"王芳", ""}  # the name is stored a moment later


async def test_a_lost_callback_is_healed_by_the_next_look(folder: Path, simulator: WecomSimulator) -> None:
    simulator.company.write(OPEN_KFID, "wm1", content="I want to complain")  # nobody listens yet
    async with wecom_desk(folder, simulator) as desk:
        await desk.reads(desk.session("wm1"), 0, "happened")


@pytest.mark.slow  # the pause before a repetition is ten seconds
async def test_a_send_whose_answer_was_lost_is_repeated_and_seen_once(desk: WecomDesk) -> None:
    desk.simulator.faults.plan(Fault("drop_answer", method="kf/send_msg"))
    await desk.ask("wm1", "hello", "Linden Home")
    await desk.until(lambda: len(desk.simulator.ledger.entries("call", method="kf/send_msg")) >= 2)

    record = await desk.record("kf/main/wm1")
    assert [one["delivery"] for one in record["messages"] if one["author"] == "bot"] == ["sent"]
    assert len(desk.session("wm1").received) == 1


async def test_whoever_asks_for_a_person_is_put_into_wecoms_queue_after_the_bots_words(desk: WecomDesk) -> None:
    before = len(desk.session("wm1").received)
    desk.simulator.company.write(OPEN_KFID, "wm1", content="I want to talk to a person")
    await desk.until(lambda: len(desk.session("wm1").received) > before)
    # Outside staffed hours the bot asks for a number first.
    desk.simulator.company.write(OPEN_KFID, "wm1", content="13800138000")
    await desk.until(lambda: desk.session("wm1").state == POOL)

    methods = [entry["kind"] for entry in desk.simulator.ledger.entries() if entry["kind"] in {"send", "trans"}]
    assert methods[-1] == "trans"
    assert len(desk.session("wm1").received) >= 1


async def test_a_colleague_who_takes_over_silences_the_bot_until_the_session_ends(desk: WecomDesk) -> None:
    company = desk.simulator.company
    await desk.ask("wm1", "hello", "Linden Home")
    company.take(OPEN_KFID, "wm1", "zhangsan")
    company.answer(OPEN_KFID, "wm1", "I am Zhang San, what is it?")
    before = len(desk.session("wm1").received)
    company.write(OPEN_KFID, "wm1", content="I want to complain")

    record = await desk.record_once(
        "kf/main/wm1", lambda found: "I want to complain" in [one["text"] for one in found["messages"]]
    )
    assert [one["author"] for one in record["messages"] if "Zhang San" in one["text"]] == ["operator"]
    assert len(desk.session("wm1").received) == before

    company.finish(OPEN_KFID, "wm1")
    assert desk.session("wm1").state == CLOSED
    await desk.ask("wm1", "hello", "Linden Home")


async def test_a_session_taken_without_our_hearing_of_it_is_found_out_when_the_vendor_refuses(desk: WecomDesk) -> None:
    company = desk.simulator.company
    company.write(OPEN_KFID, "wm1", content="hello")
    desk.session("wm1").state, desk.session("wm1").servicer = SERVICER, "zhangsan"

    refused = {"method": "kf/send_msg", "errcode": 95018}
    await desk.until(lambda: bool(desk.simulator.ledger.entries("call", **refused)))
    record = await desk.record("kf/main/wm1")

    (reply,) = [one for one in record["messages"] if one["author"] == "bot"]
    assert reply["delivery"] == "parked"
    assert desk.session("wm1").received == []


async def test_one_callback_answered_late_is_delivered_again_and_answered_once(desk: WecomDesk) -> None:
    desk.simulator.faults.plan(Fault("duplicate_update"))
    await desk.member_asks("lisi", "I want to complain", "happened")

    record = await desk.record("wecom/main/lisi")
    assert [one["author"] for one in record["messages"]] == ["customer", "bot"]


async def test_a_reply_beyond_the_five_waits_until_the_customer_writes_again(desk: WecomDesk) -> None:
    desk.simulator.company.write(OPEN_KFID, "wm1", content="hello")
    desk.session("wm1").sent = 5  # sent by others who share the account
    await desk.until(lambda: bool(desk.simulator.ledger.entries("call", method="kf/send_msg", errcode=95001)))
    assert desk.session("wm1").received == []

    answers = await desk.ask("wm1", "I want to complain", "happened")

    assert answers.index("Linden Home") < answers.index("happened")
    assert await desk.violations() == []


async def test_dying_between_storing_and_moving_on_doubles_no_turn(folder: Path, simulator: WecomSimulator) -> None:
    deaths = iter([True])

    def fault(point: str) -> None:
        if point == "kf.before_cursor" and simulator.company.log and next(deaths, False):
            raise RuntimeError("the puller dies here")

    async with wecom_desk(folder, simulator, fault=fault) as desk:
        await desk.ask("wm1", "I want to complain", "happened")
        await desk.ask("wm1", "the lid does not close", "order")

        record = await desk.record("kf/main/wm1")
        said = [one["text"] for one in record["messages"] if one["author"] == "customer" and one["text"]]
        assert said == ["I want to complain", "the lid does not close"]
        assert len(desk.session("wm1").received) == 2
        assert await desk.violations() == []


async def test_what_the_customer_refused_is_marked_failed_and_they_unreachable(desk: WecomDesk) -> None:
    desk.simulator.company.write(OPEN_KFID, "wm1", content="hello")
    desk.simulator.company.refuse("wm1")
    await desk.until(lambda: bool(desk.simulator.ledger.entries("send", outcome="refused by the customer")))

    record = await desk.record_once(
        "kf/main/wm1", lambda found: "failed" in {one["delivery"] for one in found["messages"]}
    )
    assert record["identities"][0]["unreachable_reason"] == "the customer refuses messages"


async def test_a_contact_who_deletes_a_colleague_is_remembered_as_gone(desk: WecomDesk) -> None:
    company = desk.simulator.company
    company.contact("add_external_contact", "zhangsan", "wo1", "autumn-leaflet")
    company.contact("del_follow_user", "zhangsan", "wo1")
    await desk.until(lambda: len(desk.simulator.ledger.entries("delivery", outcome="200")) == 2)

    (identity,) = (await desk.record("wecom/main/wo1"))["identities"]
    assert (identity["source"], identity["unreachable_reason"]) == ("autumn-leaflet", "deleted by the customer")


async def test_the_address_typed_into_the_console_is_verified(desk: WecomDesk) -> None:
    assert await desk.simulator.callbacks.verify()


async def test_a_picture_from_a_customer_is_fetched_from_wecom_and_kept(desk: WecomDesk) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "navy").save(buffer, "PNG")
    company = desk.simulator.company
    company.media["3img"] = (buffer.getvalue(), "image/png", "lamp.png", company.now())
    company.write(OPEN_KFID, "wm1", "image", media_id="3img")

    await desk.until(lambda: bool(desk.simulator.ledger.entries("call", method="media/get", outcome="ok")))
    record = await desk.record_once("kf/main/wm1", lambda found: {one["state"] for one in found["files"]} == {"stored"})
    assert [one["kind"] for one in record["files"]] == ["image"]
