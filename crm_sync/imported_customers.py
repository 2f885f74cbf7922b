"""Customers as the business's own list knows them: its key becomes an identity, so that later files can name it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import Connection, and_, bindparam, exists, func, select, update

from bot.errors import InputError
from crm_sync.addressing import CRM, Address, find_or_create_people, identity_key
from crm_sync.columns import id_in, key_in
from crm_sync.import_cells import attributes, listed, phone
from crm_sync.import_rows import CellError
from crm_sync.imports import How, Kind, Written
from crm_sync.recipient_zones import zones_changed
from crm_sync.service_tables import audit, customer_attributes, customer_tags
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import customers, identities

CREDIT_CLASSES: Final = ("", "A", "B", "C", "D")
_PROFILE: Final = ("name", "phone", "email", "language", "timezone", "credit_class")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s]+")
_LANGUAGE = re.compile(r"[A-Za-z]{2,3}(-[A-Za-z0-9]{2,8})*")

_KNOWN = Statement(
    select(
        customers.c.id, *(customers.c[name] for name in _PROFILE), customers.c.phone_is_verified, customers.c.erased_at
    ).where(id_in(customers.c.id, "ids"))
)
_UPDATE = Statement(
    update(customers)
    .where(customers.c.id == bindparam("b_id"))
    .values({name: bindparam(f"b_{name}") for name in _PROFILE})
)
_CORRECTED = Statement(
    select(audit.c.customer_id, audit.c.fields).where(id_in(audit.c.customer_id, "ids"), audit.c.author != "import")
)
_ATTRIBUTES = Statement(
    select(customer_attributes.c.customer_id, customer_attributes.c.name, customer_attributes.c.value).where(
        id_in(customer_attributes.c.customer_id, "ids")
    )
)
_SET_ATTRIBUTE = Statement(
    update(customer_attributes)
    .where(
        customer_attributes.c.customer_id == bindparam("b_customer_id"),
        customer_attributes.c.name == bindparam("b_name"),
    )
    .values(value=bindparam("b_value"), source="import", updated_at=bindparam("b_now"))
)
_TAGS = Statement(
    select(customer_tags.c.customer_id, customer_tags.c.tag).where(id_in(customer_tags.c.customer_id, "ids"))
)
_BY_KEY = Statement(select(identities.c.key, identities.c.customer_id).where(key_in(identities.c.key, "keys")))
_BY_PHONE = Statement(
    select(customers.c.phone, func.min(customers.c.id).label("customer_id"), func.count().label("found"))
    .where(
        key_in(customers.c.phone, "phones"),
        exists().where(and_(identities.c.customer_id == customers.c.id, identities.c.channel == CRM[0])),
    )
    .group_by(customers.c.phone)
)


@dataclass(frozen=True, slots=True)
class CustomerLine:
    """One checked row; what it says nothing of is left out of `profile`."""

    key: str
    profile: Mapping[str, str]
    tags: Sequence[str]
    attributes: Mapping[str, Any]


def by_key(conn: Connection, keys: Sequence[str]) -> dict[str, int]:
    """Key of the business's list -> customer, for those that were imported."""
    digests = {identity_key(*CRM, key): key for key in keys}
    if not digests:
        return {}
    return {digests[row.key]: row.customer_id for row in _BY_KEY.rows(conn, {"keys": list(digests)})}


def by_phone(conn: Connection, phones: Sequence[str]) -> dict[str, int]:
    """Phone -> the one customer of the business's list who has it; a number that several share names nobody."""
    wanted = sorted({number for number in phones if number})
    if not wanted:
        return {}
    return {row.phone: row.customer_id for row in _BY_PHONE.rows(conn, {"phones": wanted}) if row.found == 1}


def unknown_customer(key: str) -> InputError:
    """Why a row that names a customer nobody has imported is left out."""
    return CellError("customer_key", f"no customer {key!r} is known; import customers first")


def _read(row: Mapping[str, str], how: How) -> CustomerLine:
    if row["email"] and not _EMAIL.fullmatch(row["email"]):
        raise CellError("email", "email is not an e-mail address")
    if row["language"] and not _LANGUAGE.fullmatch(row["language"]):
        raise CellError("language", "language is a tag such as zh or en")
    if row["timezone"]:
        try:
            ZoneInfo(row["timezone"])
        except (KeyError, ValueError, OSError) as exc:
            raise CellError("timezone", f"there is no time zone {row['timezone']!r}; write Asia/Shanghai") from exc
    if row["credit_class"].upper() not in CREDIT_CLASSES:
        raise CellError("credit_class", "credit_class is A, B, C or D")
    profile = {
        "name": row["name"],
        "phone": phone(row),
        "email": row["email"],
        "language": row["language"].lower(),
        "timezone": row["timezone"],
        "credit_class": row["credit_class"].upper(),
    }
    return CustomerLine(
        row["key"],
        {name: value for name, value in profile.items() if value},
        [tag.lower()[:60] for tag in listed(row["tags"])],
        attributes(row, how.attributes, how.zone),
    )


def _write(conn: Connection, lines: Sequence[CustomerLine], now: datetime) -> Written:
    addresses = {line.key: Address(*CRM, line.key, line.key) for line in lines}
    known = by_key(conn, list(addresses))
    people = find_or_create_people(conn, list(addresses.values()), now)
    ids = {key: people[address.identity_key()].customer_id for key, address in addresses.items()}
    wanted = {"ids": sorted(set(ids.values()))}
    rows = {row.id: row for row in _KNOWN.rows(conn, wanted)}
    corrected: dict[int, set[str]] = {}
    for row in _CORRECTED.rows(conn, wanted):
        corrected.setdefault(row.customer_id, set()).update(row.fields)
    changes: list[dict[str, Any]] = []
    touched: set[str] = set()
    for line in lines:
        row, customer_id = rows[ids[line.key]], ids[line.key]
        # What the customer or staff put right is not put wrong again by an old list.
        kept = corrected.get(customer_id, set()) | ({"phone"} if row.phone_is_verified else set())
        after = {name: line.profile.get(name, "") or getattr(row, name) for name in _PROFILE if name not in kept}
        after = {name: after.get(name, getattr(row, name)) for name in _PROFILE}
        if any(getattr(row, name) != value for name, value in after.items()):
            changes.append({"b_id": customer_id, **{f"b_{name}": value for name, value in after.items()}})
            touched.add(line.key)
    _UPDATE.change_each(conn, changes)
    moved = {each["b_id"] for each in changes if rows[each["b_id"]].timezone != each["b_timezone"]}
    zones_changed(conn, moved, now)
    touched |= _set_attributes(conn, lines, ids, corrected, now) | _add_tags(conn, lines, ids, now)
    fresh = set(ids) - set(known)
    return Written(inserted=len(fresh), updated=len(touched - fresh))


def _set_attributes(
    conn: Connection,
    lines: Sequence[CustomerLine],
    ids: Mapping[str, int],
    corrected: Mapping[int, set[str]],
    now: datetime,
) -> set[str]:
    having = [line for line in lines if line.attributes]
    found = _ATTRIBUTES.rows(conn, {"ids": sorted({ids[line.key] for line in having})}) if having else ()
    before = {(row.customer_id, row.name): row.value for row in found}
    fresh, changed, touched = [], [], set()
    for line in having:
        for name, value in line.attributes.items():
            place = (ids[line.key], name)
            if before.get(place) == value or name in corrected.get(ids[line.key], ()):
                continue
            touched.add(line.key)
            if place in before:
                changed.append({"b_customer_id": place[0], "b_name": name, "b_value": value, "b_now": now})
            else:
                fresh.append(
                    {"customer_id": place[0], "name": name, "value": value, "source": "import", "updated_at": now}
                )
    insert_rows(conn, customer_attributes, fresh)
    _SET_ATTRIBUTE.change_each(conn, changed)
    return touched


def _add_tags(conn: Connection, lines: Sequence[CustomerLine], ids: Mapping[str, int], now: datetime) -> set[str]:
    having = [line for line in lines if line.tags]
    found = _TAGS.rows(conn, {"ids": sorted({ids[line.key] for line in having})}) if having else ()
    before = {(row.customer_id, row.tag) for row in found}
    fresh: dict[tuple[int, str], str] = {}
    for line in having:
        fresh.update({(ids[line.key], tag): line.key for tag in line.tags if (ids[line.key], tag) not in before})
    insert_rows(conn, customer_tags, [{"customer_id": owner, "tag": tag, "at": now} for owner, tag in fresh])
    return set(fresh.values())


CUSTOMERS: Final = Kind(
    "customers",
    ("key", "name", "phone", "email", "language", "timezone", "credit_class", "tags", "attr:"),
    ("key",),
    _read,
    lambda line: f"customer {line.key}",
    _write,
)
