"""What customers wrote lately, for a candidate to be tried on: their words and what is known about them."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, and_, select

from crm_sync.console_tables import message_labels
from crm_sync.learning_tables import turn_outcomes
from crm_sync.tables import conversations, inbox, messages, turns


@dataclass(frozen=True, slots=True)
class Spoken:
    """One message. `label`: said by staff ("": nothing to learn, None: nobody has said); `meant` by the customer."""

    inbox_id: int
    conversation_id: int
    text: str
    intent: str
    confidence: float | None
    engine: str
    channel: str = ""
    label: str | None = None
    outcome: str = ""
    meant: str = ""

    @property
    def truth(self) -> str:
        """The intent it is known to mean; "" for none."""
        if self.label is not None:
            return self.label
        is_told = self.outcome in ("confirmed", "corrected") and not self.meant.startswith("article:")
        return (self.meant or (self.intent if self.outcome == "confirmed" else "")) if is_told else ""


def recent(conn: Connection, limit: int) -> list[Spoken]:
    """The newest messages with words that a turn was taken for, the newest first."""
    return _read(conn, turns.c.understanding.is_not(None), limit=limit)


def of_messages(conn: Connection, inbox_ids: list[int]) -> dict[int, Spoken]:
    """These messages, as far as their words are still there."""
    found = _read(conn, turns.c.inbox_id.in_(inbox_ids), limit=len(inbox_ids)) if inbox_ids else []
    return {each.inbox_id: each for each in found}


def _read(conn: Connection, *where: object, limit: int) -> list[Spoken]:
    said = and_(messages.c.id == inbox.c.message_id, messages.c.direction == "in")
    statement = (
        select(
            turns.c.inbox_id, turns.c.conversation_id, messages.c.text, turns.c.intent, turns.c.confidence,
            turns.c.engine, conversations.c.channel, message_labels.c.intent.label("label"), turn_outcomes.c.outcome,
            turn_outcomes.c.meant,
        )
        .join(inbox, inbox.c.id == turns.c.inbox_id)
        .join(messages, said)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .outerjoin(message_labels, message_labels.c.inbox_id == turns.c.inbox_id)
        .outerjoin(turn_outcomes, turn_outcomes.c.inbox_id == turns.c.inbox_id)
        .where(messages.c.text != "", inbox.c.kind.in_(("text", "media")), *where)  # type: ignore[arg-type]
        .order_by(turns.c.inbox_id.desc())
        .limit(limit)
    )  # fmt: skip
    return [
        Spoken(
            row.inbox_id, row.conversation_id, row.text, row.intent, row.confidence, row.engine, row.channel, row.label,
            row.outcome or "", row.meant or "",
        )
        for row in conn.execute(statement)
    ]  # fmt: skip
