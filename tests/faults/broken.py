"""Frontdesk with one promise broken on purpose, to see that the checker notices.

FRONTDESK_BROKEN=name python tests/faults/broken.py run --port 0
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, update

import crm_sync.committing
import crm_sync.database_sqlite
import crm_sync.outbox_claims
from bot.ports import Claimed, Committed, TurnsCommit
from bot.types import Accepted, InboxId, Outbound, Receipt, Received
from channels.telegram import TelegramAdapter
from crm_sync.inbox import SqlInbox
from crm_sync.tables import inbox
from crm_sync.turns import SqlTurns
from frontdesk.cli import main

QUOTA = "quota"  # file in the working directory: pages the SQLite file may have


def acknowledges_before_the_commit() -> None:
    """The inbox says "accepted" and writes later; what dies in between is gone."""
    later: list[Sequence[Received]] = []

    async def accept(self: SqlInbox, received: Sequence[Received]) -> list[Accepted]:
        later.append(received)
        return [Accepted(InboxId(0), None, None, None, is_new=True) for _ in received]

    SqlInbox.accept = accept  # type: ignore[method-assign]


def skips_the_version_check() -> None:
    """Lease, version and owner are not looked at in the commit, and every commit comes a second time."""
    crm_sync.committing._why_not = lambda *args, **kwargs: ""
    _commit_twice()


def commits_turns_twice() -> None:
    """The same, with every other guard gone as well: the done mark is not looked at and the key of turns is dropped."""
    skips_the_version_check()
    crm_sync.committing._mark_done = _mark_done_without_looking
    path = os.environ["FRONTDESK_DATABASE_URL"].split("///", 1)[1]
    with sqlite3.connect(path) as connection:
        connection.executescript(
            "CREATE TABLE bare AS SELECT * FROM turns; DROP TABLE turns; ALTER TABLE bare RENAME TO turns;"
        )
    connection.close()


def _commit_twice() -> None:
    once = SqlTurns.commit

    async def commit(self: SqlTurns, commits: Sequence[TurnsCommit]) -> list[Committed]:
        committed = await once(self, commits)
        await once(self, commits)
        return committed

    SqlTurns.commit = commit  # type: ignore[method-assign]


def _mark_done_without_looking(conn: Connection, results: Sequence[Any], now: datetime) -> None:
    ids = [turn.inbox_id for _, turn in results]
    conn.execute(update(inbox).where(inbox.c.id.in_(ids)).values(state="done", done_at=now))


def says_sent_without_sending() -> None:
    async def send(self: TelegramAdapter, outbound: Outbound) -> Receipt:
        return Receipt("1")

    TelegramAdapter.send = send  # type: ignore[method-assign]


def sends_twice() -> None:
    once = TelegramAdapter.send

    async def send(self: TelegramAdapter, outbound: Outbound) -> Receipt:
        await once(self, outbound)
        return await once(self, outbound)

    TelegramAdapter.send = send  # type: ignore[method-assign]


def hides_that_a_send_was_repeated() -> None:
    honest = crm_sync.outbox_claims._handing_out

    def handing_out(*args: Any, **kwargs: Any) -> list[dict[str, Any]]:
        return [{**row, "b_maybe_repeated": False} for row in honest(*args, **kwargs)]

    crm_sync.outbox_claims._handing_out = handing_out


def skips_web_sequence_numbers() -> None:
    honest = crm_sync.committing._reply

    def reply(writing: Any, item: Any, turn: Any, message: Any) -> None:
        item.web_seq += 1
        honest(writing, item, turn, message)

    crm_sync.committing._reply = reply


def handles_the_newest_message_first() -> None:
    honest = SqlTurns.claim

    async def claim(self: SqlTurns, worker: str, limit: int) -> list[Claimed]:
        claims = await honest(self, worker, limit)
        return [replace(claimed, messages=claimed.messages[::-1]) for claimed in claims]

    SqlTurns.claim = claim  # type: ignore[method-assign]


def sends_in_another_order() -> None:
    """The first reply of a chat is held back until the second one has left."""
    honest = TelegramAdapter.send
    held: dict[str, Outbound] = {}
    passed: set[str] = set()

    async def send(self: TelegramAdapter, outbound: Outbound) -> Receipt:
        chat = outbound.chat_id
        if chat not in held and chat not in passed:
            held[chat] = outbound
            return Receipt("1")
        receipt = await honest(self, outbound)
        if chat in held:
            passed.add(chat)
            await honest(self, held.pop(chat))
        return receipt

    TelegramAdapter.send = send  # type: ignore[method-assign]


def fills_the_disk() -> None:
    """Not broken, only out of room: SQLite may not grow beyond the pages the file `quota` names."""
    honest = crm_sync.database_sqlite._run_batch

    def run_batch(connection: Any, batch: Sequence[Any]) -> None:
        pages = int(Path(QUOTA).read_text()) if Path(QUOTA).exists() else 1_000_000
        connection.connection.dbapi_connection.execute(f"PRAGMA max_page_count={pages}").fetchall()
        honest(connection, batch)

    crm_sync.database_sqlite._run_batch = run_batch


BREAKS: dict[str, Callable[[], None]] = {
    breaking.__name__: breaking
    for breaking in (
        acknowledges_before_the_commit,
        skips_the_version_check,
        commits_turns_twice,
        says_sent_without_sending,
        sends_twice,
        hides_that_a_send_was_repeated,
        skips_web_sequence_numbers,
        handles_the_newest_message_first,
        sends_in_another_order,
        fills_the_disk,
    )
}

if __name__ == "__main__":
    BREAKS[os.environ["FRONTDESK_BROKEN"]]()
    main()
