"""When each account last received and sent, and since when it fails: one small row an account, written now and then."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, select

from crm_sync.database import Database
from crm_sync.rows import upsert
from crm_sync.tables import channel_health

RECEIVING: Final = "receiving: "  # begins the reason of a failure to fetch messages


@dataclass(frozen=True, slots=True)
class AccountNote:
    """What one process saw of an account since its last note; None: nothing.

    `works` is True when the last thing seen went well, False when it failed (since `failing_since`, for `reason`);
    of sending, or of `receiving`.
    """

    channel: str
    account: str
    inbound_at: datetime | None = None
    outbound_at: datetime | None = None
    works: bool | None = None
    failing_since: datetime | None = None
    reason: str = ""
    receiving: bool = False


@dataclass(frozen=True, slots=True)
class AccountState:
    """What the store knows of an account. `failing_since` None: nothing is known to be wrong."""

    channel: str
    account: str
    last_inbound_at: datetime | None = None
    last_outbound_at: datetime | None = None
    failing_since: datetime | None = None
    reason: str = ""


async def note(database: Database, notes: Sequence[AccountNote], now: datetime) -> None:
    """The notes are stored: the newest times win, a success ends a failure of its own side, a failure keeps its
    beginning.
    """
    await database.run(lambda conn: _note(conn, notes, now), durable=False)


async def states(database: Database) -> list[AccountState]:
    """Every account that ever received or sent, by name."""
    return await database.run(_states, read=True)


def _note(conn: Connection, notes: Sequence[AccountNote], now: datetime) -> None:
    for each in sorted(notes, key=lambda item: (item.channel, item.account)):
        of_account = (channel_health.c.channel == each.channel, channel_health.c.account == each.account)
        known: Any = conn.execute(select(channel_health).where(*of_account).with_for_update()).first()
        row: dict[str, Any] = {
            "channel": each.channel,
            "account": each.account,
            "last_inbound_at": _newest(known and known.last_inbound_at, each.inbound_at),
            "last_outbound_at": _newest(known and known.last_outbound_at, each.outbound_at),
            "failing_since": known.failing_since if known else None,
            "reason": known.reason if known else "",
            "updated_at": now,
        }
        if each.works is True and row["reason"].startswith(RECEIVING) == each.receiving:
            row |= {"failing_since": None, "reason": ""}
        elif each.works is False:
            reason = RECEIVING + each.reason if each.receiving else each.reason
            row |= {"failing_since": row["failing_since"] or each.failing_since, "reason": reason}
        upsert(conn, channel_health, row, key=["channel", "account"])


def _newest(left: datetime | None, right: datetime | None) -> datetime | None:
    return max((moment for moment in (left, right) if moment is not None), default=None)


def _states(conn: Connection) -> list[AccountState]:
    columns = [channel_health.c[name] for name in AccountState.__dataclass_fields__]
    rows = conn.execute(select(*columns).order_by(channel_health.c.channel, channel_health.c.account))
    return [AccountState(**row._mapping) for row in rows]
