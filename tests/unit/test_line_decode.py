"""What each LINE event means to us, and that the official SDK reads the same from it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from linebot.v3.webhooks import CallbackRequest

from bot.errors import PayloadInvalid
from bot.types import Button, Content, Event, InboundMessage, Location, Media, Received, Text, Unsupported
from channels.line.decode import decode_body
from crm_sync.arrivals import prepare

PAYLOADS = Path(__file__).parents[1] / "payloads" / "line"
USER = "U8189cf6745fc0d808977bdb0b9f22995"
GROUP = "Ca56f94637cc4347f90a25382909b24b9"
UNKNOWN_TO_THE_SDK = {"event_of_next_year", "kind_of_next_year"}


def payload(name: str) -> bytes:
    return (PAYLOADS / f"{name}.json").read_bytes()


def only(name: str, *, groups: bool = False) -> Received:
    (received,) = decode_body(payload(name), "main", groups=groups)
    return received


def message(name: str, *, groups: bool = False) -> InboundMessage:
    found = only(name, groups=groups).message
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("text", Text("订单2391还没到，我要投诉")),
        ("text_emoji_mention", Text("@Linden Home Good Morning!! (love)")),
        ("image", Media("image", "590000000000000004")),
        ("video", Media("video", "590000000000000007", duration_s=60.0)),
        ("audio", Media("audio", "590000000000000008", duration_s=2.8)),
        ("file", Media("document", "590000000000000009", file_name="发票.pdf", size=2138)),
        ("location", Location(35.67966, 139.73669, "my location", "1-3 Kioicho, Chiyoda-ku, Tokyo")),
        ("location_without_title", Location(25.033, 121.5654)),
        ("sticker", Media("sticker", "590000000000000012")),
        ("sticker_with_words", Media("sticker", "590000000000000013", caption="Where is my order?")),
        ("follow", Event("followed")),
        ("follow_again", Event("unblocked")),
        ("unfollow", Event("blocked")),
        ("leave", Event("leave")),
        ("postback", Button("intent:human_handoff")),
        ("postback_date", Text("2026-11-20")),
        ("postback_richmenu", Button("menu")),
        ("unsend", Event("unsent")),
        ("video_play_complete", Event("videoPlayComplete", {"trackingId": "track-id"})),
        ("account_link", Event("accountLink", {"result": "ok"})),
        ("beacon", Event("beacon", {"hwid": "d41d8cd98f", "type": "enter"})),
        ("membership", Event("membership", {"type": "joined", "membershipId": 3189})),
        ("kind_of_next_year", Unsupported("hologram")),
        ("event_of_next_year", Unsupported("somethingNew")),
    ],
)
def test_each_kind_is_read_as_what_it_is(name: str, content: Content) -> None:
    assert message(name).content == content


@pytest.mark.parametrize("name", ["text", "image", "postback", "sticker", "kind_of_next_year", "redelivery"])
def test_what_a_customer_says_wants_a_turn(name: str) -> None:
    assert message(name).wants_turn


@pytest.mark.parametrize(
    "name", ["follow", "unfollow", "join", "member_joined", "unsend", "beacon", "standby", "event_of_next_year"]
)
def test_what_is_only_reported_or_for_another_system_takes_no_turn(name: str) -> None:
    assert not message(name).wants_turn


def test_who_where_and_when() -> None:
    found = message("text")

    assert (found.sender.external_id, found.chat_id, found.vendor_message_id) == (USER, USER, "590000000000000000")
    assert found.sent_at == datetime(2025, 11, 25, 9, 0, 1, tzinfo=UTC)


@pytest.mark.parametrize(("groups", "wanted"), [(True, True), (False, False)])
def test_groups_are_answered_only_where_that_is_wanted(groups: bool, wanted: bool) -> None:
    found = message("group_text", groups=groups)

    assert (found.sender.external_id, found.chat_id, found.wants_turn) == (USER, GROUP, wanted)


def test_somebody_line_does_not_name_is_the_group() -> None:
    found = message("group_text_from_somebody")

    assert (found.sender.external_id, found.chat_id) == (GROUP, GROUP)


def test_a_quote_an_edit_and_an_unsent_message_name_the_message_they_are_about() -> None:
    assert message("text_quote").reply_to == "590000000000000001"
    assert message("edited_in_a_group").edits == "590000000000000002"
    assert message("unsend").edits == "590000000000000001"


def test_a_redelivery_has_the_key_of_the_first_delivery() -> None:
    document = json.loads(payload("text"))
    document["events"][0]["deliveryContext"]["isRedelivery"] = True

    (again,) = decode_body(json.dumps(document).encode(), "main", groups=False)

    assert again.dedupe_key == only("text").dedupe_key


def test_several_events_of_one_body_are_kept_apart_and_each_can_be_read_again_alone() -> None:
    received = decode_body(payload("several_events"), "main", groups=False)

    assert [type(item.message.content) for item in received if item.message] == [Text, Media, Event]
    assert len({item.dedupe_key for item in received}) == 3
    for item in received:
        assert decode_body(item.raw, "main", groups=False) == [item]


def test_one_bad_event_does_not_take_the_others_with_it() -> None:
    document = json.loads(payload("several_events"))
    document["events"][1] = 7

    received = decode_body(json.dumps(document).encode(), "main", groups=False)

    assert [item.message is None for item in received] == [False, True, False]


def test_the_console_s_connection_check_holds_no_event() -> None:
    assert decode_body(payload("no_events"), "main", groups=False) == []


@pytest.mark.parametrize("name", ["activated", "delivery_without_source"])
def test_an_event_about_nobody_is_parked_or_shown_but_never_lost(name: str) -> None:
    received = only(name)

    assert received.message is not None or received.reason


def test_half_an_emoji_becomes_a_character_every_store_takes() -> None:
    body = payload("text").replace("订单".encode(), b"\\ud83d")

    (received,) = decode_body(body, "main", groups=False)

    assert received.message is not None
    assert received.message.content == Text("\ufffd2391还没到，我要投诉")


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"events":{}}', b'{"events":null}', b"\xff"])
def test_a_body_without_events_is_unreadable_as_a_whole(body: bytes) -> None:
    with pytest.raises(PayloadInvalid):
        decode_body(body, "main", groups=False)


@pytest.mark.parametrize("path", sorted(PAYLOADS.glob("*.json")), ids=lambda path: path.stem)
def test_the_official_sdk_reads_the_same_words_files_and_senders(path: Path) -> None:
    """Where it reads an event at all: it gives up on what it does not know yet, we may not."""
    if path.stem in UNKNOWN_TO_THE_SDK:
        with pytest.raises(ValueError):
            CallbackRequest.from_dict(json.loads(path.read_bytes()))
        return
    theirs = CallbackRequest.from_dict(json.loads(path.read_bytes())).events

    ours = decode_body(path.read_bytes(), "main", groups=True)

    assert [item.dedupe_key for item in ours] == [event.webhook_event_id for event in theirs]
    for item, event in zip(ours, theirs, strict=True):
        if item.message is None:
            assert event.source is None
            continue
        expected: Any = getattr(event.source, "user_id", None) or getattr(event.source, "group_id", None)
        assert item.message.sender.external_id == expected
        match item.message.content:
            case Text(text=text) if event.type == "message":
                assert text == event.message.text
            case Media(file_id=file_id):
                assert file_id == event.message.id
            case Button(value=value):
                assert value == event.postback.data
            case Location(latitude=latitude, longitude=longitude):
                assert (latitude, longitude) == (event.message.latitude, event.message.longitude)


@pytest.mark.parametrize("count", [1, 2])
def test_an_event_nested_deeper_than_any_is_kept_in_a_form_the_store_takes(count: int) -> None:
    event = {"type": "beacon", "source": {"userId": "U1"}, "beacon": {"hwid": "d4", "deep": "DEEP"}}
    events = [{**event, "webhookEventId": str(number)} for number in range(count)]
    body = json.dumps({"events": events}).encode().replace(b'"DEEP"', b"[" * 1000 + b"]" * 1000)

    found = decode_body(body, "main", groups=False)

    assert [received.message is not None for received in found] == [True] * count
    assert all(prepare(received).dedupe for received in found)
