"""One call to a vendor: limits, redirects, answers that are too long. Lost answers are in the channels' contract."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.errors import Misconfigured, NotFound, PayloadInvalid, RateLimited, ServiceUnavailable
from channels import vendor_http
from channels.vendor_http import Answer, VendorHttp, error_of
from tests.troubled_vendor import TroubledVendor


@pytest.fixture
async def vendor() -> AsyncIterator[TroubledVendor]:
    async with TroubledVendor() as vendor:
        yield vendor


@pytest.fixture
async def http(vendor: TroubledVendor) -> AsyncIterator[VendorHttp]:
    http = VendorHttp("fax", vendor.url, timeout_s=5, headers={"Authorization": "Bearer t"})
    yield http
    await http.close()


async def test_an_answer_longer_than_any_is_uncertain(vendor: TroubledVendor, http: VendorHttp) -> None:
    vendor.says = (200, b"x" * (vendor_http.MAX_ANSWER_BYTES + 1))

    with pytest.raises(ServiceUnavailable) as caught:
        await http.ask("POST", "/send", {"text": "hi"})

    assert caught.value.happened == "unknown"


async def test_a_file_within_its_limit_a_longer_one_and_one_that_is_gone(
    vendor: TroubledVendor, http: VendorHttp
) -> None:
    vendor.says = (200, b"12345")
    assert (await http.fetch("/file", max_bytes=5)).content == b"12345"
    with pytest.raises(PayloadInvalid):
        await http.fetch("/file", max_bytes=4)
    vendor.says = (404, b"")
    with pytest.raises(NotFound):
        await http.fetch("/file", max_bytes=5)


async def test_a_redirect_is_not_followed_with_our_token(vendor: TroubledVendor, http: VendorHttp) -> None:
    vendor.says = (302, b"")

    answer = await http.ask("GET", "/send")

    assert answer.status == 302
    assert len(vendor.calls) == 1
    assert isinstance(error_of("fax", answer), Misconfigured)


@pytest.mark.parametrize(("asked", "wait_s"), [("7", 7.0), ("", 5.0), ("soon", 5.0), ("-1", 5.0), ("99999999", 3600.0)])
def test_how_long_to_wait_is_believed_within_reason(asked: str, wait_s: float) -> None:
    error = error_of("fax", Answer(429, b"", {"Retry-After": asked}))

    assert isinstance(error, RateLimited)
    assert error.retry_after_s == wait_s


@pytest.mark.parametrize("address", ["", "ftp://x", "x.example", "http://"])
def test_an_address_that_is_none_is_named_at_start(address: str) -> None:
    with pytest.raises(Misconfigured):
        VendorHttp("fax", address, timeout_s=1)


def test_words_of_the_vendor_are_cut() -> None:
    assert len(error_of("fax", Answer(400, b"", {}), "x" * 5000).reason) == 200
