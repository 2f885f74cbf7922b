"""A business with one account and a broadcast to everybody, sent by the real loops to a channel that remembers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import select

from bench.broadcast_people import PURPOSE, broadcast_row, settle
from bot.types import Capabilities, Outbound, OutPart, Receipt, Received, RenderedReply
from channels.encoding import encode_reply
from channels.pacing import LocalRateTokens
from crm_sync.broadcast_tables import broadcasts
from crm_sync.eligibility import SendRules
from crm_sync.store import SqlStore
from crm_sync.tables import customers
from frontdesk.broadcast_preparing import BroadcastPreparer
from frontdesk.broadcast_runs import Business
from frontdesk.broadcast_words import Composer
from frontdesk.broadcasting import BroadcastSender
from frontdesk.encoders import Encoders
from tests.channel_doubles import NoSignals
from tests.recipient_steps import in_states
from tests.store_steps import SetClock

PLACE = ("telegram", "bench")
CAN = Capabilities(
    channel="telegram",
    max_text=4096,
    length_unit="utf16",
    buttons=10,
    can_edit=True,
    can_type=True,
    idempotency_key=False,
    direct=False,
    per_account_per_s=100_000,
)


@dataclass
class RememberingChannel:
    """Takes what it is given, or fails as `answers` say for a chat."""

    channel: str = "telegram"
    account: str = "bench"
    capabilities: Capabilities = CAN
    sent: list[tuple[str, str]] = field(default_factory=list)
    answers: dict[str, Exception] = field(default_factory=dict)
    on_send: Callable[[Outbound], None] = lambda outbound: None

    def decode(self, body: bytes) -> Sequence[Received]:
        return ()

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        return encode_reply(reply, self.capabilities)

    async def send(self, outbound: Outbound) -> Receipt:
        self.on_send(outbound)
        if error := self.answers.get(outbound.chat_id):
            raise error
        self.sent.append((outbound.chat_id, outbound.part.text))
        return Receipt(f"v{len(self.sent)}")

    async def close(self) -> None:
        """Nothing is open."""


def document(**changes: Any) -> dict[str, Any]:
    """A broadcast to everybody that says hello by name."""
    content = {
        "variants": [{"name": "a", "text": {"en": "Hello {name}"}}],
        "fallbacks": {"name": {"en": "you"}},
        **changes.pop("content", {}),
    }
    return {
        "name": "spring",
        "purpose": PURPOSE,
        "audience": {"where": {"all": []}},
        "channels": ["telegram"],
        "content": content,
        "plan": {"quiet": ["00:00", "00:00"]},
        "holdout": 0.0,
        **changes,
    }


@dataclass
class Desk:
    """`sender` and `preparer` are those of one process; `another` makes those of a further one."""

    store: SqlStore
    clock: SetClock
    channel: RememberingChannel
    broadcast: int
    rules: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.sender, self.preparer = self.another("sender-1")

    def another(self, name: str, **more: Any) -> tuple[BroadcastSender, BroadcastPreparer]:
        adapters: Any = {PLACE: self.channel}
        rules = SendRules(PURPOSE, ("telegram",), **self.rules)
        business = Business(
            zone=lambda: UTC,
            people=lambda conn, audience, now: select(customers.c.id),
            rules=lambda conn, broadcast: rules,
        )
        database, signals = self.store.database, NoSignals()
        composer = Composer(
            database,
            Encoders([self.channel]),
            self.clock,
            address=lambda link: f"https://r.example/{link.recipient_id}",
        )
        sender = BroadcastSender(
            database,
            adapters,
            LocalRateTokens(),
            signals,
            self.clock,
            business=business,
            composer=composer,
            name=name,
            **more,
        )
        return sender, BroadcastPreparer(database, signals, self.clock, business)

    async def state(self) -> tuple[str, str]:
        one = select(broadcasts.c.state, broadcasts.c.reason).where(broadcasts.c.id == self.broadcast)
        row = await self.store.database.run(lambda conn: conn.execute(one).one(), read=True)
        return row.state, row.reason

    async def counts(self) -> Mapping[str, int]:
        return await in_states(self.store.database, self.broadcast)


async def a_desk(
    store: SqlStore,
    people: int,
    *,
    at: datetime,
    rules: Mapping[str, Any] | None = None,
    state: str = "preparing",
    **changes: Any,
) -> Desk:
    """So many people, and a broadcast to them that was begun."""
    await settle(store.database, people)
    broadcast = await broadcast_row(store.database, "spring", state, document(**changes))
    return Desk(store, SetClock(at), RememberingChannel(), broadcast, rules or {})
