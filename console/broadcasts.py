"""Broadcasts: the list and the calendar, one broadcast with pre-flight, progress and results, and several compared."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from bot.errors import AssistantInvalid, InputError, NotFound
from bot.reach.preflight import Preflight
from bot.reach.states import BroadcastState
from bot.service.policy import ServicePolicy
from console.broadcasts_view import (
    TONES,
    compare_view,
    month_of,
    preflight_view,
    progress_view,
    results_view,
    sample,
    weeks_of,
)
from console.frame import SAFE, Frame, Visit, part, screen, toast
from console.inbox_view import channel_name
from desk.audiences import AudienceDesk
from desk.broadcast_results import ResultDesk
from desk.broadcast_uncertain import Uncertain, UncertainSends
from desk.broadcasts import BroadcastDesk, BroadcastRow, Opened
from desk.consents import ConsentDesk
from desk.coupons import CouponDesk
from desk.paging import MOST
from desk.segments import SegmentDesk

BASE: Final = "/console/broadcasts"
EDITABLE: Final = ("draft", "waiting", "approved")
BEGUN: Final = ("running", "paused", "stopped", "finished", "cancelled")
DECISIONS: Final = ("ask", "approve", "start", "pause", "resume", "cancel")
MOST_COMPARED: Final = 12
SHOWN_UNCERTAIN: Final = 50
_SHOWN_MONTH: Final = 400  # broadcasts a calendar looks through


@dataclass(frozen=True, slots=True)
class BroadcastScreens:
    """What the screens work with. `rules`: of the business; `variables`: names its record knows of everybody."""

    broadcasts: BroadcastDesk
    coupons: CouponDesk
    results: ResultDesk
    uncertain: UncertainSends
    segments: SegmentDesk
    audiences: AudienceDesk
    consents: ConsentDesk
    rules: Callable[[], ServicePolicy]
    channels: Callable[[], Sequence[str]]
    variables: Callable[[], Sequence[str]]


def broadcasts_routes(frame: Frame, services: BroadcastScreens) -> list[BaseRoute]:
    desk = BroadcastsScreen(services)

    def route(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str, *, post: bool = False) -> Route:
        return Route(f"{BASE}{path}", screen(frame, work, permission), methods=["POST"] if post else ["GET"])

    read, write, send, one = "broadcasts.read", "broadcasts.write", "broadcasts.send", "/b/{name:str}"
    return [
        route("", desk.page, read),
        route("/calendar", desk.calendar, read),
        route("/compare", desk.compare, read),
        route(one, desk.progress, read),
        route(f"{one}/preflight", desk.preflight, read),
        route(f"{one}/results", desk.results, read),
        route(f"{one}/recipients.csv", desk.export, "reports.export"),
        route(f"{one}/ask", desk.ask, write, post=True),
        route(f"{one}/approve", desk.approve, send, post=True),
        route(f"{one}/start", desk.start, send, post=True),
        route(f"{one}/pause", desk.pause, send, post=True),
        route(f"{one}/resume", desk.resume, send, post=True),
        route(f"{one}/cancel", desk.cancel, send, post=True),
        route(f"{one}/test", desk.test, write, post=True),
        route(f"{one}/uncertain", desk.decide, send, post=True),
    ]


class BroadcastsScreen:
    """One method for each route."""

    def __init__(self, services: BroadcastScreens) -> None:
        self._do = services

    # --- several ------------------------------------------------------------------------------------------------

    async def page(self, visit: Visit) -> Response:
        """The newest first, a page at a time."""
        state, cursor = visit.text("state"), visit.text("cursor")
        states = [state] if state in list(BroadcastState) else []
        found = await self._do.broadcasts.page(visit.actor, states=states, cursor=cursor)
        more = f"{BASE}?state={state}&cursor={found.next}" if found.next else ""
        names = {
            **around(visit, "list"),
            "rows": found.items,
            "more": more,
            "state": state,
            "states": list(BroadcastState),
        }
        if visit.is_part and cursor:
            rows = visit.html("broadcasts/rows.html", **names)
            mark = visit.html("broadcasts/more.html", **names)
            return visit.parts(part("#broadcasts", rows, "append"), part("#more", mark, "replace"))
        return visit.page("broadcasts", "broadcasts/list.html", **names)

    async def calendar(self, visit: Visit) -> Response:
        """A month, with what starts on each of its days."""
        first = month_of(visit.text("month"), visit.look)
        rows: list[BroadcastRow] = []
        cursor = ""
        while len(rows) < _SHOWN_MONTH:
            found = await self._do.broadcasts.page(visit.actor, cursor=cursor, limit=MOST)
            rows.extend(found.items)
            if not (cursor := found.next or ""):
                break
        before, after = first.month - 2, first.month
        names: dict[str, Any] = {
            "first": first,
            "weeks": weeks_of(first, rows, visit.look),
            "before": f"{first.year + before // 12}-{before % 12 + 1:02d}",
            "after": f"{first.year + after // 12}-{after % 12 + 1:02d}",
            "unset": [row for row in rows if row.at is None and row.state.value in EDITABLE],
        }
        return visit.page("broadcasts", "broadcasts/calendar.html", **around(visit, "calendar"), **names)

    async def compare(self, visit: Visit) -> Response:
        """Those that were chosen, side by side; nobody chosen: the last ones."""
        begun = await self._do.broadcasts.page(visit.actor, states=BEGUN)
        known = {row.name for row in begun.items}
        asked = [name for name in visit.request.query_params.getlist("b") if name in known]
        chosen = asked[:MOST_COMPARED] or [row.name for row in begun.items[:5]]
        lines = await self._do.results.compare(visit.actor, chosen)
        return visit.page(
            "broadcasts", "broadcasts/compare.html", **around(visit, "compare"),
            begun=begun.items, chosen=chosen, shown=compare_view(lines, visit.look),
        )  # fmt: skip

    # --- one ----------------------------------------------------------------------------------------------------

    async def progress(self, visit: Visit) -> Response:
        """How far it is; while something moves, the page asks again each second."""
        opened = await self._do.broadcasts.open(visit.actor, _name(visit))
        view = progress_view(opened.progress, visit.look, sample(visit.text("a")), sample(visit.text("b")))
        unsure: Sequence[Uncertain] = ()
        if opened.progress.counts.get("uncertain"):
            unsure = await self._do.uncertain.find(visit.actor, opened.stored.name, SHOWN_UNCERTAIN)
        names = {**self._one(visit, opened, "overview"), "view": view, "unsure": unsure}
        if visit.is_part:
            head = visit.html("broadcasts/head.html", **names)
            return visit.parts(
                part("#progress", visit.html("broadcasts/progress.html", **names), "replace"),
                *([part("#head", head, "replace")] if visit.text("state") != opened.stored.state.value else []),
            )
        return visit.page("broadcasts", "broadcasts/one.html", title=names["title"], **without(names, "title"))

    async def preflight(self, visit: Visit) -> Response:
        """One page to decide on."""
        opened = await self._do.broadcasts.open(visit.actor, _name(visit))
        wrong, shown, previews = "", None, []
        names = self._one(visit, opened, "preflight")
        try:
            found = await self._do.broadcasts.preflight(visit.actor, opened.stored.name)
            shown = preflight_view(found, visit.look, opened.broadcast.effect.currency)
            previews = await self._do.broadcasts.previews(visit.actor, opened.stored.document)
            names["needs_approval"] = self._needs_approval(opened, found)
        except AssistantInvalid as error:
            wrong = str(error)
        names.update(
            {"shown": shown, "wrong": wrong, "previews": by_variant(previews, visit), "from": self._approval_from()}
        )
        return visit.page("broadcasts", "broadcasts/preflight.html", title=names["title"], **without(names, "title"))

    async def results(self, visit: Visit) -> Response:
        """What it brought, and the harm beside it."""
        opened = await self._do.broadcasts.open(visit.actor, _name(visit))
        found = await self._do.results.results(visit.actor, opened.stored.name)
        names = {**self._one(visit, opened, "results"), "found": found, "shown": results_view(found, visit.look)}
        return visit.page("broadcasts", "broadcasts/results.html", title=names["title"], **without(names, "title"))

    async def export(self, visit: Visit) -> Response:
        name = _name(visit)
        lines = await self._do.results.export(visit.actor, name)
        headers = {**SAFE, "Content-Disposition": f'attachment; filename="{name}-recipients.csv"'}
        return StreamingResponse(lines, media_type="text/csv; charset=utf-8", headers=headers)

    # --- changing -----------------------------------------------------------------------------------------------

    async def ask(self, visit: Visit) -> Response:
        await self._do.broadcasts.ask_approval(visit.actor, _name(visit), version=visit.needed("version"))
        return self._done(visit, "ask", "/preflight")

    async def approve(self, visit: Visit) -> Response:
        await self._do.broadcasts.approve(visit.actor, _name(visit), version=visit.needed("version"))
        return self._done(visit, "approve", "/preflight")

    async def start(self, visit: Visit) -> Response:
        await self._do.broadcasts.start(visit.actor, _name(visit), version=visit.needed("version"))
        return self._done(visit, "start")

    async def pause(self, visit: Visit) -> Response:
        await self._do.broadcasts.pause(visit.actor, _name(visit))
        return self._done(visit, "pause")

    async def resume(self, visit: Visit) -> Response:
        await self._do.broadcasts.resume(visit.actor, _name(visit))
        return self._done(visit, "resume")

    async def cancel(self, visit: Visit) -> Response:
        await self._do.broadcasts.cancel(visit.actor, _name(visit))
        return self._done(visit, "cancel")

    async def decide(self, visit: Visit) -> Response:
        """Sends nobody knows the end of: one of them, or all, are sent again or left."""
        name, which = _name(visit), visit.text("which")
        if which not in ("again", "leave"):
            raise InputError("they are sent again, or left")
        one = visit.number("recipient")
        act = self._do.uncertain.send_again if which == "again" else self._do.uncertain.mark_failed
        await act(visit.actor, name, None if one is None else [one])
        return self._done(visit, f"uncertain.{which}")

    async def test(self, visit: Visit) -> Response:
        """One of the staff gets it as everybody would."""
        await self._do.broadcasts.test(visit.actor, _name(visit), visit.text("variant"), visit.needed("customer"))
        if visit.is_part:
            return visit.parts(toast(visit.t("bc.done.test")))
        return visit.go(f"{BASE}/b/{_name(visit)}/preflight")

    def _done(self, visit: Visit, what: str, then: str = "") -> Response:
        return visit.go(f"{BASE}/b/{_name(visit)}{then}?done={what}")

    # --- how it looks -------------------------------------------------------------------------------------------

    def _one(self, visit: Visit, opened: Opened, tab: str) -> dict[str, Any]:
        stored, state = opened.stored, opened.stored.state.value
        done = visit.text("done")
        rules = self._do.rules().broadcasts
        return {
            **around(visit, "list"),
            "one_tab": tab,
            "stored": stored,
            "broadcast": opened.broadcast,
            "title": stored.document.get("title") or stored.name,
            "purpose": rules.purpose(opened.broadcast.purpose).title(visit.look.language),
            "left": opened.progress.counts.get("pending", 0),
            "can": {
                "edit": state in EDITABLE,
                "pause": state in ("scheduled", "preparing", "running"),
                "resume": state in ("paused", "stopped"),
                "cancel": state in ("scheduled", "preparing", "running", "paused", "stopped"),
                "ask": state == "draft",
                "approve": state in ("draft", "waiting") and not stored.was_written_by(visit.actor.name),
                "start": state in EDITABLE,
            },
            "said": visit.t(f"bc.done.{done}") if done in (*DECISIONS, "uncertain.again", "uncertain.leave") else "",
            "needs_approval": False,
        }

    def _needs_approval(self, opened: Opened, found: Preflight) -> bool:
        return not opened.stored.is_approved and sum(found.counted.reached.values()) >= self._approval_from()

    def _approval_from(self) -> int:
        return self._do.broadcasts.approval_from


def around(visit: Visit, tab: str) -> dict[str, Any]:
    """What every page of broadcasts needs: which tab it is, how states and channels are called."""
    return {
        "base": BASE,
        "tab": tab,
        "tone": lambda state: TONES.get(state, ""),
        "channel": lambda name: channel_name(name, visit.look),
    }


def by_variant(previews: Sequence[Any], visit: Visit) -> list[tuple[str, list[tuple[str, Any]]]]:
    """Variant -> (channel as it is called, preview), in the order of the broadcast."""
    found: dict[str, list[tuple[str, Any]]] = {}
    for each in previews:
        found.setdefault(each.variant, []).append((channel_name(each.channel, visit.look), each))
    return list(found.items())


def without(names: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in names.items() if name != key}


def _name(visit: Visit) -> str:
    name: str = visit.request.path_params["name"]
    if len(name) > 60:
        raise NotFound("no broadcast has a name of that length")
    return name
