"""Opening hours and promises as forms fill them in: the sections of service.yml as text of fields, and back.

Everything stays text, so that what somebody typed is shown again when it makes no sense; what it means, and what is
wrong with it, is the policy's own reading (bot/service/policy.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Final

from bot.errors import InputError
from bot.service.calendars import ALWAYS, DAYS, Calendar, Span
from bot.service.policy import read_policy
from bot.service.promises import KINDS, SEVERITIES

Hours = tuple[str, str]  # opens, closes, as 09:00
BY_SEVERITY: Final = KINDS[:3]
RUNGS: Final = ("owner", "lead", "manager")


@dataclass(frozen=True, slots=True)
class CalendarForm:
    """One calendar. `week`: spans from Monday on; `holidays`: first and last day; `working`: a day with its spans."""

    name: str
    timezone: str
    week: tuple[tuple[Hours, ...], ...]
    holidays: tuple[tuple[str, str], ...]
    working: tuple[tuple[str, tuple[Hours, ...]], ...]


@dataclass(frozen=True, slots=True)
class PromiseForm:
    """What is promised. `hours`: kind -> one text for each severity; `ladder`: to whom, and after how many hours."""

    hours: Mapping[str, tuple[str, ...]]
    callback_h: str
    followup_h: str
    warn_percent: str
    ladder: tuple[tuple[str, str], ...]
    around_the_clock: tuple[str, ...]
    calendar: str


def calendar_forms(document: Any) -> list[CalendarForm]:
    """The calendars in force under this document, the usual one first. Raises: AssistantInvalid."""
    found = read_policy(document).calendars.by_name
    return [_calendar_form(calendar) for name, calendar in found.items() if name != ALWAYS]


def with_calendar(document: Any, form: CalendarForm) -> dict[str, Any]:
    """The document with this calendar as the form says, all else as it was. Raises: AssistantInvalid, InputError."""
    if not form.name.strip() or form.name == ALWAYS:
        raise InputError("a calendar needs a name of its own")
    body = {
        "timezone": form.timezone,
        "week": {day: _spans(spans) for day, spans in zip(DAYS, form.week, strict=True) if _spans(spans)},
        "holidays": [_holiday(first, last) for first, last in form.holidays if first or last],
        "working_days": [{"day": day, "hours": _spans(spans)} for day, spans in form.working if day or _spans(spans)],
    }
    return _checked({**document, "calendars": {**document.get("calendars", {}), form.name: body}})


def without_calendar(document: Any, name: str) -> dict[str, Any]:
    """The document without this calendar: what counted in it counts in the usual one. Raises: AssistantInvalid."""
    kept = {key: value for key, value in document.get("calendars", {}).items() if key != name}
    return _checked({**document, "calendars": kept})


def promise_form(document: Any) -> PromiseForm:
    """The promises in force under this document. Raises: AssistantInvalid."""
    rules = read_policy(document).promises
    return PromiseForm(
        hours={
            kind: tuple(_number(rules.hours.get(kind, {}).get(severity, 0)) for severity in SEVERITIES)
            for kind in BY_SEVERITY
        },
        callback_h=_number(rules.callback_h),
        followup_h=_number(rules.followup_h),
        warn_percent=_number(rules.warn_share * 100),
        ladder=tuple((rung.to, _number(rung.after_h)) for rung in rules.ladder),
        around_the_clock=tuple(str(severity) for severity in sorted(rules.around_the_clock)),
        calendar=rules.calendar,
    )


def with_promises(document: Any, form: PromiseForm) -> dict[str, Any]:
    """The document with the promises as the form says, all else as it was. Raises: AssistantInvalid, InputError."""
    section = {
        **{
            kind: {
                str(severity): _read(text) for severity, text in zip(SEVERITIES, form.hours.get(kind, ()), strict=True)
            }
            for kind in BY_SEVERITY
        },
        "callback_h": _read(form.callback_h),
        "followup_h": _read(form.followup_h),
        "warn_share": _read(form.warn_percent) / 100,
        "ladder": [{"to": to, "after_h": _read(after)} for to, after in form.ladder if to],
        "around_the_clock": [int(severity) for severity in form.around_the_clock if severity.isdecimal()],
        "calendar": form.calendar,
    }
    return _checked({**document, "promises": section})


def _checked(document: dict[str, Any]) -> dict[str, Any]:
    read_policy(document)
    return document


def _calendar_form(calendar: Calendar) -> CalendarForm:
    closed = sorted(day for day, spans in calendar.exceptions.items() if not spans)
    worked = sorted((day, spans) for day, spans in calendar.exceptions.items() if spans)
    return CalendarForm(
        name=calendar.name,
        timezone=calendar.timezone,
        week=tuple(_shown(calendar.week.get(day, ())) for day in range(len(DAYS))),
        holidays=tuple((first.isoformat(), last.isoformat()) for first, last in _in_a_row(closed)),
        working=tuple((day.isoformat(), _shown(spans)) for day, spans in worked),
    )


def _shown(spans: Iterable[Span]) -> tuple[Hours, ...]:
    return tuple((f"{opens:%H:%M}", f"{closes:%H:%M}") for opens, closes in spans)


def _in_a_row(days: Sequence[date]) -> list[tuple[date, date]]:
    """Days that follow each other as one span of at most a year, as the policy takes them."""
    found: list[tuple[date, date]] = []
    for day in days:
        if found and day - found[-1][1] == timedelta(days=1) and (day - found[-1][0]).days <= 366:
            found[-1] = found[-1][0], day
        else:
            found.append((day, day))
    return found


def _spans(spans: Iterable[Hours]) -> list[str]:
    return [f"{opens}-{closes}" for opens, closes in spans if opens or closes]


def _holiday(first: str, last: str) -> str | dict[str, str]:
    return first if last in ("", first) else {"from": first or last, "to": last}


def _number(value: float) -> str:
    return f"{value:g}"


def _read(text: str) -> float:
    """Raises: InputError."""
    try:
        value = float(text.strip().replace(",", ".") or 0)
    except ValueError:
        raise InputError(f"{text[:40]!r} is no number") from None
    return int(value) if value.is_integer() else value
