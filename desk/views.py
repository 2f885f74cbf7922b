"""Saved views: a filter with a name, one's own or shared with everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, or_, select

from bot.errors import InputError, NotFound, NotPermitted
from bot.ports import Clock
from crm_sync.console_tables import saved_views
from crm_sync.conversation_lists import LISTS, InboxFilter
from crm_sync.database import Database
from crm_sync.seen import user_id
from crm_sync.tables import staff_users
from desk.actors import Actor

SCREENS: Final = ("inbox", "cases", "customers", "reports")
MOST: Final = 50  # of one person and screen
LONGEST: Final = 60
LARGEST: Final = 4000  # characters of a filter


@dataclass(frozen=True, slots=True)
class SavedView:
    """`by`: who made it. `filter`: as the screen wrote it."""

    id: int
    screen: str
    title: str
    filter: Mapping[str, Any]
    is_shared: bool
    by: str


class ViewDesk:
    """Views belong to accounts; a token of the API sees the shared ones and makes none."""

    def __init__(self, database: Database, clock: Clock) -> None:
        self._database, self._clock = database, clock

    async def of(self, actor: Actor, screen: str) -> list[SavedView]:
        """One's own views of a screen and the shared ones, by title. Raises: InputError."""
        _check(screen)

        def unit(conn: Connection) -> list[SavedView]:
            who = user_id(conn, actor.name)
            mine = or_(saved_views.c.user_id == who, saved_views.c.is_shared)
            rows = conn.execute(_VIEWS.where(saved_views.c.screen == screen, mine).order_by(saved_views.c.title))
            return [_view(row) for row in rows]

        return await self._database.run(unit, read=True)

    async def save(
        self, actor: Actor, screen: str, title: str, wanted: Mapping[str, Any], *, is_shared: bool = False
    ) -> SavedView:
        """The view is there; one's own of the same title is replaced. Sharing needs conversations.assign.

        Raises: NotPermitted, InputError.
        """
        _check(screen)
        name = title.strip()
        if not 0 < len(name) <= LONGEST or len(str(dict(wanted))) > LARGEST:
            raise InputError(f"a view has a title of 1 to {LONGEST} characters and a short filter")
        if screen == "inbox":
            inbox_filter(wanted)
        if is_shared:
            actor.require("conversations.assign")
        now = self._clock.now()

        def unit(conn: Connection) -> SavedView:
            who = user_id(conn, actor.name)
            if who is None:
                raise NotPermitted("only an account has views")
            mine = (saved_views.c.user_id == who, saved_views.c.screen == screen)
            conn.execute(delete(saved_views).where(*mine, saved_views.c.title == name))
            if len(conn.execute(select(saved_views.c.id).where(*mine).limit(MOST)).all()) == MOST:
                raise InputError(f"there are {MOST} views already; remove one first")
            row = {"user_id": who, "screen": screen, "title": name, "filter": dict(wanted), "is_shared": is_shared}
            made = conn.execute(insert(saved_views).values(**row, at=now))
            view_id: int = made.inserted_primary_key[0]  # type: ignore[index]  # one row, one key
            return SavedView(view_id, screen, name, dict(wanted), is_shared, actor.name)

        return await self._database.run(unit)

    async def remove(self, actor: Actor, view_id: int) -> None:
        """The view is gone. Of others' only shared ones, by those who may assign. Raises: NotFound, NotPermitted."""

        def unit(conn: Connection) -> None:
            row = conn.execute(_VIEWS.where(saved_views.c.id == view_id)).first()
            if row is None or (row.by != actor.name and not row.is_shared):
                raise NotFound(f"there is no view {view_id}")
            if row.by != actor.name:
                actor.require("conversations.assign")
            conn.execute(delete(saved_views).where(saved_views.c.id == view_id))

        await self._database.run(unit)


def inbox_filter(wanted: Mapping[str, Any]) -> InboxFilter:
    """The filter of a saved view of the inbox. Raises: InputError for a field or list there is none of."""
    plain = asdict(InboxFilter())
    for name, value in wanted.items():
        if name not in plain or (value is not None and name != "min_priority" and type(value) is not type(plain[name])):
            known = ", ".join(field.name for field in fields(InboxFilter))
            raise InputError(f"{name!r} is no filter of the inbox, or not of that kind; there are {known}")
    found = InboxFilter(**wanted)
    if found.list not in LISTS or not isinstance(found.min_priority, int | None):
        raise InputError("this filter names no list of the inbox")
    return found


_VIEWS: Final = select(saved_views, staff_users.c.name.label("by")).join_from(
    saved_views, staff_users, staff_users.c.id == saved_views.c.user_id
)


def _view(row: Any) -> SavedView:
    return SavedView(row.id, row.screen, row.title, row.filter, row.is_shared, row.by)


def _check(screen: str) -> None:
    if screen not in SCREENS:
        raise InputError(f"views are kept for {', '.join(SCREENS)}")
