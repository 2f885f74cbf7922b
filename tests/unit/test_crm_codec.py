"""Messages as documents and back."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from bot.types import (
    Button,
    Command,
    Contact,
    Content,
    Event,
    Identity,
    InboundMessage,
    Location,
    Media,
    OutPart,
    ReplyButton,
    Text,
    Unsupported,
)
from crm_sync.codec import (
    dump_content,
    dump_message,
    dump_part,
    load_content,
    load_message,
    load_part,
    wire_event,
    words_in,
)
from crm_sync.columns import dump_json, load_json

CONTENTS: list[Content] = [
    Text(""),
    Text("words"),
    Button(""),
    Button("v", "Label", "cb"),
    Command(""),
    Command("start", "payload"),
    Media("voice", ""),
    Media("image", "f", "caption", "a.png", "image/png", 0, 0.0, "spoken"),
    Location(0.0, -0.5),
    Location(1.5, 2.5, "name", "address"),
    Contact(""),
    Contact("+86", "Ann", is_own=True),
    Event("blocked"),
    Event("x", {"a": {"b": [1]}}),
    Unsupported(""),
    Unsupported("poll"),
]


@pytest.mark.parametrize("content", CONTENTS, ids=repr)
def test_content_comes_back_as_it_was(content: Content) -> None:
    assert load_content(load_json(dump_json(dump_content(content)))) == content


def test_empty_fields_take_no_room() -> None:
    assert dump_content(Text("")) == {"kind": "text", "text": ""}
    assert dump_content(Media("voice", "f")) == {"kind": "media", "of": "voice", "file_id": "f"}


def test_a_message_comes_back_with_what_its_row_knows() -> None:
    sender, at = Identity("telegram", "a", "7"), datetime(2026, 11, 22, tzinfo=UTC)
    full = InboundMessage(sender, "-1", "9", Text("x"), at, "t", "11", "10", "8", "Ann", "en", wants_turn=False)
    for message in (full, replace(full, edits="", reply_to="", sender_name="", language_hint="", vendor_message_id="")):
        document = load_json(dump_json(dump_message(message, dump_content(message.content))))
        back = load_message(document, sender=sender, chat_id="-1", topic="t", sent_at=at, wants_turn=False)
        assert back == message


@pytest.mark.parametrize(
    "part",
    [OutPart("x"), OutPart("", (ReplyButton("a", "b"), ReplyButton("", "")), "https://x/y.png"), OutPart("x", (), "u")],
)
def test_a_part_comes_back_as_it_was(part: OutPart) -> None:
    assert load_part(part.text, dump_part(part)) == part


def test_words_are_what_a_reader_sees() -> None:
    assert [words_in(content) for content in CONTENTS] == [
        "",
        "words",
        "",
        "Label",
        "/",
        "/start payload",
        "",
        "caption",
        "",
        "name address",
        "",
        "Ann +86",
        "",
        "",
        "",
        "",
    ]


def test_an_event_names_what_it_replaces_and_its_kind_only_where_there_is_something_to_say() -> None:
    at = datetime(2026, 11, 22, 9, 0, 0, 1500, tzinfo=UTC)
    plain = wire_event(
        seq=1, message_id=5, direction="in", author="customer", kind="text", text="x", content=None, at=at
    )
    assert plain == {
        "seq": 1,
        "id": 5,
        "direction": "in",
        "author": "customer",
        "text": "x",
        "buttons": [],
        "at": "2026-11-22T09:00:00.001Z",
    }
    edit = wire_event(
        seq=2, message_id=6, direction="in", author="customer", kind="media", text="", content={}, at=at, replaces_seq=1
    )
    assert (edit["kind"], edit["replaces"]) == ("media", 1)
