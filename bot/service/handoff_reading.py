"""Reading the section `handoff` of service.yml."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from bot.located import invalid, only_keys, rows, table, text
from bot.service.anger import Anger, read_anger, word_lists
from bot.service.handoff import (
    CONDITIONS,
    POINTS,
    REASONS,
    UNHELPFUL_EN,
    UNHELPFUL_ZH,
    HandoffRules,
    Keyword,
    Overflow,
    TeamRule,
    Vip,
)

_DEFAULT = HandoffRules()
_MINUTES = ("ageing", "lease", "silence", "long_wait")  # fields whose keys end in _min


def read_handoff(section: dict[str, Any]) -> HandoffRules:
    """The rules of the section; what is missing has the defaults. Raises: AssistantInvalid.

    ```yaml
    handoff:
      priorities:                 # points, added up; the higher the sooner
        reasons: {customer_asked: 10, unclear_twice: 10, anger: 25, complaint: 20, flow_failed: 10, keyword: 15}
        urgency: {3: 20, 4: 60}   # severity of what is told
        vip: 20
        mood: 15                  # of somebody as angry and pressed as can be
      ageing_min: 1               # waiting so long weighs as much as one point
      vip: {value_class: [A], credit_class: [A], tags: [vip]}
      teams:                      # the first that fits; one without conditions fits everything
      - {reason: [complaint], urgency_from: 3, team: quality}
      - {topic: [callback_request, account_balance], language: [en], channel: [telegram], team: accounts}
      keywords:
      - {name: cancel, words: {zh: 退卡 注销, en: "cancel my card"}, team: accounts, points: 10}
      anger: {words: {zh: 气死 太差, en: "furious, fed up"}, strong_from: 2}
      unhelpful: {zh: 没用, en: "not helpful"}    # said right after an article
      assignment: manual          # or automatic: conversations are given to whoever has room
      sticky_h: 24                # so long the operator spoken with last comes first, if there
      capacity: 5
      lease_min: 5                # an operator whose console is silent this long loses what they hold to the queue
      silence_min: 60             # after the operator's last words the bot takes over again
      overflow:
      - {after_min: 10, from: [quality], team: stations}
      long_wait_min: 15           # from an expected wait of this on a call-back is offered
    ```
    """
    only_keys(
        section,
        (
            "priorities", "vip", "teams", "keywords", "anger", "unhelpful", "assignment", "sticky_h", "capacity",
            "overflow", *(f"{name}_min" for name in _MINUTES),
        ),
        "handoff",
    )  # fmt: skip
    priorities = table(section.get("priorities", {}), "priorities", section, "priorities")
    only_keys(priorities, ("reasons", "urgency", "vip", "mood"), "priorities")
    assignment = section.get("assignment", _DEFAULT.assignment)
    if assignment not in ("manual", "automatic"):
        raise invalid("assignment must be manual or automatic", section, "assignment")
    lengths = {name: _minutes(section, f"{name}_min", getattr(_DEFAULT, name)) for name in _MINUTES}
    return HandoffRules(
        points={**POINTS, **_points(priorities, "reasons", REASONS)},
        urgency_points={**_DEFAULT.urgency_points, **_urgency(priorities)},
        vip_points=_count(priorities, "vip", _DEFAULT.vip_points, least=0),
        mood_points=_count(priorities, "mood", _DEFAULT.mood_points, least=0),
        vip=_vip(section) if "vip" in section else _DEFAULT.vip,
        teams=tuple(_team(item, section) for item in rows(section.get("teams", []), "teams", section, "teams")),
        keywords=tuple(
            _keyword(item, section) for item in rows(section.get("keywords", []), "keywords", section, "keywords")
        ),
        anger=read_anger(table(section["anger"], "anger", section, "anger")) if "anger" in section else Anger(),
        unhelpful=word_lists(section, "unhelpful", UNHELPFUL_ZH, UNHELPFUL_EN),
        assignment=assignment,
        sticky=timedelta(hours=_number(section, "sticky_h", _DEFAULT.sticky / timedelta(hours=1), least=0)),
        capacity=_count(section, "capacity", _DEFAULT.capacity, least=1),
        overflow=tuple(
            _overflow(item, section) for item in rows(section.get("overflow", []), "overflow", section, "overflow")
        ),
        **lengths,
    )


def _vip(section: dict[str, Any]) -> Vip:
    body = table(section["vip"], "vip", section, "vip")
    only_keys(body, ("value_class", "credit_class", "tags"), "vip")
    return Vip(*(frozenset(_names(body, key)) for key in ("value_class", "credit_class", "tags")))


def _team(item: Any, section: dict[str, Any]) -> TeamRule:
    body = table(item, "a rule of teams", section, "teams")
    only_keys(body, (*CONDITIONS, "urgency_from", "team"), "a rule of teams")
    urgency = body.get("urgency_from", 1)
    if isinstance(urgency, bool) or urgency not in (1, 2, 3, 4):
        raise invalid("urgency_from must be 1, 2, 3 or 4", body, "urgency_from")
    for reason in _names(body, "reason"):
        if reason not in REASONS:
            raise invalid(f"unknown reason {reason!r}; there are: {', '.join(REASONS)}", body, "reason")
    conditions: dict[str, frozenset[str]] = {name: frozenset(_names(body, name)) for name in CONDITIONS if name in body}
    return TeamRule(text(body.get("team"), "team", body, "team"), conditions, urgency)


def _keyword(item: Any, section: dict[str, Any]) -> Keyword:
    body = table(item, "a keyword", section, "keywords")
    only_keys(body, ("name", "words", "team", "points"), "a keyword")
    if not body.get("words"):
        raise invalid("a keyword needs words", body, "words")
    return Keyword(
        text(body.get("name"), "name", body, "name"),
        word_lists(body, "words"),
        text(body["team"], "team", body, "team") if "team" in body else "",
        _count(body, "points", 0, least=0),
    )


def _overflow(item: Any, section: dict[str, Any]) -> Overflow:
    body = table(item, "an overflow", section, "overflow")
    only_keys(body, ("after_min", "from", "team"), "an overflow")
    after = _minutes(body, "after_min", timedelta(minutes=10))
    return Overflow(after, text(body.get("team"), "team", body, "team"), frozenset(_names(body, "from")))


def _points(place: dict[str, Any], key: str, known: tuple[str, ...]) -> Mapping[str, int]:
    body = table(place.get(key, {}), key, place, key)
    only_keys(body, known, key)
    return {name: _count(body, name, 0, least=0) for name in body}


def _urgency(place: dict[str, Any]) -> Mapping[int, int]:
    body = place.get("urgency", {})
    if not isinstance(body, dict) or any(level not in (1, 2, 3, 4) for level in map(_level, body)):
        raise invalid("urgency must be a mapping from 1, 2, 3 or 4 to points", place, "urgency")
    return {_level(key): _count(body, key, 0, least=0) for key in body}


def _level(key: Any) -> int:
    return int(key) if str(key).isdigit() else 0


def _names(place: dict[str, Any], key: str) -> tuple[str, ...]:
    value = place.get(key, [])
    found = [value] if isinstance(value, str) else rows(value, key, place, key)
    return tuple(text(item, f"an entry of {key}", place, key) for item in found)


def _minutes(place: dict[str, Any], key: str, default: timedelta) -> timedelta:
    return timedelta(minutes=_number(place, key, default / timedelta(minutes=1)))


def _number(place: dict[str, Any], key: str, default: float, *, least: float = 0.01) -> float:
    value = place.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < least:
        raise invalid(f"{key} must be a number above {'or at 0' if least == 0 else '0'}", place, key)
    return float(value)


def _count(place: dict[str, Any], key: Any, default: int, *, least: int) -> int:
    value = place.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise invalid(f"{key} must be a whole number from {least} on", place, key)
    return value
