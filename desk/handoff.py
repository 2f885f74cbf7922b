"""Taking conversations, giving them to others, handing them back, and being there. Each method is one transaction.

`fence` is the one the caller has seen: whoever was faster makes it a StaleState, and nothing is changed. A conversation
that is not the actor's to see is NotFound.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final, Literal, get_args

from sqlalchemy import Connection

from bot.errors import InputError, NotFound, RuleError, StaleState
from bot.ports import TOPIC_DESK, TOPIC_TIMERS, Clock, Signals
from bot.service.assignment import PRESENCES, Operator
from bot.service.handoff import HANDED_BACK
from bot.service.policy import ServicePolicy
from bot.service_types import Notice
from bot.types import Owner
from crm_sync import handoffs, handovers, notices, presence
from crm_sync.database import Database
from crm_sync.handoffs import Move, Moved
from desk.actors import Actor
from desk.assigning import MOST_WAITING, give_out, in_turn, let_go, operator_of
from desk.audit import record
from desk.live import tell
from desk.sight import visible

LONGEST: Final = 1000  # characters of a note or summary
# What a move is called in the audit log.
_DEEDS: Final = {
    "taken": "take",
    "pulled": "pull",
    "assigned": "assign",
    "transferred": "transfer",
    "returned": "return",
}
Outcome = Literal["", "solved", "continue"]


@dataclass(frozen=True, slots=True)
class Presence:
    """One of the staff as colleagues see them: who can be given something."""

    name: str
    presence: str  # online | busy | away | off
    is_there: bool  # online, and their console lives
    load: int
    capacity: int
    teams: frozenset[str]


class HandoffDesk:
    """`policy` gives the rules as they are now; `flows` the names of flows the bot can go on with."""

    def __init__(
        self,
        database: Database,
        policy: Callable[[], ServicePolicy],
        clock: Clock,
        signals: Signals,
        *,
        flows: Callable[[], frozenset[str]] = frozenset,
    ) -> None:
        self._database, self._policy, self._clock, self._signals = database, policy, clock, signals
        self._flows = flows

    # --- taking -------------------------------------------------------------------------------------------------

    async def take(self, actor: Actor, conversation_id: int, *, fence: int | None = None) -> Moved:
        """The actor has it, from the bot, the queue or, with the right to assign, a colleague.

        Raises: NotPermitted, NotFound, StaleState (also when a colleague was faster), RuleError at the vendor's.
        """
        actor.require("conversations.reply")
        return await self._move(actor, conversation_id, partial(self._taking, actor), fence)

    async def take_next(self, actor: Actor) -> Moved | None:
        """The actor has whoever is next in the queue for them; None when nobody is. Raises: NotPermitted."""
        actor.require("conversations.reply")
        now, policy = self._clock.now(), self._policy()

        def unit(conn: Connection) -> Moved | None:
            row = in_turn(presence.waiting_chats(conn, MOST_WAITING), _as_operator(conn, actor, policy), policy, now)
            taking = None if row is None else self._taking(actor, conn, row)
            return None if taking is None else _moved(conn, actor, taking, now)

        moved = await self._database.run(unit)
        if moved is not None:
            self._tell(moved, "taken")
        return moved

    # --- giving -------------------------------------------------------------------------------------------------

    async def assign(
        self, actor: Actor, conversation_id: int, operator: str, *, note: str = "", fence: int | None = None
    ) -> Moved:
        """A colleague has it. Raises: NotPermitted, NotFound (also for an unknown colleague), StaleState, RuleError."""
        actor.require("conversations.assign")
        until = self._clock.now() + self._policy().handoff.lease

        def giving(conn: Connection, row: Any) -> Move:
            _check_colleague(conn, operator)
            _check_ours(conn, row)
            return Move(
                row, "assigned", Owner.OPERATOR, by=actor.name, operator=operator, note=_short(note), until=until
            )

        return await self._move(actor, conversation_id, giving, fence)

    async def transfer(
        self,
        actor: Actor,
        conversation_id: int,
        *,
        operator: str = "",
        team: str = "",
        note: str = "",
        fence: int | None = None,
    ) -> Moved:
        """A colleague has it, or it waits in a team's queue; the note tells them why.

        Of what is not theirs only those who may assign dispose.
        Raises: as `assign`, InputError when neither is named, or both.
        """
        actor.require("conversations.reply")
        if bool(operator) == bool(team):
            raise InputError("a conversation is passed on to a colleague or to a team")
        policy = self._policy()
        if team and team not in policy.teams:
            raise NotFound(f"there is no team {team!r}")
        until = self._clock.now() + policy.handoff.lease

        def passing(conn: Connection, row: Any) -> Move:
            _check_mine(conn, actor, row)
            if team:
                return Move(row, "transferred", Owner.QUEUE, by=actor.name, team=team, note=_short(note))
            _check_colleague(conn, operator)
            return Move(
                row, "transferred", Owner.OPERATOR, by=actor.name, operator=operator, note=_short(note), until=until
            )

        return await self._move(actor, conversation_id, passing, fence)

    async def hand_back(
        self,
        actor: Actor,
        conversation_id: int,
        *,
        outcome: Outcome = "",
        flow: str = "",
        summary: str = "",
        fence: int | None = None,
    ) -> Moved:
        """The bot has it again, with what came of it in the record.

        `outcome` solved: the bot says that it is there again, and what was under way before is over; continue: it says
        so and goes on with `flow`, or "" with what was under way; "": it says nothing until the customer writes.
        Raises: as `take`, InputError for another outcome, NotFound for an unknown flow.
        """
        actor.require("conversations.reply")
        if outcome not in get_args(Outcome) or (flow and outcome != "continue"):
            raise InputError("handed back means solved, or to be continued, with a flow or without")
        if flow and flow not in self._flows():
            raise NotFound(f"there is no flow {flow!r}")
        now = self._clock.now()

        def returning(conn: Connection, row: Any) -> Move:
            if row.owner == Owner.BOT:
                raise StaleState("the bot has it already")
            _check_mine(conn, actor, row)
            if outcome:
                notice = Notice(HANDED_BACK[outcome], flow=flow, lane="reply", frozen=outcome)
                notices.tell(conn, row.customer_id, notice, now=now, conversation_id=row.id)
            return Move(row, "returned", Owner.BOT, by=actor.name, note=_short(summary))

        moved = await self._move(actor, conversation_id, returning, fence)
        self._signals.publish(TOPIC_TIMERS)
        return moved

    # --- being there --------------------------------------------------------------------------------------------

    async def renew(self, actor: Actor) -> int:
        """A sign of life of the actor's console: what they hold stays theirs for another lease; how many that is."""
        now = self._clock.now()
        until = now + self._policy().handoff.lease
        return await self._database.run(lambda conn: handoffs.renew(conn, actor.name, until, now), durable=False)

    async def set_presence(self, actor: Actor, state: str) -> list[Moved]:
        """The actor is online, busy, away or off. Online: they are given their share at once; off: all they hold goes
        back to its place in the queue. What moved. Raises: InputError, NotFound.
        """
        if state not in PRESENCES:
            raise InputError(f"presence is one of {', '.join(PRESENCES)}")
        now, policy = self._clock.now(), self._policy()

        def unit(conn: Connection) -> list[Moved]:
            moved: list[Moved] = []
            if state == "off":
                held = handoffs.held_by(conn, actor.name)
                moved = handoffs.move(conn, [let_go(row, "released", actor.name) for row in held], now)
            presence.set_presence(conn, actor.name, state, now)
            handoffs.renew(conn, actor.name, now + policy.handoff.lease, now)
            return moved + (give_out(conn, policy, now) if presence.is_alone(conn) else [])

        moved = await self._database.run(unit)
        for item in moved:
            self._tell(item, "owner")
        self._signals.publish(TOPIC_DESK, {"user": actor.name})
        return moved

    async def colleagues(self, actor: Actor) -> list[Presence]:
        """Everybody who may sign in, and whether they are there. Raises: NotPermitted."""
        actor.require("conversations.read")
        now, policy = self._clock.now(), self._policy()
        lines = await self._database.run(presence.staff_lines, read=True)
        people = [operator_of(line, policy) for line in lines]
        return [
            Presence(who.name, who.presence, who.is_there(policy.handoff, now), who.load, who.capacity, who.teams)
            for who in people
        ]

    # --- how ----------------------------------------------------------------------------------------------------

    def _taking(self, actor: Actor, conn: Connection, row: Any) -> Move | None:
        _check_ours(conn, row)
        if row.operator == actor.name:
            return None
        if row.operator and row.operator != actor.name and not actor.may("conversations.assign"):
            raise StaleState(f"{row.operator} has this conversation")
        kind = "pulled" if row.operator else "taken"
        until = self._clock.now() + self._policy().handoff.lease
        return Move(row, kind, Owner.OPERATOR, by=actor.name, operator=actor.name, until=until)

    async def _move(
        self, actor: Actor, conversation_id: int, decide: Callable[[Connection, Any], Move | None], fence: int | None
    ) -> Moved:
        """`decide` gives None where all is as it is wanted already."""
        now = self._clock.now()

        def unit(conn: Connection) -> tuple[Moved, str]:
            row = visible(conn, actor, conversation_id, lock=True)
            if fence is not None and row.fence != fence:
                raise StaleState(f"conversation {conversation_id} has changed hands meanwhile")
            wanted = decide(conn, row)
            if wanted is None:
                return handoffs.as_it_is(row), ""
            return _moved(conn, actor, wanted, now), wanted.kind

        moved, kind = await self._database.run(unit)
        if kind:
            self._tell(moved, kind)
        return moved

    def _tell(self, moved: Moved, kind: str) -> None:
        tell(self._signals, moved.conversation_id, kind)


def _moved(conn: Connection, actor: Actor, wanted: Move, now: datetime) -> Moved:
    """The move is made, and the audit log says by whom and to whom."""
    moved = handoffs.move(conn, [wanted], now)[0]
    whose = {name: value for name, value in (("operator", moved.operator), ("team", moved.team)) if value}
    details = {"owner": moved.owner.value, "fence": moved.fence, **whose}
    record(
        conn, actor, f"conversation.{_DEEDS[wanted.kind]}", f"conversation:{moved.conversation_id}", details, now=now
    )
    return moved


def _as_operator(conn: Connection, actor: Actor, policy: ServicePolicy) -> Operator:
    line = next((line for line in presence.staff_lines(conn) if line.name == actor.name), None)
    if line is None:
        raise NotFound(f"there is no staff account {actor.name!r}")
    return operator_of(line, policy)


def _check_ours(conn: Connection, row: Any) -> None:
    is_held_there = bool(row.operator) and row.owner_until is None
    if is_held_there or (row.owner == Owner.QUEUE and handovers.waits_at_the_vendor(conn, row.id)):
        raise RuleError(f"somebody at {row.channel} has this conversation; it is given back there")


def _check_mine(conn: Connection, actor: Actor, row: Any) -> None:
    _check_ours(conn, row)
    if row.operator != actor.name and not actor.may("conversations.assign"):
        raise StaleState(f"{row.operator or 'nobody'} has this conversation; take it first")


def _check_colleague(conn: Connection, name: str) -> None:
    if not presence.may_work(conn, name):
        raise NotFound(f"there is no staff account {name!r}")


def _short(words: str) -> str:
    return words.strip()[:LONGEST]
