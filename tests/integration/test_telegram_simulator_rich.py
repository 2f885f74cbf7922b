"""The stand-in's files, albums, keyboards, groups and kinds of messages: what Telegram refuses, and what another client
reads in it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from telegram import Bot, InputMediaPhoto, KeyboardButton, ReplyKeyboardMarkup, Update
from telegram.error import BadRequest, ChatMigrated
from telegram.request import HTTPXRequest

from channels.simulators.telegram import TelegramSimulator
from channels.simulators.telegram_flood import Limits

PICTURE = "https://shop.example/a.png"


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramSimulator]:
    async with TelegramSimulator(limits=Limits(chat_per_s=1000, chat_burst=1000)) as simulator:
        simulator.user(42, "Li Wei").start()
        yield simulator


@pytest.fixture
async def bot(telegram: TelegramSimulator) -> AsyncIterator[Bot]:
    request = HTTPXRequest(connection_pool_size=4, httpx_kwargs={"verify": False})
    client = Bot(
        telegram.token,
        base_url=f"{telegram.url}/bot",
        base_file_url=f"{telegram.url}/file/bot",
        request=request,
        get_updates_request=HTTPXRequest(httpx_kwargs={"verify": False}),
    )
    async with client:
        yield client


async def test_another_client_reads_every_kind_of_message_as_telegrams(telegram: TelegramSimulator) -> None:
    wang = telegram.user(41, "王芳", "zh-hans")
    wang.send_album(["one", ""])
    wang.send_sticker()
    wang.send_dice(6)
    wang.send_venue("Shop", "Baoding Road 1", 38.8, 115.4)
    wang.forward("hello", "Li Q.")
    telegram.bot.allowed = ("message", "message_reaction")
    wang.react(7, "👍")

    read = [Update.de_json(pending.update) for pending in telegram.bot.pending[1:]]

    said = [update.message for update in read[:-1]]
    assert all(said)
    assert said[0].media_group_id == said[1].media_group_id is not None  # type: ignore[union-attr]
    assert [said[2].sticker.emoji, said[3].dice.value, said[4].venue.title] == ["👍", 6, "Shop"]  # type: ignore[union-attr]
    assert said[5].forward_origin.sender_user_name == "Li Q."  # type: ignore[union-attr]
    assert read[-1].message_reaction.new_reaction[0].emoji == "👍"  # type: ignore[union-attr]


async def test_reactions_come_only_when_asked_for(telegram: TelegramSimulator) -> None:
    assert telegram.user(42).react(7, "👍") is None


async def test_another_client_can_send_files_albums_and_keys(telegram: TelegramSimulator, bot: Bot) -> None:
    customer = telegram.user(42)

    await bot.send_document(42, b"bytes", filename="a.txt")
    album = await bot.send_media_group(42, [InputMediaPhoto(PICTURE, caption="one"), InputMediaPhoto(b"x")])
    keys = ReplyKeyboardMarkup([[KeyboardButton("Mine", request_contact=True)]], one_time_keyboard=True)
    await bot.send_message(42, "?", reply_markup=keys)
    customer.touch("Mine", phone="+861")

    assert next(file for shown in customer.received for file in shown.files) == "document a.txt (5 bytes)"
    assert album[0].media_group_id == album[1].media_group_id is not None
    assert telegram.bot.pending[-1].update["message"]["contact"] == {
        "phone_number": "+861",
        "first_name": "Li Wei",
        "user_id": 42,
    }
    with pytest.raises(LookupError):
        customer.touch("Mine")


ALBUM = [{"type": "photo", "media": PICTURE}, {"type": "photo", "media": PICTURE}]


@pytest.mark.parametrize(
    ("method", "params", "reason"),
    [
        ("sendMediaGroup", {"media": ALBUM[:1]}, "from 2 to 10"),
        ("sendMediaGroup", {"media": ALBUM * 6}, "from 2 to 10"),
        ("sendMediaGroup", {"media": "x"}, "can't parse media"),
        ("sendMediaGroup", {"media": [ALBUM[0], {"type": "document", "media": PICTURE}]}, "same type"),
        ("sendMediaGroup", {"media": [{"type": "voice", "media": PICTURE}] * 2}, "same type"),
        ("sendMediaGroup", {"media": ALBUM, "reply_markup": {"remove_keyboard": True}}, "not supported"),
        ("sendMediaGroup", {"media": [ALBUM[0], {**ALBUM[0], "caption": "x" * 1025}]}, "caption is too long"),
        ("sendPhoto", {"photo": "attach://nothing"}, "no photo in the request"),
        ("sendPhoto", {"photo": "https://shop.example/a.broken"}, "failed to get HTTP URL content"),
        ("sendVoice", {}, "no voice in the request"),
        ("sendMessage", {"text": "x", "reply_markup": {"keyboard": []}}, "Array of Arrays"),
        ("sendMessage", {"text": "x", "reply_markup": {"keyboard": [[{"text": ""}]]}}, "keyboard button"),
        ("sendMessage", {"text": "x", "reply_markup": {}}, "object expected"),
        ("sendMessage", {"text": "x", "link_preview_options": "no"}, "link preview options"),
        ("sendMessage", {"text": "<span>x</span>", "parse_mode": "HTML"}, "tg-spoiler"),
        ("editMessageText", {"text": "x", "message_id": 99}, "message to edit not found"),
        ("editMessageText", {"text": "x", "message_id": 1, "reply_markup": {"force_reply": True}}, "inline keyboard"),
        ("pinChatMessage", {"message_id": 99}, "message to pin not found"),
        ("unpinChatMessage", {"message_id": 99}, "message to unpin not found"),
        ("getFile", {"file_id": "x"}, "invalid file_id"),
        ("setMyCommands", {"commands": [], "scope": {"type": "moon"}}, "unsupported type"),
        ("setMyCommands", {"commands": [], "language_code": "zh-hans"}, "invalid language code"),
    ],
)  # fmt: skip
async def test_what_telegram_would_not_take_is_refused(
    telegram: TelegramSimulator, method: str, params: dict[str, Any], reason: str
) -> None:
    async with aiohttp.ClientSession() as session:
        address = f"{telegram.url}/bot{telegram.token}/{method}"
        answer = await (await session.post(address, json={"chat_id": 42, **params})).json()

    assert (answer["ok"], answer["error_code"]) == (False, 400)
    assert reason in answer["description"]


async def test_an_uploaded_photo_over_10_mb_is_refused(telegram: TelegramSimulator, bot: Bot) -> None:
    with pytest.raises(Exception, match="Request Entity Too Large"):
        await bot.send_photo(42, b"x" * 10_000_001)


@pytest.mark.parametrize("ask", ["request_contact", "request_location"])
async def test_a_group_is_not_asked_for_numbers_and_places(telegram: TelegramSimulator, bot: Bot, ask: str) -> None:
    telegram.group(-1007)
    keys = ReplyKeyboardMarkup([[KeyboardButton("Mine", **{ask: True})]])

    with pytest.raises(BadRequest, match="in private chats only"):
        await bot.send_message(-1007, "?", reply_markup=keys)


async def test_a_message_that_took_keys_away_cannot_be_edited(telegram: TelegramSimulator, bot: Bot) -> None:
    sent = await bot.send_message(42, "?", reply_markup=json.loads('{"remove_keyboard": true}'))

    with pytest.raises(BadRequest, match="can't be edited"):
        await bot.edit_message_text("!", 42, sent.message_id)


async def test_a_file_is_given_out_up_to_20_mb(telegram: TelegramSimulator, bot: Bot) -> None:
    telegram.bot.files |= {"small": b"content", "large": b"x" * 20_000_001, "away": None}

    assert bytes(await (await bot.get_file("small")).download_as_bytearray()) == b"content"
    for file, reason in (("large", "ile is too big"), ("away", "temporarily unavailable")):
        with pytest.raises(BadRequest, match=reason):
            await bot.get_file(file)


async def test_privacy_shows_the_bot_only_what_is_meant_for_it(telegram: TelegramSimulator) -> None:
    group, member = telegram.group(-1007), telegram.user(42)
    ours = {"message_id": 5, "from": telegram.bot.as_user(), "chat": group.as_chat(), "date": 1}

    shown = [
        group.said_by(member, "hello everyone"),
        group.said_by(member, "hi @somebody_else"),
        group.said_by(member, "hi @frontdesk_bot"),
        group.said_by(member, "/help"),
        group.said_by(member, "yes", reply_to_message=ours),
    ]
    telegram.bot.has_privacy = False
    shown.append(group.said_by(member, "hello everyone"))

    assert [update is not None for update in shown] == [False, False, True, True, True, True]


async def test_a_moved_group_names_its_new_id(telegram: TelegramSimulator, bot: Bot) -> None:
    moved = telegram.group(-7).migrate(-1007, telegram.user(42))

    with pytest.raises(ChatMigrated) as caught:
        await bot.send_message(-7, "hello")

    assert caught.value.new_chat_id == -1007
    await bot.send_message(-1007, "hello")
    assert [shown.text for shown in moved.received] == ["hello"]
    notices = [pending.update["message"] for pending in telegram.bot.pending[-2:]]
    assert (notices[0]["migrate_to_chat_id"], notices[1]["migrate_from_chat_id"]) == (-1007, -7)


async def test_topics_are_addressed_by_their_number_except_the_general_one(
    telegram: TelegramSimulator, bot: Bot
) -> None:
    telegram.group(-1007).topics = {55}

    await bot.send_message(-1007, "in orders", message_thread_id=55)
    for topic in (1, 56):
        with pytest.raises(BadRequest, match="thread not found"):
            await bot.send_message(-1007, "?", message_thread_id=topic)


async def test_a_pin_is_told_to_the_bot_itself(telegram: TelegramSimulator, bot: Bot) -> None:
    sent = await bot.send_message(42, "status")

    await bot.pin_chat_message(42, sent.message_id)
    await bot.pin_chat_message(42, sent.message_id)

    notices = [pending.update["message"] for pending in telegram.bot.pending if "message" in pending.update]
    assert [notice["from"]["id"] for notice in notices if "pinned_message" in notice] == [1000001]


async def test_paid_messages_have_a_limit_of_their_own() -> None:
    limits = Limits(chat_per_s=1000, chat_burst=1000, bot_burst=1, bot_per_s=0.001, paid_per_s=3)
    async with TelegramSimulator(limits=limits, monotonic=lambda: 0.0) as telegram, aiohttp.ClientSession() as session:
        telegram.user(42).start()
        statuses = []
        for paid in (False, False, True, True, True, True):
            params = {"chat_id": 42, "text": "x", "allow_paid_broadcast": paid}
            answer = await session.post(f"{telegram.url}/bot{telegram.token}/sendMessage", json=params)
            statuses.append(answer.status)

    assert statuses == [200, 429, 200, 200, 200, 429]


async def test_everything_a_customer_can_do_can_be_done_from_another_process(telegram: TelegramSimulator) -> None:
    doings: dict[str, dict[str, Any]] = {
        "album": {"captions": ["a", "b"]},
        "sticker": {},
        "dice": {"value": 3},
        "venue": {"title": "Shop", "address": "1", "latitude": 1.0, "longitude": 2.0},
        "forward": {"text": "hello"},
    }
    async with aiohttp.ClientSession() as session:
        base = f"{telegram.url}/_sim/users/42"
        for action, given in doings.items():
            assert (await session.post(f"{base}/{action}", json=given)).status == 200
        assert (await session.post(f"{base}/touch", json={"key": "no such"})).status == 400
        assert (await session.post(f"{base}/reply", json={"message_id": 99, "text": "x"})).status == 400
        seen = await (await session.get(f"{base}/messages")).json()

    assert len(telegram.bot.pending) == 1 + 6
    assert (seen["keys"], seen["pinned"]) == ([], [])
