"""One access token per vendor account, shared by every process and never fetched twice at once.

Fetching it side by side is how bots break themselves: each new one may end the one before, every call under way fails
with 40001, and each failure fetches again.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import structlog

from bot.errors import Misconfigured, ServiceError, ServiceUnavailable
from bot.ports import VendorToken, VendorTokens

log = structlog.get_logger()

# stable_token hands out a new one when less than 300 s are left and keeps the old one alive for 300 s more, so asking
# inside that time costs nobody a call. Source: developers.weixin.qq.com, getStableAccessToken (checked 2026-11).
RENEW_BEFORE = timedelta(seconds=280)
# A token refused sooner than this after it was fetched will not be mended by fetching another; it is also the pause
# the vendor asks for between two forced refreshes (20 a day; same page).
REFETCH_AFTER = timedelta(seconds=30)
LEASE = timedelta(seconds=30)  # for one fetch; after that its process is taken for dead
POLL_S = 0.1  # while another process fetches
FAILURE_PAUSE = timedelta(seconds=3)  # after a failed fetch everybody gets its error instead of asking again

# (force) -> token and its seconds to live; `force` asks for another one than the vendor would give by itself.
Fetch = Callable[[bool], Awaitable[tuple[str, float]]]


def utc_now() -> datetime:
    return datetime.now(UTC)


class LocalTokens:
    """Implements `bot.ports.VendorTokens` for one process without a store (`frontdesk doctor`, tests)."""

    def __init__(self) -> None:
        self._tokens: dict[str, VendorToken] = {}

    async def get_token(self, name: str) -> VendorToken | None:
        return self._tokens.get(name)

    async def lease_token(self, name: str, owner: str, lasts: timedelta) -> bool:
        return True  # TokenService holds a lock of its own

    async def put_token(self, name: str, owner: str, token: VendorToken) -> None:
        self._tokens[name] = token

    async def release_token(self, name: str, owner: str) -> None:
        """Nothing is held."""


class TokenService:
    """The access token of one account."""

    def __init__(
        self,
        name: str,
        fetch: Fetch,
        tokens: VendorTokens | None = None,
        *,
        now: Callable[[], datetime] = utc_now,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        """`name` is the account's in the store, e.g. wechat:main. `fetch` raises what a vendor call raises."""
        self._name, self._fetch, self._now, self._sleep = name, fetch, now, sleep
        self._tokens: VendorTokens = tokens or LocalTokens()
        self._owner = secrets.token_hex(8)
        self._lock = asyncio.Lock()
        self._known: VendorToken | None = None
        self._failed: tuple[datetime, ServiceError] | None = None

    async def get(self) -> str:
        """A token that is good as far as we know.

        Raises: Misconfigured, RateLimited, ServiceUnavailable.
        """
        if self._known is not None and self._is_fresh(self._known):
            return self._known.token
        async with self._lock:
            known = await self._look()
            if known is not None and self._is_fresh(known):
                return known.token
            try:
                return (await self._renew(known)).token
            except ServiceError:
                if known is not None and known.expires_at > self._now():
                    return known.token  # still good for minutes; the next call asks again
                raise

    async def replace(self, refused: str) -> str:
        """A token other than `refused`, which the vendor just did not accept: the one somebody fetched meanwhile, or a
        new one. However many calls were refused at once, one of them fetches.

        Raises: Misconfigured when it was fetched only just now (something else is wrong), RateLimited,
        ServiceUnavailable.
        """
        async with self._lock:
            known = await self._look()
            if known is not None and known.token != refused:
                return known.token
            if known is not None and self._now() - known.fetched_at < REFETCH_AFTER:
                raise Misconfigured(
                    self._name, "the access token was refused right after it was fetched; is the secret still the same?"
                )
            return (await self._renew(known, refused=refused)).token

    async def known(self) -> VendorToken | None:
        """What is stored, without fetching; for `frontdesk doctor`."""
        return await self._look()

    def _is_fresh(self, token: VendorToken) -> bool:
        return token.expires_at - self._now() > RENEW_BEFORE

    async def _look(self) -> VendorToken | None:
        stored = await self._tokens.get_token(self._name)
        if stored is not None:
            self._known = stored
        return self._known

    async def _renew(self, before: VendorToken | None, *, refused: str = "") -> VendorToken:
        """Fetched by us or, while somebody else holds the lease, by them."""
        if self._failed is not None and self._now() - self._failed[0] < FAILURE_PAUSE:
            raise self._failed[1]
        waited_s = 0.0
        while not await self._tokens.lease_token(self._name, self._owner, LEASE):
            if waited_s > LEASE.total_seconds():
                raise ServiceUnavailable(self._name, "another process keeps fetching the access token")
            await self._sleep(POLL_S)
            waited_s += POLL_S
            found = await self._look()
            if found is not None and found != before:
                return found
        try:
            found = await self._look()  # between our look and our lease somebody may have finished
            if found is not None and found != before:
                await self._tokens.release_token(self._name, self._owner)
                return found
            token = await self._fetched(refused)
            await self._tokens.put_token(self._name, self._owner, token)
        except BaseException as error:
            if isinstance(error, ServiceError):
                self._failed = (self._now(), error)
            await self._tokens.release_token(self._name, self._owner)
            raise
        self._known, self._failed = token, None
        log.info("access_token_fetched", account=self._name, was_refused=bool(refused))
        return token

    async def _fetched(self, refused: str) -> VendorToken:
        began = self._now()
        token, lives_s = await self._fetch(False)
        if refused and token == refused:
            token, lives_s = await self._fetch(True)
        return VendorToken(token, began, began + timedelta(seconds=lives_s))
