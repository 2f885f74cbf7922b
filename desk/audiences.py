"""Lists of people: a segment as it is now, a file that is uploaded, those who are left out of every broadcast named."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.errors import InputError
from bot.reach.segments import Node
from crm_sync import audience_lists, import_jobs
from crm_sync.audience_lists import AudienceList
from crm_sync.customer_lists import CustomerLine, line_of
from crm_sync.database import Database
from crm_sync.import_rows import RowError
from crm_sync.imports import How, ImportReport, import_file
from crm_sync.tables import customers
from crm_sync.uploaded_lists import AGAIN, DOUBLE, SHARED, STRANGER, TWO_PEOPLE, list_kind
from desk.actors import Actor
from desk.audit import record
from desk.paging import MOST, PAGE, Page, page_of, read_cursor
from desk.segments import SegmentDesk, checked_name

_STRANGERS: Final = (STRANGER, SHARED, TWO_PEOPLE)


@dataclass(frozen=True, slots=True)
class Upload:
    """A list that was uploaded, and every line that put nobody on it, with the reason."""

    list: AudienceList
    errors: tuple[RowError, ...]
    encoding: str = ""  # in which the file was read; a workbook has none


class AudienceDesk:
    """Whoever reads broadcasts sees lists; whoever prepares them makes lists."""

    def __init__(self, database: Database, segments: SegmentDesk, zone: ZoneInfo) -> None:
        self._database, self._segments, self._zone = database, segments, zone

    async def page(self, actor: Actor, *, kind: str = "", cursor: str = "", limit: int = PAGE) -> Page[AudienceList]:
        """Lists, the newest first. Raises: NotPermitted, InputError for a cursor that is none."""
        actor.require("broadcasts.read")
        after, limit = read_cursor(cursor, int), max(1, min(limit, MOST))

        def unit(conn: Connection) -> Page[AudienceList]:
            before = None if after is None else after[0]
            found = audience_lists.page(conn, before=before, limit=limit + 1, kind=kind)
            return page_of(found, limit, lambda each: (each.id,))

        return await self._database.run(unit, read=True)

    async def show(self, actor: Actor, name: str) -> AudienceList:
        """Raises: NotPermitted, NotFound."""
        actor.require("broadcasts.read")
        return await self._database.run(lambda conn: audience_lists.get(conn, name), read=True)

    async def people(self, actor: Actor, name: str, *, cursor: str = "", limit: int = PAGE) -> Page[CustomerLine]:
        """Who is on it. Raises: NotPermitted, NotFound, InputError for a cursor that is none."""
        actor.require("broadcasts.read")
        actor.require("customers.read")
        after, limit = read_cursor(cursor, int), max(1, min(limit, MOST))

        def unit(conn: Connection) -> Page[CustomerLine]:
            on_it = audience_lists.people_on(audience_lists.get(conn, name).id)
            behind = on_it.where(customers.c.id > (0 if after is None else after[0]))
            ids = [row.id for row in conn.execute(behind.order_by(customers.c.id).limit(limit + 1))]
            lines = [line for line in (line_of(conn, each) for each in ids) if line is not None]
            return page_of(lines, limit, lambda line: (line.id,))

        return await self._database.run(unit, read=True)

    async def snapshot(
        self,
        actor: Actor,
        name: str,
        *,
        segment: str = "",
        where: Any = None,
        kind: Literal["snapshot", "exclusion"] = "snapshot",
    ) -> AudienceList:
        """Everybody a segment (by name, or a definition) means now is on a new list.

        Raises: NotPermitted, NotFound, AssistantInvalid, InputError for a name that is none or taken.
        """
        actor.require("broadcasts.write")
        checked_name(name)
        if bool(segment) == (where is not None):
            raise InputError("a list is made of a segment's name or of a definition, one of them")
        now, source = self._segments.now(), segment or "definition"

        def unit(conn: Connection) -> tuple[Node, int]:
            meant = self._segments.read(conn, segment, where)
            return meant, audience_lists.begin(conn, name, kind, source, by=actor.name, now=now)

        meant, list_id = await self._database.run(unit)
        await audience_lists.fill(self._database, list_id, meant, now)
        return await self._database.run(partial(_ready, actor=actor, list_id=list_id, now=now))

    async def upload(
        self,
        actor: Actor,
        name: str,
        file: Path,
        *,
        kind: Literal["upload", "exclusion"] = "upload",
        mapping: Mapping[str, str] | None = None,
        shown_as: str = "",
    ) -> Upload:
        """The people whom lines of a CSV or XLSX file name are on a new list. `shown_as`: the file's own name.

        Raises: NotPermitted, InputError for a name that is none or taken or a file that cannot be read.
        """
        actor.require("broadcasts.write")
        actor.require("customers.read")
        checked_name(name)
        now, source = self._segments.now(), shown_as or file.name
        begun = partial(audience_lists.begin, name=name, kind=kind, source=source, by=actor.name, now=now)
        list_id = await self._database.run(begun)
        how = How(self._zone)
        report = await import_file(
            self._database, list_kind(list_id), file, mapping=mapping, how=how, author=actor.name, now=lambda: now
        )
        done = await self._database.run(partial(_ready, actor=actor, list_id=list_id, now=now, report=report))
        return Upload(done, tuple(report.errors), report.encoding)

    async def errors(self, actor: Actor, name: str) -> tuple[RowError, ...]:
        """Every line of an uploaded list that put nobody on it. Raises: NotPermitted, NotFound."""
        actor.require("broadcasts.read")

        def unit(conn: Connection) -> tuple[RowError, ...]:
            kind = list_kind(audience_lists.get(conn, name).id).name
            job = import_jobs.latest_of(conn, kind)
            return () if job is None else tuple(import_jobs.all_errors(conn, job.id))

        return await self._database.run(unit, read=True)

    async def put_person(self, actor: Actor, name: str, customer_id: int, *, listed: bool = True) -> AudienceList:
        """The person is on the list, or is not any more. Raises: NotPermitted, NotFound, CustomerNotFound."""
        actor.require("broadcasts.write")
        now = self._segments.now()

        def unit(conn: Connection) -> AudienceList:
            listing = audience_lists.get(conn, name)
            if audience_lists.put_member(conn, listing.id, customer_id, listed=listed):
                details = {"customer": customer_id, "listed": listed}
                record(conn, actor, "audience.person", f"audience:{name}", details, now=now)
            return audience_lists.get(conn, name)

        return await self._database.run(unit)

    async def archive(self, actor: Actor, name: str) -> None:
        """It is offered no more. Raises: NotPermitted, NotFound."""
        actor.require("broadcasts.write")
        now = self._segments.now()

        def unit(conn: Connection) -> None:
            audience_lists.archive(conn, name, now)
            record(conn, actor, "audience.archive", f"audience:{name}", {}, now=now)

        await self._database.run(unit)


def _ready(
    conn: Connection, actor: Actor, list_id: int, now: datetime, report: ImportReport | None = None
) -> AudienceList:
    reasons = [error.reason for error in report.errors] if report else []
    done = audience_lists.finish(
        conn,
        list_id,
        rows=report.inserted + len(reasons) if report else 0,
        duplicates=sum(reason == AGAIN or f" {DOUBLE} " in reason for reason in reasons),
        strangers=sum(reason in _STRANGERS for reason in reasons),
    )
    details = {"kind": done.kind, "members": done.members, "strangers": done.strangers}
    record(conn, actor, "audience.add", f"audience:{done.name}", details, now=now)
    return done
