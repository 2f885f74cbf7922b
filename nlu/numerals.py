"""Numbers in words: 三百五, 两千零五, 一千二百三十点五, 壹佰, 一亿三千万, 二零二六; twenty-five, a hundred and two.

In: a folded text (`nlu.language.fold`). Out: values, or None for what is no number. Pure.
"""

from __future__ import annotations

import re
from decimal import Decimal

ZH_DIGITS = {char: value for value, char in enumerate("零一二三四五六七八九")} | {"两": 2, "〇": 0}
_FORMAL = str.maketrans("壹贰叁参肆伍陆柒捌玖拾佰仟", "一二三三四五六七八九十百千")
_SCALES = {"十": 10, "百": 100, "千": 1000}
_GROUPS = {"万": 10_000, "亿": 100_000_000}

# A Chinese numeral, bounded in length so that no text costs more than its length.
ZH_NUMBER = r"[零〇一二两三四五六七八九十百千万亿壹贰叁肆伍陆柒捌玖拾佰仟]{1,16}"
ZH_DECIMAL = rf"{ZH_NUMBER}(?:点[零〇一二三四五六七八九]{{1,4}})?"
DECIMAL = r"\d{1,3}(?:,\d{3}){1,4}(?:\.\d{1,3})?|\d{1,12}(?:\.\d{1,4})?"

_EN_SMALL = {
    name: value
    for value, name in enumerate(
        (
            "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
            "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
        )
    )
}  # fmt: skip
_EN_TENS = {
    name: value * 10
    for value, name in enumerate(
        ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), start=2
    )
}
_EN_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_EN_WORD = "|".join(sorted({**_EN_SMALL, **_EN_TENS, **_EN_SCALES}, key=len, reverse=True))
EN_NUMBER = rf"(?:an?\s(?=hundred|thousand|million))?(?:{_EN_WORD})(?:(?:\s|-|\sand\s)(?:{_EN_WORD})){{0,7}}"
# What stands behind a number in digits and multiplies it: 1.2万, 12.5k, 3 million; `w` is how 万 is typed in haste.
SCALE = r"万|千|百|亿|百万|千万|k(?![a-z])|w(?![a-z])|m(?![a-z])|thousand(?![a-z])|million(?![a-z])"
_SCALE_VALUES = {
    "万": 10_000, "千": 1000, "百": 100, "亿": 100_000_000, "百万": 1_000_000, "千万": 10_000_000,
    "k": 1000, "w": 10_000, "m": 1_000_000, "thousand": 1000, "million": 1_000_000,
}  # fmt: skip


def zh_number(written: str) -> int | None:
    """The value of a whole Chinese numeral (三百, 两千零五, 一万二, 二零二六); None when it is not one."""
    written = written.translate(_FORMAL)
    if len(written) > 1 and all(char in ZH_DIGITS for char in written):  # read out digit by digit
        return int("".join(str(ZH_DIGITS[char]) for char in written))
    total = section = digit = 0
    last_scale = 1
    for char in written:
        if char in ZH_DIGITS:
            digit = ZH_DIGITS[char]
            last_scale = 1 if digit == 0 else last_scale
        elif char in _SCALES:
            last_scale = _SCALES[char]
            section += (digit or 1) * last_scale
            digit = 0
        elif char in _GROUPS:
            last_scale = _GROUPS[char]
            if char == "亿":  # 一万二千亿 is 12,000 times 10^8, while 一亿三千万 adds 3,000 times 10^4
                total = (total + section + digit) * last_scale
            else:
                total += (section + digit) * last_scale
            section = digit = 0
        else:
            return None
    if digit and last_scale >= 100:  # 三百五 is 350, 一万二 is 12,000
        digit *= last_scale // 10
    return total + section + digit


def zh_decimal(written: str) -> Decimal | None:
    """The value of a Chinese numeral with or without 点 and its decimals; None when it is not one."""
    whole, point, decimals = written.partition("点")
    value = zh_number(whole)
    if value is None or not point:
        return None if value is None else Decimal(value)
    if not decimals or any(char not in ZH_DIGITS for char in decimals):
        return None
    return Decimal(f"{value}.{''.join(str(ZH_DIGITS[char]) for char in decimals)}")


def en_number(written: str) -> int | None:
    """The value of an English numeral in words ("a hundred and two", "twenty-five"); None when it is not one."""
    total = section = 0
    seen = False
    for word in re.split(r"[\s-]+", written.strip()):
        if word in ("and", "a", "an"):
            continue
        seen = True
        if word in _EN_SMALL:
            section += _EN_SMALL[word]
        elif word in _EN_TENS:
            section += _EN_TENS[word]
        elif word == "hundred":
            section = (section or 1) * 100
        elif word in _EN_SCALES:
            total, section = total + (section or 1) * _EN_SCALES[word], 0
        else:
            return None
    return total + section if seen else None


def decimal_of(digits: str, scale: str | None = None) -> Decimal:
    """The value of a number written in digits (1,299.5), times its scale (万, k). Both match the patterns above."""
    return Decimal(digits.replace(",", "")) * _SCALE_VALUES.get((scale or "").strip(), 1)


def plain_decimal(value: Decimal) -> str:
    """A value without an exponent and without zeros after its last decimal: 5, 2.5, 12000."""
    written = f"{value:f}"
    return written.rstrip("0").rstrip(".") if "." in written else written
