"""How broadcasts may be sent: what people agree to, topics they can switch off, how often, when, who approves."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from types import MappingProxyType
from typing import Any, Final

from bot.located import invalid, only_keys, rows, table, text
from bot.reach.plan import is_time_of_day

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_NO_TITLES: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Purpose:
    """What somebody agrees to be sent. `is_promotion`: nobody gets it who has an open complaint or a live chat."""

    name: str
    titles: Mapping[str, str] = field(default_factory=lambda: _NO_TITLES)
    needs_confirming: bool = False  # double opt-in: it holds once the customer has confirmed it in the chat
    is_promotion: bool = True

    def title(self, language: str) -> str:
        return self.titles.get(language) or next(iter(self.titles.values()), self.name)


_NEWS: Final = Purpose("news", {"zh": "新品与优惠", "en": "news and offers"})


@dataclass(frozen=True)
class BroadcastRules:
    """The section `broadcasts` of service.yml."""

    purposes: Mapping[str, Purpose] = field(default_factory=lambda: {"news": _NEWS})
    topics: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # name -> language -> title
    cap: tuple[int, int] | None = (2, 7)  # at most so many broadcasts to one person in so many days; None: no cap
    approval_from: int = 500  # people: from there on a second person approves
    quiet: tuple[str, str] = ("21:00", "09:00")  # nothing leaves then, where the customer is; equal: never quiet
    confirm_within: timedelta = timedelta(days=7)

    def purpose(self, name: str) -> Purpose:
        """One that is not listed needs no confirming and is promotion."""
        return self.purposes.get(name) or Purpose(name)

    def topic(self, name: str, language: str) -> str:
        """Its title."""
        titles = self.topics.get(name, _NO_TITLES)
        return titles.get(language) or next(iter(titles.values()), name)


def read_broadcasts(section: dict[str, Any]) -> BroadcastRules:
    """The rules of the section `broadcasts`. Raises: AssistantInvalid.

    ```yaml
    broadcasts:
      purposes:
        news: {title: {zh: 新品与优惠, en: news and offers}}
        club: {title: {zh: 车友会, en: the club}, double_opt_in: true}
        notice: {title: {zh: 服务通知, en: service notices}, promotion: false}
      topics: {tyres: {zh: 轮胎, en: tyres}, events: {zh: 活动, en: events}}   # what people can switch off
      cap: {messages: 2, days: 7}          # to one person, over all broadcasts; null: no cap
      approval_from: 500                   # people: a second person approves broadcasts of this size
      quiet: ["21:00", "09:00"]            # unless a broadcast or a customer says otherwise
      confirm_within_days: 7               # double opt-in; an answer after that changes nothing
    ```
    """
    known = ("purposes", "topics", "cap", "approval_from", "quiet", "confirm_within_days")
    only_keys(section, known, "broadcasts")
    defaults = BroadcastRules()
    purposes = table(section.get("purposes", {}), "purposes", section, "purposes")
    topics = table(section.get("topics", {}), "topics", section, "topics")
    return BroadcastRules(
        purposes={name: _purpose(name, purposes) for name in purposes} or defaults.purposes,
        topics={_name(name, topics): _titles(topics, name) for name in topics},
        cap=_cap(section) if "cap" in section else defaults.cap,
        approval_from=_whole(section, "approval_from", defaults.approval_from, least=1, most=10_000_000),
        quiet=_quiet(section) if "quiet" in section else defaults.quiet,
        confirm_within=timedelta(days=_whole(section, "confirm_within_days", 7, least=1, most=90)),
    )


def _purpose(name: str, purposes: dict[str, Any]) -> Purpose:
    body = table(purposes[_name(name, purposes)], f"purpose {name}", purposes, name)
    only_keys(body, ("title", "double_opt_in", "promotion"), f"purpose {name}")
    flags = {key: body.get(key, default) for key, default in (("double_opt_in", False), ("promotion", True))}
    for key, flag in flags.items():
        if not isinstance(flag, bool):
            raise invalid(f"{key} must be true or false", body, key)
    return Purpose(name, _titles(body, "title") if "title" in body else {}, flags["double_opt_in"], flags["promotion"])


def _name(name: str, place: dict[str, Any]) -> str:
    if not _NAME.fullmatch(name):
        raise invalid(f"{name!r} is no name: small letters, digits and _, beginning with a letter", place, name)
    return name


def _titles(place: dict[str, Any], key: str) -> Mapping[str, str]:
    titles = table(place[key], key, place, key)
    only_keys(titles, ("zh", "en"), key)
    return {language: text(titles[language], key, titles, language) for language in titles}


def _cap(section: dict[str, Any]) -> tuple[int, int] | None:
    if section["cap"] is None:
        return None
    cap = table(section["cap"], "cap", section, "cap")
    only_keys(cap, ("messages", "days"), "cap")
    return _whole(cap, "messages", 2, least=1, most=100), _whole(cap, "days", 7, least=1, most=365)


def _quiet(section: dict[str, Any]) -> tuple[str, str]:
    hours = rows(section["quiet"], "quiet", section, "quiet")
    if len(hours) != 2 or not all(isinstance(hour, str) and is_time_of_day(hour) for hour in hours):
        raise invalid('quiet is two times of day, such as ["21:00", "09:00"]', section, "quiet")
    return hours[0], hours[1]


def _whole(place: dict[str, Any], key: str, default: int, *, least: int, most: int) -> int:
    value = place.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise invalid(f"{key} must be a whole number from {least} to {most}", place, key)
    return value
