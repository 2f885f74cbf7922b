"""What a notice of the bell says, and where what it is about is shown."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from urllib.parse import urlencode

from console.words import WORDS
from desk.notes import ABOUT_CASES, StaffNotice


def words_of(notice: StaffNotice, t: Callable[..., str]) -> str:
    """`t` says the words of a key in the reader's language; never what a customer wrote."""
    key = f"notice.{notice.kind}"
    return t(key, by=notice.by or "–", case=notice.reference) if key in WORDS else notice.kind


def place_of(notice: StaffNotice) -> str:
    """The address of it; "" where there is nothing to see."""
    if notice.conversation_id is not None:
        return f"/console/inbox/{notice.conversation_id}"
    if notice.kind in ABOUT_CASES:
        return f"/console/cases/{notice.reference}"
    if notice.kind == "report_summary":
        since, _, until = notice.reference.partition(":")
        last = date.fromisoformat(until) - timedelta(days=1)
        return f"/console/reports/volume?{urlencode({'range': 'own', 'since': since, 'to': last.isoformat()})}"
    return "/console/cases" if notice.kind == "case_spike" else ""
