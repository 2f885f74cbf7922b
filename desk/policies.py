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
from bot.service.staffed import read_policy_with
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
from desk.library import AssistantLibrary

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


async def what_if(
    database: Database,
    old: ServicePolicy,
    new: ServicePolicy,
    *,
    days: int,
    now: datetime,
    desk: ServicePolicy | None = None,
) -> WhatIf:
    """The complaints of the last `days` that go by the old policy, under both. Changes nothing.

    `desk`: the rules of all its assistants, which tell whose complaints go by `old`; None: it holds those itself.
    Severities are those the cases have now: what a changed reading of words would make of them is not asked.
    """
    found: list[CaseHistory] = []
    after: int | None = 0
    while after is not None:
        lines, after = await database.run(partial(_chunk, now - timedelta(days=days), after), read=True)
        found += [case_history(line) for line in lines if (desk or old).of(line.account) is old]
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
    """The rules as those who may see or change them do. `policy` gives those in force for the whole desk.

    `assistant`, here and in the methods: the one whose rules they are, there with "" for the desk's default one.
    """

    def __init__(
        self,
        database: Database,
        policy: Callable[[], ServicePolicy],
        assistant: str,
        clock: Clock,
        library: AssistantLibrary | None = None,
    ) -> None:
        self._database, self._policy, self._assistant, self._clock = database, policy, assistant, clock
        self._library = library

    async def history(self, actor: Actor, *, assistant: str = "") -> list[StoredPolicy]:
        """Every version that was put into the store, the newest first. Raises: NotPermitted, NotFound."""
        actor.require("settings.read")
        return await history(self._database, self._named(assistant))

    async def put(
        self, actor: Actor, document: Any, *, note: str, version: int | None = None, assistant: str = ""
    ) -> int:
        """The rules hold from now on; their version. `version`: the newest one seen (0: none was ever put).

        Raises: NotPermitted, AssistantInvalid, StaleState, NotFound.
        """
        actor.require("settings.write")
        read_policy(document)
        now, name = self._clock.now(), self._named(assistant)

        def unit(conn: Connection) -> int:
            newest = policies.newest(conn, name)
            if version is not None and version != (newest.version if newest else 0):
                raise StaleState("the rules were changed by somebody else; look at them again")
            put = policies.put(conn, name, document, note=note, author=actor.name, now=now)
            record(conn, actor, "policy.put", f"policy:{put}", {"assistant": name}, now=now)
            return put

        return await self._database.run(unit)

    async def what_if(self, actor: Actor, document: Any, *, days: int, assistant: str = "") -> WhatIf:
        """The complaints of the last days under these rules. Raises: NotPermitted, AssistantInvalid, NotFound."""
        actor.require("settings.read")
        desk, name = self._policy(), self._named(assistant)
        known = None if self._library is None else self._library.assistant(name)
        old = desk if known is None or name == self._assistant else known.service
        new = read_policy(document) if known is None else read_policy_with(document, known.hours)
        return await what_if(self._database, old, new, days=days, now=self._clock.now(), desk=desk)

    def _named(self, assistant: str) -> str:
        """Raises: NotFound."""
        if assistant and assistant != self._assistant and self._library is not None:
            self._library.assistant(assistant)
        return assistant or self._assistant
