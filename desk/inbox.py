"""The staff's inbox: lists of conversations as each of them sees them, page by page, and how many there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Final

from sqlalchemy import Connection

from bot.errors import InputError, NotFound
from bot.service.handoff import HandoffRules
from crm_sync.conversation_lists import (
    LISTS,
    MOST_COUNTED,
    InboxFilter,
    Place,
    changed_since,
    counted,
    page_ids,
)
from crm_sync.conversation_rows import ConversationRow, SharedRow, rows_of, shared_rows
from crm_sync.database import Database
from crm_sync.list_counts import counts_of
from crm_sync.list_membership import is_shown
from desk.actors import Actor
from desk.paging import MOST, PAGE, Page, read_cursor, write_cursor
from desk.sight import sight_of, visible

__all__ = ["LISTS", "MOST_COUNTED", "ConversationRow", "InboxDesk", "InboxFilter", "SharedRow", "line_for"]
_IN_BADGES: Final = ("mine", "queue", "all", "unanswered", "snoozed")


class InboxDesk:
    """Reads only; what staff do with a conversation is in desk.conversations and desk.handoff."""

    def __init__(self, database: Database, handoff: Callable[[], HandoffRules] = HandoffRules) -> None:
        """`handoff`: the rules by which the queue is ordered, as they are now."""
        self._database, self._handoff = database, handoff

    async def page(
        self, actor: Actor, which: InboxFilter | str = "all", *, cursor: str = "", limit: int = PAGE
    ) -> Page[ConversationRow]:
        """A page of a list: mine and all: last spoken in first; queue: as customers are told their place, by points and
        waiting time; unanswered: longest first; snoozed: those that wake first; closed: last closed first.

        At most MOST rows. Raises: NotPermitted, InputError for a list there is none of or a foreign cursor.
        """
        wanted = _filter(which)
        sight, after, most = sight_of(actor), _read(cursor, wanted.list), max(1, min(limit, MOST))
        rules = self._handoff()

        def unit(conn: Connection) -> Page[ConversationRow]:
            places = page_ids(conn, sight, wanted, after, limit=most + 1, ageing=rules.ageing)
            shown = places[:most]
            rows = rows_of(conn, [row_id for _, row_id in shown], sight.name)
            following = write_cursor(wanted.list, *shown[-1]) if len(places) > most else ""
            return Page(tuple(_ranked(row, rules) for row in rows), following)

        return await self._database.run(unit, read=True)

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

    async def shared(self, ids: Sequence[int]) -> dict[int, SharedRow]:
        """The lines of at most MOST conversations, read once for all whose consoles are open; those that are gone are
        left out. Whoever hands one on asks `line_for` what a member of staff sees of it.
        """
        wanted, rules = ids[:MOST], self._handoff()
        found = await self._database.run(lambda conn: shared_rows(conn, wanted), read=True)
        return {line.row.id: replace(line, row=_ranked(line.row, rules)) for line in found}

    async def shared_counts(self, actors: Iterable[Actor]) -> Mapping[str, Mapping[str, int]]:
        """By name: what `counts` would say to each of them; who sees no conversations is left out."""
        sights = list({actor.name: sight_of(actor) for actor in actors if actor.may("conversations.read")}.values())
        return await self._database.run(lambda conn: counts_of(conn, sights, _IN_BADGES), read=True)

    async def changed_since(self, at: datetime) -> list[int]:
        """Ids of conversations that changed since then, for whoever tells consoles what a lost hint left out."""
        return await self._database.run(lambda conn: changed_since(conn, at, MOST), read=True)


def line_for(actor: Actor, which: InboxFilter, line: SharedRow) -> ConversationRow | None:
    """The line as the actor sees it in this list; None where the list has not got it, or it is not theirs to see.

    Raises: NotPermitted for a role that sees none.
    """
    sight = sight_of(actor)
    return line.of(actor.name) if is_shown(sight, which, line.row) else None


def _ranked(row: ConversationRow, rules: HandoffRules) -> ConversationRow:
    """With its place in the queue, for those that wait."""
    return row if row.waiting_since is None else replace(row, rank=rules.rank(row.priority, row.waiting_since))


def _filter(which: InboxFilter | str) -> InboxFilter:
    wanted = InboxFilter(list=which) if isinstance(which, str) else which
    if wanted.list not in LISTS:
        raise InputError(f"there is no list {wanted.list!r}; there are {', '.join(LISTS)}")
    return wanted


def _read(cursor: str, name: str) -> Place | None:
    found = read_cursor(cursor, str, datetime, int)
    if found is None:
        return None
    if found[0] != name or None in found:
        raise InputError("the cursor belongs to another list; begin with the first page")
    return found[1], found[2]
