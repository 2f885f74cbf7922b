"""The reports: a sentence, a chart, a table; every number leads to what it counts. One address for each state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, cast

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError, NotFound
from bot.service.report_rules import Summary
from console.frame import SAFE, Frame, Visit, screen
from console.inbox_view import channel_name, row_name
from console.reports_view import OWN, RANGES, Asked, asked, shown, span_words
from desk.cases import CaseDesk
from desk.inbox import InboxDesk
from desk.report_files import export_report
from desk.report_types import BY, REPORTS, Drill
from desk.reports import ReportDesk

FileForm = Literal["csv", "xlsx"]
LISTED: Final = 50
GROUPS: Final = {"complaints": BY, "causes": ("category", "site", "product")}  # what their tables are broken down by
_TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


@dataclass(frozen=True, slots=True)
class ReportServices:
    """What the screen works with. `summaries`: those that are sent by themselves, by the rules in force."""

    reports: ReportDesk
    inbox: InboxDesk
    cases: CaseDesk
    channels: Callable[[], Sequence[str]]
    summaries: Callable[[], Sequence[Summary]]


def reports_routes(frame: Frame, services: ReportServices) -> list[BaseRoute]:
    desk = ReportsScreen(services)
    see = "reports.read"
    return [
        Route("/console/reports", screen(frame, desk.page, see), methods=["GET"]),
        Route("/console/reports/{name}", screen(frame, desk.page, see), methods=["GET"]),
        Route("/console/reports/{name}/behind", screen(frame, desk.behind, see), methods=["GET"]),
        Route("/console/reports/{name}/file.{kind}", screen(frame, desk.file, "reports.export"), methods=["GET"]),
    ]


class ReportsScreen:
    """One method for each route."""

    def __init__(self, services: ReportServices) -> None:
        self._do = services

    async def page(self, visit: Visit) -> Response:
        """A report; days that are none are said above the last thirty."""
        wrong = ""
        try:
            ask = _asked(visit)
        except InputError as error:
            wrong, ask = str(error), asked(_name(visit), {}, visit.look, _opens(visit))
        report = await self._do.reports.report(visit.actor, ask.name, ask.query)
        language = visit.look.language
        titles = self._do.reports.titles()
        return visit.page(
            "reports",
            "reports/page.html",
            title=titles[ask.name][language],
            ask=ask,
            own=OWN,
            ranges=[*RANGES, OWN],
            groups=GROUPS,
            menu=[(name, titles[name][language], ask.address(report=name)) for name in REPORTS],
            shown=(view := shown(report, ask, visit.look)),
            chart=Markup(view.chart),  # noqa: S704 - console.charts escapes every word it draws
            days=(span_words(ask.query, visit.look), span_words(ask.query.before, visit.look)),
            channels=[(name, channel_name(name, visit.look)) for name in self._do.channels()],
            summaries=[_summary(visit, each) for each in self._do.summaries()],
            wrong=wrong,
        )

    async def behind(self, visit: Visit) -> Response:
        """What a number counts, with the way to each of them."""
        ask = _asked(visit)
        drill = Drill(
            "case" if visit.text("kind") == "case" else "conversation", visit.text("what"), visit.text("name")
        )
        page = await self._do.reports.drill(visit.actor, ask.query, drill, after=visit.text("cursor"), limit=LISTED)
        is_case = drill.kind == "case"
        rows = [await (self._case(visit, each) if is_case else self._talk(visit, each)) for each in page.items]
        names: dict[str, Any] = {
            "ask": ask,
            "is_case": is_case,
            "rows": rows,
            "next": ask.behind(drill, cursor=page.next) if page.next else "",
            "here": ask.behind(drill),
            "days": span_words(ask.query, visit.look),
            "report": self._do.reports.titles()[ask.name][visit.look.language],
        }
        return visit.page("reports", "reports/behind.html", title=visit.t("report.behind"), **names)

    async def file(self, visit: Visit) -> Response:
        ask, kind = _asked(visit), visit.request.path_params["kind"]
        report = await self._do.reports.report(visit.actor, ask.name, ask.query)
        name, content = export_report(visit.actor, report, cast(FileForm, kind), visit.look.language)
        headers = {**SAFE, "Content-Disposition": f'attachment; filename="{name}"'}
        return Response(content, media_type=_TYPES[kind], headers=headers)

    async def _talk(self, visit: Visit, talk: int) -> dict[str, Any]:
        try:
            row = await self._do.inbox.row(visit.actor, talk)
        except NotFound:  # erased since it was counted
            return {"address": "", "id": talk}
        return {
            "address": f"/console/inbox/{talk}?list=all",
            "id": talk,
            "name": row_name(row, visit.look),
            "channel": channel_name(row.channel, visit.look),
            "last": row.last_words,
            "at": row.last_message_at,
        }

    async def _case(self, visit: Visit, number: str) -> dict[str, Any]:
        case = await self._do.cases.show(visit.actor, number)
        return {
            "address": f"/console/cases/{number}",
            "id": number,
            "about": case["summary"],
            "at": case["opened_at"],
        }


def _name(visit: Visit) -> str:
    name: str = visit.request.path_params.get("name", REPORTS[0])
    if name not in REPORTS:
        raise NotFound(f"there is no report {name!r}")
    return name


def _asked(visit: Visit) -> Asked:
    return asked(_name(visit), dict(visit.request.query_params), visit.look, _opens(visit))


def _opens(visit: Visit) -> frozenset[str]:
    needed = {"conversation": "conversations.read_all", "case": "cases.read"}
    return frozenset(kind for kind, permission in needed.items() if visit.actor.may(permission))


def _summary(visit: Visit, summary: Summary) -> tuple[str, str, str]:
    """Its name, when it is sent, and to whom; chats without their ids."""
    day = visit.t(f"report.weekday.{summary.weekday}")
    when = visit.t(f"report.summary.{summary.every}", **_fitting(summary, day))
    names = [*summary.to, *(channel_name(channel, visit.look) for channel, _, _ in summary.chats)]
    return summary.name, when, visit.t("report.summary.to", names=", ".join(names))


def _fitting(summary: Summary, day: str) -> dict[str, str]:
    at = f"{summary.at:%H:%M}"
    return {"time": at, "day": day} if summary.every == "week" else {"time": at}
