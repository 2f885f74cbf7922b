"""Questions nobody could answer: customers' words to which the bot only said that it did not understand."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from crm_sync.unclear import page, unclear


@dataclass(frozen=True, slots=True)
class OpenQuestion:
    """One customer's words. The newest come first."""

    text: str
    language: str
    conversation_id: int
    at: datetime


def open_questions(conn: Connection, *, since: datetime, limit: int) -> list[OpenQuestion]:
    """What was asked and not understood since then; what staff called not worth learning is left out."""
    found = page(conn, unclear(since), limit=limit, labelled=None)
    return [
        OpenQuestion(each.text, each.language or "zh", each.conversation_id, each.at)
        for each in found
        if each.label != ""
    ]
