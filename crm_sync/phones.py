"""Phone numbers in one form, so that the same number is found however it was written."""

from __future__ import annotations

from typing import Final

HOME_REGION: Final = "CN"  # where a number without a country code belongs


def normalise_phone(text: str) -> str | None:
    """The number in E.164; None when it cannot be one."""
    import phonenumbers  # its metadata takes a while to load and most processes never need it

    try:
        number = phonenumbers.parse(text, HOME_REGION)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_possible_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)
