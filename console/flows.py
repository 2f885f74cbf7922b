"""Flows as pictures, what the bot says in them with its history, and tests made of conversations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.edited_texts import EditedText
from bot.errors import InputError, StaleState
from console.flows_view import TextSide, text_sides
from console.frame import SAFE, Frame, Visit, part, screen, toast
from console.inbox_view import channel_name
from console.words import LANGUAGES, Language
from desk.flow_pictures import flow_graph, flow_svg, list_flows
from desk.library import AssistantLibrary
from desk.regression import RegressionDesk, as_yaml
from desk.responses import MOST_WORDINGS, ResponseDesk, ResponseView

MOST_LISTED: Final = 200


@dataclass(frozen=True, slots=True)
class FlowServices:
    responses: ResponseDesk
    tests: RegressionDesk
    library: AssistantLibrary
    default: Callable[[], str]


def flows_routes(frame: Frame, services: FlowServices) -> list[BaseRoute]:
    desk = FlowsScreen(services)

    def route(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str, *, post: bool = False) -> Route:
        return Route(
            f"/console/flows{path}", screen(frame, work, permission), methods=["POST"] if post else ["GET"]
        )  # fmt: skip

    read, publish, write = "knowledge.read", "knowledge.publish", "knowledge.write"
    return [
        route("", desk.page, read),
        route("/picture/{id:str}", desk.page, read),
        route("/texts", desk.texts, read),
        route("/texts/{id:str}", desk.text, read),
        route("/texts/{id:str}/check", desk.check, read, post=True),
        route("/texts/{id:str}/save", desk.save, publish, post=True),
        route("/texts/{id:str}/revert", desk.revert, publish, post=True),
        route("/tests", desk.tests, read),
        route("/tests.yml", desk.tests_file, read),
        route("/tests/{id:int}/drop", desk.drop, write, post=True),
    ]


class FlowsScreen:
    """One method for each route."""

    def __init__(self, services: FlowServices) -> None:
        self._do = services

    # --- flows --------------------------------------------------------------------------------------------------

    async def page(self, visit: Visit) -> Response:
        """The flows, and the picture of one: the first where the address names none."""
        name, language = self._assistant(visit), visit.look.language
        assistant = self._do.library.assistant(name)
        flows = list_flows(visit.actor, assistant, language)
        chosen = str(visit.request.path_params.get("id", "")) or (flows[0][0] if flows else "")
        names: dict[str, Any] = {**self._around(visit), "flows": flows, "chosen": chosen, "picture": "", "said": []}
        if chosen:
            graph = flow_graph(visit.actor, assistant, chosen, language)
            names["picture"] = Markup(flow_svg(graph, language))  # noqa: S704 - desk.flow_pictures escapes its words
            lines = await self._do.responses.responses(visit.actor, name)
            names["said"] = [(line, _first_words(line.texts, language)) for line in lines if chosen in line.flows]
            names["description"] = graph.description
        return visit.page("flows", "flows/page.html", title=dict(flows).get(chosen, ""), **names)

    # --- what the bot says --------------------------------------------------------------------------------------

    async def texts(self, visit: Visit) -> Response:
        name, query, edited = self._assistant(visit), visit.text("q"), visit.text("edited") == "1"
        lines = await self._do.responses.responses(visit.actor, name, search=query, only_edited=edited)
        shown = [(line, _first_words(line.texts, visit.look.language)) for line in lines[:MOST_LISTED]]
        names = {**self._around(visit), "query": query, "edited": edited, "lines": shown, "count": len(lines)}
        if visit.is_part:
            return visit.parts(part("#texts", visit.html("flows/list.html", **names), "replace"))
        return visit.page("flows", "flows/texts.html", title=visit.t("flows.texts"), **names, most=MOST_LISTED)

    async def text(self, visit: Visit) -> Response:
        return self._shown(visit, await self._view(visit))

    async def check(self, visit: Visit) -> Response:
        """What is wrong with the words in the fields, and how each channel would show them."""
        name, language, texts = self._assistant(visit), _language(visit), _texts(visit)
        findings = self._do.responses.check(visit.actor, name, _id(visit), language, texts)
        shown = []
        if not any(finding.level == "error" for finding in findings):
            for channel in self._do.library.channels():
                fitting = next((each for each in texts if each.channel == channel), texts[0])
                parts = self._do.responses.preview(visit.actor, name, _id(visit), language, fitting, channel=channel)
                shown.append((channel_name(channel, visit.look), parts))
        html = visit.html("flows/findings.html", findings=findings, shown=shown)
        if visit.is_part:
            return visit.parts(part(f"#shown-{language}", html))
        back = self._address(visit)
        return visit.page("flows", "knowledge/alone.html", **self._around(visit), shown=html, back=back)

    async def save(self, visit: Visit) -> Response:
        """Customers read these words from now on. Who did not see the newest ones keeps theirs and sees both."""
        language, texts = _language(visit), _texts(visit)
        try:
            await self._do.responses.save(
                visit.actor, self._assistant(visit), _id(visit), language, texts,
                seen=visit.number("seen") or 0, note=visit.text("note")[:500],
            )  # fmt: skip
        except StaleState:
            return self._shown(visit, await self._view(visit), language, texts)
        return await self._changed(visit, visit.t("flows.saved"))

    async def revert(self, visit: Visit) -> Response:
        await self._do.responses.revert(
            visit.actor, self._assistant(visit), _id(visit), _language(visit),
            version=visit.number("version") or 0, seen=visit.number("seen") or 0,
        )  # fmt: skip
        return await self._changed(visit, visit.t("flows.reverted"))

    # --- tests ----------------------------------------------------------------------------------------------------

    async def tests(self, visit: Visit) -> Response:
        found = await self._do.tests.tests(visit.actor, self._assistant(visit))
        return visit.page(
            "flows", "flows/tests.html", title=visit.t("flows.tests"), **self._around(visit), tests=found
        )  # fmt: skip

    async def tests_file(self, visit: Visit) -> Response:
        found = await self._do.tests.tests(visit.actor, self._assistant(visit))
        headers = {**SAFE, "Content-Disposition": 'attachment; filename="conversations.yml"'}
        return Response(as_yaml(list(found)), media_type="application/yaml", headers=headers)

    async def drop(self, visit: Visit) -> Response:
        test = visit.path_id("test")
        await self._do.tests.drop(visit.actor, self._assistant(visit), test)
        if not visit.is_part:
            return visit.go(f"/console/flows/tests?{urlencode({'assistant': self._assistant(visit)})}")
        return visit.parts(part(f"#test-{test}", Markup(""), "remove"), toast(visit.t("flows.test.dropped")))

    # --- how it looks -------------------------------------------------------------------------------------------

    def _shown(
        self, visit: Visit, view: ResponseView, stale: Language | None = None, mine: tuple[EditedText, ...] = ()
    ) -> Response:
        sides = text_sides(view, stale, mine)
        names = {**self._around(visit), "view": view, "sides": sides}
        if stale is not None and visit.is_part:
            return visit.parts(self._side(visit, names, sides, stale), toast(visit.t("stale")), status=409)
        answer = visit.page("flows", "flows/text.html", title=view.line.name, **names)
        answer.status_code = 409 if stale else 200
        return answer

    async def _changed(self, visit: Visit, words: str) -> Response:
        if not visit.is_part:
            return visit.go(self._address(visit))
        view = await self._view(visit)
        sides = text_sides(view)
        names = {**self._around(visit), "view": view}
        return visit.parts(self._side(visit, names, sides, _language(visit)), toast(words))

    def _side(self, visit: Visit, names: dict[str, Any], sides: list[TextSide], language: str) -> Markup:
        side = next(each for each in sides if each.language == language)
        return part(f"#side-{language}", visit.html("flows/side.html", **{**names, "side": side}), "replace")

    async def _view(self, visit: Visit) -> ResponseView:
        return await self._do.responses.response(visit.actor, self._assistant(visit), _id(visit))

    def _around(self, visit: Visit) -> dict[str, Any]:
        names = self._do.library.names()
        return {
            "assistant": self._assistant(visit),
            "assistants": names if len(names) > 1 else [],
            "language_name": lambda name: LANGUAGES["zh" if name == "zh" else "en"],
            "channel_name": lambda channel: channel_name(channel, visit.look),
        }

    def _assistant(self, visit: Visit) -> str:
        name = visit.text("assistant") or self._do.default()
        self._do.library.assistant(name)
        return name

    def _address(self, visit: Visit) -> str:
        return f"/console/flows/texts/{_id(visit)}?{urlencode({'assistant': self._assistant(visit)})}"


def _id(visit: Visit) -> str:
    return str(visit.request.path_params["id"])


def _language(visit: Visit) -> Language:
    """Raises: InputError."""
    language = visit.text("language")
    if language not in LANGUAGES:
        raise InputError(f"nobody speaks {language!r}")
    return "zh" if language == "zh" else "en"


def _texts(visit: Visit) -> tuple[EditedText, ...]:
    """The wordings of the form, in their order; empty further ones are none. Raises: InputError."""
    words = [each for each in visit.form.getlist("text") if isinstance(each, str)]
    channels = [each for each in visit.form.getlist("channel") if isinstance(each, str)]
    if not words or len(words) != len(channels) or len(words) > MOST_WORDINGS + 1:
        raise InputError("each wording belongs to a channel or to all of them")
    kept = [(text, channel) for text, channel in zip(words, channels, strict=True) if text.strip()]
    return tuple(EditedText(text.replace("\r\n", "\n"), channel) for text, channel in kept) or (EditedText(""),)


def _first_words(texts: Any, language: Language) -> str:
    """What it says, in one line, in this language or another one."""
    said = texts.get(language) or next(iter(texts.values()), ())
    return " ".join(said[0].text.split())[:160] if said else ""
