"""`telegram.Bot` over our own HTTP layer: its types and methods, our knowledge of what may have happened.

The library is never told the token: the address it builds ends in the method's name, and only that is used. What it
logs, shows in a `repr` or writes into an exception can therefore not give it away.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Mapping
from datetime import timedelta
from typing import Any, Final, TypeVar

import orjson
from telegram import Bot, error
from telegram.request import BaseRequest, RequestData

from bot.errors import RateLimited, ServiceError, ServiceUnavailable
from channels.telegram.api import (
    SERVICE,
    BotApi,
    ChatMigrated,
    Conflict,
    code_of,
    error_of,
    parsed,
    refused,
    unknown_token,
    unreachable,
)

Answer = TypeVar("Answer")

# Durations as timedelta, which becomes the library's only way; without it RetryAfter warns when it is made.
os.environ.setdefault("PTB_TIMEDELTA", "true")
# Its debug lines hold every parameter of a call, which is what we say to customers.
logging.getLogger("telegram").setLevel(logging.WARNING)

_NO_TOKEN: Final = "0:kept-by-the-http-layer"  # noqa: S105 - stands in for one
_REFUSALS: Final = frozenset({400, 401, 403, 404, 409})  # the library has a class for each of the Bot API's own


class AnswerUnread(ServiceUnavailable):
    """The call was carried out; its answer has a shape the library cannot take."""

    def __init__(self) -> None:
        super().__init__(SERVICE, "the answer has an unknown shape", happened="unknown")


class AiohttpRequest(BaseRequest):
    """Calls of the library's methods, carried out by a BotApi, which its owner opens and closes."""

    __slots__ = ("_api",)

    def __init__(self, api: BotApi) -> None:
        self._api = api

    @property
    def read_timeout(self) -> float:
        return self._api.timeout_s

    async def initialize(self) -> None:
        """Connections are opened by the first call."""

    async def shutdown(self) -> None:
        """Connections are closed with the BotApi."""

    async def do_request(  # type: ignore[override]  # the library's timeouts are ours, from the settings
        self, url: str, method: str, request_data: RequestData | None = None, **timeouts: object
    ) -> tuple[int, bytes]:
        """A success, or one of the Bot API's own refusals, for which the library has classes.

        Raises: telegram.error.NetworkError or RetryAfter with our ServiceError as the cause, which knows more: whether
        the call may have been carried out, how long to wait.
        """
        if method != "POST":
            raise error.TelegramError("calls are posted")
        endpoint = url.rpartition("/")[2]
        try:
            if request_data is not None and request_data.contains_files:
                files = {name: _uploaded(part) for name, part in request_data.multipart_data.items()}
                status, body = await self._api.upload(endpoint, request_data.json_parameters, files)
            else:
                status, body = await self._api.call_raw(endpoint, request_data.parameters if request_data else {})
        except ServiceError as failure:
            raise error.NetworkError(str(failure)) from failure
        answer = parsed(body)
        if status == 200 and answer.get("ok") is True:
            return status, body
        code = code_of(status, answer)
        if code in _REFUSALS and isinstance(answer.get("description"), str):
            return code, body
        meaning = error_of(status, answer)
        if isinstance(meaning, RateLimited):
            raise error.RetryAfter(timedelta(seconds=meaning.retry_after_s)) from meaning
        raise error.NetworkError(str(meaning)) from meaning

    @staticmethod
    def parse_json_payload(payload: bytes) -> dict[str, Any]:
        """As the library's, without logging a payload that is none."""
        answer: Mapping[str, Any] = orjson.loads(payload)
        return dict(answer)


def _uploaded(part: tuple[str, Any, str]) -> tuple[str, bytes, str]:
    """File name, content and MIME type; we hand the library bytes, never an open file."""
    name, content, mime = part
    if not isinstance(content, bytes):
        raise error.TelegramError("a file travels as bytes")
    return name, content, mime


def bot_over(api: BotApi) -> Bot:
    """A Bot whose every method is carried out by `api`. It needs no `initialize`, which would ask getMe for nothing."""
    request = AiohttpRequest(api)
    return Bot(
        _NO_TOKEN,
        base_url=lambda token: "",
        base_file_url=lambda token: "",
        request=request,
        get_updates_request=request,
    )


async def asked(call: Awaitable[Answer]) -> Answer:
    """The answer to a Bot method.

    Raises: RateLimited, ServiceUnavailable (Conflict, AnswerUnread), RecipientUnreachable, SendRefused (ChatMigrated),
    Misconfigured.
    """
    failure: ServiceError
    try:
        return await call
    except error.TelegramError as exc:
        failure = outcome_of(exc)
    except (AttributeError, KeyError, TypeError, ValueError):
        failure = AnswerUnread()  # our arguments are plain values and finished types: only reading can fail like this
    # Raised out here so that the library's exception, which quotes the answer, does not hang on it as its context.
    raise failure


def outcome_of(exc: error.TelegramError) -> ServiceError:
    """The library's exception in our words. BadRequest is a NetworkError, so it comes first: it is never retried."""
    cause = exc.__cause__
    if isinstance(cause, ServiceError):
        return cause
    match exc:
        case error.RetryAfter():
            wait = exc.retry_after
            return RateLimited(
                SERVICE, retry_after_s=wait.total_seconds() if isinstance(wait, timedelta) else float(wait)
            )
        case error.Forbidden():
            return unreachable(exc.message)
        case error.ChatMigrated():
            return ChatMigrated(exc.new_chat_id)
        case error.Conflict():
            return Conflict(exc.message)
        case error.InvalidToken():
            return unknown_token()
        case error.BadRequest():
            return refused(exc.message)
    # TimedOut, NetworkError and what a later version adds: nobody knows whether it was carried out.
    return ServiceUnavailable(SERVICE, type(exc).__name__, happened="unknown")
