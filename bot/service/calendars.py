"""Working time: which hours count, which days are holidays or made up for, and when a promise runs out.

A calendar is counted in its own zone by wall clock, so that "9 to 18" is nine hours of work on every day, also on the
one when the clocks change; moments in between are compared as UTC, so that a skipped or repeated hour counts as it
really passes.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.located import invalid, only_keys, rows, table, text
from bot.service_types import IN_ZONE, in_zone

DEFAULT = "default"
ALWAYS = "always"  # every hour of every day; there without being named
DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MAX_SEARCH = 3660  # days looked ahead for working time; more closed days in a row are a mistake in the calendar
Span = tuple[time, time]  # from, to; an end of 00:00 is the end of the day
_MIDNIGHT = time(0)


class NoWorkingTime(ValueError):
    """A calendar in which nothing is open for ten years: no promise can be counted in it."""


@dataclass(frozen=True)
class Calendar:
    """Opening hours by weekday (0 = Monday), and days on which something else holds.

    `exceptions`: the spans of that day in place of those of its weekday; none for a holiday. A working day that makes
    up for one (调休) has spans although it falls on a weekend.
    """

    name: str = DEFAULT
    timezone: str = "Asia/Shanghai"
    week: Mapping[int, tuple[Span, ...]] = field(
        default_factory=lambda: dict.fromkeys(range(7), ((time(9), time(21)),))
    )
    exceptions: Mapping[date, tuple[Span, ...]] = field(default_factory=dict)

    def spans(self, day: date) -> tuple[Span, ...]:
        """When people work on this day, in the calendar's zone, in order."""
        return self.exceptions[day] if day in self.exceptions else self.week.get(day.weekday(), ())

    def intervals(self, day: date) -> list[tuple[datetime, datetime]]:
        """The spans of this day as moments in UTC."""
        zone = ZoneInfo(self.timezone)
        found = []
        for opens, closes in self.spans(day):
            last = day + timedelta(days=1) if closes == _MIDNIGHT else day
            start = datetime.combine(day, opens, tzinfo=zone).astimezone(UTC)
            end = datetime.combine(last, closes, tzinfo=zone).astimezone(UTC)
            if start < end:  # a span that lies in a skipped hour holds no time
                found.append((start, end))
        return found

    def is_open(self, moment: datetime) -> bool:
        """Whether this moment is working time."""
        return any(start <= moment < end for start, end in self.intervals(self._day(moment)))

    def next_open(self, moment: datetime) -> datetime:
        """The first working moment from `moment` on, in UTC. Raises: NoWorkingTime."""
        return self.add(moment, timedelta(0))

    def add(self, moment: datetime, working: timedelta) -> datetime:
        """The moment when `working` will have been worked since `moment`, in UTC.

        No time at all gives the next working moment. A promise that ends with the working day is due at its end, not at
        the next opening. Raises: NoWorkingTime; ValueError for a naive moment or a negative length.
        """
        if moment.tzinfo is None or working < timedelta(0):
            raise ValueError("working time is counted from an aware moment, forwards")
        left, day = working, self._day(moment)
        for _ in range(MAX_SEARCH):
            for start, end in self.intervals(day):
                begin = max(start, moment.astimezone(UTC))
                if begin >= end:
                    continue
                if left <= end - begin:
                    return begin + left
                left -= end - begin
            day += timedelta(days=1)
        raise NoWorkingTime(f"calendar {self.name!r} has no working time in {MAX_SEARCH} days")

    def between(self, start: datetime, end: datetime) -> timedelta:
        """Working time from `start` to `end`; nothing when they are the wrong way round."""
        worked, day, last = timedelta(0), self._day(start), self._day(max(start, end))
        while day <= last:
            for opens, closes in self.intervals(day):
                worked += max(timedelta(0), min(closes, end) - max(opens, start))
            day += timedelta(days=1)
        return worked

    def _day(self, moment: datetime) -> date:
        return moment.astimezone(ZoneInfo(self.timezone)).date()


def always() -> Calendar:
    """The calendar in which every hour counts."""
    return Calendar(ALWAYS, "UTC", dict.fromkeys(range(7), ((_MIDNIGHT, _MIDNIGHT),)))


@dataclass(frozen=True)
class Calendars:
    """All calendars of the business, by name; `default` and `always` are always there."""

    by_name: Mapping[str, Calendar] = field(default_factory=lambda: {DEFAULT: Calendar(), ALWAYS: always()})

    def get(self, name: str) -> Calendar:
        """The calendar with this name; the default one for a name nobody knows (any more).

        With a zone behind it (`bot.service_types.in_zone`) it has the same hours and days by the clocks of that zone.
        """
        if name in self.by_name:
            return self.by_name[name]
        base, _, timezone = name.partition(IN_ZONE)
        found = self.by_name.get(base) or self.by_name[DEFAULT]
        if not timezone or timezone == found.timezone:
            return found
        return replace(found, name=in_zone(found.name, timezone), timezone=timezone)


# --- reading ------------------------------------------------------------------------------------------------------


def read_calendars(section: dict[str, Any]) -> Calendars:
    """Calendars by name from the section `calendars`. Raises: AssistantInvalid.

    ```yaml
    calendars:
      default:
        timezone: Asia/Shanghai
        week: {mon-fri: ["09:00-12:00", "13:30-18:00"], sat: ["09:00-12:00"]}
        holidays: [2026-10-01, {from: 2026-02-16, to: 2026-02-22}]
        working_days: [2026-02-14, {day: 2026-02-28, hours: ["09:00-12:00"]}]   # 调休: hours of a Monday unless given
      station: {like: default, week: {mon-sun: ["00:00-24:00"]}, holidays: []}
    ```
    """
    found: dict[str, Calendar] = {DEFAULT: Calendar(), ALWAYS: always()}
    for name, value in section.items():
        body = table(value, f"calendar {name}", section, name)
        only_keys(body, ("like", "timezone", "week", "holidays", "working_days"), f"calendar {name}")
        found[name] = _calendar(name, body, found)
    return Calendars(found)


def _calendar(name: str, body: dict[str, Any], known: Mapping[str, Calendar]) -> Calendar:
    base = known[DEFAULT]
    if "like" in body:
        like = text(body["like"], "like", body, "like")
        if like not in known:
            raise invalid(f"there is no calendar {like!r} above this one", body, "like")
        base = known[like]
    zone = _zone(body, base.timezone)
    week = _week(body) if "week" in body else base.week
    if not any(week.values()) and "working_days" not in body:
        raise invalid(f"calendar {name} is never open", body, "week")
    exceptions = {} if {"holidays", "working_days"} & set(body) else dict(base.exceptions)
    for first, last in _days(body, "holidays"):
        for offset in range((last - first).days + 1):
            exceptions[first + timedelta(days=offset)] = ()
    exceptions.update(_working_days(body, week))
    return Calendar(name, zone, week, exceptions)


def _zone(body: dict[str, Any], default: str) -> str:
    name = text(body.get("timezone", default), "timezone", body, "timezone")
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError) as exc:
        raise invalid(f"there is no time zone {name!r}", body, "timezone") from exc
    return name


def _week(body: dict[str, Any]) -> dict[int, tuple[Span, ...]]:
    section = table(body["week"], "week", body, "week")
    week: dict[int, tuple[Span, ...]] = {}
    for key in section:
        first, _, last = key.partition("-")
        if first not in DAYS or (last or first) not in DAYS or DAYS.index(first) > DAYS.index(last or first):
            raise invalid(f"{key!r} is no day of the week such as mon or mon-fri", section, key)
        spans = _spans(section[key], section, key)
        for day in range(DAYS.index(first), DAYS.index(last or first) + 1):
            week[day] = spans
    return week


def _spans(value: Any, place: Any, key: str) -> tuple[Span, ...]:
    spans = [_span(item, place, key) for item in rows(value, "hours", place, key)]
    for (_, earlier), (later, _) in itertools.pairwise(spans):
        if earlier == _MIDNIGHT or earlier > later:
            raise invalid("hours of a day must follow each other", place, key)
    return tuple(spans)


def _span(value: Any, place: Any, key: str) -> Span:
    try:
        opens, closes = (part.strip() for part in str(value).split("-"))
        span = time.fromisoformat(opens), _MIDNIGHT if closes == "24:00" else time.fromisoformat(closes)
    except ValueError as exc:
        raise invalid(f'{value!r} is no span of hours such as "09:00-18:00"', place, key) from exc
    if span[1] != _MIDNIGHT and span[0] >= span[1]:
        raise invalid(f"{value!r} closes before it opens; a night is two spans, one of each day", place, key)
    return span


def _days(body: dict[str, Any], key: str) -> list[tuple[date, date]]:
    found = []
    for at, item in enumerate(rows(body.get(key, []), key, body, key)):
        first, last = (item.get("from"), item.get("to")) if isinstance(item, dict) else (item, item)
        span = _day(first, body, key), _day(last, body, key)
        if span[0] > span[1] or (span[1] - span[0]).days > 366:
            raise invalid(f"entry {at + 1} of {key} ends before it begins or lasts too long", body, key)
        found.append(span)
    return found


def _day(value: Any, place: Any, key: str) -> date:
    try:
        return date.fromisoformat(str(value))
    except ValueError as exc:
        raise invalid(f"{value!r} is no day such as 2026-10-01", place, key) from exc


def _working_days(body: dict[str, Any], week: Mapping[int, tuple[Span, ...]]) -> dict[date, tuple[Span, ...]]:
    usual = next((week[day] for day in range(7) if week.get(day)), ())
    found: dict[date, tuple[Span, ...]] = {}
    for item in rows(body.get("working_days", []), "working_days", body, "working_days"):
        if isinstance(item, dict):
            only_keys(item, ("day", "hours"), "an entry of working_days")
            found[_day(item.get("day"), body, "working_days")] = _spans(item.get("hours"), item, "hours")
        else:
            found[_day(item, body, "working_days")] = usual
    return found
