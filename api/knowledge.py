"""`/articles`, `/unclear-messages`: what the bot knows, and what it understood."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.responses import Response

from api.desk import ApiDesk, By, Of
from api.fields import Given, Id, LongText, MaybeWords, Name, Shown
from api.paging import Listed, Paged
from api.routing import DeskRoutes, plain
from crm_sync.article_versions import ArticleVersion
from crm_sync.models import StoredArticle
from crm_sync.unclear import UnclearMessage
from desk.knowledge import ArticleView, KnowledgeDesk
from desk.understanding import UnderstandingDesk
from desk.wording import ArticleText

ArticleId = Annotated[str, Path(min_length=1, max_length=200, description="Id of the article")]
Language = Annotated[Literal["zh", "en"], Path(description="Language of the wording")]


class ArticleSide(Shown):
    """An article in one language."""

    language: str
    state: str = Field(description="draft, review, published or withdrawn")
    seen: int = Field(description="The version to name in writes")
    title: str
    origin: str
    published: StoredArticle | None
    newest: ArticleVersion | None
    history: list[ArticleVersion]


class Article(Shown):
    id: str
    title: str
    sides: list[ArticleSide]


class ArticleGiven(Given):
    """`seen`: the version this wording was made from; 0: none."""

    title: Name
    answer: LongText
    questions: list[Name] = Field([], max_length=200)
    note: MaybeWords = ""
    seen: int = Field(0, ge=0, le=2**31)


class Step(Given):
    """`seen`: the version that was looked at."""

    seen: int = Field(ge=0, le=2**31)
    note: MaybeWords = ""


class Publication(Given):
    """For each language the version that was looked at."""

    seen: dict[Literal["zh", "en"], Annotated[int, Field(ge=0, le=2**31)]] = Field(min_length=1)


class LabelGiven(Given):
    intent: Annotated[str, Field(max_length=200)] = Field(description='What it meant; "": not worth learning from')


class LabelCounts(Shown):
    waiting: dict[str, int]
    labelled: dict[str, int]


def knowledge_routes(desk: ApiDesk) -> DeskRoutes:
    knowledge = KnowledgeDesk(desk.database, desk.library, desk.clock)
    understanding = UnderstandingDesk(desk.database, desk.library, desk.clock)
    routes = DeskRoutes(tags=["knowledge"])
    mine = desk.assistant

    @routes.get("/articles", response_model=Listed[Article])
    async def list_articles(
        by: By,
        of: Of,
        search: Annotated[str, Query(max_length=200)] = "",
        state: Annotated[Literal["draft", "review", "published", "withdrawn", ""], Query()] = "",
        missing: Annotated[Literal["zh", "en", ""], Query(description="Without a wording in this language")] = "",
    ) -> Any:
        """Articles by id."""
        found = await knowledge.articles(by, of or mine, search=search, state=state, missing=missing)
        return {"items": [_article(view) for view in found]}

    @routes.get("/articles/{article_id}", response_model=Article)
    async def get_article(by: By, of: Of, article_id: ArticleId) -> Any:
        """An article in all languages, with its history."""
        return _article(await knowledge.article(by, of or mine, article_id))

    @routes.put("/articles/{article_id}/{language}", response_model=ArticleVersion)
    async def save_article(by: By, of: Of, article_id: ArticleId, language: Language, given: ArticleGiven) -> Any:
        """The words are the newest draft; what is published stays until somebody publishes it."""
        text = ArticleText(given.title, given.answer, tuple(given.questions))
        return await knowledge.save(by, of or mine, article_id, language, text, seen=given.seen, note=given.note)

    @routes.post("/articles/{article_id}/{language}/submission", response_model=ArticleVersion)
    async def submit_article(by: By, of: Of, article_id: ArticleId, language: Language, step: Step) -> Any:
        """The draft waits for review."""
        return await knowledge.submit(by, of or mine, article_id, language, seen=step.seen)

    @routes.post("/articles/{article_id}/{language}/rejection", response_model=ArticleVersion)
    async def send_article_back(by: By, of: Of, article_id: ArticleId, language: Language, step: Step) -> Any:
        """The reviewer wants something changed."""
        return await knowledge.send_back(by, of or mine, article_id, language, seen=step.seen, note=step.note)

    @routes.post("/articles/{article_id}/publication", status_code=204)
    async def publish_article(by: By, of: Of, article_id: ArticleId, given: Publication) -> None:
        """The newest drafts in these languages answer customers from now on."""
        await knowledge.publish(by, of or mine, article_id, {str(name): seen for name, seen in given.seen.items()})

    @routes.post("/articles/{article_id}/{language}/withdrawal", status_code=204)
    async def withdraw_article(by: By, of: Of, article_id: ArticleId, language: Language, step: Step) -> None:
        """No customer is answered with it any more."""
        await knowledge.withdraw(by, of or mine, article_id, language, seen=step.seen)

    @routes.get("/unclear-messages", response_model=Listed[UnclearMessage], tags=["understanding"])
    async def list_unclear_messages(
        by: By,
        of: Of,
        paging: Paged,
        kind: Annotated[Literal["unclear", "unsure", "corrected", "handed_over", "unhelpful"], Query()] = "unclear",
        days: Annotated[int, Query(ge=1, le=365)] = 30,
    ) -> Any:
        """Messages the bot was not sure of, with what it thought, that nobody has labelled yet; the newest first."""
        found = await understanding.messages(by, of or mine, kind, days=days, after=paging.cursor, limit=paging.limit)
        return paging.shown(found)

    @routes.get("/unclear-counts", response_model=LabelCounts, tags=["understanding"])
    async def count_unclear_messages(by: By, of: Of, days: Annotated[int, Query(ge=1, le=365)] = 30) -> Any:
        """How many wait to be labelled, by why they are there, and how often each meaning was given."""
        return await understanding.counts(by, of or mine, days=days)

    @routes.put("/unclear-messages/{inbox_id}/label", status_code=204, tags=["understanding"])
    async def label_message(by: By, of: Of, inbox_id: Id, label: LabelGiven) -> None:
        """The message means this."""
        await understanding.label(by, of or mine, inbox_id, label.intent)

    @routes.delete("/unclear-messages/{inbox_id}/label", status_code=204, tags=["understanding"])
    async def unlabel_message(by: By, inbox_id: Id) -> None:
        """Nobody has said what it means."""
        await understanding.unlabel(by, inbox_id)

    @routes.get("/training-examples", tags=["understanding"], response_class=Response)
    async def get_training_examples(by: By) -> Response:
        """Labelled messages as examples: CSV with text and intent."""
        return Response(await understanding.examples(by), media_type="text/csv; charset=utf-8")

    return routes


def _article(view: ArticleView) -> dict[str, Any]:
    sides = [
        {**plain(side), "state": side.state, "seen": side.seen, "title": side.title} for side in view.sides.values()
    ]
    return {"id": view.id, "title": view.title, "sides": sides}
