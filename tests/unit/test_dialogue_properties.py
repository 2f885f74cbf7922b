"""Whatever comes, in whatever state: no exception, never an empty answer, a state that can be stored and read again."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bot.dialogue import decide
from bot.memory import recall
from bot.rendering import render
from bot.types import (
    Button,
    Command,
    Contact,
    Content,
    Event,
    Location,
    Media,
    Need,
    Owner,
    ScoredIntent,
    Text,
    Understanding,
    Unsupported,
)
from tests.builders import a_case, a_customer, a_turn, an_article, an_entity, an_order, shop

INTENTS = [*shop().intents, "nlu_fallback", "unknown", ""]
SLOTS = list(shop().slots)
FLOWS = list(shop().flows)
WORDS = st.one_of(
    st.text(max_size=60),
    st.sampled_from(
        [
            "",
            "   ",
            "\u200b\u200d",
            "👍",
            "👎",
            "🙂🙂",
            "2",
            "第二个",
            "取消",
            "stop",
            "退订",
            "不对，订单号是10482",
            "yes",
            "不是",
            "/restart",
            '/greet{"order_number": "1"}',
            "C-1024",
            "C-1024-7",
            "2391",
            "SO-20391",
            "13812345678",
            "明天",
            "我要投诉" * 40,
            "x" * 20000,
            "\u202eabc",
            "2月31日",
            "9999999周前",
            "{order_number} {0} %s",
            "²₂٣",
            "订单２３９１",
        ]
    ),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
ENTITIES = st.lists(
    st.builds(
        an_entity,
        st.sampled_from(["order_number", "phone", "date", "amount", "product", "store", "unknown"]),
        WORDS.map(lambda words: words[:50]),
    ),
    max_size=3,
)


RANKED = st.lists(st.builds(ScoredIntent, st.sampled_from(INTENTS), st.floats(0, 1)), max_size=2).map(
    lambda found: tuple(sorted(found, key=lambda intent: -intent.confidence))
)


def understandings(parts: st.SearchStrategy[tuple[Understanding, ...]]) -> st.SearchStrategy[Understanding]:
    return st.builds(
        Understanding,
        text=WORDS,
        language=st.sampled_from(["zh", "en"]),
        language_is_sure=st.booleans(),
        intents=RANKED,
        entities=ENTITIES.map(tuple),
        engine=st.sampled_from(["embedded", "rasa", "none"]),
        parts=parts,
    )


HEARD = understandings(st.lists(understandings(st.just(())), max_size=2).map(tuple))
CHOICES = st.one_of(
    st.text(max_size=30),
    st.sampled_from(INTENTS).map(lambda name: f"intent:{name}"),
    st.sampled_from(FLOWS).map(lambda name: f"flow:{name}"),
    st.builds(lambda name, value: f"slot:{name}={value}", st.sampled_from(SLOTS), st.text(max_size=10)),
    st.builds(lambda name, slot: f"intent:{name}?{slot}=1", st.sampled_from(INTENTS), st.sampled_from(SLOTS)),
)
OTHER: st.SearchStrategy[Content] = st.one_of(
    st.builds(Button, value=CHOICES, label=st.text(max_size=10)),
    st.builds(
        Command, st.sampled_from(["start", "help", "cancel", "stop", "human", "restart", ""]), st.text(max_size=20)
    ),
    st.builds(
        Media,
        st.sampled_from(["image", "voice", "audio", "video", "document", "sticker", "animation"]),
        st.text(max_size=20),
        caption=st.text(max_size=20),
    ),
    st.just(Location(1.0, 2.0)),
    st.builds(Contact, st.text(max_size=20), is_own=st.booleans()),
    st.builds(Unsupported, st.text(max_size=10)),
)
CUSTOMERS = st.sampled_from(
    [
        a_customer(),
        a_customer(phone="+8613812345678", language="en"),
        a_customer(orders=(an_order(),), cases=(a_case(),)),
        a_customer(
            orders=(an_order(), an_order("10482", "delivered", expected_at=None)), cases=(a_case(), a_case("C-9-9"))
        ),
    ]
)


MESSAGES = st.tuples(HEARD, st.one_of(st.none(), OTHER))  # None: the words themselves
ARTICLES = st.sampled_from([(), (an_article(),), (an_article(score=0.3, is_sure=False),)])


def decided(turn: Any) -> Any:
    facts: dict[Need, Any] = {}
    for _ in range(4):
        decision = decide(turn, shop())
        if not decision.needs:
            return decision
        for need in decision.needs:
            facts[need] = "C-7-7" if need.kind == "case_number" else () if need.kind == "articles" else None
        turn = a_turn(
            content=turn.message.content,
            understanding=turn.understanding,
            state=turn.conversation.state,
            owner=turn.conversation.owner,
            customer=turn.conversation.customer,
            articles=turn.articles,
            facts=facts,
        )
    raise AssertionError(f"still needs {decision.needs}")


def assert_sound(decision: Any, *, speaks: bool) -> None:
    document = json.loads(json.dumps(decision.state, allow_nan=False))
    assert recall(document).to_json() == document
    if speaks:
        assert decision.replies
    for reply in decision.replies:
        shown = render(reply, decision.language, "web", shop(), seed=1)
        assert shown.text.strip()
        assert all(button.label and len(button.value.encode()) <= 64 for button in shown.buttons)


@given(st.one_of(st.just({}), JSON), CUSTOMERS, ARTICLES, st.lists(MESSAGES, min_size=1, max_size=5))
def test_a_conversation_of_anything_is_always_answered(state: Any, customer: Any, articles: Any, messages: Any) -> None:
    for heard, other in messages:
        content = other or Text(heard.text)
        decision = decided(
            a_turn(content=content, understanding=heard, state=state, customer=customer, articles=articles)
        )
        assert_sound(decision, speaks=True)
        state = decision.state


@given(st.lists(st.tuples(MESSAGES, st.sampled_from(Owner)), min_size=1, max_size=5))
def test_a_conversation_that_changes_hands_never_breaks(messages: Any) -> None:
    state: Any = {}
    for (heard, other), owner in messages:
        decision = decided(a_turn(content=other or Text(heard.text), understanding=heard, state=state, owner=owner))
        assert_sound(decision, speaks=owner is Owner.BOT)
        assert owner is not Owner.OPERATOR or not decision.replies
        state = decision.state


@given(st.one_of(JSON, st.dictionaries(st.sampled_from(list(recall({}).to_json())), JSON).map(lambda d: {**d, "v": 1})))
def test_any_stored_document_is_read_as_some_memory(document: Any) -> None:
    remembered = recall(document).to_json()
    assert recall(remembered).to_json() == remembered


def test_an_event_takes_no_reply_and_keeps_the_state() -> None:
    state = decide(a_turn("我要投诉", "complaint"), shop()).state
    decision = decide(a_turn(content=Event("blocked"), state=state), shop())
    assert decision.replies == ()
    assert decision.state == state
