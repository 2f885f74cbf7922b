"""Access tokens: fetched once however many ask, in one process or several, and never in a storm."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest

from bot.errors import Misconfigured, ServiceUnavailable
from bot.ports import VendorToken
from channels.tencent.tokens import LocalTokens, TokenService
from crm_sync.store import SqlStore
from tests.store_steps import SetClock

LIVES_S = 7200.0


class Vendor:
    """Hands out token after token and counts; `forced` ones end the one before, as stable_token does."""

    def __init__(self) -> None:
        self.current = 1
        self.asked: list[bool] = []
        self.is_down = False
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def fetch(self, force: bool) -> tuple[str, float]:
        self.asked.append(force)
        await self.may_answer.wait()
        if self.is_down:
            raise ServiceUnavailable("vendor", "down")
        if force:
            self.current += 1
        return f"token-{self.current}", LIVES_S


@pytest.fixture
def vendor() -> Vendor:
    return Vendor()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def store(store_url: str, clock: SetClock) -> AsyncIterator[SqlStore]:
    opened = await SqlStore.open(store_url, clock=clock)
    yield opened
    await opened.close()


@pytest.fixture
def services(vendor: Vendor, store: SqlStore, clock: SetClock) -> list[TokenService]:
    """As many processes have them: apart from each other, on one store."""

    async def next_round(seconds: float) -> None:
        await asyncio.sleep(0)

    return [
        TokenService("wechat:main", vendor.fetch, store.vendor_tokens, now=clock.now, sleep=next_round)
        for _ in range(4)
    ]


async def test_many_callers_in_many_processes_fetch_once(services: list[TokenService], vendor: Vendor) -> None:
    tokens = await asyncio.gather(*(service.get() for service in services for _ in range(10)))

    assert set(tokens) == {"token-1"}
    assert vendor.asked == [False]


async def test_a_new_process_uses_the_stored_token(
    services: list[TokenService], vendor: Vendor, store: SqlStore, clock: SetClock
) -> None:
    await services[0].get()

    assert await TokenService("wechat:main", vendor.fetch, store.vendor_tokens, now=clock.now).get() == "token-1"
    assert len(vendor.asked) == 1


async def test_accounts_do_not_share_a_token(
    services: list[TokenService], vendor: Vendor, store: SqlStore, clock: SetClock
) -> None:
    await services[0].get()
    await TokenService("wechat:other", vendor.fetch, store.vendor_tokens, now=clock.now).get()

    assert len(vendor.asked) == 2


async def test_many_refused_calls_lead_to_one_refresh(
    services: list[TokenService], vendor: Vendor, clock: SetClock
) -> None:
    await services[0].get()
    clock.advance(minutes=5)
    vendor.asked.clear()

    tokens = await asyncio.gather(*(service.replace("token-1") for service in services for _ in range(10)))

    assert set(tokens) == {"token-2"}
    assert vendor.asked == [False, True]  # the vendor first gave the refused one again


async def test_a_token_refused_right_after_it_was_fetched_is_not_fetched_again(
    services: list[TokenService], vendor: Vendor, clock: SetClock
) -> None:
    await services[0].get()
    clock.advance(seconds=5)

    for service in services:
        with pytest.raises(Misconfigured):
            await service.replace("token-1")

    assert vendor.asked == [False]


async def test_a_token_is_renewed_before_it_ends(services: list[TokenService], vendor: Vendor, clock: SetClock) -> None:
    await services[0].get()
    clock.advance(seconds=LIVES_S - 281)
    await services[0].get()
    assert len(vendor.asked) == 1

    clock.advance(seconds=2)
    vendor.current = 7
    assert await services[0].get() == "token-7"
    assert await services[1].get() == "token-7"
    assert len(vendor.asked) == 2


async def test_while_the_vendor_is_down_a_token_with_minutes_left_still_serves(
    services: list[TokenService], vendor: Vendor, clock: SetClock
) -> None:
    await services[0].get()
    vendor.is_down = True
    clock.advance(seconds=LIVES_S - 100)
    assert await services[0].get() == "token-1"

    clock.advance(seconds=101)
    with pytest.raises(ServiceUnavailable):
        await services[0].get()


async def test_a_failing_fetch_is_not_repeated_by_everybody(
    services: list[TokenService], vendor: Vendor, clock: SetClock
) -> None:
    vendor.is_down = True
    for _ in range(20):
        with pytest.raises(ServiceUnavailable):
            await services[0].get()
    assert len(vendor.asked) == 1

    vendor.is_down = False
    clock.advance(seconds=4)
    assert await services[0].get() == "token-1"


async def test_a_process_that_died_while_fetching_is_not_waited_for_for_ever(
    services: list[TokenService], vendor: Vendor, store: SqlStore, clock: SetClock
) -> None:
    assert await store.vendor_tokens.lease_token("wechat:main", "dead", timedelta(seconds=30))
    clock.advance(seconds=31)

    assert await services[0].get() == "token-1"


async def test_one_that_lost_its_lease_does_not_overwrite_the_newer_token(store: SqlStore, clock: SetClock) -> None:
    tokens, now = store.vendor_tokens, clock.now()
    await tokens.lease_token("a", "slow", timedelta(seconds=1))
    clock.advance(seconds=2)
    assert await tokens.lease_token("a", "fast", timedelta(seconds=1))
    newer = VendorToken("newer", now, now + timedelta(hours=2))
    await tokens.put_token("a", "fast", newer)
    await tokens.put_token("a", "slow", VendorToken("older", now, now))

    assert await tokens.get_token("a") == newer


async def test_without_a_store_a_process_keeps_its_own(vendor: Vendor, clock: SetClock) -> None:
    service = TokenService("wechat:main", vendor.fetch, LocalTokens(), now=clock.now)

    assert set(await asyncio.gather(*(service.get() for _ in range(10)))) == {"token-1"}
    assert len(vendor.asked) == 1
    assert "token-1" not in repr(await service.known())
