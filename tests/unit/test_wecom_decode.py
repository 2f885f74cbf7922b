"""Callbacks of a WeCom application: every kind is read, parked or shown as unsupported."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.types import Button, Content, Event, Location, Media, Received, Text, Unsupported
from channels.tencent.crypto import Envelope
from channels.tencent.xml import read_xml, write_xml
from channels.wecom.app_decode import KfNotice, decode_fields, kf_notice
from crm_sync.arrivals import prepare

OWN = Path(__file__).parents[1] / "payloads" / "wecom"
GIVEN = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads" / "wecom"
NOW = datetime(2026, 11, 25, tzinfo=UTC)
EXTERNAL = "woAJ2GCAAAXtWyujaWJHDDGi0mACH71w"
AMR = "audio/format"  # the payload says no more


def decoded(body: bytes) -> Received:
    return decode_fields(read_xml(body), body, "main", lambda: NOW)


def own(name: str) -> Received:
    return decoded((OWN / f"{name}.xml").read_bytes())


def a_given(name: str) -> bytes:
    if not GIVEN.exists():
        pytest.skip("FRONTDESK_TEST_DATA names no given payloads")
    return (GIVEN / name).read_bytes()


READ: dict[str, Content] = {
    "text": Text("打印机又坏了 <3 & "),
    "text_blank": Text("  "),
    "video": Media("video", "3vid"),
    "file": Media("document", "3file", file_name="合同.pdf"),
    "link": Text("一盏灯\n护眼\nhttps://shop.example/lamp"),
    "location_nonsense": Unsupported("location"),
    "kind_of_next_year": Unsupported("hologram"),
    "event_unsubscribe": Event("blocked", {"event": "unsubscribe", "reason": "left the application's members"}),
    "event_click": Button("/order_status"),
    "event_view": Event("link_opened", {"url": "https://shop.example/"}),
    "event_location": Event("located", {"latitude": 23.104, "longitude": 113.32}),
    "event_template_card": Button("/affirm", callback_id="resp1"),
    "event_approval": Unsupported("event:open_approval_change"),
    "contact_added": Event(
        "contact_added", {"change": "add_external_contact", "member": "zhangsan", "source": "autumn-leaflet"}
    ),
    "contact_deleted_by_colleague": Event(
        "contact_deleted",
        {"change": "del_external_contact", "member": "zhangsan", "reason": "deleted by a colleague"},
    ),
    "contact_deleted_by_customer": Event(
        "contact_deleted", {"change": "del_follow_user", "member": "zhangsan", "reason": "deleted by the customer"}
    ),
}
GIVEN_READ: dict[str, tuple[str, Content]] = {
    "go-workwx__text.xml": ("foobar", Text("x123")),
    "wechatpy__image.xml": ("fromUser", Media("image", "media_id")),
    "wechatpy__voice.xml": ("fromUser", Media("voice", "media_id", mime=AMR)),
    "wechatpy__location.xml": ("fromUser", Location(23.134521, 113.358803, address="位置信息")),
    "wechatpy__event_subscribe.xml": ("UserID", Event("unblocked", {"event": "subscribe"})),
    "wxjava__event_enter_agent.xml": ("FromUser", Event("entered")),
    "go-workwx__event_change_external_contact.xml": (
        "woAJ2GCAAAXtWyujaWJHDDGi0mAAAA",
        Event("contact_changed", {"change": "edit_external_contact", "member": "zhangsan"}),
    ),
}


@pytest.mark.parametrize("name", list(READ))
def test_each_kind_is_read(name: str) -> None:
    message = own(name).message

    assert message is not None
    assert message.content == READ[name]
    assert message.sender.external_id == (EXTERNAL if name.startswith("contact") else "lisi")


@pytest.mark.parametrize("name", list(GIVEN_READ))
def test_each_given_payload_is_read(name: str) -> None:
    message = decoded(a_given(name)).message

    assert message is not None
    assert (message.sender.external_id, message.content) == GIVEN_READ[name]


def test_every_own_payload_is_named_in_a_test() -> None:
    assert {path.stem for path in OWN.glob("*.xml")} == {*READ, "suite_ticket"}


def test_only_messages_and_presses_take_a_turn() -> None:
    turns = {name for name in READ if own(name).message.wants_turn}  # type: ignore[union-attr]

    assert turns == {name for name in READ if not name.startswith(("event", "contact"))} | {
        "event_click",
        "event_template_card",
    }


def test_what_names_no_member_is_parked() -> None:
    assert own("suite_ticket").message is None
    assert "suite_ticket" in own("suite_ticket").reason


def test_the_given_encrypted_message_opens_with_its_key() -> None:
    key = json.loads(a_given("go-workwx__enc_text.xml.key.json"))
    sealed = read_xml(a_given("go-workwx__enc_text.xml"))["Encrypt"]

    opened = Envelope("wecom", key["encoding_aes_key"], key["app_or_corp_id"]).open(sealed)

    message = decoded(opened).message
    assert message is not None
    assert message.content == Text(key["expect"]["Content"])
    assert message.sender.external_id == key["expect"]["FromUserName"]


def test_a_still_encrypted_body_is_no_message() -> None:
    assert decoded(a_given("go-workwx__enc_text.xml")).message is None


def test_a_notice_of_kf_is_told_and_is_no_message() -> None:
    body = a_given("wxjava__event_kf_msg_or_event.xml")

    assert kf_notice(read_xml(body)) == KfNotice("wkxxxxxxx", "ENCApHxnGDNAVNY4AaSJKj4Tb5mwsEMzxhFmHVGcra996NR")
    assert decoded(body).message is None


# --- the inbox key ----------------------------------------------------------------------------------------------------


def key_of(**fields: str) -> str:
    return decode_fields(fields, write_xml(fields), "main", lambda: NOW).dedupe_key


def test_a_message_is_known_by_sender_and_id() -> None:
    assert own("text").dedupe_key == "lisi:7294736482910475"


EVENT = {"MsgType": "event", "FromUserName": "lisi", "CreateTime": "5", "Event": "click", "EventKey": "a"}


@pytest.mark.parametrize(
    "change", [{"FromUserName": "x"}, {"CreateTime": "6"}, {"Event": "view"}, {"EventKey": "b"}, {"TaskId": "t"}]
)
def test_events_that_differ_have_different_keys(change: dict[str, str]) -> None:
    assert key_of(**EVENT) == key_of(**EVENT, ToUserName="other words")
    assert key_of(**EVENT) != key_of(**{**EVENT, **change})


def test_two_contacts_changed_in_one_second_are_two_events() -> None:
    change = {"MsgType": "event", "FromUserName": "sys", "CreateTime": "5", "Event": "change_external_contact"}

    assert key_of(**change, ExternalUserID="a") != key_of(**change, ExternalUserID="b")


# --- whatever comes ---------------------------------------------------------------------------------------------------

NAMES = st.sampled_from(
    [
        *("MsgType", "Event", "EventKey", "FromUserName", "CreateTime", "MsgId", "MediaId", "Content", "Location_X"),
        *("Location_Y", "ChangeType", "ExternalUserID", "State", "ResponseCode", "Latitude", "Format", "Encrypt"),
    ]
)
VALUES = st.text(max_size=30) | st.sampled_from(
    ["event", "text", "voice", "location", "click", "change_external_contact", "nan", "1e999", "9" * 40, "-1", "٣"]
)


@given(fields=st.dictionaries(NAMES, VALUES, max_size=12))
def test_any_fields_are_read_or_parked_and_fit_the_store(fields: dict[str, str]) -> None:
    received = decode_fields(fields, b"raw", "main", lambda: NOW)

    assert received.dedupe_key
    assert received.message is not None or received.reason
    assert prepare(received).dedupe
