"""The scheduled summary of the figures: sentences, sent to whom the policy names, once for each time.

People with an account find it among their notices (the screen opens the report from its reference); chats get the
words, as any notice does, with the channel's windows and quotas.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog
from sqlalchemy import Connection, select

from bot.business_time import zone
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from bot.service.report_rules import Summary
from bot.service_types import Notice, as_is
from bot.types import Language
from crm_sync.addressing import identity_key
from crm_sync.notices import plan_notice
from crm_sync.rows import insert_if_absent
from crm_sync.staff_notices import notify
from crm_sync.store import SqlStore
from crm_sync.tables import counters, identities
from desk.learning import find_spikes
from desk.report_types import Report, ReportQuery
from desk.reports import ReportDesk
from frontdesk.periodic import Periodic

if TYPE_CHECKING:
    from frontdesk.scheduler import Context

log = structlog.get_logger()

TOLD: Final = ("volume", "first_response", "containment", "unanswered", "csat", "complaints", "promises")
_HEADS: Final = {"zh": "{since} 至 {until} 小结", "en": "Summary of {since} to {until}"}


class _At(Clock):
    """The moment of the job, for everything it reads."""

    def __init__(self, now: datetime) -> None:
        self._now = now

    def now(self) -> datetime:
        return self._now


def report_jobs(timezone: str) -> tuple[Periodic, ...]:
    """What the scheduler counts by the business's days. `timezone`: the same as whoever shows reports has."""
    return (
        Periodic("case_spikes", timedelta(hours=1), partial(look_for_spikes, timezone=timezone)),
        Periodic("report_facts", timedelta(minutes=5), partial(count_reports, timezone=timezone)),
        Periodic("report_summaries", timedelta(minutes=10), partial(send_summaries, timezone=timezone)),
    )


async def count_reports(store: SqlStore, context: Context, *, timezone: str) -> None:
    """What was said since the last time is part of the figures."""
    await _desk(store, context, timezone).count_on()


async def look_for_spikes(store: SqlStore, context: Context, *, timezone: str) -> None:
    """Kinds of cases that stand out in the day or week under way have their alert; who leads a team hears of it."""
    routing = context.policy.routing
    leads = {routing.manager, *(team.lead for team in context.policy.teams.values())} - {""}
    await find_spikes(store.database, context.policy.cases.spikes, context.now, timezone, told=leads)


async def send_summaries(store: SqlStore, context: Context, *, timezone: str) -> None:
    """Every summary whose hour has come is on its way, each once for its days."""
    desk, local = _desk(store, context, timezone), context.now.astimezone(zone(timezone))
    for summary in context.policy.reports.summaries.values():
        span = summary.period(local)
        if span is not None:
            await _send(store, context, desk, summary, ReportQuery(*span))


async def _send(store: SqlStore, context: Context, desk: ReportDesk, summary: Summary, query: ReportQuery) -> None:
    key = f"summary:{summary.name}:{query.until.isoformat()}"
    if await store.database.run(lambda conn: _is_sent(conn, key), read=True):
        return
    await desk.count_on()
    words = in_words([await desk.told(name, query) for name in TOLD], summary.language)
    people = recipients(summary, context.policy)

    def unit(conn: Connection) -> None:
        if _is_sent(conn, key):
            return
        insert_if_absent(conn, counters, {"name": key, "value": 1}, key=("name",))
        reference = f"{query.since.isoformat()}:{query.until.isoformat()}"
        notify(conn, people, "report_summary", context.now, reference=reference)
        for chat in summary.chats:
            _tell(conn, chat, words, key, context.now)

    await store.database.run(unit)
    log.info("summary_sent", summary=summary.name, people=len(people), chats=len(summary.chats))


def _tell(conn: Connection, chat: tuple[str, str, str], words: str, key: str, now: datetime) -> None:
    who = select(identities.c.customer_id).where(identities.c.key == identity_key(*chat))
    customer = conn.execute(who).scalar()
    if customer is None:
        log.warning("summary_chat_unknown", channel=chat[0], account=chat[1])
        return
    notice = Notice("utter_report_summary", {"summary": as_is(words)})
    plan_notice(conn, customer, notice, at=now, now=now, key=f"{key}:{customer}")


def in_words(reports: list[Report], language: Language) -> str:
    """The leading sentence of each report that has something to say, under the days they are about."""
    query = reports[0].query
    head = _HEADS[language].format(since=query.days[0].isoformat(), until=query.days[-1].isoformat())
    lines = [
        report.headline[language]
        for report in reports
        if any((figure.now is not None and figure.now != 0) or figure.before for figure in report.figures)
    ]
    nothing = {"zh": "这段时间没有客户联系我们。", "en": "Nobody wrote to us in this time."}
    return "\n".join([head, *(lines or [nothing[language]])])


def recipients(summary: Summary, policy: ServicePolicy) -> frozenset[str]:
    """Names of accounts; a team stands for its members and its lead."""
    found: set[str] = set()
    for name in summary.to:
        team = policy.routing.teams.get(name)
        found |= {name} if team is None else {*team.members, *([team.lead] if team.lead else [])}
    return frozenset(found)


def _desk(store: SqlStore, context: Context, timezone: str) -> ReportDesk:
    return ReportDesk(store.database, _At(context.now), lambda: timezone)


def _is_sent(conn: Connection, key: str) -> bool:
    return conn.execute(select(counters.c.name).where(counters.c.name == key)).first() is not None
