"""The inbox: everything a channel hands over is committed before the channel is told so.

Callers that arrive while a batch is being committed share the next one: many messages, few statements, one fsync.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

import structlog
from sqlalchemy import Connection, and_, bindparam, select, update

from bot.errors import BotError, DedupeMismatch, StoreUnavailable
from bot.ports import Clock
from bot.types import Accepted, ConversationId, Event, InboxId, Media, MessageId, Received
from crm_sync.addressing import Place, find_or_create
from crm_sync.arrival_notes import follow_moves, note_arrival
from crm_sync.arrivals import Arrival, prepare
from crm_sync.channel_events import apply_event
from crm_sync.codec import wire_event
from crm_sync.columns import key_in
from crm_sync.database import Database
from crm_sync.media.arriving import ArrivedFile, FileSources, note_files
from crm_sync.reply_windows import Opening, open_windows
from crm_sync.rows import new_ids
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import conversations, identities, inbox, messages

log = structlog.get_logger(__name__)

MAX_ROWS: Final = 500  # in one transaction; the rest waits for the next
SEQUENCED_CHANNELS: Final = frozenset({"web", "cli"})  # whose messages carry a web sequence number

_KNOWN = Statement(
    select(inbox.c.dedupe, inbox.c.id, inbox.c.digest, inbox.c.conversation_id, inbox.c.message_id, messages.c.seq)
    .select_from(inbox.outerjoin(messages, messages.c.id == inbox.c.message_id))
    .where(key_in(inbox.c.dedupe, "keys"))
)
_TOUCH = Statement(
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"))
    .values(
        web_seq=bindparam("b_web_seq"),
        dirty_since=bindparam("b_dirty_since"),
        last_inbound_at=bindparam("b_at"),
        last_message_at=bindparam("b_at"),
    )
)
_REOPEN = Statement(  # whoever writes wants an answer, however staff had filed it
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"))
    .values(status="open", snoozed_until=None, closed_at=None)
)
_RENAME = Statement(
    update(identities)
    .where(identities.c.id == bindparam("b_id"))
    .values(display_name=bindparam("b_name"), language_hint=bindparam("b_hint"))
)
_EDITED = Statement(
    select(messages.c.id, messages.c.text, messages.c.seq)
    .where(
        and_(
            messages.c.conversation_id == bindparam("conversation"),
            messages.c.vendor_message_id == bindparam("vendor_id"),
            messages.c.direction == "in",
            messages.c.replaces.is_(None),
        )
    )
    .order_by(messages.c.id)
    .limit(1)
)


@dataclass(slots=True, eq=False)
class _Call:
    """One caller's messages, and what became of them."""

    arrivals: list[Arrival]
    future: asyncio.Future[list[Accepted]]
    outcome: list[Accepted] | DedupeMismatch | None = None


@dataclass(slots=True)
class _Plan:
    """What one transaction is about to write."""

    fresh: list[Arrival] = field(default_factory=list)
    known: dict[str, _Known] = field(default_factory=dict)


@dataclass(slots=True)
class _Known:
    """The row that owns a dedupe key; its ids are filled in once given."""

    digest: str
    accepted: Accepted | None = None


class SqlInbox:
    """Implements `bot.ports.Inbox`."""

    def __init__(self, database: Database, clock: Clock, fault: Callable[[str], None]) -> None:
        self._database, self._clock, self._fault = database, clock, fault
        self.file_sources = FileSources()
        self._waiting: list[_Call] = []
        self._committing: asyncio.Task[None] | None = None

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        """All rows are committed when this returns, in the order given; a redelivery is a no-op.

        Raises: StoreUnavailable, DedupeMismatch; nothing of this call was committed then.
        """
        if not received:
            return []
        call = _Call([prepare(item) for item in received], asyncio.get_running_loop().create_future())
        self._waiting.append(call)
        if self._committing is None:
            self._committing = asyncio.create_task(self._commit_waiting())
        return await call.future

    async def _commit_waiting(self) -> None:
        try:
            while self._waiting:
                await self._commit(self._next_batch())
        finally:
            self._committing = None

    def _next_batch(self) -> list[_Call]:
        rows = 0
        for count, call in enumerate(self._waiting):
            rows += len(call.arrivals)
            if count and rows > MAX_ROWS:
                batch, self._waiting = self._waiting[:count], self._waiting[count:]
                return batch
        batch, self._waiting = self._waiting, []
        return batch

    async def _commit(self, calls: list[_Call]) -> None:
        try:
            await self._database.run(partial(self._write, calls))
        except Exception as exc:  # noqa: BLE001 - every caller waits for an answer, whatever it is
            if len(calls) > 1 and not isinstance(exc, StoreUnavailable):
                for call in calls:  # one caller's odd message must not fail the others
                    await self._commit([call])
                return
            if not isinstance(exc, BotError):
                log.error("inbox_batch_failed", error=type(exc).__name__, messages=sum(len(c.arrivals) for c in calls))
            for call in calls:
                if not call.future.done():
                    call.future.set_exception(exc)
            return
        self._fault("inbox.after_commit")
        for call in calls:
            if call.future.done():  # the caller gave up waiting; its rows are committed all the same
                continue
            if isinstance(call.outcome, DedupeMismatch):
                call.future.set_exception(call.outcome)
            elif call.outcome is not None:
                call.future.set_result(call.outcome)

    def _write(self, calls: Sequence[_Call], conn: Connection) -> None:
        now = self._clock.now()
        _write_calls(conn, calls, now, self.file_sources)
        self._fault("inbox.before_commit")


def _write_calls(conn: Connection, calls: Sequence[_Call], now: datetime, sources: FileSources) -> None:
    everything = [arrival for call in calls for arrival in call.arrivals]
    follow_moves(conn, everything)
    # Locks the conversations first: whoever else holds the same key waits here, and then finds the row below.
    places = find_or_create(conn, [arrival.address for arrival in everything if arrival.address is not None], now)
    for arrival in everything:
        arrival.place = None if arrival.address is None else places[arrival.address]
    plan = _Plan(known=_known_rows(conn, everything))
    for call in calls:
        call.outcome = _add_to_plan(plan, call)
    files = _insert(conn, plan.fresh, plan.known, now)
    if files:
        note_files(conn, files, sources, now)
    for call in calls:
        if call.outcome is None:
            call.outcome = [_accepted(plan, arrival) for arrival in call.arrivals]


def _known_rows(conn: Connection, arrivals: Sequence[Arrival]) -> dict[str, _Known]:
    rows = _KNOWN.rows(conn, {"keys": list({arrival.dedupe for arrival in arrivals})})
    return {
        row.dedupe: _Known(
            row.digest,
            Accepted(
                InboxId(row.id),
                None if row.conversation_id is None else ConversationId(row.conversation_id),
                None if row.message_id is None else MessageId(row.message_id),
                row.seq,
                is_new=False,
            ),
        )
        for row in rows
    }


def _add_to_plan(plan: _Plan, call: _Call) -> DedupeMismatch | None:
    """The call's new arrivals join the plan, all or (for a mismatch) none."""
    fresh: dict[str, Arrival] = {}
    for arrival in call.arrivals:
        arrival.is_new = False
        owner = plan.known.get(arrival.dedupe)
        first = fresh.get(arrival.dedupe)
        digest = owner.digest if owner else first.digest if first else None
        if digest is None:
            arrival.is_new = True
            fresh[arrival.dedupe] = arrival
        elif digest != arrival.digest and arrival.channel == "web":
            return DedupeMismatch("the same client id came with other content")
    for key, arrival in fresh.items():
        plan.fresh.append(arrival)
        plan.known[key] = _Known(arrival.digest)
    return None


def _accepted(plan: _Plan, arrival: Arrival) -> Accepted:
    accepted = plan.known[arrival.dedupe].accepted
    if accepted is None:
        raise AssertionError("a planned row was not inserted")
    if arrival.is_new == accepted.is_new:
        return accepted
    return Accepted(accepted.inbox_id, accepted.conversation_id, accepted.message_id, accepted.seq, arrival.is_new)


def _insert(
    conn: Connection, fresh: Sequence[Arrival], known: Mapping[str, _Known], now: datetime
) -> list[ArrivedFile]:
    """The files that the new messages name; `known` is told their ids."""
    files: list[ArrivedFile] = []
    if not fresh:
        return files
    addressed = sum(arrival.place is not None for arrival in fresh)
    inbox_ids = iter(new_ids(conn, inbox, len(fresh)))
    message_ids = iter(new_ids(conn, messages, addressed))
    inbox_rows: list[dict[str, Any]] = []
    message_rows: list[dict[str, Any]] = []
    touched: dict[int, Place] = {}
    edits: list[tuple[Arrival, dict[str, Any]]] = []
    for arrival in fresh:
        place, inbox_id, message_id, seq = arrival.place, next(inbox_ids), None, None
        if place is not None:
            message_id = next(message_ids)
            touched[place.conversation_id] = place
            if arrival.channel in SEQUENCED_CHANNELS:
                place.web_seq += 1
                seq = place.web_seq
            if arrival.wants_turn and place.dirty_since is None:
                place.dirty_since = now
            row = _message_row(arrival, place, {"id": message_id, "inbox_id": inbox_id, "seq": seq}, now)
            message_rows.append(row)
            if arrival.edits:
                edits.append((arrival, row))
            elif isinstance(arrival.content, Media):
                at = place.conversation_id
                files.append(ArrivedFile(arrival.channel, arrival.account, at, message_id, arrival.content))
        inbox_rows.append(_inbox_row(arrival, place, inbox_id, message_id, now))
        known[arrival.dedupe].accepted = Accepted(
            InboxId(inbox_id),
            None if place is None else ConversationId(place.conversation_id),
            None if message_id is None else MessageId(message_id),
            seq,
            is_new=True,
            visible=None if seq is None or arrival.edits else _event(message_rows[-1]),
        )
    insert_rows(conn, inbox, inbox_rows)
    plain = [row for row in message_rows if not any(row is edit for _, edit in edits)] if edits else message_rows
    insert_rows(conn, messages, plain)
    for arrival, row in edits:
        _insert_edit(conn, arrival, row)
    _TOUCH.change_each(conn, [_touch(place, now) for _, place in sorted(touched.items())])
    written_in = [
        arrival.place for arrival in fresh if arrival.place and not arrival.place.is_open and _is_said(arrival)
    ]
    _REOPEN.change_each(conn, [{"b_id": place.conversation_id} for place in written_in])
    _note_identities(conn, fresh, now)
    _open_windows(conn, fresh, now)
    for arrival in fresh:
        if arrival.place is not None:
            note_arrival(conn, arrival, arrival.place, now)
    return files


def _is_said(arrival: Arrival) -> bool:
    return arrival.author == "customer" and not isinstance(arrival.content, Event)


def _inbox_row(
    arrival: Arrival, place: Place | None, inbox_id: int, message_id: int | None, now: datetime
) -> dict[str, Any]:
    state = "parked" if place is None else "pending" if arrival.wants_turn else "done"
    return {
        "id": inbox_id,
        "dedupe": arrival.dedupe,
        "channel": arrival.channel,
        "account": arrival.account,
        "conversation_id": None if place is None else place.conversation_id,
        "message_id": message_id,
        "state": state,
        "kind": arrival.kind,
        "wants_turn": arrival.wants_turn,
        "message": arrival.document,
        "raw": arrival.raw,
        "digest": arrival.digest,
        "reason": arrival.reason,
        "sent_at": arrival.sent_at,
        "received_at": now,
        "done_at": now if state == "done" else None,
    }


def _message_row(arrival: Arrival, place: Place, ids: Mapping[str, int | None], now: datetime) -> dict[str, Any]:
    return {
        **ids,
        "conversation_id": place.conversation_id,
        "direction": "in" if arrival.author == "customer" else "out",
        "author": arrival.author,
        "kind": arrival.kind,
        "text": arrival.text,
        "content": arrival.extra,
        "vendor_message_id": arrival.vendor_message_id,
        "replaces": None,
        "at": now,
    }


def _event(row: dict[str, Any]) -> dict[str, Any]:
    """A message row as a web visitor sees it; an edit, which takes another's place, is read from the store."""
    return wire_event(
        seq=row["seq"],
        message_id=row["id"],
        direction=row["direction"],
        author=row["author"],
        kind=row["kind"],
        text=row["text"],
        content=row["content"],
        at=row["at"],
    )


def _insert_edit(conn: Connection, arrival: Arrival, row: dict[str, Any]) -> None:
    """The old message shows the new words; the new row points at it and keeps the old ones."""
    found = {"conversation": row["conversation_id"], "vendor_id": arrival.edits}
    for old in _EDITED.rows(conn, found):
        row = {**row, "replaces": old.id, "content": {**(row["content"] or {}), "was": old.text}}
        conn.execute(update(messages).where(messages.c.id == old.id).values(text=row["text"], edited_at=row["at"]))
    insert_rows(conn, messages, [row])


def _touch(place: Place, now: datetime) -> dict[str, Any]:
    return {
        "b_id": place.conversation_id,
        "b_web_seq": place.web_seq,
        "b_dirty_since": place.dirty_since,
        "b_at": now,
    }


def _open_windows(conn: Connection, arrivals: Sequence[Arrival], now: datetime) -> None:
    """The reply windows these messages open; costs nothing where none does."""
    opening = [
        (place.conversation_id, Opening(place.identity_id, arrival.opens, arrival.sent_at or now))
        for arrival in arrivals
        if (place := arrival.place) and arrival.opens
    ]
    if opening:
        open_windows(conn, [window for _, window in opening], {conversation for conversation, _ in opening}, now)


def _note_identities(conn: Connection, arrivals: Sequence[Arrival], now: datetime) -> None:
    """Names and language hints follow the channel; what its events mean for the store is done."""
    renamed: dict[int, dict[str, Any]] = {}
    for arrival in arrivals:
        place = arrival.place
        if place is None:
            continue
        name, hint = arrival.sender_name or place.display_name, arrival.language_hint or place.language_hint
        if name != place.display_name or hint != place.language_hint:
            place.display_name, place.language_hint = name, hint
            renamed[place.identity_id] = {"b_id": place.identity_id, "b_name": name, "b_hint": hint}
        if isinstance(arrival.content, Event):
            apply_event(conn, arrival.content, arrival.channel, place, now)
    _RENAME.change_each(conn, list(renamed.values()))
