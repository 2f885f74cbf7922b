"""Broadcasts as marketers make them: written, looked at, approved, begun, held, ended, and how far they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, select

from bot.errors import NotFound, RuleError
from bot.ports import TOPIC_DESK
from bot.reach.document import read_broadcast
from bot.reach.plan import starts_at
from bot.reach.preflight import Preflight
from bot.reach.states import HOLDOUT, BroadcastState
from bot.reach.types import Broadcast
from bot.reach.writing import document_of
from crm_sync import broadcasts as rows
from crm_sync import operator_words
from crm_sync.broadcasts import Stored
from crm_sync.database import Database
from crm_sync.service_tables import customer_tags
from crm_sync.tables import conversations
from desk.actors import Actor
from desk.audit import record
from desk.broadcast_preflight import Decisions, PreflightDesk, Preview, refuse
from desk.outside import Outside
from desk.paging import PAGE, Page, page_of, read_cursor

__all__ = ["BroadcastDesk", "BroadcastRow", "Decisions", "Preflight", "Preview", "Progress"]
TEST_TAG: Final = "test"  # of customers who are staff: test sends go to nobody else


@dataclass(frozen=True, slots=True)
class BroadcastRow:
    """One line of the list."""

    name: str
    title: str
    state: BroadcastState
    purpose: str
    channels: tuple[str, ...]
    recipients: int
    at: datetime | None  # when it starts or started
    created_by: str
    ended_at: datetime | None
    id: int


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is. `counts`: by state; `reasons`: of those who were skipped or failed."""

    state: BroadcastState
    reason: str
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    arms: Mapping[str, int]
    started_at: datetime | None
    ended_at: datetime | None

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    @property
    def done(self) -> int:
        """Recipients about whom nothing more will happen."""
        return self.total - self.counts.get("pending", 0) - self.counts.get("sending", 0)


@dataclass(frozen=True, slots=True)
class Opened:
    """One broadcast as its page shows it."""

    stored: Stored
    broadcast: Broadcast
    progress: Progress


class BroadcastDesk:
    """Each change is one transaction, is in the audit log and raises NotPermitted, NotFound."""

    def __init__(
        self, database: Database, outside: Outside, preflights: PreflightDesk, decisions: Callable[[], Decisions]
    ) -> None:
        """`decisions` gives the Decisions that hold now."""
        self._database, self._outside = database, outside
        self._preflights, self._decisions = preflights, decisions

    @property
    def approval_from(self) -> int:
        """People reached from which a second person approves."""
        return self._decisions().approval_from

    # --- looking --------------------------------------------------------------------------------------------------

    async def page(
        self, actor: Actor, *, states: Sequence[str] = (), cursor: str = "", limit: int = PAGE
    ) -> Page[BroadcastRow]:
        """The newest first. Raises: also InputError (a cursor that is none)."""
        actor.require("broadcasts.read")
        begins = read_cursor(cursor, int)
        before = begins[0] if begins else None

        def unit(conn: Connection) -> list[BroadcastRow]:
            found = rows.listed(conn, states=states, before=before, limit=limit + 1)
            sizes = rows.recipients_of(conn, [each.id for each in found])
            return [_row(each, sizes.get(each.id, 0)) for each in found]

        return page_of(await self._database.run(unit, read=True), limit, lambda row: (row.id,))

    async def open(self, actor: Actor, name: str) -> Opened:
        """What it says, and how far it is."""
        actor.require("broadcasts.read")

        def unit(conn: Connection) -> tuple[Stored, Progress]:
            stored = rows.named(conn, name)
            return stored, _progress(conn, stored)

        stored, progress = await self._database.run(unit, read=True)
        return Opened(stored, self.read(stored.document), progress)

    async def status(self, actor: Actor, name: str) -> Progress:
        """How far it is, cheap enough to be asked every second."""
        actor.require("broadcasts.read")
        return await self._database.run(lambda conn: _progress(conn, rows.named(conn, name)), read=True)

    async def preflight(self, actor: Actor, name: str) -> Preflight:
        """What would happen if it started now; nothing is written. Raises: also InputError."""
        actor.require("broadcasts.read")
        stored = await self._database.run(lambda conn: rows.named(conn, name), read=True)
        return await self._preflights.look(self.read(stored.document))

    async def previews(self, actor: Actor, document: Any, customer_id: int | None = None) -> list[Preview]:
        """How what is being written would look, on each channel. Raises: also AssistantInvalid."""
        actor.require("broadcasts.read")
        if customer_id is not None:
            actor.require("customers.read")
        return await self._preflights.previews(self.read(document), customer_id)

    def read(self, document: Any) -> Broadcast:
        """The broadcast a document describes, its condition checked too. Raises: AssistantInvalid."""
        decided = self._decisions()
        broadcast = read_broadcast(document, decided.zone, quiet=decided.quiet)
        if broadcast.audience.where:
            decided.members(broadcast.audience.where, self._outside.clock.now())
        return broadcast

    # --- writing --------------------------------------------------------------------------------------------------

    async def create(self, actor: Actor, document: Any) -> Stored:
        """A draft. Raises: also AssistantInvalid (what is wrong and where), InputError (the name is taken)."""
        actor.require("broadcasts.write")
        broadcast, now = self.read(document), self._outside.clock.now()

        def unit(conn: Connection) -> Stored:
            stored = rows.create(conn, broadcast.name, document_of(broadcast), by=actor.name, now=now)
            record(conn, actor, "broadcast.create", f"broadcast:{stored.id}", {}, now=now)
            return stored

        return await self._database.run(unit)

    async def edit(self, actor: Actor, name: str, document: Any, *, version: int) -> Stored:
        """It says this; an approval it had is void. Its name stays.

        Raises: also AssistantInvalid, StaleState, RuleError.
        """
        actor.require("broadcasts.write")
        broadcast = self.read(document)
        if broadcast.name != name:
            raise RuleError("a broadcast keeps its name; make a copy to call it otherwise")
        change = partial(rows.edit, name=name, document=document_of(broadcast), version=version, by=actor.name)
        return await self._change(actor, "broadcast.edit", change)

    async def ask_approval(self, actor: Actor, name: str, *, version: int) -> Stored:
        """A second person is asked to look. Raises: also StaleState, RuleError."""
        actor.require("broadcasts.write")
        return await self._change(
            actor, "broadcast.ask_approval", partial(rows.wait_for_approval, name=name, version=version)
        )

    async def approve(self, actor: Actor, name: str, *, version: int) -> Stored:
        """It may be sent as it is. Raises: also StaleState, RuleError (its author)."""
        actor.require("broadcasts.send")
        return await self._change(
            actor, "broadcast.approve", partial(rows.approve, name=name, version=version, by=actor.name)
        )

    async def start(self, actor: Actor, name: str, *, version: int | None = None) -> Stored:
        """It begins now, or at its time. Two who start it at once start it once.

        Raises: also InputError (what pre-flight found), RuleError (it needs a second person), StaleState.
        """
        actor.require("broadcasts.send")
        stored = await self._database.run(lambda conn: rows.named(conn, name), read=True)
        broadcast, decided = self.read(stored.document), self._decisions()
        if stored.state not in rows.EDITABLE:
            raise RuleError(f"{name!r} is {stored.state} already")
        looked = await self._preflights.look(broadcast)
        refuse(looked.problems)
        reached = sum(looked.counted.reached.values())
        if not stored.is_approved and reached >= decided.approval_from:
            raise RuleError(
                f"{reached} people would get it; from {decided.approval_from} on a second person approves it first"
            )
        now = self._outside.clock.now()
        at = starts_at(broadcast.plan, now, decided.zone) or now
        seen = stored.version if version is None else version
        return await self._change(actor, "broadcast.start", partial(rows.begin, name=name, version=seen, at=at))

    async def pause(self, actor: Actor, name: str) -> Stored:
        """Nothing more leaves within a second. Raises: also RuleError."""
        actor.require("broadcasts.send")
        return await self._change(actor, "broadcast.pause", partial(rows.pause, name=name, by=actor.name))

    async def resume(self, actor: Actor, name: str) -> Stored:
        """It goes on with those not yet tried. Raises: also RuleError."""
        actor.require("broadcasts.send")
        return await self._change(actor, "broadcast.resume", partial(rows.resume, name=name))

    async def cancel(self, actor: Actor, name: str) -> Stored:
        """Nothing more of it ever leaves. Raises: also RuleError."""
        actor.require("broadcasts.send")
        return await self._change(actor, "broadcast.cancel", partial(rows.cancel, name=name, by=actor.name))

    async def test(self, actor: Actor, name: str, variant: str, customer_id: int) -> int:
        """The variant was written to somebody of the staff, as they would get it; the message's id.

        Raises: also RuleError for anybody without the tag "test", or with no conversation on its channels.
        """
        actor.require("broadcasts.write")
        stored = await self._database.run(lambda conn: rows.named(conn, name), read=True)
        broadcast, now = self.read(stored.document), self._outside.clock.now()
        shown = [each for each in await self._preflights.previews(broadcast, customer_id) if each.variant == variant]
        if not shown:
            raise NotFound(f"there is no variant called {variant!r}")

        def unit(conn: Connection) -> tuple[int, int]:
            talk = _test_talk(conn, customer_id, [each.channel for each in shown])
            parts = next(each.parts for each in shown if each.channel == talk.channel)
            is_direct = self._outside.encoder.is_direct(talk.channel)
            written = operator_words.write(conn, talk, parts, by=actor.name, is_direct=is_direct, now=now)
            record(conn, actor, "broadcast.test", f"broadcast:{stored.id}", {"customer": customer_id}, now=now)
            return written.message_ids[0], talk.id

        message_id, conversation_id = await self._database.run(unit)
        self._outside.signals.publish(TOPIC_DESK, {"conversation_id": conversation_id, "kind": "said"})
        return message_id

    async def _change(self, actor: Actor, action: str, change: Any) -> Stored:
        now = self._outside.clock.now()

        def unit(conn: Connection) -> Stored:
            stored: Stored = change(conn, now=now)
            record(conn, actor, action, f"broadcast:{stored.id}", {"state": stored.state.value}, now=now)
            return stored

        stored = await self._database.run(unit)
        self._outside.signals.publish(TOPIC_DESK, {"broadcast": stored.name, "kind": stored.state.value})
        return stored


def _row(stored: Stored, recipients: int) -> BroadcastRow:
    document = stored.document
    return BroadcastRow(
        stored.name,
        document.get("title", ""),
        stored.state,
        document["purpose"],
        tuple(document["channels"]),
        recipients,
        stored.started_at or stored.next_at,
        stored.created_by,
        stored.ended_at,
        stored.id,
    )


def _progress(conn: Connection, stored: Stored) -> Progress:
    counts: dict[str, int] = {}
    reasons: dict[str, int] = {}
    arms: dict[str, int] = {}
    for arm, state, reason, count in rows.counts_of(conn, stored.id):
        counts[state] = counts.get(state, 0) + count
        if reason:
            reasons[reason] = reasons.get(reason, 0) + count
        if arm and arm != HOLDOUT:
            arms[arm] = arms.get(arm, 0) + count
    return Progress(stored.state, stored.reason, counts, reasons, arms, stored.started_at, stored.ended_at)


def _test_talk(conn: Connection, customer_id: int, channels: Sequence[str]) -> Any:
    tagged = select(customer_tags.c.tag).where(
        customer_tags.c.customer_id == customer_id, customer_tags.c.tag == TEST_TAG
    )
    if conn.execute(tagged).first() is None:
        raise RuleError(f"test sends go only to people tagged {TEST_TAG!r}")
    talk = conn.execute(
        select(conversations)
        .where(conversations.c.customer_id == customer_id, conversations.c.channel.in_(channels))
        .order_by(conversations.c.last_inbound_at.desc())
        .limit(1)
        .with_for_update()
    ).first()
    if talk is None:
        raise RuleError("they have no conversation on a channel of this broadcast")
    return talk
