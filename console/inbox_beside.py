"""Beside the conversations: saved views, what calls for somebody, and finding people from anywhere."""

from __future__ import annotations

from urllib.parse import urlencode

from starlette.responses import Response

from console.frame import Frame, Visit
from console.inbox_desk import InboxServices
from console.inbox_filter import filter_of, kept, written
from console.notices import place_of, words_of


class BesideScreen:
    """One method for each route."""

    def __init__(self, frame: Frame, services: InboxServices) -> None:
        self._frame, self._do = frame, services

    # --- beside the conversations -----------------------------------------------------------------------------------

    async def save_view(self, visit: Visit) -> Response:
        """The list as it is now has a name, and a tab."""
        wanted = filter_of(visit)
        await self._do.views.save(visit.actor, "inbox", visit.text("title"), kept(wanted))
        return visit.go(f"/console/inbox?{urlencode(written(wanted))}")

    async def remove_view(self, visit: Visit) -> Response:
        await self._do.views.remove(visit.actor, visit.needed("view"))
        return visit.go("/console/inbox?list=all")

    async def notices(self, visit: Visit) -> Response:
        """What calls this person, the newest first."""
        page = await self._do.notes.notices(visit.actor, cursor=visit.text("cursor"))
        lines = [(place_of(one), words_of(one, visit.t), one.read_at is None, one.at) for one in page.items]
        return visit.page("notices", "inbox/notices.html", title=visit.t("notices"), notices=lines, next=page.next)

    async def read_notices(self, visit: Visit) -> Response:
        await self._do.notes.mark_read(visit.actor)
        return visit.go("/console/notices")

    async def find(self, visit: Visit) -> Response:
        """For the palette: people by name or number, with where their conversation is."""
        words = visit.text("q").strip()[:100]
        if not words:
            return visit.parts()
        found = await self._do.search.search(visit.actor, words, limit=5)
        return visit.parts(visit.html("inbox/found_menu.html", found=found))
