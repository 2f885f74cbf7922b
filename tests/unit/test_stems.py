"""Lists of words are found where they stand, and nowhere else."""

from __future__ import annotations

import pytest

from bot.stems import stems


@pytest.mark.parametrize(
    ("zh", "en", "words", "found"),
    [
        ("太差 气死", "", "你们太差了，气死我了", ["太差", "气死"]),
        ("", "rude, liar*", "RUDE liars, crude", ["RUDE", "liars"]),
        ("", "fed up", "I am fed  up", ["fed  up"]),
        ("12315", "", "打12315，车牌A12315", ["12315"]),
        ("", "*phone, tv", "my telephone and TV", ["telephone", "TV"]),
        ("[差", "-x", "[差 -x", ["[差", "-x"]),
        ("", "", "anything", []),
    ],
)
def test_words_of_both_languages_are_found(zh: str, en: str, words: str, found: list[str]) -> None:
    assert stems(zh, en).findall(words) == found
