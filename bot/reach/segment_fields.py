"""What a segment may ask about: fields of a customer, things they did or have, and the operators of each kind of value.

Titles are (English, Chinese), as the segment builder and the description in words show them.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Kind = Literal["text", "choice", "whole", "money", "number", "yes_no", "day", "moment", "set"]
Titles = tuple[str, str]

ATTRIBUTE: Final = "attribute."  # + name: of the record, or of an asset; typed by the policy
CONSENT: Final = "consent."  # + purpose: the channels on which they agree to it now


@dataclass(frozen=True, slots=True)
class Field:
    """One thing that can be asked. `values`: the only ones a choice has; empty: any."""

    name: str
    kind: Kind
    titles: Titles
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Thing:
    """Something of which a customer may have several, each at a moment: `fields` tell them apart."""

    name: str
    titles: Titles
    fields: Mapping[str, Field]
    has_total: bool = False  # whether the amounts can be added up
    has_attributes: bool = False  # whether it has more than its fields: what a business keeps of each


def _named(*fields: Field) -> dict[str, Field]:
    return {field.name: field for field in fields}


def _text(name: str, english: str, chinese: str) -> Field:
    return Field(name, "text", (english, chinese))


def _at(english: str, chinese: str) -> Field:
    return Field("at", "moment", (english, chinese))


_AMOUNT: Final = Field("amount", "money", ("amount", "金额"))
_CURRENCY: Final = _text("currency", "currency", "币种")
_SITE: Final = _text("site", "site", "门店")
_KIND: Final = _text("kind", "kind", "类型")
_FIFTHS: Final = tuple(
    Field(name, "whole", titles)
    for name, titles in {
        "recency": ("recency (5 best)", "近度（5 最好）"),
        "frequency": ("frequency (5 best)", "频度（5 最好）"),
        "monetary": ("turnover (5 best)", "额度（5 最好）"),
    }.items()
)

FIELDS: Final[Mapping[str, Field]] = _named(
    _text("name", "name", "姓名"),
    _text("phone", "phone", "电话"),
    Field("phone_is_verified", "yes_no", ("phone is verified", "电话已验证")),
    _text("email", "e-mail", "邮箱"),
    _text("language", "language", "语言"),
    _text("timezone", "time zone", "时区"),
    Field("credit_class", "choice", ("credit class", "信用等级"), ("A", "B", "C", "D")),
    Field("joined", "moment", ("joined", "建档时间")),
    Field("tag", "set", ("tags", "标签")),
    Field("list", "set", ("lists", "名单")),
    Field("channel", "set", ("reachable on", "可触达渠道")),
    Field("topic_off", "set", ("topics not wanted", "不想收的话题")),
    Field("last_contact", "moment", ("last contact", "最近联系")),
    Field("last_wrote", "moment", ("wrote last", "客户最近来信")),
    Field("value_class", "choice", ("value class", "价值等级"), ("A", "B", "C")),
    Field(
        "lifecycle",
        "choice",
        ("stage", "生命周期"),
        ("new", "growing", "stable", "fading", "lost", "won_back"),
    ),
    _text("next_action", "next action", "下一步"),
    *_FIFTHS,
    Field("bought_last", "moment", ("bought last", "最近消费")),
    Field("turnover_year", "money", ("turnover of the last year", "近一年消费")),
    Field("turnover_before", "money", ("turnover of the year before", "上一年消费")),
    Field("points", "whole", ("points", "积分")),
)

THINGS: Final[Mapping[str, Thing]] = {
    thing.name: thing
    for thing in (
        Thing(
            "order",
            ("orders", "订单"),
            _named(
                _at("placed", "下单时间"),
                _text("items", "items", "商品"),
                _text("status", "status", "状态"),
                _text("store", "store", "店铺"),
                _AMOUNT,
                _CURRENCY,
            ),
            has_total=True,
        ),
        Thing(
            "visit",
            ("visits", "到店"),
            _named(_at("came", "到店时间"), _KIND, _text("items", "items", "内容"), _SITE, _AMOUNT, _CURRENCY),
            has_total=True,
        ),
        Thing(
            "case",
            ("cases", "工单"),
            _named(
                _at("opened", "受理时间"),
                _KIND,
                _text("category", "category", "类别"),
                _text("status", "status", "状态"),
                Field("severity", "whole", ("severity", "严重程度")),
                Field("is_open", "yes_no", ("open", "未结")),
                Field("score", "whole", ("satisfaction", "满意度")),
            ),
        ),
        Thing(
            "asset",
            ("assets", "资产"),
            _named(
                _at("since", "起始时间"),
                _KIND,
                _text("key", "number", "编号"),
                _text("name", "name", "名称"),
                Field("until", "moment", ("until", "终止时间")),
            ),
            has_attributes=True,
        ),
        Thing(
            "appointment",
            ("appointments", "预约"),
            _named(
                _at("begins", "开始时间"),
                _text("service", "service", "服务"),
                Field("state", "choice", ("state", "状态"), ("booked", "moved", "cancelled", "done", "missed")),
                _SITE,
            ),
        ),
        Thing(
            "due",
            ("payments", "应付款"),
            _named(
                Field("at", "day", ("due", "到期日")),
                _KIND,
                Field("is_paid", "yes_no", ("paid", "已付")),
                _AMOUNT,
                _CURRENCY,
            ),
            has_total=True,
        ),
        Thing(
            "survey",
            ("survey answers", "问卷回答"),
            _named(_at("answered", "回答时间"), _KIND, Field("score", "whole", ("score", "评分"))),
        ),
        Thing(
            "broadcast",
            ("broadcasts received", "收到的群发"),
            _named(
                _at("sent", "发送时间"),
                _text("name", "name", "名称"),
                Field("clicked", "moment", ("clicked", "点击时间")),
                Field("replied", "moment", ("replied", "回复时间")),
            ),
        ),
    )
}

_PLAIN_NAME: Final = re.compile(r"[A-Za-z0-9_\u4e00-\u9fff][A-Za-z0-9_ \u4e00-\u9fff-]{0,59}")


def field_of(thing: Thing, name: str, attributes: Mapping[str, str]) -> Field | None:
    """The field of a thing; None when there is none. What is kept of an asset has the type the record's attribute of
    that name has, and is a text where there is none.
    """
    if not (thing.has_attributes and name.startswith(ATTRIBUTE)):
        return thing.fields.get(name)
    attribute = name.removeprefix(ATTRIBUTE)
    if not _PLAIN_NAME.fullmatch(attribute):
        return None
    return field_named(name, {attribute: attributes.get(attribute, "text")})


def fields_of(thing: Thing) -> tuple[str, ...]:
    """The names of all its fields there are."""
    return (*thing.fields, *([ATTRIBUTE + "…"] if thing.has_attributes else []))


# Operator -> what it takes. "days" is a whole number of days, "when" a day or an aware moment, "pair" two numbers.
Takes = Literal["one", "many", "flag", "days", "when", "pair"]
_IS_FILLED: Final[Mapping[str, Takes]] = {"is_filled": "flag"}
_ORDERED: Final[Mapping[str, Takes]] = {
    "is": "one",
    "is_not": "one",
    "at_least": "one",
    "at_most": "one",
    "more_than": "one",
    "less_than": "one",
    "between": "pair",
    **_IS_FILLED,
}
_IN_TIME: Final[Mapping[str, Takes]] = {
    "within_days": "days",  # the last so many days, until now
    "longer_ago_days": "days",
    "next_days": "days",  # from now on
    "after": "when",
    "before": "when",
    **_IS_FILLED,
}
_NAMED: Final[Mapping[str, Takes]] = {"is": "one", "is_not": "one", "one_of": "many", "none_of": "many", **_IS_FILLED}
OPERATORS: Final[Mapping[Kind, Mapping[str, Takes]]] = {
    "text": {**_NAMED, "contains": "one", "starts_with": "one"},
    "choice": _NAMED,
    "whole": _ORDERED,
    "money": _ORDERED,
    "number": _ORDERED,
    "yes_no": {"is": "flag"},
    "day": {**_IN_TIME, "is": "when", "anniversary_days": "days"},  # e.g. birthdays of the next so many days
    "moment": _IN_TIME,
    "set": {"has": "one", "has_any": "many", "has_none": "many", **_IS_FILLED},
}

_KINDS_OF_ATTRIBUTES: Final[Mapping[str, Kind]] = {
    "text": "text",
    "choice": "choice",
    "number": "number",
    "whole": "whole",
    "yes_no": "yes_no",
    "date": "day",
}


def field_named(name: str, attributes: Mapping[str, str]) -> Field | None:
    """The field of a customer; None when there is none. `attributes`: those of the policy, with their types."""
    if name.startswith(ATTRIBUTE):
        attribute = name.removeprefix(ATTRIBUTE)
        if attribute not in attributes:
            return None
        return Field(name, _KINDS_OF_ATTRIBUTES[attributes[attribute]], (attribute, attribute))
    if name.startswith(CONSENT):
        purpose = name.removeprefix(CONSENT)
        return Field(name, "set", (f"agreed to {purpose} on", f"同意{purpose}的渠道")) if purpose else None
    return FIELDS.get(name)


def known_fields(attributes: Mapping[str, str]) -> tuple[str, ...]:
    """The names of all fields there are."""
    return (*FIELDS, *(ATTRIBUTE + name for name in attributes), CONSENT + "…")
