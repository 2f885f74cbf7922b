"""What every channel adapter promises, run on each of them. A new channel adds one entry to CHANNELS."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import InputError
from bot.types import RenderedReply, ReplyButton
from channels.base import ChannelAdapter
from channels.telegram import TelegramAdapter
from channels.text import is_blank, length
from channels.web import WebAdapter
from config.settings import TelegramSettings
from tests.replies import all_of, replies, visible, within_limits

CHANNELS: dict[str, Callable[[], ChannelAdapter]] = {
    "telegram": lambda: TelegramAdapter("main", TelegramSettings(token="1000001:test")),
    "web": lambda: WebAdapter("main"),
}
OWN_PAYLOADS = Path(__file__).parents[1] / "payloads"
GIVEN_PAYLOADS = Path(os.environ.get("FRONTDESK_TEST_DATA", "/nowhere")) / "payloads"


def payloads(channel: str) -> list[bytes]:
    return [
        path.read_bytes()
        for folder in (OWN_PAYLOADS, GIVEN_PAYLOADS)
        for path in sorted((folder / channel).glob("*"))
        if not path.name.endswith(".key.json")
    ]


@pytest.fixture(params=list(CHANNELS))
def channel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_adapter_says_who_it_is_and_what_it_can(channel: str) -> None:
    adapter = CHANNELS[channel]()

    assert (adapter.channel, adapter.account, adapter.capabilities.channel) == (channel, "main", channel)
    assert adapter.capabilities.max_text >= 1


def test_true_payloads_decode_to_the_accounts_messages(channel: str) -> None:
    adapter = CHANNELS[channel]()

    for body in payloads(channel):
        for received in adapter.decode(body):
            assert (received.channel, received.account) == (channel, "main")
            assert received.dedupe_key
            if received.message is None:
                assert received.reason
                continue
            assert received.message.dedupe_key == received.dedupe_key
            assert (received.message.sender.channel, received.message.sender.account) == (channel, "main")
            assert received.message.sender.external_id
            assert received.message.chat_id
            assert received.message.sent_at.tzinfo is not None


def test_decoding_twice_gives_the_same_inbox_key(channel: str) -> None:
    for body in payloads(channel):
        first, second = (CHANNELS[channel]().decode(body) for _ in range(2))

        assert [received.dedupe_key for received in first] == [received.dedupe_key for received in second]


@pytest.mark.parametrize("name", list(CHANNELS))
@given(body=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_decode_raises_input_errors_only(name: str, body: bytes) -> None:
    try:
        received = CHANNELS[name]().decode(body)
    except InputError:
        return

    assert all(item.message is not None or item.reason for item in received)


@pytest.mark.parametrize("name", list(CHANNELS))
@given(
    piece=st.text(min_size=1, max_size=30),
    times=st.integers(1, 600),
    labels=st.lists(st.text(min_size=1, max_size=30), max_size=4),
    value=st.text(min_size=1, max_size=100),
)
def test_encode_keeps_the_limits_and_loses_nothing(
    name: str, piece: str, times: int, labels: list[str], value: str
) -> None:
    adapter = CHANNELS[name]()
    can = adapter.capabilities
    reply = RenderedReply(piece * times, tuple(ReplyButton(label, f"{value}{at}") for at, label in enumerate(labels)))

    parts = adapter.encode(reply)

    assert all(length(part.text, can.length_unit) <= can.max_text for part in parts)
    assert all(len(part.buttons) <= can.buttons for part in parts)
    said = "".join(part.text for part in parts)
    assert is_blank(reply.text) or visible(said).startswith(visible(reply.text))
    shown = {button.label for part in parts for button in part.buttons}
    assert all(label in shown or visible(label) in visible(said) for label in labels)
    assert adapter.encode(reply) == parts


@pytest.mark.parametrize("name", list(CHANNELS))
@given(reply=replies)
def test_whatever_a_reply_holds_reaches_the_customer_in_some_form(name: str, reply: RenderedReply) -> None:
    adapter = CHANNELS[name]()

    parts = adapter.encode(reply)

    assert within_limits(parts, adapter.capabilities) == []
    assert all_of(reply, adapter.capabilities).missing_in(parts) == []


async def test_closing_an_adapter_twice_is_fine(channel: str) -> None:
    adapter = CHANNELS[channel]()

    await adapter.close()

    assert await adapter.close() is None  # type: ignore[func-returns-value]  # that it returns is the promise
