"""What the open consoles of this process share: one ear for hints, one look at each conversation that changed, one
count of the lists. Each stream only decides what of it its own person may see.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

import structlog

from bot.errors import ServiceError
from bot.ports import TOPIC_DESK
from console.frame import Frame
from desk.actors import Actor
from desk.case_board import CaseBoard
from desk.inbox import InboxDesk, SharedRow
from desk.notes import NoteDesk
from desk.paging import MOST

log = structlog.get_logger(__name__)

PACE_S: Final = 0.4  # between two looks at what changed: a console is told at most that often
SWEEP_S: Final = 4.0
CASES_S: Final = 2.0  # between two looks whether something happened to a case
NOTICES_S: Final = 2.0  # between two looks for notices of those whose console is open
COUNTS_S: Final = 3.0  # between two counts of the lists: they cost more than all rows, and nobody waits for them
OVERLAP: Final = timedelta(seconds=10)  # commits may become visible a little after their time
GONE_S: Final = {"viewing": 20.0, "typing": 8.0}  # after which a colleague who gave no sign does it no longer
REMEMBERED: Final = 2000  # lines, so that a sweep that finds nothing new makes no stream send anything
Key = tuple[int, str, str, bool]  # conversation, list, language, unread


@dataclass(frozen=True, slots=True)
class Found:
    """Lines as one look found them. `written`: as streams have rendered them, each once for all who see the same."""

    at: datetime
    lines: Mapping[int, SharedRow]
    written: dict[Key, str] = field(default_factory=dict)


@dataclass(eq=False)
class Listener:
    """One open stream: what it has to tell, and who else looks at the conversation it has open."""

    actor: Actor
    opened: int | None
    has_board: bool = False  # it shows the board of cases
    fresh: dict[int, Found] = field(default_factory=dict)
    sent: dict[int, SharedRow | None] = field(default_factory=dict)
    is_opened_changed: bool = False
    beside: dict[tuple[str, str], float] = field(default_factory=dict)  # (colleague, what they do) -> until when
    counts: Mapping[str, int] | None = None
    notices: bool = False
    is_board_changed: bool = False
    woken: asyncio.Event = field(default_factory=asyncio.Event)

    def tell(self, row_id: int, found: Found) -> None:
        """The line is news unless this very one was told before."""
        line = found.lines.get(row_id)
        if row_id in self.sent and self.sent[row_id] is line:
            return
        if len(self.sent) >= REMEMBERED:
            self.sent.clear()
        self.sent[row_id] = line
        self.fresh[row_id] = found
        self.woken.set()


class LiveHub:
    """The streams of this process."""

    def __init__(self, frame: Frame, inbox: InboxDesk, board: CaseBoard, notes: NoteDesk) -> None:
        self._frame, self._inbox, self._board, self._notes = frame, inbox, board, notes
        self.listeners: set[Listener] = set()
        self._changed: dict[int, None] = {}
        self._known: dict[int, SharedRow] = {}
        self._something = asyncio.Event()
        self._is_uncounted = asyncio.Event()
        self._is_joined = asyncio.Event()
        self._is_closed = False

    async def run(self) -> None:
        """For ever: hints are heard, and every few seconds what changed without one; what changed is read and told."""
        await asyncio.gather(
            self._hear(), self._sweep(), self._look(), self._count(), self._watch_cases(), self._watch_notices()
        )

    def join(self, listener: Listener) -> None:
        """It is told from now on, and how long its lists are."""
        self.listeners.add(listener)
        self._is_uncounted.set()
        self._is_joined.set()

    def leave(self, listener: Listener) -> None:
        self.listeners.discard(listener)

    def close(self) -> None:
        """Every stream ends; browsers come back to whoever serves next."""
        self._is_closed = True
        for listener in self.listeners:
            listener.woken.set()

    @property
    def is_closed(self) -> bool:
        return self._is_closed

    def hear(self, payload: Mapping[str, Any]) -> None:
        """Everybody has to look at this again."""
        ids = payload.get("conversation_ids") or [payload.get("conversation_id")]
        doing, who = payload.get("kind"), payload.get("user")
        if doing in ("viewing", "typing", "left") and who:
            self._beside(ids[0], str(who), str(doing))
            return
        if doing == "notices":
            for listener in self.listeners:
                if listener.actor.name == who:
                    listener.notices = True
                    listener.woken.set()
        self._changed.update({int(each): None for each in ids if each is not None})
        self._something.set()
        self._is_uncounted.set()

    # --- what is done for all of them -----------------------------------------------------------------------------

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
            now = self._frame.clock.now()
            if self.listeners:
                try:
                    found = await self._inbox.changed_since(since - OVERLAP)
                except ServiceError as error:
                    log.warning("console_sweep_failed", error=type(error).__name__)
                    continue
                self._changed.update(dict.fromkeys(found))
                self._something.set()
            since = now

    async def _look(self) -> None:
        """What changed is read once and handed to every stream."""
        while True:
            await self._something.wait()
            self._something.clear()
            ids = list(self._changed)[:MOST]
            if ids and self.listeners:
                try:
                    found = Found(self._frame.clock.now(), await self._read(ids))
                except ServiceError as error:
                    log.warning("console_look_failed", error=type(error).__name__)
                    self._something.set()
                else:
                    self._hand_out(ids, found)
            else:
                self._forget(ids)
            await asyncio.sleep(PACE_S)

    async def _watch_cases(self) -> None:
        """Open boards look again when something happened to a case, and once more a little later: of two who change
        cases at once, the one with the lower number may be seen after the other.
        """
        known, is_unsure = -1, False
        while True:
            boards = [listener for listener in self.listeners if listener.has_board]
            if boards:
                try:
                    newest = await self._board.newest()
                except ServiceError as error:
                    log.warning("console_cases_not_watched", error=type(error).__name__)
                    newest = known
                for listener in boards if newest != known or is_unsure else ():
                    listener.is_board_changed = True
                    listener.woken.set()
                known, is_unsure = newest, newest != known
            await asyncio.sleep(CASES_S)

    async def _watch_notices(self) -> None:
        """Whoever has a new notice hears of it, whatever wrote it: a colleague, a customer's turn, a site, a promise
        that runs out. One that becomes visible after a later one is found by the next look, which begins further back.
        """
        begins: int | None = None
        newest, told = 0, set[int]()
        while True:
            if not self.listeners:
                begins = None  # whoever comes first reads with the page what there was before
                self._is_joined.clear()
                await self._is_joined.wait()
            try:
                if begins is None:
                    begins = newest = await self._notes.newest()
                found = await self._notes.called(begins)
            except ServiceError as error:
                log.warning("console_notices_not_watched", error=type(error).__name__)
            else:
                for name in {name for row_id, name in found if row_id not in told}:
                    self.hear({"kind": "notices", "user": name})
                told = {row_id for row_id, _ in found}
                begins, newest = newest, max([newest, *told])
            await asyncio.sleep(NOTICES_S)

    async def _read(self, ids: list[int]) -> dict[int, SharedRow]:
        """Lines that are as they were are the very ones of before."""
        self._forget(ids)  # a hint that comes while it is read asks for another look
        try:
            found = await self._inbox.shared(ids)
        except ServiceError:
            self._changed.update(dict.fromkeys(ids))
            raise
        for row_id, line in found.items():
            known = self._known.pop(row_id, None)
            self._known[row_id] = found[row_id] = known if known == line and known is not None else line
        while len(self._known) > REMEMBERED:
            del self._known[next(iter(self._known))]
        return found

    def _forget(self, ids: list[int]) -> None:
        for row_id in ids:
            self._changed.pop(row_id, None)
        if self._changed:
            self._something.set()

    def _hand_out(self, ids: list[int], found: Found) -> None:
        for listener in self.listeners:
            for row_id in ids:
                listener.tell(row_id, found)
                if row_id == listener.opened:
                    listener.is_opened_changed = True
                    listener.woken.set()

    async def _count(self) -> None:
        """The lists of everybody are counted when something changed, at most every few seconds."""
        while True:
            await self._is_uncounted.wait()
            self._is_uncounted.clear()
            listeners = list(self.listeners)
            if listeners:
                try:
                    counts = await self._inbox.shared_counts(listener.actor for listener in listeners)
                except ServiceError as error:
                    log.warning("console_count_failed", error=type(error).__name__)
                    self._is_uncounted.set()
                else:
                    for listener in listeners:
                        listener.counts = counts.get(listener.actor.name)
                        listener.woken.set()
            await asyncio.sleep(COUNTS_S)

    def _beside(self, conversation_id: Any, who: str, doing: str) -> None:
        until = asyncio.get_running_loop().time() + GONE_S.get(doing, 0.0)
        for listener in self.listeners:
            if listener.opened != conversation_id or listener.actor.name == who:
                continue
            if doing == "left":
                listener.beside = {key: end for key, end in listener.beside.items() if key[0] != who}
            else:
                listener.beside[(who, doing)] = until
            listener.woken.set()
