"""Looking at the inbox: lists on the left, the conversation in the middle, the person on the right.

Each state has an address of its own; asked for as a fragment it is only what changes on the page.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from urllib.parse import urlencode

from markupsafe import Markup
from starlette.responses import Response

from console.frame import Frame, Visit, part
from console.inbox_desk import InboxServices, talk_names
from console.inbox_filter import filter_of, view_tabs, written
from console.inbox_view import ORDER, row_of, tabs
from console.person import person_of
from console.talk_view import said, said_one
from desk.conversations import ConversationView, HistoryPage
from desk.inbox import ConversationRow, InboxFilter
from desk.paging import Page

ROWS: Final = 50


class InboxScreen:
    """One method for each route."""

    def __init__(self, frame: Frame, services: InboxServices) -> None:
        self._frame, self._do = frame, services

    # --- looking ------------------------------------------------------------------------------------------------

    async def page(self, visit: Visit) -> Response:
        """Without a conversation; as a fragment only the lists, so that what is open stays."""
        return await self._listed(visit, "")

    async def search(self, visit: Visit) -> Response:
        """What was found, in place of the list. The words are what people said or are called: no address holds them,
        which browsers, proxies and their logs would keep.
        """
        if visit.request.method != "POST":
            return visit.go("/console/inbox")
        return await self._listed(visit, visit.text("q").strip()[:200])

    async def _listed(self, visit: Visit, words: str) -> Response:
        names = await self._lists(visit, words)
        if visit.is_part:
            rows = visit.html("inbox/found.html" if names["found"] else "inbox/rows.html", **names)
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
        names = await self._opened(visit, visit.path_id("conversation"))
        if visit.is_part:
            return visit.parts(*self._opened_parts(visit, names))
        shown = {**names, **await self._lists(visit), "opened": visit.path_id("conversation")}
        return visit.page("inbox", "inbox/page.html", live="/console/live", title=names["name"], **shown)

    async def older(self, visit: Visit) -> Response:
        """The page of messages before those shown."""
        view = await self._do.conversations.open(visit.actor, visit.path_id("conversation"), limit=1)
        page = await self._do.conversations.older(visit.actor, visit.path_id("conversation"), visit.text("cursor"))
        return visit.parts(
            part("#older", Markup(""), "remove"),
            part("#talk", self._older(visit, page) + self._entries(visit, view, page), "prepend"),
        )

    async def canned(self, visit: Visit) -> Response:
        """What fits the words after the slash, filled in for this customer."""
        found = await self._do.canned.find(visit.actor, visit.text("q")[:100], limit=8)
        filled = [await self._do.canned.use(visit.actor, one.id, visit.path_id("conversation")) for one in found]
        lines = [(f"/{one.shortcut} · {ready.text[:80]}", ready.text) for one, ready in zip(found, filled, strict=True)]
        return visit.parts(_menu(lines))

    async def people(self, visit: Visit) -> Response:
        wanted = visit.text("q").casefold()
        found = await self._do.notes.colleagues(visit.actor)
        fits = [one for one in found if wanted in f"{one.name} {one.shown_as}".casefold()]
        return visit.parts(_menu([(f"@{one.name} · {one.shown_as}", f"@{one.name} ") for one in fits]))

    async def articles(self, visit: Visit) -> Response:
        found = await self._do.help.articles(visit.actor, visit.path_id("conversation"), visit.text("q"))
        html = visit.html("inbox/articles.html", found=found)
        return visit.parts(part("#found-articles", html))

    async def nearest(self, visit: Visit) -> Response:
        """Why the bot took a message for what it did: what it was taught that is most like it."""
        talk, message = visit.path_id("conversation"), visit.needed("message")
        if not visit.is_part:
            return visit.go(f"/console/inbox/{talk}?list=all")
        found = await self._do.help.examples(visit.actor, talk, message)
        return visit.parts(part(f"#near-{message}", visit.html("inbox/nearest.html", found=found)))

    async def translate(self, visit: Visit) -> Response:
        """What the customer said in the reader's own language, under their words; nothing is kept."""
        talk, message = visit.path_id("conversation"), visit.needed("message")
        words = await self._do.help.translate(visit.actor, talk, message, to=visit.look.language)
        shown = Markup('<p class="note"><span class="meta">{}</span><br><bdi>{}</bdi></p>')
        return visit.parts(part(f"#t-{message}", shown.format(visit.t("said.translated"), words)))

    # --- how it looks -----------------------------------------------------------------------------------------------

    async def _page(self, visit: Visit, cursor: str = "") -> tuple[InboxFilter, Page[ConversationRow]]:
        which = filter_of(visit)
        return which, await self._do.inbox.page(visit.actor, which, cursor=cursor, limit=ROWS)

    async def _lists(self, visit: Visit, words: str = "") -> dict[str, Any]:
        counts = await self._do.inbox.counts(visit.actor)
        if not visit.text("list") and not words:
            name = "mine" if counts.get("mine") else "queue" if counts.get("queue") else "all"
            which = InboxFilter(list=name)
            page = await self._do.inbox.page(visit.actor, which, limit=ROWS)
        else:
            which, page = await self._page(visit)
        look = visit.look
        me = next((one for one in await self._do.handoff.colleagues(visit.actor) if one.name == visit.actor.name), None)
        return {
            "chosen": which,
            "query": words,
            "found": await self._do.search.search(visit.actor, words) if words else None,
            "views": view_tabs(await self._do.views.of(visit.actor, "inbox")),
            "filter": written(which),
            "team_names": self._do.teams(look.language),
            "tabs": tabs(counts, which.list if not words else "", look),
            "unread": await self._do.notes.unread(visit.actor),
            "rows": [row_of(row, which, look) for row in page.items],
            "order": ORDER.get(which.list, "down"),
            "here": _rows_url(which, visit, ""),
            "next": _rows_url(which, visit, page.next) if page.next else "",
            "empty": await self._empty(visit, which, page),
            "presence": me.presence if me is not None else "off",
            "opened": None,
        }

    async def _empty(self, visit: Visit, which: InboxFilter, page: Page[ConversationRow]) -> str:
        """What to do when the list has nothing: an empty queue leaves time for messages nobody understood."""
        unclear = self._do.unclear
        if which.list == "queue" and not page.items and unclear is not None and visit.actor.may("understanding.read"):
            count = await unclear(visit.actor)
            if count:
                return visit.t("list.empty.queue.unclear", count=count)
        return visit.t(f"list.empty.{which.list}")

    async def _opened(self, visit: Visit, talk: int) -> dict[str, Any]:
        view = await self._do.conversations.open(visit.actor, talk)
        newest = [entry.id for entry in view.history.entries if hasattr(entry, "direction")]
        if newest:
            await self._do.conversations.seen(visit.actor, talk, newest[-1])
        names = await talk_names(visit, self._do, view)
        person = await person_of(visit, self._do.records, self._do.cases, view.row.customer_id, self._do.tasks)
        page = view.history
        return {
            **names,
            "entries": said(page.entries, view, visit.actor, visit.look, translates=self._do.help.translates),
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

    def _entries(self, visit: Visit, view: ConversationView, page: HistoryPage) -> Markup:
        return Markup("").join(
            visit.html(
                "inbox/entry.html",
                entry=said_one(entry, view, visit.actor, visit.look, translates=self._do.help.translates),
            )
            for entry in page.entries
        )

    def _older(self, visit: Visit, page: HistoryPage) -> Markup:
        return visit.html("inbox/older.html", older=_older_address(visit.path_id("conversation"), page.older))


def _rows_url(which: InboxFilter, visit: Visit, cursor: str) -> str:
    return "/console/inbox/rows?" + urlencode({**written(which), **({"cursor": cursor} if cursor else {})})


def _older_url(view: ConversationView, cursor: str) -> str:
    return _older_address(view.row.id, cursor)


def _older_address(talk: int, cursor: str) -> str:
    return f"/console/inbox/{talk}/older?{urlencode({'cursor': cursor})}" if cursor else ""


def _menu(lines: Sequence[tuple[str, str]]) -> Markup:
    """Buttons that put their words where the cursor is: what is shown, what is put."""
    line = Markup('<button type="button" data-insert="{}">{}</button>')
    return Markup("").join(line.format(words, shown) for shown, words in lines[:10])
