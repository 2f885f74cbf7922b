"""A conversation as staff work in it: its history with all that was said elsewhere, and setting it aside or closing it.

Writing in it is in desk.replies, notes are in desk.notes, who holds it is in desk.handoff.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, func, select

from bot.errors import InputError, NotHolding
from crm_sync import conversation_history as history
from crm_sync import snoozing
from crm_sync.conversation_history import Entry, HistoryEvent, HistoryMessage, HistoryNote
from crm_sync.conversation_rows import ConversationRow, rows_of
from crm_sync.database import Database
from crm_sync.message_lines import Delivery, File, Understood
from crm_sync.reply_windows import left_in
from crm_sync.seen import mark_seen
from crm_sync.tables import messages, outbox
from desk.actors import Actor
from desk.audit import record, saw
from desk.live import tell
from desk.outside import Outside
from desk.paging import read_cursor, write_cursor
from desk.sight import sight_of, visible

__all__ = [
    "ConversationDesk",
    "ConversationView",
    "Delivery",
    "Entry",
    "File",
    "HistoryEvent",
    "HistoryMessage",
    "HistoryNote",
    "HistoryPage",
    "OtherTalk",
    "Understood",
    "Window",
]
PAGE: Final = 100
MOST: Final = 200
LONGEST_SNOOZE: Final = timedelta(days=366)
_DEEDS: Final = {
    "snoozed": "snooze",
    "woken": "wake",
    "closed": "close",
    "reopened": "reopen",
}  # as the audit log has them
Now = Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class HistoryPage:
    """A stretch of a history, the oldest first. `older`: cursor of what came before, "" where nothing did;
    `newest`: what to ask `updates` with. `changed`: messages of before that read differently now.
    """

    entries: tuple[Entry, ...]
    older: str = ""
    newest: str = ""
    changed: tuple[HistoryMessage, ...] = ()


@dataclass(frozen=True, slots=True)
class Window:
    """What may still be said freely; not counted: no limit. `held`: replies that wait until the customer writes."""

    is_counted: bool
    left: int = 0
    closes_at: datetime | None = None
    held: int = 0


@dataclass(frozen=True, slots=True)
class OtherTalk:
    """Another conversation of the same person."""

    id: int
    channel: str
    account: str
    status: str
    owner: str
    last_message_at: datetime | None


@dataclass(frozen=True, slots=True)
class ConversationView:
    """All that the pane of an open conversation shows."""

    row: ConversationRow
    history: HistoryPage
    window: Window
    zone: str  # IANA name of where the customer is, as far as known
    zone_is_own: bool  # known of this customer, not only of the account
    others: tuple[OtherTalk, ...]
    is_mine: bool  # the actor holds it and may write
    can_edit: bool  # the channel lets us change what was sent


class ConversationDesk:
    """Each method checks what the actor may and sees; what they don't see is NotFound."""

    def __init__(self, database: Database, outside: Outside) -> None:
        self._database, self._outside = database, outside

    # --- reading ------------------------------------------------------------------------------------------------

    async def open(
        self, actor: Actor, conversation_id: int, *, merged: bool = True, limit: int = PAGE
    ) -> ConversationView:
        """The conversation with the newest page of its history; `merged`: with the person's other conversations that
        the actor sees. Raises: NotPermitted, NotFound.
        """
        now, most = self._outside.clock.now(), max(1, min(limit, MOST))

        def unit(conn: Connection) -> ConversationView:
            found = visible(conn, actor, conversation_id)
            talks = history.talks_of(conn, sight_of(actor), found.customer_id)
            ids = _ids(talks, conversation_id, merged=merged)
            (row,) = rows_of(conn, [conversation_id], actor.name)
            can = self._outside.can(found.channel)
            return ConversationView(
                row=row,
                history=_page(conn, ids, None, None, most),
                window=_window(conn, found, now, is_counted=can is not None and can.is_windowed),
                zone=row.timezone or self._outside.zone(row.channel, row.account),
                zone_is_own=bool(row.timezone),
                others=tuple(_other(talk) for talk in talks if talk.id != conversation_id),
                is_mine=found.owner == "operator" and found.operator == actor.name,
                can_edit=can is not None and (can.direct or can.can_edit),
            )

        view = await self._database.run(unit, read=True)
        await saw(self._database, actor, f"conversation:{conversation_id}", now)
        return self._linked(view)

    async def older(
        self, actor: Actor, conversation_id: int, cursor: str, *, merged: bool = True, limit: int = PAGE
    ) -> HistoryPage:
        """The page before the one that gave the cursor. Raises: NotPermitted, NotFound, InputError."""
        place, most = read_cursor(cursor, int, datetime), max(1, min(limit, MOST))
        before, until = place or (None, None)

        def unit(conn: Connection) -> HistoryPage:
            ids = self._talks(conn, actor, conversation_id, merged=merged)
            return _page(conn, ids, before, until, most)

        return self._page_linked(await self._database.run(unit, read=True))

    async def updates(
        self, actor: Actor, conversation_id: int, newest: str, *, merged: bool = True, limit: int = MOST
    ) -> HistoryPage:
        """What came since the page whose `newest` this is. Raises: NotPermitted, NotFound, InputError."""
        found = read_cursor(newest, str, int, int)
        if found is None:
            raise InputError("ask with what `open` or `updates` gave as `newest`")
        known, most = _Known(_reached(found[0]), found[1], found[2]), max(1, min(limit, MOST))

        def unit(conn: Connection) -> HistoryPage:
            ids = self._talks(conn, actor, conversation_id, merged=merged)
            return _updates(conn, ids, known, most)

        return self._page_linked(await self._database.run(unit, read=True))

    async def messages(self, actor: Actor, conversation_id: int, ids: Sequence[int]) -> list[HistoryMessage]:
        """These messages as they are now, e.g. those not yet delivered; of the person's visible conversations only.

        Raises: NotPermitted, NotFound.
        """
        wanted = sorted(set(ids))[:MOST]

        def unit(conn: Connection) -> list[HistoryMessage]:
            talks = self._talks(conn, actor, conversation_id, merged=True)
            of_theirs = messages.c.id.in_(wanted) & messages.c.conversation_id.in_(talks)
            return history.lines(conn, conn.execute(select(messages.c.id).where(of_theirs)).scalars().all())

        return [self._message_linked(item) for item in await self._database.run(unit, read=True)]

    async def unsettled(self, actor: Actor, conversation_id: int, known: Collection[int] = ()) -> list[HistoryMessage]:
        """Messages of ours here that are on their way or did not leave, and these ones, as they are now.

        Raises: NotPermitted, NotFound.
        """

        def unit(conn: Connection) -> list[HistoryMessage]:
            talks = self._talks(conn, actor, conversation_id, merged=True)
            wanted = {*known, *history.unsettled(conn, conversation_id)}
            of_theirs = messages.c.id.in_(wanted) & messages.c.conversation_id.in_(talks)
            return history.lines(conn, conn.execute(select(messages.c.id).where(of_theirs)).scalars().all())

        return [self._message_linked(item) for item in await self._database.run(unit, read=True)]

    async def window(self, actor: Actor, conversation_id: int) -> Window:
        """What may still be said here. Raises: NotPermitted, NotFound."""
        now = self._outside.clock.now()

        def unit(conn: Connection) -> Window:
            row = visible(conn, actor, conversation_id)
            can = self._outside.can(row.channel)
            return _window(conn, row, now, is_counted=can is not None and can.is_windowed)

        return await self._database.run(unit, read=True)

    # --- without changing whose it is ----------------------------------------------------------------------------

    async def seen(self, actor: Actor, conversation_id: int, message_id: int) -> None:
        """The actor has read everything up to this message; never goes back. Raises: NotPermitted, NotFound."""
        now = self._outside.clock.now()

        def unit(conn: Connection) -> None:
            visible(conn, actor, conversation_id)
            mark_seen(conn, actor.name, conversation_id, message_id, now)

        await self._database.run(unit, durable=False)

    async def present(self, actor: Actor, conversation_id: int, doing: str = "viewing") -> None:
        """Others who have it open see for a few seconds that the actor is viewing it, is typing, or has left.

        Nothing is stored. Raises: NotPermitted, NotFound, InputError.
        """
        if doing not in ("viewing", "typing", "left"):
            raise InputError("one is viewing, typing, or has left")
        await self._database.run(lambda conn: visible(conn, actor, conversation_id), read=True)
        tell(self._outside.signals, conversation_id, doing, user=actor.name)

    async def snooze(self, actor: Actor, conversation_id: int, until: datetime, *, fence: int | None = None) -> None:
        """It is out of the way until then, or until the customer writes.

        Raises: NotPermitted, NotFound, InputError for a time that is past or far away, NotHolding, StaleState.
        """
        now = self._outside.clock.now()
        if not now < until <= now + LONGEST_SNOOZE:
            raise InputError("a conversation is set aside until a time that is still to come, a year at most")
        await self._set(actor, conversation_id, partial(snoozing.snooze, until=until, now=now), "snoozed", fence)

    async def wake(self, actor: Actor, conversation_id: int) -> None:
        """It is among the open ones again. Raises: NotPermitted, NotFound, NotHolding."""
        await self._set(actor, conversation_id, snoozing.reopen, "woken", None)

    async def close(self, actor: Actor, conversation_id: int, *, fence: int | None = None) -> None:
        """It is done with, until the customer writes again. Raises: NotPermitted, NotFound, NotHolding, StaleState."""
        now = self._outside.clock.now()
        await self._set(actor, conversation_id, partial(snoozing.close, by=actor.name, now=now), "closed", fence)

    async def reopen(self, actor: Actor, conversation_id: int) -> None:
        """It is among the open ones again. Raises: NotPermitted, NotFound, NotHolding."""
        await self._set(actor, conversation_id, snoozing.reopen, "reopened", None)

    async def _set(
        self,
        actor: Actor,
        conversation_id: int,
        change: Callable[[Connection, Any], None],
        kind: str,
        fence: int | None,
    ) -> None:
        actor.require("conversations.reply")
        now = self._outside.clock.now()

        def unit(conn: Connection) -> None:
            row = visible(conn, actor, conversation_id, lock=True)
            snoozing.check_fence(row, fence)
            is_others = row.owner == "operator" and row.operator != actor.name
            if is_others and not actor.may("conversations.assign"):
                raise NotHolding(row.owner, row.operator)
            change(conn, row)
            record(conn, actor, f"conversation.{_DEEDS[kind]}", f"conversation:{conversation_id}", {}, now=now)

        await self._database.run(unit)
        tell(self._outside.signals, conversation_id, kind, user=actor.name)

    # --- whose history ------------------------------------------------------------------------------------------

    def _talks(self, conn: Connection, actor: Actor, conversation_id: int, *, merged: bool) -> list[int]:
        found = visible(conn, actor, conversation_id)
        talks = history.talks_of(conn, sight_of(actor), found.customer_id) if merged else []
        return _ids(talks, conversation_id, merged=merged)

    def _linked(self, view: ConversationView) -> ConversationView:
        return replace(view, history=self._page_linked(view.history))

    def _page_linked(self, page: HistoryPage) -> HistoryPage:
        entries = tuple(
            self._message_linked(item) if isinstance(item, HistoryMessage) else item for item in page.entries
        )
        return replace(page, entries=entries, changed=tuple(self._message_linked(item) for item in page.changed))

    def _message_linked(self, message: HistoryMessage) -> HistoryMessage:
        """With addresses where its files can be had for a while."""
        library = self._outside.library
        if library is None or not message.files:
            return message
        files = [
            replace(file, url=library.link(file.media_id)) if file.state == "stored" and file.media_id else file
            for file in message.files
        ]
        return replace(message, files=tuple(files))


def _ids(talks: Sequence[Any], conversation_id: int, *, merged: bool) -> list[int]:
    found = [talk.id for talk in talks] if merged else []
    return found if conversation_id in found else [conversation_id, *found]


def _page(
    conn: Connection, talks: Sequence[int], before: int | None, until: datetime | None, limit: int
) -> HistoryPage:
    ids = history.ids_before(conn, talks, before, limit + 1)
    said = history.lines(conn, ids[:limit])
    has_more = len(ids) > limit
    since = said[0].at if has_more else None
    beside = history.beside(conn, talks, since, until)
    older = write_cursor(said[0].id, said[0].at) if has_more else ""
    newest = _newest(history.newest(conn, talks), *history.newest_beside(conn, talks)) if before is None else ""
    return HistoryPage(history.merged(said, beside), older, newest)


@dataclass(frozen=True, slots=True)
class _Known:
    """What a console has of a history: the newest message of each conversation, note and change of hands."""

    reached: Mapping[int, int]
    notes: int
    events: int


def _updates(conn: Connection, talks: Sequence[int], known: _Known, limit: int) -> HistoryPage:
    reached = {talk: known.reached.get(talk, 0) for talk in talks}
    ids = history.ids_after(conn, reached, limit)
    found = history.lines(conn, ids)
    changed = [row_id for row_id in history.changed_by(conn, ids) if row_id not in ids]
    beside = history.beside_after(conn, talks, known.notes, known.events)
    for item in found:
        reached[item.conversation_id] = max(reached[item.conversation_id], item.id)
    notes = max([known.notes, *(item.id for item in beside if isinstance(item, HistoryNote))])
    events = max([known.events, *(item.id for item in beside if isinstance(item, HistoryEvent))])
    return HistoryPage(
        history.merged([item for item in found if not item.is_edit], beside),
        newest=_newest(reached, notes, events),
        changed=tuple(history.lines(conn, changed)),
    )


def _newest(reached: Mapping[int, int], notes: int, events: int) -> str:
    return write_cursor(",".join(f"{talk}:{last}" for talk, last in sorted(reached.items())), notes, events)


def _reached(written: str) -> dict[int, int]:
    try:
        pairs = [pair.split(":") for pair in written.split(",")]
        return {int(talk): int(last) for talk, last in pairs}
    except ValueError as exc:
        raise InputError("the cursor is none of those that were given out") from exc


def _window(conn: Connection, row: Any, now: datetime, *, is_counted: bool) -> Window:
    if not is_counted:
        return Window(is_counted=False)
    held = conn.execute(
        select(func.count()).select_from(outbox).where(outbox.c.conversation_id == row.id, outbox.c.is_held)
    ).scalar_one()
    state = left_in(conn, [row.id], now).get(row.id)
    return Window(True, 0 if state is None else state.left, None if state is None else state.closes_at, held)


def _other(talk: Any) -> OtherTalk:
    return OtherTalk(talk.id, talk.channel, talk.account, talk.status, talk.owner, talk.last_message_at)
