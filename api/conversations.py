"""`/conversations`: lists, history, writing in them, who has them, setting them aside."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import Path, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from api.desk import ApiDesk, By
from api.fields import Given, Id, LongText, MaybeName, MaybeWords, Moment, Name, Shown
from api.paging import Listed, Paged
from api.problems import Problem
from api.routing import DeskRoutes
from api.uploads import FileGiven
from api.versions import IfMatch, tag
from bot.ports import StoredFile
from bot.types import ArticleHit
from crm_sync.conversation_history import HistoryEvent, HistoryMessage, HistoryNote
from crm_sync.conversation_rows import ConversationRow
from crm_sync.handoffs import Moved
from crm_sync.scheduled_words import Scheduled
from desk.conversations import ConversationDesk, HistoryPage, OtherTalk, Window
from desk.handoff import HandoffDesk, Presence
from desk.helping import LONGEST_QUESTION, MOST_ARTICLES, Alike, Suggestion
from desk.inbox import InboxDesk, InboxFilter
from desk.replies import ReplyDesk, Sent

ConversationId = Annotated[Id, Path(description="Id of the conversation")]
ListName = Literal["mine", "queue", "all", "unanswered", "snoozed", "closed"]


class HistoryEntry(Shown):
    """One of: a message, a note of colleagues, a change of hands."""

    message: HistoryMessage | None = None
    note: HistoryNote | None = None
    event: HistoryEvent | None = None


class History(Shown):
    """A stretch of the history, the oldest first."""

    entries: list[HistoryEntry]
    older: str = Field(description="Cursor of what came before; empty: nothing did")
    newest: str = Field(description="What to ask `/updates` with")
    changed: list[HistoryMessage] = Field(description="Messages from before that read differently now")


class Conversation(Shown):
    """A conversation with the newest page of its history."""

    row: ConversationRow
    history: History
    window: Window
    zone: str
    others: list[OtherTalk] = Field(description="Other conversations of the same person")
    is_mine: bool
    can_edit: bool


class Counts(Shown):
    counts: dict[str, int] = Field(description="By list; 1000 means that many or more")


class MessageGiven(Given):
    text: Annotated[str, Field(max_length=20_000)] = ""
    files: list[Name] = Field([], max_length=10, description="Media ids of files attached before")
    client_id: MaybeName = Field("", description="The same id again sends nothing again; else the Idempotency-Key")


class MessageChange(Given):
    text: LongText


class PlannedGiven(MessageChange):
    send_at: Moment
    files: list[Name] = Field([], max_length=10)


class Outboxes(Given):
    outbox_ids: list[Id] = Field(min_length=1, max_length=100)


class Many(Shown):
    count: int


class TransferGiven(Given):
    operator: MaybeName = ""
    team: MaybeName = ""
    note: MaybeWords = ""


class ReturnGiven(Given):
    outcome: Literal["", "solved", "continue"] = ""
    flow: MaybeName = Field("", description="With `continue`: the flow the bot goes on with")
    summary: MaybeWords = ""


class SnoozeGiven(Given):
    until: Moment


class SeenGiven(Given):
    message_id: Id


class ArticleSearch(Given):
    words: Annotated[Name, Field(max_length=LONGEST_QUESTION)]
    top: int = Field(5, ge=1, le=MOST_ARTICLES)


class TranslationGiven(Given):
    to: Annotated[str, Field(pattern="^[a-z]{2}(-[A-Za-z]{2,4})?$", examples=["en"])]


class Translated(Shown):
    text: str


class ActivityGiven(Given):
    doing: Literal["viewing", "typing", "left"]


class PresenceGiven(Given):
    state: Literal["online", "busy", "away", "off"]


def conversation_routes(desk: ApiDesk) -> DeskRoutes:
    inbox = InboxDesk(desk.database, lambda: desk.policy().handoff)
    talks = ConversationDesk(desk.database, desk.outside)
    replies = ReplyDesk(desk.database, desk.outside)
    hands = HandoffDesk(desk.database, desk.policy, desk.clock, desk.signals, flows=desk.flows)
    routes = DeskRoutes(tags=["conversations"])

    def moved(found: Moved, response: Response) -> Moved:
        tag(response, found.fence)
        return found

    @routes.get("/conversations", response_model=Listed[ConversationRow])
    async def list_conversations(
        by: By,
        paging: Paged,
        which: Annotated[ListName, Query(alias="list")] = "all",
        channel: Annotated[str, Query(max_length=40)] = "",
        account: Annotated[str, Query(max_length=60)] = "",
        team: Annotated[str, Query(max_length=200)] = "",
        operator: Annotated[str, Query(max_length=200)] = "",
        owner: Annotated[Literal["bot", "queue", "operator", ""], Query()] = "",
        language: Annotated[Literal["zh", "en", ""], Query()] = "",
        is_vip: Annotated[bool, Query()] = False,
    ) -> Any:
        """A list as the inbox shows it; the queue by points and waiting time, the others the newest."""
        wanted = InboxFilter(which, channel, account, team, operator, owner, language, None, is_vip)
        return paging.shown(await inbox.page(by, wanted, cursor=paging.cursor, limit=paging.limit))

    @routes.get("/conversation-counts", response_model=Counts)
    async def count_conversations(by: By) -> Any:
        """How many conversations each list has."""
        return {"counts": await inbox.counts(by)}

    @routes.post("/conversations/next", response_model=Moved | None)
    async def take_next_conversation(by: By) -> Any:
        """Whoever is next in the queue for who asks is theirs; null when nobody is."""
        return await hands.take_next(by)

    @routes.get("/conversations/{conversation_id}", response_model=Conversation)
    async def get_conversation(
        by: By, conversation_id: ConversationId, response: Response, merged: Annotated[bool, Query()] = True
    ) -> Any:
        """The conversation with the newest page of its history. Its ETag names who has it: writes take it."""
        found = await talks.open(by, conversation_id, merged=merged)
        tag(response, found.row.fence)
        plain = {name: getattr(found, name) for name in Conversation.model_fields if name != "history"}
        return {**plain, "history": _history(found.history)}

    @routes.get("/conversations/{conversation_id}/history", response_model=History)
    async def list_conversation_history(
        by: By,
        conversation_id: ConversationId,
        cursor: Annotated[str, Query(max_length=1000, description="`older` of the page after it")] = "",
        merged: Annotated[bool, Query()] = True,
        limit: Annotated[int, Query(ge=1, le=200)] = 100,
    ) -> Any:
        """The history page by page, back in time."""
        return _history(await talks.older(by, conversation_id, cursor, merged=merged, limit=limit))

    @routes.get("/conversations/{conversation_id}/updates", response_model=History)
    async def list_conversation_updates(
        by: By,
        conversation_id: ConversationId,
        newest: Annotated[str, Query(min_length=1, max_length=1000, description="`newest` of what is known")],
        merged: Annotated[bool, Query()] = True,
    ) -> Any:
        """What came since."""
        return _history(await talks.updates(by, conversation_id, newest, merged=merged))

    # --- writing ------------------------------------------------------------------------------------------------

    @routes.post("/conversations/{conversation_id}/messages", response_model=Sent, status_code=201)
    async def send_message(
        by: By, conversation_id: ConversationId, given: MessageGiven, fence: IfMatch, request: Request
    ) -> Any:
        """The customer gets these words; who asks must have the conversation. Sent once per client id."""
        client_id = given.client_id or getattr(request.state, "idempotency_key", "")
        if not client_id:
            raise Problem("invalid", "a message needs a client_id or an Idempotency-Key, so that it is not sent twice")
        return await replies.send(by, conversation_id, given.text, client_id=client_id, files=given.files, fence=fence)

    @routes.patch("/conversations/{conversation_id}/messages/{message_id}", status_code=204)
    async def edit_message(
        by: By, conversation_id: ConversationId, message_id: Id, change: MessageChange, fence: IfMatch
    ) -> None:
        """The message says this, where the channel allows it."""
        await replies.edit(by, conversation_id, message_id, change.text, fence=fence)

    @routes.delete("/conversations/{conversation_id}/messages/{message_id}", status_code=204)
    async def take_message_back(by: By, conversation_id: ConversationId, message_id: Id, fence: IfMatch) -> None:
        """The customer does not see it any more, where the channel allows it."""
        await replies.take_back(by, conversation_id, message_id, fence=fence)

    @routes.post("/conversations/{conversation_id}/retries", response_model=Many)
    async def retry_messages(by: By, conversation_id: ConversationId, wanted: Outboxes) -> Any:
        """What did not leave is due again."""
        return {"count": await replies.retry(by, conversation_id, wanted.outbox_ids)}

    @routes.post("/conversations/{conversation_id}/drops", response_model=Many)
    async def drop_messages(by: By, conversation_id: ConversationId, wanted: Outboxes) -> Any:
        """What did not leave will not be sent."""
        return {"count": await replies.drop(by, conversation_id, wanted.outbox_ids)}

    @routes.get("/conversations/{conversation_id}/scheduled-messages", response_model=Listed[Scheduled])
    async def list_scheduled_messages(by: By, conversation_id: ConversationId) -> Any:
        """What waits to be said here, the next first."""
        return {"items": await replies.scheduled(by, conversation_id)}

    @routes.post("/conversations/{conversation_id}/scheduled-messages", response_model=Scheduled, status_code=201)
    async def schedule_message(by: By, conversation_id: ConversationId, given: PlannedGiven) -> Any:
        """The words leave at their time."""
        return await replies.schedule(by, conversation_id, given.text, given.send_at, files=given.files)

    @routes.delete("/conversations/{conversation_id}/scheduled-messages/{scheduled_id}", status_code=204)
    async def cancel_scheduled_message(by: By, conversation_id: ConversationId, scheduled_id: Id) -> None:
        """The words will not be sent."""
        await replies.cancel(by, conversation_id, scheduled_id)

    @routes.post("/conversations/{conversation_id}/files", response_model=StoredFile, status_code=201)
    async def attach_file(by: By, conversation_id: ConversationId, given: FileGiven) -> Any:
        """The file is kept for a day, to be named in `files` of a message. It is looked at, whatever its name says."""
        by.require("conversations.reply")  # before the file is looked at
        return await replies.attach(by, conversation_id, given.bytes(), given.file_name)

    @routes.get("/conversations/{conversation_id}/suggestion", response_model=Suggestion | None)
    async def suggest_reply(by: By, conversation_id: ConversationId) -> Any:
        """The article that fits what the customer said last; null when none does."""
        return await desk.help.suggest(by, conversation_id)

    @routes.post("/conversations/{conversation_id}/article-search", response_model=Listed[ArticleHit])
    async def search_articles(by: By, conversation_id: ConversationId, given: ArticleSearch) -> Any:
        """Articles of the conversation's assistant that fit the words, the best first."""
        return {"items": await desk.help.articles(by, conversation_id, given.words, top=given.top)}

    @routes.get("/conversations/{conversation_id}/messages/{message_id}/nearest-examples", response_model=Listed[Alike])
    async def list_nearest_examples(by: By, conversation_id: ConversationId, message_id: Id) -> Any:
        """Why the customer's message was understood so: the examples the bot was taught that are most like it."""
        return {"items": await desk.help.examples(by, conversation_id, message_id)}

    @routes.post("/conversations/{conversation_id}/messages/{message_id}/translation", response_model=Translated)
    async def translate_message(
        by: By, conversation_id: ConversationId, message_id: Id, given: TranslationGiven
    ) -> Any:
        """The message in another language; 409 where this deployment has nobody who translates."""
        return {"text": await desk.help.translate(by, conversation_id, message_id, to=given.to)}

    @routes.put("/conversations/{conversation_id}/activity", status_code=204)
    async def show_activity(by: By, conversation_id: ConversationId, given: ActivityGiven) -> None:
        """Colleagues who have it open see for a few seconds that who asks is there, or types; nothing is stored."""
        await talks.present(by, conversation_id, given.doing)

    @routes.put("/conversations/{conversation_id}/seen", status_code=204)
    async def see_conversation(by: By, conversation_id: ConversationId, seen: SeenGiven) -> None:
        """Who asks has read everything up to this message."""
        await talks.seen(by, conversation_id, seen.message_id)

    # --- who has it ---------------------------------------------------------------------------------------------

    @routes.post("/conversations/{conversation_id}/take", response_model=Moved)
    async def take_conversation(by: By, conversation_id: ConversationId, fence: IfMatch, response: Response) -> Any:
        """Who asks has it: from the bot, the queue, or (with the right to assign) a colleague."""
        return moved(await hands.take(by, conversation_id, fence=fence), response)

    @routes.post("/conversations/{conversation_id}/transfer", response_model=Moved)
    async def transfer_conversation(
        by: By, conversation_id: ConversationId, to: TransferGiven, fence: IfMatch, response: Response
    ) -> Any:
        """A colleague has it, or it waits in a team's queue; the note tells them why."""
        found = await hands.transfer(by, conversation_id, operator=to.operator, team=to.team, note=to.note, fence=fence)
        return moved(found, response)

    @routes.post("/conversations/{conversation_id}/assignment", response_model=Moved)
    async def assign_conversation(
        by: By, conversation_id: ConversationId, to: TransferGiven, fence: IfMatch, response: Response
    ) -> Any:
        """A colleague has it, whoever had it before. Needs conversations.assign."""
        if not to.operator or to.team:
            raise Problem("invalid", "a conversation is assigned to an operator; `transfer` gives it to a team")
        return moved(await hands.assign(by, conversation_id, to.operator, note=to.note, fence=fence), response)

    @routes.post("/conversations/{conversation_id}/return", response_model=Moved)
    async def return_conversation(
        by: By, conversation_id: ConversationId, given: ReturnGiven, fence: IfMatch, response: Response
    ) -> Any:
        """The bot has it again."""
        found = await hands.hand_back(
            by, conversation_id, outcome=given.outcome, flow=given.flow, summary=given.summary, fence=fence
        )
        return moved(found, response)

    @routes.post("/conversations/{conversation_id}/snooze", status_code=204)
    async def snooze_conversation(by: By, conversation_id: ConversationId, given: SnoozeGiven, fence: IfMatch) -> None:
        """It is out of the way until then, or until the customer writes."""
        await talks.snooze(by, conversation_id, given.until, fence=fence)

    @routes.post("/conversations/{conversation_id}/close", status_code=204)
    async def close_conversation(by: By, conversation_id: ConversationId, fence: IfMatch) -> None:
        """It is done with, until the customer writes again."""
        await talks.close(by, conversation_id, fence=fence)

    @routes.post("/conversations/{conversation_id}/reopen", status_code=204)
    async def reopen_conversation(by: By, conversation_id: ConversationId) -> None:
        """It is among the open ones again, snoozed or closed as it was."""
        await talks.reopen(by, conversation_id)

    @routes.post("/presence/renewal", response_model=Many)
    async def renew_hold(by: By) -> Any:
        """A sign of life: what who asks has stays theirs for another lease; how many conversations that is."""
        return {"count": await hands.renew(by)}

    @routes.get("/presence", response_model=Listed[Presence])
    async def list_presence(by: By) -> Any:
        """Everybody who may sign in, whether they are there, and how much they have."""
        return {"items": await hands.colleagues(by)}

    @routes.put("/presence", response_model=Listed[Moved])
    async def set_presence(by: By, given: PresenceGiven) -> Any:
        """Who asks is there, or not; the conversations that moved by it."""
        return {"items": await hands.set_presence(by, given.state)}

    return routes


def _history(page: HistoryPage) -> dict[str, Any]:
    kinds = {HistoryMessage: "message", HistoryNote: "note", HistoryEvent: "event"}
    entries = [{kinds[type(entry)]: entry} for entry in page.entries]
    return {"entries": entries, "older": page.older, "newest": page.newest, "changed": page.changed}
