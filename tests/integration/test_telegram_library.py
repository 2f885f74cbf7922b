"""python-telegram-bot over our HTTP layer: the same outcomes as without it, and it never learns the token."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from telegram import Message, error

from bot.errors import (
    Misconfigured,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceError,
    ServiceUnavailable,
)
from bot.types import Lane, OutPart, Receipt, ReplyButton
from channels.simulators.faults import Fault
from channels.simulators.telegram import TelegramSimulator
from channels.telegram import TelegramAdapter
from channels.telegram.api import BotApi, ChatMigrated, Conflict
from channels.telegram.request import AnswerUnread, asked, bot_over, outcome_of
from config.settings import TelegramSettings
from tests.channel_doubles import an_outbound

TOKEN = "1000001:AAF-a-token-that-must-stay-unseen"
HEAD = "HTTP/1.1 {status} Said so\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"


class Answers:
    """An HTTP server that says the same to every request, in as many pieces as asked for."""

    def __init__(self, status: int = 200, body: bytes = b"", *, pieces: int = 1) -> None:
        self.status, self.body, self.pieces = status, body, pieces
        self.asked: list[bytes] = []

    async def __aenter__(self) -> Answers:
        self._server = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.api = BotApi(f"http://127.0.0.1:{port}", TOKEN, timeout_s=5)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.api.close()
        self._server.close()
        await self._server.wait_closed()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await self._read_head(reader):
            length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
            self.asked.append(head + await reader.readexactly(length))
            writer.write(HEAD.format(status=self.status, length=len(self.body)).encode())
            step = max(1, -(-len(self.body) // self.pieces))
            for start in range(0, len(self.body), step):
                writer.write(self.body[start : start + step])
                await writer.drain()
                await asyncio.sleep(0)
        writer.close()

    async def _read_head(self, reader: asyncio.StreamReader) -> bytes:
        try:
            return await reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError):
            return b""


def refusal(code: int, description: str, **parameters: Any) -> bytes:
    return json.dumps({"ok": False, "error_code": code, "description": description, "parameters": parameters}).encode()


ANSWERS = [
    (400, refusal(400, "Bad Request: message is too long")),
    (400, refusal(400, "Bad Request: BUTTON_DATA_INVALID")),
    (400, refusal(400, "Bad Request: chat not found")),
    (400, refusal(400, "Bad Request: PEER_ID_INVALID")),
    (400, refusal(400, "Bad Request: group chat was upgraded", migrate_to_chat_id=-1007)),
    (401, refusal(401, "Unauthorized")),
    (403, refusal(403, "Forbidden: bot was blocked by the user")),
    (404, refusal(404, "Not Found")),
    (409, refusal(409, "Conflict: can't use getUpdates method while webhook is active")),
    (409, refusal(409, "Conflict: terminated by other getUpdates request")),
    (429, refusal(429, "Too Many Requests: retry after 17", retry_after=17)),
    (429, refusal(429, "Too Many Requests", retry_after="soon")),
    (429, b"<html>"),
    (500, refusal(500, "Internal Server Error: restart")),
    (502, b"<html>502</html>"),
    (503, b""),
    (504, b""),
    (302, b""),
    (400, b"<html>a proxy</html>"),
    (403, b"<html>a firewall</html>"),
    (413, b"<html>"),
    (200, b'{"ok":tru'),
    (200, b"[]"),
    (200, refusal(400, "Bad Request: message is too long")),
]


async def failure_of(call: Awaitable[Any]) -> ServiceError:
    with pytest.raises(ServiceError) as caught:
        await call
    return caught.value


def outcome(failure: ServiceError) -> tuple[Any, ...]:
    """Everything that decides what happens next."""
    extra = (getattr(failure, name, None) for name in ("happened", "retry_after_s", "chat_id", "is_webhook"))
    return (type(failure), *extra)


@pytest.mark.parametrize(("status", "body"), ANSWERS)
async def test_the_library_changes_no_outcome(status: int, body: bytes) -> None:
    async with Answers(status, body) as server:
        directly = await failure_of(server.api.call("sendMessage", {"chat_id": 42, "text": "x"}))
        through_it = await failure_of(asked(bot_over(server.api).send_message(42, "x")))

    assert outcome(through_it) == outcome(directly)
    assert (through_it.__cause__, through_it.__context__) == (None, None)
    assert len(server.asked) == 2


@pytest.mark.parametrize(
    ("exc", "kind"),
    [
        (error.RetryAfter(timedelta(seconds=3)), RateLimited),
        (error.Forbidden("Forbidden: bot was blocked by the user"), RecipientUnreachable),
        (error.BadRequest("Bad Request: message is too long"), SendRefused),
        (error.BadRequest("Bad Request: chat not found"), RecipientUnreachable),
        (error.InvalidToken(), Misconfigured),
        (error.Conflict("terminated by other getUpdates request"), Conflict),
        (error.ChatMigrated(-1007), ChatMigrated),
        (error.TimedOut(), ServiceUnavailable),
        (error.NetworkError("connection reset"), ServiceUnavailable),
        (error.TelegramError("of next year"), ServiceUnavailable),
    ],
)
def test_each_class_of_the_library_has_one_of_ours(exc: error.TelegramError, kind: type[ServiceError]) -> None:
    found = outcome_of(exc)

    assert type(found) is kind
    assert getattr(found, "happened", "unknown") in {"unknown", "no" if kind is Conflict else "unknown"}


async def test_an_answer_that_comes_in_pieces_is_read_whole() -> None:
    updates = [{"update_id": number, "message": {"text": "长" * 400}} for number in range(100)]
    body = json.dumps({"ok": True, "result": updates}).encode()
    async with Answers(200, body, pieces=40) as server:
        status, read = await server.api.call_raw("getUpdates", {})

    assert (status, len(read)) == (200, len(body))


async def test_a_call_goes_out_as_one_json_object_to_the_methods_address() -> None:
    message = {"message_id": 7, "date": 1, "chat": {"id": 42, "type": "private"}, "text": "x"}
    async with Answers(200, json.dumps({"ok": True, "result": message}).encode()) as server:
        sent = await asked(bot_over(server.api).send_message(42, "您好", message_thread_id=5))

    head, _, body = server.asked[0].partition(b"\r\n\r\n")
    assert isinstance(sent, Message)
    assert head.startswith(f"POST /bot{TOKEN}/sendMessage ".encode())
    assert json.loads(body) == {"chat_id": 42, "text": "您好", "message_thread_id": 5}


async def test_the_library_never_learns_the_token() -> None:
    api = BotApi("http://127.0.0.1:9", TOKEN, timeout_s=1)
    bot = bot_over(api)

    failure = await failure_of(asked(bot.initialize()))
    await api.close()

    shown = f"{bot!r} {bot.token} {bot.base_url} {bot.base_file_url} {failure!r}"
    assert "must-stay-unseen" not in shown


async def test_a_number_json_cannot_carry_is_a_refusal_not_a_crash() -> None:
    async with Answers() as server:
        failure = await failure_of(asked(bot_over(server.api).send_message(10**30, "x")))

    assert isinstance(failure, SendRefused)
    assert server.asked == []


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator(TOKEN) as simulator:
        simulator.user(42, "Li Wei").start()
        yield simulator


@pytest.fixture
async def adapter(telegram: TelegramSimulator) -> AsyncIterator[TelegramAdapter]:
    adapter = TelegramAdapter("main", TelegramSettings(token=TOKEN, api_base_url=telegram.url, timeout_s=5))
    yield adapter
    await adapter.close()


@pytest.mark.parametrize(("image", "message_id"), [("", "1"), ("https://shop.example/a.png", "")])
async def test_a_message_whose_answer_the_library_cannot_read_counts_as_sent(
    telegram: TelegramSimulator, adapter: TelegramAdapter, image: str, message_id: str
) -> None:
    """Texts leave without the library: of their answer only the number is read, and it is there."""
    telegram.faults.plan(Fault("odd_answer"))

    receipt = await adapter.send(replace(an_outbound(), part=OutPart("hello", (), image)))

    assert receipt == Receipt(message_id)
    assert [shown.text for shown in telegram.user(42).received] == ["hello"]


async def test_a_setting_whose_answer_cannot_be_read_may_have_happened(
    telegram: TelegramSimulator, adapter: TelegramAdapter
) -> None:
    telegram.faults.plan(Fault("odd_answer", "getMe"))

    failure = await failure_of(asked(adapter.bot.get_me()))

    assert isinstance(failure, AnswerUnread)
    assert failure.happened == "unknown"


@pytest.mark.parametrize("lane", [Lane.REPLY, Lane.BROADCAST])
async def test_replies_and_broadcasts_look_the_same_to_the_customer(
    telegram: TelegramSimulator, adapter: TelegramAdapter, lane: Lane
) -> None:
    part = OutPart("Which one?", (ReplyButton("2390", "o:2390"), ReplyButton("2391", "o:2391")))

    receipt = await adapter.send(replace(an_outbound(lane=lane), part=part))

    shown = telegram.user(42).received[0]
    assert (shown.text, shown.keyboard) == (
        "Which one?",
        [[{"text": "2390", "callback_data": "o:2390"}, {"text": "2391", "callback_data": "o:2391"}]],
    )
    assert receipt == Receipt(str(shown.message_id))


def test_the_library_is_loaded_only_for_a_telegram_account() -> None:
    program = (
        "import sys; from config.settings import Settings; from frontdesk import app, http, doctor, kits\n"
        "kits.build_kits(Settings(_env_file=None), None); print('telegram' in sys.modules, 'httpx' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout.split() == ["False", "False"]
