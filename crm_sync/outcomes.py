"""How what was understood turned out, told by what the customer did next; worked out behind the conversations.

Each turn is looked at once, in small steps by its key (20 µs of CPU each), so that no customer waits for it. An
outcome may be missed where a message was answered minutes after later ones: it is evidence to learn from, no promise.
"""

from __future__ import annotations

import itertools
import unicodedata
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal

from sqlalchemy import Connection, and_, func, select

from crm_sync.columns import id_in, is_state
from crm_sync.deployment import get_cursor, set_cursor
from crm_sync.learning_tables import turn_outcomes
from crm_sync.rows import insert_if_absent
from crm_sync.tables import TELLING_TEMPLATES, handoffs, inbox, messages, turns

Outcome = Literal["confirmed", "corrected", "handed_over", "unhelpful"]
STEP: Final = 500  # turns in one transaction: a few milliseconds
SETTLES: Final = timedelta(minutes=1)  # younger ones wait: an earlier one may still come
HANDOVERS_BACK: Final = timedelta(hours=1)
ARTICLE_UNHELPFUL: Final = "utter_offer_person_article"
HELPFUL: Final = {"helpful:yes": "confirmed", "helpful:no": "unhelpful"}
_CURSOR: Final = "outcomes"


def step(conn: Connection, now: datetime) -> int:
    """The outcomes that the next few turns tell of are kept; how many turns that were."""
    reached = int(get_cursor(conn, _CURSOR) or 0)
    fresh = conn.execute(
        select(turns.c.inbox_id, turns.c.at).where(turns.c.inbox_id > reached).order_by(turns.c.inbox_id).limit(STEP)
    ).all()
    settled = [turn.inbox_id for turn in itertools.takewhile(lambda turn: turn.at < now - SETTLES, fresh)]
    if not settled:
        return 0
    for row in _told(conn, reached, settled[-1]):
        found = outcome_of(row)
        if found is not None:
            keep(conn, row.before_id, found[0], found[1], now)
    set_cursor(conn, _CURSOR, str(settled[-1]), now)
    return len(settled)


def keep(conn: Connection, inbox_id: int, outcome: Outcome, meant: str, now: datetime) -> None:
    """The message turned out so, unless it is known already how."""
    row = {"inbox_id": inbox_id, "outcome": outcome, "meant": meant, "at": now}
    insert_if_absent(conn, turn_outcomes, row, key=["inbox_id"])


def note_handovers(conn: Connection, reasons: Collection[str], now: datetime) -> int:
    """The customers' last words before a person was called for one of these reasons are kept as such; how many."""
    last = (
        select(func.max(turns.c.inbox_id).label("inbox_id"))
        .join_from(handoffs, turns, turns.c.conversation_id == handoffs.c.conversation_id)
        .where(handoffs.c.requested_at >= now - HANDOVERS_BACK, handoffs.c.reason.in_(sorted(reasons)))
        .where(turns.c.at <= handoffs.c.requested_at, turns.c.intent != "")
        .group_by(handoffs.c.id)
    )
    found = [inbox_id for inbox_id in conn.execute(last).scalars() if inbox_id is not None]
    for inbox_id in found:
        keep(conn, inbox_id, "handed_over", "", now)
    return len(found)


def outcomes_of(conn: Connection, inbox_ids: Sequence[int]) -> Mapping[int, tuple[str, str]]:
    """Outcome and what was meant, of those messages where they are known."""
    if not inbox_ids:
        return {}
    rows = conn.execute(
        select(turn_outcomes.c.inbox_id, turn_outcomes.c.outcome, turn_outcomes.c.meant).where(
            id_in(turn_outcomes.c.inbox_id, "ids")
        ),
        {"ids": list(inbox_ids)},
    )
    return {row.inbox_id: (row.outcome, row.meant) for row in rows}


def outcome_of(row: Any) -> tuple[Outcome, str] | None:
    """What a turn says about the one before it; None when it says nothing.

    `row`: the turn's `kind` and `message`, the answer it got (`answered`), and of the turn before its `intent` and what
    it was answered with (`template`, `content`).
    """
    if row.answered == ARTICLE_UNHELPFUL:
        return "unhelpful", ""
    chosen = _chosen(row.message or {}, (row.content or {}).get("buttons", ()))
    if chosen in HELPFUL:
        return ("confirmed", "") if HELPFUL[chosen] == "confirmed" else ("unhelpful", "")
    kind, _, name = chosen.partition(":")
    if kind == "intent":
        return ("confirmed" if name == row.intent else "corrected"), name
    if kind == "article":
        return "corrected", chosen
    return ("corrected", "") if chosen == "say:something_else" else None


def _told(conn: Connection, after: int, up_to: int) -> Sequence[Any]:
    """Turns of this range with the turn before them in their conversation, where the bot had said something telling."""
    before, said, answer = turns.alias("before"), messages.alias("said"), messages.alias("answer")
    telling = is_state(said.c.template, *TELLING_TEMPLATES)
    to_this = and_(answer.c.inbox_id == turns.c.inbox_id, is_state(answer.c.template, *TELLING_TEMPLATES))
    statement = (
        select(
            turns.c.inbox_id,
            before.c.inbox_id.label("before_id"),
            before.c.intent,
            said.c.template,
            said.c.content,
            inbox.c.kind,
            inbox.c.message,
            answer.c.template.label("answered"),
        )
        .join(
            before, and_(before.c.conversation_id == turns.c.conversation_id, before.c.version == turns.c.version - 1)
        )
        .join(said, and_(said.c.inbox_id == before.c.inbox_id, telling))
        .join(inbox, inbox.c.id == turns.c.inbox_id)
        .outerjoin(answer, to_this)
        .where(turns.c.inbox_id > after, turns.c.inbox_id <= up_to)
        .order_by(turns.c.inbox_id)
    )
    return conn.execute(statement).all()


def _chosen(message: Mapping[str, Any], offered: Sequence[Mapping[str, str]]) -> str:
    """The value of the offered button that was pressed, or typed by its words; "" for anything else."""
    content = message.get("content", {})
    values = {button.get("value", ""): button.get("label", "") for button in offered}
    if content.get("kind") == "button":
        value = str(content.get("value", ""))
        return value if value in values else ""
    said = _plain(str(content.get("text", "")))
    return next((value for value, label in values.items() if said and _plain(label) == said), "")


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text[:200]).casefold().split())
