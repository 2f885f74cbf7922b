"""More time to pay, granted by somebody who may: instalments take the place of what is owed, and the customer hears."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date
from zoneinfo import ZoneInfo

from sqlalchemy import Connection

from bot.business_time import say_day
from bot.errors import InputError, RuleError
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from bot.service_types import AgreePayPlan, Instalment
from bot.types import Language
from bot.values import say_money
from crm_sync.cases import By, case_event, locked_case, tell_timeline
from crm_sync.database import Database
from crm_sync.dues import Owed, owed_about, replace_with
from desk.actors import Actor
from desk.audit import record
from desk.case_notices import tell_about

ASKED = "payment_plan"  # in the details of a case: the plan its customer would like


@dataclass(frozen=True, slots=True)
class Granted:
    """What is due instead, by the key of the payment it takes the place of."""

    plan: str
    parts: Mapping[str, tuple[Instalment, ...]]


class PayPlanDesk:
    """Plans of the rules for customers whose credit class does not have them at once."""

    def __init__(self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock) -> None:
        self._database, self._policy, self._clock = database, policy, clock

    async def grant(self, actor: Actor, number: str, plan: str = "", *, version: int | None = None) -> Granted:
        """What the customer owes for the subject of the case is due in instalments, and they are told the days.

        `plan`: of the rules; without it the one the customer asked for. Raises: NotPermitted, CaseNotFound,
        InputError for a plan there is none of, StaleState, RuleError when nothing is owed or the case is over.
        """
        actor.require("cases.compensate")
        now, policy = self._clock.now(), self._policy()
        today = now.astimezone(ZoneInfo(policy.calendars.get("default").timezone)).date()

        def unit(conn: Connection) -> Granted:
            case = locked_case(conn, number, version)
            if not case.is_open:
                raise RuleError(f"case {case.number} is {case.status}; a plan needs an open one")
            name = plan or str(case.details.get(ASKED, ""))
            rule = policy.topics.plans.plans.get(name)
            if rule is None:
                known = ", ".join(sorted(policy.topics.plans.plans)) or "none"
                raise InputError(f"{name!r} is no plan for paying later; there are: {known}")
            owed = owed_about(conn, case.customer_id, case.asset_id, case.subject)
            parts = {due.key: rule.instalments(due.amount_minor, due.due_on, today) for due in owed}
            parts = {key: found for key, found in parts.items() if found}
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
