"""微信客服 pulled: a callback says that there is something, `sync_msg` says what. Stored first, position second.

A crash between the two pulls the same messages again, and the inbox knows them by their msgid. A callback that never
came costs at most one sweep.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

import structlog

from bot.errors import InputError, RateLimited, SendRefused, ServiceError, StoreUnavailable
from bot.ports import ChannelHealth, CursorStore, Inbox
from bot.types import Accepted, Received
from channels.wecom.app_decode import KfNotice
from channels.wecom.connection import NoticeExpired
from channels.wecom.fields import text_in
from channels.wecom.kf import OWNERS, POOL, SERVICER, KfAdapter
from channels.wecom.kf_decode import CHANNEL, decode_item, is_servicer_status

log = structlog.get_logger()

NOTICE_TOKEN_S: Final = 540.0  # a callback's token is good for 600 s (document 94670); a minute for the way
SWEEP_S: Final = 60.0  # without a callback; the limit without a token is "strict" and not told
ACCOUNTS_S: Final = 3600.0  # between two looks at which accounts there are
LONGEST_PAUSE_S: Final = 600.0
EMPTY_PAGES: Final = 20  # in a row that bring neither messages nor a new position, before the sweep goes on
BATCH: Final = 200  # messages for the inbox at once


class Vendors(Protocol):
    """What the store believes about sessions that are with people of the vendor's app."""

    async def with_the_vendor(self, places: Collection[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these (customer, open_kfid) that are in WeCom's queue or with a colleague there."""
        ...


Fresh = Callable[[Sequence[tuple[Any, Received]]], None]


class KfPuller:
    """Pulls every 微信客服 account of one company until cancelled."""

    def __init__(
        self,
        adapter: KfAdapter,
        inbox: Inbox,
        cursors: CursorStore,
        vendors: Vendors | None = None,
        *,
        fresh: Fresh = lambda pulled: None,
        sweep_s: float = SWEEP_S,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        monotonic: Callable[[], float] = time.monotonic,
        fault: Callable[[str], None] = lambda point: None,
        watch: ChannelHealth | None = None,
    ) -> None:
        """`fresh` is told what was new, each entry of msg_list with what the inbox took of it. `fault` is called at
        "kf.before_cursor" (see frontdesk/faults.py). `watch` is told how each round of pulling went.
        """
        self.account = adapter.account
        self._adapter, self._inbox, self._cursors, self._vendors = adapter, inbox, cursors, vendors
        self._fresh, self._sweep_s, self._fault = fresh, sweep_s, fault
        self._sleep, self._monotonic, self._watch = sleep, monotonic, watch
        self._notices: dict[str, tuple[str, float]] = {}  # open_kfid -> newest token, when it came
        self._due: set[str] = set()
        self._known: set[str] = set()
        self._looked_at = float("-inf")  # when the accounts were listed
        self._swept_at = float("-inf")
        self._wake = asyncio.Event()
        self._failures = 0

    def notice(self, notice: KfNotice) -> None:
        """This account is pulled at once. Never waits, never raises."""
        if not notice.open_kfid:
            return
        if notice.token:
            self._notices[notice.open_kfid] = (notice.token, self._monotonic())
        self._known.add(notice.open_kfid)
        self._due.add(notice.open_kfid)
        self._wake.set()

    async def run(self) -> None:
        """Until cancelled. What fails is tried again, later and later."""
        self._swept_at = float("-inf")  # whatever ended the last run, it may have left something behind
        while True:
            pause_s = await self.run_once()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause_s):
                    await self._wake.wait()

    async def run_once(self) -> float:
        """Everything due is pulled once; seconds until the next sweep. What failed stays due."""
        self._wake.clear()
        failures: list[ServiceError | InputError] = []
        looked = False
        try:
            looked = await self._look_for_accounts()
        except (ServiceError, InputError) as exc:
            failures.append(exc)
        if self._monotonic() - self._swept_at >= self._sweep_s:
            self._swept_at = self._monotonic()
            self._due |= self._known  # perhaps a callback was lost
        due, self._due = self._due, set[str]()  # a notice from here on makes it due again
        for open_kfid in sorted(due):
            try:
                await self.pull(open_kfid)
            except (ServiceError, InputError) as exc:  # one account's trouble is not the others'
                failures.append(exc)
                self._due.add(open_kfid)
        self._tell(failures, asked=looked or bool(due))
        if not failures:
            self._failures = 0
            return self._sweep_s
        if self._failures == 0:
            names = sorted({type(failure).__name__ for failure in failures})
            log.error("kf_pulling_interrupted", account=self.account, errors=names)
        self._failures += 1
        asked_s = [failure.retry_after_s for failure in failures if isinstance(failure, RateLimited)]
        return min(LONGEST_PAUSE_S, max([min(self._sweep_s, 2.0 ** min(self._failures, 10)), *asked_s]))

    def _tell(self, failures: Sequence[ServiceError | InputError], *, asked: bool) -> None:
        """Nothing is said of WeCom when it was not asked, or when it was our own store that failed."""
        if self._watch is None:
            return
        theirs = [failure for failure in failures if not isinstance(failure, StoreUnavailable)]
        if theirs:
            first = theirs[0]
            reason = first.reason if isinstance(first, ServiceError) else type(first).__name__
            self._watch.failed(CHANNEL, self.account, reason, receiving=True)
        elif asked and not failures:
            self._watch.answered(CHANNEL, self.account, receiving=True)

    async def _look_for_accounts(self) -> bool:
        """True when WeCom was asked which accounts there are. Raises: ServiceError, InputError."""
        now = self._monotonic()
        if now - self._looked_at < ACCOUNTS_S:
            return False
        found = set(await self._adapter.accounts())
        self._looked_at = now
        self._due |= found - self._known
        self._known |= found
        return True

    async def pull(self, open_kfid: str) -> int:
        """How many entries came; all of them are committed, and the position after them is stored.

        Raises: ServiceError; what was committed before stays so.
        """
        name, count, empty = self._adapter.cursor_name(open_kfid), 0, 0
        cursor = (await self._cursors.get_cursor(name)).partition("@")[0]
        while True:
            page = await self._page(open_kfid, cursor)
            entries = page.get("msg_list")
            entries = entries if isinstance(entries, list) else []
            await self._take(open_kfid, entries)
            count += len(entries)
            self._fault("kf.before_cursor")
            after = text_in(page, "next_cursor") or cursor
            empty = empty + 1 if after == cursor and not entries else 0
            if after != cursor:
                cursor = after
                await self._cursors.set_cursor(name, f"{cursor}@{int(self._adapter.connection.now().timestamp())}")
            if not page.get("has_more") or empty >= EMPTY_PAGES:
                return count

    async def _page(self, open_kfid: str, cursor: str) -> Mapping[str, Any]:
        token = self._token(open_kfid)
        try:
            return await self._adapter.sync(open_kfid, cursor, token)
        except NoticeExpired:
            self._notices.pop(open_kfid, None)
            return await self._adapter.sync(open_kfid, cursor, "")
        except SendRefused as exc:
            if not cursor or "cursor" not in exc.reason:
                raise
            # The position is not theirs (any more): three days come again, and the inbox knows them.
            log.warning("kf_position_refused", account=self.account, open_kfid=open_kfid)
            return await self._adapter.sync(open_kfid, "", token)

    def _token(self, open_kfid: str) -> str:
        token, since = self._notices.get(open_kfid, ("", 0.0))
        return token if token and self._monotonic() - since < NOTICE_TOKEN_S else ""

    # --- storing ----------------------------------------------------------------------------------------------------

    async def _take(self, open_kfid: str, entries: Sequence[Any]) -> None:
        """All of it is committed, and what follows from new entries is under way. Raises: ServiceError."""
        about_customers = [entry for entry in entries if not is_servicer_status(entry)]
        if len(about_customers) < len(entries):
            log.info("kf_servicers_changed", account=self.account, count=len(entries) - len(about_customers))
        for start in range(0, len(about_customers), BATCH):
            chosen = about_customers[start : start + BATCH]
            pulled = [(entry, decode_item(entry, self.account, self._adapter.connection.now)) for entry in chosen]
            for _, received in pulled:
                if received.message is None:
                    log.warning("update_parked", channel=CHANNEL, account=self.account, reason=received.reason)
            news = await self._returned(open_kfid, [received for _, received in pulled])
            if news:
                await self._accept(news)
            rows = await self._accept([received for _, received in pulled])
            self._fresh([pair for pair, row in zip(pulled, rows, strict=True) if row.is_new])

    async def _returned(self, open_kfid: str, received: Sequence[Received]) -> list[Received]:
        """Sessions that the store believes to be with people, and that are not (no event tells of a session that ran
        out after 48 h): said before the customer's message is stored, so that the bot answers it.
        """
        asking: dict[tuple[str, str], str] = {}
        for item in received:
            if item.message is not None and item.message.opens is not None:
                asking[(item.message.chat_id, item.message.topic or open_kfid)] = item.dedupe_key
        if not asking or self._vendors is None:
            return []
        news = []
        for customer, place in sorted(await self._vendors.with_the_vendor(asking.keys())):
            found = await self._adapter.state(place, customer)
            if found.state not in (POOL, SERVICER):
                key = f"state:{asking[(customer, place)]}:{OWNERS[found.state]}"
                news.append(self._adapter.owner_event(place, customer, replace(found, servicer=""), key))
        return news

    async def _accept(self, batch: Sequence[Received]) -> list[Accepted]:
        """All of the batch is committed; what does not fit the store is parked. Raises: StoreUnavailable."""
        try:
            return await self._inbox.accept(batch)
        except StoreUnavailable:
            raise
        except (InputError, ValueError, TypeError) as exc:
            if len(batch) > 1:
                return [row for received in batch for row in await self._accept([received])]
            log.error("update_not_storable", account=self.account, error=type(exc).__name__)
            reason = f"not storable: {type(exc).__name__}"
            return await self._inbox.accept([replace(batch[0], message=None, reason=reason)])


def is_recent(sent_at: datetime, now: datetime, within_s: float) -> bool:
    """Also when their clock is a little ahead of ours."""
    return abs(now - sent_at) < timedelta(seconds=within_s)
