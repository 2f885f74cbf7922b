"""Dates as people write them: yesterday, 上周五, 11月3日, since Monday, 三天前, 2026-11-03.

In: a folded text (`nlu.language.fold`) and the day it was written on, in the customer's zone. Out: calendar days. All
pure; text without a date, or with an impossible one (30 February), gives nothing.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from datetime import date, datetime, timedelta

from bot.types import Language
from nlu.language import fold
from nlu.numerals import zh_number

# Dates beyond this are not looked for.
_MAX_CHARS = 4000
_ZH_DAYS = {"大前": -3, "前": -2, "昨": -1, "今": 0, "明": 1, "后": 2, "大后": 3}
_EN_DAYS = {
    "the day before yesterday": -2,
    "day before yesterday": -2,
    "yesterday": -1,
    "last night": -1,
    "today": 0,
    "tonight": 0,
    "this morning": 0,
    "this afternoon": 0,
    "this evening": 0,
    "the day after tomorrow": 2,
    "day after tomorrow": 2,
    "tomorrow": 1,
}
_WEEKDAYS = {"mon": 0, "tue": 1, "wed": 2, "thu": 3, "fri": 4, "sat": 5, "sun": 6}
_ZH_WEEKDAYS = {"一": 0, "二": 1, "三": 2, "四": 3, "五": 4, "六": 5, "日": 6, "天": 6, "末": 5} | {
    str(number): number - 1 for number in range(1, 8)
}
_ZH_WEEK_SHIFT = {"上上": -2, "上": -1, "这": 0, "本": 0, "下": 1, "下下": 2}
_MONTHS = {name: i for i, name in enumerate("jan feb mar apr may jun jul aug sep oct nov dec".split(), start=1)}  # noqa: SIM905  # reads better
_EN_NUMBERS = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "a couple of": 2,
    "couple of": 2,
    "three": 3,
    "a few": 3,
    "four": 4,
} | {
    name: value
    for value, name in enumerate("five six seven eight nine ten eleven twelve".split(), start=5)  # noqa: SIM905
}
_MONTH = (
    r"(?:jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?"
    r"|nov(?:ember)?|dec(?:ember)?)\.?"
)
_WEEKDAY = r"(?:mon|tues?|wed(?:nes)?|thu(?:rs?)?|fri|sat(?:ur)?|sun)(?:day)?"
_COUNT = r"\d{1,3}|a couple of|couple of|a few|an?|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
# Nearly everywhere one look says that none of these begins here, so the three groups ask that first.
_DATES = re.compile(
    r"(?=[\d一二三四五六七八九十两半几大前后昨今明上下这本个周星礼])(?:"
    r"(?<![\d/.-])(?P<y>(?:19|20)\d\d)(?P<sep>[-/.])(?P<m>\d{1,2})(?P=sep)(?P<d>\d{1,2})(?![\d/-]|\.\d)"
    r"|(?<![\d/.-])(?P<n1>\d{1,2})(?P<nsep>[/.-])(?P<n2>\d{1,2})(?P=nsep)(?P<ny>20\d\d)(?![\d/-]|\.\d)"
    r"|(?<![\d/.-])(?P<s1>\d{1,2})/(?P<s2>\d{1,2})(?![\d/]|\.\d)"
    r"|(?:(?P<zy>(?:19|20)?\d\d)年)?(?<!\d)(?P<zm>1[0-2]|0?[1-9])月(?:份)?(?P<zd>3[01]|[12]\d|0?[1-9])[日号]?(?!\d)"
    r"|(?:(?P<hm>十[一二]?|[一二三四五六七八九])月)(?P<hd>三十一?|二?十[一二三四五六七八九]?|[一二三四五六七八九])[日号]"
    r"|(?<!\d)(?P<od>3[01]|[12]\d|[1-9])(?:号|日)(?![楼店线柜门院馆])"
    r"|(?P<zday>大前|大后|前|昨|今|明|后)(?:天|日)|(?P<zpart>昨|今|明)(?:早|晚)"
    r"|(?P<zshift>上上|上|这|本|下下|下)?个?(?:周|星期|礼拜)(?P<zwd>[一二三四五六日天末]|[1-7](?!\d))"
    r"|(?P<zn>\d{1,3}|[一二两三四五六七八九十]{1,3}|半|几)(?P<zunit>天|日|周|个?星期|个?礼拜|个?月|年)(?:以|之)?(?P<zdir>前|后)"
    r"|(?P<zlast>上|下)个?(?P<zlunit>周|星期|礼拜|月)(?![一二三四五六日天末\d]))"
    r"|\b(?=[a-z\d])(?:"
    rf"(?P<eday>{'|'.join(sorted(_EN_DAYS, key=len, reverse=True))})\b"
    rf"|(?:(?P<erel>last|past|this|next|coming)\s+)?(?P<ewd>{_WEEKDAY})s?\b"
    rf"|(?P<en>{_COUNT})\s+(?P<eunit>day|week|month|year)s?\s+(?P<edir>ago|before|earlier|back|later|from now)\b"
    rf"|in\s+(?P<fn>{_COUNT})\s+(?P<funit>day|week|month|year)s?\b"
    r"|(?P<erel2>last|next)\s+(?P<eunit2>week|month)\b"
    rf"|(?P<mname>{_MONTH})\s+(?P<mday>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?(?:,?\s+(?P<myear>20\d\d))?(?![\d:])\b)"
    rf"|(?<!\d)(?P<dday>3[01]|[12]\d|0?[1-9])(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<dname>{_MONTH})(?:,?\s+(?P<dyear>20\d\d))?\b"
)
# A weekday written alone is a person's month name too rarely to matter; "sun", "sat" and "may" are not dates alone.
_NOT_ALONE = frozenset({"sun", "sat", "mon", "wed"})
_FUTURE_CUE = re.compile(r"(?:\bby|\buntil|\bbefore|\bcall me(?: back)? on|之前|最晚|等到)\s*$")

_BEFORE_THEN = re.compile(r"(?:之|以)?前(?!天)")  # 周五之前: a day by which something shall happen


def resolve_date(text: str, now: datetime, language: Language = "zh") -> date | None:
    """The first date named in `text`, counted from `now` (the customer's local time); None when there is none.

    A weekday alone is the last one that was (today included); 上周五 is in the calendar week before this one;
    "last Friday" the last one before today. A day without a year is the one nearest to `now`. Imprecise spans
    ("last week", 半个月前) become the day that far from `now`. Pure.
    """
    for _, _, day in find_dates(fold(text[:_MAX_CHARS]), now.date(), language):
        return day
    return None


def find_dates(folded: str, today: date, language: Language) -> Iterator[tuple[int, int, date]]:
    """(start, end, day) of each date in a folded text. `language` tells how 11/3 is meant: in Chinese 3 November,
    in English nothing certain, so only 25/12 and 12/25 are taken there."""
    for match in _DATES.finditer(folded):
        try:
            day = _day_of(match, folded, today, language)
        except (ValueError, OverflowError, KeyError):  # 30 February, year 10,000
            continue
        if day is not None:
            yield match.start(), match.end(), day


def _day_of(match: re.Match[str], folded: str, today: date, language: Language) -> date | None:
    found = {name: value for name, value in match.groupdict().items() if value is not None}
    if "y" in found:
        return date(int(found["y"]), int(found["m"]), int(found["d"]))
    if "ny" in found:
        return _day_first(int(found["n1"]), int(found["n2"]), int(found["ny"]))
    if "s1" in found:
        return _slashed(int(found["s1"]), int(found["s2"]), today, language)
    if "zm" in found:
        return _in_year(found.get("zy"), int(found["zm"]), int(found["zd"]), today)
    if "hm" in found:
        return _in_year(None, zh_number(found["hm"]) or 0, zh_number(found["hd"]) or 0, today)
    if "od" in found:
        return _nearest_month(int(found["od"]), today)
    if "zday" in found or "zpart" in found:
        return today + timedelta(days=_ZH_DAYS[found.get("zday") or found["zpart"]])
    if "zwd" in found:
        return _zh_weekday(found, match, folded, today)
    if "zdir" in found:
        count = {"半": 0, "几": 3}.get(found["zn"]) if not found["zn"].isdigit() else int(found["zn"])
        if found["zn"] == "半":
            return _half(found["zunit"], -1 if found["zdir"] == "前" else 1, today)
        if count is None:
            count = zh_number(found["zn"]) or 0
        return _shifted(today, -count if found["zdir"] == "前" else count, found["zunit"])
    if "zlast" in found:
        return _shifted(today, -1 if found["zlast"] == "上" else 1, found["zlunit"])
    return _english_day(found, match, folded, today)


def _english_day(found: dict[str, str], match: re.Match[str], folded: str, today: date) -> date | None:
    if "eday" in found:
        return today + timedelta(days=_EN_DAYS[found["eday"]])
    if "ewd" in found:
        return _en_weekday(found, match, folded, today)
    if "edir" in found:
        count = _en_count(found["en"])
        return _shifted(today, count if found["edir"] in ("later", "from now") else -count, found["eunit"])
    if "fn" in found:
        return _shifted(today, _en_count(found["fn"]), found["funit"])
    if "eunit2" in found:
        return _shifted(today, -1 if found["erel2"] == "last" else 1, found["eunit2"])
    name, day, year = (
        (found["mname"], found["mday"], found.get("myear"))
        if "mname" in found
        else (found["dname"], found["dday"], found.get("dyear"))
    )
    return _in_year(year, _MONTHS[name[:3]], int(day), today)


def _en_count(written: str) -> int:
    return int(written) if written.isdigit() else _EN_NUMBERS[written]


def _zh_weekday(found: dict[str, str], match: re.Match[str], folded: str, today: date) -> date:
    weekday = _ZH_WEEKDAYS[found["zwd"]]
    monday = today - timedelta(days=today.weekday())
    if "zshift" in found:
        return monday + timedelta(days=weekday, weeks=_ZH_WEEK_SHIFT[found["zshift"]])
    return _alone(weekday, match, folded, today)


def _en_weekday(found: dict[str, str], match: re.Match[str], folded: str, today: date) -> date | None:
    weekday = _WEEKDAYS[found["ewd"][:3]]
    relation = found.get("erel")
    if relation in ("last", "past"):
        return today - timedelta(days=(today.weekday() - weekday - 1) % 7 + 1)
    if relation in ("next", "coming"):
        return today + timedelta(days=(weekday - today.weekday() - 1) % 7 + 1)
    if relation == "this":
        return today + timedelta(days=weekday - today.weekday())
    if found["ewd"] in _NOT_ALONE:
        return None
    return _alone(weekday, match, folded, today)


def _alone(weekday: int, match: re.Match[str], folded: str, today: date) -> date:
    is_ahead = _FUTURE_CUE.search(folded, max(0, match.start() - 20), match.start())
    if is_ahead or _BEFORE_THEN.match(folded, match.end()):
        return today + timedelta(days=(weekday - today.weekday()) % 7)
    return today - timedelta(days=(today.weekday() - weekday) % 7)


def _in_year(year: str | None, month: int, day: int, today: date) -> date:
    if year is not None:
        return date(int(year) + (2000 if len(year) == 2 else 0), month, day)
    # 29 February of a year without a year number: the nearest year that has one
    candidates = [date(y, month, day) for y in range(today.year - 4, today.year + 5) if _exists(y, month, day)]
    if not candidates:
        raise ValueError("no such day")
    return min(candidates, key=lambda candidate: (abs((candidate - today).days), candidate))


def _exists(year: int, month: int, day: int) -> bool:
    return 1 <= month <= 12 and 1 <= day <= calendar.monthrange(year, month)[1] and 1 <= year <= 9999


def _nearest_month(day: int, today: date) -> date:
    first = today.replace(day=1)
    around = [_shifted(first, shift, "month") for shift in (-1, 0, 1)]
    candidates = [month.replace(day=day) for month in around if _exists(month.year, month.month, day)]
    return min(candidates, key=lambda candidate: (abs((candidate - today).days), candidate))


def _slashed(first: int, second: int, today: date, language: Language) -> date | None:
    if (first, second) == (24, 7):
        return None
    if language == "zh" or (first <= 12 < second):
        return _in_year(None, first, second, today)
    return _in_year(None, second, first, today) if second <= 12 < first else None


def _day_first(first: int, second: int, year: int) -> date | None:
    """25/12/2026 and 12/25/2026 are one day; 3/11/2026 may be two, and is none here."""
    if first <= 12 < second:
        return date(year, first, second)
    return date(year, second, first) if first > 12 or first == second else None


def _half(unit: str, sign: int, today: date) -> date:
    days = 182 if unit == "年" else 15 if unit.endswith("月") else 0
    return today + timedelta(days=sign * days)


def _shifted(today: date, count: int, unit: str) -> date:
    """`today` moved by `count` units; a day the target month lacks becomes its last."""
    if unit in ("天", "日", "day"):
        return today + timedelta(days=count)
    if unit in ("周", "week") or unit.endswith(("星期", "礼拜")):
        return today + timedelta(weeks=count)
    months = count * 12 if unit in ("年", "year") else count
    year, month = divmod(today.year * 12 + today.month - 1 + months, 12)
    return date(year, month + 1, min(today.day, calendar.monthrange(year, month + 1)[1]))
