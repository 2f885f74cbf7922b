"""The staff's inbox: lists of conversations as each of them sees them, page by page, and how many there are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from bot.errors import InputError, NotFound
from crm_sync.conversation_lists import (
    LISTS,
    MOST_COUNTED,
    InboxFilter,
    Place,
    Sight,
    changed_since,
    counted,
    page_ids,
    those_in,
)
from crm_sync.conversation_rows import ConversationRow, rows_of
from crm_sync.database import Database
from desk.actors import Actor
from desk.paging import MOST, PAGE, Page, read_cursor, write_cursor
from desk.sight import sight_of, visible

__all__ = ["LISTS", "MOST_COUNTED", "ConversationRow", "InboxDesk", "InboxFilter"]
_IN_BADGES: Final = ("mine", "queue", "all", "unanswered", "snoozed")


class InboxDesk:
    """Reads only; what staff do with a conversation is in desk.conversations and desk.handoff."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(
        self, actor: Actor, which: InboxFilter | str = "all", *, cursor: str = "", limit: int = PAGE
    ) -> Page[ConversationRow]:
        """A page of a list: mine and all: last spoken in first; queue: most urgent first, then longest waiting;
        unanswered: longest first; snoozed: those that wake first; closed: last closed first.

        At most MOST rows. Raises: NotPermitted, InputError for a list there is none of or a foreign cursor.
        """
        wanted = _filter(which)
        sight, after, most = sight_of(actor), _read(cursor, wanted.list), max(1, min(limit, MOST))
        return await self._database.run(lambda conn: _page(conn, sight, wanted, after, most), read=True)

    async def counts(
        self, actor: Actor, lists: Sequence[str] = _IN_BADGES, *, within: InboxFilter | None = None
    ) -> Mapping[str, int]:
        """How many conversations each list has; MOST_COUNTED means that many or more ("999+").

        `within`: only those that a filter takes. Raises: NotPermitted, InputError.
        """
        filters = {name: _filter(replace(within or InboxFilter(), list=name)) for name in lists}
        sight = sight_of(actor)
        return await self._database.run(lambda conn: counted(conn, sight, lists, filters.__getitem__), read=True)

    async def row(self, actor: Actor, conversation_id: int) -> ConversationRow:
        """The line of one conversation as it is now. Raises: NotPermitted, NotFound (also where it is not visible)."""

        def unit(conn: Connection) -> ConversationRow:
            visible(conn, actor, conversation_id)
            found = rows_of(conn, [conversation_id], actor.name)
            if not found:
                raise NotFound(f"there is no conversation {conversation_id}")
            return found[0]

        return await self._database.run(unit, read=True)

    async def rows(self, actor: Actor, which: InboxFilter | str, ids: Sequence[int]) -> list[ConversationRow]:
        """The lines of those of `ids` that the list has now; the others have left it, or are not to be seen.

        Raises: NotPermitted, InputError.
        """
        wanted, sight = _filter(which), sight_of(actor)

        def unit(conn: Connection) -> list[ConversationRow]:
            return rows_of(conn, those_in(conn, sight, wanted, ids[:MOST]), sight.name)

        return await self._database.run(unit, read=True)

    async def changed_since(self, at: datetime) -> list[int]:
        """Ids of conversations that changed since then, for whoever tells consoles what a lost hint left out."""
        return await self._database.run(lambda conn: changed_since(conn, at, MOST), read=True)


def _page(conn: Connection, sight: Sight, which: InboxFilter, after: Place | None, limit: int) -> Page[ConversationRow]:
    places = page_ids(conn, sight, which, after, limit + 1)
    shown = places[:limit]
    rows = tuple(rows_of(conn, [row_id for _, row_id, _ in shown], sight.name))
    return Page(rows, write_cursor(which.list, *shown[-1]) if len(places) > limit else "")


def _filter(which: InboxFilter | str) -> InboxFilter:
    wanted = InboxFilter(list=which) if isinstance(which, str) else which
    if wanted.list not in LISTS:
        raise InputError(f"there is no list {wanted.list!r}; there are {', '.join(LISTS)}")
    return wanted


def _read(cursor: str, name: str) -> Place | None:
    found = read_cursor(cursor, str, datetime, int, int)
    if found is None:
        return None
    if found[0] != name or None in found:
        raise InputError("the cursor belongs to another list; begin with the first page")
    return found[1], found[2], found[3]
