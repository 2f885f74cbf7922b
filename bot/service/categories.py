"""What a complaint may be about: a tree of categories with quality types, and the words that tell them apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bot.located import invalid, only_keys, table, text
from bot.stems import stems
from bot.types import Language

OTHER = "other"
SAFETY = "safety"  # where words of danger lead, unless a quality type says more
DANGER = 4
_KEYS = ("names", "words", "severity", "team", "parent", "quality_types")
_NOTHING = re.compile(r"(?!)")


@dataclass(frozen=True)
class QualityType:
    """A fault the business counts by itself: what is wrong, within a category."""

    key: str
    names: Mapping[Language, str] = field(default_factory=dict)
    words: re.Pattern[str] = _NOTHING
    severity: int = 1  # at least
    team: str = ""  # whose it is where no rule of `routing` says otherwise; "": as the category says


@dataclass(frozen=True)
class Category:
    """A branch of the tree. `parent` "": at its root."""

    key: str
    names: Mapping[Language, str] = field(default_factory=dict)
    words: re.Pattern[str] = _NOTHING
    severity: int = 1
    team: str = ""
    parent: str = ""
    quality_types: Mapping[str, QualityType] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """What words were found to be about. `severity`: at least this much, whatever the tone."""

    category: str = OTHER
    quality_type: str = ""
    severity: int = 1
    team: str = ""


@dataclass(frozen=True)
class Categories:
    """The tree, from the most telling branch to the most general one: the first that fits counts."""

    by_key: Mapping[str, Category] = field(default_factory=dict)

    def find(self, words: str, *, is_danger: bool = False) -> Finding:
        """The category and quality type of these words: a quality type says more than a category's own words."""
        for category in self.by_key.values():
            for quality in category.quality_types.values():
                if quality.words.search(words):
                    return self.finding(category.key, quality.key, is_danger=is_danger)
        fitting = (category.key for category in self.by_key.values() if category.words.search(words))
        if is_danger:
            return self.finding(SAFETY if SAFETY in self.by_key else next(fitting, SAFETY), is_danger=True)
        return self.finding(next(fitting, OTHER))

    def finding(self, category: str, quality_type: str = "", *, is_danger: bool = False) -> Finding:
        """What follows from a category and quality type; what they do not say is taken from the branches above."""
        branch = self.branch(category)
        quality = branch[0].quality_types.get(quality_type) if branch else None
        levels = (*((quality,) if quality else ()), *branch)
        severity = next((level.severity for level in levels if level.severity > 1), 1)
        return Finding(
            category,
            quality.key if quality else "",
            DANGER if is_danger else severity,
            next((level.team for level in levels if level.team), ""),
        )

    def branch(self, category: str) -> tuple[Category, ...]:
        """The category and those above it; empty for one the tree does not have."""
        found: list[Category] = []
        while category in self.by_key and len(found) < len(self.by_key):
            found.append(self.by_key[category])
            category = found[-1].parent
        return tuple(found)

    def name(self, category: str, quality_type: str, language: Language) -> str:
        """What the customer and staff read; "" for what has no name in the tree."""
        branch = self.branch(category)
        quality = branch[0].quality_types.get(quality_type) if branch else None
        return next(
            (level.names[language] for level in (quality, *branch[:1]) if level and language in level.names), ""
        )

    def names(self, key: str) -> Mapping[Language, str]:
        """What a category or quality type is called; nothing for one that is not in the tree."""
        if key in self.by_key:
            return self.by_key[key].names
        return next((each.quality_types[key].names for each in self.by_key.values() if key in each.quality_types), {})


def default_categories() -> Categories:
    """What nearly every business hears, for those that say nothing else."""
    known = (
        Category(SAFETY, {"zh": "安全", "en": "safety"}),  # found by words of danger
        Category(
            "refund",
            {"zh": "退款", "en": "refund"},
            stems(
                "退款没 退款一直 退款还 没退 退钱 到账 多扣 扣款 扣了两次",
                "my refund, the refund, no refund, refunded, charged, charge",
            ),
        ),
        Category(
            "delivery",
            {"zh": "配送", "en": "delivery"},
            stems(
                "快递 物流 送货 配送 发货 没到 没收到 未收到 没送到 迟到 晚到 延误 丢件 包裹 到货",
                "deliver*, shipp*, courier*, parcel*, package*, late, arriv*, never came, lost",
            ),
        ),
        Category(
            "staff",
            {"zh": "服务态度", "en": "service"},
            stems(
                "态度 店员 员工 服务员 营业员 师傅 导购 没人理 不理人 服务差 服务太差",
                "rude, staff, employee*, cashier*, manager*, service, unfriendly, ignored me, shouted",
            ),
        ),
        Category(
            "product",
            {"zh": "商品质量", "en": "product quality"},
            stems(
                "坏 破 裂 碎 质量 故障 失灵 漏 异响 不能用 用不了 掉色 少件 缺 瑕疵 发错 划痕 生锈",
                "broke*, crack*, defect*, fault*, quality, leak*, noise*, noisy, not work*, doesn't work, "
                "does not work, stopped working, damaged, missing, wrong item, scratch*, rust*",
            ),
        ),
        Category(
            "price",
            {"zh": "价格", "en": "prices"},
            stems("价格 涨价 降价 价保 优惠", "price*, discount*, overcharg*"),
        ),
        Category(
            "account",
            {"zh": "账户", "en": "account"},
            stems("账号 账户 积分 会员 登录", "account, points, login, membership"),
        ),
    )
    return Categories({category.key: category for category in known})


# --- reading ------------------------------------------------------------------------------------------------------


def read_categories(section: dict[str, Any]) -> Categories:
    """The tree in the table `categories`. Raises: AssistantInvalid with file, line and reason."""
    found: dict[str, Category] = {}
    for key, value in section.items():
        body = table(value, f"category {key}", section, key)
        only_keys(body, _KEYS, f"category {key}")
        kinds = table(body.get("quality_types", {}), "quality_types", body, "quality_types")
        found[key] = Category(
            **_common(key, body),
            parent=text(body["parent"], "parent", body, "parent") if "parent" in body else "",
            quality_types={name: _quality(name, kinds) for name in kinds},
        )
    for key, category in found.items():
        if category.parent and category.parent not in found:
            raise invalid(f"there is no category {category.parent!r}", section[key], "parent")
        above, seen = category.parent, {key}
        while above:
            if above in seen:
                raise invalid(f"category {key} is above itself", section[key], "parent")
            seen.add(above)
            above = found[above].parent
    return Categories(found)


def _quality(key: str, section: dict[str, Any]) -> QualityType:
    body = table(section[key], f"quality type {key}", section, key)
    only_keys(body, ("names", "words", "severity", "team"), f"quality type {key}")
    return QualityType(**_common(key, body))


def _common(key: str, body: dict[str, Any]) -> dict[str, Any]:
    severity = body.get("severity", 1)
    if isinstance(severity, bool) or severity not in (1, 2, 3, 4):
        raise invalid("severity is a number from 1 to 4", body, "severity")
    return {
        "key": key,
        "names": read_names(body, "names"),
        "words": read_words_pattern(body, "words"),
        "severity": severity,
        "team": text(body["team"], "team", body, "team") if "team" in body else "",
    }


def read_names(body: dict[str, Any], key: str) -> Mapping[Language, str]:
    """Names by language. Raises: AssistantInvalid."""
    if key not in body:
        return {}
    names = table(body[key], key, body, key)
    only_keys(names, ("zh", "en"), key)
    return {language: text(names[language], key, names, language) for language in ("zh", "en") if language in names}


def read_words_pattern(body: dict[str, Any], key: str) -> re.Pattern[str]:
    """Words to recognise something by: Chinese divided by blanks, English by commas. Raises: AssistantInvalid."""
    if key not in body:
        return _NOTHING
    words = table(body[key], key, body, key)
    only_keys(words, ("zh", "en"), key)
    zh, en = (text(words[language], key, words, language) if language in words else "" for language in ("zh", "en"))
    return stems(zh, en)
