"""The board of cases: columns by status, promises by day, and one act on many cases with a result for each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from bot.errors import BotError, InputError, ServiceError
from bot.service_types import Site
from crm_sync.case_board import DueLine, count_by_status, due_lines, newest_event
from crm_sync.case_lists import BoardFilter, CaseLine, list_cases
from crm_sync.database import Database
from crm_sync.sites import active_sites
from desk.actors import Actor
from desk.paging import MOST, PAGE, Page, page_of, read_cursor

__all__ = ["COLUMNS", "CaseBoard", "Column", "Done", "DueLine"]
COLUMNS: Final = ("received", "assigned", "in_progress", "waiting_customer", "reopened", "solved")
IN_COLUMN: Final = 20
MOST_AT_ONCE: Final = 200  # cases of one act


@dataclass(frozen=True, slots=True)
class Column:
    """Open cases of one status: how many fit, and the newest of them."""

    status: str
    count: int
    page: Page[CaseLine]


@dataclass(frozen=True, slots=True)
class Done:
    """What became of one case of many. `error`: why nothing did; None: it is done."""

    number: str
    error: BotError | None = None


class CaseBoard:
    """Cases as a member of staff may see them side by side."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def columns(self, actor: Actor, which: BoardFilter, *, limit: int = IN_COLUMN) -> tuple[Column, ...]:
        """Every open status with its newest cases. Raises: NotPermitted, NotFound."""
        actor.require("cases.read")

        def unit(conn: Connection) -> tuple[Column, ...]:
            counts = count_by_status(conn, replace(which, status=""))
            return tuple(
                Column(status, counts.get(status, 0), _page(conn, replace(which, status=status), None, limit))
                for status in COLUMNS
            )

        return await self._database.run(unit, read=True)

    async def page(self, actor: Actor, which: BoardFilter, *, cursor: str = "", limit: int = PAGE) -> Page[CaseLine]:
        """A page of cases, the newest first. Raises: NotPermitted, NotFound, InputError for a cursor that is none."""
        actor.require("cases.read")
        after = read_cursor(cursor, int)
        before = after[0] if after else None
        return await self._database.run(lambda conn: _page(conn, which, before, min(limit, MOST - 1)), read=True)

    async def due(
        self,
        actor: Actor,
        which: BoardFilter,
        since: datetime,
        until: datetime,
        *,
        cursor: str = "",
        limit: int = MOST,
    ) -> Page[DueLine]:
        """Promises of open cases that run out in this time, the soonest first.

        Raises: NotPermitted, NotFound for a site there is none of, InputError for a cursor that is none.
        """
        actor.require("cases.read")
        after = read_cursor(cursor, datetime, int)

        def unit(conn: Connection) -> Page[DueLine]:
            begins = (after[0], after[1]) if after else None
            rows = due_lines(conn, which, since, until, after=begins, limit=limit + 1)
            return page_of(rows, limit, lambda line: (line.due_at, line.clock_id))

        return await self._database.run(unit, read=True)

    async def newest(self) -> int:
        """A number that is another one whenever something has happened to a case: open boards then look again."""
        return await self._database.run(newest_event, read=True)

    async def sites(self, actor: Actor) -> tuple[Site, ...]:
        """Where cases may belong. Raises: NotPermitted."""
        actor.require("cases.read")
        return await self._database.run(active_sites, read=True)


async def on_each(numbers: Sequence[str], act: Callable[[str], Awaitable[Any]]) -> tuple[Done, ...]:
    """The act is done on every case for itself: what one of them does not allow holds up none of the others.

    Raises: InputError for none or too many; ServiceError when the store is gone.
    """
    wanted = tuple(dict.fromkeys(numbers))
    if not 0 < len(wanted) <= MOST_AT_ONCE:
        raise InputError(f"choose 1 to {MOST_AT_ONCE} cases")
    results = []
    for number in wanted:
        try:
            await act(number)
            results.append(Done(number))
        except ServiceError:
            raise
        except BotError as error:
            results.append(Done(number, error))
    return tuple(results)


def _page(conn: Connection, which: BoardFilter, before: int | None, limit: int) -> Page[CaseLine]:
    return page_of(list_cases(conn, which, before=before, limit=limit + 1), limit, lambda line: (line.id,))
