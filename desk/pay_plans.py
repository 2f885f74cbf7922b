"""More time to pay, granted by somebody who may: instalments take the place of what is owed, and the customer hears."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.business_time import say_day
from bot.errors import InputError, RuleError
from bot.ports import Clock
from bot.service.pay_plans import PayPlan
from bot.service.policy import ServicePolicy
from bot.service_types import AgreePayPlan, Instalment
from bot.types import Language
from bot.values import say_money
from crm_sync.cases import By, case_event, found_case, locked_case, tell_timeline
from crm_sync.database import Database
from crm_sync.dues import Owed, owed_about, replace_with
from desk.actors import Actor
from desk.audit import record
from desk.case_notices import tell_about
from desk.rules import rules_of

ASKED = "payment_plan"  # in the details of a case: the plan its customer would like


@dataclass(frozen=True, slots=True)
class Granted:
    """What is due instead, by the key of the payment it takes the place of."""

    plan: str
    parts: Mapping[str, tuple[Instalment, ...]]


@dataclass(frozen=True, slots=True)
class PlanChoice:
    """A plan that could be granted: what would be due when. `is_asked`: the one the customer would like."""

    plan: str
    is_asked: bool
    currency: str
    parts: tuple[Instalment, ...]  # of all payments, the soonest first


class PayPlanDesk:
    """Plans of the rules for customers whose credit class does not have them at once."""

    def __init__(self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock) -> None:
        self._database, self._policy, self._clock = database, policy, clock

    async def choices(self, actor: Actor, number: str) -> tuple[PlanChoice, ...]:
        """The plans that could be granted now; none where nothing is owed for it or the case is over.

        Raises: NotPermitted, CaseNotFound.
        """
        actor.require("cases.compensate")
        now, desk = self._clock.now(), self._policy()

        def unit(conn: Connection) -> tuple[PlanChoice, ...]:
            case = found_case(conn, number)
            policy = rules_of(conn, case, desk)
            owed = owed_about(conn, case.customer_id, case.asset_id, case.subject) if case.is_open else []
            asked, today = str(case.details.get(ASKED, "")), _today(policy, now)
            return tuple(
                PlanChoice(name, name == asked, owed[0].currency, parts)
                for name, rule in policy.topics.plans.plans.items()
                if (parts := _in_order(_parts(owed, rule, today)))
            )

        return await self._database.run(unit, read=True)

    async def grant(self, actor: Actor, number: str, plan: str = "", *, version: int | None = None) -> Granted:
        """What the customer owes for the subject of the case is due in instalments, and they are told the days.

        `plan`: of the rules; without it the one the customer asked for. Raises: NotPermitted, CaseNotFound,
        InputError for a plan there is none of, StaleState, RuleError when nothing is owed or the case is over.
        """
        actor.require("cases.compensate")
        now, desk = self._clock.now(), self._policy()

        def unit(conn: Connection) -> Granted:
            case = locked_case(conn, number, version)
            policy = rules_of(conn, case, desk)
            today = _today(policy, now)
            if not case.is_open:
                raise RuleError(f"case {case.number} is {case.status}; a plan needs an open one")
            name = plan or str(case.details.get(ASKED, ""))
            rule = policy.topics.plans.plans.get(name)
            if rule is None:
                known = ", ".join(sorted(policy.topics.plans.plans)) or "none"
                raise InputError(f"{name!r} is no plan for paying later; there are: {known}")
            owed = owed_about(conn, case.customer_id, case.asset_id, case.subject)
            parts = _parts(owed, rule, today)
            if not parts:
                raise RuleError(f"case {case.number}: nothing unpaid that a plan could be made for")
            replace_with(conn, AgreePayPlan(parts, name, case.number), case.customer_id, now)
            by = By("operator", now, actor.name)
            case_event(conn, case.id, "note", by, changes={"plan": name, "payments": sorted(parts)})
            tell_timeline(conn, case, by, "pay_plan_agreed", name)
            args = {"number": case.number, "lines": _lines(owed, parts, today)}
            tell_about(conn, case, "utter_notice_pay_plan", args, now, key=f"plan:{sorted(parts)[0]}")
            record(conn, actor, "case.plan", f"case:{case.number}", {"plan": name, "payments": len(parts)}, now=now)
            return Granted(name, parts)

        return await self._database.run(unit)


def _today(policy: ServicePolicy, now: datetime) -> date:
    return now.astimezone(ZoneInfo(policy.calendars.get("default").timezone)).date()


def _parts(owed: list[Owed], rule: PayPlan, today: date) -> dict[str, tuple[Instalment, ...]]:
    parts = {due.key: rule.instalments(due.amount_minor, due.due_on, today) for due in owed}
    return {key: found for key, found in parts.items() if found}


def _in_order(parts: Mapping[str, tuple[Instalment, ...]]) -> tuple[Instalment, ...]:
    return tuple(sorted((part for found in parts.values() for part in found), key=lambda part: part.due_on))


def _lines(owed: list[Owed], parts: Mapping[str, tuple[Instalment, ...]], today: date) -> str:
    """Each instalment with its day, as a notice carries words of both languages."""

    def said(language: Language, due: str) -> str:
        return "\n".join(
            f"· {say_money(part.amount_minor, one.currency, language)} · "
            + due.format(say_day(date.fromisoformat(part.due_on), today, language))
            for one in owed
            for part in parts.get(one.key, ())
        )

    return f"@zh:{said('zh', '{} 前缴')}|@en:{said('en', 'due {}')}"
