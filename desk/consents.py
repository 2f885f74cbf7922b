"""The register of consents as staff read it, and what they enter for a customer: in force, or asked to be confirmed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, select

from bot.errors import InputError, RuleError
from bot.ports import Clock
from bot.service.policy import ServicePolicy
from bot.service_types import Notice, WishContact
from crm_sync import consent_register, notices
from crm_sync.consent_register import RegisterLine
from crm_sync.database import Database
from crm_sync.merging import root_of
from crm_sync.record import add_audit
from crm_sync.tables import conversations, identities
from desk.actors import Actor
from desk.audit import record
from desk.paging import MOST, PAGE, Page, page_of, read_cursor


@dataclass(frozen=True, slots=True)
class Agreed:
    """How many people's last word about a purpose on a channel is yes, and how many say no."""

    purpose: str
    channel: str
    yes: int
    no: int


class ConsentDesk:
    """Whoever reads broadcasts sees the register; whoever corrects records enters what customers say."""

    def __init__(self, database: Database, policy: Callable[[], ServicePolicy], clock: Clock) -> None:
        self._database, self._policy, self._clock = database, policy, clock

    async def page(
        self,
        actor: Actor,
        *,
        purpose: str = "",
        channel: str = "",
        granted: bool | None = None,
        customer_id: int | None = None,
        cursor: str = "",
        limit: int = PAGE,
    ) -> Page[RegisterLine]:
        """What was said and what shows it, the newest first. Raises: NotPermitted, InputError for a wrong cursor."""
        actor.require("broadcasts.read")
        actor.require("customers.read")
        after, limit = read_cursor(cursor, int), max(1, min(limit, MOST))

        def unit(conn: Connection) -> Page[RegisterLine]:
            found = consent_register.page(
                conn,
                purpose=purpose,
                channel=channel,
                granted=granted,
                customer_id=customer_id,
                before=None if after is None else after[0],
                limit=limit + 1,
            )
            return page_of(found, limit, lambda line: (line.id,))

        return await self._database.run(unit, read=True)

    async def summary(self, actor: Actor) -> tuple[Agreed, ...]:
        """How many agree to what, by purpose and channel. Raises: NotPermitted."""
        actor.require("broadcasts.read")
        now = self._clock.now()
        found = await self._database.run(lambda conn: consent_register.summary(conn, now), read=True)
        return tuple(Agreed(*row) for row in found)

    async def wishes(self, actor: Actor, customer_id: int) -> WishContact:
        """How the customer wants to be written to. Raises: NotPermitted, CustomerNotFound."""
        actor.require("customers.read")

        def unit(conn: Connection) -> WishContact:
            return consent_register.wishes_of(conn, root_of(conn, customer_id))

        return await self._database.run(unit, read=True)

    async def enter(
        self, actor: Actor, customer_id: int, *, purpose: str, channel: str, granted: bool, told: str
    ) -> bool:
        """What the customer said to somebody of the staff is in force; False when they are asked to confirm it first.

        `told`: how they said so, e.g. on the telephone. Raises: NotPermitted, CustomerNotFound, InputError without it,
        RuleError when it has to be confirmed and there is no conversation to ask in.
        """
        actor.require("customers.write")
        if not told.strip() or not purpose or not channel:
            raise InputError("a consent has a purpose, a channel, and how the customer told us")
        rules, now = self._policy().broadcasts, self._clock.now()
        source = f"staff:{actor.name} {told.strip()[:100]}"

        def unit(conn: Connection) -> bool:
            person = root_of(conn, customer_id)
            asks = granted and rules.purpose(purpose).needs_confirming
            if asks:
                where = _place(conn, person, channel)
                fresh = consent_register.ask(
                    conn,
                    customer_id=person,
                    identity_id=where.identity_id,
                    purpose=purpose,
                    channel=channel,
                    source=source,
                    now=now,
                    expires_at=now + rules.confirm_within,
                )
                if fresh:
                    notice = Notice("utter_consent_ask", flow="consent_confirm")
                    notices.tell(conn, person, notice, now=now, conversation_id=where.id)
            else:
                consent_register.put(
                    conn,
                    person,
                    purpose=purpose,
                    channel=channel,
                    granted=granted,
                    source=source,
                    at=now,
                    proof={"staff": actor.name},
                )
            add_audit(conn, person, actor.name, "consent", [purpose], now=now)
            details = {"purpose": purpose, "channel": channel, "granted": granted, "asked": asks}
            record(conn, actor, "consent.enter", f"customer:{person}", details, now=now)
            return not asks

        return await self._database.run(unit)


def _place(conn: Connection, person: int, channel: str) -> Any:
    """The conversation on the channel where they can be asked. Raises: RuleError when there is none."""
    there = (
        select(conversations.c.id, conversations.c.identity_id)
        .join_from(conversations, identities, identities.c.id == conversations.c.identity_id)
        .where(
            conversations.c.customer_id == person,
            conversations.c.channel == channel,
            identities.c.unreachable_at.is_(None),
        )
        .order_by(conversations.c.last_inbound_at.desc().nulls_last(), conversations.c.id.desc())
        .limit(1)
    )
    talk = conn.execute(there).first()
    if talk is None:
        raise RuleError(f"this has to be confirmed by the customer, who cannot be asked on {channel}")
    return talk
