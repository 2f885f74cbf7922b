"""One case on a page of its own: what happened, what was promised, what may be done, and what was given for it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import StaleState
from console.case_acts import ACTS, CaseServices, do, minor_of, people
from console.cases_view import MOVES, Names, page_of_case, plan_words, site_words
from console.frame import Frame, Visit, part, screen, toast
from desk.compensation import KINDS

# act -> the status it gives, for acts that are only offered where that status may follow
_GIVES = {act: status for status, act in MOVES.items()}


def case_page_routes(frame: Frame, services: CaseServices) -> list[BaseRoute]:
    desk = CaseScreen(services)

    def route(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str, method: str = "POST") -> Route:
        return Route(f"/console/cases/{{number}}{path}", screen(frame, work, permission), methods=[method])

    return [
        route("", desk.page, "cases.read", "GET"),
        route("/offer", desk.offer, "cases.work"),
        route("/site", desk.site, "cases.work"),
        route("/reward", desk.reward, "cases.work"),
        route("/decide", desk.decide, "cases.compensate"),
        route("/plan", desk.plan, "cases.compensate"),
        *(route(f"/{act}", desk.act(act), "cases.read" if "watch" in act else "cases.work") for act in ACTS),
    ]


@dataclass(frozen=True, slots=True)
class Acted:
    """What is said of an act that was done, and what the page shows of it this once."""

    words: str
    shows: Mapping[str, Any] = field(default_factory=dict)


class CaseScreen:
    """One method for each route."""

    def __init__(self, services: CaseServices) -> None:
        self._do = services

    async def page(self, visit: Visit) -> Response:
        names = await self._names(visit)
        return visit.page("cases", "cases/case.html", title=names["case"].number, **names)

    def act(self, name: str) -> Callable[[Visit], Awaitable[Response]]:
        async def acted(visit: Visit) -> str:
            await do(self._do, visit, name, _number(visit), visit.number("version"))
            return visit.t("case.toast.kept")

        return self._after(acted)

    async def _offered(self, visit: Visit) -> str:
        kind = visit.text("kind")
        currency = "" if kind == "points" else visit.text("currency").strip().upper()
        if not currency and kind != "points":
            found = await self._do.cases.show(visit.actor, _number(visit))
            currency = found["choices"]["currency"]
        amount = minor_of(visit.text("amount"), currency)
        row = await self._do.money.offer(
            visit.actor, _number(visit), kind, amount, currency, reason=visit.text("words")[:1000]
        )
        return visit.t("case.toast.approved" if row.state == "approved" else "case.toast.offered")

    async def offer(self, visit: Visit) -> Response:
        return await self._after(self._offered)(visit)

    async def decide(self, visit: Visit) -> Response:
        return await self._after(self._decided)(visit)

    async def site(self, visit: Visit) -> Response:
        return await self._after(self._given)(visit)

    async def _given(self, visit: Visit) -> Acted:
        """A site has the case; its link is shown, for one that cannot be sent it."""
        given = await self._do.sites.offer(
            visit.actor, _number(visit), visit.text("site"), version=visit.number("version")
        )
        link = {"site_link": given.link, "site_link_until": given.expires_at}
        return Acted(visit.t("case.toast.site", site=given.site), link)

    async def reward(self, visit: Visit) -> Response:
        return await self._after(self._rewarded)(visit)

    async def _rewarded(self, visit: Visit) -> str:
        points = await self._do.money.reward(visit.actor, _number(visit), amount=visit.number("points"))
        return visit.t("case.toast.reward", points=points)

    async def plan(self, visit: Visit) -> Response:
        return await self._after(self._granted)(visit)

    async def _granted(self, visit: Visit) -> str:
        granted = await self._do.plans.grant(
            visit.actor, _number(visit), visit.text("plan"), version=visit.number("version")
        )
        return visit.t("case.toast.plan", count=sum(map(len, granted.parts.values())))

    async def _decided(self, visit: Visit) -> str:
        approve = visit.text("verdict") == "approve"
        await self._do.money.decide(
            visit.actor, visit.number("compensation") or 0, approve=approve, why=visit.text("words")[:1000]
        )
        return visit.t("case.toast.approved") if approve else visit.t("case.toast.kept")

    def _after(self, work: Callable[[Visit], Awaitable[str | Acted]]) -> Callable[[Visit], Awaitable[Response]]:
        """The work is done and the page shows what came of it; when somebody else was faster, how it is now."""

        async def acted(visit: Visit) -> Response:
            try:
                did, status = await work(visit), 200
            except StaleState:
                if not visit.is_part:
                    raise
                did, status = visit.t("stale"), 409
            told = did if isinstance(did, Acted) else Acted(did)
            if not visit.is_part and not told.shows:
                return visit.go(f"/console/cases/{_number(visit)}")
            names = {**await self._names(visit), **told.shows}
            if not visit.is_part:
                return visit.page("cases", "cases/case.html", title=names["case"].number, **names)
            html = visit.html("cases/whole.html", **names)
            return visit.parts(part("#case", html, "replace"), toast(told.words), status=status)

        return acted

    async def _names(self, visit: Visit) -> dict[str, Any]:
        language = visit.look.language
        found = await self._do.cases.show(visit.actor, _number(visit))
        choices = found["choices"]
        names = Names(
            teams=dict(self._do.teams(language)),
            categories=self._do.categories(language),
            causes=dict(self._do.causes(language)) | _titles(choices["causes"], language),
            remedies=dict(self._do.remedies(language)) | _titles(choices["remedies"], language),
        )
        case = page_of_case(found, visit.actor.name, visit.look, names)
        may = {name for name, _ in case.moves} | ({"assigned"} if case.is_open and case.status != "solved" else set())
        return {
            "case": case,
            "may_do": {act for act, status in _GIVES.items() if status in may},
            "to": visit.text("to") if visit.request.method == "GET" else "",
            "people": await people(self._do, visit.actor),
            "teams": self._do.teams(language),
            "causes": _titles(choices["causes"], language),
            "remedies": _titles(choices["remedies"], language),
            "money_kinds": KINDS,
            "is_idea": found["kind"] == "suggestion",
            "idea_points": choices["suggestion_points"] or "",
            "currency": choices["currency"],
            "plans": await self._plans(visit),
            "site_choices": await self._sites(visit),
            "site_link": "",
        }

    async def _sites(self, visit: Visit) -> list[tuple[str, str]]:
        """Sites this case can be given to: key, and name with the way there."""
        if not visit.actor.may("cases.work"):
            return []
        found = await self._do.sites.choices(visit.actor, _number(visit))
        return [(one.key, site_words(one, visit.look)) for one in found]

    async def _plans(self, visit: Visit) -> list[tuple[str, str, bool]]:
        """Plans that this person could grant: key, what would be due when, whether the customer asked for it."""
        if not visit.actor.may("cases.compensate"):
            return []
        found = await self._do.plans.choices(visit.actor, _number(visit))
        return [(one.plan, plan_words(one), one.is_asked) for one in found]


def _titles(codes: Mapping[str, Mapping[str, str]], language: str) -> dict[str, str]:
    return {code: names.get(language, code) for code, names in codes.items()}


def _number(visit: Visit) -> str:
    return str(visit.request.path_params["number"])
