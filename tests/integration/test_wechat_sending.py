"""What leaves an Official Account, and what it manages at WeChat, against the strict stand-in."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest

from bot.errors import (
    BotError,
    Misconfigured,
    NotFound,
    PayloadInvalid,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceUnavailable,
    WindowClosed,
)
from bot.types import OutMedia, OutPart, RenderedReply, ReplyButton
from channels.base import Finding
from channels.simulators.faults import Fault
from channels.simulators.wechat import WechatSimulator
from channels.wechat import WechatAdapter
from config.settings import WechatSettings
from tests.channel_doubles import an_outbound


class Clock:
    def __init__(self) -> None:
        self.at = time.time()

    def now(self) -> float:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def wechat(clock: Clock) -> AsyncIterator[WechatSimulator]:
    async with WechatSimulator(now=clock.now) as simulator:
        yield simulator


@pytest.fixture
async def adapter(wechat: WechatSimulator, clock: Clock) -> AsyncIterator[WechatAdapter]:
    now = partial(datetime.fromtimestamp, tz=UTC)
    adapter = WechatAdapter("main", WechatSettings(**wechat.settings()), now=lambda: now(clock.at))
    yield adapter
    await adapter.close()


def saying(text: str = "您好", openid: str = "o1", **part: Any) -> Any:
    return replace(an_outbound(), channel="wechat", chat_id=openid, part=OutPart(text, **part))


async def test_a_message_arrives_as_it_was_written(wechat: WechatSimulator, adapter: WechatAdapter) -> None:
    wechat.account.write("o1", "hi")
    await adapter.send(saying('您好 "1" 😀 \\u4f60'))

    (shown,) = wechat.account.follower("o1").received
    assert (shown.text, shown.how) == ('您好 "1" 😀 \\u4f60', "service")


async def test_the_sixth_reply_and_one_without_a_window_find_it_closed(
    wechat: WechatSimulator, adapter: WechatAdapter, clock: Clock
) -> None:
    wechat.account.write("o1", "hi")
    for _ in range(5):
        await adapter.send(saying())
    with pytest.raises(WindowClosed, match="45047"):
        await adapter.send(saying())

    clock.at += 48 * 3600
    with pytest.raises(WindowClosed, match="45015"):
        await adapter.send(saying())
    assert len(wechat.account.follower("o1").received) == 5


async def test_who_unfollowed_cannot_be_reached(wechat: WechatSimulator, adapter: WechatAdapter) -> None:
    wechat.account.unfollow("o1")
    with pytest.raises(RecipientUnreachable):
        await adapter.send(saying())
    with pytest.raises(RecipientUnreachable):
        await adapter.send(saying(openid="nobody"))


async def test_an_unverified_account_sends_nothing_by_itself(wechat: WechatSimulator) -> None:
    for change in ({"verified": False}, {"app_secret": None}):
        adapter = WechatAdapter("main", WechatSettings(**{**wechat.settings(), **change}))
        with pytest.raises(WindowClosed):
            await adapter.send(saying())
        await adapter.close()
    assert wechat.ledger.entries("call") == []


async def test_typing_is_shown_and_its_failure_is_nobodys_business(
    wechat: WechatSimulator, adapter: WechatAdapter
) -> None:
    await adapter.send_typing("nobody")
    wechat.account.write("o1", "hi")
    await adapter.send_typing("o1")

    await adapter.send_typing("o1")

    calls = wechat.ledger.entries("call", method="message/custom/typing")
    assert [call["errcode"] for call in calls] == [40003, 0, 45081]


async def test_typing_can_be_shown_for_a_while_after_something_was_said(
    wechat: WechatSimulator, adapter: WechatAdapter, clock: Clock
) -> None:
    wechat.account.write("o1", "hi")
    await adapter.api.show_typing("o1")
    await adapter.api.show_typing("o1")  # they see it already: as good as shown
    await adapter.send(saying())  # ends it
    await adapter.api.show_typing("o1")
    clock.at += 31

    with pytest.raises(SendRefused, match="45080"):
        await adapter.api.show_typing("o1")


async def test_an_address_not_on_the_allow_list_says_what_to_do(
    wechat: WechatSimulator, adapter: WechatAdapter
) -> None:
    wechat.is_on_allow_list = False
    with pytest.raises(Misconfigured, match="allow-list"):
        await adapter.send(saying())


@pytest.mark.parametrize(
    ("kind", "error"),
    [
        ("drop_request", ServiceUnavailable),
        ("drop_answer", ServiceUnavailable),
        ("error_502", ServiceUnavailable),
        ("unreadable_answer", ServiceUnavailable),
        ("rate_limited", RateLimited),
        ("errcode", ServiceUnavailable),
    ],
)
async def test_each_fault_has_its_class(
    wechat: WechatSimulator, adapter: WechatAdapter, kind: str, error: type[BotError]
) -> None:
    wechat.account.write("o1", "hi")
    await adapter.send(saying())
    wechat.faults.plan(Fault(kind, method="message/custom/send"))
    with pytest.raises(error):
        await adapter.send(saying())


async def test_a_token_ended_at_the_vendor_is_replaced_once_for_all_calls(
    wechat: WechatSimulator, adapter: WechatAdapter, clock: Clock
) -> None:
    wechat.account.write("o1", "hi")
    await adapter.send(saying())
    clock.at += 60
    wechat.methods.tokens.end_all()

    for _ in range(3):
        await adapter.send(saying())
    assert wechat.methods.tokens.given == 2
    assert len(wechat.ledger.entries("call", errcode=40001)) == 1


async def test_a_long_reply_and_buttons_become_texts_wechat_takes(
    wechat: WechatSimulator, adapter: WechatAdapter
) -> None:
    parts = adapter.encode(RenderedReply("字" * 1000, (ReplyButton("查订单", "intent:order_status"),)))
    wechat.account.write("o1", "hi")
    for part in parts:
        await adapter.send(saying(part.text))

    assert "".join(shown.text for shown in wechat.account.follower("o1").received).endswith("1. 查订单")


async def test_a_picture_is_uploaded_and_one_wechat_refuses_becomes_its_address(
    wechat: WechatSimulator, adapter: WechatAdapter
) -> None:
    wechat.account.write("o1", "hi")
    good = wechat.account.keep(b"\x89PNG\r\n\x1a\n", "image/png", "good.png")
    token = await adapter.api.tokens.get()
    address = f"{wechat.url}/cgi-bin/media/get?access_token={token}&media_id={good}"
    await adapter.send(saying("", image_url=address))
    await adapter.send(saying("", media=(OutMedia("image", url=f"{wechat.url}/_sim/", caption="a page"),)))

    first, second = wechat.account.follower("o1").received
    assert first.kind == "image"
    assert second.text == f"a page\n{wechat.url}/_sim/"


async def test_a_followers_file_is_fetched_within_its_limit(wechat: WechatSimulator, adapter: WechatAdapter) -> None:
    media_id = wechat.account.keep(b"#!AMR voice", "audio/amr", "v.amr")

    file = await adapter.fetch_media(media_id, max_bytes=100)
    assert (file.content, file.mime, file.file_name) == (b"#!AMR voice", "audio/amr", "v.amr")
    with pytest.raises(PayloadInvalid):
        await adapter.fetch_media(media_id, max_bytes=5)
    with pytest.raises(NotFound):
        await adapter.fetch_media("gone", max_bytes=5)


async def test_a_picture_address_outside_wechat_is_not_fetched(wechat: WechatSimulator, adapter: WechatAdapter) -> None:
    for address in (wechat.url, "http://169.254.169.254/", "http://evil.example/.qq.com"):
        with pytest.raises(NotFound):
            await adapter.fetch_media(address, max_bytes=100)


# --- what an operator manages -----------------------------------------------------------------------------------------


async def test_a_menu_comes_and_goes(adapter: WechatAdapter) -> None:
    menu = {"button": [{"type": "click", "name": "查订单", "key": "intent:order_status"}]}
    with pytest.raises(NotFound):
        await adapter.api.menu()
    await adapter.api.create_menu(menu)
    assert await adapter.api.menu() == menu
    await adapter.api.delete_menu()
    with pytest.raises(NotFound):
        await adapter.api.menu()


async def test_a_menu_wechat_refuses_says_why(adapter: WechatAdapter) -> None:
    with pytest.raises(SendRefused, match="button size"):
        await adapter.api.create_menu({"button": []})


async def test_codes_carry_their_scene(adapter: WechatAdapter) -> None:
    lasting, passing = await adapter.api.create_qr("spring"), await adapter.api.create_qr("day", lasts_s=3600)
    assert (lasting.lasts_s, passing.lasts_s) == (None, 3600)
    assert "%2B" in lasting.image_url
    for wrong in ("", "x" * 65):
        with pytest.raises(ValueError, match="scene"):
            await adapter.api.create_qr(wrong)


async def test_a_chat_can_be_continued_here_by_a_code(
    wechat: WechatSimulator, adapter: WechatAdapter, clock: Clock
) -> None:
    expires_at = datetime.fromtimestamp(clock.at + 900, UTC)
    assert (await adapter.opening_address("payload", expires_at)).startswith(
        "https://mp.weixin.qq.com/cgi-bin/showqrcode"
    )


async def test_tags_and_who_carries_them_over_several_pages(wechat: WechatSimulator, adapter: WechatAdapter) -> None:
    people = [f"o{number:03}" for number in range(60)]
    for openid in people:
        wechat.account.follower(openid)
    tag = await adapter.api.create_tag("常客")
    await adapter.api.tag_followers(tag.id, people)

    assert [(each.name, each.count) for each in await adapter.api.tags()] == [("常客", 60)]
    assert await adapter.api.followers_of(tag.id) == people


async def test_template_and_subscribe_messages(wechat: WechatSimulator, adapter: WechatAdapter) -> None:
    wechat.account.follower("o1")
    await adapter.api.send_template("o1", "tpl", {"thing1": "您有新的回复"}, url="https://shop.example/", key="k1")
    wechat.account.agree("o1", "sub")
    await adapter.api.send_subscribe("o1", "sub", {"thing1": "已发货"})
    with pytest.raises(SendRefused, match="43101"):
        await adapter.api.send_subscribe("o1", "sub", {"thing1": "once more"})

    assert [shown.how for shown in wechat.account.follower("o1").received] == ["template", "subscribe"]


async def test_a_waiting_reply_may_be_announced_by_the_one_subscribe_message_a_follower_agreed_to(
    wechat: WechatSimulator,
) -> None:
    notice = {"kind": "subscribe", "template_id": "sub", "fields": {"thing1": "您有新的回复"}}
    settings = WechatSettings.model_validate({**wechat.settings(), "held_notice": notice})
    adapter = WechatAdapter("main", settings)
    wechat.account.follower("o1")
    wechat.account.agree("o1", "sub")
    await adapter.notify_held(saying())
    with pytest.raises(SendRefused, match="43101"):
        await adapter.notify_held(saying())
    await adapter.close()

    assert [shown.how for shown in wechat.account.follower("o1").received] == ["subscribe"]


async def test_the_same_mass_send_is_made_once_a_day(
    wechat: WechatSimulator, adapter: WechatAdapter, clock: Clock
) -> None:
    wechat.account.is_service_account = True
    people = [wechat.account.follower(f"o{number}").openid for number in range(3)]
    sent = await adapter.api.mass_send_to(people, "新品", "campaign-1")
    with pytest.raises(RateLimited):  # asked again within a minute
        await adapter.api.mass_send_to(people, "新品", "campaign-1")
    clock.at += 61

    assert await adapter.api.mass_send_to(people, "新品", "campaign-1") == sent
    assert all(len(wechat.account.follower(openid).received) == 1 for openid in people)
    clock.at += 24 * 3600
    assert await adapter.api.mass_send_to(people, "新品", "campaign-1") != sent


async def test_a_subscription_account_reaches_only_tags_or_all(wechat: WechatSimulator, adapter: WechatAdapter) -> None:
    people = [wechat.account.follower(f"o{number}").openid for number in range(3)]
    with pytest.raises(Misconfigured, match="48001"):
        await adapter.api.mass_send_to(people, "新品", "campaign-1")


async def test_a_subscription_account_has_one_mass_send_a_day(
    wechat: WechatSimulator, adapter: WechatAdapter, clock: Clock
) -> None:
    wechat.account.follower("o1")
    await adapter.api.mass_send_to_tag(None, "a", "k1")
    with pytest.raises(RateLimited) as caught:
        await adapter.api.mass_send_to_tag(None, "b", "k2")
    assert caught.value.retry_after_s <= 24 * 3600 + 1
    clock.at += 24 * 3600
    await adapter.api.mass_send_to_tag(None, "b", "k2")


async def test_a_service_account_reaches_each_follower_four_times_a_month(
    wechat: WechatSimulator, adapter: WechatAdapter
) -> None:
    wechat.account.is_service_account = True
    wechat.account.follower("o1")
    for number in range(6):
        await adapter.api.mass_send_to_tag(None, "x", f"k{number}")
    assert len(wechat.account.follower("o1").received) == 4


async def test_quotas_are_those_of_the_kind_of_account_and_what_the_vendor_counts(
    wechat: WechatSimulator, adapter: WechatAdapter
) -> None:
    mass, templates = await adapter.quota("mass"), await adapter.quota("template")

    assert mass is not None
    assert (mass.limit, mass.per, mass.of) == (1, "day", "account")
    assert templates is not None
    assert (templates.kind, templates.per, templates.used) == ("template", "day", 0)


async def test_a_mass_send_by_tag_reaches_exactly_those_it_was_made_for(
    wechat: WechatSimulator, adapter: WechatAdapter, clock: Clock
) -> None:
    people = [wechat.account.follower(f"o{number:03}").openid for number in range(120)]
    wechat.account.follower("somebody-else")

    refused = await adapter.gather([*people, "nobody"], "5-1764170000-abcdef", "tag")
    await adapter.leave_out(people[:2], "5-1764170000-abcdef", "tag")
    sent = await adapter.send_to_many(people[2:], OutPart("新品"), "5-1764170000-abcdef", "tag")
    clock.at += 61

    assert await adapter.send_to_many(people[2:], OutPart("新品"), "5-1764170000-abcdef", "tag") == sent
    assert list(refused) == ["nobody"]
    assert [each.openid for each in wechat.account.followers.values() if len(each.received) == 1] == people[2:]
    with pytest.raises(NotFound):
        await adapter.send_to_many(people, OutPart("新品"), "never gathered", "tag")


async def test_a_send_goes_on_with_the_tag_a_dead_process_made_and_old_tags_go(
    wechat: WechatSimulator, adapter: WechatAdapter, clock: Clock
) -> None:
    wechat.account.follower("o1")
    await adapter.api.create_tag("常客")
    await adapter.gather(["o1"], "k1", "tag")
    after = WechatAdapter(
        "main", WechatSettings(**wechat.settings()), now=lambda: datetime.fromtimestamp(clock.at, UTC)
    )
    await after.gather(["o1"], "k1", "tag")
    made = list(wechat.account.tags.values())
    clock.at += 3 * 24 * 3600
    await after.gather(["o1"], "k2", "tag")
    await after.close()

    assert made[0] == "常客"
    assert len(made) == 2
    assert len(wechat.account.tags) == 2
    assert made[1] not in wechat.account.tags.values()
    assert all(len(name.encode()) <= 30 for name in made)


async def test_an_account_that_has_all_its_tags_is_told_so(wechat: WechatSimulator, adapter: WechatAdapter) -> None:
    wechat.account.tags.update({number: f"t{number}" for number in range(100, 200)})
    with pytest.raises(Misconfigured, match="tags"):
        await adapter.gather(["o1"], "k1", "tag")


def test_what_an_account_may_send_is_that_of_its_kind(wechat: WechatSimulator) -> None:
    def kinds(**settings: Any) -> frozenset[str]:
        return WechatAdapter("main", WechatSettings(**{**wechat.settings(), **settings})).broadcast_kinds

    assert kinds(kind="service") == {"template", "subscribe", "mass:list", "mass:tag"}
    assert kinds(kind="subscription") == {"subscribe", "mass:tag"}
    assert kinds(verified=False) == frozenset()


@pytest.mark.parametrize(
    ("openids", "key"), [(["o1"], "k"), (["o"] * 10_001, "k"), (["a", "b"], ""), (["a", "b"], "k" * 65)]
)
async def test_a_mass_send_that_cannot_work_is_not_tried(
    wechat: WechatSimulator, adapter: WechatAdapter, openids: list[str], key: str
) -> None:
    with pytest.raises(ValueError, match="mass send"):
        await adapter.api.mass_send_to(openids, "x", key)
    assert wechat.ledger.entries("call") == []


# --- doctor -----------------------------------------------------------------------------------------------------------


async def _broken(adapter: WechatAdapter, public_url: str = "https://desk.example") -> list[Finding]:
    return [finding for finding in await adapter.examine(public_url=public_url, repair=False) if finding.is_broken]


async def test_a_good_account_has_nothing_to_repair(adapter: WechatAdapter) -> None:
    assert await _broken(adapter) == []
    findings = await adapter.examine(public_url="https://desk.example", repair=False)
    assert {finding.check.split()[-1] for finding in findings} == {"callback", "credentials", "clock", "token", "quota"}


BREAK: dict[str, tuple[Callable[[WechatSimulator], Any], dict[str, Any]]] = {
    "allow-list": (lambda wechat: setattr(wechat, "is_on_allow_list", False), {}),
    "APP_SECRET": (lambda wechat: None, {"app_secret": "wrong"}),
    "APP_ID": (lambda wechat: None, {"app_id": "wx-wrong"}),
    "another": (lambda wechat: None, {"token": "not allowed!"}),
}


@pytest.mark.parametrize("repair", list(BREAK))
async def test_what_is_wrong_comes_with_its_repair(wechat: WechatSimulator, repair: str) -> None:
    breaking, change = BREAK[repair]
    breaking(wechat)
    adapter = WechatAdapter("main", WechatSettings(**{**wechat.settings(), **change}))
    (finding,) = await _broken(adapter)
    await adapter.close()
    assert repair in finding.repair
    assert "stand-in-secret" not in f"{finding}"


async def test_without_an_address_wechat_cannot_deliver(adapter: WechatAdapter) -> None:
    (finding,) = await _broken(adapter, "")
    assert "FRONTDESK_PUBLIC_URL" in finding.repair
