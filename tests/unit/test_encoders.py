"""Replies are encoded for whatever channel a conversation has, also one that is no longer configured."""

from __future__ import annotations

from bot.types import OutMedia, RenderedReply, ReplyButton
from channels.web import WebAdapter
from frontdesk.encoders import Encoders


def test_a_channel_taken_out_of_the_settings_gets_words_that_every_channel_takes() -> None:
    encoders = Encoders([WebAdapter("default")], lambda media_id: f"https://desk.example/media/{media_id}")
    reply = RenderedReply("Which?" * 500, (ReplyButton("One", "1"),), media=(OutMedia("image", media_id="m1"),))

    parts = encoders.encode("telegram", reply)

    words = " ".join(part.text for part in parts)
    assert all(len(part.text.encode()) <= 2048 and not part.buttons and not part.media for part in parts)
    assert "1. One" in words
    assert "https://desk.example/media/m1" in words
    assert not encoders.is_direct("telegram")
    assert encoders.is_direct("web")
