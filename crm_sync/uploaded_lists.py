"""Lines of an uploaded list as people: each names one by phone, number or key, and nothing is guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import Connection, select

from bot.errors import InputError
from crm_sync.addressing import CRM, identity_key
from crm_sync.broadcast_tables import audience_members
from crm_sync.columns import digest_key, id_in, key_in
from crm_sync.import_cells import phone
from crm_sync.import_rows import CellError
from crm_sync.imports import How, Kind, Written
from crm_sync.merging import is_merged
from crm_sync.service_tables import customer_merges
from crm_sync.statements import Statement, insert_rows
from crm_sync.tables import customers, identities

COLUMNS: Final = ("phone", "customer_id", "key", "channel", "account", "external_id")
STRANGER: Final = "names nobody we know"
SHARED: Final = "is the number of several people"
TWO_PEOPLE: Final = "names two different people"
AGAIN: Final = "names somebody an earlier line names"
DOUBLE: Final = "is already on line"  # as `imports` says it

_BY_PHONE = Statement(
    select(customers.c.phone, customers.c.id).where(
        key_in(customers.c.phone, "phones"), customers.c.erased_at.is_(None), ~is_merged(customers.c.id)
    )
)
_BY_IDENTITY = Statement(select(identities.c.key, identities.c.customer_id).where(key_in(identities.c.key, "keys")))
_BY_ID = Statement(select(customers.c.id, customers.c.erased_at).where(id_in(customers.c.id, "ids")))
_INTO = Statement(
    select(customer_merges.c.merged_customer_id, customer_merges.c.kept_customer_id).where(
        id_in(customer_merges.c.merged_customer_id, "ids"), customer_merges.c.undone_at.is_(None)
    )
)


@dataclass(frozen=True, slots=True)
class Named:
    """Who a line means: every way it says so."""

    phone: str = ""
    customer_id: int | None = None
    identity: str = ""  # key of `identities`

    def __str__(self) -> str:
        """Tells lines apart, and no phone number to whoever reads of a repeated one."""
        told = [f"customer {self.customer_id}"] if self.customer_id is not None else []
        told += [f"identity {self.identity}"] if self.identity else []
        told += [f"phone …{self.phone[-4:]} ({digest_key(self.phone)[:8]})"] if self.phone else []
        return ", ".join(told)


def read_named(row: Mapping[str, str], how: How) -> Named:
    """Who the row means. Raises: InputError when it says nobody, or in no form we know."""
    number = row["customer_id"]
    if number and not (number.isascii() and number.isdigit() and len(number) <= 18):
        raise CellError("customer_id", "customer_id is our own number of a customer, e.g. 1024")
    address = (row["channel"], row["account"], row["external_id"])
    if row["external_id"] and not row["channel"]:
        raise CellError("channel", "an external_id needs its channel")
    if row["key"] and row["external_id"]:
        raise CellError("external_id", "a line has a key or an external_id, not both")
    identity = ""
    if row["key"]:
        identity = identity_key(*CRM, row["key"])
    elif row["external_id"]:
        identity = identity_key(address[0], address[1] or "default", address[2])
    if not any((number, identity, row["phone"])):
        raise InputError(f"names nobody: fill one of {', '.join(COLUMNS)}")
    return Named(phone(row), int(number) if number else None, identity)


def find_people(conn: Connection, lines: Sequence[Named]) -> list[int | InputError]:
    """The customer each line means, or why it means nobody in particular."""
    phones: dict[str, set[int]] = {}
    for row in _BY_PHONE.rows(conn, {"phones": sorted({line.phone for line in lines if line.phone})}):
        phones.setdefault(row.phone, set()).add(row.id)
    wanted = {"keys": sorted({line.identity for line in lines if line.identity})}
    by_identity = {row.key: row.customer_id for row in _BY_IDENTITY.rows(conn, wanted)}
    named = {line.customer_id for line in lines if line.customer_id is not None} | set(by_identity.values())
    roots = _roots(conn, named)
    present = {row.id for row in _BY_ID.rows(conn, {"ids": sorted(set(roots.values()))}) if row.erased_at is None}
    present |= {person for sharing in phones.values() for person in sharing}
    return [_person(line, phones, by_identity, roots, present) for line in lines]


def _person(
    line: Named,
    phones: Mapping[str, set[int]],
    by_identity: Mapping[str, int],
    roots: Mapping[int, int],
    present: set[int],
) -> int | InputError:
    found: set[int | None] = set()
    if line.customer_id is not None:
        found.add(roots.get(line.customer_id))
    if line.identity:
        found.add(roots.get(by_identity.get(line.identity, -1)))
    if line.phone:
        sharing = phones.get(line.phone, set())
        others = {person for person in found if person is not None}
        if len(sharing) > 1 and not others:
            return CellError("phone", SHARED)
        found |= sharing & others or sharing or {None}
    if None in found or not found <= present | {None}:
        return InputError(STRANGER)
    if len(found) > 1:
        return InputError(TWO_PEOPLE)
    return next(person for person in found if person is not None)


def _roots(conn: Connection, ids: Iterable[int]) -> dict[int, int]:
    """Record -> the record it is part of now, itself when it is nobody's."""
    roots = {each: each for each in ids}
    while moved := {row.merged_customer_id: row.kept_customer_id for row in _into(conn, roots.values())}:
        roots = {each: moved.get(root, root) for each, root in roots.items()}
    return roots


def _into(conn: Connection, ids: Iterable[int]) -> Sequence[Any]:
    return _INTO.rows(conn, {"ids": sorted(set(ids))})


def list_kind(list_id: int) -> Kind:
    """An import that puts the people of a file on the list."""
    return Kind(
        f"audience:{list_id}",
        COLUMNS,
        (),
        read_named,
        str,
        partial(_write, list_id=list_id),
    )


def _write(conn: Connection, lines: Sequence[Named], now: datetime, *, list_id: int) -> Written:
    found, written = find_people(conn, lines), Written()
    people = sorted({each for each in found if not isinstance(each, InputError)})
    on_it = set(
        conn.execute(
            select(audience_members.c.customer_id).where(
                audience_members.c.list_id == list_id, audience_members.c.customer_id.in_(people)
            )
        ).scalars()
    )
    fresh: list[int] = []
    for place, each in enumerate(found):
        if isinstance(each, InputError):
            written.errors[place] = each
        elif each in on_it:
            written.errors[place] = InputError(AGAIN)
        else:
            on_it.add(each)
            fresh.append(each)
    insert_rows(conn, audience_members, [{"list_id": list_id, "customer_id": each} for each in fresh])
    written.inserted = len(fresh)
    return written
