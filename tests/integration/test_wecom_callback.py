"""WeCom's callback: only what is signed is opened, what is signed is kept, and nothing makes it fail."""

from __future__ import annotations

import json
import os
import urllib.parse
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette

from bot.errors import StoreUnavailable
from bot.types import Text
from channels.simulators.wecom import AES_KEY, CORP_ID, OPEN_KFID, TOKEN
from channels.tencent.crypto import Envelope, signature
from channels.tencent.xml import write_xml
from channels.wecom import CallbackTarget, WecomAdapter, WecomConnection, callback_routes
from channels.wecom.app_decode import KfNotice
from config.settings import WecomSettings
from tests.channel_doubles import START, MemoryInbox

OWN = Path(__file__).parents[1] / "payloads" / "wecom"
GIVEN = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads" / "wecom"
LIMIT = 10_000
TEXT = {"FromUserName": "lisi", "CreateTime": 1, "MsgType": "text", "Content": "hi", "MsgId": 7}
NOTICE = {"MsgType": "event", "Event": "kf_msg_or_event", "Token": "ENC1", "OpenKfId": OPEN_KFID}


def connection(**settings: Any) -> WecomConnection:
    section = {"corp_id": CORP_ID, "secret": "s", "token": TOKEN, "aes_key": AES_KEY, "agent_id": 1000002}
    now: datetime = settings.pop("now", START)
    return WecomConnection("main", WecomSettings.model_validate({**section, **settings}), now=lambda: now)


@dataclass
class Desk:
    """The route over one account, called in process."""

    connection: WecomConnection = field(default_factory=connection)
    inbox: MemoryInbox = field(default_factory=MemoryInbox)
    notices: list[KfNotice] | None = None

    def __post_init__(self) -> None:
        notice = None if self.notices is None else self.notices.append
        target = CallbackTarget(self.connection, WecomAdapter(self.connection), notice)
        self._app = Starlette(routes=callback_routes({"main": target}, self.inbox, LIMIT))

    async def call(
        self, method: str, query: dict[str, str], body: bytes = b"", account: str = "main"
    ) -> httpx.Response:
        transport = httpx.ASGITransport(self._app)
        async with httpx.AsyncClient(transport=transport, base_url="http://desk") as client:
            address = f"/channels/wecom/{account}?{urllib.parse.urlencode(query)}"
            return await client.request(method, address, content=body)

    async def post(self, words: bytes, **changes: str) -> int:
        """`words` sealed and signed, as the vendor does, unless `changes` say otherwise."""
        sealed = changes.pop("sealed", "") or Envelope("x", AES_KEY, changes.pop("corp_id", CORP_ID)).seal(words)
        return (await self.call("POST", {**signed(sealed), **changes}, write_xml({"Encrypt": sealed}))).status_code


def signed(sealed: str, at: datetime = START, token: str = TOKEN) -> dict[str, str]:
    timestamp = str(int(at.timestamp()))
    return {"msg_signature": signature(token, timestamp, "n1", sealed), "timestamp": timestamp, "nonce": "n1"}


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    found = Desk()
    yield found
    await found.connection.close()


async def test_the_echo_check_is_answered_with_the_opened_words(desk: Desk) -> None:
    echo = Envelope("x", AES_KEY, CORP_ID).seal(b"7294736482910475")

    answer = await desk.call("GET", {**signed(echo), "echostr": echo})

    assert (answer.status_code, answer.content) == (200, b"7294736482910475")


@pytest.mark.parametrize("change", [{"msg_signature": "0" * 40}, {"echostr": ""}, {"timestamp": "1"}, {"nonce": "x"}])
async def test_an_echo_check_by_somebody_else_learns_nothing(desk: Desk, change: dict[str, str]) -> None:
    echo = Envelope("x", AES_KEY, CORP_ID).seal(b"7294736482910475")

    answer = await desk.call("GET", {**signed(echo), "echostr": echo, **change})

    assert (answer.status_code, answer.content) == (401, b"")


async def test_an_echo_check_for_another_company_is_not_answered(desk: Desk) -> None:
    echo = Envelope("x", AES_KEY, "another").seal(b"7")

    assert (await desk.call("GET", {**signed(echo), "echostr": echo})).status_code == 400


async def test_a_message_is_stored_once_however_often_it_is_delivered(desk: Desk) -> None:
    assert [await desk.post(write_xml(TEXT)) for _ in range(3)] == [200, 200, 200]

    (row,) = desk.inbox.rows
    assert row.message is not None
    assert row.message.content == Text("hi")
    assert row.raw == write_xml(TEXT)  # opened: it can be read again without the key


@pytest.mark.parametrize(
    "change",
    [
        {"msg_signature": ""},
        {"msg_signature": "f" * 40},
        {"msg_signature": "签名"},
        {"nonce": "other"},
        {"timestamp": str(int(START.timestamp()) + 1)},
        {"timestamp": "soon"},
    ],
)
async def test_what_nobody_signed_is_refused_and_not_kept(desk: Desk, change: dict[str, str]) -> None:
    assert await desk.post(write_xml(TEXT), **change) == 401
    assert desk.inbox.rows == []


@pytest.mark.parametrize("age", [timedelta(minutes=11), timedelta(minutes=-11), timedelta(days=400)])
async def test_what_was_recorded_long_ago_is_refused(desk: Desk, age: timedelta) -> None:
    sealed = Envelope("x", AES_KEY, CORP_ID).seal(write_xml(TEXT))

    answer = await desk.call("POST", signed(sealed, START - age), write_xml({"Encrypt": sealed}))

    assert answer.status_code == 401


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"<xml>",
        b"<xml><Encrypt></Encrypt></xml>",
        b"\xff" * 100,
        b"<!DOCTYPE x [<!ENTITY e SYSTEM 'file:///etc/passwd'>]><xml><Encrypt>&e;</Encrypt></xml>",
        b"<xml><Encrypt><![CDATA[" + b"A" * 5000 + b"]]></Encrypt>",
        b"<xml><Encrypt>" + b" " * 9000,
    ],
)
async def test_bodies_without_a_signed_part_are_refused_unparsed(desk: Desk, body: bytes) -> None:
    sealed = "AAAA"

    assert (await desk.call("POST", signed(sealed), body)).status_code == 401


SEALED_ODDITIES = {
    "not base64 of whole blocks": "QUJD",
    "another key": Envelope("x", AES_KEY[::-1], CORP_ID).seal(b"<xml/>"),
    "padding only": "A" * 64,
}


@pytest.mark.parametrize("oddity", list(SEALED_ODDITIES))
async def test_what_is_signed_but_cannot_be_opened_is_kept_and_acknowledged(desk: Desk, oddity: str) -> None:
    assert await desk.post(b"", sealed=SEALED_ODDITIES[oddity]) == 200

    (row,) = desk.inbox.rows
    assert row.message is None
    assert row.reason


async def test_a_message_for_another_company_is_parked(desk: Desk) -> None:
    assert await desk.post(write_xml(TEXT), corp_id="ww_another") == 200
    assert [(row.message, "another account" in row.reason) for row in desk.inbox.rows] == [(None, True)]


BOMB = b"<!DOCTYPE b [<!ENTITY a 'aaaaaaaaaa'><!ENTITY c '&a;&a;&a;'>]><xml><Content>&c;</Content></xml>"
INNER = [
    b"",
    b"<xml>",
    b"no xml",
    BOMB,
    b"<xml>" * 500,
    b"\x00\xff",
    b'<?xml version="1.0" encoding="EBCDIC"?><xml/>',
]


@pytest.mark.parametrize("inner", INNER)
async def test_words_nobody_can_read_are_parked(desk: Desk, inner: bytes) -> None:
    assert await desk.post(inner) == 200
    assert [row.message for row in desk.inbox.rows] == [None]


async def test_every_genuine_payload_is_kept(desk: Desk) -> None:
    bodies = [path.read_bytes() for folder in (OWN, GIVEN) for path in folder.glob("*.xml")]
    for body in bodies:
        desk.inbox.rows.clear()  # some have the id of another, as a message told twice has
        assert await desk.post(body) == 200
        assert len(desk.inbox.rows) == 1


async def test_the_given_encrypted_callback_is_believed_and_read() -> None:
    if not GIVEN.exists():
        pytest.skip("FRONTDESK_TEST_DATA names no given payloads")
    body = (GIVEN / "go-workwx__enc_text.xml").read_bytes()
    key = json.loads((GIVEN / "go-workwx__enc_text.xml.key.json").read_bytes())
    at = datetime.fromtimestamp(int(key["query"]["timestamp"]), UTC)
    settings = {"corp_id": key["app_or_corp_id"], "token": key["token"], "aes_key": key["encoding_aes_key"], "now": at}
    desk = Desk(connection(**settings))

    answer = await desk.call("POST", key["query"], body)

    assert answer.status_code == 200
    (row,) = desk.inbox.rows
    assert row.message is not None
    assert row.message.content == Text(key["expect"]["Content"])


async def test_a_notice_of_kf_wakes_the_puller_and_stores_nothing() -> None:
    notices: list[KfNotice] = []
    desk = Desk(notices=notices)

    assert await desk.post(write_xml(NOTICE)) == 200

    assert notices == [KfNotice(OPEN_KFID, "ENC1")]
    assert desk.inbox.rows == []


async def test_with_kf_off_its_notice_is_parked_with_what_to_do(desk: Desk) -> None:
    assert await desk.post(write_xml(NOTICE)) == 200
    assert ["KF=true" in row.reason for row in desk.inbox.rows] == [True]


async def test_a_store_that_cannot_commit_gives_503_and_the_message_comes_again(desk: Desk) -> None:
    desk.inbox.failures = [StoreUnavailable("store", "disk full")]

    assert [await desk.post(write_xml(TEXT)), await desk.post(write_xml(TEXT))] == [503, 200]
    assert len(desk.inbox.rows) == 1


async def test_too_long_and_unknown_accounts_are_refused(desk: Desk) -> None:
    assert (await desk.call("POST", {}, b" " * (LIMIT + 1))).status_code == 413
    assert (await desk.call("POST", {}, b"", account="other")).status_code == 404
    assert (await desk.call("PUT", {})).status_code == 405


@given(
    body=st.binary(max_size=400), query=st.dictionaries(st.sampled_from(["timestamp", "nonce"]), st.text(max_size=9))
)
async def test_whatever_a_stranger_sends_is_refused(body: bytes, query: dict[str, str]) -> None:
    desk = Desk()

    answer = await desk.call("POST", {"msg_signature": "a" * 40, **query}, body)

    assert answer.status_code == 401
    assert desk.inbox.rows == []


@given(inner=st.binary(max_size=300) | st.text(max_size=200).map(lambda text: f"<xml><MsgType>{text}".encode()))
async def test_whatever_the_vendor_signs_is_kept(inner: bytes) -> None:
    desk = Desk()

    assert await desk.post(inner) == 200
    assert len(desk.inbox.rows) == 1
