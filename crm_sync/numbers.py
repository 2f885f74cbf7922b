"""Case numbers such as C-1024-7: a running number and a check digit."""

from __future__ import annotations

import re
from typing import Final

from sqlalchemy import Connection, insert, update

from crm_sync.statements import Statement
from crm_sync.tables import counters

FIRST: Final = 1024  # short enough to say on the phone, long enough not to say how new the shop is
_COUNTER: Final = "case_number"
_RAISED: Final = Statement(
    update(counters).where(counters.c.name == _COUNTER).values(value=counters.c.value + 1).returning(counters.c.value)
)
_WRITTEN = re.compile(r"\s*[cC]?\s*[-–—－]?\s*(\d{1,18})(?:\s*[-–—－]\s*(\d))?\s*", re.ASCII)


def check_digit(number: int) -> int:
    """Modulus 10 with weights 1 and 3 alternating from the right.

    Finds every single wrong digit and every swap of neighbours, except of digits that differ by five.
    """
    total = sum(int(digit) * (3 if place % 2 else 1) for place, digit in enumerate(reversed(str(number))))
    return -total % 10


def written(number: int) -> str:
    """The case number as customers see it."""
    return f"C-{number}-{check_digit(number)}"


def read(text: str) -> str | None:
    """The full case number meant by `text` ("C-1024-7", "c1024", "1024"); None when it is none or mistyped."""
    match = _WRITTEN.fullmatch(text)
    if match is None:
        return None
    number = int(match[1])
    if match[2] is not None and int(match[2]) != check_digit(number):
        return None
    return written(number)


def next_case_number(conn: Connection) -> str:
    """A number nobody else gets, in any process."""
    raised = next(iter(_RAISED.rows(conn, {})), None)
    if raised is None:
        conn.execute(insert(counters), {"name": _COUNTER, "value": FIRST})
        return written(FIRST)
    return written(raised.value)
