"""One message of a broadcast to one person: the cheapest call that carries it, and what its answer means."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from bot.errors import (
    Misconfigured,
    RateLimited,
    RecipientUnreachable,
    SendRefused,
    ServiceError,
    ServiceUnavailable,
    WindowClosed,
)
from bot.ports import ChannelHealth, Clock, QuotaLedger
from bot.types import ConversationId, Lane, Outbound, OutboxId, Receipt
from channels.base import ChannelAdapter, SendsInBulk, SendsTemplates, Templated
from channels.broadcast_pace import BroadcastPace
from channels.delivery_policy import reserve_for
from channels.traffic import Account
from crm_sync.eligibility import VENDOR_ZONE
from crm_sync.recipient_claims import Handed
from crm_sync.recipient_endings import Ending
from frontdesk.broadcast_words import Worded

log = structlog.get_logger()

MOST_TRIES: Final = 30
LONGEST_WAIT: Final = timedelta(minutes=5)


class Calls:
    """Vendor calls for recipients."""

    def __init__(
        self,
        adapters: Mapping[Account, ChannelAdapter],
        paces: Mapping[Account, BroadcastPace],
        clock: Clock,
        *,
        ledger: QuotaLedger | None,
        watch: ChannelHealth | None,
        fault: Callable[[str], None],
    ) -> None:
        self._adapters, self._paces, self._clock = adapters, paces, clock
        self._ledger, self._watch, self._fault = ledger, watch, fault

    async def send(self, place: Account, one: Handed, worded: Worded) -> Ending:
        """It left, or must not. Raises: what ChannelAdapter.send says."""
        adapter, row = self._adapters[place], outbound(one, worded)
        is_free = not worded.template_id and adapter.capabilities.is_windowed
        if is_free and self._ledger is not None and not await self._ledger.take(row, reserve=reserve_for(row)):
            return Ending(one.id, one.attempt, "skipped", "out_of_window")
        self._fault("broadcast.before_call")
        with self._paces[place].traffic.under_way(is_broadcast=True):
            try:
                receipt = await self._call(adapter, row, worded)
            except ServiceError as error:
                self._tell(place, error)
                await self._settle_window(row, error, is_free=is_free)
                raise
        self._fault("broadcast.after_call")
        if self._watch is not None:
            self._watch.sent(*place)
        return Ending(
            one.id,
            one.attempt,
            "sent",
            part=worded.part,
            language=worded.language,
            vendor_message_id=receipt.vendor_message_id,
            moved_to=receipt.moved_to,
            quota=_counted_as(worded, self._clock.now()),
        )

    async def _call(self, adapter: ChannelAdapter, row: Outbound, worded: Worded) -> Receipt:
        if worded.template_id:
            if not isinstance(adapter, SendsTemplates):
                raise SendRefused(adapter.channel, "this channel has no templates")
            filled = Templated(worded.kind, worded.template_id, worded.template_fields, worded.template_url)
            return await adapter.send_template(row, filled)
        if isinstance(adapter, SendsInBulk):
            return await adapter.send_bulk(row)
        return await adapter.send(row)

    async def _settle_window(self, row: Outbound, error: ServiceError, *, is_free: bool) -> None:
        """As for replies: what was taken for a send that failed is given back, unless it may have left."""
        if not is_free or self._ledger is None:
            return
        try:
            if isinstance(error, WindowClosed):
                await self._ledger.spent(row)
            elif not (isinstance(error, ServiceUnavailable) and error.happened == "unknown"):
                await self._ledger.give_back(row)
        except ServiceError as exc:
            log.warning("window_not_settled", recipient=-row.outbox_id, error=type(exc).__name__)

    def _tell(self, place: Account, error: ServiceError) -> None:
        if self._watch is None:
            return
        if isinstance(error, Misconfigured | ServiceUnavailable):
            self._watch.failed(*place, error.reason)
        else:
            self._watch.answered(*place)


def _counted_as(worded: Worded, now: datetime) -> tuple[str, str] | None:
    """The vendor's kind and day a message counts against; None for free messages, which their windows count."""
    return (worded.kind, f"{now.astimezone(VENDOR_ZONE):%Y-%m-%d}") if worded.kind else None


def outbound(one: Handed, worded: Worded) -> Outbound:
    """A recipient as channels see a message. Its number is below zero: no row of the outbox has it."""
    return Outbound(
        outbox_id=OutboxId(-one.id),
        conversation_id=ConversationId(one.conversation_id),
        channel=one.channel,
        account=one.account,
        chat_id=one.chat_id,
        topic=one.topic,
        part=worded.part,
        lane=Lane.BROADCAST,
        idempotency_key=f"broadcast-{one.id}",
        attempt=one.attempt,
        fence=0,
    )


def ending_of(error: Exception, one: Handed, worded: Worded, now: datetime) -> Ending:
    """What a send that raised this came to. Only what certainly did not leave is tried again."""
    key, attempt = one.id, one.attempt
    if isinstance(error, RecipientUnreachable):
        return Ending(key, attempt, "failed", "blocked", unreachable=error.reason)
    if isinstance(error, WindowClosed):
        return Ending(key, attempt, "skipped", "out_of_window")
    if isinstance(error, SendRefused):
        log.warning("broadcast_message_refused", recipient=key, channel=one.channel, reason=error.reason)
        return Ending(key, attempt, "failed", "refused")
    if isinstance(error, RateLimited):
        told: dict[str, Any] = {"quota": _counted_as(worded, now), "is_used_up": error.is_quota}
        return Ending(key, attempt, "pending", retry_at=now + timedelta(seconds=error.retry_after_s), **told)
    if isinstance(error, Misconfigured):
        return Ending(key, attempt, "pending", retry_at=now)
    if isinstance(error, ServiceError) and getattr(error, "happened", "no") == "no":
        if attempt >= MOST_TRIES:
            return Ending(key, attempt, "failed", "gave_up")
        wait = min(LONGEST_WAIT, timedelta(seconds=2.0 ** min(attempt - 1, 20)))
        return Ending(key, attempt, "pending", retry_at=now + wait)
    if not isinstance(error, ServiceError):
        log.error("broadcast_send_crashed", recipient=key, error=type(error).__name__)
    return Ending(key, attempt, "uncertain", "lost", part=worded.part, language=worded.language)
