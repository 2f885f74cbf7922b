"""Articles on their way from a draft to an answer, and back: who may, what is kept, what customers get."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
from sqlalchemy import select

from bot.errors import InputError, NotFound, NotPermitted, RuleError, StaleState
from bot.service.policy import read_policy
from crm_sync.models import StoredArticle
from crm_sync.service_tables import timers
from crm_sync.store import SqlStore
from desk.actors import Actor
from desk.article_trials import ArticleTrials
from desk.knowledge import KnowledgeDesk
from desk.wording import ArticleText, compare
from frontdesk.own_news import store_articles
from nlu.article_fields import Article
from tests.library import REFUNDS, SampleLibrary
from tests.store_steps import START, SetClock, converse, decided, out, said

ANN, LENA, EVE = Actor("ann", "operator"), Actor("lena", "supervisor"), Actor("eve", "auditor")
GIFT = ArticleText("Gift wrapping", "Yes, for 2 euros.", ("do you wrap gifts", "gift paper"))


@dataclass
class Desk:
    store: SqlStore
    library: SampleLibrary
    clock: SetClock

    def __post_init__(self) -> None:
        self.knowledge = KnowledgeDesk(self.store.database, self.library, self.clock)
        self.trials = ArticleTrials(self.store.database, self.library, self.clock)

    async def answers(self) -> dict[tuple[str, str], str]:
        """What the store says instead of the files."""
        return {
            (row.id, row.language): "" if row.is_withdrawn else row.answer for row in await self.store.articles("shop")
        }


@pytest.fixture
def desk(store: SqlStore) -> Desk:
    return Desk(store, SampleLibrary(), SetClock())


async def test_a_draft_answers_nobody_until_it_is_published(desk: Desk) -> None:
    before = await desk.store.model_epoch()
    draft = await desk.knowledge.save(ANN, "shop", "gifts", "en", GIFT)
    assert (draft.version, draft.state, draft.by) == (1, "draft", "ann")
    assert await desk.answers() == {}
    assert await desk.store.model_epoch() == before
    await desk.knowledge.submit(ANN, "shop", "gifts", "en", seen=1)
    await desk.knowledge.publish(LENA, "shop", "gifts", {"en": 1})
    assert await desk.answers() == {("gifts", "en"): "Yes, for 2 euros."}
    assert await desk.store.model_epoch() > before
    view = await desk.knowledge.article(ANN, "shop", "gifts")
    assert (view.sides["en"].state, view.sides["en"].origin) == ("published", "store")
    assert view.sides["en"].history[0].reviewed_by == "lena"


async def test_an_article_of_a_file_is_edited_as_its_next_version_and_the_older_one_is_kept(desk: Desk) -> None:
    words = ArticleText(REFUNDS.title, "Money comes back within 3 days.", REFUNDS.questions)
    await desk.knowledge.save(LENA, "shop", "refunds", "en", words)
    await desk.knowledge.publish(LENA, "shop", "refunds", {"en": 1})
    await desk.knowledge.save(LENA, "shop", "refunds", "en", replace(words, answer="Within 2 days."), seen=1)
    await desk.knowledge.publish(LENA, "shop", "refunds", {"en": 2})
    side = (await desk.knowledge.article(LENA, "shop", "refunds")).sides["en"]
    assert [(each.version, each.state) for each in side.history] == [(2, "published"), (1, "superseded")]
    restored = await desk.knowledge.restore(ANN, "shop", "refunds", "en", version=0, seen=2)
    assert (restored.version, restored.state, restored.answer) == (3, "draft", REFUNDS.answer)
    assert await desk.answers() == {("refunds", "en"): "Within 2 days."}


async def test_who_has_not_seen_the_newest_version_changes_nothing(desk: Desk) -> None:
    await desk.knowledge.save(ANN, "shop", "gifts", "en", GIFT)
    with pytest.raises(StaleState):
        await desk.knowledge.save(LENA, "shop", "gifts", "en", GIFT)
    await desk.knowledge.save(LENA, "shop", "gifts", "en", replace(GIFT, answer="Free of charge."), seen=1)
    with pytest.raises(StaleState):
        await desk.knowledge.publish(LENA, "shop", "gifts", {"en": 1})
    side = (await desk.knowledge.article(ANN, "shop", "gifts")).sides["en"]
    assert [(each.version, each.state, each.answer) for each in side.history] == [
        (2, "draft", "Free of charge."),
        (1, "superseded", "Yes, for 2 euros."),
    ]


async def test_with_four_eyes_the_author_does_not_publish(desk: Desk) -> None:
    desk.library.policy = read_policy({"knowledge": {"four_eyes": True}})
    await desk.knowledge.save(LENA, "shop", "gifts", "en", GIFT)
    with pytest.raises(NotPermitted):
        await desk.knowledge.publish(LENA, "shop", "gifts", {"en": 1})
    assert await desk.answers() == {}
    await desk.knowledge.publish(Actor("max", "manager"), "shop", "gifts", {"en": 1})
    assert ("gifts", "en") in await desk.answers()


async def test_who_may_not_is_told_so(desk: Desk) -> None:
    with pytest.raises(NotPermitted, match=r"knowledge\.read"):
        await desk.knowledge.articles(EVE, "shop")
    with pytest.raises(NotPermitted, match=r"knowledge\.write"):
        await desk.knowledge.save(Actor("vic", "viewer"), "shop", "gifts", "en", GIFT)


async def test_an_operator_writes_but_does_not_publish_or_withdraw(desk: Desk) -> None:
    await desk.knowledge.save(ANN, "shop", "gifts", "en", GIFT)
    with pytest.raises(NotPermitted):
        await desk.knowledge.publish(ANN, "shop", "gifts", {"en": 1})
    with pytest.raises(NotPermitted):
        await desk.knowledge.withdraw(ANN, "shop", "refunds", "en", seen=0)


async def test_a_withdrawn_article_of_a_file_is_gone_until_it_is_published_again(desk: Desk) -> None:
    await desk.knowledge.withdraw(LENA, "shop", "refunds", "en", seen=0)
    assert await desk.answers() == {("refunds", "en"): ""}
    side = (await desk.knowledge.article(LENA, "shop", "refunds")).sides["en"]
    assert (side.state, side.published, side.seen) == ("withdrawn", None, 1)
    with pytest.raises(NotFound):
        await desk.knowledge.withdraw(LENA, "shop", "refunds", "en", seen=1)
    await desk.knowledge.restore(LENA, "shop", "refunds", "en", version=0, seen=1)
    await desk.knowledge.publish(LENA, "shop", "refunds", {"en": 2})
    assert await desk.answers() == {("refunds", "en"): REFUNDS.answer}


async def test_review_sends_back_with_the_reason_and_a_wrong_step_is_refused(desk: Desk) -> None:
    await desk.knowledge.save(ANN, "shop", "gifts", "en", GIFT)
    with pytest.raises(RuleError):
        await desk.knowledge.send_back(LENA, "shop", "gifts", "en", seen=1, note="which paper?")
    await desk.knowledge.submit(ANN, "shop", "gifts", "en", seen=1)
    back = await desk.knowledge.send_back(LENA, "shop", "gifts", "en", seen=1, note="which paper?")
    assert (back.state, back.note, back.reviewed_by) == ("draft", "which paper?", "lena")


async def test_articles_are_found_by_words_state_and_missing_language(desk: Desk) -> None:
    await desk.knowledge.save(ANN, "shop", "gifts", "en", GIFT)

    async def ids(**which: str) -> list[str]:
        return [view.id for view in await desk.knowledge.articles(ANN, "shop", **which)]

    assert await ids() == ["gifts", "opening", "refunds"]
    assert await ids(search="MONEY back") == ["refunds"]
    assert await ids(search="euros") == ["gifts"]
    assert await ids(state="draft") == ["gifts"]
    assert await ids(missing="zh") == ["gifts", "opening", "refunds"]
    assert await ids(missing="en") == ["gifts"]


@pytest.mark.parametrize(
    ("article_id", "language", "words"),
    [
        ("Gift Wrap", "en", GIFT),
        ("gifts", "fr", GIFT),
        ("gifts", "en", replace(GIFT, answer=" ")),
        ("gifts", "en", replace(GIFT, title="t" * 201)),
        ("gifts", "en", replace(GIFT, questions=tuple(map(str, range(201))))),
    ],
)
async def test_words_that_cannot_be_kept_are_refused(
    desk: Desk, article_id: str, language: str, words: ArticleText
) -> None:
    with pytest.raises(InputError):
        await desk.knowledge.save(ANN, "shop", article_id, language, words)


async def test_an_import_is_part_of_the_history(desk: Desk) -> None:
    await desk.knowledge.save(ANN, "shop", "gifts", "en", GIFT)
    imported = Article("gifts", "en", "Gifts", "We wrap.", ())
    rules = desk.library.assistant("shop").service.topics
    await store_articles(desk.store, "shop", [imported], known=frozenset(), rules=rules, now=START)
    side = (await desk.knowledge.article(ANN, "shop", "gifts")).sides["en"]
    assert [(each.state, each.by) for each in side.history] == [("published", "import"), ("superseded", "ann")]


async def test_subscribers_hear_of_a_new_article_once_and_of_an_edit_not_at_all(desk: Desk) -> None:
    desk.library.policy = read_policy({"topics": {"subscribe": {"articles": {}}}})

    async def news() -> int:
        rows = await desk.store.database.run(
            lambda conn: conn.execute(select(timers.c.id).where(timers.c.kind == "own_news")).all()
        )
        return len(rows)

    await desk.knowledge.save(LENA, "shop", "gifts", "en", GIFT)
    await desk.knowledge.publish(LENA, "shop", "gifts", {"en": 1})
    assert await news() == 1
    await desk.knowledge.save(LENA, "shop", "gifts", "en", replace(GIFT, answer="Free."), seen=1)
    await desk.knowledge.publish(LENA, "shop", "gifts", {"en": 2})
    await desk.knowledge.save(LENA, "shop", "refunds", "en", GIFT)
    await desk.knowledge.publish(LENA, "shop", "refunds", {"en": 1})
    assert await news() == 1


# --- trying ---------------------------------------------------------------------------------------------------------


def test_a_preview_is_cut_as_the_channel_shows_it() -> None:
    trials = ArticleTrials(None, SampleLibrary(), SetClock())  # type: ignore[arg-type]  # no store is touched
    long = replace(GIFT, answer="We wrap every gift in paper of your choice, with a card. " * 2)
    parts = trials.preview(ANN, "shop", long, language="en", channel="narrow")
    assert len(parts) > 1
    assert all(len(part.text) <= 40 for part in parts)
    with pytest.raises(NotFound):
        trials.preview(ANN, "shop", long, language="en", channel="carrier pigeon")


async def test_trying_shows_what_a_draft_would_answer_and_what_it_would_take_from_others(desk: Desk) -> None:
    tried = await desk.trials.try_questions(
        LENA, "shop", "gifts", GIFT, language="en", questions=["gift paper", "when are you open"]
    )
    assert [trial.is_gained for trial in tried] == [True, False]
    assert [trial.is_taken for trial in tried] == [False, False]
    assert (tried[0].before.rank, tried[0].after.rank, tried[0].after.article_id) == (None, 1, "gifts")
    assert tried[1].after.article_id == "opening"
    assert (await desk.knowledge.articles(LENA, "shop", search="gift")) == []


async def test_an_edit_that_loses_a_question_shows_its_place_before_and_after(desk: Desk) -> None:
    without = ArticleText("Returns", "Send it to us.", ())
    (tried,) = await desk.trials.try_questions(
        LENA, "shop", "refunds", without, language="en", questions=["when do I get my money back"]
    )
    assert (tried.before.article_id, tried.before.rank, tried.before.is_sure) == ("refunds", 1, True)
    assert tried.after.article_id != "refunds" or tried.after.score < tried.before.score


def test_a_diff_shows_words_and_whole_questions_and_holds_both_texts() -> None:
    later = StoredArticle("refunds", "en", "Refunds", "Money comes back within 3 days.", ("how long",))
    diff = compare(REFUNDS, later)
    assert "".join(piece.text for piece in diff.answer if piece.kind != "added") == REFUNDS.answer
    assert "".join(piece.text for piece in diff.answer if piece.kind != "removed") == later.answer
    assert [(piece.kind, piece.text) for piece in diff.answer if piece.kind != "same"] == [
        ("removed", "5"),
        ("added", "3"),
    ]
    assert [piece.kind for piece in diff.questions] == ["removed", "added"]
    assert compare(REFUNDS, REFUNDS).is_same


# --- what nobody could answer ---------------------------------------------------------------------------------------


async def _asked(store: SqlStore, *texts: str, template: str = "utter_rephrase") -> None:
    for place, text in enumerate(texts):
        await store.accept([said(text, user=f"u{place}")])
        (claimed,) = await store.claim("worker", 10)
        commit = decided(claimed, "Sorry?")
        turn = replace(commit.turns[0], out=(replace(out("Sorry?"), template=template),))
        await store.commit([replace(commit, turns=(turn,))])


async def test_questions_nobody_answered_become_a_draft_and_once_it_is_published_they_are_gone(desk: Desk) -> None:
    await _asked(desk.store, "do you wrap my gifts?", "do you wrap gifts", "call me at 13912345678 about drones")
    await converse(desk.store, "when do you close", "at nine")
    groups = await desk.trials.unanswered(ANN, "shop")
    assert [(group.count, group.language) for group in groups] == [(2, "en"), (1, "en")]
    assert "13912345678" not in str(groups)
    draft = await desk.trials.draft_from(ANN, "shop", groups[0].questions, "en")
    assert (draft.article_id, draft.state) == ("do-you-wrap-gifts", "draft")
    assert draft.questions == groups[0].questions
    again = await desk.trials.unanswered(ANN, "shop")
    assert [group.draft_of for group in again] == ["do-you-wrap-gifts", ""]
    with pytest.raises(RuleError, match="still to be written"):
        await desk.knowledge.publish(LENA, "shop", draft.article_id, {"en": 1})
    words = ArticleText(draft.title, "Yes.", draft.questions)
    await desk.knowledge.save(ANN, "shop", draft.article_id, "en", words, seen=1)
    await desk.knowledge.publish(LENA, "shop", draft.article_id, {"en": 2})
    assert [group.count for group in await desk.trials.unanswered(ANN, "shop")] == [1]


async def test_a_draft_from_a_title_that_is_taken_gets_an_id_of_its_own(desk: Desk) -> None:
    first = await desk.trials.draft_from(ANN, "shop", ["Opening"], "en")
    second = await desk.trials.draft_from(ANN, "shop", ["怎么开发票"], "zh")
    assert first.article_id == "opening-2"
    assert second.article_id == f"article-{START:%Y%m%d}"
    with pytest.raises(InputError):
        await desk.trials.draft_from(ANN, "shop", [" "], "en")
