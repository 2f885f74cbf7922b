"""Articles: the list, an article with its languages side by side, and what nobody could answer. One address each."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError, NotFound, RuleError, StaleState
from console.frame import Frame, Visit, part, screen, toast
from console.inbox_view import channel_name
from console.knowledge_view import SideForm, article_lines, diff_of, side_form, versions_of
from console.words import LANGUAGES, Language
from desk.article_trials import ArticleTrials
from desk.knowledge import ArticleView, KnowledgeDesk, Side
from desk.library import AssistantLibrary
from desk.wording import ArticleText

STATES: Final = ("published", "draft", "review", "withdrawn")
MOST_LISTED: Final = 200


@dataclass(frozen=True, slots=True)
class KnowledgeServices:
    knowledge: KnowledgeDesk
    trials: ArticleTrials
    library: AssistantLibrary
    default: Callable[[], str]  # the assistant shown first


def knowledge_routes(frame: Frame, services: KnowledgeServices) -> list[BaseRoute]:
    desk = KnowledgeScreen(services)

    def route(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str, *, post: bool = False) -> Route:
        address = f"/console/knowledge{path}"
        return Route(address, screen(frame, work, permission), methods=["POST"] if post else ["GET"])

    read, write, publish = "knowledge.read", "knowledge.write", "knowledge.publish"
    one = "/article/{id:str}"
    return [
        route("", desk.page, read),
        route("/new", desk.new, write),
        route("/new", desk.begin, write, post=True),
        route("/unanswered", desk.unanswered, read),
        route("/unanswered", desk.make, write, post=True),
        route(one, desk.article, read),
        route(f"{one}/compare", desk.compare, read),
        route(f"{one}/preview", desk.preview, read, post=True),
        route(f"{one}/try", desk.try_questions, read, post=True),
        route(f"{one}/save", desk.save, write, post=True),
        route(f"{one}/submit", desk.submit, write, post=True),
        route(f"{one}/restore", desk.restore, write, post=True),
        route(f"{one}/publish", desk.publish, publish, post=True),
        route(f"{one}/back", desk.send_back, publish, post=True),
        route(f"{one}/withdraw", desk.withdraw, publish, post=True),
    ]


class KnowledgeScreen:
    """One method for each route."""

    def __init__(self, services: KnowledgeServices) -> None:
        self._do = services

    # --- looking ------------------------------------------------------------------------------------------------

    async def page(self, visit: Visit) -> Response:
        """All articles; as a fragment only the list."""
        name = self._assistant(visit)
        query, state, missing = visit.text("q"), visit.text("state"), visit.text("missing")
        found = await self._do.knowledge.articles(visit.actor, name, search=query, state=state, missing=missing)
        languages = self._do.library.assistant(name).languages
        names = {
            **self._around(visit),
            "query": query,
            "state": state,
            "missing": missing,
            "states": STATES,
            "languages": [(each, LANGUAGES[each]) for each in languages],
            "lines": article_lines(found[:MOST_LISTED], languages, visit.look),
            "count": len(found),
            "most": MOST_LISTED,
            "is_narrowed": bool(query or state or missing),
        }
        if visit.is_part:
            return visit.parts(part("#articles", visit.html("knowledge/list.html", **names), "replace"))
        return visit.page("knowledge", "knowledge/page.html", **names)

    async def article(self, visit: Visit) -> Response:
        view = await self._do.knowledge.article(visit.actor, self._assistant(visit), _id(visit))
        return self._shown(visit, view)

    async def new(self, visit: Visit) -> Response:
        return visit.page("knowledge", "knowledge/new.html", **self._around(visit), languages=self._languages(visit))

    async def compare(self, visit: Visit) -> Response:
        """How an earlier version differs from the newest words of its language."""
        view = await self._do.knowledge.article(visit.actor, self._assistant(visit), _id(visit))
        side, version = self._side(visit, view), visit.number("version") or 0
        diff = diff_of(side, version)
        names = {"diff": diff, "side": side, "version": version, **self._around(visit), "view": view}
        if visit.is_part:
            html = visit.html("knowledge/diff.html", **names)
            return visit.parts(part(f"#shown-{side.language}", html))
        return visit.page("knowledge", "knowledge/compare.html", title=view.title, **names)

    async def unanswered(self, visit: Visit) -> Response:
        days = 90 if visit.text("days") == "90" else 30
        groups = await self._do.trials.unanswered(visit.actor, self._assistant(visit), days=days)
        return visit.page(
            "knowledge", "knowledge/unanswered.html", **self._around(visit), groups=groups, days=days
        )  # fmt: skip

    async def preview(self, visit: Visit) -> Response:
        """What is written now, as each channel would show it."""
        side = _language(visit)
        shown = [
            (channel_name(channel, visit.look), self._do.trials.preview(
                visit.actor, self._assistant(visit), _draft(visit), language=side, channel=channel
            ))
            for channel in self._do.library.channels()
        ]  # fmt: skip
        return self._answer(visit, side, visit.html("knowledge/preview.html", shown=shown))

    async def try_questions(self, visit: Visit) -> Response:
        """Which questions what is written now would answer, and which it takes from others."""
        side = _language(visit)
        asked = [line for line in visit.text("asked").splitlines() if line.strip()]
        trials = await self._do.trials.try_questions(
            visit.actor, self._assistant(visit), _id(visit), _draft(visit), language=side, questions=asked
        )
        return self._answer(visit, side, visit.html("knowledge/trial.html", trials=trials))

    # --- changing -----------------------------------------------------------------------------------------------

    async def begin(self, visit: Visit) -> Response:
        """The first draft of a new article. Raises: as `KnowledgeDesk.save`."""
        name, article_id = self._assistant(visit), visit.text("id").strip()
        if any(view.id == article_id for view in await self._do.knowledge.articles(visit.actor, name)):
            raise InputError(visit.t("know.taken"))
        await self._do.knowledge.save(visit.actor, name, article_id, _language(visit), _draft(visit))
        return visit.go(self._address(visit, article_id))

    async def make(self, visit: Visit) -> Response:
        """A draft out of questions nobody could answer: one click."""
        questions = [each for each in visit.form.getlist("question") if isinstance(each, str)]
        made = await self._do.trials.draft_from(visit.actor, self._assistant(visit), questions, _language(visit))
        return visit.go(self._address(visit, made.article_id))

    async def save(self, visit: Visit) -> Response:
        """A new draft. Who did not see the newest words gets them beside their own, which stay in the fields."""
        name, language, draft = self._assistant(visit), _language(visit), _draft(visit)
        try:
            saved = await self._do.knowledge.save(
                visit.actor, name, _id(visit), language, draft, seen=_seen(visit), note=visit.text("note")[:500]
            )
        except StaleState:
            view = await self._do.knowledge.article(visit.actor, name, _id(visit))
            return self._shown(visit, view, language, draft)
        return await self._changed(visit, await self._then(visit, saved.version))

    async def _then(self, visit: Visit, version: int) -> str:
        """What was just saved goes on to where the button says; what that came to, in words. The draft stays."""
        name, article, language, then = self._assistant(visit), _id(visit), _language(visit), visit.text("then")
        try:
            if then == "publish":
                await self._do.knowledge.publish(visit.actor, name, article, {language: version})
                return visit.t("know.published")
            if then == "submit":
                await self._do.knowledge.submit(visit.actor, name, article, language, seen=version)
                return visit.t("know.submitted")
        except RuleError as error:
            return visit.t("know.saved_only", reason=str(error))
        return visit.t("know.saved")

    async def submit(self, visit: Visit) -> Response:
        await self._do.knowledge.submit(
            visit.actor, self._assistant(visit), _id(visit), _language(visit), seen=_seen(visit)
        )
        return await self._changed(visit, visit.t("know.submitted"))

    async def send_back(self, visit: Visit) -> Response:
        await self._do.knowledge.send_back(
            visit.actor, self._assistant(visit), _id(visit), _language(visit), seen=_seen(visit),
            note=visit.text("note")[:500],
        )  # fmt: skip
        return await self._changed(visit, visit.t("know.sent_back"))

    async def publish(self, visit: Visit) -> Response:
        await self._do.knowledge.publish(
            visit.actor, self._assistant(visit), _id(visit), {_language(visit): _seen(visit)}
        )
        return await self._changed(visit, visit.t("know.published"))

    async def withdraw(self, visit: Visit) -> Response:
        await self._do.knowledge.withdraw(
            visit.actor, self._assistant(visit), _id(visit), _language(visit), seen=_seen(visit)
        )
        return await self._changed(visit, visit.t("know.withdrawn"))

    async def restore(self, visit: Visit) -> Response:
        await self._do.knowledge.restore(
            visit.actor, self._assistant(visit), _id(visit), _language(visit),
            version=visit.number("version") or 0, seen=_seen(visit),
        )  # fmt: skip
        return await self._changed(visit, visit.t("know.restored"))

    # --- how it looks -------------------------------------------------------------------------------------------

    def _shown(
        self, visit: Visit, view: ArticleView, stale: Language | None = None, mine: ArticleText | None = None
    ) -> Response:
        """The article; `mine`: words that stay in the fields because somebody else saved meanwhile."""
        sides = self._sides(visit, view, stale, mine)
        names = {**self._around(visit), "view": view, "sides": sides}
        if stale is not None and visit.is_part:
            side = next(each for each in sides if each.language == stale)
            html = visit.html("knowledge/side.html", **names, side=side)
            return visit.parts(part(f"#side-{stale}", html, "replace"), toast(visit.t("stale")), status=409)
        answer = visit.page("knowledge", "knowledge/article.html", title=view.title, **names)
        answer.status_code = 409 if stale else 200
        return answer

    def _sides(
        self, visit: Visit, view: ArticleView, stale: Language | None = None, mine: ArticleText | None = None
    ) -> list[SideForm]:
        assistant = self._do.library.assistant(self._assistant(visit))
        return [
            side_form(
                view.sides.get(language) or Side(language, None, "", None),
                visit.actor,
                four_eyes=assistant.service.knowledge.four_eyes,
                mine=mine if language == stale else None,
            )
            for language in assistant.languages
        ]

    async def _changed(self, visit: Visit, words: str) -> Response:
        if not visit.is_part:
            return visit.go(self._address(visit, _id(visit)))
        view = await self._do.knowledge.article(visit.actor, self._assistant(visit), _id(visit))
        language = _language(visit)
        side = next(each for each in self._sides(visit, view) if each.language == language)
        html = visit.html("knowledge/side.html", **self._around(visit), view=view, side=side)
        return visit.parts(part(f"#side-{language}", html, "replace"), toast(words))

    def _answer(self, visit: Visit, language: str, html: Markup) -> Response:
        """What was asked for under the fields of a language; without the script on a page of its own."""
        if visit.is_part:
            return visit.parts(part(f"#shown-{language}", html))
        back = self._address(visit, _id(visit))
        return visit.page("knowledge", "knowledge/alone.html", **self._around(visit), shown=html, back=back)

    def _around(self, visit: Visit) -> dict[str, Any]:
        names = self._do.library.names()
        return {
            "assistant": self._assistant(visit),
            "assistants": names if len(names) > 1 else [],
            "versions_of": lambda side: versions_of(side, visit.look),
            "language_name": lambda name: LANGUAGES["zh" if name == "zh" else "en"],
        }

    def _assistant(self, visit: Visit) -> str:
        name = visit.text("assistant") or self._do.default()
        self._do.library.assistant(name)
        return name

    def _languages(self, visit: Visit) -> Sequence[tuple[str, str]]:
        return [(each, LANGUAGES[each]) for each in self._do.library.assistant(self._assistant(visit)).languages]

    def _address(self, visit: Visit, article_id: str) -> str:
        return f"/console/knowledge/article/{article_id}?{urlencode({'assistant': self._assistant(visit)})}"

    def _side(self, visit: Visit, view: ArticleView) -> Side:
        sides: Mapping[str, Side] = view.sides
        side = sides.get(visit.text("language"))
        if side is None:
            raise NotFound("the article is not written in this language")
        return side


def _id(visit: Visit) -> str:
    return str(visit.request.path_params["id"])


def _language(visit: Visit) -> Language:
    """Raises: InputError."""
    language = visit.text("language")
    if language not in LANGUAGES:
        raise InputError(f"nobody writes in {language!r}")
    return "zh" if language == "zh" else "en"


def _seen(visit: Visit) -> int:
    return visit.number("seen") or 0


def _draft(visit: Visit) -> ArticleText:
    return ArticleText(visit.text("title"), visit.text("answer"), tuple(visit.text("questions").splitlines()))
