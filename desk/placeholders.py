"""Personal data in words replaced by sample values; the same value always becomes the same sample, so a story holds.

Names have to be given, and what an assistant calls personal (`bot.types.Entity.is_personal`); phones, addresses of
e-mail, number plates and long numbers (orders, cards, meters) are found. Dates, times and short numbers stay, since
flows depend on them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

NAMES: Final = {"zh": ("王芳", "李强", "陈静", "刘洋"), "en": ("Ann Lee", "Ben Hall", "Cara Mills", "Dan Reed")}
_EMAIL: Final = r"[A-Za-z0-9._%+-]+@[A-Za-z0-9.-]+\.[A-Za-z]{2,}"
_DATE: Final = r"\d{4}[-/.年]\d{1,2}[-/.月]\d{1,2}日?"
_ABROAD: Final = r"\+\d[\d -]{6,16}\d"
_MOBILE: Final = r"(?<!\d)1[3-9]\d[ -]?\d{4}[ -]?\d{4}(?!\d)"
_IDENTITY: Final = r"(?<![0-9A-Za-z])\d{17}[\dXx](?![0-9A-Za-z])"
_PROVINCES: Final = "京津沪渝冀豫云辽黑湘皖鲁苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼新"
_PLATE: Final = rf"[{_PROVINCES}]\s?[A-Za-z][·•. -]?[A-Za-z]{{0,5}}\d[A-Za-z\d]{{2,5}}(?![A-Za-z\d])"
_NUMBER: Final = r"(?<![0-9A-Za-z])(?:[A-Za-z]{1,4}-?)?\d{4,}(?:-\d+)*(?![0-9A-Za-z])"
_FOUND: Final = re.compile(
    f"(?P<email>{_EMAIL})|(?P<date>{_DATE})|(?P<abroad>{_ABROAD})|(?P<identity>{_IDENTITY})|(?P<mobile>{_MOBILE})"
    f"|(?P<plate>{_PLATE})|(?P<number>{_NUMBER})"
)
_YEAR: Final = re.compile(r"(?:19|20)\d\d")


class Placeholders:
    """One person's story made anonymous: call it on every text of it, in any order."""

    def __init__(self, names: Iterable[str] = (), *, language: str = "zh", personal: Iterable[str] = ()) -> None:
        self._given: dict[tuple[str, str], str] = {}
        samples = NAMES.get(language, NAMES["en"])
        wanted = sorted({name.strip() for name in names if len(name.strip()) > 1}, key=lambda name: (-len(name), name))
        self._names = {name.casefold(): samples[place % len(samples)] for place, name in enumerate(wanted)}
        self._named = re.compile("|".join(map(_whole, wanted)), re.IGNORECASE) if wanted else None
        # What is found by its form gets a sample of that form; only the rest needs to be named.
        own = sorted({value for value in personal if value.strip() and not _FOUND.fullmatch(value)}, key=len)
        self._personal = re.compile("|".join(map(_whole, reversed(own))), re.IGNORECASE) if own else None

    def __call__(self, text: str) -> str:
        """The text with samples in place of what belongs to a person."""
        if self._named is not None:
            text = self._named.sub(lambda match: self._names[match[0].casefold()], text)
        if self._personal is not None:
            text = self._personal.sub(lambda match: self._given_for("personal", match[0]), text)
        return _FOUND.sub(self._sample, text)

    def _sample(self, match: re.Match[str]) -> str:
        kind, value = str(match.lastgroup), match[0]
        if kind == "date" or _YEAR.fullmatch(value):
            return value
        return self._given_for(kind, value)

    def _given_for(self, kind: str, value: str) -> str:
        key = (kind, re.sub(r"[ ·•.-]", "", value).upper())
        if key not in self._given:
            place = 1 + sum(known == kind for known, _ in self._given)
            self._given[key] = _made_up(kind, value, place)
        return self._given[key]


def _whole(name: str) -> str:
    """A pattern for the name as a word: in Latin letters not inside a longer one."""
    edge = r"(?<![A-Za-z])%s(?![A-Za-z])" if name.isascii() else "%s"
    return edge % re.escape(name)


def _made_up(kind: str, value: str, place: int) -> str:
    """A value of the same form that is nobody's: 1380000… and 7700 900… are kept free for examples."""
    match kind:
        case "email":
            return f"customer{place}@example.com"
        case "mobile":
            return f"1380000{place:04d}"
        case "abroad":
            return f"+44 7700 900{place:03d}"
        case "plate":
            return f"京A{place:05d}"
        case "personal":
            return re.sub(r"[^\W\d_]", lambda letter: "X" if letter[0].isascii() else "某", re.sub(r"\d", "0", value))
        case "identity":
            return f"11010119900101{place:04d}"
    prefix = re.match(r"[A-Za-z]*-?", value)
    start = prefix[0] if prefix else ""
    digits = sum(character.isdigit() for character in value)
    return f"{start}{10 ** (digits - 1) + place}"
