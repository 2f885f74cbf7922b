"""Protocols the core needs from the outside. Adapters implement them; nothing here does any work."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import field
from datetime import datetime, timedelta
from typing import Any, Protocol

from bot.frozen import value
from bot.types import (
    Accepted,
    ArticleHit,
    Conversation,
    ConversationId,
    CustomerId,
    Effect,
    Identity,
    InboundMessage,
    InboxId,
    Lane,
    Language,
    Media,
    Need,
    Outbound,
    OutboxId,
    OutPart,
    Received,
    RenderedReply,
    Understanding,
)


class Clock(Protocol):
    def now(self) -> datetime:
        """Aware, UTC."""
        ...


# --- understanding ----------------------------------------------------------------------------------------------


class NluEngine(Protocol):
    name: str

    async def parse(self, text: str, *, now: datetime, timezone: str) -> Understanding:
        """Never raises for any text. Raises ServiceUnavailable when a remote engine cannot answer in time."""
        ...

    async def is_ready(self) -> bool: ...


class BatchEngine(NluEngine, Protocol):
    """An engine that reads many texts for less than one after the other costs."""

    async def parse_many(self, texts: Sequence[str], *, now: datetime, timezones: Sequence[str]) -> list[Understanding]:
        """`parse` for each text with its timezone."""
        ...


class KnowledgeIndex(Protocol):
    def ask(self, text: str, *, language: Language, top: int = 3) -> tuple[ArticleHit, ...]:
        """Best first; empty when nothing matches at all. Synchronous: below 1 ms of CPU, unless it `is_slow`."""
        ...


class BatchIndex(KnowledgeIndex, Protocol):
    """An index that answers many questions for less than one after the other costs."""

    def ask_many(self, questions: Sequence[tuple[str, Language]], *, top: int = 3) -> list[tuple[ArticleHit, ...]]:
        """`ask` for each question in its language."""
        ...


# --- store: inbox and turns -------------------------------------------------------------------------------------


class Inbox(Protocol):
    async def accept(self, received: Sequence[Received]) -> list[Accepted]:
        """All rows are committed when this returns, in the order given; a redelivery is a no-op.

        Raises: StoreUnavailable (nothing of this call was committed), DedupeMismatch (web only: same client id,
        other content; nothing of this call was committed).
        """
        ...


@value
class ClaimedMessage:
    inbox_id: InboxId
    message: InboundMessage
    accepted_at: datetime


@value
class Claimed:
    """A conversation leased to this worker, with its unhandled messages in order of acceptance (at most 10)."""

    conversation: Conversation
    messages: tuple[ClaimedMessage, ...]
    lease: str  # opaque token that release and commit check


@value
class OutMessage:
    """One reply, rendered and cut into parts; each part becomes one message row and one outbox row."""

    parts: tuple[OutPart, ...]
    language: Language
    lane: Lane = Lane.REPLY
    template: str = ""
    is_vital: bool = False  # a handoff or a complaint's status: may use the last reply of a window


@value
class TurnResult:
    """Everything one turn decided, ready to be committed."""

    inbox_id: InboxId
    understanding: Understanding | None  # None: nothing to understand (events, edits)
    effects: tuple[Effect, ...]
    out: tuple[OutMessage, ...]
    state: Mapping[str, Any]
    language: Language
    duration_ms: float


@value
class TurnsCommit:
    """The turns of one claimed conversation, in order, to be committed in one transaction.

    The store checks lease, version and (for replies) the fence. It writes: inbox rows done, turns, conversation state
    and version+1 per turn, messages, effects, timeline, outbox rows. `direct` channels' outbox rows are born `sent`
    with the web sequence number given in the same transaction.
    """

    claimed: Claimed
    turns: tuple[TurnResult, ...]
    direct: bool


@value
class Committed:
    """`ok` False: lease lost or version changed, nothing written; the messages will be claimed again.

    `visible`: web events made visible by this commit (already shaped as on the wire), in sequence order.
    """

    conversation_id: ConversationId
    ok: bool
    has_more: bool = False  # unhandled messages remain
    out: int = 0  # outbox rows waiting for a sender
    visible: tuple[Mapping[str, Any], ...] = ()
    reason: str = ""
    desk: str = ""  # what staff see of it: queued, left (the queue), said (to queue or operator); "": not theirs


class TurnStore(Protocol):
    async def claim(self, worker: str, limit: int) -> list[Claimed]:
        """Lease up to `limit` conversations with unhandled messages, longest waiting first. Lease: 10 s."""
        ...

    async def renew(self, leases: Sequence[Claimed]) -> None:
        """Extend the leases by 10 s; silently skips lost ones (commit will notice)."""
        ...

    async def release(self, claimed: Claimed, *, retry_at: datetime | None = None) -> None:
        """Give the conversation back undone; not claimed again before `retry_at`."""
        ...

    async def park(self, claimed: Claimed, inbox_id: InboxId, reason: str) -> None:
        """Set one message aside that cannot be handled (kept, shown to staff), and release the conversation."""
        ...

    async def fetch(self, needs: Sequence[Need], customer_id: CustomerId) -> dict[Need, Any]:
        """Answers to needs of every kind but `articles`, as `bot.types.Need` says; a missing row is None."""
        ...

    async def commit(self, commits: Sequence[TurnsCommit]) -> list[Committed]:
        """One transaction for all; each conversation succeeds or is left untouched by itself."""
        ...


# --- store: outbox ----------------------------------------------------------------------------------------------


@value
class SendOutcome:
    """How a send ended. states: sent, failed, parked, retry (not sent, try again at `retry_at`), uncertain (its answer
    was lost: the outbox's uncertain policy decides whether it is repeated, not before `retry_at`), held (not sent: no
    reply window is open; it leaves when the customer writes again).

    `unreachable`: also mark the recipient's identity unreachable (blocked us).
    """

    outbox_id: OutboxId
    state: str
    vendor_message_id: str = ""
    retry_at: datetime | None = None
    reason: str = ""
    unreachable: bool = False
    moved_to: str = ""  # the chat's new id, as in Receipt


class Outbox(Protocol):
    async def claim(self, sender: str, limit: int, channels: Sequence[tuple[str, str]] | None = None) -> list[Outbound]:
        """Mark due heads (first unfinished row of each conversation) `sending` and hand them out.

        In the same transaction: the owner's fence is checked (a bot reply decided before an operator took over becomes
        `dropped`), and rows left `sending` by a dead sender (lease over) follow the uncertain policy: with an
        idempotency key they are handed out again with the same key; a reply without one is handed out once more,
        marked `maybe_repeated`; a broadcast becomes `uncertain` for good. Order: lane (operator, reply, service,
        broadcast), then age.
        """
        ...

    async def finish(self, outcomes: Sequence[SendOutcome]) -> None:
        """Store how the sends ended. Idempotent: a row already in an end state is left alone."""
        ...


@value
class ComposedReply:
    """What a webhook carries back itself, and which outbox rows that is. `body` is stored for redeliveries."""

    body: bytes
    carries: tuple[OutboxId, ...] = ()


class PassiveReplies(Protocol):
    """Replies that leave inside the vendor's own request, on channels with `Capabilities.passive_s`."""

    async def ended(self, inbox_ids: Sequence[InboxId]) -> set[InboxId]:
        """Those whose turn is over: what answers them, if anything, is in the outbox."""
        ...

    async def take(
        self, inbox_id: InboxId, compose: Callable[[Sequence[Outbound]], ComposedReply | None]
    ) -> ComposedReply | None:
        """What to carry back now. The rows it carries are `sending`, to be finished as `sent` once it is flushed; those
        that `compose` left behind are due for the sender. A redelivery gets the stored body (and carries what its first
        delivery never finished); an empty body means that nothing is to be said. None: not yet, the turn is not over or
        earlier rows of the conversation are under way.

        `compose` is pure and gets the rows in order, held ones of before first.
        """
        ...

    async def put_back(self, inbox_id: InboxId) -> None:
        """What was taken for this message did not leave, and that is certain: it counts as never tried. A delivery that
        comes soon takes it anew; after that it is due for the sender. What was finished meanwhile stays so.
        """
        ...


@value
class WindowState:
    """What may still be said freely to one recipient: `left` replies until `closes_at` (None: nothing is open)."""

    left: int
    closes_at: datetime | None


class ChannelHealth(Protocol):
    """Where channels say whether their accounts work. Cheap, never blocks, never raises."""

    def received(self, channel: str, account: str) -> None:
        """A new message was accepted."""
        ...

    def sent(self, channel: str, account: str) -> None:
        """The vendor took a message."""
        ...

    def carried(self, channel: str, account: str) -> None:
        """A reply left inside the vendor's own request, which proves nothing about our credentials there."""
        ...

    def answered(self, channel: str, account: str, *, receiving: bool = False) -> None:
        """The vendor answered, if only to refuse one recipient or message: the account itself works.

        `receiving`: to somebody who fetches messages there. Each side ends only failures of its own.
        """
        ...

    def failed(self, channel: str, account: str, reason: str, *, receiving: bool = False) -> None:
        """The account cannot send (or receive) now, e.g. its credentials are refused or the vendor is away."""
        ...


class QuotaLedger(Protocol):
    """Counts replies against the windows that customers' messages opened; shared by all processes."""

    async def take(self, outbound: Outbound, *, reserve: int = 0) -> bool:
        """One reply to this recipient is counted; False, and nothing counted, when fewer than `reserve` + 1 are left.

        Taken from the open window that closes first. Idempotent for the same outbox row and attempt.
        """
        ...

    async def give_back(self, outbound: Outbound) -> None:
        """The vendor refused before counting: the reply taken for this row is not counted after all."""
        ...

    async def spent(self, outbound: Outbound) -> None:
        """The vendor says that nothing is left (45047, 45015): the recipient's windows are used up."""
        ...

    async def state(self, conversation_id: ConversationId) -> WindowState: ...


# --- files ------------------------------------------------------------------------------------------------------


@value
class StoredFile:
    """A file in the media store: what its content is (found by looking at it, never by its name) and how big."""

    media_id: str
    mime: str
    size: int  # bytes
    file_name: str = ""
    kind: str = "document"  # of OutMedia: image, audio, video, document
    sha256: str = ""  # of the stored bytes, hexadecimal


class MediaStore(Protocol):
    """Where the bytes of files are: a local folder, or an S3-compatible service. Keys are opaque: [A-Za-z0-9_-]{32}."""

    async def put(self, key: str, content: bytes, *, mime: str) -> None:
        """The content is durable under `key`, all of it or nothing. Raises: ServiceUnavailable, Misconfigured."""
        ...

    async def get(self, key: str, *, start: int = 0, length: int | None = None) -> bytes:
        """The bytes from `start` (which lies inside the file) on, at most `length` (1 or more).

        Raises: NotFound, ServiceUnavailable, Misconfigured.
        """
        ...

    async def delete(self, key: str) -> None:
        """It is gone; also when it never was there. Raises: ServiceUnavailable, Misconfigured."""
        ...

    async def check(self) -> str:
        """Files can be kept here: where that is, and the room left if known. Raises: ServiceError."""
        ...

    async def close(self) -> None: ...


class MediaLibrary(Protocol):
    """Files with their rows in the store: what channels and flows see of the media store."""

    async def add(
        self,
        content: bytes,
        *,
        file_name: str = "",
        conversation_id: ConversationId | None = None,
        is_upload: bool = False,
    ) -> StoredFile:
        """Checked (kind by content, size, virus hook), images re-encoded without metadata, stored.

        `is_upload`: a customer sent it ahead of the message that will name it as `Media(file_id=media_id, …)`, whose
        acceptance makes it part of that message; without one it goes after a day.
        Raises: FileRefused (an InputError) for a file that is not taken, ServiceUnavailable, StoreUnavailable.
        """
        ...

    async def find(self, media_id: str) -> StoredFile:
        """What is known about a stored file. Raises: NotFound."""
        ...

    async def read(self, media_id: str) -> tuple[StoredFile, bytes]:
        """Raises: NotFound, ServiceUnavailable."""
        ...

    def link(self, media_id: str) -> str:
        """A signed address that works for a limited time: below FRONTDESK_PUBLIC_URL, or a path when that is unset."""
        ...


class SpeechToText(Protocol):
    """Turns a voice message into words. None is built in: a deployment that has one names it by setting."""

    async def transcribe(self, content: bytes, *, mime: str, language: Language) -> str:
        """The words; empty when nothing could be understood. Raises: ServiceUnavailable."""
        ...


class Transcriber(Protocol):
    """What the engine asks before a turn on a voice message without words."""

    async def words_of(self, sender: Identity, voice: Media, *, language: Language) -> str:
        """What was said; empty when that cannot be told within the time allowed. Never raises."""
        ...


class CursorStore(Protocol):
    """Durable positions of pull channels (Telegram offset, 微信客服 cursor)."""

    async def get_cursor(self, name: str) -> str: ...

    async def set_cursor(self, name: str, value: str) -> None: ...


@value
class VendorToken:
    """An access token a vendor gave us for one account."""

    token: str = field(repr=False)
    fetched_at: datetime
    expires_at: datetime


class VendorTokens(Protocol):
    """Access tokens shared by all processes. `name` is the account's, e.g. wechat:main."""

    async def get_token(self, name: str) -> VendorToken | None:
        """The newest one, which may be over. Raises: StoreUnavailable."""
        ...

    async def lease_token(self, name: str, owner: str, lasts: timedelta) -> bool:
        """`owner` may fetch a new one now; False while somebody else may. Raises: StoreUnavailable."""
        ...

    async def put_token(self, name: str, owner: str, token: VendorToken) -> None:
        """It is the newest one for everybody and `owner`'s lease is over; a no-op when that lease was lost.

        Raises: StoreUnavailable.
        """
        ...

    async def release_token(self, name: str, owner: str) -> None:
        """`owner` fetched nothing and somebody else may. Raises: StoreUnavailable."""
        ...


# --- channels ---------------------------------------------------------------------------------------------------


class Encoder(Protocol):
    def encode(self, channel: str, reply: RenderedReply) -> tuple[OutPart, ...]:
        """Cut and degrade a reply to what the channel can carry, losing nothing. Pure."""
        ...

    def is_direct(self, channel: str) -> bool: ...


# --- waking each other ------------------------------------------------------------------------------------------

TOPIC_INBOX = "inbox"  # a conversation has unhandled messages
TOPIC_OUTBOX = "outbox"  # something waits to be sent
TOPIC_FILES = "files"  # a customer's file waits to be fetched from its vendor
TOPIC_WEB = "web"  # a web conversation has something new to show: payload {"conversation_id", "events"?: [...]}


TOPIC_TIMERS = "timers"  # something is due now
TOPIC_BROADCASTS = "broadcasts"  # one was begun, goes on, or has recipients to be sent to
# Something that staff look at has changed: payload {"conversation_id", "kind"}, {"case": number} or {"user": name}.
TOPIC_DESK = "desk"
TOPIC_TYPING = "typing"  # an answer is being thought of: payload {"channel", "account", "chat_id", "topic"}


@value
class Signal:
    topic: str
    payload: Mapping[str, Any] = field(default_factory=dict)


class Subscription(Protocol):
    """Signals of one topic from the moment of subscribing; nothing sent after `subscribe` returned is missed."""

    def __aiter__(self) -> AsyncIterator[Signal]: ...

    async def __anext__(self) -> Signal: ...

    async def aclose(self) -> None: ...


class Signals(Protocol):
    """Hints between roles: may be lost, doubled or late; every listener also sweeps (≤ 5 s)."""

    def publish(self, topic: str, payload: Mapping[str, Any] | None = None) -> None:
        """Never blocks, never raises."""
        ...

    def subscribe(self, topic: str) -> Subscription:
        """Signals from now on. Close the subscription to stop."""
        ...


class RateTokens(Protocol):
    """Shared pacing: at most `per_s` tokens a second (and `burst` at once) for a key, over all processes."""

    async def take(self, key: str, *, per_s: float, burst: int = 1, owed: int = 0) -> float:
        """0.0 when a token was taken, else seconds to wait before asking again. Raises ServiceUnavailable.

        `owed` tokens more are gone in any case, whether they were there or not.
        """
        ...
