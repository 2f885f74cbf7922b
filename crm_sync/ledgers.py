"""The outbox held against a channel's own ledger: what the store says it sent, and what arrived there.

A ledger is a sequence of JSON objects, in the order of the calls. Counted are those of a message that was delivered:
`ok` true, or, from the Telegram stand-in, `kind` "call" of a `send…` method with `outcome` "ok" (also when the answer
was then lost on its way to us). Fields: `chat_id`, and `text` or `caption`.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, Final

from sqlalchemy import Connection, select

from crm_sync.broadcast_checks import take_broadcasts
from crm_sync.tables import messages, outbox

_NOT_MESSAGES: Final = frozenset({"sendchataction"})


@dataclass(slots=True)
class _Expected:
    """How often a text may have arrived in a chat."""

    least: int = 0
    most: int = 0
    rows: int = 0


def against_ledger(conn: Connection, ledger: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """(rule, detail) of every disagreement. An empty ledger is taken as none."""
    if not ledger:
        return
    arrived: dict[str, list[str]] = defaultdict(list)
    for entry in ledger:
        if _is_delivery(entry):
            arrived[str(entry["chat_id"])].append(str(entry.get("text") or entry.get("caption") or ""))
    yield from take_broadcasts(conn, arrived)
    sent_rows = conn.execute(
        select(
            outbox.c.id,
            outbox.c.chat_id,
            outbox.c.state,
            outbox.c.attempts,
            outbox.c.maybe_repeated,
            messages.c.text,
        )
        .join_from(outbox, messages, messages.c.id == outbox.c.message_id)
        .where(outbox.c.idempotency_key.is_not(None))  # direct channels have no other side
        .order_by(outbox.c.id)
    ).all()
    by_chat: dict[str, list[Any]] = defaultdict(list)
    for row in sent_rows:
        by_chat[row.chat_id].append(row)
    for chat_id in sorted(arrived.keys() | by_chat.keys()):
        yield from _compare(by_chat[chat_id], arrived[chat_id])


def _is_delivery(entry: Mapping[str, Any]) -> bool:
    if "chat_id" not in entry:
        return False
    method = str(entry.get("method", "")).lower()
    if entry.get("kind") == "call":
        return method.startswith("send") and method not in _NOT_MESSAGES and entry.get("outcome") == "ok"
    return entry.get("ok") is True and method not in _NOT_MESSAGES


def _compare(rows: Sequence[Any], arrived: Sequence[str]) -> Iterator[tuple[str, str]]:
    expected: dict[str, _Expected] = defaultdict(_Expected)
    for row in rows:
        allowed = expected[row.text]
        allowed.rows = row.id
        allowed.least += row.state == "sent"
        # Without the mark a row arrives at most once, however often its sender was told to wait; with it, once more.
        allowed.most += min(row.attempts, 2 if row.maybe_repeated else 1)
    seen = Counter(arrived)
    agrees = True
    for text in expected.keys() | seen.keys():
        allowed, count = expected.get(text, _Expected()), seen[text]
        if allowed.rows == 0:
            agrees = False
            yield "no send unknown to the store", f"{count} × a message of {len(text)} characters that no row asks for"
        elif count < allowed.least:
            agrees = False
            yield "sent means delivered", f"row {allowed.rows} says sent; arrived {count} of {allowed.least} times"
        elif count > allowed.most:
            agrees = False
            yield (
                "repeated only when marked",
                f"row {allowed.rows}: arrived {count} times, at most {allowed.most} allowed",
            )
    if agrees:
        yield from _in_order(rows, seen, arrived)


def _in_order(rows: Sequence[Any], seen: Counter[str], arrived: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Repeats stand right behind each other, so both sides are compared without them."""
    asked = [text for text, _ in groupby(row.text for row in rows if row.state != "dropped" and seen[row.text])]
    came = [text for text, _ in groupby(arrived)]
    settled = [row for row in rows if row.state == "sent"]
    if asked != came and settled:
        place = next((at for at, (one, other) in enumerate(zip(asked, came, strict=False)) if one != other), len(came))
        yield "delivered in order", f"the chat of row {settled[0].id} differs from the outbox at message {place + 1}"
