"""Sending to WeCom's stand-in: to members and to 微信客服 customers, within their limits and states."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from bot.errors import (
    Misconfigured,
    NotFound,
    PayloadInvalid,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceUnavailable,
    WindowClosed,
)
from bot.ports import StoredFile
from bot.types import Card, OutMedia, OutPart, RenderedReply
from channels.simulators.faults import Fault
from channels.simulators.wecom import OPEN_KFID
from channels.simulators.wecom_world import BOT, CLOSED, POOL, SERVICER
from tests.wecom_company import World, a_kf_row, a_row, a_world, send_all, with_buttons


@pytest.fixture
async def world() -> AsyncIterator[World]:
    async with a_world() as found:
        found.company.member("lisi")
        yield found


# --- members --------------------------------------------------------------------------------------------


async def test_a_member_reads_what_was_sent(world: World) -> None:
    receipt = await world.app.send(a_row(1, "您好", chat="lisi"))

    assert receipt.vendor_message_id
    assert [shown.text for shown in world.company.member("lisi").received] == ["您好"]


async def test_a_long_text_arrives_whole_though_the_vendor_cuts_at_2048_bytes(world: World) -> None:
    text = "请把订单号告诉我。" * 300

    await send_all(world.app, world.app.encode(RenderedReply(text)), chat="lisi")

    assert "".join(shown.text for shown in world.company.member("lisi").received) == text


async def test_buttons_below_a_short_text_are_a_card_that_comes_back_as_a_press(world: World) -> None:
    await send_all(world.app, world.app.encode(with_buttons("要继续吗？", "是", "否")), chat="lisi")

    (card,) = world.company.member("lisi").received
    assert (card.kind, [button["id"] for button in card.buttons]) == ("template_card", ["/是", "/否"])


async def test_a_card_s_title_is_short_and_the_rest_stands_below_it(world: World) -> None:
    text = "订单明天送到，快递员会先打电话。不在家也没关系，可以放在驿站，我们会发取件码给您。要继续吗？"
    await send_all(world.app, world.app.encode(with_buttons(text, "是", "否")), chat="lisi")

    assert world.company.member("lisi").received[0].text.split("\n") == [
        "订单明天送到，快递员会先打电话。不在家也没关系，可以放在驿站，",
        "我们会发取件码给您。要继续吗？",
    ]


async def test_buttons_below_a_long_text_are_a_numbered_list(world: World) -> None:
    await send_all(world.app, world.app.encode(with_buttons("很长。" * 60, "是", "否")), chat="lisi")

    assert "1. 是\n2. 否" in world.company.member("lisi").received[-1].text


async def test_cards_that_lead_somewhere_are_news_and_others_are_words(world: World) -> None:
    lamp = Card("一盏灯", "护眼", "https://x.example/lamp.jpg", "https://x.example/lamp")

    await send_all(world.app, world.app.encode(RenderedReply("看看：", cards=(lamp,))), chat="lisi")
    await send_all(world.app, world.app.encode(RenderedReply("看看：", cards=(replace(lamp, url=""),))), chat="lisi")

    kinds = [shown.kind for shown in world.company.member("lisi").received]
    assert kinds == ["text", "news", "text"]


async def test_a_file_of_ours_is_uploaded_and_sent_as_what_it_is(world: World) -> None:
    world.media.files = {
        "m1": (StoredFile("m1", "image/png", 8, "a.png"), b"\x89PNG1234"),
        "m2": (StoredFile("m2", "image/webp", 8, "b.webp"), b"RIFF1234"),
    }
    await world.app.send(a_row(1, OutPart("", media=(OutMedia("image", media_id="m1"),)), chat="lisi"))
    await world.app.send(a_row(2, OutPart("", media=(OutMedia("image", media_id="m2"),)), chat="lisi"))

    assert [shown.kind for shown in world.company.member("lisi").received] == ["image", "file"]
    assert [found[:3] for found in world.company.media.values()] == [
        (b"\x89PNG1234", "image/png", "a.png"),
        (b"RIFF1234", "image/webp", "b.webp"),
    ]


async def test_a_file_that_is_gone_or_too_large_is_refused_and_one_with_an_address_is_a_link(world: World) -> None:
    world.media.files = {"big": (StoredFile("big", "video/mp4", 20_000_001, "v.mp4"), b"")}
    for media_id in ("big", "gone"):
        with pytest.raises(SendRefused):
            await world.app.send(a_row(1, OutPart("", media=(OutMedia("video", media_id=media_id),)), chat="lisi"))

    await world.app.send(a_row(1, OutPart("", media=(OutMedia("video", url="https://x.example/v"),)), chat="lisi"))
    assert world.company.member("lisi").received[-1].text == "https://x.example/v"


async def test_somebody_who_is_no_member_cannot_be_reached(world: World) -> None:
    with pytest.raises(RecipientUnreachable):
        await world.app.send(a_row(1, "hi", chat="nobody"))


async def test_a_row_sent_again_is_seen_once_and_the_same_words_of_another_row_twice(world: World) -> None:
    row = a_row(1, "请稍候", chat="lisi")
    await world.app.send(row)
    await world.app.send(replace(row, attempt=2))
    await world.app.send(a_row(2, "请稍候", chat="lisi"))

    outcomes = [entry["outcome"] for entry in world.simulator.ledger.entries("send")]
    assert outcomes == ["ok", "repeated", "ok"]


async def test_above_thirty_a_minute_the_vendor_drops_and_says_ok_so_we_count(world: World) -> None:
    for number in range(31):
        await world.app.send(a_row(number, f"{number}", chat="lisi"))

    dropped = world.simulator.ledger.entries("send", outcome="dropped")
    assert [entry["text"] for entry in dropped] == ["30"]
    assert (world.app.capabilities.per_chat_per_min, world.app.capabilities.per_chat_per_h) == (30, 1000)


# --- credentials ----------------------------------------------------------------------------------------


async def test_an_access_token_is_fetched_once_and_replaced_when_it_is_over(world: World) -> None:
    for number in range(3):
        await world.app.send(a_row(number, "hi", chat="lisi"))
    assert world.calls("gettoken") == 1

    world.clock.elapsed_s += 60
    world.simulator.methods.end_tokens()
    await world.app.send(a_row(9, "again", chat="lisi"))

    assert world.calls("gettoken") == 2
    assert world.company.member("lisi").received[-1].text == "again"


async def test_a_wrong_secret_an_untrusted_address_and_a_limit_are_told_apart(world: World) -> None:
    world.simulator.credentials.is_ip_allowed = False
    with pytest.raises(Misconfigured, match="可信IP"):
        await world.app.send(a_row(1, "hi", chat="lisi"))
    world.simulator.credentials.is_ip_allowed = True
    world.clock.elapsed_s += 60

    world.simulator.faults.plan(Fault("rate_limited", method="message/send"))
    with pytest.raises(RateLimited) as limited:
        await world.app.send(a_row(1, "hi", chat="lisi"))
    assert limited.value.retry_after_s == 60

    world.simulator.credentials.secret = "another"
    world.simulator.methods.end_tokens()
    world.clock.elapsed_s += 60
    with pytest.raises(Misconfigured) as wrong:
        await world.app.send(a_row(1, "hi", chat="lisi"))
    assert "stand-in-secret" not in str(wrong.value)


@pytest.mark.parametrize("kind", ["drop_answer", "error_502", "unreadable_answer"])
async def test_a_lost_answer_leaves_it_open_whether_it_was_sent(world: World, kind: str) -> None:
    world.simulator.faults.plan(Fault(kind, method="message/send"))

    with pytest.raises(ServiceUnavailable) as lost:
        await world.app.send(a_row(1, "hi", chat="lisi"))

    assert lost.value.happened == "unknown"


# --- 微信客服 -----------------------------------------------------------------------------------------------


async def test_a_customer_reads_text_and_a_menu_that_comes_back_as_a_press(world: World) -> None:
    world.company.write(OPEN_KFID, "wm1", content="hi")

    await send_all(world.kf, world.kf.encode(with_buttons("要继续吗？", "是", "否")), chat="wm1", topic=OPEN_KFID)

    (menu,) = world.company.session(OPEN_KFID, "wm1").received
    assert (menu.kind, menu.text, [button["id"] for button in menu.buttons]) == (
        "msgmenu",
        "要继续吗？",
        ["/是", "/否"],
    )


async def test_a_menu_below_a_long_text_keeps_all_of_it(world: World) -> None:
    world.company.write(OPEN_KFID, "wm1", content="hi")
    text = "很长的说明。" * 100  # 1800 bytes: one text, but too long above a menu

    await send_all(world.kf, world.kf.encode(with_buttons(text, "是")), chat="wm1", topic=OPEN_KFID)

    received = world.company.session(OPEN_KFID, "wm1").received
    assert "".join(shown.text for shown in received) == text
    assert [shown.kind for shown in received] == ["text", "msgmenu"]


async def test_the_sixth_reply_finds_the_window_closed_until_the_customer_writes(world: World) -> None:
    world.company.write(OPEN_KFID, "wm1", content="hi")
    for number in range(5):
        await world.kf.send(a_kf_row(number, "answer"))
    with pytest.raises(WindowClosed):
        await world.kf.send(a_kf_row(5, "one too many"))

    world.company.write(OPEN_KFID, "wm1", content="are you there?")
    await world.kf.send(a_kf_row(5, "one too many"))

    assert len(world.company.session(OPEN_KFID, "wm1").received) == 6


async def test_two_days_later_nothing_may_be_sent(world: World) -> None:
    world.company.write(OPEN_KFID, "wm1", content="hi")
    world.clock.elapsed_s += 49 * 3600

    with pytest.raises(WindowClosed):
        await world.kf.send(a_kf_row(1, "late"))


async def test_a_row_sent_again_with_its_msgid_counts_as_sent_and_is_seen_once(world: World) -> None:
    world.company.write(OPEN_KFID, "wm1", content="hi")
    world.simulator.faults.plan(Fault("drop_answer", method="kf/send_msg"))
    with pytest.raises(ServiceUnavailable) as lost:
        await world.kf.send(a_kf_row(1, "answer"))
    assert lost.value.happened == "unknown"

    receipt = await world.kf.send(replace(a_kf_row(1, "answer"), attempt=2))

    assert receipt.vendor_message_id == f"{1:032x}"
    assert len(world.company.session(OPEN_KFID, "wm1").received) == 1


@pytest.mark.parametrize(
    ("state", "owner", "error"),
    [(POOL, "queue", SendRefused), (SERVICER, "operator", SendRefused), (CLOSED, "closed", WindowClosed)],
)
async def test_a_session_with_somebody_else_is_refused_and_the_store_told(
    world: World, state: int, owner: str, error: type[Exception]
) -> None:
    world.company.write(OPEN_KFID, "wm1", content="hi")
    world.company.session(OPEN_KFID, "wm1").state = state
    world.company.session(OPEN_KFID, "wm1").servicer = "zhangsan" if state == SERVICER else ""

    with pytest.raises(error):
        await world.kf.send(a_kf_row(1, "answer"))

    (told,) = world.states
    assert told.message is not None
    assert told.message.content.detail["owner"] == owner  # type: ignore[union-attr]
    assert told.message.topic == OPEN_KFID
    assert world.company.session(OPEN_KFID, "wm1").received == []


async def test_a_session_that_came_back_meanwhile_is_tried_again(world: World) -> None:
    world.company.write(OPEN_KFID, "wm1", content="hi")
    world.company.session(OPEN_KFID, "wm1").state = BOT
    world.simulator.faults.plan(Fault("errcode", method="kf/send_msg", code=95018))

    with pytest.raises(ServiceUnavailable) as found:
        await world.kf.send(a_kf_row(1, "answer"))

    assert found.value.happened == "no"
    assert world.states == []


async def test_a_key_that_is_no_msgid_never_leaves(world: World) -> None:
    with pytest.raises(SendRefused):
        await world.kf.send(replace(a_kf_row(1, "answer"), idempotency_key="too long " * 5))

    assert world.calls("kf/send_msg") == 0


# --- customers' files -----------------------------------------------------------------------------------


async def test_a_customers_file_is_fetched_while_the_vendor_has_it(world: World) -> None:
    world.company.media["3img"] = (b"\xff\xd8\xff1234", "image/jpeg", "photo.jpg", world.clock.now().timestamp())

    found = await world.kf.fetch_media("3img", max_bytes=100)

    assert (found.content, found.mime, found.file_name) == (b"\xff\xd8\xff1234", "image/jpeg", "photo.jpg")
    with pytest.raises(PayloadInvalid):
        await world.kf.fetch_media("3img", max_bytes=3)
    world.clock.elapsed_s += 3 * 86400 + 1
    with pytest.raises(NotFound):
        await world.kf.fetch_media("3img", max_bytes=100)


# --- the doctor -----------------------------------------------------------------------------------------


async def test_the_doctor_finds_a_sound_account_sound_and_says_where_callbacks_go(world: World) -> None:
    world.cursors.values[world.kf.cursor_name(OPEN_KFID)] = f"4gw7@{int(world.clock.now().timestamp()) - 90}"

    findings = [
        *await world.app.examine(public_url="https://desk.example/", repair=False),
        *await world.kf.examine(public_url="https://desk.example/", repair=False),
    ]

    told = {finding.check: finding.finding for finding in findings if "clock" not in finding.check}
    assert told["wecom/main callback"].endswith("https://desk.example/channels/wecom/main")
    assert "7200 s" in told["wecom/main credentials"]
    assert told[f"kf/main {OPEN_KFID}"] == "newest messages read 90 s ago"
    assert [finding.check for finding in findings if finding.is_broken] == ["wecom/main clock"]  # a stepped one


async def test_the_doctor_names_what_is_wrong(world: World) -> None:
    world.simulator.credentials.is_ip_allowed = False

    findings = await world.app.examine(public_url="", repair=False)

    assert [finding.is_broken for finding in findings] == [True, True]
    assert "可信IP" in findings[0].finding


async def test_without_an_account_to_manage_the_doctor_says_where_to_grant_one(world: World) -> None:
    world.company.kf_accounts.clear()

    findings = await world.kf.examine(public_url="https://desk.example", repair=False)

    assert findings[-1].is_broken
    assert "微信客服" in findings[-1].repair
