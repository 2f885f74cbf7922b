"""Every kind of update becomes the right content, and nothing that arrives can break decoding."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
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
from channels.deep_links import DeepLink, sign_link
from channels.telegram import TelegramAdapter
from config.settings import TelegramSettings
from crm_sync.codec import dump_content, dump_message
from crm_sync.columns import dump_json
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
        ("dice", Unsupported("dice", "🎲\n4")),
        ("poll_message", Unsupported("poll", "?")),
        ("album_first", Media("image", "large1", "两处都坏了", size=200000)),
        ("album_second", Media("image", "large2", size=200000)),
        ("forwarded_from_user", Text("明天停电")),
        ("forwarded_command", Text("/start x")),
        ("forwarded_contact", Contact("+8613800138000", "芳", False)),
        ("reply_with_quote", Text("这个什么时候到？")),
        ("web_app_data", Unsupported("web_app_data", '选时间\n{"slot":"10:00"}')),
        ("paid_media", Unsupported("paid_media", "⭐5\nonly for you")),
        ("giveaway", Unsupported("giveaway", "一台电饭煲\n×3")),
        ("checklist", Unsupported("checklist", "To return\n- box\n- receipt")),
        ("story", Unsupported("story")),
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
        ("channel_post", Unsupported("channel_post", "sale")),
        ("business_message", Unsupported("business_message", "hi")),
        ("message_reaction", Event("reaction", {"message": "90", "feedback": "up", "emoji": ["👍"]})),
        ("reaction_down", Event("reaction", {"message": "90", "feedback": "down", "emoji": ["👎"]})),
        ("reaction_removed", Event("reaction", {"message": "90", "feedback": "", "emoji": []})),
        ("reaction_anonymous", Event("reaction", {"message": "90", "feedback": "", "emoji": ["🔥"]})),
        ("inline_query", Unsupported("inline_query", "order")),
        ("chosen_inline_result", Unsupported("chosen_inline_result", "2391\nr1")),
        ("poll_answer", Unsupported("poll_answer", "#0\n#2")),
        ("business_connection", Unsupported("business_connection")),
        ("deleted_business_messages", Unsupported("deleted_business_messages")),
        ("gift", Unsupported("gift", "谢谢")),
        ("migrated_to", Event("chat_moved", {"from": "-7000001", "to": "-1002000000001"})),
        ("migrated_from", Event("chat_moved", {"from": "-7000001", "to": "-1002000000001"})),
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


MEANT_FOR_US = [
    "group_reply_to_us", "group_mention", "group_mention_first", "group_caption_mention", "group_command_for_us",
    "group_general_topic", "group_anonymous_admin",
]  # fmt: skip
BETWEEN_PEOPLE = [
    "group_text", "group_topic", "group_reply_thread", "group_reply_to_a_member", "group_mention_of_another",
    "group_command_for_anybody", "group_topic_first_words", "group_automatic_forward", "group_anonymous", "from_a_bot",
]  # fmt: skip


def in_groups(**settings: Any) -> TelegramAdapter:
    adapter = an_adapter(groups=True, **settings)
    adapter.knows_itself_as("frontdesk_bot")
    return adapter


@pytest.mark.parametrize("name", MEANT_FOR_US)
def test_in_a_group_what_is_meant_for_us_wants_a_turn(name: str) -> None:
    assert message(name, in_groups()).wants_turn
    assert not message(name).wants_turn  # groups are off


@pytest.mark.parametrize("name", BETWEEN_PEOPLE)
def test_in_a_group_what_people_say_to_each_other_is_left_alone(name: str) -> None:
    assert not message(name, in_groups()).wants_turn


def test_our_name_at_the_start_is_no_part_of_the_question() -> None:
    assert message("group_mention_first", in_groups()).content == Text("opening hours?")
    assert message("group_mention", in_groups()).content == Text("🙂 @frontdesk_bot where is order 2391?")
    assert message("group_command_for_us", in_groups()).content == Command("help")


def test_behind_an_anonymous_administrator_is_the_group_not_telegrams_stand_in() -> None:
    assert message("group_anonymous_admin").sender.external_id == "-1002000000001"


def test_what_telegram_reports_that_we_did_stays_in_the_customers_conversation_and_is_ours() -> None:
    found = message("pinned_by_us")

    assert (found.sender.external_id, found.chat_id, found.author) == ("5550001", "5550001", "bot")
    assert not found.wants_turn


def test_messages_sent_as_one_share_an_album() -> None:
    first, second = message("album_first"), message("album_second")

    assert first.album == second.album == "13700000000000001"
    assert first.dedupe_key != second.dedupe_key
    assert message("photo").album == ""


@pytest.mark.parametrize(
    ("name", "origin"),
    [
        ("forwarded_from_user", "强 李"),
        ("forwarded_from_hidden", "Li Q."),
        ("forwarded_from_channel", "Shop news"),
        ("forwarded_before_2024", "强 李"),
        ("text", ""),
    ],
)
def test_a_forwarded_message_says_who_said_it_first(name: str, origin: str) -> None:
    assert message(name).forwarded_from == origin


@pytest.mark.parametrize("origin", [5, [], {}, {"type": "telepathy"}, {"sender_user": 7}, "user"])
def test_a_forward_of_an_unknown_kind_is_still_nobodys_own_words(origin: Any) -> None:
    update = json.loads((PAYLOADS / "start.json").read_text())
    update["message"]["forward_origin"] = origin

    found = an_adapter().decode(json.dumps(update).encode())[0].message

    assert found is not None
    assert (found.content, found.forwarded_from) == (Text("/start"), "?")


def test_an_answer_keeps_the_words_it_is_about() -> None:
    assert (message("reply_with_quote").reply_to, message("reply_with_quote").quote) == ("90", "订单2391在路上")
    assert message("reply").quote == "Which one?"


def test_the_notice_that_opened_a_topic_is_no_message_answered() -> None:
    found = message("group_topic_first_words")

    assert (found.topic, found.reply_to, found.quote) == ("55", "", "")


def test_the_general_topic_is_none() -> None:
    assert message("group_general_topic").topic == ""


KEYS = (b"the secret key of this desk",)


def started_with(payload: str, *, keys: tuple[bytes, ...] = KEYS) -> Content:
    adapter = an_adapter()
    adapter.trusts_links_of(keys)
    update = json.loads((PAYLOADS / "start.json").read_text())
    update["message"]["text"] = f"/start {payload}"
    found = adapter.decode(json.dumps(update).encode())[0].message
    assert found is not None
    return found.content


def test_a_signed_link_says_who_sent_the_customer() -> None:
    payload = sign_link(DeepLink("campaign", "spring", START + timedelta(days=1)), KEYS, account="telegram/main")

    assert started_with(payload) == Command("start", payload, "campaign", "spring")


@pytest.mark.parametrize(
    ("ends", "account", "keys"),
    [
        (timedelta(0), "telegram/main", KEYS),
        (timedelta(days=1), "telegram/other", KEYS),
        (timedelta(days=1), "telegram/main", (b"another desk's secret key",)),
        (timedelta(days=1), "telegram/main", ()),
    ],
)
def test_a_forged_or_expired_link_is_a_plain_start(ends: timedelta, account: str, keys: tuple[bytes, ...]) -> None:
    payload = sign_link(DeepLink("customer", "7", START + ends), KEYS, account=account)

    assert started_with(payload, keys=keys) == Command("start", payload)


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
    "message_thread_id file_id width phone_number user_id latitude longitude new_chat_member status "
    "media_group_id forward_origin sender_user sender_chat forward_date reply_to_message quote message_reaction "
    "new_reaction emoji user actor_chat migrate_to_chat_id migrate_from_chat_id poll options dice value web_app_data "
    "caption caption_entities username is_bot poll_answer option_ids inline_query business_message checklist tasks"
)
FIELDS = st.sampled_from(NAMES.split())
UPDATES = st.recursive(
    JSON, lambda inner: st.dictionaries(FIELDS, inner, max_size=6) | st.lists(inner, max_size=3), max_leaves=30
)


@given(update=UPDATES, update_id=st.integers(0, 2**40))
def test_no_update_of_any_shape_raises(update: Any, update_id: int) -> None:
    body = {**update, "update_id": update_id} if isinstance(update, dict) else update

    received = in_groups().decode(json.dumps(body).encode())[0]

    assert received.message is not None or received.reason


GIVEN = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads" / "telegram"
TRUE_UPDATES = [path.read_bytes() for folder in (PAYLOADS, GIVEN) for path in sorted(folder.glob("*.json"))]


def check_readable_or_parked(received: Received) -> None:
    assert received.message is not None or received.reason
    if received.message is not None:
        repr(received.message).encode("utf-8")
        dump_json(dump_message(received.message, dump_content(received.message.content)))


@given(raw=st.sampled_from(TRUE_UPDATES), noise=JSON, is_removed=st.booleans(), data=st.data())
def test_a_true_update_with_any_field_spoilt_or_removed_never_raises(
    raw: bytes, noise: Any, is_removed: bool, data: st.DataObject
) -> None:
    update = json.loads(raw)
    place = update
    for _ in range(data.draw(st.integers(1, 5))):
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        if not keys:
            break
        key = data.draw(st.sampled_from(keys))
        if not isinstance(place[key], dict | list) or data.draw(st.booleans()):
            if is_removed:
                del place[key]
            else:
                place[key] = noise
            break
        place = place[key]

    check_readable_or_parked(in_groups().decode(json.dumps(update).encode())[0])


@given(raw=st.sampled_from(TRUE_UPDATES), data=st.data())
def test_a_true_update_cut_short_or_written_twice_is_parked(raw: bytes, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(raw.rstrip()) - 1))

    assert in_groups().decode(raw[:cut])[0].message is None
    assert in_groups().decode(raw + raw)[0].message is None


@given(raw=st.sampled_from(TRUE_UPDATES), encoding=st.sampled_from(["utf-16", "gb18030", "utf-8-sig", "utf-32"]))
def test_a_true_update_in_another_encoding_never_raises(raw: bytes, encoding: str) -> None:
    check_readable_or_parked(in_groups().decode(raw.decode().encode(encoding))[0])


@given(raw=st.sampled_from(TRUE_UPDATES), field=FIELDS, noise=JSON)
def test_a_field_given_twice_never_raises(raw: bytes, field: str, noise: Any) -> None:
    twice = raw.rstrip()[:-1] + f', "message": {json.dumps({field: noise})}, "message": {json.dumps(noise)}}}'.encode()

    check_readable_or_parked(in_groups().decode(twice)[0])


def test_an_entity_bomb_costs_no_time_and_no_meaning() -> None:
    update = json.loads((PAYLOADS / "group_text.json").read_text())
    entities = [{"type": "mention", "offset": at, "length": 10**12} for at in range(-5, 20_000)]
    update["message"] |= {"text": "x" * 4096, "entities": entities}

    found = in_groups().decode(json.dumps(update).encode())[0].message

    assert found is not None
    assert not found.wants_turn


@given(body=st.binary(max_size=200))
def test_no_bytes_raise(body: bytes) -> None:
    assert an_adapter().decode(body)[0].raw == body
