"""What staff do with a customer's record: put facts right, tag, give a credit class, merge; with an audit."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
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


@dataclass(frozen=True, slots=True)
class RecordChange:
    """What is different from now on. `fields`: as for `CustomerDesk.edit`; `credit_class` None: it stays."""

    fields: Mapping[str, str] = field(default_factory=dict)
    credit_class: str | None = None
    add_tags: Sequence[str] = ()
    remove_tags: Sequence[str] = ()


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
        return await self.change(actor, customer_id, RecordChange(changes), seen=seen, version=version)

    async def set_credit_class(self, actor: Actor, customer_id: int, credit_class: str) -> None:
        """The customer is served by the rules of this class; "" takes it away.

        Raises: NotPermitted, CustomerNotFound, InputError.
        """
        await self.change(actor, customer_id, RecordChange(credit_class=credit_class))

    async def change(
        self,
        actor: Actor,
        customer_id: int,
        wanted: RecordChange,
        *,
        seen: Mapping[str, str] | None = None,
        version: int | None = None,
    ) -> list[str]:
        """All of it is so from now on, or nothing is; the fields that changed, `tags` among them when any was named.

        A class needs `customers.class`, everything else `customers.write`. Raises: as `edit`.
        """
        if wanted.credit_class is not None:
            actor.require("customers.class")
        if wanted.fields or wanted.add_tags or wanted.remove_tags or wanted.credit_class is None:
            actor.require("customers.write")
        values = {name: self._value(name, said) for name, said in wanted.fields.items()}
        if wanted.credit_class is not None:
            values["credit_class"] = _credit_class(wanted.credit_class)
        added, removed = [_tag(tag) for tag in wanted.add_tags], [_tag(tag) for tag in wanted.remove_tags]
        now = self._clock.now()

        def unit(conn: Connection) -> list[str]:
            before = _present(conn, customer_id)
            _check_version(conn, before.id, version)
            changed = _edit(conn, actor, before, values, now, seen=seen or {})
            for tag in added:
                _put_tag(conn, actor, before.id, tag, now, is_wanted=True)
            for tag in removed:
                _put_tag(conn, actor, before.id, tag, now, is_wanted=False)
            return [*changed, *(["tags"] if added or removed else [])]

        return await self._database.run(unit)

    async def tag(self, actor: Actor, customer_id: int, tag: str) -> None:
        """The customer has the tag. Raises: NotPermitted, CustomerNotFound, InputError."""
        await self.change(actor, customer_id, RecordChange(add_tags=(tag,)))

    async def untag(self, actor: Actor, customer_id: int, tag: str) -> None:
        """The customer has not. Raises: NotPermitted, CustomerNotFound, InputError."""
        await self.change(actor, customer_id, RecordChange(remove_tags=(tag,)))

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


def _credit_class(said: str) -> str:
    wanted = said.upper()
    if wanted and wanted not in CREDIT_CLASSES:
        raise InputError(f"credit classes are {', '.join(CREDIT_CLASSES)}")
    return wanted


def _tag(said: str) -> str:
    tag = said.strip().lower()
    if not 0 < len(tag) <= LONGEST_TAG:
        raise InputError(f"a tag has 1 to {LONGEST_TAG} characters")
    return tag


def _check_version(conn: Connection, customer_id: int, version: int | None) -> None:
    line = None if version is None else line_of(conn, customer_id)
    if version is not None and (line is None or line.version != version):
        raise StaleState(f"customer {customer_id} was changed by somebody else; look at it again")


def _put_tag(conn: Connection, actor: Actor, customer_id: int, tag: str, now: datetime, *, is_wanted: bool) -> None:
    if is_wanted:
        row = {"customer_id": customer_id, "tag": tag, "at": now}
        insert_if_absent(conn, customer_tags, row, key=("customer_id", "tag"))
    else:
        mine = and_(customer_tags.c.customer_id == customer_id, customer_tags.c.tag == tag)
        conn.execute(delete(customer_tags).where(mine))
    add_audit(conn, customer_id, actor.name, "tag" if is_wanted else "untag", ["tags"], now=now)
    record(conn, actor, "customer.change", f"customer:{customer_id}", {"fields": ["tags"]}, now=now)


def _edit(
    conn: Connection,
    actor: Actor,
    before: Any,
    values: Mapping[str, Any],
    now: datetime,
    *,
    seen: Mapping[str, str],
) -> list[str]:
    customer_id = before.id
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
    """The customer's row, locked; of a record that was merged, the one it is part of now.

    Raises: CustomerNotFound, also for somebody who was erased.
    """
    alive = and_(customers.c.id == merging.root_of(conn, customer_id), customers.c.erased_at.is_(None))
    row = conn.execute(select(customers).where(alive).with_for_update()).first()
    if row is None:
        raise CustomerNotFound(f"no customer {customer_id}")
    return row
