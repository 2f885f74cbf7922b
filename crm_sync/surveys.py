"""Questions about satisfaction: each asked once, a customer not too often, each answered once."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection, and_, insert, select, update

from bot.service_types import RecordScore
from bot.types import UpdateCase
from crm_sync.cases import By, case_event, update_case
from crm_sync.service_tables import surveys
from crm_sync.subjects import Subject, note
from crm_sync.tables import cases, customers


def ask(
    conn: Connection,
    customer_id: int,
    kind: str,
    reference: str,
    now: datetime,
    *,
    case_id: int | None = None,
    conversation_id: int | None = None,
    every: timedelta | None = None,
) -> bool:
    """The question may be put and counts as asked; False when it was put before, or one of its kind within `every`."""
    conn.execute(select(customers.c.id).where(customers.c.id == customer_id).with_for_update())
    if conn.execute(select(surveys.c.id).where(surveys.c.reference == reference)).first() is not None:
        return False
    if every is not None:
        lately = and_(surveys.c.customer_id == customer_id, surveys.c.kind == kind, surveys.c.asked_at > now - every)
        if conn.execute(select(surveys.c.id).where(lately)).first() is not None:
            return False
    row = {
        "customer_id": customer_id,
        "conversation_id": conversation_id,
        "case_id": case_id,
        "kind": kind,
        "reference": reference,
        "asked_at": now,
    }
    conn.execute(insert(surveys), row)
    return True


def case_reference(number: str, reopened: int) -> str:
    """What the question about a case's solution is called: one per solution."""
    return f"case:{number}:{reopened}"


def update_case_and_ask(conn: Connection, effect: UpdateCase, subject: Subject) -> None:
    """As `cases.update_case`; a solution the customer confirmed in the chat is asked about in the same breath."""
    update_case(conn, effect, subject)
    if effect.status != "confirmed":
        return
    mine = and_(cases.c.number == effect.number, cases.c.customer_id == subject.customer_id)
    case = conn.execute(select(cases).where(mine)).first()
    if case is not None and case.status == "confirmed":
        reference = case_reference(case.number, case.reopened)
        ask(conn, case.customer_id, "csat", reference, subject.now, case_id=case.id,
            conversation_id=subject.conversation_id)  # fmt: skip


def record_score(conn: Connection, effect: RecordScore, subject: Subject) -> None:
    """The answer is kept, with the case it is about. One never asked, or answered before, stays as it is."""
    asked = and_(
        surveys.c.reference == effect.reference,
        surveys.c.customer_id == subject.customer_id,
        surveys.c.answered_at.is_(None),
    )
    row = conn.execute(select(surveys).where(asked).with_for_update()).first()
    if row is None:
        return
    answer = {"score": effect.score, "reason": effect.reason, "answered_at": subject.now}
    conn.execute(update(surveys).where(surveys.c.id == row.id).values(**answer))
    if row.case_id is not None:
        conn.execute(update(cases).where(cases.c.id == row.case_id).values(score=effect.score))
        by = By("customer", subject.now)
        case_event(conn, row.case_id, "score", by, words=effect.reason, changes={"score": effect.score})
    note(conn, subject, f"{row.kind}_answered", f"{effect.score}", effect.reference)
