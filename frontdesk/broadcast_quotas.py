"""What vendors allow of what a broadcast sends: asked for pre-flight, and known for each person by the claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import datetime

import structlog

from bot.errors import BotError
from bot.reach.preflight import Account, Allowed
from channels.base import ChannelAdapter, HasQuotas, SendsToMany

log = structlog.get_logger()


def monthly_of(adapters: Mapping[Account, ChannelAdapter]) -> dict[Account, int]:
    """Accounts of which a person gets only so many mass sends a month, and how many."""
    quotas = {place: each.mass_quota for place, each in adapters.items() if isinstance(each, SendsToMany)}
    return {place: quota.limit for place, quota in quotas.items() if quota.of == "person" and quota.per == "month"}


async def quotas_of(
    adapters: Mapping[Account, ChannelAdapter], kinds: Mapping[str, Collection[str]], now: datetime
) -> list[Allowed]:
    """What each account allows of the `kinds` that its channel sends. One that does not say now is left out."""
    found: list[Allowed] = []
    for (channel, account), adapter in adapters.items():
        if not isinstance(adapter, HasQuotas):
            continue
        for kind in sorted(kinds.get(channel, ())):
            try:
                quota = await adapter.quota(kind)
            except BotError as error:
                log.warning("quota_not_told", channel=channel, account=account, error=type(error).__name__)
                continue
            if quota is not None:
                period = quota.period(now)
                found.append(Allowed(channel, account, quota.kind, period, quota.limit, quota.of, quota.used))
    return found
