"""Messages the bot did not understand, with what it thought; labelled in place, from the keyboard too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError, NotFound
from console.frame import SAFE, Frame, Visit, part, screen, toast
from console.inbox_view import channel_name
from desk.library import AssistantLibrary
from desk.understanding import KINDS, MOST_COUNTED, NOT_WORTH_LEARNING, Kind, UnderstandingDesk

GUESSES: Final = 5  # meanings offered under the keys 1 to 5
LISTED: Final = 50
NOTHING_TO_LEARN: Final = "-"  # what the form says for it; an empty choice is none


@dataclass(frozen=True, slots=True)
class UnderstandingServices:
    understanding: UnderstandingDesk
    library: AssistantLibrary
    default: Callable[[], str]


def understanding_routes(frame: Frame, services: UnderstandingServices) -> list[BaseRoute]:
    desk = UnderstandingScreen(services)
    see, label = "understanding.read", "understanding.label"
    return [
        Route("/console/understanding", screen(frame, desk.page, see), methods=["GET"]),
        Route("/console/understanding/examples.csv", screen(frame, desk.examples, see), methods=["GET"]),
        Route("/console/understanding/{id:int}/label", screen(frame, desk.label, label), methods=["POST"]),
        Route("/console/understanding/{id:int}/unlabel", screen(frame, desk.unlabel, label), methods=["POST"]),
    ]


class UnderstandingScreen:
    """One method for each route."""

    def __init__(self, services: UnderstandingServices) -> None:
        self._do = services

    async def page(self, visit: Visit) -> Response:
        """A page of messages; as a fragment the next one, put after what is there."""
        name, kind, labelled = self._assistant(visit), _kind(visit), visit.text("labelled") == "1"
        page = await self._do.understanding.messages(
            visit.actor, name, kind, days=90 if labelled else 30, labelled=labelled, after=visit.text("cursor"),
            limit=LISTED,
        )  # fmt: skip
        here = {"assistant": name, "kind": kind, "labelled": "1" if labelled else ""}
        names = {
            **self._titles(visit),
            **here,
            "messages": page.items,
            "next": _address(**here, cursor=page.next) if page.next else "",
            "here": _address(**here, cursor=visit.text("cursor")),
        }
        if visit.is_part:
            return visit.parts(part("#more", visit.html("understanding/rows.html", **names), "replace"))
        return visit.page("understanding", "understanding/page.html", **names, **await self._counts(visit))

    async def label(self, visit: Visit) -> Response:
        """The message means this from now on; the line says so and lets it be taken back."""
        inbox_id, meaning = visit.path_id("message"), visit.text("intent").strip() or visit.text("other").strip()
        if not meaning:
            raise InputError(visit.t("under.choose"))
        wanted = NOT_WORTH_LEARNING if meaning == NOTHING_TO_LEARN else self._by_title(visit, meaning)
        await self._do.understanding.label(visit.actor, self._assistant(visit), inbox_id, wanted)
        words = self._titles(visit)["titles"].get(wanted, wanted) or visit.t("under.nothing")
        return await self._changed(visit, "understanding/done.html", label=words)

    async def unlabel(self, visit: Visit) -> Response:
        await self._do.understanding.unlabel(visit.actor, visit.path_id("message"))
        return await self._changed(visit, "", label="")

    async def examples(self, visit: Visit) -> Response:
        content = await self._do.understanding.examples(visit.actor)
        headers = {**SAFE, "Content-Disposition": 'attachment; filename="examples.csv"'}
        return Response(content.encode("utf-8-sig"), media_type="text/csv; charset=utf-8", headers=headers)

    # --- how it looks -------------------------------------------------------------------------------------------

    async def _changed(self, visit: Visit, template: str, *, label: str) -> Response:
        here = {"assistant": self._assistant(visit), "kind": _kind(visit)}
        if not visit.is_part:
            return visit.go(_address(**here, labelled=visit.text("labelled")))
        names = {**self._titles(visit), **here, "labelled": visit.text("labelled"), **await self._counts(visit)}
        parts = [part("#counts", visit.html("understanding/counts.html", **names), "replace")]
        if template:
            row = {"id": visit.path_id("message"), "text": visit.text("text")[:300], "label": label, **names}
            parts.append(part(f"#u-{visit.path_id('message')}", visit.html(template, **row), "replace"))
        else:
            parts += [part(f"#u-{visit.path_id('message')}", Markup(""), "remove"), toast(visit.t("under.back"))]
        return visit.parts(*parts)

    async def _counts(self, visit: Visit) -> dict[str, Any]:
        counts = await self._do.understanding.counts(visit.actor, self._assistant(visit))
        waiting = [(kind, _bounded(counts.waiting.get(kind, 0))) for kind in KINDS]
        by_count = sorted(counts.labelled.items(), key=lambda each: (-each[1], each[0]))
        return {"waiting": waiting, "learnt": by_count}

    def _titles(self, visit: Visit) -> dict[str, Any]:
        """Meanings by name with what people call them, and whatever else the templates share."""
        language = visit.look.language
        intents = self._do.library.assistant(self._assistant(visit)).intents
        titles = {name: intent.title.get(language) or name for name, intent in sorted(intents.items())}
        assistants = self._do.library.names()
        return {
            "titles": titles,
            "guesses": GUESSES,
            "nothing": NOTHING_TO_LEARN,
            "channel_name": lambda channel: channel_name(channel, visit.look),
            "assistants": assistants if len(assistants) > 1 else [],
        }

    def _by_title(self, visit: Visit, words: str) -> str:
        """The meaning that is called this; the words themselves where none is."""
        titles = self._titles(visit)["titles"]
        if words in titles:
            return words
        return next((name for name, title in titles.items() if title.casefold() == words.casefold()), words)

    def _assistant(self, visit: Visit) -> str:
        name = visit.text("assistant") or self._do.default()
        self._do.library.assistant(name)
        return name


def _kind(visit: Visit) -> Kind:
    kind = visit.text("kind") or KINDS[0]
    if kind not in KINDS:
        raise NotFound(f"there is no list {kind!r}")
    return kind


def _bounded(count: int) -> str:
    return f"{MOST_COUNTED - 1}+" if count >= MOST_COUNTED else str(count)


def _address(**values: str) -> str:
    return "/console/understanding?" + urlencode({name: value for name, value in values.items() if value})
