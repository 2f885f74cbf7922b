"""Reports for staff: what was, compared with as many days before, with the way down to the conversations it counts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, time
from functools import partial
from typing import Any

from sqlalchemy import Connection

from bot.business_time import zone
from bot.errors import InputError, NotFound
from bot.ports import Clock
from bot.service.care import CareRules
from bot.types import Language
from crm_sync import report_facts, reports
from crm_sync.database import Database
from crm_sync.reports import Span
from crm_sync.sites import names_by_key
from desk.actors import Actor
from desk.paging import PAGE, Page, page_of, read_cursor
from desk.report_building import BUILDERS, Building, Titles, Told
from desk.report_learning import LEARNING
from desk.report_types import REPORTS, Drill, Report, ReportQuery
from desk.report_words import LABELS, REPORT_TITLES, headline

MOST_CHUNKS = 4  # counted before a report is read; the rest is the periodic job's


class ReportDesk:
    """Figures for whoever has `reports.read`. `timezone`: the business's."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        timezone: Callable[[], str],
        *,
        titles: Callable[[str, str], Mapping[Language, str] | None] = lambda kind, key: None,
        care: Callable[[], CareRules] = CareRules,
    ) -> None:
        """`titles`: what an intent, category, cause or site is called; None: by its key. `care`: its rules now."""
        self._database, self._clock, self._timezone, self._titles = database, clock, timezone, titles
        self._care = care

    def titles(self) -> Mapping[str, Mapping[Language, str]]:
        """The reports there are, in the order of the menu."""
        return {name: REPORT_TITLES[name] for name in REPORTS}

    async def report(self, actor: Actor, name: str, query: ReportQuery) -> Report:
        """Raises: NotPermitted, NotFound for a report there is none of."""
        actor.require("reports.read")
        await self.count_on(most=MOST_CHUNKS)
        return await self.told(name, query)

    async def told(self, name: str, query: ReportQuery) -> Report:
        """As `report`, from what is counted already and for whoever asks: for scheduled summaries. Raises: NotFound."""
        build = BUILDERS.get(name) or LEARNING.get(name)
        if build is None:
            raise NotFound(f"there is no report {name!r}; there are: {', '.join(REPORTS)}")
        now = self._clock.now()

        def unit(conn: Connection) -> Told:
            spans = self._span(query), self._span(query.before)
            titles = self._with_sites(conn) if query.by == "site" else self._titles
            return build(Building(conn, query, spans[0], spans[1], now, self._zone(), titles, self._care()))

        told = await self._database.run(unit, read=True)
        return Report(
            name=name,
            query=query,
            timezone=self._timezone(),
            made_at=now,
            headline=headline(told.leading),
            figures=told.figures,
            series=told.series,
            columns=told.columns,
            rows=told.rows,
            labels=LABELS,
        )

    async def drill(
        self, actor: Actor, query: ReportQuery, drill: Drill, *, after: str = "", limit: int = PAGE
    ) -> Page[Any]:
        """What a number counts, the newest first: ids of conversations, or numbers of cases.

        Raises: NotPermitted, InputError for a number nobody gave out.
        """
        actor.require("reports.read")
        actor.require("cases.read" if drill.kind == "case" else "conversations.read_all")
        place = read_cursor(after, int)
        before = place[0] if place else None
        span = self._span(query)
        find: Callable[..., Sequence[Any]] = reports.case_ids if drill.kind == "case" else reports.conversation_ids
        try:
            rows: Sequence[Any] = await self._database.run(
                lambda conn: find(conn, span, drill.what, drill.name, before=before, limit=limit + 1), read=True
            )
        except ValueError as exc:
            raise InputError(f"nothing is counted by {drill.what!r}") from exc
        page = page_of(rows, limit, lambda row: (row[0] if isinstance(row, tuple) else row,))
        if drill.kind == "case":
            return Page(tuple(number for _, number in page.items), page.next)
        return page

    async def count_on(self, *, most: int | None = None) -> int:
        """Messages since the last time are part of the figures (at most so many portions); how many there were."""
        counted, portions = 0, 0
        name, local = self._timezone(), self._zone()
        while most is None or portions < most:
            now = self._clock.now()
            found = await self._database.run(partial(report_facts.count_on, zone_name=name, zone=local, now=now))
            counted, portions = counted + found, portions + 1
            if not found:
                break
        return counted

    def _with_sites(self, conn: Connection) -> Titles:
        names = names_by_key(conn)
        return lambda kind, key: names.get(key) if kind == "site" else self._titles(kind, key)

    def _zone(self) -> Any:
        return zone(self._timezone())

    def _span(self, query: ReportQuery) -> Span:
        local = self._zone()
        starts, ends = (datetime.combine(day, time(), local) for day in (query.since, query.until))
        return Span(query.since, query.until, starts, ends, query.channel)
