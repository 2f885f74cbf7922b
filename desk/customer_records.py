"""Looking at customers: found by what is known of them, the whole record, what happened, consents, merges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from bot.errors import CustomerNotFound, RuleError
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from bot.types import CustomerId
from crm_sync import customer_lists, merge_evidence, merging
from crm_sync.customer_lists import ConsentLine, CustomerLine, TimelineLine
from crm_sync.customers import customer_record, customer_sections
from crm_sync.database import Database
from crm_sync.merge_evidence import Proposal
from crm_sync.merging import Merge
from crm_sync.record import add_audit
from desk.actors import Actor
from desk.audit import record, saw
from desk.paging import PAGE, Page, page_of, read_cursor

__all__ = ["ConsentLine", "CustomerFilter", "CustomerLine", "CustomerRecords", "Merge", "Proposal", "TimelineLine"]


@dataclass(frozen=True, slots=True)
class CustomerFilter:
    """Which customers. Empty: any. `q`: an id, a phone number, channel/account/id, or part of a name or e-mail."""

    q: str = ""
    tag: str = ""
    credit_class: str = ""
    value_class: str = ""
    lifecycle: str = ""


class CustomerRecords:
    """Customers as a member of staff may see them."""

    def __init__(self, database: Database, clock: Clock, policy: Callable[[], ServicePolicy] = ServicePolicy) -> None:
        self._database, self._clock, self._policy = database, clock, policy

    async def find(
        self, actor: Actor, which: CustomerFilter, *, cursor: str = "", limit: int = PAGE
    ) -> Page[CustomerLine]:
        """A page of customers, the newest first. Raises: NotPermitted, InputError."""
        actor.require("customers.read")
        after = read_cursor(cursor, int)

        def unit(conn: Connection) -> Page[CustomerLine]:
            before = after[0] if after else None
            rows = customer_lists.find(
                conn, which.q.strip(), tag=which.tag, credit_class=which.credit_class, value_class=which.value_class,
                lifecycle=which.lifecycle, before=before, limit=limit + 1,
            )  # fmt: skip
            return page_of(rows, limit, lambda line: (line.id,))

        return await self._database.run(unit, read=True)

    async def line(self, actor: Actor, customer_id: int) -> CustomerLine:
        """What a list shows of one customer. Raises: NotPermitted, CustomerNotFound."""
        actor.require("customers.read")
        return await self._database.run(lambda conn: _alive(conn, customer_id), read=True)

    async def record(self, actor: Actor, customer_id: int) -> Mapping[str, Any]:
        """Everything known about the customer. Raises: NotPermitted, CustomerNotFound."""
        actor.require("customers.read")
        await self._database.run(lambda conn: _alive(conn, customer_id), read=True)
        await saw(self._database, actor, f"customer:{customer_id}", self._clock.now())
        return await customer_record(self._database, CustomerId(customer_id))

    async def sections(self, actor: Actor, customer_id: int) -> Mapping[str, Any]:
        """As `record`, without what was said and the timeline; of the person a merged record is part of now.

        That the actor has seen it is in the audit log. Raises: NotPermitted, CustomerNotFound.
        """
        actor.require("customers.read")
        now = self._clock.now()

        def unit(conn: Connection) -> dict[str, Any]:
            return customer_sections(conn, _alive(conn, customer_id).id, now)

        found = await self._database.run(unit, read=True)
        await saw(self._database, actor, f"customer:{found['customer']['id']}", now)
        return found

    async def timeline(
        self,
        actor: Actor,
        customer_id: int,
        *,
        kinds: frozenset[str] = frozenset(),
        cursor: str = "",
        limit: int = PAGE,
    ) -> Page[TimelineLine]:
        """What happened, the newest first, without the messages; only of these kinds when any are named.

        Raises: NotPermitted, CustomerNotFound, InputError.
        """
        actor.require("customers.read")
        after = read_cursor(cursor, int)

        def unit(conn: Connection) -> Page[TimelineLine]:
            _alive(conn, customer_id)
            before = after[0] if after else None
            rows = customer_lists.timeline_of(conn, customer_id, sorted(kinds), before=before, limit=limit + 1)
            return page_of(rows, limit, lambda line: (line.id,))

        return await self._database.run(unit, read=True)

    async def consents(self, actor: Actor, customer_id: int) -> tuple[ConsentLine, ...]:
        """What was agreed to or taken back, the newest first. Raises: NotPermitted, CustomerNotFound."""
        actor.require("customers.read")

        def unit(conn: Connection) -> tuple[ConsentLine, ...]:
            _alive(conn, customer_id)
            return customer_lists.consents_of(conn, customer_id)

        return await self._database.run(unit, read=True)

    async def set_consent(
        self, actor: Actor, customer_id: int, *, purpose: str, channel: str, granted: bool, told: str = ""
    ) -> tuple[ConsentLine, ...]:
        """It is kept that the customer agreed, or no longer does; what is in force now, and before.

        `told`: how the customer said so, e.g. on the telephone. Raises: NotPermitted, CustomerNotFound, RuleError for
        what counts only once the customer has confirmed it (see `ConsentDesk.enter`).
        """
        actor.require("customers.write")
        now = self._clock.now()
        if granted and self._policy().broadcasts.purpose(purpose).needs_confirming:
            raise RuleError(f"{purpose} counts once the customer has confirmed it in the chat; have them asked")

        def unit(conn: Connection) -> tuple[ConsentLine, ...]:
            _alive(conn, customer_id)
            customer_lists.put_consent(
                conn, customer_id, purpose=purpose, channel=channel, granted=granted,
                source=f"staff:{actor.name} {told.strip()[:100]}".strip(), now=now,
            )  # fmt: skip
            add_audit(conn, customer_id, actor.name, "consent", [purpose], now=now)
            record(conn, actor, "customer.change", f"customer:{customer_id}", {"fields": ["consents"]}, now=now)
            return customer_lists.consents_of(conn, customer_id)

        return await self._database.run(unit)

    async def merges(self, actor: Actor, customer_id: int) -> tuple[Merge, ...]:
        """Records that were put together with this one, the oldest first. Raises: NotPermitted."""
        actor.require("customers.read")
        found = await self._database.run(lambda conn: merging.merges_of(conn, customer_id), read=True)
        return tuple(found)

    async def proposals(self, actor: Actor) -> tuple[Proposal, ...]:
        """Records that may be one person, the most likely first. Raises: NotPermitted."""
        actor.require("customers.merge")
        return tuple(await self._database.run(merge_evidence.proposals, read=True))

    async def may_export(self, actor: Actor, customer_id: int) -> None:
        """The person's data may be handed out, and it is kept that it was. Raises: NotPermitted, CustomerNotFound."""
        actor.require("customers.export")
        await self._noted(actor, customer_id, "export")

    async def may_erase(self, actor: Actor, customer_id: int) -> None:
        """The person may be erased. Raises: NotPermitted, CustomerNotFound."""
        actor.require("customers.erase")
        await self._noted(actor, customer_id, "erase")

    async def _noted(self, actor: Actor, customer_id: int, action: str) -> None:
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            _alive(conn, customer_id)
            add_audit(conn, customer_id, actor.name, action, now=now)
            record(conn, actor, f"customer.{action}", f"customer:{customer_id}", {}, now=now)

        await self._database.run(unit)


def _alive(conn: Connection, customer_id: int) -> CustomerLine:
    found = customer_lists.line_of(conn, customer_id)
    if found is None:
        raise CustomerNotFound(f"no customer {customer_id}")
    return found
