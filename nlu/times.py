"""Times of day and moments: 下午三点, 晚上8点半, 十点一刻, 15:30, 3pm, half past three, noon, in 20 minutes.

In: a folded text, the days found in it (nlu/embedded/dates.py) and the customer's local time. Out: spans with a moment
in the customer's zone, ISO 8601 to the minute ("2026-11-21T15:00+08:00"). A time beside a day is on that day
(昨天下午三点, 3pm last Friday), any other on the day of the message. Hours 1 to 6 said without morning or
afternoon are in the afternoon, when businesses are open; 7 to 12 are as they stand. Pure.
"""

from __future__ import annotations

import bisect
import itertools
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from nlu.numerals import EN_NUMBER, en_number, zh_decimal

_ZH_HOUR = r"二十[一二三四]?|十[一二三四五六七八九]?|[零一二两三四五六七八九]"
_ZH_MINUTE = r"[二三四五]?十[一二三四五六七八九]?|零?[一二三四五六七八九]"
_EN_HOUR = "one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve"
_ZH_PART = r"凌晨|清晨|清早|早上|早晨|上午|中午|正午|下午|午后|傍晚|晚上|晚间|夜里|夜间|半夜|深夜|(?<![昨今明])[早晚]"
_EN_PART = r"morning|afternoon|evening|night"
# "3点建议" are three suggestions, 一点 is "a little", 3.5点 a score.
_NOT_HOUR = r"(?!建议|意见|原因|要求|问题|疑问|理由|内容|积分|多?的?区别|不|儿|点)"
_AP = r"(?:\s?(?P<{}>[ap])\.?m\b\.?)"
_IN_PART = rf"(?:\s(?:in the|at)\s(?P<{{}}>{_EN_PART})\b)"
_HOURS = rf"1[0-2]|[1-9]|{_EN_HOUR}"
_COUNT = rf"\d{{1,3}}|{EN_NUMBER}|half an|an?"
_TIME = re.compile(
    # 下午三点半
    rf"(?P<zpart>{_ZH_PART})?的?(?<![第\d.:零一二两三四五六七八九十百])(?P<zh>\d{{1,2}}|{_ZH_HOUR})(?P<hour>点钟|点整|点|时)"
    rf"(?P<zmin>半|[一二三两]刻钟?|(?:\d{{1,2}}|{_ZH_MINUTE})分?(?![个件号天元块钱\d十]))?{_NOT_HOUR}"
    # 15:30, 早上8:05, 3:30 pm
    rf"|(?:(?P<cpart>{_ZH_PART})\s?)?(?:(?<![\d:.,/-])|(?<=:\d\d-))(?P<ch>[01]?\d|2[0-4]):(?P<cm>[0-5]\d)"
    rf"(?::[0-5]\d)?(?![\d:]){_AP.format('cap')}?"
    # 3pm, 10.30 a.m.
    rf"|(?<![\d:.,/a-z-])(?P<ah>1[0-2]|0?[1-9])(?:[.](?P<am>[0-5]\d))?{_AP.format('aap')}"
    # three o'clock in the afternoon
    rf"|\b(?P<oh>{_HOURS})\s?o'?clock{_IN_PART.format('opart')}?"
    # half past two, a quarter to five
    rf"|\b(?P<past>half|a quarter|quarter|ten|twenty|five)\s(?P<pdir>past|to)\s(?P<ph>{_HOURS})\b"
    rf"(?:{_IN_PART.format('ppart')}|{_AP.format('pap')})?"
    # nine in the morning
    rf"|\b(?P<inpart>{_HOURS}){_IN_PART.format('ipart')}"
    # (tomorrow) at 3
    rf"|(?:(?<!this )(?<!last )\b(?P<bpart>{_EN_PART})\s)?\bat\s(?P<bh>{_HOURS})\b"
    rf"(?!\s?[\d:/%$-]|\s?[ap]\.?m\b|\.\d|\s(?:the|yuan|dollars|o|{_EN_PART}))"
    r"|\b(?P<word>noon|midday|midnight)\b|(?P<zword>正午|午夜)(?!\d|十)"
    # 两小时前, an hour ago, in 20 minutes
    r"|(?P<rn>\d{1,3}|[零一二两三四五六七八九十]{1,3}|半)(?:个半|个)?(?P<runit>小时|钟头|分钟|刻钟)"
    r"(?:之|以)?(?P<rdir>前|后)"
    rf"|\b(?P<en>{_COUNT})\s(?P<eunit>hour|hr|minute|min)s?\s(?P<edir>ago|earlier|later|from now)\b"
    rf"|\bin\s(?P<fn>{_COUNT})\s(?P<funit>hour|hr|minute|min)s?\b"
    r"|(?P<now>刚才|刚刚|\bjust now\b|\bright now\b)"
)
_MAY_BE_TIME = re.compile(
    r"[点时刻:]|正午|午夜|钟|刚[才刚]|\d[.\d]{0,3}\s?[ap]\.?m|o'?clock|\b(?:past|to)\s|noon|midday|midnight|hours?|minutes?|\bhrs?|\bmins?"
    r"|\bat\s|in the|now\b"
)
# Between a day and its hour: "on", "at", 的, 大约; nothing that says something else.
_BETWEEN = re.compile(
    rf"[\s,，、(（]{{0,3}}(?:(?:大概|大约|差不多|左右|的|在|约|on|at|around|about|by|from|the|in|{_EN_PART})\s?){{0,4}}"
)
_MAX_BETWEEN = 24
_PART_IN_DAY = re.compile(r"[早晚]$|(?:morning|afternoon|evening|night)$")
_EN_HOURS = {name: hour for hour, name in enumerate(_EN_HOUR.split("|"), start=1)}
_EN_MINUTES = {"half": 30, "a quarter": 15, "quarter": 15, "ten": 10, "twenty": 20, "five": 5}
_MORNING = frozenset({"凌晨", "清晨", "清早", "早上", "早晨", "上午", "早", "morning", "a"})
_AFTERNOON = frozenset({"下午", "午后", "傍晚", "afternoon", "p"})
_EVENING = frozenset({"晚上", "晚间", "夜里", "夜间", "半夜", "深夜", "晚", "evening", "night", "tonight"})
_NOON = frozenset({"中午", "正午"})
_OPENING_HOURS = range(1, 7)  # said bare, these are in the afternoon


def find_times(folded: str, days: Sequence[tuple[int, int, date]], now: datetime) -> Iterator[tuple[int, int, str]]:
    """(start, end, moment) of each time in a folded text. `days` are those found in it, in text order."""
    if not _MAY_BE_TIME.search(folded):
        return
    said = [_Said.of(match, folded, days) for match in _TIME.finditer(folded)]
    # 明天下午两点到三点, between 2pm and 3pm tomorrow: what is said of one end of a span holds for the other.
    for earlier, later in itertools.pairwise(said):
        if _SPAN.fullmatch(folded, earlier.end, later.start):
            later.day, later.part = later.day or earlier.day, later.part or earlier.part
    for later, earlier in itertools.pairwise(reversed(said)):
        if _SPAN.fullmatch(folded, earlier.end, later.start):
            earlier.day, earlier.part = earlier.day or later.day, earlier.part or later.part
    for time_said in said:
        try:
            moment = time_said.moment(now)
        except (ValueError, OverflowError):  # 25 o'clock, the year 10,000
            continue
        if moment is not None:
            yield time_said.start, time_said.end, moment.isoformat(timespec="minutes")


_SPAN = re.compile(r"\s*(?:到|至|或者?|、|-|–|—|~|to|and|or|until)\s*")


@dataclass(slots=True)
class _Said:
    """One time as it is said, with the day and the part of the day that belong to it (None and "" when unsaid)."""

    match: re.Match[str]
    day: date | None
    part: str

    @classmethod
    def of(cls, match: re.Match[str], folded: str, days: Sequence[tuple[int, int, date]]) -> _Said:
        day, part = _day_beside(match, folded, days)
        return cls(match, day, _part_of(match) or part)

    @property
    def start(self) -> int:
        return self.match.start()

    @property
    def end(self) -> int:
        return self.match.end()

    def moment(self, now: datetime) -> datetime | None:
        """When it is; None for words that only look like a time. Raises: ValueError, OverflowError."""
        match = self.match
        if match["now"]:
            return now
        if match["rdir"] or match["edir"] or match["funit"]:
            return _shifted(match, now)
        if self._is_no_time():
            return None
        hour, minute, is_exact = _clock(match)
        hour, is_next_day = _in_24(hour, self.part, is_exact)
        found = datetime.combine(self.day or now.date(), time(hour, minute), now.tzinfo)
        return found + timedelta(days=1) if is_next_day else found

    def _is_no_time(self) -> bool:
        match, is_alone = self.match, self.day is None
        if match["zh"] in ("一", "1") and match["hour"] == "点" and not match["zmin"]:
            # 一点 is "a little" far more often than one o'clock, 早一点 is "earlier"
            return match["zpart"] in ("早", "晚") or (is_alone and not self.part)
        # "at 3" and 4时 are times only beside a day or with a part of it.
        return bool(match["bh"] or match["hour"] == "时") and is_alone and not self.part


def _part_of(match: re.Match[str]) -> str:
    """The part of the day, or a.m. or p.m., that is said with the time itself."""
    parts = ("zpart", "cap", "cpart", "aap", "opart", "ppart", "pap", "ipart", "bpart")
    return next((match[name] for name in parts if match[name]), "")


def _clock(match: re.Match[str]) -> tuple[int, int, bool]:
    """(hour, minute, whether the hour is one of 24 beyond doubt)."""
    if match["zh"]:
        return _hour(match["zh"]), _zh_minute(match["zmin"]), False
    if match["ch"]:
        return int(match["ch"]), int(match["cm"]), len(match["ch"]) == 2
    if match["ah"]:
        return int(match["ah"]), int(match["am"] or 0), False
    if match["past"]:
        hour, minute = _hour(match["ph"]), _EN_MINUTES[match["past"]]
        return (hour, minute, False) if match["pdir"] == "past" else ((hour - 2) % 12 + 1, 60 - minute, False)
    if match["word"] or match["zword"]:
        return (24 if (match["word"] or match["zword"]) in ("midnight", "午夜") else 12), 0, True
    return _hour(match["oh"] or match["inpart"] or match["bh"]), 0, False


def _hour(written: str) -> int:
    if written.isdigit():
        return int(written)
    return _EN_HOURS[written] if written in _EN_HOURS else int(zh_decimal(written) or 0)


def _zh_minute(written: str | None) -> int:
    if not written:
        return 0
    if written == "半":
        return 30
    if "刻" in written:
        return {"一": 15, "二": 30, "两": 30, "三": 45}[written[0]]
    digits = written.removesuffix("分")
    return int(digits) if digits.isdigit() else int(zh_decimal(digits) or 0)


def _in_24(hour: int, part: str, is_exact: bool) -> tuple[int, bool]:
    """(hour of 24, whether it is past midnight and so on the day after)."""
    if hour == 24:
        return 0, True
    if hour > 12 or (is_exact and not part):
        return hour, False
    if part in _MORNING:
        return hour % 12 if hour == 12 and part in ("凌晨", "a") else hour, False
    if part in _AFTERNOON:
        return hour % 12 + 12, False
    if part in _NOON:
        return hour if hour >= 10 else hour + 12, False
    if part in _EVENING:
        if hour == 12:
            return 0, True
        return (hour, True) if hour < 4 else (hour + 12, False)
    return (hour + 12 if hour in _OPENING_HOURS else hour), False


def _day_beside(match: re.Match[str], folded: str, days: Sequence[tuple[int, int, date]]) -> tuple[date | None, str]:
    """The day the time belongs to, and the part of it that the day's own words name (昨晚, this morning)."""
    place = bisect.bisect_right(days, match.start(), key=lambda found: found[1])
    if place:
        start, end, day = days[place - 1]
        if match.start() <= end + _MAX_BETWEEN and _BETWEEN.fullmatch(folded, end, match.start()):
            between = _EN_PART_WORD.search(folded, end, match.start())
            named = _PART_IN_DAY.search(folded, start, end)
            return day, between.group() if between else named.group() if named else ""
    place = bisect.bisect_left(days, match.end(), key=lambda found: found[0])
    if place < len(days):
        start, end, day = days[place]
        if start <= match.end() + _MAX_BETWEEN and _BETWEEN.fullmatch(folded, match.end(), start):
            named = _PART_IN_DAY.search(folded, start, end)
            after = _PART_AFTER_DAY.match(folded, end)
            return day, after.group(1) if after else named.group() if named else ""
    return None, ""


_EN_PART_WORD = re.compile(_EN_PART)
_PART_AFTER_DAY = re.compile(rf"\s({_EN_PART})\b")


def _shifted(match: re.Match[str], now: datetime) -> datetime:
    if match["rdir"]:
        count = Decimal("0.5") if match["rn"] == "半" else _count(match["rn"])
        if "个半" in match.group():
            count += Decimal("0.5")
        minutes = count * {"分钟": 1, "刻钟": 15}.get(match["runit"], 60)
        return _later(now, -minutes if match["rdir"] == "前" else minutes)
    words, unit = (match["en"], match["eunit"]) if match["en"] else (match["fn"], match["funit"])
    count = Decimal("0.5") if words == "half an" else Decimal(1) if words in ("a", "an") else _count(words)
    minutes = count * (1 if unit.startswith("min") else 60)
    return _later(now, -minutes if match["edir"] in ("ago", "earlier") else minutes)


def _count(written: str) -> Decimal:
    if written.isdigit():
        return Decimal(written)
    value = en_number(written) if written.isascii() else zh_decimal(written)
    return Decimal(value or 0)


def _later(now: datetime, minutes: Decimal) -> datetime:
    """That many minutes from now; counted in UTC, so that an hour is one also in the night the clocks change."""
    return (now.astimezone(UTC) + timedelta(minutes=float(minutes))).astimezone(now.tzinfo)
