"""Cases: severity, who may compensate how much, when satisfaction is asked and what a score leads to, spikes.

What a case is about is in `categories.py`, which status may follow which in `bot/service_types.py` (CASE_MOVES).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from bot.located import invalid, only_keys, table, text
from bot.service.categories import (
    DANGER,
    Categories,
    Finding,
    default_categories,
    read_categories,
    read_names,
    read_words_pattern,
)
from bot.types import Language

Names = Mapping[str, Mapping[Language, str]]
_NOTHING = re.compile(r"(?!)")
_PERIOD_DAYS = {"day": 1, "week": 7}


@dataclass(frozen=True)
class SeverityRules:
    """What makes a case weigh more than its words. Danger to people alone is always 4; classes never lead there."""

    value_from: Mapping[int, int] = field(default_factory=lambda: {2: 100_000, 3: 1_000_000})  # severity -> minor units
    raising_classes: frozenset[str] = frozenset()  # value or credit classes that count one more
    repeat_days: int = 90
    danger_words: re.Pattern[str] = _NOTHING  # of the business, beside the general ones


@dataclass(frozen=True)
class CompensationRules:
    """How much each role may give for one case altogether, in minor units of `currency`. Above: somebody of a role
    that may give as much has to approve."""

    limits: Mapping[str, int] = field(
        default_factory=lambda: {"operator": 5_000, "lead": 50_000, "manager": 500_000, "admin": 500_000}
    )
    currency: str = "CNY"

    def may_give(self, role: str, amount_minor: int, currency: str, *, share: float = 1.0) -> bool:
        """Whether this role may give this much without asking. Another currency has no limit, so it needs an admin.

        `share`: of its limit, as the customer's credit class has it.
        """
        if currency != self.currency:
            return role == "admin"
        return amount_minor <= self.limits.get(role, 0) * share


@dataclass(frozen=True)
class SatisfactionRules:
    """When satisfaction is asked, and what a low score leads to. Scores run 1 to 5 (NPS 0 to 10)."""

    ask_after_h: float = 24.0  # after `solved`, unless the customer confirmed before
    close_after_h: float = 168.0  # after `solved` a case nobody confirmed or contested is closed
    reopen_to: int = 1  # up to this score the case is reopened
    follow_up_to: int = 3  # up to this one somebody asks why
    csat_every_days: int = 7  # a customer is asked about service at most this often …
    nps_every_days: int = 90  # … and whether they would recommend us
    nps_after_h: float = 72.0  # after the question about a case; 0: never
    after_service_h: float = 24.0  # after the end of an appointment that was kept; 0: never

    def outcome(self, score: int) -> Literal["reopen", "follow_up", ""]:
        """What this score of 1 to 5 leads to."""
        return "reopen" if score <= self.reopen_to else "follow_up" if score <= self.follow_up_to else ""


@dataclass(frozen=True)
class SpikeRules:
    """When more of one cause than usual is an alert."""

    sigma: float = 3.0
    least: int = 5  # fewer than this are never a spike, however rare they were
    count: int = 50  # this many are one, however usual
    periods: int = 14  # earlier ones it is compared with
    period: Literal["day", "week"] = "day"

    @property
    def period_days(self) -> int:
        return _PERIOD_DAYS[self.period]


@dataclass(frozen=True, slots=True)
class Spike:
    count: int
    expected: float  # mean of the earlier periods
    sigma: float | None  # how many deviations above it; None where the set count was passed


def spike(count: int, earlier: Sequence[int], rules: SpikeRules) -> Spike | None:
    """Whether `count` stands out from the earlier periods (those without any as 0).

    The deviation is at least that of a Poisson process, the square root of the mean, and at least one: a quiet history
    makes no alert out of two.
    """
    mean = sum(earlier) / len(earlier) if earlier else 0.0
    spread = math.sqrt(sum((value - mean) ** 2 for value in earlier) / len(earlier)) if earlier else 0.0
    deviation = max(spread, math.sqrt(mean), 1.0)
    sigma = (count - mean) / deviation
    if earlier and count >= rules.least and sigma >= rules.sigma:
        return Spike(count, mean, sigma)
    return Spike(count, mean, None) if count >= rules.count else None


def _codes(**named: tuple[str, str]) -> Names:
    return {key: {"zh": zh, "en": en} for key, (zh, en) in named.items()}


@dataclass(frozen=True)
class CaseRules:
    """The section `cases` of service.yml. `causes` and `remedies`: codes a case is solved with, and their names."""

    categories: Categories = field(default_factory=default_categories)
    severity_rules: SeverityRules = field(default_factory=SeverityRules)
    compensation: CompensationRules = field(default_factory=CompensationRules)
    satisfaction: SatisfactionRules = field(default_factory=SatisfactionRules)
    spikes: SpikeRules = field(default_factory=SpikeRules)
    causes: Names = field(
        default_factory=lambda: _codes(
            material=("材料或零件", "material or part"),
            wear=("正常磨损", "wear"),
            handling=("操作失误", "handling"),
            delay=("延误", "delay"),
            information=("信息有误", "wrong information"),
            conduct=("服务态度", "conduct"),
            system=("系统故障", "system fault"),
            customer=("使用方式", "use"),
            unknown=("原因不明", "not found"),
        )
    )
    remedies: Names = field(
        default_factory=lambda: _codes(
            repaired=("维修", "repaired"),
            replaced=("更换", "replaced"),
            refunded=("退款", "refunded"),
            compensated=("补偿", "compensated"),
            corrected=("更正", "corrected"),
            apologised=("道歉并说明", "apologised and explained"),
            delivered=("补送", "delivered"),
            none=("无需处理", "nothing to be done"),
        )
    )
    suggestion_points: int = 0  # given for an idea that is taken up

    def find(self, words: str, *, is_danger: bool = False) -> Finding:
        """What the words are about, by the categories; words of danger are also those of the business."""
        return self.categories.find(words, is_danger=is_danger or self.is_dangerous(words))

    def is_dangerous(self, words: str) -> bool:
        """Whether the words hold one of the business's own words of danger."""
        return bool(self.severity_rules.danger_words.search(words))

    def severity(
        self,
        urgency: int,
        finding: Finding,
        *,
        value_minor: int | None = None,
        is_repeat: bool = False,
        classes: Sequence[str] = (),
        more: int = 0,
    ) -> int:
        """1 low to 4 critical.

        `urgency`: of the words (bot/actions/complaint_reading.py). `is_repeat`: the same thing was complained about
        before. `classes`: value and credit class of the customer. `more`: what the service rule of the credit class
        adds; a class that `raising_classes` names too does not count twice.
        """
        rules = self.severity_rules
        level = max(urgency, finding.severity)
        if value_minor is not None:
            level = max([level, *(grade for grade, least in rules.value_from.items() if value_minor >= least)])
        if is_repeat:
            level = max(level, 2)
        more = max(more, 1 if rules.raising_classes & set(classes) else 0)
        return max(level, min(level + more, DANGER - 1))


# --- reading ------------------------------------------------------------------------------------------------------


def read_cases(section: dict[str, Any]) -> CaseRules:
    """The rules of the section. Raises: AssistantInvalid.

    ```yaml
    cases:
      categories:                     # the most telling first; a quality type says more than its category's words
        brakes:
          names: {zh: 制动系统, en: brakes}
          words: {zh: 刹车 制动, en: "brake*, braking"}       # Chinese by blanks, English by commas, * any ending
          parent: vehicle
          severity: 3                 # at least
          team: technical             # where no rule of `routing` says otherwise
          quality_types:
            noise: {names: {zh: 异响, en: noise}, words: {zh: 刹车响 刹车异响, en: "brake* squeal*"}}
        vehicle: {names: {zh: 车辆, en: vehicle}, words: {zh: 车, en: "car, vehicle*"}}
      severity:
        value_from: {2: 100000, 3: 1000000}     # minor units at stake
        raising_classes: [A]
        repeat_days: 90
        danger_words: {zh: 刹车失灵 自燃, en: "brakes failed, caught fire"}
      compensation: {currency: CNY, limits: {operator: 5000, lead: 50000, manager: 500000}}    # minor units per case
      satisfaction: {ask_after_h: 24, close_after_h: 168, reopen_to: 1, follow_up_to: 3, csat_every_days: 7,
                     nps_every_days: 90, nps_after_h: 72, after_service_h: 24}
      spikes: {sigma: 3, least: 5, count: 50, periods: 14, period: day}
      causes: {wear: {zh: 正常磨损, en: wear}}
      remedies: {replaced: {zh: 更换, en: replaced}}
      suggestion_points: 50
    ```
    """
    only_keys(
        section,
        (
            "categories",
            "severity",
            "compensation",
            "satisfaction",
            "spikes",
            "causes",
            "remedies",
            "suggestion_points",
        ),
        "cases",
    )
    defaults = CaseRules()

    def part(name: str) -> dict[str, Any]:
        return table(section.get(name, {}), name, section, name)

    return CaseRules(
        categories=read_categories(part("categories")) if "categories" in section else defaults.categories,
        severity_rules=_severity(part("severity")),
        compensation=_compensation(part("compensation")),
        satisfaction=_satisfaction(part("satisfaction")),
        spikes=_spikes(part("spikes")),
        causes=_named(part("causes")) if "causes" in section else defaults.causes,
        remedies=_named(part("remedies")) if "remedies" in section else defaults.remedies,
        suggestion_points=int(_number(section, "suggestion_points", 0, most=1_000_000, whole=True)),
    )


def _severity(section: dict[str, Any]) -> SeverityRules:
    only_keys(section, ("value_from", "raising_classes", "repeat_days", "danger_words"), "severity")
    defaults = SeverityRules()
    values = dict(defaults.value_from)
    if "value_from" in section:
        body = table(_text_keys(section["value_from"]), "value_from", section, "value_from")
        only_keys(body, ("1", "2", "3", "4"), "value_from")
        values = {int(key): int(_number(body, key, 0, most=10**15, whole=True)) for key in body}
    classes = section.get("raising_classes", [])
    if not isinstance(classes, list) or not all(isinstance(item, str) for item in classes):
        raise invalid("raising_classes is a list of classes", section, "raising_classes")
    return SeverityRules(
        value_from=values,
        raising_classes=frozenset(classes),
        repeat_days=int(_number(section, "repeat_days", defaults.repeat_days, most=3660, whole=True)),
        danger_words=read_words_pattern(section, "danger_words"),
    )


def _text_keys(value: Any) -> Any:
    """YAML reads `{2: …}` with a number as key."""
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else value


def _compensation(section: dict[str, Any]) -> CompensationRules:
    only_keys(section, ("limits", "currency"), "compensation")
    defaults = CompensationRules()
    limits: dict[str, int] = dict(defaults.limits)
    if "limits" in section:
        body = table(section["limits"], "limits", section, "limits")
        limits = {role: int(_number(body, role, 0, most=10**15, whole=True)) for role in body}
    return CompensationRules(
        limits, text(section["currency"], "currency", section, "currency") if "currency" in section else "CNY"
    )


def _satisfaction(section: dict[str, Any]) -> SatisfactionRules:
    only_keys(section, SatisfactionRules.__dataclass_fields__, "satisfaction")
    defaults = SatisfactionRules()
    most = {"reopen_to": 5, "follow_up_to": 5, **{name: 8760 for name in defaults.__dict__ if name.endswith("_h")}}
    whole = {"reopen_to", "follow_up_to", "csat_every_days", "nps_every_days"}
    values = {
        name: _number(section, name, getattr(defaults, name), most=most.get(name, 3660), whole=name in whole)
        for name in SatisfactionRules.__dataclass_fields__
    }
    if values["follow_up_to"] < values["reopen_to"]:
        raise invalid("follow_up_to must not be below reopen_to", section, "follow_up_to")
    return SatisfactionRules(**values)  # type: ignore[arg-type]  # whole numbers are checked to be ints


def _spikes(section: dict[str, Any]) -> SpikeRules:
    only_keys(section, SpikeRules.__dataclass_fields__, "spikes")
    defaults = SpikeRules()
    period = section.get("period", defaults.period)
    if period not in _PERIOD_DAYS:
        raise invalid("period is day or week", section, "period")
    return SpikeRules(
        sigma=float(_number(section, "sigma", defaults.sigma, most=100)),
        least=int(_number(section, "least", defaults.least, most=10**6, whole=True)),
        count=int(_number(section, "count", defaults.count, most=10**6, whole=True)),
        periods=int(_number(section, "periods", defaults.periods, most=366, whole=True)),
        period=period,
    )


def _named(section: dict[str, Any]) -> Names:
    return {key: read_names(section, key) for key in section}


def _number(section: dict[str, Any], key: str, default: float, *, most: float, whole: bool = False) -> float | int:
    value = section.get(key, default)
    allowed: Any = int if whole else (int, float)
    if isinstance(value, bool) or not isinstance(value, allowed) or not 0 <= value <= most:
        raise invalid(f"{key} must be a {'whole ' if whole else ''}number from 0 to {most:g}", section, key)
    return value  # type: ignore[no-any-return]
