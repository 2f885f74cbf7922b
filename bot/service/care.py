"""Care signals: what about a customer calls for a follow-up, by whom, by when, and with which words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from bot.located import invalid, only_keys, rows, table, text

SIGNALS = ("no_visit", "falling_amount", "unanswered_complaint", "low_score")
HELPED_DAYS = 30
DEFAULT_LEVELS = {"no_visit": 1.5, "falling_amount": 0.5, "unanswered_complaint": 24.0, "low_score": 2.0}


@dataclass(frozen=True, slots=True)
class CareRule:
    """One signal and what follows.

    `level`: usual intervals without a visit, share by which the amount of the year fell, hours without an answer, or
    the highest score that counts as low. `helped_days`: coming back within these helped.
    """

    name: str
    signal: str
    level: float
    assignee: str = ""  # staff user or team
    due_days: float = 2.0
    helped_days: int = HELPED_DAYS
    classes: tuple[str, ...] = ()  # value classes; none: all
    suggestion: Mapping[str, str] = field(default_factory=dict)  # language -> words; {name} is theirs

    def words(self, language: str, name: str) -> str:
        """The words to say, in the customer's language where there are some."""
        wording = (
            self.suggestion.get(language[:2]) or self.suggestion.get("zh") or next(iter(self.suggestion.values()), "")
        )
        return wording.replace("{name}", name)


_SUGGESTIONS: Mapping[str, Mapping[str, str]] = {
    "no_visit": {
        "zh": "{name}您好，有一阵子没见到您了。最近用得还顺利吗？有需要我们提前准备的，请告诉我。",
        "en": "Hello {name}, we have not seen you for a while. Is all well, and can we prepare anything for you?",
    },
    "falling_amount": {
        "zh": "{name}您好，想听听您最近对我们的看法，有哪里可以做得更合您的需要？",
        "en": "Hello {name}, I would like to hear how you find us lately, and what would suit you better.",
    },
    "unanswered_complaint": {
        "zh": "{name}您好，您反映的问题还没有得到回复，很抱歉让您等。我现在就跟进，并告诉您下一步和时间。",
        "en": "Hello {name}, I am sorry that your complaint has waited. I am taking it up and tell you the next step.",
    },
    "low_score": {
        "zh": "{name}您好，谢谢您的评分。想请您说说哪里没做好，我来负责改进并给您答复。",
        "en": "Hello {name}, thank you for your score. Please tell me what went wrong; I will see to it.",
    },
}


def default_rules() -> tuple[CareRule, ...]:
    """One rule for each signal, for nobody in particular."""
    return tuple(
        CareRule(signal, signal, DEFAULT_LEVELS[signal], suggestion=_SUGGESTIONS[signal]) for signal in SIGNALS
    )


@dataclass(frozen=True)
class CareRules:
    """The section `care` of service.yml."""

    rules: tuple[CareRule, ...] = field(default_factory=default_rules)

    def find(self, name: str) -> CareRule | None:
        """The rule of this name."""
        return next((rule for rule in self.rules if rule.name == name), None)

    def helped_days(self, name: str) -> int:
        """Within how many days coming back counts; as usual for a rule there is no more."""
        rule = self.find(name)
        return rule.helped_days if rule else HELPED_DAYS


def missed(last_at: datetime, usual: timedelta, level: float, lost_after: float, now: datetime) -> bool:
    """True from `level` usual intervals without a visit on, until the customer counts as lost."""
    away = now - last_at
    return usual * level <= away < max(usual * lost_after, usual * level * 2)


def fell(year: int, before: int, level: float) -> bool:
    """True when the amount of the year is below that of the year before by this share."""
    return before > 0 and year <= before * (1 - level)


def quarter(now: datetime) -> str:
    """A falling amount is one occasion in each of these."""
    return f"{now.year}Q{(now.month + 2) // 3}"


def read_care(section: dict[str, Any]) -> CareRules:
    """The rules of the section, which take the place of the defaults. Raises: AssistantInvalid.

    ```yaml
    care:
      rules:
      - {name: missed_cycle, signal: no_visit, level: 1.5, assignee: li, due_days: 2, helped_days: 30, classes: [A, B],
         suggestion: {zh: "{name}您好…", en: "Hello {name} …"}}
      - {name: unanswered, signal: unanswered_complaint, level: 24, assignee: care}
    ```
    """
    only_keys(section, ("rules",), "care")
    if "rules" not in section:
        return CareRules()
    found = tuple(
        _rule(table(item, "a care rule", section, "rules"))
        for item in rows(section["rules"], "rules", section, "rules")
    )
    names = [rule.name for rule in found]
    if len(set(names)) < len(names):
        raise invalid("two care rules have the same name", section, "rules")
    return CareRules(found)


def _rule(body: dict[str, Any]) -> CareRule:
    only_keys(
        body,
        ("name", "signal", "level", "assignee", "due_days", "helped_days", "classes", "suggestion"),
        "a care rule",
    )
    signal = body.get("signal")
    if signal not in SIGNALS:
        raise invalid(f"signal must be one of {', '.join(SIGNALS)}", body, "signal")
    classes = tuple(str(item) for item in rows(body.get("classes", []), "classes", body, "classes"))
    if set(classes) - {"A", "B", "C"}:
        raise invalid("classes are A, B and C", body, "classes")
    words = table(body.get("suggestion", dict(_SUGGESTIONS[signal])), "suggestion", body, "suggestion")
    return CareRule(
        name=text(body.get("name", signal), "name", body, "name"),
        signal=signal,
        level=_number(body, "level", DEFAULT_LEVELS[signal], 1000),
        assignee=text(body["assignee"], "assignee", body, "assignee") if "assignee" in body else "",
        due_days=_number(body, "due_days", 2, 365),
        helped_days=int(_number(body, "helped_days", HELPED_DAYS, 365)),
        classes=classes,
        suggestion={name: text(value, name, words, name) for name, value in words.items()},
    )


def _number(body: dict[str, Any], key: str, default: float, most: float) -> float:
    value = body.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= most:
        raise invalid(f"{key} must be a number above 0 and up to {most:g}", body, key)
    return float(value)
