"""What the channel and delivery tests hold in place of the store: the same promises, kept in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from bot.errors import ServiceError, StoreUnavailable
from bot.ports import SendOutcome, Signal
from bot.types import (
    Accepted,
    Capabilities,
    ConversationId,
    InboxId,
    Lane,
    Outbound,
    OutboxId,
    OutPart,
    Receipt,
    Received,
    RenderedReply,
)

START = datetime(2026, 3, 2, 9, 0, tzinfo=UTC)


class SteppedClock:
    """Time passes only when somebody sleeps on it."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        self.sleeps: list[float] = []

    def now(self) -> datetime:
        return START + timedelta(seconds=self.elapsed_s)

    def monotonic(self) -> float:
        return self.elapsed_s

    async def sleep(self, seconds: float) -> None:
        self.sleeps.append(seconds)
        self.elapsed_s += seconds


class MemoryInbox:
    """Commits by key; `failures` are raised first, `refuses` names messages that do not fit."""

    def __init__(self) -> None:
        self.rows: list[Received] = []
        self.failures: list[Exception] = []
        self.refuses: frozenset[str] = frozenset()

    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        if self.failures:
            raise self.failures.pop(0)
        if any(item.message is not None and item.dedupe_key in self.refuses for item in received):
            raise ValueError("does not fit a column")
        accepted = []
        for item in received:
            is_new = item.dedupe_key not in self.keys
            if is_new:
                self.rows.append(item)
            accepted.append(Accepted(InboxId(len(self.rows)), ConversationId(1), None, None, is_new))
        return accepted

    @property
    def keys(self) -> list[str]:
        return [row.dedupe_key for row in self.rows]


class MemoryCursors:
    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get_cursor(self, name: str) -> str:
        return self.values.get(name, "")

    async def set_cursor(self, name: str, value: str) -> None:
        self.values[name] = value


def an_outbound(number: int = 1, *, text: str = "hello", chat: str = "42", lane: Lane = Lane.REPLY) -> Outbound:
    return Outbound(
        outbox_id=OutboxId(number),
        conversation_id=ConversationId(int(chat)),
        channel="telegram",
        account="main",
        chat_id=chat,
        topic="",
        part=OutPart(text),
        lane=lane,
        idempotency_key=f"key-{number}",
        attempt=0,
        fence=0,
    )


class MemoryOutbox:
    """First in, first out per conversation, as bot.ports.Outbox says."""

    def __init__(self, clock: SteppedClock, rows: Sequence[Outbound]) -> None:
        self._clock = clock
        self._waiting = list(rows)
        self._sending: set[OutboxId] = set()
        self._not_before: dict[OutboxId, datetime] = {}
        self.ended: dict[int, SendOutcome] = {}
        self.finish_failures = 0
        self.claims = 0

    async def claim(self, sender: str, limit: int, channels: Sequence[tuple[str, str]] | None = None) -> list[Outbound]:
        self.claims += 1
        handed, busy = [], set[ConversationId]()
        for index, row in enumerate(self._waiting):
            is_head = row.conversation_id not in busy
            busy.add(row.conversation_id)
            due = self._not_before.get(row.outbox_id, START) <= self._clock.now()
            mine = channels is None or (row.channel, row.account) in channels
            if is_head and due and mine and row.outbox_id not in self._sending and len(handed) < limit:
                self._waiting[index] = replace(row, attempt=row.attempt + 1)
                self._sending.add(row.outbox_id)
                handed.append(self._waiting[index])
        return handed

    async def finish(self, outcomes: Sequence[SendOutcome]) -> None:
        if self.finish_failures:
            self.finish_failures -= 1
            raise StoreUnavailable("store", "disk full")
        for outcome in outcomes:
            self._sending.discard(outcome.outbox_id)
            if outcome.state == "retry" and outcome.retry_at is not None:
                self._not_before[outcome.outbox_id] = outcome.retry_at
                continue
            self._waiting = [row for row in self._waiting if row.outbox_id != outcome.outbox_id]
            self.ended.setdefault(outcome.outbox_id, outcome)


class ScriptedAdapter:
    """Sends into a list; `script` holds what the next sends raise (None: they go well)."""

    channel = "telegram"

    def __init__(self, account: str = "main", *, per_chat_per_s: float | None = None) -> None:
        self.account = account
        self.capabilities = Capabilities(
            "telegram", 4096, "utf16", 100, True, True, False, False, per_chat_per_s=per_chat_per_s
        )
        self.script: list[ServiceError | Exception | None] = []
        self.sent: list[Outbound] = []

    def decode(self, body: bytes) -> Sequence[Received]:
        return ()

    def encode(self, reply: RenderedReply) -> tuple[OutPart, ...]:
        return (OutPart(reply.text),)

    async def send(self, outbound: Outbound) -> Receipt:
        error = self.script.pop(0) if self.script else None
        if error is not None:
            raise error
        self.sent.append(outbound)
        return Receipt(f"vendor-{outbound.outbox_id}")

    async def close(self) -> None:
        self.sent.clear()


class MemoryHealth:
    """Implements ChannelHealth: what was said, in order and without repeats; "ok" or why not."""

    def __init__(self) -> None:
        self.receiving: list[tuple[str, str, str]] = []
        self.sending: list[tuple[str, str, str]] = []

    def answered(self, channel: str, account: str, *, receiving: bool = False) -> None:
        self._note((channel, account, "ok"), receiving=receiving)

    def failed(self, channel: str, account: str, reason: str, *, receiving: bool = False) -> None:
        self._note((channel, account, reason), receiving=receiving)

    def received(self, channel: str, account: str) -> None:
        raise NotImplementedError

    def sent(self, channel: str, account: str) -> None:
        raise NotImplementedError

    def carried(self, channel: str, account: str) -> None:
        raise NotImplementedError

    def _note(self, said: tuple[str, str, str], *, receiving: bool) -> None:
        notes = self.receiving if receiving else self.sending
        if notes[-1:] != [said]:
            notes.append(said)


class NoSignals:
    """Every wake-up is lost: what still works does so by sweeping."""

    def publish(self, topic: str, payload: object = None) -> None:
        return None

    def subscribe(self, topic: str) -> NoSignals:
        return self

    def __aiter__(self) -> NoSignals:
        return self

    async def __anext__(self) -> Signal:
        raise StopAsyncIteration

    async def aclose(self) -> None:
        return None
