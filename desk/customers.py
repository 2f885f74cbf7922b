"""What staff do with a customer's record: put facts right, tag, give a credit class, merge; with an audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import Connection, and_, delete, select, update

from bot.errors import CustomerNotFound, InputError, StaleState
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from bot.service.record import CREDIT_CLASSES
from crm_sync import merge_evidence, merging
from crm_sync.customer_lists import line_of
from crm_sync.database import Database
from crm_sync.phones import normalise_phone
from crm_sync.recipient_zones import zones_changed
from crm_sync.record import add_audit, put_attribute
from crm_sync.rows import insert_if_absent
from crm_sync.search_indexing import index_people
from crm_sync.service_tables import customer_tags
from crm_sync.tables import customers
from desk.actors import Actor
from desk.audit import record

PROFILE = ("name", "phone", "email", "language", "timezone")
LONGEST = 200  # characters of a field
LONGEST_TAG = 60


class CustomerDesk:
    """Customers as a member of staff may change them. `policy` gives the rules as they are now."""

    def __init__(self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock) -> None:
        self._database, self._policy, self._clock = database, policy, clock

    async def edit(
        self,
        actor: Actor,
        customer_id: int,
        changes: Mapping[str, str],
        *,
        seen: Mapping[str, str] | None = None,
        version: int | None = None,
    ) -> list[str]:
        """The record says this; the fields that changed. "" empties one. An attribute is read by its type.

        `seen`: what fields of the profile said when the actor looked. `version`: that of the line they looked at.
        Raises: NotPermitted, CustomerNotFound, InputError for a field there is none of or a value that is none;
        StaleState when a field that is changed says something else by now, or anything of the line.
        """
        actor.require("customers.write")
        values = {name: self._value(name, said) for name, said in changes.items()}
        now = self._clock.now()

        def unit(conn: Connection) -> list[str]:
            if version is not None:
                _present(conn, customer_id)
                line = line_of(conn, customer_id)
                if line is None or line.version != version:
                    raise StaleState(f"customer {customer_id} was changed by somebody else; look at it again")
            return _edit(conn, actor, customer_id, values, now, seen=seen or {})

        return await self._database.run(unit)

    async def set_credit_class(self, actor: Actor, customer_id: int, credit_class: str) -> None:
        """The customer is served by the rules of this class; "" takes it away.

        Raises: NotPermitted, CustomerNotFound, InputError.
        """
        actor.require("customers.class")
        wanted = credit_class.upper()
        if wanted and wanted not in CREDIT_CLASSES:
            raise InputError(f"credit classes are {', '.join(CREDIT_CLASSES)}")
        now = self._clock.now()
        await self._database.run(lambda conn: _edit(conn, actor, customer_id, {"credit_class": wanted}, now))

    async def tag(self, actor: Actor, customer_id: int, tag: str) -> None:
        """The customer has the tag. Raises: NotPermitted, CustomerNotFound, InputError."""
        await self._tag(actor, customer_id, tag, wanted=True)

    async def untag(self, actor: Actor, customer_id: int, tag: str) -> None:
        """The customer has not. Raises: NotPermitted, CustomerNotFound, InputError."""
        await self._tag(actor, customer_id, tag, wanted=False)

    async def merge(self, actor: Actor, one: int, other: int) -> int | None:
        """One record from two; the id of the merge, None when they are one already.

        Raises: NotPermitted, CustomerNotFound.
        """
        actor.require("customers.merge")
        now = self._clock.now()

        def unit(conn: Connection) -> int | None:
            merge_id = merging.merge(conn, one, other, evidence="staff", author=actor.name, now=now)
            if merge_id is not None:
                record(conn, actor, "customer.merge", f"customer:{one}", {"with": other, "merge": merge_id}, now=now)
            return merge_id

        return await self._database.run(unit)

    async def unmerge(self, actor: Actor, merge_id: int) -> merging.Merge:
        """The two are apart again. Raises: NotPermitted, NotFound, RuleError (a later merge must be undone first)."""
        actor.require("customers.merge")
        now = self._clock.now()

        def unit(conn: Connection) -> merging.Merge:
            undone = merging.unmerge(conn, merge_id, author=actor.name, now=now)
            record(conn, actor, "customer.unmerge", f"customer:{undone.kept_customer_id}", {"merge": merge_id}, now=now)
            return undone

        return await self._database.run(unit)

    async def decide(self, actor: Actor, proposal_id: int, *, is_same: bool) -> int | None:
        """A proposed pair is merged, or never proposed again. Raises: NotPermitted, NotFound."""
        actor.require("customers.merge")
        now = self._clock.now()

        def unit(conn: Connection) -> int | None:
            merge_id = merge_evidence.decide(conn, proposal_id, is_same=is_same, author=actor.name, now=now)
            details = {"same": is_same, "merge": merge_id}
            record(conn, actor, "customer.proposal", f"proposal:{proposal_id}", details, now=now)
            return merge_id

        return await self._database.run(unit)

    def _value(self, name: str, said: str) -> Any:
        words = said.strip()
        if len(words) > LONGEST:
            raise InputError(f"{name} is longer than {LONGEST} characters")
        if name == "phone" and words:
            phone = normalise_phone(words)
            if phone is None:
                raise InputError("phone is not a phone number")
            return phone
        if name in PROFILE:
            return words
        rules = self._policy().record
        if name not in rules.attributes:
            raise InputError(f"there is no field {name!r}; there are {', '.join((*PROFILE, *rules.attributes))}")
        value = rules.read(name, words) if words else None
        if words and value is None:
            raise InputError(f"{name} must be of type {rules.attributes[name].type}")
        return value

    async def _tag(self, actor: Actor, customer_id: int, tag: str, *, wanted: bool) -> None:
        actor.require("customers.write")
        name = tag.strip().lower()
        if not 0 < len(name) <= LONGEST_TAG:
            raise InputError(f"a tag has 1 to {LONGEST_TAG} characters")
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            _present(conn, customer_id)
            if wanted:
                row = {"customer_id": customer_id, "tag": name, "at": now}
                insert_if_absent(conn, customer_tags, row, key=("customer_id", "tag"))
            else:
                mine = and_(customer_tags.c.customer_id == customer_id, customer_tags.c.tag == name)
                conn.execute(delete(customer_tags).where(mine))
            add_audit(conn, customer_id, actor.name, "tag" if wanted else "untag", ["tags"], now=now)
            record(conn, actor, "customer.change", f"customer:{customer_id}", {"fields": ["tags"]}, now=now)

        await self._database.run(unit)


def _edit(
    conn: Connection,
    actor: Actor,
    customer_id: int,
    values: Mapping[str, Any],
    now: datetime,
    *,
    seen: Mapping[str, str] = MappingProxyType({}),
) -> list[str]:
    before = _present(conn, customer_id)
    for name in seen.keys() & values.keys() & set(PROFILE):
        if seen[name] != getattr(before, name) != values[name]:
            raise StaleState(f"{name} of customer {customer_id} was changed by somebody else; look at it again")
    plain = {
        name: value
        for name, value in values.items()
        if name in (*PROFILE, "credit_class") and getattr(before, name) != value
    }
    if "phone" in plain:
        plain["phone_is_verified"] = False  # what staff type is told, not proven
    if plain:
        conn.execute(update(customers).where(customers.c.id == customer_id).values(**plain))
    if "timezone" in plain:
        zones_changed(conn, [customer_id], now)
    changed = [name for name in plain if name != "phone_is_verified"]
    for name, value in values.items():
        is_attribute = name not in (*PROFILE, "credit_class")
        if is_attribute and put_attribute(conn, customer_id, name, value, source=f"staff:{actor.name}", now=now):
            changed.append(name)
    if changed:
        add_audit(conn, customer_id, actor.name, "correct", changed, now=now)
    if plain:
        index_people(conn, [customer_id])
    if "phone" in changed:
        merge_evidence.ask_for_check(conn, customer_id, now)
    if changed:
        record(conn, actor, "customer.change", f"customer:{customer_id}", {"fields": sorted(changed)}, now=now)
    return sorted(changed)


def _present(conn: Connection, customer_id: int) -> Any:
    """The customer's row, locked. Raises: CustomerNotFound, also for somebody who was erased."""
    alive = and_(customers.c.id == customer_id, customers.c.erased_at.is_(None))
    row = conn.execute(select(customers).where(alive).with_for_update()).first()
    if row is None:
        raise CustomerNotFound(f"no customer {customer_id}")
    return row
