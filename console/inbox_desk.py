"""What the inbox works with, and what the templates of an open conversation need."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from console.frame import Visit
from console.inbox_filter import filter_of
from console.inbox_view import channel_name, row_name
from console.talk_view import acts_of, countdown, holder_of, local_time, waits_tone
from desk.actors import Actor
from desk.canned import CannedDesk
from desk.cases import CaseDesk
from desk.conversations import ConversationDesk, ConversationView
from desk.customer_records import CustomerRecords
from desk.handoff import HandoffDesk
from desk.helping import HelpDesk
from desk.inbox import InboxDesk
from desk.notes import NoteDesk
from desk.replies import ReplyDesk
from desk.search import SearchDesk
from desk.tasks import TaskDesk
from desk.views import ViewDesk


@dataclass(frozen=True, slots=True)
class InboxServices:
    """What the inbox works with. `teams` and `flows` give names with their titles in a language."""

    inbox: InboxDesk
    conversations: ConversationDesk
    replies: ReplyDesk
    notes: NoteDesk
    canned: CannedDesk
    views: ViewDesk
    search: SearchDesk
    help: HelpDesk
    handoff: HandoffDesk
    records: CustomerRecords
    cases: CaseDesk
    tasks: TaskDesk
    teams: Callable[[str], Sequence[tuple[str, str]]]
    flows: Callable[[str], Sequence[tuple[str, str]]]
    make_test: Callable[[Actor, int], Awaitable[str]]  # from a conversation; its name
    unclear: Callable[[Actor], Awaitable[int]] | None = None  # messages that could be labelled


async def talk_names(visit: Visit, services: InboxServices, view: ConversationView) -> dict[str, Any]:
    """What the templates of a conversation's head and composer need."""
    row, look = view.row, visit.look
    suggestion = None
    if row.owner != "bot" and row.last_author == "customer" and visit.actor.may("conversations.reply"):
        suggestion = await services.help.suggest(visit.actor, row.id)
    colleagues = await services.handoff.colleagues(visit.actor)
    return {
        "chosen": filter_of(visit),
        "view": view,
        "name": row_name(row, look),
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
