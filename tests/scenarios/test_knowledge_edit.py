"""What staff publish answers the next customer: the whole application, without a restart."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from sqlalchemy import insert

from bot.edited_texts import EditedText
from config.settings import NluSettings, Settings
from crm_sync.models import StoredArticle
from crm_sync.tables import articles
from desk.actors import Actor
from desk.article_trials import ArticleTrials
from desk.knowledge import KnowledgeDesk
from desk.responses import ResponseDesk
from desk.wording import ArticleText
from frontdesk.app import App
from frontdesk.clock import SystemClock
from frontdesk.saying import say_with

ROOT = Path(__file__).parents[2]
LENA = Actor("lena", "supervisor")
QUESTION = "do you engrave a dedication into the teapot lid"
ANSWER = "Yes, up to 12 letters, within 3 working days."


@pytest.fixture
async def app(sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[App]:
    monkeypatch.chdir(tmp_path)
    settings = Settings(database_url=sqlite_url, nlu=NluSettings(model_dir=ROOT / ".frontdesk" / "model"))
    opened = await App.open(settings)
    yield opened
    await opened.close()


async def test_an_unanswered_question_made_into_an_article_answers_the_next_customer(app: App) -> None:
    knowledge = KnowledgeDesk(app.store.database, app.library, SystemClock())
    trials = ArticleTrials(app.store.database, app.library, SystemClock())
    first = await say_with(app, "ann", QUESTION)
    assert ANSWER not in str(first)
    (group,) = await trials.unanswered(LENA, "shop")
    draft = await trials.draft_from(LENA, "shop", group.questions, "en")
    words = ArticleText("Engraving", ANSWER, draft.questions)
    await knowledge.save(LENA, "shop", draft.article_id, "en", words, seen=1)
    await knowledge.publish(LENA, "shop", draft.article_id, {"en": 2})
    assert await app.runtimes.follow()
    assert ANSWER in str(await say_with(app, "bob", QUESTION))
    await knowledge.withdraw(LENA, "shop", draft.article_id, "en", seen=2)
    assert await app.runtimes.follow()
    assert ANSWER not in str(await say_with(app, "eve", QUESTION))
    assert not await app.runtimes.follow()


async def test_an_edit_reads_nothing_else_again(app: App) -> None:
    (before,) = app.runtimes.loaded()
    await app.store.put_article("shop", StoredArticle("teapots", "en", "Do you engrave teapots", ANSWER))
    assert await app.runtimes.follow()
    (after,) = app.runtimes.loaded()
    assert after.shelf.seeds is before.shelf.seeds
    assert after.nlu is before.nlu
    assert after.seeded is before.seeded
    assert after.knowledge.ask("do you engrave teapots", language="en")[0].answer == ANSWER
    assert len(after.shelf.articles) == len(before.shelf.articles) + 1


async def test_an_edit_right_behind_an_import_of_hundreds_does_not_read_them_again(app: App) -> None:
    row = {"assistant": "shop", "language": "en", "title": "Import", "updated_at": app.store.now(), "questions": []}
    rows = [{**row, "id": f"i{n}", "answer": f"Number {n}", "details": {}, "is_withdrawn": False} for n in range(400)]
    await app.store.database.run(lambda conn: conn.execute(insert(articles), rows))
    await app.store.put_article("shop", StoredArticle("last", "en", "The last one", "Of all"))
    assert await app.runtimes.follow()
    (imported,) = app.runtimes.loaded()
    await app.store.put_article("shop", StoredArticle("i7", "en", "Do you engrave teapots", ANSWER))
    assert await app.runtimes.follow()
    (after,) = app.runtimes.loaded()
    assert after.knowledge.ask("do you engrave teapots", language="en")[0].answer == ANSWER
    assert imported.shelf.stored["i8", "en"].answer == "Number 8"
    assert after.shelf.stored["i8", "en"] is imported.shelf.stored["i8", "en"]
    assert len(after.shelf.articles) == len(imported.shelf.articles)


async def test_words_changed_by_staff_are_said_to_the_next_customer_and_taken_back(app: App) -> None:
    desk = ResponseDesk(app.store.database, app.library, SystemClock())
    await desk.save(LENA, "shop", "utter_greet", "en", [EditedText("Good day from the teapot shop.")], seen=0)
    assert await app.runtimes.follow()
    said = await say_with(app, "ann", "hello")
    assert said["replies"][0]["text"] == "Good day from the teapot shop."
    await desk.revert(LENA, "shop", "utter_greet", "en", version=0, seen=1)
    assert await app.runtimes.follow()
    assert (await say_with(app, "bob", "hello"))["replies"][0]["text"] != said["replies"][0]["text"]
