"""What a broadcast may say of each person it goes to, read for many at once, and only what its words ask for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Connection, func, select

from bot.business_time import zone as zone_named
from bot.reach.rendering import Person
from crm_sync.columns import id_in
from crm_sync.service_tables import assets, customer_attributes, points, sites, visits
from crm_sync.statements import Statement
from crm_sync.tables import conversations, customers, identities, orders

# Variables every business has; the attributes of its record are others, by their own names.
VARIABLES: Final = ("name", "points", "order", "site", "visit_date", "asset", "asset_key")

_WHO = Statement(
    select(customers.c.id, customers.c.name, customers.c.language, customers.c.timezone).where(
        id_in(customers.c.id, "ids")
    )
)
_SPOKEN = Statement(
    select(conversations.c.id, conversations.c.identity_id, conversations.c.language).where(
        id_in(conversations.c.id, "ids")
    )
)
_CALLED = Statement(
    select(identities.c.id, identities.c.customer_id, identities.c.display_name)
    .where(id_in(identities.c.customer_id, "ids"), identities.c.display_name != "")
    .order_by(identities.c.id)
)
_POINTS = Statement(
    select(points.c.customer_id, func.sum(points.c.change).label("total"))
    .where(id_in(points.c.customer_id, "ids"))
    .group_by(points.c.customer_id)
)
_ORDERS = Statement(
    select(orders.c.customer_id, orders.c.number)
    .where(id_in(orders.c.customer_id, "ids"))
    .order_by(orders.c.placed_at, orders.c.id)
)
_VISITS = Statement(
    select(visits.c.customer_id, visits.c.at, sites.c.names)
    .outerjoin_from(visits, sites, sites.c.id == visits.c.site_id)
    .where(id_in(visits.c.customer_id, "ids"))
    .order_by(visits.c.at, visits.c.id)
)
_ASSETS = Statement(
    select(assets.c.customer_id, assets.c.name, assets.c.key)
    .where(id_in(assets.c.customer_id, "ids"), assets.c.until.is_(None))
    .order_by(assets.c.id)
)
_ATTRIBUTES = Statement(
    select(customer_attributes.c.customer_id, customer_attributes.c.name, customer_attributes.c.value).where(
        id_in(customer_attributes.c.customer_id, "ids")
    )
)


def people(
    conn: Connection,
    talks: Mapping[int, int | None],
    variables: Collection[str],
    zone: str,
) -> dict[int, Person]:
    """Each customer (`talks`: id -> the conversation it goes to, if any) with what is known by variable.

    The language is the record's, else the conversation's; the name too, else what they call themselves on the channel
    it goes to, or on any other. `zone` is used where the record has none.
    """
    ids = list(talks)
    spoken = _spoken(conn, [talk for talk in talks.values() if talk is not None])
    values: dict[int, dict[str, str]] = {who: {} for who in ids}
    languages: dict[int, str] = {}
    zones: dict[int, str] = {}
    for row in _WHO.rows(conn, {"ids": ids}):
        languages[row.id] = row.language or spoken.get(talks[row.id] or 0, (0, ""))[1]
        zones[row.id] = row.timezone or zone
        values[row.id]["name"] = row.name
    if "name" in variables:
        own = {who: spoken[talk][0] for who, talk in talks.items() if talk in spoken}
        _call_by_profile(conn, values, own)
    for names, read in _PARTS:
        if not names.isdisjoint(variables):
            read(conn, ids, values, languages, zones)
    if others := set(variables) - set(VARIABLES):
        for row in _ATTRIBUTES.rows(conn, {"ids": ids}):
            if row.name in others:
                values[row.customer_id][row.name] = _shown(row.value)
    return {who: Person(who, languages.get(who, ""), zones.get(who, zone), values[who]) for who in ids}


def _spoken(conn: Connection, conversation_ids: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Conversation -> whose it is on the channel, and its language."""
    if not conversation_ids:
        return {}
    rows = _SPOKEN.rows(conn, {"ids": list(conversation_ids)})
    return {row.id: (row.identity_id, row.language or "") for row in rows}


def _call_by_profile(conn: Connection, values: Mapping[int, dict[str, str]], own: Mapping[int, int]) -> None:
    """Whoever has no name in the record has the one of their profile: of the identity it goes to (`own`) first."""
    nameless = [who for who, known in values.items() if not known.get("name", "").strip()]
    if not nameless:
        return
    for row in _CALLED.rows(conn, {"ids": nameless}):
        known = values[row.customer_id]
        if row.id == own.get(row.customer_id) or not known.get("name", "").strip():
            known["name"] = row.display_name


_Values = dict[int, dict[str, str]]
_Read = Callable[[Connection, list[int], _Values, Mapping[int, str], Mapping[int, str]], None]


def _points(conn: Connection, ids: list[int], values: _Values, *_: Any) -> None:
    for row in _POINTS.rows(conn, {"ids": ids}):
        values[row.customer_id]["points"] = str(row.total)


def _orders(conn: Connection, ids: list[int], values: _Values, *_: Any) -> None:
    for row in _ORDERS.rows(conn, {"ids": ids}):
        values[row.customer_id]["order"] = row.number  # the last one read is the newest


def _visits(
    conn: Connection, ids: list[int], values: _Values, languages: Mapping[int, str], zones: Mapping[int, str]
) -> None:
    for row in _VISITS.rows(conn, {"ids": ids}):
        mine = values[row.customer_id]
        names: Mapping[str, str] = row.names or {}
        language = "en" if languages.get(row.customer_id, "").startswith("en") else "zh"
        mine["site"] = names.get(language) or next(iter(names.values()), "")
        mine["visit_date"] = _day(row.at, zones.get(row.customer_id, "UTC"))


def _assets(conn: Connection, ids: list[int], values: _Values, *_: Any) -> None:
    for row in _ASSETS.rows(conn, {"ids": ids}):
        values[row.customer_id].setdefault("asset", row.name or row.key)
        values[row.customer_id].setdefault("asset_key", row.key)


_PARTS: Final[tuple[tuple[frozenset[str], _Read], ...]] = (
    (frozenset({"points"}), _points),
    (frozenset({"order"}), _orders),
    (frozenset({"site", "visit_date"}), _visits),
    (frozenset({"asset", "asset_key"}), _assets),
)


def _day(at: datetime, zone: str) -> str:
    return at.astimezone(zone_named(zone)).date().isoformat()


def _shown(value: Any) -> str:
    if isinstance(value, bool):
        return ""  # "true" is nothing to say to anybody
    return f"{value:g}" if isinstance(value, float) else str(value)
