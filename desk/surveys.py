"""What follows a solution by itself: the question how satisfied they are, whether they recommend us, and its end.

The functions are handlers of timers: they do all that is due, in the scheduler's transaction.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection, select

from bot.service.appointments import BookableService
from bot.service.policy import ServicePolicy
from bot.service.sites import name_of
from bot.service_types import Notice
from crm_sync import timers
from crm_sync.appointments import what_and_where
from crm_sync.cases import By, CaseChange, change_case
from crm_sync.notices import tell
from crm_sync.surveys import ask, case_reference
from crm_sync.tables import cases, customers
from crm_sync.timers import Timer
from desk.case_notices import tell_status
from desk.rules import rules_of

ASK_CASE: Final = "case_satisfaction"
CLOSE_CASE: Final = "case_close"
SURVEY: Final = "survey"
AFTER_SOLVED: Final = (ASK_CASE, CLOSE_CASE, SURVEY)
APPOINTMENT: Final = "appointment:"  # what a reference to one begins with
FLOWS: Final = {"csat": "satisfaction", "nps": "survey_nps"}


def plan_after_solved(conn: Connection, case: Any, policy: ServicePolicy, now: datetime) -> None:
    """The questions about this solution, and the end of a case that nobody confirms or contests, will come by then."""
    rules = policy.cases.satisfaction
    planned: list[tuple[str, float, dict[str, Any]]] = [
        (ASK_CASE, rules.ask_after_h, {"reopened": case.reopened}),
        (CLOSE_CASE, rules.close_after_h, {"reopened": case.reopened}),
    ]
    if rules.nps_after_h:
        planned.append((SURVEY, rules.ask_after_h + rules.nps_after_h, {"kind": "nps", "reference": f"nps:{case.id}"}))
    for kind, hours, details in planned:
        key = f"{kind}:{case.id}:{case.version}"
        at = now + timedelta(hours=hours)
        timers.plan(conn, kind, at, now, key=key, customer_id=case.customer_id, case_id=case.id, details=details)


def plan_survey(conn: Connection, customer_id: int, kind: str, reference: str, *, at: datetime, now: datetime) -> bool:
    """The customer will be asked about a service (a visit, an appointment) at `at`; False when this was planned before.

    `kind`: csat or nps; `reference`: what it is about. Whoever was asked lately is not asked again.
    """
    details = {"kind": kind, "reference": reference}
    return timers.plan(conn, SURVEY, at, now, key=f"survey:{reference}", customer_id=customer_id, details=details)


def ask_about_cases(conn: Connection, due: Sequence[Timer], policy: ServicePolicy, now: datetime) -> None:
    """Customers whose case is solved, and who have not said how they find it, are asked."""
    for case, timer in _still_solved(conn, due):
        reference = case_reference(case.number, case.reopened)
        if ask(conn, case.customer_id, "csat", reference, now, case_id=case.id):
            slots = {"survey_reference": reference, "case_number": case.number}
            notice = Notice("utter_satisfaction_intro", {"number": case.number}, "satisfaction", slots)
            tell(conn, case.customer_id, notice, now=now, key=f"ask:{timer.id}", case_id=case.id)


def close_cases(conn: Connection, due: Sequence[Timer], policy: ServicePolicy, now: datetime) -> None:
    """Solutions nobody has contested for so long count as confirmed; the customer is told."""
    for case, _ in _still_solved(conn, due):
        change = CaseChange(note="not contested in time", status="confirmed")
        row = change_case(conn, case, change, By("system", now))
        tell_status(conn, row, rules_of(conn, row, policy), now)


def send_surveys(conn: Connection, due: Sequence[Timer], policy: ServicePolicy, now: datetime) -> None:
    """Customers are asked, unless they were asked lately, are waiting for us to solve something, or are gone."""
    for timer in due:
        kind, reference = str(timer.details.get("kind", "")), str(timer.details.get("reference", ""))
        if timer.customer_id is None or kind not in FLOWS or not _may_be_asked(conn, timer.customer_id):
            continue
        mine = _rules(conn, timer, reference, policy)
        rules = mine.cases.satisfaction
        every = timedelta(days=rules.csat_every_days if kind == "csat" else rules.nps_every_days)
        if ask(conn, timer.customer_id, kind, reference, now, every=every):
            notice = _intro(conn, reference, mine, FLOWS[kind])
            tell(conn, timer.customer_id, notice, now=now, key=f"ask:{timer.id}")


def _rules(conn: Connection, timer: Timer, reference: str, policy: ServicePolicy) -> ServicePolicy:
    """Those of the case or appointment it is about."""
    number = reference.removeprefix(APPOINTMENT)
    if timer.case_id is not None:
        row = conn.execute(select(cases).where(cases.c.id == timer.case_id)).first()
    elif reference.startswith(APPOINTMENT) and number.isdecimal():
        row = what_and_where(conn, int(number))
    else:
        row = None
    return policy if row is None else rules_of(conn, row, policy)


def _intro(conn: Connection, reference: str, policy: ServicePolicy, flow: str) -> Notice:
    """The question with what it is about: which service, where and when, where it is about an appointment."""
    slots = {"survey_reference": reference}
    number = reference.removeprefix(APPOINTMENT)
    row = what_and_where(conn, int(number)) if reference.startswith(APPOINTMENT) and number.isdecimal() else None
    if row is None:
        return Notice("utter_survey_intro", {}, flow, slots)
    service = policy.appointments.services.get(row.service) or BookableService(row.service)
    zh, en = (name_of(row.names, language, row.site) for language in ("zh", "en"))
    args = {
        "service": f"@zh:{service.title('zh')}|@en:{service.title('en')}",
        "site": f"@zh:{zh}|@en:{en}",
        "time": f"@time:{row.starts_at.isoformat()}",
    }
    return Notice("utter_survey_appointment", args, flow, slots)


def _still_solved(conn: Connection, due: Sequence[Timer]) -> list[tuple[Any, Timer]]:
    """The cases, locked, that are as they were when the timer was set."""
    found = []
    for timer in due:
        same = select(cases).where(cases.c.id == timer.case_id, cases.c.reopened == timer.details.get("reopened", 0))
        case = conn.execute(same.where(cases.c.status == "solved", cases.c.is_open).with_for_update()).first()
        if case is not None:
            found.append((case, timer))
    return found


def _may_be_asked(conn: Connection, customer_id: int) -> bool:
    here = select(customers.c.id).where(customers.c.id == customer_id, customers.c.erased_at.is_(None))
    waits = select(cases.c.id).where(
        cases.c.customer_id == customer_id, cases.c.kind == "complaint", cases.c.is_open, cases.c.status != "solved"
    )
    return conn.execute(here).first() is not None and conn.execute(waits.limit(1)).first() is None
