"""Consoles that are open hear of what changed: rows of the list they show, and the conversation they have open.

One task of the process hears the hints and sweeps for what a lost one left out; each stream only holds which
conversations it has to read again, and reads and sends them at most twice a second. Every stream reads as the person
it belongs to, so nobody hears of what they may not see.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from bot.errors import BotError, InputError, NotFound, NotSignedIn, ServiceError
from bot.ports import TOPIC_DESK
from console.frame import SAFE, Frame, Visit, look_of, part, to_sign_in
from console.inbox_desk import InboxServices, talk_names
from console.inbox_filter import filter_of, view_tabs
from console.inbox_view import LISTS, row_of, tabs
from console.talk_view import said_one
from console.words import WORDS
from desk.conversations import HistoryMessage, HistoryPage
from desk.inbox import InboxFilter

log = structlog.get_logger(__name__)

PACE_S: Final = 0.5  # between two looks of one stream
SIGN_OF_LIFE_S: Final = 15.0  # a comment that keeps the line open, and the operator's hold on what they have
SWEEP_S: Final = 4.0
COUNTS_S: Final = 3.0  # between two counts of the lists: they cost more than all rows, and nobody waits for them
OVERLAP: Final = timedelta(seconds=10)  # commits may become visible a little after their time
MOST_ROWS: Final = 200  # read again at once; a console that missed more begins anew
GONE_S: Final = 8.0  # after which a colleague who gave no sign is no longer looking or typing
UNFINISHED: Final = frozenset({"pending", "sending"})


@dataclass(eq=False)
class Listener:
    """One open stream: what it has to read again, and who else looks at the conversation it has open."""

    name: str
    opened: int | None
    changed: dict[int, None] = field(default_factory=dict)
    beside: dict[tuple[str, str], float] = field(default_factory=dict)  # (colleague, what they do) -> until when
    counts: bool = True
    notices: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)


class LiveHub:
    """The streams of this process. `changed_since` gives conversations that changed after a moment, for the sweep."""

    def __init__(self, frame: Frame, changed_since: Callable[[datetime], Awaitable[list[int]]]) -> None:
        self._frame, self._changed_since = frame, changed_since
        self.listeners: set[Listener] = set()
        self._is_closed = False

    async def run(self) -> None:
        """For ever: hints are handed out, and every few seconds what changed without one."""
        await asyncio.gather(self._hear(), self._sweep())

    def close(self) -> None:
        """Every stream ends; browsers come back to whoever serves next."""
        self._is_closed = True
        for listener in self.listeners:
            listener.woken.set()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    async def _hear(self) -> None:
        subscription = self._frame.signals.subscribe(TOPIC_DESK)
        try:
            async for signal in subscription:
                self.hear(signal.payload)
        finally:
            await subscription.aclose()

    async def _sweep(self) -> None:
        since = self._frame.clock.now()
        while True:
            await asyncio.sleep(SWEEP_S)
            if not self.listeners:
                since = self._frame.clock.now()
                continue
            now = self._frame.clock.now()
            try:
                for conversation_id in await self._changed_since(since - OVERLAP):
                    self.hear({"conversation_id": conversation_id})
                since = now
            except ServiceError as error:
                log.warning("console_sweep_failed", error=type(error).__name__)

    def hear(self, payload: Mapping[str, Any]) -> None:
        """Everybody has to look at this again."""
        ids = payload.get("conversation_ids") or [payload.get("conversation_id")]
        doing, who = payload.get("kind"), payload.get("user")
        if doing in ("viewing", "typing", "left") and who:
            self._beside(ids[0], str(who), str(doing))
            return
        for listener in self.listeners:
            if doing == "notices":
                listener.notices = listener.notices or listener.name == who
            for conversation_id in ids:
                if conversation_id is not None:
                    listener.changed[int(conversation_id)] = None
            listener.counts = True
            listener.woken.set()

    def _beside(self, conversation_id: Any, who: str, doing: str) -> None:
        until = asyncio.get_running_loop().time() + GONE_S
        for listener in self.listeners:
            if listener.opened != conversation_id or listener.name == who:
                continue
            if doing == "left":
                listener.beside = {key: end for key, end in listener.beside.items() if key[0] != who}
            else:
                listener.beside[(who, doing)] = until
            listener.woken.set()


def live_route(frame: Frame, services: InboxServices, hub: LiveHub) -> list[BaseRoute]:
    return [Route("/console/live", _Streams(frame, services, hub).answer, methods=["GET"])]


class _Streams:
    def __init__(self, frame: Frame, services: InboxServices, hub: LiveHub) -> None:
        self._frame, self._do, self._hub = frame, services, hub

    async def answer(self, request: Request) -> Response:
        token = request.cookies.get(self._frame.cookie, "")
        try:
            session = await self._frame.signing_in.resolve(token, is_active=False)
        except NotSignedIn:
            return to_sign_in(request)
        except ServiceError:
            return Response(status_code=503, headers=SAFE)
        visit = Visit(request, self._frame, session, look_of(self._frame, session, request))
        if not visit.actor.may("conversations.read") or self._hub.is_closed:
            return Response(status_code=204, headers=SAFE)  # 204 tells an EventSource not to come back
        headers = {**SAFE, "X-Accel-Buffering": "no"}
        return StreamingResponse(self._stream(visit, token), media_type="text/event-stream", headers=headers)

    async def _stream(self, visit: Visit, token: str) -> AsyncIterator[str]:
        try:
            opened, after = visit.number("open"), visit.text("after")
        except InputError:
            opened, after = None, ""
        listener = Listener(visit.actor.name, opened)
        state = _State(filter_of(visit) if visit.text("list") in LISTS else None, after)
        self._hub.listeners.add(listener)
        loop = asyncio.get_running_loop()
        seen_alive = 0.0
        try:
            yield ": open\n\n"
            if opened is not None:
                listener.changed[opened] = None
            while not self._hub.is_closed:
                if loop.time() - seen_alive >= SIGN_OF_LIFE_S:
                    seen_alive = loop.time()
                    visit = await self._still(visit, token)
                    if opened is not None:
                        await self._do.conversations.present(visit.actor, opened, "viewing")
                    if visit.actor.may("conversations.reply"):
                        await self._do.handoff.renew(visit.actor)
                    yield ": still here\n\n"
                async for event in self._news(visit, listener, state):
                    yield event
                listener.woken.clear()
                await asyncio.sleep(PACE_S)
                wait = PACE_S if state.unfinished or listener.beside else SIGN_OF_LIFE_S
                try:
                    async with asyncio.timeout(max(0.0, min(wait, seen_alive + SIGN_OF_LIFE_S - loop.time()))):
                        if not listener.changed and not listener.counts:
                            await listener.woken.wait()
                except TimeoutError:
                    continue
        except NotSignedIn:
            yield _event("out", "")
        except NotFound:  # the open conversation is no longer theirs to see
            yield _event("part", part("#conversation", Markup('<p class="empty">{}</p>').format(visit.t("gone"))))
        except InputError:  # a place of another version of the page: it is shown anew
            yield _event("part", Markup('<template data-go="{}"></template>').format(_address(opened, visit)))
        except BotError as error:
            log.info("console_stream_ended", error=type(error).__name__)
        finally:
            self._hub.listeners.discard(listener)

    async def _still(self, visit: Visit, token: str) -> Visit:
        """The same visit with what the person may do now, and the time. Raises: NotSignedIn."""
        session = await self._frame.signing_in.resolve(token, is_active=False)
        return Visit(visit.request, self._frame, session, look_of(self._frame, session, visit.request))

    async def _news(self, visit: Visit, listener: Listener, state: _State) -> AsyncIterator[str]:
        changed, listener.changed = list(listener.changed), {}
        now = asyncio.get_running_loop().time()
        has_counts = listener.counts and now >= state.counted_at + COUNTS_S
        visit = Visit(visit.request, visit.frame, visit.session, look_of(visit.frame, visit.session, visit.request))
        if changed and state.which is not None:
            rows = await self._rows(visit, state.which, changed[-MOST_ROWS:])
            yield _event("rows", rows)
        if has_counts and state.which is not None:
            listener.counts, state.counted_at = False, now
            counts = await self._do.inbox.counts(visit.actor)
            names = {
                "tabs": tabs(counts, state.which.list, visit.look),
                "views": view_tabs(await self._do.views.of(visit.actor, "inbox")),
            }
            html = visit.html("inbox/tabs.html", **names)
            if html != state.tabs:
                state.tabs = html
                yield _event("part", part("#tabs", html, "replace"))
        if listener.notices:
            listener.notices = False
            yield _event("notice", await self._notice(visit))
        if listener.opened is not None:
            parts = await self._talk(visit, listener, state, is_changed=listener.opened in changed)
            if parts:
                yield _event("part", Markup("").join(parts))

    async def _rows(self, visit: Visit, which: InboxFilter, ids: list[int]) -> list[dict[str, Any]]:
        rows = {row.id: row for row in await self._do.inbox.rows(visit.actor, which, ids)}
        return [
            {
                "id": row_id,
                "html": visit.html("inbox/row.html", row=row_of(rows[row_id], which, visit.look), opened=None)
                if row_id in rows
                else "",
            }
            for row_id in ids
        ]

    async def _talk(self, visit: Visit, listener: Listener, state: _State, *, is_changed: bool) -> list[Markup]:
        """New lines of the open conversation, changed ones, and its head when that looks different."""
        assert listener.opened is not None  # noqa: S101 - asked by the caller
        talk, parts = listener.opened, []
        if is_changed or state.unfinished:
            view = await self._do.conversations.open(visit.actor, talk, limit=1)
            again = await self._do.conversations.messages(visit.actor, talk, sorted(state.unfinished))
            page = HistoryPage(())
            if state.after:
                page = await self._do.conversations.updates(visit.actor, talk, state.after)
            state.after = page.newest or state.after or view.history.newest
            for entry in page.entries:
                html = visit.html("inbox/entry.html", entry=said_one(entry, view, visit.actor, visit.look))
                parts.append(part("#talk", html, "append"))
            for entry in [*page.changed, *again]:
                html = visit.html("inbox/entry.html", entry=said_one(entry, view, visit.actor, visit.look))
                if state.shown.get(entry.id) != html:
                    state.shown[entry.id] = html
                    parts.append(part(f"#m-{entry.id}", html, "replace"))
            state.keep([entry for entry in [*page.entries, *page.changed, *again] if isinstance(entry, HistoryMessage)])
            if page.entries:
                newest = Markup('<input type="hidden" id="newest" value="{}">').format(state.after)
                parts.append(part("#newest", newest, "replace"))
            head = (
                view.row.owner,
                view.row.operator,
                view.row.status,
                view.row.fence,
                view.window,
                view.row.unanswered_since,
            )
            if state.head is not None and state.head != head:
                names = await talk_names(visit, self._do, view)
                parts.append(part("#head", visit.html("inbox/head.html", **names), "replace"))
                if state.is_mine != view.is_mine:
                    parts.append(part("#composer", visit.html("inbox/composer.html", **names), "replace"))
            state.head, state.is_mine = head, view.is_mine
        signs = self._signs(visit, listener)
        if signs != state.signs:
            state.signs = signs
            parts.append(part("#signs", Markup("{}").format(signs)))
        return parts

    async def _notice(self, visit: Visit) -> dict[str, Any]:
        """How many notices are unread, and the newest in words; never what a customer wrote."""
        page = await self._do.notes.notices(visit.actor, unread=True, limit=1)
        told: dict[str, Any] = {"unread": await self._do.notes.unread(visit.actor)}
        for one in page.items:
            key = f"notice.{one.kind}"
            told |= {
                "title": visit.t("app"),
                "text": visit.t(key, by=one.by or "–") if key in WORDS else one.kind,
                "tag": str(one.id),
                "url": f"/console/inbox/{one.conversation_id}" if one.conversation_id is not None else "",
            }
        return told

    def _signs(self, visit: Visit, listener: Listener) -> str:
        now = asyncio.get_running_loop().time()
        listener.beside = {key: until for key, until in listener.beside.items() if until > now}
        typing = sorted({who for who, doing in listener.beside if doing == "typing"})
        viewing = sorted({who for who, doing in listener.beside if doing == "viewing"} - set(typing))
        words = [visit.t("talk.typing", names=", ".join(typing))] if typing else []
        return " · ".join([*words, *([visit.t("talk.viewing", names=", ".join(viewing))] if viewing else [])])


def _address(opened: int | None, visit: Visit) -> str:
    place = "/console/inbox" if opened is None else f"/console/inbox/{opened}"
    return f"{place}?{urlencode({'list': visit.text('list') or 'all'})}"


@dataclass
class _State:
    """What one stream has shown."""

    which: InboxFilter | None  # None on screens without a list of conversations
    after: str
    tabs: str = ""
    counted_at: float = float("-inf")
    signs: str = ""
    head: Any = None
    is_mine: bool | None = None
    unfinished: set[int] = field(default_factory=set)
    shown: dict[int, Markup] = field(default_factory=dict)

    def keep(self, messages: list[HistoryMessage]) -> None:
        """Messages that are still on their way are read again until they have arrived."""
        for message in messages:
            if message.delivery is not None and message.delivery.state in UNFINISHED:
                self.unfinished.add(message.id)
            else:
                self.unfinished.discard(message.id)
                self.shown.pop(message.id, None)


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {json.dumps(data, ensure_ascii=False)}\n\n"
