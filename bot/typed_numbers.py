"""Numbers typed to choose from a numbered list: `2`, `２`, `2.`, `二`, `第二个`, `我选2`, `the second one`. Pure."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass

LAST = -1
_KEYCAP = dict.fromkeys(map(ord, "\ufe0f\u20e3"))  # what makes a digit an emoji
_DIGITS = {mark: value for value, mark in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_WORDS = ("one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
_ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth", "eleventh",
    "twelfth",
)  # fmt: skip
_ZH = re.compile(
    r"^(?:我?(?:就|想)?(?:选择|选|要|点))?(?P<nth>第)?(?:(?P<digits>\d{1,3})|(?P<han>[一二三四五六七八九十两]{1,3}))"
    r"(?:个|项|号|条|种|款)?(?:吧|的|那个)?$"
)
_ZH_LAST = re.compile(r"^(?:我?(?:就|想)?(?:选择|选|要|点))?最后(?:一)?(?:个|项|条|种|款)?(?:吧|那个)?$")
_BARE = re.compile(r"^(?:[\d一二三四五六七八九十两]{1,3}(?:个|项|号|条|种|款)?|(?:the )?\d{1,3}(?:st|nd|rd|th)?)$")
_EN = re.compile(
    r"^(?:i(?:'ll| will|'d like| would like| want| choose| pick| take)?(?: to)?(?: have| take| choose| pick)? )?"
    r"(?:(?:choose|pick|take|select) )?(?:the )?"
    r"(?:(?:no\.?|nr\.?|number|option|choice|item|#) ?)?"
    r"(?:(?P<digits>\d{1,3})(?P<nth>st|nd|rd|th)?|(?P<word>[a-z]+))"
    r"(?: (?:one|option|choice|item))?(?:,? please)?$"
)


@dataclass(frozen=True, slots=True)
class TypedNumber:
    """`place` counts from 1, or is LAST. `is_bare`: a number that may as well be an amount, a count or a date."""

    place: int
    is_bare: bool


def typed_number(words: str) -> TypedNumber | None:
    """The place in a list that the whole message names; None for anything else."""
    said = unicodedata.normalize("NFKC", words).translate(_KEYCAP)
    said = " ".join(said.casefold().split()).strip(" .,;:!?。，、；：！？~\"'“”‘’()[]【】").replace("’", "'")
    if not said or len(said) > 40:
        return None
    if _ZH_LAST.match(said) or said in ("last", "the last", "the last one", "last one"):
        return TypedNumber(LAST, is_bare=False)
    if match := _ZH.match(said):
        place = int(match["digits"]) if match["digits"] else _han(match["han"])
        return TypedNumber(place, is_bare=bool(_BARE.match(said))) if place else None
    if match := _EN.match(said):
        return _english(said, match)
    return None


def _english(said: str, match: re.Match[str]) -> TypedNumber | None:
    if match["digits"]:
        place = int(match["digits"])
        return TypedNumber(place, is_bare=bool(_BARE.match(said))) if place else None
    for names in (_WORDS, _ORDINALS):
        if match["word"] in names:
            return TypedNumber(names.index(match["word"]) + 1, is_bare=said in _WORDS)
    return None


def _han(text: str) -> int:
    """1 to 99 in Chinese numerals; 0 for what is no number."""
    tens, ten, ones = text.partition("十")
    if not ten:
        return _DIGITS.get(text, 0) if len(text) == 1 else 0
    if not {tens, ones} <= {"", *_DIGITS}:
        return 0
    return (_DIGITS.get(tens, 0) if tens else 1) * 10 + (_DIGITS.get(ones, 0) if ones else 0)
