"""Who of the staff did or saw what: written in the transaction of the deed, read by whoever may, checked as a chain."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection

from bot.errors import InputError
from crm_sync import audit_chain
from crm_sync.audit_chain import AuditLine, Head
from crm_sync.database import Database
from desk.actors import Actor
from desk.paging import MOST, PAGE, Page, page_of, read_cursor

CHUNK: Final = 1000  # lines checked at a time
SYSTEM: Final = "system"


@dataclass(frozen=True, slots=True)
class AuditFilter:
    """Which lines; empty fields stand for all. `action` ending in a dot: all that begin with it."""

    actor: str = ""
    object: str = ""
    action: str = ""
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What checking the chain found. `broken_at`: the first wrong line, None when all is as it was written.

    reasons: missing, changed, moved, unknown_key (marked with a key that is not set any more), cut (lines after it
    are gone), head (the noted end of the chain was changed), note (it is not the line noted elsewhere)
    """

    lines: int
    hash: str
    broken_at: int | None = None
    reason: str = ""


def record(
    conn: Connection, actor: Actor | str, action: str, subject: str, details: Mapping[str, Any], *, now: datetime
) -> AuditLine:
    """The deed is in the log once the caller's transaction is committed. Call it last: appends wait for each other.

    `subject` is kind:id, e.g. conversation:12. `details` hold ids and names of fields, never what somebody said or is
    called. `actor` as text: "system", or who signs in.
    """
    name = actor if isinstance(actor, str) else actor.name
    return audit_chain.append(conn, actor=name, action=action, subject=subject, details=details, now=now)


def record_view(conn: Connection, actor: Actor, subject: str, now: datetime) -> bool:
    """That the actor sees this is in the log, once within each hour; whether it was written now.

    The action is the kind with .view: conversation.view for conversation:12.
    """
    action, hour = _view(subject), now.replace(minute=0, second=0, microsecond=0)
    if audit_chain.has_looked(conn, actor.name, action, subject, hour):
        return False
    record(conn, actor, action, subject, {}, now=now)
    return True


async def saw(database: Database, actor: Actor, subject: str, now: datetime) -> bool:
    """As `record_view` in a transaction of its own, which writes only when there is something to write."""
    action, hour = _view(subject), now.replace(minute=0, second=0, microsecond=0)
    look = partial(audit_chain.has_looked, actor=actor.name, action=action, subject=subject, since=hour)
    if await database.run(look, read=True):
        return False
    return await database.run(lambda conn: record_view(conn, actor, subject, now))


def _view(subject: str) -> str:
    return f"{subject.partition(':')[0]}.view"


class AuditDesk:
    """The log as those who may read it see it."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lines(
        self, actor: Actor, which: AuditFilter | None = None, *, cursor: str = "", limit: int = PAGE
    ) -> Page[AuditLine]:
        """A page of it, the newest first. Raises: NotPermitted, InputError for a cursor that is none."""
        actor.require("audit.read")
        which, after, limit = which or AuditFilter(), read_cursor(cursor, int), max(1, min(limit, MOST))

        def unit(conn: Connection) -> Page[AuditLine]:
            found = audit_chain.lines(
                conn,
                actor=which.actor,
                subject=which.object,
                action=which.action,
                since=which.since,
                until=which.until,
                before=None if after is None else after[0],
                limit=limit + 1,
            )
            return page_of(found, limit, lambda line: (line.id,))

        return await self._database.run(unit, read=True)

    async def verify(self, actor: Actor, *, noted: str = "") -> Verdict:
        """Whether every line is as it was written. `noted`: count:hash of an earlier verdict, kept outside the store.

        Raises: NotPermitted, InputError for a note that cannot be read.
        """
        actor.require("audit.read")
        noted_line, noted_hash = _read_note(noted)
        head, last, last_hash = await self._database.run(audit_chain.head_of, read=True), 0, ""
        while last < head.lines:
            found, broken = await self._database.run(
                partial(_checked, last_id=last, last_hash=last_hash, until=head.lines), read=True
            )
            if broken is not None:
                return Verdict(head.lines, head.hash, *broken)
            if not found:
                return Verdict(head.lines, head.hash, last + 1, "cut")
            if last < noted_line <= found[-1].id and found[noted_line - found[0].id].hash != noted_hash:
                return Verdict(head.lines, head.hash, noted_line, "note")
            last, last_hash = found[-1].id, found[-1].hash
        if noted_line > last:
            return Verdict(head.lines, head.hash, last + 1, "cut")
        return await self._database.run(partial(_ends_well, head=head, last_hash=last_hash), read=True)


def _checked(
    conn: Connection, last_id: int, last_hash: str, until: int
) -> tuple[list[AuditLine], tuple[int, str] | None]:
    found = audit_chain.after(conn, last_id, min(CHUNK, until - last_id))
    return found, next(audit_chain.breaks(conn, found, last_id, last_hash), None)


def _ends_well(conn: Connection, head: Head, last_hash: str) -> Verdict:
    """The end that was read first, and that lines since then hang on it."""
    reason = audit_chain.head_is_ours(conn, head) or ("" if head.hash == last_hash else "changed")
    if reason:
        return Verdict(head.lines, head.hash, head.lines, reason if reason == "unknown_key" else "head")
    now = audit_chain.head_of(conn)
    if audit_chain.highest(conn) != now.lines or now.lines < head.lines:
        return Verdict(head.lines, head.hash, min(now.lines, head.lines) + 1, "head")
    return Verdict(head.lines, head.hash)


def _read_note(noted: str) -> tuple[int, str]:
    if not noted:
        return 0, ""
    count, _, mark = noted.partition(":")
    if not count.isascii() or not count.isdigit() or not mark:
        raise InputError("a note of the audit log reads COUNT:HASH, as verify prints it")
    return int(count), mark
