"""Routing: which team can solve a case, whether a site is to, and what it must be able to do for that."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.located import invalid, only_keys, rows, table, text
from bot.service.places import MAP_LINK

_CONDITIONS = ("category", "quality_type", "language", "value_class", "credit_class")


@dataclass(frozen=True, slots=True)
class Team:
    """People who solve cases together. `members` and `lead` are names of staff users; no languages: any."""

    name: str
    titles: Mapping[str, str] = field(default_factory=dict)
    members: tuple[str, ...] = ()
    lead: str = ""
    languages: frozenset[str] = frozenset()
    skills: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Matter:
    """What a case is about, as far as routing looks at it."""

    category: str = ""
    quality_type: str = ""
    language: str = ""
    value_class: str = ""
    credit_class: str = ""
    severity: int = 1


@dataclass(frozen=True, slots=True)
class Rule:
    """Where every condition named holds, the case goes to `team`; `at_site`: a site is to solve it."""

    team: str
    conditions: Mapping[str, frozenset[str]] = field(default_factory=dict)  # field of Matter -> values that fit
    severity_from: int = 1
    at_site: bool = False

    def fits(self, matter: Matter) -> bool:
        return matter.severity >= self.severity_from and all(
            getattr(matter, name) in values for name, values in self.conditions.items()
        )


@dataclass(frozen=True, slots=True)
class Route:
    """Where a case goes. `skills`: what a person or a site needs for it; `reasons`: why, for staff to read."""

    team: str
    at_site: bool = False
    skills: frozenset[str] = frozenset()
    reasons: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SiteWeights:
    """What a drawback of a site is worth in metres of way, so that one sum orders them."""

    closed_per_h_m: int = 2_000  # for each hour until it opens
    closed_most_m: int = 50_000
    language_m: int = 20_000  # nobody there speaks the customer's
    load_m: int = 10_000  # with no room for another task; half of it when half full
    known_m: int = -3_000  # where the customer was before, or bought it


@dataclass(frozen=True)
class RoutingRules:
    """The section `routing` of service.yml."""

    teams: Mapping[str, Team] = field(default_factory=dict)
    rules: tuple[Rule, ...] = ()
    skills: Mapping[str, frozenset[str]] = field(default_factory=dict)  # category, or category/quality type
    farthest_m: int = 300_000  # no customer is sent further
    manager: str = ""  # the staff user who answers for all teams
    offered: int = 3  # sites named to a customer who asks
    link_hours: float = 72.0  # how long a site's link works
    remind_hours: tuple[float, ...] = (24.0, 2.0)  # before its deadline a site is reminded of an open task
    reopened_to_site: bool = True  # a reopened case is offered to the site that had it, where that can do it
    map_link: str = MAP_LINK
    weights: SiteWeights = field(default_factory=SiteWeights)

    def head(self, to: str, team: str) -> str:
        """The staff user who leads the team (`lead`) or answers for all of them (`manager`); "" when none is named."""
        if to == "manager":
            return self.manager
        return self.teams[team].lead if to == "lead" and team in self.teams else ""

    def teams_of(self, name: str) -> tuple[str, ...]:
        """The teams a staff user is a member or the lead of."""
        return tuple(key for key, team in self.teams.items() if name in (*team.members, team.lead))

    def stands_in(self, name: str) -> tuple[str, ...]:
        """Who takes what was meant for somebody without an account: their teams, else the one who answers for all."""
        return (*self.teams_of(name), *((self.manager,) if self.manager else ()))

    def skills_for(self, category: str, quality_type: str = "") -> frozenset[str]:
        """What has to be known to solve this: of the category, and of the quality type in it."""
        exact = self.skills.get(f"{category}/{quality_type}", frozenset()) if quality_type else frozenset()
        return self.skills.get(category, frozenset()) | exact

    def route(self, matter: Matter) -> Route:
        """Where this goes: by the first rule that fits and whose team speaks the language and has the skills.

        Without such a team the first rule that fits at all counts: a case is never left without somebody to look at it.
        """
        skills = self.skills_for(matter.category, matter.quality_type)
        fitting = [rule for rule in self.rules if rule.fits(matter)]
        if not fitting:
            return Route("", skills=skills, reasons=("no rule fits",))
        able = [rule for rule in fitting if not self._lacks(rule, matter, skills)]
        chosen = (able or fitting)[0]
        reasons = [f"{name} is {getattr(matter, name)}" for name in chosen.conditions]
        if chosen.severity_from > 1:
            reasons.append(f"severity is at least {chosen.severity_from}")
        for passed in fitting[: fitting.index(chosen)]:
            reasons.append(f"team {passed.team} lacks {self._lacks(passed, matter, skills)}")
        if not able:
            reasons.append(f"no team has all it takes: {self._lacks(chosen, matter, skills)} missing")
        return Route(chosen.team, chosen.at_site, skills, tuple(reasons) or ("rule for everything else",))

    def _lacks(self, rule: Rule, matter: Matter, skills: frozenset[str]) -> str:
        """What keeps the rule's team from solving it: the language or a skill; "" when nothing does."""
        team = self.teams.get(rule.team, Team(rule.team))
        if matter.language and team.languages and matter.language not in team.languages:
            return matter.language
        # Where a site solves it, the hands are there; a team that lists no skills takes everything.
        missing = skills - team.skills if team.skills and not rule.at_site else frozenset()
        return ", ".join(sorted(missing))


# --- reading ------------------------------------------------------------------------------------------------------


def read_routing(section: dict[str, Any]) -> RoutingRules:
    """The rules of the section `routing`. Raises: AssistantInvalid.

    ```yaml
    routing:
      teams:
        workshop: {title: {zh: 售后组, en: Workshop}, members: [li-qiang], lead: wang-fang, languages: [zh, en]}
        care: {members: [zhao-min], skills: [billing]}
      manager: chen-jie           # answers for all of them: the last rung of the ladder
      rules:                      # the first one that fits; one without conditions fits everything
      - {category: [brakes, engine], severity_from: 2, team: workshop, site: true}
      - {value_class: A, language: [zh], team: care}
      - {team: workshop}
      skills:                     # what it takes, by category or category/quality type
        brakes: [brakes]
        brakes/noise: [diagnosis]
      sites: {farthest_km: 300, offered: 3, link_hours: 72, remind_hours: [24, 2], reopened_to_site: true}
      weights: {closed_per_h_m: 2000, closed_most_m: 50000, language_m: 20000, load_m: 10000, known_m: -3000}
      map_link: "https://www.openstreetmap.org/?mlat={latitude}&mlon={longitude}#map=16/{latitude}/{longitude}"
    ```
    """
    only_keys(section, ("teams", "manager", "rules", "skills", "sites", "weights", "map_link"), "routing")
    teams = {name: _team(name, body) for name, body in _tables(section, "teams")}
    skills = table(section.get("skills", {}), "skills", section, "skills")
    sites = table(section.get("sites", {}), "sites", section, "sites")
    only_keys(sites, ("farthest_km", "offered", "link_hours", "remind_hours", "reopened_to_site"), "routing sites")
    weights = table(section.get("weights", {}), "weights", section, "weights")
    only_keys(weights, SiteWeights.__dataclass_fields__, "routing weights")
    return RoutingRules(
        teams=teams,
        rules=tuple(_rule(item, teams, section) for item in rows(section.get("rules", []), "rules", section, "rules")),
        skills={name: frozenset(_names(skills, name)) for name in skills},
        farthest_m=round(_number(sites, "farthest_km", 300) * 1000),
        manager=text(section["manager"], "manager", section, "manager") if "manager" in section else "",
        offered=round(_number(sites, "offered", 3)),
        link_hours=_number(sites, "link_hours", 72),
        reopened_to_site=_flag(sites, "reopened_to_site", default=True),
        remind_hours=_hours(sites, "remind_hours", RoutingRules.remind_hours),
        map_link=_map_link(section),
        weights=SiteWeights(**{name: round(_number(weights, name, 0, is_signed=True)) for name in weights}),
    )


def _tables(section: dict[str, Any], key: str) -> Iterable[tuple[str, dict[str, Any]]]:
    found = table(section.get(key, {}), key, section, key)
    return ((name, table(found[name], f"{name} of {key}", found, name)) for name in found)


def _team(name: str, body: dict[str, Any]) -> Team:
    only_keys(body, ("title", "members", "lead", "languages", "skills"), f"team {name}")
    titles = table(body.get("title", {}), "title", body, "title")
    return Team(
        name,
        {language: text(titles[language], "title", titles, language) for language in titles},
        _names(body, "members"),
        text(body["lead"], "lead", body, "lead") if "lead" in body else "",
        frozenset(_names(body, "languages")),
        frozenset(_names(body, "skills")),
    )


def _rule(item: Any, teams: Mapping[str, Team], section: dict[str, Any]) -> Rule:
    body = table(item, "a rule", section, "rules")
    only_keys(body, (*_CONDITIONS, "severity_from", "team", "site"), "a routing rule")
    team = text(body.get("team"), "team", body, "team")
    if team not in teams:
        raise invalid(f"there is no team {team!r}", body, "team")
    severity = body.get("severity_from", 1)
    if isinstance(severity, bool) or severity not in (1, 2, 3, 4):
        raise invalid("severity_from must be 1, 2, 3 or 4", body, "severity_from")
    at_site = _flag(body, "site", default=False)
    conditions = {name: frozenset(_names(body, name)) for name in _CONDITIONS if name in body}
    return Rule(team, conditions, severity, at_site)


def _names(place: dict[str, Any], key: str) -> tuple[str, ...]:
    """One text or a list of them."""
    value = place.get(key, [])
    found = [value] if isinstance(value, str) else rows(value, key, place, key)
    return tuple(text(item, f"an entry of {key}", place, key) for item in found)


def _number(place: dict[str, Any], key: str, default: float, *, is_signed: bool = False) -> float:
    value = place.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not (is_signed or value > 0):
        raise invalid(f"{key} must be a number{'' if is_signed else ' above 0'}", place, key)
    return float(value)


def _flag(place: dict[str, Any], key: str, *, default: bool) -> bool:
    value = place.get(key, default)
    if not isinstance(value, bool):
        raise invalid(f"{key} must be true or false", place, key)
    return value


def _hours(place: dict[str, Any], key: str, default: tuple[float, ...]) -> tuple[float, ...]:
    if key not in place:
        return default
    found = rows(place[key], key, place, key)
    if not all(isinstance(hours, int | float) and not isinstance(hours, bool) and hours > 0 for hours in found):
        raise invalid(f"{key} must be a list of hours above 0", place, key)
    return tuple(float(hours) for hours in found)


def _map_link(section: dict[str, Any]) -> str:
    link = text(section.get("map_link", MAP_LINK), "map_link", section, "map_link")
    if not link.startswith("https://") or "{latitude}" not in link or "{longitude}" not in link:
        raise invalid("map_link must begin with https:// and hold {latitude} and {longitude}", section, "map_link")
    return link
