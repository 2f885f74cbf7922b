"""People between two steps of a journey: waiting since they were sent one, and what they did meanwhile."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, literal_column, or_, select, update

from bot.reach.journey import what_next, why_not_any_more
from bot.reach.states import SkipReason
from bot.reach.types import Step
from crm_sync.broadcast_tables import broadcast_recipients, broadcast_waits, broadcasts, contact_wishes
from crm_sync.columns import id_in, is_state
from crm_sync.recipient_counts import Place, add_counts
from crm_sync.rows import insert_if_absent, upsert
from crm_sync.service_tables import visits
from crm_sync.statements import Statement
from crm_sync.tables import cases, conversations, customers, messages, orders

PAGE: Final = 200
_row = broadcast_recipients.c
_wait = broadcast_waits.c


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody whose next step is to be decided. `answers`: clicked, replied, bought, complained since they were sent
    `step`; `zone` and `quiet` are theirs where they have any.
    """

    broadcast_id: int
    customer_id: int
    occasion: str
    step: str
    arm: str
    sent_at: datetime
    answers: frozenset[str]
    conversation_id: int
    identity_id: int
    channel: str
    account: str
    stratum: str
    zone: str
    quiet: tuple[str, str] | None


def sent_steps(conn: Connection, recipient_ids: Sequence[int], journeys: Collection[int]) -> list[Any]:
    """Of these recipients, those of journeys: id, broadcast_id, customer_id, occasion, step, sent_at."""
    if not recipient_ids or not journeys:
        return []
    found = select(_row.id, _row.broadcast_id, _row.customer_id, _row.occasion, _row.step, _row.sent_at).where(
        _row.id.in_(recipient_ids), _row.broadcast_id.in_(sorted(journeys)), is_state(_row.state, "sent")
    )
    return list(conn.execute(found).all())


def wait(conn: Connection, row: Any, at: datetime) -> None:
    """They were sent a step, and what comes next is decided at this time."""
    values = {
        "broadcast_id": row.broadcast_id,
        "customer_id": row.customer_id,
        "occasion": row.occasion,
        "step": row.step,
        "at": at,
        "outcome": "",
    }
    upsert(conn, broadcast_waits, values, key=("broadcast_id", "customer_id", "occasion"))


def due(conn: Connection, now: datetime) -> list[Waiting]:
    """Some of those whose time has come, of journeys that run; they are locked by this transaction."""
    return [_waiting(row) for row in conn.execute(_due(), {"now": now})]


def turned_away(conn: Connection, steps: tuple[Step, ...], ids: Sequence[int], now: datetime) -> dict[int, SkipReason]:
    """Of these recipients of a journey those who are not sent their step any more, and why: by what they did since it
    was decided. Whoever goes another way by it is looked at again at once.
    """
    turned: dict[int, SkipReason] = {}
    for row in conn.execute(_decided(), {"ids": sorted(ids)}).all():
        one = _waiting(row)
        reason = why_not_any_more(row.next_step, what_next(steps, one.step, one.answers, one.sent_at, now))
        if reason is None:
            continue
        turned[row.next_id] = reason
        if reason == "went_elsewhere":
            put_off(conn, one, now)
        else:
            over(conn, one, reason)
    return turned


@cache  # asked every few seconds, and putting it together takes longer than asking
def _due() -> Select[Any]:
    return (
        _answered()
        .where(
            _wait.at.is_not(None),
            _wait.at <= bindparam("now", type_=_wait.at.type),
            is_state(broadcasts.c.state, "running"),
        )
        .order_by(_wait.at)
        .limit(PAGE)
        .with_for_update(of=broadcast_waits, skip_locked=True)
    )


@cache
def _decided() -> Select[Any]:
    """Of recipients of a later step: what was decided after which step, and what they did since."""
    _next = broadcast_recipients.alias("next_step")
    same = (getattr(_next.c, name) == _wait[name] for name in ("broadcast_id", "customer_id", "occasion"))
    return (
        _answered()
        .join(_next, and_(*same))
        .where(id_in(_next.c.id, "ids"), _wait.at.is_(None), _next.c.step != _wait.step)
        .add_columns(_next.c.id.label("next_id"), _next.c.step.label("next_step"))
    )


def _answered() -> Select[Any]:
    """Waits, with the step that was sent last and what they did since."""
    talk = conversations.alias("talk")
    sent = _row.sent_at
    complained = _since(
        cases, cases.c.opened_at, sent, cases.c.customer_id == talk.c.customer_id, cases.c.kind == "complaint"
    )
    replied = _since(
        messages, messages.c.at, sent, messages.c.conversation_id == talk.c.id, messages.c.direction == "in"
    )
    ordered = _since(orders, orders.c.placed_at, sent, orders.c.customer_id == talk.c.customer_id)
    visited = _since(visits, visits.c.at, sent, visits.c.customer_id == talk.c.customer_id)
    return (
        select(
            *(_wait[name] for name in ("broadcast_id", "customer_id", "occasion", "step")),
            *(
                _row[name]
                for name in ("arm", "sent_at", "conversation_id", "identity_id", "channel", "account", "stratum")
            ),
            _row.clicked_at,
            complained.label("complained"),
            replied.label("replied"),
            or_(ordered, visited).label("bought"),
            customers.c.timezone,
            contact_wishes.c.quiet_from,
            contact_wishes.c.quiet_until,
        )
        .join_from(broadcast_waits, broadcasts, broadcasts.c.id == _wait.broadcast_id)
        .join(
            broadcast_recipients,
            and_(
                _row.broadcast_id == _wait.broadcast_id,
                _row.customer_id == _wait.customer_id,
                _row.occasion == _wait.occasion,
                _row.step == _wait.step,
            ),
        )
        .join(talk, talk.c.id == _row.conversation_id)
        .join(customers, customers.c.id == talk.c.customer_id)
        .outerjoin(contact_wishes, contact_wishes.c.customer_id == customers.c.id)
    )


def _since(table: Any, at: ColumnElement[Any], sent: ColumnElement[Any], *conditions: Any) -> ColumnElement[bool]:
    return select(literal_column("1")).select_from(table).where(*conditions, at > sent).correlate_except(table).exists()


def _waiting(row: Any) -> Waiting:
    answers = {name for name in ("complained", "replied", "bought") if getattr(row, name)}
    if row.clicked_at is not None:
        answers.add("clicked")
    return Waiting(
        row.broadcast_id,
        row.customer_id,
        row.occasion,
        row.step,
        row.arm,
        row.sent_at,
        frozenset(answers),
        row.conversation_id,
        row.identity_id,
        row.channel,
        row.account,
        row.stratum,
        row.timezone,
        (row.quiet_from, row.quiet_until) if row.quiet_from else None,
    )


_AT = Statement(
    update(broadcast_waits)
    .where(
        _wait.broadcast_id == bindparam("b_broadcast"),
        _wait.customer_id == bindparam("b_customer"),
        _wait.occasion == bindparam("b_occasion"),
    )
    .values(at=bindparam("b_at", type_=_wait.at.type), outcome=bindparam("b_outcome"))
)


def put_off(conn: Connection, one: Waiting, at: datetime) -> None:
    """What comes next is decided later."""
    _set(conn, one, at, "")


def over(conn: Connection, one: Waiting, outcome: str) -> None:
    """The journey ends here for them: done, replied, complained."""
    _set(conn, one, None, outcome)


def go_on(conn: Connection, one: Waiting, step: str, not_before: datetime | None) -> None:
    """They are a recipient of the next step; skipped when it could not leave before the plan is over (None)."""
    state, reason = ("pending", "") if not_before is not None else ("skipped", "quiet_hours")
    row = {
        "broadcast_id": one.broadcast_id,
        "customer_id": one.customer_id,
        "occasion": one.occasion,
        "step": step,
        "conversation_id": one.conversation_id,
        "identity_id": one.identity_id,
        "channel": one.channel,
        "account": one.account,
        "arm": one.arm,
        "stratum": one.stratum,
        "state": state,
        "reason": reason,
        "not_before": not_before,
    }
    if insert_if_absent(conn, broadcast_recipients, row, key=("broadcast_id", "customer_id", "occasion", "step")):
        changes: Counter[Place] = Counter({(one.broadcast_id, one.arm, state, reason): 1})
        add_counts(conn, changes)
    _set(conn, one, None, "" if not_before is not None else "quiet_hours")


def _set(conn: Connection, one: Waiting, at: datetime | None, outcome: str) -> None:
    _AT.change(
        conn,
        {
            "b_broadcast": one.broadcast_id,
            "b_customer": one.customer_id,
            "b_occasion": one.occasion,
            "b_at": at,
            "b_outcome": outcome,
        },
    )
