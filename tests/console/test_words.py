"""The screens' words: filled in both languages, with the same places for values."""

from __future__ import annotations

from string import Formatter

from console.words import WORDS


def test_every_word_is_there_in_both_languages_with_the_same_values() -> None:
    for key, (english, chinese) in WORDS.items():
        assert english.strip(), key
        assert chinese.strip(), key
        assert _places(english) == _places(chinese), key
        assert not set("!！") & set(english + chinese), key


def _places(words: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(words) if name}
