"""Every kind of update becomes the right content, and nothing that arrives can break decoding."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.types import (
    Button,
    Command,
    Contact,
    Content,
    Event,
    InboundMessage,
    Location,
    Media,
    Received,
    Text,
    Unsupported,
)
from channels.telegram import TelegramAdapter
from config.settings import TelegramSettings
from tests.channel_doubles import START

PAYLOADS = Path(__file__).parents[1] / "payloads" / "telegram"
TOKEN = "1000001:test"


def an_adapter(**settings: Any) -> TelegramAdapter:
    return TelegramAdapter("main", TelegramSettings(token=TOKEN, **settings), now=lambda: START)


def decoded(name: str, adapter: TelegramAdapter | None = None) -> Received:
    return (adapter or an_adapter()).decode((PAYLOADS / f"{name}.json").read_bytes())[0]


def message(name: str, adapter: TelegramAdapter | None = None) -> InboundMessage:
    found = decoded(name, adapter).message
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text", Text("我的订单2391还没有到")),
        ("text_with_new_fields", Text("hello")),
        ("start", Command("start")),
        ("start_deep_link", Command("start", "promo_2026-03")),
        ("start_addressed", Command("start", "hi")),
        ("unknown_command", Text("/restart")),
        ("command_not_at_start", Text("🙂 /help")),
        ("command_only_typed", Text("/start now")),
        ("callback_query", Button("pick:2", "Order 2391", "4382000000000001")),
        ("callback_query_old_message", Button("yes", "", "4382000000000002")),
        ("callback_query_no_message", Button("yes", "", "4382000000000003")),
        ("contact_own", Contact("+8613800138000", "芳 王", True)),
        ("contact_of_somebody_else", Contact("+8613900139000", "李强", False)),
        ("contact_without_user", Contact("+8613900139000", "李强", False)),
        ("location", Location(38.8738, 115.4646)),
        ("venue", Location(38.8738, 115.4646, "保定路站", "保定路 1 号")),
        ("reply", Text("this one")),
        ("photo", Media("image", "large", "坏了", size=200000)),
        ("voice", Media("voice", "v1", mime="audio/ogg", size=9000, duration_s=7.0)),
        ("audio", Media("audio", "a1", file_name="song.mp3", mime="audio/mpeg", duration_s=180.0)),
        ("video", Media("video", "vd1", "the noise", mime="video/mp4", duration_s=12.0)),
        ("video_note", Media("video", "vn1", duration_s=9.0)),
        ("document", Media("document", "d1", file_name="发票.pdf", mime="application/pdf", size=120000)),
        ("sticker", Media("sticker", "st1", "👍")),
        ("animation", Media("animation", "an1", mime="video/mp4", duration_s=3.0)),
        ("dice", Unsupported("dice")),
        ("poll_message", Unsupported("poll")),
        ("kind_of_next_year", Unsupported("hologram")),
    ],
)
def test_what_a_customer_sends_in_private_wants_a_turn(name: str, content: Content) -> None:
    found = message(name)

    assert found.content == content
    assert found.wants_turn
    assert (found.sender.external_id, found.chat_id, found.sender_name) == ("5550001", "5550001", "芳 王")
    assert found.language_hint == "zh-hans"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("edited_text", Text("订单是2392，打错了")),
        ("pinned", Unsupported("pinned_message")),
        ("group_text", Text("hello everyone")),
        ("group_anonymous", Text("as the group")),
        ("from_a_bot", Text("beep")),
        ("blocked", Event("blocked", {"old": "member", "new": "kicked"})),
        ("unblocked", Event("unblocked", {"old": "kicked", "new": "member"})),
        ("added_to_group", Event("membership", {"old": "left", "new": "member"})),
        ("callback_query_game", Unsupported("game")),
        ("channel_post", Unsupported("channel_post")),
        ("business_message", Unsupported("business_message")),
        ("message_reaction", Unsupported("message_reaction")),
        ("inline_query", Unsupported("inline_query")),
        ("update_of_next_year", Unsupported("telepathy")),
    ],
)
def test_what_needs_no_answer_is_recorded_without_a_turn(name: str, content: Content) -> None:
    found = message(name)

    assert found.content == content
    assert not found.wants_turn


def test_an_update_that_names_nobody_is_parked_under_its_own_id() -> None:
    received = decoded("poll")

    assert received.message is None
    assert received.reason == "poll names nobody"
    assert received.dedupe_key == str(json.loads(received.raw)["update_id"])


def test_an_edit_replaces_the_message_it_changed() -> None:
    found = message("edited_text")

    assert found.edits == found.vendor_message_id == "101"
    assert found.sent_at == datetime(2026, 3, 2, 9, 1, tzinfo=UTC)


def test_a_reply_names_the_message_it_answers() -> None:
    assert message("reply").reply_to == "90"


def test_a_business_message_stays_out_of_the_customers_own_conversation() -> None:
    assert message("business_message").topic == "business:bc1"


@pytest.mark.parametrize(("name", "topic"), [("group_topic", "55"), ("group_reply_thread", ""), ("group_text", "")])
def test_only_a_forum_topic_is_a_topic(name: str, topic: str) -> None:
    assert message(name).topic == topic


def test_groups_are_answered_once_enabled_but_bots_never() -> None:
    adapter = an_adapter(groups=True)

    assert message("group_text", adapter).wants_turn
    assert message("group_topic", adapter).wants_turn
    assert not message("from_a_bot", adapter).wants_turn


def test_a_command_for_another_bot_is_nobodys_turn_once_we_know_our_name() -> None:
    adapter = an_adapter()
    adapter.knows_itself_as("frontdesk_bot")

    assert message("start_addressed", adapter).content == Command("start", "hi")
    assert message("start_for_another_bot", adapter).content == Text("/start@other_bot")
    assert not message("start_for_another_bot", adapter).wants_turn


def test_a_press_is_dated_by_our_clock_since_telegram_dates_only_the_message() -> None:
    assert message("callback_query").sent_at == START


@pytest.mark.parametrize("date", [0, -1, 10**18, "yesterday", None, 1.5, True])
def test_a_date_that_is_none_falls_back_to_our_clock(date: Any) -> None:
    update = json.loads((PAYLOADS / "text.json").read_text())
    update["message"]["date"] = date

    found = an_adapter().decode(json.dumps(update).encode())[0].message

    assert found is not None
    assert found.sent_at == START


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"null",
        b"[]",
        b'"text"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"update_id":' + b"9" * 5000 + b"}",
        b'{"update_id":NaN}',
        b'{"message":{}}',
        b'{"update_id":"7"}',
        b'{"update_id":true}',
    ],
)
def test_bytes_that_are_no_update_are_parked_under_their_hash(body: bytes) -> None:
    received = an_adapter().decode(body)[0]

    assert received.message is None
    assert received.reason
    assert received.dedupe_key.startswith("sha256:")
    assert received.raw == body


@pytest.mark.parametrize(
    "broken",
    [
        {"message": 5},
        {"message": {}},
        {"message": {"chat": {"id": 1}, "from": {"id": "x"}, "message_id": 1, "date": 1, "text": "a"}},
        {"message": {"chat": {"id": 10**30}, "from": {"id": 1}, "message_id": 1, "date": 1, "text": "a"}},
        {"message": {"chat": {"id": 1}, "from": {"id": 1}, "message_id": 1, "date": 1, "text": ["a"]}},
        {"callback_query": {"id": "1"}},
        {"edited_message": []},
        {"my_chat_member": {"chat": {}, "from": {}}},
        {},
    ],
)
def test_an_update_of_the_wrong_shape_is_parked_under_its_id(broken: dict[str, Any]) -> None:
    received = an_adapter().decode(json.dumps({"update_id": 7, **broken}).encode())[0]

    assert (received.message, received.dedupe_key) == (None, "7")
    assert received.reason


def test_half_a_surrogate_pair_does_not_cost_the_customer_the_rest_of_the_message() -> None:
    update = json.loads((PAYLOADS / "text.json").read_text())
    update["message"]["text"] = "help \ud83d me"

    found = an_adapter().decode(json.dumps(update).encode())[0].message

    assert found is not None
    assert found.content == Text("help \ufffd me")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = (
    "update_id message edited_message callback_query my_chat_member message_id from chat date text entities id type "
    "photo voice contact location venue data reply_markup inline_keyboard offset length is_topic_message "
    "message_thread_id file_id width phone_number user_id latitude longitude new_chat_member status"
)
FIELDS = st.sampled_from(NAMES.split())
UPDATES = st.recursive(
    JSON, lambda inner: st.dictionaries(FIELDS, inner, max_size=6) | st.lists(inner, max_size=3), max_leaves=30
)


@given(update=UPDATES, update_id=st.integers(0, 2**40))
def test_no_update_of_any_shape_raises(update: Any, update_id: int) -> None:
    body = {**update, "update_id": update_id} if isinstance(update, dict) else update

    received = an_adapter(groups=True).decode(json.dumps(body).encode())[0]

    assert received.message is not None or received.reason


@given(name=st.sampled_from(sorted(path.stem for path in PAYLOADS.glob("*.json"))), noise=JSON, data=st.data())
def test_a_true_update_with_any_field_spoilt_never_raises(name: str, noise: Any, data: st.DataObject) -> None:
    update = json.loads((PAYLOADS / f"{name}.json").read_text())
    place = update
    for _ in range(data.draw(st.integers(1, 4))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list):
            place[key] = noise
            break
        place = place[key]

    received = an_adapter().decode(json.dumps(update).encode())[0]

    assert received.message is not None or received.reason
    if received.message is not None:
        json.dumps(repr(received.message)).encode("utf-8")


@given(body=st.binary(max_size=200))
def test_no_bytes_raise(body: bytes) -> None:
    assert an_adapter().decode(body)[0].raw == body
