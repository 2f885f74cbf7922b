"""What each recipient is sent: facts, coupon and links read for many at once, then rendered and cut for the channel."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Final

import structlog
from sqlalchemy import Connection

from bot.ports import Clock, Encoder
from bot.reach.rendering import Message, Person, recorded, render, variant_of
from bot.reach.short_links import ShortLink
from bot.types import OutPart, RenderedReply
from crm_sync import coupons, recipient_facts
from crm_sync.clicks import keep_links
from crm_sync.database import Database
from crm_sync.recipient_claims import Handed
from frontdesk.broadcast_runs import Run

log = structlog.get_logger()


NOTHING: Final = OutPart("")


@dataclass(frozen=True, slots=True)
class Worded:
    """What one recipient is sent. `reason`: why nothing can be: no_coupon, no_variable, too_long."""

    part: OutPart = NOTHING
    language: str = ""
    kind: str = ""
    by: str = ""
    template_id: str = ""
    template_fields: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    template_url: str = ""
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Known:
    """What was read for some recipients of one run."""

    people: Mapping[int, Person]
    codes: Mapping[int, str]
    links: Mapping[str, int]


class Composer:
    """Words for recipients."""

    def __init__(
        self,
        database: Database,
        encoder: Encoder,
        clock: Clock,
        *,
        address: Callable[[ShortLink], str],
        opens_links: Callable[[str], bool] = lambda channel: False,
        zone: str = "UTC",
    ) -> None:
        """`address` gives the one of our own that stands for a link; `opens_links`: of channels with such buttons."""
        self._database, self._encoder, self._clock = database, encoder, clock
        self._address, self._opens_links, self._zone = address, opens_links, zone

    async def words_for(self, run: Run, recipients: Sequence[Handed]) -> dict[int, Worded]:
        """By recipient. Coupons are drawn, the same one whenever it is asked again. Raises: StoreUnavailable."""
        writes = run.pool is not None or bool(run.broadcast.content.links)
        known = await self._database.run(partial(self._known, run, recipients), read=not writes)
        return {one.id: self._worded(run, one, known) for one in recipients}

    def _known(self, run: Run, recipients: Sequence[Handed], conn: Connection) -> _Known:
        talks = {one.customer_id: one.conversation_id for one in recipients}
        content = run.broadcast.content
        people = recipient_facts.people(conn, talks, recorded(run.broadcast), self._zone)
        codes: Mapping[int, str] = {}
        if run.pool is not None:
            codes = coupons.draw(conn, run.pool, run.row.id, list(talks), self._clock.now())
        return _Known(people, codes, keep_links(conn, run.row.id, content.links) if content.links else {})

    def _worded(self, run: Run, one: Handed, known: _Known) -> Worded:
        coupon = known.codes.get(one.customer_id, "")
        if run.broadcast.content.coupons and not coupon:
            return Worded(reason="no_coupon")
        variant = variant_of(run.broadcast, run.variant_for(one.arm, one.step))
        message = render(
            run.broadcast,
            variant,
            one.channel,
            known.people[one.customer_id],
            coupon=coupon,
            link=lambda name: self._address(ShortLink(one.id, known.links[name])),
            opens_links=self._opens_links(one.channel),
        )
        parts = self._encoder.encode(one.channel, message.reply)
        if len(parts) != 1 and not message.template_id:
            return Worded(language=message.language, reason="too_long" if parts else "no_variable")
        return _finished(message, parts[0] if parts else OutPart(_listed(message)))


def _finished(message: Message, part: OutPart) -> Worded:
    return Worded(
        part,
        message.language,
        message.kind,
        message.by,
        message.template_id,
        message.template_fields,
        message.template_url,
    )


def _listed(message: Message) -> str:
    """A vendor's template as the conversation shows it."""
    reply: RenderedReply = message.reply
    return reply.text or "\n".join(message.template_fields.values())
