"""What is tried before customers read it: previews, trials, unanswered questions, earlier words, flows drawn."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response

from api.desk import ApiDesk, By, Of
from api.fields import Given, LongText, Name, Shown
from api.helpers import Language, ResponseName, Wording, worded
from api.knowledge import ArticleId
from api.paging import Listed
from api.routing import DeskRoutes
from bot.types import ArticleHit, OutPart
from crm_sync.article_versions import ArticleVersion
from desk.article_trials import ArticleTrials, Trial
from desk.flow_pictures import flow_graph, flow_svg, list_flows
from desk.knowledge import KnowledgeDesk
from desk.responses import ResponseDesk
from desk.wording import ArticleText

Channel = Annotated[Name, Field(description="Channel whose customers would read it")]


class DraftGiven(Given):
    title: Name
    answer: LongText
    questions: list[Name] = Field([], max_length=200)

    def text(self) -> ArticleText:
        return ArticleText(self.title, self.answer, tuple(self.questions))


class ArticlePreview(DraftGiven):
    channel: Channel


class ArticleTried(DraftGiven):
    ask: list[Name] = Field([], max_length=500, description="Questions to be tried; none: its own")


class Restored(Given):
    version: int = Field(ge=0, le=2**31, description="Whose words; 0: those of the file")
    seen: int = Field(ge=0, le=2**31, description="The newest version that was looked at")


class QuestionGroupShown(Shown):
    """Questions that say nearly the same, without personal data."""

    title: str
    questions: list[str]
    language: str
    count: int
    conversation_ids: list[int]
    at: datetime
    nearest: ArticleHit | None = Field(description="What came closest")
    draft_of: str = Field(description="An article in preparation that has one of them already")


class QuestionsGiven(Given):
    questions: list[Name] = Field(min_length=1, max_length=200)
    language: Language
    answer: Annotated[str, Field(max_length=20_000)] = ""


class ResponsePreview(Given):
    text: Wording
    channel: Channel


class FlowName(Shown):
    id: str
    title: str


def trial_routes(desk: ApiDesk) -> DeskRoutes:
    knowledge = KnowledgeDesk(desk.database, desk.library, desk.clock)
    trials = ArticleTrials(desk.database, desk.library, desk.clock, knowledge)
    responses = ResponseDesk(desk.database, desk.library, desk.clock)
    routes = DeskRoutes(tags=["knowledge"])
    mine, library = desk.assistant, desk.library

    @routes.get("/assistants", response_model=list[str])
    async def list_assistants(by: By) -> Any:
        """Names for `?assistant=`; the default one is meant where none is named."""
        by.require("knowledge.read")
        return list(library.names())

    @routes.post("/articles/{article_id}/{language}/preview", response_model=Listed[OutPart])
    async def preview_article(by: By, of: Of, article_id: ArticleId, language: Language, given: ArticlePreview) -> Any:
        """What a customer on the channel would see; nothing is kept."""
        return {"items": trials.preview(by, of or mine, given.text(), language=language, channel=given.channel)}

    @routes.post("/articles/{article_id}/{language}/trial", response_model=Listed[Trial])
    async def try_article(by: By, of: Of, article_id: ArticleId, language: Language, given: ArticleTried) -> Any:
        """How questions rank with the words published and without them; nothing is kept."""
        found = await trials.try_questions(
            by, of or mine, article_id, given.text(), language=language, questions=given.ask
        )
        return {"items": found}

    @routes.post("/articles/{article_id}/{language}/restoration", response_model=ArticleVersion)
    async def restore_article(by: By, of: Of, article_id: ArticleId, language: Language, given: Restored) -> Any:
        """The words of an older version are the newest draft."""
        return await knowledge.restore(by, of or mine, article_id, language, version=given.version, seen=given.seen)

    @routes.get("/unanswered-questions", response_model=Listed[QuestionGroupShown])
    async def list_unanswered_questions(
        by: By,
        of: Of,
        days: Annotated[int, Query(ge=1, le=365)] = 30,
        language: Annotated[Literal["zh", "en", ""], Query()] = "",
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
    ) -> Any:
        """Questions of the last days that no article answers by now, those asked most often first."""
        found = await trials.unanswered(by, of or mine, days=days, language=language, limit=limit)
        return {
            "items": [
                {**{name: getattr(group, name) for name in group.__slots__}, "title": group.title} for group in found
            ]
        }

    @routes.post("/unanswered-questions/draft", response_model=ArticleVersion, status_code=201)
    async def draft_from_questions(by: By, of: Of, given: QuestionsGiven) -> Any:
        """A draft of a new article that these questions lead to."""
        return await trials.draft_from(by, of or mine, given.questions, given.language, answer=given.answer)

    @routes.post("/responses/{name}/{language}/preview", response_model=Listed[OutPart])
    async def preview_response(by: By, of: Of, name: ResponseName, language: Language, given: ResponsePreview) -> Any:
        """What a customer on the channel would see; variables stand as their names."""
        (text,) = worded([given.text])
        return {"items": responses.preview(by, of or mine, name, language, text, channel=given.channel)}

    @routes.post("/responses/{name}/{language}/restoration", status_code=204)
    async def restore_response(by: By, of: Of, name: ResponseName, language: Language, given: Restored) -> None:
        """Customers read the words of an earlier version again."""
        await responses.revert(by, of or mine, name, language, version=given.version, seen=given.seen)

    @routes.get("/flows", response_model=Listed[FlowName])
    async def list_flow_names(by: By, of: Of, language: Annotated[Language, Query()] = "en") -> Any:
        """Flows by title."""
        found = list_flows(by, library.assistant(of or mine), language)
        return {"items": [{"id": flow, "title": title} for flow, title in found]}

    @routes.get("/flows/{flow_id}/picture.svg", response_class=Response, response_model=None)
    async def get_flow_picture(
        by: By,
        of: Of,
        flow_id: Annotated[str, Path(min_length=1, max_length=200)],
        language: Annotated[Language, Query()] = "en",
    ) -> Response:
        """The flow as a picture: its steps and the ways between them."""
        graph = flow_graph(by, library.assistant(of or mine), flow_id, language)
        return Response(flow_svg(graph, language), media_type="image/svg+xml")

    return routes
