"""What customers or staff change in a record: written with a line in the audit, never without."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, and_, delete, insert, select, update

from bot.service_types import RecordPreference, RequestErasure, SetAttribute
from crm_sync import timers
from crm_sync.rows import upsert
from crm_sync.service_tables import audit, customer_attributes, preferences
from crm_sync.service_tables import timers as timers_table
from crm_sync.subjects import Subject, note

ERASURE: Final = "erasure"  # kind of timer
ERASURE_AT: Final = "erasure_at"  # attribute: when the record will be erased, ISO 8601


def add_audit(
    conn: Connection,
    customer_id: int,
    author: str,
    action: str,
    fields: Sequence[str] = (),
    *,
    now: datetime,
    reference: str = "",
) -> None:
    """It is kept who changed which fields and when; never what they hold."""
    row = {"author": author, "action": action, "customer_id": customer_id, "fields": sorted(fields)}
    conn.execute(insert(audit), {**row, "reference": reference, "at": now})


def put_attribute(conn: Connection, customer_id: int, name: str, value: Any, *, source: str, now: datetime) -> bool:
    """The attribute has this value, none for None; False when it had before."""
    mine = and_(customer_attributes.c.customer_id == customer_id, customer_attributes.c.name == name)
    before = conn.execute(select(customer_attributes.c.value).where(mine)).first()
    if (before.value if before else None) == value:
        return False
    if value is None:
        conn.execute(delete(customer_attributes).where(mine))
    else:
        row = {"customer_id": customer_id, "name": name, "value": value, "source": source, "updated_at": now}
        upsert(conn, customer_attributes, row, key=("customer_id", "name"))
    return True


def set_attribute(conn: Connection, effect: SetAttribute, subject: Subject) -> None:
    if put_attribute(conn, subject.customer_id, effect.name, effect.value, source=effect.source, now=subject.now):
        add_audit(conn, subject.customer_id, "customer", "correct", [effect.name], now=subject.now)
        note(conn, subject, "customer_updated", effect.name)


def record_preference(conn: Connection, effect: RecordPreference, subject: Subject) -> None:
    """An empty value with `ended` ends all of the topic."""
    same = and_(
        preferences.c.customer_id == subject.customer_id,
        preferences.c.topic == effect.topic,
        preferences.c.ended_at.is_(None),
    )
    if effect.value:
        same = and_(same, preferences.c.value == effect.value)
    if effect.ended:
        if conn.execute(update(preferences).where(same).values(ended_at=subject.now)).rowcount:
            note(conn, subject, "preference_ended", effect.value, effect.topic)
        return
    if conn.execute(select(preferences.c.id).where(same)).first() is not None:
        return
    row = {"topic": effect.topic, "value": effect.value, "source": effect.source, "at": subject.now}
    conn.execute(insert(preferences), {"customer_id": subject.customer_id, **row})
    note(conn, subject, "preference_noted", effect.value, effect.topic)


def request_erasure(conn: Connection, effect: RequestErasure, subject: Subject) -> None:
    """Planned, moved, or with no time taken back; the record says so until then."""
    key = f"{ERASURE}:{subject.customer_id}"
    planned = and_(
        timers_table.c.customer_id == subject.customer_id,
        timers_table.c.kind == ERASURE,
        timers_table.c.at.is_not(None),
    )
    gone = {"at": None, "key": None, "done_at": subject.now, "reason": "cancelled"}
    conn.execute(update(timers_table).where(planned).values(**gone))  # also one of a record that was merged with this
    when = None
    if effect.at is not None:
        timers.plan(conn, ERASURE, effect.at, subject.now, key=key, customer_id=subject.customer_id)
        when = effect.at.isoformat()
    put_attribute(conn, subject.customer_id, ERASURE_AT, when, source=effect.source, now=subject.now)
    add_audit(conn, subject.customer_id, "customer", "erase" if when else "keep", now=subject.now)
    note(conn, subject, "erasure_requested" if when else "erasure_taken_back", effect.source)
