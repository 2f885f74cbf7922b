"""What an event that a channel reports means for the store, in the transaction that accepts it."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, select, update

from bot.types import Event, Owner
from crm_sync.addressing import Place
from crm_sync.console_tables import handoff_events
from crm_sync.recipient_batches import reconcile
from crm_sync.reply_windows import HELD
from crm_sync.tables import conversations, handoffs, identities, outbox, reply_windows, timeline


def apply_event(conn: Connection, event: Event, channel: str, place: Place, now: datetime) -> None:
    """The event's effect is written; events without one are only recorded.

    blocked, unblocked, contact_deleted {reason}, contact_added: whether the identity can be reached.
    send_failed {key, reason, is_held, unreachable}: a message reported as sent did not arrive; `key` is its idempotency
    key; `is_held`: because no reply window was open.
    mass_send_finished {vendor_message_id, status, total, filtered, sent, failed}: what became of a mass send.
    owner_changed {owner: bot | queue | operator | closed, by, reason}: who answers, decided at the vendor.
    Any event with `source`: where the identity came from, if nothing is known yet.
    """
    detail = event.detail
    if source := str(detail.get("source", "")):
        unknown = and_(identities.c.id == place.identity_id, identities.c.source == "")
        conn.execute(update(identities).where(unknown).values(source=source))
    handle = _HANDLERS.get(event.name)
    if handle is not None:
        handle(conn, detail, channel, place, now)


def _mass_send_finished(conn: Connection, detail: Mapping[str, Any], channel: str, place: Place, now: datetime) -> None:
    account = conn.execute(select(conversations.c.account).where(conversations.c.id == place.conversation_id)).scalar()
    reconcile(conn, channel, account or "", detail, now)


# --- can they be reached ----------------------------------------------------------------------------------------------


def _reachable(conn: Connection, detail: Mapping[str, Any], channel: str, place: Place, now: datetime) -> None:
    mine = identities.c.id == place.identity_id
    conn.execute(update(identities).where(mine).values(unreachable_at=None, unreachable_reason=""))


def _unreachable(conn: Connection, detail: Mapping[str, Any], channel: str, place: Place, now: datetime) -> None:
    mine = identities.c.id == place.identity_id
    reason = str(detail.get("reason", "") or "blocked")
    conn.execute(update(identities).where(mine).values(unreachable_at=now, unreachable_reason=reason))


def _send_failed(conn: Connection, detail: Mapping[str, Any], channel: str, place: Place, now: datetime) -> None:
    """The vendor took the message and says later that it did not arrive. Only this conversation's rows can be meant.

    It may say so before the sender has stored that the message was taken; what the sender stores then changes nothing.
    Another try needs another key: the vendor has seen this one. What fell outside the window waits for the next.
    """
    mine = and_(
        outbox.c.conversation_id == place.conversation_id,
        outbox.c.idempotency_key == str(detail.get("key", "")),
        outbox.c.state.in_(("pending", "sending", "sent", "uncertain")),
    )
    failed = conn.execute(select(outbox.c.id).where(mine)).scalar()
    if failed is not None:
        is_held = bool(detail.get("is_held"))
        values = {
            "state": "parked" if is_held else "failed",
            "reason": HELD if is_held else str(detail.get("reason", "")),
            "is_held": is_held,
            "set_aside_at": now,
            "sent_at": None,
            "merged_into": None,
            "not_before": None,
            "lease_owner": None,
            "lease_until": None,
        }
        carried = outbox.c.merged_into == failed  # its send carried their words too
        conn.execute(update(outbox).where(carried).values(**values))
        again = {"idempotency_key": secrets.token_hex(16)}
        conn.execute(update(outbox).where(outbox.c.id == failed).values(**values, **again))
        if is_held:
            windows = reply_windows.c.identity_id == place.identity_id
            conn.execute(update(reply_windows).where(windows).values(used=reply_windows.c.quota))
    if detail.get("unreachable"):
        _unreachable(conn, detail, channel, place, now)


# --- who answers ------------------------------------------------------------------------------------------------------


def _owner_changed(conn: Connection, detail: Mapping[str, Any], channel: str, place: Place, now: datetime) -> None:
    """The lease goes to whom the vendor says, and with it the fence: replies decided before are dropped, not sent.

    Repeated, it changes nothing. A conversation closed at the vendor is the bot's again, for when the customer returns.
    """
    wanted, by = str(detail.get("owner", "")), str(detail.get("by", ""))
    reason = str(detail.get("reason", "") or f"in {channel}")
    mine = conversations.c.id == place.conversation_id
    before = conn.execute(
        select(
            conversations.c.owner,
            conversations.c.fence,
        ).where(mine)
    ).one()
    values: dict[str, Any] = {"status": "closed"} if wanted == "closed" else {}
    owner = Owner.BOT if wanted == "closed" else Owner(wanted)
    if owner is Owner.OPERATOR:
        values["operator"] = f"{channel}:{by}"  # no account of ours: without a lease it is the vendor's to end
    if before.owner != owner:
        values["owner"] = owner.value
        # Into the queue nobody else writes yet: what the bot said before still leaves (see RequestHandoff).
        values["fence"] = before.fence if (before.owner, owner) == (Owner.BOT, Owner.QUEUE) else before.fence + 1
        values["waiting_since"] = now if owner is Owner.QUEUE else None
        values["owner_until"] = None
        if owner is not Owner.OPERATOR:
            values["operator"] = ""
        if owner is Owner.BOT:
            values |= {"team": "", "priority": 0, "unanswered_since": None}
    if values:
        conn.execute(update(conversations).where(mine).values(**values))
    if before.owner == owner:
        return
    waiting = and_(handoffs.c.conversation_id == place.conversation_id, handoffs.c.ended_at.is_(None))
    ending = {} if owner is Owner.QUEUE else {"ended_at": now, "ended_by": f"{channel}:{by}"}
    known = conn.execute(update(handoffs).where(waiting).values(passed_on_at=now, **ending)).rowcount
    if not known and owner is not Owner.BOT:
        row = {"conversation_id": place.conversation_id, "reason": reason, "urgency": 2, "fence": before.fence}
        conn.execute(insert(handoffs).values(**row, requested_at=now, queued_at=now, passed_on_at=now, **ending))
    conn.execute(
        insert(handoff_events).values(
            conversation_id=place.conversation_id,
            kind="requested" if owner is Owner.QUEUE else "returned" if owner is Owner.BOT else "taken",
            by="" if owner is Owner.QUEUE else f"{channel}:{by}",
            to=f"{channel}:{by}" if owner is Owner.OPERATOR else "",
            note=reason,
            fence=values["fence"],
            at=now,
        )
    )
    conn.execute(
        insert(timeline).values(
            customer_id=place.customer_id,
            conversation_id=place.conversation_id,
            kind=f"owner_{wanted}",
            summary=reason,
            reference=by,
            author="system",
            at=now,
        )
    )


_Handler = Callable[[Connection, Mapping[str, Any], str, Place, datetime], None]
_HANDLERS: Final[dict[str, _Handler]] = {
    "blocked": _unreachable,
    "unblocked": _reachable,
    "contact_deleted": _unreachable,
    "contact_added": _reachable,
    "send_failed": _send_failed,
    "mass_send_finished": _mass_send_finished,
    "owner_changed": _owner_changed,
}
