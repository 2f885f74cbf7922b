"""Recipients of one mass send: marked before the vendor is asked, repeated under its key, reconciled by its event."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, and_, func, select, update

from crm_sync.broadcast_tables import broadcast_recipients, broadcasts
from crm_sync.columns import id_in, is_filled, is_state
from crm_sync.recipient_claims import SEND_LEASE, Handed, handed_of
from crm_sync.recipient_counts import Place, add_counts, moved
from crm_sync.tables import conversations, identities

_row = broadcast_recipients.c


@dataclass(frozen=True, slots=True)
class Batch:
    """A mass send whose answer nobody stored."""

    key: str
    broadcast_id: int
    channel: str
    account: str


def set_batch(conn: Connection, ids: Sequence[int], batch: str) -> None:
    """These recipients leave together under this key."""
    mine = update(broadcast_recipients).where(id_in(_row.id, "ids"), is_state(_row.state, "sending"))
    conn.execute(mine.values(batch=batch), {"ids": sorted(ids)})


def take_over_batches(conn: Connection, sender: str, now: datetime) -> list[Batch]:
    """Mass sends whose sender is gone, or had no answer, are this one's to repeat."""
    over = (
        select(_row.batch, _row.broadcast_id, _row.channel, _row.account)
        .where(is_state(_row.state, "sending"), _row.lease_until <= now, is_filled(_row.batch))
        .distinct()
    )
    found = []
    for each in conn.execute(over).all():
        mine = and_(_row.batch == each.batch, is_filled(_row.batch), is_state(_row.state, "sending"))
        leased = update(broadcast_recipients).where(mine, _row.lease_until <= now)
        if conn.execute(leased.values(lease_owner=sender, lease_until=now + SEND_LEASE)).rowcount:
            found.append(Batch(each.batch, each.broadcast_id, each.channel, each.account))
    return found


def recipients_of(conn: Connection, batch: str) -> list[Handed]:
    """Those of a mass send whose end is not known, in the order in which they were named to the vendor."""
    columns = (_row[name] for name in ("id", "broadcast_id", "customer_id", "occasion", "step", "arm", "attempts"))
    rows = conn.execute(
        select(
            *columns,
            *(_row[name] for name in ("batch", "channel", "account", "conversation_id", "identity_id")),
            conversations.c.chat_id,
            conversations.c.topic,
            identities.c.external_id,
        )
        .join_from(broadcast_recipients, conversations, conversations.c.id == _row.conversation_id)
        .join(identities, identities.c.id == conversations.c.identity_id)
        .where(_row.batch == batch, is_filled(_row.batch), is_state(_row.state, "sending"))
        .order_by(_row.id)
    )
    return [handed_of(row, row.attempts, batch=row.batch, is_left=True) for row in rows]


def reconcile(conn: Connection, channel: str, account: str, told: Mapping[str, Any], now: datetime) -> None:
    """The vendor's report of a mass send is kept with the broadcast; one that failed as a whole failed for everybody.

    The report counts and names nobody, so recipients are `delivered` only when it says that all were. It may come
    before we know under which id the vendor has the send: then it waits with every broadcast that it may be about.
    """
    vendor_id = str(told.get("vendor_message_id") or "")
    if not vendor_id:
        return
    here = (_row.channel == channel, _row.account == account, is_filled(_row.batch))
    known = select(_row.broadcast_id).where(*here, _row.vendor_message_id == vendor_id).limit(1)
    broadcast_id = conn.execute(known).scalar()
    under_way = select(_row.broadcast_id).where(*here, is_state(_row.state, "sending")).distinct()
    meant = [broadcast_id] if broadcast_id is not None else sorted(conn.execute(under_way).scalars())
    counted = {name: told.get(name, 0) for name in ("total", "filtered", "sent", "failed")}
    for each in meant:
        stored = broadcasts.c.id == each
        events = conn.execute(select(broadcasts.c.events_through).where(stored).with_for_update()).scalar_one() or {}
        reports = {**events.get("mass", {}), vendor_id: {**counted, "status": str(told.get("status") or "")}}
        conn.execute(update(broadcasts).where(stored).values(events_through={**events, "mass": reports}))
    if broadcast_id is not None:
        settle_reported(conn, broadcast_id, vendor_id, now)


def settle_reported(conn: Connection, broadcast_id: int, vendor_id: str, now: datetime) -> None:
    """What the vendor reported of a mass send holds for its recipients, once all of them are stored as sent."""
    # Whoever stores a report holds this row too: of the two the later one sees what the other wrote.
    stored = select(broadcasts.c.events_through).where(broadcasts.c.id == broadcast_id).with_for_update()
    events = conn.execute(stored).scalar() or {}
    report = events.get("mass", {}).get(vendor_id)
    ours = (_row.broadcast_id == broadcast_id, _row.vendor_message_id == vendor_id, is_filled(_row.batch))
    batch = conn.execute(select(_row.batch).where(*ours).limit(1)).scalar()
    if report is None or batch is None:
        return
    alike = (_row.batch == batch, is_filled(_row.batch))
    if conn.execute(select(_row.id).where(*alike, is_state(_row.state, "sending")).limit(1)).first() is not None:
        return  # the one that stores the last of them comes here again
    if "success" not in report["status"]:
        _fail(conn, ours)
    elif report["sent"] >= conn.execute(select(func.count()).where(*ours)).scalar_one():
        conn.execute(update(broadcast_recipients).where(*ours).values(delivered_at=now))


def _fail(conn: Connection, ours: Sequence[Any]) -> None:
    rows = conn.execute(
        select(_row.id, _row.broadcast_id, _row.arm).where(*ours, is_state(_row.state, "sent")).with_for_update()
    ).all()
    changes: Counter[Place] = Counter()
    for row in rows:
        moved(changes, row.broadcast_id, row.arm, ("sent", ""), ("failed", "refused"))
    failed = update(broadcast_recipients).where(id_in(_row.id, "ids"))
    conn.execute(failed.values(state="failed", reason="refused", sent_at=None), {"ids": sorted(r.id for r in rows)})
    add_counts(conn, changes)
