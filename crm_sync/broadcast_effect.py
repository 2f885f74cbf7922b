"""What a broadcast brought, added up from orders and visits by arm and class of value, range by range of customers.

Everybody who was drawn counts in the arm they were drawn for, whatever happened to their message: leaving out those who
could not be sent to would compare different people. The window begins at the moment that was planned for each, which
those held out have as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Float,
    Select,
    and_,
    bindparam,
    case,
    cast,
    func,
    literal,
    literal_column,
    or_,
    select,
    union_all,
)

from bot.reach.types import EffectRules
from bot.reach.uplift import Side
from crm_sync.broadcast_tables import broadcast_clicks, broadcast_links, broadcast_recipients, broadcast_results
from crm_sync.columns import UtcDateTime, is_postgres
from crm_sync.rows import upsert
from crm_sync.service_tables import visits
from crm_sync.tables import cases, consents, conversations, orders

RANGE: Final = 5_000  # recipients in one transaction
_ROW: Final = broadcast_recipients.c
TIMES: Final = ("sent_at", "delivered_at", "read_at", "clicked_at", "replied_at", "left_at", "complained_at")


@dataclass(slots=True)
class ArmSums:
    """People of one arm in one class of value. `withdrew`, `complained`: within the window, sent to or not."""

    people: int = 0
    successes: int = 0
    amount: float = 0.0
    amount_squares: float = 0.0
    withdrew: int = 0
    complained: int = 0
    sent: int = 0
    delivered: int = 0
    read: int = 0
    clicked: int = 0
    replied: int = 0
    left: int = 0
    blocked: int = 0

    def add(self, other: ArmSums) -> None:
        for name in self.__dataclass_fields__:
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def side(self) -> Side:
        return Side(self.people, self.successes, self.amount, self.amount_squares)


@dataclass(frozen=True, slots=True)
class Reckoned:
    """What is added up. `step`: the first of a journey, which everybody in it was drawn for; "": there is only one."""

    broadcast_id: int
    rules: EffectRules
    step: str = ""


Sums = dict[tuple[str, str], ArmSums]  # arm, stratum


def sum_range(conn: Connection, of: Reckoned, after: int, now: datetime) -> tuple[Sums, int | None]:
    """The sums over the next recipients by customer id behind `after`, and the last one looked at; None: there are no
    more.
    """
    here = and_(_ROW.broadcast_id == of.broadcast_id, _ROW.step == of.step)
    ids = select(_ROW.customer_id).where(here, _ROW.customer_id > after).order_by(_ROW.customer_id)
    through = conn.execute(ids.offset(RANGE - 1).limit(1)).scalar()
    mine = [here, _ROW.customer_id > after, _ROW.arm != literal_column("''")]
    if through is not None:
        mine.append(_ROW.customer_id <= through)
    return _sums(conn, mine, of.rules, now), through


def _sums(conn: Connection, mine: list[ColumnElement[bool]], rules: EffectRules, now: datetime) -> Sums:
    seconds = int(rules.window.total_seconds())
    person = func.coalesce(conversations.c.customer_id, _ROW.customer_id).label("person")
    people = (
        select(
            _ROW.id,
            _ROW.arm,
            _ROW.stratum,
            _ROW.state,
            _ROW.reason,
            person,
            func.coalesce(_ROW.not_before, _ROW.sent_at).label("since"),
            *(_ROW[name] for name in TIMES),
        )
        .select_from(broadcast_recipients)
        .outerjoin(conversations, conversations.c.id == _ROW.conversation_id)
        .where(*mine)
        .cte("people")
        .prefix_with("MATERIALIZED")
    )
    until = _later(conn, people.c.since, seconds)
    bought = _bought(people, until, rules)
    got = (
        select(
            people.c.id,
            func.count().label("times"),
            func.coalesce(func.sum(bought.c.amount), 0).label("amount"),
        )
        .join_from(people, bought, bought.c.id == people.c.id)
        .group_by(people.c.id)
        .cte("got")
        .prefix_with("MATERIALIZED")
    )
    amount = cast(func.coalesce(got.c.amount, 0), Float)

    def ever(table: Any, at: Any, condition: ColumnElement[bool]) -> ColumnElement[bool]:
        mine = and_(table.c.customer_id == people.c.person, at > people.c.since, at <= until, condition)
        return select(literal_column("1")).select_from(table).where(mine).correlate_except(table).exists()

    withdrew = ever(consents, consents.c.at, ~consents.c.granted)
    complained = ever(cases, cases.c.opened_at, cases.c.kind == "complaint")
    counted: dict[str, ColumnElement[Any]] = {
        "people": func.count(),
        "successes": func.count(got.c.id),
        "amount": func.sum(amount),
        "amount_squares": func.sum(amount * amount),
        "withdrew": _how_many(withdrew),
        "complained": _how_many(complained),
        "sent": _how_many(people.c.state == "sent"),
        "delivered": func.count(people.c.delivered_at),
        "read": func.count(people.c.read_at),
        "clicked": func.count(people.c.clicked_at),
        "replied": func.count(people.c.replied_at),
        "left": func.count(people.c.left_at),
        "blocked": _how_many(people.c.reason == "blocked"),
    }
    rows = conn.execute(
        select(people.c.arm, people.c.stratum, *(value.label(name) for name, value in counted.items()))
        .select_from(people)
        .outerjoin(got, got.c.id == people.c.id)
        .group_by(people.c.arm, people.c.stratum),
        {"now": now},
    )
    return {(row.arm, row.stratum): ArmSums(**{name: getattr(row, name) or 0 for name in counted}) for row in rows}


def _bought(people: Any, until: ColumnElement[Any], rules: EffectRules) -> Any:
    """What each of them bought within the window: recipient and amount, in the currency that counts."""
    parts: list[Select[Any]] = []
    for name, table, at in (("orders", orders, orders.c.placed_at), ("visits", visits, visits.c.at)):
        if name not in rules.counts:
            continue
        amount: ColumnElement[Any] = func.coalesce(table.c.amount_minor, 0)
        if rules.currency:
            amount = case((table.c.currency == rules.currency, amount), else_=0)
        parts.append(
            select(people.c.id, amount.label("amount")).join_from(
                people, table, and_(table.c.customer_id == people.c.person, at > people.c.since, at <= until)
            )
        )
    return union_all(*parts).cte("bought")


def _how_many(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, 1), else_=0))


def _later(conn: Connection, at: ColumnElement[Any], seconds: int) -> ColumnElement[Any]:
    """So many seconds later, but never later than now."""
    now = bindparam("now", type_=UtcDateTime())
    if is_postgres(conn):
        return func.least(at + literal(timedelta(seconds=seconds)), now)
    return func.min(cast(at, BigInteger) + seconds * 1_000_000, now)


# --- what was reckoned ------------------------------------------------------------------------------------------------


def keep(conn: Connection, broadcast_id: int, document: Mapping[str, Any], share: float, now: datetime) -> None:
    """The last reckoning; `share` of the window is over."""
    row = {"broadcast_id": broadcast_id, "document": document, "share": share, "at": now}
    upsert(conn, broadcast_results, row, key=("broadcast_id",))


def kept(conn: Connection, broadcast_id: int) -> tuple[Mapping[str, Any], float, datetime] | None:
    """Document, share of the window that was over, and when it was reckoned."""
    row = conn.execute(select(broadcast_results).where(broadcast_results.c.broadcast_id == broadcast_id)).first()
    return None if row is None else (row.document, row.share, row.at)


def clicks_of(conn: Connection, broadcast_id: int) -> list[tuple[str, str, int, int]]:
    """Each link: name, address, people who followed it, times in all."""
    people, times = func.count(broadcast_clicks.c.recipient_id), func.coalesce(func.sum(broadcast_clicks.c.times), 0)
    rows = conn.execute(
        select(broadcast_links.c.name, broadcast_links.c.url, people.label("people"), times.label("times"))
        .outerjoin_from(broadcast_links, broadcast_clicks, broadcast_clicks.c.link_id == broadcast_links.c.id)
        .where(broadcast_links.c.broadcast_id == broadcast_id)
        .group_by(broadcast_links.c.id, broadcast_links.c.name, broadcast_links.c.url)
        .order_by(broadcast_links.c.name)
    )
    return [(row.name, row.url, row.people, int(row.times)) for row in rows]


def recipients_page(conn: Connection, broadcast_id: int, after: tuple[int, int], limit: int) -> list[Any]:
    """Rows for the export behind `after` (customer id, row id), in that order."""
    columns = [
        _ROW.id,
        _ROW.customer_id,
        _ROW.occasion,
        _ROW.step,
        _ROW.channel,
        _ROW.account,
        _ROW.arm,
        _ROW.stratum,
        _ROW.state,
        _ROW.reason,
        *(_ROW[name] for name in TIMES),
    ]
    customer, row = after
    behind = or_(_ROW.customer_id > customer, and_(_ROW.customer_id == customer, _ROW.id > row))
    here = and_(_ROW.broadcast_id == broadcast_id, _ROW.customer_id >= customer, behind)
    return list(conn.execute(select(*columns).where(here).order_by(_ROW.customer_id, _ROW.id).limit(limit)).all())
