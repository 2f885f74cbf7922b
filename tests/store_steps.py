"""Steps that store tests share: say something, claim it, answer it, send the answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

from bot.ports import Claimed, OutMessage, SendOutcome, TurnResult, TurnsCommit
from bot.types import (
    Content,
    Effect,
    Identity,
    InboundMessage,
    Lane,
    OutPart,
    Received,
    ScoredIntent,
    Text,
    Understanding,
)
from crm_sync.store import SqlStore
from desk.sealing import AUDIT, purpose_keys

SECRET_KEYS = (b"a secret key for tests", b"the one that was used before it")
AUDIT_KEYS = purpose_keys(SECRET_KEYS, AUDIT)
START = datetime(2026, 11, 22, 9, 0, 0, tzinfo=UTC)
_numbers = count(1)


class SetClock:
    """A clock that moves only when told to."""

    def __init__(self, at: datetime = START) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    def advance(self, **length: float) -> None:
        self.at += timedelta(**length)


def said(
    content: Content | str = "hello",
    *,
    user: str = "ann",
    channel: str = "web",
    key: str = "",
    account: str = "default",
    **fields: Any,
) -> Received:
    """What a channel hands over when `user` says something."""
    content = Text(content) if isinstance(content, str) else content
    key = key or f"k{next(_numbers)}"
    message = InboundMessage(
        sender=Identity(channel, account, user),
        chat_id=fields.pop("chat_id", user),
        dedupe_key=key,
        content=content,
        sent_at=fields.pop("sent_at", START),
        **fields,
    )
    return Received(channel, account, key, b"raw:" + key.encode("utf-8", "surrogatepass"), message)


def understood(text: str = "hello", intent: str = "greet") -> Understanding:
    return Understanding(text, "en", True, (ScoredIntent(intent, 0.9),), (), "embedded", "m1", 0.5)


def out(*texts: str, lane: Lane = Lane.REPLY) -> OutMessage:
    return OutMessage(tuple(OutPart(text) for text in texts), "en", lane, "greeting")


def decided(
    claimed: Claimed,
    *replies: str,
    effects: Sequence[Effect] = (),
    state: Mapping[str, Any] | None = None,
    direct: bool | None = None,
    lane: Lane = Lane.REPLY,
) -> TurnsCommit:
    """One turn for each claimed message; the effects and replies belong to the first of them."""
    turns = [
        TurnResult(
            inbox_id=message.inbox_id,
            understanding=understood(),
            effects=tuple(effects) if place == 0 else (),
            out=(out(*replies, lane=lane),) if replies and place == 0 else (),
            state=state or {"turns": place + 1},
            language="en",
            duration_ms=1.0,
        )
        for place, message in enumerate(claimed.messages)
    ]
    return TurnsCommit(
        claimed, tuple(turns), claimed.conversation.identity.channel == "web" if direct is None else direct
    )


async def take_turn(store: SqlStore, *replies: str, **decision: Any) -> Claimed:
    """The one waiting conversation is claimed and answered."""
    (claimed,) = await store.claim("worker", 10)
    (committed,) = await store.commit([decided(claimed, *replies, **decision)])
    assert committed.ok, committed.reason
    return claimed


async def converse(
    store: SqlStore, text: str, *replies: str, user: str = "ann", channel: str = "web", **more: Any
) -> Claimed:
    """The user says something and the bot answers."""
    await store.accept([said(text, user=user, channel=channel)])
    return await take_turn(store, *replies, **more)


async def send_all(store: SqlStore) -> list[str]:
    """Everything due is sent, one claim after the other; the texts in the order they left."""
    left: list[str] = []
    while outbound := await store.outbox.claim("sender", 10):
        await store.outbox.finish(
            [SendOutcome(item.outbox_id, "sent", vendor_message_id=f"v{item.outbox_id}") for item in outbound]
        )
        left += [item.part.text for item in outbound]
    return left


async def replies_waiting(
    store: SqlStore, chats: Sequence[int], each: int, *, channel: str = "telegram", account: str = "main"
) -> dict[str, list[str]]:
    """Each of these chats has so many replies that only wait to be sent; chat -> their texts, in order."""
    expected: dict[str, list[str]] = {str(chat): [] for chat in chats}
    for number in range(each):
        await store.accept([said("hi", user=str(chat), channel=channel, account=account) for chat in chats])
        commits = []
        for claimed in await store.claim("worker", len(chats)):
            texts = expected[claimed.conversation.chat_id]
            texts.append(f"{number} for {claimed.conversation.chat_id}")
            commits.append(decided(claimed, texts[-1], direct=False))
        assert len(commits) == len(chats)
        assert all(committed.ok for committed in await store.commit(commits))
    return expected
