"""Genuine payloads that could not be read are counted, listed and shown as they came."""

from __future__ import annotations

import pytest

from bot.errors import NotFound
from bot.types import Received
from crm_sync import unreadable
from crm_sync.store import SqlStore
from tests.store_steps import said


def _parked(key: str, raw: bytes, channel: str = "wechat", account: str = "main") -> Received:
    return Received(channel, account, key, raw, None, "no MsgType")


async def test_unreadable_payloads_are_counted_for_each_account(store: SqlStore) -> None:
    await store.accept([said("hello"), _parked("1", b"<xml>"), _parked("2", b"<xml/>"), _parked("3", b"{", "telegram")])

    counted = [(found.channel, found.account, found.count) for found in await store.unreadable_counts()]

    assert counted == [("telegram", "main", 1), ("wechat", "main", 2)]


async def test_the_newest_come_first_with_reason_and_size(store: SqlStore) -> None:
    await store.accept([_parked(str(number), b"x" * number) for number in range(1, 5)])

    found = await store.database.run(lambda conn: unreadable.newest(conn, 2), read=True)

    assert [(item.channel, item.reason, item.size) for item in found] == [
        ("wechat", "no MsgType", 4),
        ("wechat", "no MsgType", 3),
    ]


@pytest.mark.parametrize("raw", [b"", b"<xml>\x00\xff", b"y" * 255, b"y" * 256, bytes(range(256)) * 40])
async def test_a_payload_is_shown_byte_for_byte(store: SqlStore, raw: bytes) -> None:
    (accepted,) = await store.accept([_parked("1", raw)])

    assert await store.database.run(lambda conn: unreadable.raw(conn, accepted.inbox_id), read=True) == raw


async def test_a_readable_message_is_not_shown(store: SqlStore) -> None:
    (accepted,) = await store.accept([said("private words")])

    with pytest.raises(NotFound):
        await store.database.run(lambda conn: unreadable.raw(conn, accepted.inbox_id), read=True)
    assert await store.unreadable_counts() == []
