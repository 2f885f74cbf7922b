"""Times and spans as staff read them: short, in the business's zone, with the words of their language."""

from __future__ import annotations

from datetime import datetime, timedelta, tzinfo
from decimal import Decimal
from typing import Final

from console.words import Language, say

_WITHOUT_CENTS: Final = frozenset({"JPY", "KRW", "VND"})  # ISO 4217: no minor unit


def span(length: timedelta, language: Language) -> str:
    """A length in its largest sensible unit: 40 s, 3 min, 2 h, 5 d. Negative counts as none."""
    seconds = max(0, int(length.total_seconds()))
    for size, zh, en in ((86_400, "天", "d"), (3_600, "小时", "h"), (60, "分钟", "min")):
        if seconds >= size:
            return f"{seconds // size} {zh if language == 'zh' else en}"
    return f"{seconds} {'秒' if language == 'zh' else 's'}"


def person_name(language: Language, name: str, number: int, phone: str = "") -> str:
    """What staff call a person: the name, else the phone number without its middle, else a number of ours."""
    if name:
        return name
    if len(phone) > 8:
        return f"{phone[:-8]}****{phone[-4:]}"
    return say(language, "row.nobody", number=number)


def money(minor: int, currency: str) -> str:
    """An amount with its currency: 12.50 CNY. Without a currency it is a number of points."""
    if not currency:
        return str(minor)
    digits = digits_of(currency)
    return f"{Decimal(minor).scaleb(-digits):,.{digits}f} {currency}"


def digits_of(currency: str) -> int:
    """Places after the point that amounts of this currency have."""
    return 0 if currency in _WITHOUT_CENTS else 2


def clock(at: datetime, zone: tzinfo) -> str:
    """Hours and minutes there."""
    return f"{at.astimezone(zone):%H:%M}"


def moment(at: datetime, now: datetime, zone: tzinfo, language: Language) -> str:
    """The clock for today, with the day for this year, with the year otherwise."""
    there, today = at.astimezone(zone), now.astimezone(zone)
    if there.date() == today.date():
        return f"{there:%H:%M}"
    day = f"{there.month}月{there.day}日" if language == "zh" else f"{there.day} {there:%b}"
    if there.year != today.year:
        day = f"{there.year}年{day}" if language == "zh" else f"{day} {there.year}"
    return f"{day} {there:%H:%M}"
