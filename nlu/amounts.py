"""Sums of money: 一千二百三十元五角, 三块五, 9块9, 1.2万元, ¥1,299, $12.5k, 20 bucks, two hundred yuan, 5毛钱.

In: a folded text. Out: spans with a value such as "1230.50 CNY". Pure; nothing is raised for any text.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from nlu.numerals import (
    DECIMAL,
    EN_NUMBER,
    SCALE,
    ZH_DECIMAL,
    ZH_DIGITS,
    decimal_of,
    en_number,
    zh_decimal,
)

_SYMBOLS = {
    "¥": "CNY", "$": "USD", "us$": "USD", "hk$": "HKD", "nt$": "TWD", "s$": "SGD", "a$": "AUD", "c$": "CAD",
    "€": "EUR", "£": "GBP",
}  # fmt: skip
_UNITS = {
    "CNY": ("元", "块钱", "块", "圆", "人民币", "rmb", "cny", "yuan", "kuai", "renminbi"),
    "USD": ("美元", "美金", "刀", "usd", "us dollars", "dollars", "dollar", "bucks", "buck", "$"),
    "EUR": ("欧元", "eur", "euros", "euro", "€"),
    "GBP": ("英镑", "gbp", "pounds", "pound sterling", "quid", "£"),
    "HKD": ("港币", "港元", "hkd", "hong kong dollars"),
    "TWD": ("新台币", "台币", "twd"),
    "JPY": ("日元", "日币", "jpy", "yen"),
    "SGD": ("新加坡元", "新币", "sgd", "singapore dollars"),
    "AUD": ("澳元", "澳币", "aud", "australian dollars"),
    "CAD": ("加元", "加币", "cad", "canadian dollars"),
    "KRW": ("韩元", "韩币", "krw", "won"),
}
_CURRENCY_OF = {unit: currency for currency, units in _UNITS.items() for unit in units} | _SYMBOLS
_ONLY_BEFORE = {"us$", "hk$", "nt$", "s$", "a$", "c$", "¥"}
_UNIT = "|".join(sorted((re.escape(u) for u in _CURRENCY_OF if u not in _ONLY_BEFORE), key=len, reverse=True))
_ZH_UNIT = "|".join(sorted((u for u in _CURRENCY_OF if not u.isascii() and u not in "¥€£刀"), key=len, reverse=True))
_BEFORE = r"(?:(?:hk|us|nt|(?<![a-z])[sac])?\$|[¥€£])|(?<![a-z])(?:rmb|cny|usd|eur|gbp|hkd|jpy|sgd|aud)|人民币"
_DIGIT = r"\d|[一二两三四五六七八九]"
# What may follow 元: 五角, 5毛3分, or a lone digit that counts tenths (三块五).
_COINS = (
    rf"(?:零?(?P<jiao{{n}}>{_DIGIT})[角毛](?:(?P<fen{{n}}>{_DIGIT})分?)?"
    r"|(?P<tail{n}>\d(?!\d|\.\d|[月号日点:/折])|[一二三四五六七八九半](?![十百千万点月号日折])))?"
)
_NOT_MONEY = r"(?![a-z]|[旦宵素件首区域地])"
_AMOUNT = re.compile(
    rf"(?P<before>{_BEFORE})\s?(?P<a>{DECIMAL})(?:\s?(?P<scale1>{SCALE}))?(?:\s?(?:元|块钱?|美元|yuan))?(?!\d)"
    rf"|(?<![\d.,a-z-])(?P<b>{DECIMAL})\s?(?P<scale2>{SCALE})?\s?(?P<after>{_UNIT})(?!\s?(?:gift|off\b))?"
    rf"{_COINS.format(n=1)}{_NOT_MONEY}"
    rf"|(?<![第零一二两三四五六七八九十百千万\d.])(?P<zh>{ZH_DECIMAL})(?P<zhafter>{_ZH_UNIT})"
    rf"{_COINS.format(n=2)}{_NOT_MONEY}"
    rf"|(?<![\d.第零一二两三四五六七八九十百千万])(?P<coin>\d{{1,3}}|{_DIGIT})(?P<coinunit>毛钱?|角钱?|分钱)(?![形星度落色多])"
    rf"|\b(?P<en>{EN_NUMBER})\s(?P<enafter>us dollars|dollars?|bucks?|yuan|kuai|rmb|euros?|pounds|quid|yen)\b"
    r"|(?<![\d.,a-z-])(?P<cents>\d{1,3})\s?(?:cents?\b|¢)"
)
_MAY_BE_MONEY = re.compile(
    r"[¥$€£¢元块圆刀毛角]|分钱|人民币|美金|英镑|[台港日澳加新韩]币|rmb|cny|usd|yuan|kuai|dollar|buck|eur|pound|quid|gbp|hkd"
    r"|[jt]wd|jpy|sgd|aud|cad|krw|yen|won|cents?\b"
)


def find_amounts(folded: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, value) of each sum in a folded text, e.g. (0, 9, "1230.50 CNY")."""
    if not _MAY_BE_MONEY.search(folded):
        return
    for match in _AMOUNT.finditer(folded):
        value = _value(match)
        if value is not None:
            yield match.start(), match.end(), value


def _value(match: re.Match[str]) -> str | None:
    if match["cents"]:
        return f"{Decimal(match['cents']) / 100:.2f} USD"
    if match["coin"]:
        tens = Decimal(_digit(match["coin"]))
        return f"{tens / (100 if match['coinunit'] == '分钱' else 10):.2f} CNY"
    unit = match["before"] or match["after"] or match["zhafter"] or match["enafter"]
    number = _number(match, unit)
    if not number:
        return None
    number += _coins(match, unit)
    return f"{number:.2f} {_CURRENCY_OF[unit]}"


def _number(match: re.Match[str], unit: str) -> Decimal | None:
    if match["zh"]:
        # 一块 is more often "together" or "a piece" than money, unless 钱 or a coin follows.
        if unit == "块" and match["zh"] in ("一", "两") and not _coins(match, unit):
            return None
        return zh_decimal(match["zh"])
    if match["en"]:
        value = en_number(match["en"])
        return None if value is None else Decimal(value)
    if match["a"]:
        return decimal_of(match["a"], match["scale1"])
    return decimal_of(match["b"], match["scale2"])


def _coins(match: re.Match[str], unit: str) -> Decimal:
    """What is said behind the unit, in whole ones: 五角 is 0.5, and so is the 五 of 三块五."""
    if unit not in ("块", "元", "圆", "块钱", "人民币"):
        return Decimal(0)
    for place in "12":
        if tail := match[f"tail{place}"]:
            return Decimal(_digit(tail)) / 10
        if match[f"jiao{place}"]:
            fen = match[f"fen{place}"]
            return Decimal(_digit(match[f"jiao{place}"])) / 10 + Decimal(_digit(fen) if fen else 0) / 100
    return Decimal(0)


def _digit(written: str) -> int:
    if written == "半":
        return 5
    return ZH_DIGITS[written] if written in ZH_DIGITS else int(written)
