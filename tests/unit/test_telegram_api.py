"""A Bot API answer becomes a result or the error that says what to do."""

from __future__ import annotations

import json
from typing import Any

import pytest

from bot.errors import (
    Misconfigured,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceError,
    ServiceUnavailable,
    SignatureInvalid,
)
from channels.telegram import TelegramAdapter
from channels.telegram.api import BotApi, ChatMigrated, Conflict, result_of
from config.settings import TelegramSettings


def an_answer(code: int, description: str, **parameters: Any) -> bytes:
    return json.dumps({"ok": False, "error_code": code, "description": description, "parameters": parameters}).encode()


def error_of(status: int, body: bytes) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        result_of(status, body)
    return caught.value


def test_a_result_is_handed_on() -> None:
    assert result_of(200, b'{"ok":true,"result":{"message_id":7}}') == {"message_id": 7}


@pytest.mark.parametrize(
    ("status", "description", "kind"),
    [
        (400, "Bad Request: message is too long", SendRefused),
        (400, "Bad Request: BUTTON_DATA_INVALID", SendRefused),
        (400, "Bad Request: chat not found", RecipientUnreachable),
        (400, "Bad Request: PEER_ID_INVALID", RecipientUnreachable),
        (401, "Unauthorized", Misconfigured),
        (403, "Forbidden: bot was blocked by the user", RecipientUnreachable),
        (403, "Forbidden: user is deactivated", RecipientUnreachable),
        (404, "Not Found", Misconfigured),
        (409, "Conflict: terminated by other getUpdates request", Conflict),
    ],
)
def test_each_refusal_has_its_class(status: int, description: str, kind: type[ServiceError]) -> None:
    assert type(error_of(status, an_answer(status, description))) is kind


@pytest.mark.parametrize(
    ("parameters", "wait_s"), [({"retry_after": 17}, 17.0), ({}, 5.0), ({"retry_after": "x"}, 5.0)]
)
def test_a_429_says_how_long_to_wait(parameters: dict[str, Any], wait_s: float) -> None:
    error = error_of(429, an_answer(429, "Too Many Requests", **parameters))

    assert isinstance(error, RateLimited)
    assert error.retry_after_s == wait_s


def test_a_429_from_a_proxy_without_json_is_obeyed_too() -> None:
    assert isinstance(error_of(429, b"<html>"), RateLimited)


@pytest.mark.parametrize(
    ("status", "body", "happened"),
    [
        (500, an_answer(500, "Internal Server Error: restart"), "unknown"),
        (502, b"<html>502</html>", "unknown"),
        (504, b"", "unknown"),
        (503, b"", "no"),
        (200, b'{"ok":tru', "unknown"),
        (200, b"[]", "unknown"),
    ],
)
def test_a_failed_server_says_whether_the_message_may_have_left(status: int, body: bytes, happened: str) -> None:
    error = error_of(status, body)

    assert isinstance(error, ServiceUnavailable)
    assert error.happened == happened


def test_a_group_that_became_a_supergroup_says_where_it_went() -> None:
    error = error_of(400, an_answer(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1007))

    assert isinstance(error, ChatMigrated)
    assert error.chat_id == -1007


def test_a_redirect_is_a_wrong_address_not_followed() -> None:
    assert isinstance(error_of(302, b""), Misconfigured)


@pytest.mark.parametrize(
    ("base_url", "token"),
    [
        ("ftp://x", "1:a"),
        ("api.telegram.org", "1:a"),
        ("https://x", ""),
        ("https://x", "1:a/../b"),
        ("https://x", "a b"),
    ],
)
def test_an_address_or_token_that_cannot_work_is_refused_at_once(base_url: str, token: str) -> None:
    with pytest.raises(Misconfigured) as caught:
        BotApi(base_url, token, timeout_s=1)

    assert "1:a/" not in str(caught.value)


def test_a_webhook_account_without_secret_stops_the_start() -> None:
    with pytest.raises(Misconfigured, match="SECRET"):
        TelegramAdapter("main", TelegramSettings(token="1:a", mode="webhook"))


@pytest.mark.parametrize("given", [None, "", "wrong", "s3cret ", "sécret", "s3cre"])
def test_a_webhook_without_the_right_secret_is_not_believed(given: str | None) -> None:
    adapter = TelegramAdapter("main", TelegramSettings(token="1:a", secret="s3cret", mode="webhook"))
    headers = {} if given is None else {"x-telegram-bot-api-secret-token": given}

    with pytest.raises(SignatureInvalid):
        adapter.verify_webhook(headers)


def test_a_webhook_with_the_secret_is_believed() -> None:
    adapter = TelegramAdapter("main", TelegramSettings(token="1:a", secret="s3cret", mode="webhook"))

    assert adapter.verify_webhook({"x-telegram-bot-api-secret-token": "s3cret"}) is None


def test_without_a_secret_no_webhook_is_believed() -> None:
    adapter = TelegramAdapter("main", TelegramSettings(token="1:a"))

    with pytest.raises(SignatureInvalid):
        adapter.verify_webhook({"x-telegram-bot-api-secret-token": ""})
