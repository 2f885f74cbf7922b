"""The composer: a broadcast written in a form, with how each channel would show it beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final

from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import AssistantInvalid, InputError
from bot.reach.content_reading import LANGUAGES, MAX_LINKS, MAX_VARIANTS
from bot.reach.plan_reading import EVENTS, MAX_STEPS
from console.broadcasts import BASE, BroadcastScreens, around, by_variant
from console.composer_form import ANSWERS, MOST_BUTTONS, STOPS, WHEN, document_of, fields_of, variables_of
from console.composer_parts import FILE_KINDS, KINDS, MOST_CARDS, MOST_FILES, MOST_TEMPLATE_FIELDS, shown
from console.form_fields import Fields
from console.frame import Frame, Visit, part, screen
from console.segment_form import MEASURES, SegmentWords, empty, reshaped, tree_from, tree_of
from console.words import LANGUAGES as SPOKEN
from desk.paging import MOST

_NEW: Final[Mapping[str, Any]] = {
    "content": {"variants": [{"name": "a", "text": {}}]},
    "plan": {"quiet": ["21:00", "09:00"]},
}


def composer_routes(frame: Frame, services: BroadcastScreens) -> list[BaseRoute]:
    desk = ComposerScreen(services)

    def route(path: str, work: Callable[[Visit], Awaitable[Response]], *, post: bool = False) -> Route:
        shown = screen(frame, work, "broadcasts.write")
        return Route(f"{BASE}{path}", shown, methods=["POST"] if post else ["GET"])

    return [
        route("/new", desk.new),
        route("/b/{name:str}/edit", desk.edit),
        route("/try", desk.look, post=True),
        route("/save", desk.save, post=True),
    ]


class ComposerScreen:
    """One method for each route."""

    def __init__(self, services: BroadcastScreens) -> None:
        self._do = services

    async def new(self, visit: Visit) -> Response:
        """An empty form, or a copy of another broadcast."""
        document = _NEW
        if visit.text("from"):
            opened = await self._do.broadcasts.open(visit.actor, visit.text("from"))
            document = {**opened.stored.document, "name": ""}
        fields = fields_of(document, visit.look.zone)
        self._place(fields, document, visit)
        if not fields.all("exclude") and document is _NEW:
            first = next(iter(self._do.rules().broadcasts.purposes), "")
            fields.update(Fields.of({"purpose": first, **{f"ch.{self._first()}": 1}}))
        return await self._page(visit, fields)

    async def edit(self, visit: Visit) -> Response:
        opened = await self._do.broadcasts.open(visit.actor, visit.request.path_params["name"])
        fields = fields_of(opened.stored.document, visit.look.zone)
        fields.update(Fields.of({"version": opened.stored.version, "known": opened.stored.name}))
        self._place(fields, opened.stored.document, visit)
        return await self._page(visit, fields)

    async def look(self, visit: Visit) -> Response:
        """How what is written would look; with another shape where a part was added or taken away."""
        fields = Fields.sent(visit.form)
        shape = fields.text("shape")
        if shape:
            fields = self._reshaped(fields, shape, visit)
        if not visit.is_part:
            return await self._page(visit, fields)
        seen = await self._seen(visit, fields)
        parts = [part("#seen", visit.html("broadcasts/composed.html", **seen), "replace")]
        if shape:
            parts.append(
                part("#form", visit.html("broadcasts/form.html", **await self._names(visit, fields)), "replace")
            )
        elif variables_of(fields) != fields.text("shown_variables").split():
            names = await self._names(visit, fields)
            parts.append(part("#fallbacks", visit.html("broadcasts/fallbacks.html", **names), "replace"))
        return visit.parts(*parts)

    async def save(self, visit: Visit) -> Response:
        """A draft; what is wrong with it is said beside what was written."""
        fields = Fields.sent(visit.form)
        if fields.text("shape"):  # a button within the form
            return await self.look(visit)
        known = fields.text("known")
        try:
            document = await self._document(visit, fields)
            if known:
                version = visit.needed("version")
                saved = await self._do.broadcasts.edit(visit.actor, known, {**document, "name": known}, version=version)
            else:
                saved = await self._do.broadcasts.create(visit.actor, document)
        except InputError as error:
            return await self._refused(visit, fields, str(error))
        return visit.go(f"{BASE}/b/{saved.name}/preflight")

    async def _refused(self, visit: Visit, fields: Fields, wrong: str) -> Response:
        if visit.is_part:
            names = {**await self._seen(visit, fields), "wrong": wrong}
            return visit.parts(part("#seen", visit.html("broadcasts/composed.html", **names), "replace"), status=422)
        answer = await self._page(visit, fields, wrong)
        answer.status_code = 422
        return answer

    # --- what is written ----------------------------------------------------------------------------------------

    def _place(self, fields: Fields, document: Mapping[str, Any], visit: Visit) -> None:
        """The condition's nodes are fields too."""
        where = document.get("audience", {}).get("where")
        tree = tree_from(where, self._words(visit).attributes) if where else empty()
        fields.update(Fields.of(flat(tree, "q")))

    def _reshaped(self, fields: Fields, shape: str, visit: Visit) -> Fields:
        """One more or less of variants, links, steps or conditions."""
        act, _, place = shape.partition(":")
        for stem, key, most in (("v", "name", MAX_VARIANTS), ("l", "name", MAX_LINKS), ("s", "name", MAX_STEPS)):
            count = fields.count(stem, key, most)
            if act == "more" and place == stem and count < most:
                name = "abcdef"[count] if stem == "v" else ""
                fields[f"{stem}{count}.{key}"] = [name]
            elif act == "less" and place.startswith(stem) and place.removeprefix(stem).isdecimal():
                fields = fields.without(stem, int(place.removeprefix(stem)))
        tree = reshaped(tree_of(fields), shape)
        kept = Fields({name: values for name, values in fields.items() if not name.startswith("q.")})
        kept.update({name: [value] for name, value in flat(tree, "q").items()})
        return kept

    async def _document(self, visit: Visit, fields: Fields) -> dict[str, Any]:
        base: Mapping[str, Any] = {}
        if known := fields.text("known"):
            base = (await self._do.broadcasts.open(visit.actor, known)).stored.document
        return document_of(fields, base, self._words(visit).attributes)

    # --- how it looks -------------------------------------------------------------------------------------------

    async def _seen(self, visit: Visit, fields: Fields) -> dict[str, Any]:
        """The previews, or what keeps them from being made."""
        document = await self._document(visit, fields)
        # Only the words count here: what is still missing elsewhere is said when it is saved.
        given = {**document, "audience": {"list": "all"}, "plan": {}, "name": "preview"}
        given["purpose"] = given.get("purpose") or "news"
        wrong, previews = "", []
        if any(variant.get("text") for variant in document["content"].get("variants", ())):
            try:
                customer = visit.number("seen_by") if visit.actor.may("customers.read") else None
                previews = await self._do.broadcasts.previews(visit.actor, given, customer)
            except AssistantInvalid as error:
                wrong = str(error)
        return {"wrong": wrong, "previews": by_variant(previews, visit)}

    async def _page(self, visit: Visit, fields: Fields, wrong: str = "") -> Response:
        seen = await self._seen(visit, fields)
        names = {**await self._names(visit, fields), **seen, "wrong": wrong or seen["wrong"]}
        title = fields.text("title") or visit.t("bc.new")
        return visit.page("broadcasts", "broadcasts/compose.html", title=title, **names)

    async def _names(self, visit: Visit, fields: Fields) -> dict[str, Any]:
        """What the form offers to choose from."""
        language, rules = visit.look.language, self._do.rules().broadcasts
        words = self._words(visit)
        segments = (await self._do.segments.page(visit.actor, limit=MOST)).items
        lists = (await self._do.audiences.page(visit.actor, limit=MOST)).items
        purposes = [(name, purpose.title(language)) for name, purpose in rules.purposes.items()]
        now = fields.text("purpose")
        if now and now not in dict(purposes):
            purposes.append((now, now))
        return {
            **around(visit, "list"),
            "fields": fields,
            "known": fields.text("known"),
            "version": fields.text("version"),
            "purposes": purposes,
            "topics": [(name, rules.topic(name, language)) for name in rules.topics],
            "segments": [(each.name, each.title or each.name) for each in segments],
            "lists": [(each.name, each.members) for each in lists if each.kind != "exclusion"],
            "exclusions": [(each.name, each.members) for each in lists],
            "pools": [pool for pool in await self._do.coupons.pools(visit.actor) if pool.closed_at is None],
            "channels": self._do.channels(),
            "languages": [(each, SPOKEN[each]) for each in LANGUAGES],
            "variables": list(self._do.variables()),
            "used": variables_of(fields),
            "counts": {
                "v": fields.count("v", "name", MAX_VARIANTS),
                "l": fields.count("l", "name", MAX_LINKS),
                "s": fields.count("s", "name", MAX_STEPS),
            },
            "most_buttons": MOST_BUTTONS,
            "most": {"m": MOST_FILES, "k": MOST_CARDS, "t": MOST_TEMPLATE_FIELDS},
            "file_kinds": FILE_KINDS,
            "kinds": KINDS,
            "shown": partial(shown, fields),
            "whens": WHEN,
            "events": EVENTS,
            "answers": ANSWERS,
            "stops": STOPS,
            "tree": words.view(tree_of(fields)),
            "things": words.things,
            "measures": MEASURES,
        }

    def _words(self, visit: Visit) -> SegmentWords:
        return SegmentWords(visit.look.language, self._do.rules())

    def _first(self) -> str:
        return next(iter(self._do.channels()), "web")


def flat(tree: Mapping[str, Any], path: str) -> dict[str, str]:
    """A condition's nodes as fields."""
    found = {f"{path}.{key}": str(value) for key, value in tree.items() if key != "parts"}
    for place, each in enumerate(tree.get("parts", ())):
        found.update(flat(each, f"{path}.{place}"))
    return found
