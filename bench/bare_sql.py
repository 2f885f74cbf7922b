"""The baseline's own store: the rows Frontdesk writes for a web message, in plain SQL, with no statement too many."""

from __future__ import annotations

import asyncio
import hashlib
import queue
import sqlite3
import threading
import zlib
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import orjson

from bot.types import Accepted, ConversationId, InboxId, MessageId, Received, Text
from crm_sync.addressing import Address

FIND = "SELECT id, web_seq FROM conversations WHERE key = ?"
INBOX = (
    "INSERT INTO inbox (id, dedupe, channel, account, conversation_id, message_id, state, kind, wants_turn, message,"
    " raw, digest, sent_at, received_at) VALUES (?, ?, 'web', 'default', ?, ?, 'pending', 'text', 1, ?, ?, ?, ?, ?)"
)
MESSAGE = (
    "INSERT INTO messages (id, conversation_id, direction, author, kind, text, seq, inbox_id, vendor_message_id, at)"
    " VALUES (?, ?, 'in', 'customer', 'text', ?, ?, ?, ?, ?)"
)
TOUCH = (
    "UPDATE conversations SET web_seq = ?, dirty_since = coalesce(dirty_since, ?), last_inbound_at = ?,"
    " last_message_at = ? WHERE id = ?"
)

Waiting = tuple[Received, "asyncio.Future[list[Accepted]]"]


class GroupCommit:
    """Takes whatever has queued, writes it in one transaction, then resolves the futures. Visitors must exist."""

    def __init__(self, path: Path) -> None:
        self._queue: queue.SimpleQueue[Waiting | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._commits = 0
        self._thread = threading.Thread(target=self._serve, args=(path,), daemon=True)
        self._thread.start()

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        future: asyncio.Future[list[Accepted]] = self._loop.create_future()
        self._queue.put((received[0], future))
        return await future

    def close(self) -> int:
        """How many commits there were."""
        self._queue.put(None)
        self._thread.join()
        return self._commits

    def _serve(self, path: Path) -> None:
        connection = sqlite3.connect(path, isolation_level=None)
        for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "cache_size=-16000"):
            connection.execute(f"PRAGMA {pragma}").close()
        while (first := self._queue.get()) is not None:
            batch = [first]
            while not self._queue.empty():
                waiting = self._queue.get_nowait()
                if waiting is None:
                    self._queue.put(None)
                    break
                batch.append(waiting)
            try:
                accepted = write(connection, [received for received, _ in batch])
            except (sqlite3.Error, TypeError) as error:  # TypeError: an unknown visitor
                connection.rollback()
                self._loop.call_soon_threadsafe(partial(refuse, batch, error))
                continue
            self._commits += 1
            self._loop.call_soon_threadsafe(partial(resolve, batch, accepted))
        connection.close()


def write(connection: sqlite3.Connection, batch: Sequence[Received]) -> list[Accepted]:
    connection.execute("BEGIN IMMEDIATE")
    (inbox_id,) = connection.execute("SELECT coalesce(max(id), 0) FROM inbox").fetchone()
    (message_id,) = connection.execute("SELECT coalesce(max(id), 0) FROM messages").fetchone()
    now = int(datetime.now(UTC).timestamp() * 1_000_000)
    inbox, messages, touched, accepted = [], [], [], []
    places: dict[str, tuple[int, int]] = {}
    for received in batch:
        message = received.message
        assert message is not None
        assert isinstance(message.content, Text)
        text, sender = message.content.text, message.sender
        key = Address("web", "default", sender.external_id, message.chat_id).conversation_key()
        conversation_id, seq = places.get(key) or connection.execute(FIND, (key,)).fetchone()
        inbox_id, message_id, seq = inbox_id + 1, message_id + 1, seq + 1
        places[key] = conversation_id, seq
        content = {"kind": "text", "text": text}
        document = orjson.dumps(
            {"content": content, "dedupe_key": received.dedupe_key, "vendor_message_id": message.vendor_message_id}
        ).decode()
        digest = hashlib.blake2b(orjson.dumps(content), digest_size=12).hexdigest()
        sent_at = int(message.sent_at.timestamp() * 1_000_000)
        raw = zlib.compress(received.raw, 1)
        inbox.append((inbox_id, received.dedupe_key, conversation_id, message_id, document, raw, digest, sent_at, now))
        messages.append((message_id, conversation_id, text, seq, inbox_id, message.vendor_message_id, now))
        touched.append((seq, now, now, now, conversation_id))
        accepted.append(
            Accepted(InboxId(inbox_id), ConversationId(conversation_id), MessageId(message_id), seq, is_new=True)
        )
    connection.executemany(INBOX, inbox)
    connection.executemany(MESSAGE, messages)
    connection.executemany(TOUCH, touched)
    connection.execute("COMMIT")
    return accepted


def resolve(batch: Sequence[Waiting], accepted: Sequence[Accepted]) -> None:
    for (_, future), row in zip(batch, accepted, strict=True):
        future.set_result([row])


def refuse(batch: Sequence[Waiting], error: Exception) -> None:
    for _, future in batch:
        future.set_exception(error)
