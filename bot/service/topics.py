"""Topics customers may subscribe to, payment reminders in the tone of a class, and how outages are recognised."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, time
from typing import Any, Literal

from bot.located import invalid, only_keys, rows, table, text
from bot.service.pay_plans import PlanRules, read_plans
from bot.service.places import Position, distance_m, position
from bot.service_types import Outage

Tone = Literal["gentle", "plain", "firm"]
_TONES: tuple[Tone, ...] = ("gentle", "plain", "firm")
ALL = "*"
_OWN = {"orders": "order", "outages": "outage", "articles": "articles"}  # which topic is which unless the policy says


@dataclass(frozen=True, slots=True)
class Topic:
    """Something customers can be told about. `choices`: what it can be narrowed to (regions, products …), with titles.

    `is_matched`: it makes no sense without saying what about, e.g. the progress of one order.
    """

    name: str
    titles: Mapping[str, str] = field(default_factory=dict)
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    is_matched: bool = False

    def title(self, language: str) -> str:
        return self.titles.get(language) or next(iter(self.titles.values()), self.name)

    def choice(self, match: str, language: str) -> str:
        titles = self.choices.get(match, {})
        return titles.get(language) or next(iter(titles.values()), match)


@dataclass(frozen=True, slots=True)
class Reminding:
    """How a class of customers is reminded: so many days before the due day (0: on it, -3: three days after)."""

    days: tuple[int, ...] = (3,)
    tone: Tone = "plain"

    def step(self, days_left: int) -> int | None:
        """The reminder that is due now: the last one whose day has come; None when none has."""
        come = [day for day in self.days if days_left <= day]
        return min(come) if come else None


@dataclass(frozen=True, slots=True)
class OwnTopics:
    """The topics of news that arises here: orders that move on, outages, new articles. "": nobody is told."""

    orders: str = ""
    outages: str = ""
    articles: str = ""


@dataclass(frozen=True)
class TopicRules:
    """The section `topics` of service.yml."""

    topics: Mapping[str, Topic] = field(default_factory=dict)
    own: OwnTopics = field(default_factory=OwnTopics)
    reminders: Mapping[str, Reminding] = field(
        default_factory=lambda: {
            "A": Reminding((1,), "gentle"),
            "B": Reminding((3,), "gentle"),
            "C": Reminding((5, 1), "plain"),
            "D": Reminding((7, 3, 0), "firm"),
        }
    )
    usual: Reminding = field(default_factory=Reminding)  # of customers without a class
    remind_at: time = time(10)  # in the business's zone, not before
    outage_radius_m: int = 1_000  # of an outage that names none
    plans: PlanRules = field(default_factory=lambda: PlanRules({}))

    def reminding(self, credit_class: str) -> Reminding:
        return self.reminders.get(credit_class, self.usual)

    @property
    def earliest_days(self) -> int:
        return max((max(each.days, default=0) for each in (*self.reminders.values(), self.usual)), default=0)

    @property
    def latest_days(self) -> int:
        return min((min(each.days, default=0) for each in (*self.reminders.values(), self.usual)), default=0)

    def matches(self, topic: str, *about: str) -> tuple[str, ...]:
        """What a subscription is narrowed to that is about one of these: the name itself, and choices so called."""
        named = {name.strip().casefold() for name in about if name.strip()}
        choices = self.topics[topic].choices if topic in self.topics else {}
        called = [
            key for key, titles in choices.items() if named & {name.casefold() for name in (key, *titles.values())}
        ]
        return tuple(dict.fromkeys([*(name for name in about if name.strip()), *called]))

    def outage_at(self, outages: Iterable[Outage], place: Position | None, areas: Iterable[str]) -> Outage | None:
        """The known outage this place or area lies in; the nearest one of several."""
        named = {area.strip().casefold() for area in areas if area.strip()}
        found: list[tuple[int, int, Outage]] = []
        for outage in outages:
            centre = position(outage.latitude, outage.longitude)
            way = distance_m(place, centre) if place and centre else None
            if way is not None and way <= (outage.radius_m or self.outage_radius_m):
                found.append((way, outage.id, outage))
            elif outage.area and any(outage.area.casefold() in area for area in named):
                found.append((10_000_000, outage.id, outage))
        return min(found, key=lambda item: item[:2])[2] if found else None


def days_left(due_on: str, today: date) -> int | None:
    """Days until the due day; None for a day that is none."""
    try:
        return (date.fromisoformat(due_on) - today).days
    except ValueError:
        return None


# --- reading ------------------------------------------------------------------------------------------------------


def read_topics(section: dict[str, Any]) -> TopicRules:
    """The rules of the section `topics`. Raises: AssistantInvalid.

    ```yaml
    topics:
      subscribe:
        price: {title: {zh: 油价, en: Fuel price}, choices: {92: {zh: 92 号, en: 92}, 95: {zh: 95 号, en: 95}}}
        outage: {title: {zh: 停电通知, en: Outages}}
        order: {title: {zh: 订单进度, en: Order progress}, needs_match: true}
      reminders:                        # days before the due day; 0: on it, -3: three days after
        A: {days: [1], tone: gentle}    # gentle | plain | firm
        D: {days: [7, 3, 0], tone: firm}
        usual: {days: [3], tone: plain}
      remind_at: "10:00"
      outage_radius_m: 1000
      plans:                            # agreed to at once for these classes; for others a colleague decides
        grant: [A, B]
        choices: {15_days: {days: 15}, two_parts: {parts: 2, every_days: 30}}
      own: {orders: order, outages: outage, articles: articles}   # so by default; null: nobody is told
    ```
    """
    only_keys(section, ("subscribe", "reminders", "remind_at", "outage_radius_m", "own", "plans"), "topics")
    defaults = TopicRules()
    topics = table(section.get("subscribe", {}), "subscribe", section, "subscribe")
    reminders = table(section.get("reminders", {}), "reminders", section, "reminders")
    read = {name: _reminding(name, table(reminders[name], name, reminders, name)) for name in reminders}
    radius = section.get("outage_radius_m", defaults.outage_radius_m)
    if isinstance(radius, bool) or not isinstance(radius, int) or not 1 <= radius <= 1_000_000:
        raise invalid("outage_radius_m must be a whole number of metres", section, "outage_radius_m")
    usual = read.pop("usual", defaults.usual)
    return TopicRules(
        topics={name: _topic(name, table(topics[name], f"topic {name}", topics, name)) for name in topics},
        reminders=read if "reminders" in section else defaults.reminders,
        usual=usual,
        remind_at=_hour(section),
        outage_radius_m=radius,
        own=_own(section, topics),
        plans=read_plans(section),
    )


def _own(section: dict[str, Any], topics: Mapping[str, Any]) -> OwnTopics:
    named = table(section.get("own", {}), "own", section, "own")
    only_keys(named, _OWN, "own")
    for news, topic in named.items():
        if topic is not None and text(topic, news, named, news) not in topics:
            raise invalid(f"own: there is no topic {topic!r} to subscribe to", named, news)
    usual = {news: topic for news, topic in _OWN.items() if topic in topics}
    return OwnTopics(**{news: topic or "" for news, topic in {**usual, **named}.items()})


def _topic(name: str, body: dict[str, Any]) -> Topic:
    only_keys(body, ("title", "choices", "needs_match"), f"topic {name}")
    choices = table(body.get("choices", {}), "choices", body, "choices")
    needs_match = body.get("needs_match", False)
    if not isinstance(needs_match, bool):
        raise invalid("needs_match must be true or false", body, "needs_match")
    return Topic(name, _titles(body, "title"), {key: _titles(choices, key) for key in choices}, needs_match)


def _titles(place: dict[str, Any], key: str) -> Mapping[str, str]:
    titles = table(place.get(key, {}), key, place, key)
    return {language: text(titles[language], key, titles, language) for language in titles}


def _reminding(name: str, body: dict[str, Any]) -> Reminding:
    only_keys(body, ("days", "tone"), f"reminders of {name}")
    days = rows(body.get("days", [3]), "days", body, "days")
    if not all(isinstance(day, int) and not isinstance(day, bool) and -60 <= day <= 60 for day in days):
        raise invalid("days must be whole numbers from -60 to 60", body, "days")
    tones: dict[Any, Tone] = {tone: tone for tone in _TONES}
    tone = tones.get(body.get("tone", "plain"))
    if tone is None:
        raise invalid(f"tone must be one of {', '.join(_TONES)}", body, "tone")
    return Reminding(tuple(sorted(set(days), reverse=True)), tone)


def _hour(section: dict[str, Any]) -> time:
    try:
        return time.fromisoformat(str(section.get("remind_at", "10:00")))
    except ValueError as exc:
        raise invalid('remind_at must be a time such as "10:00"', section, "remind_at") from exc
