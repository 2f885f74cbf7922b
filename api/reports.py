"""`/reports`: figures, what each of them counts, and the whole as a file."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any, Final, Literal

from fastapi import Depends, Path, Query
from starlette.responses import Response

from api.desk import ApiDesk, By
from api.fields import Shown
from api.paging import Listed, Paged
from api.routing import DeskRoutes
from desk.report_files import export_report
from desk.report_types import REPORTS, Drill, Report, ReportQuery
from desk.reports import ReportDesk

EARLIEST, LATEST = date(1971, 1, 1), date(2200, 1, 1)
TYPES: Final = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
ReportId = Annotated[str, Path(max_length=60, description=f"One of: {', '.join(REPORTS)}")]


async def _days(
    by: By,
    since: Annotated[date, Query(ge=EARLIEST, le=LATEST)],
    until: Annotated[date, Query(ge=EARLIEST, le=LATEST, description="The day after its last one")],
    channel: Annotated[str, Query(max_length=40)] = "",
    group: Annotated[Literal["category", "cause", "site", "product"], Query()] = "category",
) -> ReportQuery:
    by.require("reports.read")  # before the days are looked at: who may not is told so
    return ReportQuery(since, until, channel, group)


Days = Annotated[ReportQuery, Depends(_days)]


class ReportName(Shown):
    name: str
    titles: dict[str, str]


def report_routes(desk: ApiDesk) -> DeskRoutes:
    reports = ReportDesk(
        desk.database, desk.clock, desk.timezone, titles=desk.report_titles, care=lambda: desk.policy().care
    )
    routes = DeskRoutes(tags=["reports"])

    @routes.get("/reports", response_model=Listed[ReportName])
    async def list_reports(by: By) -> Any:
        """The reports there are."""
        by.require("reports.read")
        return {"items": [{"name": name, "titles": titles} for name, titles in reports.titles().items()]}

    @routes.get("/reports/{name}", response_model=Report)
    async def get_report(by: By, name: ReportId, days: Days) -> Any:
        """A report over these days, compared with as many days before."""
        return await reports.report(by, name, days)

    @routes.get("/reports/{name}/file", response_class=Response, response_model=None)
    async def export_report_file(
        by: By,
        name: ReportId,
        days: Days,
        form: Annotated[Literal["csv", "xlsx"], Query()] = "csv",
        language: Annotated[Literal["zh", "en"], Query()] = "en",
    ) -> Response:
        """The report as CSV or XLSX; what a spreadsheet would run stays words."""
        by.require("reports.export")
        file, content = export_report(by, await reports.report(by, name, days), form, language)
        return Response(
            content, media_type=TYPES[form], headers={"Content-Disposition": f'attachment; filename="{file}"'}
        )

    @routes.get("/reports/{name}/behind", response_model=Listed[int | str])
    async def list_behind_report(
        by: By,
        name: ReportId,
        days: Days,
        paging: Paged,
        kind: Annotated[Literal["conversation", "case"], Query()],
        what: Annotated[str, Query(min_length=1, max_length=60, description="`what` of the figure's `drill`")],
        key: Annotated[str, Query(max_length=200, description="`name` of the figure's `drill`")] = "",
    ) -> Any:
        """What a number counts, the newest first: ids of conversations, or numbers of cases."""
        return paging.shown(
            await reports.drill(by, days, Drill(kind, what, key), after=paging.cursor, limit=paging.limit)
        )

    return routes
