"""A segment in words, so that whoever did not write it can say whom it means."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final

from bot.reach.segment_fields import ATTRIBUTE, Titles
from bot.reach.segments import Condition, Did, Group, Node, Not

# Operator -> (English, Chinese); {} is the value.
_SAID: Final[Mapping[str, Titles]] = {
    "is": ("is {}", "为{}"),
    "is_not": ("is not {}", "不是{}"),
    "one_of": ("is one of {}", "为{}之一"),
    "none_of": ("is none of {}", "不是{}中任何一个"),
    "contains": ("contains {}", "包含{}"),
    "starts_with": ("begins with {}", "以{}开头"),
    "at_least": ("is at least {}", "至少{}"),
    "at_most": ("is at most {}", "至多{}"),
    "more_than": ("is more than {}", "大于{}"),
    "less_than": ("is less than {}", "小于{}"),
    "between": ("is between {}", "在{}之间"),
    "has": ("include {}", "包括{}"),
    "has_any": ("include one of {}", "包括{}之一"),
    "has_none": ("include none of {}", "不包括{}"),
    "within_days": ("within the last {} days", "在近{}天内"),
    "longer_ago_days": ("more than {} days ago", "在{}天以前"),
    "next_days": ("within the next {} days", "在未来{}天内"),
    "anniversary_days": ("comes round within {} days", "在{}天内逢周年"),
    "after": ("on or after {}", "在{}及以后"),
    "before": ("before {}", "在{}以前"),
}
_FLAGS: Final[Mapping[tuple[str, bool], Titles]] = {
    ("is", True): ("yes", "是"),
    ("is", False): ("no", "否"),
    ("is_filled", True): ("is known", "已知"),
    ("is_filled", False): ("is not known", "未知"),
}
_JOINED: Final[Mapping[str, Titles]] = {"all": (" and ", "，且"), "any": (" or ", "，或")}
_ENGLISH, _CHINESE = 0, 1


def describe(segment: Node, language: str, attributes: Mapping[str, Mapping[str, str]] | None = None) -> str:
    """The segment as one sentence. `attributes`: titles of the record's attributes by language."""
    words = _Words(_CHINESE if language.startswith("zh") else _ENGLISH, attributes or {})
    return words.of(segment, is_whole=True)


class _Words:
    def __init__(self, tongue: int, attributes: Mapping[str, Mapping[str, str]]) -> None:
        self._tongue, self._attributes = tongue, attributes

    def of(self, node: Node, *, is_whole: bool = False) -> str:
        if isinstance(node, Group):
            if not node.parts:
                return ("everybody", "所有人")[self._tongue]
            said = _JOINED[node.how][self._tongue].join(self.of(part) for part in node.parts)
            return said if is_whole or len(node.parts) == 1 else self._within(said)
        if isinstance(node, Not):
            inner = self.of(node.part, is_whole=True)
            return ("not ", "不符合")[self._tongue] + self._within(inner)
        return self._did(node) if isinstance(node, Did) else self._condition(node)

    def _within(self, said: str) -> str:
        return f"（{said}）" if self._tongue == _CHINESE else f"({said})"

    def _did(self, node: Did) -> str:
        title = node.thing.titles[self._tongue]
        which = self._within(self.of(node.where, is_whole=True)) if node.where is not None else ""
        if self._tongue == _CHINESE:
            said = f"有{title}{which}"
            said += f"，次数{self._compared(node.times)}" if node.times else ""
            return said + (f"，合计{self._compared(node.total)}" if node.total else "")
        said = f"{title} {which}".strip()
        said = f"has {said}"
        said += f", whose number {self._compared(node.times)}" if node.times else ""
        return said + (f", whose total {self._compared(node.total)}" if node.total else "")

    def _condition(self, node: Condition) -> str:
        name = node.field.name.removeprefix(ATTRIBUTE)
        titles = self._attributes.get(name, {}) if node.field.name.startswith(ATTRIBUTE) else {}
        title = titles.get("zh" if self._tongue == _CHINESE else "en") or node.field.titles[self._tongue]
        if node.operator == "is" and isinstance(node.value, bool):
            flag = _FLAGS["is", node.value][self._tongue]
            return f"{title}：{flag}" if self._tongue == _CHINESE else f"{title}: {flag}"
        return f"{title}{'' if self._tongue == _CHINESE else ' '}{self._compared(node)}"

    def _compared(self, node: Condition) -> str:
        if isinstance(node.value, bool):
            return _FLAGS[node.operator, node.value][self._tongue]
        return _SAID[node.operator][self._tongue].format(self._value(node))

    def _value(self, node: Condition) -> str:
        if node.operator == "between":
            least, most = (self._one(node, each) for each in node.value)
            return f"{least}至{most}" if self._tongue == _CHINESE else f"{least} and {most}"
        if isinstance(node.value, tuple):
            return ("、" if self._tongue == _CHINESE else ", ").join(self._one(node, each) for each in node.value)
        return self._one(node, node.value)

    def _one(self, node: Condition, value: Any) -> str:
        if isinstance(value, datetime):
            return value.strftime("%Y-%m-%d %H:%M %z")
        if isinstance(value, date):
            return value.isoformat()
        if node.field.kind == "money":
            return f"{value / 100:.2f}"
        if isinstance(value, str):
            return f"“{value}”"
        return f"{value:g}" if isinstance(value, float) else str(value)
