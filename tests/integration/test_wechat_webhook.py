"""The WeChat callback: who is believed, what is acknowledged, and what travels back in the same request."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
import urllib.parse
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from sqlalchemy import select
from starlette.applications import Starlette
from starlette.routing import BaseRoute
from wechatpy.crypto import WeChatCrypto

from bot.errors import StoreUnavailable
from bot.ports import ComposedReply, PassiveReplies
from bot.types import Accepted, InboxId, Received
from channels.tencent.crypto import Envelope, signature
from channels.tencent.xml import read_xml, write_xml
from channels.wechat import WechatAdapter, wechat_routes
from channels.wechat.replies import Compose
from channels.wechat.waiting import Waiting
from config.settings import WechatSettings
from crm_sync.store import SqlStore
from crm_sync.tables import inbox, messages, outbox
from frontdesk.serving import HttpServer, listen
from frontdesk.signals import LocalSignals
from tests.channel_doubles import MemoryInbox
from tests.store_steps import send_all, take_turn

GIVEN = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads" / "wechat"
TOKEN, KEY, APP_ID, ACCOUNT = "t0ken", "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG", "wx1", "gh_1"
LIMIT = 20_000
XML = {"Content-Type": "text/xml"}


class Desk:
    """The route over three accounts, one of each mode, on a real store, called in process."""

    def __init__(self, store: SqlStore) -> None:
        self.store, self.signals = store, LocalSignals()
        common: dict[str, Any] = {"app_id": APP_ID, "app_secret": "s", "token": TOKEN}
        keyed = {**common, "aes_key": KEY}
        self.adapters = {
            "plain": WechatAdapter("plain", WechatSettings(**common)),
            "compatible": WechatAdapter("compatible", WechatSettings(**keyed, encryption="compatible")),
            "encrypted": WechatAdapter("encrypted", WechatSettings(**keyed, encryption="encrypted")),
            "unverified": WechatAdapter("unverified", WechatSettings(**common, verified=False)),
        }
        store.know({"wechat": self.adapters["plain"].capabilities})
        self.waiting = Waiting(store.passive, self.signals)
        self.arrivals = asyncio.Semaphore(0)  # messages stored and not waited for yet
        self.client = self.over(self)
        self.watch = asyncio.create_task(self.waiting.run())

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        """Implements Inbox: the store, and the test knows when something is there."""
        accepted = await self.store.accept(received)
        self.arrivals.release()
        return accepted

    def over(self, inbox: Any) -> httpx.AsyncClient:
        routes = wechat_routes(self.adapters, inbox, self.store.outbox, self.waiting, LIMIT)
        transport = httpx.ASGITransport(Starlette(routes=routes))
        return httpx.AsyncClient(transport=transport, base_url="http://desk")

    async def post(self, body: bytes, account: str = "plain", query: Any = None, headers: Any = XML) -> httpx.Response:
        path = f"/channels/wechat/{account}"
        return await self.client.post(path, content=body, params=query or signed(), headers=headers)

    async def answered(self, *replies: str) -> None:
        """The worker takes the waiting conversation's turn."""
        await self.arrived()
        await take_turn(self.store, *replies)
        self.signals.publish("outbox")

    async def arrived(self) -> None:
        """A message is stored."""
        async with asyncio.timeout(10):
            await self.arrivals.acquire()

    async def rows(self) -> list[Any]:
        return await self.store.database.run(
            lambda conn: list(conn.execute(select(inbox).order_by(inbox.c.id))), read=True
        )

    async def states(self) -> list[str]:
        found = select(outbox.c.state).order_by(outbox.c.id)
        return await self.store.database.run(lambda conn: list(conn.execute(found).scalars()), read=True)

    async def close(self) -> None:
        self.watch.cancel()
        await asyncio.gather(self.watch, return_exceptions=True)
        await self.client.aclose()
        for adapter in self.adapters.values():
            await adapter.close()


class Caller:
    """WeChat's side of one connection to a server, which may hang up before the answer."""

    def __init__(self, port: int, body: bytes) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        head = f"POST /channels/wechat/plain?{urllib.parse.urlencode(signed())} HTTP/1.1\r\nHost: desk\r\n"
        self._socket.sendall(f"{head}Content-Type: text/xml\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    def hang_up(self) -> None:
        self._socket.close()


class HangsUp:
    """Passive replies, at the taking of which the caller hangs up: the loop has not come round to see it."""

    def __init__(self, replies: PassiveReplies) -> None:
        self._replies = replies
        self.ended = replies.ended
        self.caller: Caller | None = None
        self.was_put_back = asyncio.Event()

    async def take(self, inbox_id: InboxId, compose: Compose) -> ComposedReply | None:
        taken = await self._replies.take(inbox_id, compose)
        if self.caller is not None:
            self.caller.hang_up()
        return taken

    async def put_back(self, inbox_id: InboxId) -> None:
        await self._replies.put_back(inbox_id)
        self.was_put_back.set()


@asynccontextmanager
async def serving(routes: Sequence[BaseRoute]) -> AsyncIterator[int]:
    """The port of the desk's own server with these routes."""
    listener = listen("127.0.0.1", 0)
    server = HttpServer(Starlette(routes=routes), listener)
    running = asyncio.create_task(server.run())
    try:
        yield listener.getsockname()[1]
    finally:
        server.stop()
        await running


@pytest.fixture
async def desk(store_url: str) -> AsyncIterator[Desk]:
    store = await SqlStore.open(store_url)
    desk = Desk(store)
    yield desk
    await desk.close()
    await store.close()


def signed(timestamp: float | None = None, nonce: str = "", token: str = TOKEN) -> dict[str, str]:
    stamp = str(int(timestamp if timestamp is not None else time.time()))
    nonce = nonce or os.urandom(5).hex()
    return {"signature": signature(token, stamp, nonce), "timestamp": stamp, "nonce": nonce, "openid": "o1"}


def text(content: str = "hello", number: int = 1, **fields: Any) -> bytes:
    message = {"ToUserName": ACCOUNT, "FromUserName": "o1", "CreateTime": 1760000000, "MsgType": "text"}
    return write_xml({**message, "Content": content, "MsgId": number, **fields})


def event(name: str, **fields: Any) -> bytes:
    head = {"ToUserName": ACCOUNT, "FromUserName": "o1", "CreateTime": 1760000000, "MsgType": "event", "Event": name}
    return write_xml({**head, **fields})


def sealed(xml: bytes, *, beside: bytes = b"", app_id: str = APP_ID) -> tuple[bytes, dict[str, str]]:
    """An encrypted body and its query; `beside`: the copy in clear of compatible mode."""
    encrypted, query = Envelope("wechat", KEY, app_id).seal(xml), signed()
    query["msg_signature"] = signature(TOKEN, query["timestamp"], query["nonce"], encrypted)
    query["encrypt_type"] = "aes"
    part = f"<Encrypt><![CDATA[{encrypted}]]></Encrypt></xml>".encode()
    return (beside.removesuffix(b"</xml>") if beside else b"<xml>") + part, query


# --- the echo check ---------------------------------------------------------------------------------------------------


async def test_the_consoles_address_check_is_echoed(desk: Desk) -> None:
    for account in desk.adapters:
        answer = await desk.client.get(f"/channels/wechat/{account}", params={**signed(), "echostr": "7<b>"})
        assert (answer.status_code, answer.text) == (200, "7<b>")
        assert answer.headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize("change", [{"signature": "0" * 40}, {"timestamp": "1"}, {"nonce": "x"}, {"signature": "é"}])
async def test_a_forged_address_check_is_refused(desk: Desk, change: dict[str, str]) -> None:
    query = {**signed(), "echostr": "7", **change}
    assert (await desk.client.get("/channels/wechat/plain", params=query)).status_code == 401


# --- passive replies --------------------------------------------------------------------------------------------------


async def test_a_reply_in_time_travels_back_and_counts_as_sent(desk: Desk) -> None:
    post = asyncio.create_task(desk.post(text()))
    await desk.answered("您好 ]]> 1", "two")

    answer = await post

    assert answer.status_code == 200
    fields = read_xml(answer.content)
    assert fields["Content"] == "您好 ]]> 1\n\ntwo"
    assert (fields["ToUserName"], fields["FromUserName"], fields["MsgType"]) == ("o1", ACCOUNT, "text")
    assert await desk.states() == ["sent", "sent"]


async def test_an_encrypted_account_answers_encrypted(desk: Desk) -> None:
    body, query = sealed(text())
    post = asyncio.create_task(desk.post(body, "encrypted", query))
    await desk.answered("您好")

    answer = await post

    fields = read_xml(answer.content)
    crypto = WeChatCrypto(TOKEN, KEY, APP_ID)
    opened = crypto.decrypt_message(answer.content, fields["MsgSignature"], fields["TimeStamp"], fields["Nonce"])
    assert read_xml(opened.encode())["Content"] == "您好"
    assert await desk.states() == ["sent"]


async def test_in_compatible_mode_the_copy_in_clear_is_nobodys_word(desk: Desk) -> None:
    body, query = sealed(text("true words"), beside=text("forged words", number=2))
    post = asyncio.create_task(desk.post(body, "compatible", query))
    await desk.answered()

    assert (await post).text == "success"
    said = select(messages.c.text)
    assert await desk.store.database.run(lambda conn: list(conn.execute(said).scalars())) == ["true words"]


async def test_words_that_look_like_an_encrypted_part_are_only_words(desk: Desk) -> None:
    words = text("what does <Encrypt>QUJD</Encrypt> mean?")
    body, query = sealed(words, beside=words)
    post = asyncio.create_task(desk.post(body, "compatible", query))
    await desk.answered()

    assert (await post).text == "success"
    (again,) = desk.adapters["compatible"].decode(words)  # as the store keeps it
    assert again.message is not None
    assert [row.state for row in await desk.rows()] == ["done"]


async def test_a_redelivery_joins_the_wait_and_both_get_the_words(desk: Desk) -> None:
    first = asyncio.create_task(desk.post(text()))
    second = asyncio.create_task(desk.post(text()))
    await desk.answered("only once")

    answers = await asyncio.gather(first, second)

    assert {read_xml(answer.content)["Content"] for answer in answers} == {"only once"}
    assert len(await desk.rows()) == 1
    assert await desk.states() == ["sent"]


async def test_a_later_redelivery_gets_the_stored_words(desk: Desk) -> None:
    post = asyncio.create_task(desk.post(text()))
    await desk.answered("once")
    await post

    assert read_xml((await desk.post(text())).content)["Content"] == "once"
    assert await send_all(desk.store) == []


async def test_a_reply_taken_for_a_caller_who_hung_up_did_not_leave_and_the_next_delivery_brings_it(desk: Desk) -> None:
    replies = HangsUp(desk.store.passive)
    waiting = Waiting(replies, desk.signals)
    watch = asyncio.create_task(waiting.run())
    async with serving(wechat_routes(desk.adapters, desk, desk.store.outbox, waiting, LIMIT)) as port:
        replies.caller = Caller(port, text())
        await desk.answered("once")
        async with asyncio.timeout(10):
            await replies.was_put_back.wait()
    watch.cancel()

    assert await desk.states() == ["pending"]
    assert read_xml((await desk.post(text())).content)["Content"] == "once"
    assert await desk.states() == ["sent"]


async def test_replies_beyond_2048_bytes_are_left_to_the_sender(desk: Desk) -> None:
    post = asyncio.create_task(desk.post(text()))
    await desk.answered("汉" * 400, "字" * 400)

    assert read_xml((await post).content)["Content"] == "汉" * 400
    assert await send_all(desk.store) == ["字" * 400]


async def test_a_message_that_asks_for_nothing_is_acknowledged_at_once(desk: Desk) -> None:
    for number, name in enumerate(("unsubscribe", "VIEW", "TEMPLATESENDJOBFINISH", "never_heard_of")):
        assert (await desk.post(event(name, EventKey=str(number)))).text == "success"


async def test_a_new_follower_is_greeted_once_and_known_to_come_from_the_code(desk: Desk) -> None:
    post = asyncio.create_task(desk.post(event("subscribe", EventKey="qrscene_spring", Ticket="t")))
    await desk.answered("welcome")

    assert read_xml((await post).content)["Content"] == "welcome"
    assert read_xml((await desk.post(event("subscribe", EventKey="qrscene_spring", Ticket="t"))).content)
    assert len(await desk.rows()) == 2  # that they can be reached, and the greeting


async def test_where_no_signal_comes_the_reply_is_found_by_looking(desk: Desk) -> None:
    post = asyncio.create_task(desk.post(text()))
    await desk.arrived()
    await take_turn(desk.store, "found")

    assert read_xml((await post).content)["Content"] == "found"


async def test_when_the_desk_stops_nobody_keeps_waiting(desk: Desk) -> None:
    post = asyncio.create_task(desk.post(text()))
    await desk.arrived()
    desk.watch.cancel()

    assert (await post).text == "success"


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "query",
    [
        {},
        {"signature": ""},
        signed(token="other"),
        {**signed(), "nonce": "x"},
        signed(timestamp=1_500_000_000),
        signed(timestamp=time.time() + 7200),
        {**signed(), "timestamp": "９"},
    ],
)
async def test_forged_and_old_requests_are_refused_unread(desk: Desk, query: dict[str, str]) -> None:
    answer = await desk.client.post("/channels/wechat/plain", content=b"not even XML", params=query, headers=XML)

    assert answer.status_code == 401
    assert await desk.rows() == []


async def test_a_nonce_with_another_body_is_refused(desk: Desk) -> None:
    query = signed()
    assert (await desk.post(event("VIEW"), query=query)).status_code == 200
    assert (await desk.post(event("VIEW"), query=query)).status_code == 200
    assert (await desk.post(event("CLICK"), query=query)).status_code == 401


async def test_an_encrypted_accounts_request_needs_its_own_signature(desk: Desk) -> None:
    body, query = sealed(text())
    changed = body.replace(b"CDATA[", b"CDATA[AAAA", 1)

    assert (await desk.post(changed, "encrypted", query)).status_code == 401
    assert (await desk.post(body, "encrypted", {**query, "msg_signature": ""})).status_code == 401
    assert (await desk.post(text(), "encrypted", signed())).status_code == 401
    assert (await desk.post(body + body, "encrypted", query)).status_code == 401
    assert await desk.rows() == []


async def test_others_are_told_so(desk: Desk) -> None:
    assert (await desk.post(text(), "nobody")).status_code == 404
    assert (await desk.client.get("/channels/wechat/nobody")).status_code == 404
    assert (await desk.client.put("/channels/wechat/plain")).status_code == 405
    assert (await desk.post(text(), headers={"Content-Type": "application/json"})).status_code == 415
    assert (await desk.post(b"x" * (LIMIT + 1))).status_code == 413


async def test_a_store_that_cannot_commit_is_no_acknowledgement(desk: Desk) -> None:
    failing = MemoryInbox()
    failing.failures = [StoreUnavailable("store", "disk full")]
    async with desk.over(failing) as client:
        answer = await client.post("/channels/wechat/plain", content=text(), params=signed(), headers=XML)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


# --- what is signed but cannot be read ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not XML",
        text()[:60],
        b"<xml><MsgType>text</MsgType></xml>",
        b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><xml><Content>&a;</Content></xml>',
        "<xml><Content>你好</Content></xml>".encode("gbk"),
        text(MsgId=2) + text(),
        write_xml({"FromUserName": ["a", "b"], "MsgType": "text"}),
        write_xml({"InfoType": "component_verify_ticket", "ComponentVerifyTicket": "secret"}),
    ],
)
async def test_signed_but_unreadable_is_stored_acknowledged_and_listed(desk: Desk, body: bytes) -> None:
    for _ in range(2):
        answer = await desk.post(body)
        assert (answer.status_code, answer.text) == (200, "success")

    (row,) = await desk.rows()
    assert row.state == "parked"
    assert row.reason


async def test_an_encrypted_message_that_does_not_open_is_kept_as_it_came(desk: Desk) -> None:
    body, query = sealed(text(), app_id="wx-other")
    assert (await desk.post(body, "encrypted", query)).text == "success"

    (row,) = await desk.rows()
    assert (row.state, row.reason) == ("parked", "the message is meant for another account")


async def test_every_given_payload_damaged_in_every_way_is_never_a_crash(desk: Desk) -> None:
    files = sorted(GIVEN.glob("*.xml"))
    if not files:
        pytest.skip("FRONTDESK_TEST_DATA does not name a folder with payloads/ in it")
    refusing = MemoryInbox()
    for adapter in desk.adapters.values():
        adapter.passive_s = 0  # nobody takes the turns of what can be read after all
    async with desk.over(refusing) as client:
        for path in files:
            body = path.read_bytes()
            damaged = [
                body[: len(body) // 3],
                body.replace(b"MsgType", b"MsgTypo"),
                body.replace(b"FromUserName", b"X"),
            ]
            damaged += [body.replace(b"CreateTime>", b"CreateTime>9e99"), body.replace(b"<xml>", b"<xml><xml>")]
            for each in damaged:
                for account in ("plain", "encrypted"):
                    answer = await client.post(
                        f"/channels/wechat/{account}", content=each, params=signed(), headers=XML
                    )
                    assert answer.status_code in {200, 401}
    assert all(isinstance(row, Received) for row in refusing.rows)


async def test_given_encrypted_payloads_are_proven_opened_and_decoded() -> None:
    keys = sorted(GIVEN.glob("*.key.json"))
    if not keys:
        pytest.skip("FRONTDESK_TEST_DATA does not name a folder with payloads/ in it")
    for path in keys:
        key = json.loads(path.read_text())
        settings = WechatSettings(
            app_id=key["app_or_corp_id"],
            token=key["token"],
            aes_key=key["encoding_aes_key"],
            encryption="compatible",
            timestamp_tolerance_s=0,  # they were recorded years ago
        )
        adapter = WechatAdapter("main", settings)
        body = (GIVEN / key["file"]).read_bytes()
        adapter.admit(key["query"])
        (received,) = adapter.decode_opened(adapter.open(body, adapter.verify(key["query"], body)))
        assert received.message is not None, received.reason
        await adapter.close()
