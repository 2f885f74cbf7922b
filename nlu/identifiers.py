"""Numbers that name something: telephones, e-mail addresses, bank cards, identity numbers, plates, orders, cases.

In: a folded text. Out: `Found` spans with the value in its one form; they may overlap. Pure; no text raises anything.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from nlu.check_digits import luhn, mod11_2
from nlu.quantities import UNIT_AFTER

PHONE_REGIONS = ("CN", "GB", "US", "HK", "TW", "SG", "AU", "CA")


class Found(NamedTuple):
    name: str
    start: int
    end: int
    value: str


def find_identifiers(folded: str) -> Iterator[Found]:
    """Everything here that a folded text holds. Without a digit there is nothing but an e-mail address."""
    if _DIGIT.search(folded):
        yield from _case_numbers(folded)
        yield from _long_numbers(folded)
        yield from _phones(folded)
        yield from _plates(folded)
        yield from _order_numbers(_LONG.sub(_blank, folded))
    if "@" in folded:
        for match in _EMAIL.finditer(folded):
            yield Found("email", *match.span(), match.group())


_DIGIT = re.compile(r"\d")
_EMAIL = re.compile(r"(?<![a-z0-9._%+-])[a-z0-9._%+-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}(?![a-z0-9])")

# --- orders and cases ----------------------------------------------------------------------------------------------

_DASH = r"[-\u2010-\u2015\u2212_]"
_CASE = re.compile(rf"(?<![a-z0-9])c(?:\s?{_DASH}\s?|(?=\d{{4}}))(\d{{3,8}})(?:\s?{_DASH}\s?(\d))?(?![a-z0-9])")
# Not a piece of a longer number, a decimal, a date, a time or an e-mail address.
_ORDER = re.compile(
    rf"(?<![a-z0-9.,/@_-])(?<!\d:)(?P<so>so\s?{_DASH}?\s?)?(?P<digits>\d{{4,8}})(?![a-z0-9_@]|[.,:/-]\d|\s?%)"
)
_NOT_AN_ORDER_AFTER = re.compile(
    rf"\s?(?:元|块|圆|年|月|日|号楼|点|分|角|美|港|欧|英|{UNIT_AFTER}|万|千|百"
    r"|(?:yuan|rmb|cny|usd|dollars?|bucks|euros?|stores?|k)(?![a-z]))"
)
_NOT_AN_ORDER_BEFORE = re.compile(r"(?:[¥$€£]|(?:since|in|year|of|until|by|rmb|cny|usd|pin|code|验证码|邮编)[\s:]*)$")
_YEARS = range(1990, 2100)


def _case_numbers(folded: str) -> Iterator[Found]:
    for match in _CASE.finditer(folded):
        yield Found("case_number", *match.span(), f"C-{match[1]}" + (f"-{match[2]}" if match[2] else ""))


def _order_numbers(folded: str) -> Iterator[Found]:
    for match in _ORDER.finditer(folded):
        if not match["so"]:
            before = _NOT_AN_ORDER_BEFORE.search(folded, max(0, match.start() - 12), match.start())
            is_year = len(match["digits"]) == 4 and int(match["digits"]) in _YEARS
            if before and (is_year or before.group().strip(" :") not in ("in", "of", "by", "since", "until")):
                continue
            if _NOT_AN_ORDER_AFTER.match(folded, match.end()):
                continue
        yield Found("order_number", *match.span(), _order_value(match))


def _order_value(match: re.Match[str]) -> str:
    return f"SO-{match['digits']}" if match["so"] else match["digits"]


def normal_order_number(folded: str) -> str | None:
    """The order number in its one form when that is all the text is; None for anything else."""
    match = _ORDER.fullmatch(folded)
    return _order_value(match) if match else None


# --- telephones ----------------------------------------------------------------------------------------------------

_PHONE = re.compile(r"(?<![a-z0-9.])(?:\+|00)?\(?\d[\d \-().]{6,20}\d(?![a-z0-9])")
_CN_MOBILE = re.compile(r"(?:(?:\+|00)?86)?(1[3-9]\d{9})")  # of the digits and the + before them
_DATE_LIKE = re.compile(r"\d{4}[-./ ]\d{1,2}[-./ ]\d{1,2}")
# Numbers of a message that are looked up in the tables of phonenumbers: each is tried in several regions.
_MAX_TRIED = 5
_NOT_DIGIT = re.compile(r"[^\d+]")


def _phones(folded: str) -> Iterator[Found]:
    tried = 0
    for match in _PHONE.finditer(folded):
        digits = _NOT_DIGIT.sub("", match.group())
        if not 9 <= len(digits.lstrip("+")) <= 15 or _DATE_LIKE.match(match.group()):
            continue
        mobile = _CN_MOBILE.fullmatch(digits)
        tried += mobile is None
        if mobile is None and tried > _MAX_TRIED:
            continue
        number = f"+86{mobile[1]}" if mobile else _e164(match.group())
        if number:
            yield Found("phone", *match.span(), number)


def _e164(written: str) -> str:
    """The number in E.164 for the first region where it is valid; empty when none."""
    import phonenumbers  # late: its tables cost 20 ms, and most numbers never get here

    if written.startswith("00"):
        written = "+" + written[2:]
    for region in (None,) if written.startswith("+") else PHONE_REGIONS:
        try:
            number = phonenumbers.parse(written, region)
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(number):
            return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
    return ""


# --- bank cards and identity numbers -------------------------------------------------------------------------------

_LONG = re.compile(r"(?<![\da-z.])(?<!\d[ -])\d(?:[ -]?\d){12,18}x?(?![\da-z]|[ -]\d)")
# 18 places: region, birthday, running number, check digit (GB 11643).
_IDENTITY = re.compile(r"[1-9]\d{5}(?:18|19|20)\d\d(?:0[1-9]|1[0-2])(?:0[1-9]|[12]\d|3[01])\d{3}[\dx]")


def _blank(match: re.Match[str]) -> str:
    """As long as the match: a group of its digits is no order number, wherever its check digit leads."""
    return "x" * len(match.group())


def _long_numbers(folded: str) -> Iterator[Found]:
    """Numbers of 13 to 19 digits whose check digit is right: the wrong ones are somebody's reference."""
    for match in _LONG.finditer(folded):
        places = match.group().replace(" ", "").replace("-", "")
        if _IDENTITY.fullmatch(places) and mod11_2(places):
            yield Found("id_number", *match.span(), places.upper())
        elif "x" not in places and places[0] != "0" and luhn(places):
            yield Found("bank_card", *match.span(), places)


# --- number plates -------------------------------------------------------------------------------------------------

_PROVINCES = "京津沪渝冀豫云辽黑湘皖鲁苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼新"
# GA 36: province, letter, 5 places (6 for electric cars) without I and O, the last perhaps 挂, 学, 警, 港 or 澳.
_PLATE = re.compile(
    rf"(?P<cn>[{_PROVINCES}]\s?[a-hj-np-z]\s?[·•.\-]?\s?(?=[a-z]{{0,5}}\d)"
    r"(?:[a-hj-np-z\d]{5,6}|[a-hj-np-z\d]{4}[挂学警港澳]))"
    r"(?![a-z\d])"
    r"|\b(?:number ?plate|licen[cs]e plate|plate|registration|reg)(?: number| no\.?)?(?: is|:| =|)"
    r"\s(?P<said>(?=[a-z \-]{0,6}\d)[a-z\d]{2,4}[ -]?[a-z\d]{2,4})(?![a-z\d])"
    r"|(?<![a-z\d])(?P<gb>[a-hj-np-y][a-hj-np-z]\d\d [a-hj-np-z]{3})(?![a-z\d])"
)
_PLATE_MARKS = re.compile(r"[\s·•.\-]")


def _plates(folded: str) -> Iterator[Found]:
    for match in _PLATE.finditer(folded):
        kind = match.lastgroup or "cn"
        yield Found("plate", *match.span(kind), _PLATE_MARKS.sub("", match[kind]).upper())
