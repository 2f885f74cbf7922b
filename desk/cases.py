"""What staff do with cases: take, assign, go on, ask, solve, note, reopen, watch, link; the customer hears of it.

Each method is one transaction. `version` is the one the caller has seen: somebody else's change in between is a
StaleState, and nothing is lost. Without it the change is made on whatever the case is now.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from types import SimpleNamespace
from typing import Any

from sqlalchemy import Connection, and_, select

from bot.errors import InputError, NotFound, NotPermitted, RuleError
from bot.ports import Clock
from bot.service.calendars import Calendars
from bot.service.policy import ServicePolicy
from bot.service.promises import clock_of, due, used
from bot.service_types import CASE_MOVES
from crm_sync import timers
from crm_sync.case_lists import PAGE, BoardFilter, CaseLine, case_view, list_cases
from crm_sync.cases import By, CaseChange, Clockwork, case_event, change_case, link, locked_case, watch
from crm_sync.database import Database
from crm_sync.handovers import RELEASE
from crm_sync.notices import as_is
from crm_sync.tables import conversations, staff_users
from desk.actors import Actor
from desk.audit import record
from desk.case_notices import tell_about, tell_status
from desk.rules import clocks_of, rules_of
from desk.surveys import AFTER_SOLVED, plan_after_solved

__all__ = ["BoardFilter", "CaseDesk", "CaseLine", "change_and_tell", "clockwork", "following"]
LONGEST = 4000  # characters of one note
AUDITED = ("status", "owner", "team", "severity", "cause", "remedy")  # what the audit log names when it differs
DONE = frozenset({"solved", "confirmed", "withdrawn"})


def clockwork(policy: ServicePolicy) -> Clockwork:
    """Working time as the policy's calendars count it."""

    def again(row: Any, now: datetime) -> tuple[datetime | None, datetime | None]:
        times = due(clock_of(row, now), policy.calendars.get(row.calendar), policy.promises.ladder)
        return times.due_at, times.next_at

    return Clockwork(
        spent=lambda row, now: used(clock_of(row, row.running_since), policy.calendars.get(row.calendar), now),
        again=again,
    )


def change_and_tell(
    conn: Connection, case: Any, change: CaseChange, by: By, policy: ServicePolicy, *, tells: bool = True
) -> Any:
    """The locked case is changed, its update promise begins anew, and the customer hears of a new status; the row."""
    status = change.status or case.status
    is_heard = tells and not change.is_internal and bool(change.status or change.note)
    if is_heard and status not in ("waiting_customer", "solved", "confirmed", "withdrawn", "reopened"):
        severity = case.severity if change.severity is None else change.severity
        news = clocks_of(conn, case, policy, severity, by.at, kinds=("update",))
        change = replace(change, clocks=(*change.clocks, *news))
    row = change_case(conn, case, change, by, clockwork(policy))
    if change.status and (case.solved_at is not None or case.reopened):  # nothing of them is planned before
        timers.cancel_for_case(conn, row.id, AFTER_SOLVED, by.at)
    if row.status == "solved" and change.status:
        plan_after_solved(conn, row, policy, by.at)
    if row.status in DONE and change.status:  # a timer, because conversations are locked before cases, never after
        timers.plan(conn, RELEASE, by.at, by.at, customer_id=row.customer_id, case_id=row.id)
    if is_heard and change.status:
        tell_status(conn, row, policy, by.at, note=change.note)
    elif is_heard:
        tell_about(conn, row, "utter_notice_reply", {"number": row.number, "note": as_is(change.note)}, by.at)
    return row


class CaseDesk:
    """The cases as a member of staff may see and change them. `policy` gives the rules as they are now."""

    def __init__(self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock) -> None:
        self._database, self._policy, self._clock = database, policy, clock

    # --- looking ------------------------------------------------------------------------------------------------

    async def board(
        self, actor: Actor, which: BoardFilter, *, before: int | None = None, limit: int = PAGE
    ) -> list[CaseLine]:
        """A page of cases, the newest first. Raises: NotPermitted, NotFound."""
        actor.require("cases.read")
        return await self._database.run(lambda conn: list_cases(conn, which, before=before, limit=limit), read=True)

    async def show(self, actor: Actor, number: str) -> dict[str, Any]:
        """The case with all that belongs to it; of each clock `left_s`, the working seconds that are left of it.

        `choices`: what the rules that hold for it know, causes and remedies with their titles, the currency, a reward.

        Raises: NotPermitted, CaseNotFound.
        """
        actor.require("cases.read")
        desk = self._policy()

        def unit(conn: Connection) -> tuple[dict[str, Any], ServicePolicy]:
            found = case_view(conn, number)
            return found, rules_of(conn, SimpleNamespace(**found), desk)

        found, rules = await self._database.run(unit, read=True)
        now = self._clock.now()
        found["clocks"] = [{**kept, "left_s": _left(kept, rules.calendars, now)} for kept in found["clocks"]]
        known = rules.cases
        choices = {
            "causes": known.causes,
            "remedies": known.remedies,
            "currency": known.compensation.currency,
            "suggestion_points": known.suggestion_points,
        }
        return {**found, "choices": choices}

    # --- going on -----------------------------------------------------------------------------------------------

    async def take(self, actor: Actor, number: str, *, version: int | None = None) -> Any:
        """The case is the actor's own. Raises: NotPermitted, CaseNotFound, StaleState, RuleError."""
        return await self._change(actor, number, "take", CaseChange(status="assigned", owner=actor.name), version)

    async def assign(
        self, actor: Actor, number: str, *, owner: str = "", team: str = "", why: str = "", version: int | None = None
    ) -> Any:
        """Somebody else, or a team's queue, has it. An operator may only pass on what is theirs or nobody's.

        Raises: NotPermitted, CaseNotFound, NotFound for an unknown colleague, StaleState, RuleError.
        """
        actor.require("cases.work")
        if not owner and not team:
            raise InputError("a case is assigned to a person or to a team")

        def check(conn: Connection, case: Any, policy: ServicePolicy) -> None:
            if team and policy.routing.teams and team not in policy.routing.teams:
                raise NotFound(f"there is no team {team!r}")
            if case.owner not in ("", actor.name) and not actor.may("cases.assign"):
                raise NotPermitted(f"case {case.number} is {case.owner}'s; ask them or a team lead to pass it on")
            known = and_(staff_users.c.name == owner, staff_users.c.disabled_at.is_(None))
            if owner and conn.execute(select(staff_users.c.id).where(known)).first() is None:
                raise NotFound(f"there is no staff account {owner!r}")

        change = CaseChange(note=why, status="assigned", owner=owner, team=team or None)
        return await self._change(actor, number, "assign", change, version, check=check)

    async def progress(self, actor: Actor, number: str, what: str, *, version: int | None = None) -> Any:
        """It is being worked on, and the customer hears what is done. Raises: as `take`, InputError without words."""
        return await self._change(actor, number, "progress", CaseChange(_words(what), status="in_progress"), version)

    async def ask(self, actor: Actor, number: str, question: str, *, version: int | None = None) -> Any:
        """The customer is asked; until they answer no promise runs out. Raises: as `progress`."""
        return await self._change(
            actor, number, "ask", CaseChange(_words(question), status="waiting_customer"), version
        )

    async def solve(
        self, actor: Actor, number: str, what: str, *, cause: str, remedy: str, version: int | None = None
    ) -> Any:
        """It is solved, with codes of the policy for cause and remedy; the customer is asked whether it is.

        Raises: as `progress`, InputError for a code there is none of.
        """
        actor.require("cases.work")
        change = CaseChange(_words(what), status="solved", cause=cause, remedy=remedy)
        return await self._change(actor, number, "solve", change, version, check=_codes_of(cause=cause, remedy=remedy))

    async def reopen(self, actor: Actor, number: str, why: str, *, version: int | None = None) -> Any:
        """It is open again, one severity higher, with promises of its own. Raises: as `progress`."""
        words = _words(why)

        def higher(conn: Connection, case: Any, policy: ServicePolicy, now: datetime) -> CaseChange:
            level = min(4, case.severity + 1)
            clocks, back = clocks_of(conn, case, policy, level, now), policy.routing.reopened_to_site
            return CaseChange(words, status="reopened", severity=level, clocks=clocks, back_to_site=back)

        return await self._change(actor, number, "reopen", higher, version)

    async def withdraw(self, actor: Actor, number: str, why: str, *, version: int | None = None) -> Any:
        """Nothing more is done on it, e.g. because the customer said so on the telephone. Raises: as `progress`."""
        return await self._change(actor, number, "withdraw", CaseChange(_words(why), status="withdrawn"), version)

    # --- beside its status --------------------------------------------------------------------------------------

    async def note(self, actor: Actor, number: str, words: str) -> Any:
        """Colleagues read it in the history; the customer never does. Raises: as `take`, InputError without words."""
        return await self._change(actor, number, "note", CaseChange(_words(words), is_internal=True), None)

    async def tell(self, actor: Actor, number: str, words: str, *, version: int | None = None) -> Any:
        """The customer is told this about their case, which goes on as before. Raises: as `progress`."""
        return await self._change(actor, number, "tell", CaseChange(_words(words)), version)

    async def classify(
        self,
        actor: Actor,
        number: str,
        *,
        severity: int,
        why: str,
        version: int | None = None,
    ) -> Any:
        """It weighs this much from now on; promises that are sooner then begin. Raises: as `progress`."""
        if severity not in (1, 2, 3, 4):
            raise InputError("severity is a number from 1 to 4")
        words = _words(why)

        def weighed(conn: Connection, case: Any, policy: ServicePolicy, now: datetime) -> CaseChange:
            sooner = clocks_of(conn, case, policy, severity, now) if severity > case.severity else ()
            return CaseChange(words, is_internal=True, severity=severity, tighter=sooner)

        return await self._change(actor, number, "classify", weighed, version)

    async def explain(
        self, actor: Actor, number: str, *, cause: str = "", remedy: str = "", version: int | None = None
    ) -> Any:
        """What caused it, or helped, is known by these codes, also of a case that is over; only staff see it.

        Raises: as `solve`.
        """
        actor.require("cases.work")
        named = {kind: code for kind, code in (("cause", cause), ("remedy", remedy)) if code}
        if not named:
            raise InputError("name a cause or a remedy")
        change = CaseChange(is_internal=True, cause=cause, remedy=remedy)
        return await self._change(actor, number, "explain", change, version, check=_codes_of(**named))

    async def watch(self, actor: Actor, number: str, *, wanted: bool = True) -> None:
        """The actor hears of what happens to it, or no longer. Raises: NotPermitted, CaseNotFound."""
        actor.require("cases.read")
        now = self._clock.now()
        await self._database.run(
            lambda conn: watch(conn, locked_case(conn, number), actor.name, wanted=wanted, now=now)
        )

    async def link(self, actor: Actor, number: str, conversation_id: int) -> None:
        """A conversation of the case's customer, on any channel, belongs to it.

        Raises: NotPermitted, CaseNotFound, NotFound; RuleError for a conversation of somebody else.
        """
        actor.require("cases.work")
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            case = locked_case(conn, number)
            owner = conn.execute(
                select(conversations.c.customer_id).where(conversations.c.id == conversation_id)
            ).scalar()
            if owner is None:
                raise NotFound(f"there is no conversation {conversation_id}")
            if owner != case.customer_id:
                raise RuleError(f"conversation {conversation_id} is of another customer; merge the two records first")
            link(conn, case.id, conversation_id, now)
            case_event(conn, case.id, "link", By("operator", now, actor.name),
                       changes={"conversation": conversation_id}, is_internal=True)  # fmt: skip
            record(conn, actor, "case.link", f"case:{case.number}", {"conversation": conversation_id}, now=now)

        await self._database.run(unit)

    async def _change(
        self,
        actor: Actor,
        number: str,
        deed: str,
        change: CaseChange | Callable[[Connection, Any, ServicePolicy, datetime], CaseChange],
        version: int | None,
        *,
        check: Callable[[Connection, Any, ServicePolicy], None] = lambda conn, case, policy: None,
    ) -> Any:
        actor.require("cases.work")
        now, desk = self._clock.now(), self._policy()

        def unit(conn: Connection) -> Any:
            case = locked_case(conn, number, version)
            policy = rules_of(conn, case, desk)
            check(conn, case, policy)
            wanted = change if isinstance(change, CaseChange) else change(conn, case, policy, now)
            row = change_and_tell(conn, case, wanted, By("operator", now, actor.name), policy)
            fields = [name for name in AUDITED if getattr(row, name) != getattr(case, name)]
            details = {"fields": [*fields, *(["note"] if wanted.note else [])], "status": row.status}
            record(conn, actor, f"case.{deed}", f"case:{row.number}", details, now=now)
            return row

        return await self._database.run(unit)


def _codes_of(**named: str) -> Callable[[Connection, Any, ServicePolicy], None]:
    """Raises InputError for a cause or remedy that the rules of the case do not know."""

    def check(conn: Connection, case: Any, policy: ServicePolicy) -> None:
        known = {"cause": policy.cases.causes, "remedy": policy.cases.remedies}
        for kind, code in named.items():
            if code not in known[kind]:
                raise InputError(f"{code!r} is no {kind}; there are: {', '.join(sorted(known[kind]))}")

    return check


def following(status: str) -> frozenset[str]:
    """The statuses that staff may give a case of this one."""
    return frozenset(name for name, parties in CASE_MOVES.get(status, {}).items() if "staff" in parties)


def _left(kept: dict[str, Any], calendars: Calendars, now: datetime) -> int | None:
    """Working seconds; below nothing: so much too late. None for a clock that has ended."""
    if kept["state"] not in ("running", "paused"):
        return None
    row = SimpleNamespace(**kept)
    spent = used(clock_of(row, row.running_since), calendars.get(row.calendar), now)
    return int(row.budget_s) - spent


def _words(said: str) -> str:
    """The words, which there must be. Raises: InputError."""
    words = said.strip()
    if not words:
        raise InputError("say in a few words what is done and why")
    return words[:LONGEST]
