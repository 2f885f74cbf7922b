"""Customers' files that still lie with a vendor: wanted in the transaction that accepts the message, fetched later.

A claim is a lease of five minutes; its number (`attempts`) is checked when the file is stored, so that of two processes
that fetched the same file only one stores it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, delete, or_, select, tuple_, update

from bot.ports import Clock
from crm_sync.columns import is_state
from crm_sync.database import Database
from crm_sync.media.library import SqlMediaLibrary
from crm_sync.tables import media

LEASE: Final = timedelta(minutes=5)  # longer than fetching, scanning and storing may take together
GIVE_UP_AFTER: Final = timedelta(days=3)  # WeChat keeps files of customers for three days, others longer
MOST_DEATHS: Final = 5  # a file at whose handling the process ends again and again is left alone
_BEING_FETCHED: Final = "being fetched"  # found at the next claim, it says that whoever claimed before died
FIRST_PAUSE_S, LONGEST_PAUSE_S = 10.0, 3600.0


@dataclass(frozen=True, slots=True)
class WantedFile:
    """A claimed file. `size` is the vendor's word, `attempt` the claim's number."""

    row_id: int
    channel: str
    account: str
    file_id: str
    file_name: str
    size: int | None
    attempt: int
    wanted_since: datetime


class WantedFiles:
    """The queue of files to fetch; any number of processes may work on it."""

    def __init__(self, database: Database, library: SqlMediaLibrary, clock: Clock) -> None:
        self._database, self._library, self._clock = database, library, clock

    async def claim(self, accounts: Collection[tuple[str, str]], limit: int) -> list[WantedFile]:
        """Files of these accounts that are due, oldest first; nobody else gets them for five minutes."""
        if not accounts:
            return []
        now = self._clock.now()
        return await self._database.run(lambda conn: _claim(conn, accounts, limit, now))

    async def store(self, wanted: WantedFile, content: bytes, file_name: str) -> bool:
        """The file is checked and stored with its message; False when the claim was lost or the person erased.

        Raises: FileRefused, ServiceUnavailable, StoreUnavailable; the file is still wanted then.
        """
        prepared = await self._library.prepare(content, file_name or wanted.file_name)
        key, now = await self._library.keep(prepared, conversation_id=None), self._clock.now()
        facts = prepared.facts()
        del facts["kind"]  # what the message called it: a voice message is more than any sound
        values = {**facts, "key": key, "stored_at": now, "expires_at": now + self._library.retention}
        if await self._database.run(lambda conn: _settle(conn, wanted, values)):
            return True
        await self._library.take_back(key)
        return False

    async def refuse(self, wanted: WantedFile, reason: str) -> None:
        """The file will not be fetched; staff see why."""
        await self._database.run(lambda conn: _change(conn, wanted, {"state": "refused", "reason": reason}))

    async def release(self, wanted: WantedFile) -> None:
        """The file is due again at once."""
        await self._database.run(lambda conn: _change(conn, wanted, {"not_before": None, "reason": ""}))

    async def retry(self, wanted: WantedFile, reason: str, *, after_s: float | None = None) -> bool:
        """The file is due again after a growing pause (or `after_s`); False when it was given up after three days."""
        now = self._clock.now()
        if now - wanted.wanted_since >= GIVE_UP_AFTER:
            await self.refuse(wanted, f"given up: {reason}")
            return False
        pause_s = min(FIRST_PAUSE_S * 2 ** min(wanted.attempt - 1, 20), LONGEST_PAUSE_S)
        due = now + timedelta(seconds=max(pause_s, after_s or 0.0))
        await self._database.run(lambda conn: _change(conn, wanted, {"not_before": due, "reason": reason}))
        return True


def _claim(conn: Connection, accounts: Collection[tuple[str, str]], limit: int, now: datetime) -> list[WantedFile]:
    due = conn.execute(
        select(media)
        .where(
            is_state(media.c.state, "wanted"),
            tuple_(media.c.channel, media.c.account).in_(sorted(accounts)),
            or_(media.c.not_before.is_(None), media.c.not_before <= now),
        )
        .order_by(media.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()
    deadly = [row.id for row in due if row.attempts >= MOST_DEATHS and row.reason == _BEING_FETCHED]
    if deadly:
        conn.execute(
            update(media)
            .where(media.c.id.in_(deadly))
            .values(state="refused", reason="handling it never came to an end")
        )
        due = [row for row in due if row.id not in deadly]
    if due:
        conn.execute(
            update(media)
            .where(media.c.id.in_([row.id for row in due]))
            .values(attempts=media.c.attempts + 1, not_before=now + LEASE, reason=_BEING_FETCHED)
        )
    return [
        WantedFile(
            row.id, row.channel, row.account, row.file_id, row.file_name, row.size, row.attempts + 1, row.created_at
        )
        for row in due
    ]


def _ours(wanted: WantedFile) -> Any:
    return (media.c.id == wanted.row_id) & is_state(media.c.state, "wanted") & (media.c.attempts == wanted.attempt)


def _settle(conn: Connection, wanted: WantedFile, values: dict[str, Any]) -> bool:
    """The wanted row takes over the key of the row that was the journal of its bytes."""
    if conn.execute(select(media.c.id).where(_ours(wanted)).with_for_update()).first() is None:
        return False
    journal = delete(media).where(media.c.key == values["key"], is_state(media.c.state, "storing"))
    if conn.execute(journal).rowcount != 1:
        return False
    _change(conn, wanted, {**values, "state": "stored", "is_kept": True, "reason": "", "not_before": None})
    return True


def _change(conn: Connection, wanted: WantedFile, values: dict[str, Any]) -> None:
    conn.execute(update(media).where(_ours(wanted)).values(**values))
