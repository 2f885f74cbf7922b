"""Whose an uploaded file is, and that it becomes part of one message only."""

from __future__ import annotations

import asyncio

import pytest

from bot.errors import DedupeMismatch
from bot.types import Identity
from crm_sync.store import SqlStore

ANN, BOB = Identity("web", "default", "ann"), Identity("web", "default", "bob")
ELSEWHERE = Identity("web", "shop", "ann")


async def _upload(store: SqlStore, media_id: str = "m1", client_id: str = "c1", sha256: str = "aa") -> str:
    conversation_id = await store.web_conversation(ANN)
    return await store.note_web_upload(ANN, client_id, sha256, media_id=media_id, conversation_id=conversation_id)


async def test_an_upload_is_found_again_under_its_id_by_its_visitor(store: SqlStore) -> None:
    await _upload(store)

    assert await store.find_web_upload(ANN, "c1", "aa") == "m1"
    assert await store.find_web_upload(ANN, "c2", "aa") is None
    assert await store.find_web_upload(BOB, "c1", "aa") is None


async def test_another_file_under_the_same_id_is_refused(store: SqlStore) -> None:
    await _upload(store)

    with pytest.raises(DedupeMismatch):
        await store.find_web_upload(ANN, "c1", "bb")
    with pytest.raises(DedupeMismatch):
        await _upload(store, "m2", sha256="bb")


async def test_uploaded_twice_at_once_it_is_one_file(store: SqlStore) -> None:
    kept = await asyncio.gather(*[_upload(store, f"m{n}") for n in range(6)])

    assert len(set(kept)) == 1


async def test_a_file_belongs_to_its_first_message_however_often_that_is_sent(store: SqlStore) -> None:
    await _upload(store)

    assert [await store.use_web_upload(ANN, "m1", message) for message in ("a", "a", "b")] == [True, True, False]


@pytest.mark.parametrize("who", [BOB, ELSEWHERE])
async def test_somebody_elses_file_cannot_be_sent(store: SqlStore, who: Identity) -> None:
    await _upload(store)
    await store.web_conversation(who)

    assert await store.use_web_upload(who, "m1", "a") is False
    assert await store.use_web_upload(ANN, "m1", "a") is True


@pytest.mark.parametrize("media_id", ["", "m9", "../m1", "漢", "m1' OR 1=1"])
async def test_a_file_nobody_uploaded_cannot_be_sent(store: SqlStore, media_id: str) -> None:
    await _upload(store)

    assert await store.use_web_upload(ANN, media_id, "a") is False
