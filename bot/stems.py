"""Lists of words as one pattern: Chinese ones match anywhere, English ones from the start of a word. Pure."""

from __future__ import annotations

import re

_NOTHING = r"(?!)"
_NUMBER = "(?<![0-9a-z]){}(?![0-9a-z])"  # a hot line is not part of a number plate


def stems(zh: str, en: str) -> re.Pattern[str]:
    """True of words that hold one of these. `zh` is divided by blanks, `en` by commas; `*` is any ending of a word."""
    english = "|".join(
        re.escape(word.strip()).replace(r"\*", "[a-z]*").replace(r"\ ", r"\s+")
        for word in en.split(",")
        if word.strip(" *")
    )
    chinese = "|".join(_NUMBER.format(word) if word.isdigit() else re.escape(word) for word in zh.split())
    found = [chinese] if chinese else []
    if english:
        found.append(rf"(?<![a-z])(?:{english})(?![a-z])")
    return re.compile("|".join(found) or _NOTHING, re.IGNORECASE)
