"""The promises of the design, checked on a store as it lies there, and against what the channels themselves saw."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, func, select

from crm_sync import broadcast_checks
from crm_sync.columns import digest_key, is_state
from crm_sync.database import Database
from crm_sync.ledgers import against_ledger
from crm_sync.ownership_checks import fences_only_rise, held_as_said, one_handoff_each
from crm_sync.tables import conversations, inbox, messages, outbox, turns

PATIENCE: Final = timedelta(seconds=60)  # how long a message may wait for its turn before somebody should look


@dataclass(frozen=True, slots=True)
class Violation:
    """A promise that does not hold: which one, and for what. Holds ids, never words."""

    rule: str
    detail: str


async def check(
    database: Database,
    ledger: Sequence[Mapping[str, Any]] = (),
    acknowledged: Sequence[Mapping[str, Any]] | None = None,
    *,
    now: datetime | None = None,
    patience: timedelta = PATIENCE,
) -> list[Violation]:
    """What does not hold; empty when every promise does. One consistent look at the store.

    `ledger`: what channels saw leave (see ledgers.py); empty leaves that comparison out. `acknowledged`: `channel`,
    `account` and `dedupe_key` of every message that was acknowledged. `patience`: how long a message may be pending.
    """
    before = (now or datetime.now(UTC)) - patience

    def unit(conn: Connection) -> list[Violation]:
        found = [Violation(rule, detail) for rule, look in _RULES.items() for detail in look(conn)]
        found += [Violation("handled in time", detail) for detail in _waiting_too_long(conn, before)]
        found += [Violation("acknowledged means stored", detail) for detail in _lost(conn, acknowledged or ())]
        return found + [Violation(rule, detail) for rule, detail in against_ledger(conn, ledger)]

    return await database.run(unit, read=True)


def _one_turn_each(conn: Connection) -> Iterator[str]:
    unturned = (
        select(inbox.c.id, inbox.c.conversation_id)
        .outerjoin_from(inbox, turns, turns.c.inbox_id == inbox.c.id)
        .where(inbox.c.state == "done", inbox.c.wants_turn, turns.c.inbox_id.is_(None))
        .order_by(inbox.c.id)
    )
    for row in conn.execute(unturned):
        yield f"message {row.id} (conversation {row.conversation_id}) is done but had no turn"
    repeated = select(turns.c.inbox_id, func.count().label("turns")).group_by(turns.c.inbox_id).having(func.count() > 1)
    for row in conn.execute(repeated):
        yield f"message {row.inbox_id} had {row.turns} turns"


def _no_turn_from_nowhere(conn: Connection) -> Iterator[str]:
    joined = (
        select(turns.c.inbox_id, inbox.c.state, inbox.c.conversation_id, turns.c.conversation_id.label("turned_in"))
        .outerjoin_from(turns, inbox, inbox.c.id == turns.c.inbox_id)
        .order_by(turns.c.inbox_id)
    )
    for row in conn.execute(joined):
        if row.state is None:
            yield f"turn {row.inbox_id} has no message"
        elif row.state == "pending":
            yield f"message {row.inbox_id} had its turn and is still pending"
        elif row.conversation_id != row.turned_in:
            yield f"message {row.inbox_id} had its turn in another conversation"


def _version_counts_turns(conn: Connection) -> Iterator[str]:
    counted = (
        select(conversations.c.id, conversations.c.version, func.count(turns.c.inbox_id).label("turns"))
        .outerjoin_from(conversations, turns, turns.c.conversation_id == conversations.c.id)
        .group_by(conversations.c.id, conversations.c.version)
        .order_by(conversations.c.id)
    )
    for row in conn.execute(counted):
        if row.version != row.turns:
            yield f"conversation {row.id} is at version {row.version} after {row.turns} turns"


def _turns_in_order(conn: Connection) -> Iterator[str]:
    ordered = select(turns.c.conversation_id, turns.c.inbox_id).order_by(turns.c.conversation_id, turns.c.version)
    last: tuple[int, int] = (0, 0)
    for row in conn.execute(ordered):
        if row.conversation_id == last[0] and row.inbox_id < last[1]:
            yield f"conversation {row.conversation_id}: message {row.inbox_id} had its turn after message {last[1]}"
        last = (row.conversation_id, row.inbox_id)


def _sequence_is_whole(conn: Connection) -> Iterator[str]:
    counted = (
        select(
            conversations.c.id,
            conversations.c.web_seq,
            func.count(messages.c.seq).label("events"),
            func.count(messages.c.seq.distinct()).label("different"),
            func.coalesce(func.min(messages.c.seq), 1).label("first"),
            func.coalesce(func.max(messages.c.seq), 0).label("last"),
        )
        .outerjoin_from(conversations, messages, messages.c.conversation_id == conversations.c.id)
        .group_by(conversations.c.id, conversations.c.web_seq)
        .order_by(conversations.c.id)
    )
    for row in conn.execute(counted):
        if not (row.events == row.different == row.last == row.web_seq and row.first == 1):
            yield (
                f"conversation {row.id}: {row.events} events numbered {row.first} to {row.last}, "
                f"the counter says {row.web_seq}"
            )


def _first_in_first_out(conn: Connection) -> Iterator[str]:
    # What was once set aside (parked, held) and sent later was overtaken with good reason.
    ordered = (
        select(outbox.c.id, outbox.c.conversation_id, outbox.c.state, outbox.c.sent_at)
        .where(outbox.c.set_aside_at.is_(None))
        .order_by(outbox.c.conversation_id, outbox.c.id)
    )
    for conversation_id, rows in groupby(conn.execute(ordered), key=lambda row: row.conversation_id):
        unfinished, latest = None, None
        for row in rows:
            if row.state in {"pending", "sending"}:
                unfinished = unfinished or row.id
            elif row.state == "sent":
                if unfinished:
                    yield f"conversation {conversation_id}: row {row.id} was sent before row {unfinished} was settled"
                if latest is not None and row.sent_at < latest.sent_at:
                    yield f"conversation {conversation_id}: row {row.id} was sent before row {latest.id}"
                latest = row


def _nothing_forgotten(conn: Connection) -> Iterator[str]:
    unmarked = (
        select(inbox.c.id, inbox.c.conversation_id)
        .join_from(inbox, conversations, conversations.c.id == inbox.c.conversation_id)
        .where(is_state(inbox.c.state, "pending"), conversations.c.dirty_since.is_(None))
        .order_by(inbox.c.id)
    )
    for row in conn.execute(unmarked):
        yield f"message {row.id} is pending, and conversation {row.conversation_id} says that nothing waits"


_RULES: Final[dict[str, Callable[[Connection], Iterator[str]]]] = {
    "one turn for each message": _one_turn_each,
    "no turn without its message": _no_turn_from_nowhere,
    "the version counts the turns": _version_counts_turns,
    "turns in order of acceptance": _turns_in_order,
    "web sequence without gaps": _sequence_is_whole,
    "first in, first out": _first_in_first_out,
    "nothing forgotten": _nothing_forgotten,
    "one owner": held_as_said,
    "one open handoff for whoever is a person's": one_handoff_each,
    "fences only rise": fences_only_rise,
    **broadcast_checks.RULES,
}


def _waiting_too_long(conn: Connection, before: datetime) -> Iterator[str]:
    late = (
        select(inbox.c.id, inbox.c.conversation_id)
        .where(is_state(inbox.c.state, "pending"), inbox.c.received_at < before)
        .order_by(inbox.c.id)
    )
    for row in conn.execute(late):
        yield f"message {row.id} (conversation {row.conversation_id}) still waits for its turn"


def _lost(conn: Connection, acknowledged: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    by_key: dict[str, Mapping[str, Any]] = {}
    for entry in acknowledged:
        by_key[digest_key(str(entry["channel"]), str(entry["account"]), str(entry["dedupe_key"]))] = entry
    stored: set[str] = set(conn.execute(select(inbox.c.dedupe)).scalars()) if by_key else set()
    for key, entry in by_key.items():
        if key not in stored:
            yield f"{entry['channel']}/{entry['account']}: {entry['dedupe_key']} was acknowledged and is not there"
