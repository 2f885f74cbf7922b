"""Idempotency keys of the API: (token, route, key) stands for one request and its answer, for a day."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import Connection

from bot.ports import Clock
from crm_sync import api_answers
from crm_sync.columns import digest_key
from crm_sync.database import Database

KEPT: Final = timedelta(hours=24)
# Longer than any request takes. After it the process that worked on one is taken for dead; what it may have done before
# it died was one transaction, and sends are kept apart by their own ids.
ABANDONED: Final = timedelta(minutes=2)
Name = tuple[str, str, str, str]  # token, method, path, key


class KeyReused(Exception):
    """The key stands for another request."""


class InProgress(Exception):
    """The same request is being worked on."""


@dataclass(frozen=True, slots=True)
class Kept:
    """What the request was answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class ApiAnswers:
    """The answers in the store."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def begin(self, name: Name, digest: str) -> Kept | None:
        """None: the caller does the request now, and says `keep` or `forget` after it; else the answer there was.

        `digest`: of all that makes the request what it is. Raises: KeyReused, InProgress.
        """
        now, key = self._clock.now(), digest_key(*name)

        def unit(conn: Connection) -> Kept | None:
            if api_answers.begin(conn, key, digest, now):
                return None
            row = api_answers.find_locked(conn, key)
            if row is None:  # forgotten in between by whoever had it
                raise InProgress
            if row.at < now - KEPT or (row.status is None and row.at < now - ABANDONED):
                api_answers.take_over(conn, key, digest, now)
                return None
            if row.digest != digest:
                raise KeyReused
            if row.status is None:
                raise InProgress
            return Kept(row.status, row.headers, row.body or b"")

        return await self._database.run(unit)

    async def keep(self, name: Name, answer: Kept) -> None:
        """Whoever asks again is given this."""
        key = digest_key(*name)
        await self._database.run(lambda conn: api_answers.keep(conn, key, answer.status, answer.headers, answer.body))

    async def forget(self, name: Name) -> None:
        """The request was not done; it may be tried again under its key."""
        key = digest_key(*name)
        await self._database.run(lambda conn: api_answers.forget(conn, key))

    async def prune(self) -> int:
        """Answers of more than a day ago are gone; how many."""
        before = self._clock.now() - KEPT
        return await self._database.run(lambda conn: api_answers.prune(conn, before))
