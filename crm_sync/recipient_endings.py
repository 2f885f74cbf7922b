"""How sends to recipients ended: stored together, with what was said as a message of the conversation."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal

from sqlalchemy import Connection, bindparam, select, update

from bot.types import OutPart
from crm_sync.broadcast_quotas import Key, use_quotas
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts
from crm_sync.chat_moves import move_chat
from crm_sync.codec import dump_part, wire_event
from crm_sync.columns import UtcDateTime, id_in
from crm_sync.recipient_batches import settle_reported
from crm_sync.recipient_counts import Place, add_counts, moved
from crm_sync.rows import new_ids
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import conversations, identities, messages

EndState = Literal["sent", "failed", "uncertain", "skipped", "pending"]
_OPEN: Final = frozenset({"sending", "uncertain"})  # what the answer to a send may still settle
_SAID: Final = frozenset({"sent", "uncertain"})
_row = broadcast_recipients.c


@dataclass(frozen=True, slots=True)
class Ending:
    """How attempt `attempt` of a recipient ended. `pending`: nothing left, for sure, and it is due again at `retry_at`.

    `reason` is one of a few words, since recipients are counted by it. `part` is what was said, or may have been.
    `quota`: the vendor's kind and period it counts against, of which the vendor allows no more with `is_used_up`.
    `moved_to` as in Receipt.
    """

    recipient_id: int
    attempt: int
    state: EndState
    reason: str = ""
    part: OutPart | None = None
    language: str = ""
    vendor_message_id: str = ""
    retry_at: datetime | None = None
    unreachable: str = ""  # the vendor's words, when it says that nothing will reach them
    moved_to: str = ""
    quota: tuple[str, str] | None = None
    is_used_up: bool = False


@dataclass(frozen=True, slots=True)
class Visible:
    """An event for an open web page."""

    conversation_id: int
    event: Mapping[str, Any]


_ROWS = Statement(
    select(
        *(_row[name].label(name) for name in ("id", "broadcast_id", "arm", "state", "reason", "attempts")),
        *(_row[name].label(name) for name in ("conversation_id", "identity_id", "message_id", "channel", "account")),
        _row.batch.label("batch"),
        broadcasts.c.name.label("broadcast"),
    )
    .join_from(broadcast_recipients, broadcasts, broadcasts.c.id == _row.broadcast_id)
    .where(id_in(_row.id, "ids"))
    .order_by(_row.id)
    .with_for_update(of=broadcast_recipients)
)
_END = Statement(
    update(broadcast_recipients)
    .where(_row.id == bindparam("b_id"))
    .values(
        state=bindparam("b_state"),
        reason=bindparam("b_reason"),
        message_id=bindparam("b_message_id"),
        vendor_message_id=bindparam("b_vendor_id"),
        sent_at=bindparam("b_sent_at", type_=UtcDateTime()),
        not_before=bindparam("b_not_before", type_=UtcDateTime()),
        lease_owner=None,
        lease_until=None,
    )
)
_PAGES = Statement(
    select(conversations.c.id, conversations.c.web_seq)
    .where(id_in(conversations.c.id, "ids"))
    .order_by(conversations.c.id)
    .with_for_update()
)
_SEQ = Statement(
    update(conversations)
    .where(conversations.c.id == bindparam("b_id"))
    .values(web_seq=bindparam("b_seq"), last_message_at=bindparam("b_at", type_=UtcDateTime()))
)


def finish(conn: Connection, endings: Sequence[Ending], direct: frozenset[str], now: datetime) -> list[Visible]:
    """Stored once for each attempt; what another attempt has settled is left alone.

    On `direct` channels a sent message gets its place in the web sequence: this is the sending.
    """
    told = {ending.recipient_id: ending for ending in endings}
    rows = [
        row
        for row in _ROWS.rows(conn, {"ids": sorted(told)})
        if row.attempts == told[row.id].attempt
        and row.state in _OPEN
        and not (row.state == "uncertain" and told[row.id].state == "uncertain")
    ]
    said, message_of, visible = _say(conn, rows, told, direct, now)
    insert_rows(conn, messages, said)
    changes: Counter[Place] = Counter()
    changed: list[dict[str, Any]] = []
    for row in rows:
        ending = told[row.id]
        moved(changes, row.broadcast_id, row.arm, (row.state, row.reason), (ending.state, ending.reason))
        changed.append(
            {
                "b_id": row.id,
                "b_state": ending.state,
                "b_reason": ending.reason,
                "b_message_id": message_of.get(row.id, row.message_id),
                "b_vendor_id": ending.vendor_message_id,
                "b_sent_at": now if ending.state == "sent" else None,
                "b_not_before": (ending.retry_at or now) if ending.state == "pending" else None,
            }
        )
    _END.change_each(conn, changed)
    add_counts(conn, changes)
    _settle_people(conn, rows, told, now)
    _use_quotas(conn, rows, told)
    for broadcast_id, vendor_id in sorted(
        {
            (row.broadcast_id, told[row.id].vendor_message_id)
            for row in rows
            if row.batch and told[row.id].state == "sent"
        }
    ):
        settle_reported(conn, broadcast_id, vendor_id, now)
    return visible


def _say(
    conn: Connection, rows: Sequence[Any], told: Mapping[int, Ending], direct: frozenset[str], now: datetime
) -> tuple[list[dict[str, Any]], dict[int, int], list[Visible]]:
    """Message rows to insert, recipient -> its message, and events for open pages."""
    saying = [
        row for row in rows if told[row.id].state in _SAID and told[row.id].part is not None and row.message_id is None
    ]
    pages = sorted({row.conversation_id for row in saying if row.channel in direct})
    seqs = {page.id: page.web_seq for page in _PAGES.rows(conn, {"ids": pages})} if pages else {}
    said: list[dict[str, Any]] = []
    message_of: dict[int, int] = {}
    visible: list[Visible] = []
    for row, message_id in zip(saying, new_ids(conn, messages, len(saying)), strict=True):
        ending = told[row.id]
        part = ending.part or OutPart("")
        seq = None
        if row.channel in direct:
            seq = seqs[row.conversation_id] = seqs[row.conversation_id] + 1
        content = dump_part(part)
        message_of[row.id] = message_id
        said.append(
            {
                "id": message_id,
                "conversation_id": row.conversation_id,
                "direction": "out",
                "author": "bot",
                "kind": "text",
                "text": part.text,
                "content": content,
                "language": ending.language or None,
                "template": f"broadcast:{row.broadcast}",
                "seq": seq,
                "vendor_message_id": ending.vendor_message_id,
                "at": now,
            }
        )
        if seq is not None:
            event = wire_event(
                seq=seq,
                message_id=message_id,
                direction="out",
                author="bot",
                kind="text",
                text=part.text,
                content=content,
                at=now,
            )
            visible.append(Visible(row.conversation_id, event))
    _SEQ.change_each(conn, [{"b_id": page, "b_seq": seqs[page], "b_at": now} for page in pages])
    return said, message_of, visible


def _settle_people(conn: Connection, rows: Sequence[Any], told: Mapping[int, Ending], now: datetime) -> None:
    for row in sorted(rows, key=lambda each: each.identity_id or 0):
        ending = told[row.id]
        if ending.unreachable:
            conn.execute(
                update(identities)
                .where(identities.c.id == row.identity_id)
                .values(unreachable_at=now, unreachable_reason=ending.unreachable)
            )
        if ending.moved_to:
            chat = conn.execute(
                select(conversations.c.chat_id).where(conversations.c.id == row.conversation_id)
            ).scalar_one()
            if chat != ending.moved_to:
                move_chat(conn, row.channel, row.account, chat, ending.moved_to)


def _use_quotas(conn: Connection, rows: Sequence[Any], told: Mapping[int, Ending]) -> None:
    used: Counter[Key] = Counter()
    used_up: list[Key] = []
    for row in rows:
        ending = told[row.id]
        if ending.quota is not None and ending.state in _SAID:
            used[(row.channel, row.account, *ending.quota)] += 1
        if ending.quota is not None and ending.is_used_up:
            used_up.append((row.channel, row.account, *ending.quota))
    if used or used_up:
        use_quotas(conn, used, used_up)
