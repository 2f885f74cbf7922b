"""What the service desk knows of a customer, as staff read it: what they own, did, owe, wish and are worth."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, RowMapping, Select, select

from bot.types import CustomerId
from crm_sync.codec import plain
from crm_sync.service_tables import (
    appointments,
    assets,
    customer_attributes,
    customer_merges,
    customer_tags,
    customer_values,
    dues,
    outage_reports,
    points,
    preferences,
    sites,
    subscriptions,
    surveys,
    visits,
)
from crm_sync.tables import cases

_SITE = (sites.c.key.label("site"), sites.c.names.label("site_names"))
_ASSET = assets.c.key.label("asset")


def parts_of(conn: Connection, customer_id: CustomerId) -> dict[str, Any]:
    """The sections, JSON-safe, each in order of time; `value` is None before it was first computed."""
    found = {name: [_shown(row._mapping) for row in conn.execute(query)] for name, query in _queries(customer_id)}
    value = next(iter(found["value"]), None)
    return {**found, "value": value}


def _queries(customer_id: CustomerId) -> list[tuple[str, Select[Any]]]:
    return [
        ("value", select(customer_values).where(customer_values.c.customer_id == customer_id)),
        (
            "attributes",
            select(customer_attributes)
            .where(customer_attributes.c.customer_id == customer_id)
            .order_by(customer_attributes.c.name),
        ),
        ("tags", select(customer_tags).where(customer_tags.c.customer_id == customer_id).order_by(customer_tags.c.tag)),
        ("assets", select(assets).where(assets.c.customer_id == customer_id).order_by(assets.c.id)),
        (
            "visits",
            select(visits, *_SITE, _ASSET)
            .outerjoin_from(visits, sites, sites.c.id == visits.c.site_id)
            .outerjoin(assets, assets.c.id == visits.c.asset_id)
            .where(visits.c.customer_id == customer_id)
            .order_by(visits.c.at, visits.c.id),
        ),
        (
            "appointments",
            select(appointments, *_SITE, cases.c.number.label("case_number"))
            .join_from(appointments, sites, sites.c.id == appointments.c.site_id)
            .outerjoin(cases, cases.c.id == appointments.c.case_id)
            .where(appointments.c.customer_id == customer_id)
            .order_by(appointments.c.starts_at, appointments.c.id),
        ),
        (
            "dues",
            select(dues, _ASSET)
            .outerjoin_from(dues, assets, assets.c.id == dues.c.asset_id)
            .where(dues.c.customer_id == customer_id)
            .order_by(dues.c.due_on, dues.c.id),
        ),
        ("preferences", select(preferences).where(preferences.c.customer_id == customer_id).order_by(preferences.c.id)),
        (
            "surveys",
            select(surveys, cases.c.number.label("case_number"))
            .outerjoin_from(surveys, cases, cases.c.id == surveys.c.case_id)
            .where(surveys.c.customer_id == customer_id)
            .order_by(surveys.c.id),
        ),
        (
            "subscriptions",
            select(subscriptions).where(subscriptions.c.customer_id == customer_id).order_by(subscriptions.c.id),
        ),
        (
            "outages",
            select(outage_reports)
            .where(outage_reports.c.customer_id == customer_id)
            .order_by(outage_reports.c.at, outage_reports.c.id),
        ),
        ("points", select(points).where(points.c.customer_id == customer_id).order_by(points.c.id)),
        (
            "merges",
            select(
                *(column for column in customer_merges.columns if column.name != "moved")  # what undoes it: not to read
            )
            .where(
                (customer_merges.c.kept_customer_id == customer_id)
                | (customer_merges.c.merged_customer_id == customer_id)
            )
            .order_by(customer_merges.c.id),
        ),
    ]


def _shown(row: RowMapping) -> dict[str, Any]:
    return {name: plain(value) for name, value in row.items() if name not in ("customer_id", "site_id", "asset_id")}
