"""What helps staff write: notes, canned replies, search, saved views, suggestions, and what the bot itself says."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field

from api.desk import ApiDesk, By, Of
from api.fields import Given, Id, MaybeName, MaybeWords, Name, Shown, Words
from api.paging import Listed
from api.routing import DeskRoutes
from api.versions import IfMatch
from bot.edited_texts import EditedText
from crm_sync.canned import CannedReply, Filled
from crm_sync.conversation_history import HistoryNote
from desk.canned import CannedDesk
from desk.notes import NoteDesk
from desk.paging import LONGEST
from desk.responses import Finding, ResponseDesk, ResponseLine
from desk.search import SearchDesk, SearchPage
from desk.views import SavedView, ViewDesk

Language = Literal["zh", "en"]
Screen = Literal["inbox", "cases", "customers", "reports"]


class NoteGiven(Given):
    text: Words = Field(description="@name calls a colleague")


class CannedGiven(Given):
    shortcut: Annotated[str, Field(min_length=1, max_length=40, pattern=r"^[\w-]+$")]
    texts: dict[Language, Words] = Field(min_length=1, description="Words by language, with {variables}")
    team: MaybeName = ""


class CannedUse(Given):
    conversation_id: Id
    language: Language | Literal[""] = ""


class SearchGiven(Given):
    words: Name
    cursor: Annotated[str, Field(max_length=LONGEST, description="`next` of the page before")] = ""
    limit: int = Field(20, ge=1, le=100, description="How many messages at most")


class ViewGiven(Given):
    screen: Screen
    title: Name
    filter: dict[Name, Any] = Field(max_length=50)
    is_shared: bool = False


class WordingGiven(Given):
    text: Words
    channel: MaybeName = Field("", description='Only there; "": on every channel')


Wording = Words | WordingGiven


class ResponseTexts(Given):
    """`seen`: the version these words were made from; 0: the file's."""

    texts: list[Wording] = Field(min_length=1, max_length=20, description="Variants; one of them is said")
    seen: int = Field(0, ge=0, le=2**31)
    note: MaybeWords = ""


class ResponseTried(Given):
    texts: list[Wording] = Field(min_length=1, max_length=20)


class ResponseVersion(Shown):
    language: str
    version: int
    by: str
    note: str
    at: datetime


class ResponseText(Shown):
    """What the bot says under this name, and since when."""

    line: ResponseLine
    variables: list[str]
    seen: dict[str, int] = Field(description="By language: the version to name in writes")
    history: list[ResponseVersion]


ResponseName = Annotated[str, Path(min_length=1, max_length=200)]


def helper_routes(desk: ApiDesk) -> DeskRoutes:
    notes, canned = NoteDesk(desk.database, desk.outside), CannedDesk(desk.database, desk.outside)
    search, views = SearchDesk(desk.database), ViewDesk(desk.database, desk.clock)
    responses = ResponseDesk(desk.database, desk.library, desk.clock)
    routes = DeskRoutes(tags=["helpers"])
    mine = desk.assistant

    @routes.post("/conversations/{conversation_id}/notes", response_model=HistoryNote, status_code=201)
    async def add_note(by: By, conversation_id: Id, given: NoteGiven) -> Any:
        """A note for colleagues; customers never see it."""
        return await notes.add(by, conversation_id, given.text)

    @routes.patch("/conversations/{conversation_id}/notes/{note_id}", status_code=204)
    async def change_note(by: By, conversation_id: Id, note_id: Id, given: NoteGiven) -> None:
        """One's own note says this."""
        await notes.change(by, conversation_id, note_id, given.text)

    @routes.get("/canned-replies", response_model=Listed[CannedReply])
    async def list_canned_replies(by: By, q: Annotated[str, Query(max_length=200)] = "") -> Any:
        """Canned replies, those that fit best first."""
        return {"items": await canned.find(by, q, limit=200)}

    @routes.post("/canned-replies", response_model=CannedReply, status_code=201)
    async def create_canned_reply(by: By, given: CannedGiven) -> Any:
        """A canned reply for everybody, or for a team."""
        return await canned.save(
            by, given.shortcut, {str(key): text for key, text in given.texts.items()}, team=given.team
        )

    @routes.put("/canned-replies/{canned_id}", response_model=CannedReply)
    async def change_canned_reply(by: By, canned_id: Id, given: CannedGiven, version: IfMatch) -> Any:
        """The canned reply says this."""
        texts = {str(key): text for key, text in given.texts.items()}
        return await canned.save(by, given.shortcut, texts, canned_id=canned_id, team=given.team, version=version)

    @routes.delete("/canned-replies/{canned_id}", status_code=204)
    async def remove_canned_reply(by: By, canned_id: Id) -> None:
        """The canned reply is gone."""
        await canned.remove(by, canned_id)

    @routes.post("/canned-replies/{canned_id}/filled", response_model=Filled)
    async def fill_canned_reply(by: By, canned_id: Id, use: CannedUse) -> Any:
        """Its words for a conversation, variables filled; nothing is sent."""
        return await canned.use(by, canned_id, use.conversation_id, language=use.language)

    @routes.post("/search", response_model=SearchPage)
    async def search_desk(by: By, given: SearchGiven) -> Any:
        """People and messages; of both only what who asks may see. Words in a body, because addresses are logged."""
        return await search.search(by, given.words, cursor=given.cursor, limit=given.limit)

    @routes.get("/views", response_model=Listed[SavedView])
    async def list_views(by: By, screen: Annotated[Screen, Query()] = "inbox") -> Any:
        """Saved views of a screen: one's own and the shared ones."""
        return {"items": await views.of(by, screen)}

    @routes.post("/views", response_model=SavedView, status_code=201)
    async def save_view(by: By, given: ViewGiven) -> Any:
        """The view is there; one's own of the same title is replaced."""
        return await views.save(by, given.screen, given.title, given.filter, is_shared=given.is_shared)

    @routes.delete("/views/{view_id}", status_code=204)
    async def remove_view(by: By, view_id: Id) -> None:
        """The view is gone."""
        await views.remove(by, view_id)

    @routes.get("/responses", response_model=Listed[ResponseLine], tags=["knowledge"])
    async def list_responses(
        by: By,
        of: Of,
        search: Annotated[str, Query(max_length=200)] = "",
        only_edited: Annotated[bool, Query()] = False,
    ) -> Any:
        """What the bot says, by name."""
        return {"items": await responses.responses(by, of or mine, search=search, only_edited=only_edited)}

    @routes.get("/responses/{name}", response_model=ResponseText, tags=["knowledge"])
    async def get_response(by: By, of: Of, name: ResponseName) -> Any:
        """What the bot says under this name, with its history."""
        return await responses.response(by, of or mine, name)

    @routes.put("/responses/{name}/{language}", status_code=204, tags=["knowledge"])
    async def save_response(by: By, of: Of, name: ResponseName, language: Language, given: ResponseTexts) -> None:
        """Customers read these words from now on."""
        await responses.save(by, of or mine, name, language, worded(given.texts), seen=given.seen, note=given.note)

    @routes.post("/responses/{name}/{language}/check", response_model=Listed[Finding], tags=["knowledge"])
    async def check_response(by: By, of: Of, name: ResponseName, language: Language, given: ResponseTried) -> Any:
        """What is wrong with these words, errors first; nothing changes."""
        return {"items": responses.check(by, of or mine, name, language, worded(given.texts))}

    return routes


def worded(texts: Sequence[str | WordingGiven]) -> list[EditedText]:
    """The wordings as the desk takes them; words alone are for every channel."""
    return [EditedText(each) if isinstance(each, str) else EditedText(each.text, each.channel) for each in texts]
