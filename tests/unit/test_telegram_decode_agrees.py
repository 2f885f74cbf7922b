"""Our reading of updates against the library's, payload by payload: who, where and what are the same."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from telegram import Update

from bot.types import Button, Command, Contact, Event, InboundMessage, Location, Media, Text
from channels.telegram import TelegramAdapter
from config.settings import TelegramSettings

OWN = Path(__file__).parents[1] / "payloads" / "telegram"
GIVEN = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads" / "telegram"
FILES = [*sorted(OWN.glob("*.json")), *sorted(GIVEN.glob("*.json"))]


def library_reads(path: Path) -> Update | None:
    """None where it gives up on a field that only newer servers send (a poll of last year); we may not."""
    try:
        return Update.de_json(json.loads(path.read_bytes()))
    except TypeError:
        return None


def said(message: InboundMessage) -> str | None:
    """The words as the customer wrote them; None where there are none."""
    match message.content:
        case Text(text=text):
            return text
        case Command(name=name, argument=argument):
            return f"/{name} {argument}".strip()
        case Button(value=value):
            return value
        case Media(kind=kind, caption=caption):
            return caption if kind != "sticker" else ""
    return None


def said_to_the_library(update: Update) -> str | None:
    if update.callback_query is not None:
        return update.callback_query.data
    message = update.message or update.edited_message
    if message is None:
        return None
    if message.text is None:
        return message.caption or ""
    if message.forward_origin:
        return message.text
    command = next((text for entity, text in message.parse_entities(["bot_command"]).items() if not entity.offset), "")
    return message.text.replace(command, command.partition("@")[0], 1) if command else message.text


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_who_where_and_what_are_read_as_the_library_reads_them(path: Path) -> None:
    received = TelegramAdapter("main", TelegramSettings(token="1000001:a")).decode(path.read_bytes())[0]

    update = library_reads(path)

    assert received.dedupe_key == str(json.loads(path.read_bytes())["update_id"])
    message = received.message
    if message is None or update is None:
        assert message is not None or received.reason.endswith("names nobody")
        return
    # In a channel or anonymously nobody speaks: then both name the chat. What we did ourselves is the customer's.
    speaker = update.effective_sender or update.effective_user
    assert speaker is None or message.author == "bot" or message.sender.external_id == str(speaker.id)
    chat = update.effective_chat
    assert chat is None or message.chat_id == str(chat.id)
    words = said(message)
    assert words is None or words == said_to_the_library(update)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_kind_the_library_knows_is_never_read_as_another(path: Path) -> None:
    message = TelegramAdapter("main", TelegramSettings(token="1000001:a")).decode(path.read_bytes())[0].message
    update = library_reads(path)

    theirs = update.message if update else None
    found = None if message is None else message.content
    assert isinstance(found, Contact) == bool(theirs and theirs.contact)
    assert isinstance(found, Location) == bool(theirs and (theirs.location or theirs.venue))
    moved = theirs and (theirs.migrate_to_chat_id or theirs.migrate_from_chat_id)
    assert isinstance(found, Event) == bool(update and (update.my_chat_member or update.message_reaction or moved))
    if isinstance(found, Media) and theirs is not None:
        sent = theirs.effective_attachment
        files = sent if isinstance(sent, tuple) else (sent,)
        assert found.file_id in {getattr(file, "file_id", None) for file in files}
