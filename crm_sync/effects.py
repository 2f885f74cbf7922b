"""What a turn decided beyond replying, carried out inside the turn's transaction, one function per effect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from sqlalchemy import Connection, and_, insert, select, update

from bot.service_types import (
    AgreePayPlan,
    AnswerConsent,
    BookAppointment,
    CancelAppointment,
    EndConsents,
    RecordPreference,
    RecordScore,
    ReportOutage,
    RequestErasure,
    SendCode,
    SetAttribute,
    SubscribeTopic,
    TryCode,
    WishContact,
)
from bot.types import (
    AddTimeline,
    CreateTask,
    Effect,
    LinkIdentity,
    OpenCase,
    Owner,
    RecordConsent,
    ReleaseHandoff,
    RequestHandoff,
    UpdateCase,
    UpdateCustomer,
)
from crm_sync import appointments, consent_register, dues, lookup_codes, merge_evidence, outages, record, subscriptions
from crm_sync.cases import open_case
from crm_sync.console_tables import handoff_events
from crm_sync.links import link_identity
from crm_sync.rows import new_ids
from crm_sync.subjects import Subject, note
from crm_sync.surveys import record_score, update_case_and_ask
from crm_sync.tables import customers, handoffs
from crm_sync.tasks import create_task


def apply(conn: Connection, effect: Effect, subject: Subject) -> None:
    """The effect is written, and a line in the customer's timeline says so."""
    _APPLY[type(effect)](conn, effect, subject)


# --- ownership ------------------------------------------------------------------------------------------------------


def _request_handoff(conn: Connection, effect: RequestHandoff, subject: Subject) -> None:
    if subject.owner is Owner.OPERATOR:
        return  # somebody is already there
    waiting = and_(handoffs.c.conversation_id == subject.conversation_id, handoffs.c.ended_at.is_(None))
    if subject.owner is Owner.QUEUE:
        known = conn.execute(select(handoffs.c.urgency, handoffs.c.priority).where(waiting)).first()
        if known is not None and (effect.urgency > known.urgency or effect.priority > known.priority):
            subject.priority = max(subject.priority, effect.priority)
            weighs = {"urgency": max(effect.urgency, known.urgency), "priority": max(effect.priority, known.priority)}
            conn.execute(update(handoffs).where(waiting).values(**weighs))
        note(conn, subject, "handoff_requested", effect.reason)
        return
    subject.owner, subject.team, subject.priority = Owner.QUEUE, effect.team, effect.priority
    subject.waiting_since = subject.now
    (handoff_id,) = new_ids(conn, handoffs, 1)
    conn.execute(
        insert(handoffs),
        {
            "id": handoff_id,
            "conversation_id": subject.conversation_id,
            "reason": effect.reason,
            "urgency": effect.urgency,
            "fence": subject.fence,
            "requested_at": subject.now,
            "queued_at": subject.now,
            "team": effect.team,
            "priority": effect.priority,
            "topic": effect.topic,
        },
    )
    _handoff_event(conn, subject, "requested", handoff_id, to=effect.team, words=effect.reason)
    note(conn, subject, "handoff_requested", effect.reason)


def _release_handoff(conn: Connection, effect: ReleaseHandoff, subject: Subject) -> None:
    if subject.owner is not Owner.QUEUE:
        return
    subject.owner, subject.team, subject.priority, subject.waiting_since = Owner.BOT, "", 0, None
    waiting = and_(handoffs.c.conversation_id == subject.conversation_id, handoffs.c.ended_at.is_(None))
    _handoff_event(conn, subject, "left", conn.execute(select(handoffs.c.id).where(waiting)).scalar())
    conn.execute(update(handoffs).where(waiting).values(ended_at=subject.now, ended_by=effect.reason))
    note(conn, subject, "handoff_released", effect.reason)


def _handoff_event(
    conn: Connection, subject: Subject, kind: str, handoff_id: int | None, *, to: str = "", words: str = ""
) -> None:
    conn.execute(
        insert(handoff_events),
        {
            "conversation_id": subject.conversation_id,
            "handoff_id": handoff_id,
            "kind": kind,
            "to": to,
            "note": words,
            "fence": subject.fence,
            "at": subject.now,
        },
    )


# --- the customer ---------------------------------------------------------------------------------------------------


def _update_customer(conn: Connection, effect: UpdateCustomer, subject: Subject) -> None:
    current = conn.execute(
        select(
            customers.c.name, customers.c.email, customers.c.language, customers.c.phone, customers.c.phone_is_verified
        ).where(customers.c.id == subject.customer_id)
    ).one()
    changes: dict[str, Any] = {
        name: getattr(effect, name) for name in ("name", "email", "language") if getattr(effect, name)
    }
    if effect.phone:
        # A number told in passing never displaces a proven one, and proof never wanes by being told again.
        keeps_proof = current.phone_is_verified and effect.phone == current.phone
        if effect.phone_is_verified or not current.phone_is_verified or keeps_proof:
            changes["phone"] = effect.phone
            changes["phone_is_verified"] = effect.phone_is_verified or keeps_proof
    changes = {name: value for name, value in changes.items() if getattr(current, name) != value}
    if not changes:
        return  # told again: nothing is written, and nobody looks again for others who say the same
    conn.execute(update(customers).where(customers.c.id == subject.customer_id).values(**changes))
    told = sorted({name.removesuffix("_is_verified") for name in changes})
    corrected = any(getattr(current, name) for name in changes if name != "phone_is_verified")
    record.add_audit(conn, subject.customer_id, "customer", "correct" if corrected else "tell", told, now=subject.now)
    note(conn, subject, "customer_updated", ", ".join(told))
    if "phone" in told:
        merge_evidence.ask_for_check(conn, subject.customer_id, subject.now)


def _try_code(conn: Connection, effect: TryCode, subject: Subject) -> None:
    """As `lookup_codes.count_try`; who typed the code sent to a telephone has proven its number, as by sharing it.

    One that was proven before stays: who helps somebody with their order has not changed their own number.
    """
    phone = lookup_codes.count_try(conn, effect, subject)
    own = select(customers.c.phone_is_verified).where(customers.c.id == subject.customer_id)
    if phone and not conn.execute(own).scalar_one():
        _update_customer(conn, UpdateCustomer(phone=phone, phone_is_verified=True), subject)


def _add_timeline(conn: Connection, effect: AddTimeline, subject: Subject) -> None:
    note(conn, subject, effect.kind, effect.summary)


_APPLY: Final[dict[type, Callable[[Connection, Any, Subject], None]]] = {
    OpenCase: open_case,
    UpdateCase: update_case_and_ask,
    RecordScore: record_score,
    RequestHandoff: _request_handoff,
    ReleaseHandoff: _release_handoff,
    RecordConsent: consent_register.record_said,
    EndConsents: consent_register.end_all,
    AnswerConsent: consent_register.answer,
    WishContact: consent_register.wish,
    CreateTask: create_task,
    UpdateCustomer: _update_customer,
    AddTimeline: _add_timeline,
    LinkIdentity: link_identity,
    AgreePayPlan: dues.agree_plan,
    BookAppointment: appointments.book,
    CancelAppointment: appointments.cancel,
    SubscribeTopic: subscriptions.subscribe,
    ReportOutage: outages.report,
    SetAttribute: record.set_attribute,
    RecordPreference: record.record_preference,
    RequestErasure: record.request_erasure,
    SendCode: lookup_codes.ask,
    TryCode: _try_code,
}
