"""What an account does at start: Telegram learns where to deliver, or a line says why not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest
from structlog.testing import capture_logs

from bot.errors import Misconfigured
from channels.simulators.faults import Fault
from channels.simulators.telegram import TelegramSimulator
from channels.telegram import TelegramAdapter, announce_webhook
from config.settings import Settings, TelegramSettings
from frontdesk.kits.telegram import TelegramKit
from tests.channel_doubles import SteppedClock

PUBLIC = "http://127.0.0.1:9"


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator() as simulator:
        yield simulator


def settings_for(telegram: TelegramSimulator, **more: Any) -> TelegramSettings:
    common: dict[str, Any] = {"token": telegram.token, "api_base_url": telegram.url, "timeout_s": 5}
    return TelegramSettings(**{**common, "mode": "webhook", "secret": "s3cret", **more})


@pytest.fixture
async def adapter(telegram: TelegramSimulator) -> AsyncIterator[TelegramAdapter]:
    adapter = TelegramAdapter("main", settings_for(telegram))
    yield adapter
    await adapter.close()


def test_each_webhook_account_announces_itself_and_the_others_poll(telegram: TelegramSimulator) -> None:
    hooked, polled = settings_for(telegram), settings_for(telegram, mode="polling")
    settings = Settings(_env_file=None, channels={"telegram": {"hooked": hooked, "polled": polled}})
    app = SimpleNamespace(settings=settings, inbox=None, store=None, fault=None, watch=None, secret_keys=(b"key",))

    assert set(TelegramKit(settings).work(app)) == {"telegram-webhook-hooked", "telegram-polled"}


async def test_without_a_public_address_nothing_is_changed_and_a_line_says_so(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    with capture_logs() as lines:
        await announce_webhook(adapter, "")

    assert [(line["event"], line["log_level"]) for line in lines] == [("telegram_webhook_not_set", "error")]
    assert "FRONTDESK_PUBLIC_URL" in lines[0]["reason"]
    assert telegram.ledger.entries("call") == []


async def test_telegram_not_answering_is_asked_again_until_it_does(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    telegram.faults.plan(Fault("drop_request", "getMe"))
    telegram.faults.plan(Fault("error_503", "setWebhook"))
    telegram.faults.plan(Fault("rate_limited", "setWebhook", seconds=17))
    clock = SteppedClock()

    await announce_webhook(adapter, PUBLIC, sleep=clock.sleep, jitter=lambda: 1.0)

    assert clock.sleeps == [1.0, 2.0, 17.0]
    assert telegram.bot.webhook is not None


async def test_pauses_grow_to_a_minute_and_stay_there(telegram: TelegramSimulator, adapter: TelegramAdapter) -> None:
    telegram.faults.plan(Fault("error_500", "getMe", times=9))
    clock = SteppedClock()

    await announce_webhook(adapter, PUBLIC, sleep=clock.sleep, jitter=lambda: 1.0)

    assert clock.sleeps == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]


@pytest.mark.parametrize(
    ("public_url", "reason"),
    [("http://shop.example", "https url must be provided"), ("https://shop.example:8080", "ports 80, 88, 443 or 8443")],
)
async def test_an_address_telegram_does_not_take_is_told_to_the_operator(public_url: str, reason: str) -> None:
    async with TelegramSimulator(allow_local_webhooks=False) as telegram:
        adapter = TelegramAdapter("main", settings_for(telegram))
        with pytest.raises(Misconfigured, match=reason) as caught:
            await announce_webhook(adapter, public_url)
        await adapter.close()

    assert public_url in str(caught.value)


async def test_a_wrong_token_is_told_to_the_operator_at_once(telegram: TelegramSimulator) -> None:
    adapter = TelegramAdapter("main", settings_for(telegram, token="1000001:wrong"))

    with pytest.raises(Misconfigured):
        await announce_webhook(adapter, PUBLIC)
    await adapter.close()
