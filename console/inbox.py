"""The inbox: lists on the left, the conversation in the middle, the person on the right. One address for each state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, TypeGuard
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.datastructures import UploadFile
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from bot.errors import InputError, NotFound
from console.frame import Frame, Visit, next_morning, part, screen, toast
from console.inbox_view import (
    LISTS,
    ORDER,
    acts_of,
    channel_name,
    countdown,
    holder_of,
    local_time,
    row_of,
    said,
    said_one,
    tabs,
    waits_tone,
)
from console.person import person_of
from desk.cases import CaseDesk
from desk.conversations import ConversationDesk, ConversationView, HistoryPage
from desk.customer_records import CustomerRecords
from desk.handoff import HandoffDesk, Outcome
from desk.inbox import ConversationRow, InboxDesk, InboxFilter
from desk.paging import Page
from desk.replies import ReplyDesk

ROWS: Final = 50
MOST_FILES: Final = 10
MOST_FILE_BYTES: Final = 20_000_000


@dataclass(frozen=True, slots=True)
class Suggestion:
    """Words that could be sent: of an article, or of a canned reply."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class InboxServices:
    """What the inbox works with. `teams` and `flows` give names with their titles in a language."""

    inbox: InboxDesk
    conversations: ConversationDesk
    replies: ReplyDesk
    handoff: HandoffDesk
    records: CustomerRecords
    cases: CaseDesk
    teams: Callable[[str], Sequence[tuple[str, str]]]
    flows: Callable[[str], Sequence[tuple[str, str]]]
    articles: Callable[[str, str], Awaitable[Sequence[Suggestion]]]  # words, language


def inbox_routes(frame: Frame, services: InboxServices) -> list[BaseRoute]:
    desk = InboxScreen(frame, services)
    see, act = "conversations.read", "conversations.reply"

    def route(path: str, work: Callable[[Visit], Awaitable[Response]], permission: str, **more: Any) -> Route:
        methods = ["POST"] if permission == act else ["GET"]
        return Route(f"/console{path}", screen(frame, work, permission, **more), methods=methods)

    one = "/inbox/{id:int}"
    return [
        route("/inbox", desk.page, see),
        route("/inbox/rows", desk.rows, see),
        route("/inbox/next", desk.take_next, act),
        route(one, desk.open, see),
        route(f"{one}/older", desk.older, see),
        route(f"{one}/people", desk.people, see),
        route(f"{one}/articles", desk.articles, see),
        route(f"{one}/say", desk.say, act, files=True),
        route(f"{one}/seen", desk.seen, act),
        route(f"{one}/typing", desk.typing, act),
        *(route(f"{one}/{name}", desk.act(name), act) for name in ACTS),
        route("/presence", desk.presence, act),
    ]


ACTS: Final = (
    "take", "transfer", "return", "snooze", "wake", "close", "reopen", "retry", "drop", "edit", "take-back", "cancel",
)  # fmt: skip


class InboxScreen:
    """One method for each route."""

    def __init__(self, frame: Frame, services: InboxServices) -> None:
        self._frame, self._do = frame, services

    # --- looking ------------------------------------------------------------------------------------------------

    async def page(self, visit: Visit) -> Response:
        """Without a conversation; as a fragment only the lists, so that what is open stays."""
        names = await self._lists(visit)
        if visit.is_part:
            rows = visit.html("inbox/rows.html", **names)
            return visit.parts(
                part("#tabs", visit.html("inbox/tabs.html", **names), "replace"), part("#rows", rows, "replace")
            )
        return visit.page("inbox", "inbox/page.html", live="/console/live", view=None, **names)

    async def rows(self, visit: Visit) -> Response:
        """One page of a list: to be put after what is there, or into a page that was emptied meanwhile."""
        which, page = await self._page(visit, visit.text("cursor"))
        rows = [row_of(row, which, visit.look) for row in page.items]
        html = Markup("").join(visit.html("inbox/row.html", row=row, opened=None) for row in rows)
        if visit.request.headers.get("x-part") == "rows":
            return visit.parts(html)
        block = Markup('<div data-page="{}">{}</div>').format(_rows_url(which, visit, visit.text("cursor")), html)
        more = visit.html("inbox/more.html", next=_rows_url(which, visit, page.next) if page.next else "")
        return visit.parts(part("#more", block + more, "replace"))

    async def open(self, visit: Visit) -> Response:
        """The conversation with its person; as a fragment just those two."""
        names = await self._opened(visit, _id(visit))
        if visit.is_part:
            return visit.parts(*self._opened_parts(visit, names))
        shown = {**names, **await self._lists(visit), "opened": _id(visit)}
        return visit.page("inbox", "inbox/page.html", live="/console/live", title=names["name"], **shown)

    async def older(self, visit: Visit) -> Response:
        """The page of messages before those shown."""
        view = await self._do.conversations.open(visit.actor, _id(visit), limit=1)
        page = await self._do.conversations.older(visit.actor, _id(visit), visit.text("cursor"))
        return visit.parts(
            part("#older", Markup(""), "remove"),
            part("#talk", self._older(visit, page) + self._entries(visit, view, page), "prepend"),
        )

    async def people(self, visit: Visit) -> Response:
        wanted = visit.text("q").casefold()
        names = [one.name for one in await self._do.handoff.colleagues(visit.actor)]
        return visit.parts(_menu([Suggestion(f"@{name}", f"@{name} ") for name in names if wanted in name.casefold()]))

    async def articles(self, visit: Visit) -> Response:
        row = await self._do.inbox.row(visit.actor, _id(visit))
        words = visit.text("q").strip()[:500] or row.last_words
        found = await self._do.articles(words, row.language or visit.look.language)
        html = visit.html("inbox/articles.html", found=found)
        return visit.parts(part("#found-articles", html))

    # --- acting ---------------------------------------------------------------------------------------------------

    async def say(self, visit: Visit) -> Response:
        """What was written goes out, at once or at the time given. The same form twice says it once."""
        talk, desk = _id(visit), self._do.replies
        files = [await self._attached(visit, talk, item) for item in visit.form.getlist("file") if _is_file(item)]
        text, at = visit.text("text"), visit.text("at")
        if at:
            await desk.schedule(visit.actor, talk, text, _moment(at, visit), files=files)
            return await self._changed(visit, talk, visit.t("saved"))
        client_id, fence = visit.text("client_id"), visit.number("fence")
        row = await self._do.inbox.row(visit.actor, talk)
        if row.owner != "operator" and fence == row.fence and text.strip():
            fence = None  # who answers has it: taking and saying are one step for them, and the page has the old fence
            await self._do.handoff.take(visit.actor, talk, fence=row.fence)
        await desk.send(visit.actor, talk, text, client_id=client_id, files=files, fence=fence)
        return await self._changed(visit, talk, "")

    async def seen(self, visit: Visit) -> Response:
        await self._do.conversations.seen(visit.actor, _id(visit), visit.number("message") or 0)
        return visit.parts()

    async def typing(self, visit: Visit) -> Response:
        await self._do.conversations.present(visit.actor, _id(visit), "typing")
        return visit.parts()

    async def take_next(self, visit: Visit) -> Response:
        moved = await self._do.handoff.take_next(visit.actor)
        if moved is None:
            return visit.parts(toast(visit.t("toast.nobody")))
        return visit.go(f"/console/inbox/{moved.conversation_id}?list=mine")

    async def presence(self, visit: Visit) -> Response:
        await self._do.handoff.set_presence(visit.actor, visit.text("state"))
        return visit.parts(toast(visit.t("saved")))

    def act(self, name: str) -> Callable[[Visit], Awaitable[Response]]:
        """The route of a button of the conversation's head or of one of its messages."""
        work = getattr(self, f"_{name.replace('-', '_')}")

        async def acted(visit: Visit) -> Response:
            words = await work(visit, _id(visit))
            return await self._changed(visit, _id(visit), words)

        return acted

    async def _take(self, visit: Visit, talk: int) -> str:
        await self._do.handoff.take(visit.actor, talk, fence=visit.number("fence"))
        return visit.t("toast.taken")

    async def _transfer(self, visit: Visit, talk: int) -> str:
        kind, _, name = visit.text("to").partition(":")
        if kind not in ("person", "team") or not name:
            raise InputError("nobody was chosen")
        fence, note = visit.number("fence"), visit.text("note")
        if kind == "team":
            await self._do.handoff.transfer(visit.actor, talk, team=name, note=note, fence=fence)
            titles = dict(self._do.teams(visit.look.language))
            return visit.t("toast.transferred", name=titles.get(name, name))
        if visit.actor.may("conversations.assign"):
            await self._do.handoff.assign(visit.actor, talk, name, note=note, fence=fence)
        else:
            await self._do.handoff.transfer(visit.actor, talk, operator=name, note=note, fence=fence)
        return visit.t("toast.assigned", name=name)

    async def _return(self, visit: Visit, talk: int) -> str:
        outcome: Outcome = "continue" if visit.text("outcome") == "continue" else "solved"
        flow = visit.text("flow") if outcome == "continue" else ""
        await self._do.handoff.hand_back(
            visit.actor, talk, outcome=outcome, flow=flow, summary=visit.text("summary"), fence=visit.number("fence")
        )
        return visit.t("toast.returned")

    async def _snooze(self, visit: Visit, talk: int) -> str:
        until = _until(visit)
        await self._do.conversations.snooze(visit.actor, talk, until, fence=visit.number("fence"))
        return visit.t("toast.snoozed", time=visit.look.words()["moment"](until))

    async def _wake(self, visit: Visit, talk: int) -> str:
        await self._do.conversations.wake(visit.actor, talk)
        return visit.t("toast.woken")

    async def _close(self, visit: Visit, talk: int) -> str:
        await self._do.conversations.close(visit.actor, talk, fence=visit.number("fence"))
        return visit.t("toast.closed")

    async def _reopen(self, visit: Visit, talk: int) -> str:
        await self._do.conversations.reopen(visit.actor, talk)
        return visit.t("toast.reopened")

    async def _retry(self, visit: Visit, talk: int) -> str:
        await self._do.replies.retry(visit.actor, talk, [_needed(visit, "outbox")])
        return visit.t("toast.retried")

    async def _drop(self, visit: Visit, talk: int) -> str:
        await self._do.replies.drop(visit.actor, talk, [_needed(visit, "outbox")])
        return visit.t("toast.dropped")

    async def _edit(self, visit: Visit, talk: int) -> str:
        await self._do.replies.edit(visit.actor, talk, _needed(visit, "message"), visit.text("text"))
        return visit.t("saved")

    async def _take_back(self, visit: Visit, talk: int) -> str:
        await self._do.replies.take_back(visit.actor, talk, _needed(visit, "message"))
        return visit.t("said.taken_back")

    async def _cancel(self, visit: Visit, talk: int) -> str:
        await self._do.replies.cancel(visit.actor, talk, _needed(visit, "scheduled"))
        return visit.t("done")

    # --- how it looks -----------------------------------------------------------------------------------------------

    async def _page(self, visit: Visit, cursor: str = "") -> tuple[InboxFilter, Page[ConversationRow]]:
        name = visit.text("list") or "all"
        which = InboxFilter(list=name if name in LISTS else "all")
        return which, await self._do.inbox.page(visit.actor, which, cursor=cursor, limit=ROWS)

    async def _lists(self, visit: Visit) -> dict[str, Any]:
        counts = await self._do.inbox.counts(visit.actor)
        if not visit.text("list") and visit.request.method == "GET":
            name = "mine" if counts.get("mine") else "queue" if counts.get("queue") else "all"
            which = InboxFilter(list=name)
            page = await self._do.inbox.page(visit.actor, which, limit=ROWS)
        else:
            which, page = await self._page(visit)
        look = visit.look
        me = next((one for one in await self._do.handoff.colleagues(visit.actor) if one.name == visit.actor.name), None)
        return {
            "chosen": which,
            "query": visit.text("q"),
            "tabs": tabs(counts, which.list, look),
            "rows": [row_of(row, which, look) for row in page.items],
            "order": ORDER.get(which.list, "down"),
            "here": _rows_url(which, visit, ""),
            "next": _rows_url(which, visit, page.next) if page.next else "",
            "empty": visit.t(f"list.empty.{which.list}"),
            "presence": me.presence if me is not None else "off",
            "opened": None,
        }

    async def _opened(self, visit: Visit, talk: int) -> dict[str, Any]:
        view = await self._do.conversations.open(visit.actor, talk)
        newest = [entry.id for entry in view.history.entries if hasattr(entry, "direction")]
        if newest:
            await self._do.conversations.seen(visit.actor, talk, newest[-1])
        names = await talk_names(visit, self._do, view)
        person = await person_of(visit, self._do.records, self._do.cases, view.row.customer_id)
        page = view.history
        return {
            **names,
            "entries": said(page.entries, view, visit.actor, visit.look),
            "older": _older_url(view, page.older),
            "person": person,
            "others": view.others,
            "opened": talk,
        }

    def _opened_parts(self, visit: Visit, names: Mapping[str, Any]) -> list[Markup]:
        return [
            part("#conversation", visit.html("inbox/conversation.html", **names)),
            part("#side", visit.html("inbox/side.html", **names)),
        ]

    async def _changed(self, visit: Visit, talk: int, words: str) -> Response:
        """What an act has changed is shown at once; other consoles, and the lists, hear of it over their streams."""
        if not visit.is_part:
            return visit.go(f"/console/inbox/{talk}?{urlencode({'list': visit.text('list') or 'all'})}")
        said_words = [toast(words)] if words else []
        try:
            view = await self._do.conversations.open(visit.actor, talk, limit=1)
        except NotFound:  # passed on to a team that is not ours
            empty = Markup('<p class="empty">{}</p>').format(visit.t("talk.choose"))
            return visit.parts(part("#conversation", empty), part("#side", Markup("")), *said_words)
        names = await talk_names(visit, self._do, view)
        return visit.parts(
            part("#head", visit.html("inbox/head.html", **names), "replace"),
            part("#composer", visit.html("inbox/composer.html", **names), "replace"),
            *said_words,
        )

    def _entries(self, visit: Visit, view: ConversationView, page: HistoryPage) -> Markup:
        return Markup("").join(
            visit.html("inbox/entry.html", entry=said_one(entry, view, visit.actor, visit.look))
            for entry in page.entries
        )

    def _older(self, visit: Visit, page: HistoryPage) -> Markup:
        return visit.html("inbox/older.html", older=_older_address(_id(visit), page.older))

    async def _attached(self, visit: Visit, talk: int, file: UploadFile) -> str:
        content = await file.read(MOST_FILE_BYTES + 1)
        if len(content) > MOST_FILE_BYTES:
            raise InputError(visit.t("too_large"))
        stored = await self._do.replies.attach(visit.actor, talk, content, file.filename or "")
        return stored.media_id


async def talk_names(visit: Visit, services: InboxServices, view: ConversationView) -> dict[str, Any]:
    """What the templates of a conversation's head and composer need."""
    row, look, name = view.row, visit.look, visit.text("list") or "all"
    suggestion = None
    if view.is_mine and row.last_author == "customer" and row.last_words:
        found = await services.articles(row.last_words, row.language or look.language)
        suggestion = found[0] if found else None
    colleagues = await services.handoff.colleagues(visit.actor)
    return {
        "chosen": InboxFilter(list=name if name in LISTS else "all"),
        "view": view,
        "name": row.name or visit.t("row.nobody"),
        "channel": channel_name(row.channel, look),
        "holder": holder_of(row, visit.actor, look),
        "tone": waits_tone(row, look),
        "window": countdown(view.window, look),
        "there": local_time(view, look),
        "acts": acts_of(row, visit.actor, look),
        "colleagues": [one for one in colleagues if one.name != row.operator],
        "teams": services.teams(look.language),
        "flows": services.flows(look.language),
        "scheduled": await services.replies.scheduled(visit.actor, row.id),
        "suggestion": suggestion,
        "can_write": view.is_mine or row.owner != "operator",
    }


def _is_file(item: Any) -> TypeGuard[UploadFile]:
    return isinstance(item, UploadFile) and bool(item.filename)


def _id(visit: Visit) -> int:
    found = int(visit.request.path_params["id"])
    if found >= 2**63:
        raise NotFound(f"there is no conversation {found}")
    return found


def _needed(visit: Visit, name: str) -> int:
    number = visit.number(name)
    if number is None:
        raise InputError(f"{name} is missing")
    return number


def _rows_url(which: InboxFilter, visit: Visit, cursor: str) -> str:
    return "/console/inbox/rows?" + urlencode({"list": which.list, **({"cursor": cursor} if cursor else {})})


def _older_url(view: ConversationView, cursor: str) -> str:
    return _older_address(view.row.id, cursor)


def _older_address(talk: int, cursor: str) -> str:
    return f"/console/inbox/{talk}/older?{urlencode({'cursor': cursor})}" if cursor else ""


def _menu(found: Sequence[Suggestion]) -> Markup:
    line = Markup('<button type="button" data-insert="{}">{}</button>')
    return Markup("").join(line.format(one.text, one.title) for one in found[:10])


def _moment(text: str, visit: Visit) -> datetime:
    """A time as the browser's field gives it, in the business's zone. Raises: InputError."""
    try:
        return datetime.fromisoformat(text).replace(tzinfo=visit.look.zone)
    except ValueError as exc:
        raise InputError("this is no time") from exc


def _until(visit: Visit) -> datetime:
    wanted = visit.text("until")
    if wanted == "hour":
        return visit.look.now + timedelta(hours=1)
    if wanted == "tomorrow":
        return next_morning(visit.look)
    if wanted == "monday":
        return next_morning(visit.look, weekday=0)
    return _moment(wanted, visit)
