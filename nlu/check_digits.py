"""Check digits of numbers that have one, by the name of the method. Pure.

In: a number as written, with blanks, dashes and letters. Out: whether its last place fits the places before it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType


def luhn(number: str) -> bool:
    """Bank and membership cards, IMEI (ISO/IEC 7812-1)."""
    digits = _digits(number)
    doubled = (digit * 2 - 9 if digit > 4 else digit * 2 for digit in digits[-2::-2])
    return len(digits) > 1 and (sum(doubled) + sum(digits[::-2])) % 10 == 0


def gs1(number: str) -> bool:
    """EAN, UPC, SSCC: weights 3 and 1 from the right (GS1 General Specifications)."""
    digits = _digits(number)
    return len(digits) > 1 and (sum(digits[::-2]) + 3 * sum(digits[-2::-2])) % 10 == 0


def mod11_2(number: str) -> bool:
    """The last place 0 to 9 or X (ISO/IEC 7064, MOD 11-2): Chinese identity numbers (GB 11643), ORCID."""
    places = [char for char in number.upper() if char.isdecimal() or char == "X"]
    if len(places) < 2 or "X" in places[:-1]:
        return False
    total = 0
    for place in places[:-1]:
        total = (total + int(place)) * 2 % 11
    return (total + (10 if places[-1] == "X" else int(places[-1]))) % 11 == 1


def mod97(number: str) -> bool:
    """The last two places (ISO/IEC 7064, MOD 97-10); letters count from A = 10."""
    places = [char for char in number.upper() if char.isascii() and char.isalnum()]
    return len(places) > 2 and int("".join(str(int(place, 36)) for place in places)) % 97 == 1


def _digits(number: str) -> list[int]:
    return [int(char) for char in number if char.isdecimal()]


METHODS: Mapping[str, Callable[[str], bool]] = MappingProxyType(
    {"luhn": luhn, "gs1": gs1, "mod11_2": mod11_2, "mod97": mod97}
)
