"""Reading the part of a broadcast's document that says when. All raise AssistantInvalid, naming the place."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any, Final

from bot.located import invalid, only_keys, rows, table, text
from bot.reach.plan import check_plan, clock_time, next_run
from bot.reach.reading import line, name_of
from bot.reach.types import NOTHING, Content, Plan, Step, Trigger

MAX_STEPS: Final = 20
MOST_EACH: Final = timedelta(days=366)  # longest wait between two steps, or after an event
EVENTS: Final = ("visit", "order", "birthday", "care", "due", "joined")
ANSWERS: Final = ("replied", "clicked", "bought", "else")
_LENGTH: Final = re.compile(r"(\d{1,5})\s*(m|h|d)")
_UNITS: Final = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1)}


def read_plan(root: dict[str, Any], content: Content, zone: tzinfo, quiet: tuple[str, str]) -> Plan:
    """The plan of a broadcast, its steps checked; `quiet` are the hours where it names none."""
    body = table(root.get("plan", {}), "plan", root, "plan")
    only_keys(body, ("at", "in_each_zone", "every", "on", "until", "quiet", "steps"), "plan")
    in_each_zone = body.get("in_each_zone", False)
    if not isinstance(in_each_zone, bool):
        raise invalid("in_each_zone is true or false", body, "in_each_zone")
    if len([key for key in ("at", "every", "on") if body.get(key)]) > 1:
        raise invalid("a plan has one of: at, every, on", root, "plan")
    if in_each_zone and not (body.get("at") or body.get("every")):
        raise invalid("in_each_zone needs a time: at or every", body, "in_each_zone")
    plan = Plan(
        at=_moment(body, "at", None if in_each_zone else zone),
        in_each_zone=in_each_zone,
        every=_every(body, zone),
        on=_trigger(body),
        until=_moment(body, "until", zone),
        quiet=_quiet(body, quiet),
        steps=_steps(body, content),
    )
    check_plan(plan, body)
    return plan


def _moment(body: dict[str, Any], key: str, zone: tzinfo | None) -> datetime | None:
    """Aware and in UTC, or the wall time itself where `zone` is None."""
    value = body.get(key)
    if value is None:
        return None
    try:
        found = datetime.fromisoformat(text(value, key, body, key).strip())
    except ValueError:
        raise invalid(f"{key} must be a day and a time, like 2026-12-01 10:00", body, key) from None
    if zone is None:
        if found.tzinfo is not None:
            raise invalid(f"{key} is a wall time in each customer's zone: leave the zone out", body, key)
        return found
    return (found if found.tzinfo is not None else found.replace(tzinfo=zone)).astimezone(UTC)


def _every(body: dict[str, Any], zone: tzinfo) -> Mapping[str, Any]:
    if not body.get("every"):
        return NOTHING
    rule = table(body["every"], "every", body, "every")
    only_keys(rule, ("unit", "at", "weekdays", "day", "from"), "every")
    if rule.get("unit") not in ("day", "week", "month"):
        raise invalid("every has a unit: day, week or month", rule, "unit")
    clock_time(rule.get("at"), rule, "at")
    weekdays = rows(rule.get("weekdays", []), "weekdays", rule, "weekdays")
    if (rule["unit"] == "week") != bool(weekdays) or any(
        isinstance(day, bool) or not isinstance(day, int) or not 1 <= day <= 7 for day in weekdays
    ):
        raise invalid("weekdays are given for a week, and only then: 1 for Monday to 7 for Sunday", rule, "weekdays")
    day = rule.get("day")
    if (rule["unit"] == "month") != (day is not None) or (
        day is not None and (isinstance(day, bool) or not isinstance(day, int) or not 1 <= day <= 31)
    ):
        raise invalid("day is given for a month, and only then: 1 to 31, the last one of a shorter month", rule, "day")
    first = _moment(rule, "from", zone)
    found: dict[str, Any] = {key: rule[key] for key in ("unit", "at", "day") if key in rule}
    if weekdays:
        found["weekdays"] = sorted(set(weekdays))
    if first:
        found["from"] = first.isoformat()
    next_run(found, datetime(2026, 1, 1, tzinfo=UTC), zone)
    return found


def _trigger(body: dict[str, Any]) -> Trigger | None:
    if not body.get("on"):
        return None
    rule = table(body["on"], "on", body, "on")
    only_keys(rule, ("event", "after", "name"), "on")
    if rule.get("event") not in EVENTS:
        raise invalid(f"event must be one of: {', '.join(EVENTS)}", rule, "event")
    return Trigger(rule["event"], _length(rule, "after"), line(rule, "name"))


def _length(body: dict[str, Any], key: str) -> timedelta:
    value = body.get(key, "0m")
    match = _LENGTH.fullmatch(value) if isinstance(value, str) else None
    length = int(match[1]) * _UNITS[match[2]] if match else None
    if length is None or length > MOST_EACH:
        raise invalid(f"{key} is a time like 45m, 3h or 2d, at most 366d", body, key)
    return length


def _quiet(body: dict[str, Any], usual: tuple[str, str]) -> tuple[str, str]:
    if "quiet" not in body:
        return usual
    pair = rows(body["quiet"], "quiet", body, "quiet")
    if len(pair) != 2:
        raise invalid('quiet is a pair of times, like ["21:00", "09:00"]; two equal ones mean none', body, "quiet")
    return clock_time(pair[0], body, "quiet"), clock_time(pair[1], body, "quiet")


def _steps(body: dict[str, Any], content: Content) -> tuple[Step, ...]:
    listed = rows(body.get("steps", []), "steps", body, "steps")
    if len(listed) > MAX_STEPS:
        raise invalid(f"a journey has at most {MAX_STEPS} steps", body, "steps")
    variants = {variant.name for variant in content.variants}
    found = []
    for index, item in enumerate(listed):
        rule = table(item, "a step", listed, index)
        only_keys(rule, ("name", "variant", "after", "when"), "a step")
        when = table(rule.get("when", {}), "when", rule, "when")
        if set(when) - set(ANSWERS):
            raise invalid(f"when asks for: {', '.join(ANSWERS)}", rule, "when")
        step = Step(name_of(rule, "name", "a step"), text(rule.get("variant"), "variant", rule, "variant"),
                    _length(rule, "after"), {key: text(to, key, when, key) for key, to in when.items()})  # fmt: skip
        if step.variant not in variants:
            raise invalid(f"the step says a variant {step.variant!r} that is not there", rule, "variant")
        found.append(step)
    return tuple(found)
