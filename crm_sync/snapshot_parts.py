"""What a snapshot of a customer can hold: for each part who has it, its rows, and the values they stand for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Integer, Select, and_, bindparam, case, exists, func, literal_column, or_, select, union
from sqlalchemy.sql.elements import ColumnElement

from bot.service_types import Appointment, Asset, Due, OpenSurvey, Preference, Visit
from bot.types import Case, Order
from crm_sync.accounts import CAME_FROM, account_in
from crm_sync.columns import id_in, is_filled, is_state
from crm_sync.service_tables import (
    appointments,
    assets,
    clocks,
    customer_attributes,
    customer_tags,
    dues,
    points,
    preferences,
    sites,
    subscriptions,
    surveys,
    visits,
)
from crm_sync.sites import HOURS_OF_CASE
from crm_sync.statements import Statement
from crm_sync.tables import cases, consents, customers, orders, tasks

NEWEST: Final = 10  # rows of each list that a snapshot holds at most
MOST_NAMES: Final = 100  # attributes, tags and subscriptions, which are few by what they are

ORDER_COLUMNS = (
    orders.c.number,
    orders.c.status,
    orders.c.placed_at,
    orders.c.expected_at,
    orders.c["items"],  # `.items` is the collection's own method
    orders.c.amount_minor,
    orders.c.currency,
    orders.c.carrier,
    orders.c.tracking_number,
    orders.c.store,
)
CASE_COLUMNS = (
    cases.c.number,
    cases.c.kind,
    cases.c.category,
    cases.c.subject,
    cases.c.severity,
    cases.c.status,
    cases.c.summary,
    cases.c.opened_at,
    cases.c.updated_at,
    cases.c.is_open,
    cases.c.details,
    cases.c.quality_type,
    cases.c.wish,
    cases.c.team,
    cases.c.owner,
    select(func.min(clocks.c.due_at))
    .where(clocks.c.case_id == cases.c.id, is_state(clocks.c.state, "running"))
    .scalar_subquery()
    .label("next_update_at"),
    cases.c.reopened,
    cases.c.score,
    HOURS_OF_CASE.label("site_calendar"),
    CAME_FROM.label("came_from"),
)
_ORDER_NAMES = tuple(column.name for column in ORDER_COLUMNS)
_CASE_NAMES = tuple(column.name for column in CASE_COLUMNS[:-1])
_now = bindparam("now", type_=appointments.c.ends_at.type)


def order_of(row: Any) -> Order:
    """The order in a row of ORDER_COLUMNS."""
    return Order(*(getattr(row, name) for name in _ORDER_NAMES))


def case_of(row: Any) -> Case:
    """The case in a row of CASE_COLUMNS."""
    values = [*(getattr(row, name) for name in _CASE_NAMES), account_in(row.came_from)]
    return Case(*values)


def owned_orders() -> Select[Any]:
    """Pairs of customer and order: by the order's customer, or by its phone once the customer's is verified."""
    by_phone = and_(customers.c.phone_is_verified, is_filled(orders.c.phone), orders.c.phone == customers.c.phone)
    mine = select(customers.c.id.label("owner_id"), orders.c.id.label("order_id"))
    both = union(
        mine.join_from(customers, orders, orders.c.customer_id == customers.c.id).where(id_in(customers.c.id, "ids")),
        mine.join_from(customers, orders, by_phone).where(id_in(customers.c.id, "ids")),
    ).subquery("owned")
    return select(both.c.owner_id, *ORDER_COLUMNS, orders.c.id.label("order_id")).join_from(
        both, orders, orders.c.id == both.c.order_id
    )


def _first(statement: Select[Any], *order: Callable[[Any], Any]) -> Select[Any]:
    """The first NEWEST rows of each `owner_id` in the order given, in that order."""
    inner = statement.subquery("inner_rows")
    by = [rank(inner.c) for rank in order]
    ranked = select(inner, func.row_number().over(partition_by=inner.c.owner_id, order_by=by).label("place")).subquery()
    return select(ranked).where(ranked.c.place <= NEWEST).order_by(ranked.c.owner_id, ranked.c.place)


def _newest(name: str) -> Callable[[Any], Any]:
    return lambda columns: columns[name].desc().nulls_last()


def _soonest(name: str) -> Callable[[Any], Any]:
    return lambda columns: columns[name].asc()


def _of(owner: ColumnElement[Any], *columns: ColumnElement[Any]) -> Select[Any]:
    """These columns of the rows of the customers asked for."""
    return select(owner.label("owner_id"), *columns).where(id_in(owner, "ids"))


# --- the parts ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Part:
    """One field of the snapshot: who has it, its rows with an `owner_id`, and the value of one owner's rows."""

    field: str
    has: ColumnElement[bool]
    statement: Statement
    value: Callable[[Sequence[Any], str], Any]


def _each(make: Callable[[Any], Any]) -> Callable[[Sequence[Any], str], Any]:
    return lambda rows, channel: tuple(make(row) for row in rows)


def _asset(row: Any) -> Asset:
    return Asset(row.id, row.kind, row.key, row.name, row.attributes, row.since, row.until)


def _visit(row: Any) -> Visit:
    return Visit(
        row.at, row.kind, row.site or "", row.names or {}, row.bought, row.amount_minor, row.currency, row.asset or ""
    )


def _appointment(row: Any) -> Appointment:
    return Appointment(
        row.id, row.site, row.names, row.service, row.starts_at, row.ends_at, row.state, row.number or ""
    )


def _due(row: Any) -> Due:
    return Due(
        row.key, row.kind, row.amount_minor, row.currency, row.due_on, row.paid_on, row.asset if row.asset else ""
    )


_is_mine = customers.c.id
PARTS: Final = (
    Part(
        "orders",
        or_(
            exists().where(orders.c.customer_id == _is_mine),
            and_(
                customers.c.phone_is_verified,
                exists().where(orders.c.phone == customers.c.phone, is_filled(orders.c.phone)),
            ),
        ),
        Statement(_first(owned_orders(), _newest("placed_at"), _newest("order_id"))),
        _each(order_of),
    ),
    Part(
        "cases",
        exists().where(cases.c.customer_id == _is_mine),
        Statement(
            _first(
                _of(cases.c.customer_id, *CASE_COLUMNS, cases.c.id.label("case_id")),
                _newest("updated_at"),
                _newest("case_id"),
            )
        ),
        _each(case_of),
    ),
    Part(
        "consents",
        exists().where(consents.c.customer_id == _is_mine),
        Statement(
            _of(consents.c.customer_id, consents.c.channel, consents.c.purpose, consents.c.granted).where(
                consents.c.until.is_(None)
            )
        ),
        lambda rows, channel: {row.purpose: row.granted for row in rows if row.channel == channel},
    ),
    Part(
        "open_tasks",
        exists().where(tasks.c.customer_id == _is_mine, tasks.c.is_open),
        Statement(_of(tasks.c.customer_id, tasks.c.kind).where(tasks.c.is_open).order_by(tasks.c.id)),
        _each(lambda row: row.kind),
    ),
    Part(
        "assets",
        exists().where(assets.c.customer_id == _is_mine),
        Statement(
            _first(
                _of(
                    assets.c.customer_id,
                    assets.c.id,
                    assets.c.kind,
                    assets.c.key,
                    assets.c.name,
                    assets.c.attributes,
                    assets.c.since,
                    assets.c.until,
                    and_(assets.c.until.is_not(None), assets.c.until <= _now).label("is_past"),
                ),
                _soonest("is_past"),
                _newest("since"),
                _newest("id"),
            )
        ),
        _each(_asset),
    ),
    Part(
        "visits",
        exists().where(visits.c.customer_id == _is_mine),
        Statement(
            _first(
                _of(
                    visits.c.customer_id,
                    visits.c.id,
                    visits.c.at,
                    visits.c.kind,
                    visits.c["items"].label("bought"),
                    visits.c.amount_minor,
                    visits.c.currency,
                    sites.c.key.label("site"),
                    sites.c.names,
                    assets.c.key.label("asset"),
                )
                .outerjoin_from(visits, sites, sites.c.id == visits.c.site_id)
                .outerjoin(assets, assets.c.id == visits.c.asset_id),
                _newest("at"),
                _newest("id"),
            )
        ),
        _each(_visit),
    ),
    Part(
        "appointments",
        exists().where(appointments.c.customer_id == _is_mine, is_state(appointments.c.state, "booked")),
        Statement(
            _first(
                _of(
                    appointments.c.customer_id,
                    appointments.c.id,
                    appointments.c.service,
                    appointments.c.starts_at,
                    appointments.c.ends_at,
                    appointments.c.state,
                    sites.c.key.label("site"),
                    sites.c.names,
                    cases.c.number,
                )
                .join_from(appointments, sites, sites.c.id == appointments.c.site_id)
                .outerjoin(cases, cases.c.id == appointments.c.case_id)
                .where(is_state(appointments.c.state, "booked"), appointments.c.ends_at > _now),
                _soonest("starts_at"),
                _soonest("id"),
            )
        ),
        _each(_appointment),
    ),
    Part(
        "dues",
        exists().where(dues.c.customer_id == _is_mine, dues.c.paid_on == literal_column("''")),
        Statement(
            _first(
                _of(
                    dues.c.customer_id,
                    dues.c.id,
                    dues.c.key,
                    dues.c.kind,
                    dues.c.amount_minor,
                    dues.c.currency,
                    dues.c.due_on,
                    dues.c.paid_on,
                    assets.c.key.label("asset"),
                )
                .outerjoin_from(dues, assets, assets.c.id == dues.c.asset_id)
                .where(dues.c.paid_on == literal_column("''"), dues.c.replaced_at.is_(None)),
                _soonest("due_on"),
                _soonest("id"),
            )
        ),
        _each(_due),
    ),
    Part(
        "preferences",
        exists().where(preferences.c.customer_id == _is_mine, preferences.c.ended_at.is_(None)),
        Statement(
            _first(
                _of(
                    preferences.c.customer_id,
                    preferences.c.id,
                    preferences.c.topic,
                    preferences.c.value,
                    preferences.c.at,
                ).where(preferences.c.ended_at.is_(None)),
                _newest("at"),
                _newest("id"),
            )
        ),
        _each(lambda row: Preference(row.topic, row.value, row.at)),
    ),
    Part(
        "surveys",
        exists().where(surveys.c.customer_id == _is_mine, surveys.c.answered_at.is_(None)),
        Statement(
            _first(
                _of(surveys.c.customer_id, surveys.c.id, surveys.c.reference, surveys.c.kind, cases.c.number)
                .outerjoin_from(surveys, cases, cases.c.id == surveys.c.case_id)
                .where(surveys.c.answered_at.is_(None)),
                _newest("id"),
            )
        ),
        _each(lambda row: OpenSurvey(row.reference, row.kind, row.number or "")),
    ),
    Part(
        "subscriptions",
        exists().where(subscriptions.c.customer_id == _is_mine, subscriptions.c.ended_at.is_(None)),
        Statement(
            _of(subscriptions.c.customer_id, subscriptions.c.topic, subscriptions.c.match)
            .where(subscriptions.c.ended_at.is_(None))
            .order_by(subscriptions.c.id)
        ),
        lambda rows, channel: tuple(dict.fromkeys((row.topic, row.match) for row in rows[:MOST_NAMES])),
    ),
    Part(
        "attributes",
        exists().where(customer_attributes.c.customer_id == _is_mine),
        Statement(
            _of(customer_attributes.c.customer_id, customer_attributes.c.name, customer_attributes.c.value).order_by(
                customer_attributes.c.name
            )
        ),
        lambda rows, channel: {row.name: row.value for row in rows[:MOST_NAMES]},
    ),
    Part(
        "tags",
        exists().where(customer_tags.c.customer_id == _is_mine),
        Statement(_of(customer_tags.c.customer_id, customer_tags.c.tag).order_by(customer_tags.c.tag)),
        lambda rows, channel: frozenset(row.tag for row in rows[:MOST_NAMES]),
    ),
    Part(
        "points",
        exists().where(points.c.customer_id == _is_mine),
        Statement(_of(points.c.customer_id, func.sum(points.c.change).label("balance")).group_by(points.c.customer_id)),
        lambda rows, channel: int(rows[0].balance),
    ),
)

# One number instead of a column for each part: most customers have none, and reading it costs nothing.
PARTS_OF: Final[ColumnElement[int]] = sum(
    (
        case((part.has, literal_column(str(1 << place), Integer)), else_=literal_column("0", Integer))
        for place, part in enumerate(PARTS[1:], start=1)
    ),
    start=case((PARTS[0].has, literal_column("1", Integer)), else_=literal_column("0", Integer)),
)
