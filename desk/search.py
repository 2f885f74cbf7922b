"""Search over people and what was said, as far as the one who searches sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection

from bot.search_words import Span, query_of
from crm_sync.database import Database
from crm_sync.searching import FoundMessage, FoundPerson, find_messages, find_people
from desk.actors import Actor
from desk.paging import MOST, read_cursor, write_cursor
from desk.sight import sight_of

__all__ = ["FoundMessage", "FoundPerson", "SearchDesk", "SearchPage", "Span"]
PAGE: Final = 30


@dataclass(frozen=True, slots=True)
class SearchPage:
    """People come with the first page only. `next`: cursor of further messages; "": there are none."""

    people: tuple[FoundPerson, ...]
    messages: tuple[FoundMessage, ...]
    next: str = ""


class SearchDesk:
    """What is not visible is not found."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def search(self, actor: Actor, typed: str, *, cursor: str = "", limit: int = PAGE) -> SearchPage:
        """People by name, phone, e-mail, id, case or order number; messages that hold all the words, newest first.

        Who may read customer records also finds people nobody has talked with. Raises: NotPermitted, InputError.
        """
        sight, place, most = sight_of(actor), read_cursor(cursor, int), max(1, min(limit, MOST))
        query = query_of(typed)

        def unit(conn: Connection) -> SearchPage:
            every = actor.may("customers.read")
            people = find_people(conn, sight, typed, every=every) if place is None and typed.strip() else []
            before = place[0] if place else None
            found = find_messages(conn, sight, query, before=before, limit=most + 1)
            following = write_cursor(found[most - 1].message_id) if len(found) > most else ""
            return SearchPage(tuple(people), tuple(found[:most]), following)

        return await self._database.run(unit, read=True)
