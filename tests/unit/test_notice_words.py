"""Values of a notice that are put into words when it is said."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.noticing import worded
from bot.service.appointments import AppointmentRules, BookableService
from bot.types import Language
from tests.builders import NOON, shop


@pytest.mark.parametrize(
    ("value", "language", "said"),
    [
        ("@service:brakes", "zh", "更换刹车片"),
        ("@service:brakes", "en", "Brake pads"),
        ("@service:gone", "en", "gone"),
        ("@zh:北京|@en:Peking", "en", "Peking"),
        ("@@service:brakes", "en", "@service:brakes"),
    ],
)
def test_a_value_is_said_in_the_customers_language(value: str, language: Language, said: str) -> None:
    brakes = BookableService("brakes", {"zh": "更换刹车片", "en": "Brake pads"})
    service = replace(shop().service, appointments=AppointmentRules(services={"brakes": brakes}))
    assert worded(value, replace(shop(), service=service), language, NOON) == said
