"""What visitors may send: every odd body is read as it was meant or refused with a reason; nothing crashes."""

from __future__ import annotations

import contextlib
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import PayloadInvalid
from bot.types import Button, Card, Location, Media, Received, RenderedReply, ReplyButton, Text
from channels.web.adapter import WebAdapter
from channels.web.tokens import Session
from channels.web.wire import (
    MAX_TEXT,
    Refused,
    dump_event,
    read_after,
    read_content,
    read_language,
    read_object,
    read_seq,
)

NOW = datetime(2026, 11, 22, 8, tzinfo=UTC)
SESSION = Session("default", "v-abc", 0, "王芳", "zh-CN")


def _read_body(body: bytes) -> Received:
    return read_content(read_object(body), body, SESSION, NOW)


def _read(document: Any) -> Any:
    return _read_body(json.dumps(document).encode()).message


@pytest.mark.parametrize(
    "text",
    [
        "hello",
        "",
        "   \n\t",
        "😀👩‍👩‍👧",
        "\x00\x07\x1b[31m",
        "\u202eمرحبا",
        "a\u200bb",
        "Ω漢字абв",
        "/restart",
        "x" * MAX_TEXT,
    ],
)
def test_a_text_is_taken_as_it_is(text: str) -> None:
    assert _read({"id": "1", "text": text}).content == Text(text)


def test_half_an_emoji_is_kept_as_it_came_and_can_be_shown_again() -> None:
    body = rb'{"id":"1","text":"\ud83d half"}'
    content = _read_body(body).message.content  # type: ignore[union-attr]

    assert content == Text("\ud83d half")
    assert json.loads(dump_event({"text": content.text}))["text"] == "\ud83d half"


def test_the_session_says_who_wrote_and_the_body_cannot() -> None:
    message = _read({"id": "1", "text": "hi", "sender": {"user": "u-boss"}, "user": "u-boss"})

    assert (message.sender.external_id, message.chat_id, message.sender_name) == ("v-abc", "v-abc", "王芳")
    assert message.dedupe_key == "v-abc:1"


def test_a_pressed_button_is_not_text() -> None:
    assert _read({"id": "1", "button": {"value": "/yes", "label": "是"}}).content == Button("/yes", "是")


def test_a_place_is_two_numbers_on_the_globe() -> None:
    place = {"latitude": -90, "longitude": 180.0, "name": "保定路"}
    assert _read({"id": "1", "location": place}).content == Location(-90.0, 180.0, "保定路")


def test_a_file_is_named_by_its_id_and_may_come_with_words() -> None:
    read = _read({"id": "1", "attachment": {"media_id": "m1", "mime": "text/html"}, "text": "here"})
    assert read.content == Media("document", "m1", caption="here")


@pytest.mark.parametrize(
    ("document", "status"),
    [
        ([], 422),
        ("text", 422),
        (None, 422),
        ({}, 422),
        ({"id": "1"}, 422),
        ({"text": "hi"}, 422),
        ({"id": 1, "text": "hi"}, 422),
        ({"id": "", "text": "hi"}, 422),
        ({"id": "x" * 65, "text": "hi"}, 422),
        ({"id": "a\nb", "text": "hi"}, 422),
        ({"id": "1", "text": 5}, 422),
        ({"id": "1", "text": ["hi"]}, 422),
        ({"id": "1", "text": "x" * (MAX_TEXT + 1)}, 422),
        ({"id": "1", "text": "hi", "button": {"value": "x"}}, 422),
        ({"id": "1", "button": "x"}, 422),
        ({"id": "1", "button": {}}, 422),
        ({"id": "1", "button": {"value": ""}}, 422),
        ({"id": "1", "button": {"value": "x" * 257}}, 422),
        ({"id": "1", "button": {"value": "x", "label": 5}}, 422),
        ({"id": "1", "location": "here"}, 422),
        ({"id": "1", "location": {"latitude": 31.2}}, 422),
        ({"id": "1", "location": {"latitude": 90.1, "longitude": 0}}, 422),
        ({"id": "1", "location": {"latitude": "31", "longitude": 0}}, 422),
        ({"id": "1", "location": {"latitude": True, "longitude": 0}}, 422),
        ({"id": "1", "text": None, "location": {"latitude": 1, "longitude": 1e300}}, 422),
        ({"id": "1", "location": {"latitude": 1, "longitude": 1, "name": "x" * 101}}, 422),
        ({"id": "1", "location": {"latitude": 1, "longitude": 1}, "text": "hi"}, 422),
        ({"id": "1", "attachment": "m1"}, 422),
        ({"id": "1", "attachment": {}}, 422),
        ({"id": "1", "attachment": {"media_id": ""}}, 422),
        ({"id": "1", "attachment": {"media_id": "x" * 129}}, 422),
        ({"id": "1", "attachment": {"media_id": ["m1"]}}, 422),
        ({"id": "1", "attachment": {"media_id": "m1"}, "text": 5}, 422),
        ({"id": "1", "attachment": {"media_id": "m1"}, "button": {"value": "x"}}, 422),
    ],
)
def test_a_message_of_the_wrong_shape_is_refused_with_a_reason(document: Any, status: int) -> None:
    with pytest.raises(Refused) as refused:
        _read(document)
    assert refused.value.status == status
    assert json.loads(refused.value.body())["error"]["message"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"nul",
        b'{"id":"1","text":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"{}{}",
        "{}".encode("utf-16"),
        b'{"a":"\\ud83d"',
        b"[" * 50000,
        b'{"a":"\\ud83d","b":' + b"[" * 50000,
    ],
)
def test_what_is_no_json_is_refused_as_such(body: bytes) -> None:
    with pytest.raises(Refused) as refused:
        read_object(body)
    assert refused.value.status == 400


@given(st.binary(max_size=200))
def test_no_bytes_crash_the_reader(body: bytes) -> None:
    with contextlib.suppress(Refused):  # the one way to say no
        _read_body(body)


@given(st.text(max_size=200), st.text(min_size=1, max_size=10).filter(str.isprintable))
def test_a_stored_payload_reads_back_to_the_same_message(text: str, client_id: str) -> None:
    received = _read_body(json.dumps({"id": client_id, "text": text}).encode())

    (again,) = WebAdapter("default").decode(received.raw)

    assert again == received


def test_a_stored_payload_holds_the_body_byte_for_byte() -> None:
    body = b' {"text" : "\\u4f60\\ud83d", "id":"1", "extra": [1.50]} '

    assert body in _read_body(body).raw


def test_a_body_cannot_close_the_stored_envelope_and_name_another_sender() -> None:
    with pytest.raises(Refused):
        _read_body(b'{"id":"1","text":"hi"},"sender":{"user":"u-boss"}')


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{}", b'{"sender":1,"message":2}', b'{"sender":{"user":"u"},"message":{}}']
)
def test_a_foreign_payload_is_refused_by_the_adapter(raw: bytes) -> None:
    with pytest.raises(PayloadInvalid):
        WebAdapter("default").decode(raw)


@pytest.mark.parametrize(("text", "seq"), [("", 0), ("0", 0), ("17", 17), ("9007199254740991", 2**53 - 1)])
def test_a_place_in_the_stream_is_read(text: str, seq: int) -> None:
    assert read_after(text) == seq


@pytest.mark.parametrize("text", ["-1", "1.5", "abc", " 1", "١", "9007199254740992", "9" * 5000, "1e3", "0x1"])
def test_a_place_that_is_no_number_is_refused(text: str) -> None:
    with pytest.raises(Refused):
        read_after(text)


@pytest.mark.parametrize("value", [None, True, -1, 1.0, "1", 2**53, [], {}])
def test_a_seq_of_the_wrong_type_is_refused(value: Any) -> None:
    with pytest.raises(Refused):
        read_seq(value)


@pytest.mark.parametrize(
    ("given_tag", "kept"), [("zh-CN", "zh-CN"), ("en", "en"), (None, ""), (5, ""), ("<script>", ""), ("x" * 40, "")]
)
def test_a_language_is_kept_only_when_it_is_a_tag(given_tag: Any, kept: str) -> None:
    assert read_language({"language": given_tag}) == kept


def test_encoding_keeps_text_and_every_button() -> None:
    buttons = tuple(ReplyButton(str(n), f"/{n}") for n in range(10))
    parts = WebAdapter("default").encode(RenderedReply("word " * 30_000, buttons))

    assert "".join(part.text for part in parts) == "word " * 30_000
    assert [part.buttons for part in parts] == [(), buttons]


def test_what_the_widget_has_a_control_for_is_not_made_text() -> None:
    card = Card(
        "Kettle", "1.7 l", "https://shop.example/k.png", "https://shop.example/k", (ReplyButton("Buy", "say:k"),)
    )
    reply = RenderedReply("**Two** kettles", cards=(card, card), ask="rating", text_format="markdown")
    words, cards = WebAdapter("default").encode(reply)

    assert (words.text, words.text_format, words.ask) == ("**Two** kettles", "markdown", "rating")
    assert cards.cards == (card, card)


def test_a_short_reply_stays_one_part() -> None:
    (part,) = WebAdapter("default").encode(
        RenderedReply("你好", (ReplyButton("是", "/yes"),), "https://example.com/a.png")
    )

    assert (part.text, part.image_url) == ("你好", "https://example.com/a.png")


def test_a_place_too_far_for_a_float_is_refused_even_beside_half_an_emoji() -> None:
    body = b'{"id":"1","x":"\\ud83d","location":{"latitude":1' + b"0" * 400 + b',"longitude":NaN}}'
    with pytest.raises(Refused):
        _read_body(body)
