"""Where the fields of a segment are kept, and comparisons that mean the same on both databases.

Every comparison is true or false, never null, so that "not" turns it round.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    Float,
    FromClause,
    Text,
    and_,
    func,
    literal,
    literal_column,
    not_,
    select,
    type_coerce,
)
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from bot.reach.segment_fields import ATTRIBUTE
from bot.reach.segments import Condition
from crm_sync.broadcast_tables import broadcast_recipients, broadcasts
from crm_sync.columns import Words, dump_json, is_state
from crm_sync.eligibility import HEARD
from crm_sync.service_tables import appointments, assets, customer_values, dues, sites, surveys, visits
from crm_sync.tables import cases, conversations, customers, orders

OPPOSITES: Final = {"is_not": "is", "none_of": "one_of"}
_UPPER: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWERED: Final = str.maketrans(_UPPER, _UPPER.lower())


class _PlaceIn(FunctionElement[int]):
    """A text and what is looked for in it (A to Z in small letters): where it begins, from 1; 0 where it is not."""

    name = "place_in"
    inherit_cache = True


@compiles(_PlaceIn, "sqlite")
def _place_in_sqlite(element: _PlaceIn, compiler: SQLCompiler, **kw: Any) -> str:
    column, part = (compiler.process(each, **kw) for each in element.clauses)
    return f"instr(lower({column}), {part})"  # SQLite's lower() knows A to Z only


@compiles(_PlaceIn, "postgresql")
def _place_in_postgresql(element: _PlaceIn, compiler: SQLCompiler, **kw: Any) -> str:
    column, part = (compiler.process(each, **kw) for each in element.clauses)
    return f'strpos(lower({column} COLLATE "C"), {part})'


class _JsonNumber(FunctionElement[float]):
    """The number a JSON document is; null where it is something else."""

    name = "json_number"
    type = Float()
    inherit_cache = True


@compiles(_JsonNumber, "sqlite")
def _json_number_sqlite(element: _JsonNumber, compiler: SQLCompiler, **kw: Any) -> str:
    value = compiler.process(element.clauses, **kw)
    return f"CASE WHEN json_type({value}) IN ('integer', 'real') THEN json_extract({value}, '$') END"


@compiles(_JsonNumber, "postgresql")
def _json_number_postgresql(element: _JsonNumber, compiler: SQLCompiler, **kw: Any) -> str:
    value = compiler.process(element.clauses, **kw)
    return f"CASE WHEN {value} ~ '^-?[0-9]+([.][0-9]+)?([eE][-+]?[0-9]+)?$' THEN CAST({value} AS DOUBLE PRECISION) END"


class _JsonWords(FunctionElement[str]):
    """The text a JSON document is; null where it is something else, or a text that PostgreSQL cannot hold."""

    name = "json_words"
    type = Text()
    inherit_cache = True


@compiles(_JsonWords, "sqlite")
def _json_words_sqlite(element: _JsonWords, compiler: SQLCompiler, **kw: Any) -> str:
    value = compiler.process(element.clauses, **kw)
    return rf"CASE WHEN json_type({value}) = 'text' AND instr({value}, '\u') = 0 THEN json_extract({value}, '$') END"


@compiles(_JsonWords, "postgresql")
def _json_words_postgresql(element: _JsonWords, compiler: SQLCompiler, **kw: Any) -> str:
    value = compiler.process(element.clauses, **kw)
    return rf"CASE WHEN ascii({value}) = 34 AND strpos({value}, '\u') = 0 THEN CAST({value} AS json) #>> '{{}}' END"


class _JsonMember(FunctionElement[str]):
    """A member of a JSON document, as JSON; null where there is none, or the document holds what PostgreSQL cannot."""

    name = "json_member"
    type = Text()
    inherit_cache = True


@compiles(_JsonMember, "sqlite")
def _json_member_sqlite(element: _JsonMember, compiler: SQLCompiler, **kw: Any) -> str:
    document, name = (compiler.process(each, **kw) for each in element.clauses)
    return rf"CASE WHEN instr({document}, '\u') = 0 THEN {document} -> {name} END"


@compiles(_JsonMember, "postgresql")
def _json_member_postgresql(element: _JsonMember, compiler: SQLCompiler, **kw: Any) -> str:
    document, name = (compiler.process(each, **kw) for each in element.clauses)
    return rf"CASE WHEN strpos({document}, '\u') = 0 THEN CAST(CAST({document} AS json) -> {name} AS text) END"


@dataclass(frozen=True, slots=True)
class Moment:
    """Now, in the zone whose days are meant."""

    now: datetime

    @property
    def today(self) -> date:
        return self.now.date()

    def of(self, value: date | datetime) -> datetime:
        """A day is its beginning."""
        if isinstance(value, datetime):
            return value
        return datetime.combine(value, time(), self.now.tzinfo)


def compared(condition: Condition, column: ColumnElement[Any], moment: Moment) -> ColumnElement[bool]:
    """The condition on a column that holds values of the field's kind."""
    kind, operator, value = condition.field.kind, condition.operator, condition.value
    if kind in ("moment", "day"):
        return _in_time(condition, column, moment)
    if operator == "is_filled":
        filled = and_(column.is_not(None), column != "") if kind in ("text", "choice") else column.is_not(None)
        return filled if value else not_(filled)
    if operator in ("is_not", "none_of"):
        return not_(_there(column, column.in_(value) if operator == "none_of" else column == value))
    if operator in ("contains", "starts_with"):
        place = _PlaceIn(column, literal(value.translate(_LOWERED), Words()))
        return _there(column, place == 1 if operator == "starts_with" else place > 0)
    return _there(column, _COMPARED[operator](column, value))


def compared_attribute(condition: Condition, column: ColumnElement[Any], moment: Moment) -> ColumnElement[bool]:
    """The condition on a column that holds the attribute's value as JSON."""
    kind, operator, value = condition.field.kind, condition.operator, condition.value
    if operator in ("is_filled", "is_not", "none_of"):
        raise ValueError(f"{operator} is the opposite of another one")  # asked of rows that may not be there at all
    if kind in ("whole", "number"):
        return compared(condition, _JsonNumber(column), moment)
    if kind == "day":
        return _in_time(condition, type_coerce(column, Text), moment, is_json=True)
    if operator in ("contains", "starts_with"):
        return compared(condition, _JsonWords(column), moment)
    plain = type_coerce(column, Text)
    return plain.in_([dump_json(each) for each in value]) if operator == "one_of" else plain == dump_json(value)


def compared_member(condition: Condition, document: ColumnElement[Any], moment: Moment) -> ColumnElement[bool]:
    """The condition on a member of a JSON document, named by its field behind "attribute."."""
    # A literal, not a parameter: PostgreSQL would not know of what type. The name is a plain one (segment_fields.py).
    name: ColumnElement[str] = literal_column(f"'{condition.field.name.removeprefix(ATTRIBUTE)}'")
    column = _JsonMember(type_coerce(document, Text), name)
    if condition.operator in OPPOSITES:
        opposite = Condition(condition.field, OPPOSITES[condition.operator], condition.value)
        return not_(compared_member(opposite, document, moment))
    if condition.operator == "is_filled":
        filled = and_(column.is_not(None), column.not_in(["null", '""']))
        return filled if condition.value else not_(filled)
    return and_(column.is_not(None), compared_attribute(condition, column, moment))


def _there(column: ColumnElement[Any], comparison: ColumnElement[bool]) -> ColumnElement[bool]:
    return comparison if getattr(column, "nullable", True) is False else and_(column.is_not(None), comparison)


_COMPARED: Final[Mapping[str, Any]] = {
    "is": lambda column, value: column if value is True else not_(column) if value is False else column == value,
    "one_of": lambda column, value: column.in_(value),
    "at_least": lambda column, value: column >= value,
    "at_most": lambda column, value: column <= value,
    "more_than": lambda column, value: column > value,
    "less_than": lambda column, value: column < value,
    "between": lambda column, value: column.between(*value),
}


def _in_time(
    condition: Condition, column: ColumnElement[Any], moment: Moment, *, is_json: bool = False
) -> ColumnElement[bool]:
    operator, value, is_day = condition.operator, condition.value, condition.field.kind == "day"
    there = and_(column.is_not(None), column != "") if is_day else column.is_not(None)
    if operator == "is_filled":
        return there if value else not_(there)
    if operator == "anniversary_days":
        return and_(there, func.substr(column, 7 if is_json else 6, 5).in_(anniversaries(moment.today, value)))

    def bound(at: date | datetime) -> Any:
        text = at.isoformat()
        return at if not is_day else f'"{text}"' if is_json else text

    now: date | datetime = moment.today if is_day else moment.now
    if operator == "after":
        inside = column >= bound(value if is_day else moment.of(value))
    elif operator == "before":
        inside = column < bound(value if is_day else moment.of(value))
    elif operator == "is":
        inside = column == bound(value)
    elif operator == "within_days":
        inside = and_(column > bound(_shifted(now, -value)), column <= bound(now))
    elif operator == "longer_ago_days":
        inside = column <= bound(_shifted(now, -value))
    else:
        inside = and_(column >= bound(now), column <= bound(_shifted(now, value)))
    return and_(there, inside)


def _shifted(at: Any, days: int) -> Any:
    """`at` moved by so many days, no further than there are any."""
    try:
        return at + timedelta(days=days)
    except OverflowError:
        return at.replace(year=1 if days < 0 else 9999, month=1, day=1)


def anniversaries(today: date, days: int) -> list[str]:
    """MM-DD of today and the days after it; those born on a leap day have theirs on 28 February in other years."""
    found = [(today + timedelta(days=day)).strftime("%m-%d") for day in range(days + 1)]
    return found if "02-28" not in found or "02-29" in found else [*found, "02-29"]


# --- where things are -------------------------------------------------------------------------------------------------

OWN: Final[Mapping[str, ColumnElement[Any]]] = {  # columns of customers
    **{
        name: customers.c[name]
        for name in ("name", "phone", "phone_is_verified", "email", "language", "timezone", "credit_class")
    },
    "joined": customers.c.created_at,
}
VALUES: Final[Mapping[str, ColumnElement[Any]]] = {  # columns of customer_values, where some have no row
    **{
        name: customer_values.c[name]
        for name in ("value_class", "lifecycle", "next_action", "recency", "frequency", "monetary")
    },
    "bought_last": customer_values.c.last_at,
    "turnover_year": customer_values.c.amount_year_minor,
    "turnover_before": customer_values.c.amount_before_minor,
}


@dataclass(frozen=True, slots=True)
class ThingRows:
    """The rows of a thing. `person`: the column that says whose; `only`: which rows there count."""

    tables: tuple[FromClause, ...]
    person: ColumnElement[int]
    fields: Mapping[str, ColumnElement[Any]]
    only: Sequence[ColumnElement[bool]] = ()


def _site(site_id: ColumnElement[Any]) -> ColumnElement[Any]:
    return select(sites.c.key).where(sites.c.id == site_id).correlate_except(sites).scalar_subquery()


def _rows(table: Any, *, only: Sequence[ColumnElement[bool]] = (), **names: ColumnElement[Any]) -> ThingRows:
    return ThingRows((table,), table.c.customer_id, names, only)


_broadcast_name = (
    select(broadcasts.c.name)
    .where(broadcasts.c.id == broadcast_recipients.c.broadcast_id)
    .correlate_except(broadcasts)
    .scalar_subquery()
)
ROWS: Final[Mapping[str, ThingRows]] = {
    "order": _rows(
        orders,
        at=orders.c.placed_at,
        items=orders.c["items"],
        status=orders.c.status,
        store=orders.c.store,
        amount=orders.c.amount_minor,
        currency=orders.c.currency,
    ),
    "visit": _rows(
        visits,
        at=visits.c.at,
        kind=visits.c.kind,
        items=visits.c["items"],
        site=_site(visits.c.site_id),
        amount=visits.c.amount_minor,
        currency=visits.c.currency,
    ),
    "case": _rows(
        cases,
        at=cases.c.opened_at,
        kind=cases.c.kind,
        category=cases.c.category,
        status=cases.c.status,
        severity=cases.c.severity,
        is_open=cases.c.is_open,
        score=cases.c.score,
    ),
    "asset": _rows(
        assets,
        at=assets.c.since,
        kind=assets.c.kind,
        key=assets.c.key,
        name=assets.c.name,
        until=assets.c.until,
        attributes=assets.c.attributes,
    ),
    "appointment": _rows(
        appointments,
        at=appointments.c.starts_at,
        service=appointments.c.service,
        state=appointments.c.state,
        site=_site(appointments.c.site_id),
    ),
    "due": _rows(
        dues,
        only=(dues.c.replaced_at.is_(None),),
        at=dues.c.due_on,
        kind=dues.c.kind,
        is_paid=dues.c.paid_on != "",
        amount=dues.c.amount_minor,
        currency=dues.c.currency,
    ),
    "survey": _rows(
        surveys,
        only=(surveys.c.answered_at.is_not(None),),
        at=surveys.c.answered_at,
        kind=surveys.c.kind,
        score=surveys.c.score,
    ),
    "broadcast": ThingRows(  # by conversation: the recipient stays with a record that became part of another
        (broadcast_recipients, conversations),
        conversations.c.customer_id,
        {
            "at": broadcast_recipients.c.sent_at,
            "name": _broadcast_name,
            "clicked": broadcast_recipients.c.clicked_at,
            "replied": broadcast_recipients.c.replied_at,
        },
        (
            broadcast_recipients.c.conversation_id == conversations.c.id,
            is_state(broadcast_recipients.c.state, *HEARD),
            broadcast_recipients.c.sent_at.is_not(None),
        ),
    ),
}
