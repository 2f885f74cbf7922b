"""What the doctor says about a bot account, and what it mends."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from typing import Any

import pytest

from channels.base import Finding
from channels.simulators.faults import Fault
from channels.simulators.telegram import TelegramSimulator
from channels.telegram import TelegramAdapter
from channels.telegram.adapter import ALLOWED_UPDATES
from config.settings import TelegramSettings

PUBLIC = "http://127.0.0.1:9"
OURS = f"{PUBLIC}/channels/telegram/main"


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator() as simulator:
        yield simulator


async def examined(
    telegram: TelegramSimulator, *, public_url: str = PUBLIC, repair: bool = False, **settings: Any
) -> dict[str, Finding]:
    """The findings by what was looked at."""
    values = {"token": telegram.token, "api_base_url": telegram.url, "timeout_s": 5, "secret": "s3cret", **settings}
    adapter = TelegramAdapter("main", TelegramSettings(**values))
    try:
        found = await adapter.examine(public_url=public_url, repair=repair)
    finally:
        await adapter.close()
    assert all(finding.check.startswith("telegram/main ") for finding in found)
    assert all(bool(finding.repair) == finding.is_broken for finding in found)
    return {finding.check.removeprefix("telegram/main "): finding for finding in found}


async def test_a_healthy_account_says_who_it_is_and_how_it_gets_its_messages(telegram: TelegramSimulator) -> None:
    found = await examined(telegram)

    assert {what: finding.finding for what, finding in found.items()} == {
        "token": "@frontdesk_bot, number 1000001",
        "clock": "within 60 s of Telegram's",
        "delivery": "polling, 0 updates waiting",
    }
    assert not any(finding.is_broken for finding in found.values())


async def test_a_wrong_token_is_the_only_finding(telegram: TelegramSimulator) -> None:
    found = await examined(telegram, token="1000001:wrong")

    assert list(found) == ["token"]
    assert "@BotFather" in found["token"].repair


async def test_a_telegram_that_is_not_there_is_a_finding(telegram: TelegramSimulator) -> None:
    await telegram.close()

    found = await examined(telegram)

    assert "no connection" in found["token"].finding


@pytest.mark.parametrize("method", ["getWebhookInfo", "setWebhook"])
async def test_what_fails_half_way_is_a_finding(telegram: TelegramSimulator, method: str) -> None:
    telegram.faults.plan(Fault("error_500", method))

    found = await examined(telegram, mode="webhook", repair=True)

    assert found["delivery"].is_broken
    assert not found["token"].is_broken


@pytest.mark.parametrize(("off_by_s", "says"), [(3600, "behind"), (-3600, "ahead of"), (10, "")])
async def test_a_clock_that_is_off_is_told(off_by_s: int, says: str) -> None:
    async with TelegramSimulator(now=lambda: time.time() + off_by_s) as telegram:
        found = await examined(telegram)

    assert found["clock"].is_broken == bool(says)
    assert says in found["clock"].finding


@pytest.mark.parametrize(
    ("has_privacy", "words"), [(True, "privacy is on"), (False, "privacy is off: every group message")]
)
async def test_in_groups_the_doctor_says_what_the_bot_is_shown(
    telegram: TelegramSimulator, has_privacy: bool, words: str
) -> None:
    telegram.bot.has_privacy = has_privacy

    found = await examined(telegram, groups=True)

    assert words in found["groups"].finding
    assert not found["groups"].is_broken


async def set_webhook(telegram: TelegramSimulator, url: str, **more: Any) -> None:
    adapter = TelegramAdapter("main", TelegramSettings(token=telegram.token, api_base_url=telegram.url))
    await adapter.api.call("setWebhook", {"url": url, "allowed_updates": list(ALLOWED_UPDATES), **more})
    await adapter.close()


@pytest.mark.parametrize(
    ("mode", "set_to", "public_url", "problem"),
    [
        ("polling", "", "", ""),
        ("polling", f"{PUBLIC}/x", "", "polling gets nothing"),
        ("webhook", "", "", "FRONTDESK_PUBLIC_URL"),
        ("webhook", "", PUBLIC, "no webhook is set"),
        ("webhook", f"{PUBLIC}/other", PUBLIC, "another address"),
        ("webhook", OURS, f"{PUBLIC}/", ""),
    ],
)
async def test_what_keeps_updates_away_is_named(
    telegram: TelegramSimulator, mode: str, set_to: str, public_url: str, problem: str
) -> None:
    if set_to:
        await set_webhook(telegram, set_to)

    found = (await examined(telegram, mode=mode, public_url=public_url))["delivery"]

    assert problem in found.repair
    assert found.is_broken == bool(problem)
    assert f"{mode}, 0 updates waiting" in found.finding


async def test_other_kinds_of_updates_than_we_ask_for_are_a_problem(telegram: TelegramSimulator) -> None:
    await set_webhook(telegram, OURS, allowed_updates=["message"])

    assert "other kinds of updates" in (await examined(telegram, mode="webhook"))["delivery"].repair


async def test_address_and_certificate_are_shown(telegram: TelegramSimulator) -> None:
    await set_webhook(telegram, OURS)
    telegram.bot.webhook_address = {"ip_address": "192.0.2.7", "has_custom_certificate": True}

    found = (await examined(telegram, mode="webhook"))["delivery"]

    assert f"to {OURS} (192.0.2.7), own certificate" in found.finding
    assert "self-signed certificate" in found.repair


@pytest.mark.parametrize(
    ("reason", "advice"),
    [
        ("Wrong response from the webhook: 401 Unauthorized", "its secret is not ours"),
        ("Wrong response from the webhook: 404 Not Found", "POST /channels/telegram/*"),
        ("SSL error {error:0A000086:SSL routines::certificate verify failed}", "fullchain.pem"),
        ("Failed to resolve host: Name or service not known", "DNS entry"),
        ("Wrong response from the webhook: 413 Request Entity Too Large", "bodies of 1 MB"),
        ("Connection timed out", "reachable from outside"),
    ],
)
async def test_why_telegram_could_not_deliver_comes_with_the_time_and_what_to_do(
    telegram: TelegramSimulator, reason: str, advice: str
) -> None:
    await set_webhook(telegram, OURS)
    assert telegram.bot.webhook is not None
    telegram.bot.webhook.last_error, telegram.bot.webhook.last_error_at = reason, time.time() - 60

    found = (await examined(telegram, mode="webhook"))["delivery"]

    assert reason in found.repair
    assert "UTC" in found.repair
    assert advice in found.repair


async def test_a_delivery_that_failed_long_ago_is_forgotten(telegram: TelegramSimulator) -> None:
    await set_webhook(telegram, OURS)
    assert telegram.bot.webhook is not None
    telegram.bot.webhook.last_error, telegram.bot.webhook.last_error_at = "Connection timed out", time.time() - 4000

    assert not (await examined(telegram, mode="webhook"))["delivery"].is_broken


async def test_a_backlog_is_told(telegram: TelegramSimulator) -> None:
    for number in range(1001):
        telegram.user(42).send_text(f"{number}")

    found = await examined(telegram)

    assert found["backlog"].finding == "1001 updates wait at Telegram"


async def test_repair_sets_the_webhook_again_without_losing_what_waits(telegram: TelegramSimulator) -> None:
    await set_webhook(telegram, f"{PUBLIC}/other", secret_token="old")
    assert telegram.bot.webhook is not None
    telegram.user(42).start()

    found = (await examined(telegram, mode="webhook", repair=True))["delivery"]

    assert not found.is_broken
    assert found.finding.endswith("; the webhook points to another address, mended now")
    webhook = telegram.bot.webhook
    assert (webhook.url, webhook.secret_token) == (OURS, "s3cret")
    assert telegram.bot.allowed == ALLOWED_UPDATES
    assert len(telegram.bot.pending) == 1


async def test_repair_takes_a_webhook_down_for_polling(telegram: TelegramSimulator) -> None:
    await set_webhook(telegram, OURS)

    found = (await examined(telegram, repair=True))["delivery"]

    assert (found.is_broken, telegram.bot.webhook) == (False, None)
    assert "polling gets nothing, mended now" in found.finding


async def test_repair_replaces_a_secret_that_is_not_ours(telegram: TelegramSimulator) -> None:
    await set_webhook(telegram, OURS, secret_token="old")
    assert telegram.bot.webhook is not None
    telegram.bot.webhook.last_error = "Wrong response from the webhook: 401 Unauthorized"
    telegram.bot.webhook.last_error_at = time.time()

    found = (await examined(telegram, mode="webhook", repair=True))["delivery"]

    assert not found.is_broken
    assert telegram.bot.webhook.secret_token == "s3cret"


async def test_without_repair_and_where_it_would_not_help_nothing_is_changed(telegram: TelegramSimulator) -> None:
    await set_webhook(telegram, f"{PUBLIC}/other")

    await examined(telegram, mode="webhook")
    await examined(telegram, mode="webhook", public_url="", repair=True)

    assert len(telegram.ledger.entries("call", method="setWebhook")) == 1
    assert telegram.ledger.entries("call", method="deleteWebhook") == []
