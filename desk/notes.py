"""Notes beside a conversation with @mentions, and the notices that call somebody of the staff."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, select

from bot.errors import InputError, NotFound, NotPermitted
from bot.ports import TOPIC_DESK
from crm_sync import conversation_notes as notes
from crm_sync import staff_notices
from crm_sync.conversation_history import HistoryNote
from crm_sync.database import Database
from crm_sync.seen import user_id
from crm_sync.staff_notices import ABOUT_CASES, StaffNotice
from crm_sync.tables import staff_users
from desk.actors import Actor
from desk.live import tell
from desk.outside import Outside
from desk.paging import MOST, PAGE, Page, page_of, read_cursor
from desk.sight import visible

__all__ = ["ABOUT_CASES", "Colleague", "HistoryNote", "NoteDesk", "StaffNotice"]
LONGEST: Final = 4000  # characters of one note


@dataclass(frozen=True, slots=True)
class Colleague:
    """Whom a note can call."""

    name: str
    shown_as: str
    presence: str


class NoteDesk:
    """Customers never see any of this."""

    def __init__(self, database: Database, outside: Outside) -> None:
        self._database, self._outside = database, outside

    async def add(self, actor: Actor, conversation_id: int, text: str) -> HistoryNote:
        """The note is kept; whoever it calls with @name (account, or as customers see them) has a notice.

        Raises: NotPermitted, NotFound, InputError without words or with too many.
        """
        actor.require("conversations.reply")
        said, now = _words(text), self._outside.clock.now()

        def unit(conn: Connection) -> HistoryNote:
            visible(conn, actor, conversation_id, lock=True)  # locked: notes get their ids in the order they appear
            mentions = notes.staff_called(conn, said)
            note = notes.add(conn, conversation_id, by=actor.name, text=said, mentions=mentions, now=now)
            called = set(mentions) - {actor.name}
            place = {"conversation_id": conversation_id, "reference": str(note.id), "by": actor.name}
            staff_notices.notify(conn, called, "mention", now, **place)  # type: ignore[arg-type]
            return note

        note = await self._database.run(unit)
        self._told(conversation_id, note.mentions)
        return note

    async def change(self, actor: Actor, conversation_id: int, note_id: int, text: str) -> None:
        """One's own note says this; whoever is called anew has a notice. Raises: as `add`."""
        actor.require("conversations.reply")
        said, now = _words(text), self._outside.clock.now()

        def unit(conn: Connection) -> set[str]:
            visible(conn, actor, conversation_id)
            row = notes.locked(conn, conversation_id, note_id)
            if row is None:
                raise NotFound(f"there is no note {note_id} here")
            if row.by != actor.name:
                raise NotPermitted("only one's own notes can be changed")
            mentions = notes.staff_called(conn, said)
            notes.change(conn, note_id, text=said, mentions=mentions, now=now)
            called = set(mentions) - set(row.mentions) - {actor.name}
            place = {"conversation_id": conversation_id, "reference": str(note_id), "by": actor.name}
            staff_notices.notify(conn, called, "mention", now, **place)  # type: ignore[arg-type]
            return called

        self._told(conversation_id, sorted(await self._database.run(unit)))

    async def colleagues(self, actor: Actor) -> list[Colleague]:
        """Whom a note can call, by name. Raises: NotPermitted."""
        actor.require("conversations.read")
        found = select(staff_users.c.name, staff_users.c.display_name, staff_users.c.presence).where(
            staff_users.c.disabled_at.is_(None)
        )

        def unit(conn: Connection) -> list[Colleague]:
            rows = conn.execute(found.order_by(staff_users.c.name))
            return [Colleague(row.name, row.display_name or row.name, row.presence) for row in rows]

        return await self._database.run(unit, read=True)

    # --- the bell -------------------------------------------------------------------------------------------------

    async def notices(
        self, actor: Actor, *, unread: bool = False, cursor: str = "", limit: int = PAGE
    ) -> Page[StaffNotice]:
        """What calls the actor, the newest first. A token of the API has none. Raises: InputError."""
        place, most = read_cursor(cursor, int), max(1, min(limit, MOST))

        def unit(conn: Connection) -> Page[StaffNotice]:
            who = user_id(conn, actor.name)
            if who is None:
                return Page(())
            before = place[0] if place else None
            found = staff_notices.notices_of(conn, who, before=before, limit=most + 1, unread=unread)
            return page_of(found, most, lambda notice: (notice.id,))

        return await self._database.run(unit, read=True)

    async def unread(self, actor: Actor) -> int:
        """How many notices are unread; `MOST_COUNTED` of crm_sync.staff_notices means that many or more."""

        def unit(conn: Connection) -> int:
            who = user_id(conn, actor.name)
            return 0 if who is None else staff_notices.unread_of(conn, who)

        return await self._database.run(unit, read=True)

    async def newest(self) -> int:
        """A mark for `called`: what comes after it is news."""
        return await self._database.run(staff_notices.newest_id, read=True)

    async def called(self, after: int) -> list[tuple[int, str]]:
        """(id, whose) of the notices written since, by whatever process, the oldest first. For open consoles alone."""
        return await self._database.run(lambda conn: staff_notices.called_after(conn, after), read=True)

    async def mark_read(self, actor: Actor, ids: Sequence[int] | None = None) -> int:
        """These of the actor's notices (None: all) are read; how many were not."""
        now = self._outside.clock.now()

        def unit(conn: Connection) -> int:
            who = user_id(conn, actor.name)
            return 0 if who is None else staff_notices.read(conn, who, ids, now)

        count = await self._database.run(unit)
        if count:
            self._outside.signals.publish(TOPIC_DESK, {"user": actor.name, "kind": "notices"})
        return count

    def _told(self, conversation_id: int, names: Sequence[str]) -> None:
        tell(self._outside.signals, conversation_id, "note")
        for name in names:
            self._outside.signals.publish(TOPIC_DESK, {"user": name, "kind": "notices"})


def _words(text: str) -> str:
    said = text.replace("\r\n", "\n").strip()
    if not said:
        raise InputError("a note says something")
    if len(said) > LONGEST:
        raise InputError(f"a note has at most {LONGEST} characters; this one has {len(said)}")
    return said
