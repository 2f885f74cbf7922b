"""What every channel adapter promises, run on each. A new channel adds one entry to tests/channel_contract.py."""

from __future__ import annotations

import json
from copy import deepcopy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.errors import InputError
from bot.types import RenderedReply, ReplyButton
from channels.text import is_blank, length
from crm_sync.arrivals import prepare
from tests.channel_contract import CHANNELS
from tests.replies import all_of, replies, visible, within_limits


@pytest.fixture(params=list(CHANNELS))
def channel(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_an_adapter_says_who_it_is_and_what_it_can(channel: str) -> None:
    adapter = CHANNELS[channel].adapter

    assert (adapter.channel, adapter.account, adapter.capabilities.channel) == (channel, "main", channel)
    assert adapter.capabilities.max_text >= 1


def test_true_payloads_decode_to_the_accounts_messages(channel: str) -> None:
    adapter = CHANNELS[channel].adapter

    for body in CHANNELS[channel].payloads:
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
    for body in CHANNELS[channel].payloads:
        first, second = (CHANNELS[channel].adapter.decode(body) for _ in range(2))

        assert [received.dedupe_key for received in first] == [received.dedupe_key for received in second]


@pytest.mark.parametrize("name", list(CHANNELS))
@given(body=st.binary(max_size=300) | st.text(max_size=300).map(lambda text: text.encode("utf-8", "replace")))
def test_decode_raises_input_errors_only(name: str, body: bytes) -> None:
    try:
        received = CHANNELS[name].adapter.decode(body)
    except InputError:
        return

    assert all(item.message is not None or item.reason for item in received)


ODD_VALUES: list[Any] = [None, True, -1, 10**30, 1.5, "", "\ud83d", "\0", "x" * 5000, [], [[]], {}, {"a": {}}]
WITH_PAYLOADS = [name for name, channel in CHANNELS.items() if channel.payloads]


@pytest.mark.parametrize("name", WITH_PAYLOADS)
@given(data=st.data())
def test_a_damaged_payload_is_read_or_parked_and_fits_the_store(name: str, data: st.DataObject) -> None:
    channel = CHANNELS[name]
    body = data.draw(st.sampled_from(channel.payloads))
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if isinstance(document, dict) and data.draw(st.booleans()):
        for _ in range(data.draw(st.integers(1, 3))):
            damage(document, data)
        body = json.dumps(document).encode()
    else:
        cut, at = data.draw(st.integers(0, len(body))), data.draw(st.integers(0, max(0, len(body) - 1)))
        body = body[:at] + data.draw(st.binary(max_size=3)) + body[cut:]

    try:
        received = channel.adapter.decode(body)
    except InputError:
        return

    assert [item.dedupe_key for item in received] == [item.dedupe_key for item in channel.adapter.decode(body)]
    for item in received:
        assert item.dedupe_key
        assert item.message is not None or item.reason
        assert prepare(item).dedupe  # nothing in it that no database takes


def damage(document: Any, data: st.DataObject) -> None:
    """Somewhere in `document` a value is gone, odd or doubled."""
    while True:
        inside: list[Any] = list(document) if isinstance(document, dict) else list(range(len(document)))
        if not inside:
            return
        key = data.draw(st.sampled_from(inside))
        if isinstance(document[key], dict | list) and document[key] and data.draw(st.booleans()):
            document = document[key]
            continue
        match data.draw(st.sampled_from(["gone", "odd", "doubled"])):
            case "gone":
                del document[key]
            case "odd":
                document[key] = deepcopy(data.draw(st.sampled_from(ODD_VALUES)))
            case "doubled":
                document[key] = [document[key], deepcopy(document[key])]
        return


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
    adapter = CHANNELS[name].adapter
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
    adapter = CHANNELS[name].adapter

    parts = adapter.encode(reply)

    assert within_limits(parts, adapter.capabilities) == []
    assert all_of(reply, adapter.capabilities).missing_in(parts) == []


async def test_closing_an_adapter_twice_is_fine(channel: str) -> None:
    adapter = CHANNELS[channel].adapter

    await adapter.close()

    assert await adapter.close() is None  # type: ignore[func-returns-value]  # that it returns is the promise
