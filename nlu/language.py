"""Which language a text is in, and one spelling of it: full-width, capital and Traditional forms folded.

In: any string a channel delivered. Out: `Detected`, or a folded string of exactly the same length, so that offsets
found in it are offsets into the original. Nothing here raises for any string.
"""

from __future__ import annotations

import functools
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass

from bot.types import Language, Written


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_HAN = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003134f]")
_LATIN_WORD = re.compile(r"[^\W\d_\u3400-\u9fff]{1,}", re.UNICODE)
_CODE = re.compile(r"[A-Za-z]*\d[A-Za-z\d]*")  # number plates, order numbers: letters that are no words
_URL_OR_EMAIL = re.compile(r"[^\s@]{1,64}@\S+|https?://\S+|www\.\S+", re.IGNORECASE)
_INVISIBLE = {
    *range(0x200B, 0x2010),
    *range(0x202A, 0x202F),
    *range(0x2060, 0x2070),
    0xFEFF,
    0xAD,
    *range(0xFE00, 0xFE10),
}
INVISIBLE = "\u200b"  # what every invisible character folds to

# Short words people type in either language; alone they say nothing about the language of the conversation.
_NEUTRAL = _words(
    """ok okay k kk hi hello hey yes no y n yo bye lol haha hahaha emm emmm hmm um uh app vip wifi usb so c ps pls thx
    sms qr id pdf email qq wechat alipay visa cny rmb usd"""
)
# A lone word that is surely English; any other lone word may be a brand or a code ("Dyson", "asdf").
_COMMON_ENGLISH = _words(
    """help order orders refund return thanks thank cancel stop complaint complain menu where when why how what who
    price delivery shipping warranty invoice receipt points coupon human agent operator person good great bad nice
    sorry please morning evening afternoon yesterday today tomorrow goodbye unsubscribe subscribe hours address store
    stores exchange repair broken login password payment account correct right wrong sure nope yeah yep kettle lamp
    desk duvet pan oven shelf curtains pillow fan"""
)
_HAN_WEIGHT = 1.5  # one Chinese character says about as much as two thirds of an English word
_MIXED_FROM = 0.25
# Code points above this many are folded without being remembered, so that odd input cannot grow the table.
_REMEMBERED = 30_000


@dataclass(frozen=True, slots=True)
class Detected:
    """`is_sure` False: numbers, emoji, punctuation or neutral words only; keep the conversation's language.

    `written`: zh-Hant for Chinese with a character that only Traditional writing uses, mixed where both languages carry
    at least a quarter of the words, empty where nothing tells.
    """

    language: Language
    is_sure: bool
    written: Written = ""

    @property
    def is_traditional(self) -> bool:
        return self.written == "zh-Hant"


def detect(text: str, default: Language = "zh") -> Detected:
    """The language of `text`: `zh` or `en`; `default` where nothing in it tells.

    Any other alphabet counts as `en` without being sure. Reads the first 2,000 characters.
    """
    sample = text[:2000]
    if not sample.isascii():
        han = len(_HAN.findall(sample))
        if han:
            words = [w for w in _LATIN_WORD.findall(_CODE.sub(" ", sample)) if w.isascii()]
            is_zh = han * _HAN_WEIGHT >= len(words) or han >= 12
            return Detected("zh" if is_zh else "en", is_sure=True, written=_written(sample, han, words))
    if "@" in sample or "://" in sample or "www." in sample:
        sample = _URL_OR_EMAIL.sub(" ", sample)
    words = _LATIN_WORD.findall(sample.lower())
    telling = [w for w in words if w not in _NEUTRAL and len(w) > 1]
    if not telling:
        return Detected(default, is_sure=False)
    latin = sum(1 for w in telling if w.isascii())
    if latin * 2 < len(telling):
        return Detected("en", is_sure=False)
    is_sure = len(words) >= 2 or telling[0] in _COMMON_ENGLISH
    return Detected("en", is_sure=is_sure, written="en" if is_sure else "")


def _written(sample: str, han: int, words: list[str]) -> Written:
    """How a text with so many Chinese characters and these Latin words is written. One Latin word is a name."""
    telling = [word for word in words if len(word) > 1 and word.lower() not in _NEUTRAL]
    chinese, english = han * _HAN_WEIGHT, float(len(telling))
    if len(telling) > 1 and min(chinese, english) >= _MIXED_FROM * (chinese + english):
        return "mixed"
    if english > chinese:
        return "en"
    return "zh-Hant" if is_traditional(sample) else "zh-Hans"


_SIMPLE: set[str] = set()  # Chinese characters already seen that Simplified writing uses too


def is_traditional(text: str) -> bool:
    """True when a character of `text` exists only in Traditional Chinese writing."""
    if text.isascii():
        return False
    unknown = set(_HAN.findall(text[:2000])) - _SIMPLE
    if not unknown:
        return False
    simple = {char for char in unknown if _simplified(char) == char}
    if len(_SIMPLE) < _REMEMBERED:
        _SIMPLE.update(simple)
    return len(simple) < len(unknown)


def fold(text: str) -> str:
    """Lower case, half width, Simplified; same length as `text`, position by position.

    Control characters become spaces, invisible ones U+200B, lone surrogates U+FFFD.
    """
    if text.isascii():
        return text.lower().translate(_ASCII_CONTROL)
    return text.translate(_TABLE)


_ASCII_CONTROL = dict.fromkeys([*range(32), 127], " ")


class _FoldTable(dict[int, str]):
    """Code point -> folded character, filled as characters are met."""

    def __missing__(self, code: int) -> str:
        folded = _fold_char(code)
        if len(self) < _REMEMBERED:
            self[code] = folded
        return folded


def _fold_char(code: int) -> str:
    if code in _INVISIBLE:
        return INVISIBLE
    if 0xD800 <= code <= 0xDFFF:
        return "\ufffd"
    char = chr(code)
    category = unicodedata.category(char)
    if category in ("Cc", "Zl", "Zp", "Zs"):
        return " "
    folded = unicodedata.normalize("NFKC", char).lower()
    if len(folded) != 1:
        folded = char
    return _simplified(folded) if _HAN.match(folded) else folded


_TABLE = _FoldTable()


@functools.lru_cache(maxsize=_REMEMBERED)
def _simplified(char: str) -> str:
    converted = _to_simplified()(char)
    return converted if len(converted) == 1 else char


@functools.cache
def _to_simplified() -> Callable[[str], str]:
    """Built at the first Chinese character: about 3 ms and 2 MB."""
    import opencc

    convert: Callable[[str], str] = opencc.OpenCC("t2s").convert
    return convert
