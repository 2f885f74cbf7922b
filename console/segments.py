"""Segments: the list, and one of them built out of conditions while it is counted."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import AssistantInvalid
from console.broadcasts import BASE, BroadcastScreens, around
from console.form_fields import Fields
from console.frame import Frame, Visit, part, screen
from console.segment_form import MEASURES, SegmentWords, Tree, definition_of, empty, reshaped, tree_from, tree_of
from desk.segments import SegmentLook


def segments_routes(frame: Frame, services: BroadcastScreens) -> list[BaseRoute]:
    desk = SegmentsScreen(services)

    def route(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str, *, post: bool = False) -> Route:
        return Route(f"{BASE}/segments{path}", screen(frame, work, permission), methods=["POST"] if post else ["GET"])

    read, write = "broadcasts.read", "broadcasts.write"
    return [
        route("", desk.page, read),
        route("/new", desk.new, write),
        route("/look", desk.look, read, post=True),
        route("/save", desk.save, write, post=True),
        route("/archive", desk.archive, write, post=True),
        route("/{name:str}", desk.show, read),
    ]


class SegmentsScreen:
    """One method for each route."""

    def __init__(self, services: BroadcastScreens) -> None:
        self._do = services

    async def page(self, visit: Visit) -> Response:
        found = await self._do.segments.page(visit.actor, cursor=visit.text("cursor"))
        names = {**around(visit, "segments"), "rows": found.items, "next": found.next}
        return visit.page("broadcasts", "broadcasts/segments.html", title=visit.t("bc.segments"), **names)

    async def new(self, visit: Visit) -> Response:
        return await self._shown(visit, Fields(), empty())

    async def show(self, visit: Visit) -> Response:
        segment = await self._do.segments.show(visit.actor, visit.request.path_params["name"])
        fields = Fields.of({"name": segment.name, "title": segment.title, "version": segment.version})
        return await self._shown(visit, fields, tree_from(segment.definition, self._words(visit).attributes))

    async def look(self, visit: Visit) -> Response:
        """Whom it means now; with another shape where a part was added or taken away."""
        fields = Fields.sent(visit.form)
        shape = fields.text("shape")
        tree = reshaped(tree_of(fields), shape)
        if not visit.is_part:
            return await self._shown(visit, fields, tree)
        look, wrong = await self._look(visit, tree)
        seen = part("#look", visit.html("broadcasts/look.html", seen=look, wrong=wrong), "replace")
        if not shape:
            return visit.parts(seen)
        return visit.parts(
            part("#builder", visit.html("broadcasts/builder.html", **self.builder(visit, tree)), "replace"), seen
        )

    async def save(self, visit: Visit) -> Response:
        """Kept under its name; what is wrong is said, and what was written stays."""
        fields = Fields.sent(visit.form)
        if fields.text("shape"):  # a button within the builder
            return await self.look(visit)
        definition = definition_of(tree_of(fields), self._words(visit).attributes)
        saved = await self._do.segments.save(
            visit.actor, fields.text("name"), definition,
            title=fields.text("title"), version=visit.number("version"),
        )  # fmt: skip
        return visit.go(f"{BASE}/segments/{saved.name}?done=saved")

    async def archive(self, visit: Visit) -> Response:
        await self._do.segments.archive(visit.actor, visit.text("name"), version=visit.needed("version"))
        return visit.go(f"{BASE}/segments")

    # --- how it looks -------------------------------------------------------------------------------------------

    def builder(self, visit: Visit, tree: Tree) -> dict[str, Any]:
        words = self._words(visit)
        return {"tree": words.view(tree), "things": words.things, "measures": MEASURES}

    async def _shown(self, visit: Visit, fields: Fields, tree: Tree) -> Response:
        look, wrong = await self._look(visit, tree)
        title = fields.text("title") or fields.text("name") or visit.t("seg.new")
        notice = visit.t("seg.saved") if visit.text("done") == "saved" else ""
        names = {**around(visit, "segments"), **self.builder(visit, tree), "fields": fields}
        return visit.page(
            "broadcasts", "broadcasts/segment.html", title=title, **names,
            version=fields.text("version"), seen=look, wrong=wrong, notice=notice,
        )  # fmt: skip

    async def _look(self, visit: Visit, tree: Tree) -> tuple[SegmentLook | None, str]:
        if not visit.actor.may("customers.read"):
            return None, ""
        try:
            return await self._do.segments.look(visit.actor, definition_of(tree, self._words(visit).attributes)), ""
        except AssistantInvalid as error:
            return None, str(error)

    def _words(self, visit: Visit) -> SegmentWords:
        return SegmentWords(visit.look.language, self._do.rules())
