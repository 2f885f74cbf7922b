"""How much and how many: 两箱, 3个, 5公斤, 十度电, 三天, 2.5 kg, three boxes, half an hour.

In: a folded text. Out: spans with a value such as "2.5 kg" or "2 box", units in one spelling for both languages. A lone
"one" (一个, a box) is grammar rather than a quantity and is left out, unless the unit measures something.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal

from nlu.numerals import (
    DECIMAL,
    EN_NUMBER,
    ZH_DECIMAL,
    decimal_of,
    en_number,
    plain_decimal,
    zh_decimal,
)

# Units that measure: one of them is a quantity too.
_MEASURES = {
    "kg": ("公斤", "千克", "kg", "kgs", "kilo", "kilos", "kilogram", "kilograms"),
    "g": ("克", "g", "gram", "grams"),
    "jin": ("斤", "市斤"),
    "lb": ("磅", "lb", "lbs"),
    "t": ("吨", "ton", "tons", "tonne", "tonnes"),
    "l": ("升", "公升", "l", "liter", "liters", "litre", "litres"),
    "ml": ("毫升", "ml"),
    "km": ("公里", "千米", "km", "kilometer", "kilometers", "kilometre", "kilometres"),
    "m": ("米", "meter", "meters", "metre", "metres"),
    "cm": ("厘米", "公分", "cm", "centimeter", "centimeters", "centimetre", "centimetres"),
    "mm": ("毫米", "mm"),
    "in": ("英寸", "寸", "inch", "inches"),
    "ft": ("英尺", "feet", "foot"),
    "mi": ("英里", "mile", "miles"),
    "m2": ("平方米", "平米", "平方", "sqm", "square meters", "square metres"),
    "kwh": ("度电", "千瓦时", "千瓦小时", "kwh"),
    "kw": ("千瓦", "kw"),
    "hp": ("匹", "马力", "hp", "horsepower"),
    "w": ("瓦", "w", "watt", "watts"),
    "degree": ("摄氏度", "度", "degree", "degrees"),
    "%": ("%", "percent", "per cent"),
    "second": ("秒", "秒钟", "second", "seconds", "secs"),
    "minute": ("分钟", "minute", "minutes", "min", "mins"),
    "hour": ("小时", "个小时", "钟头", "个钟头", "hour", "hours", "hrs"),
    "day": ("天", "day", "days"),
    "week": ("周", "个星期", "星期", "个礼拜", "礼拜", "week", "weeks"),
    "month": ("个月", "month", "months"),
    "year": ("年", "year", "years"),
}
# Units that count.
_COUNTERS = {
    "piece": ("个", "件", "只", "枚", "支", "根", "块", "片", "颗", "粒", "piece", "pieces", "pcs", "items", "units"),
    "box": ("箱", "盒", "box", "boxes"),
    "bottle": ("瓶", "bottle", "bottles"),
    "bag": ("包", "袋", "bag", "bags"),
    "can": ("罐", "听", "can", "cans", "tin", "tins"),
    "barrel": ("桶", "barrel", "barrels"),
    "cup": ("杯", "cup", "cups"),
    "set": ("套", "set", "sets"),
    "machine": ("台", "部"),
    "vehicle": ("辆", "cars"),
    "pair": ("双", "对", "副", "pair", "pairs"),
    "sheet": ("张", "sheets", "copies"),
    "order": ("单", "笔", "orders"),
    "copy": ("份", "本"),
    "room": ("间", "rooms"),
    "night": ("晚", "night", "nights"),
    "person": ("人", "个人", "位", "people", "persons", "guests", "adults", "children"),
    "time": ("次", "遍", "回", "times"),
    "packet": ("packet", "packets", "packs", "pack"),
    "point": ("积分", "points", "pts"),
}
_UNITS = {spelling: unit for units in (_MEASURES, _COUNTERS) for unit, known in units.items() for spelling in known}
_LATIN = {spelling for spelling in _UNITS if spelling.isascii()}
_ZH = "|".join(sorted((u for u in _UNITS if u not in _LATIN), key=len, reverse=True))
_EN = "|".join(re.escape(u) for u in sorted(_LATIN - {"%"}, key=len, reverse=True))
UNIT_AFTER = rf"(?:{_ZH}|%|(?:{_EN})(?![a-z]))"
_WORDS_AFTER = "|".join(sorted((u for u in _LATIN if len(u) > 3 and u != "points"), key=len, reverse=True))
_QUANTITY = re.compile(
    rf"(?<![第\d.,a-z:/-])(?P<digits>{DECIMAL})(?P<wan>万)?\s?(?P<unit>{UNIT_AFTER})(?P<half>半)?(?![号级楼层])"
    rf"|(?<![第零〇一二两三四五六七八九十百千万])(?P<zh>{ZH_DECIMAL}|半)(?P<zhunit>{_ZH})(?P<zhhalf>半)?(?![号级楼层])"
    rf"|百分之(?P<share>{ZH_DECIMAL}|\d{{1,3}})(?!百)"
    rf"|\b(?P<en>{EN_NUMBER}|half an?|a couple of|a dozen|an?(?=\s(?:kilo|litre|liter|mile)))"
    rf"\s(?P<enunit>{_WORDS_AFTER})\b"
)
_EN_VALUES = {"half a": Decimal("0.5"), "half an": Decimal("0.5"), "a couple of": Decimal(2), "a dozen": Decimal(12)}
# These would be a date, a place in a row, or part of another word.
_NOT_ZH = frozenset({"半天", "一天", "一年", "一周"})
_YEAR = re.compile(r"(?:19|20)\d\d")
_FIRST = "".join(sorted({unit[0] for unit in _UNITS if unit not in _LATIN}))
_BEGINNINGS = "|".join(sorted({unit[:4] for unit in _WORDS_AFTER.split("|")}))
_WORTH_A_LOOK = re.compile(rf"\d|[{_FIRST}]|百分之|{_BEGINNINGS}")


def find_quantities(folded: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, value) of each quantity in a folded text, e.g. (0, 2, "2 box")."""
    if not _WORTH_A_LOOK.search(folded):
        return
    for match in _QUANTITY.finditer(folded):
        value = _value(match)
        if value is not None:
            yield match.start(), match.end(), value


def _value(match: re.Match[str]) -> str | None:
    if share := match["share"]:
        hundredths = Decimal(share) if share.isdecimal() else zh_decimal(share)
        return f"{plain_decimal(hundredths or Decimal(0))} %"
    unit = _UNITS[match["unit"] or match["zhunit"] or match["enunit"]]
    if match["digits"]:
        number = decimal_of(match["digits"], match["wan"])
        if unit == "year" and _YEAR.fullmatch(match["digits"]):
            return None  # 2026年
    elif match["zh"]:
        number = Decimal("0.5") if match["zh"] == "半" else zh_decimal(match["zh"]) or Decimal(0)
    else:
        words = match["en"]
        number = _EN_VALUES.get(words) or Decimal(1 if words in ("a", "an") else en_number(words) or 0)
    if match["half"] or match["zhhalf"]:
        number += Decimal("0.5")
    if match.group() in _NOT_ZH or (unit in _COUNTERS and number == 1 and not match["digits"]):
        return None
    return f"{plain_decimal(number)} {unit}" if number else None
