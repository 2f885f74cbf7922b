"""Dead channels: what every account receives and sends is noted in memory, and told every few seconds.

Told to the store (for `frontdesk doctor`), to Prometheus, and once to the log when an account has failed for minutes.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import structlog
from prometheus_client import Gauge

from bot.errors import ServiceError
from bot.ports import Clock
from crm_sync import channel_health
from crm_sync.channel_health import AccountNote
from crm_sync.store import SqlStore

log = structlog.get_logger()

TELL_EVERY_S = 3.0
DEAD_AFTER = timedelta(minutes=5)

FAILING = Gauge(
    "frontdesk_channel_failing_seconds", "How long an account has failed; 0 while it works", ["channel", "account"]
)
LAST_INBOUND = Gauge(
    "frontdesk_channel_last_inbound_timestamp_seconds", "When this process last received", ["channel", "account"]
)
LAST_OUTBOUND = Gauge(
    "frontdesk_channel_last_outbound_timestamp_seconds", "When this process last sent", ["channel", "account"]
)

Account = tuple[str, str]  # channel, account


@dataclass(slots=True)
class _Side:
    """How sending, or receiving, goes."""

    works: bool | None = None
    failing_since: datetime | None = None
    reason: str = ""
    is_reported: bool = False  # the log has said that it is dead


@dataclass(slots=True)
class _Seen:
    """Of one account, by this process."""

    inbound_at: datetime | None = None
    outbound_at: datetime | None = None
    sending: _Side = field(default_factory=_Side)
    receiving: _Side = field(default_factory=_Side)
    is_told: bool = True  # the store knows

    def notes(self, channel: str, account: str) -> list[AccountNote]:
        """The times go with the first of two."""
        sending, receiving = self.sending, self.receiving
        of_sending = AccountNote(
            *(channel, account, self.inbound_at, self.outbound_at),
            *(sending.works, sending.failing_since, sending.reason),
        )
        if receiving.works is None:
            return [of_sending]
        of_receiving = AccountNote(
            channel,
            account,
            works=receiving.works,
            failing_since=receiving.failing_since,
            reason=receiving.reason,
            receiving=True,
        )
        return [of_sending, of_receiving]


class ChannelWatch:
    """Implements `bot.ports.ChannelHealth`."""

    def __init__(self, store: SqlStore, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._seen: dict[Account, _Seen] = {}

    def received(self, channel: str, account: str) -> None:
        seen = self._of(channel, account)
        seen.inbound_at, seen.is_told = self._clock.now(), False

    def sent(self, channel: str, account: str) -> None:
        self._of(channel, account).outbound_at = self._clock.now()
        self.answered(channel, account)

    def carried(self, channel: str, account: str) -> None:
        seen = self._of(channel, account)
        seen.outbound_at, seen.is_told = self._clock.now(), False

    def answered(self, channel: str, account: str, *, receiving: bool = False) -> None:
        seen = self._of(channel, account)
        side = seen.receiving if receiving else seen.sending
        if side.is_reported:
            log.info("channel_alive_again", channel=channel, account=account, receiving=receiving)
        side.works, side.failing_since, side.reason, side.is_reported = True, None, "", False
        seen.is_told = False

    def failed(self, channel: str, account: str, reason: str, *, receiving: bool = False) -> None:
        seen = self._of(channel, account)
        side = seen.receiving if receiving else seen.sending
        if side.failing_since is None:
            side.failing_since = self._clock.now()
        side.works, side.reason, seen.is_told = False, reason, False

    async def run(self) -> None:
        """Tell until cancelled; what the store does not take now is told next time."""
        while True:
            await asyncio.sleep(TELL_EVERY_S)
            await self.tell()

    async def tell(self) -> None:
        """The store, the gauges and (once for each failure) the log know what was seen."""
        now = self._clock.now()
        for (channel, account), seen in self._seen.items():
            self._measure(channel, account, seen, now)
        news = {place: seen for place, seen in self._seen.items() if not seen.is_told}
        if not news:
            return
        for seen in news.values():
            seen.is_told = True
        notes = [note for place, seen in news.items() for note in seen.notes(*place)]
        try:
            await channel_health.note(self._store.database, notes, now)
        except ServiceError as error:
            log.warning("channel_health_not_stored", error=type(error).__name__)
            for seen in news.values():
                seen.is_told = False

    def _measure(self, channel: str, account: str, seen: _Seen, now: datetime) -> None:
        sides = {"sending": seen.sending, "receiving": seen.receiving}
        lengths = {name: now - side.failing_since for name, side in sides.items() if side.failing_since is not None}
        FAILING.labels(channel, account).set(max(lengths.values(), default=timedelta()).total_seconds())
        for gauge, at in ((LAST_INBOUND, seen.inbound_at), (LAST_OUTBOUND, seen.outbound_at)):
            if at is not None:
                gauge.labels(channel, account).set(at.timestamp())
        for name, failing in lengths.items():
            side = sides[name]
            if failing >= DEAD_AFTER and not side.is_reported:
                side.is_reported = True
                log.error(
                    "channel_dead",
                    channel=channel,
                    account=account,
                    receiving=side is seen.receiving,
                    reason=side.reason,
                    failing_s=round(failing.total_seconds()),
                )

    def _of(self, channel: str, account: str) -> _Seen:
        seen = self._seen.get((channel, account))
        if seen is None:
            seen = self._seen[channel, account] = _Seen()
        return seen
