"""Messages the bot did not understand, with what it made of them; staff say what they meant, and that can be learnt."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Literal

from sqlalchemy import Connection

from bot.errors import InputError, NotFound
from bot.ports import Clock
from crm_sync import unclear
from crm_sync.database import Database
from crm_sync.exports import guarded
from crm_sync.unclear import UnclearMessage, Wanted
from desk.actors import Actor
from desk.library import AssistantLibrary
from desk.paging import PAGE, Page, page_of, read_cursor
from desk.placeholders import Placeholders

Kind = Literal["unclear", "unsure", "corrected", "handed_over", "unhelpful"]
KINDS: Final[tuple[Kind, ...]] = ("unclear", "unsure", "corrected", "handed_over", "unhelpful")
NOT_WORTH_LEARNING: Final = ""
# Reasons of handoffs (bot/service/handoff.py) that say the bot did not understand, or its article did not help.
UNCLEAR_REASONS: Final = ("unclear_twice", "flow_failed")
UNHELPFUL_REASONS: Final = ("article_unhelpful",)
_CHUNK: Final = 1000
MOST_COUNTED: Final = 1000  # a screen says "1000 and more"


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """What waits for a label, by kind (up to MOST_COUNTED), and what was labelled, by intent."""

    waiting: dict[Kind, int]
    labelled: dict[str, int]


class UnderstandingDesk:
    """What staff do with what was not understood. `library` knows which meanings an assistant has."""

    def __init__(self, database: Database, library: AssistantLibrary, clock: Clock) -> None:
        self._database, self._library, self._clock = database, library, clock

    async def messages(
        self,
        actor: Actor,
        assistant: str,
        kind: Kind = "unclear",
        *,
        days: int = 30,
        labelled: bool | None = False,
        after: str = "",
        limit: int = PAGE,
    ) -> Page[UnclearMessage]:
        """A page, the newest first. `labelled`: None for both.

        Raises: NotPermitted, NotFound, InputError for a kind there is none of.
        """
        actor.require("understanding.read")
        wanted = self._wanted(assistant, kind, days)
        place = read_cursor(after, int)
        before = place[0] if place else None
        rows = await self._database.run(
            lambda conn: unclear.page(conn, wanted, before=before, limit=limit + 1, labelled=labelled), read=True
        )
        return page_of(rows, limit, lambda row: (row.inbox_id,))

    async def counts(self, actor: Actor, assistant: str, *, days: int = 30) -> LabelCounts:
        """Raises: NotPermitted, NotFound."""
        actor.require("understanding.read")
        kinds = {kind: self._wanted(assistant, kind, days) for kind in KINDS}

        def unit(conn: Connection) -> LabelCounts:
            waiting = {kind: unclear.count(conn, wanted, MOST_COUNTED) for kind, wanted in kinds.items()}
            return LabelCounts(waiting, unclear.label_counts(conn))

        return await self._database.run(unit, read=True)

    async def label(self, actor: Actor, assistant: str, inbox_id: int, intent: str) -> None:
        """The message means this (NOT_WORTH_LEARNING: nothing to learn from); an earlier label is replaced.

        Raises: NotPermitted, NotFound, InputError for a meaning the assistant does not have.
        """
        actor.require("understanding.label")
        known: Collection[str] = self._library.assistant(assistant).intents
        if intent != NOT_WORTH_LEARNING and intent not in known:
            raise InputError(f"the assistant has no intent {intent!r}")
        now = self._clock.now()
        if not await self._database.run(lambda conn: unclear.put_label(conn, inbox_id, intent, actor.name, now)):
            raise NotFound("there is no such message")

    async def unlabel(self, actor: Actor, inbox_id: int) -> None:
        """Nobody has said what it means. Raises: NotPermitted, NotFound when nobody had."""
        actor.require("understanding.label")
        if not await self._database.run(lambda conn: unclear.take_label(conn, inbox_id)):
            raise NotFound("this message has no label")

    async def examples(self, actor: Actor) -> str:
        """Labelled messages as training examples: CSV with `text` and `intent`, each once, without personal data.

        Raises: NotPermitted.
        """
        actor.require("understanding.read")
        out = io.StringIO(newline="")
        writer = csv.writer(out)
        writer.writerow(("text", "intent"))
        for text, intent in await self._database.run(learnt_examples, read=True):
            writer.writerow((guarded(text), intent))
        return out.getvalue()

    def _wanted(self, assistant: str, kind: Kind, days: int) -> Wanted:
        since = self._clock.now() - timedelta(days=days)
        match kind:
            case "unclear":
                return unclear.unclear(since)
            case "unsure":
                return unclear.unsure(since, self._library.assistant(assistant).tuning.sure)
            case "corrected":
                return unclear.corrected(since)
            case "handed_over":
                return unclear.handed_over(since, UNCLEAR_REASONS)
            case "unhelpful":
                return unclear.handed_over(since, UNHELPFUL_REASONS)
        raise InputError(f"there is no kind {kind!r}; there are {', '.join(KINDS)}")


def learnt_examples(conn: Connection) -> list[tuple[str, str]]:
    """(words, intent) of labelled messages worth learning from, each once, without personal data, the oldest first."""
    found: dict[tuple[str, str], None] = {}
    after = 0
    while rows := unclear.labelled_examples(conn, after, _CHUNK):
        for _, words, intent, personal in rows:
            found[" ".join(Placeholders(personal=personal)(words).split()), intent] = None
        after = rows[-1][0]
    return list(found)
