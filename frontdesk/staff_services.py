"""The services of the inbox put together once for whoever shows them (console, API), and their timers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from bot.ports import TOPIC_DESK, TOPIC_OUTBOX, TOPIC_WEB, KnowledgeIndex
from bot.types import Identity
from crm_sync import scheduled_words, snoozing
from crm_sync.database import Database
from crm_sync.timers import Timer
from desk.canned import CannedDesk
from desk.conversations import ConversationDesk
from desk.helping import Alike, HelpDesk, Translator
from desk.inbox import InboxDesk
from desk.notes import NoteDesk
from desk.outside import Outside
from desk.replies import ReplyDesk
from desk.search import SearchDesk
from desk.views import ViewDesk
from frontdesk.runtimes import Runtimes
from frontdesk.scheduler import Context, TimerHandler


@dataclass(frozen=True, slots=True)
class StaffServices:
    """What staff do in the inbox; each service checks what its actor may."""

    inbox: InboxDesk
    talks: ConversationDesk
    replies: ReplyDesk
    notes: NoteDesk
    canned: CannedDesk
    views: ViewDesk
    search: SearchDesk
    help: HelpDesk


def staff_services(
    database: Database, outside: Outside, runtimes: Runtimes, translator: Translator | None = None
) -> StaffServices:
    """All of them over one store."""

    def knowledge(channel: str, account: str) -> KnowledgeIndex:
        return runtimes.runtime_for(Identity(channel, account, "")).knowledge

    def nearest(channel: str, account: str, text: str) -> Sequence[Alike]:
        found = runtimes.nearest(Identity(channel, account, ""), text)
        return [Alike(each.text, each.intent, each.likeness) for each in found]

    return StaffServices(
        inbox=InboxDesk(database, lambda: runtimes.policy().handoff),
        talks=ConversationDesk(database, outside),
        replies=ReplyDesk(database, outside),
        notes=NoteDesk(database, outside),
        canned=CannedDesk(database, outside),
        views=ViewDesk(database, outside.clock),
        search=SearchDesk(database),
        help=HelpDesk(database, knowledge, translator, nearest),
    )


def staff_timers(replies: ReplyDesk) -> Mapping[str, TimerHandler]:
    """What the inbox wants done later: words that leave at their time, conversations that wake."""

    def say(conn: Connection, due: list[Timer], context: Context) -> list[Timer]:
        for conversation_id, written in scheduled_words.hand_over(conn, due, context.now, replies.write):
            if written is not None and written.waits:
                context.hints.append((TOPIC_OUTBOX, {}))
            if written is not None and written.visible:
                seen = {"conversation_id": conversation_id, "events": list(written.visible)}
                context.hints.append((TOPIC_WEB, seen))
            kind = "scheduled_refused" if written is None else "said"
            context.hints.append((TOPIC_DESK, {"conversation_id": conversation_id, "kind": kind}))
        return []

    def wake(conn: Connection, due: list[Timer], context: Context) -> list[Timer]:
        for conversation_id in snoozing.wake_due(conn, due, context.now):
            context.hints.append((TOPIC_DESK, {"conversation_id": conversation_id, "kind": "woken"}))
        return []

    return {scheduled_words.KIND: say, snoozing.WAKE: wake}
