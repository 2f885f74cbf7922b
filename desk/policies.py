"""Changing the rules of the service desk: what last month would have looked like first, then the new version."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot.errors import StaleState
from bot.ports import Clock
from bot.service.policy import ServicePolicy, read_policy
from bot.service.what_if import (
    ANSWERED,
    CLOSED,
    PAUSED,
    REOPENED,
    RESUMED,
    SOLVED,
    CaseHistory,
    Happening,
    WhatIf,
    compare,
)
from crm_sync import policies
from crm_sync.database import Database
from crm_sync.policies import CaseLine, StoredPolicy
from desk.actors import Actor
from desk.audit import record

CHUNK = 500  # cases read at a time
_STATUS = {
    "waiting_customer": PAUSED,
    "solved": SOLVED,
    "confirmed": CLOSED,
    "withdrawn": CLOSED,
    "reopened": REOPENED,
}


async def history(database: Database, assistant: str) -> list[StoredPolicy]:
    """Every version that was put into the store, the newest first."""
    return await database.run(lambda conn: policies.versions(conn, assistant), read=True)


async def put_policy(
    database: Database, assistant: str, document: Any, *, note: str, author: str, now: datetime
) -> int:
    """The rules hold from now on, also for clocks that are running; their version.

    Raises: AssistantInvalid with file, line and reason when they make no sense; nothing is changed then.
    """
    read_policy(document)
    return await database.run(lambda conn: policies.put(conn, assistant, document, note=note, author=author, now=now))


async def what_if(database: Database, old: ServicePolicy, new: ServicePolicy, *, days: int, now: datetime) -> WhatIf:
    """The complaints of the last `days` under both policies. Changes nothing.

    Severities are those the cases have now: what a changed reading of words would make of them is not asked.
    """
    found: list[CaseHistory] = []
    after: int | None = 0
    while after is not None:
        lines, after = await database.run(partial(_chunk, now - timedelta(days=days), after), read=True)
        found += [case_history(line) for line in lines]
    return compare(found, old, new, now)


def _chunk(since: datetime, after: int, conn: Any) -> tuple[list[CaseLine], int | None]:
    return policies.case_lines(conn, since, after, CHUNK)


def case_history(line: CaseLine) -> CaseHistory:
    """A case's events as its clocks see them."""
    happenings: list[Happening] = []
    is_paused = False
    for at, kind, author, status in line.events:
        what = _STATUS.get(status)
        if is_paused and status and what != PAUSED:
            happenings.append(Happening(at, RESUMED))
        if author in ("operator", "site") and kind != "opened":
            happenings.append(Happening(at, ANSWERED))
        if what is not None:
            happenings.append(Happening(at, what))
        if status:
            is_paused = what == PAUSED
    return CaseHistory(line.number, line.opened_at, line.severity, line.site_calendar, tuple(happenings))


class PolicyDesk:
    """The rules as those who may see or change them do. `policy` gives those in force for the assistant."""

    def __init__(self, database: Database, policy: Callable[[], ServicePolicy], assistant: str, clock: Clock) -> None:
        self._database, self._policy, self._assistant, self._clock = database, policy, assistant, clock

    async def history(self, actor: Actor) -> list[StoredPolicy]:
        """Every version that was put into the store, the newest first. Raises: NotPermitted."""
        actor.require("settings.read")
        return await history(self._database, self._assistant)

    async def put(self, actor: Actor, document: Any, *, note: str, version: int | None = None) -> int:
        """The rules hold from now on; their version. `version`: the newest one seen (0: none was ever put).

        Raises: NotPermitted, AssistantInvalid, StaleState.
        """
        actor.require("settings.write")
        read_policy(document)
        now = self._clock.now()

        def unit(conn: Connection) -> int:
            newest = policies.newest(conn, self._assistant)
            if version is not None and version != (newest.version if newest else 0):
                raise StaleState("the rules were changed by somebody else; look at them again")
            put = policies.put(conn, self._assistant, document, note=note, author=actor.name, now=now)
            record(conn, actor, "policy.put", f"policy:{put}", {"assistant": self._assistant}, now=now)
            return put

        return await self._database.run(unit)

    async def what_if(self, actor: Actor, document: Any, *, days: int) -> WhatIf:
        """The complaints of the last days under these rules. Raises: NotPermitted, AssistantInvalid."""
        actor.require("settings.read")
        return await what_if(self._database, self._policy(), read_policy(document), days=days, now=self._clock.now())
