"""What the customer is told when something becomes of their case: once per change, with its next step and time."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Connection

from bot.service.policy import ServicePolicy
from bot.service_types import Notice
from crm_sync.notices import as_is, tell
from desk.rules import hours_of

# status -> the flow that takes the customer's answer
FLOWS: Final[Mapping[str, str]] = {"waiting_customer": "complaint_answer", "solved": "complaint_solved"}


def tell_status(conn: Connection, case: Any, policy: ServicePolicy, now: datetime, *, note: str = "") -> None:
    """The customer hears of the status the case has just got, in words of `utter_notice_<status>`.

    `case`: the row as the change has left it, from `change_case`; its version makes the notice one of its own.
    """
    args = {
        "number": case.number,
        "note": as_is(note),
        "who": _who(case, policy),
        "next_at": f"@time:{next_at(conn, case, policy, now).isoformat()}",
    }
    tell_about(conn, case, f"utter_notice_{case.status}", args, now, flow=FLOWS.get(case.status, ""))


def tell_about(
    conn: Connection, case: Any, template: str, args: Mapping[str, str], now: datetime, *, flow: str = "", key: str = ""
) -> None:
    """The customer is told this about their case. `key`: what makes it one of its own beside the case's version."""
    notice = Notice(
        template,
        dict(args),
        flow=flow,
        slots={"case_number": case.number} if flow else {},
        is_vital=True,
    )
    tell(conn, case.customer_id, notice, now=now, key=f"case:{case.id}:{key or case.version}", case_id=case.id)


def next_at(conn: Connection, case: Any, policy: ServicePolicy, now: datetime) -> datetime:
    """By when something happens next: until when a solution can be contested, else the promise that runs out first.

    `case`: the row as `change_case` gives it, with `next_due`.
    """
    if case.status == "solved":
        return now + timedelta(hours=policy.cases.satisfaction.close_after_h)
    due: datetime | None = case.next_due
    if due is not None:
        return due
    calendar = policy.calendar_for(case.severity, hours_of(conn, case))
    return calendar.add(now, policy.promises.budget("update", case.severity) or timedelta(hours=4))


def _who(case: Any, policy: ServicePolicy) -> str:
    """Who looks after it: a person by name, or the team by its title."""
    if case.owner:
        return as_is(case.owner)
    team = policy.routing.teams.get(case.team)
    if team is None or not team.titles:
        return "@word:who:colleague"
    chinese = team.titles.get("zh", "") or next(iter(team.titles.values()))
    return f"@zh:{chinese}|@en:{team.titles.get('en', chinese)}"
