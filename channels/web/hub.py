"""Fans what becomes visible in a conversation out to its open streams; a lost signal costs at most one sweep.

```
Signals "web" ─▶ room (one per conversation with readers: the last frames, encoded once) ─▶ streams (a cursor each)
store.events_after ─▶ whatever the room's frames do not reach back to, or a signal did not carry
```
A stream holds a cursor and no queue of its own, so a slow reader costs nothing but its place: when the room has moved
on, it reads from the store again.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from time import monotonic, time
from typing import Any, Protocol

import structlog

from bot.errors import BotError
from bot.ports import TOPIC_WEB, Signals
from bot.types import ConversationId, Identity
from channels.web.wire import dump_event

log = structlog.get_logger()

PAGE = 200  # events read from the store at a time
TAIL = 128  # encoded frames kept per conversation for its readers
MAX_STREAMS_PER_USER = 10  # a browser opens at most six connections to one host; this leaves room for a second device
Link = Callable[[str], str]  # media id -> signed address
MAX_HINTS = 8  # typing and read signals kept for a reader that is busy


class WebStore(Protocol):
    """What the web channel needs of the store beside the inbox."""

    async def web_conversation(self, identity: Identity) -> ConversationId:
        """The conversation of this visitor, created when there is none."""
        ...

    async def events_after(self, conversation_id: ConversationId, after: int, limit: int) -> list[dict[str, Any]]:
        """Visible events with a sequence number above `after`, in order, shaped as on the wire."""
        ...

    async def mark_read(self, conversation_id: ConversationId, seq: int) -> None:
        """The customer has seen everything up to `seq`; never goes back."""
        ...


class TooManyStreams(Exception):
    """This visitor has MAX_STREAMS_PER_USER streams open."""


class HubClosed(Exception):
    """The process is going down; the client should connect again."""


class Frame:
    """One event, encoded at most once per format however many streams carry it. `seq` is None for hints."""

    __slots__ = ("_sse", "_text", "data", "kind", "seq")

    def __init__(self, data: bytes, seq: int | None, kind: str = "") -> None:
        self.data, self.seq, self.kind = data, seq, kind
        self._sse: bytes | None = None
        self._text: str | None = None

    @property
    def sse(self) -> bytes:
        if self._sse is None:
            head = b"id: %d\n" % self.seq if self.seq is not None else b"event: %b\n" % self.kind.encode()
            self._sse = head + b"data: %b\n\n" % self.data
        return self._sse

    @property
    def text(self) -> str:
        if self._text is None:
            self._text = self.data.decode()
        return self._text


def message_frame(event: Mapping[str, Any], link: Link | None = None) -> Frame:
    """`link` makes the address of a stored file; it works for a limited time, so it is made when the event leaves."""
    if link is not None and "media" in event:
        event = {**event, "media": [_with_address(file, link) for file in event["media"]]}
    return Frame(dump_event(event), event["seq"])


def _with_address(file: Mapping[str, Any], link: Link) -> dict[str, Any]:
    address = file.get("url") or link(file["media_id"])
    return {**{name: value for name, value in file.items() if name != "media_id"}, "url": address}


def hint_frame(kind: str, **fields: Any) -> Frame:
    return Frame(dump_event({"type": kind, **fields}), None, kind)


class _Room:
    """One conversation with at least one reader. `head` is the last seq known without a gap, None while unknown."""

    __slots__ = ("checked_at", "conversation_id", "head", "is_refreshing", "is_stale", "link", "streams", "tail")

    def __init__(self, conversation_id: ConversationId, link: Link | None) -> None:
        self.conversation_id = conversation_id
        self.link = link
        self.streams: set[Stream] = set()
        self.tail: deque[Frame] = deque(maxlen=TAIL)
        self.head: int | None = None
        self.checked_at = monotonic()
        self.is_stale = False
        self.is_refreshing = False

    def feed(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Take events in order; a gap (or not knowing where we are) only marks the room stale."""
        for event in events:
            if self.head is None or event["seq"] > self.head + 1:
                self.is_stale = True
                return
            if event["seq"] == self.head + 1:
                self._append(message_frame(event, self.link))

    def append(self, frames: Sequence[Frame]) -> None:
        """Take what the store holds after `head`: nothing can be missing between, even if numbers are."""
        for frame in frames:
            if frame.seq is not None and self.head is not None and frame.seq > self.head:
                self._append(frame)

    def _append(self, frame: Frame) -> None:
        self.tail.append(frame)
        self.head = frame.seq

    def wake(self) -> None:
        for stream in self.streams:
            stream.wake()


class Stream:
    """One reader's place in a conversation: ask `next` until it says None, then `close`."""

    def __init__(self, hub: WebHub, room: _Room, user: tuple[str, str], after: int, expires_at: float) -> None:
        self.seq = after
        self.user = user
        self.wrote_at = monotonic()
        self._expires_at = expires_at
        self._hub, self._room = hub, room
        self._first: list[Frame] = []
        self._hints: deque[Frame] = deque(maxlen=MAX_HINTS)
        self._waiter: asyncio.Future[None] | None = None
        self._is_behind = True
        self._needs_beat = False
        self.end_reason = ""

    async def next(self) -> list[Frame] | None:
        """The next frames as soon as there are any; [] when a heartbeat is due; None when the stream is over.

        Raises: StoreUnavailable.
        """
        while not self.end_reason:
            frames = await self._messages()
            if self._hints:
                frames = [*frames, *self._hints]
                self._hints.clear()
            if frames or self._needs_beat:
                self._needs_beat = False
                self.wrote_at = monotonic()
                return frames
            self._waiter = asyncio.get_running_loop().create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return None

    async def _messages(self) -> list[Frame]:
        if self._first:
            frames, self._first = self._first, []
        elif self._is_behind:
            frames = await self._read()
        else:
            frames = self._from_tail()
            if not frames and self._is_behind:
                frames = await self._read()
        if frames and frames[-1].seq is not None:
            self.seq = frames[-1].seq
        return frames

    def _from_tail(self) -> list[Frame]:
        room = self._room
        if room.head is None or self.seq >= room.head:
            return []
        frames: list[Frame] = []
        for frame in reversed(room.tail):
            if frame.seq is None or frame.seq <= self.seq:
                break
            frames.append(frame)
        else:  # the tail does not reach back to our place
            if not frames or frames[-1].seq != self.seq + 1:
                self._is_behind = True
                return []
        frames.reverse()
        return frames

    async def _read(self) -> list[Frame]:
        frames = [message_frame(event, self._room.link) for event in await self._hub.read(self._room, self.seq)]
        self._is_behind = len(frames) == PAGE
        if not self._is_behind:
            self._hub.caught_up(self._room, frames[-1].seq or 0 if frames else self.seq)
        return frames

    async def open(self) -> None:
        """Find the place of `after` in the store.

        A client that knows more than the store does (restored from a backup, person erased) is told to start over.
        """
        after = self.seq
        events = await self._hub.read(self._room, max(after - 1, 0))
        if after and not events:
            self.seq = 0
            self._first = [hint_frame("reset")]
            return  # behind: the first read starts from the beginning
        self._first = [message_frame(event, self._room.link) for event in events if event["seq"] > after]
        self._is_behind = len(events) == PAGE
        if not self._is_behind:
            self._hub.caught_up(self._room, self._first[-1].seq or 0 if self._first else after)

    def hint(self, frame: Frame) -> None:
        self._hints.append(frame)
        self.wake()

    def tick(self, now_s: float, wall_s: float, heartbeat_s: float) -> None:
        if wall_s >= self._expires_at:
            self.end("expired")
        elif now_s - self.wrote_at >= heartbeat_s:
            self._needs_beat = True
            self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def end(self, reason: str) -> None:
        """Make `next` say None: expired, shutdown or gone."""
        self.end_reason = self.end_reason or reason
        self.wake()

    def close(self) -> None:
        self.end("gone")
        self._hub.leave(self._room, self)


class WebHub:
    """All open streams of this process, served while `run` runs.

    Call `close` before the server waits for its connections to end: it is what ends them.
    """

    def __init__(
        self,
        store: WebStore,
        signals: Signals,
        *,
        link: Link | None = None,
        sweep_s: float = 4.0,
        heartbeat_s: float = 15.0,
        tick_s: float = 1.0,
    ) -> None:
        self._store, self._signals, self._link = store, signals, link
        self._sweep_s, self._heartbeat_s, self._tick_s = sweep_s, heartbeat_s, tick_s
        self._rooms: dict[ConversationId, _Room] = {}
        self._users: dict[tuple[str, str], set[Stream]] = {}
        self._refills: set[asyncio.Task[None]] = set()
        self._is_closed = False

    @property
    def open_streams(self) -> int:
        return sum(len(room.streams) for room in self._rooms.values())

    async def run(self) -> None:
        """Serves until cancelled or closed. May be run again after a crash; open streams stay."""
        subscription = self._signals.subscribe(TOPIC_WEB)
        ticking = asyncio.get_running_loop().create_task(self._tick())
        try:
            async for signal in subscription:
                self._take(signal.payload)
        finally:
            ticking.cancel()
            await subscription.aclose()

    async def close(self) -> None:
        """Every stream has been told to end and new ones are refused. Closing twice is fine."""
        self._is_closed = True
        for room in self._rooms.values():
            for stream in room.streams:
                stream.end("shutdown")
        refills = list(self._refills)
        for task in refills:
            task.cancel()
        await asyncio.gather(*refills, return_exceptions=True)

    async def open(
        self, conversation_id: ConversationId, user: tuple[str, str], after: int, expires_at: float
    ) -> Stream:
        """A stream placed behind `after`, to be closed by the caller. `user` is (account, user id).

        Raises: HubClosed, TooManyStreams, StoreUnavailable.
        """
        if self._is_closed:
            raise HubClosed
        of_user = self._users.setdefault(user, set())
        if len(of_user) >= MAX_STREAMS_PER_USER:
            raise TooManyStreams
        room = self._rooms.get(conversation_id)
        if room is None:
            room = self._rooms[conversation_id] = _Room(conversation_id, self._link)
        stream = Stream(self, room, user, after, expires_at)
        # Joined before the first read: what becomes visible in between marks the room stale and is read again.
        room.streams.add(stream)
        of_user.add(stream)
        try:
            await stream.open()
        except BaseException:
            stream.close()
            raise
        return stream

    def leave(self, room: _Room, stream: Stream) -> None:
        room.streams.discard(stream)
        if not room.streams:
            self._rooms.pop(room.conversation_id, None)
        of_user = self._users.get(stream.user)
        if of_user is not None:
            of_user.discard(stream)
            if not of_user:
                del self._users[stream.user]

    async def read(self, room: _Room, after: int) -> list[dict[str, Any]]:
        return await self._store.events_after(room.conversation_id, after, PAGE)

    def caught_up(self, room: _Room, seq: int) -> None:
        """A stream read the store to its end at `seq`."""
        if room.head is None:
            room.head = seq
        elif seq > room.head:
            room.is_stale = True  # a signal was lost on the way to this process
        if room.is_stale:
            self._refresh(room)

    def _take(self, payload: Mapping[str, Any]) -> None:
        room = self._rooms.get(payload.get("conversation_id", 0))
        if room is None:
            return
        kind = payload.get("type")
        if kind in ("typing", "read"):
            if kind == "typing" and payload.get("author") == "customer":
                return  # for staff; the customer knows
            fields = {"author": "bot", **{key: payload[key] for key in ("author", "name", "seq") if key in payload}}
            frame = hint_frame(kind, **fields)
            for stream in room.streams:
                stream.hint(frame)
            return
        events = payload.get("events")
        if events and not room.is_stale:
            room.feed(events)
        else:
            room.is_stale = True
        if room.is_stale:
            self._refresh(room)
        else:
            room.wake()

    def _refresh(self, room: _Room) -> None:
        if room.head is None or room.is_refreshing or self._is_closed:
            return  # without a head, the first stream to catch up starts the refresh
        room.is_refreshing = True
        task = asyncio.get_running_loop().create_task(self._refill(room))
        self._refills.add(task)
        task.add_done_callback(self._refills.discard)

    async def _refill(self, room: _Room) -> None:
        """Read on from `head` until the store has no more; a failing store is asked again at the next sweep."""
        try:
            while room.is_stale and room.head is not None:
                room.is_stale = False
                room.checked_at = monotonic()
                try:
                    events = await self.read(room, room.head)
                except BotError as error:
                    room.is_stale = True
                    log.warning("web_events_not_read", conversation_id=room.conversation_id, error=type(error).__name__)
                    return
                room.append([message_frame(event, self._link) for event in events])
                room.is_stale = room.is_stale or len(events) == PAGE
                if events:
                    room.wake()
        finally:
            room.is_refreshing = False

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(self._tick_s)
            now_s, wall_s = monotonic(), time()
            for room in list(self._rooms.values()):
                if now_s - room.checked_at >= self._sweep_s:
                    room.is_stale = True
                    self._refresh(room)
                for stream in list(room.streams):
                    stream.tick(now_s, wall_s, self._heartbeat_s)
