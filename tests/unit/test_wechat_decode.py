"""WeChat's messages and events as the bot sees them."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.types import Button, Command, Content, Event, InboundMessage, Location, Media, Text, Unsupported
from channels.deep_links import DeepLink, sign_link
from channels.tencent.xml import write_xml
from channels.wechat.decode import FOLLOW, MENU, MESSAGE, SCAN, Reading, decode_xml

GIVEN = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads" / "wechat"
OWN = Path(__file__).parents[1] / "payloads" / "wechat"
NOW = datetime(2026, 11, 25, tzinfo=UTC)
READING = Reading("main", lambda: NOW)
HEAD: dict[str, Any] = {"ToUserName": "gh_1", "FromUserName": "o1", "CreateTime": 1760000000}


def decoded(**fields: Any) -> InboundMessage:
    (received,) = decode_xml(write_xml({**HEAD, **fields}), READING)
    assert received.message is not None, received.reason
    return received.message


def event(name: str, **fields: Any) -> InboundMessage:
    return decoded(MsgType="event", Event=name, **fields)


def given_one(name: str) -> list[InboundMessage]:
    path = GIVEN / name
    if not path.is_file():
        pytest.skip("FRONTDESK_TEST_DATA does not name a folder with payloads/ in it")
    received = decode_xml(path.read_bytes(), READING)
    assert all(item.message is not None for item in received)
    return [item.message for item in received if item.message is not None]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("werobot__text", Text("ss")),
        ("werobot__image", Media("image", "this is a url")),
        ("werobot__voice", Media("voice", "media_id", mime="audio/format", transcript="Meow~")),
        ("wechatpy__video", Media("video", "media_id")),
        ("werobot__location", Location(23.134521, 113.358803, address="Location")),
        ("werobot__link", Text("WeRoBot\nLink to WeRoBot\nhttps://github.com/whtsky/WeRoBot")),
        ("werobot__unknown", Unsupported("unknown")),
        ("werobot__event_unknown", Unsupported("event unknown")),
        ("werobot__event_unsubscribe", Event("blocked", {"reason": "unfollowed"})),
        ("wechatpy__event_SCAN", Command("start", "SCENE_VALUE")),
    ],
)
def test_given_payloads_mean_what_they_say(name: str, content: Content) -> None:
    (message,) = given_one(f"{name}.xml")
    assert message.content == content


def test_a_follower_can_be_reached_and_is_greeted_with_the_codes_scene() -> None:
    arrived, greeted = given_one("wechatpy__event_subscribe-2.xml")
    assert (arrived.content, arrived.wants_turn) == (Event("unblocked", {"source": "qr:123123"}), False)
    assert (greeted.content, greeted.wants_turn, greeted.opens) == (Command("start", "123123"), True, FOLLOW)
    assert greeted.dedupe_key == f"{arrived.dedupe_key}:start"


def test_a_signed_scene_says_who_sent_them_and_a_forged_one_is_only_a_name() -> None:
    keys = (b"a key of ours",)
    payload = sign_link(DeepLink("campaign", "spring", NOW + timedelta(days=1)), keys, account="wechat/main")
    reading = Reading("main", lambda: NOW, link_keys=keys)

    def followed(scene: str) -> list[Content]:
        body = write_xml({**HEAD, "MsgType": "event", "Event": "subscribe", "EventKey": f"qrscene_{scene}"})
        return [item.message.content for item in decode_xml(body, reading) if item.message is not None]

    assert followed(payload) == [
        Event("unblocked", {"source": "campaign:spring"}),
        Command("start", payload, "campaign", "spring"),
    ]
    forged = "A" * len(payload)
    assert followed(forged) == [Event("unblocked", {"source": f"qr:{forged}"}), Command("start", forged)]


def test_the_number_of_an_earlier_payment_is_no_source_of_a_follower() -> None:
    body = write_xml({**HEAD, "MsgType": "event", "Event": "subscribe", "EventKey": "last_trade_no_4002752001"})
    arrived, greeted = (item.message for item in decode_xml(body, READING))
    assert arrived is not None
    assert arrived.content == Event("unblocked", {"source": "follow"})
    assert greeted is not None
    assert greeted.content == Command("start", "")


def test_a_mass_sends_result_has_its_counts() -> None:
    (message,) = given_one("wechatpy__event_MASSSENDJOBFINISH.xml")
    counts = {"total": 0, "filtered": 0, "sent": 0, "failed": 0}
    assert message.content == Event(
        "mass_send_finished", {"vendor_message_id": "1000001625", "status": "err(30003)", **counts}
    )


def test_every_choice_of_a_subscribe_popup_is_kept() -> None:
    (message,) = given_one("wechatpy__event_subscribe_msg_popup_event.xml")
    assert isinstance(message.content, Event)
    kept = message.content.detail
    assert kept["SubscribeMsgPopupEvent.List.SubscribeStatusString"] == "accept"
    assert kept["SubscribeMsgPopupEvent.List#2.SubscribeStatusString"] == "reject"


def test_keys_are_the_vendors_own() -> None:
    assert decoded(MsgType="text", Content="x", MsgId=77).dedupe_key == "o1+77"
    assert event("CLICK", EventKey="flow:a").dedupe_key == "o1+1760000000+CLICK+flow:a"
    assert event("VIEW", EventKey="").dedupe_key == "o1+1760000000+VIEW+"


def test_two_messages_without_an_id_are_not_taken_for_one() -> None:
    first, second = (decoded(MsgType="text", Content=text) for text in ("a", "b"))
    assert first.dedupe_key != second.dedupe_key


@pytest.mark.parametrize(
    ("message", "opens"),
    [
        (decoded(MsgType="text", Content="x", MsgId=1), MESSAGE),
        (decoded(MsgType="text", Content="x", MsgId=1, bizmsgmenuid="101"), MENU),
        (event("SCAN", EventKey="s"), SCAN),
        (event("CLICK", EventKey="intent:greet"), MENU),
        (event("CLICK", EventKey="somebody elses"), MENU),
        (event("scancode_waitmsg", EventKey="k"), MENU),
        (event("VIEW", EventKey="http://x"), None),
        (event("LOCATION", Latitude="1", Longitude="2"), None),
        (event("kf_create_session", KfAccount="a@b"), None),
    ],
)
def test_each_action_opens_the_window_the_vendor_says(message: InboundMessage, opens: Any) -> None:
    assert message.opens == opens


def test_an_unverified_account_has_no_windows() -> None:
    reading = Reading("main", lambda: NOW, has_windows=False)
    (received,) = decode_xml(write_xml({**HEAD, "MsgType": "text", "Content": "x", "MsgId": 1}), reading)
    assert received.message is not None
    assert received.message.opens is None


@pytest.mark.parametrize("key", ["intent:order_status", "flow:complaint", "slot:kind=a", "say:yes", "article:x"])
def test_our_own_menu_key_is_a_pressed_button(key: str) -> None:
    assert event("CLICK", EventKey=key).content == Button(key)


def test_a_menu_made_elsewhere_is_shown_and_not_answered() -> None:
    message = event("CLICK", EventKey="V1001_TODAY")
    assert message.content == Event("menu_used", {"item": "CLICK", "EventKey": "V1001_TODAY"})
    assert not message.wants_turn


@pytest.mark.parametrize(
    ("name", "detail"),
    [
        ("kf_create_session", {"owner": "operator", "by": "a@b", "reason": "WeChat customer service"}),
        ("kf_close_session", {"owner": "closed", "by": "a@b"}),
    ],
)
def test_wechats_own_customer_service_takes_over_and_gives_back(name: str, detail: dict[str, str]) -> None:
    assert event(name, KfAccount="a@b").content == Event("owner_changed", detail)


def test_blank_words_are_words() -> None:
    assert decoded(MsgType="text", Content="  ", MsgId=1).content == Text("  ")


def test_voice_without_recognition_has_no_words() -> None:
    media = decoded(MsgType="voice", MediaId="m", Format="amr", MsgId=1).content
    assert media == Media("voice", "m", mime="audio/amr")


@pytest.mark.parametrize("stamp", ["", "0", "-5", "99999999999999999999", "abc", "１２３", "1e9"])
def test_an_impossible_time_is_now(stamp: str) -> None:
    assert decoded(MsgType="text", Content="x", MsgId=1, CreateTime=stamp).sent_at == NOW


@pytest.mark.parametrize(
    "fields",
    [
        {"MsgType": "location", "Location_X": "nan", "Location_Y": "1"},
        {"MsgType": "location", "Location_X": "north"},
        {"MsgType": "image"},
        {"MsgType": "voice", "MediaId": " "},
        {"MsgType": "text", "FromUserName": "  "},
        {"MsgType": "location", "Location_X": "1e400", "Location_Y": "1"},
    ],
)
def test_what_lacks_its_point_is_parked_with_the_reason(fields: dict[str, str]) -> None:
    (received,) = decode_xml(write_xml({**HEAD, "MsgId": 1, **fields}), READING)
    assert received.message is None
    assert received.reason


def test_a_third_party_callback_is_shown_by_its_name_and_not_answered() -> None:
    message = decoded(InfoType="unauthorized", AuthorizerAppid="wx2")
    assert (message.content, message.wants_turn) == (Unsupported("unauthorized"), False)


def test_own_payloads_all_decode() -> None:
    files = sorted(OWN.glob("*.xml"))
    assert files
    for path in files:
        assert all(item.message is not None for item in decode_xml(path.read_bytes(), READING)), path.name


FIELD = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=30)
WORDS = ("MsgType", "Event", "EventKey", "CreateTime", "MsgId", "Content", "MediaId", "PicUrl", "Location_X", "Format")
MORE = ("Location_Y", "Status", "SentCount", "FromUserName", "Recognition", "bizmsgmenuid", "Title", "InfoType")
NAMES = st.sampled_from((*WORDS, *MORE))
KINDS = st.sampled_from(("text", "image", "voice", "video", "location", "link", "event", "EVENT", ""))
EVENTS = st.sampled_from(("subscribe", "SCAN", "CLICK", "VIEW", "LOCATION", "MASSSENDJOBFINISH", "kf_switch_session"))


@given(st.dictionaries(NAMES, FIELD), KINDS, EVENTS, st.booleans())
def test_whatever_the_fields_hold_something_readable_or_parked_comes_out(
    fields: dict[str, str], kind: str, name: str, known: bool
) -> None:
    if known:
        fields = {**fields, "MsgType": kind, "Event": name, "FromUserName": "o1"}
    for received in decode_xml(write_xml({"ToUserName": "gh_1", **fields}), READING):
        assert received.dedupe_key
        assert (received.message is None) == bool(received.reason)
