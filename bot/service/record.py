"""The customer's record: typed attributes, kinds of assets, credit classes and the service rules that go with them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from types import MappingProxyType
from typing import Any

from bot.located import invalid, only_keys, rows, table, text

TYPES = ("text", "number", "whole", "yes_no", "date", "choice")
CREDIT_CLASSES = ("A", "B", "C", "D")
STAGES = ("new", "growing", "stable", "fading", "lost", "won_back")


@dataclass(frozen=True, slots=True)
class Attribute:
    """A fact of the record beside name, phone and e-mail. `names` by language; `values` are those of a choice.

    `is_own`: the customer may correct it in the chat.
    """

    name: str
    type: str = "text"
    names: Mapping[str, str] = field(default_factory=dict)
    values: tuple[str, ...] = ()
    is_own: bool = True


@dataclass(frozen=True, slots=True)
class CreditRule:
    """How a class is served: the tone of reminders, how many days before a due date, extra severity, compensation."""

    tone: str = "friendly"  # friendly | neutral | firm
    remind_days: int = 5
    severity: int = 0  # added to that of a complaint
    compensation: float = 1.0  # share of its limit that a role may grant without asking


_CREDIT: Mapping[str, CreditRule] = MappingProxyType(
    {
        "A": CreditRule("friendly", 3, 1, 1.5),
        "B": CreditRule("friendly", 5),
        "C": CreditRule("neutral", 7, 0, 0.5),
        "D": CreditRule("firm", 10, 0, 0.0),
    }
)


@dataclass(frozen=True)
class RecordRules:
    """The section `record` of service.yml. Days of `erase_after_days`: for a change of mind."""

    attributes: Mapping[str, Attribute] = field(
        default_factory=lambda: {"birthday": Attribute("birthday", "date", {"zh": "生日", "en": "birthday"})}
    )
    assets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)  # kind -> language -> name
    preferences: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # topic -> words that tell it
    credit: Mapping[str, CreditRule] = field(default_factory=lambda: _CREDIT)
    erase_after_days: int = 7
    growing_by: float = 0.2  # more turnover than the year before by this share
    fading_after: float = 1.5  # usual intervals without a visit
    lost_after: float = 4.0
    lost_days: int = 365  # for those whose usual interval is not known
    new_days: int = 90

    def types(self) -> dict[str, str]:
        """Attribute -> type, as an import needs it."""
        return {name: attribute.type for name, attribute in self.attributes.items()}

    def credit_rule(self, credit_class: str) -> CreditRule:
        """How this class is served; as class B where none is given."""
        return self.credit.get(credit_class or "B", CreditRule())

    def read(self, name: str, said: str) -> str | int | float | bool | None:
        """The value of an attribute as the customer or staff wrote it; None when it is none of that type."""
        attribute = self.attributes.get(name)
        words = said.strip()
        if attribute is None or not words or len(words) > 500:
            return None
        return _READERS[attribute.type](words, attribute)


def _number(words: str, attribute: Attribute) -> float | None:
    return float(words) if re.fullmatch(r"-?\d{1,15}(\.\d{1,9})?", words, re.ASCII) else None


def _whole(words: str, attribute: Attribute) -> int | None:
    return int(words) if re.fullmatch(r"-?\d{1,15}", words, re.ASCII) else None


def _yes_no(words: str, attribute: Attribute) -> bool | None:
    lowered = words.casefold()
    if lowered in ("yes", "y", "true", "1", "是", "是的", "有", "对"):
        return True
    return False if lowered in ("no", "n", "false", "0", "否", "不是", "没有", "不") else None


_DAY = re.compile(r"(\d{4})\s*[-/.年]\s*(\d{1,2})\s*[-/.月]\s*(\d{1,2})\s*日?", re.ASCII)


def _date(words: str, attribute: Attribute) -> str | None:
    match = _DAY.fullmatch(words)
    if match is None:
        return None
    try:
        return date(int(match[1]), int(match[2]), int(match[3])).isoformat()
    except ValueError:
        return None


def _choice(words: str, attribute: Attribute) -> str | None:
    return next((value for value in attribute.values if value.casefold() == words.casefold()), None)


_READERS: Mapping[str, Callable[[str, Attribute], str | int | float | bool | None]] = {
    "text": lambda words, attribute: words,
    "number": _number,
    "whole": _whole,
    "yes_no": _yes_no,
    "date": _date,
    "choice": _choice,
}


# --- reading --------------------------------------------------------------------------------------------------------


def read_record(section: dict[str, Any]) -> RecordRules:
    """The rules of the section. Raises: AssistantInvalid.

    ```yaml
    record:
      attributes:
        birthday: {type: date, zh: 生日, en: birthday}
        floor: {type: choice, zh: 楼层, en: floor, values: [low, high]}
        mileage: {type: whole, zh: 里程, en: mileage, own: false}     # not for the customer to correct
      assets: {vehicle: {zh: 车辆, en: vehicle}}
      preferences: {allergy: [过敏, allergic, allergy], room: [安静, quiet]}   # topic: words that tell it
      credit:
        A: {tone: friendly, remind_days: 3, severity: 1, compensation: 1.5}
        D: {tone: firm, remind_days: 10, compensation: 0}
      erase_after_days: 7
      value: {growing_by: 0.2, fading_after: 1.5, lost_after: 4, lost_days: 365, new_days: 90}
    ```
    """
    only_keys(section, ("attributes", "assets", "preferences", "credit", "erase_after_days", "value"), "record")
    defaults = RecordRules()
    found: dict[str, Any] = {}
    if "attributes" in section:
        items = table(section["attributes"], "attributes", section, "attributes")
        found["attributes"] = {**defaults.attributes, **{name: _attribute(name, items) for name in items}}
    if "assets" in section:
        items = table(section["assets"], "assets", section, "assets")
        found["assets"] = {name: _names(table(items[name], name, items, name)) for name in items}
    if "preferences" in section:
        items = table(section["preferences"], "preferences", section, "preferences")
        found["preferences"] = {
            name: tuple(text(word, "a word", items, name) for word in rows(items[name], name, items, name))
            for name in items
        }
    if "credit" in section:
        items = table(section["credit"], "credit", section, "credit")
        found["credit"] = {**defaults.credit, **{name: _credit(name, items) for name in items}}
    if "erase_after_days" in section:
        found["erase_after_days"] = int(_within(section, "erase_after_days", 0, 30))
    if "value" in section:
        value = table(section["value"], "value", section, "value")
        numbers = {"growing_by": 10, "fading_after": 100, "lost_after": 100, "lost_days": 3650, "new_days": 3650}
        only_keys(value, numbers, "value")
        for name in value:
            number = _within(value, name, 0, numbers[name])
            found[name] = int(number) if name.endswith("_days") else number
    rules = RecordRules(**found)
    if rules.lost_after <= rules.fading_after:
        raise invalid("lost_after must be more than fading_after", section, "value")
    return rules


def _attribute(name: str, items: dict[str, Any]) -> Attribute:
    body = table(items[name], name, items, name)
    only_keys(body, ("type", "zh", "en", "values", "own"), name)
    kind = body.get("type", "text")
    if kind not in TYPES:
        raise invalid(f"type must be one of {', '.join(TYPES)}", body, "type")
    values = tuple(str(value) for value in rows(body.get("values", []), "values", body, "values"))
    if (kind == "choice") != bool(values):
        raise invalid("a choice, and only a choice, lists its values", body, "values" if values else "type")
    if not isinstance(body.get("own", True), bool):
        raise invalid("own must be true or false", body, "own")
    return Attribute(name, kind, _names(body), values, body.get("own", True))


def _names(body: dict[str, Any]) -> dict[str, str]:
    return {language: text(body[language], language, body, language) for language in ("zh", "en") if language in body}


def _credit(name: str, items: dict[str, Any]) -> CreditRule:
    if name not in CREDIT_CLASSES:
        raise invalid(f"credit classes are {', '.join(CREDIT_CLASSES)}", items, name)
    body = table(items[name], name, items, name)
    only_keys(body, ("tone", "remind_days", "severity", "compensation"), name)
    default = _CREDIT[name]
    tone = body.get("tone", default.tone)
    if tone not in ("friendly", "neutral", "firm"):
        raise invalid("tone must be friendly, neutral or firm", body, "tone")
    return CreditRule(
        tone,
        int(_within(body, "remind_days", 0, 60)) if "remind_days" in body else default.remind_days,
        int(_within(body, "severity", 0, 3)) if "severity" in body else default.severity,
        _within(body, "compensation", 0, 10) if "compensation" in body else default.compensation,
    )


def _within(body: dict[str, Any], key: str, low: float, high: float) -> float:
    value = body[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise invalid(f"{key} must be a number from {low:g} to {high:g}", body, key)
    return float(value)
