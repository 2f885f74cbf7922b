"""Compensation: offered within what a role may give for a case, else proposed and decided by somebody who may."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, func, insert, select, update

from bot.errors import InputError, NotFound, NotPermitted, RuleError, StaleState
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from crm_sync.cases import By, case_event, locked_case, tell_timeline
from crm_sync.columns import is_state
from crm_sync.database import Database
from crm_sync.rows import insert_if_absent
from crm_sync.service_tables import compensations, points
from crm_sync.staff_notices import notify
from crm_sync.tables import cases, customers
from desk.actors import Actor
from desk.audit import record
from desk.case_notices import tell_about
from desk.rules import rules_of

KINDS = ("refund", "voucher", "points", "goods")
MOST = 10**12


class CompensationDesk:
    """Offers and decisions; every one is in the case's history, and the customer hears of what is approved."""

    def __init__(self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock) -> None:
        self._database, self._policy, self._clock = database, policy, clock

    async def offer(
        self, actor: Actor, number: str, kind: str, amount_minor: int, currency: str = "", *, reason: str = ""
    ) -> Any:
        """The compensation is approved when the role may give as much for this case altogether, else proposed; its row.

        The service rule of the customer's credit class makes the role's limit wider or narrower.
        `amount_minor`: of points, how many. Raises: NotPermitted, CaseNotFound, InputError, RuleError.
        """
        actor.require("cases.work")
        if kind not in KINDS:
            raise InputError(f"{kind!r} is no compensation; there are: {', '.join(KINDS)}")
        if not 0 < amount_minor <= MOST:
            raise InputError("the amount must be above nothing")
        now, desk = self._clock.now(), self._policy()

        def unit(conn: Connection) -> Any:
            case = locked_case(conn, number)
            policy = rules_of(conn, case, desk)
            rules = policy.cases.compensation
            unit_of = currency or rules.currency
            given = _given(conn, case.id, unit_of)
            may = rules.may_give(actor.role, given + amount_minor, unit_of, share=_share(conn, case, policy))
            values = {
                "case_id": case.id,
                "kind": kind,
                "amount_minor": amount_minor,
                "currency": unit_of,
                "state": "approved" if may else "proposed",
                "reason": reason,
                "proposed_by": actor.name,
                "proposed_at": now,
                "decided_at": now if may else None,
            }
            key = conn.execute(insert(compensations).values(values)).inserted_primary_key
            row = conn.execute(select(compensations).where(compensations.c.id == key[0])).one()  # type: ignore[index]
            by = By("operator", now, actor.name)
            self._follow(conn, case, row, by)
            if row.state == "proposed":
                heads = {policy.routing.head(to, case.team) for to in ("lead", "manager")}
                _call(conn, heads - {"", actor.name}, "compensation_proposed", case, by)
            details = {"compensation": row.id, "state": row.state}
            record(conn, actor, "case.offer", f"case:{case.number}", details, now=now)
            return row

        return await self._database.run(unit)

    async def decide(self, actor: Actor, compensation_id: int, *, approve: bool, why: str = "") -> Any:
        """What was proposed is approved or refused, by somebody else whose role may give as much; its row.

        Raises: NotPermitted, NotFound; StaleState when it was decided before.
        """
        actor.require("cases.compensate")
        now, desk = self._clock.now(), self._policy()

        def unit(conn: Connection) -> Any:
            found = conn.execute(select(compensations.c.case_id).where(compensations.c.id == compensation_id)).scalar()
            if found is None:
                raise NotFound(f"there is no compensation {compensation_id}")
            number = conn.execute(select(cases.c.number).where(cases.c.id == found)).scalar_one()
            case = locked_case(conn, number)  # before its row: two decisions at once wait for each other here
            row = conn.execute(select(compensations).where(compensations.c.id == compensation_id)).one()
            if row.state != "proposed":
                raise StaleState(f"compensation {compensation_id} was {row.state} by {row.decided_by or 'its limit'}")
            if row.proposed_by == actor.name:
                raise NotPermitted("a compensation is decided by somebody else than who proposed it")
            policy = rules_of(conn, case, desk)
            rules = policy.cases.compensation
            given = _given(conn, case.id, row.currency)
            # A narrower limit calls for a second pair of eyes, which are these: whoever decides has their whole limit.
            share = max(1.0, _share(conn, case, policy))
            if approve and not rules.may_give(actor.role, given + row.amount_minor, row.currency, share=share):
                raise NotPermitted(f"{actor.name} ({actor.role}) may not give that much; it takes a higher role")
            changed = {"state": "approved" if approve else "refused", "decided_by": actor.name, "decided_at": now}
            conn.execute(update(compensations).where(compensations.c.id == row.id).values(**changed))
            row = conn.execute(select(compensations).where(compensations.c.id == row.id)).one()
            by = By("operator", now, actor.name)
            self._follow(conn, case, row, by, why)
            _call(conn, {row.proposed_by}, "compensation_decided", case, by)
            details = {"compensation": row.id, "state": row.state}
            record(conn, actor, "case.decide", f"case:{case.number}", details, now=now)
            return row

        return await self._database.run(unit)

    async def proposed(self, actor: Actor) -> list[dict[str, Any]]:
        """What waits for a decision, the oldest first. Raises: NotPermitted."""
        actor.require("cases.read")
        waiting = (
            select(compensations, cases.c.number)
            .join_from(compensations, cases, cases.c.id == compensations.c.case_id)
            .where(is_state(compensations.c.state, "proposed"))
            .order_by(compensations.c.id)
            .limit(200)
        )
        return await self._database.run(lambda conn: [dict(row._mapping) for row in conn.execute(waiting)], read=True)

    async def reward(self, actor: Actor, number: str, *, amount: int | None = None) -> int:
        """The customer has points for a suggestion that is taken up, once per suggestion; how many.

        Raises: NotPermitted, CaseNotFound, InputError, RuleError for a case that is no suggestion.
        """
        actor.require("cases.work")
        now, desk = self._clock.now(), self._policy()

        def unit(conn: Connection) -> int:
            case = locked_case(conn, number)
            many = rules_of(conn, case, desk).cases.suggestion_points if amount is None else amount
            if not 0 < many <= 1_000_000:
                raise InputError("there is no reward to give; name the points, or set suggestion_points in service.yml")
            if case.kind != "suggestion":
                raise RuleError(f"case {case.number} is no suggestion")
            reference = f"suggestion:{case.id}"
            before = conn.execute(select(points.c.change).where(points.c.reference == reference)).scalar()
            if before is not None:
                return int(before)
            by = By("operator", now, actor.name)
            _give_points(conn, case, many, reference, by)
            case_event(conn, case.id, "reward", by, changes={"points": many})
            args = {"number": case.number, "points": str(many)}
            tell_about(conn, case, "utter_notice_reward", args, now, key="reward")
            record(conn, actor, "case.reward", f"case:{case.number}", {"fields": ["points"]}, now=now)
            return many

        return await self._database.run(unit)

    def _follow(self, conn: Connection, case: Any, row: Any, by: By, why: str = "") -> None:
        """History says what became of it; what is approved is told to the customer, and points are theirs."""
        changes = {
            "compensation": row.id,
            "kind": row.kind,
            "amount_minor": row.amount_minor,
            "currency": row.currency,
            "state": row.state,
        }
        words = why or row.reason
        case_event(conn, case.id, "compensation", by, words=words, changes=changes, is_internal=True)
        if row.state != "approved":
            return
        if row.kind == "points":
            _give_points(conn, case, row.amount_minor, f"compensation:{row.id}", by)
        tell_timeline(conn, case, by, "compensation_approved", row.kind)
        amount = str(row.amount_minor) if row.kind == "points" else f"@money:{row.amount_minor}:{row.currency}"
        args = {"number": case.number, "kind": f"@word:compensation_kind:{row.kind}", "amount": amount}
        tell_about(conn, case, "utter_notice_compensation", args, by.at, key=f"compensation:{row.id}")


def _call(conn: Connection, names: set[str], kind: str, case: Any, by: By) -> None:
    """Those of them who have an account find among their notices what waits for them, or was decided."""
    notify(conn, names, kind, by.at, reference=case.number, by=by.name)


def _share(conn: Connection, case: Any, policy: ServicePolicy) -> float:
    """Of its limit, how much a role may give this customer without asking."""
    found = conn.execute(select(customers.c.credit_class).where(customers.c.id == case.customer_id)).scalar()
    return policy.record.credit_rule(found or "").compensation


def _given(conn: Connection, case_id: int, currency: str) -> int:
    """What was approved for the case so far: a limit is not got round by giving twice."""
    given = select(func.coalesce(func.sum(compensations.c.amount_minor), 0)).where(
        compensations.c.case_id == case_id,
        compensations.c.currency == currency,
        is_state(compensations.c.state, "approved", "given"),
    )
    return int(conn.execute(given).scalar_one())


def _give_points(conn: Connection, case: Any, many: int, reference: str, by: By) -> None:
    row = {
        "customer_id": case.customer_id,
        "change": many,
        "reason": reference.partition(":")[0],
        "reference": reference,
        "author": by.name,
        "at": by.at,
    }
    insert_if_absent(conn, points, row, key=("reference",))
