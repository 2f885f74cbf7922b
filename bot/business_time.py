"""Days and hours as customers say them and as we promise them: relative dates, wording of times."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, date, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from bot.types import Language

_WEEKDAYS_ZH = "一二三四五六日"
_WEEKDAYS_EN = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS_EN = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_RELATIVE = {
    "大前天": -3, "前天": -2, "昨天": -1, "昨日": -1, "昨晚": -1, "今天": 0, "今日": 0, "刚才": 0, "今早": 0,
    "明天": 1, "后天": 2,
    "day before yesterday": -2, "yesterday": -1, "last night": -1, "today": 0, "this morning": 0, "just now": 0,
    "day after tomorrow": 2, "tomorrow": 1,
}  # fmt: skip
_DIGITS_ZH = {"一": 1, "两": 2, "二": 2, "三": 3, "四": 4, "五": 5, "六": 6, "七": 7, "八": 8, "九": 9, "十": 10}
_DIGITS_EN = {"a": 1, "an": 1, "one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6, "seven": 7, "ten": 10}


def zone(name: str) -> tzinfo:
    """The named zone; UTC for a name this machine does not know."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return UTC


def find_date(words: str, today: date) -> date | None:
    """The day these words name, seen from `today`; None when they name none. A weekday without "next" is past."""
    words = unicodedata.normalize("NFKC", words).lower()[:200]
    for finder in (_iso, _relative, _ago, _month_day, _weekday):
        try:
            found = finder(words, today)
        except (ValueError, OverflowError):  # 31 February and the like name no day
            continue
        if found:
            return found
    return None


def _iso(words: str, _today: date) -> date | None:
    match = re.search(r"(?<!\d)(20\d\d)[-/.年](\d{1,2})[-/.月](\d{1,2})(?!\d)", words)
    return date(int(match[1]), int(match[2]), int(match[3])) if match else None


def _relative(words: str, today: date) -> date | None:
    for name, days in _RELATIVE.items():
        if name in words:
            return today + timedelta(days=days)
    return None


def _ago(words: str, today: date) -> date | None:
    match = re.search(r"([一两二三四五六七八九十]|\d{1,3})\s*(?:个)?(天|周|星期|月)(?:之?前|以前|了)", words)
    if match:
        count = _DIGITS_ZH.get(match[1]) or int(match[1])
        return today - timedelta(days=count * {"天": 1, "周": 7, "星期": 7, "月": 30}[match[2]])
    match = re.search(r"\b(a|an|one|two|three|four|five|six|seven|ten|\d{1,3}) (day|week|month)s? ago\b", words)
    if match:
        count = _DIGITS_EN.get(match[1]) or int(match[1])
        return today - timedelta(days=count * {"day": 1, "week": 7, "month": 30}[match[2]])
    return None


def _month_day(words: str, today: date) -> date | None:
    match = re.search(r"(?<!\d)(\d{1,2})月(\d{1,2})[日号]?", words)
    if match:
        return _nearest(int(match[1]), int(match[2]), today)
    names = "|".join(_MONTHS_EN)
    match = re.search(rf"\b(\d{{1,2}})(?:st|nd|rd|th)?(?: of)? ({names})[a-z]*", words)
    if match:
        return _nearest(_MONTHS_EN.index(match[2]) + 1, int(match[1]), today)
    match = re.search(rf"\b({names})[a-z]* (\d{{1,2}})\b", words)
    if match:
        return _nearest(_MONTHS_EN.index(match[1]) + 1, int(match[2]), today)
    return None


def _nearest(month: int, day: int, today: date) -> date:
    """The year is this one, or the last one when that would be more than a month ahead."""
    found = date(today.year, month, day)
    return found if found <= today + timedelta(days=31) else date(today.year - 1, month, day)


def _weekday(words: str, today: date) -> date | None:
    match = re.search(r"(上上|上|下|这|本)?(?:个)?(?:周|星期|礼拜)([一二三四五六日天])", words)
    if match:
        wanted = _WEEKDAYS_ZH.index(match[2].replace("天", "日"))
        monday = today - timedelta(days=today.weekday())
        weeks = {"上上": -2, "上": -1, "下": 1, "这": 0, "本": 0}.get(match[1] or "")
        if weeks is not None:
            return monday + timedelta(weeks=weeks, days=wanted)
        return today - timedelta(days=(today.weekday() - wanted) % 7)
    match = re.search(r"\b(next )?(mon|tue|wed|thu|fri|sat|sun)[a-z]*day\b", words)
    if match:
        wanted = _WEEKDAYS_EN.index(match[2])
        if match[1]:
            return today + timedelta(days=(wanted - today.weekday() - 1) % 7 + 1)
        return today - timedelta(days=(today.weekday() - wanted) % 7)
    return None


# --- wording ----------------------------------------------------------------------------------------------------


def say_day(day: date, today: date, language: Language) -> str:
    """A day as a person would say it: today, tomorrow, yesterday or the date."""
    near = {-1: ("昨天", "yesterday"), 0: ("今天", "today"), 1: ("明天", "tomorrow")}.get((day - today).days)
    if near:
        return near[0 if language == "zh" else 1]
    year = day.year != today.year
    if language == "zh":
        return (f"{day.year}年" if year else "") + f"{day.month}月{day.day}日"
    return f"{day.day} {_MONTHS_EN[day.month - 1].title()}" + (f" {day.year}" if year else "")


def say_time(moment: datetime, now: datetime, timezone: str, language: Language) -> str:
    """Day and minute in this zone: "今天 17:00", "tomorrow at 10:30", "23 Nov at 17:00"."""
    local = moment.astimezone(zone(timezone))
    day = say_day(local.date(), now.astimezone(local.tzinfo).date(), language)
    return f"{day} {local:%H:%M}" if language == "zh" else f"{day} at {local:%H:%M}"
