"""Whose an uploaded file is, and that it becomes part of one message only."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import insert

from bot.errors import DedupeMismatch
from bot.ports import StoredFile
from bot.types import Identity
from crm_sync.store import SqlStore
from crm_sync.tables import media
from tests.store_steps import START

ANN, BOB = Identity("web", "default", "ann"), Identity("web", "default", "bob")
ELSEWHERE = Identity("web", "shop", "ann")
FILE = StoredFile("m1", "image/png", 17, "photo.png")


async def _stored(store: SqlStore, media_id: str = "m1", state: str = "stored") -> StoredFile:
    row = {"key": media_id, "state": state, "mime": "image/png", "size": 17, "file_name": "photo.png"}
    await store.database.run(lambda conn: conn.execute(insert(media), {**row, "created_at": START}))
    return StoredFile(media_id, "image/png", 17, "photo.png")


async def _upload(store: SqlStore, file: StoredFile, client_id: str = "c1", sha256: str = "aa") -> StoredFile:
    conversation_id = await store.web_conversation(ANN)
    return await store.note_upload(ANN, client_id, sha256, file=file, conversation_id=conversation_id)


async def test_an_upload_is_found_again_under_its_id(store: SqlStore) -> None:
    await _upload(store, await _stored(store))

    assert await store.find_upload(ANN, "c1", "aa") == FILE
    assert await store.find_upload(ANN, "c2", "aa") is None
    assert await store.find_upload(BOB, "c1", "aa") is None


async def test_another_file_under_the_same_id_is_refused(store: SqlStore) -> None:
    await _upload(store, await _stored(store))

    with pytest.raises(DedupeMismatch):
        await store.find_upload(ANN, "c1", "bb")
    with pytest.raises(DedupeMismatch):
        await _upload(store, await _stored(store, "m2"), sha256="bb")


async def test_uploaded_twice_at_once_it_is_one_file(store: SqlStore) -> None:
    files = [await _stored(store, f"m{n}") for n in range(6)]
    kept = await asyncio.gather(*[_upload(store, file) for file in files])

    assert len({file.media_id for file in kept}) == 1


async def test_a_file_belongs_to_its_first_message_however_often_that_is_sent(store: SqlStore) -> None:
    await _upload(store, await _stored(store))

    assert [await store.use_upload(ANN, "m1", message) for message in ("a", "a", "b")] == [FILE, FILE, None]


@pytest.mark.parametrize("who", [BOB, ELSEWHERE])
async def test_somebody_elses_file_cannot_be_sent(store: SqlStore, who: Identity) -> None:
    await _upload(store, await _stored(store))
    await store.web_conversation(who)

    assert await store.use_upload(who, "m1", "a") is None
    assert await store.use_upload(ANN, "m1", "a") == FILE


@pytest.mark.parametrize("media_id", ["", "m9", "../m1", "漢", "m1' OR 1=1"])
async def test_a_file_nobody_uploaded_cannot_be_sent(store: SqlStore, media_id: str) -> None:
    await _upload(store, await _stored(store))

    assert await store.use_upload(ANN, media_id, "a") is None


async def test_a_file_that_is_gone_cannot_be_sent(store: SqlStore) -> None:
    await _upload(store, await _stored(store, state="gone"))

    assert await store.use_upload(ANN, "m1", "a") is None
