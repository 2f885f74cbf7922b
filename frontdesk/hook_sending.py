"""Subscribers are told what happened: signed requests, tried for a day, none of them held up by another that is slow.

Where a request may go is checked when its address is known: the connection is made to the very addresses that were
found to be public, so that a name which points somewhere else the next moment leads nowhere.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import ipaddress
import random
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
import structlog
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from bot.errors import NotFound, ServiceError
from bot.ports import Clock
from crm_sync.columns import dump_json
from desk.hooks import HookQueue, Parcel

log = structlog.get_logger()

LOOK_EVERY_S: Final = 1.0
LISTENERS_EVERY: Final = 5  # looks between asking whether anybody listens, while nobody does
AT_ONCE: Final = 4  # requests to one subscriber
LONGEST_ANSWER: Final = 2000  # bytes read of an answer, which is not kept


class NotPublic(OSError):
    """The host leads into a network that subscribers may not name."""


class GuardedResolver(AbstractResolver):
    """Names of hosts to addresses, all of which are public."""

    def __init__(self, inner: AbstractResolver | None = None) -> None:
        self._inner = inner or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._inner.resolve(host, port, family)
        if not found or not all(is_public(item["host"]) for item in found):
            raise NotPublic("the host is not public")
        return found

    async def close(self) -> None:
        await self._inner.close()


def is_public(address: str) -> bool:
    """Whether the address belongs to the internet, also the one that another may hide (mapped, 6to4, NAT64)."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        if found in ipaddress.ip_network("64:ff9b::/96"):
            return is_public(str(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)))
        hidden = found.ipv4_mapped or found.sixtofour or (found.teredo[1] if found.teredo else None)
        if hidden is not None:
            return is_public(str(hidden))
    return found.is_global and not found.is_multicast


def signature(secret: str, timestamp: int, body: bytes) -> str:
    """The header by which a subscriber knows that a request is ours, and when it was made."""
    mac = hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256)
    return f"t={timestamp},v1={mac.hexdigest()}"


class HookSender:
    """The work of the sender role for subscribers; `run` ends when it is cancelled."""

    def __init__(
        self,
        queue: HookQueue,
        clock: Clock,
        *,
        timeout_s: float,
        allows_private: bool = False,
        jitter: Callable[[], float] = random.random,
        resolver: AbstractResolver | None = None,
    ) -> None:
        self._queue, self._clock, self._jitter = queue, clock, jitter
        self._timeout_s, self._allows_private = timeout_s, allows_private
        self._resolver = resolver
        self._lease = timedelta(seconds=timeout_s + 30)
        self._session: aiohttp.ClientSession | None = None
        self._busy: dict[int, asyncio.Task[None]] = {}

    async def run(self) -> None:
        """Every second: what happened is taken down, and who has something due is told in a task of their own."""
        looks = 0
        try:
            while True:
                if looks % LISTENERS_EVERY == 0 and not await self._is_wanted():
                    await asyncio.sleep(LOOK_EVERY_S * LISTENERS_EVERY)
                    continue
                looks += 1
                try:
                    await self.look()
                except ServiceError as error:
                    log.warning("hooks_not_followed", error=type(error).__name__)
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            await self.close()

    async def _is_wanted(self) -> bool:
        try:
            return await self._queue.is_wanted()
        except ServiceError:  # asked again a little later
            return False

    async def look(self) -> None:
        """One look; sending goes on after it. Raises: StoreUnavailable."""
        await self._queue.follow()
        for hook_id in await self._queue.due():
            if hook_id not in self._busy or self._busy[hook_id].done():
                self._busy[hook_id] = asyncio.create_task(self._tell(hook_id), name=f"hook-{hook_id}")
        self._busy = {hook_id: task for hook_id, task in self._busy.items() if not task.done()}

    async def settle(self) -> None:
        """Everything that is being sent has its answer."""
        while pending := [task for task in self._busy.values() if not task.done()]:
            await asyncio.wait(pending)

    async def close(self) -> None:
        for task in self._busy.values():
            task.cancel()
        await asyncio.gather(*self._busy.values(), return_exceptions=True)
        if self._session is not None:
            await self._session.close()

    async def _tell(self, hook_id: int) -> None:
        """All that is due for one subscriber, some at a time."""
        try:
            while parcels := await self._queue.claim(hook_id, AT_ONCE, self._lease):
                await asyncio.gather(*(self._send(parcel) for parcel in parcels))
        except NotFound:
            return
        except ServiceError as error:
            log.warning("hook_not_told", hook_id=hook_id, error=type(error).__name__)

    async def _send(self, parcel: Parcel) -> None:
        status, reason = await self._post(parcel)
        if status is not None and 200 <= status < 300:
            await self._queue.delivered(parcel, status)
            return
        log.info("hook_refused", hook_id=parcel.row.hook_id, delivery_id=parcel.row.id, status=status, reason=reason)
        await self._queue.failed(parcel, status=status, reason=reason, jitter=self._jitter())

    async def _post(self, parcel: Parcel) -> tuple[int | None, str]:
        """The status, or why there is none."""
        host = urlsplit(parcel.url).hostname or ""
        if not self._allows_private and (not parcel.url.startswith("https://") or _is_inner_literal(host)):
            return None, "the address is not public"
        body, now = dump_json(parcel.row.payload).encode(), int(self._clock.now().timestamp())
        headers = {
            "Content-Type": "application/json",
            "User-Agent": "Frontdesk",
            "Frontdesk-Event": parcel.row.event,
            "Frontdesk-Delivery": str(parcel.row.id),
            "Frontdesk-Signature": signature(parcel.secret, now, body),
        }
        try:
            async with self._open().post(parcel.url, data=body, headers=headers, allow_redirects=False) as answer:
                await answer.content.read(LONGEST_ANSWER)
                return answer.status, "" if 200 <= answer.status < 300 else f"answered {answer.status}"
        except TimeoutError:
            return None, f"no answer within {self._timeout_s:g} s"
        except aiohttp.ClientError as error:
            inner: Any = error.__cause__ if isinstance(error.__cause__, NotPublic) else error
            return None, str(inner) if isinstance(inner, NotPublic) else f"not reached: {type(error).__name__}"
        except (OSError, ValueError) as error:
            return None, str(error) if isinstance(error, NotPublic) else f"not reached: {type(error).__name__}"

    def _open(self) -> aiohttp.ClientSession:
        if self._session is None:
            resolver = self._resolver if self._allows_private else GuardedResolver(self._resolver)
            connector = aiohttp.TCPConnector(resolver=resolver, limit_per_host=AT_ONCE, ttl_dns_cache=10)
            timeout = aiohttp.ClientTimeout(total=self._timeout_s)
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=False)
        return self._session


def _is_inner_literal(host: str) -> bool:
    """Whether the host is an address itself, for which no name is looked up, and not a public one."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return not is_public(host)
