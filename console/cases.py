"""Cases side by side: the board, the list with acts on many, and what is due on which day."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import date, datetime, timedelta
from typing import Any, Final
from urllib.parse import parse_qsl, urlencode

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError, StaleState
from console.case_acts import BULK, NEEDS_WORDS, CaseServices, do, people
from console.case_page import case_page_routes
from console.cases_view import MOVES, card_of, clock_words, filter_of, named
from console.frame import Frame, Visit, part, screen, toast
from console.words import say
from desk.case_board import COLUMNS, Done, on_each

ROWS: Final = 50
KINDS: Final = ("complaint", "suggestion", "return", "exchange", "repair")
STATUSES: Final = (*COLUMNS, "confirmed", "withdrawn")


def cases_routes(frame: Frame, services: CaseServices) -> list[BaseRoute]:
    desk = CasesScreen(services)

    def route(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str, method: str = "GET") -> Route:
        return Route(f"/console/cases{path}", screen(frame, work, permission), methods=[method])

    return [
        route("", desk.board, "cases.read"),
        route("/list", desk.list, "cases.read"),
        route("/week", desk.week, "cases.read"),
        route("/bulk", desk.bulk, "cases.work", "POST"),
        route("/alerts/{id:int}/seen", desk.see_alert, "cases.work", "POST"),
        route("/{number}/move", desk.move, "cases.work", "POST"),
        *case_page_routes(frame, services),
    ]


class CasesScreen:
    """One method for each route."""

    def __init__(self, services: CaseServices) -> None:
        self._do = services

    async def board(self, visit: Visit) -> Response:
        """The board; as a fragment only its columns, for a page that heard that something happened."""
        if visit.is_part:
            return visit.parts(await self._board_part(visit, dict(visit.request.query_params)))
        names = {**await self._board(visit, visit.request.query_params), **await self._around(visit, "board")}
        alerts = [(row["id"], self._alert(visit, row)) for row in await self._do.alerts(visit.actor)]
        return visit.page("cases", "cases/board.html", live="/console/live?board=1", asking="", alerts=alerts, **names)

    async def see_alert(self, visit: Visit) -> Response:
        """Somebody looks into what stands out; it is no longer on the board."""
        await self._do.see_alert(visit.actor, int(visit.request.path_params["id"]))
        return visit.go("/console/cases")

    def _alert(self, visit: Visit, row: Mapping[str, Any]) -> str:
        titles = self._do.categories(visit.look.language)
        what = [titles.get(str(row[name]), str(row[name])) for name in ("category", "quality_type") if row[name]]
        about = " / ".join([*what, *([str(row["product"])] if row["product"] else [])])
        return visit.t("cases.alert", what=about, count=row["count"], usual=round(float(row["expected"]), 1))

    async def list(self, visit: Visit) -> Response:
        names = await self._rows(visit, visit.request.query_params)
        return visit.page("cases", "cases/list.html", results=(), **names, **await self._around(visit, "list"))

    async def week(self, visit: Visit) -> Response:
        which, fields = filter_of(visit.request.query_params, visit.look)
        first, zone = _monday(visit), visit.look.zone
        since = datetime(first.year, first.month, first.day, tzinfo=zone)
        last = first + timedelta(days=6)
        until = datetime.combine(first + timedelta(days=7), datetime.min.time(), tzinfo=zone)
        page = await self._do.board.due(visit.actor, which, since, until, cursor=visit.text("cursor"))
        days: dict[date, list[Any]] = {first + timedelta(days=ahead): [] for ahead in range(7)}
        for line in page.items:
            words, tone = clock_words(line.due_at, visit.look, is_late=line.is_broken, is_warned=line.is_warned)
            kind = named("promise", line.kind, visit.look)
            severity = named("severity", str(line.severity), visit.look)
            days[line.due_at.astimezone(zone).date()].append((line, kind, severity, words, tone))
        at = {"from": first.isoformat()}
        return visit.page(
            "cases",
            "cases/week.html",
            fields=fields,
            days=[(day, visit.t(f"day.{day.weekday()}"), lines) for day, lines in days.items()],
            today=visit.look.now.astimezone(zone).date(),
            first=first,
            last=last,
            before=urlencode({**fields, "from": (first - timedelta(days=7)).isoformat()}),
            after=urlencode({**fields, "from": (first + timedelta(days=7)).isoformat()}),
            next=urlencode({**fields, **at, "cursor": page.next}) if page.next else "",
            late=urlencode({**fields, "late": "1"}),
            is_empty=not page.items,
            **await self._around(visit, "week"),
        )

    async def move(self, visit: Visit) -> Response:
        """A card is in another column; where the customer is told something, the words are asked for first."""
        number, status = visit.request.path_params["number"], visit.text("status")
        act = MOVES.get(status, "")
        filters = dict(parse_qsl(visit.text("filters")[:1000]))
        if not act:
            raise InputError(visit.t("cases.cannot", number=number, status=visit.text("was")))
        if act in NEEDS_WORDS and not visit.text("words").strip():
            if not visit.is_part:
                return visit.go(f"/console/cases/{number}?to={act}")
            form = visit.html(
                "cases/asking.html", number=number, act=act, status=status, version=visit.number("version"),
                filters=visit.text("filters"), **self._codes(visit),
            )  # fmt: skip
            return visit.parts(part("#asking", form))
        try:
            await do(self._do, visit, act, number, visit.number("version"))
        except StaleState:
            if not visit.is_part:
                raise
            return visit.parts(await self._board_part(visit, filters), toast(visit.t("stale")), status=409)
        if not visit.is_part:
            return visit.go(f"/console/cases?{urlencode(filters)}")
        words = visit.t("case.toast.moved", number=number, status=visit.t(f"status.{status}"))
        return visit.parts(await self._board_part(visit, filters), part("#asking", Markup("")), toast(words))

    async def bulk(self, visit: Visit) -> Response:
        """The act is done on each chosen case; what became of each is shown."""
        act = visit.text("act")
        if act not in BULK:
            raise InputError(f"there is no act {act!r}")
        if act in NEEDS_WORDS and not visit.text("words").strip():
            raise InputError(visit.t("act.words.missing"))
        numbers = [item for item in visit.form.getlist("number") if isinstance(item, str)]
        done = await on_each(numbers, lambda number: do(self._do, visit, act, number, None))
        filters = dict(parse_qsl(visit.text("filters")[:1000]))
        names = {**await self._rows(visit, filters), "results": done, "said": self._said(visit, done)}
        if visit.is_part:
            return visit.parts(part("#list", visit.html("cases/rows.html", **names), "replace"), toast(names["said"]))
        return visit.page("cases", "cases/list.html", **names, **await self._around(visit, "list", filters))

    # --- how it looks -----------------------------------------------------------------------------------------------

    def _said(self, visit: Visit, done: tuple[Done, ...]) -> str:
        failed = sum(1 for one in done if one.error is not None)
        return visit.t("bulk.result", done=len(done) - failed, failed=failed)

    async def _board(self, visit: Visit, given: Mapping[str, str]) -> dict[str, Any]:
        which, fields = filter_of(given, visit.look)
        teams = dict(self._do.teams(visit.look.language))
        columns = await self._do.board.columns(visit.actor, which)
        fields.pop("status", None)  # the board shows them all
        return {
            "fields": fields,
            "filters": urlencode(fields),
            "columns": [
                (
                    column.status,
                    visit.t(f"status.{column.status}"),
                    column.count,
                    [card_of(line, visit.look, teams) for line in column.page.items],
                    urlencode({**fields, "status": column.status}),
                )
                for column in columns
            ],
            "is_empty": not any(column.count for column in columns),
        }

    async def _board_part(self, visit: Visit, filters: Mapping[str, str]) -> Markup:
        return part("#board", visit.html("cases/columns.html", **await self._board(visit, filters)), "replace")

    async def _rows(self, visit: Visit, given: Mapping[str, str]) -> dict[str, Any]:
        which, fields = filter_of(given, visit.look)
        cursor = given.get("cursor", "")
        page = await self._do.board.page(visit.actor, which, cursor=cursor, limit=ROWS)
        teams = dict(self._do.teams(visit.look.language))
        return {
            "fields": fields,
            "filters": urlencode({**fields, **({"cursor": cursor} if cursor else {})}),
            "cards": [card_of(line, visit.look, teams) for line in page.items],
            "first": urlencode(fields) if cursor else "",
            "is_first": not cursor,
            "next": urlencode({**fields, "cursor": page.next}) if page.next else "",
            "acts": BULK,
            "people": await people(self._do, visit.actor),
            "teams": self._do.teams(visit.look.language),
            "said": "",
            **self._codes(visit),
        }

    async def _around(self, visit: Visit, view: str, given: Mapping[str, str] | None = None) -> dict[str, Any]:
        """What every view of cases has above it: the other views, and the filters."""
        _, fields = filter_of(visit.request.query_params if given is None else given, visit.look)
        language = visit.look.language
        shared = {name: value for name, value in fields.items() if name != "status"}
        sites = await self._do.board.sites(visit.actor)
        return {
            "view": view,
            "views": [(name, visit.t(f"cases.{name}"), urlencode(shared)) for name in ("board", "list", "week")],
            "filter_teams": self._do.teams(language),
            "filter_people": [(name, name) for name in await people(self._do, visit.actor)],
            "filter_sites": [(site.key, site.names.get(language) or site.key) for site in sites],
            "filter_kinds": [(kind, named("kind", kind, visit.look)) for kind in KINDS],
            "filter_statuses": [(status, say(language, f"status.{status}")) for status in STATUSES],
            "mine": urlencode({**shared, "owner": visit.actor.name}),
        }

    def _codes(self, visit: Visit) -> dict[str, Any]:
        language = visit.look.language
        return {"causes": self._do.causes(language), "remedies": self._do.remedies(language)}


def _monday(visit: Visit) -> date:
    """The first day of the week the address asks for, or of this one. Raises: InputError."""
    wanted = visit.text("from")
    try:
        day = date.fromisoformat(wanted) if wanted else visit.look.now.astimezone(visit.look.zone).date()
        return day - timedelta(days=day.weekday())
    except (ValueError, OverflowError) as exc:
        raise InputError("this is no day") from exc
