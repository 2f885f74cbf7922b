"""What a search index keeps of a text, and what it shows of one that was found."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from bot.search_words import MOST_WORDS, Query, excerpt, query_of, words_of


def test_chinese_is_found_by_one_character_and_by_two_next_to_each_other() -> None:
    assert words_of("加油 后") == ["加", "油", "加油", "后"]
    assert query_of("加油后").words == ("加油", "油后")
    assert query_of("油").words == ("油",)


def test_case_width_and_accents_make_no_difference() -> None:
    assert words_of("ＡＢＣ Über Straße") == ["abc", "uber", "strasse"]
    assert query_of("UBER ").words == ("uber",)


def test_the_last_word_may_go_on_while_somebody_types() -> None:
    query = query_of("engine noi")
    assert (query.words, query.begins) == (("engine",), "noi")
    assert query_of("engine noise ").begins == ""


def test_what_has_no_words_is_looked_for_nowhere() -> None:
    assert query_of("\U0001f600 … \u202e").is_empty
    assert words_of("\U0001f600" * 100_000) == []


def test_an_excerpt_marks_what_was_found_where_it_stands() -> None:
    text = "很长的开头。" * 20 + "加油后发动机 Ｅrror 异响" + "。后面还有" * 40
    spans = excerpt(text, query_of("发动机 error"))
    assert [span.text for span in spans if span.is_match] == ["发动机", "Ｅrror"]
    assert (spans[0].text, spans[-1].text) == ("…", "…")
    assert "".join(span.text for span in spans[1:-1]) in text


@given(st.text(), st.text(max_size=20))
def test_an_excerpt_is_a_piece_of_the_text_whatever_both_are(text: str, typed: str) -> None:
    flat = " ".join(text.split())
    shown = "".join(span.text for span in excerpt(text, query_of(typed)))
    assert shown.removeprefix("…").removesuffix("…") in flat or shown in flat


@given(st.text())
def test_words_are_letters_and_digits_only_and_bounded(text: str) -> None:
    words = words_of(text)
    assert all(word.isalnum() for word in words)
    assert len(words) == len(set(words)) <= MOST_WORDS


@given(st.text(alphabet="abcé加油后，。 1", min_size=1))
def test_a_text_has_every_word_of_itself(text: str) -> None:
    query: Query = query_of(text)
    assert set(query.words) <= set(words_of(text))
