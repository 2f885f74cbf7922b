"""Days and hours ahead as customers say them: "周五下午三点", "tomorrow at 3 pm"."""

from __future__ import annotations

import re
import unicodedata
from calendar import isleap
from datetime import date, time, timedelta

from bot.business_time import find_date

_WEEKDAY = re.compile(
    r"(?:周|星期|礼拜)[一二三四五六日天]|\b(?:mon|tues?|wednes|thurs?|fri|satur|sun)day\b|\b(?:mon|tue|wed|thu|fri|sat|sun)\b"
)
_LEAP_DAY = re.compile(r"(?<!\d)0?2月29(?!\d)|\b29(?:th)?(?: of)? feb|\bfeb[a-z]* 29\b")
_HOURS_ZH = {
    "零": 0, "一": 1, "二": 2, "两": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10,
    "十一": 11, "十二": 12,
}  # fmt: skip
_CLOCK = re.compile(r"(?<![\d:])(\d{1,2})\s*:\s*(\d{2})(?!\d)\s*(am|pm)?")
_OCLOCK_ZH = re.compile(r"(\d{1,2}|十[一二]?|[零一二两三四五六七八九])\s*[点时](?:钟|整)?(半|一刻|三刻|\d{1,2}分)?")
_OCLOCK_EN = re.compile(r"(?<!\d)(\d{1,2})\s*(am|pm|o'?clock)\b")
_LATE = re.compile(r"下午|晚上|傍晚|夜里|\bafternoon\b|\bevening\b|\btonight\b")
_EARLY = re.compile(r"上午|早上|早晨|凌晨|\bmorning\b")
_QUARTERS = {"半": 30, "一刻": 15, "三刻": 45}


def day_ahead(words: str, today: date) -> date | None:
    """The day these words name, today or later; None when they name none, or one that does not exist.

    A weekday is the next one, a day without a year the next such day.
    """
    said = unicodedata.normalize("NFKC", words).lower()[:200]
    found = find_date(said, today)
    if found is None and _LEAP_DAY.search(said) and not re.search(r"\d{4}", said):
        return next(day for day in _leap_days(today) if day >= today)
    if found is None or found >= today:
        return found
    if _WEEKDAY.search(said):
        return found + timedelta(days=7 * -((found - today).days // 7))
    if re.search(r"\d{4}", said):
        return None  # the year was said, so it is over
    if (found.month, found.day) == (2, 29):
        return next(day for day in _leap_days(today) if day >= today)
    next_year = found.replace(year=found.year + 1)
    return next_year if next_year >= today else None


def _leap_days(today: date) -> list[date]:
    return [date(year, 2, 29) for year in range(today.year, today.year + 9) if isleap(year)]


def time_of_day(words: str) -> time | None:
    """The hour and minute these words name; None when they name none. "三点" with "下午" is 15:00."""
    said = unicodedata.normalize("NFKC", words).lower()[:200]
    found = _clock(said)
    if found is None:
        return None
    hour, minute, half = found
    is_late = half == "pm" or (not half and bool(_LATE.search(said)))
    if is_late and hour < 12:
        hour += 12
    elif half == "am" and hour == 12:
        hour = 0
    return time(hour, minute) if hour < 24 and minute < 60 else None


def part_of_day(words: str) -> tuple[time, time] | None:
    """From and until when, for a morning, an afternoon or an evening; None when the words name none."""
    said = unicodedata.normalize("NFKC", words).lower()[:200]
    if _EARLY.search(said):
        return time(0), time(12)
    if re.search(r"晚上|傍晚|夜里|\bevening\b|\btonight\b", said):
        return time(17), time(23, 59, 59)
    return (time(12), time(18)) if _LATE.search(said) or "中午" in said else None


def _clock(said: str) -> tuple[int, int, str] | None:
    if match := _CLOCK.search(said):
        return int(match[1]), int(match[2]), match[3] or ""
    if match := _OCLOCK_EN.search(said):
        return int(match[1]), 0, match[2] if match[2] in ("am", "pm") else ""
    if match := _OCLOCK_ZH.search(said):
        hour = int(match[1]) if match[1].isdecimal() else _HOURS_ZH[match[1]]
        more = match[2] or ""
        return hour, _QUARTERS.get(more) or int(re.sub(r"\D", "", more) or 0), ""
    return None
