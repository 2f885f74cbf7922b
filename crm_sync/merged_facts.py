"""What records that became one say of the person: the oldest that says anything counts, a proven phone first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select, update

from crm_sync.service_tables import customer_attributes
from crm_sync.tables import customers

_PLAIN: Final = ("name", "email", "language", "timezone", "credit_class")
_ATTRIBUTE: Final = "attr:"
# What a merge keeps of them: `said` by the merged record, `sources` (field -> id of the record it came from), and
# `used`: fields that the kept record takes from it, each with the value used and what the kept one had itself.
# A fact is its value as JSON: text for a field, [phone, proven], or [value, source, updated_at] of an attribute.
Facts = dict[str, Any]


def facts_of(conn: Connection, customer_id: int) -> Facts:
    """What the record says now; fields that are empty are left out."""
    row = conn.execute(select(customers).where(customers.c.id == customer_id)).one()
    found: Facts = {name: getattr(row, name) for name in _PLAIN if getattr(row, name)}
    if row.phone:
        found["phone"] = [row.phone, row.phone_is_verified]
    attributes = select(customer_attributes).where(customer_attributes.c.customer_id == customer_id)
    for attribute in conn.execute(attributes):
        found[_ATTRIBUTE + attribute.name] = [attribute.value, attribute.source, attribute.updated_at.isoformat()]
    return found


def write_facts(conn: Connection, customer_id: int, facts: Facts) -> None:
    """The record says this and nothing else."""
    phone, proven = facts.get("phone", ["", False])
    plain = {name: facts.get(name, "") for name in _PLAIN}
    conn.execute(
        update(customers).where(customers.c.id == customer_id).values(**plain, phone=phone, phone_is_verified=proven)
    )
    conn.execute(delete(customer_attributes).where(customer_attributes.c.customer_id == customer_id))
    rows = [
        {
            "customer_id": customer_id,
            "name": name.removeprefix(_ATTRIBUTE),
            "value": fact[0],
            "source": fact[1],
            "updated_at": datetime.fromisoformat(fact[2]).astimezone(UTC),
        }
        for name, fact in facts.items()
        if name.startswith(_ATTRIBUTE)
    ]
    if rows:
        conn.execute(insert(customer_attributes), rows)


def offered(conn: Connection, merged: int, documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the merged record has to offer; it says nothing itself from now on, so erasure finds it in one place."""
    said = facts_of(conn, merged)
    sources = {}
    for name, value in said.items():
        sources[name] = merged
        for document in documents:
            used = document["facts"]["used"].get(name)
            if used is not None and used["value"] == value:
                sources[name] = document["facts"]["sources"][name]
    write_facts(conn, merged, {})
    return {"said": said, "sources": sources, "used": {}}


def settle(
    conn: Connection, kept: int, merges: Mapping[int, Mapping[str, Any]], gone: Mapping[str, Any] | None = None
) -> dict[int, dict[str, Any]]:
    """The kept record says what it says itself and, where it does not, the best of what its merges offer.

    A fact written since (it is not what was used) is the record's own; `gone` was undone just now.
    Merge id -> its facts, where they changed.
    """
    now = facts_of(conn, kept)
    own = dict(now)
    for facts in (*merges.values(), *([gone] if gone else ())):
        for name, used in facts["used"].items():
            if now.get(name) == used["value"]:
                own.pop(name, None)
                if used["own"] is not None:
                    own[name] = used["own"]
    fields = {name for facts in merges.values() for name in facts["said"]}
    after = dict(own)
    fresh: dict[int, dict[str, Any]] = {merge_id: {} for merge_id in merges}
    for name in fields:
        offers = [
            (not _is_proven(name, facts["said"][name]), facts["sources"][name], merge_id)
            for merge_id, facts in merges.items()
            if name in facts["said"]
        ]
        _, _, best = min(offers)
        value = merges[best]["said"][name]
        if name not in own or (_is_proven(name, value) and not _is_proven(name, own[name])):
            after[name] = value
            fresh[best][name] = {"value": value, "own": own.get(name)}
    if after != now:
        write_facts(conn, kept, after)
    return {
        merge_id: {**facts, "used": fresh[merge_id]}
        for merge_id, facts in merges.items()
        if fresh[merge_id] != facts["used"]
    }


def _is_proven(name: str, fact: Any) -> bool:
    return name == "phone" and bool(fact[1])
