"""Subscribers of what happens: registered by who may, told with signed requests, their deliveries seen and repeated."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlsplit

from sqlalchemy import Connection

from bot.errors import InputError, RuleError
from bot.ports import Clock
from crm_sync import hook_events, hooks
from crm_sync.database import Database
from crm_sync.hook_events import EVENTS, HookEvent
from desk.actors import Actor
from desk.audit import record
from desk.paging import PAGE, Page, page_of, read_cursor
from desk.sealing import Seal

PURPOSE: Final = "outgoing webhooks"  # of the key their secrets are sealed with
PING: Final = "ping"
LONGEST_URL: Final = 2000
KEPT: Final = timedelta(days=30)  # deliveries that ended
GIVEN_UP: Final = timedelta(hours=24)
# Seconds to wait after each try; the last one again and again until the day is over.
KINDS: Final = tuple(sorted(EVENTS))  # of events that can be subscribed to
BACKOFF_S: Final = (5, 30, 120, 300, 900, 1800, 3600, 7200)


@dataclass(frozen=True, slots=True)
class Hook:
    """A subscriber, without its secret. `failing_since`: its tries fail since then; None: the last one did not."""

    id: int
    url: str
    events: tuple[str, ...]
    is_active: bool
    failing_since: datetime | None
    version: int
    created_by: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewHook:
    """The only time anybody sees the secret."""

    hook: Hook
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Delivery:
    """Something a subscriber was, or is to be, told. `status`: HTTP, of the last try."""

    id: int
    event: str
    payload: Mapping[str, Any]
    state: str  # pending | delivered | failed
    attempts: int
    next_at: datetime | None
    status: int | None
    reason: str
    created_at: datetime
    done_at: datetime | None


@dataclass(frozen=True, slots=True)
class Parcel:
    """A delivery on its way."""

    row: Any
    url: str
    secret: str = field(repr=False)


class HookDesk:
    """The subscribers as those who may register them see them. `allows_private`: also plain HTTP, inside a network."""

    def __init__(
        self, database: Database, clock: Clock, keys: Sequence[bytes], *, allows_private: bool = False
    ) -> None:
        self._database, self._clock, self._allows_private = database, clock, allows_private
        self._seal = Seal(keys, PURPOSE)

    async def list(self, actor: Actor) -> tuple[Hook, ...]:
        """All of them. Raises: NotPermitted."""
        actor.require("tokens.write")
        return await self._database.run(lambda conn: tuple(_hook(row) for row in hooks.all_hooks(conn)), read=True)

    async def get(self, actor: Actor, hook_id: int) -> Hook:
        """Raises: NotPermitted, NotFound."""
        actor.require("tokens.write")
        return await self._database.run(lambda conn: _hook(hooks.find(conn, hook_id)), read=True)

    async def create(self, actor: Actor, url: str, events: Sequence[str]) -> NewHook:
        """It is told of what happens from now on. Raises: NotPermitted, InputError; RuleError for one too many."""
        actor.require("tokens.write")
        address, wanted, now = self._address(url), _events(events), self._clock.now()
        secret = f"whs_{secrets.token_urlsafe(32)}"

        def unit(conn: Connection) -> Hook:
            if len(hooks.all_hooks(conn)) >= hooks.MOST_HOOKS:
                raise RuleError(f"there may be {hooks.MOST_HOOKS} subscribers; remove one first")
            if not hooks.active(conn):
                hook_events.begin_here(conn, now)
            hook_id = hooks.new_id(conn)
            sealed = self._seal.seal(secret, f"hook:{hook_id}")
            values = {"id": hook_id, "url": address, "secret": sealed, "events": wanted, "is_active": True}
            hooks.add(conn, {**values, "created_by": actor.name, "created_at": now})
            record(conn, actor, "hook.create", f"hook:{hook_id}", {"events": wanted}, now=now)
            return _hook(hooks.find(conn, hook_id))

        return NewHook(await self._database.run(unit), secret)

    async def change(
        self,
        actor: Actor,
        hook_id: int,
        *,
        url: str | None = None,
        events: Sequence[str] | None = None,
        is_active: bool | None = None,
        version: int | None = None,
    ) -> Hook:
        """What is not None is different. Raises: NotPermitted, NotFound, InputError, StaleState."""
        actor.require("tokens.write")
        now = self._clock.now()
        values: dict[str, Any] = {}
        if url is not None:
            values["url"] = self._address(url)
        if events is not None:
            values["events"] = _events(events)
        if is_active is not None:
            values["is_active"] = is_active

        def unit(conn: Connection) -> Hook:
            row = hooks.locked(conn, hook_id, version)
            if is_active and not hooks.active(conn):
                hook_events.begin_here(conn, now)
            if values:
                hooks.change(conn, row, values)
                record(conn, actor, "hook.change", f"hook:{hook_id}", {"fields": sorted(values)}, now=now)
            return _hook(hooks.find(conn, hook_id))

        return await self._database.run(unit)

    async def renew_secret(self, actor: Actor, hook_id: int) -> NewHook:
        """Signed with a new secret from now on, also what waits. Raises: NotPermitted, NotFound."""
        actor.require("tokens.write")
        now, secret = self._clock.now(), f"whs_{secrets.token_urlsafe(32)}"

        def unit(conn: Connection) -> Hook:
            row = hooks.locked(conn, hook_id)
            hooks.change(conn, row, {"secret": self._seal.seal(secret, f"hook:{hook_id}")})
            record(conn, actor, "hook.secret", f"hook:{hook_id}", {}, now=now)
            return _hook(hooks.find(conn, hook_id))

        return NewHook(await self._database.run(unit), secret)

    async def remove(self, actor: Actor, hook_id: int) -> None:
        """It is gone, with its log. Raises: NotPermitted, NotFound."""
        actor.require("tokens.write")
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            hooks.locked(conn, hook_id)
            hooks.remove(conn, hook_id)
            record(conn, actor, "hook.remove", f"hook:{hook_id}", {}, now=now)

        await self._database.run(unit)

    async def ping(self, actor: Actor, hook_id: int) -> None:
        """It is sent an event `ping` to try it out. Raises: NotPermitted, NotFound."""
        actor.require("tokens.write")
        now = self._clock.now()

        def unit(conn: Connection) -> None:
            hooks.find(conn, hook_id)
            event = HookEvent(f"evt_ping_{secrets.token_hex(8)}", PING, now, None, {})
            hooks.put_deliveries(conn, [_delivery_row(hook_id, event, now)])

        await self._database.run(unit)

    async def deliveries(
        self, actor: Actor, hook_id: int, *, state: str = "", cursor: str = "", limit: int = PAGE
    ) -> Page[Delivery]:
        """What it was told, the newest first. Raises: NotPermitted, NotFound, InputError."""
        actor.require("tokens.write")
        after = read_cursor(cursor, int)

        def unit(conn: Connection) -> Page[Delivery]:
            hooks.find(conn, hook_id)
            before = after[0] if after else None
            rows = hooks.deliveries(conn, hook_id, state=state, before=before, limit=limit + 1)
            return page_of([_delivery(row) for row in rows], limit, lambda item: (item.id,))

        return await self._database.run(unit, read=True)

    async def replay(self, actor: Actor, hook_id: int, delivery_id: int) -> Delivery:
        """It is told once more, with the same event id. Raises: NotPermitted, NotFound."""
        actor.require("tokens.write")
        now = self._clock.now()

        def unit(conn: Connection) -> Delivery:
            hooks.find_delivery(conn, hook_id, delivery_id)
            hooks.replay(conn, delivery_id, now)
            return _delivery(hooks.find_delivery(conn, hook_id, delivery_id))

        return await self._database.run(unit)

    def _address(self, url: str) -> str:
        """Raises: InputError for an address nothing is sent to."""
        try:
            parts = urlsplit(url)
            port = parts.port
        except ValueError as exc:
            raise InputError("url is no address") from exc
        schemes = ("https", "http") if self._allows_private else ("https",)
        if parts.scheme not in schemes or not parts.hostname or port == 0:
            raise InputError(f"url must begin with {' or '.join(f'{scheme}://' for scheme in schemes)} and name a host")
        if parts.username or parts.password or parts.fragment:
            raise InputError("url holds no user, no password and no fragment")
        if len(url) > LONGEST_URL or any(char <= " " or char == "\x7f" for char in url):
            raise InputError(f"url has at most {LONGEST_URL} characters and no spaces")
        return url


class HookQueue:
    """What is to be told, as the process that sends sees it."""

    def __init__(self, database: Database, clock: Clock, keys: Sequence[bytes]) -> None:
        self._database, self._clock = database, clock
        self._seal = Seal(keys, PURPOSE)

    async def is_wanted(self) -> bool:
        """Whether anybody listens."""
        return await self._database.run(lambda conn: bool(hooks.active(conn)), read=True)

    async def follow(self) -> int:
        """What has happened is written down for everybody who wants to be told; how many deliveries that makes."""
        if not await self._database.run(hook_events.has_news, read=True):
            return 0
        now = self._clock.now()

        def unit(conn: Connection) -> int:
            events = hook_events.follow(conn, now)
            listening = hooks.active(conn) if events else ()
            rows = [_delivery_row(hook.id, event, now) for event in events for hook in listening if _wants(hook, event)]
            hooks.put_deliveries(conn, rows)
            return len(rows)

        return await self._database.run(unit)

    async def due(self) -> Sequence[int]:
        """Subscribers with something that may be sent now."""
        now = self._clock.now()
        return await self._database.run(lambda conn: hooks.hooks_due(conn, now), read=True)

    async def claim(self, hook_id: int, limit: int, lease: timedelta) -> list[Parcel]:
        """What to send to this subscriber now. Raises: NotFound when it is gone."""
        now = self._clock.now()

        def unit(conn: Connection) -> list[Parcel]:
            hook = hooks.find(conn, hook_id)
            if not hook.is_active:
                return []
            rows = hooks.claim(conn, hook_id, now, lease, limit)
            return [Parcel(row, hook.url, self._seal.open(hook.secret, f"hook:{hook_id}")) for row in rows]

        return await self._database.run(unit)

    async def delivered(self, parcel: Parcel, status: int) -> None:
        now = self._clock.now()
        await self._database.run(
            lambda conn: hooks.ended(
                conn, parcel.row, state="delivered", next_at=None, status=status, reason="", now=now
            )
        )

    async def failed(self, parcel: Parcel, *, status: int | None, reason: str, jitter: float) -> None:
        """Tried again later, until a day is over. `jitter`: 0 to 1."""
        now, tries = self._clock.now(), parcel.row.attempts
        wait = timedelta(seconds=BACKOFF_S[min(tries, len(BACKOFF_S) - 1)] * (0.8 + 0.4 * jitter))
        is_over = now + wait > parcel.row.created_at + GIVEN_UP
        state, next_at = ("failed", None) if is_over else ("pending", now + wait)
        await self._database.run(
            lambda conn: hooks.ended(
                conn, parcel.row, state=state, next_at=next_at, status=status, reason=reason, now=now
            )
        )


async def prune_deliveries(database: Database, now: datetime) -> int:
    """The log of deliveries that ended a month ago is gone; how many."""
    return await database.run(lambda conn: hooks.prune(conn, now - KEPT))


def _wants(hook: Any, event: HookEvent) -> bool:
    return "*" in hook.events or event.name in hook.events


def _events(names: Sequence[str]) -> list[str]:
    unknown = sorted(set(names) - {*EVENTS, "*"})
    if unknown or not names:
        raise InputError(f"events are some of: *, {', '.join(EVENTS)}")
    return sorted(set(names))


def _delivery_row(hook_id: int, event: HookEvent, now: datetime) -> dict[str, Any]:
    payload = {"id": event.id, "event": event.name, "at": event.at.isoformat(), "data": dict(event.facts)}
    row = {"hook_id": hook_id, "event": event.name, "customer_id": event.customer_id, "payload": payload}
    return {**row, "state": "pending", "attempts": 0, "next_at": now, "created_at": now}


def _hook(row: Any) -> Hook:
    return Hook(
        row.id,
        row.url,
        tuple(row.events),
        row.is_active,
        row.failing_since,
        row.version,
        row.created_by,
        row.created_at,
    )


def _delivery(row: Any) -> Delivery:
    return Delivery(**{name: getattr(row, name) for name in Delivery.__dataclass_fields__})
