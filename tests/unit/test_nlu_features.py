"""Features as keys: what counts as the same, and that no text changes what another one is."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nlu.embedded.features import Features, features_of
from nlu.embedded.keys import CONCEPTS, PAIRS, PIECES, STEMS, KeyTable, hash_of, keys_of

SAMPLES = (
    "where is my order", "I can't log in", "我的订单到哪了", "退款 refund 2391", "", "!!", "don’t", "n't",
    "한국어 é中文 🙂",
)  # fmt: skip


def of(text: str, group: int | None = None) -> Counter[int]:
    return at(features_of((text,)), 0, group)


def at(features: Features, text: int, group: int | None = None) -> Counter[int]:
    own = slice(features.starts[text], features.starts[text + 1])
    return Counter(
        {
            key: int(count)
            for key, count, found in zip(
                features.key[own].tolist(), features.count[own].tolist(), features.group[own].tolist(), strict=True
            )
            if group in (None, found)
        }
    )


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("where is my order", "WHERE IS MY ORDER?!"),
        ("can't", "cannot"),
        ("where's it", "where is it"),
        ("don’t", "dont"),
        ("order 2391", "order 4402"),
        ("訂單", "订单"),
        ("ＡＢＣ", "abc"),
    ],
)
def test_what_means_the_same_has_the_same_features(one: str, other: str) -> None:
    assert of(one) == of(other)


def test_each_way_of_reading_a_text_is_a_group_of_its_own() -> None:
    text = "charged twice"
    assert len(of(text, STEMS)) == 2
    assert len(of(text, PAIRS)) == 1
    assert of(text, STEMS) == of("twice charging", STEMS)
    assert of(text, PAIRS) != of("twice charged", PAIRS)
    assert of("refund", CONCEPTS) == of("reimburse", CONCEPTS) == of("退款", CONCEPTS) != Counter()


def test_pieces_are_cut_within_words_and_within_runs_of_chinese() -> None:
    # " a", "ab", "b ", " ab", "ab ", " ab "
    assert sum(of("ab", PIECES).values()) == 6
    assert of("ab cd", PIECES) == of("ab", PIECES) + of("cd", PIECES)
    # 退, 款; ^退, 退款, 款$
    assert sum(of("退款", PIECES).values()) == 5
    assert of("退款,订单", PIECES) == of("退款", PIECES) + of("订单", PIECES)
    assert sum(of("退款退款", PIECES).values()) == 4 + 5 + 2


def test_concepts_named_by_words_repeat_and_those_seen_in_chinese_do_not() -> None:
    assert max(of("refund refund", CONCEPTS).values()) == 2
    assert max(of("退款退款退款", CONCEPTS).values()) == 1


@settings(deadline=None)
@given(st.lists(st.text(max_size=40) | st.sampled_from(SAMPLES), min_size=1, max_size=6))
@example(list(SAMPLES))
def test_a_text_has_the_same_features_whatever_is_read_beside_it(texts: list[str]) -> None:
    together = features_of(tuple(texts))
    assert len(together) == len(texts)
    for place, text in enumerate(texts):
        assert at(together, place) == of(text)
    chosen = together.at(np.arange(len(texts))[::-1])
    assert at(chosen, len(texts) - 1) == of(texts[0])
    assert at(together + chosen, len(texts)) == of(texts[-1])


def test_thousands_of_texts_at_once_are_read_like_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nlu.embedded.features._AT_ONCE", 3)
    texts = (*SAMPLES, "a text that nobody else has read")
    features = features_of(texts)
    assert [at(features, place) for place in range(len(texts))] == [of(text) for text in texts]


@given(st.sets(st.integers(0, 2**48 - 1), max_size=200), st.lists(st.integers(0, 2**48 - 1), max_size=20))
def test_known_keys_are_found_at_their_places_and_no_others(known: set[int], asked: list[int]) -> None:
    table = KeyTable(np.asarray(sorted(known), dtype=np.uint64))
    questions = [*asked, *sorted(known)]
    places, is_known = table.find(np.asarray(questions, dtype=np.uint64))
    assert is_known.tolist() == [key in known for key in questions]
    assert [table.keys[place] for place in places[is_known]] == [key for key in questions if key in known]


def test_keys_are_the_same_in_every_process() -> None:
    assert hash_of("refund") == 15685397089556917362
    assert keys_of(np.asarray([hash_of("refund")], dtype=np.uint64), PAIRS).tolist() == [501305481985734]
