"""Mass sends: one call of the vendor for many recipients, under a key that makes repeating it harmless."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog

from bot.errors import Misconfigured, RateLimited, SendRefused, ServiceError, StoreUnavailable
from bot.ports import Clock
from bot.reach.rendering import piece_for
from channels.base import ChannelAdapter, MassWay, SendsToMany
from channels.traffic import Account
from crm_sync.broadcasts import HELD, OVER
from crm_sync.database import Database
from crm_sync.recipient_batches import Batch, recipients_of, set_batch
from crm_sync.recipient_claims import SEND_LEASE, Handed, claim, renew, withdrawn
from crm_sync.recipient_endings import Ending
from frontdesk.broadcast_runs import Run
from frontdesk.broadcast_words import Composer, Worded

log = structlog.get_logger()

CLAIMED: Final = 200  # recipients in one transaction
KIND: Final = "mass"
MARKED: Final = 2_000  # recipients that one statement gives a key, or a longer lease
RENEW_AFTER: Final = SEND_LEASE / 3
KNOWN_FOR: Final = timedelta(hours=23)  # the vendor knows a key for 24 h
AGAIN_AFTER: Final = timedelta(seconds=65)  # the vendor refuses the same key within a minute


def is_mass(run: Run, channel: str) -> bool:
    """Whether what this channel shows is sent to many in one call."""
    return any(piece_for(variant, channel).kind == KIND for variant in run.broadcast.content.variants)


class MassSends:
    """Sends of one process."""

    def __init__(
        self,
        database: Database,
        adapters: Mapping[Account, ChannelAdapter],
        clock: Clock,
        *,
        composer: Composer,
        name: str,
        fault: Callable[[str], None],
        account_is_out: Callable[[Account, int, str], Awaitable[None]],
    ) -> None:
        """`account_is_out` is told when an account cannot send at all: account, broadcast, why."""
        self._account_is_out = account_is_out
        self._database, self._adapters, self._clock = database, adapters, clock
        self._composer, self._name, self._fault = composer, name, fault

    async def send_some(self, run: Run, place: Account, may_go_on: Callable[[], bool]) -> list[Ending]:
        """Up to one mass send for each wording: how it ended for each of them. Raises: StoreUnavailable."""
        adapter = self._adapters[place]
        if not isinstance(adapter, SendsToMany):
            return []
        handed = await self._claimed(run, place, _most(run, place[0], adapter), may_go_on)
        if not handed:
            return []
        words: dict[int, Worded] = {}
        for start in range(0, len(handed), CLAIMED):
            words.update(await self._composer.words_for(run, handed[start : start + CLAIMED]))
        endings: list[Ending] = []
        groups: dict[tuple[str, str], list[Handed]] = defaultdict(list)
        for one in handed:
            worded = words[one.id]
            if worded.reason:
                endings.append(Ending(one.id, one.attempt, "skipped", worded.reason))
            else:
                groups[worded.part.text, _way(worded.by, adapter)].append(one)
        for (_, by), group in groups.items():
            way = next((each for each in adapter.mass_ways if each.name == by), None)
            if way is None:
                error = Misconfigured(place[0], f"this account has no mass send by {by}")
                endings += await self._put_off(group, error, self._clock.now())
                continue
            for start in range(0, len(group), way.most):
                some = group[start : start + way.most]
                endings += await self._send_group(
                    run, adapter, way, some, worded=words[some[0].id], may_go_on=may_go_on
                )
        return endings

    async def _claimed(self, run: Run, place: Account, most: int, may_go_on: Callable[[], bool]) -> list[Handed]:
        handed: list[Handed] = []
        while may_go_on() and len(handed) + CLAIMED <= most:
            now = self._clock.now()
            unit = partial(claim, ask=run.asked, sender=self._name, place=place, limit=CLAIMED, now=now)
            claimed = await self._database.run(unit)
            handed += claimed.handed
            if not claimed.looked_at:
                break
        return handed

    async def _send_group(
        self,
        run: Run,
        adapter: SendsToMany,
        way: MassWay,
        group: Sequence[Handed],
        *,
        worded: Worded,
        may_go_on: Callable[[], bool],
    ) -> list[Ending]:
        """One mass send: its key is stored before the vendor hears of it."""
        key = f"{run.row.id}-{int(self._clock.now().timestamp())}-{secrets.token_hex(8)}"
        for start in range(0, len(group), MARKED):
            ids = [one.id for one in group[start : start + MARKED]]
            await self._database.run(partial(set_batch, ids=ids, batch=key))
        try:
            refused = await self._gathered(adapter, way, group, key, may_go_on)
            if refused is None:
                return [Ending(one.id, one.attempt, "pending") for one in group]
            some, gone = await self._agreed(run, [one for one in group if one.external_id not in refused])
            if gone:
                await adapter.leave_out([one.external_id for one in gone], key, way.name)
        except ServiceError as error:  # whatever it was, nothing has left
            if isinstance(error, StoreUnavailable):
                raise
            return await self._put_off(group, error, self._clock.now())
        endings = [Ending(one.id, one.attempt, "failed", "refused") for one in group if one.external_id in refused]
        endings += [Ending(one.id, one.attempt, "skipped", "no_consent") for one in gone]
        if len(some) < way.least:
            return endings + [Ending(one.id, one.attempt, "failed", "too_few") for one in some]
        if not may_go_on():
            return endings + [Ending(one.id, one.attempt, "pending") for one in some]
        return endings + await self._send(adapter, way.name, some, worded, key)

    async def _gathered(
        self, adapter: SendsToMany, way: MassWay, group: Sequence[Handed], key: str, may_go_on: Callable[[], bool]
    ) -> set[str] | None:
        """Whom the vendor does not take; None when it must not go on. What takes long keeps its leases."""
        refused: set[str] = set()
        renewed_at = self._clock.now()
        for start in range(0, len(group), CLAIMED):
            if not may_go_on():
                return None
            refused |= set(
                await adapter.gather([one.external_id for one in group[start : start + CLAIMED]], key, way.name)
            )
            if self._clock.now() - renewed_at > RENEW_AFTER:
                renewed_at = self._clock.now()
                await self._renew(group, renewed_at)
        return refused

    async def _renew(self, group: Sequence[Handed], now: datetime) -> None:
        for start in range(0, len(group), MARKED):
            ids = [one.id for one in group[start : start + MARKED]]
            await self._database.run(partial(renew, ids=ids, sender=self._name, now=now), durable=False)

    async def _agreed(self, run: Run, group: Sequence[Handed]) -> tuple[list[Handed], list[Handed]]:
        """Those who still agree, and those who do not: claiming so many takes a while."""
        ids, now = [one.id for one in group], self._clock.now()
        gone = await self._database.run(partial(withdrawn, ask=run.asked, ids=ids, now=now), read=True)
        return [one for one in group if one.id not in gone], [one for one in group if one.id in gone]

    async def settle(self, batch: Batch, run: Run) -> list[Ending]:
        """What a dead process may have sent is sent again under its key, which the vendor knows if it had it.

        Not for whoever agrees no longer, and not while the broadcast does not run: they are uncertain once the vendor
        forgets the key, or at once when it is cancelled.
        """
        some = await self._database.run(partial(recipients_of, batch=batch.key), read=True)
        adapter = self._adapters.get((batch.channel, batch.account))
        if not some:
            return []
        worded = (await self._composer.words_for(run, some[:1]))[some[0].id]
        begun = datetime.fromtimestamp(int(batch.key.split("-")[1]), UTC)
        is_forgotten = self._clock.now() - begun > KNOWN_FOR
        if run.row.state in HELD and not is_forgotten:
            return []
        is_over = is_forgotten or run.row.state in OVER
        if not isinstance(adapter, SendsToMany) or worded.reason or is_over:
            return _uncertain(some, worded)
        way = _way(worded.by, adapter)
        agreed, gone = await self._agreed(run, some)
        try:
            openids = [one.external_id for one in agreed]
            refused = set(await adapter.gather(openids, batch.key, way))
            if gone:
                await adapter.leave_out([one.external_id for one in gone], batch.key, way)
        except ServiceError as error:
            log.warning("mass_send_not_repeated", recipients=len(some), error=type(error).__name__)
            return []
        left = [one for one in agreed if one.external_id in refused]
        rest = [one for one in agreed if one.external_id not in refused]
        endings = _uncertain([*gone, *left], worded)
        return endings + (await self._send(adapter, way, rest, worded, batch.key, is_repeated=True) if rest else [])

    async def _put_off(self, some: Sequence[Handed], error: ServiceError, now: datetime) -> list[Ending]:
        """Nothing has left, and they are due again."""
        if isinstance(error, Misconfigured):
            await self._account_is_out((some[0].channel, some[0].account), some[0].broadcast_id, error.reason)
        wait = timedelta(seconds=getattr(error, "retry_after_s", AGAIN_AFTER.total_seconds()))
        log.warning("mass_send_put_off", recipients=len(some), error=type(error).__name__)
        return [Ending(one.id, one.attempt, "pending", retry_at=now + wait) for one in some]

    async def _send(
        self,
        adapter: SendsToMany,
        way: str,
        some: Sequence[Handed],
        worded: Worded,
        key: str,
        *,
        is_repeated: bool = False,
    ) -> list[Ending]:
        """How it ended for each; for nobody while that is open: then it is repeated when the lease is over."""
        self._fault("broadcast.before_call")
        now = self._clock.now()
        said: dict[str, Any] = {"part": worded.part, "language": worded.language}
        quota = (KIND, adapter.mass_quota.period(now))
        try:
            vendor_id = await adapter.send_to_many([one.external_id for one in some], worded.part, key, way)
        except (RateLimited, Misconfigured) as error:
            if is_repeated:
                return []  # it may have left the first time; only its own key may be asked again
            is_used_up = isinstance(error, RateLimited) and error.is_quota
            waiting = await self._put_off(some, error, now)
            return [replace(each, quota=quota, is_used_up=is_used_up) for each in waiting]
        except SendRefused as error:
            log.error("mass_send_refused", recipients=len(some), reason=error.reason)
            return [Ending(one.id, one.attempt, "failed", "refused") for one in some]
        except ServiceError as error:
            log.warning("mass_send_unanswered", recipients=len(some), error=type(error).__name__)
            if is_repeated or getattr(error, "happened", "no") != "no":
                return []
            return await self._put_off(some, error, now)
        self._fault("broadcast.after_call")
        return [Ending(one.id, one.attempt, "sent", vendor_message_id=vendor_id, quota=quota, **said) for one in some]


def _way(by: str, adapter: SendsToMany) -> str:
    """The way of sending that was chosen, else the channel's usual one."""
    return by or adapter.mass_ways[0].name


def _most(run: Run, channel: str, adapter: SendsToMany) -> int:
    """How many one mass send of this broadcast may be for."""
    ways = {_way(piece_for(variant, channel).by, adapter) for variant in run.broadcast.content.variants}
    return max((way.most for way in adapter.mass_ways if way.name in ways), default=adapter.mass_ways[0].most)


def _uncertain(some: Sequence[Handed], worded: Worded) -> list[Ending]:
    said: dict[str, Any] = {} if worded.reason else {"part": worded.part, "language": worded.language}
    return [Ending(one.id, one.attempt, "uncertain", "interrupted", **said) for one in some]
