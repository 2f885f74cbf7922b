"""What was sent as one gets one answer, and what was forwarded is not the sender's own word."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations
from typing import Any

import pytest

from bot.dialogue import decide
from bot.engine import albums_as_one
from bot.ports import ClaimedMessage
from bot.types import InboxId, Media, Owner, RecordConsent, ScoredIntent, Text
from tests.builders import NOON, a_turn, shop


def picture(number: int, caption: str = "", album: str = "g1") -> Any:
    turn = a_turn("")
    message = replace(turn.message, content=Media("image", f"file-{number}", caption), album=album)
    words = replace(turn.understanding, text=caption)
    return replace(turn, message=message, understanding=words)


def answers(turns: list[Any]) -> list[int]:
    """How many replies each turn gets, one after the other on the state the one before left."""
    counts, state = [], {}
    for turn in turns:
        decision = decide(replace(turn, conversation=replace(turn.conversation, state=state)), shop())
        state = decision.state
        counts.append(len(decision.replies))
    return counts


@pytest.mark.parametrize("order", list(permutations([1, 2, 3])))
def test_an_album_in_any_order_is_answered_once(order: tuple[int, ...]) -> None:
    assert answers([picture(number) for number in order]) == [1, 0, 0]


def test_words_between_its_pictures_do_not_start_it_anew() -> None:
    hello = a_turn("hello", intent="greet")

    first, word, second = answers([picture(1), hello, picture(2)])

    assert (first > 0, word > 0, second) == (True, True, 0)


def test_the_next_album_and_a_single_picture_are_answered() -> None:
    counts = answers([picture(1), picture(2), picture(3, album="g2"), picture(4, album=""), picture(5, album="")])

    assert [count > 0 for count in counts] == [True, False, True, True, True]


def test_every_picture_of_an_album_is_kept() -> None:
    state: Any = {}
    for number in (1, 2, 3):
        turn = picture(number)
        state = decide(replace(turn, conversation=replace(turn.conversation, state=state)), shop()).state

    assert [file["file_id"] for file in state["media"]] == ["file-1", "file-2", "file-3"]


def claimed(*captions: str, album: str = "g1") -> list[ClaimedMessage]:
    return [
        ClaimedMessage(InboxId(number), picture(number, caption, album).message, NOON)
        for number, caption in enumerate(captions)
    ]


def captions_of(messages: list[ClaimedMessage]) -> list[str]:
    return [item.message.content.caption for item in messages]  # type: ignore[union-attr]


def test_all_captions_of_an_album_are_heard_with_its_first_picture() -> None:
    assert captions_of(albums_as_one(claimed("", "broken here", "and here"))) == ["broken here\nand here", "", ""]
    assert captions_of(albums_as_one(claimed("only this"))) == ["only this"]
    assert captions_of(albums_as_one(claimed("a", "b", album=""))) == ["a", "b"]


def test_a_caption_that_came_too_late_is_still_answered() -> None:
    assert [count > 0 for count in answers([picture(1), picture(2, "it is broken")])] == [True, True]


@pytest.mark.parametrize("owner", list(Owner))
@pytest.mark.parametrize("intent", ["subscribe_news", "unsubscribe_news"])
def test_somebody_elses_words_change_no_consent(owner: Owner, intent: str) -> None:
    turn = a_turn("please send me your news", intent=intent)
    turn = replace(
        turn,
        conversation=replace(turn.conversation, owner=owner),
        understanding=replace(turn.understanding, intents=(ScoredIntent(intent, 0.99),)),
    )
    forwarded = replace(turn, message=replace(turn.message, forwarded_from="Li Q."))

    assert not any(isinstance(effect, RecordConsent) for effect in decide(forwarded, shop()).effects)
    assert owner is not Owner.OPERATOR or decide(forwarded, shop()).replies == ()


def test_own_words_do_change_it_and_a_forwarded_wish_is_asked_about() -> None:
    turn = a_turn("stop", intent="unsubscribe_news")
    assert any(isinstance(effect, RecordConsent) for effect in decide(turn, shop()).effects)

    forwarded = decide(replace(turn, message=replace(turn.message, forwarded_from="Li Q.")), shop())

    assert [reply.template for reply in forwarded.replies] == ["utter_rephrase"]


def test_a_forwarded_question_is_answered() -> None:
    turn = a_turn("hello", intent="greet")
    forwarded = replace(turn, message=replace(turn.message, content=Text("hello"), forwarded_from="Li Q."))

    assert decide(forwarded, shop()).replies == decide(turn, shop()).replies
