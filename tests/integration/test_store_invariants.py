"""The checker says nothing about a sound store, and names each promise that somebody broke."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Executable, delete, text, update

from bot.ports import SendOutcome
from crm_sync.invariants import Violation, check
from crm_sync.store import SqlStore
from crm_sync.tables import conversations, inbox, messages, outbox, turns
from tests.store_steps import START, SetClock, converse, said, send_all


async def _break(store: SqlStore, *statements: Executable) -> None:
    def unit(conn: Connection) -> None:
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET session_replication_role = replica"))  # foreign keys would not let us
        for statement in statements:
            conn.execute(statement)
        if conn.dialect.name == "postgresql":
            conn.execute(text("SET session_replication_role = DEFAULT"))

    await store.database.run(unit)


def _rules(found: Sequence[Violation]) -> set[str]:
    return {violation.rule for violation in found}


async def _sound(store: SqlStore) -> None:
    for user, channel in (("ann", "web"), ("bob", "telegram")):
        await converse(store, "one", "first", user=user, channel=channel)
        await converse(store, "two", "second", "third", user=user, channel=channel)
    await send_all(store)


SOUND_LEDGER: list[dict[str, Any]] = [
    {"kind": "call", "method": "sendMessage", "chat_id": "bob", "text": words, "outcome": "ok"}
    for words in ("first", "second", "third")
]


async def test_a_sound_store_has_no_violations(store: SqlStore) -> None:
    await _sound(store)
    assert await check(store.database, SOUND_LEDGER) == []


@pytest.mark.sql_per_case
@pytest.mark.parametrize(
    ("rule", "damage"),
    [
        ("one turn for each message", [delete(turns).where(turns.c.inbox_id == 1)]),
        ("no turn without its message", [update(inbox).where(inbox.c.id == 1).values(state="pending")]),
        ("the version counts the turns", [update(conversations).where(conversations.c.id == 1).values(version=7)]),
        (
            "turns in order of acceptance",
            [
                update(turns).where(turns.c.inbox_id == 1).values(version=9),
            ],
        ),
        ("web sequence without gaps", [update(messages).where(messages.c.id == 1).values(seq=99)]),
        ("web sequence without gaps", [update(conversations).where(conversations.c.id == 1).values(web_seq=4)]),
        ("first in, first out", [update(outbox).where(outbox.c.id == 6).values(sent_at=START - timedelta(days=9))]),
        ("first in, first out", [update(outbox).where(outbox.c.id == 5).values(state="pending")]),
        ("nothing forgotten", [update(inbox).where(inbox.c.id == 1).values(state="pending")]),
    ],
)
async def test_each_broken_promise_is_named(store: SqlStore, rule: str, damage: Sequence[Executable]) -> None:
    await _sound(store)
    await _break(store, *damage)
    assert rule in _rules(await check(store.database, SOUND_LEDGER))


async def test_a_turn_that_was_never_asked_for_is_found(sqlite_url: str) -> None:
    store = await SqlStore.open(sqlite_url)
    await _sound(store)
    await store.close()
    import sqlite3

    with sqlite3.connect(sqlite_url.removeprefix("sqlite:///")) as raw:  # without foreign keys
        raw.execute("DELETE FROM inbox WHERE id = 1")
    raw.close()
    store = await SqlStore.open(sqlite_url)
    assert "no turn without its message" in _rules(await check(store.database))
    await store.close()


async def test_an_acknowledged_message_that_is_not_there_is_named(store: SqlStore) -> None:
    await store.accept([said("one", key="a")])
    known = {"channel": "web", "account": "default", "dedupe_key": "a"}
    assert await check(store.database, (), [known, known]) == []
    (found,) = await check(store.database, (), [known, {**known, "dedupe_key": "b"}])
    assert found.rule == "acknowledged means stored"


async def test_a_message_that_waits_too_long_is_named(store_url: str) -> None:
    clock = SetClock()
    store = await SqlStore.open(store_url, clock=clock)
    await store.accept([said("one")])
    assert await check(store.database, now=clock.now()) == []
    clock.advance(minutes=5)
    assert _rules(await check(store.database, now=clock.now())) == {"handled in time"}
    await store.close()


@pytest.mark.sql_per_case
@pytest.mark.parametrize(
    ("rule", "ledger"),
    [
        ("sent means delivered", SOUND_LEDGER[:2]),
        ("no send unknown to the store", [*SOUND_LEDGER, {**SOUND_LEDGER[0], "text": "never decided"}]),
        ("no send unknown to the store", [*SOUND_LEDGER, {**SOUND_LEDGER[0], "chat_id": "stranger"}]),
        ("repeated only when marked", [SOUND_LEDGER[0], *SOUND_LEDGER]),
        ("delivered in order", [SOUND_LEDGER[1], SOUND_LEDGER[0], SOUND_LEDGER[2]]),
    ],
)
async def test_each_disagreement_with_the_channel_is_named(
    store: SqlStore, rule: str, ledger: Sequence[dict[str, Any]]
) -> None:
    await _sound(store)
    assert rule in _rules(await check(store.database, ledger))


async def test_calls_that_delivered_nothing_do_not_count(store: SqlStore) -> None:
    await _sound(store)
    noise = [
        {"kind": "update", "chat_id": "bob", "text": "one"},
        {"kind": "call", "method": "sendChatAction", "chat_id": "bob", "outcome": "ok"},
        {"kind": "call", "method": "sendMessage", "chat_id": "bob", "text": "third", "outcome": "refused"},
        {"kind": "call", "method": "getUpdates", "outcome": "ok"},
    ]
    assert await check(store.database, [*noise, *SOUND_LEDGER, *noise]) == []


async def test_a_plain_ledger_of_other_channels_is_understood(store: SqlStore) -> None:
    await _sound(store)
    plain = [
        {"chat_id": "bob", "text": words, "ok": True, "at": "2026-11-22T09:00:00Z"}
        for words in ("first", "second", "third")
    ]
    assert await check(store.database, plain) == []


async def test_a_marked_repeat_is_allowed_once(store: SqlStore) -> None:
    await converse(store, "one", "first", user="bob", channel="telegram")
    (item,) = await store.outbox.claim("s", 1)
    await store.outbox.finish([SendOutcome(item.outbox_id, "uncertain")])
    (item,) = await store.outbox.claim("s", 1)
    await store.outbox.finish([SendOutcome(item.outbox_id, "sent")])
    assert await check(store.database, SOUND_LEDGER[:1]) == []
    assert await check(store.database, SOUND_LEDGER[:1] * 2) == []
    assert _rules(await check(store.database, SOUND_LEDGER[:1] * 3)) == {"repeated only when marked"}


async def test_details_never_hold_words(store: SqlStore) -> None:
    await _sound(store)
    ledger = [{**SOUND_LEDGER[0], "text": "PrivateWords", "chat_id": "PrivateChat"}]
    assert "Private" not in repr(await check(store.database, ledger))
