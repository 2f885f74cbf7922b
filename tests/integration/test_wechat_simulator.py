"""The stand-in is as strict as WeChat: only then does passing against it mean something."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from channels.simulators.faults import Fault
from channels.simulators.wechat import APP_ID, APP_SECRET, ORIGINAL_ID, WechatSimulator
from channels.simulators.wechat_world import BROKEN
from channels.tencent.xml import write_xml

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Webhook:
    """Our side, answering whatever the test says."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.answers: list[bytes | int | None] = []  # body, status, None: silence until the vendor gives up

    async def handle(self, request: web.Request) -> web.StreamResponse:
        if request.method == "GET":
            return web.Response(text=request.query["echostr"])
        self.bodies.append(await request.read())
        answer = self.answers.pop(0) if self.answers else b"success"
        if answer is None:
            await asyncio.Event().wait()
        return web.Response(status=answer) if isinstance(answer, int) else web.Response(body=answer)


@pytest.fixture
async def webhook() -> AsyncIterator[Webhook]:
    webhook = Webhook()
    app = web.Application()
    app.router.add_route("*", "/", webhook.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    webhook.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"  # type: ignore[attr-defined]  # known only now
    yield webhook
    await runner.cleanup()


@pytest.fixture
async def wechat(webhook: Webhook) -> AsyncIterator[WechatSimulator]:
    async with WechatSimulator(answer_within_s=0.2) as simulator:
        simulator.callbacks.url = webhook.url  # type: ignore[attr-defined]  # set by the fixture
        yield simulator


def reply(**change: Any) -> bytes:
    fields = {"ToUserName": "o1", "FromUserName": ORIGINAL_ID, "CreateTime": 1, "MsgType": "text", "Content": "hi"}
    return write_xml({**fields, **change})


def last(wechat: WechatSimulator) -> tuple[str, str]:
    shown = wechat.account.follower("o1").chat[-1]
    return shown.text, shown.how


async def test_silence_is_given_up_and_tried_three_times(wechat: WechatSimulator, webhook: Webhook) -> None:
    webhook.answers = [None, None, None]
    wechat.account.write("o1", "hello")
    await wechat.callbacks.settled()

    assert len(webhook.bodies) == 3
    assert len(set(webhook.bodies)) == 1
    assert last(wechat) == (BROKEN, "")


async def test_an_answer_to_the_second_delivery_counts(wechat: WechatSimulator, webhook: Webhook) -> None:
    webhook.answers = [503, reply()]
    wechat.account.write("o1", "hello")
    await wechat.callbacks.settled()
    assert last(wechat) == ("hi", "passive")


@pytest.mark.parametrize(
    "answer",
    [
        b"ok",
        b"{}",
        b"<xml/>",
        reply(ToUserName="somebody else"),
        reply(FromUserName="somebody else"),
        reply(CreateTime="now"),
        reply(MsgType="poem"),
        reply(Content=""),
        reply(Content="字" * 683),  # 2049 bytes
        reply()[:-10],
        reply().replace(b"hi", b"a]]>b"),
        reply().replace(b"hi", b"\xff"),
    ],
)
async def test_an_answer_that_is_no_reply_shows_the_service_broken(
    wechat: WechatSimulator, webhook: Webhook, answer: bytes
) -> None:
    webhook.answers = [answer]
    wechat.account.write("o1", "hello")
    await wechat.callbacks.settled()
    assert last(wechat) == (BROKEN, "")


async def test_a_reply_may_fill_what_wechat_takes(wechat: WechatSimulator, webhook: Webhook) -> None:
    webhook.answers = [reply(Content="字" * 682 + "ab")]
    wechat.account.write("o1", "hello")
    await wechat.callbacks.settled()
    assert last(wechat) == ("字" * 682 + "ab", "passive")


async def test_a_plain_reply_to_an_encrypted_account_is_none(wechat: WechatSimulator, webhook: Webhook) -> None:
    wechat.callbacks.encryption = "encrypted"
    webhook.answers = [reply()]
    wechat.account.write("o1", "hello")
    await wechat.callbacks.settled()
    assert last(wechat) == (BROKEN, "")
    assert b"hello" not in webhook.bodies[0]


async def test_callbacks_can_be_lost_doubled_and_overtaken(wechat: WechatSimulator, webhook: Webhook) -> None:
    wechat.faults.plan(Fault("lost_callback"))
    wechat.account.write("o1", "lost")
    wechat.faults.plan(Fault("reorder_updates"))
    wechat.account.write("o1", "first")
    wechat.faults.plan(Fault("duplicate_update"))
    wechat.account.write("o1", "second")
    await wechat.callbacks.settled()

    assert sum(b"lost" in body for body in webhook.bodies) == 0
    assert sum(b"first" in body for body in webhook.bodies) == 1
    assert sum(b"second" in body for body in webhook.bodies) == 2


async def test_a_stable_token_stays_until_it_is_forced(wechat: WechatSimulator) -> None:
    asked = {"grant_type": "client_credential", "appid": APP_ID, "secret": APP_SECRET}
    async with aiohttp.ClientSession() as http:

        async def token(**more: Any) -> str:
            answer = await http.post(f"{wechat.url}/cgi-bin/stable_token", json={**asked, **more})
            return str((await answer.json())["access_token"])

        first = await token()
        assert await token() == first
        forced = await token(force_refresh=True)
        assert forced != first
        assert await token(force_refresh=True) == forced  # not twice within 30 s
        answer = await http.get(f"{wechat.url}/cgi-bin/menu/get", params={"access_token": first})
        assert (await answer.json())["errcode"] == 40001


async def test_a_newcomer_plays_a_follower_over_http(wechat: WechatSimulator, webhook: Webhook) -> None:
    webhook.answers = [reply()]
    async with aiohttp.ClientSession() as http:
        page = await http.get(f"{wechat.url}/_sim/")
        assert "微信" in await page.text()
        acted = await http.post(f"{wechat.url}/_sim/do/text", json={"user": "o1", "text": "hello"})
        assert acted.status == 200
        await wechat.callbacks.settled()
        chat = await (await http.get(f"{wechat.url}/_sim/messages", params={"user": "o1"})).json()
        state = await (await http.get(f"{wechat.url}/_sim/state", params={"user": "o1"})).json()
        refused = await http.post(f"{wechat.url}/_sim/do/dance", json={"user": "o1"})
        faults = await (await http.get(f"{wechat.url}/_sim/faults")).json()
        verified = await (await http.post(f"{wechat.url}/_sim/verify")).json()

    assert [(shown["by"], shown["text"]) for shown in chat["messages"]] == [("customer", "hello"), ("account", "hi")]
    assert state["windows"][0]["left"] == 5
    assert refused.status == 404
    assert "lost_reply" in faults["kinds"]
    assert verified == {"verified": True}
