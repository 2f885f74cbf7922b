"""Mass sends: one call of the vendor for many recipients, under a key that makes repeating it harmless."""

from __future__ import annotations

import secrets
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, Final

import structlog

from bot.errors import Misconfigured, RateLimited, SendRefused, ServiceError
from bot.ports import Clock
from bot.reach.rendering import piece_for
from channels.base import ChannelAdapter, SendsToMany
from channels.traffic import Account
from crm_sync.database import Database
from crm_sync.recipient_batches import Batch, recipients_of, set_batch
from crm_sync.recipient_claims import Handed, claim, withdrawn
from crm_sync.recipient_endings import Ending
from frontdesk.broadcast_runs import Run
from frontdesk.broadcast_words import Composer, Worded

log = structlog.get_logger()

CLAIMED: Final = 200  # recipients in one transaction
KIND: Final = "mass"
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
        handed: list[Handed] = []
        while may_go_on() and len(handed) + CLAIMED <= adapter.most_recipients:
            now = self._clock.now()
            unit = partial(claim, ask=run.asked, sender=self._name, place=place, limit=CLAIMED, now=now)
            claimed = await self._database.run(unit)
            handed += claimed.handed
            if not claimed.looked_at:
                break
        if not handed:
            return []
        words: dict[int, Worded] = {}
        for start in range(0, len(handed), CLAIMED):
            words.update(await self._composer.words_for(run, handed[start : start + CLAIMED]))
        endings: list[Ending] = []
        groups: dict[str, list[Handed]] = defaultdict(list)
        for one in handed:
            if reason := words[one.id].reason:
                endings.append(Ending(one.id, one.attempt, "skipped", reason))
            else:
                groups[words[one.id].part.text].append(one)
        for group in groups.values():
            key = f"{run.row.id}-{int(self._clock.now().timestamp())}-{secrets.token_hex(8)}"
            some, gone = await self._agreed(run, group)
            endings += [Ending(one.id, one.attempt, "skipped", "no_consent") for one in gone]
            if len(some) < adapter.least_recipients:
                endings += [Ending(one.id, one.attempt, "failed", "too_few") for one in some]
                continue
            await self._database.run(partial(set_batch, ids=[one.id for one in some], batch=key))
            endings += await self._send(adapter, some, words[some[0].id], key)
        return endings

    async def _agreed(self, run: Run, group: Sequence[Handed]) -> tuple[list[Handed], list[Handed]]:
        """Those who still agree, and those who do not: claiming so many takes a while."""
        ids, now = [one.id for one in group], self._clock.now()
        gone = await self._database.run(partial(withdrawn, ask=run.asked, ids=ids, now=now), read=True)
        return [one for one in group if one.id not in gone], [one for one in group if one.id in gone]

    async def settle(self, batch: Batch, run: Run) -> list[Ending]:
        """What a dead process may have sent is sent again under its key, which the vendor knows if it had it."""
        some = await self._database.run(partial(recipients_of, batch=batch.key), read=True)
        adapter = self._adapters.get((batch.channel, batch.account))
        if not some:
            return []
        worded = (await self._composer.words_for(run, some[:1]))[some[0].id]
        begun = datetime.fromtimestamp(int(batch.key.split("-")[1]), UTC)
        if not isinstance(adapter, SendsToMany) or worded.reason or self._clock.now() - begun > KNOWN_FOR:
            said: dict[str, Any] = {"part": worded.part, "language": worded.language} if not worded.reason else {}
            return [Ending(one.id, one.attempt, "uncertain", "interrupted", **said) for one in some]
        return await self._send(adapter, some, worded, batch.key, is_repeated=True)

    async def _send(
        self, adapter: SendsToMany, some: Sequence[Handed], worded: Worded, key: str, *, is_repeated: bool = False
    ) -> list[Ending]:
        """How it ended for each; for nobody while that is open: then it is repeated when the lease is over."""
        self._fault("broadcast.before_call")
        now = self._clock.now()
        said: dict[str, Any] = {"part": worded.part, "language": worded.language}
        quota = (KIND, adapter.mass_quota.period(now))
        try:
            vendor_id = await adapter.send_to_many([one.external_id for one in some], worded.part, key)
        except (RateLimited, Misconfigured) as error:
            if is_repeated:
                return []  # it may have left the first time; only its own key may be asked again
            if isinstance(error, Misconfigured):
                await self._account_is_out((some[0].channel, some[0].account), some[0].broadcast_id, error.reason)
            wait = timedelta(seconds=getattr(error, "retry_after_s", AGAIN_AFTER.total_seconds()))
            log.warning("mass_send_put_off", recipients=len(some), error=type(error).__name__)
            is_used_up = isinstance(error, RateLimited) and error.is_quota
            told: dict[str, Any] = {"retry_at": now + wait, "quota": quota, "is_used_up": is_used_up}
            return [Ending(one.id, one.attempt, "pending", **told) for one in some]
        except SendRefused as error:
            log.error("mass_send_refused", recipients=len(some), reason=error.reason)
            return [Ending(one.id, one.attempt, "failed", "refused") for one in some]
        except ServiceError as error:
            log.warning("mass_send_unanswered", recipients=len(some), error=type(error).__name__)
            if is_repeated or getattr(error, "happened", "no") != "no":
                return []
            return [Ending(one.id, one.attempt, "pending", retry_at=now + AGAIN_AFTER) for one in some]
        self._fault("broadcast.after_call")
        return [Ending(one.id, one.attempt, "sent", vendor_message_id=vendor_id, quota=quota, **said) for one in some]
