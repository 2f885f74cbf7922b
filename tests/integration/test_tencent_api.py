"""Calls to WeChat and WeCom: what each answer means, one refresh for a refused token, and no secret in any error."""

from __future__ import annotations

import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from aiohttp import web

from bot.errors import (
    BotError,
    Misconfigured,
    PayloadInvalid,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceUnavailable,
    WindowClosed,
)
from channels.tencent.api import MINUTE, QUOTA, File, JsonApi
from channels.tencent.tokens import TokenService

# 20:00 in Beijing: four hours until its quotas start anew.
NOW = datetime(2026, 11, 25, 12, 0, tzinfo=UTC)
MEANINGS = {43004: RecipientUnreachable, 45009: QUOTA, 45011: MINUTE, 45047: WindowClosed, 60020: "say where from"}


class Vendor:
    """One HTTP server whose next answer the test sets; remembers what it was asked."""

    def __init__(self) -> None:
        self.answer: Any = {"errcode": 0, "msgid": 7}
        self.good_tokens = {"token-1"}
        self.calls: list[tuple[str, str, bytes]] = []  # path, access token, body
        self.fetched = 0

    async def handle(self, request: web.Request) -> web.StreamResponse:
        token = request.query.get("access_token", "")
        self.calls.append((request.path, token, await request.read()))
        if token and token not in self.good_tokens:
            return web.json_response({"errcode": 40001, "errmsg": "invalid credential"})
        if isinstance(self.answer, web.StreamResponse):
            return self.answer
        if self.answer is None:
            assert request.transport is not None
            request.transport.close()
        return web.json_response(self.answer)

    async def fetch(self, force: bool) -> tuple[str, float]:
        self.fetched += 1
        return f"token-{self.fetched}", 7200.0


@pytest.fixture
async def vendor() -> AsyncIterator[Vendor]:
    vendor = Vendor()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", vendor.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    vendor.url = f"http://127.0.0.1:{runner.addresses[0][1]}"  # type: ignore[attr-defined]  # known only now
    yield vendor
    await runner.cleanup()


@pytest.fixture
async def api(vendor: Vendor) -> AsyncIterator[JsonApi]:
    url: str = vendor.url  # type: ignore[attr-defined]
    api = JsonApi("wechat", url, timeout_s=5, meanings=MEANINGS, now=lambda: NOW)
    yield api
    await api.close()


@pytest.fixture
def tokens(vendor: Vendor) -> TokenService:
    return TokenService("wechat:main", vendor.fetch, now=lambda: NOW)


async def test_words_leave_as_utf8_and_not_as_escapes(api: JsonApi, vendor: Vendor, tokens: TokenService) -> None:
    answer = await api.call("/send", {"content": "您好"}, tokens=tokens)

    assert answer.fields["msgid"] == 7
    assert answer.served_at is not None
    assert vendor.calls == [("/send", "token-1", '{"content":"您好"}'.encode())]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        ({"errcode": -1, "errmsg": "system error"}, ServiceUnavailable),
        ({"errcode": 45009}, RateLimited),
        ({"errcode": 45011}, RateLimited),
        ({"errcode": 45047}, WindowClosed),
        ({"errcode": 43004}, RecipientUnreachable),
        ({"errcode": 48001}, Misconfigured),
        ({"errcode": 60020, "errmsg": "not allow to access from your ip"}, Misconfigured),
        ({"errcode": 99999}, SendRefused),
        ({"errcode": "0"}, ServiceUnavailable),
        ({"errcode": True}, ServiceUnavailable),
        ([1, 2], ServiceUnavailable),
    ],
)
async def test_each_answer_has_its_class(
    api: JsonApi, vendor: Vendor, tokens: TokenService, answer: Any, error: type[BotError]
) -> None:
    vendor.answer = answer
    with pytest.raises(error):
        await api.call("/send", {}, tokens=tokens)
    assert len(vendor.calls) == 1


async def test_a_used_up_quota_waits_for_midnight_in_beijing(
    api: JsonApi, vendor: Vendor, tokens: TokenService
) -> None:
    vendor.answer = {"errcode": 45009, "errmsg": "reach max api daily quota limit"}
    with pytest.raises(RateLimited) as caught:
        await api.call("/send", {}, tokens=tokens)
    assert caught.value.retry_after_s == pytest.approx(4 * 3600, abs=2)
    assert caught.value.is_quota


@pytest.mark.parametrize(("status", "happened"), [(500, "unknown"), (502, "unknown"), (503, "no"), (504, "unknown")])
async def test_a_proxys_answer_says_whether_it_may_have_happened(
    api: JsonApi, vendor: Vendor, tokens: TokenService, status: int, happened: str
) -> None:
    vendor.answer = web.Response(status=status, text="<html>")
    with pytest.raises(ServiceUnavailable) as caught:
        await api.call("/send", {}, tokens=tokens)
    assert caught.value.happened == happened


@pytest.mark.parametrize("status", [301, 400, 404])
async def test_another_status_means_the_address_is_wrong(
    api: JsonApi, vendor: Vendor, tokens: TokenService, status: int
) -> None:
    vendor.answer = web.Response(status=status, headers={"Location": "http://127.0.0.1:1/"})
    with pytest.raises(Misconfigured, match="api_base_url"):
        await api.call("/send", {}, tokens=tokens)


async def test_a_lost_answer_may_have_happened(api: JsonApi, vendor: Vendor, tokens: TokenService) -> None:
    vendor.answer = None
    with pytest.raises(ServiceUnavailable) as caught:
        await api.call("/send", {}, tokens=tokens)
    assert caught.value.happened == "unknown"


async def test_nobody_there_means_it_did_not_happen(tokens: TokenService) -> None:
    api = JsonApi("wechat", "http://127.0.0.1:1", timeout_s=5, meanings={})
    with pytest.raises(ServiceUnavailable) as caught:
        await api.call("/send", {}, tokens=tokens)
    await api.close()
    assert caught.value.happened == "no"


async def test_a_refused_token_is_replaced_once_and_the_call_repeated(vendor: Vendor, api: JsonApi) -> None:
    now = NOW
    tokens = TokenService("wechat:main", vendor.fetch, now=lambda: now)
    await api.call("/send", {}, tokens=tokens)
    vendor.good_tokens = {"token-2"}
    now = NOW.replace(hour=13)

    await api.call("/send", {}, tokens=tokens)

    assert [token for _, token, _ in vendor.calls] == ["token-1", "token-1", "token-2"]


async def test_a_token_refused_twice_fails_without_a_third_try(vendor: Vendor, api: JsonApi) -> None:
    now = NOW
    tokens = TokenService("wechat:main", vendor.fetch, now=lambda: now)
    await api.call("/send", {}, tokens=tokens)
    vendor.good_tokens = set()
    now = NOW.replace(hour=13)

    for _ in range(5):
        with pytest.raises(Misconfigured):
            await api.call("/send", {}, tokens=tokens)

    assert vendor.fetched == 2


async def test_no_token_is_in_any_error(vendor: Vendor, tokens: TokenService) -> None:
    secret = "hu" + "sh"  # a traceback quotes our source too
    for url in ("http://127.0.0.1:1", vendor.url):  # type: ignore[attr-defined]
        vendor.answer = None
        api = JsonApi("wechat", url, timeout_s=5, meanings={})
        with pytest.raises(ServiceUnavailable) as caught:
            await api.call("/send", {}, query={"secret": secret}, tokens=tokens)
        await api.close()
        told = "".join(traceback.format_exception(caught.value))
        assert "token-1" not in told
        assert secret not in told


async def test_a_file_comes_down_with_its_name_and_kind(api: JsonApi, vendor: Vendor, tokens: TokenService) -> None:
    vendor.answer = web.Response(
        body=b"\xff\xd8jpeg",
        content_type="image/jpeg",
        headers={"Content-Disposition": 'attachment; filename="a.jpg"'},
    )
    file = await api.download("/media/get", query={"media_id": "m"}, tokens=tokens, max_bytes=100)
    assert file == File(b"\xff\xd8jpeg", "image/jpeg", "a.jpg")


async def test_a_file_that_is_too_long_is_not_read_to_its_end(
    api: JsonApi, vendor: Vendor, tokens: TokenService
) -> None:
    vendor.answer = web.Response(body=b"x" * 101, content_type="image/jpeg")
    with pytest.raises(PayloadInvalid):
        await api.download("/media/get", query={"media_id": "m"}, tokens=tokens, max_bytes=100)


async def test_an_error_instead_of_a_file_is_an_error(api: JsonApi, vendor: Vendor, tokens: TokenService) -> None:
    vendor.answer = {"errcode": 40007, "errmsg": "invalid media_id"}
    with pytest.raises(SendRefused):
        await api.download("/media/get", query={"media_id": "m"}, tokens=tokens, max_bytes=100)


async def test_a_file_goes_up_as_the_vendor_wants_it(api: JsonApi, vendor: Vendor, tokens: TokenService) -> None:
    await api.upload(
        "/media/upload", File(b"bytes", "image/png", 'a"\r\n/b.png'), query={"type": "image"}, tokens=tokens
    )

    (_, _, body) = vendor.calls[0]
    for piece in (b'name="media"', b'filename="ab.png"', b"bytes"):
        assert piece in body
