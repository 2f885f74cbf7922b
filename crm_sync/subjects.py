"""Whom an effect is about, and the line in their timeline that says what it did."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.types import Owner
from crm_sync.statements import insert_rows
from crm_sync.tables import timeline


@dataclass(slots=True)
class Subject:
    """The conversation an effect is about, as it stands inside the transaction; ownership may change on the way."""

    conversation_id: int
    customer_id: int
    identity_id: int
    channel: str
    owner: Owner
    fence: int
    now: datetime
    team: str = ""
    priority: int = 0
    waiting_since: datetime | None = None
    inbox_id: int | None = None  # the message whose effects are written


def note(conn: Connection, subject: Subject, kind: str, summary: str, reference: str = "") -> None:
    """The customer's timeline has this line."""
    insert_rows(conn, timeline, [line_of(subject, kind, summary, reference)])


def line_of(subject: Subject, kind: str, summary: str, reference: str) -> dict[str, Any]:
    """The row of such a line."""
    return {
        "customer_id": subject.customer_id,
        "conversation_id": subject.conversation_id,
        "kind": kind,
        "summary": summary,
        "reference": reference,
        "author": "bot",
        "at": subject.now,
    }
