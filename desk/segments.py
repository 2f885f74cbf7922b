"""Segments as staff make them: looked at while they are written (how many, who), kept by name, archived."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection

from bot.business_time import zone
from bot.errors import InputError
from bot.ports import Clock
from bot.reach.segment_words import describe
from bot.reach.segments import Node, read_segment
from bot.service.policy import ServicePolicy
from crm_sync import broadcasts, segment_sql, stored_segments
from crm_sync.customer_lists import CustomerLine, line_of
from crm_sync.database import Database
from crm_sync.stored_segments import StoredSegment
from desk.actors import Actor
from desk.audit import record
from desk.paging import MOST, PAGE, Page, page_of, read_cursor

SAMPLE: Final = 10
NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,59}")


@dataclass(frozen=True, slots=True)
class SegmentLook:
    """Whom a definition means now: in words (language -> sentence), how many, and some of them."""

    words: Mapping[str, str]
    count: int
    sample: tuple[CustomerLine, ...]


class SegmentDesk:
    """Whoever reads broadcasts sees segments, whoever prepares them makes segments."""

    def __init__(
        self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock, timezone: Callable[[], str]
    ) -> None:
        """`timezone`: IANA name of the business's zone, whose days are meant."""
        self._database, self._policy, self._clock, self._timezone = database, policy, clock, timezone

    async def page(
        self, actor: Actor, *, archived: bool = False, cursor: str = "", limit: int = PAGE
    ) -> Page[StoredSegment]:
        """Segments by name. Raises: NotPermitted, InputError for a cursor that is none."""
        actor.require("broadcasts.read")
        after, limit = read_cursor(cursor, str), max(1, min(limit, MOST))

        def unit(conn: Connection) -> Page[StoredSegment]:
            behind = None if after is None else after[0]
            found = stored_segments.page(conn, after=behind, limit=limit + 1, archived=archived)
            return page_of(found, limit, lambda segment: (segment.name,))

        return await self._database.run(unit, read=True)

    async def show(self, actor: Actor, name: str) -> StoredSegment:
        """Raises: NotPermitted, NotFound."""
        actor.require("broadcasts.read")
        return await self._database.run(lambda conn: stored_segments.get(conn, name), read=True)

    async def look(self, actor: Actor, definition: Any) -> SegmentLook:
        """Whom the definition means now; nothing is kept. Raises: NotPermitted, AssistantInvalid."""
        actor.require("broadcasts.read")
        actor.require("customers.read")
        rules = self._policy().record
        segment, now, start = read_segment(definition, rules.types()), self.now(), secrets.randbelow(1_000) / 1_000
        titles = {name: attribute.names for name, attribute in rules.attributes.items()}
        words = {language: describe(segment, language, titles) for language in ("en", "zh")}

        def unit(conn: Connection) -> SegmentLook:
            ids = segment_sql.sample(conn, segment, now, SAMPLE, start=start)
            lines = [line_of(conn, each) for each in ids]
            shown = tuple(line for line in lines if line is not None)
            return SegmentLook(words, segment_sql.count(conn, segment, now), shown)

        return await self._database.run(unit, read=True)

    async def save(
        self, actor: Actor, name: str, definition: Any, *, title: str = "", version: int | None = None
    ) -> StoredSegment:
        """The segment is kept and says this. `version`: the one that was seen; None: it is new. What was approved for
        those it meant before is not approved any more.

        Raises: NotPermitted, AssistantInvalid, InputError for a name that is none or taken, NotFound, StaleState.
        """
        actor.require("broadcasts.write")
        checked_name(name)
        read_segment(definition, self._policy().record.types())
        now = self._clock.now()

        def unit(conn: Connection) -> StoredSegment:
            written = {"title": title.strip()[:200], "definition": definition}
            before = None if version is None else stored_segments.get(conn, name).definition
            segment = stored_segments.save(conn, name, version, by=actor.name, now=now, **written)
            record(conn, actor, "segment.save", f"segment:{name}", {"version": segment.version}, now=now)
            if before is not None and before != segment.definition:
                for each in broadcasts.segment_changed(conn, name, now):
                    void = {"state": each.state.value, "segment": name}
                    record(conn, actor, "broadcast.audience_changed", f"broadcast:{each.id}", void, now=now)
            return segment

        return await self._database.run(unit)

    async def archive(self, actor: Actor, name: str, *, version: int | None) -> StoredSegment:
        """It is offered no more; `version` None: whatever it says now. Raises: NotPermitted, NotFound, StaleState."""
        actor.require("broadcasts.write")
        now = self._clock.now()

        def unit(conn: Connection) -> StoredSegment:
            seen = version if version is not None else stored_segments.get(conn, name).version
            segment = stored_segments.archive(conn, name, seen, now)
            record(conn, actor, "segment.archive", f"segment:{name}", {"version": segment.version}, now=now)
            return segment

        return await self._database.run(unit)

    def now(self) -> datetime:
        """Now, in the zone whose days segments mean."""
        return self._clock.now().astimezone(zone(self._timezone()))

    def read(self, conn: Connection, segment: str, where: Any) -> Node:
        """The condition of a segment by name, or of a definition given with it (`where`).

        Raises: NotFound, AssistantInvalid.
        """
        definition = stored_segments.get(conn, segment).definition if segment else where
        return read_segment(definition, self._policy().record.types())


def checked_name(name: str) -> None:
    """Raises: InputError for a name that is none."""
    if not NAME.fullmatch(name):
        raise InputError("a name has 1 to 60 small letters, digits and dashes, and begins with a letter or digit")
