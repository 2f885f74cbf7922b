"""Appointments: which services can be booked where, in slots of what length, and when the reminder goes."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from bot.located import invalid, only_keys, rows, table, text
from bot.service.calendars import Calendar
from bot.service_types import FreeSlot

_MOST = {"minutes": 24 * 60, "every_minutes": 24 * 60, "places": 100, "lead_hours": 24 * 90, "days_ahead": 365}


@dataclass(frozen=True, slots=True)
class BookableService:
    """A service customers book themselves. `places`: how many at the same time at one site."""

    name: str
    titles: Mapping[str, str] = field(default_factory=dict)
    kinds: frozenset[str] = frozenset()  # of sites; none: every kind
    skills: frozenset[str] = frozenset()  # a site needs for it
    minutes: int = 60  # how long it takes
    every_minutes: int = 60  # from one beginning to the next
    places: int = 1
    lead_hours: float = 2.0  # not before so long from now
    days_ahead: int = 30  # nor after so many days
    remind_hours: float = 24.0  # before it begins; 0: no reminder

    def title(self, language: str) -> str:
        return self.titles.get(language) or next(iter(self.titles.values()), self.name)

    def is_for(self, kind: str) -> bool:
        """Whether sites of this kind do it, those with the skills."""
        return not self.kinds or kind in self.kinds

    def remind_at(self, starts_at: datetime, now: datetime) -> datetime | None:
        """When the customer is reminded; None when there is no time left in which a reminder would be of use."""
        at = starts_at - timedelta(hours=self.remind_hours)
        return at if self.remind_hours > 0 and at > now + timedelta(minutes=30) else None


@dataclass(frozen=True)
class AppointmentRules:
    """The section `appointments` of service.yml."""

    services: Mapping[str, BookableService] = field(default_factory=dict)
    offered: int = 6  # times named at once


def free_slots(
    service: BookableService, site: str, calendar: Calendar, taken: Iterable[datetime], now: datetime
) -> Iterator[FreeSlot]:
    """The times that can still be booked, in order: in working time of the site's calendar, never in the past.

    Each lies wholly within one span of opening hours, counted in time that really passes, so that a skipped or repeated
    hour holds no slot twice and none that does not exist. `taken`: starts of booked places, one entry per
    place; each takes a place of every slot it overlaps.
    """
    booked = sorted(taken)
    length, step = timedelta(minutes=service.minutes), timedelta(minutes=service.every_minutes)
    earliest = now + timedelta(hours=service.lead_hours)
    first = now.astimezone(ZoneInfo(calendar.timezone)).date()
    for offset in range(service.days_ahead + 1):
        for opens, closes in calendar.intervals(first + timedelta(days=offset)):
            starts_at = opens
            while starts_at + length <= closes:
                overlapping = bisect_left(booked, starts_at + length) - bisect_right(booked, starts_at - length)
                left = service.places - overlapping
                if left > 0 and starts_at >= earliest:
                    yield FreeSlot(site, service.name, starts_at, starts_at + length, left)
                starts_at += step


def spread(slots: Iterable[FreeSlot], calendar: Calendar, most: int) -> list[FreeSlot]:
    """At most `most` of the slots, in order, over several days: what somebody without a wish is offered.

    The next ones of the first day that has any, at most half of all, then the first ones of the days after it.
    """
    chosen: list[FreeSlot] = []
    per_day: Counter[date] = Counter()
    zone = ZoneInfo(calendar.timezone)
    for slot in slots:
        day = slot.starts_at.astimezone(zone).date()
        if per_day[day] < max(1, most // 2 if not per_day or day == next(iter(per_day)) else most // 3):
            per_day[day] += 1
            chosen.append(slot)
        if len(chosen) == most:
            break
    return chosen


# --- reading ------------------------------------------------------------------------------------------------------


def read_appointments(section: dict[str, Any]) -> AppointmentRules:
    """The rules of the section `appointments`. Raises: AssistantInvalid.

    ```yaml
    appointments:
      offered: 6                      # times named at once
      services:
        inspection:
          title: {zh: 车辆检查, en: Inspection}
          kinds: [workshop]           # of sites; left out: every kind
          skills: [diagnosis]
          minutes: 60
          every_minutes: 30           # from one beginning to the next; left out: as long as it takes
          places: 2                   # at the same time
          lead_hours: 4
          days_ahead: 30
          remind_hours: 24            # 0: no reminder
    ```
    """
    only_keys(section, ("services", "offered"), "appointments")
    services = table(section.get("services", {}), "services", section, "services")
    return AppointmentRules(
        {name: _service(name, table(services[name], f"service {name}", services, name)) for name in services},
        int(_number(section, "offered", 6, least=1, most=20)),
    )


def _service(name: str, body: dict[str, Any]) -> BookableService:
    known = ("title", "kinds", "skills", "remind_hours", *_MOST)
    only_keys(body, known, f"service {name}")
    titles = table(body.get("title", {}), "title", body, "title")
    minutes = int(_number(body, "minutes", 60, least=5, most=_MOST["minutes"]))
    return BookableService(
        name,
        {language: text(titles[language], "title", titles, language) for language in titles},
        _names(body, "kinds"),
        _names(body, "skills"),
        minutes,
        int(_number(body, "every_minutes", minutes, least=5, most=_MOST["every_minutes"])),
        int(_number(body, "places", 1, least=1, most=_MOST["places"])),
        _number(body, "lead_hours", 2.0, least=0, most=_MOST["lead_hours"]),
        int(_number(body, "days_ahead", 30, least=1, most=_MOST["days_ahead"])),
        _number(body, "remind_hours", 24.0, least=0, most=24 * 30),
    )


def _names(body: dict[str, Any], key: str) -> frozenset[str]:
    return frozenset(text(item, f"an entry of {key}", body, key) for item in rows(body.get(key, []), key, body, key))


def _number(body: dict[str, Any], key: str, default: float, *, least: float, most: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise invalid(f"{key} must be a number from {least:g} to {most:g}", body, key)
    return float(value)
