"""The promises of broadcasts, checked on a store as it lies there, and against what the channels saw."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, func, or_, select

from bot.reach.states import HOLDOUT
from crm_sync.broadcast_tables import broadcast_counts, broadcast_recipients, broadcasts
from crm_sync.columns import is_state
from crm_sync.tables import conversations, customers, identities, messages

_row = broadcast_recipients.c
_MAY_HAVE_LEFT: Final = ("sent", "uncertain")


def counts_add_up(conn: Connection) -> Iterator[str]:
    """The counts of every broadcast are those of its recipients: each of them is in one state."""
    place = (_row.broadcast_id, _row.arm, _row.state, _row.reason)
    found = {tuple(each[:4]): each[4] for each in conn.execute(select(*place, func.count()).group_by(*place))}
    kept = {tuple(each[:4]): each[4] for each in conn.execute(select(broadcast_counts)) if each[4]}
    for key in sorted(found.keys() | kept.keys()):
        if found.get(key, 0) != kept.get(key, 0):
            broadcast, *rest = key
            where = ", ".join(part or "-" for part in rest)
            yield f"broadcast {broadcast} ({where}): {found.get(key, 0)} recipients, the count says {kept.get(key, 0)}"


def held_out_are_left_alone(conn: Connection) -> Iterator[str]:
    """Nobody held out has, or may have, been sent to."""
    touched = select(_row.id, _row.state).where(
        _row.arm == HOLDOUT,
        or_(_row.state.not_in(["held_out", "skipped"]), _row.sent_at.is_not(None), _row.message_id.is_not(None)),
    )
    for row in conn.execute(touched.order_by(_row.id)):
        yield f"recipient {row.id} is held out, and is {row.state}"


def sent_is_said(conn: Connection) -> Iterator[str]:
    """Whatever was sent is a message of the conversation, of nobody else's; whatever was not has no time of sending."""
    unsaid = select(_row.id).where(is_state(_row.state, "sent"), or_(_row.message_id.is_(None), _row.sent_at.is_(None)))
    for row in conn.execute(unsaid.order_by(_row.id)):
        yield f"recipient {row.id} is sent, and no message says what"
    early = select(_row.id, _row.state).where(_row.state != "sent", _row.sent_at.is_not(None))
    for row in conn.execute(early.order_by(_row.id)):
        yield f"recipient {row.id} is {row.state}, and has a time of sending"
    shared = (
        select(_row.message_id, func.count().label("rows"))
        .where(_row.message_id.is_not(None))
        .group_by(_row.message_id)
        .having(func.count() > 1)
    )
    for row in conn.execute(shared.order_by(_row.message_id)):
        yield f"message {row.message_id} is that of {row.rows} recipients"


def reasons_are_told(conn: Connection) -> Iterator[str]:
    """Whoever was skipped or failed has a reason, and whoever is being sent to a lease."""
    silent = select(_row.id, _row.state).where(_row.state.in_(["skipped", "failed"]), _row.reason == "")
    for row in conn.execute(silent.order_by(_row.id)):
        yield f"recipient {row.id} is {row.state}, and nothing says why"
    unleased = select(_row.id).where(is_state(_row.state, "sending"), _row.lease_until.is_(None))
    for row in conn.execute(unleased.order_by(_row.id)):
        yield f"recipient {row.id} is being sent to by nobody"


def recipients_are_known(conn: Connection) -> Iterator[str]:
    """What a recipient names is there: its broadcast, its customer, and where it would be sent to."""
    named = (
        ("broadcast", _row.broadcast_id, broadcasts),
        ("customer", _row.customer_id, customers),
        ("conversation", _row.conversation_id, conversations),
        ("identity", _row.identity_id, identities),
    )
    for what, column, table in named:
        missing = column.is_not(None) & ~select(table.c.id).where(table.c.id == column).exists()
        for row in conn.execute(select(_row.id, column.label("named")).where(missing).order_by(_row.id)):
            yield f"recipient {row.id} names {what} {row.named}, which is not there"


def over_is_over(conn: Connection) -> Iterator[str]:
    """Nobody waits for a broadcast that is finished."""
    open_rows = (
        select(_row.broadcast_id, func.count().label("rows"))
        .join_from(broadcast_recipients, broadcasts, broadcasts.c.id == _row.broadcast_id)
        .where(broadcasts.c.state == "finished", _row.state.in_(["pending", "sending"]))
        .group_by(_row.broadcast_id)
    )
    for row in conn.execute(open_rows.order_by(_row.broadcast_id)):
        yield f"broadcast {row.broadcast_id} is finished, and {row.rows} recipients still wait"


@dataclass(slots=True)
class _Meant:
    """How often a text of broadcasts may have arrived in a chat."""

    recipient: int
    least: int = 0
    most: int = 0


def take_broadcasts(conn: Connection, arrived: Mapping[str, list[str]]) -> Iterator[tuple[str, str]]:
    """Takes what broadcasts sent out of `arrived` (chat -> texts, in order); (rule, detail) of every disagreement."""
    meant: dict[str, dict[str, _Meant]] = defaultdict(dict)
    rows = conn.execute(
        select(_row.id, _row.state, conversations.c.chat_id, messages.c.text)
        .join_from(broadcast_recipients, messages, messages.c.id == _row.message_id)
        .join(conversations, conversations.c.id == _row.conversation_id)
        .where(_row.state.in_(_MAY_HAVE_LEFT), messages.c.seq.is_(None))  # direct channels have no other side
        .order_by(_row.id)
    )
    for row in rows:
        one = meant[row.chat_id].setdefault(row.text, _Meant(row.id))
        one.most += 1
        one.least += row.state == "sent"
    for chat_id, texts in meant.items():
        there = arrived.get(chat_id, [])
        seen = Counter(there)
        for text, one in texts.items():
            if seen[text] < one.least:
                yield "sent means delivered", f"recipient {one.recipient} says sent; it did not arrive"
            elif seen[text] > one.most:
                yield (
                    "nobody is sent a broadcast twice",
                    f"recipient {one.recipient}: arrived {seen[text]} times, at most {one.most} allowed",
                )
        if there:
            there[:] = [text for text in there if text not in texts]


RULES: Final = {
    "counts of broadcasts add up": counts_add_up,
    "who is held out is left alone": held_out_are_left_alone,
    "what was sent is said": sent_is_said,
    "every recipient's state is told": reasons_are_told,
    "recipients name what is there": recipients_are_known,
    "a finished broadcast is over": over_is_over,
}
