"""Payloads that were genuine but could not be read: kept raw until their retention ends, to be looked at and mended."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from bot.errors import NotFound
from crm_sync.columns import is_state
from crm_sync.tables import inbox

# Without a conversation nobody could be named who wrote it; what was set aside later has one, and shows there.
_UNREADABLE = (is_state(inbox.c.state, "parked"), inbox.c.conversation_id.is_(None))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """`size` is that of the raw payload, 0 when its retention is over."""

    inbox_id: int
    channel: str
    account: str
    reason: str
    received_at: datetime
    size: int


@dataclass(frozen=True, slots=True)
class UnreadableCount:
    channel: str
    account: str
    count: int
    newest_at: datetime


def counts(conn: Connection) -> list[UnreadableCount]:
    """How many there are for each account that has any."""
    newest: Any = func.max(inbox.c.received_at, type_=inbox.c.received_at.type)
    rows = conn.execute(
        select(inbox.c.channel, inbox.c.account, func.count(), newest)
        .where(*_UNREADABLE)
        .group_by(inbox.c.channel, inbox.c.account)
        .order_by(inbox.c.channel, inbox.c.account)
    )
    return [UnreadableCount(*row) for row in rows]


def newest(conn: Connection, limit: int) -> Sequence[Unreadable]:
    """The newest ones, newest first."""
    rows = conn.execute(
        select(inbox.c.id, inbox.c.channel, inbox.c.account, inbox.c.reason, inbox.c.received_at, inbox.c.raw)
        .where(*_UNREADABLE)
        .order_by(inbox.c.id.desc())
        .limit(limit)
    )
    return [
        Unreadable(row.id, row.channel, row.account, row.reason, row.received_at, len(_unpacked(row.raw)))
        for row in rows
    ]


def raw(conn: Connection, inbox_id: int) -> bytes:
    """The payload as it came; empty when its retention is over. Raises: NotFound for a message that could be read."""
    found = conn.execute(select(inbox.c.raw).where(inbox.c.id == inbox_id, *_UNREADABLE)).scalar()
    if found is None:
        raise NotFound(f"no unreadable payload {inbox_id}")
    return _unpacked(found)


def _unpacked(stored: bytes) -> bytes:
    return zlib.decompress(stored) if stored else b""
