"""Customers' words the bot did not understand, or was not sure of, with what it made of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, Select, and_, func, select
from sqlalchemy.sql.elements import ColumnElement

from crm_sync.columns import id_in, is_state
from crm_sync.console_tables import message_labels
from crm_sync.learning_tables import turn_outcomes
from crm_sync.personal import personal_values
from crm_sync.rows import upsert
from crm_sync.tables import UNCLEAR_TEMPLATES, conversations, handoffs, inbox, messages, turns

Why = Literal["unclear", "unsure", "handed_over", "corrected"]
_ASKED: Final = messages.alias("asked")


@dataclass(frozen=True, slots=True)
class UnclearMessage:
    """A customer's message. `ranking`: intents with scores, best first; `answered_with`: the response's name."""

    inbox_id: int
    conversation_id: int
    message_id: int | None
    text: str
    language: str
    at: datetime
    why: Why
    intent: str = ""
    confidence: float | None = None
    ranking: tuple[tuple[str, float], ...] = ()
    entities: tuple[tuple[str, str], ...] = ()
    engine: str = ""
    answered_with: str = ""
    answer: str = ""
    label: str | None = None  # said by staff; "": not worth learning; None: nobody has said
    labelled_by: str = ""
    channel: str = field(default="")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which messages, as a condition on their turns."""

    why: Why
    condition: ColumnElement[bool]


def unclear(since: datetime) -> Wanted:
    """What was answered with "I did not understand"."""
    said = select(messages.c.inbox_id).where(
        is_state(messages.c.template, *UNCLEAR_TEMPLATES), messages.c.at >= since, messages.c.inbox_id.is_not(None)
    )
    return Wanted("unclear", turns.c.inbox_id.in_(said))


def unsure(since: datetime, sure: float) -> Wanted:
    """What was acted upon though the best meaning scored below `sure`."""
    return Wanted("unsure", and_(turns.c.at >= since, turns.c.confidence < sure, turns.c.intent != ""))


def handed_over(since: datetime, reasons: Sequence[str]) -> Wanted:
    """The customer's last words before a person was called for one of these reasons."""
    last = (
        select(func.max(turns.c.inbox_id))
        .join_from(handoffs, turns, turns.c.conversation_id == handoffs.c.conversation_id)
        .where(handoffs.c.requested_at >= since, handoffs.c.reason.in_(list(reasons)))
        .where(turns.c.at <= handoffs.c.requested_at)
        .group_by(handoffs.c.id)
    )
    return Wanted("handed_over", turns.c.inbox_id.in_(last))


def corrected(since: datetime) -> Wanted:
    """What the bot took for something else than the customer then chose."""
    chosen = select(turn_outcomes.c.inbox_id).where(turn_outcomes.c.outcome == "corrected", turn_outcomes.c.at >= since)
    return Wanted("corrected", turns.c.inbox_id.in_(chosen))


_COLUMNS: Final = (
    turns.c.inbox_id,
    turns.c.conversation_id,
    turns.c.intent,
    turns.c.confidence,
    turns.c.engine,
    turns.c.understanding,
    turns.c.at,
    _ASKED.c.id.label("message_id"),
    _ASKED.c.text,
    _ASKED.c.kind,
    conversations.c.channel,
    message_labels.c.intent.label("label"),
    message_labels.c.by.label("labelled_by"),
)


def page(
    conn: Connection, wanted: Wanted, *, before: int | None = None, limit: int = 50, labelled: bool | None = False
) -> list[UnclearMessage]:
    """The messages, the newest first. `before`: the last inbox id of the page before.

    `labelled`: True or False for only those that are, None for all.
    """
    statement = _from(select(*_COLUMNS), wanted, labelled)
    if before is not None:
        statement = statement.where(turns.c.inbox_id < before)
    rows = conn.execute(statement.order_by(turns.c.inbox_id.desc()).limit(limit)).all()
    answers = _answers(conn, [row.inbox_id for row in rows])
    return [_message(row, wanted.why, answers.get(row.inbox_id)) for row in rows]


def count(conn: Connection, wanted: Wanted, most: int) -> int:
    """How many wait for a label; `most` when there are that many or more."""
    waiting = _from(select(turns.c.inbox_id), wanted, labelled=False).limit(most).subquery()
    return int(conn.execute(select(func.count()).select_from(waiting)).scalar() or 0)


def _from(statement: Select[Any], wanted: Wanted, labelled: bool | None) -> Select[Any]:
    """The turns with the customer's words; buttons, files without words and erased words are nothing to learn from."""
    said_here = and_(_ASKED.c.id == inbox.c.message_id, _ASKED.c.direction == "in")
    statement = (
        statement.join(inbox, inbox.c.id == turns.c.inbox_id)
        .join(_ASKED, said_here)
        .join(conversations, conversations.c.id == turns.c.conversation_id)
        .outerjoin(message_labels, message_labels.c.inbox_id == turns.c.inbox_id)
        .where(_ASKED.c.text != "", inbox.c.kind.in_(("text", "media")), wanted.condition)
    )
    if labelled is None:
        return statement
    is_labelled = message_labels.c.inbox_id
    return statement.where(is_labelled.is_not(None) if labelled else is_labelled.is_(None))


def _answers(conn: Connection, ids: Sequence[int]) -> Mapping[int, Any]:
    """What the bot said to each, the last part of it."""
    if not ids:
        return {}
    talks = select(turns.c.conversation_id).where(id_in(turns.c.inbox_id, "ids"))
    said = (
        select(messages.c.inbox_id, messages.c.template, messages.c.text)
        .where(messages.c.conversation_id.in_(talks), messages.c.direction == "out", id_in(messages.c.inbox_id, "ids"))
        .order_by(messages.c.id)
    )
    return {row.inbox_id: row for row in conn.execute(said, {"ids": list(ids)})}


def _message(row: Any, why: Why, answer: Any) -> UnclearMessage:
    understood = row.understanding or {}
    return UnclearMessage(
        inbox_id=row.inbox_id,
        conversation_id=row.conversation_id,
        message_id=row.message_id,
        text=row.text,
        language=str(understood.get("language", "")),
        at=row.at,
        why=why,
        intent=row.intent,
        confidence=row.confidence,
        ranking=tuple((str(each["name"]), float(each["confidence"])) for each in understood.get("intents", ())),
        entities=tuple((str(each["name"]), str(each.get("text", ""))) for each in understood.get("entities", ())),
        engine=row.engine,
        answered_with=answer.template if answer else "",
        answer=answer.text if answer else "",
        label=row.label,
        labelled_by=row.labelled_by or "",
        channel=row.channel,
    )


# --- labels -----------------------------------------------------------------------------------------------------------


def put_label(conn: Connection, inbox_id: int, intent: str, by: str, now: datetime) -> bool:
    """The message means this; a label given before is replaced. False when there is no such turn."""
    if conn.execute(select(turns.c.inbox_id).where(turns.c.inbox_id == inbox_id)).first() is None:
        return False
    upsert(conn, message_labels, {"inbox_id": inbox_id, "intent": intent, "by": by, "at": now}, key=["inbox_id"])
    return True


def take_label(conn: Connection, inbox_id: int) -> bool:
    """Nobody has said what it means any more; False when nobody had."""
    return conn.execute(message_labels.delete().where(message_labels.c.inbox_id == inbox_id)).rowcount > 0


def label_counts(conn: Connection) -> dict[str, int]:
    """How many messages were given each meaning; "": not worth learning."""
    rows = conn.execute(select(message_labels.c.intent, func.count()).group_by(message_labels.c.intent))
    return {intent: int(count) for intent, count in rows}


def labelled_examples(conn: Connection, after: int, limit: int) -> list[tuple[int, str, str, list[str]]]:
    """(inbox id, words, intent, what in them is personal) of labelled messages worth learning from, behind an id."""
    statement = (
        select(message_labels.c.inbox_id, messages.c.text, message_labels.c.intent, turns.c.understanding)
        .join(inbox, inbox.c.id == message_labels.c.inbox_id)
        .join(turns, turns.c.inbox_id == message_labels.c.inbox_id)
        .join(messages, messages.c.id == inbox.c.message_id)
        .where(message_labels.c.intent != "", messages.c.text != "", message_labels.c.inbox_id > after)
        .order_by(message_labels.c.inbox_id)
        .limit(limit)
    )
    rows = conn.execute(statement)
    return [(row.inbox_id, row.text, row.intent, personal_values(row.understanding)) for row in rows]
