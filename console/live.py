"""Consoles that are open hear of what changed: rows of the list they show, and the conversation they have open.

What changed is read once for all of them (console/live_hub.py); each stream tells what the person it belongs to may see
of it, so nobody hears of what is not theirs. Only the open conversation is read by its own stream.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final
from urllib.parse import urlencode

import structlog
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from bot.errors import BotError, InputError, NotFound, NotSignedIn, ServiceError
from console.frame import SAFE, Frame, Visit, look_of, part, to_sign_in
from console.inbox_desk import InboxServices, talk_names
from console.inbox_filter import ViewTab, filter_of, view_tabs
from console.inbox_view import LISTS, row_of, tabs
from console.live_hub import Found, Listener, LiveHub
from console.notices import place_of, words_of
from console.talk_view import said_one
from desk.conversations import HistoryMessage, HistoryPage
from desk.inbox import InboxFilter, line_for

log = structlog.get_logger(__name__)

PACE_S: Final = 0.5  # between two looks at messages that are still on their way, and at who has stopped typing
SIGN_OF_LIFE_S: Final = 15.0  # a comment that keeps the line open, and the operator's hold on what they have
UNFINISHED: Final = frozenset({"pending", "sending"})
TROUBLED: Final = frozenset({"failed", "uncertain", "held"})


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
        wanted = "cases.read" if visit.text("board") else "conversations.read"
        if not visit.actor.may(wanted) or self._hub.is_closed:
            return Response(status_code=204, headers=SAFE)  # 204 tells an EventSource not to come back
        headers = {**SAFE, "X-Accel-Buffering": "no"}
        return StreamingResponse(self._stream(visit, token), media_type="text/event-stream", headers=headers)

    async def _stream(self, visit: Visit, token: str) -> AsyncIterator[str]:
        try:
            opened, after = visit.number("open"), visit.text("after")
        except InputError:
            opened, after = None, ""
        has_board = bool(visit.text("board")) and visit.actor.may("cases.read")
        listener = Listener(visit.actor, opened, has_board, is_opened_changed=opened is not None)
        state = _State(filter_of(visit) if visit.text("list") in LISTS else None, after)
        self._hub.join(listener)
        loop = asyncio.get_running_loop()
        seen_alive = float("-inf")
        try:
            yield ": open\n\n"
            while not self._hub.is_closed:
                if loop.time() - seen_alive >= SIGN_OF_LIFE_S:
                    seen_alive = loop.time()
                    visit = await self._still(visit, token)
                    listener.actor = visit.actor
                    state.views = view_tabs(await self._do.views.of(visit.actor, "inbox"))
                    if opened is not None:
                        await self._do.conversations.present(visit.actor, opened, "viewing")
                    if visit.actor.may("conversations.reply"):
                        await self._do.handoff.renew(visit.actor)
                    yield ": still here\n\n"
                listener.woken.clear()
                async for event in self._news(visit, listener, state):
                    yield event
                wait = PACE_S if state.unfinished or listener.beside else SIGN_OF_LIFE_S
                try:
                    async with asyncio.timeout(max(0.0, min(wait, seen_alive + SIGN_OF_LIFE_S - loop.time()))):
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
            self._hub.leave(listener)

    async def _still(self, visit: Visit, token: str) -> Visit:
        """The same visit with what the person may do now, and the time. Raises: NotSignedIn."""
        session = await self._frame.signing_in.resolve(token, is_active=False)
        return Visit(visit.request, self._frame, session, look_of(self._frame, session, visit.request))

    async def _news(self, visit: Visit, listener: Listener, state: _State) -> AsyncIterator[str]:
        visit = Visit(visit.request, visit.frame, visit.session, replace(visit.look, now=self._frame.clock.now()))
        if listener.fresh and state.which is not None:
            fresh, listener.fresh = listener.fresh, {}
            yield _written("rows", f"[{','.join(_row(visit, state.which, *each) for each in fresh.items())}]")
        if listener.counts is not None and state.which is not None:
            counts, listener.counts = listener.counts, None
            if (shown := (counts, state.views)) != state.shown_tabs:
                state.shown_tabs = shown
                names = {"tabs": tabs(counts, state.which.list, visit.look), "views": state.views}
                yield _event("part", part("#tabs", visit.html("inbox/tabs.html", **names), "replace"))
        if listener.is_board_changed:
            listener.is_board_changed = False
            yield _event("board", "")  # what is on it is the page's own question, with the filters of its address
        if listener.notices:
            listener.notices = False
            yield _event("notice", await self._notice(visit))
        if listener.opened is not None:
            is_changed, listener.is_opened_changed = listener.is_opened_changed, False
            parts = await self._talk(visit, listener, state, is_changed=is_changed)
            if parts:
                yield _event("part", Markup("").join(parts))

    async def _talk(self, visit: Visit, listener: Listener, state: _State, *, is_changed: bool) -> list[Markup]:
        """New lines of the open conversation, changed ones, and its head when that looks different."""
        assert listener.opened is not None  # noqa: S101 - asked by the caller
        talk, parts, tongue = listener.opened, [], self._do.help.translates
        if is_changed or state.unfinished:
            view = await self._do.conversations.open(visit.actor, talk, limit=1)
            if is_changed:  # also what was set aside: a colleague, or this page, has done something about it
                again = await self._do.conversations.unsettled(visit.actor, talk, state.unfinished | state.troubled)
            else:
                again = await self._do.conversations.messages(visit.actor, talk, sorted(state.unfinished))
            page = HistoryPage(())
            if state.after:
                page = await self._do.conversations.updates(visit.actor, talk, state.after)
            state.after = page.newest or state.after or view.history.newest
            for entry in page.entries:
                html = visit.html(
                    "inbox/entry.html", entry=said_one(entry, view, visit.actor, visit.look, translates=tongue)
                )
                parts.append(part("#talk", html, "append"))
            for entry in [*page.changed, *again]:
                html = visit.html(
                    "inbox/entry.html", entry=said_one(entry, view, visit.actor, visit.look, translates=tongue)
                )
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
            told |= {
                "title": visit.t("app"),
                "text": words_of(one, visit.t),
                "tag": str(one.id),
                "url": place_of(one),
            }
        return told

    def _signs(self, visit: Visit, listener: Listener) -> str:
        now = asyncio.get_running_loop().time()
        listener.beside = {key: until for key, until in listener.beside.items() if until > now}
        typing = sorted({who for who, doing in listener.beside if doing == "typing"})
        viewing = sorted({who for who, doing in listener.beside if doing == "viewing"} - set(typing))
        words = [visit.t("talk.typing", names=", ".join(typing))] if typing else []
        return " · ".join([*words, *([visit.t("talk.viewing", names=", ".join(viewing))] if viewing else [])])


def _row(visit: Visit, which: InboxFilter, row_id: int, found: Found) -> str:
    """The line as JSON, written once for all who see the same; without HTML where it is not in this list for them."""
    line = found.lines.get(row_id)
    row = None if line is None else line_for(visit.actor, which, line)
    if row is None:
        return f'{{"id": {row_id}, "html": ""}}'
    look = replace(visit.look, now=found.at)
    key = (row_id, which.list, look.language, row.is_unread)
    written = found.written.get(key)
    if written is None:
        html = visit.html("inbox/row.html", row=row_of(row, which, look), opened=None)
        written = found.written[key] = json.dumps({"id": row_id, "html": html}, ensure_ascii=False)
    return written


def _address(opened: int | None, visit: Visit) -> str:
    place = "/console/inbox" if opened is None else f"/console/inbox/{opened}"
    return f"{place}?{urlencode({'list': visit.text('list') or 'all'})}"


@dataclass
class _State:
    """What one stream has shown."""

    which: InboxFilter | None  # None on screens without a list of conversations
    after: str
    views: Sequence[ViewTab] = ()
    shown_tabs: Any = None
    signs: str = ""
    head: Any = None
    is_mine: bool | None = None
    unfinished: set[int] = field(default_factory=set)
    troubled: set[int] = field(default_factory=set)
    shown: dict[int, Markup] = field(default_factory=dict)

    def keep(self, messages: list[HistoryMessage]) -> None:
        """Messages that are still on their way are read again until they have arrived; those that did not leave, when
        something happens in the conversation.
        """
        for message in messages:
            state = "" if message.delivery is None else message.delivery.state
            for kept, states in ((self.unfinished, UNFINISHED), (self.troubled, TROUBLED)):
                if state in states:
                    kept.add(message.id)
                else:
                    kept.discard(message.id)
            if state not in UNFINISHED | TROUBLED:
                self.shown.pop(message.id, None)


def _event(name: str, data: Any) -> str:
    return _written(name, json.dumps(data, ensure_ascii=False))


def _written(name: str, data: str) -> str:
    return f"event: {name}\ndata: {data}\n\n"
