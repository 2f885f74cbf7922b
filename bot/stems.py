"""Lists of words as one pattern: Chinese ones match anywhere, English ones from the start of a word. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_NOTHING = r"(?!)"
_NUMBER = "(?<![0-9a-z]){}(?![0-9a-z])"  # a hot line is not part of a number plate


def stems(zh: str, en: str) -> re.Pattern[str]:
    """True of words that hold one of these. `zh` is divided by blanks, `en` by commas; `*` is any ending of a word."""
    chinese = zh.split()
    english = [word.strip() for word in en.split(",") if word.strip(" *")]
    found = []
    if chinese:
        found.append(
            _one_of(chinese, (_NUMBER.format(word) if word.isdigit() else re.escape(word) for word in chinese))
        )
    if english:
        patterns = (re.escape(word).replace(r"\*", "[a-z]*").replace(r"\ ", r"\s+") for word in english)
        found.append(rf"(?<![a-z]){_one_of(english, patterns)}(?![a-z])")
    return re.compile("|".join(found) or _NOTHING, re.IGNORECASE)


def _one_of(words: Iterable[str], patterns: Iterable[str]) -> str:
    """Any of the patterns. Where no word can begin, which is nearly everywhere, none of them is tried."""
    firsts = sorted({word[0] for word in words})
    begins = "" if "*" in firsts else f"(?=[{''.join(map(re.escape, firsts))}])"
    return f"(?:{begins}(?:{'|'.join(patterns)}))"
