"""Handing a conversation to a person: why, how urgent, to which team, and for how long. Rules as data."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final, Literal

from bot.service.anger import Anger
from bot.stems import stems

REASONS: Final = (
    "customer_asked",
    "unclear_twice",
    "anger",
    "complaint",
    "vip",
    "flow_failed",
    "article_unhelpful",
    "keyword",
    "taken",  # a colleague took it from the bot unasked
)
POINTS: Final[Mapping[str, int]] = {
    "customer_asked": 10,
    "unclear_twice": 10,
    "flow_failed": 10,
    "article_unhelpful": 5,
    "keyword": 15,
    "anger": 25,
    "complaint": 20,
    "vip": 10,
}
# What the customer is told when a colleague hands the conversation back, by what came of it.
HANDED_BACK: Final = {"solved": "utter_handed_back_solved", "continue": "utter_handed_back_continue"}
CONDITIONS: Final = ("reason", "topic", "language", "channel")
UNHELPFUL_ZH = "没用 没帮助 没有帮助 没什么用 不管用 答非所问 不是我要的 没回答 没解决 不对题 看不懂 还是不行 还是不会"
UNHELPFUL_EN = (
    "not helpful, unhelpful, no help, doesn't help, does not help, didn't help, did not help, not what i asked, "
    "not what i meant, doesn't answer, does not answer, didn't answer, wrong answer, still doesn't work, "
    "that doesn't work, did not work, didn't work"
)


@dataclass(frozen=True, slots=True)
class HandoffMatter:
    """What is known of a customer who is to get a person. `topic`: the flow or intent it is about."""

    reason: str
    urgency: int = 2  # 1 low … 4 critical
    topic: str = ""
    language: str = ""
    channel: str = ""
    is_vip: bool = False
    keyword: str = ""  # name of the keyword heard
    mood: float = 0.0  # 0 to 1: how angry and pressed they sound (bot/service/mood.py)


@dataclass(frozen=True, slots=True)
class TeamRule:
    """Where every condition named holds, the team answers."""

    team: str
    conditions: Mapping[str, frozenset[str]] = field(default_factory=dict)  # field of HandoffMatter -> values that fit
    urgency_from: int = 1

    def fits(self, matter: HandoffMatter) -> bool:
        return matter.urgency >= self.urgency_from and all(
            getattr(matter, name) in values for name, values in self.conditions.items()
        )


@dataclass(frozen=True, slots=True)
class Vip:
    """Who counts as a very important customer: whoever is one of these."""

    value_classes: frozenset[str] = frozenset()
    credit_classes: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset({"vip"})

    def holds(self, value_class: str, credit_class: str, tags: Iterable[str]) -> bool:
        return value_class in self.value_classes or credit_class in self.credit_classes or bool(self.tags & set(tags))


@dataclass(frozen=True)
class Keyword:
    """Words at which a person is called at once."""

    name: str
    words: re.Pattern[str] = field(compare=False)
    team: str = ""
    points: int = 0  # beside those of the reason


@dataclass(frozen=True, slots=True)
class Overflow:
    """Who waits this long in one of `teams` (none: any) goes to another team's queue, keeping the place."""

    after: timedelta
    team: str
    teams: frozenset[str] = frozenset()


@dataclass(frozen=True)
class HandoffRules:
    """The section `handoff` of service.yml."""

    points: Mapping[str, int] = field(default_factory=lambda: dict(POINTS))  # by reason
    urgency_points: Mapping[int, int] = field(default_factory=lambda: {1: 0, 2: 0, 3: 20, 4: 60})
    vip_points: int = 20
    mood_points: int = 15  # of somebody as angry and pressed as can be; the reason `anger` has said so already
    ageing: timedelta = timedelta(minutes=1)  # waiting so long weighs as much as one point: nobody starves
    vip: Vip = field(default_factory=Vip)
    teams: tuple[TeamRule, ...] = ()
    keywords: tuple[Keyword, ...] = ()
    anger: Anger = field(default_factory=Anger)
    unhelpful: re.Pattern[str] = field(default=stems(UNHELPFUL_ZH, UNHELPFUL_EN), compare=False)
    assignment: Literal["manual", "automatic"] = "manual"
    sticky: timedelta = timedelta(hours=24)  # so long the operator spoken with last comes first
    capacity: int = 5  # conversations at once, where the account names none
    lease: timedelta = timedelta(minutes=5)  # without a sign of life
    silence: timedelta = timedelta(minutes=60)  # after the operator's last words, with nothing to answer
    overflow: tuple[Overflow, ...] = ()
    long_wait: timedelta = timedelta(minutes=15)  # from here on a call-back is offered

    @property
    def teams_named(self) -> tuple[str, ...]:
        """Every team the rules may send somebody to."""
        named = (*(rule.team for rule in self.teams), *(word.team for word in self.keywords if word.team))
        overflowing = (name for rule in self.overflow for name in (rule.team, *sorted(rule.teams)))
        return tuple(dict.fromkeys((*named, *overflowing)))

    def priority(self, matter: HandoffMatter) -> int:
        """Points, the higher the sooner."""
        keyword = next((word.points for word in self.keywords if word.name == matter.keyword), 0)
        return (
            self.points.get(matter.reason, 0)
            + self.urgency_points.get(matter.urgency, 0)
            + (self.vip_points if matter.is_vip else 0)
            + keyword
            + (0 if matter.reason == "anger" else round(self.mood_points * matter.mood))
        )

    def team(self, matter: HandoffMatter) -> str:
        """The keyword's team, else that of the first rule that fits; "": anybody's."""
        named = next((word.team for word in self.keywords if word.name == matter.keyword and word.team), "")
        return named or next((rule.team for rule in self.teams if rule.fits(matter)), "")

    def keyword_in(self, words: str) -> Keyword | None:
        """The first keyword that the words hold."""
        return next((keyword for keyword in self.keywords if keyword.words.search(words[:2000])), None)

    def rank(self, priority: int, waiting_since: datetime) -> datetime:
        """The smaller the sooner: the time they began to wait, earlier by what their points are worth.

        Since everybody grows older alike, the order of two who wait never changes.
        """
        return waiting_since - priority * self.ageing

    def overflows_to(self, team: str, waited: timedelta) -> str:
        """The team somebody who has waited this long in this team's queue goes to; "": they stay."""
        fitting = [
            rule
            for rule in self.overflow
            if waited >= rule.after and rule.team != team and (not rule.teams or team in rule.teams)
        ]
        return max(fitting, key=lambda rule: rule.after).team if fitting else ""
