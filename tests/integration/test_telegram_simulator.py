"""The stand-in is as strict as Telegram; an independent client (python-telegram-bot) finds in it what it expects."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, Update
from telegram.error import BadRequest, Conflict, Forbidden, InvalidToken, NetworkError, RetryAfter
from telegram.request import HTTPXRequest

from channels.simulators.faults import Fault
from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_methods import Limits
from tests.channel_doubles import SteppedClock


class Stage:
    """A stand-in on a clock that stands still, and a client of it that is not ours."""

    bot: Bot

    def __init__(self, ledger_file: Path) -> None:
        self.clock = SteppedClock()
        self.telegram = TelegramSimulator(
            now=lambda: self.clock.now().timestamp(),
            monotonic=self.clock.monotonic,
            limits=Limits(),
            ledger_file=ledger_file,
            webhook_delay_s=0.001,
        )

    def client(self) -> Bot:
        return Bot(
            self.telegram.token,
            base_url=f"{self.telegram.url}/bot",
            request=HTTPXRequest(connection_pool_size=4, httpx_kwargs={"verify": False}),
            get_updates_request=HTTPXRequest(connection_pool_size=4, httpx_kwargs={"verify": False}),
        )


async def call(telegram: TelegramSimulator, method: str, params: dict[str, Any]) -> Any:
    """The whole answer to a call, for refusals that a polite client would never provoke."""
    async with aiohttp.ClientSession() as session:
        response = await session.post(f"{telegram.url}/bot{telegram.token}/{method}", json=params)
        answer = await response.json()
    assert response.status == answer.get("error_code", 200)
    return answer


@pytest.fixture(autouse=True)
def _durations_as_the_next_version_of_the_client_gives_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PTB_TIMEDELTA", "true")


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    stage = Stage(tmp_path / "ledger.jsonl")
    await stage.telegram.start()
    stage.bot = stage.client()
    async with stage.bot:
        yield stage
    await stage.telegram.close()


async def test_another_client_reads_our_updates_as_telegrams(stage: Stage) -> None:
    wang = stage.telegram.user(41, "王芳", "zh-hans")
    wang.start("promo")
    wang.send_contact("+8613800138000")
    wang.send_location(38.87, 115.46)
    wang.send_photo("坏了")
    wang.send_voice()
    wang.send_document()
    wang.edit(1, "changed")
    wang.block()

    updates = await stage.bot.get_updates(timeout=0)

    assert all(update.effective_user and update.effective_user.id == 41 for update in updates)
    assert updates[0].message is not None
    assert updates[0].message.parse_entities() == {updates[0].message.entities[0]: "/start"}
    assert [update.update_id for update in updates] == list(range(700_000_001, 700_000_009))
    assert updates[-1].my_chat_member is not None
    assert updates[-1].my_chat_member.new_chat_member.status == "kicked"


async def test_an_update_stays_until_a_higher_offset_confirms_it(stage: Stage) -> None:
    for text in ("one", "two", "three"):
        stage.telegram.user(41).send_text(text)

    first = await stage.bot.get_updates(timeout=0, limit=2)
    again = await stage.bot.get_updates(timeout=0)
    rest = await stage.bot.get_updates(offset=first[-1].update_id + 1, timeout=0)
    none = await stage.bot.get_updates(offset=rest[-1].update_id + 1, timeout=0)

    assert [len(first), len(again), len(rest), len(none)] == [2, 3, 1, 0]
    assert [entry["update_id"] for entry in stage.telegram.ledger.entries("confirmed")] == [
        update.update_id for update in again
    ]


async def test_a_negative_offset_forgets_all_but_the_last(stage: Stage) -> None:
    for text in ("one", "two", "three"):
        stage.telegram.user(41).send_text(text)

    updates = await stage.bot.get_updates(offset=-1, timeout=0)

    assert [update.message and update.message.text for update in updates] == ["three"]
    assert len(stage.telegram.bot.pending) == 1


async def test_an_update_nobody_fetched_is_gone_after_24_hours(stage: Stage) -> None:
    stage.telegram.user(41).send_text("old")
    stage.clock.elapsed_s = 24 * 3600 - 1
    assert len(await stage.bot.get_updates(timeout=0)) == 1
    stage.clock.elapsed_s += 1

    assert await stage.bot.get_updates(timeout=0) == ()


async def test_a_long_poll_ends_as_soon_as_somebody_writes(stage: Stage) -> None:
    waiting = asyncio.create_task(stage.bot.get_updates(timeout=30))
    async with asyncio.timeout(10):
        await stage.telegram.bot.pulse.until(lambda: stage.telegram.bot.poll_number > 0, 10)
        stage.telegram.user(41).send_text("now")
        updates = await waiting

    assert [update.message and update.message.text for update in updates] == ["now"]


async def test_the_older_of_two_pollers_is_told_to_stop(stage: Stage) -> None:
    waiting = asyncio.create_task(stage.bot.get_updates(timeout=30))
    async with asyncio.timeout(10):
        await stage.telegram.bot.pulse.until(lambda: stage.telegram.bot.poll_number > 0, 10)
    other = stage.client()
    async with other:
        assert await other.get_updates(timeout=0) == ()

    with pytest.raises(Conflict, match="terminated by other getUpdates"):
        await waiting


async def test_polling_is_refused_while_a_webhook_is_set(stage: Stage) -> None:
    await stage.bot.set_webhook("http://127.0.0.1:9/x", secret_token="abc", max_connections=7)
    with pytest.raises(Conflict, match="webhook is active"):
        await stage.bot.get_updates(timeout=0)
    info = await stage.bot.get_webhook_info()
    await stage.bot.delete_webhook()

    assert (info.url, info.max_connections) == ("http://127.0.0.1:9/x", 7)
    assert await stage.bot.get_updates(timeout=0) == ()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"url": "http://shop.example/x"}, "HTTPS"),
        ({"url": "https://shop.example:8080/x"}, "ports"),
        ({"url": "https://shop.example/x", "secret_token": "no spaces"}, "secret token"),
        ({"url": "https://shop.example/x", "max_connections": 500}, "max_connections"),
    ],
)
async def test_a_webhook_telegram_would_not_take_is_refused(options: dict[str, Any], reason: str) -> None:
    async with TelegramSimulator(allow_local_webhooks=False) as telegram:
        answer = await call(telegram, "setWebhook", options)

    assert answer["error_code"] == 400
    assert reason in answer["description"]


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"text": ""}, "message text is empty"),
        ({"text": " \u200b\n"}, "message text is empty"),
        ({"text": "🙂" * 2049}, "message is too long"),
        ({"text": "<b>" + "a" * 4097 + "</b>", "parse_mode": "HTML"}, "message is too long"),
        ({"text": "<b>x", "parse_mode": "HTML"}, "can't parse entities"),
        ({"text": "<table>x</table>", "parse_mode": "HTML"}, "Unsupported start tag"),
        ({"text": "x", "parse_mode": "Troff"}, "unsupported parse_mode"),
        ({"text": "x", "entities": [{"type": "bold", "offset": 0, "length": 9}]}, "ENTITY_BOUNDS_INVALID"),
        ({"text": "x", "chat_id": ""}, "chat_id is empty"),
        ({"text": "x", "chat_id": 77}, "chat not found"),
        ({"text": "x", "message_thread_id": 3}, "thread not found"),
        ({"text": "x", "reply_markup": {"inline_keyboard": [{"text": "a"}]}}, "Array of Arrays"),
        ({"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a"}]]}}, "exactly one action"),
        ({"text": "x", "reply_markup": {"inline_keyboard": [[{"text": " ", "callback_data": "a"}]]}}, "non-empty"),
        ({"text": "x", "reply_markup": {"inline_keyboard": [[{"text": "a", "callback_data": "长" * 22}]]}}, "BUTTON"),
        ({"text": "x", "reply_markup": "{"}, "can't parse reply keyboard"),
    ],
)
async def test_a_message_telegram_would_not_take_is_refused(stage: Stage, params: dict[str, Any], reason: str) -> None:
    stage.telegram.user(42).start()

    answer = await call(stage.telegram, "sendMessage", {"chat_id": 42, **params})

    assert (answer["ok"], answer["error_code"]) == (False, 400)
    assert reason in answer["description"]
    assert stage.telegram.user(42).received == []


async def test_4096_units_and_markup_around_them_are_taken(stage: Stage) -> None:
    stage.telegram.user(42).start()

    message = await stage.bot.send_message(42, "<b>" + "🙂" * 2048 + "</b>", parse_mode="HTML")

    assert message.text == "🙂" * 2048


async def test_a_keyboard_is_shown_pressed_and_answered(stage: Stage) -> None:
    wang = stage.telegram.user(42)
    wang.start()
    markup = InlineKeyboardMarkup([[InlineKeyboardButton("是", callback_data="yes")]])
    sent = await stage.bot.send_message(42, "要继续吗？", reply_markup=markup)

    wang.press("是")
    query = (await stage.bot.get_updates(timeout=0))[-1].callback_query
    assert query is not None
    assert await query.answer()
    edited = await stage.bot.edit_message_text("好的", 42, sent.message_id)

    assert (query.data, query.message and query.message.message_id) == ("yes", sent.message_id)
    assert stage.telegram.bot.open_queries[query.id]
    assert (wang.received[0].text, wang.received[0].buttons, edited.message_id) == ("好的", [], sent.message_id)  # type: ignore[union-attr]
    with pytest.raises(BadRequest, match="not modified"):
        await stage.bot.edit_message_text("好的", 42, sent.message_id)
    with pytest.raises(BadRequest, match="Query is too old"):
        await stage.bot.answer_callback_query("1")


async def test_who_blocked_or_never_started_the_bot_gets_nothing(stage: Stage) -> None:
    stage.telegram.user(41)
    stage.telegram.user(42).start()
    stage.telegram.user(42).block()

    with pytest.raises(Forbidden, match="initiate"):
        await stage.bot.send_message(41, "hello")
    with pytest.raises(Forbidden, match="blocked"):
        await stage.bot.send_message(42, "hello")
    stage.telegram.user(42).start()
    assert await stage.bot.send_message(42, "welcome back")


async def test_a_chat_allows_a_short_burst_and_then_says_how_long_to_wait(stage: Stage) -> None:
    stage.telegram.user(42).start()
    for number in range(3):
        await stage.bot.send_message(42, f"burst {number}")

    with pytest.raises(RetryAfter):
        await stage.bot.send_message(42, "too much")
    stage.clock.elapsed_s += 1

    assert await stage.bot.send_message(42, "after a second")


async def test_thirty_a_second_overall_is_the_limit(stage: Stage) -> None:
    for user in range(31):
        stage.telegram.user(user).start()

    answers = [await call(stage.telegram, "sendMessage", {"chat_id": user, "text": "x"}) for user in range(31)]

    assert [answer["ok"] for answer in answers] == [True] * 30 + [False]
    assert answers[-1]["parameters"] == {"retry_after": 1}


async def test_a_wrong_token_and_an_unknown_method_are_refused(stage: Stage) -> None:
    stage.telegram.bots["7:other"] = stage.telegram.bots.pop(stage.telegram.token)
    with pytest.raises(InvalidToken):
        await stage.bot.get_me()
    stage.telegram.bots[stage.telegram.token] = stage.telegram.bots.pop("7:other")

    assert (await call(stage.telegram, "sendTelepathy", {}))["error_code"] == 404


async def test_forms_and_query_strings_are_read_like_json(stage: Stage) -> None:
    stage.telegram.user(42).start()
    url = f"{stage.telegram.url}/bot{stage.telegram.token}/SENDMESSAGE"
    async with aiohttp.ClientSession() as session:
        await session.post(url, data={"chat_id": "42", "text": "by form"})
        await session.get(url, params={"chat_id": "42", "text": "by query"})
        broken = await session.post(url, data=b"{", headers={"Content-Type": "application/json"})

    assert [shown.text for shown in stage.telegram.user(42).received] == ["by form", "by query"]
    assert broken.status == 400


async def test_a_planned_fault_happens_and_passes(stage: Stage) -> None:
    stage.telegram.user(42).start()
    stage.telegram.faults.plan(Fault("drop_answer", "sendMessage", after=1))
    await stage.bot.send_message(42, "well")

    with pytest.raises(NetworkError):
        await stage.bot.send_message(42, "carried out, answer lost")
    await stage.bot.send_message(42, "well again")

    assert len(stage.telegram.user(42).received) == 3


def test_a_fault_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="drop_answer"):
        Fault("earthquake")


async def test_the_ledger_file_holds_every_call_in_order(tmp_path: Path) -> None:
    file = tmp_path / "calls.jsonl"
    async with TelegramSimulator(ledger_file=file) as telegram:
        telegram.user(42).start()
        await call(telegram, "sendMessage", {"chat_id": 42, "text": "hello"})
        await call(telegram, "sendMessage", {"chat_id": 43, "text": "nobody"})
        entries = telegram.ledger.entries()

    lines = [json.loads(line) for line in file.read_text().splitlines()]
    assert lines == entries
    assert [(line["kind"], line.get("outcome")) for line in lines] == [
        ("update", None),
        ("call", "ok"),
        ("call", "refused"),
    ]


async def test_a_customer_can_be_played_from_another_process(stage: Stage) -> None:
    base = f"{stage.telegram.url}/_sim"
    async with aiohttp.ClientSession() as session:
        said = await (await session.post(f"{base}/users/42/text", json={"text": "你好", "language": "zh"})).json()
        await stage.bot.send_message(42, "您好")
        url = f"{base}/users/42/messages?after={said['message_id']}&wait_s=5"
        seen = await (await session.get(url)).json()
        ledger = await (await session.get(f"{base}/ledger?kind=call")).json()
        page = await session.get(f"{base}/")
        refused = [
            (await session.post(f"{base}/users/42/fly", json={})).status,
            (await session.post(f"{base}/users/42/text", json=[])).status,
            (await session.post(f"{base}/users/42/press", json={"button": "none"})).status,
            (await session.post(f"{base}/faults", json={"kind": "earthquake"})).status,
        ]
        planned = await session.post(f"{base}/faults", json={"kind": "error_500", "method": "getMe"})

    assert [message["text"] for message in seen["messages"]] == ["您好"]
    assert [entry["method"] for entry in ledger["entries"]][-1] == "sendMessage"
    assert (page.status, refused, planned.status) == (200, [404, 400, 400, 400], 200)


class WebhookOwner:
    """An HTTP server that answers deliveries from a script and remembers them."""

    def __init__(self, *script: int) -> None:
        self.script = list(script)
        self.seen: list[tuple[str, Update | None]] = []

    async def __aenter__(self) -> WebhookOwner:
        app = web.Application()
        app.router.add_post("/hook", self._receive)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/hook"
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        secret = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "")
        self.seen.append((secret, Update.de_json(json.loads(await request.text()))))
        return web.Response(status=self.script.pop(0) if self.script else 200)

    def texts(self) -> list[str | None]:
        return [update.message.text for _, update in self.seen if update and update.message]


async def test_a_webhook_gets_each_update_with_the_secret_until_it_answers_2xx(stage: Stage) -> None:
    async with WebhookOwner(500, 503, 404) as owner:
        await stage.bot.set_webhook(owner.url, secret_token="s3cret")
        stage.telegram.user(41).send_text("one")
        stage.telegram.user(41).send_text("two")
        assert await stage.telegram.bot.pulse.until(lambda: not stage.telegram.bot.pending, 10)
        await stage.telegram.close()

    assert owner.texts() == ["one", "one", "one", "one", "two"]
    assert {secret for secret, _ in owner.seen} == {"s3cret"}
    statuses = [entry["status"] for entry in stage.telegram.ledger.entries("delivery")]
    assert statuses == [500, 503, 404, 200, 200]


async def test_updates_from_before_the_webhook_are_delivered_to_it(stage: Stage) -> None:
    stage.telegram.user(41).send_text("early")
    async with WebhookOwner() as owner:
        await stage.bot.set_webhook(owner.url)
        assert await stage.telegram.bot.pulse.until(lambda: not stage.telegram.bot.pending, 10)
        await stage.telegram.close()

    assert owner.texts() == ["early"]


async def test_a_webhook_can_be_given_an_update_twice(stage: Stage) -> None:
    stage.telegram.faults.plan(Fault("duplicate_update"))
    async with WebhookOwner() as owner:
        await stage.bot.set_webhook(owner.url)
        stage.telegram.user(41).send_text("again")
        assert await stage.telegram.bot.pulse.until(lambda: not stage.telegram.bot.pending, 10)
        await stage.telegram.close()

    assert owner.texts() == ["again", "again"]
