"""What was not understood is shown with what the bot thought, labelled in place, and given away as examples."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, insert

from bot.errors import InputError, NotFound, NotPermitted
from bot.types import Entity, ScoredIntent, Understanding
from crm_sync.store import SqlStore
from crm_sync.tables import handoffs
from desk.actors import Actor
from desk.understanding import NOT_WORTH_LEARNING, UnderstandingDesk
from tests.library import SampleLibrary
from tests.store_steps import START, SetClock, decided, out, said

ANN, VIEWER = Actor("ann", "operator"), Actor("vic", "viewer")
CLARIFY = "utter_clarify"


@pytest.fixture
def desk(store: SqlStore) -> UnderstandingDesk:
    return UnderstandingDesk(store.database, SampleLibrary(), SetClock(START + timedelta(hours=1)))


async def asked(
    store: SqlStore,
    text: str,
    *,
    template: str = "greeting",
    score: float = 0.95,
    user: str = "ann",
    entities: tuple[Entity, ...] = (),
) -> tuple[int, int]:
    """The customer says this, and the bot answers; (inbox id, conversation id)."""
    await store.accept([said(text, user=user)])
    (claimed,) = await store.claim("worker", 10)
    commit = decided(claimed, "I am not sure.")
    ranking = (ScoredIntent("order_status", score), ScoredIntent("return_request", 0.1))
    understood = Understanding(text, "en", True, ranking, entities, "embedded", "m1", 1.0)
    turn = replace(
        commit.turns[0],
        understanding=understood,
        out=(replace(out("I am not sure.", "Please say it again."), template=template),),
    )
    (done,) = await store.commit([replace(commit, turns=(turn,))])
    assert done.ok
    return int(turn.inbox_id), int(claimed.conversation.id)


async def test_an_unclear_message_is_shown_with_the_ranking_and_the_answer(
    store: SqlStore, desk: UnderstandingDesk
) -> None:
    await asked(store, "where is it")
    inbox_id, conversation_id = await asked(store, "the thing with the thing", template=CLARIFY, score=0.3)
    (found,) = (await desk.messages(ANN, "shop")).items
    assert (found.inbox_id, found.conversation_id, found.text) == (
        inbox_id,
        conversation_id,
        "the thing with the thing",
    )
    assert found.ranking == (("order_status", 0.3), ("return_request", 0.1))
    assert (found.answered_with, found.why, found.engine) == (CLARIFY, "unclear", "embedded")
    assert found.label is None


async def test_what_scored_below_sure_is_listed_too_and_pages_go_on_where_they_ended(
    store: SqlStore, desk: UnderstandingDesk
) -> None:
    for place in range(5):
        await asked(store, f"maybe {place}", score=0.5)
    await asked(store, "certainly", score=0.95)
    first = await desk.messages(ANN, "shop", "unsure", limit=3)
    rest = await desk.messages(ANN, "shop", "unsure", limit=3, after=first.next)
    assert [row.text for row in (*first.items, *rest.items)] == [f"maybe {place}" for place in (4, 3, 2, 1, 0)]
    assert rest.next == ""


async def test_the_last_words_before_a_person_was_called_are_shown_by_reason(
    store: SqlStore, desk: UnderstandingDesk
) -> None:
    _, first = await asked(store, "no not that", user="ann")
    _, second = await asked(store, "useless", user="bob")
    _, third = await asked(store, "a person please", user="eve")

    def unit(conn: Connection) -> None:
        for talk, reason in ((first, "unclear_twice"), (second, "article_unhelpful"), (third, "customer_asked")):
            row = {"conversation_id": talk, "reason": reason, "urgency": 2, "fence": 1}
            conn.execute(insert(handoffs).values(**row, requested_at=datetime.now(UTC)))

    await store.database.run(unit)
    assert [row.text for row in (await desk.messages(ANN, "shop", "handed_over")).items] == ["no not that"]
    assert [row.text for row in (await desk.messages(ANN, "shop", "unhelpful")).items] == ["useless"]


async def test_a_label_takes_the_message_off_the_list_and_can_be_changed_and_taken_back(
    store: SqlStore, desk: UnderstandingDesk
) -> None:
    inbox_id, _ = await asked(store, "wheres my stuff", template=CLARIFY, score=0.2)
    await desk.label(ANN, "shop", inbox_id, "order_status")
    assert (await desk.messages(ANN, "shop")).items == ()
    (labelled,) = (await desk.messages(ANN, "shop", labelled=True)).items
    assert (labelled.label, labelled.labelled_by) == ("order_status", "ann")
    await desk.label(ANN, "shop", inbox_id, NOT_WORTH_LEARNING)
    counts = await desk.counts(ANN, "shop")
    assert counts.labelled == {"": 1}
    assert counts.waiting == {"unclear": 0, "unsure": 0, "corrected": 0, "handed_over": 0, "unhelpful": 0}
    await desk.unlabel(ANN, inbox_id)
    assert (await desk.counts(ANN, "shop")).waiting["unclear"] == 1
    with pytest.raises(NotFound):
        await desk.unlabel(ANN, inbox_id)


async def test_examples_are_given_once_without_personal_data_or_formulas(
    store: SqlStore, desk: UnderstandingDesk
) -> None:
    for user, text in (
        ("ann", "where is order SO-20391"),
        ("bob", "where is order SO-77777"),
        ("eve", "=cmd|' /C calc'!A0"),
        ("max", "lol"),
    ):
        inbox_id, _ = await asked(store, text, template=CLARIFY, user=user)
        await desk.label(ANN, "shop", inbox_id, "" if text == "lol" else "order_status")
    rows = list(csv.reader(io.StringIO(await desk.examples(ANN))))
    assert rows == [
        ["text", "intent"],
        ["where is order SO-10001", "order_status"],
        ["'=cmd|' /C calc'!A0", "order_status"],
    ]


async def test_what_the_assistant_calls_personal_is_given_away_in_no_example(
    store: SqlStore, desk: UnderstandingDesk
) -> None:
    member = Entity("member_card", "M-79a", "M-79a", 8, 13, is_personal=True)
    street = Entity("street", "Elm Lane", "Elm Lane", 17, 25)
    inbox_id, _ = await asked(store, "my card M-79a at Elm Lane", template=CLARIFY, entities=(member, street))
    await desk.label(ANN, "shop", inbox_id, "order_status")
    rows = list(csv.reader(io.StringIO(await desk.examples(ANN))))
    assert rows[1:] == [["my card X-00X at Elm Lane", "order_status"]]


async def test_who_may_not_and_what_does_not_exist_is_refused(store: SqlStore, desk: UnderstandingDesk) -> None:
    inbox_id, _ = await asked(store, "hm", template=CLARIFY)
    with pytest.raises(NotPermitted):
        await desk.messages(VIEWER, "shop")
    with pytest.raises(NotPermitted):
        await desk.label(Actor("ana", "analyst"), "shop", inbox_id, "order_status")
    with pytest.raises(InputError):
        await desk.label(ANN, "shop", inbox_id, "fly_to_the_moon")
    with pytest.raises(NotFound):
        await desk.label(ANN, "shop", 999_999, "order_status")
    with pytest.raises(InputError):
        await desk.messages(ANN, "shop", "odd")  # type: ignore[arg-type]
