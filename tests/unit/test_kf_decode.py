"""What sync_msg gives: every kind is read, parked or shown as unsupported, and it is known whose words they are."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.types import Button, Content, Event, InboundMessage, Location, Media, Received, Text, Unsupported
from channels.wecom.kf_decode import decode_batch, decode_item, is_servicer_status, welcome_code
from crm_sync.arrivals import prepare

OWN = Path(__file__).parents[1] / "payloads" / "kf"
GIVEN = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads" / "wecom" / "kf_api"
NOW = datetime(2026, 11, 25, tzinfo=UTC)
KF, CUSTOMER = "wkAJ2GCAAASSm4_FhToWMFea0xAFfd3Q", "wmAJ2GCAAAme1XQRC-NI-q0_ZM9ukoAw"


def own(name: str) -> list[Received]:
    return list(decode_batch((OWN / f"{name}.json").read_bytes(), "main", lambda: NOW))


def messages(name: str) -> list[InboundMessage]:
    return [received.message for received in own(name) if received.message is not None]


def contents(name: str) -> list[Content]:
    return [message.content for message in messages(name)]


def test_messages_are_read() -> None:
    assert contents("messages") == [
        Text("你好，我的灯坏了"),
        Media("image", "3img"),
        Media("voice", "3voice", mime="audio/amr"),
        Media("video", "3video"),
        Media("document", "3file"),
        Location(23.106021881103516, 113.320503234863, "广州国际媒体港", "广东省广州市海珠区"),
    ]


def test_a_customers_message_says_where_to_answer_and_opens_five_replies_for_two_days() -> None:
    first = messages("messages")[0]

    assert (first.sender.external_id, first.chat_id, first.topic) == (CUSTOMER, CUSTOMER, KF)
    assert first.sent_at == datetime.fromtimestamp(1763800000, UTC)
    assert first.opens is not None
    assert (first.opens.quota, first.opens.lasts) == (5, timedelta(hours=48))
    assert first.wants_turn


def test_a_menu_click_is_a_press_of_our_button() -> None:
    assert contents("menu_click") == [Button("/order_status", "查询订单")]


def test_shared_things_are_the_words_around_them() -> None:
    assert contents("shared_things") == [
        Text("一盏灯\n护眼\nhttps://shop.example/lamp"),
        Unsupported("business_card"),
        Text("会员中心"),
        Text("菩提台灯\n菩提家居"),
        Text("2391\n菩提台灯\n¥128\n待发货"),
        Text("菩提家居\n秋季新品"),
        Text("群聊的聊天记录\n王芳: 订单2391到了吗\n李伟: [image]\n: …"),
        Unsupported("meeting"),
    ]


def test_a_colleagues_words_are_theirs_take_no_turn_and_open_nothing() -> None:
    (message,) = messages("colleague")

    assert (message.author, message.wants_turn, message.opens) == ("operator", False, None)
    assert message.content == Text("您好，我是张三")
    assert message.sender.external_id == CUSTOMER
    assert message.sender_name == ""  # it would rename the customer


def test_words_of_the_system_are_nobodys_question() -> None:
    (message,) = messages("system_words")

    assert (message.author, message.wants_turn) == ("system", False)


def test_entering_tells_where_from_and_may_be_greeted() -> None:
    (entered,) = contents("entered")

    assert isinstance(entered, Event)
    assert (entered.name, entered.detail["source"], entered.detail["channels"]) == (
        "entered",
        "leaflet?a=1",
        "菩提家居",
    )
    assert "v3uy" not in str(entered)  # the code is good for one greeting by whoever holds it
    (item,) = json.loads((OWN / "entered.json").read_bytes())["msg_list"]
    assert welcome_code(item) == "v3uyFPrc_iERhNq4Fp8cv04Qa_nYYE3jEh2M7aQx2rs"
    assert welcome_code({"msgtype": "text"}) == ""


def test_a_failed_send_names_our_row_and_why() -> None:
    refused, counted, unknown = contents("send_failed")

    assert isinstance(refused, Event)
    assert (refused.name, refused.detail["key"]) == ("send_failed", "8f14e45fceea167a5a36dedd4bea2543")
    assert (refused.detail["reason"], refused.detail["unreachable"]) == ("the customer refuses messages", True)
    assert isinstance(counted, Event)
    assert (counted.detail["reason"], counted.detail["unreachable"]) == ("five messages were sent already", False)
    assert [refused.detail["is_held"], counted.detail["is_held"]] == [False, True]
    assert isinstance(unknown, Event)
    assert unknown.detail["reason"] == "not delivered (fail_type 99)"


def test_sessions_change_their_owner() -> None:
    taken, passed_on, ended, taken_again, unknown = contents("session")

    def owner(event: Content) -> tuple[str, str]:
        assert isinstance(event, Event)
        return event.detail["owner"], event.detail["by"]

    assert [owner(event) for event in (taken, passed_on, ended, taken_again)] == [
        ("operator", "zhangsan"),
        ("operator", "lisi"),
        ("closed", "lisi"),
        ("operator", "lisi"),
    ]
    assert unknown == Unsupported("event:session_status_change")


def test_a_colleagues_status_is_about_no_customer() -> None:
    (item,) = json.loads((OWN / "servicer_status.json").read_bytes())["msg_list"]

    assert is_servicer_status(item)
    assert not is_servicer_status({"event": {"event_type": "enter_session"}})
    assert [received.message for received in own("servicer_status")] == [None]


def test_recalled_messages_say_which_and_by_whom() -> None:
    assert contents("recalled") == [Event("recalled", {"message": "m9"}), Event("recalled", {"message": "m8"})]
    assert [message.author for message in messages("recalled")] == ["customer", "operator"]


def test_what_is_new_next_year_is_shown_by_its_name() -> None:
    assert contents("next_year") == [Unsupported("event:customer_moods"), Unsupported("hologram")]
    assert [message.wants_turn for message in messages("next_year")] == [False, True]


def test_odd_entries_do_not_hold_up_the_others() -> None:
    read = own("odd")

    assert [received.message is None for received in read] == [True, True, True, True, True, False, False]
    assert all(received.reason for received in read if received.message is None)
    no_object, no_id = (received.message for received in read[-2:])
    assert no_object is not None
    assert no_object.sent_at == NOW
    assert no_id is not None
    assert no_id.dedupe_key.startswith("sha256:")


def test_a_page_without_entries_has_none() -> None:
    assert own("empty_page_with_more") == []


def test_the_given_answer_is_read() -> None:
    if not GIVEN.exists():
        pytest.skip("FRONTDESK_TEST_DATA names no given payloads")
    body = (GIVEN / "flurl__CgibinKfSyncMessageResponse.json").read_bytes()

    received = list(decode_batch(body, "main", lambda: NOW))

    kinds = [None if one.message is None else type(one.message.content).__name__ for one in received]
    assert kinds == ["Unsupported", "Event", "Event", None, None, None, None]


def test_what_was_stored_is_read_again_to_the_same() -> None:
    for path in OWN.glob("*.json"):
        for received in own(path.stem):
            (again,) = decode_batch(received.raw, "main", lambda: NOW)
            assert (again.dedupe_key, again.message is None) == (received.dedupe_key, received.message is None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
KINDS = st.sampled_from(["text", "image", "location", "event", "merged_msg", "link", "voice"])


@given(
    kind=KINDS | st.text(max_size=5),
    body=JSON,
    event=st.dictionaries(
        st.sampled_from(["event_type", "change_type", "fail_type", "scene", "external_userid", "welcome_code"]),
        JSON | st.sampled_from(["enter_session", "session_status_change", "msg_send_fail", 1, 3, 10]),
    ),
    more=st.dictionaries(st.sampled_from(["msgid", "send_time", "origin", "open_kfid"]), JSON),
)
def test_any_entry_is_read_or_parked_and_fits_the_store(
    kind: str, body: Any, event: dict[str, Any], more: dict[str, Any]
) -> None:
    item = {"msgtype": kind, kind: body, "external_userid": "wm1", **more}
    item["event"] = event if kind == "event" else body

    received = decode_item(item, "main", lambda: NOW)

    assert received.message is not None or received.reason
    assert prepare(received).dedupe
    assert welcome_code(item) == "" or isinstance(welcome_code(item), str)


def test_an_entry_nested_deeper_than_any_does_not_hold_up_the_others() -> None:
    deep = b"[" * 1000 + b"]" * 1000
    body = (
        b'{"msg_list":[{"msgtype":"next","deep":' + deep + b'},{"msgtype":"text","external_userid":"wm1","msgid":"2"}]}'
    )

    first, second = decode_batch(body, "main", lambda: NOW)

    assert first.message is None
    assert second.message is not None
