"""The web chat's HTTP routes on a real server: who may write, what is taken, and how every refusal looks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from time import time
from typing import Any

import aiohttp
import pytest
from pydantic import SecretStr

from bot.ports import TOPIC_WEB
from bot.types import Button, Text
from channels.web import sign_identity
from config.settings import WebSettings
from tests.web_server import WebServer, web_server

SHOP = "https://shop.example"
ACCOUNTS = {
    "default": WebSettings(title="<Linden & Co>"),
    "shop": WebSettings(origins=(SHOP + "/",), identity_secret=SecretStr("shop secret")),
    "short": WebSettings(session_hours=1e-9),
}


@pytest.fixture
async def server() -> AsyncIterator[WebServer]:
    async with web_server(accounts=ACCOUNTS) as running:
        yield running


@pytest.fixture
async def client(server: WebServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url) as session:
        yield session


async def _session(client: aiohttp.ClientSession, account: str = "default", **body: Any) -> dict[str, Any]:
    async with client.post(f"/channels/web/{account}/sessions", json=body) as response:
        assert response.status == 200
        return await response.json()


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def refusal(self) -> tuple[int, str]:
        """Status and code of a refusal, which is always JSON and says why."""
        assert self.headers["Content-Type"] == "application/json"
        error = json.loads(self.body)["error"]
        assert error["message"]
        return self.status, error["code"]


async def _send(client: aiohttp.ClientSession, method: str, path: str, **options: Any) -> Answer:
    async with client.request(method, path, **options) as response:
        return Answer(response.status, response.headers, await response.read())


async def _post(
    client: aiohttp.ClientSession, document: Any, headers: Mapping[str, str], path: str = "default/messages"
) -> Answer:
    return await _send(client, "POST", f"/channels/web/{path}", json=document, headers=headers)


async def _bearer(client: aiohttp.ClientSession, account: str = "default") -> dict[str, str]:
    return {"Authorization": f"Bearer {(await _session(client, account))['token']}"}


# --- sessions -------------------------------------------------------------------------------------------------------


async def test_every_visitor_gets_an_id_of_their_own(client: aiohttp.ClientSession) -> None:
    users = {(await _session(client))["user"] for _ in range(20)}

    assert len(users) == 20
    assert all(user.startswith("v-") for user in users)


async def test_a_session_can_be_started_without_a_body(client: aiohttp.ClientSession) -> None:
    assert (await _send(client, "POST", "/channels/web/default/sessions")).status == 200


async def test_a_valid_token_is_renewed_for_the_same_visitor(client: aiohttp.ClientSession) -> None:
    first = await _session(client)
    renewed = await _post(client, {}, {"Authorization": f"Bearer {first['token']}"}, "default/sessions")

    again = json.loads(renewed.body)
    assert again["user"] == first["user"]
    assert again["expires_at"] >= first["expires_at"]


async def test_an_invalid_token_is_not_renewed_into_a_new_visitor(client: aiohttp.ClientSession) -> None:
    answer = await _post(client, {}, {"Authorization": "Bearer fd1.a.b"}, "default/sessions")
    assert answer.refusal == (401, "token_invalid")


def _signed(**changes: Any) -> dict[str, Any]:
    issued_at = int(time())
    signature = sign_identity("shop secret", account="shop", user="4711", issued_at=issued_at, name="王芳")
    return {"user": "4711", "name": "王芳", "issued_at": issued_at, "signature": signature, **changes}


async def test_a_customer_the_shop_vouches_for_is_recognised(client: aiohttp.ClientSession, server: WebServer) -> None:
    session = await _session(client, "shop", **_signed())
    await _post(client, {"id": "1", "text": "hi"}, {"Authorization": f"Bearer {session['token']}"}, "shop/messages")

    message = server.store.received[0].message
    assert message is not None
    assert session["user"] == message.sender.external_id == "u-4711"
    assert message.sender_name == "王芳"


REFUSED, INVALID = (403, "identity_refused"), (422, "invalid")


async def test_a_forged_or_broken_sign_in_is_refused(client: aiohttp.ClientSession) -> None:
    for changes, expected in [
        ({"user": "4712"}, REFUSED),
        ({"name": "李强"}, REFUSED),
        ({"signature": "00" * 32}, REFUSED),
        ({"issued_at": 1}, REFUSED),
        ({"issued_at": 2**52}, REFUSED),
        ({"issued_at": "now"}, INVALID),
        ({"issued_at": None}, INVALID),
        ({"signature": None}, INVALID),
        ({"signature": 5}, INVALID),
        ({"user": ""}, INVALID),
        ({"user": None}, INVALID),
        ({"user": "a\nb"}, INVALID),
        ({"user": "x" * 129}, INVALID),
    ]:
        assert (await _post(client, _signed(**changes), {}, "shop/sessions")).refusal == expected, changes


async def test_sign_in_without_a_secret_configured_is_refused(client: aiohttp.ClientSession) -> None:
    assert (await _post(client, _signed(), {}, "default/sessions")).refusal == (403, "sign_in_not_set_up")


# --- messages -------------------------------------------------------------------------------------------------------

HI = {"id": "1", "text": "hi"}


async def test_the_same_message_twice_is_accepted_once(client: aiohttp.ClientSession, server: WebServer) -> None:
    headers = await _bearer(client)
    answers = [await _post(client, {"id": "a1", "text": "你好"}, headers) for _ in range(2)]

    assert [(answer.status, json.loads(answer.body)) for answer in answers] == [(202, {"id": "a1", "seq": 1})] * 2
    assert [item.message and item.message.content for item in server.store.received] == [Text("你好")]


async def test_the_same_message_many_times_at_once_is_accepted_once(
    client: aiohttp.ClientSession, server: WebServer
) -> None:
    headers = await _bearer(client)
    answers = await asyncio.gather(*[_post(client, HI, headers) for _ in range(32)])

    assert {(answer.status, answer.body) for answer in answers} == {(202, b'{"id":"1","seq":1}')}
    assert len(server.store.received) == 1


async def test_the_same_id_with_other_words_is_refused(client: aiohttp.ClientSession) -> None:
    headers = await _bearer(client)
    await _post(client, HI, headers)

    assert (await _post(client, {"id": "1", "text": "two"}, headers)).refusal == (409, "id_reused")


async def test_two_visitors_may_use_the_same_id(client: aiohttp.ClientSession, server: WebServer) -> None:
    for _ in range(2):
        assert (await _post(client, HI, await _bearer(client))).status == 202
    assert len(server.store.received) == 2


async def test_a_pressed_button_is_accepted(client: aiohttp.ClientSession, server: WebServer) -> None:
    await _post(client, {"id": "1", "button": {"value": "/yes", "label": "是"}}, await _bearer(client))

    assert server.store.received[0].message is not None
    assert server.store.received[0].message.content == Button("/yes", "是")


GOOD = b'{"id":"1","text":"hi"}'
JSON = {"Content-Type": "application/json"}


async def test_a_bad_body_is_refused_and_not_stored(client: aiohttp.ClientSession, server: WebServer) -> None:
    token = await _bearer(client)
    for body, headers, expected in [
        (GOOD, {}, (415, "unsupported_media_type")),
        (GOOD, {"Content-Type": "text/plain"}, (415, "unsupported_media_type")),
        (GOOD, {"Content-Type": "application/json; charset=gbk"}, (415, "unsupported_media_type")),
        (b"{", JSON, (400, "invalid_json")),
        (b"", JSON, (400, "invalid_json")),
        (b"[" * 100_000, JSON, (400, "invalid_json")),
        (b'{"id":"1","text":"\xff\xfe"}', JSON, (400, "invalid_json")),
        (b"[]", JSON, INVALID),
        (b'{"id":"1","text":"' + b"x" * 20_001 + b'"}', JSON, (422, "text_too_long")),
        (b'{"id":"1","text":"' + b"x" * 1_000_000 + b'"}', JSON, (413, "too_large")),
    ]:
        options: dict[str, Any] = {"headers": {**token, **headers}, "skip_auto_headers": ["Content-Type"]}
        answer = await _send(client, "POST", "/channels/web/default/messages", data=body, **options)
        assert answer.refusal == expected, body[:30]
    assert server.store.received == []


async def test_a_large_body_of_unknown_length_is_refused(client: aiohttp.ClientSession) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b" " * 30_000

    headers = {**await _bearer(client), **JSON}
    answer = await _send(client, "POST", "/channels/web/default/messages", data=chunks(), headers=headers)
    assert answer.refusal == (413, "too_large")


async def test_twenty_thousand_characters_are_accepted(client: aiohttp.ClientSession, server: WebServer) -> None:
    text = "漢" * 20_000
    assert (await _post(client, {"id": "1", "text": text}, await _bearer(client))).status == 202
    assert server.store.received[0].message is not None
    assert server.store.received[0].message.content == Text(text)


async def test_what_was_sent_is_stored_byte_for_byte(client: aiohttp.ClientSession, server: WebServer) -> None:
    body = '{ "id": "1", "text": "a\\u0000b\\ud83d \u202e\u200b" }'.encode()
    headers = {**await _bearer(client), **JSON}
    answer = await _send(client, "POST", "/channels/web/default/messages", data=body, headers=headers)

    assert answer.status == 202
    item = server.store.received[0]
    assert body in item.raw
    assert item.message is not None
    assert item.message.content == Text(json.loads(body)["text"])


async def test_a_wrong_method_is_refused_with_the_right_ones(client: aiohttp.ClientSession) -> None:
    for path, wrong, right in [
        ("sessions", "GET", "POST"),
        ("messages", "GET", "POST"),
        ("messages", "DELETE", "POST"),
        ("events", "POST", "GET"),
        ("read", "PUT", "POST"),
        ("typing", "GET", "POST"),
    ]:
        answer = await _send(client, wrong, f"/channels/web/default/{path}")
        assert answer.refusal == (405, "method_not_allowed")
        assert answer.headers["Allow"] == f"{right}, OPTIONS"


PATHS = [("POST", "messages"), ("POST", "read"), ("POST", "typing"), ("GET", "events")]


async def test_without_a_genuine_token_nothing_is_read(client: aiohttp.ClientSession) -> None:
    for authorization, code in [
        (None, "token_missing"),
        ("Bearer", "token_missing"),
        ("Basic abc", "token_missing"),
        ("Bearer fd1.a.b", "token_invalid"),
    ]:
        headers = {} if authorization is None else {"Authorization": authorization}
        for method, path in PATHS:
            answer = await _send(client, method, f"/channels/web/default/{path}", data=b"{broken", headers=headers)
            assert answer.refusal == (401, code)


async def test_a_token_of_another_account_is_refused(client: aiohttp.ClientSession) -> None:
    assert (await _post(client, HI, await _bearer(client, "shop"))).refusal == (401, "token_invalid")


async def test_an_expired_token_is_refused(client: aiohttp.ClientSession) -> None:
    answer = await _post(client, HI, await _bearer(client, "short"), "short/messages")
    assert answer.refusal == (401, "token_expired")


async def test_an_unknown_account_is_not_found(client: aiohttp.ClientSession) -> None:
    assert (await _post(client, {}, {}, "nobody/sessions")).refusal == (404, "unknown_account")


async def test_a_store_that_cannot_commit_is_answered_with_503_and_the_message_can_be_sent_again(
    client: aiohttp.ClientSession, server: WebServer
) -> None:
    headers = await _bearer(client)
    server.store.is_down = True
    answer = await _post(client, HI, headers)
    assert answer.refusal == (503, "unavailable")
    assert int(answer.headers["Retry-After"]) > 0
    server.store.is_down = False
    assert (await _post(client, HI, headers)).body == b'{"id":"1","seq":1}'


# --- read and typing ------------------------------------------------------------------------------------------------


async def test_reading_is_stored_and_told(client: aiohttp.ClientSession, server: WebServer) -> None:
    session = await _session(client)
    headers = {"Authorization": f"Bearer {session['token']}"}
    heard = server.signals.subscribe(TOPIC_WEB)
    await _post(client, HI, headers)
    assert (await _post(client, {"seq": 1}, headers, "default/read")).status == 204

    conversation = server.store.conversation_of(session["user"])
    assert server.store.read[conversation] == 1
    assert (await anext(heard)).payload == {"conversation_id": conversation}
    told = {"conversation_id": conversation, "type": "read", "author": "customer", "seq": 1}
    assert (await anext(heard)).payload == told


async def test_reading_up_to_nonsense_is_refused(client: aiohttp.ClientSession) -> None:
    headers = await _bearer(client)
    for seq in [None, "1", -1, 1.5, True, 2**60]:
        assert (await _post(client, {"seq": seq}, headers, "default/read")).refusal == INVALID


async def test_typing_is_told_to_staff(client: aiohttp.ClientSession, server: WebServer) -> None:
    heard = server.signals.subscribe(TOPIC_WEB)
    answer = await _send(client, "POST", "/channels/web/default/typing", headers=await _bearer(client))
    payload = (await anext(heard)).payload

    assert (answer.status, payload["type"], payload["author"]) == (204, "typing", "customer")


# --- origins --------------------------------------------------------------------------------------------------------


async def test_the_own_page_and_configured_origins_may_read_the_answers(
    client: aiohttp.ClientSession, server: WebServer
) -> None:
    for origin in (server.url, SHOP):
        answer = await _send(client, "POST", "/channels/web/shop/messages", headers={"Origin": origin})
        assert answer.status == 401  # refusals can be read, too
        assert answer.headers["Access-Control-Allow-Origin"] == origin
        assert answer.headers["Vary"] == "Origin"


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "https://shop.example.evil.example", "http://shop.example", "x"]
)
async def test_other_origins_are_refused_everywhere(client: aiohttp.ClientSession, origin: str) -> None:
    for method, path in [*PATHS, ("POST", "sessions"), ("OPTIONS", "messages")]:
        answer = await _send(client, method, f"/channels/web/shop/{path}", headers={"Origin": origin})
        assert answer.refusal == (403, "origin_refused")
        assert "Access-Control-Allow-Origin" not in answer.headers


async def test_a_preflight_names_what_the_widget_sends(client: aiohttp.ClientSession) -> None:
    headers = {"Origin": SHOP, "Access-Control-Request-Method": "POST"}
    answer = await _send(client, "OPTIONS", "/channels/web/shop/messages", headers=headers)

    assert answer.status == 204
    assert answer.headers["Access-Control-Allow-Origin"] == SHOP
    assert "POST" in answer.headers["Access-Control-Allow-Methods"]
    assert "authorization" in answer.headers["Access-Control-Allow-Headers"]


async def test_any_origin_may_be_allowed_by_a_star() -> None:
    async with (
        web_server(accounts={"default": WebSettings(origins=("*",))}) as server,
        aiohttp.ClientSession(server.url) as client,
    ):
        answer = await _post(client, {}, {"Origin": "https://anywhere.example"}, "default/sessions")
        assert answer.status == 200


# --- pages ----------------------------------------------------------------------------------------------------------


async def test_the_widget_is_small_cacheable_and_usable_from_other_sites(client: aiohttp.ClientSession) -> None:
    widget = await _send(client, "GET", "/widget.js")

    assert len(widget.body) < 25_000
    assert widget.headers["Content-Type"].startswith("text/javascript")
    assert widget.headers["Access-Control-Allow-Origin"] == "*"
    assert widget.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    again = await _send(client, "GET", "/widget.js", headers={"If-None-Match": widget.headers["ETag"]})
    assert (again.status, again.body) == (304, b"")


async def test_the_customer_page_speaks_the_visitors_language(client: aiohttp.ClientSession) -> None:
    for path, accept, language in [
        ("/", "zh-CN,zh;q=0.9,en;q=0.8", "zh"),
        ("/", "en-GB,en;q=0.9", "en"),
        ("/", "fr-FR,en;q=0.5", "en"),
        ("/", "", "zh"),
        ("/?lang=en", "zh-CN", "en"),
        ("/?lang=xx", "en", "en"),
    ]:
        page = await _send(client, "GET", path, headers={"Accept-Language": accept})
        assert page.headers["Content-Language"] == language
        assert f'data-language="{language}"' in page.body.decode()


async def test_the_customer_page_is_locked_down_and_its_title_is_escaped(client: aiohttp.ClientSession) -> None:
    page = await _send(client, "GET", "/")
    policy = page.headers["Content-Security-Policy"]

    assert "default-src 'none'" in policy
    assert "frame-ancestors 'self'" in policy
    assert "unsafe" not in policy
    assert page.headers["X-Content-Type-Options"] == "nosniff"
    assert page.headers["Referrer-Policy"] == "no-referrer"
    assert "<title>&lt;Linden &amp; Co&gt;</title>" in page.body.decode()
